/*
 * runtime.c: see runtime.h. Puts the programs onto the host, starts containerd there (own_root.c) in a cgroup beside the pods', and
 * ends with it. The pods' containers belong to their shims, which live in that cgroup and in no container of the kubelet's: they go
 * on when this one is replaced, and the next containerd finds them. Only when the host belongs to FKS no longer are they ended
 * (leave.c).
 */
#include "daemonset/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "daemonset/leave.h"
#include "daemonset/own_root.h"
#include "host/cgroups.h"
#include "net/pki.h"

#define CONTENTS "/usr/share/sbom/fks-node.spdx.json" /* the bill of materials: it tells the image's programs by their sums */
#define CONTAINERD "/usr/bin/containerd"
#define ID_LEN 16
#define END_S 10

struct runtime_options {
    struct leave_options leave;
    const char *config, *log_level;
    bool help;
};

static void options_of(struct runtime_options *ret, struct opt table[10])
{
    const struct opt rows[10] = {
        {"cgroup-root", 0, OPT_STRING, &ret->leave.cgroup_root, "NAME",
         "Cgroup that holds the pods' cgroups; the runtime is in NAME/runtime.", NULL, NULL},
        {"config", 0, OPT_STRING, &ret->config, "FILE", "Configuration of containerd; required.", NULL, NULL},
        {"daemonset", 0, OPT_STRING, &ret->leave.daemonset, "NAMESPACE/NAME",
         "Once it is gone, or selects this host no longer, everything of FKS is taken off the host.", NULL, NULL},
        {"help", 'h', OPT_BOOL, &ret->help, NULL, "Print this help.", NULL, NULL},
        {"host-root", 0, OPT_STRING, &ret->leave.host_root, "DIR", "Where the host's root is mounted.", NULL, NULL},
        {"log-level", 0, OPT_STRING, &ret->log_level, "LEVEL", "debug, info, warn or error.", NULL, NULL},
        {"node-name", 0, OPT_STRING, &ret->leave.node_name, "NAME", "Node of this host.", NULL, NULL},
        {"run-dir", 0, OPT_STRING, &ret->leave.run_dir, "DIR", "Folder on the host for sockets and mounts.", NULL, NULL},
        {"state-dir", 0, OPT_STRING, &ret->leave.state_dir, "DIR", "Folder on the host for programs and images.", NULL, NULL},
        {NULL, 0, OPT_BOOL, NULL, NULL, NULL, NULL, NULL},
    };
    memcpy(table, rows, sizeof(rows));
}

static void print_help(const struct opt *table)
{
    CLEANUP(buf_done) struct buf text = {0};

    buf_add_str(&text, "Usage: fks-node runtime [options]\n\nRuns a containerd of its own on a host that a kubelet runs.\n\nOptions:\n");
    opt_help(table, &text);
    (void)fputs(buf_text(&text), stdout);
}

static int check_options(const struct runtime_options *options, struct err *err)
{
    const char *slash = options->leave.daemonset != NULL ? strchr(options->leave.daemonset, '/') : "/";
    int r;

    if (options->config == NULL)
        return err_set(err, ERR_USAGE, "--config is required");
    if (slash == NULL)
        return err_set(err, ERR_USAGE, "--daemonset '%s' is not of the form NAMESPACE/NAME", options->leave.daemonset);
    if ((r = leave_check_folder(options->leave.state_dir, err)) < 0)
        return err_wrap(err, "--state-dir");
    if ((r = leave_check_folder(options->leave.run_dir, err)) < 0)
        return err_wrap(err, "--run-dir");
    return 0;
}

/* --- coming */

static int write_config(const struct runtime_options *options, struct err *err)
{
    CLEANUP(xfree) char *folder = path_join(options->leave.host_root, options->leave.run_dir, NULL);
    CLEANUP(xfree) char *path = path_join(folder, "containerd.toml", NULL);
    CLEANUP(buf_done) struct buf text = {0};
    int r;

    if ((r = file_read(options->config, LIMIT_FILE, &text, err)) < 0 || (r = dir_make(folder, 0711, err)) < 0)
        return r;
    return file_write_atomic(path, text.data, text.len, 0600, err);
}

/* The folder of this image's programs on the host. Those of other images go while no pod's shim can need them. */
static int put_programs(const struct runtime_options *options, char **ret, struct err *err)
{
    CLEANUP(xfree) char *all = path_join(options->leave.host_root, options->leave.state_dir, "programs", NULL);
    CLEANUP(xfree) char *cgroups = path_join(options->leave.host_root, "/sys/fs/cgroup", NULL);
    char sum[65];
    int r = pki_sha256_file(CONTENTS, sum, err);

    if (r < 0)
        return err_wrap(err, "'fks-node runtime' works from its image only");
    sum[ID_LEN] = '\0';
    CLEANUP(xfree) char *folder = path_join(all, sum, NULL);
    if (!file_exists(folder) && !cgroups_has_pods(cgroups, options->leave.cgroup_root) && (r = dir_remove(all, err)) < 0)
        return r;
    if ((r = dir_make(all, 0711, err)) < 0 || (r = own_root_copy(folder, err)) < 0)
        return err_wrap(err, "putting the programs onto the host");
    *ret = take(&folder);
    return 0;
}

/* With cgroup v2 a container may have a namespace of cgroups, out of which the kernel lets no process be moved. */
static int enter_host_cgroups(struct err *err)
{
    CLEANUP(fd_close) int fd = open("/proc/1/ns/cgroup", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "opening the host's namespace of cgroups (is hostPID set?)");
    return setns(fd, CLONE_NEWCGROUP) < 0 ? err_errno(err, errno, "entering the host's namespace of cgroups") : 0;
}

/* In the child; returns only what went wrong. */
static int become_containerd(const struct runtime_options *options, const char *programs, struct err *err)
{
    CLEANUP(xfree) char *cgroup = path_join(options->leave.cgroup_root, "runtime", NULL);
    CLEANUP(xfree) char *cgroups = path_join(options->leave.host_root, "/sys/fs/cgroup", NULL);
    CLEANUP(xfree) char *config = path_join(options->leave.run_dir, "containerd.toml", NULL);
    char *const argv[] = {(char *)(uintptr_t)CONTAINERD, (char *)(uintptr_t) "--config", config, NULL};
    char *const env[] = {(char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin", NULL};
    int r;

    /* the next one must find its socket free */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_errno(err, errno, "asking to end with the parent");
    if ((r = enter_host_cgroups(err)) < 0 || (r = cgroups_enter(cgroups, cgroup, err)) < 0 ||
        (r = own_root_enter(options->leave.host_root, programs, err)) < 0)
        return r;
    (void)umask(022);
    execve(CONTAINERD, argv, env);
    return err_errno(err, errno, "starting '" CONTAINERD "'");
}

static int start_containerd(const struct runtime_options *options, const sigset_t *mask, pid_t *ret, struct err *err)
{
    CLEANUP(xfree) char *programs = NULL;
    int r;

    if ((r = write_config(options, err)) < 0 || (r = put_programs(options, &programs, err)) < 0)
        return r;
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(err, errno, "starting a process");
    if (pid == 0) {
        (void)sigprocmask(SIG_UNBLOCK, mask, NULL);
        (void)signal(SIGPIPE, SIG_DFL);
        (void)become_containerd(options, programs, err);
        log_error("containerd cannot be started", "error", err_text(err));
        _exit(1);
    }
    *ret = pid;
    return 0;
}

/* --- going */

/* True once the child has ended. */
static bool has_ended(pid_t pid, int *ret_status)
{
    pid_t ended = waitpid(pid, ret_status, WNOHANG);

    return ended == pid || (ended < 0 && errno != EINTR);
}

static void end_containerd(pid_t pid, const sigset_t *mask)
{
    const struct timespec grace = {.tv_sec = END_S};
    int status;

    (void)kill(pid, SIGTERM);
    while (!has_ended(pid, &status))
        if (sigtimedwait(mask, NULL, &grace) < 0 && errno == EAGAIN)
            (void)kill(pid, SIGKILL);
}

static void leave_if_due(const struct runtime_options *options)
{
    CLEANUP(err_clear) struct err err = {0};
    bool due = false;

    if (leave_is_due(&options->leave, &due, &err) < 0 ||
        (due && (leave(&options->leave, &err) < 0 || leave_tell(&options->leave, &err) < 0)))
        log_error("leaving the host", "error", err_text(&err));
    else
        log_info(due ? "nothing of FKS is left on this host" : "the pods of this host go on without me", NULL);
}

/* Until a signal, or until containerd ends by itself. */
static int run(const struct runtime_options *options, struct err *err)
{
    sigset_t mask;
    pid_t pid = 0;
    int status = 0, got;

    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGTERM);
    (void)sigaddset(&mask, SIGINT);
    (void)sigaddset(&mask, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
        return err_errno(err, errno, "blocking signals");
    int r = start_containerd(options, &mask, &pid, err);
    if (r < 0)
        return r;
    log_info("containerd started", "programs", options->leave.state_dir, "cgroup", options->leave.cgroup_root);
    do {
        got = sigwaitinfo(&mask, NULL);
        if (got == SIGCHLD && has_ended(pid, &status))
            return err_set(err, ERR_IO, "containerd ended by itself (wait status %d)", status);
    } while (got != SIGTERM && got != SIGINT);
    end_containerd(pid, &mask);
    leave_if_due(options);
    return 0;
}

int runtime_main(int argc, char **argv)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(strv_done) struct strv arguments = {0};
    struct runtime_options options = {
        .leave = {.host_root = "/host", .state_dir = "/var/lib/fks-node", .run_dir = "/run/fks-node", .cgroup_root = "fks"},
        .log_level = "info",
    };
    struct opt table[10];
    options_of(&options, table);
    const struct opt_tables tables = {.tables = {table}};
    enum log_level level = LOG_LEVEL_INFO;
    int dash;

    if (opt_parse(&tables, argc, argv, false, &arguments, &dash, &err) < 0 ||
        (!options.help && ((arguments.n > 0 && err_set(&err, ERR_USAGE, "unexpected argument '%s'", arguments.items[0]) < 0) ||
                           log_level_parse(options.log_level, &level, &err) < 0 || check_options(&options, &err) < 0))) {
        (void)fprintf(stderr, "error: %s\nSee 'fks-node runtime --help'\n", err_text(&err));
        return 2;
    }
    if (options.help) {
        print_help(table);
        return 0;
    }
    log_init("fks-node-runtime", level);
    if (run(&options, &err) < 0) {
        log_error("ending", "error", err_text(&err));
        return 1;
    }
    return 0;
}
