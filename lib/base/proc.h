/*
 * proc.h: child processes, never through a shell.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"

struct proc_options {
    const char *const *argv;      /* NULL-ended; argv[0] is searched in PATH unless it has a slash */
    const char *const *extra_env; /* NULL-ended "K=V" added to (and overriding) the environment; or NULL */
    const char *directory;        /* or NULL */
    const char *netns_path;       /* file of the network namespace to enter (setns), or NULL */
    int stdin_fd;                 /* -1: /dev/null */
    int stdout_fd, stderr_fd;     /* -1: inherited */
    bool new_session;             /* setsid: survives the parent's terminal */
    bool die_with_parent;         /* PR_SET_PDEATHSIG SIGKILL */
};

/* The child's pid; ERR_NOT_FOUND when the program does not exist (exec failures are reported here, not by the child). */
int proc_spawn(const struct proc_options *options, pid_t *ret_pid, struct err *err) MUST_CHECK;

/*
 * Runs to the end, blocking. Captures stdout into *ret_stdout and stderr into the error text. A non-zero exit is ERR_IO
 * with "'prog' failed with exit code N: <first lines of stderr>". input may be NULL. ret_stdout may be NULL (discarded).
 * After timeout_ms (0 or less: no limit) it is killed: ERR_TIMEOUT. Output over ret_stdout->max is ERR_TOO_BIG.
 */
int proc_run(const char *const *argv, const void *input, size_t input_len, int64_t timeout_ms,
             struct buf *ret_stdout, struct err *err) MUST_CHECK;

/* Servers: as many open files as the system allows (the hard limit), not the 1,024 that shells start with. Best effort. */
void proc_allow_files(void);

/*
 * For a thread that answers within microseconds and then waits again: from Linux 6.12 on, turns on the CPU of 0.1 ms instead of
 * milliseconds. It gets the CPU sooner when it wakes up beside others that compute, and others get it sooner while it is busy;
 * its share stays what it is. Of the calling thread; best effort.
 */
void proc_take_short_turns(void);

/* Full path of a program in PATH plus /usr/sbin and /sbin; ERR_NOT_FOUND names it. Heap string. */
int proc_find(const char *name, char **ret_path, struct err *err) MUST_CHECK;
