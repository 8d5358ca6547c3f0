/* test_buf.c: growth, the maximum, and that a refused append leaves the bytes as they were. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

static void test_buf__empty_is_valid(void **state)
{
    CLEANUP(buf_done) struct buf buf = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *text = NULL;

    (void)state;
    assert_string_equal(buf_text(&buf), "");
    assert_int_equal(buf_check(&buf, "x", &err), 0);
    buf_clear(&buf);
    buf_consume(&buf, 5);
    assert_true(buf_add(&buf, NULL, 0));
    text = buf_take(&buf);
    assert_string_equal(text, "");
}

static void test_buf__appends(void **state)
{
    CLEANUP(buf_done) struct buf buf = {0};
    char large[1000];

    (void)state;
    buf_add_str(&buf, "ab");
    buf_add_char(&buf, 'c');
    buf_printf(&buf, "%d%s", 12, "x");
    assert_string_equal(buf.data, "abc12x");
    memset(large, 'y', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    buf_clear(&buf);
    assert_true(buf_printf(&buf, "%s!", large));
    assert_int_equal(buf.len, sizeof(large));
    assert_int_equal(buf.data[buf.len - 1], '!');
    assert_int_equal(buf.data[buf.len], '\0');
}

static void test_buf__keeps_nul_bytes(void **state)
{
    CLEANUP(buf_done) struct buf buf = {0};

    (void)state;
    buf_add(&buf, "a\0b", 3);
    assert_int_equal(buf.len, 3);
    assert_memory_equal(buf.data, "a\0b", 4);
}

static void test_buf__maximum(void **state)
{
    CLEANUP(buf_done) struct buf buf = {0};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    buf_init(&buf, 5);
    assert_true(buf_add_str(&buf, "12345"));
    assert_false(buf.too_big);
    assert_false(buf_add_char(&buf, '6'));
    assert_string_equal(buf.data, "12345");
    /* nothing goes in any more, even if it would fit */
    buf_truncate(&buf, 0);
    assert_false(buf_add_char(&buf, 'x'));
    assert_null(buf_reserve(&buf, 0));
    assert_int_equal(buf_check(&buf, "the answer", &err), ERR_TOO_BIG);
    assert_string_equal(err_text(&err), "the answer is larger than the maximum of 5 bytes");
    buf_clear(&buf);
    assert_true(buf_add_char(&buf, 'x'));
}

static void test_buf__maximum_of_printf(void **state)
{
    CLEANUP(buf_done) struct buf buf = {.max = 300};

    (void)state;
    assert_true(buf_printf(&buf, "%0300d", 1));
    buf_clear(&buf);
    assert_false(buf_printf(&buf, "%0301d", 1));
    assert_int_equal(buf.len, 0);
}

static void test_buf__huge_sizes_do_not_overflow(void **state)
{
    CLEANUP(buf_done) struct buf buf = {0};

    (void)state;
    buf_add_str(&buf, "abc");
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_true(buf.too_big);
}

static void test_buf__reserve_and_advance(void **state)
{
    CLEANUP(buf_done) struct buf buf = {0};
    char *to = buf_reserve(&buf, 100);

    (void)state;
    memcpy(to, "hello", 5);
    buf_advance(&buf, 5);
    assert_string_equal(buf.data, "hello");
    assert_true(buf.cap > 100);
}

static void test_buf__consume(void **state)
{
    CLEANUP(buf_done) struct buf buf = {0};

    (void)state;
    buf_add_str(&buf, "GET / HTTP");
    buf_consume(&buf, 4);
    assert_string_equal(buf.data, "/ HTTP");
    buf_consume(&buf, 100);
    assert_int_equal(buf.len, 0);
    assert_string_equal(buf.data, "");
}

static void test_buf__take_leaves_empty(void **state)
{
    CLEANUP(buf_done) struct buf buf = {.max = 10};
    CLEANUP(xfree) char *text = NULL;

    (void)state;
    buf_add_str(&buf, "abc");
    text = buf_take(&buf);
    assert_string_equal(text, "abc");
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf.max, 10);
    assert_true(buf_add_str(&buf, "d"));
    buf_done(&buf);
    buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf__empty_is_valid),
        cmocka_unit_test(test_buf__appends),
        cmocka_unit_test(test_buf__keeps_nul_bytes),
        cmocka_unit_test(test_buf__maximum),
        cmocka_unit_test(test_buf__maximum_of_printf),
        cmocka_unit_test(test_buf__huge_sizes_do_not_overflow),
        cmocka_unit_test(test_buf__reserve_and_advance),
        cmocka_unit_test(test_buf__consume),
        cmocka_unit_test(test_buf__take_leaves_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
