/* gotime.h: every piece of a time that can be wrong, in Go's words; test/cases/kubectl.txt compares some with kubectl. */
#include "text/gotime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "base/str.h"

static void test_check__good(UNUSED void **state)
{
    static const char *const texts[] = {"2026-01-02T03:04:05Z",           "2026-01-02T3:04:05Z",       "2024-02-29T00:00:00Z",
                                        "2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05,5Z",    "2026-01-02T03:04:05+02:00",
                                        "0000-01-01T00:00:00-24:60"};
    for (size_t i = 0; i < countof(texts); i++) {
        CLEANUP(err_clear) struct err err = {0};
        if (gotime_check(texts[i], &err) != 0)
            fail_msg("%s", err_text(&err));
    }
}

static void test_check__bad(UNUSED void **state)
{
    static const struct {
        const char *text, *want; /* want: behind the text */
    } cases[] = {
        {"x", " as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\""},
        {"2026", " as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"-\""},
        {"2026-1-02T03:04:05Z", " as \"2006-01-02T15:04:05Z07:00\": cannot parse \"1-02T03:04:05Z\" as \"01\""},
        {"2026-01-02 03:04:05Z", " as \"2006-01-02T15:04:05Z07:00\": cannot parse \" 03:04:05Z\" as \"T\""},
        {"2026-01-02", " as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"T\""},
        {"2026-01-02T03:4:05Z", " as \"2006-01-02T15:04:05Z07:00\": cannot parse \"4:05Z\" as \"04\""},
        {"2026-01-02T03:04:05", " as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"Z07:00\""},
        {"2026-01-02T03:04:05.Z", " as \"2006-01-02T15:04:05Z07:00\": cannot parse \".Z\" as \"Z07:00\""},
        {"2026-01-02T03:04:05*02:00", " as \"2006-01-02T15:04:05Z07:00\": cannot parse \"*02:00\" as \"Z07:00\""},
        {"2026-13-02T03:04:05Z", ": month out of range"},
        {"2026-00-02T03:04:05Z", ": month out of range"},
        {"2026-02-29T03:04:05Z", ": day out of range"},
        {"2026-02-00T03:04:05Z", ": day out of range"},
        {"2026-01-02T24:04:05Z", ": hour out of range"},
        {"2026-01-02T03:60:05Z", ": minute out of range"},
        {"2026-01-02T03:04:60Z", ": second out of range"},
        {"2026-01-02T03:04:05+25:00", ": time zone offset hour out of range"},
        {"2026-01-02T03:04:05+02:61", ": time zone offset minute out of range"},
        {"2026-01-02T03:04:05Zulu", ": extra text: \"ulu\""},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(xfree) char *want = xasprintf("parsing time \"%s\"%s", cases[i].text, cases[i].want);
        assert_int_equal(gotime_check(cases[i].text, &err), ERR_PARSE);
        assert_string_equal(err_text(&err), want);
    }
}

static void test_check__quotes(UNUSED void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(gotime_check("\"\\\n\xc3\xa4", &err), ERR_PARSE);
    assert_string_equal(err_text(&err), "parsing time \"\\\"\\\\\\x0a\\xc3\\xa4\" as \"2006-01-02T15:04:05Z07:00\": cannot parse "
                                        "\"\\\"\\\\\\x0a\\xc3\\xa4\" as \"2006\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check__good),
        cmocka_unit_test(test_check__bad),
        cmocka_unit_test(test_check__quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
