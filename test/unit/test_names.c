/* test_names.c: the names that a cluster may choose in the place of those that usually are AWS's. */
#include "fargate/names.h"

#include "trees.h"

static void test_names__are_checked(void **state)
{
    static const struct {
        struct fargate_names names;
        const char *complaint; /* NULL: they will do */
    } rows[] = {
        {{"fks-scheduler", "fargate.fks.dev/fargate-profile", "fks-ip-"}, NULL},
        {{"", "a.dev/b", "ip-"}, "'' is no scheduler's name"},
        {{"My Scheduler", "a.dev/b", "ip-"}, "'My Scheduler' is no scheduler's name"},
        {{"s", "profile", "ip-"}, "'profile' is no label of the form PREFIX/NAME"},
        {{"s", "/profile", "ip-"}, "'/profile' is no label of the form PREFIX/NAME"},
        {{"s", "a.dev/", "ip-"}, "'a.dev/' is no label of the form PREFIX/NAME"},
        {{"s", "a.dev/b/c", "ip-"}, "'a.dev/b/c' is no label of the form PREFIX/NAME"},
        {{"s", "fks.dev/profile", "ip-"}, "labels under fks.dev/ cannot be chosen: nobody but FKS may set them"},
        {{"s", "a.dev/b", "fks-"}, "'fks-' is no beginning of names, or does not end with 'ip-'"},
        {{"s", "a.dev/b", "a b-ip-"}, "'a b-ip-' is no beginning of names, or does not end with 'ip-'"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(err_clear) struct err err = {0};
        int r = fargate_names_check(&rows[i].names, &err);
        assert_int_equal(r, rows[i].complaint != NULL ? ERR_USAGE : 0);
        if (rows[i].complaint != NULL)
            assert_string_equal(err_text(&err), rows[i].complaint);
    }
}

static void test_names__the_usual_ones_will_do(void **state)
{
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(fargate_names_check(&fargate_names_usual, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names__are_checked),
        cmocka_unit_test(test_names__the_usual_ones_will_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
