/* test_overlap.c: patterns, selectors and profiles that could meet in one pod. */
#include "fargate/overlap.h"

#include "fargate/match.h"
#include "trees.h"

static const struct {
    const char *a, *b;
    bool meet;
} patterns[] = {
    {"a", "a", true},       {"a", "b", false},      {"", "", true},          {"", "*", true},        {"", "?", false},
    {"a*", "*b", true},     {"a*", "b*", false},    {"*a", "*b", false},     {"a?c", "ab*", true},   {"a?", "a", false},
    {"*", "?", true},       {"a*b", "ab", true},    {"a*b", "a", false},     {"prod-*", "*-eu", true}, {"x*y*z", "xz", false},
    {"?b?", "a*", true},    {"**", "", true},       {"a*a", "aa", true},     {"a*a", "a", false},    {"ab*", "a?c", true},
};

static void test_globs_meet__patterns(UNUSED void **state)
{
    for (size_t i = 0; i < countof(patterns); i++)
        if (fargate_globs_meet(patterns[i].a, patterns[i].b) != patterns[i].meet ||
            fargate_globs_meet(patterns[i].b, patterns[i].a) != patterns[i].meet)
            fail_msg("'%s' and '%s'", patterns[i].a, patterns[i].b);
}

/* Short patterns of a, b, *, ? in an order of their own; "" is the first. */
static void nth_pattern(size_t n, char *ret)
{
    size_t len = 0;

    for (; n > 0; n = (n - 1) / 4)
        ret[len++] = "ab*?"[(n - 1) % 4];
    ret[len] = '\0';
}

/* A text of a and b that both match, of up to 6 characters: enough for patterns of up to 3. */
static bool common_text_exists(const char *a, const char *b)
{
    for (unsigned len = 0; len <= 6; len++) {
        for (unsigned bits = 0; bits < 1u << len; bits++) {
            char text[8] = {0};
            for (unsigned i = 0; i < len; i++)
                text[i] = bits >> i & 1 ? 'a' : 'b';
            if (fargate_glob(a, text) && fargate_glob(b, text))
                return true;
        }
    }
    return false;
}

static void test_globs_meet__as_trying_every_text(UNUSED void **state)
{
    char a[16], b[16];

    for (size_t i = 0; i < 85; i++) {
        for (size_t j = i; j < 85; j++) {
            nth_pattern(i, a);
            nth_pattern(j, b);
            if (fargate_globs_meet(a, b) != common_text_exists(a, b))
                fail_msg("'%s' and '%s'", a, b);
        }
    }
}

static struct fargate_profile profile_of(const char *name, const char *spec)
{
    CLEANUP(xfree) char *text = xasprintf("{metadata: {name: %s}, spec: %s}", name, spec);
    CLEANUP(json_free) struct json *object = tree_of(text);
    CLEANUP(err_clear) struct err err = {0};
    struct fargate_profile profile;

    if (fargate_profile_read(object, &profile, &err) < 0)
        fail_msg("%s: %s", text, err_text(&err));
    return profile;
}

static const struct {
    const char *a, *b;
    bool meet;
} selectors[] = {
    {"{namespace: a}", "{namespace: a}", true},
    {"{namespace: a}", "{namespace: b}", false},
    {"{namespace: a, labels: {k: v}}", "{namespace: 'a*'}", true},
    {"{namespace: a, labels: {k: v}}", "{namespace: a, labels: {k: w}}", false},
    {"{namespace: a, labels: {k: v}}", "{namespace: a, labels: {l: w}}", true},
    {"{namespace: a, labels: {k: 'v*'}}", "{namespace: a, labels: {k: '*w'}}", true},
    {"{namespace: a, labels: {'*/k': v}}", "{namespace: a, labels: {x/k: w}}", true},
};

static void test_selectors_meet__cases(UNUSED void **state)
{
    for (size_t i = 0; i < countof(selectors); i++) {
        CLEANUP(xfree) char *a_spec = xasprintf("{selectors: [%s]}", selectors[i].a);
        CLEANUP(xfree) char *b_spec = xasprintf("{selectors: [%s]}", selectors[i].b);
        CLEANUP(fargate_profile_done) struct fargate_profile a = profile_of("a", a_spec), b = profile_of("b", b_spec);
        bool forth = fargate_selectors_meet(&a.selectors[0], &b.selectors[0]);
        bool back = fargate_selectors_meet(&b.selectors[0], &a.selectors[0]);
        fargate_profile_done(&b);
        if (forth != selectors[i].meet || back != selectors[i].meet)
            fail_msg("%s and %s", selectors[i].a, selectors[i].b);
    }
}

static void test_overlaps__names_the_other_and_the_winner(UNUSED void **state)
{
    struct fargate_profile *items = xcalloc(3, sizeof(*items));
    CLEANUP(strv_done) struct strv warnings = {0};

    items[0] = profile_of("a", "{selectors: [{namespace: elsewhere}, {namespace: 'x*'}]}");
    items[1] = profile_of("m", "{selectors: [{namespace: xx}]}");
    items[2] = profile_of("z", "{selectors: [{namespace: other}]}");
    CLEANUP(fargate_profiles_free) struct fargate_profiles *profiles = fargate_profiles_new(items, 3);
    CLEANUP(fargate_profile_done) struct fargate_profile own = profile_of("m", "{selectors: [{namespace: xx}]}");
    fargate_overlaps(&own, profiles, &warnings);
    assert_int_equal(warnings.n, 1); /* not itself, not the one elsewhere */
    assert_non_null(strstr(warnings.items[0], "'a'"));
    assert_null(strstr(warnings.items[0], "'z'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_globs_meet__patterns),
        cmocka_unit_test(test_globs_meet__as_trying_every_text),
        cmocka_unit_test(test_selectors_meet__cases),
        cmocka_unit_test(test_overlaps__names_the_other_and_the_winner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
