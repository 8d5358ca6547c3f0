/*
 * atomic_writer.c: publishes ConfigMaps, Secrets, tokens and downward API values as files. The old folder is
 * compared file by file first: an update that changes nothing must not wake the programs that watch ..data.
 */
#include "volumes/atomic_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

#define DATA_LINK "..data"
#define NEW_DATA_LINK "..data_tmp"
#define MAX_PATH 4096
#define MAX_NAME 255

/* --- paths */

int atomic_writer_check_path(const char *path, struct err *err)
{
    const char *element = path;

    if (path[0] == '\0' || path[0] == '/')
        return err_set(err, ERR_INVALID, "invalid path: must be relative and not empty: '%s'", path);
    if (strlen(path) > MAX_PATH)
        return err_set(err, ERR_INVALID, "invalid path: must be at most %d characters", MAX_PATH);
    if (starts_with(path, "..") && path[2] != '/' && path[2] != '\0')
        return err_set(err, ERR_INVALID, "invalid path: must not start with '..': '%s'", path);
    for (;;) {
        size_t len = strcspn(element, "/");

        if (len == 2 && memcmp(element, "..", 2) == 0)
            return err_set(err, ERR_INVALID, "invalid path: must not contain '..': '%s'", path);
        if (len > MAX_NAME)
            return err_set(err, ERR_INVALID, "invalid path: file names must be at most %d characters", MAX_NAME);
        if (element[len] == '\0')
            return 0;
        element += len + 1;
    }
}

/* Without empty and "." elements; heap string, "" when nothing is left. */
static char *clean_path(const char *path)
{
    CLEANUP(strv_done) struct strv elements = {0};
    CLEANUP(strv_done) struct strv kept = {0};

    strv_split(&elements, path, '/');
    for (size_t i = 0; i < elements.n; i++)
        if (elements.items[i][0] != '\0' && !streq(elements.items[i], "."))
            strv_add(&kept, elements.items[i]);
    return strv_join(&kept, "/");
}

/* Files by clean path, and what of them users see; values point into the caller's array. */
struct wanted {
    struct map files;
    struct map visible; /* first path elements */
};

static void wanted_done(struct wanted *wanted)
{
    map_done(&wanted->files);
    map_done(&wanted->visible);
}
DEFINE_CLEANUP_IN_PLACE(struct wanted, wanted_done)

/* ERR_INVALID when one file's path is a folder of another's. */
static int check_folders(const struct wanted *wanted, const char *path, struct err *err)
{
    CLEANUP(xfree) char *folder = xstrdup(path);
    char *slash;

    while ((slash = strrchr(folder, '/')) != NULL) {
        *slash = '\0';
        if (map_has(&wanted->files, folder))
            return err_set(err, ERR_INVALID, "invalid path: '%s' is both a file and a folder", folder);
    }
    return 0;
}

static int wanted_of(const struct atomic_file *files, size_t n, struct wanted *wanted, struct err *err)
{
    size_t position = 0;
    const char *path;
    void *value;

    for (size_t i = 0; i < n; i++) {
        CLEANUP(xfree) char *clean = NULL;
        CLEANUP(xfree) char *first = NULL;
        int r = atomic_writer_check_path(files[i].path, err);

        if (r < 0)
            return r;
        clean = clean_path(files[i].path);
        if (clean[0] == '\0')
            return err_set(err, ERR_INVALID, "invalid path: names no file: '%s'", files[i].path);
        map_set(&wanted->files, clean, (void *)(uintptr_t)&files[i]);
        first = xstrndup(clean, strcspn(clean, "/"));
        map_set(&wanted->visible, first, NULL);
    }
    while (map_next(&wanted->files, &position, &path, &value)) {
        int r = check_folders(wanted, path, err);

        if (r < 0)
            return r;
    }
    return 0;
}

/* --- comparing with what is there */

/* Counts regular files below folder; -1 when it cannot be read. */
static int64_t count_files(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    int64_t n = 0;

    if (dir == NULL)
        return -1;
    while (n >= 0 && (entry = readdir(dir)) != NULL) {
        if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
            continue;
        if (entry->d_type == DT_DIR) {
            CLEANUP(xfree) char *below = path_join(folder, entry->d_name, NULL);
            int64_t more = count_files(below);

            n = more < 0 ? -1 : n + more;
        } else {
            n++;
        }
    }
    closedir(dir);
    return n;
}

static bool file_is(const char *path, const struct atomic_file *file)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(buf_done) struct buf text = {0};

    return file_read(path, file->len + 1, &text, &ignored) == 0 && text.len == file->len &&
           (file->len == 0 || memcmp(text.data, file->data, file->len) == 0);
}

static bool is_current(const struct wanted *wanted, const char *folder)
{
    size_t position = 0;
    const char *path;
    void *file;

    if (count_files(folder) != (int64_t)wanted->files.n)
        return false;
    while (map_next(&wanted->files, &position, &path, &file)) {
        CLEANUP(xfree) char *full = path_join(folder, path, NULL);

        if (!file_is(full, file))
            return false;
    }
    return true;
}

/* --- writing */

/* chmod after creation: the process's umask must not take part. */
static int make_folder(const char *path, int64_t gid, struct err *err)
{
    mode_t mode = gid >= 0 ? 02755 : 0755; /* setgid as the kubelet's fsGroup */

    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : err_errno(err, errno, "making '%s'", path);
    if (gid >= 0 && chown(path, (uid_t)-1, (gid_t)gid) < 0)
        return err_errno(err, errno, "giving '%s' to group %d", path, (int)gid);
    if (chmod(path, mode) < 0)
        return err_errno(err, errno, "setting the mode of '%s'", path);
    return 0;
}

static int write_file(const char *folder, const char *path, const struct atomic_file *file, int64_t gid,
                      struct err *err)
{
    CLEANUP(xfree) char *full = path_join(folder, path, NULL);
    CLEANUP(fd_close) int fd = -1;
    int r;

    for (char *slash = full + strlen(folder) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        r = make_folder(full, gid, err);
        *slash = '/';
        if (r < 0)
            return r;
    }
    fd = open(full, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "making '%s'", full);
    r = fd_write_all(fd, file->data, file->len, err);
    if (r < 0)
        return err_wrap(err, "writing '%s'", full);
    if ((file->uid >= 0 || gid >= 0) && fchown(fd, (uid_t)file->uid, (gid_t)gid) < 0) /* -1 leaves it */
        return err_errno(err, errno, "changing the owner of '%s'", full);
    if (fchmod(fd, file->mode & 07777) < 0)
        return err_errno(err, errno, "setting the mode of '%s'", full);
    return 0;
}

/* "..2026_01_02_03_04_05.1a2b3c4d5e" */
static char *new_folder_name(void)
{
    char time_text[CLOCK_TEXT_MAX];
    char random[11];

    clock_rfc3339(clock_wall_ns(), time_text);
    time_text[strcspn(time_text, "Z")] = '\0';
    for (char *p = time_text; *p != '\0'; p++)
        if (*p < '0' || *p > '9')
            *p = '_';
    random_hex(random, 10);
    return xasprintf("..%s.%s", time_text, random);
}

static int fill_folder(const char *folder, const struct wanted *wanted, int64_t gid, struct err *err)
{
    size_t position = 0;
    const char *path;
    void *file;
    int r = make_folder(folder, gid, err);

    while (r == 0 && map_next(&wanted->files, &position, &path, &file))
        r = write_file(folder, path, file, gid, err);
    return r;
}

static int switch_link(const char *dir, const char *name, struct err *err)
{
    CLEANUP(xfree) char *data = path_join(dir, DATA_LINK, NULL);
    CLEANUP(xfree) char *new_data = path_join(dir, NEW_DATA_LINK, NULL);

    (void)unlink(new_data); /* left behind by an agent that was killed here */
    if (symlink(name, new_data) < 0)
        return err_errno(err, errno, "linking '%s'", new_data);
    if (rename(new_data, data) < 0)
        return err_errno(err, errno, "renaming '%s'", new_data);
    return 0;
}

static char *read_link(const char *path)
{
    char target[MAX_PATH];
    ssize_t n = readlink(path, target, sizeof(target));

    return n > 0 && (size_t)n < sizeof(target) ? xstrndup(target, (size_t)n) : NULL;
}

static int show(const char *dir, const char *element, struct err *err)
{
    CLEANUP(xfree) char *link = path_join(dir, element, NULL);
    CLEANUP(xfree) char *target = path_join(DATA_LINK, element, NULL);
    CLEANUP(xfree) char *old = read_link(link);
    int r;

    if (streq(old, target))
        return 0;
    r = dir_remove(link, err); /* a folder: a subPath asked for the file before it was there */
    if (r < 0)
        return r;
    if (symlink(target, link) < 0)
        return err_errno(err, errno, "linking '%s'", link);
    return 0;
}

/* Links of files that are no more, and folders ("..2026…") that an interrupted update left. */
static int tidy(const char *dir, const struct wanted *wanted, struct err *err)
{
    CLEANUP(xfree) char *data = path_join(dir, DATA_LINK, NULL);
    CLEANUP(xfree) char *current = read_link(data);
    CLEANUP(strv_done) struct strv stale = {0};
    DIR *stream = opendir(dir);
    const struct dirent *entry;

    if (stream == NULL)
        return err_errno(err, errno, "reading '%s'", dir);
    while ((entry = readdir(stream)) != NULL) {
        const char *name = entry->d_name;
        bool ours = streq(name, ".") || streq(name, "..") || streq(name, DATA_LINK) || streq(name, current);

        if (!ours && (starts_with(name, "..") || (entry->d_type == DT_LNK && !map_has(&wanted->visible, name))))
            strv_add(&stale, name);
    }
    closedir(stream);
    for (size_t i = 0; i < stale.n; i++) {
        CLEANUP(xfree) char *path = path_join(dir, stale.items[i], NULL);
        int r = dir_remove(path, err);

        if (r < 0)
            return r;
    }
    return 0;
}

int atomic_writer_write(const char *dir, const struct atomic_file *files, size_t n, int64_t gid, bool *ret_changed,
                        struct err *err)
{
    CLEANUP(wanted_done) struct wanted wanted = {0};
    CLEANUP(xfree) char *data = path_join(dir, DATA_LINK, NULL);
    CLEANUP(xfree) char *old_name = read_link(data);
    bool changed;
    size_t position = 0;
    const char *element;
    void *unused;
    int r = wanted_of(files, n, &wanted, err);

    if (r < 0)
        return r;
    changed = old_name == NULL || !is_current(&wanted, data);
    if (changed) {
        CLEANUP(xfree) char *name = new_folder_name();
        CLEANUP(xfree) char *folder = path_join(dir, name, NULL);

        r = fill_folder(folder, &wanted, gid, err);
        if (r == 0)
            r = switch_link(dir, name, err);
        if (r < 0) {
            CLEANUP(err_clear) struct err ignored = {0};

            (void)!dir_remove(folder, &ignored);
            return r;
        }
    }
    while (map_next(&wanted.visible, &position, &element, &unused)) {
        r = show(dir, element, err);
        if (r < 0)
            return r;
    }
    r = tidy(dir, &wanted, err);
    if (r == 0 && ret_changed != NULL)
        *ret_changed = changed;
    return r;
}
