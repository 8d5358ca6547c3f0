/*
 * csi_owner.c: see csi_owner.h. Runs in a child process (csi_volumes.c): a volume may have millions of files.
 */
#include "volumes/csi_owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

#define DEPTH_MAX 256
#define GROUP_BITS 0660 /* of files, the owner's as well: as the kubelet */
#define FOLDER_BITS (S_ISGID | 0110)

static mode_t mode_for(const struct stat *facts)
{
    return (facts->st_mode & 07777) | GROUP_BITS | (S_ISDIR(facts->st_mode) ? FOLDER_BITS : 0);
}

/*
 * Other pods may use the volume, and exchange a file for a symbolic link that leads to one of the host's: so the file
 * is opened without being followed, and only what was opened is changed. Links have no mode of their own.
 */
static int give_one(int folder, const char *name, gid_t group, const struct stat *facts, struct err *err)
{
    CLEANUP(fd_close) int file = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat opened;
    char path[64];

    if (file < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "opening '%s'", name);
    if (fstat(file, &opened) < 0 || opened.st_dev != facts->st_dev || opened.st_ino != facts->st_ino)
        return 0; /* another one by now */
    if (fchownat(file, "", (uid_t)-1, group, AT_EMPTY_PATH) < 0)
        return err_errno(err, errno, "giving '%s' to group %u", name, (unsigned)group);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    if (!S_ISLNK(opened.st_mode) && chmod(path, mode_for(&opened)) < 0)
        return err_errno(err, errno, "setting the mode of '%s'", name);
    return 0;
}

static int give_below(int folder, dev_t device, int depth, gid_t group, struct err *err)
{
    DIR *listing = fdopendir(folder);
    const struct dirent *entry;
    struct stat facts;
    int r = 0;

    if (listing == NULL) {
        (void)close(folder);
        return err_errno(err, errno, "listing a folder of the volume");
    }
    while (r == 0 && (entry = readdir(listing)) != NULL) {
        const char *name = entry->d_name;
        if (streq(name, ".") || streq(name, "..") || fstatat(dirfd(listing), name, &facts, AT_SYMLINK_NOFOLLOW) < 0 ||
            facts.st_dev != device)
            continue;
        r = give_one(dirfd(listing), name, group, &facts, err);
        if (r < 0 || !S_ISDIR(facts.st_mode))
            continue;
        int child =
            depth < DEPTH_MAX ? openat(dirfd(listing), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (child >= 0)
            r = give_below(child, device, depth + 1, group, err);
    }
    (void)closedir(listing);
    return r;
}

int csi_owner_give(const char *path, gid_t group, bool if_needed, struct err *err)
{
    struct stat facts;
    int r;

    if (lstat(path, &facts) < 0)
        return err_errno(err, errno, "looking at '%s'", path);
    if (if_needed && facts.st_gid == group && (facts.st_mode & 07777) == mode_for(&facts))
        return 0;
    if (S_ISDIR(facts.st_mode)) {
        int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (folder < 0)
            return err_errno(err, errno, "opening '%s'", path);
        if ((r = give_below(folder, facts.st_dev, 0, group, err)) < 0)
            return err_wrap(err, "'%s'", path);
    }
    return give_one(AT_FDCWD, path, group, &facts, err); /* last: it is what if_needed goes by */
}
