/* test_log.c: what log lines look like on stderr. */
#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"

/* Lends stderr to a pipe. */
struct capture {
    int saved;
    int read_fd;
};

static struct capture capture_start(void)
{
    struct capture capture;
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    capture.read_fd = fds[0];
    capture.saved = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    fd_close(fds[1]);
    return capture;
}

static void capture_end(struct capture *capture, struct buf *text)
{
    CLEANUP(err_clear) struct err err = {0};

    dup2(capture->saved, STDERR_FILENO);
    fd_close(capture->saved);
    assert_int_equal(fd_read_all(capture->read_fd, text, &err), 0);
    fd_close(capture->read_fd);
}

static void test_log__one_line_with_quotes_where_needed(void **state)
{
    CLEANUP(buf_done) struct buf text = {0};
    struct capture capture;

    (void)state;
    log_init("fks-test", LOG_LEVEL_INFO);
    capture = capture_start();
    log_debug("not shown");
    log_warn("pod started", "pod", "default/web", "text", "a \"b\"\n\\\t\x01", "empty", "", "none", NULL);
    capture_end(&capture, &text);
    /* ts=2026-01-02T03:04:05.678Z, then */
    assert_true(text.len > 28);
    assert_memory_equal(text.data, "ts=", 3);
    assert_string_equal(text.data + 27, " level=warn component=fks-test msg=\"pod started\" pod=default/web "
                                        "text=\"a \\\"b\\\"\\n\\\\\\t\\x01\" empty=\"\" none=\"\"\n");
}

static void test_log__levels(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    enum log_level level = LOG_LEVEL_INFO;

    (void)state;
    assert_int_equal(log_level_parse("error", &level, &err), 0);
    assert_int_equal(level, LOG_LEVEL_ERROR);
    log_init("fks-test", level);
    assert_false(log_enabled(LOG_LEVEL_WARN));
    assert_true(log_enabled(LOG_LEVEL_ERROR));
    assert_int_equal(log_level_parse("loud", &level, &err), ERR_INVALID);
    assert_non_null(strstr(err_text(&err), "loud"));
}

static void test_log_limit__leaves_out_and_tells(void **state)
{
    CLEANUP(buf_done) struct buf text = {0};
    struct log_limit limit = {0};
    struct capture capture;
    unsigned n_allowed = 0;

    (void)state;
    log_init("fks-test", LOG_LEVEL_INFO);
    capture = capture_start();
    while (limit.left_out < 7) /* within one second, at some time */
        n_allowed += log_limit_allows(&limit, 3);
    assert_true(n_allowed >= 3);
    assert_int_equal(limit.n_lines, 3);
    limit.second--;
    assert_true(log_limit_allows(&limit, 3));
    assert_int_equal(limit.n_lines, 1);
    assert_int_equal(limit.left_out, 0);
    capture_end(&capture, &text);
    assert_non_null(strstr(buf_text(&text), "left_out=7\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log__one_line_with_quotes_where_needed),
        cmocka_unit_test(test_log__levels),
        cmocka_unit_test(test_log_limit__leaves_out_and_tells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
