/*
 * test_agent_rules.c: the small pure rules of fks-node: back-off, probe verdicts, grace periods, pull secrets,
 * paths and URLs of the kubelet API, names of Nodes, and cgroup files in a folder that stands for /sys/fs/cgroup.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cmd/fks-node/api/api.h"
#include "cmd/fks-node/api/auth.h"
#include "cmd/fks-node/backoff.h"
#include "cmd/fks-node/host/cgroups.h"
#include "cmd/fks-node/host/host.h"
#include "cmd/fks-node/host/nodes.h"
#include "cmd/fks-node/images/pull_secrets.h"
#include "cmd/fks-node/pod/pod.h"
#include "cmd/fks-node/pod/probe_state.h"
#include "test/unit/temporary.h"

/* --- back-off */

static void test_backoff__doubles_to_its_maximum(void **state)
{
    struct backoff backoff = {0};
    static const int64_t want[] = {10000, 20000, 40000, 80000, 160000, 300000, 300000};

    (void)state;
    assert_int_equal(backoff_left_ms(&backoff, 5), 0);
    for (size_t i = 0; i < countof(want); i++) {
        backoff_fail(&backoff, 1000, BACKOFF_RESTART_FIRST_MS, BACKOFF_RESTART_MAX_MS);
        assert_int_equal(backoff_left_ms(&backoff, 1000), want[i]);
    }
    assert_int_equal(backoff_left_ms(&backoff, 300999), 1);
    assert_int_equal(backoff_left_ms(&backoff, 301000), 0);
    backoff_reset(&backoff);
    backoff_fail(&backoff, 0, BACKOFF_RESTART_FIRST_MS, BACKOFF_RESTART_MAX_MS);
    assert_int_equal(backoff.wait_ms, 10000);
}

static void test_backoff__text(void **state)
{
    char text[BACKOFF_TEXT_MAX];

    (void)state;
    backoff_text(10000, text);
    assert_string_equal(text, "10s");
    backoff_text(80000, text);
    assert_string_equal(text, "1m20s");
    backoff_text(300000, text);
    assert_string_equal(text, "5m0s");
}

/* --- probes */

static struct json *parse(const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *json = NULL;

    if (json_parse(text, strlen(text), &json, &err) < 0)
        fail_msg("%s", err_text(&err));
    return json;
}

static void test_probe_state__needs_results_in_a_row(void **state)
{
    CLEANUP(json_free) struct json *probe = parse("{\"failureThreshold\": 2, \"successThreshold\": 3}");
    struct probe_state probe_state;

    (void)state;
    probe_state_init(&probe_state, PROBE_READINESS, probe);
    assert_false(probe_state.healthy);
    assert_false(probe_state_result(&probe_state, true));
    assert_false(probe_state_result(&probe_state, true));
    assert_false(probe_state_result(&probe_state, false)); /* breaks the row */
    assert_false(probe_state_result(&probe_state, true));
    assert_false(probe_state_result(&probe_state, true));
    assert_true(probe_state_result(&probe_state, true));
    assert_true(probe_state.healthy);
    assert_false(probe_state_result(&probe_state, false));
    assert_true(probe_state.healthy);
    assert_true(probe_state_result(&probe_state, false));
    assert_false(probe_state.healthy);
}

static void test_probe_state__defaults(void **state)
{
    struct probe_state probe_state;

    (void)state;
    probe_state_init(&probe_state, PROBE_LIVENESS, NULL);
    assert_true(probe_state.healthy);
    assert_false(probe_state_result(&probe_state, false));
    assert_false(probe_state_result(&probe_state, false));
    assert_true(probe_state_result(&probe_state, false));
    assert_false(probe_state.healthy);
    assert_true(probe_state_result(&probe_state, true));
    assert_true(probe_state.healthy);
}

/* --- grace */

static void test_pod_grace_left__fresh_and_found(void **state)
{
    (void)state;
    assert_int_equal(pod_grace_left(30, 1030, 1000, false), 30);
    assert_int_equal(pod_grace_left(30, 1030, 1100, false), 30); /* clocks that differ must not shorten a fresh one */
    assert_int_equal(pod_grace_left(30, 1030, 1020, true), 10);
    assert_int_equal(pod_grace_left(30, 1030, 2000, true), 1);
    assert_int_equal(pod_grace_left(30, 9000, 1000, true), 30);
    assert_int_equal(pod_grace_left(0, 1000, 1000, false), 0);
}

/* --- pull secrets */

/* Runs rows "a | b | yes|no" of a file through check; one column less if two is false. */
static void each_row(const char *path, bool three, bool (*check)(const char *a, const char *b))
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(strv_done) struct strv lines = {0};
    size_t n = 0;

    if (file_read(path, LIMIT_FILE, &text, &err) < 0)
        fail_msg("%s", err_text(&err));
    strv_split(&lines, buf_text(&text), '\n');
    for (size_t i = 0; i < lines.n; i++) {
        struct str rest = str_of(lines.items[i]), a, b = {"", 0};
        if (rest.len == 0 || rest.p[0] == '#')
            continue;
        (void)str_cut(rest, '|', &a, &rest);
        if (three)
            (void)str_cut(rest, '|', &b, &rest);
        a = str_trim(a);
        b = str_trim(b);
        CLEANUP(xfree) char *a_text = xstrndup(a.p, a.len);
        CLEANUP(xfree) char *b_text = xstrndup(b.p, b.len);
        bool want = str_is(str_trim(rest), "yes");
        assert_true(want || str_is(str_trim(rest), "no"));
        if (check(a_text, b_text) != want)
            fail_msg("%s: %s", path, lines.items[i]);
        n++;
    }
    assert_true(n > 10);
}

static bool is_image(const char *image, const char *ignored)
{
    (void)ignored;
    return pull_secrets_is_image(image);
}

static void test_pull_secrets__tables(void **state)
{
    (void)state;
    each_row("test/cases/pull_secrets.txt", true, pull_secrets_covers);
    each_row("test/cases/image_names.txt", false, is_image);
}

static struct json *secret_of(const char *type, const char *key, const char *text)
{
    CLEANUP(buf_done) struct buf encoded = {0};

    base64_encode(text, strlen(text), &encoded);
    return json_build("{s:s, s:{s:s}}", "type", type, "data", key, buf_text(&encoded));
}

static void test_pull_secrets__reads_both_formats(void **state)
{
    CLEANUP(pull_credentials_done) struct pull_credentials found = {0};
    CLEANUP(json_free) struct json *modern =
        secret_of(
                  "kubernetes.io/dockerconfigjson", ".dockerconfigjson",
                  "{\"auths\":{\"r.io\":{\"auth\":\"dTpwOnE=\"},\"r.io/team\":{\"username\":\"t\",\"password\":\"s\"},"
                  "\"other.io\":{\"username\":\"no\"}}}");
    CLEANUP(json_free) struct json *old =
        secret_of("kubernetes.io/dockercfg", ".dockercfg", "{\"r.io\":{\"username\":\"a\",\"password\":\"b\"}}");
    CLEANUP(json_free) struct json *broken = secret_of("kubernetes.io/dockercfg", ".dockercfg", "{");
    CLEANUP(json_free) struct json *opaque = secret_of("Opaque", ".dockercfg", "{\"r.io\":{\"username\":\"a\"}}");

    (void)state;
    pull_secrets_match(modern, "r.io/team/x", &found);
    assert_int_equal(found.n, 2);
    assert_string_equal(found.items[0].username, "t"); /* the longer match first */
    assert_string_equal(found.items[1].username, "u");
    assert_string_equal(found.items[1].password, "p:q");
    pull_secrets_match(old, "r.io/team/x", &found);
    assert_int_equal(found.n, 3);
    assert_string_equal(found.items[2].password, "b");
    pull_secrets_match(broken, "r.io/team/x", &found);
    pull_secrets_match(opaque, "r.io/team/x", &found);
    pull_secrets_match(NULL, "r.io/team/x", &found);
    assert_int_equal(found.n, 3);
}

/* --- kubelet API */

static void check_target(const char *path, const char *verb, bool with_container, const char *want)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(api_target_done) struct api_target target = {0};
    int result = api_target_parse(str_of(path), verb, with_container, &target, &err);

    if (want == NULL) {
        assert_int_equal(result, ERR_PARSE);
        return;
    }
    assert_int_equal(result, 0);
    CLEANUP(xfree) char *got = xasprintf("%s %s %s", target.namespace, target.pod, strempty(target.container));
    assert_string_equal(got, want);
}

static void test_api_target__paths(void **state)
{
    (void)state;
    check_target("/exec/ns/web/c", "/exec/", true, "ns web c");
    check_target("/exec/ns/web/0123-uid/c", "/exec/", true, "ns web c");
    check_target("/exec/ns/we%62/c", "/exec/", true, "ns web c");
    check_target("/portForward/ns/web", "/portForward/", false, "ns web ");
    check_target("/portForward/ns/web/uid", "/portForward/", false, "ns web ");
    check_target("/exec/ns/web", "/exec/", true, NULL);
    check_target("/exec/ns//c", "/exec/", true, NULL);
    check_target("/exec/ns/a%2fb/c", "/exec/", true, NULL);
    check_target("/exec/ns/web/uid/c/more", "/exec/", true, NULL);
    check_target("/exec/ns/%zz/c", "/exec/", true, NULL);
    check_target("/attach/ns/web/c", "/exec/", true, NULL);
}

static void test_exec_split_url__parts(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *host = NULL;
    CLEANUP(xfree) char *target = NULL;
    CLEANUP(xfree) char *host6 = NULL;
    CLEANUP(xfree) char *target6 = NULL;
    char *none = NULL;
    int port;

    (void)state;
    assert_int_equal(exec_split_url("http://127.0.0.1:4711/exec/abc?x=1", &host, &port, &target, &err), 0);
    assert_string_equal(host, "127.0.0.1");
    assert_int_equal(port, 4711);
    assert_string_equal(target, "/exec/abc?x=1");
    assert_int_equal(exec_split_url("http://[::1]:80/a", &host6, &port, &target6, &err), 0);
    assert_string_equal(host6, "::1");
    assert_int_equal(exec_split_url("https://127.0.0.1/a", &none, &port, &none, &err), ERR_PARSE);
    err_clear(&err);
    assert_true(exec_split_url("http://127.0.0.1:0/a", &none, &port, &none, &err) < 0);
    err_clear(&err);
    assert_int_equal(exec_split_url("http:///a", &none, &port, &none, &err), ERR_PARSE);
}

static void test_auth__who_is_trusted(void **state)
{
    struct tls_peer peer = {0};

    (void)state;
    assert_false(auth_is_trusted(&peer));
    peer.common_name = xstrdup("somebody");
    assert_false(auth_is_trusted(&peer));
    strv_add(&peer.organizations, "system:masters");
    assert_true(auth_is_trusted(&peer));
    tls_peer_done(&peer);
    peer = (struct tls_peer){.common_name = xstrdup("kube-apiserver-kubelet-client")};
    assert_true(auth_is_trusted(&peer));
    tls_peer_done(&peer);
}

/* The kubelet's table, subresources in the order they are asked about. */
static void test_auth__attributes(void **state)
{
    static const struct {
        const char *method, *path, *verb, *first, *second;
    } rows[] = {
        {"GET", "/pods", "get", "pods", "proxy"},
        {"GET", "/pods/", "get", "pods", "proxy"},
        {"GET", "/podsy", "get", "proxy", NULL},
        {"GET", "/runningpods/", "get", "pods", "proxy"},
        {"GET", "/healthz", "get", "healthz", "proxy"},
        {"GET", "/configz", "get", "configz", "proxy"},
        {"GET", "/stats/summary", "get", "stats", NULL},
        {"GET", "/metrics", "get", "metrics", NULL},
        {"GET", "/metrics/resource", "get", "metrics", NULL},
        {"POST", "/exec/ns/p/c", "create", "proxy", NULL},
        {"GET", "/containerLogs/ns/p/c", "get", "proxy", NULL},
        {"GET", "/logs/messages", "get", "log", NULL},
        {"GET", "/statusz", "get", "statusz", NULL},
        {"GET", "/flagz", "get", "configz", NULL},
        {"DELETE", "/x", "delete", "proxy", NULL},
        {"TRACE", "/x", "", "proxy", NULL},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct auth_attributes attributes;

        auth_attributes_of(str_of(rows[i].method), str_of(rows[i].path), &attributes);
        assert_string_equal(attributes.verb, rows[i].verb);
        assert_string_equal(attributes.subresources[0], rows[i].first);
        assert_int_equal(attributes.n, rows[i].second != NULL ? 2 : 1);
        if (rows[i].second != NULL)
            assert_string_equal(attributes.subresources[1], rows[i].second);
    }
}

/* --- Nodes */

static void test_node_name__carries_the_address(void **state)
{
    CLEANUP(xfree) char *plain = node_name_for("fargate-ip-", "10.0.0.7", NULL, "eu-west-1");
    CLEANUP(xfree) char *suffixed = node_name_for("fks-ip-", "10.0.0.7", "ab12", "eu-west-1");
    CLEANUP(xfree) char *v6 = node_name_for("fargate-ip-", "fd00::7", NULL, "r");

    (void)state;
    assert_string_equal(plain, "fargate-ip-10-0-0-7.eu-west-1.compute.internal");
    assert_string_equal(suffixed, "fks-ip-10-0-0-7-ab12.eu-west-1.compute.internal");
    assert_string_equal(v6, "fargate-ip-fd00--7.r.compute.internal");
}

/* --- cgroups */

static void expect_file(const char *folder, const char *path, const char *want)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(xfree) char *full = path_join(folder, path, NULL);

    if (file_read(full, KIB(4), &text, &err) < 0)
        fail_msg("%s", err_text(&err));
    assert_memory_equal(buf_text(&text), want, strlen(want));
}

static void test_cgroups__v2_files(void **state)
{
    CLEANUP(temporary_remove) char *mount = temporary_folder();
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(cgroups_free) struct cgroups *cgroups = NULL;

    (void)state;
    temporary_file(mount, "cgroup.controllers", "cpu memory\n");
    assert_int_equal(cgroups_new(mount, "fks", &cgroups, &err), 0);
    CLEANUP(xfree) char *path = cgroups_path(cgroups, "u-1");
    assert_string_equal(path, "/fks/podu-1");
    /* the kernel makes these with the folder */
    temporary_file(mount, "fks/podu-1/memory.max", "max\n");
    temporary_file(mount, "fks/podu-1/cpu.max", "max\n");
    assert_int_equal(cgroups_make(cgroups, "u-1", 536870912, &err), 0);
    expect_file(mount, "fks/podu-1/memory.max", "536870912");
    assert_int_equal(cgroups_limit_cpu(cgroups, "u-1", 250, &err), 0);
    expect_file(mount, "fks/podu-1/cpu.max", "25000 100000");
    assert_int_equal(cgroups_limit_cpu(cgroups, "u-1", 1, &err), 0);
    expect_file(mount, "fks/podu-1/cpu.max", "1000 100000"); /* the kernel's least */
    assert_int_equal(cgroups_remove(cgroups, "absent", &err), 0);
    assert_true(cgroups_limit_cpu(cgroups, "absent", 250, &err) < 0);
}

static void test_cgroups__v1_files(void **state)
{
    CLEANUP(temporary_remove) char *mount = temporary_folder();
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(cgroups_free) struct cgroups *cgroups = NULL;

    (void)state;
    temporary_file(mount, "cpu/x", "");
    temporary_file(mount, "memory/x", "");
    assert_int_equal(cgroups_new(mount, "/fks", &cgroups, &err), 0);
    temporary_file(mount, "memory/fks/podu/memory.limit_in_bytes", "-1\n");
    temporary_file(mount, "cpu/fks/podu/cpu.cfs_quota_us", "-1\n");
    temporary_file(mount, "cpu/fks/podu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cgroups_make(cgroups, "u", 1048576, &err), 0);
    expect_file(mount, "memory/fks/podu/memory.limit_in_bytes", "1048576");
    assert_int_equal(cgroups_limit_cpu(cgroups, "u", 2000, &err), 0);
    expect_file(mount, "cpu/fks/podu/cpu.cfs_quota_us", "200000");
}

static void test_cgroups__containers(void **state)
{
    CLEANUP(temporary_remove) char *mount = temporary_folder();
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(cgroups_free) struct cgroups *cgroups = NULL;
    int status;

    (void)state;
    temporary_file(mount, "cgroup.controllers", "cpu memory\n");
    assert_int_equal(cgroups_new(mount, "fks", &cgroups, &err), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    CLEANUP(xfree) char *processes = xasprintf("%d\n", (int)pid);
    temporary_file(mount, "fks/podu/running/cgroup.procs", processes);
    temporary_file(mount, "fks/podu/ended/cgroup.procs", "");
    temporary_file(mount, "fks/podu/elsewhere/cgroup.procs", "0\n"); /* of another pid namespace */
    assert_true(cgroups_container_lives(cgroups, "u", "running"));
    assert_true(cgroups_container_lives(cgroups, "u", "elsewhere"));
    assert_false(cgroups_container_lives(cgroups, "u", "ended"));
    assert_false(cgroups_container_lives(cgroups, "u", "absent"));
    assert_false(cgroups_container_lives(cgroups, "u", ""));
    assert_false(cgroups_container_lives(cgroups, "v", "../podu/running"));
    cgroups_container_kill(cgroups, "u", "elsewhere"); /* nobody: not ourselves, nor our group */
    cgroups_container_kill(cgroups, "u", "running");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void test_cgroups__no_cgroups(void **state)
{
    CLEANUP(temporary_remove) char *mount = temporary_folder();
    CLEANUP(err_clear) struct err err = {0};
    struct cgroups *cgroups = NULL;

    (void)state;
    assert_int_equal(cgroups_new(mount, "fks", &cgroups, &err), ERR_NOT_FOUND);
    err_clear(&err);
    assert_int_equal(cgroups_new(mount, "..", &cgroups, &err), ERR_INVALID);
    err_clear(&err);
    assert_int_equal(cgroups_new(mount, "/", &cgroups, &err), ERR_INVALID);
}

/* --- Leases */

static void test_agent__renewals_never_go_back(void **state)
{
    struct agent agent = {0};
    int64_t first = agent_renew_ns(&agent, 0), ahead = first + 3600000000000;

    (void)state;
    assert_true(first > 0);
    assert_true(agent_renew_ns(&agent, 0) > first);
    agent.renewed_ns = ahead; /* the clock was an hour ahead until now */
    assert_int_equal(agent_renew_ns(&agent, 0), ahead + 1000);
    assert_int_equal(agent_renew_ns(&agent, 0), ahead + 2000);
    assert_int_equal(agent_renew_ns(&agent, ahead + 5000), ahead + 6000);
}

/* --- runtime handlers */

static void expect_handlers(const struct cri_handler *listed, size_t n, const char *config, const char *want)
{
    CLEANUP(json_free) struct json *handlers = host_runtime_handlers(listed, n, config);
    CLEANUP(buf_done) struct buf text = {0};

    json_print(handlers, &text);
    assert_string_equal(buf_text(&text), want);
}

static void test_host__runtime_handlers(void **state)
{
    static const char config[] = "{\"containerd\":{\"runtimes\":{\"kata\":{},\"runc\":{\"runtimeType\":\"x\"}}}}";

    (void)state;
    const struct cri_handler listed[] = {{.name = ""}, {.name = "runc"}, {.name = "runsc"}};
    expect_handlers(listed, 3, config, "[\"runc\",\"runsc\"]");
    expect_handlers(listed, 1, config, "[\"kata\",\"runc\"]");
    expect_handlers(NULL, 0, NULL, "[]");
    expect_handlers(NULL, 0, "{\"containerd\":", "[]");
    expect_handlers(NULL, 0, "{\"containerd\":[1]}", "[]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff__doubles_to_its_maximum),
        cmocka_unit_test(test_backoff__text),
        cmocka_unit_test(test_probe_state__needs_results_in_a_row),
        cmocka_unit_test(test_probe_state__defaults),
        cmocka_unit_test(test_pod_grace_left__fresh_and_found),
        cmocka_unit_test(test_pull_secrets__tables),
        cmocka_unit_test(test_pull_secrets__reads_both_formats),
        cmocka_unit_test(test_api_target__paths),
        cmocka_unit_test(test_exec_split_url__parts),
        cmocka_unit_test(test_auth__who_is_trusted),
        cmocka_unit_test(test_auth__attributes),
        cmocka_unit_test(test_node_name__carries_the_address),
        cmocka_unit_test(test_cgroups__v2_files),
        cmocka_unit_test(test_cgroups__v1_files),
        cmocka_unit_test(test_cgroups__containers),
        cmocka_unit_test(test_cgroups__no_cgroups),
        cmocka_unit_test(test_agent__renewals_never_go_back),
        cmocka_unit_test(test_host__runtime_handlers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
