/*
 * discovery_cache.c: discovery documents on disk, in kubectl's place and form, so that either program reads what the other
 * wrote: discovery/HOST/servergroups.json names the groups, discovery/HOST/GROUP/VERSION/serverresources.json has the
 * resources of each. A file counts for six hours; a kind that is not there makes discovery.c ask the server. Readers see
 * each file as it was or as it is, never half of one.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kube/discovery_internal.h"

#define FRESH_S (6 * 3600)
#define CACHE_MAX MIB(16)
#define FOLDER_MODE 0750 /* both as kubectl's */
#define FILE_MODE 0660
#define GROUPS_FILE "servergroups.json"
#define RESOURCES_FILE "serverresources.json"

char *discovery_cache_path(const char *cache_dir, const char *server)
{
    CLEANUP(xfree) char *folder = kube_cache_dir(cache_dir, "discovery");
    const char *host = strstr(server, "://");
    CLEANUP(xfree) char *name = xstrdup(host != NULL ? host + 3 : server);
    for (char *c = name; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && strchr("_/.()", *c) == NULL)
            *c = '_';
    }
    for (size_t len = strlen(name); len > 0 && name[len - 1] == '/'; len--)
        name[len - 1] = '\0';
    return path_join(folder, name, NULL);
}

/* --- loading */

/* A name from the cache or the server that becomes part of a path. */
static bool is_safe(const char *group_version)
{
    return group_version[0] != '\0' && group_version[0] != '/' && strstr(group_version, "..") == NULL;
}

static bool load_document(const char *path, struct json **ret)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(buf_done) struct buf text = {0};
    struct stat status;
    return stat(path, &status) == 0 && clock_wall_ns() / 1000000000 - status.st_mtime < FRESH_S &&
           file_read(path, CACHE_MAX, &text, &ignored) == 0 &&
           json_parse_to_read(buf_text(&text), text.len, NULL, ret, &ignored) == 0;
}

static bool load_resources(const char *folder, const char *group_version, struct discovery_list *list)
{
    CLEANUP(xfree) char *path = path_join(folder, group_version, RESOURCES_FILE, NULL);
    CLEANUP(json_free) struct json *document = NULL;
    if (!is_safe(group_version) || !load_document(path, &document))
        return false;
    discovery_list_add(list, document);
    return true;
}

bool discovery_cache_load(const char *folder, struct discovery_list *list)
{
    CLEANUP(xfree) char *groups_path = path_join(folder, GROUPS_FILE, NULL);
    CLEANUP(json_free) struct json *groups = NULL;
    const struct json *group, *version;
    if (!load_document(groups_path, &groups) || json_len(json_get(groups, "groups", NULL)) == 0)
        return false;
    json_each(group, json_get(groups, "groups", NULL)) {
        json_each(version, json_get(group, "versions", NULL)) {
            if (!load_resources(folder, json_str_or("", version, "groupVersion", NULL), list)) {
                discovery_list_done(list);
                return false;
            }
        }
    }
    return true;
}

/* --- saving */

/* What is there already only becomes young again. */
static bool is_same(const char *path, const struct buf *text)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(buf_done) struct buf old = {0};
    struct stat status;
    return stat(path, &status) == 0 && (size_t)status.st_size == text->len &&
           file_read(path, CACHE_MAX, &old, &ignored) == 0 && old.len == text->len &&
           memcmp(buf_text(&old), buf_text(text), text->len) == 0 && utimensat(AT_FDCWD, path, NULL, 0) == 0;
}

/* The groups come last: they make the others count. */
static bool renew(const char *group_version, const struct buf *text, void *data)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(xfree) char *folder = path_join(data, strempty(group_version), NULL);
    CLEANUP(xfree) char *path = path_join(folder, group_version != NULL ? RESOURCES_FILE : GROUPS_FILE, NULL);
    if ((group_version == NULL || is_safe(group_version)) && !is_same(path, text) &&
        dir_make(folder, FOLDER_MODE, &ignored) == 0)
        (void)!file_write_cache(path, buf_text(text), text->len, FILE_MODE, &ignored);
    return true;
}

/* --- the first time */

struct place { /* for the resources of one group version */
    char *group_version;
    int fd; /* of the empty file, -1 once it is filled */
};

struct discovery_shelf {
    char *folder, *temporary; /* temporary: the name that nobody knows; NULL: not made, or the folder's own by now */
    int fd;
    struct place *places;
    size_t n, cap;
    size_t row; /* of discovery_table, whose groups every server has: the next to look at */
};

struct discovery_shelf *discovery_shelf_new(const char *folder)
{
    if (file_exists(folder))
        return NULL;
    struct discovery_shelf *shelf = NEW(struct discovery_shelf);
    shelf->folder = xstrdup(folder);
    shelf->fd = -1;
    return shelf;
}

struct discovery_shelf *discovery_shelf_free(struct discovery_shelf *shelf)
{
    CLEANUP(err_clear) struct err ignored = {0};
    if (shelf == NULL)
        return NULL;
    for (size_t i = 0; i < shelf->n; i++) {
        fd_close(shelf->places[i].fd);
        free(shelf->places[i].group_version);
    }
    free(shelf->places);
    fd_close(shelf->fd);
    if (shelf->temporary != NULL)
        (void)!dir_remove(shelf->temporary, &ignored);
    free(shelf->temporary);
    free(shelf->folder);
    free(shelf);
    return NULL;
}

static bool make_root(struct discovery_shelf *shelf)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(xfree) char *parent = xstrndup(shelf->folder, (size_t)(strrchr(shelf->folder, '/') - shelf->folder));
    CLEANUP(xfree) char *temporary = xasprintf("%s.XXXXXX", shelf->folder);
    if (shelf->fd >= 0)
        return true;
    if (dir_make(parent, FOLDER_MODE, &ignored) < 0 || mkdtemp(temporary) == NULL)
        return false;
    shelf->temporary = take(&temporary);
    shelf->fd = open(shelf->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return shelf->fd >= 0 && fchmod(shelf->fd, FOLDER_MODE) == 0;
}

/* An empty file, and the folders of "apps/v1/serverresources.json" before it. -1: it cannot be made. */
static int make_file(const struct discovery_shelf *shelf, const char *name)
{
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        CLEANUP(xfree) char *folder = xstrndup(name, (size_t)(slash - name));
        if (mkdirat(shelf->fd, folder, FOLDER_MODE) < 0 && errno != EEXIST)
            return -1;
    }
    int fd = openat(shelf->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    return fd >= 0 && fchmod(fd, FILE_MODE) < 0 ? fd_close(fd) : fd;
}

static struct place *find_place(const struct discovery_shelf *shelf, const char *group_version)
{
    for (size_t i = shelf->n; i > 0; i--) {
        if (streq(shelf->places[i - 1].group_version, group_version))
            return &shelf->places[i - 1];
    }
    return NULL;
}

bool discovery_shelf_step(void *data)
{
    struct discovery_shelf *shelf = data;
    if (!make_root(shelf))
        return false;
    for (; shelf->row < discovery_table_len; shelf->row++) {
        const struct kube_resource *row = &discovery_table[shelf->row];
        CLEANUP(xfree)
        char *group_version = row->group[0] != '\0' ? xasprintf("%s/%s", row->group, row->version) : xstrdup(row->version);
        if (find_place(shelf, group_version) != NULL)
            continue;
        CLEANUP(xfree) char *name = path_join(group_version, RESOURCES_FILE, NULL);
        GROW(shelf->places, shelf->n, shelf->cap);
        shelf->places[shelf->n] = (struct place){.fd = make_file(shelf, name)};
        shelf->places[shelf->n++].group_version = take(&group_version);
        return true;
    }
    return false;
}

static bool fill(const char *group_version, const struct buf *text, void *data)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(fd_close) int fd = -1;
    const struct discovery_shelf *shelf = data;
    struct place *place = group_version != NULL ? find_place(shelf, group_version) : NULL;
    if (group_version != NULL && !is_safe(group_version))
        return true;
    if (place != NULL) {
        fd = place->fd;
        place->fd = -1;
    } else {
        CLEANUP(xfree)
        char *name = group_version != NULL ? path_join(group_version, RESOURCES_FILE, NULL) : xstrdup(GROUPS_FILE);
        fd = make_file(shelf, name);
    }
    return fd >= 0 && fd_write_all(fd, buf_text(text), text->len, &ignored) == 0;
}

/* What this server does not have. The group's folder stays while another version is in it. */
static void clear_empty(const struct discovery_shelf *shelf)
{
    for (size_t i = 0; i < shelf->n; i++) {
        const char *group_version = shelf->places[i].group_version, *slash = strchr(group_version, '/');
        if (shelf->places[i].fd < 0)
            continue;
        CLEANUP(xfree) char *name = path_join(group_version, RESOURCES_FILE, NULL);
        CLEANUP(xfree) char *group = xstrndup(group_version, slash != NULL ? (size_t)(slash - group_version) : 0);
        (void)!unlinkat(shelf->fd, name, 0);
        (void)!unlinkat(shelf->fd, group_version, AT_REMOVEDIR);
        if (slash != NULL)
            (void)!unlinkat(shelf->fd, group, AT_REMOVEDIR);
    }
}

/* False when the folder is there by now, or it does not work. */
static bool finish(struct discovery_shelf *shelf, const struct discovery_answer *answer)
{
    if (!make_root(shelf) || !discovery_answer_print(answer, fill, shelf))
        return false;
    clear_empty(shelf);
    if (rename(shelf->temporary, shelf->folder) < 0)
        return false;
    free(shelf->temporary);
    shelf->temporary = NULL;
    return true;
}

void discovery_cache_save(const char *folder, struct discovery_shelf *shelf, const struct discovery_answer *answer)
{
    CLEANUP(xfree) char *copy = xstrdup(folder);
    if (shelf == NULL || !finish(shelf, answer))
        (void)discovery_answer_print(answer, renew, copy);
}
