/* test_loop.c: order and freeing rules of the event loop, with real pipes, timers, signals and children. */
#include "base/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"

/* What callbacks leave behind: one character each. */
struct trace {
    struct loop *loop;
    char text[64];
    size_t len;
    struct loop_fd *sources[2];
    struct loop_timer *timers[2];
    int count;
};

static void note(struct trace *trace, char c)
{
    assert_true(trace->len + 1 < sizeof(trace->text));
    trace->text[trace->len++] = c;
}

static void turn(struct trace *trace, int64_t timeout_ms)
{
    CLEANUP(err_clear) struct err err = {0};

    assert_int_equal(loop_turn(trace->loop, timeout_ms, &err), 0);
}

static int start(void **state)
{
    static struct trace trace;
    CLEANUP(err_clear) struct err err = {0};

    trace = (struct trace){0};
    *state = &trace;
    return loop_new(&trace.loop, &err);
}

static int stop(void **state)
{
    struct trace *trace = *state;

    loop_free(trace->loop);
    return 0;
}

static void make_pipe(int fds[2])
{
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

/* --- descriptors --- */

static void on_readable(struct loop_fd *source, uint32_t events, void *data)
{
    struct trace *trace = data;
    char c = '?';

    if (events & EPOLLIN)
        assert_int_equal(read(loop_fd_number(source), &c, 1), 1);
    else if (events & EPOLLHUP)
        c = 'H';
    note(trace, c);
    if (c == 'H')
        loop_fd_free(source);
}

static void test_loop_fd__level_triggered_until_hangup(void **state)
{
    struct trace *trace = *state;
    CLEANUP(err_clear) struct err err = {0};
    struct loop_fd *source;
    int fds[2];

    make_pipe(fds);
    assert_int_equal(loop_fd_new(trace->loop, fds[0], EPOLLIN, on_readable, trace, &source, &err), 0);
    turn(trace, 0);
    assert_int_equal(write(fds[1], "ab", 2), 2);
    turn(trace, -1);
    turn(trace, -1);
    turn(trace, 0);
    assert_string_equal(trace->text, "ab");
    assert_int_equal(loop_fd_modify(source, 0, &err), 0);
    assert_int_equal(write(fds[1], "c", 1), 1);
    turn(trace, 0);
    assert_string_equal(trace->text, "ab");
    assert_int_equal(loop_fd_modify(source, EPOLLIN, &err), 0);
    fd_close(fds[1]);
    turn(trace, -1);
    turn(trace, -1);
    turn(trace, 0);
    assert_string_equal(trace->text, "abcH");
    fd_close(fds[0]);
}

static void on_readable_free_both(struct loop_fd *source, uint32_t events, void *data)
{
    struct trace *trace = data;

    (void)source;
    (void)events;
    trace->count++;
    trace->sources[0] = loop_fd_free(trace->sources[0]);
    trace->sources[1] = loop_fd_free(trace->sources[1]);
}

static void test_loop_fd__event_of_a_freed_handle_is_dropped(void **state)
{
    struct trace *trace = *state;
    CLEANUP(err_clear) struct err err = {0};
    int fds[2][2];

    for (int i = 0; i < 2; i++) {
        make_pipe(fds[i]);
        assert_int_equal(write(fds[i][1], "x", 1), 1);
        assert_int_equal(loop_fd_new(trace->loop, fds[i][0], EPOLLIN, on_readable_free_both, trace,
                                     &trace->sources[i], &err), 0);
    }
    turn(trace, -1);
    turn(trace, 0);
    assert_int_equal(trace->count, 1);
    for (int i = 0; i < 4; i++)
        fd_close(fds[i / 2][i % 2]);
}

static void on_readable_replace_other(struct loop_fd *source, uint32_t events, void *data)
{
    struct trace *trace = data;
    CLEANUP(err_clear) struct err err = {0};
    int other = source == trace->sources[0];
    int fd = loop_fd_number(trace->sources[other]);

    (void)events;
    /* the new handle has the old one's slot; the fetched event must not reach it on this turn */
    trace->count++;
    loop_fd_free(trace->sources[other]);
    assert_int_equal(loop_fd_new(trace->loop, fd, 0, on_readable, trace, &trace->sources[other], &err), 0);
    assert_int_equal(loop_fd_modify(source, 0, &err), 0);
}

static void test_loop_fd__new_handle_gets_no_old_event(void **state)
{
    struct trace *trace = *state;
    CLEANUP(err_clear) struct err err = {0};
    int fds[2][2];

    for (int i = 0; i < 2; i++) {
        make_pipe(fds[i]);
        assert_int_equal(write(fds[i][1], "x", 1), 1);
        assert_int_equal(loop_fd_new(trace->loop, fds[i][0], EPOLLIN, on_readable_replace_other, trace,
                                     &trace->sources[i], &err), 0);
    }
    turn(trace, -1);
    assert_int_equal(trace->count, 1);
    assert_string_equal(trace->text, "");
    for (int i = 0; i < 2; i++) {
        loop_fd_free(trace->sources[i]);
        fd_close(fds[i][0]);
        fd_close(fds[i][1]);
    }
}

static void test_loop_fd__bad_descriptor(void **state)
{
    struct trace *trace = *state;
    CLEANUP(err_clear) struct err err = {0};
    struct loop_fd *source;

    assert_int_equal(loop_fd_new(trace->loop, 12345, EPOLLIN, on_readable, trace, &source, &err), ERR_IO);
}

/* --- timers and deferred calls --- */

static void note_a(void *data)
{
    note(data, 'a');
}

static void note_b(void *data)
{
    note(data, 'b');
}

static void test_loop_timer__order_and_cancel(void **state)
{
    struct trace *trace = *state;
    struct loop_timer *a = loop_timer_new(trace->loop, note_a, trace);
    struct loop_timer *b = loop_timer_new(trace->loop, note_b, trace);
    int64_t before = clock_monotonic_ms();

    assert_false(loop_timer_is_set(a));
    loop_timer_set(a, 30);
    loop_timer_set(b, 10);
    while (loop_timer_is_set(a))
        turn(trace, -1);
    assert_string_equal(trace->text, "ba");
    assert_true(clock_monotonic_ms() - before >= 30);
    loop_timer_set(a, 0);
    loop_timer_set(b, 0);
    loop_timer_cancel(a);
    loop_timer_cancel(a);
    turn(trace, -1);
    assert_string_equal(trace->text, "bab");
    /* setting again replaces */
    loop_timer_set(a, 0);
    loop_timer_set(a, 100000);
    turn(trace, 0);
    assert_string_equal(trace->text, "bab");
    loop_timer_free(a);
    loop_timer_free(b);
}

static void note_and_set_again(void *data)
{
    struct trace *trace = data;

    note(trace, 't');
    loop_timer_set(trace->timers[0], 0);
}

static void test_loop_timer__zero_delay_waits_for_the_next_turn(void **state)
{
    struct trace *trace = *state;

    trace->timers[0] = loop_timer_new(trace->loop, note_and_set_again, trace);
    loop_timer_set(trace->timers[0], 0);
    turn(trace, -1);
    assert_string_equal(trace->text, "t");
    turn(trace, -1);
    assert_string_equal(trace->text, "tt");
}

static void free_both_timers(void *data)
{
    struct trace *trace = data;

    note(trace, 'f');
    trace->timers[0] = loop_timer_free(trace->timers[0]);
    trace->timers[1] = loop_timer_free(trace->timers[1]);
}

static void test_loop_timer__freed_in_a_callback(void **state)
{
    struct trace *trace = *state;

    for (int i = 0; i < 2; i++) {
        trace->timers[i] = loop_timer_new(trace->loop, free_both_timers, trace);
        loop_timer_set(trace->timers[i], 0);
    }
    turn(trace, -1);
    turn(trace, 0);
    assert_string_equal(trace->text, "f");
}

struct check {
    struct loop_timer *timer;
    int64_t earliest, latest; /* when it is due, as far as can be told: setting takes its time on a busy machine */
    int64_t *last;            /* the latest `earliest` of those that fired */
    int *fired;
};

static void check_order(void *data)
{
    struct check *check = data;

    assert_true(check->latest >= *check->last);
    if (check->earliest > *check->last)
        *check->last = check->earliest;
    ++*check->fired;
}

static void test_loop_timer__many_fire_in_order(void **state)
{
    struct trace *trace = *state;
    static struct check checks[300];
    int64_t last = 0;
    uint32_t random = 7;
    int fired = 0, cancelled = 0;

    for (size_t i = 0; i < countof(checks); i++) {
        struct check *check = &checks[i];

        random = random * 1664525 + 1013904223;
        int64_t delay = (random >> 16) % 50;
        *check = (struct check){.last = &last, .fired = &fired};
        check->timer = loop_timer_new(trace->loop, check_order, check);
        check->earliest = clock_monotonic_ms() + delay;
        loop_timer_set(check->timer, delay);
        check->latest = clock_monotonic_ms() + delay;
    }
    for (size_t i = 0; i < countof(checks); i += 3, cancelled++)
        loop_timer_cancel(checks[i].timer);
    for (int64_t end = clock_monotonic_ms() + 10000; clock_monotonic_ms() < end && fired < (int)countof(checks) - cancelled;)
        turn(trace, 5);
    turn(trace, 60); /* none of the cancelled ones comes */
    assert_int_equal(fired, (int)countof(checks) - cancelled);
}

static void defer_again(void *data)
{
    struct trace *trace = data;

    note(trace, 'd');
    if (trace->len < 2)
        loop_defer(trace->loop, defer_again, trace);
}

static void test_loop_defer__once_per_turn(void **state)
{
    struct trace *trace = *state;

    loop_defer(trace->loop, defer_again, trace);
    loop_defer(trace->loop, note_a, trace);
    /* a turn with deferred calls does not wait */
    turn(trace, -1);
    assert_string_equal(trace->text, "da");
    turn(trace, -1);
    assert_string_equal(trace->text, "dad");
    turn(trace, 0);
    assert_string_equal(trace->text, "dad");
}

static void stop_with_7(void *data)
{
    loop_stop(data, 7);
}

struct poster {
    struct loop *loop;
    struct trace *trace;
    int n, n_called;
};

static void on_post(void *data)
{
    ((struct poster *)data)->n_called++;
}

static void *post_many(void *data)
{
    struct poster *poster = data;

    for (int i = 0; i < poster->n; i++)
        loop_post(poster->loop, on_post, poster);
    return NULL;
}

static void test_loop_post__from_other_threads(void **state)
{
    struct trace *trace = *state;
    struct poster posters[4];
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++) {
        posters[i] = (struct poster){.loop = trace->loop, .n = 1000 * (int)(i + 1)};
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &posters[i]), 0);
    }
    for (size_t i = 0; i < 4; i++)
        while (posters[i].n_called < posters[i].n) /* each call wakes a loop that waits */
            turn(trace, 5000);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void test_loop_run__returns_the_code_of_stop(void **state)
{
    struct trace *trace = *state;
    CLEANUP(err_clear) struct err err = {0};
    struct loop_timer *timer = loop_timer_new(trace->loop, stop_with_7, trace->loop);

    loop_timer_set(timer, 1);
    assert_int_equal(loop_run(trace->loop, &err), 7);
    loop_defer(trace->loop, stop_with_7, trace->loop);
    assert_int_equal(loop_run(trace->loop, &err), 7);
    assert_true(loop_now_ms(trace->loop) <= clock_monotonic_ms());
}

/* --- signals and children --- */

static void on_signal(int signal_number, void *data)
{
    note(data, signal_number == SIGUSR1 ? '1' : '2');
}

static void test_loop_signal__delivered_on_the_loop(void **state)
{
    struct trace *trace = *state;
    CLEANUP(err_clear) struct err err = {0};

    assert_int_equal(loop_signal(trace->loop, SIGUSR1, on_signal, trace, &err), 0);
    assert_int_equal(loop_signal(trace->loop, SIGUSR2, on_signal, trace, &err), 0);
    kill(getpid(), SIGUSR2);
    turn(trace, -1);
    kill(getpid(), SIGUSR1);
    turn(trace, -1);
    assert_string_equal(trace->text, "21");
    assert_int_equal(loop_signal(trace->loop, SIGUSR1, on_signal, trace, &err), ERR_EXISTS);
    err_clear(&err);
    assert_int_equal(loop_signal(trace->loop, 0, on_signal, trace, &err), ERR_INVALID);
}

static void on_child(int pid, int status, void *data)
{
    struct trace *trace = data;

    assert_true(pid > 0);
    assert_true(WIFEXITED(status));
    trace->count += WEXITSTATUS(status);
}

static void test_loop_child__reports_and_reaps(void **state)
{
    struct trace *trace = *state;
    CLEANUP(err_clear) struct err err = {0};
    pid_t pids[2];

    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(1 + i * 10);
        assert_int_equal(loop_child(trace->loop, pids[i], on_child, trace, &err), 0);
    }
    while (trace->count < 12)
        turn(trace, -1);
    assert_int_equal(trace->count, 12);
    assert_int_equal(waitpid(pids[0], NULL, 0), -1);
    assert_int_equal(loop_child(trace->loop, pids[0], on_child, trace, &err), ERR_IO);
}

static void test_loop_free__frees_what_is_registered(void **state)
{
    struct trace *trace = *state;
    CLEANUP(err_clear) struct err err = {0};
    pid_t pid = fork();
    int fds[2];

    if (pid == 0) {
        pause();
        _exit(0);
    }
    make_pipe(fds);
    assert_int_equal(loop_fd_new(trace->loop, fds[0], EPOLLIN, on_readable, trace, &trace->sources[0], &err), 0);
    loop_timer_set(loop_timer_new(trace->loop, note_a, trace), 1000);
    loop_timer_new(trace->loop, note_a, trace);
    loop_defer(trace->loop, note_a, trace);
    assert_int_equal(loop_child(trace->loop, pid, on_child, trace, &err), 0);
    /* leaks are the sanitizer's to find */
    trace->loop = loop_free(trace->loop);
    assert_null(loop_free(NULL));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    fd_close(fds[0]);
    fd_close(fds[1]);
}

#define ON_LOOP(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_LOOP(test_loop_fd__level_triggered_until_hangup),
        ON_LOOP(test_loop_fd__event_of_a_freed_handle_is_dropped),
        ON_LOOP(test_loop_fd__new_handle_gets_no_old_event),
        ON_LOOP(test_loop_fd__bad_descriptor),
        ON_LOOP(test_loop_timer__order_and_cancel),
        ON_LOOP(test_loop_timer__zero_delay_waits_for_the_next_turn),
        ON_LOOP(test_loop_timer__freed_in_a_callback),
        ON_LOOP(test_loop_timer__many_fire_in_order),
        ON_LOOP(test_loop_defer__once_per_turn),
        ON_LOOP(test_loop_post__from_other_threads),
        ON_LOOP(test_loop_run__returns_the_code_of_stop),
        ON_LOOP(test_loop_signal__delivered_on_the_loop),
        ON_LOOP(test_loop_child__reports_and_reaps),
        ON_LOOP(test_loop_free__frees_what_is_registered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
