/*
 * supervisor_control.c: the outside of the supervisor: starting it, finding it, stopping it (see supervisor.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/proc.h"
#include "cluster/cgroup.h"
#include "cluster/supervisor.h"

char *supervisor_programs_dir(void)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (len <= 0)
        return xstrdup("/usr/local/bin");
    path[len] = '\0';
    return xstrdup(dirname(path));
}

pid_t supervisor_pid(const struct cluster *cluster)
{
    CLEANUP(xfree) char *path = cluster_path(cluster, "supervisor.pid");
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return 0;
    CLEANUP(buf_done) struct buf text = {0};
    struct err ignored = {0};
    int64_t pid = 0;
    buf_init(&text, 64);
    if (fd_read_all(fd, &text, &ignored) < 0 || parse_int(buf_text(&text), 1, INT32_MAX, &pid, &ignored) < 0)
        err_clear(&ignored);
    return (pid_t)pid;
}

/*
 * Spawns it into the cluster's cgroup. A Ctrl-C in between would start the clean-up while the supervisor is where the
 * clean-up does not look, so signals wait until it is found there.
 */
static int spawn_found(const struct cluster *cluster, const struct proc_options *options, struct err *err)
{
    sigset_t interrupts, before;
    pid_t pid;
    (void)sigemptyset(&interrupts);
    (void)sigaddset(&interrupts, SIGINT);
    (void)sigaddset(&interrupts, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &interrupts, &before);
    int r = cgroup_make(cluster, err);
    if (r == 0 && (r = proc_spawn(options, &pid, err)) == 0 && (r = cgroup_add(cluster, pid, err)) < 0)
        (void)kill(pid, SIGKILL);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}

int supervisor_start(const struct cluster *cluster, struct err *err)
{
    CLEANUP(xfree) char *logs = cluster_path(cluster, "logs");
    CLEANUP(xfree) char *log_path = cluster_path(cluster, "logs/supervisor.log");
    CLEANUP(xfree) char *programs = supervisor_programs_dir();
    CLEANUP(xfree) char *self = path_join(programs, "fks", NULL);
    int r = dir_make(logs, 0700, err);
    if (r < 0)
        return r;
    CLEANUP(fd_close) int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        return err_errno(err, errno, "opening '%s'", log_path);
    const char *const argv[] = {self, "cluster-supervisor", cluster->home, NULL};
    const struct proc_options options = {.argv = argv,
                                         .directory = "/",
                                         .stdin_fd = -1,
                                         .stdout_fd = log_fd,
                                         .stderr_fd = log_fd,
                                         .new_session = true};
    return spawn_found(cluster, &options, err);
}

int supervisor_stop(const struct cluster *cluster, int64_t timeout_ms, struct err *err)
{
    pid_t pid = supervisor_pid(cluster);
    if (pid == 0)
        return 0;
    CLEANUP(fd_close) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return errno == ESRCH ? 0 : err_errno(err, errno, "finding the supervisor of cluster '%s'", cluster->name);
    if (kill(pid, SIGTERM) != 0 && errno != ESRCH)
        return err_errno(err, errno, "stopping the supervisor of cluster '%s'", cluster->name);
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    if (poll(&ended, 1, (int)timeout_ms) == 0)
        return err_set(err, ERR_TIMEOUT, "the supervisor of cluster '%s' (pid %d) does not end: see its log", cluster->name,
                       (int)pid);
    return 0;
}

int supervisor_reload(const struct cluster *cluster, struct err *err)
{
    pid_t pid = supervisor_pid(cluster);
    if (pid == 0)
        return err_set(err, ERR_NOT_FOUND, "cluster '%s' is not running: 'fks start cluster %s' starts it", cluster->name,
                       cluster->name);
    return kill(pid, SIGHUP) == 0 ? 0 : err_errno(err, errno, "signalling the supervisor of cluster '%s'", cluster->name);
}
