/* test_quantity.c: the table test/cases/quantity.txt, and printing. */
#include "data/quantity.h"

#include "trees.h"

static void check_one(const char *text, const char *expected, int (*parse)(const char *, int64_t *, struct err *))
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    int64_t value = -7, number = 0;
    int r = parse(text, &value, &err);
    int expected_code = streq(expected, "bad") ? ERR_PARSE : streq(expected, "big") ? ERR_TOO_BIG : 0;

    if (r != expected_code)
        fail_msg("%s: %d %s, expected %s", text, r, err_text(&err), expected);
    if (r < 0)
        return;
    assert_int_equal(parse_int(expected, INT64_MIN, INT64_MAX, &number, &ignored), 0);
    if (value != number)
        fail_msg("%s is %lld, expected %s", text, (long long)value, expected);
}

static void check_line(char *line)
{
    const char *text = next_word(&line), *milli = next_word(&line), *units = next_word(&line);

    check_one(text, milli, quantity_parse_milli);
    check_one(text, units, quantity_parse_units);
}

static void test_parse__cases(UNUSED void **state)
{
    for_each_case("test/cases/quantity.txt", check_line);
    check_one("", "bad", quantity_parse_milli);
    check_one(" 1", "bad", quantity_parse_milli);
}

static void test_parse__long_text_is_refused(UNUSED void **state)
{
    char text[2000];

    memset(text, '1', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    check_one(text, "bad", quantity_parse_units);
}

static void assert_milli_prints(int64_t milli, const char *expected)
{
    CLEANUP(buf_done) struct buf out = {0};

    quantity_print_milli(milli, &out);
    assert_string_equal(buf_text(&out), expected);
}

static void assert_bytes_print(int64_t bytes, const char *expected)
{
    CLEANUP(buf_done) struct buf out = {0};

    quantity_print_bytes(bytes, &out);
    assert_string_equal(buf_text(&out), expected);
}

static void assert_canonical(const char *text, const char *expected)
{
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};

    assert_int_equal(quantity_canonical(text, &out, &err), 0);
    assert_string_equal(buf_text(&out), expected);
}

static void test_canonical__as_the_server_writes_it(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};

    assert_canonical("1000m", "1");
    assert_canonical("1500m", "1500m");
    assert_canonical("0.5", "500m");
    assert_canonical("1024Mi", "1Gi");
    assert_canonical("0.5Gi", "512Mi");
    assert_canonical("0.5Ki", "512");
    assert_canonical("1500M", "1500M");
    assert_canonical("2000k", "2M");
    assert_canonical("1e3", "1e3");
    assert_canonical("7Ei", "7Ei");
    assert_int_equal(quantity_canonical("1x", &out, &err), ERR_PARSE);
}

static void test_print__canonical(UNUSED void **state)
{
    assert_milli_prints(0, "0");
    assert_milli_prints(250, "250m");
    assert_milli_prints(1500, "1500m");
    assert_milli_prints(2000, "2");
    assert_milli_prints(2000000, "2k");
    assert_milli_prints(-500, "-500m");
    assert_bytes_print(0, "0");
    assert_bytes_print(1000, "1000");
    assert_bytes_print(1024, "1Ki");
    assert_bytes_print(512 << 20, "512Mi");
    assert_bytes_print(1536ll << 20, "1536Mi");
    assert_bytes_print(1ll << 30, "1Gi");
    assert_bytes_print(INT64_MAX, "9223372036854775807");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__cases),
        cmocka_unit_test(test_parse__long_text_is_refused),
        cmocka_unit_test(test_canonical__as_the_server_writes_it),
        cmocka_unit_test(test_print__canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
