/*
 * volumes_read.c: reads a file that a container wrote into a volume. Whatever the container made of it (a symlink out of the
 * volume, a pipe that nobody writes, a file without end), the agent reads no other file and never waits.
 */
#include "volumes/volumes_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

static int read_all(int fd, const char *path, struct buf *ret, struct err *err)
{
    for (;;) {
        char *room = buf_reserve(ret, KIB(4));
        if (room == NULL)
            return err_set(err, ERR_TOO_BIG, "'%s' is over %zu bytes", path, ret->max);
        ssize_t n = read(fd, room, KIB(4));
        if (n < 0)
            return err_errno(err, errno, "reading '%s'", path);
        if (n == 0)
            return 0;
        buf_advance(ret, (size_t)n);
    }
}

int volumes_read(const struct json *pod, const char *state_dir, const char *volume, const char *path, struct buf *ret,
                 struct err *err)
{
    struct open_how how = {
        .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    const char *uid = json_str_or("", pod, "metadata", "uid", NULL);
    CLEANUP(fd_close) int root = -1;
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(buf_done) struct buf text = {.max = LIMIT_FILE};
    struct stat facts;
    int result;

    if (volumes_find(pod, volume) == NULL)
        return err_set(err, ERR_INVALID, "cannot find the volume \"%s\" referenced by FileKeyRef", volume);
    if ((result = volumes_check_element("pod UID", uid, err)) < 0 ||
        (result = volumes_check_element("volume name", volume, err)) < 0)
        return result;
    CLEANUP(xfree) char *folder = volumes_dir(state_dir, uid, volume);
    root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return err_errno(err, errno, "opening volume \"%s\"", volume);
    fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
    if (fd < 0)
        return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "no file '%s' in volume \"%s\"", path, volume)
                               : err_errno(err, errno, "opening '%s' in volume \"%s\"", path, volume);
    if (fstat(fd, &facts) < 0 || !S_ISREG(facts.st_mode))
        return err_set(err, ERR_INVALID, "'%s' in volume \"%s\" is not a regular file", path, volume);
    if ((result = read_all(fd, path, &text, err)) < 0)
        return result;
    *ret = text;
    text = (struct buf){0};
    return 0;
}
