/* test_env_file.c: env files line by line, and every way in which one can be wrong. */
#include "cmd/fks-node/spec/env_file.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"

static void test_env_file__values(void **state)
{
    static const struct {
        const char *text, *value; /* of K; NULL: it is not named */
    } rows[] = {
        {"", NULL},
        {"\n\n", NULL},
        {"K='v'", "v"},
        {"K='v'\n", "v"},
        {"K='v'\r\n", "v"},
        {"  \tK='v'\n", "v"},
        {"# K='no'\n  # K='no'\nK='v'\n", "v"},
        {"OTHER='x'\nK='v'\n", "v"},
        {"KK='x'\nK='v'\n", "v"},
        {"K='first'\nK='second'\n", "first"},
        {"K='a=b $HOME \\n \"c\"'", "a=b $HOME \\n \"c\""},
        {"K='one\ntwo\n\nfour' # comment\n", "one\ntwo\n\nfour"},
        {"OTHER='one\nK=no\n'\nK='v'", "v"},
        {"K='v'   # comment", "v"},
        {"K=''", NULL},
        {"K= 'v'", NULL}, /* a shell would run v with K empty */
        {"OTHER= x\nK='v'", "v"},
        {"K='v'\nbroken", "v"}, /* what comes after it is not read */
        {"a-b.c='x'\nK='\xc3\xa4'", "\xc3\xa4"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(xfree) char *value = NULL;
        if (env_file_value(rows[i].text, strlen(rows[i].text), "K", &value, &err) < 0)
            fail_msg("row %zu: %s", i, err_text(&err));
        if (!streq(value, rows[i].value))
            fail_msg("row %zu: '%s'", i, value != NULL ? value : "(none)");
    }
}

static void test_env_file__errors(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"K", "invalid environment variable format at line 1: missing '='"},
        {"A='1'\n\nnothing\n", "invalid environment variable format at line 3: missing '='"},
        {"='v'", "invalid environment variable format at line 1: empty variable name"},
        {"K ='v'", "invalid environment variable format at line 1: whitespace before '=' is not allowed"},
        {"K=", "invalid environment variable format at line 1: value must be enclosed in single quotes"},
        {"K=v", "invalid environment variable format at line 1: value must be enclosed in single quotes"},
        {"K=\"v\"", "invalid environment variable format at line 1: value must be enclosed in single quotes"},
        {"\nK='a\nb\n", "invalid environment variable format starting at line 2: unclosed single quote"},
        {"K='a\nb'c", "invalid environment variable format at line 2: unexpected content after closing quote"},
        {"K='a''b'", "invalid environment variable format at line 1: unexpected content after closing quote"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(err_clear) struct err err = {0};
        char *value = NULL;
        assert_int_equal(env_file_value(rows[i].text, strlen(rows[i].text), "K", &value, &err), ERR_PARSE);
        assert_string_equal(err_text(&err), rows[i].error);
        assert_null(value);
    }
}

static void test_env_file__nul(void **state)
{
    static const char text[] = "OTHER='a\0b'\nK='a\0b'\n";
    CLEANUP(err_clear) struct err err = {0};
    char *value = NULL;

    (void)state;
    assert_int_equal(env_file_value(text, sizeof(text) - 1, "K", &value, &err), ERR_PARSE);
    assert_string_equal(err_text(&err), "invalid environment variable format at line 2: no variable can hold a NUL");
}

static void test_env_file__long_line(void **state)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    char *value = NULL;

    (void)state;
    buf_add_str(&text, "K='");
    while (text.len < KIB(64))
        buf_add_char(&text, 'x');
    buf_add_str(&text, "'\n");
    assert_int_equal(env_file_value(buf_text(&text), text.len, "K", &value, &err), ERR_TOO_BIG);
    assert_string_equal(err_text(&err), "line 1 is over 65536 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_env_file__values),
        cmocka_unit_test(test_env_file__errors),
        cmocka_unit_test(test_env_file__nul),
        cmocka_unit_test(test_env_file__long_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
