/* kubeconfig.h: loading, merging, overrides, plugins, writing; each test in a folder of its own. */
#include "kube/kubeconfig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/yaml.h"
#include "temporary.h"

#define BASIC                                                                                                          \
    "apiVersion: v1\nkind: Config\ncurrent-context: one\n"                                                             \
    "clusters:\n- name: c1\n  cluster: {server: 'https://10.0.0.1:6443/', certificate-authority-data: Y2E=}\n"         \
    "- name: c2\n  cluster: {server: 'https://10.0.0.2:6443', insecure-skip-tls-verify: true}\n"                       \
    "contexts:\n- name: one\n  context: {cluster: c1, user: u1, namespace: apps}\n"                                    \
    "- name: two\n  context: {cluster: c2, user: u2}\n"                                                                \
    "users:\n- name: u1\n  user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}\n"                         \
    "- name: u2\n  user: {token: t0k3n}\n"

static int setup(void **state)
{
    char *folder = temporary_folder();
    unsetenv("KUBECONFIG");
    unsetenv("KUBERNETES_MASTER");
    unsetenv("KUBERNETES_SERVICE_HOST");
    setenv("HOME", folder, 1);
    *state = folder;
    return 0;
}

static int teardown(void **state)
{
    temporary_remove(*state);
    return 0;
}

static char *write_file(void **state, const char *name, const char *text)
{
    struct err err = {0};
    char *path = path_join(*state, name, NULL);
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, &err), 0);
    return path;
}

/* Loads and expects this code and text; config is thrown away. */
static void expect_error(const struct kube_overrides *overrides, int code, const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(kube_config_done) struct kube_config config = {0};
    assert_int_equal(kube_config_load(overrides, &config, &err), code);
    if (strstr(err_text(&err), text) == NULL)
        fail_msg("'%s' is not in '%s'", text, err_text(&err));
    assert_null(config.server);
}

static void load(const struct kube_overrides *overrides, struct kube_config *ret)
{
    CLEANUP(err_clear) struct err err = {0};
    if (kube_config_load(overrides, ret, &err) < 0)
        fail_msg("%s", err_text(&err));
}

static void test_load__current_context(void **state)
{
    CLEANUP(xfree) char *path = write_file(state, "config", BASIC);
    CLEANUP(kube_config_done) struct kube_config config = {0};
    load(&(struct kube_overrides){.kubeconfig = path, .request_timeout_ms = 7}, &config);
    assert_string_equal(config.server, "https://10.0.0.1:6443");
    assert_string_equal(config.ca_pem, "ca");
    assert_string_equal(config.cert_pem, "cert");
    assert_string_equal(config.key_pem, "key");
    assert_string_equal(config.namespace, "apps");
    assert_string_equal(config.context, "one");
    assert_string_equal(config.cluster_name, "c1");
    assert_string_equal(config.user_name, "u1");
    assert_int_equal(config.request_timeout_ms, 7);
    assert_false(config.insecure);
}

static void test_load__overrides(void **state)
{
    CLEANUP(xfree) char *path = write_file(state, "config", BASIC);
    CLEANUP(kube_config_done) struct kube_config config = {0};
    struct kube_overrides overrides = {.kubeconfig = path, .context = "two", .namespace = "other", .as = "jane"};
    strv_add(&overrides.as_groups, "dev");
    load(&overrides, &config);
    strv_done(&overrides.as_groups);
    assert_string_equal(config.server, "https://10.0.0.2:6443");
    assert_true(config.insecure);
    assert_string_equal(config.token, "t0k3n");
    assert_string_equal(config.namespace, "other");
    assert_string_equal(config.as, "jane");
    assert_string_equal(config.as_groups.items[0], "dev");
}

static void test_load__cluster_user_server(void **state)
{
    CLEANUP(xfree) char *path = write_file(state, "config", BASIC);
    CLEANUP(kube_config_done) struct kube_config config = {0};
    load(&(struct kube_overrides){.kubeconfig = path, .cluster = "c1", .user = "u2", .server = "https://h:1"}, &config);
    assert_string_equal(config.server, "https://h:1");
    assert_string_equal(config.token, "t0k3n");
    assert_null(config.cert_pem);
    assert_string_equal(config.ca_pem, "ca");
}

static void test_load__insecure_override_drops_ca(void **state)
{
    CLEANUP(xfree) char *path = write_file(state, "config", BASIC);
    CLEANUP(kube_config_done) struct kube_config config = {0};
    load(&(struct kube_overrides){.kubeconfig = path, .insecure_skip_tls_verify = true}, &config);
    assert_true(config.insecure);
    assert_null(config.ca_pem);
}

static void test_load__nothing_is_localhost(void **state)
{
    CLEANUP(kube_config_done) struct kube_config config = {0};
    (void)state;
    load(NULL, &config);
    assert_string_equal(config.server, "http://localhost:8080");
    assert_string_equal(config.namespace, "default");
}

static void test_load__http_reads_no_credentials(void **state)
{
    CLEANUP(xfree) char *path = write_file(state, "config", BASIC);
    CLEANUP(kube_config_done) struct kube_config config = {0};
    load(&(struct kube_overrides){.kubeconfig = path, .context = "two", .server = "10.0.0.9:8080"}, &config);
    assert_string_equal(config.server, "http://10.0.0.9:8080");
    assert_null(config.token);
}

static void test_load__missing_names(void **state)
{
    CLEANUP(xfree) char *path = write_file(state, "config", BASIC);
    expect_error(&(struct kube_overrides){.kubeconfig = path, .context = "x"}, ERR_NOT_FOUND,
                 "context was not found for specified context: x");
    expect_error(&(struct kube_overrides){.kubeconfig = path, .cluster = "x"}, ERR_NOT_FOUND,
                 "no server found for cluster \"x\"");
    expect_error(&(struct kube_overrides){.kubeconfig = path, .user = "x"}, ERR_NOT_FOUND,
                 "auth info \"x\" does not exist");
    expect_error(&(struct kube_overrides){.kubeconfig = "/nonexistent/f"}, ERR_NOT_FOUND,
                 "stat /nonexistent/f: no such file or directory");
}

static void test_load__broken_files(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"a: [\n", "yaml: line"},
        {"apiVersion: v-1\nkind: Config\n", "no kind \"Config\" is registered for version \"v-1\""},
        {"apiVersion: v1\nkind: Pod\n", "no kind \"Pod\" is registered for version \"v1\""},
        {"clusters: {a: b}\n", "cannot unmarshal object into Go struct field Config.clusters"},
        {"users:\n- name: a\n- name: a\n", "duplicate name \"a\""},
        {"- a\n", "cannot unmarshal array"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        CLEANUP(xfree) char *path = write_file(state, "config", cases[i].text);
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(kube_config_done) struct kube_config config = {0};
        CLEANUP(xfree) char *prefix = xasprintf("error loading config file \"%s\": ", path);
        assert_true(kube_config_load(&(struct kube_overrides){.kubeconfig = path}, &config, &err) < 0);
        assert_true(starts_with(err_text(&err), prefix));
        if (strstr(err_text(&err), cases[i].error) == NULL)
            fail_msg("'%s' is not in '%s'", cases[i].error, err_text(&err));
    }
}

static void test_load__invalid_configuration(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"current-context: gone\n", "context was not found for specified context: gone"},
        {"current-context: a\ncontexts: [{name: a, context: {user: u}}]\n"
         "users: [{name: u, user: {client-certificate-data: YQ==}}]\n",
         "client-key-data or client-key must be specified for u to use the clientCert authentication method."},
        {"current-context: a\ncontexts: [{name: a, context: {user: u}}]\nusers: [{name: u, user: {token: t, username: joe}}]\n",
         "more than one authentication method found for u; found [token basicAuth], only one is allowed"},
        {"current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n"
         "clusters: [{name: c, cluster: {certificate-authority: /nonexistent/ca}}]\n",
         "unable to read certificate-authority /nonexistent/ca for c due to open /nonexistent/ca: no such file or directory"},
        {"current-context: a\ncontexts: [{name: a, context: {user: u}}]\nusers: [{name: u, user: {exec: {command: x, "
         "apiVersion: client.authentication.k8s.io/v1}}}]\n",
         "interactiveMode must be specified for u to use exec authentication plugin"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        CLEANUP(xfree) char *path = write_file(state, "config", cases[i].text);
        expect_error(&(struct kube_overrides){.kubeconfig = path}, ERR_INVALID, cases[i].error);
    }
}

static void test_load__ca_and_insecure(void **state)
{
    CLEANUP(xfree) char *path = write_file(state, "config", "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://h', insecure-skip-tls-verify: true, "
        "certificate-authority-data: Y2E=}}]\n");
    expect_error(&(struct kube_overrides){.kubeconfig = path}, ERR_INVALID,
                 "specifying a root certificates file with the insecure flag is not allowed");
}

static void test_load__relative_files(void **state)
{
    CLEANUP(xfree) char *ca = write_file(state, "ca.crt", "the ca");
    CLEANUP(xfree) char *token = write_file(state, "token", "from-file\n");
    CLEANUP(xfree) char *path = write_file(state, "config", "current-context: a\n"
        "contexts: [{name: a, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://h', certificate-authority: ca.crt, tls-server-name: api}}]\n"
        "users: [{name: u, user: {tokenFile: ./token}}]\n");
    CLEANUP(kube_config_done) struct kube_config config = {0};
    load(&(struct kube_overrides){.kubeconfig = path}, &config);
    assert_string_equal(config.ca_pem, "the ca");
    assert_string_equal(config.token, "from-file");
    assert_string_equal(config.tls_server_name, "api");
    assert_true(config.token_file[0] == '/');
}

static void test_load__merge_first_wins(void **state)
{
    CLEANUP(xfree) char *a = write_file(state, "a", "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\n");
    CLEANUP(xfree) char *b = write_file(state, "b", "current-context: y\ncontexts: [{name: x, context: {cluster: d}}, "
        "{name: y, context: {}}]\nclusters: [{name: c, cluster: {server: 'https://c'}}]\n");
    CLEANUP(xfree) char *list = xasprintf("%s:%s/absent::%s", a, (char *)*state, b);
    CLEANUP(kube_config_done) struct kube_config config = {0};
    CLEANUP(json_free) struct json *raw = NULL;
    CLEANUP(err_clear) struct err err = {0};
    setenv("KUBECONFIG", list, 1);
    load(NULL, &config);
    assert_string_equal(config.context, "x");
    assert_string_equal(config.server, "https://c");
    assert_int_equal(kube_config_raw(NULL, &raw, &err), 0);
    assert_int_equal(json_len(json_get(raw, "contexts", NULL)), 2);
    assert_string_equal(json_str(raw, "current-context", NULL), "x");
}

static char *exec_config(void **state, const char *version, const char *script)
{
    CLEANUP(xfree) char *plugin = write_file(state, "plugin", script);
    assert_int_equal(chmod(plugin, 0700), 0);
    CLEANUP(xfree) char *text = xasprintf("current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://h', insecure-skip-tls-verify: true}}]\n"
        "users: [{name: u, user: {exec: {apiVersion: '%s', command: ./plugin, args: [x], interactiveMode: Never,\n"
        "  provideClusterInfo: true, installHint: get it, env: [{name: EXTRA, value: more}]}}}]\n", version);
    return write_file(state, "config", text);
}

#define EXEC_V1 "client.authentication.k8s.io/v1"

static void test_exec__token(void **state)
{
    CLEANUP(xfree) char *path = exec_config(state, EXEC_V1,
        "#!/bin/sh\nprintf '%s' \"$KUBERNETES_EXEC_INFO\" > \"$(dirname \"$0\")/info\"\n"
        "echo '{\"apiVersion\":\"" EXEC_V1 "\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"'$1-$EXTRA'\"}}'\n");
    CLEANUP(kube_config_done) struct kube_config config = {0};
    CLEANUP(xfree) char *info_path = path_join(*state, "info", NULL);
    CLEANUP(buf_done) struct buf info = {0};
    CLEANUP(json_free) struct json *json = NULL;
    struct err err = {0};
    load(&(struct kube_overrides){.kubeconfig = path}, &config);
    assert_string_equal(config.token, "x-more");
    assert_int_equal(file_read(info_path, 10000, &info, &err), 0);
    assert_int_equal(json_parse(info.data, info.len, &json, &err), 0);
    assert_string_equal(json_str(json, "apiVersion", NULL), EXEC_V1);
    assert_string_equal(json_str(json, "spec", "cluster", "server", NULL), "https://h");
    assert_false(json_bool_or(true, json, "spec", "interactive", NULL));
}

static void test_exec__failures(void **state)
{
    static const struct {
        const char *version, *script, *error;
    } cases[] = {
        {EXEC_V1, "#!/bin/sh\nexit 3\n", "getting credentials: exec: executable"},
        {EXEC_V1, "#!/bin/sh\nexit 3\n", "failed with exit code 3"},
        {EXEC_V1, "#!/bin/sh\necho nonsense\n", "getting credentials: decoding stdout"},
        {EXEC_V1, "#!/bin/sh\necho '{\"apiVersion\":\"" EXEC_V1 "beta1\",\"kind\":\"ExecCredential\"}'\n",
         "exec plugin is configured to use API version " EXEC_V1 ", plugin returned version " EXEC_V1 "beta1"},
        {EXEC_V1, "#!/bin/sh\necho '{\"apiVersion\":\"" EXEC_V1 "\",\"kind\":\"ExecCredential\"}'\n",
         "exec plugin didn't return a status field"},
        {EXEC_V1, "#!/bin/sh\necho '{\"apiVersion\":\"" EXEC_V1 "\",\"kind\":\"ExecCredential\",\"status\":{}}'\n",
         "exec plugin didn't return a token or cert/key pair"},
        {"example.com/v1", "#!/bin/sh\n", "exec plugin: invalid apiVersion \"example.com/v1\""},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        CLEANUP(xfree) char *path = exec_config(state, cases[i].version, cases[i].script);
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(kube_config_done) struct kube_config config = {0};
        assert_true(kube_config_load(&(struct kube_overrides){.kubeconfig = path}, &config, &err) < 0);
        if (strstr(err_text(&err), cases[i].error) == NULL)
            fail_msg("'%s' is not in '%s'", cases[i].error, err_text(&err));
        assert_string_equal(err.reason, "ExecCredential");
    }
}

static void test_exec__not_found_and_token_wins(void **state)
{
    CLEANUP(xfree) char *path = exec_config(state, EXEC_V1, "");
    CLEANUP(xfree) char *plugin = path_join(*state, "plugin", NULL);
    CLEANUP(kube_config_done) struct kube_config config = {0};
    assert_int_equal(unlink(plugin), 0);
    expect_error(&(struct kube_overrides){.kubeconfig = path}, ERR_NOT_FOUND, "plugin: no such file or directory");
    load(&(struct kube_overrides){.kubeconfig = path, .token = "mine"}, &config);
    assert_string_equal(config.token, "mine");
}

/* Looked for in PATH: what to read about plugins, then what this one's author says. */
static void test_exec__not_installed(void **state)
{
    CLEANUP(xfree)
    char *path = write_file(state, "config",
                            "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
                            "clusters: [{name: c, cluster: {server: 'https://h'}}]\n"
                            "users: [{name: u, user: {exec: {apiVersion: " EXEC_V1 ", command: no-such-plugin-here,\n"
                            "  interactiveMode: Never, installHint: get it}}}]\n");
    const struct kube_overrides overrides = {.kubeconfig = path};
    expect_error(&overrides, ERR_NOT_FOUND, "exec: executable no-such-plugin-here not found\n\nIt looks like");
    expect_error(&overrides, ERR_NOT_FOUND, "#client-go-credential-plugins\n\nget it");
}

static void test_in_cluster__needs_environment(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(kube_config_done) struct kube_config config = {0};
    (void)state;
    assert_int_equal(kube_config_in_cluster(&config, &err), ERR_NOT_FOUND);
}

static struct json *read_yaml(const char *path)
{
    CLEANUP(buf_done) struct buf text = {0};
    struct json *json = NULL;
    struct err err = {0};
    assert_int_equal(file_read(path, 100000, &text, &err), 0);
    assert_int_equal(yaml_parse(text.data, text.len, &json, &err), 0);
    return json;
}

static void test_write_entry__new_file(void **state)
{
    struct err err = {0};
    struct stat status;
    CLEANUP(xfree) char *path = kube_config_default_path(NULL);
    CLEANUP(kube_config_done) struct kube_config config = {0};
    struct kube_config_entry entry = {.cluster_name = "dev", .user_name = "admin@dev", .context_name = "dev",
                                      .namespace = "n", .server = "https://1.2.3.4:5", .ca_pem = "CA", .cert_pem = "C",
                                      .key_pem = "K", .set_current = true};
    assert_true(starts_with(path, *state));
    assert_int_equal(kube_config_write_entry(path, &entry, &err), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    load(NULL, &config);
    assert_string_equal(config.server, "https://1.2.3.4:5");
    assert_string_equal(config.ca_pem, "CA");
    assert_string_equal(config.key_pem, "K");
    assert_string_equal(config.namespace, "n");
}

static void test_write_entry__keeps_the_rest(void **state)
{
    struct err err = {0};
    CLEANUP(xfree) char *path = write_file(state, "config", BASIC "extra: {kept: 1}\n");
    struct kube_config_entry entry = {.cluster_name = "c2", .user_name = "u2", .context_name = "three",
                                      .server = "https://new", .ca_pem = "CA", .cert_pem = "C", .key_pem = "K"};
    assert_int_equal(kube_config_write_entry(path, &entry, &err), 0);
    CLEANUP(json_free) struct json *json = read_yaml(path);
    assert_int_equal(json_int_or(0, json, "extra", "kept", NULL), 1);
    assert_string_equal(json_str(json, "current-context", NULL), "one");
    assert_int_equal(json_len(json_get(json, "clusters", NULL)), 2);
    assert_int_equal(json_len(json_get(json, "contexts", NULL)), 3);
    const struct json *cluster = json_get(json_at(json_get(json, "clusters", NULL), 1), "cluster", NULL);
    assert_string_equal(json_str(cluster, "server", NULL), "https://new");
    assert_null(json_get(cluster, "insecure-skip-tls-verify", NULL));
    assert_null(json_get(json_at(json_get(json, "users", NULL), 1), "user", "token", NULL));
    assert_string_equal(json_str(json_at(json_get(json, "users", NULL), 0), "user", "client-key-data", NULL), "a2V5");
}

static void test_write_entry__through_link(void **state)
{
    struct err err = {0};
    struct stat status;
    CLEANUP(xfree) char *path = write_file(state, "real", BASIC);
    CLEANUP(xfree) char *link = path_join(*state, "link", NULL);
    struct kube_config_entry entry = {.cluster_name = "n", .user_name = "n", .context_name = "n", .server = "https://n"};
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(kube_config_write_entry(link, &entry, &err), 0);
    assert_int_equal(lstat(link, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
}

static void test_write_entry__broken_file_stays(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *path = write_file(state, "config", "a: [\n");
    CLEANUP(buf_done) struct buf text = {0};
    struct kube_config_entry entry = {.cluster_name = "n", .user_name = "n", .context_name = "n", .server = "https://n"};
    assert_int_equal(kube_config_write_entry(path, &entry, &err), ERR_PARSE);
    err_clear(&err);
    assert_int_equal(file_read(path, 100, &text, &err), 0);
    assert_string_equal(buf_text(&text), "a: [\n");
}

static void test_remove_entry(void **state)
{
    struct err err = {0};
    CLEANUP(xfree) char *path = write_file(state, "config", BASIC);
    CLEANUP(xfree) char *absent = path_join(*state, "absent", NULL);
    assert_int_equal(kube_config_remove_entry(path, "c1", "u1", "one", &err), 0);
    assert_int_equal(kube_config_remove_entry(path, "c1", "u1", "one", &err), 0);
    assert_int_equal(kube_config_remove_entry(absent, "c1", "u1", "one", &err), 0);
    assert_false(file_exists(absent));
    CLEANUP(json_free) struct json *json = read_yaml(path);
    assert_int_equal(json_len(json_get(json, "clusters", NULL)), 1);
    assert_int_equal(json_len(json_get(json, "users", NULL)), 1);
    assert_int_equal(json_len(json_get(json, "contexts", NULL)), 1);
    assert_string_equal(json_str(json, "current-context", NULL), "");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_load__current_context),
        CASE(test_load__overrides),
        CASE(test_load__cluster_user_server),
        CASE(test_load__insecure_override_drops_ca),
        CASE(test_load__nothing_is_localhost),
        CASE(test_load__http_reads_no_credentials),
        CASE(test_load__missing_names),
        CASE(test_load__broken_files),
        CASE(test_load__invalid_configuration),
        CASE(test_load__ca_and_insecure),
        CASE(test_load__relative_files),
        CASE(test_load__merge_first_wins),
        CASE(test_exec__token),
        CASE(test_exec__failures),
        CASE(test_exec__not_found_and_token_wins),
        CASE(test_exec__not_installed),
        CASE(test_in_cluster__needs_environment),
        CASE(test_write_entry__new_file),
        CASE(test_write_entry__keeps_the_rest),
        CASE(test_write_entry__through_link),
        CASE(test_write_entry__broken_file_stays),
        CASE(test_remove_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
