/* test_managed_fields.c: who owns a field; client-side apply's fields handed over to server-side apply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cmd/fks/apply/managed_fields.h"

static struct json *parse(const char *text)
{
    struct json *json = NULL;
    struct err err = {0};
    assert_int_equal(json_parse(text, strlen(text), &json, &err), 0);
    return json;
}

static void check_same(struct json *got, const char *want)
{
    CLEANUP(json_free) struct json *mine = got, *wanted = parse(want);
    CLEANUP(buf_done) struct buf text = {0};
    if (got != NULL)
        json_print(got, &text);
    if (!json_same(mine, wanted))
        fail_msg("want %s, got %s", want, buf_text(&text));
}

static const char *const note[] = {"metadata", "annotations", "note", NULL};

static void test_managed_fields__owners_by_operation(void **state)
{
    (void)state;
    CLEANUP(json_free)
    struct json *object = parse(
        "{\"metadata\":{\"managedFields\":["
        "{\"manager\":\"a\",\"operation\":\"Update\",\"fieldsV1\":{\"f:metadata\":{\"f:annotations\":{\"f:note\":{}}}}}"
        ","
        "{\"manager\":\"b\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:metadata\":{\"f:annotations\":{\"f:note\":{}}}}},"
        "{\"manager\":\"c\",\"operation\":\"Update\",\"fieldsV1\":{\"f:metadata\":{\"f:annotations\":{\".\":{}}}}},"
        "{\"manager\":\"d\",\"operation\":\"Update\"}]}}");
    CLEANUP(strv_done) struct strv update = {0}, apply = {0};
    managed_fields_owners(object, "Update", note, &update);
    managed_fields_owners(object, "Apply", note, &apply);
    assert_int_equal(update.n, 1);
    assert_string_equal(update.items[0], "a");
    assert_int_equal(apply.n, 1);
    assert_string_equal(apply.items[0], "b");
}

static void test_managed_fields__sets_are_united(void **state)
{
    (void)state;
    CLEANUP(json_free)
    struct json *object =
        parse("{\"metadata\":{\"resourceVersion\":\"7\",\"managedFields\":["
              "{\"manager\":\"kubectl\",\"operation\":\"Apply\",\"apiVersion\":\"v1\",\"fieldsV1\":{\"f:data\":{\"f:"
              "a\":{}}}},"
              "{\"manager\":\"old\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"fieldsV1\":{\"f:data\":{\".\":{},"
              "\"f:b\":{}},\"f:x\":{}}},"
              "{\"manager\":\"old\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"subresource\":\"status\","
              "\"fieldsV1\":{\"f:s\":{}}},"
              "{\"manager\":\"other\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"fieldsV1\":{\"f:o\":{}}}]}}");
    CLEANUP(strv_done) struct strv managers = {0};
    strv_add(&managers, "old");
    check_same(managed_fields_upgrade(object, &managers, "kubectl"),
               "[{\"op\":\"replace\",\"path\":\"/metadata/managedFields\",\"value\":["
               "{\"manager\":\"kubectl\",\"operation\":\"Apply\",\"apiVersion\":\"v1\",\"fieldsV1\":{\"f:data\":{\"f:"
               "a\":{},\".\":{},\"f:b\":{}},\"f:x\":{}}},"
               "{\"manager\":\"old\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"subresource\":\"status\","
               "\"fieldsV1\":{\"f:s\":{}}},"
               "{\"manager\":\"other\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"fieldsV1\":{\"f:o\":{}}}]},"
               "{\"op\":\"replace\",\"path\":\"/metadata/resourceVersion\",\"value\":\"7\"}]");
}

static void test_managed_fields__first_takes_the_new_name(void **state)
{
    (void)state;
    CLEANUP(json_free)
    struct json *object =
        parse("{\"metadata\":{\"resourceVersion\":\"7\",\"managedFields\":["
              "{\"manager\":\"old\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"fieldsV1\":{\"f:data\":{}}}]}}");
    CLEANUP(strv_done) struct strv managers = {0}, nobody = {0};
    strv_add(&managers, "old");
    strv_add(&nobody, "absent");
    check_same(managed_fields_upgrade(object, &managers, "kubectl"),
               "[{\"op\":\"replace\",\"path\":\"/metadata/managedFields\",\"value\":["
               "{\"manager\":\"kubectl\",\"operation\":\"Apply\",\"apiVersion\":\"v1\",\"fieldsV1\":{\"f:data\":{}}}]},"
               "{\"op\":\"replace\",\"path\":\"/metadata/resourceVersion\",\"value\":\"7\"}]");
    assert_null(managed_fields_upgrade(object, &nobody, "kubectl"));
    CLEANUP(json_free) struct json *empty = parse("{}");
    assert_null(managed_fields_upgrade(empty, &managers, "kubectl"));
}

static void test_managed_fields__leaf_and_branch(void **state)
{
    (void)state;
    CLEANUP(json_free)
    struct json *object = parse(
        "{\"metadata\":{\"resourceVersion\":\"7\",\"managedFields\":["
        "{\"manager\":\"n\",\"operation\":\"Apply\",\"apiVersion\":\"v1\",\"fieldsV1\":{\"f:a\":{}}},"
        "{\"manager\":\"o\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"fieldsV1\":{\"f:a\":{\"f:b\":{}}}}]}}");
    CLEANUP(strv_done) struct strv managers = {0};
    strv_add(&managers, "o");
    check_same(managed_fields_upgrade(object, &managers, "n"),
               "[{\"op\":\"replace\",\"path\":\"/metadata/managedFields\",\"value\":["
               "{\"manager\":\"n\",\"operation\":\"Apply\",\"apiVersion\":\"v1\",\"fieldsV1\":{\"f:a\":{\".\":{},\"f:"
               "b\":{}}}}]},"
               "{\"op\":\"replace\",\"path\":\"/metadata/resourceVersion\",\"value\":\"7\"}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_managed_fields__owners_by_operation),
        cmocka_unit_test(test_managed_fields__sets_are_united),
        cmocka_unit_test(test_managed_fields__first_takes_the_new_name),
        cmocka_unit_test(test_managed_fields__leaf_and_branch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
