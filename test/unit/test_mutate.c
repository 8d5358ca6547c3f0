/* test_mutate.c: pods before and after, and that a second pass changes nothing. */
#include "fargate/mutate.h"

#include "data/patch.h"
#include "trees.h"

#define PLAIN "{metadata: {name: fp}, spec: {selectors: [{namespace: ns}]}}"
#define RICH \
    "{metadata: {name: fp}, spec: {selectors: [{namespace: ns}], runtimeClassName: kata, nodeSelector: {a: b, " \
    "c/d: e}, " \
    "tolerations: [{key: x, operator: Exists}, {key: w}]}}"
#define OTHER "{metadata: {name: fp}, spec: {selectors: [{namespace: ns}], schedulerName: virtual}}"

static const struct {
    const char *profile, *before, *after;
} cases[] = {
    {PLAIN, "{metadata: {labels: {app: web}}, spec: {schedulerName: default-scheduler, priority: 0}}",
     "{metadata: {labels: {app: web, eks.amazonaws.com/fargate-profile: fp}}, spec: {schedulerName: "
     "fargate-scheduler, "
     "priorityClassName: system-node-critical, priority: 2000001000}}"},
    {PLAIN, "{metadata: {name: x}, spec: {containers: []}}",
     "{metadata: {name: x, labels: {eks.amazonaws.com/fargate-profile: fp}}, spec: {containers: [], schedulerName: "
     "fargate-scheduler, priorityClassName: system-node-critical, priority: 2000001000}}"},
    {PLAIN, "{}",
     "{metadata: {labels: {eks.amazonaws.com/fargate-profile: fp}}, spec: {schedulerName: fargate-scheduler, "
     "priorityClassName: system-node-critical, priority: 2000001000}}"},
    {PLAIN, "{metadata: {labels: null}, spec: {priorityClassName: low, priority: 5, preemptionPolicy: Never}}",
     "{metadata: {labels: {eks.amazonaws.com/fargate-profile: fp}}, spec: {schedulerName: fargate-scheduler, "
     "priorityClassName: system-node-critical, priority: 2000001000, preemptionPolicy: PreemptLowerPriority}}"},
    {PLAIN, "{metadata: {labels: {}}, spec: {preemptionPolicy: PreemptLowerPriority}}",
     "{metadata: {labels: {eks.amazonaws.com/fargate-profile: fp}}, spec: {schedulerName: fargate-scheduler, "
     "priorityClassName: system-node-critical, priority: 2000001000, preemptionPolicy: PreemptLowerPriority}}"},
    {RICH, "{metadata: {labels: {}}, spec: {}}",
     "{metadata: {labels: {eks.amazonaws.com/fargate-profile: fp}}, spec: {schedulerName: fargate-scheduler, "
     "priorityClassName: system-node-critical, priority: 2000001000, runtimeClassName: kata, nodeSelector: {a: b, "
     "c/d: e}, "
     "tolerations: [{key: x, operator: Exists}, {key: w}]}}"},
    /* what the pod says itself stays */
    {RICH, "{spec: {runtimeClassName: runc, nodeSelector: {a: mine}, tolerations: [{key: w}, {key: z}]}}",
     "{metadata: {labels: {eks.amazonaws.com/fargate-profile: fp}}, spec: {schedulerName: fargate-scheduler, "
     "priorityClassName: system-node-critical, priority: 2000001000, runtimeClassName: runc, nodeSelector: {a: "
     "mine, c/d: e}, "
     "tolerations: [{key: w}, {key: z}, {key: x, operator: Exists}]}}"},
    /* another back end: no priority of ours */
    {OTHER, "{metadata: {labels: {}}, spec: {priority: 0}}",
     "{metadata: {labels: {eks.amazonaws.com/fargate-profile: fp}}, spec: {schedulerName: virtual, priority: 0}}"},
};

/* The patch as a tree; NULL: none. */
static struct json *mutate(const struct json *pod, const struct fargate_match *match)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf text = {0};
    struct json *patch = NULL;

    fargate_mutate(pod, match, &text);
    if (text.len > 0 && json_parse(text.data, text.len, &patch, &err) < 0)
        fail_msg("%s: %s", buf_text(&text), err_text(&err));
    return patch;
}

static void test_mutate__cases(UNUSED void **state)
{
    for (size_t i = 0; i < countof(cases); i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(json_free) struct json *object = tree_of(cases[i].profile);
        CLEANUP(fargate_profile_done) struct fargate_profile profile = {0};
        CLEANUP(json_free) struct json *before = tree_of(cases[i].before);
        CLEANUP(json_free) struct json *after = NULL;
        CLEANUP(json_free) struct json *patch = NULL;
        struct fargate_match match = {.verdict = FARGATE_MATCHED, .profile = &profile, .names = &fargate_names_usual};

        assert_int_equal(fargate_profile_read(object, &profile, &err), 0);
        patch = mutate(before, &match);
        if (patch_apply(before, patch, &after, &err) < 0)
            fail_msg("%s: %s", cases[i].before, err_text(&err));
        assert_tree_is(after, cases[i].after);
        assert_tree_is(before, cases[i].before);
        assert_null(mutate(after, &match));
    }
}

static void test_mutate__no_match_no_patch(UNUSED void **state)
{
    CLEANUP(json_free) struct json *pod = tree_of("{spec: {}}");
    struct fargate_match match = {.verdict = FARGATE_NO_PROFILE};

    assert_null(mutate(pod, &match));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mutate__cases),
        cmocka_unit_test(test_mutate__no_match_no_patch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
