/* test_podspec_host.c: what a pod asks of host and runtime, and whether they can. */
#include "cmd/fks-node/spec/podspec.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

/* members of spec, and of its only container */
static struct json *make_pod(const char *spec, const char *container)
{
    CLEANUP(xfree) char *text = xasprintf("{\"spec\":{%s\"containers\":[{\"name\":\"c\"%s}]}}", spec, container);
    CLEANUP(err_clear) struct err err = {0};
    struct json *json = NULL;

    if (json_parse(text, strlen(text), &json, &err) < 0)
        fail_msg("%s in %s", err_text(&err), text);
    return json;
}

static void test_podspec_host__what_it_can(void **state)
{
    static const char strict[] = "\"securityContext\":{\"supplementalGroupsPolicy\":\"Strict\"},";
    static const char armor[] = ",\"securityContext\":{\"appArmorProfile\":{\"type\":\"RuntimeDefault\"}}";
    static const struct {
        const char *spec, *container;
        struct podspec_host host;
        const char *want; /* part of the error; NULL: it can run */
    } rows[] = {
        {"", "", {.handler = ""}, NULL},
        {"\"hostUsers\":true,", "", {.handler = ""}, NULL},
        {"\"hostUsers\":false,", "", {.handler = ""}, "not told yet"},
        {"\"hostUsers\":false,", "", {.known = true, .handler = ""}, "runtime does not support user namespaces"},
        {"\"hostUsers\":false,", "", {.known = true, .handler = "x"}, "handler \"x\" does not support user namespaces"},
        {"\"hostUsers\":false,", "", {.known = true, .handler = "", .user_namespaces = true}, NULL},
        {strict, "", {.known = true, .handler = ""}, "SupplementalGroupsPolicy=Strict is not supported"},
        {strict, "", {.known = true, .handler = "", .strict_groups = true}, NULL},
        {"", armor, {.handler = ""}, "Cannot enforce AppArmor"},
        {"", armor, {.handler = "", .apparmor = true}, NULL},
        {"\"securityContext\":{\"appArmorProfile\":{\"type\":\"Unconfined\"}},", "", {.handler = ""}, NULL},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(json_free) struct json *pod = make_pod(rows[i].spec, rows[i].container);
        CLEANUP(err_clear) struct err err = {0};
        int r = podspec_check_host(pod, &rows[i].host, &err);

        if (rows[i].want == NULL)
            assert_int_equal(r, 0);
        else if (r >= 0 || strstr(err_text(&err), rows[i].want) == NULL)
            fail_msg("row %zu: %s", i, err_text(&err));
    }
}

static void test_podspec_host__forbidden_sysctl(void **state)
{
    static const struct {
        const char *name, *forbidden;
    } rows[] = {
        {"kernel.shm_rmid_forced", NULL},
        {"net/ipv4/tcp_syncookies", NULL}, /* the other way to write it */
        {"kernel.msgmax", "kernel.msgmax"},
        {"net/core/somaxconn", "net.core.somaxconn"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(xfree) char *spec = xasprintf("\"securityContext\":{\"sysctls\":[{\"name\":\"net.ipv4.tcp_rmem\",\"value\":\"1\"},"
                                              "{\"name\":\"%s\",\"value\":\"1\"}]},", rows[i].name);
        CLEANUP(json_free) struct json *pod = make_pod(spec, "");
        CLEANUP(xfree) char *forbidden = podspec_forbidden_sysctl(pod);

        if (rows[i].forbidden == NULL)
            assert_null(forbidden);
        else
            assert_string_equal(forbidden, rows[i].forbidden);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_podspec_host__what_it_can),
        cmocka_unit_test(test_podspec_host__forbidden_sysctl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
