/* test_clock.c: RFC 3339 both ways, and ages as in test/cases/human_duration.txt. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/str.h"

static void test_clock__writes_rfc3339(void **state)
{
    char text[CLOCK_TEXT_MAX];

    (void)state;
    clock_rfc3339(1767323045678901234, text);
    assert_string_equal(text, "2026-01-02T03:04:05Z");
    clock_rfc3339_micro(1767323045678901999, text);
    assert_string_equal(text, "2026-01-02T03:04:05.678901Z");
    clock_rfc3339_micro(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
    clock_rfc3339_micro(-1000, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
}

static void test_clock__parses(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-01-02T03:04:05Z", 1767323045000000000},
        {"2026-01-02T03:04:05.678901Z", 1767323045678901000},
        {"2026-01-02T03:04:05.123456789987Z", 1767323045123456789},
        {"2026-01-02T05:34:05+02:30", 1767323045000000000},
        {"2026-01-01T22:04:05-05:00", 1767323045000000000},
        {"2024-02-29T00:00:00Z", 1709164800000000000},
        {"1969-12-31T23:59:59.5Z", -500000000},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(err_clear) struct err err = {0};
        int64_t ns = 1;

        if (clock_parse(rows[i].text, &ns, &err) < 0 || ns != rows[i].ns)
            fail_msg("'%s': %lld, %s", rows[i].text, (long long)ns, err_text(&err));
    }
}

static void test_clock__refuses(void **state)
{
    static const struct {
        const char *text;
        int code;
    } rows[] = {
        {"", ERR_PARSE},
        {"2026-01-02", ERR_PARSE},
        {"2026-01-02T03:04:05", ERR_PARSE},
        {"2026-01-02T03:04:05Zx", ERR_PARSE},
        {"2026-01-02 03:04:05Z", ERR_PARSE},
        {"2026-13-02T03:04:05Z", ERR_PARSE},
        {"2026-00-02T03:04:05Z", ERR_PARSE},
        {"2026-02-29T03:04:05Z", ERR_PARSE},
        {"2100-02-29T03:04:05Z", ERR_PARSE},
        {"2026-01-02T24:04:05Z", ERR_PARSE},
        {"2026-01-02T03:60:05Z", ERR_PARSE},
        {"2026-01-02T03:04:60Z", ERR_PARSE},
        {"2026-01-02T03:04:05.Z", ERR_PARSE},
        {"2026-01-02T03:04:05+0200", ERR_PARSE},
        {"2026-01-02T03:04:05+24:00", ERR_PARSE},
        {"0001-01-01T00:00:00Z", ERR_INVALID},
        {"2262-01-01T00:00:00Z", ERR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(err_clear) struct err err = {0};
        int64_t ns = 1;
        int code = clock_parse(rows[i].text, &ns, &err);

        if (code != rows[i].code || ns != 1)
            fail_msg("'%s': code %d", rows[i].text, code);
    }
}

static void test_clock__human_duration(void **state)
{
    CLEANUP(buf_done) struct buf rows = {0};
    CLEANUP(strv_done) struct strv lines = {0};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(file_read("test/cases/human_duration.txt", 0, &rows, &err), 0);
    strv_split(&lines, buf_text(&rows), '\n');
    assert_true(lines.n > 10);
    for (size_t i = 0; i < lines.n; i++) {
        char expected[CLOCK_TEXT_MAX], text[CLOCK_TEXT_MAX];
        long long seconds;

        if (*lines.items[i] == '#' || *lines.items[i] == '\0')
            continue;
        assert_int_equal(sscanf(lines.items[i], "%lld %39s", &seconds, expected), 2);
        clock_human_duration(seconds, text);
        if (!streq(text, expected))
            fail_msg("%lld seconds: '%s', expected '%s'", seconds, text, expected);
    }
}

static void test_clock__monotonic_goes_on(void **state)
{
    int64_t before = clock_monotonic_ms();
    struct timespec pause = {.tv_nsec = 5000000};

    (void)state;
    nanosleep(&pause, NULL);
    assert_true(clock_monotonic_ms() >= before + 4);
    assert_true(clock_wall_ns() > 1700000000000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock__writes_rfc3339),   cmocka_unit_test(test_clock__parses),
        cmocka_unit_test(test_clock__refuses),          cmocka_unit_test(test_clock__human_duration),
        cmocka_unit_test(test_clock__monotonic_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
