/* test_spread.c: what topology spread constraints count. */
#include "fargate/spread.h"

#include "trees.h"

static intptr_t count(const struct map *counts, const char *host)
{
    return (intptr_t)map_get(counts, host);
}

static void test_spread__follows_pods(UNUSED void **state)
{
    CLEANUP(spreads_done) struct spreads spreads = {0};
    CLEANUP(json_free) struct json *selector = tree_of("{matchLabels: {app: web}}");
    CLEANUP(json_free) struct json *web = tree_of("{app: web}");
    CLEANUP(json_free) struct json *other = tree_of("{app: db}");
    bool new;
    const struct map *counts = spreads_counts(&spreads, "n", selector, 1000, &new);

    assert_true(new);
    spreads_update(&spreads, "n", "1", web, "a");
    spreads_update(&spreads, "n", "1", web, "a"); /* the same again */
    spreads_update(&spreads, "n", "2", web, "a");
    spreads_update(&spreads, "n", "3", other, "a");
    spreads_update(&spreads, "m", "4", web, "a"); /* another namespace */
    assert_int_equal(count(counts, "a"), 2);
    spreads_update(&spreads, "n", "1", web, "b"); /* moves */
    spreads_update(&spreads, "n", "2", other, "a"); /* is no match any more */
    assert_int_equal(count(counts, "a"), 0);
    assert_int_equal(count(counts, "b"), 1);
    assert_ptr_equal(spreads_counts(&spreads, "n", selector, 2000, &new), counts);
    assert_false(new);
    spreads_update(&spreads, "n", "1", NULL, NULL);
    assert_int_equal(count(counts, "b"), 0);
    spreads_expire(&spreads, 602000);
    assert_int_equal(spreads.groups.n, 1);
    spreads_expire(&spreads, 602001);
    assert_int_equal(spreads.groups.n, 0);
}

static void test_spread__reads_constraints(UNUSED void **state)
{
    CLEANUP(json_free) struct json *constraint = tree_of(
        "{topologyKey: zone, maxSkew: 2, minDomains: 3, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: "
        "{app: web}}, matchLabelKeys: [hash, missing]}");
    CLEANUP(json_free) struct json *labels = tree_of("{app: web, hash: x1}");
    CLEANUP(json_free) struct json *selector = spreads_selector(constraint, labels);
    CLEANUP(json_free) struct json *nothing = tree_of("{topologyKey: zone}");
    struct place_spread spread = spreads_read(constraint, NULL);

    assert_tree_is(selector, "{matchLabels: {app: web, hash: x1}}");
    assert_string_equal(spread.key, "zone");
    assert_true(spread.required);
    assert_int_equal(spread.max_skew, 2);
    assert_int_equal(spread.min_domains, 3);
    assert_false(spreads_read(nothing, NULL).required);
    assert_null(spreads_selector(nothing, labels));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spread__follows_pods),
        cmocka_unit_test(test_spread__reads_constraints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
