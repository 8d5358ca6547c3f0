/* test_match.c: the table test/cases/match.txt, and the verdicts that the pod itself gives. */
#include "fargate/match.h"

#include "trees.h"

static const char *const verdict_names[] = {"matched", "no-profile", "opted-out", "daemonset", "mirror", "bound",
                                            "other-scheduler", "profile-unknown"};

static char *unquoted(char *word)
{
    static char empty[] = "";

    return streq(word, "\"\"") ? empty : word;
}

static void check_glob(char *rest)
{
    const char *pattern = unquoted(next_word(&rest)), *text = unquoted(next_word(&rest)),
               *expected = next_word(&rest);

    if (fargate_glob(pattern, text) != streq(expected, "yes"))
        fail_msg("glob '%s' on '%s' is not %s", pattern, text, expected);
}

/* "k=v" separated by c into a map. */
static struct json *labels_of(char *text, const char *separators)
{
    struct json *labels = json_new_object();
    char *pair;

    while ((pair = strsep(&text, separators)) != NULL) {
        char *key = strsep(&pair, "=");
        if (*key != '\0')
            json_set_str(labels, key, strempty(pair));
    }
    return labels;
}

/* NAMESPACE{k=v,k=v} */
static struct json *selector_of(char *text)
{
    char *namespace = strsep(&text, "{");
    struct json *selector = json_build("{s:s}", "namespace", namespace);

    if (text != NULL) {
        text[strcspn(text, "}")] = '\0';
        json_set(selector, "labels", labels_of(text, ","));
    }
    return selector;
}

/* NAME[!PRIORITY]=SELECTOR+SELECTOR */
static struct fargate_profile profile_of(char *text)
{
    CLEANUP(json_free) struct json *object = json_new_object();
    CLEANUP(err_clear) struct err err = {0};
    struct fargate_profile profile;
    char *name = strsep(&text, "="), *selector;
    char *priority = name;
    int64_t number = 0;

    (void)strsep(&priority, "!");
    if (priority != NULL && parse_int(priority, INT64_MIN, INT64_MAX, &number, &err) < 0)
        fail_msg("%s", err_text(&err));
    json_set_str(json_edit(object, "metadata", NULL), "name", name);
    json_set_int(json_edit(object, "spec", NULL), "priority", number);
    json_set(json_edit(object, "spec", NULL), "selectors", json_new_array());
    while ((selector = strsep(&text, "+")) != NULL)
        json_push(json_edit(object, "spec", "selectors", NULL), selector_of(selector));
    if (fargate_profile_read(object, &profile, &err) < 0)
        fail_msg("profile '%s': %s", name, err_text(&err));
    return profile;
}

static struct fargate_profiles *profiles_of(char *text)
{
    struct fargate_profile *items = NULL;
    size_t n = 0, cap = 0;
    char *word;

    while (*(word = next_word(&text)) != '\0') {
        GROW(items, n, cap);
        items[n++] = profile_of(word);
    }
    return fargate_profiles_new(items, n);
}

static void check_pod(const char *line, char *rest)
{
    CLEANUP(fargate_profiles_free) struct fargate_profiles *profiles = profiles_of(strsep(&rest, "|"));
    char *namespace_field = strsep(&rest, "|"), *labels_field = strsep(&rest, "|");
    const char *namespace = next_word(&namespace_field), *expected = next_word(&rest), *selector = next_word(&rest);
    CLEANUP(json_free) struct json *pod = json_build("{s:{s:o}}", "metadata", "labels", labels_of(labels_field, " "));
    struct fargate_match match = fargate_match_pod(profiles, namespace, pod);
    CLEANUP(xfree) char *got = match.profile != NULL ? xasprintf("%s %zu", match.profile->name, match.selector)
                                                     : xasprintf("%s ", verdict_names[match.verdict]);
    CLEANUP(xfree) char *wanted = xasprintf("%s %s", expected, selector);

    if (!streq(got, wanted))
        fail_msg("%s: got %s", line, got);
}

static void check_line(char *line)
{
    CLEANUP(xfree) char *copy = xstrdup(line);
    const char *kind = next_word(&line);

    if (streq(kind, "glob"))
        check_glob(line);
    else if (streq(kind, "pod"))
        check_pod(copy, line);
    else
        fail_msg("neither glob nor pod: %s", copy);
}

static void test_match__cases(UNUSED void **state)
{
    for_each_case("test/cases/match.txt", check_line);
}

static const struct {
    const char *pod, *verdict;
} pods[] = {
    {"{}", "matched"},
    {"{metadata: {labels: null}}", "matched"},
    {"{spec: {schedulerName: default-scheduler}}", "matched"},
    {"{spec: {schedulerName: fargate-scheduler}}", "matched"},
    {"{spec: {schedulerName: mine}}", "other-scheduler"},
    {"{spec: {nodeName: node-1}}", "bound"},
    {"{spec: {nodeName: ''}}", "matched"},
    {"{metadata: {annotations: {eks.amazonaws.com/compute-type: ec2}}}", "opted-out"},
    {"{metadata: {annotations: {eks.amazonaws.com/compute-type: fargate}}}", "matched"},
    {"{metadata: {ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: d}]}}", "daemonset"},
    {"{metadata: {ownerReferences: [{apiVersion: example.com/v1, kind: DaemonSet, name: d}]}}", "matched"},
    {"{metadata: {ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: d}]}}", "matched"},
    {"{metadata: {annotations: {kubernetes.io/config.mirror: abc}}}", "mirror"},
};

static void test_match__verdicts_of_the_pod(UNUSED void **state)
{
    char text[] = "fp=*";
    CLEANUP(fargate_profiles_free) struct fargate_profiles *profiles = profiles_of(text);

    for (size_t i = 0; i < countof(pods); i++) {
        CLEANUP(json_free) struct json *pod = tree_of(pods[i].pod);
        struct fargate_match match = fargate_match_pod(profiles, "ns", pod);
        if (!streq(verdict_names[match.verdict], pods[i].verdict))
            fail_msg("%s: %s", pods[i].pod, verdict_names[match.verdict]);
        assert_int_equal(match.profile != NULL, match.verdict == FARGATE_MATCHED);
        assert_non_null(fargate_verdict_text(match.verdict));
    }
}

static void test_match__without_profiles(UNUSED void **state)
{
    assert_int_equal(fargate_match_pod(NULL, "ns", NULL).verdict, FARGATE_NO_PROFILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match__cases),
        cmocka_unit_test(test_match__verdicts_of_the_pod),
        cmocka_unit_test(test_match__without_profiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
