/*
 * file.c: whole files and whole trees. Files are replaced atomically because the kubeconfig, certificates and an
 * agent's state must be either old or new after a crash. Removing a tree stops at mounts: a volume of a pod may still be
 * mounted below its folder, and its contents belong to somebody else.
 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

/* Deeper trees are refused: each level holds a descriptor. */
#define MAX_TREE_DEPTH 500

int fd_close(int fd)
{
    /* no retry on EINTR: Linux has closed it already */
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

int fd_set_nonblocking(int fd, struct err *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return err_errno(err, errno, "cannot make descriptor %d non-blocking", fd);
    return 0;
}

static void wait_for(int fd, short events)
{
    struct pollfd pollfd = {.fd = fd, .events = events};

    (void)poll(&pollfd, 1, -1);
}

int fd_write_all(int fd, const void *data, size_t len, struct err *err)
{
    const char *from = data;

    while (len > 0) {
        ssize_t n = write(fd, from, len);

        if (n >= 0) {
            from += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            wait_for(fd, POLLOUT);
        } else if (errno != EINTR) {
            return err_errno(err, errno, "write failed");
        }
    }
    return 0;
}

int fd_read_all(int fd, struct buf *buf, struct err *err)
{
    char chunk[16384];

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));

        if (n == 0)
            return 0;
        if (n > 0) {
            if (!buf_add(buf, chunk, (size_t)n))
                return buf_check(buf, "input", err);
        } else if (errno == EAGAIN) {
            wait_for(fd, POLLIN);
        } else if (errno != EINTR) {
            return err_errno(err, errno, "read failed");
        }
    }
}

int file_read(const char *path, size_t max, struct buf *ret, struct err *err)
{
    CLEANUP(fd_close) int fd = -1;
    int code;

    buf_init(ret, max);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "cannot open '%s'", path);
    code = fd_read_all(fd, ret, err);
    if (code < 0) {
        buf_done(ret);
        return err_wrap(err, "cannot read '%s'", path);
    }
    return 0;
}

/* The folder that holds path: heap string. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return xstrdup(".");
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

static int fill_file(int fd, const void *data, size_t len, mode_t mode, bool durable, struct err *err)
{
    int code;

    /* the mode first, so that a secret is never readable by others, not even for a moment */
    if (fchmod(fd, mode) < 0)
        return err_errno(err, errno, "cannot set its mode");
    code = fd_write_all(fd, data, len, err);
    if (code < 0)
        return code;
    if (durable && fsync(fd) < 0)
        return err_errno(err, errno, "fsync failed");
    return 0;
}

static int replace_file(const char *path, const void *data, size_t len, mode_t mode, bool durable, struct err *err)
{
    CLEANUP(xfree) char *temporary = xasprintf("%s.XXXXXX", path);
    CLEANUP(fd_close) int fd = -1;

    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "cannot write '%s'", path);
    if (fill_file(fd, data, len, mode, durable, err) < 0) {
        (void)unlink(temporary);
        return err_wrap(err, "cannot write '%s'", path);
    }
    if (rename(temporary, path) < 0) {
        int errnum = errno;

        (void)unlink(temporary);
        return err_errno(err, errnum, "cannot write '%s'", path);
    }
    return 0;
}

int file_write_cache(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
    return replace_file(path, data, len, mode, false, err);
}

int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
    CLEANUP(xfree) char *folder = parent_of(path);
    CLEANUP(fd_close) int folder_fd = -1;

    if (replace_file(path, data, len, mode, true, err) < 0)
        return (int)err->code;
    /* makes the rename itself durable; not every file system can, and the file is complete either way */
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd >= 0)
        (void)fsync(folder_fd);
    return 0;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static int make_one(const char *path, mode_t mode, struct err *err)
{
    struct stat status;

    if (mkdir(path, mode) == 0) {
        /* the umask may have taken bits away; mostly it has not, and looking is cheaper than writing */
        if ((stat(path, &status) < 0 || (status.st_mode & 07777) != mode) && chmod(path, mode) < 0)
            return err_errno(err, errno, "cannot set the mode of '%s'", path);
        return 0;
    }
    if (errno != EEXIST) {
        int errnum = errno;

        /* "/" on a read-only file system is EROFS, although it exists */
        if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
            return 0;
        return err_errno(err, errnum, "cannot make folder '%s'", path);
    }
    if (stat(path, &status) < 0)
        return err_errno(err, errno, "cannot make folder '%s'", path);
    if (!S_ISDIR(status.st_mode))
        return err_set(err, ERR_EXISTS, "cannot make folder '%s': there is a file of that name", path);
    return 0;
}

int dir_make(const char *path, mode_t mode, struct err *err)
{
    CLEANUP(xfree) char *parent = parent_of(path);
    struct stat status;

    /* from the end: mostly all of it is there, or all but the last part */
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return 0;
    if (!streq(parent, ".") && !streq(parent, path) && dir_make(parent, mode, err) < 0)
        return (int)err->code;
    return ends_with(path, "/") ? 0 : make_one(path, mode, err);
}

/* Whether name in folder_fd is where something is mounted (bind mounts of the same file system too). */
static int check_no_mount(int folder_fd, const char *name, const char *path, struct err *err)
{
    struct statx status;

    if (statx(folder_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &status) < 0)
        return err_errno(err, errno, "cannot remove '%s'", path);
    if (status.stx_attributes & STATX_ATTR_MOUNT_ROOT)
        return err_set(err, ERR_BUSY, "cannot remove '%s': something is mounted there", path);
    return 0;
}

static int list_folder(int fd, const char *path, struct strv *names, struct err *err)
{
    /* a second descriptor, because closedir closes the one it got */
    int list_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = list_fd >= 0 ? fdopendir(list_fd) : NULL;
    const struct dirent *entry;

    if (list == NULL) {
        int errnum = errno;

        fd_close(list_fd);
        return err_errno(err, errnum, "cannot list '%s'", path);
    }
    while ((entry = readdir(list)) != NULL) {
        if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
            strv_add(names, entry->d_name);
    }
    closedir(list);
    return 0;
}

/* Removes name, which lies in folder_fd; path is its whole name, for messages. */
static int remove_tree(int folder_fd, const char *name, const char *path, int depth, struct err *err)
{
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(strv_done) struct strv names = {0};
    int code;

    code = check_no_mount(folder_fd, name, path, err);
    if (code < 0)
        return code;
    fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP)) {
        if (unlinkat(folder_fd, name, 0) < 0 && errno != ENOENT)
            return err_errno(err, errno, "cannot remove '%s'", path);
        return 0;
    }
    if (fd < 0)
        return err_errno(err, errno, "cannot remove '%s'", path);
    if (depth >= MAX_TREE_DEPTH)
        return err_set(err, ERR_TOO_BIG, "cannot remove '%s': more than %d folders deep", path, MAX_TREE_DEPTH);
    code = list_folder(fd, path, &names, err);
    for (size_t i = 0; code == 0 && i < names.n; i++) {
        CLEANUP(xfree) char *child = path_join(path, names.items[i], NULL);

        code = remove_tree(fd, names.items[i], child, depth + 1, err);
        if (code == ERR_NOT_FOUND) {
            /* somebody else removed it meanwhile */
            err_clear(err);
            code = 0;
        }
    }
    if (code < 0)
        return code;
    if (unlinkat(folder_fd, name, AT_REMOVEDIR) < 0)
        return err_errno(err, errno, "cannot remove '%s'", path);
    return 0;
}

int dir_remove(const char *path, struct err *err)
{
    int code = remove_tree(AT_FDCWD, path, path, 0, err);

    if (code == ERR_NOT_FOUND) {
        err_clear(err);
        return 0;
    }
    return code;
}

char *path_join(const char *first, ...)
{
    struct buf path = {0};
    const char *part = first;
    va_list args;

    va_start(args, first);
    for (; part != NULL; part = va_arg(args, const char *)) {
        if (path.len > 0) {
            while (*part == '/')
                part++;
            if (*part == '\0')
                continue;
            if (path.data[path.len - 1] != '/')
                buf_add_char(&path, '/');
        }
        buf_add_str(&path, part);
    }
    va_end(args);
    return buf_take(&path);
}
