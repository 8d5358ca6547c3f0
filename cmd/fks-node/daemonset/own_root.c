/*
 * own_root.c: see own_root.h. A container's own root would not do: it goes when the kubelet removes the container, and with it
 * runc, which the shims of running pods still need. The host's root would not do either: its C library may be another one. So
 * containerd gets a root that is mostly the host's, where network plugins, registries' certificates and devices are as a
 * containerd of the host would see them.
 */
#include "daemonset/own_root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define PLACE "/mnt" /* an empty folder of the image, where the new root is put together */
#define DEPTH_MAX 32

/* --- copying */

static int copy_bytes(const char *from, const char *to, const struct stat *info, struct err *err)
{
    CLEANUP(fd_close) int in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(fd_close) int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, info->st_mode & 0777);

    if (in < 0)
        return err_errno(err, errno, "opening '%s'", from);
    if (out < 0)
        return err_errno(err, errno, "making '%s'", to);
    for (off_t left = info->st_size; left > 0;) {
        ssize_t n = sendfile(out, in, NULL, (size_t)left);

        if (n <= 0)
            return err_errno(err, n < 0 ? errno : EIO, "copying '%s' to '%s'", from, to);
        left -= n;
    }
    return 0;
}

static int copy_link(const char *from, const char *to, struct err *err)
{
    char target[4096];
    ssize_t n = readlink(from, target, sizeof(target) - 1);

    if (n < 0)
        return err_errno(err, errno, "reading the link '%s'", from);
    target[n] = '\0';
    return symlink(target, to) < 0 && errno != EEXIST ? err_errno(err, errno, "making the link '%s'", to) : 0;
}

static int copy_tree(const char *from, const char *to, int depth, struct err *err)
{
    struct stat info;

    if (lstat(from, &info) < 0)
        return err_errno(err, errno, "looking at '%s'", from);
    if (S_ISLNK(info.st_mode))
        return copy_link(from, to, err);
    if (S_ISREG(info.st_mode))
        return copy_bytes(from, to, &info, err);
    if (!S_ISDIR(info.st_mode))
        return 0;
    if (depth >= DEPTH_MAX)
        return err_set(err, ERR_TOO_BIG, "folders below '%s' are nested too deeply", from);
    if (mkdir(to, 0755) < 0)
        return err_errno(err, errno, "making '%s'", to);
    DIR *listing = opendir(from);
    const struct dirent *entry;
    int r = listing == NULL ? err_errno(err, errno, "opening '%s'", from) : 0;
    while (r == 0 && (entry = readdir(listing)) != NULL) {
        if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
            continue;
        CLEANUP(xfree) char *source = path_join(from, entry->d_name, NULL);
        CLEANUP(xfree) char *copy = path_join(to, entry->d_name, NULL);
        r = copy_tree(source, copy, depth + 1, err);
    }
    if (listing != NULL)
        (void)closedir(listing);
    return r;
}

int own_root_copy(const char *folder, struct err *err)
{
    static const char *const parts[] = {"usr", "lib", "lib64"};
    CLEANUP(xfree) char *partial = xasprintf("%s.partial", folder);
    int r;

    if (file_exists(folder))
        return 0;
    if ((r = dir_remove(partial, err)) < 0 || (r = dir_make(partial, 0755, err)) < 0)
        return r;
    for (size_t i = 0; i < countof(parts); i++) {
        CLEANUP(xfree) char *from = path_join("/", parts[i], NULL);
        CLEANUP(xfree) char *to = path_join(partial, parts[i], NULL);
        if (file_exists(from) && (r = copy_tree(from, to, 0, err)) < 0)
            return r;
    }
    return rename(partial, folder) < 0 ? err_errno(err, errno, "renaming '%s' to '%s'", partial, folder) : 0;
}

/* --- entering */

static int bind(const char *from, const char *to, unsigned long recursive, struct err *err)
{
    if (mount(from, to, NULL, MS_BIND | recursive, NULL) < 0)
        return err_errno(err, errno, "binding '%s' to '%s'", from, to);
    return 0;
}

static int set_private(const char *path, struct err *err)
{
    return mount(NULL, path, NULL, MS_PRIVATE, NULL) < 0 ? err_errno(err, errno, "making the mount '%s' private", path) : 0;
}

/* Ours, or not to be had by binding. */
static bool is_left_out(const char *name)
{
    static const char *const names[] = {".", "..", "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "proc"};

    for (size_t i = 0; i < countof(names); i++)
        if (streq(name, names[i]))
            return true;
    return false;
}

static int add_host_entry(const char *host_root, const char *name, struct err *err)
{
    CLEANUP(xfree) char *from = path_join(host_root, name, NULL);
    CLEANUP(xfree) char *to = path_join(PLACE, name, NULL);
    struct stat info;

    if (lstat(from, &info) < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "looking at '%s'", from);
    if (S_ISLNK(info.st_mode))
        return copy_link(from, to, err);
    if (!S_ISDIR(info.st_mode))
        return 0;
    if (mkdir(to, 0755) < 0 && errno != EEXIST)
        return err_errno(err, errno, "making '%s'", to);
    return bind(from, to, MS_REC, err);
}

static int add_host_entries(const char *host_root, struct err *err)
{
    DIR *listing = opendir(host_root);
    const struct dirent *entry;
    int r = listing == NULL ? err_errno(err, errno, "opening '%s'", host_root) : 0;

    while (r == 0 && (entry = readdir(listing)) != NULL)
        if (!is_left_out(entry->d_name))
            r = add_host_entry(host_root, entry->d_name, err);
    if (listing != NULL)
        (void)closedir(listing);
    return r;
}

/* The old root holds the host's mounts as peers: unmounted as such, they would go on the host, too. */
static int leave_old_root(struct err *err)
{
    CLEANUP(fd_close) int old_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (old_root < 0 || chdir(PLACE) < 0)
        return err_errno(err, errno, "opening the old and the new root");
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return err_errno(err, errno, "changing the root");
    if (fchdir(old_root) < 0 || mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return err_errno(err, errno, "leaving the old root");
    return 0;
}

int own_root_enter(const char *host_root, const char *folder, struct err *err)
{
    int r;

    if (unshare(CLONE_NEWNS) < 0)
        return err_errno(err, errno, "making a mount namespace (is the container privileged?)");
    /* what is mounted on the new root is nobody else's business; what is below the host's folders is everybody's */
    if ((r = set_private("/", err)) < 0 || (r = bind(folder, PLACE, 0, err)) < 0 || (r = set_private(PLACE, err)) < 0 ||
        (r = add_host_entries(host_root, err)) < 0)
        return r;
    if (mkdir(PLACE "/proc", 0555) < 0 && errno != EEXIST)
        return err_errno(err, errno, "making '/proc'");
    if ((r = bind("/proc", PLACE "/proc", MS_REC, err)) < 0)
        return r;
    return leave_old_root(err);
}
