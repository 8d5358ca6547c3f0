/* test_user_ids.c: ranges of user IDs for pods with a user namespace. */
#include "cmd/fks-node/host/user_ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "test/unit/temporary.h"

static void test_user_ids__parse(void **state)
{
    static const struct {
        const char *text;
        uint32_t first;
    } rows[] = {
        {"{\"uidMappings\":[{\"hostId\":131072,\"containerId\":0,\"length\":65536}],"
         "\"gidMappings\":[{\"hostId\":131072,\"containerId\":0,\"length\":65536}]}", 131072},
        /* the host's own users, half a range, two different ones, one without groups, none */
        {"{\"uidMappings\":[{\"hostId\":0,\"containerId\":0,\"length\":65536}],"
         "\"gidMappings\":[{\"hostId\":0,\"containerId\":0,\"length\":65536}]}", 0},
        {"{\"uidMappings\":[{\"hostId\":65536,\"containerId\":0,\"length\":1}],"
         "\"gidMappings\":[{\"hostId\":65536,\"containerId\":0,\"length\":1}]}", 0},
        {"{\"uidMappings\":[{\"hostId\":65536,\"containerId\":0,\"length\":65536}],"
         "\"gidMappings\":[{\"hostId\":131072,\"containerId\":0,\"length\":65536}]}", 0},
        {"{\"uidMappings\":[{\"hostId\":65536,\"containerId\":0,\"length\":65536}]}", 0},
        {"{\"uidMappings\":[{\"hostId\":70000,\"containerId\":0,\"length\":65536}],"
         "\"gidMappings\":[{\"hostId\":70000,\"containerId\":0,\"length\":65536}]}", 0},
        {"{\"uidMappings\":[{\"hostId\":-65536,\"containerId\":0,\"length\":65536}],"
         "\"gidMappings\":[{\"hostId\":-65536,\"containerId\":0,\"length\":65536}]}", 0},
        {"{\"uidMappings\":[{\"hostId\":9223372036854710272,\"containerId\":0,\"length\":65536}],"
         "\"gidMappings\":[{\"hostId\":9223372036854710272,\"containerId\":0,\"length\":65536}]}", 0},
        {"[]", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        assert_int_equal(user_ids_parse(rows[i].text, strlen(rows[i].text)), rows[i].first);
}

static void make_folder(const char *dir, const char *uid)
{
    CLEANUP(xfree) char *path = path_join(dir, "pods", uid, NULL);
    CLEANUP(err_clear) struct err err = {0};

    assert_int_equal(dir_make(path, 0750, &err), 0);
}

static void test_user_ids__each_pod_its_own_and_kept(void **state)
{
    CLEANUP(temporary_remove) char *dir = temporary_folder();
    CLEANUP(err_clear) struct err err = {0};
    struct cri_id_range a, b, again;

    (void)state;
    struct user_ids *ids = user_ids_new(dir); /* no folder of pods yet */
    assert_int_equal(user_ids_get(ids, "a").length, 0);
    assert_true(user_ids_take(ids, "a", &a, &err) < 0); /* its folder is not there: no record could be kept */
    assert_int_equal(user_ids_get(ids, "a").length, 0);
    err_clear(&err);
    make_folder(dir, "a");
    make_folder(dir, "b");
    assert_int_equal(user_ids_take(ids, "a", &a, &err), 0);
    assert_int_equal(user_ids_take(ids, "b", &b, &err), 0);
    assert_int_equal(a.length, USER_IDS_LENGTH);
    assert_true(a.host_id >= USER_IDS_LENGTH && a.host_id % USER_IDS_LENGTH == 0 && a.host_id != b.host_id);
    assert_int_equal(user_ids_take(ids, "a", &again, &err), 0);
    assert_int_equal(again.host_id, a.host_id);
    user_ids_free(ids);

    ids = user_ids_new(dir); /* the next agent */
    assert_int_equal(user_ids_get(ids, "a").host_id, a.host_id);
    assert_int_equal(user_ids_get(ids, "b").host_id, b.host_id);
    user_ids_give(ids, "a");
    assert_int_equal(user_ids_get(ids, "a").length, 0);
    user_ids_free(ids);
}

static void test_user_ids__a_bad_record_is_not_used(void **state)
{
    CLEANUP(temporary_remove) char *dir = temporary_folder();
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    make_folder(dir, "a");
    CLEANUP(xfree) char *path = path_join(dir, "pods", "a", "userns", NULL);
    assert_int_equal(file_write_atomic(path, "{", 1, 0600, &err), 0);
    struct user_ids *ids = user_ids_new(dir);
    assert_int_equal(user_ids_get(ids, "a").length, 0);
    user_ids_free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_user_ids__parse),
        cmocka_unit_test(test_user_ids__each_pod_its_own_and_kept),
        cmocka_unit_test(test_user_ids__a_bad_record_is_not_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
