/* test_str.c: slices, lists, strict numbers and durations. */
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

static void test_str__slices(void **state)
{
    struct str head, tail;

    (void)state;
    assert_true(str_is(STR("abc"), "abc"));
    assert_false(str_is(STR("abc"), "ab"));
    assert_false(str_is(STR("ab"), "abc"));
    assert_true(str_is((struct str){0}, ""));
    assert_true(str_is_nocase(STR("Content-TYPE"), "content-type"));
    assert_false(str_is_nocase(STR("a"), "b"));
    assert_true(str_is(str_trim(STR(" \t a b\t ")), "a b"));
    assert_true(str_is(str_trim(STR("  ")), ""));
    assert_true(str_cut(STR("k=v=w"), '=', &head, &tail));
    assert_true(str_is(head, "k") && str_is(tail, "v=w"));
    assert_true(str_cut(STR("k="), '=', &head, &tail));
    assert_true(str_is(head, "k") && str_is(tail, ""));
    assert_false(str_cut(STR("kv"), '=', &head, &tail));
    assert_true(str_is(head, "kv") && str_is(tail, ""));
    assert_false(str_cut(str_of(NULL), '=', &head, &tail));
}

static void test_str__comparisons(void **state)
{
    (void)state;
    assert_true(streq(NULL, NULL));
    assert_false(streq(NULL, ""));
    assert_false(streq("a", "b"));
    assert_true(starts_with("abc", "ab"));
    assert_true(starts_with("abc", ""));
    assert_false(starts_with("a", "ab"));
    assert_true(ends_with("abc", "bc"));
    assert_false(ends_with("c", "bc"));
    assert_string_equal(strempty(NULL), "");
}

static void test_parse_int__values(void **state)
{
    static const struct {
        const char *text;
        int64_t min, max;
        int code; /* 0: value is expected */
        int64_t value;
    } rows[] = {
        {"0", 0, 10, 0, 0},
        {"10", 0, 10, 0, 10},
        {"11", 0, 10, ERR_INVALID, 0},
        {"-1", 0, 10, ERR_INVALID, 0},
        {"-5", -5, 10, 0, -5},
        {"+7", 0, 10, 0, 7},
        {"007", 0, 10, 0, 7},
        {"9223372036854775807", INT64_MIN, INT64_MAX, 0, INT64_MAX},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, 0, INT64_MIN},
        {"9223372036854775808", INT64_MIN, INT64_MAX, ERR_INVALID, 0},
        {"99999999999999999999999999", INT64_MIN, INT64_MAX, ERR_INVALID, 0},
        {"", 0, 10, ERR_PARSE, 0},
        {"-", 0, 10, ERR_PARSE, 0},
        {" 1", 0, 10, ERR_PARSE, 0},
        {"1 ", 0, 10, ERR_PARSE, 0},
        {"1x", 0, 10, ERR_PARSE, 0},
        {"0x1", 0, 10, ERR_PARSE, 0},
        {"--1", 0, 10, ERR_PARSE, 0},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(err_clear) struct err err = {0};
        int64_t value = 42;
        int code = parse_int(rows[i].text, rows[i].min, rows[i].max, &value, &err);

        if (code != rows[i].code || value != (code == 0 ? rows[i].value : 42))
            fail_msg("'%s': code %d, value %lld", rows[i].text, code, (long long)value);
        if (code < 0)
            assert_non_null(strstr(err_text(&err), rows[i].text));
    }
}

static void test_parse_duration__values(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
        const char *error; /* NULL: ms is expected */
    } rows[] = {
        {"0", 0, NULL},
        {"0s", 0, NULL},
        {"300ms", 300, NULL},
        {"1h2m3.5s", 3723500, NULL},
        {"1.5h", 5400000, NULL},
        {".5s", 500, NULL},
        {"-2s", -2000, NULL},
        {"+2s", 2000, NULL},
        {"1us", 1, NULL},
        {"1500\xc2\xb5s", 2, NULL},
        {"2562047h47m16.854s", 9223372036854, NULL},
        {"2562047h48m", 0, "time: invalid duration \"2562047h48m\""},
        {"99999999999999999999h", 0, "time: invalid duration \"99999999999999999999h\""},
        {"", 0, "time: invalid duration \"\""},
        {"-", 0, "time: invalid duration \"-\""},
        {".s", 0, "time: invalid duration \".s\""},
        {"a", 0, "time: invalid duration \"a\""},
        {"5", 0, "time: missing unit in duration \"5\""},
        {"1m5", 0, "time: missing unit in duration \"1m5\""},
        {"5x", 0, "time: unknown unit \"x\" in duration \"5x\""},
        {"5 s", 0, "time: unknown unit \" s\" in duration \"5 s\""},
        {"1d", 0, "time: unknown unit \"d\" in duration \"1d\""},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(err_clear) struct err err = {0};
        int64_t ms = 42;
        int code = parse_duration(rows[i].text, &ms, &err);

        if (rows[i].error != NULL) {
            assert_int_equal(code, ERR_PARSE);
            assert_string_equal(err_text(&err), rows[i].error);
        } else if (code != 0 || ms != rows[i].ms) {
            fail_msg("'%s': code %d, %lld ms", rows[i].text, code, (long long)ms);
        }
    }
}

static void test_strv__add_sort_join(void **state)
{
    CLEANUP(strv_done) struct strv list = {0};
    CLEANUP(xfree) char *empty = strv_join(&list, ",");
    CLEANUP(xfree) char *joined = NULL;

    (void)state;
    assert_string_equal(empty, "");
    assert_false(strv_has(&list, "x"));
    for (int i = 20; i > 0; i--)
        strv_addf(&list, "n%02d", i);
    assert_int_equal(list.n, 20);
    assert_null(list.items[20]);
    strv_sort(&list);
    assert_string_equal(list.items[0], "n01");
    assert_true(strv_has(&list, "n20"));
    strv_done(&list);
    strv_add(&list, "a");
    strv_take(&list, xstrdup("b"));
    joined = strv_join(&list, ", ");
    assert_string_equal(joined, "a, b");
}

static void test_strv__split(void **state)
{
    static const struct {
        const char *text;
        size_t n;
        const char *joined;
    } rows[] = {{"", 0, ""}, {"a", 1, "a"}, {"a,b", 2, "a|b"}, {",", 2, "|"}, {"a,,b,", 4, "a||b|"}};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(strv_done) struct strv list = {0};
        CLEANUP(xfree) char *joined = NULL;

        strv_split(&list, rows[i].text, ',');
        joined = strv_join(&list, "|");
        assert_int_equal(list.n, rows[i].n);
        assert_string_equal(joined, rows[i].joined);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str__slices),         cmocka_unit_test(test_str__comparisons),
        cmocka_unit_test(test_parse_int__values),   cmocka_unit_test(test_parse_duration__values),
        cmocka_unit_test(test_strv__add_sort_join), cmocka_unit_test(test_strv__split),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
