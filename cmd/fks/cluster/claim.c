/*
 * claim.c: see claim.h. The lock of a cluster is a record lock on a file in its folder: the kernel takes it off a process that
 * ends, however it ends, and children do not inherit it. The owner of a number is written into /run/fks/NUMBER.
 */
#include "cluster/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "install/progress.h"

#define LOCK_FILE "lock"
#define OWNER_FILE "owner" /* the folder of the cluster that has the number */

static struct flock whole_file(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

static void tell_holder(int fd, const char *home)
{
    struct flock lock = whole_file();
    CLEANUP(xfree) char *path = xstrdup(home);
    if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
        progress(PROGRESS_INFO, "waiting for process %d, which is changing cluster \"%s\"", (int)lock.l_pid, basename(path));
}

static int no_cluster(const char *home, struct err *err)
{
    CLEANUP(xfree) char *path = xstrdup(home);
    return err_set(err, ERR_NOT_FOUND, "cluster '%s' not found under '%s': 'fks get clusters' lists what there is", basename(path),
                   home);
}

int claim_prepare(const char *home, struct err *err)
{
    CLEANUP(xfree) char *path = path_join(home, LOCK_FILE, NULL);
    return file_write_atomic(path, "", 0, 0600, err);
}

/* In a folder that is being deleted nothing may appear; one that has no lock and yet a cluster is of an older fks. */
static int open_lock(const char *home, const char *path)
{
    CLEANUP(xfree) char *description = path_join(home, "cluster.json", NULL);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && file_exists(description))
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd;
}

int claim_cluster(const char *home, int *ret_fd, struct err *err)
{
    CLEANUP(xfree) char *path = path_join(home, LOCK_FILE, NULL);
    for (;;) {
        struct flock lock = whole_file();
        struct stat locked, named;
        CLEANUP(fd_close) int fd = open_lock(home, path);
        if (fd < 0)
            return errno == ENOENT ? no_cluster(home, err) : err_errno(err, errno, "opening '%s'", path);
        int r = fcntl(fd, F_SETLK, &lock);
        if (r < 0 && (errno == EAGAIN || errno == EACCES)) {
            tell_holder(fd, home);
            while ((r = fcntl(fd, F_SETLKW, &lock)) < 0 && errno == EINTR)
                continue;
        }
        if (r < 0)
            return err_errno(err, errno, "locking '%s'", path);
        /* who had it may have deleted the cluster, or made another one in its place */
        if (fstat(fd, &locked) != 0 || stat(path, &named) != 0 || locked.st_ino != named.st_ino)
            continue;
        *ret_fd = fd;
        fd = -1;
        return 0;
    }
}

bool claim_is_held(const char *home)
{
    CLEANUP(xfree) char *path = path_join(home, LOCK_FILE, NULL);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct flock lock = whole_file();
    return fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* --- numbers */

int claim_numbers(bool ret[CLUSTER_MAX], struct err *err)
{
    CLEANUP(strv_done) struct strv names = {0};
    int r = cluster_list(&names, err);
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        CLEANUP(cluster_done) struct cluster cluster = {0};
        CLEANUP(err_clear) struct err broken = {0};
        if (cluster_load(names.items[i], &cluster, &broken) == 0)
            ret[cluster.number] = true;
    }
    return r;
}

/* NULL: nobody, or nobody says. */
static char *owner_of(const char *path)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    if (file_read(path, LIMIT_FILE, &text, &ignored) < 0 || text.len == 0)
        return NULL;
    return xstrdup(buf_text(&text));
}

int claim_number_locked(const struct cluster *cluster, struct err *err)
{
    CLEANUP(xfree) char *run = xasprintf("/run/fks/%d", cluster->number);
    CLEANUP(xfree) char *path = cluster_run_path(cluster, OWNER_FILE);
    CLEANUP(xfree) char *owner = owner_of(path);
    CLEANUP(xfree) char *home = realpath(cluster->home, NULL);
    const char *ours = home != NULL ? home : cluster->home;
    if (owner != NULL && !streq(owner, ours))
        return err_set(err, ERR_EXISTS,
                       "the addresses of cluster '%s' (10.201.%d.0/24) are those of the cluster in '%s' now: stop or delete that one",
                       cluster->name, cluster->number, owner);
    int r = dir_make(run, CLUSTER_RUN_MODE, err);
    return r < 0 || owner != NULL ? r : file_write_atomic(path, ours, strlen(ours), 0600, err);
}

int claim_number(const struct cluster *cluster, struct err *err)
{
    CLEANUP(fd_close) int lock = -1;
    int r = cluster_lock(&lock, err);
    return r < 0 ? r : claim_number_locked(cluster, err);
}
