/* test_redirect.c: where redirects of HTTP probes lead, and which are not followed. */
#include "cmd/fks-node/pod/redirect.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"

static void test_redirect__target(void **state)
{
    static const struct {
        const char *url, *location, *target; /* NULL: not followed */
    } rows[] = {
        {"http://10.0.0.1:80/", "/login", "http://10.0.0.1:80/login"},
        {"http://10.0.0.1:80/a/b?q=1", "/login?next=%2Fa", "http://10.0.0.1:80/login?next=%2Fa"},
        {"http://10.0.0.1:80/a/b?q=1", "c", "http://10.0.0.1:80/a/c"},
        {"http://10.0.0.1:80/a/b?q=/x/", "c", "http://10.0.0.1:80/a/c"},
        {"http://10.0.0.1:80/a/b?q=1", "?p=2", "http://10.0.0.1:80/a/b?p=2"},
        {"http://10.0.0.1:80", "c", "http://10.0.0.1:80/c"},
        {"http://10.0.0.1:80", "?p", "http://10.0.0.1:80/?p"},
        {"http://10.0.0.1:80/", "/a#part", "http://10.0.0.1:80/a"},
        {"http://10.0.0.1:80/", "http://10.0.0.1/a", "http://10.0.0.1/a"},
        {"http://10.0.0.1:80/", "HTTPS://10.0.0.1:8443", "HTTPS://10.0.0.1:8443"},
        {"https://10.0.0.1:80/", "//10.0.0.1:81/a", "https://10.0.0.1:81/a"},
        {"http://[fd00::1]:80/", "/a", "http://[fd00::1]:80/a"},
        {"http://[fd00::1]:80/", "http://[fd00::1]:81/a", "http://[fd00::1]:81/a"},
        {"http://10.0.0.1:80/", "/a:b", "http://10.0.0.1:80/a:b"},
        {"http://10.0.0.1:80/", "http://10.0.0.2:80/a", NULL},
        {"http://10.0.0.1:80/", "http://10.0.0.1.example.com/", NULL},
        {"http://10.0.0.1:80/", "http://10.0.0.1@example.com/", NULL},
        {"http://10.0.0.1:80/", "http://example.com#@10.0.0.1/", NULL},
        {"http://10.0.0.1:80/", "//example.com/a", NULL},
        {"http://[fd00::1]:80/", "http://[fd00::2]:80/a", NULL},
        {"http://10.0.0.1:80/", "ftp://10.0.0.1/a", NULL},
        {"http://10.0.0.1:80/", "file:///etc/passwd", NULL},
        {"http://10.0.0.1:80/", "mailto:a@10.0.0.1", NULL},
        {"http://10.0.0.1:80/", "http:", NULL},
        {"http://10.0.0.1:80/", "http://", NULL},
        {"http://10.0.0.1:80/", "", NULL},
        {"http://10.0.0.1:80/", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(xfree) char *target = redirect_target(rows[i].url, rows[i].location);
        if (!streq(target, rows[i].target))
            fail_msg("%s from %s: '%s'", strempty(rows[i].location), rows[i].url, target != NULL ? target : "(nowhere)");
    }
}

static void test_redirect__is(void **state)
{
    (void)state;
    assert_true(redirect_is(301) && redirect_is(302) && redirect_is(303) && redirect_is(307) && redirect_is(308));
    assert_false(redirect_is(200) || redirect_is(300) || redirect_is(304) || redirect_is(404));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redirect__target),
        cmocka_unit_test(test_redirect__is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
