/* test_merge.c: the patches of client-side apply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cmd/fks/merge/merge.h"

static struct json *parse(const char *text)
{
    struct json *json = NULL;
    struct err err = {0};
    assert_int_equal(json_parse(text, strlen(text), &json, &err), 0);
    return json;
}

static void check_style(enum merge_style style, const char *original, const char *modified, const char *current, const char *want)
{
    CLEANUP(json_free) struct json *o = original != NULL ? parse(original) : NULL, *m = parse(modified), *c = parse(current);
    CLEANUP(json_free) struct json *wanted = parse(want), *patch = NULL;
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(merge_three_way(o, m, c, style, &patch, &err), 0);
    if (!json_same(patch, wanted)) {
        CLEANUP(buf_done) struct buf got = {0};
        json_print(patch, &got);
        fail_msg("want %s, got %s", want, buf_text(&got));
    }
}

static void check(const char *original, const char *modified, const char *current, const char *want)
{
    check_style(MERGE_STRATEGIC, original, modified, current, want);
}

static void test_merge__nothing_to_do(void **state)
{
    (void)state;
    check("{\"a\":1}", "{\"a\":1}", "{\"a\":1,\"b\":2}", "{}");
}

static void test_merge__changes_adds_and_removes(void **state)
{
    (void)state;
    check("{\"a\":1,\"gone\":2}", "{\"a\":3,\"new\":4}", "{\"a\":1,\"gone\":2,\"others\":5}", "{\"a\":3,\"new\":4,\"gone\":null}");
    check("{\"m\":{\"x\":1,\"y\":2}}", "{\"m\":{\"x\":1}}", "{\"m\":{\"x\":1,\"y\":2,\"z\":3}}", "{\"m\":{\"y\":null}}");
    check(NULL, "{\"a\":1}", "{\"a\":2,\"b\":1}", "{\"a\":1}"); /* never applied before: nothing is removed */
}

static void test_merge__containers_merge_by_name(void **state)
{
    (void)state;
    check("{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"1\"},{\"name\":\"d\"}]}}",
          "{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"2\"}]}}",
          "{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"1\",\"tty\":true},{\"name\":\"d\"},{\"name\":\"side\"}]}}",
          "{\"spec\":{\"containers\":[{\"name\":\"d\",\"$patch\":\"delete\"},{\"name\":\"c\",\"image\":\"2\"}],"
          "\"$setElementOrder/containers\":[{\"name\":\"c\"}]}}");
}

static void test_merge__ports_go_by_what_holds_them(void **state)
{
    (void)state;
    /* a service's by port, a container's by containerPort, a network policy's are one value */
    check("{\"spec\":{\"ports\":[{\"port\":80}]}}", "{\"spec\":{\"ports\":[{\"port\":80,\"name\":\"a\"}]}}",
          "{\"spec\":{\"ports\":[{\"port\":80,\"nodePort\":3}]}}",
          "{\"spec\":{\"ports\":[{\"port\":80,\"name\":\"a\"}],\"$setElementOrder/ports\":[{\"port\":80}]}}");
    check("{}", "{\"spec\":{\"ingress\":[{\"ports\":[{\"port\":1}]}]}}", "{\"spec\":{\"ingress\":[{\"ports\":[{\"port\":2}]}]}}",
          "{\"spec\":{\"ingress\":[{\"ports\":[{\"port\":1}]}]}}");
}

static void test_merge__equal_keys_go_by_their_order(void **state)
{
    (void)state;
    /* DNS: one port for UDP, the same for TCP */
    check(NULL,
          "{\"spec\":{\"containers\":[{\"name\":\"c\",\"ports\":[{\"containerPort\":53,\"protocol\":\"UDP\"},"
          "{\"containerPort\":53,\"protocol\":\"TCP\"}]}]}}",
          "{\"spec\":{\"containers\":[{\"name\":\"c\",\"ports\":[{\"containerPort\":53,\"protocol\":\"UDP\"},"
          "{\"containerPort\":53,\"protocol\":\"TCP\"}]}]}}",
          "{}");
}

static void test_merge__kinds_differ_in_what_merges(void **state)
{
    (void)state;
    check(NULL, "{\"kind\":\"ValidatingAdmissionPolicy\",\"spec\":{\"variables\":[{\"name\":\"a\",\"expression\":\"2\"}]}}",
          "{\"kind\":\"ValidatingAdmissionPolicy\",\"spec\":{\"variables\":[{\"name\":\"a\",\"expression\":\"1\"}]}}",
          "{\"spec\":{\"variables\":[{\"name\":\"a\",\"expression\":\"2\"}],\"$setElementOrder/variables\":[{\"name\":\"a\"}]}}");
    check(NULL, "{\"kind\":\"MutatingAdmissionPolicy\",\"spec\":{\"variables\":[{\"name\":\"a\",\"expression\":\"2\"}]}}",
          "{\"kind\":\"MutatingAdmissionPolicy\",\"spec\":{\"variables\":[{\"name\":\"a\",\"expression\":\"1\"}]}}",
          "{\"spec\":{\"variables\":[{\"name\":\"a\",\"expression\":\"2\"}]}}");
    check(NULL, "{\"kind\":\"PodDisruptionBudget\",\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}}}}",
          "{\"kind\":\"PodDisruptionBudget\",\"spec\":{\"selector\":{\"matchLabels\":{\"c\":\"d\"}}}}",
          "{\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}}}}");
}

static void test_merge__nulls(void **state)
{
    (void)state;
    /* the user's null goes to the server; a JSON merge patch only removes what the last file had */
    check(NULL, "{\"a\":null,\"b\":{\"c\":null}}", "{\"b\":{\"c\":1}}", "{\"a\":null,\"b\":{\"c\":null}}");
    check_style(MERGE_JSON, NULL, "{\"a\":null}", "{\"a\":1}", "{}");
    check_style(MERGE_JSON, "{\"a\":1}", "{\"a\":null}", "{\"a\":1}", "{\"a\":null}");
}

static void check_two_way(const char *from, const char *to)
{
    CLEANUP(json_free) struct json *f = parse(from), *t = parse(to), *patch = NULL;
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(merge_two_way(f, t, MERGE_STRATEGIC, &patch, &err), 0);
    CLEANUP(json_free) struct json *result = merge_apply(f, patch);
    if (!json_same(result, t)) {
        CLEANUP(buf_done) struct buf text = {0};
        json_print(patch, &text);
        buf_add_char(&text, ' ');
        json_print(result, &text);
        fail_msg("%s to %s: %s", from, to, buf_text(&text));
    }
}

static void test_merge__two_way_leads_there(void **state)
{
    (void)state;
    check_two_way("{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\",\"x\":1}]}}",
                  "{\"spec\":{\"containers\":[{\"name\":\"c\"},{\"name\":\"b\",\"y\":1},{\"name\":\"a\"}]}}");
    check_two_way("{\"metadata\":{\"finalizers\":[\"a\",\"b\"],\"labels\":{\"a\":\"b\"}}}",
                  "{\"metadata\":{\"finalizers\":[\"c\",\"b\"]}}");
    check_two_way("{\"spec\":{\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{}},\"args\":[1,2]}}",
                  "{\"spec\":{\"strategy\":{\"type\":\"Recreate\"},\"args\":[2]}}");
    check_two_way("{\"spec\":{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}}",
                  "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"configMap\":{\"name\":\"c\"}}]}}");
}

static void check_apply(const char *object, const char *patch, const char *want)
{
    CLEANUP(json_free) struct json *o = parse(object), *p = parse(patch), *w = parse(want);
    CLEANUP(json_free) struct json *got = merge_apply(o, p);
    CLEANUP(buf_done) struct buf text = {0};
    json_print(got, &text);
    if (!json_same(got, w))
        fail_msg("%s with %s: want %s, got %s", object, patch, want, buf_text(&text));
}

static void test_merge__directives(void **state)
{
    (void)state;
    check_apply("{\"m\":{\"a\":1,\"b\":2}}", "{\"m\":{\"$patch\":\"replace\",\"c\":3}}", "{\"m\":{\"c\":3}}");
    check_apply("{\"m\":{\"a\":1}}", "{\"m\":{\"$patch\":\"delete\"}}", "{\"m\":{}}");
    check_apply("{\"spec\":{\"containers\":[{\"name\":\"a\"}]}}",
                "{\"spec\":{\"containers\":[{\"$patch\":\"replace\"},{\"name\":\"b\"}]}}",
                "{\"spec\":{\"containers\":[{\"name\":\"b\"}]}}");
    check_apply("{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}",
                "{\"spec\":{\"containers\":[{\"name\":\"c\"}]}}",
                "{\"spec\":{\"containers\":[{\"name\":\"c\"},{\"name\":\"a\"},{\"name\":\"b\"}]}}");
    check_apply("{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}",
                "{\"spec\":{\"$setElementOrder/containers\":[{\"name\":\"b\"},{\"name\":\"a\"}]}}",
                "{\"spec\":{\"containers\":[{\"name\":\"b\"},{\"name\":\"a\"}]}}");
    check_apply("{}", "{\"a\":{\"b\":null,\"c\":1},\"d\":null}", "{\"a\":{\"c\":1}}");
    check_apply("{\"a\":[1]}", "{\"a\":\"text\"}", "{\"a\":\"text\"}");
}

static void test_merge__conflicts_with_what_others_changed(void **state)
{
    (void)state;
    CLEANUP(json_free) struct json *original = parse("{\"a\":1,\"b\":1}"), *current = parse("{\"a\":2,\"b\":1}");
    CLEANUP(json_free) struct json *clashing = parse("{\"a\":3}"), *apart = parse("{\"b\":3}"), *same = parse("{\"a\":2}");
    CLEANUP(err_clear) struct err err = {0};
    bool conflicts = false;
    assert_int_equal(merge_conflicts(original, current, clashing, MERGE_STRATEGIC, &conflicts, &err), 0);
    assert_true(conflicts);
    assert_int_equal(merge_conflicts(original, current, apart, MERGE_STRATEGIC, &conflicts, &err), 0);
    assert_false(conflicts);
    assert_int_equal(merge_conflicts(original, current, same, MERGE_STRATEGIC, &conflicts, &err), 0);
    assert_false(conflicts);
}

static void test_merge__finalizers_are_a_set(void **state)
{
    (void)state;
    check("{\"metadata\":{\"finalizers\":[\"a\",\"b\"]}}", "{\"metadata\":{\"finalizers\":[\"a\",\"c\"]}}",
          "{\"metadata\":{\"finalizers\":[\"a\",\"b\",\"theirs\"]}}",
          "{\"metadata\":{\"finalizers\":[\"c\"],\"$setElementOrder/finalizers\":[\"a\",\"c\"],"
          "\"$deleteFromPrimitiveList/finalizers\":[\"b\"]}}");
}

static void test_merge__strategy_and_volumes_keep_only_what_is_named(void **state)
{
    (void)state;
    check("{\"spec\":{\"strategy\":{\"type\":\"RollingUpdate\"}}}", "{\"spec\":{\"strategy\":{\"type\":\"Recreate\"}}}",
          "{\"spec\":{\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxSurge\":1}}}}",
          "{\"spec\":{\"strategy\":{\"type\":\"Recreate\",\"$retainKeys\":[\"type\"]}}}");
    check(NULL, "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"configMap\":{}}]}}", "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}}",
          "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"configMap\":{},\"$retainKeys\":[\"configMap\",\"name\"]}],"
          "\"$setElementOrder/volumes\":[{\"name\":\"v\"}]}}");
}

static void test_merge__json_style_replaces_lists(void **state)
{
    (void)state;
    check_style(MERGE_JSON, "{\"l\":[{\"name\":\"a\"}],\"x\":1}", "{\"l\":[{\"name\":\"b\"}]}", "{\"l\":[{\"name\":\"a\"}],\"x\":1,\"y\":2}",
                "{\"l\":[{\"name\":\"b\"}],\"x\":null}");
    check_style(MERGE_JSON, NULL, "{\"absent\":null}", "{}", "{}");
    assert_int_equal(merge_style_of("apps"), MERGE_STRATEGIC);
    assert_int_equal(merge_style_of("fks.dev"), MERGE_JSON);
    assert_int_equal(merge_style_of("metrics.k8s.io"), MERGE_JSON);
}

static void test_merge__missing_key_is_told(void **state)
{
    (void)state;
    CLEANUP(json_free) struct json *bad = parse("{\"spec\":{\"containers\":[{\"image\":\"x\"}]}}");
    CLEANUP(json_free) struct json *live = parse("{\"spec\":{\"containers\":[{\"name\":\"c\"}]}}"), *patch = NULL;
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(merge_three_way(NULL, bad, live, MERGE_STRATEGIC, &patch, &err), ERR_INVALID);
    assert_non_null(strstr(err_text(&err), "declared merge key: name"));
    assert_null(patch);
}

static void test_merge__apply_does_what_the_server_would(void **state)
{
    (void)state;
    CLEANUP(json_free) struct json *object = parse("{\"metadata\":{\"finalizers\":[\"a\",\"b\"]},\"spec\":{\"containers\":["
                                                   "{\"name\":\"c\",\"image\":\"1\"},{\"name\":\"d\"}],\"x\":1}}");
    CLEANUP(json_free) struct json *patch = parse("{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"b\"],\"finalizers\":[\"z\"]},"
                                                  "\"spec\":{\"x\":null,\"containers\":[{\"name\":\"c\",\"image\":\"2\"},"
                                                  "{\"name\":\"d\",\"$patch\":\"delete\"},{\"name\":\"e\"}]}}");
    CLEANUP(json_free) struct json *want = parse("{\"metadata\":{\"finalizers\":[\"a\",\"z\"]},\"spec\":{\"containers\":["
                                                 "{\"name\":\"c\",\"image\":\"2\"},{\"name\":\"e\"}]}}");
    CLEANUP(json_free) struct json *got = merge_apply(object, patch);
    assert_true(json_same(got, want));
    assert_int_equal(json_len(json_get(object, "spec", "containers", NULL)), 2); /* the original stays */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge__nothing_to_do),
        cmocka_unit_test(test_merge__changes_adds_and_removes),
        cmocka_unit_test(test_merge__containers_merge_by_name),
        cmocka_unit_test(test_merge__ports_go_by_what_holds_them),
        cmocka_unit_test(test_merge__equal_keys_go_by_their_order),
        cmocka_unit_test(test_merge__kinds_differ_in_what_merges),
        cmocka_unit_test(test_merge__nulls),
        cmocka_unit_test(test_merge__two_way_leads_there),
        cmocka_unit_test(test_merge__directives),
        cmocka_unit_test(test_merge__conflicts_with_what_others_changed),
        cmocka_unit_test(test_merge__finalizers_are_a_set),
        cmocka_unit_test(test_merge__strategy_and_volumes_keep_only_what_is_named),
        cmocka_unit_test(test_merge__json_style_replaces_lists),
        cmocka_unit_test(test_merge__missing_key_is_told),
        cmocka_unit_test(test_merge__apply_does_what_the_server_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
