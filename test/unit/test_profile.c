/* test_profile.c: every rule of FargateProfiles, once kept and once broken. */
#include "fargate/profile.h"

#include "trees.h"

/* Spec and name in YAML flow; expected: part of the one reason, or NULL for a valid profile. */
static const struct rule {
    const char *name, *spec, *expected;
} rules[] = {
    {"fp-default", "{selectors: [{namespace: default}, {namespace: kube-system}]}", NULL},
    {"a", "{selectors: [{namespace: a}]}", NULL},
    {"''", "{selectors: [{namespace: a}]}", "metadata.name must not be empty"},
    {"eks-x", "{selectors: [{namespace: a}]}", "must not begin with 'eks-'"},
    {"Upper", "{selectors: [{namespace: a}]}", "metadata.name 'Upper' must consist of"},
    {"-a", "{selectors: [{namespace: a}]}", "metadata.name '-a' must consist of"},
    {"a.b", "{selectors: [{namespace: a}]}", "metadata.name 'a.b' must consist of"},
    {"a234567890123456789012345678901234567890123456789012345678901234", "{selectors: [{namespace: a}]}",
     "must consist of"},
    {"p", "{}", "Fargate Profile requires at least one selector."},
    {"p", "{selectors: []}", "Fargate Profile requires at least one selector."},
    {"p", "{selectors: x}", "Fargate Profile requires at least one selector."},
    {"p", "{selectors: [{}]}",
     "Fargate Profile must have at least one selector with at least one namespace value."},
    {"p", "{selectors: [{namespace: a}, {namespace: b}, {namespace: c}, {namespace: d}, {namespace: e}]}", NULL},
    {"p",
     "{selectors: [{namespace: a}, {namespace: b}, {namespace: c}, {namespace: d}, {namespace: e}, {namespace: "
     "f}]}",
     "must not have more than 5 selectors; this one has 6"},
    {"p", "{selectors: [{namespace: A}]}", "spec.selectors[0].namespace 'A'"},
    {"p", "{selectors: [{namespace: 'prod*'}, {namespace: '?-dev'}, {namespace: '*'}]}", NULL},
    {"p", "{selectors: [{namespace: 'a/*'}]}", "spec.selectors[0].namespace 'a/*'"},
    {"p", "{selectors: [{namespace: a, labels: {a: '1', b: '2', c: '3', d: '4', e: '5'}}]}", NULL},
    {"p", "{selectors: [{namespace: a, labels: {a: '1', b: '2', c: '3', d: '4', e: '5', f: '6'}}]}",
     "Request contains Selector with more than 5 Label pairs"},
    {"p", "{selectors: [{namespace: a, labels: {example.com/Name_1.x: 'V-1', '*/team': 'b?ue*', x: ''}}]}", NULL},
    {"p", "{selectors: [{namespace: a, labels: {'a b': x}}]}", "'a b' is no label key"},
    {"p", "{selectors: [{namespace: a, labels: {'a/b/c': x}}]}", "'a/b/c' is no label key"},
    {"p", "{selectors: [{namespace: a, labels: {-a: x}}]}", "'-a' is no label key"},
    {"p", "{selectors: [{namespace: a, labels: {'/a': x}}]}", "'/a' is no label key"},
    {"p", "{selectors: [{namespace: a, labels: {a: 'b c'}}]}", "'b c' is no label value"},
    {"p", "{selectors: [{namespace: a, labels: {a: 1}}]}", "the value of 'a' must be a string"},
    {"p", "{selectors: [{namespace: a, labels: [a]}]}", "spec.selectors[0].labels must be a map of strings"},
    {"p", "{selectors: [{namespace: a}, {namespace: a, labels: {}}]}",
     "spec.selectors[0] and spec.selectors[1] are equal"},
    {"p", "{selectors: [{namespace: a, labels: {x: z}}, {namespace: a}]}", NULL},
    {"p", "{selectors: [{namespace: a}], priority: 5, sizing: Exact, zones: [a, b], runtimeClassName: kata}", NULL},
    {"p", "{selectors: [{namespace: a}], priority: x}", "spec.priority must be an integer"},
    {"p", "{selectors: [{namespace: a}], sizing: Big}", "spec.sizing must be Fargate or Exact"},
    {"p", "{selectors: [{namespace: a}], limits: Clamp}", NULL},
    {"p", "{selectors: [{namespace: a}], limits: Cut}", "spec.limits must be Refuse or Clamp"},
    {"p", "{selectors: [{namespace: a}], zones: [1]}", "spec.zones must hold strings only"},
    {"p", "{selectors: [{namespace: a}], zones: {a: b}}", "spec.zones must be a list of strings"},
    {"p", "{selectors: [{namespace: a}], runtimeClassName: 'A B'}", "spec.runtimeClassName must be a name"},
    {"p", "{selectors: [{namespace: a}], schedulerName: 7}", "spec.schedulerName must be a name"},
    {"p", "{selectors: [{namespace: a}], nodeSelector: {type: virtual-kubelet}, tolerations: [{operator: Exists}]}",
     NULL},
    {"p", "{selectors: [{namespace: a}], nodeSelector: [x]}", "spec.nodeSelector must be a map of strings"},
    {"p", "{selectors: [{namespace: a}], nodeSelector: {a: 1}}", "spec.nodeSelector must hold strings only"},
    {"p", "{selectors: [{namespace: a}], tolerations: [x]}", "spec.tolerations must be a list of tolerations"},
    {"p", "{selectors: [{namespace: a}], nodeSelector: {'a b': c}}", "spec.nodeSelector: 'a b' is no label key"},
    {"p", "{selectors: [{namespace: a}], nodeSelector: {'a*': c}}", "spec.nodeSelector: 'a*' is no label key"},
    {"p", "{selectors: [{namespace: a}], nodeSelector: {a: 'b c'}}", "spec.nodeSelector: 'b c' is no label value"},
    {"p", "{selectors: [{namespace: a}], tolerations: [{key: a}, {}]}",
     "spec.tolerations[1]: operator must be Exists when the key is empty"},
    {"p", "{selectors: [{namespace: a}], tolerations: [{operator: Exists, value: b}]}",
     "spec.tolerations[0]: value must be empty when operator is Exists"},
    {"p", "{selectors: [{namespace: a}], tolerations: [{key: 'a b'}]}", "spec.tolerations[0]: key must be a label key"},
    {"p", "{selectors: [{namespace: a}], tolerations: [{key: a, value: 'b c'}]}",
     "spec.tolerations[0]: value must be a label value"},
    {"p", "{selectors: [{namespace: a}], tolerations: [{key: a, operator: In}]}",
     "spec.tolerations[0]: operator must be Exists or Equal"},
    {"p", "{selectors: [{namespace: a}], tolerations: [{key: a, effect: Never}]}", "spec.tolerations[0]: effect must be"},
    {"p", "{selectors: [{namespace: a}], tolerations: [{key: a, tolerationSeconds: 5, effect: NoExecute}]}", NULL},
    {"p", "{selectors: [{namespace: a}], tolerations: [{key: a, tolerationSeconds: 5}]}",
     "spec.tolerations[0]: effect must be NoExecute when tolerationSeconds is set"},
    {"p", "{selectors: [{namespace: a}], zones: ['']}", "spec.zones[0]: '' is no label value"},
    {"p", "{selectors: [{namespace: a}], podValidation: Strict}", "spec.podValidation must be Warn or Enforce"},
    {"p", "{selectors: [{namespace: a}], reconcilePendingPods: 1}", "spec.reconcilePendingPods must be true or false"},
    {"p", "{selectors: [{namespace: a}], quota: {cpu: 2.5, memory: 4Gi, pods: 0}, reconcilePendingPods: true}", NULL},
    {"p", "{selectors: [{namespace: a}], quota: {cpu: null}}", NULL},
    {"p", "{selectors: [{namespace: a}], quota: 4}", "spec.quota must be a map"},
    {"p", "{selectors: [{namespace: a}], quota: {cpu: x}}", "spec.quota.cpu must be a quantity, 0 or more"},
    {"p", "{selectors: [{namespace: a}], quota: {memory: -1}}", "spec.quota.memory must be a quantity, 0 or more"},
    {"p", "{selectors: [{namespace: a}], quota: {pods: [1]}}", "spec.quota.pods must be a quantity, 0 or more"},
};

static struct json *profile_of(const char *name, const char *spec)
{
    CLEANUP(xfree) char *text = xasprintf("{metadata: {name: %s}, spec: %s}", name, spec);

    return tree_of(text);
}

static void test_check__rules(UNUSED void **state)
{
    for (size_t i = 0; i < countof(rules); i++) {
        CLEANUP(json_free) struct json *object = profile_of(rules[i].name, rules[i].spec);
        CLEANUP(strv_done) struct strv reasons = {0};
        fargate_profile_check(object, &reasons);
        CLEANUP(xfree) char *text = strv_join(&reasons, "; ");
        if (rules[i].expected == NULL && reasons.n > 0)
            fail_msg("%s %s: %s", rules[i].name, rules[i].spec, text);
        if (rules[i].expected != NULL && (reasons.n != 1 || strstr(text, rules[i].expected) == NULL))
            fail_msg("%s %s: expected %s, got %s", rules[i].name, rules[i].spec, rules[i].expected, text);
    }
}

static void test_check__survives_anything(UNUSED void **state)
{
    static const char *const objects[] = {"null", "[]", "{metadata: 5, spec: []}",
                                          "{spec: {selectors: [1, null, []]}}"};

    for (size_t i = 0; i < countof(objects); i++) {
        CLEANUP(json_free) struct json *object = tree_of(objects[i]);
        CLEANUP(strv_done) struct strv reasons = {0};
        fargate_profile_check(object, &reasons);
        assert_true(reasons.n > 0);
    }
}

static void test_read__all_reasons_in_one_text(UNUSED void **state)
{
    CLEANUP(json_free) struct json *object = profile_of("eks-x", "{selectors: [], sizing: Big}");
    CLEANUP(err_clear) struct err err = {0};
    struct fargate_profile profile;

    assert_int_equal(fargate_profile_read(object, &profile, &err), ERR_INVALID);
    assert_string_equal(err_text(&err), "metadata.name 'eks-x' must not begin with 'eks-'; "
                                        "Fargate Profile requires at least one selector.; "
                                        "spec.sizing must be Fargate or Exact");
}

static void test_read__fields(UNUSED void **state)
{
    CLEANUP(json_free) struct json *object = profile_of(
        "p", "{selectors: [{namespace: a}, {namespace: b, labels: {k: v}}], priority: 7, runtimeClassName: kata, "
             "schedulerName: other, nodeSelector: {a: b}, tolerations: [{key: x}], zones: [z1, z2], sizing: Exact, quota: {cpu: 1500m, "
             "memory: 1Gi}, reconcilePendingPods: true}");
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(fargate_profile_done) struct fargate_profile profile = {0};

    assert_int_equal(fargate_profile_read(object, &profile, &err), 0);
    assert_string_equal(profile.name, "p");
    assert_int_equal(profile.quota.cpu_m, 1500);
    assert_int_equal(profile.quota.mem_b, 1 << 30);
    assert_int_equal(profile.quota.pods, FARGATE_NO_QUOTA);
    assert_true(profile.reconcile_pending);
    assert_int_equal(profile.n_selectors, 2);
    assert_string_equal(profile.selectors[1].namespace, "b");
    assert_int_equal(profile.selectors[1].n_labels, 1);
    assert_string_equal(profile.selectors[1].labels[0].key, "k");
    assert_string_equal(profile.selectors[1].labels[0].value, "v");
    assert_int_equal(profile.priority, 7);
    assert_string_equal(profile.runtime_class, "kata");
    assert_string_equal(profile.scheduler_name, "other");
    assert_tree_is(profile.node_selector, "{a: b}");
    assert_tree_is(profile.tolerations, "[{key: x}]");
    assert_int_equal(profile.zones.n, 2);
    assert_true(profile.exact_sizing);
}

static void test_read__defaults(UNUSED void **state)
{
    CLEANUP(json_free)
    struct json *object = profile_of("p", "{selectors: [{namespace: a}], schedulerName: '', zones: null}");
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(fargate_profile_done) struct fargate_profile profile = {0};

    /* an empty name is no name */
    assert_int_equal(fargate_profile_read(object, &profile, &err), ERR_INVALID);
    json_del(json_edit(object, "spec", NULL), "schedulerName");
    err_clear(&err);
    assert_int_equal(fargate_profile_read(object, &profile, &err), 0);
    assert_null(profile.scheduler_name);
    assert_null(profile.runtime_class);
    assert_null(profile.tolerations);
    assert_int_equal(profile.priority, 0);
    assert_false(profile.exact_sizing);
}

static void test_profiles_new__order(UNUSED void **state)
{
    static const char *const names[] = {"b", "a", "c"};
    struct fargate_profile *items = xcalloc(countof(names), sizeof(*items));

    for (size_t i = 0; i < countof(names); i++)
        items[i] = (struct fargate_profile){.name = xstrdup(names[i]), .priority = names[i][0] == 'c' ? 1 : 0};
    CLEANUP(fargate_profiles_free) struct fargate_profiles *profiles = fargate_profiles_new(items, countof(names));
    assert_string_equal(profiles->items[0].name, "c");
    assert_string_equal(profiles->items[1].name, "a");
    assert_string_equal(profiles->items[2].name, "b");
    assert_null(fargate_profiles_free(fargate_profiles_new(NULL, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check__rules),
        cmocka_unit_test(test_check__survives_anything),
        cmocka_unit_test(test_read__all_reasons_in_one_text),
        cmocka_unit_test(test_read__fields),
        cmocka_unit_test(test_read__defaults),
        cmocka_unit_test(test_profiles_new__order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
