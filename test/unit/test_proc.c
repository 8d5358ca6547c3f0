/* test_proc.c: starting and running programs: what fails where, and who is told. */
#include "base/proc.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define SH(script) ((const char *const[]){"sh", "-c", (script), NULL})

static int run(const char *script, const char *input, struct buf *out, struct err *err)
{
    return proc_run(SH(script), input, input != NULL ? strlen(input) : 0, 20000, out, err);
}

static void test_proc_run__output_and_input(void **state)
{
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(run("cat; echo noise >&2", "hello", &out, &err), 0);
    assert_string_equal(buf_text(&out), "hello");
    buf_clear(&out);
    /* without input it is the end of file at once */
    assert_int_equal(run("cat; echo end", NULL, &out, &err), 0);
    assert_string_equal(buf_text(&out), "end\n");
    assert_int_equal(run("exec head -c 1000000 /dev/zero", NULL, NULL, &err), 0);
}

static void test_proc_run__large_output(void **state)
{
    CLEANUP(buf_done) struct buf out = {.max = 1000000};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(run("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2", NULL, &out, &err), 0);
    assert_int_equal(out.len, 1000000);
    buf_clear(&out);
    assert_int_equal(run("exec head -c 1000001 /dev/zero", NULL, &out, &err), ERR_TOO_BIG);
}

static void test_proc_run__unread_input(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *large = xcalloc(1, 1000000);

    (void)state;
    assert_int_equal(proc_run(SH("exit 0"), large, 1000000, 0, NULL, &err), 0);
}

static void test_proc_run__exit_code_and_stderr(void **state)
{
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(run("echo one >&2; echo; echo ' two' >&2; exit 3", NULL, NULL, &err), ERR_IO);
    assert_string_equal(err_text(&err), "'sh' failed with exit code 3: one; two");
    err_clear(&err);
    assert_int_equal(run("kill -9 $$", NULL, NULL, &err), ERR_IO);
    assert_string_equal(err_text(&err), "'sh' was killed by signal 9: no message");
}

static void test_proc_run__timeout(void **state)
{
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};
    int64_t before = clock_monotonic_ms();

    (void)state;
    assert_int_equal(proc_run(SH("exec sleep 60"), NULL, 0, 50, &out, &err), ERR_TIMEOUT);
    assert_true(clock_monotonic_ms() - before < 10000);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_proc_run__does_not_wait_for_what_the_child_left_behind(void **state)
{
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};
    int64_t before = clock_monotonic_ms();
    int64_t pid;

    (void)state;
    assert_int_equal(run("sleep 60 & echo $!", NULL, &out, &err), 0);
    assert_true(clock_monotonic_ms() - before < 10000);
    buf_truncate(&out, out.len - 1);
    assert_int_equal(parse_int(buf_text(&out), 2, INT32_MAX, &pid, &err), 0);
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
}

static void test_proc_run__no_such_program(void **state)
{
    static const char *const missing[] = {"fks-no-such-program", NULL};
    static const char *const missing_path[] = {"/no/such/program", NULL};
    static const char *const no_program[] = {"/etc/passwd", NULL};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(proc_run(missing, NULL, 0, 1000, NULL, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err_text(&err), "fks-no-such-program"));
    err_clear(&err);
    assert_int_equal(proc_run(missing_path, NULL, 0, 1000, NULL, &err), ERR_NOT_FOUND);
    err_clear(&err);
    assert_int_equal(proc_run(no_program, NULL, 0, 1000, NULL, &err), ERR_FORBIDDEN);
    /* no child is left over */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* Runs with options and stdout captured; the exit code, or the error. */
static int spawn(struct proc_options *options, struct buf *out, struct err *err)
{
    int fds[2];
    int status;
    pid_t pid;
    int code;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    options->stdin_fd = -1;
    options->stdout_fd = fds[1];
    options->stderr_fd = -1;
    code = proc_spawn(options, &pid, err);
    fd_close(fds[1]);
    if (code == 0) {
        assert_int_equal(fd_read_all(fds[0], out, err), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        code = WEXITSTATUS(status);
    }
    fd_close(fds[0]);
    return code;
}

static void test_proc_spawn__environment_and_directory(void **state)
{
    static const char *const extra[] = {"FKS_A=new", "FKS_B=b", NULL};
    struct proc_options options = {.extra_env = extra, .directory = "/usr"};
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    setenv("FKS_A", "old", 1);
    setenv("FKS_AB", "kept", 1);
    options.argv = SH("echo $FKS_A $FKS_B $FKS_AB; pwd; exit 4");
    assert_int_equal(spawn(&options, &out, &err), 4);
    assert_string_equal(buf_text(&out), "new b kept\n/usr\n");
    options.directory = "/no/such/folder";
    assert_int_equal(spawn(&options, &out, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err_text(&err), "/no/such/folder"));
}

static void test_proc_spawn__network_namespace(void **state)
{
    struct proc_options options = {.argv = SH("exit 5"), .netns_path = "/no/such/netns"};
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(spawn(&options, &out, &err), ERR_NOT_FOUND);
    err_clear(&err);
    options.netns_path = "/etc/passwd";
    assert_true(spawn(&options, &out, &err) < 0);
    assert_non_null(strstr(err_text(&err), "network namespace '/etc/passwd'"));
    if (geteuid() != 0)
        return;
    err_clear(&err);
    options.netns_path = "/proc/self/ns/net";
    assert_int_equal(spawn(&options, &out, &err), 5);
}

static void test_proc_spawn__clean_signals_and_session(void **state)
{
    struct proc_options options = {.new_session = true, .die_with_parent = true};
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};
    sigset_t block, before;

    (void)state;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, &before);
    signal(SIGPIPE, SIG_IGN);
    options.argv = SH("grep SigBlk /proc/self/status | tr -d '\\t'; kill -PIPE $$; echo survived");
    spawn(&options, &out, &err);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_string_equal(buf_text(&out), "SigBlk:0000000000000000\n");
}

static void test_proc_spawn__swapped_descriptors(void **state)
{
    struct proc_options options = {.argv = SH("echo to-out; echo to-err >&2")};
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(buf_done) struct buf errors = {0};
    CLEANUP(err_clear) struct err err = {0};
    int out_pipe[2], err_pipe[2];
    int saved_out = dup(1), saved_err = dup(2);
    pid_t pid;
    int code;

    (void)state;
    assert_int_equal(pipe2(out_pipe, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err_pipe, O_CLOEXEC), 0);
    /* the child's stdout is the parent's 2 and the other way round */
    dup2(err_pipe[1], 1);
    dup2(out_pipe[1], 2);
    options.stdin_fd = -1;
    options.stdout_fd = 2;
    options.stderr_fd = 1;
    code = proc_spawn(&options, &pid, &err);
    dup2(saved_out, 1);
    dup2(saved_err, 2);
    assert_int_equal(code, 0);
    fd_close(saved_out);
    fd_close(saved_err);
    fd_close(out_pipe[1]);
    fd_close(err_pipe[1]);
    assert_int_equal(fd_read_all(out_pipe[0], &out, &err), 0);
    assert_int_equal(fd_read_all(err_pipe[0], &errors, &err), 0);
    assert_string_equal(buf_text(&out), "to-out\n");
    assert_string_equal(buf_text(&errors), "to-err\n");
    waitpid(pid, NULL, 0);
    fd_close(out_pipe[0]);
    fd_close(err_pipe[0]);
}

static void test_proc_find__paths(void **state)
{
    CLEANUP(xfree) char *path = NULL;
    CLEANUP(xfree) char *same = NULL;
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(proc_find("sh", &path, &err), 0);
    assert_true(path[0] == '/' && ends_with(path, "/sh"));
    assert_int_equal(proc_find("/bin/sh", &same, &err), 0);
    assert_string_equal(same, "/bin/sh");
    assert_int_equal(proc_find("/tmp", &path, &err), ERR_NOT_FOUND);
}

/* The words of the kernel's struct sched_attr: size and policy, flags, nice and priority, runtime, deadline, period. */
enum { POLICY_WORD = 0, NICE_WORD = 2, TURN_WORD = 3, N_WORDS = 6 };

static void scheduling(uint64_t words[N_WORDS])
{
    assert_int_equal(syscall(SYS_sched_getattr, 0, words, N_WORDS * sizeof(*words), 0), 0);
}

static void test_proc_take_short_turns__nothing_else_changes(void **state)
{
    uint64_t before[N_WORDS], after[N_WORDS];

    (void)state;
    assert_int_not_equal(nice(3), -1);
    scheduling(before);
    proc_take_short_turns();
    scheduling(after);
    assert_true(after[TURN_WORD] == 100000 || after[TURN_WORD] == 0); /* 0: a kernel before 6.12 */
    assert_true(after[POLICY_WORD] == before[POLICY_WORD] && after[NICE_WORD] == before[NICE_WORD]);
    const struct sched_param param = {0};
    assert_int_equal(sched_setscheduler(0, SCHED_IDLE, &param), 0);
    scheduling(before);
    proc_take_short_turns();
    scheduling(after);
    assert_memory_equal(before, after, sizeof(before));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proc_run__output_and_input),
        cmocka_unit_test(test_proc_run__large_output),
        cmocka_unit_test(test_proc_run__unread_input),
        cmocka_unit_test(test_proc_run__exit_code_and_stderr),
        cmocka_unit_test(test_proc_run__timeout),
        cmocka_unit_test(test_proc_run__does_not_wait_for_what_the_child_left_behind),
        cmocka_unit_test(test_proc_run__no_such_program),
        cmocka_unit_test(test_proc_spawn__environment_and_directory),
        cmocka_unit_test(test_proc_spawn__network_namespace),
        cmocka_unit_test(test_proc_spawn__clean_signals_and_session),
        cmocka_unit_test(test_proc_spawn__swapped_descriptors),
        cmocka_unit_test(test_proc_find__paths),
        cmocka_unit_test(test_proc_take_short_turns__nothing_else_changes), /* last: the process stays so */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
