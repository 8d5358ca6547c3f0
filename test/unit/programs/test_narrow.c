/* test_narrow.c: which namespaces a webhook's registration is narrowed to, as CEL. The API server's own reading of it is tested in test/e2e. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cmd/fks-scheduler/narrow.h"

static char *expression_of(const char *const *namespaces)
{
    CLEANUP(strv_done) struct strv patterns = {0};

    for (; *namespaces != NULL; namespaces++) {
        CLEANUP(json_free) struct json *profile =
            json_build("{s:{s:[{s:s}]}}", "spec", "selectors", "namespace", *namespaces);
        narrow_add(&patterns, profile);
    }
    narrow_tidy(&patterns);
    return narrow_expression(&patterns);
}

#define EXPRESSION(...) expression_of((const char *const[]){__VA_ARGS__ __VA_OPT__(,) NULL})

static void test_expression__of_namespaces(void **state UNUSED)
{
    CLEANUP(xfree) char *none = EXPRESSION();
    CLEANUP(xfree) char *names = EXPRESSION("dev", "ci", "dev");
    CLEANUP(xfree) char *patterns = EXPRESSION("prod-*", "t?");
    CLEANUP(xfree) char *both = EXPRESSION("dev", "*-prod");

    assert_string_equal(none, "false");
    assert_string_equal(names, "request.namespace in ['ci', 'dev']");
    assert_string_equal(patterns, "request.namespace.matches('^(?:prod-.*|t.)$')");
    assert_string_equal(both, "request.namespace in ['dev'] || request.namespace.matches('^(?:.*-prod)$')");
}

static void test_expression__nothing_to_narrow(void **state UNUSED)
{
    CLEANUP(strv_done) struct strv many = {0};

    assert_null(EXPRESSION("dev", "*"));
    assert_null(EXPRESSION("**"));
    for (int i = 0; i < 1000; i++)
        strv_addf(&many, "namespace-%04d", i);
    assert_null(narrow_expression(&many));
}

/* Quotes and the like cannot be in a namespace's name, and must not get into the expression. */
static void test_add__what_no_namespace_is(void **state UNUSED)
{
    CLEANUP(xfree) char *expression = EXPRESSION("a'] || true || ['", "a.b", "A", "", "(", "fine");

    assert_string_equal(expression, "request.namespace in ['fine']");
}

static void test_apply__only_where_pods_are_asked_about(void **state UNUSED)
{
    CLEANUP(json_free) struct json *registration =
        json_build("{s:[{s:[{s:[s]}], s:[{s:s}]}, {s:[{s:[s]}]}, {s:[{s:[s]}]}]}", "webhooks", "rules", "resources", "pods",
                   "matchConditions", "name", "first", "rules", "resources", "daemonsets", "rules", "resources", "pods");

    narrow_apply(registration, "false");
    const struct json *webhooks = json_get(registration, "webhooks", NULL);
    assert_int_equal(json_len(json_get(json_at(webhooks, 0), "matchConditions", NULL)), 2);
    assert_string_equal(json_str(json_at(json_get(json_at(webhooks, 0), "matchConditions", NULL), 1), "name", NULL),
                        NARROW_CONDITION);
    assert_null(json_get(json_at(webhooks, 1), "matchConditions", NULL));
    assert_int_equal(json_len(json_get(json_at(webhooks, 2), "matchConditions", NULL)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expression__of_namespaces),
        cmocka_unit_test(test_expression__nothing_to_narrow),
        cmocka_unit_test(test_add__what_no_namespace_is),
        cmocka_unit_test(test_apply__only_where_pods_are_asked_about),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
