/*
 * test_log_lines.c: container log files as kubectl logs shows them: partial lines, timestamps, since, limits, tails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/fks-node/api/log_lines.h"

#define T1 "2026-01-02T03:04:05.000000001Z"
#define T2 "2026-01-02T03:04:06.5Z"
#define T3 "2026-01-02T03:04:07Z"

static const char sample[] = T1 " stdout F one\n" T2 " stderr P tw\n" T2 " stderr F o\n" T3 " stdout F three\n";

static char *render(struct log_lines_options options, const char *data, size_t len, size_t *ret_used, bool *ret_full)
{
    CLEANUP(buf_done) struct buf out = {0};
    struct log_lines_state state = {0};

    *ret_used = log_lines_render(&options, &state, data, len, &out, ret_full);
    return buf_take(&out);
}

static void expect(struct log_lines_options options, const char *data, const char *want)
{
    size_t used;
    bool full;
    CLEANUP(xfree) char *got = render(options, data, strlen(data), &used, &full);

    assert_string_equal(got, want);
}

static void test_log_lines__joins_partial_lines(void **state)
{
    (void)state;
    expect((struct log_lines_options){.limit_bytes = -1}, sample, "one\ntwo\nthree\n");
    expect((struct log_lines_options){.limit_bytes = -1, .timestamps = true}, sample,
           T1 " one\n" T2 " two\n" T3 " three\n");
}

static void test_log_lines__leaves_an_unfinished_line(void **state)
{
    const char *data = T1 " stdout F one\n" T2 " stdout F tw";
    size_t used;
    bool full;
    CLEANUP(xfree) char *got =
        render((struct log_lines_options){.limit_bytes = -1}, data, strlen(data), &used, &full);

    (void)state;
    assert_string_equal(got, "one\n");
    assert_int_equal(used, strlen(T1 " stdout F one\n"));
    assert_false(full);
}

static void test_log_lines__fed_byte_by_byte(void **state)
{
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(buf_done) struct buf left = {0};
    struct log_lines_options options = {.limit_bytes = -1};
    struct log_lines_state lines = {0};
    bool full;

    (void)state;
    for (size_t i = 0; i < strlen(sample); i++) {
        buf_add_char(&left, sample[i]);
        buf_consume(&left, log_lines_render(&options, &lines, buf_text(&left), left.len, &out, &full));
    }
    assert_string_equal(buf_text(&out), "one\ntwo\nthree\n");
}

static void test_log_lines__since(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    struct log_lines_options options = {.limit_bytes = -1};

    (void)state;
    assert_int_equal(clock_parse(T2, &options.since_ns, &err), 0);
    expect(options, sample, "two\nthree\n");
    options.since_ns++;
    expect(options, sample, "three\n");
}

static void test_log_lines__limit(void **state)
{
    size_t used;
    bool full;
    CLEANUP(xfree) char *got =
        render((struct log_lines_options){.limit_bytes = 5}, sample, strlen(sample), &used, &full);

    (void)state;
    assert_string_equal(got, "one\nt");
    assert_true(full);
}

static void test_log_lines__shows_what_is_no_log_line(void **state)
{
    (void)state;
    expect((struct log_lines_options){.limit_bytes = -1}, "garbage\n\n" T1 " stdin F x\n" T1 " stdout Q x\n",
           "garbage\n\n" T1 " stdin F x\n" T1 " stdout Q x\n");
}

static void test_log_lines__tags_and_empty_text(void **state)
{
    struct log_line_parts parts;

    (void)state;
    assert_true(log_lines_split(T1 " stdout P:tag x y", strlen(T1 " stdout P:tag x y"), &parts));
    assert_true(parts.partial);
    assert_true(str_is(parts.text, "x y"));
    assert_true(log_lines_split(T1 " stdout F ", strlen(T1 " stdout F "), &parts));
    assert_int_equal(parts.text.len, 0);
}

static void expect_tail(const char *data, int64_t n, const char *want, bool want_enough)
{
    bool enough;
    size_t begin = log_lines_tail(data, strlen(data), n, &enough);

    assert_string_equal(data + begin, want);
    assert_int_equal(enough, want_enough);
}

static void test_log_lines__tail(void **state)
{
    (void)state;
    expect_tail(sample, 0, "", true);
    expect_tail(sample, 1, T3 " stdout F three\n", true);
    expect_tail(sample, 2, T2 " stderr P tw\n" T2 " stderr F o\n" T3 " stdout F three\n", true);
    expect_tail(sample, 3, sample, false);
    expect_tail(sample, 99, sample, false);
    expect_tail("", 5, "", false);
    expect_tail(T1 " stdout F a\n" T2 " stdout P b", 1, T2 " stdout P b", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_lines__joins_partial_lines),
        cmocka_unit_test(test_log_lines__leaves_an_unfinished_line),
        cmocka_unit_test(test_log_lines__fed_byte_by_byte),
        cmocka_unit_test(test_log_lines__since),
        cmocka_unit_test(test_log_lines__limit),
        cmocka_unit_test(test_log_lines__shows_what_is_no_log_line),
        cmocka_unit_test(test_log_lines__tags_and_empty_text),
        cmocka_unit_test(test_log_lines__tail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
