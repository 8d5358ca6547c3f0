/* test_labels.c: label selectors. */
#include "fargate/labels.h"

#include "trees.h"

/* Against {app: web, tier: front, size: "5"}. */
static const struct {
    const char *selector;
    bool selected;
} rows[] = {
    {"null", false},
    {"{}", true},
    {"{matchLabels: {app: web}}", true},
    {"{matchLabels: {app: web, tier: back}}", false},
    {"{matchLabels: {other: ''}}", false},
    {"{matchExpressions: [{key: app, operator: In, values: [db, web]}]}", true},
    {"{matchExpressions: [{key: app, operator: In, values: []}]}", false},
    {"{matchExpressions: [{key: other, operator: NotIn, values: [x]}]}", true},
    {"{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}", false},
    {"{matchExpressions: [{key: app, operator: Exists}, {key: other, operator: DoesNotExist}]}", true},
    {"{matchExpressions: [{key: app, operator: DoesNotExist}]}", false},
    {"{matchExpressions: [{key: size, operator: Gt, values: ['4']}]}", true},
    {"{matchExpressions: [{key: size, operator: Gt, values: ['5']}]}", false},
    {"{matchExpressions: [{key: size, operator: Lt, values: ['6']}]}", true},
    {"{matchExpressions: [{key: app, operator: Lt, values: ['6']}]}", false},
    {"{matchExpressions: [{key: size, operator: Gt, values: []}]}", false},
    {"{matchExpressions: [{key: app, operator: Like, values: [web]}]}", false},
    {"{matchLabels: {app: web}, matchExpressions: [{key: tier, operator: In, values: [back]}]}", false},
};

static void test_labels__selectors(UNUSED void **state)
{
    CLEANUP(json_free) struct json *labels = tree_of("{app: web, tier: front, size: '5'}");

    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(json_free) struct json *selector = tree_of(rows[i].selector);
        if (labels_selected(selector, labels) != rows[i].selected)
            fail_msg("%s", rows[i].selector);
    }
    CLEANUP(json_free) struct json *all = tree_of("{}");
    assert_true(labels_selected(all, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels__selectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
