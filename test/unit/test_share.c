/* test_share.c: equal trees are one as long as somebody holds them. */
#include "data/share.h"

#include "trees.h"

static void test_share__equal_trees_are_one(UNUSED void **state)
{
    CLEANUP(share_done) struct share share = {0};
    CLEANUP(json_free) struct json *one = tree_of("{app: web, tier: front}");
    CLEANUP(json_free) struct json *same = tree_of("{app: web, tier: front}");
    CLEANUP(json_free) struct json *other = tree_of("{app: web}");
    struct shared *first = share_take(&share, one), *second = share_take(&share, same), *third = share_take(&share, other);

    assert_ptr_equal(first, second);
    assert_ptr_not_equal(first, third);
    assert_true(json_same(first->tree, one));
    share_drop(&share, first);
    assert_true(json_same(second->tree, one));
    assert_int_equal(share.by_text.n, 2);
    share_drop(&share, second);
    share_drop(&share, NULL);
    assert_int_equal(share.by_text.n, 1);
    assert_null(share_take(&share, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_share__equal_trees_are_one)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
