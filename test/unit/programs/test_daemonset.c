/* What an agent finds out itself, and when it leaves a host: cmd/fks-node/daemonset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cmd/fks-node/daemonset/found.h"
#include "cmd/fks-node/daemonset/leave.h"
#include "cmd/fks-node/host/cgroups.h"
#include "net/pki.h"
#include "test/unit/temporary.h"

static struct json *parse(const char *text)
{
    struct json *json = NULL;
    struct err err = {0};

    assert_int_equal(json_parse(text, strlen(text), &json, &err), 0);
    return json;
}

static void test_found__of_node(void **state)
{
    CLEANUP(found_done) struct found found = {0};
    CLEANUP(json_free) struct json *node =
        parse("{\"metadata\":{\"labels\":{\"topology.kubernetes.io/zone\":\"z-1\",\"topology.kubernetes.io/region\":\"z\"}},"
              "\"spec\":{\"podCIDR\":\"10.2.0.0/24\"}}");
    CLEANUP(json_free) struct json *bare = parse("{\"metadata\":{\"labels\":{\"topology.kubernetes.io/zone\":\"\"}}}");

    (void)state;
    found_of_node(node, &found);
    assert_string_equal(found.zone, "z-1");
    assert_string_equal(found.region, "z");
    assert_string_equal(found.pod_cidr, "10.2.0.0/24");
    found_of_node(bare, &found);
    assert_null(found.zone);
    assert_null(found.region);
    assert_null(found.pod_cidr);
}

static void test_found__certificate(void **state)
{
    CLEANUP(found_done) struct found found = {0};
    CLEANUP(err_clear) struct err err = {0};
    int64_t seconds = 0;

    (void)state;
    assert_int_equal(found_certificate("host-a", "10.0.0.7", &found, &err), 0);
    assert_int_equal(pki_check_pair(found.tls_cert, found.tls_key, &err), 0);
    assert_int_equal(pki_cert_expiry(found.tls_cert, &seconds, &err), 0);
    assert_true(seconds > 365 * 86400);
    assert_int_not_equal(found_certificate("host-a", "no address", &found, &err), 0);
}

static void test_leave__is_wanted(void **state)
{
    CLEANUP(json_free) struct json *here = parse("{\"metadata\":{\"labels\":{\"fks.dev/host\":\"true\",\"pool\":\"a\"}}}");
    CLEANUP(json_free) struct json *elsewhere = parse("{\"metadata\":{\"labels\":{\"fks.dev/host\":\"no\"}}}");
    CLEANUP(json_free) struct json *unlabelled = parse("{\"metadata\":{}}");
    CLEANUP(json_free) struct json *set = parse("{\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\"fks.dev/host\":\"true\"}}}}}");
    CLEANUP(json_free) struct json *any = parse("{\"spec\":{}}");
    CLEANUP(json_free) struct json *ending =
        parse("{\"metadata\":{\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"},\"spec\":{}}");

    (void)state;
    assert_true(leave_is_wanted(set, here));
    assert_false(leave_is_wanted(set, elsewhere));
    assert_false(leave_is_wanted(set, unlabelled));
    assert_true(leave_is_wanted(any, unlabelled));
    assert_true(leave_is_wanted(set, NULL)); /* not known where it is: nothing is taken away */
    assert_false(leave_is_wanted(NULL, here));
    assert_false(leave_is_wanted(ending, here));
}

static void test_leave__folders_of_others(void **state)
{
    static const char *const refused[] = {"/", "", "var/lib", "/var", "/var/", "/var/../etc", "/var/lib/.."};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(leave_check_folder("/var/lib/fks-node", &err), 0);
    assert_int_equal(leave_check_folder("/run/fks", &err), 0);
    for (size_t i = 0; i < countof(refused); i++) {
        assert_int_equal(leave_check_folder(refused[i], &err), ERR_INVALID);
        err_clear(&err);
    }
}

/* --- cgroups without pods of ours in hand */

static void expect_file(const char *folder, const char *name, const char *text)
{
    CLEANUP(xfree) char *path = path_join(folder, name, NULL);
    CLEANUP(buf_done) struct buf found = {0};
    CLEANUP(err_clear) struct err err = {0};

    assert_int_equal(file_read(path, 4096, &found, &err), 0);
    assert_string_equal(buf_text(&found), text);
}

static void test_cgroups__enter_every_hierarchy(void **state)
{
    CLEANUP(temporary_remove) char *v1 = temporary_folder();
    CLEANUP(temporary_remove) char *v2 = temporary_folder();
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    temporary_file(v1, "cpu/cgroup.procs", "");
    temporary_file(v1, "systemd/cgroup.procs", "");
    temporary_file(v1, "other/x", "");
    temporary_file(v1, "cpu/fks/runtime/cgroup.procs", ""); /* which the kernel makes with the folder */
    temporary_file(v1, "systemd/fks/runtime/cgroup.procs", "");
    assert_int_equal(cgroups_enter(v1, "fks/runtime", &err), 0);
    expect_file(v1, "cpu/fks/runtime/cgroup.procs", "0");
    expect_file(v1, "systemd/fks/runtime/cgroup.procs", "0");
    temporary_file(v2, "cgroup.controllers", "cpu\n");
    temporary_file(v2, "fks/runtime/cgroup.procs", "");
    assert_int_equal(cgroups_enter(v2, "fks/runtime", &err), 0);
    expect_file(v2, "fks/runtime/cgroup.procs", "0");
    assert_int_equal(cgroups_enter(v2, "..", &err), ERR_INVALID);
    err_clear(&err);
    assert_int_equal(cgroups_enter(v2, "/", &err), ERR_INVALID);
    err_clear(&err);

    assert_false(cgroups_has_pods(v1, "fks"));
    temporary_file(v1, "systemd/fks/pod-u/x", "");
    assert_true(cgroups_has_pods(v1, "fks"));
    assert_false(cgroups_has_pods(v2, "fks"));
    assert_int_equal(cgroups_end(v1, "absent", &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found__of_node),
        cmocka_unit_test(test_found__certificate),
        cmocka_unit_test(test_leave__is_wanted),
        cmocka_unit_test(test_leave__folders_of_others),
        cmocka_unit_test(test_cgroups__enter_every_hierarchy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
