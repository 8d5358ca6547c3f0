/* test_daemonset.c: which DaemonSets get a node affinity against Fargate Nodes, and that a second pass adds nothing. */
#include "fargate/daemonset.h"

#include "data/patch.h"
#include "trees.h"

#define ALL "tolerations: [{operator: Exists}]"
#define OFF "{key: eks.amazonaws.com/compute-type, operator: NotIn, values: [fargate]}"
#define REQUIRED "requiredDuringSchedulingIgnoredDuringExecution"
#define TERMS(terms) "affinity: {nodeAffinity: {" REQUIRED ": {nodeSelectorTerms: [" terms "]}}}"

/* Specs of the pod template; after: NULL: no patch. */
static const struct {
    const char *before, *after;
} cases[] = {
    /* the taint is enough */
    {"{}", NULL},
    {"{tolerations: [{key: other, operator: Exists}]}", NULL},
    {"{tolerations: [{operator: Exists, effect: NoExecute}]}", NULL},
    {"{tolerations: [{key: eks.amazonaws.com/compute-type, value: ec2}]}", NULL},
    /* the taint is tolerated */
    {"{" ALL "}", "{" ALL ", " TERMS("{matchExpressions: [" OFF "]}") "}"},
    {"{tolerations: [{key: eks.amazonaws.com/compute-type, value: fargate, effect: NoSchedule}]}",
     "{tolerations: [{key: eks.amazonaws.com/compute-type, value: fargate, effect: NoSchedule}], "
     TERMS("{matchExpressions: [" OFF "]}") "}"},
    {"{tolerations: [{key: eks.amazonaws.com/compute-type, operator: Exists}], affinity: null}",
     "{tolerations: [{key: eks.amazonaws.com/compute-type, operator: Exists}], "
     TERMS("{matchExpressions: [" OFF "]}") "}"},
    /* what is there stays */
    {"{" ALL ", affinity: {podAffinity: {}}}",
     "{" ALL ", affinity: {podAffinity: {}, nodeAffinity: {" REQUIRED ": {nodeSelectorTerms: [{matchExpressions: [" OFF
     "]}]}}}}"},
    {"{" ALL ", affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}}",
     "{" ALL ", affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [], " REQUIRED
     ": {nodeSelectorTerms: [{matchExpressions: [" OFF "]}]}}}}"},
    /* terms are alternatives; an empty one matches no node and must not begin to */
    {"{" ALL ", " TERMS("{matchExpressions: [{key: a, operator: Exists}]}, {matchFields: [{key: metadata.name, operator: "
                        "In, values: [n]}]}, {}, {matchExpressions: [" OFF "]}") "}",
     "{" ALL ", " TERMS("{matchExpressions: [{key: a, operator: Exists}, " OFF "]}, {matchFields: [{key: metadata.name, "
                        "operator: In, values: [n]}], matchExpressions: [" OFF "]}, {}, {matchExpressions: [" OFF "]}") "}"},
    /* stays away in other words */
    {"{" ALL ", " TERMS("{matchExpressions: [{key: eks.amazonaws.com/compute-type, operator: DoesNotExist}]}") "}", NULL},
    {"{" ALL ", " TERMS("{matchExpressions: [{key: eks.amazonaws.com/compute-type, operator: In, values: [ec2, x]}]}") "}",
     NULL},
    {"{" ALL ", nodeSelector: {eks.amazonaws.com/compute-type: ec2}}", NULL},
    {"{" ALL ", " TERMS("{matchExpressions: [{key: eks.amazonaws.com/compute-type, operator: In, values: [fargate]}]}") "}",
     "{" ALL ", " TERMS("{matchExpressions: [{key: eks.amazonaws.com/compute-type, operator: In, values: [fargate]}, " OFF
                        "]}") "}"},
};

static struct json *daemonset_of(const char *template_spec)
{
    return json_build("{s:{s:{s:o}}}", "spec", "template", "spec", tree_of(template_spec));
}

static void test_keep_off__cases(UNUSED void **state)
{
    for (size_t i = 0; i < countof(cases); i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(json_free) struct json *before = daemonset_of(cases[i].before);
        CLEANUP(json_free) struct json *expected = daemonset_of(cases[i].after != NULL ? cases[i].after : cases[i].before);
        CLEANUP(json_free) struct json *patch = fargate_keep_off(before);
        CLEANUP(json_free) struct json *after = NULL;
        if ((json_len(patch) > 0) != (cases[i].after != NULL))
            fail_msg("%s: %zu operations", cases[i].before, json_len(patch));
        assert_int_equal(patch_apply(before, patch, &after, &err), 0);
        if (!json_same(after, expected))
            fail_msg("%s: not as expected", cases[i].before);
        CLEANUP(json_free) struct json *second = fargate_keep_off(after);
        assert_int_equal(json_len(second), 0);
    }
}

static void test_keep_off__survives_anything(UNUSED void **state)
{
    static const char *const objects[] = {"null", "[]", "{spec: 5}", "{spec: {template: {spec: {tolerations: 5}}}}",
                                          "{spec: {template: {spec: {" ALL ", affinity: 5}}}}",
                                          "{spec: {template: {spec: {" ALL ", " TERMS("5, null") "}}}}"};

    for (size_t i = 0; i < countof(objects); i++) {
        CLEANUP(json_free) struct json *object = tree_of(objects[i]);
        CLEANUP(json_free) struct json *patch = fargate_keep_off(object);
        assert_true(json_is_array(patch));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_off__cases),
        cmocka_unit_test(test_keep_off__survives_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
