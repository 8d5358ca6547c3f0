/* test_match.c: the table test/cases/match.txt, and the verdicts that the pod itself gives. */
#include "fargate/match.h"
#include "fargate/overlap.h"

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

static void check_meet(char *rest)
{
    char *a = unquoted(next_word(&rest)), *b = unquoted(next_word(&rest)), *expected = next_word(&rest);

    if (fargate_globs_meet(a, b) != streq(expected, "yes") || fargate_globs_meet(b, a) != streq(expected, "yes"))
        fail_msg("that '%s' and '%s' meet is not %s", a, b, expected);
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
    else if (streq(kind, "meet"))
        check_meet(line);
    else if (streq(kind, "pod"))
        check_pod(copy, line);
    else
        fail_msg("neither glob, meet nor pod: %s", copy);
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

/* --- the index, beside a look at every selector of every profile */

static unsigned next_random(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % below;
}

static const char *one_of(unsigned *seed, const char *const *texts, size_t n)
{
    return texts[next_random(seed, (unsigned)n)];
}

static const char *const namespaces[] = {"a", "ab", "abc", "bab", "b", "abab", "c-a"};
static const char *const patterns[] = {"a", "ab", "abc", "*", "a*", "*b", "?", "a?", "?b*", "ab*b", "*a*", "b?b", "c-*", "*-a", "??"};
static const char *const keys[] = {"k", "l", "m"}, *const key_patterns[] = {"k", "l", "m", "*", "?"};
static const char *const values[] = {"x", "y", ""}, *const value_patterns[] = {"x", "y", "*", "?", ""};

static struct json *random_labels(unsigned *seed, const char *const *some_keys, size_t n_keys,
                                  const char *const *some_values, size_t n_values)
{
    struct json *labels = json_new_object();

    for (unsigned i = next_random(seed, 3); i > 0; i--) {
        const char *key = one_of(seed, some_keys, n_keys);
        json_set_str(labels, key, one_of(seed, some_values, n_values));
    }
    return labels;
}

static struct fargate_profiles *random_profiles(unsigned *seed)
{
    size_t n = next_random(seed, 30);
    struct fargate_profile *items = xcalloc(n, sizeof(*items));

    for (size_t i = 0; i < n; i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(xfree) char *name = xasprintf("p%zu", i);
        CLEANUP(json_free) struct json *object =
            json_build("{s:{s:s}, s:{s:i, s:[]}}", "metadata", "name", name, "spec", "priority",
                       (int)next_random(seed, 3), "selectors");
        for (unsigned k = next_random(seed, 2) + 1; k > 0; k--) {
            struct json *selector = json_build("{s:s, s:o}", "namespace", patterns[(k * 7 + next_random(seed, 14)) % 15],
                                               "labels",
                                               random_labels(seed, key_patterns, countof(key_patterns), value_patterns,
                                                             countof(value_patterns)));
            json_push(json_edit(object, "spec", "selectors", NULL), selector);
        }
        if (fargate_profile_read(object, &items[i], &err) < 0) { /* two equal selectors, by chance */
            i--;
            n--;
        }
    }
    return fargate_profiles_new(items, n);
}

static bool labels_match(const struct fargate_selector *selector, const struct json *labels)
{
    for (size_t i = 0; i < selector->n_labels; i++) {
        void *position = NULL;
        const char *key;
        const struct json *value;
        bool found = false;
        while (json_next(labels, &position, &key, &value))
            found = found || (fargate_glob(selector->labels[i].key, key) &&
                              fargate_glob(selector->labels[i].value, json_string_value(value)));
        if (!found)
            return false;
    }
    return true;
}

static const struct fargate_profile *find_slowly(const struct fargate_profiles *profiles, const char *namespace,
                                                 const struct json *labels, size_t *ret_selector)
{
    for (size_t i = 0; i < profiles->n; i++)
        for (*ret_selector = 0; *ret_selector < profiles->items[i].n_selectors; ++*ret_selector)
            if (fargate_glob(profiles->items[i].selectors[*ret_selector].namespace, namespace) &&
                labels_match(&profiles->items[i].selectors[*ret_selector], labels))
                return &profiles->items[i];
    *ret_selector = 0;
    return NULL;
}

static void test_match__as_a_look_at_every_selector(UNUSED void **state)
{
    unsigned seed = 1, n_matched = 0;

    for (int round = 0; round < 2000; round++) {
        CLEANUP(fargate_profiles_free) struct fargate_profiles *profiles = random_profiles(&seed);
        for (int i = 0; i < 5; i++) {
            const char *namespace = one_of(&seed, namespaces, countof(namespaces));
            struct json *labels = random_labels(&seed, keys, countof(keys), values, countof(values));
            CLEANUP(json_free) struct json *pod = json_build("{s:{s:o}}", "metadata", "labels", labels);
            size_t selector;
            const struct fargate_profile *wanted = find_slowly(profiles, namespace, labels, &selector);
            struct fargate_match match = fargate_match_pod(profiles, namespace, pod);
            assert_ptr_equal(match.profile, wanted);
            assert_int_equal(match.selector, selector);
            n_matched += wanted != NULL;
        }
    }
    assert_in_range(n_matched, 2000, 9900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match__cases),
        cmocka_unit_test(test_match__verdicts_of_the_pod),
        cmocka_unit_test(test_match__without_profiles),
        cmocka_unit_test(test_match__as_a_look_at_every_selector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
