/* test_registered.c: the records of registered clusters, and the objects that are applied to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "install/install.h"
#include "install/registered.h"
#include "test/unit/temporary.h"

static int setup(void **state)
{
    *state = temporary_folder();
    return setenv("FKS_HOME", *state, 1);
}

static int teardown(void **state)
{
    temporary_remove(*state);
    return 0;
}

static void test_registered__kept_listed_removed(void **state UNUSED)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(registered_done) struct registered first = {
        .name = xstrdup("far"), .context = xstrdup("c"), .server = xstrdup("https://h"), .kubeconfig = xstrdup("/k")};
    CLEANUP(registered_done) struct registered second = {.name = xstrdup("away")};
    CLEANUP(registered_done) struct registered found = {0};
    CLEANUP(strv_done) struct strv none = {0};
    CLEANUP(strv_done) struct strv names = {0};

    assert_int_equal(registered_list(&none, &err), 0);
    assert_int_equal(none.n, 0);
    assert_false(registered_exists("far"));
    assert_int_equal(registered_save(&first, &err), 0);
    assert_int_equal(registered_save(&second, &err), 0);
    assert_int_equal(registered_list(&names, &err), 0);
    assert_int_equal(names.n, 2);
    assert_string_equal(names.items[0], "away");
    assert_int_equal(registered_load("far", &found, &err), 0);
    assert_string_equal(found.context, "c");
    assert_string_equal(found.server, "https://h");
    assert_string_equal(found.kubeconfig, "/k");
    assert_null(found.provider);
    assert_int_equal(registered_remove("far", &err), 0);
    assert_int_equal(registered_remove("far", &err), 0);
    assert_false(registered_exists("far"));
}

static void test_registered__one_name_one_cluster(void **state UNUSED)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(err_clear) struct err taken = {0};
    CLEANUP(err_clear) struct err twice = {0};
    CLEANUP(registered_done) struct registered first = {.name = xstrdup("far"), .uid = xstrdup("1")};
    CLEANUP(registered_done) struct registered old = {.name = xstrdup("old")};

    assert_int_equal(registered_check_identity("far", "1", &err), 0);
    assert_int_equal(registered_save(&first, &err), 0);
    assert_int_equal(registered_save(&old, &err), 0);
    assert_int_equal(registered_check_identity("far", "1", &err), 0); /* again */
    assert_int_equal(registered_check_identity("old", "2", &err), 0); /* from before this was kept */
    assert_int_equal(registered_check_identity("near", "2", &err), 0);
    assert_int_equal(registered_check_identity("far", "2", &taken), ERR_EXISTS);
    assert_int_equal(registered_check_identity("near", "1", &twice), ERR_EXISTS);
    assert_int_equal(registered_remove("far", &err), 0);
    assert_int_equal(registered_remove("old", &err), 0);
}

static void test_registered__no_such_name(void **state UNUSED)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(err_clear) struct err outside = {0};
    struct registered found;

    assert_int_equal(registered_load("nowhere", &found, &err), ERR_NOT_FOUND);
    assert_int_equal(registered_load("../../etc/passwd", &found, &outside), ERR_NOT_FOUND);
}

static void test_install__namespace_first_and_images_from_elsewhere(void **state UNUSED)
{
    CLEANUP(err_clear) struct err err = {0};
    const struct install_settings settings = {.registry = "registry.example:5000/fks", .tag = "7"};
    CLEANUP(json_free) struct json *objects = NULL;
    const struct json *object;
    size_t deployments = 0;

    assert_int_equal(install_objects(&settings, &objects, &err), 0);
    assert_string_equal(json_str(json_at(objects, 0), "kind", NULL), "Namespace");
    json_each(object, objects)
    {
        if (!streq(json_str(object, "kind", NULL), "Deployment"))
            continue;
        const struct json *container = json_at(json_get(object, "spec", "template", "spec", "containers", NULL), 0);
        CLEANUP(xfree) char *image = xasprintf("registry.example:5000/fks/%s:7", json_str(object, "metadata", "name", NULL));
        assert_string_equal(json_str(container, "image", NULL), image);
        deployments++;
    }
    assert_int_equal(deployments, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registered__kept_listed_removed),
        cmocka_unit_test(test_registered__one_name_one_cluster),
        cmocka_unit_test(test_registered__no_such_name),
        cmocka_unit_test(test_install__namespace_first_and_images_from_elsewhere),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
