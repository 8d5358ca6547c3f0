/*
 * proc.c: starts programs with fork and exec, never through a shell. A pipe that exec closes tells the parent whether
 * the program really runs: what fails between fork and exec (namespace, folder, exec itself) is the parent's error.
 * Descriptors need no closing in the child, since all of ours are close-on-exec.
 */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

/* Of a failed program's stderr, in the error text. */
#define MAX_STDERR 4096
#define MAX_STDERR_LINES 5

static bool is_program(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

int proc_find(const char *name, char **ret_path, struct err *err)
{
    /* sbin: where iptables and ip are, and where a user's PATH often does not go */
    CLEANUP(xfree) char *path = xasprintf("%s:/usr/sbin:/sbin", strempty(getenv("PATH")));
    CLEANUP(strv_done) struct strv folders = {0};

    if (*name == '\0' || strchr(name, '/') != NULL) {
        if (!is_program(name))
            return err_set(err, ERR_NOT_FOUND, "'%s' is not a program", name);
        *ret_path = xstrdup(name);
        return 0;
    }
    strv_split(&folders, path, ':');
    for (size_t i = 0; i < folders.n; i++) {
        CLEANUP(xfree) char *candidate = NULL;

        if (*folders.items[i] == '\0')
            continue;
        candidate = path_join(folders.items[i], name, NULL);
        if (is_program(candidate)) {
            *ret_path = take(&candidate);
            return 0;
        }
    }
    return err_set(err, ERR_NOT_FOUND, "program '%s' is not in PATH", name);
}

/* The environment with extra over it: entries are borrowed, the array is the caller's. */
static char **make_environment(const char *const *extra)
{
    char **env = NULL;
    size_t n = 0, cap = 0;

    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        size_t name_len = strcspn(*entry, "=") + 1;
        bool overridden = false;

        for (size_t i = 0; extra != NULL && extra[i] != NULL; i++)
            overridden = overridden || strncmp(extra[i], *entry, name_len) == 0;
        if (!overridden) {
            GROW(env, n, cap);
            env[n++] = *entry;
        }
    }
    for (size_t i = 0; extra != NULL && extra[i] != NULL; i++) {
        GROW(env, n, cap);
        memcpy(&env[n++], &extra[i], sizeof(env[0]));
    }
    GROW(env, n, cap);
    env[n] = NULL;
    return env;
}

/* Everything that the child needs, made before the fork. */
struct launch {
    const struct proc_options *options;
    const char *program;
    char **env;
    int fds[3]; /* for 0, 1, 2; -1: leave as it is */
    int netns_fd;
    int report_fd;
    pid_t parent;
};

enum step { STEP_NETNS = 1, STEP_DIRECTORY, STEP_DESCRIPTORS, STEP_PARENT, STEP_EXEC };

/* What the child tells the parent instead of exec. */
struct failure {
    enum step step;
    int errnum;
};

static NORETURN void give_up(const struct launch *launch, enum step step, int errnum)
{
    struct failure failure = {step, errnum};

    if (write(launch->report_fd, &failure, sizeof(failure)) < 0)
        _exit(126);
    _exit(127);
}

static void place_descriptors(struct launch *launch)
{
    /* out of the way first: one of them may be 0, 1 or 2 itself, and would be overwritten before it is used */
    for (int i = 0; i < 3; i++) {
        if (launch->fds[i] < 0)
            continue;
        launch->fds[i] = fcntl(launch->fds[i], F_DUPFD_CLOEXEC, 3);
        if (launch->fds[i] < 0)
            give_up(launch, STEP_DESCRIPTORS, errno);
    }
    for (int i = 0; i < 3; i++) {
        if (launch->fds[i] >= 0 && dup2(launch->fds[i], i) < 0)
            give_up(launch, STEP_DESCRIPTORS, errno);
    }
}

static NORETURN void run_child(struct launch *launch)
{
    const struct proc_options *options = launch->options;
    char *const *argv;
    sigset_t none;

    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (options->new_session)
        (void)setsid();
    if (options->die_with_parent) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* it may have died before the prctl */
        if (getppid() != launch->parent)
            give_up(launch, STEP_PARENT, ESRCH);
    }
    if (launch->netns_fd >= 0 && setns(launch->netns_fd, CLONE_NEWNET) < 0)
        give_up(launch, STEP_NETNS, errno);
    if (options->directory != NULL && chdir(options->directory) < 0)
        give_up(launch, STEP_DIRECTORY, errno);
    place_descriptors(launch);
    memcpy(&argv, &options->argv, sizeof(argv));
    execve(launch->program, argv, launch->env);
    give_up(launch, STEP_EXEC, errno);
}

static int explain(const struct proc_options *options, const struct failure *failure, struct err *err)
{
    switch (failure->step) {
    case STEP_NETNS:
        return err_errno(err, failure->errnum, "cannot run '%s': cannot enter network namespace '%s'",
                         options->argv[0], options->netns_path);
    case STEP_DIRECTORY:
        return err_errno(err, failure->errnum, "cannot run '%s' in folder '%s'", options->argv[0],
                         options->directory);
    case STEP_DESCRIPTORS:
        return err_errno(err, failure->errnum, "cannot run '%s': cannot pass its descriptors", options->argv[0]);
    case STEP_PARENT:
    case STEP_EXEC:
        break;
    }
    return err_errno(err, failure->errnum, "cannot run '%s'", options->argv[0]);
}

static pid_t wait_for(pid_t pid, int *ret_status)
{
    pid_t ended;

    do {
        ended = waitpid(pid, ret_status, 0);
    } while (ended < 0 && errno == EINTR);
    return ended;
}

/* Forks, and waits until the child either runs the program or says why not. */
static int start(struct launch *launch, pid_t *ret_pid, struct err *err)
{
    CLEANUP(fd_close) int report_read = -1;
    CLEANUP(fd_close) int report_write = -1;
    struct failure failure;
    int pipe_fds[2];
    ssize_t n;
    int status;
    pid_t pid;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_errno(err, errno, "cannot run '%s'", launch->options->argv[0]);
    report_read = pipe_fds[0];
    /* not 0, 1 or 2, which the child overwrites; a daemon may have closed them */
    report_write = fcntl(pipe_fds[1], F_DUPFD_CLOEXEC, 3);
    fd_close(pipe_fds[1]);
    if (report_write < 0)
        return err_errno(err, errno, "cannot run '%s'", launch->options->argv[0]);
    launch->report_fd = report_write;
    launch->parent = getpid();
    pid = fork();
    if (pid < 0)
        return err_errno(err, errno, "cannot run '%s': fork failed", launch->options->argv[0]);
    if (pid == 0)
        run_child(launch);
    report_write = fd_close(report_write);
    do {
        n = read(report_read, &failure, sizeof(failure));
    } while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof(failure)) {
        (void)wait_for(pid, &status);
        return explain(launch->options, &failure, err);
    }
    *ret_pid = pid;
    return 0;
}

int proc_spawn(const struct proc_options *options, pid_t *ret_pid, struct err *err)
{
    CLEANUP(xfree) char *program = NULL;
    CLEANUP(xfree) char **env = NULL;
    CLEANUP(fd_close) int null_fd = -1;
    CLEANUP(fd_close) int netns_fd = -1;
    struct launch launch = {.options = options, .netns_fd = -1};

    if (strchr(options->argv[0], '/') != NULL) {
        /* not looked at here: it may be relative to options->directory */
        program = xstrdup(options->argv[0]);
    } else {
        int code = proc_find(options->argv[0], &program, err);

        if (code < 0)
            return code;
    }
    if (options->stdin_fd < 0) {
        null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (null_fd < 0)
            return err_errno(err, errno, "cannot run '%s': cannot open '/dev/null'", options->argv[0]);
    }
    if (options->netns_path != NULL) {
        netns_fd = open(options->netns_path, O_RDONLY | O_CLOEXEC);
        if (netns_fd < 0)
            return err_errno(err, errno, "cannot run '%s': cannot open network namespace '%s'", options->argv[0],
                             options->netns_path);
    }
    env = make_environment(options->extra_env);
    launch.program = program;
    launch.env = env;
    launch.fds[0] = options->stdin_fd >= 0 ? options->stdin_fd : null_fd;
    launch.fds[1] = options->stdout_fd;
    launch.fds[2] = options->stderr_fd;
    launch.netns_fd = netns_fd;
    return start(&launch, ret_pid, err);
}

/* A file in memory with the input, to be read from its start: unlike a pipe it never blocks nor raises SIGPIPE. */
static int make_input(const void *input, size_t len, int *ret_fd, struct err *err)
{
    CLEANUP(fd_close) int fd = memfd_create("input", MFD_CLOEXEC);
    int code;

    if (fd < 0)
        return err_errno(err, errno, "cannot keep the input of a program");
    code = fd_write_all(fd, input, len, err);
    if (code < 0)
        return code;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_errno(err, errno, "cannot rewind the input of a program");
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int make_pipe(int *ret_read, int *ret_write, struct err *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(err, errno, "cannot make a pipe");
    *ret_read = fds[0];
    *ret_write = fds[1];
    return fd_set_nonblocking(fds[0], err);
}

/* Reads what is there. What does not fit goes away when `lossy`, else ERR_TOO_BIG. *fd becomes -1 at the end. */
static int drain(int *fd, struct buf *into, bool lossy, struct err *err)
{
    char chunk[16384];
    ssize_t n;

    if (*fd < 0)
        return 0;
    while ((n = read(*fd, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR)) {
        size_t len = n > 0 ? (size_t)n : 0;

        if (lossy && len > into->max - into->len)
            len = into->max - into->len;
        if (!buf_add(into, chunk, len))
            return buf_check(into, "its output", err);
    }
    if (n == 0)
        *fd = fd_close(*fd);
    return 0;
}

/*
 * Reads both outputs until the child is gone. Not until both end: what the child left behind may keep them open.
 */
static int collect(int pidfd, int *out_fd, int *err_fd, struct buf *out, struct buf *errors, int64_t timeout_ms,
                   struct err *err)
{
    int64_t deadline = timeout_ms > 0 ? clock_monotonic_ms() + timeout_ms : INT64_MAX;

    for (;;) {
        struct pollfd polled[3] = {{pidfd, POLLIN, 0}, {*out_fd, POLLIN, 0}, {*err_fd, POLLIN, 0}};
        int64_t left = deadline - clock_monotonic_ms();
        bool gone;
        int code;

        if (left <= 0)
            return err_set(err, ERR_TIMEOUT, "it did not end within %lld ms", (long long)timeout_ms);
        if (poll(polled, 3, deadline == INT64_MAX || left > INT32_MAX ? -1 : (int)left) < 0 && errno != EINTR)
            return err_errno(err, errno, "poll failed");
        /* asked before the drain, so that what it wrote last is read */
        gone = polled[0].revents != 0;
        code = drain(out_fd, out, false, err);
        if (code == 0)
            code = drain(err_fd, errors, true, err);
        if (code < 0 || gone)
            return code;
    }
}

/* The first lines of stderr as one line. */
static char *first_lines(const struct buf *errors)
{
    CLEANUP(strv_done) struct strv lines = {0};
    CLEANUP(strv_done) struct strv kept = {0};

    strv_split(&lines, buf_text(errors), '\n');
    for (size_t i = 0; i < lines.n && kept.n < MAX_STDERR_LINES; i++) {
        struct str line = str_trim(str_of(lines.items[i]));

        if (line.len > 0)
            strv_take(&kept, xstrndup(line.p, line.len));
    }
    return strv_join(&kept, "; ");
}

static int judge(const char *program, int status, const struct buf *errors, struct err *err)
{
    CLEANUP(xfree) char *why = NULL;

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    why = first_lines(errors);
    if (WIFSIGNALED(status))
        return err_set(err, ERR_IO, "'%s' was killed by signal %d: %s", program, WTERMSIG(status),
                       *why != '\0' ? why : "no message");
    return err_set(err, ERR_IO, "'%s' failed with exit code %d: %s", program, WEXITSTATUS(status),
                   *why != '\0' ? why : "no message");
}

int proc_run(const char *const *argv, const void *input, size_t input_len, int64_t timeout_ms,
             struct buf *ret_stdout, struct err *err)
{
    CLEANUP(fd_close) int in_fd = -1;
    CLEANUP(fd_close) int out_read = -1;
    CLEANUP(fd_close) int out_write = -1;
    CLEANUP(fd_close) int err_read = -1;
    CLEANUP(fd_close) int err_write = -1;
    CLEANUP(fd_close) int pidfd = -1;
    CLEANUP(buf_done) struct buf discarded = {.max = 1};
    CLEANUP(buf_done) struct buf errors = {.max = MAX_STDERR};
    struct proc_options options = {.argv = argv};
    int status, code;
    pid_t pid;

    if (input != NULL && (code = make_input(input, input_len, &in_fd, err)) < 0)
        return code;
    if (ret_stdout != NULL) {
        code = make_pipe(&out_read, &out_write, err);
    } else {
        out_write = open("/dev/null", O_WRONLY | O_CLOEXEC);
        code = out_write < 0 ? err_errno(err, errno, "cannot open '/dev/null'") : 0;
    }
    if (code == 0)
        code = make_pipe(&err_read, &err_write, err);
    if (code < 0)
        return code;
    options.stdin_fd = in_fd;
    options.stdout_fd = out_write;
    options.stderr_fd = err_write;
    code = proc_spawn(&options, &pid, err);
    if (code < 0)
        return code;
    out_write = fd_close(out_write);
    err_write = fd_close(err_write);
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        code = err_errno(err, errno, "cannot watch it");
    else
        code = collect(pidfd, &out_read, &err_read, ret_stdout != NULL ? ret_stdout : &discarded, &errors,
                       timeout_ms, err);
    if (code < 0)
        (void)kill(pid, SIGKILL);
    if (wait_for(pid, &status) < 0 && code == 0)
        code = err_errno(err, errno, "cannot wait for it");
    if (code < 0)
        return err_wrap(err, "'%s' failed", argv[0]);
    return judge(argv[0], status, &errors, err);
}

void proc_allow_files(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

void proc_take_short_turns(void)
{
    enum { SHORTEST_NS = 100000 }; /* the kernel allows no shorter ones */
    struct { /* struct sched_attr of linux/sched/types.h, which newer versions of sched.h define, too */
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {0};

    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) < 0 || attributes.policy != SCHED_OTHER)
        return; /* whoever chose another policy knows better */
    attributes.runtime = SHORTEST_NS;
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}
