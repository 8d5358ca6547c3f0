/* test_codec.c: encoders and strict decoders, and that random numbers stay in range. */
#include "base/codec.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_base64__known_pairs(void **state)
{
    /* RFC 4648 section 10 */
    static const char *const rows[][2] = {
        {"", ""},         {"f", "Zg=="},     {"fo", "Zm8="},        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfd", "//79"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(buf_done) struct buf text = {0};
        CLEANUP(buf_done) struct buf back = {0};
        CLEANUP(err_clear) struct err err = {0};

        base64_encode(rows[i][0], strlen(rows[i][0]), &text);
        assert_string_equal(buf_text(&text), rows[i][1]);
        assert_int_equal(base64_decode(rows[i][1], strlen(rows[i][1]), &back, &err), 0);
        assert_string_equal(buf_text(&back), rows[i][0]);
    }
}

static void test_base64__skips_newlines(void **state)
{
    CLEANUP(buf_done) struct buf back = {0};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(base64_decode("Zm\r\n9v\nYg=\n=\n", 13, &back, &err), 0);
    assert_string_equal(buf_text(&back), "foob");
}

static void test_base64__refuses(void **state)
{
    static const char *const rows[] = {"Z",     "Zg",    "Zg=",      "Zg===", "=", "====", "Z===",
                                       "Zg==Zg==", "Zm9v=", "Zg=g", "Zm 9v", "Zm9-", "Zh==", "Zm9=", "Zm9vYg==\n="};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(buf_done) struct buf back = {0};
        CLEANUP(err_clear) struct err err = {0};

        if (base64_decode(rows[i], strlen(rows[i]), &back, &err) != ERR_PARSE)
            fail_msg("'%s' was taken", rows[i]);
    }
}

static void test_base64__maximum(void **state)
{
    CLEANUP(buf_done) struct buf back = {.max = 2};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(base64_decode("Zm9v", 4, &back, &err), ERR_TOO_BIG);
}

static void test_hex__encodes(void **state)
{
    char text[7];

    (void)state;
    hex_encode("\x00\xab\xff", 3, text);
    assert_string_equal(text, "00abff");
}

static void test_url__encodes_and_decodes(void **state)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(buf_done) struct buf back = {0};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    url_encode("a-b_c.d~e /?=%+\xc3\xa9", &text);
    assert_string_equal(text.data, "a-b_c.d~e%20%2F%3F%3D%25%2B%C3%A9");
    assert_int_equal(url_decode(text.data, text.len, false, &back, &err), 0);
    assert_string_equal(back.data, "a-b_c.d~e /?=%+\xc3\xa9");
    buf_clear(&back);
    assert_int_equal(url_decode("a+b%2b%2B", 9, true, &back, &err), 0);
    assert_string_equal(back.data, "a b++");
    buf_clear(&back);
    assert_int_equal(url_decode("a+b", 3, false, &back, &err), 0);
    assert_string_equal(back.data, "a+b");
}

static void test_url__refuses(void **state)
{
    static const char *const rows[] = {"%", "a%2", "%zz", "%2g", "%00", "%-1"};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(buf_done) struct buf back = {0};
        CLEANUP(err_clear) struct err err = {0};

        assert_int_equal(url_decode(rows[i], strlen(rows[i]), true, &back, &err), ERR_PARSE);
    }
}

static void test_random__ranges(void **state)
{
    bool seen[3] = {false};
    char text[8];

    (void)state;
    for (int i = 0; i < 200; i++)
        seen[random_below(3)] = true;
    assert_true(seen[0] && seen[1] && seen[2]);
    assert_int_equal(random_below(1), 0);
    memset(text, 'x', sizeof(text));
    random_hex(text, 5);
    assert_int_equal(strlen(text), 5);
    assert_int_equal(strspn(text, "0123456789abcdef"), 5);
    assert_int_equal(text[6], 'x');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64__known_pairs), cmocka_unit_test(test_base64__skips_newlines),
        cmocka_unit_test(test_base64__refuses),     cmocka_unit_test(test_base64__maximum),
        cmocka_unit_test(test_hex__encodes),        cmocka_unit_test(test_url__encodes_and_decodes),
        cmocka_unit_test(test_url__refuses),        cmocka_unit_test(test_random__ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
