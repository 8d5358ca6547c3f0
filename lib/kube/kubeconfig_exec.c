/*
 * kubeconfig_exec.c: credentials from a program (users[].user.exec): client.authentication.k8s.io v1 and v1beta1. The
 * program gets an ExecCredential in KUBERNETES_EXEC_INFO and prints one with a status.
 * https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/proc.h"
#include "kube/kubeconfig_internal.h"

#define GROUP "client.authentication.k8s.io"
#define OUTPUT_MAX MIB(1)

/* The plugin may read the terminal: by its mode, and by whether there is one. */
static int may_interact(const struct json *exec, const char *stdin_user, bool *ret, struct err *err)
{
    const char *mode = json_str_or("IfAvailable", exec, "interactiveMode", NULL);
    bool terminal = stdin_user == NULL && isatty(STDIN_FILENO) == 1;
    if (streq(mode, "Always") && stdin_user != NULL)
        return err_set(err, ERR_INVALID,
                       "exec plugin cannot support interactive mode: standard input is unavailable: %s", stdin_user);
    if (streq(mode, "Always") && !terminal)
        return err_set(err, ERR_INVALID, "exec plugin cannot support interactive mode: standard input is not a terminal");
    *ret = terminal && !streq(mode, "Never");
    return 0;
}

/* spec.cluster: what the plugin needs to know of the cluster, its configuration extension included. */
static struct json *cluster_info(const struct json *cluster, const struct kube_config *config)
{
    const struct json *extension;
    const char *name = json_str(cluster, "tls-server-name", NULL);
    const char *data = json_str(cluster, "certificate-authority-data", NULL);
    struct json *info = json_build("{s:s}", "server", config->server);
    if (strempty(name)[0] != '\0')
        json_set_str(info, "tls-server-name", name);
    if (config->insecure)
        json_set_bool(info, "insecure-skip-tls-verify", true);
    if (strempty(data)[0] != '\0') {
        json_set_str(info, "certificate-authority-data", data);
    } else if (config->ca_pem != NULL) {
        CLEANUP(buf_done) struct buf encoded = {0};
        base64_encode(config->ca_pem, strlen(config->ca_pem), &encoded);
        json_set_str(info, "certificate-authority-data", buf_text(&encoded));
    }
    if (config->proxy_url != NULL)
        json_set_str(info, "proxy-url", config->proxy_url);
    json_each(extension, json_get(cluster, "extensions", NULL)) {
        if (streq(json_str(extension, "name", NULL), GROUP "/exec"))
            json_set(info, "config", json_clone(json_get(extension, "extension", NULL)));
    }
    return info;
}

static int wait_for(pid_t pid, const char *command, struct err *err)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_errno(err, errno, "exec: executable %s", command);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFEXITED(status))
        return err_set(err, ERR_IO, "exec: executable %s failed with exit code %d", command, WEXITSTATUS(status));
    return err_set(err, ERR_IO, "exec: executable %s was ended by signal %d", command, WTERMSIG(status));
}

/* What kubectl's users read and search for when a plugin is missing. */
static const char about_plugins[] =
    "It looks like you are trying to use a client-go credential plugin that is not installed.\n\n"
    "To learn more about this feature, consult the documentation available at:\n"
    "      https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins";

static int run(const struct json *exec, const char *info, bool interactive, struct buf *ret_output, struct err *err)
{
    CLEANUP(strv_done) struct strv argv = {0};
    CLEANUP(strv_done) struct strv env = {0};
    CLEANUP(err_clear) struct err why = {0};
    CLEANUP(fd_close) int in = -1;
    const struct json *item;
    const char *command = json_str(exec, "command", NULL), *hint = json_str_or("", exec, "installHint", NULL);
    strv_add(&argv, command);
    json_each(item, json_get(exec, "args", NULL))
        strv_add(&argv, strempty(json_string_value(item)));
    json_each(item, json_get(exec, "env", NULL))
        strv_addf(&env, "%s=%s", json_str_or("", item, "name", NULL), json_str_or("", item, "value", NULL));
    strv_addf(&env, "KUBERNETES_EXEC_INFO=%s", info);

    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_errno(err, errno, "exec: pipe");
    CLEANUP(fd_close) int output = pipe_fds[0];
    if (interactive)
        in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    struct proc_options options = {
        .argv = (const char *const *)argv.items,
        .extra_env = (const char *const *)env.items,
        .stdin_fd = in,
        .stdout_fd = pipe_fds[1],
        .stderr_fd = -1,
    };
    pid_t pid;
    int spawned = proc_spawn(&options, &pid, &why);
    fd_close(pipe_fds[1]);
    if (spawned < 0) {
        if (why.code == ERR_NOT_FOUND && strchr(command, '/') != NULL)
            return err_set(err, ERR_NOT_FOUND, "exec: fork/exec %s: no such file or directory", command);
        if (why.code == ERR_NOT_FOUND)
            return err_set(err, ERR_NOT_FOUND, "exec: executable %s not found\n\n%s%s%s", command, about_plugins,
                           hint[0] != '\0' ? "\n\n" : "", hint);
        return err_set(err, why.code, "exec: %s", err_text(&why));
    }
    buf_init(ret_output, OUTPUT_MAX);
    int read = fd_read_all(output, ret_output, &why);
    output = fd_close(output); /* a plugin that still writes must not block for ever */
    if (wait_for(pid, command, err) < 0)
        return (int)err->code;
    return read < 0 ? err_set(err, why.code, "exec: reading from %s: %s", command, err_text(&why)) : 0;
}

static int take_status(const char *version, const struct buf *output, struct kube_config *config, struct err *err)
{
    CLEANUP(json_free) struct json *answer = NULL;
    if (json_parse(buf_text(output), output->len, &answer, err) < 0)
        return err_wrap(err, "decoding stdout: couldn't get version/kind; json parse error");
    const char *got = json_str_or("", answer, "apiVersion", NULL);
    const char *kind = json_str_or("ExecCredential", answer, "kind", NULL); /* the configured one unless it says other */
    if (!streq(kind, "ExecCredential"))
        return err_set(err, ERR_PARSE, "decoding stdout: no kind \"%s\" is registered for version \"%s\"",
                       kind, got);
    if (!streq(got, version))
        return err_set(err, ERR_UNSUPPORTED,
                       "exec plugin is configured to use API version %s, plugin returned version %s", version, got);
    const struct json *status = json_get(answer, "status", NULL);
    const char *token = json_str_or("", status, "token", NULL);
    const char *cert = json_str_or("", status, "clientCertificateData", NULL);
    const char *key = json_str_or("", status, "clientKeyData", NULL);
    if (!json_is_object(status))
        return err_set(err, ERR_INVALID, "exec plugin didn't return a status field");
    if (token[0] == '\0' && cert[0] == '\0' && key[0] == '\0')
        return err_set(err, ERR_INVALID, "exec plugin didn't return a token or cert/key pair");
    if ((cert[0] == '\0') != (key[0] == '\0'))
        return err_set(err, ERR_INVALID, "exec plugin returned only certificate or key, not both");
    if (token[0] != '\0')
        config->token = xstrdup(token);
    if (cert[0] != '\0') {
        config->cert_pem = xstrdup(cert);
        config->key_pem = xstrdup(key);
    }
    return 0;
}

/* --- which plugins may be run */

int kube_plugin_policy_check(const struct kube_plugin_policy *policy, struct err *err)
{
    const char *type = strempty(policy->type);
    const struct json *name;
    if (type[0] == '\0' || streq(type, "AllowAll") || streq(type, "DenyAll")) {
        if (policy->allowlist != NULL)
            return err_set(err, ERR_INVALID,
                           "misconfigured credential plugin allowlist: plugin policy is \"%s\" but allowlist is non-nil",
                           type);
        return 0;
    }
    if (!streq(type, "Allowlist"))
        return err_set(err, ERR_INVALID, "unknown plugin policy: \"%s\"", type);
    if (policy->allowlist == NULL)
        return err_set(err, ERR_INVALID, "credential plugin policy set to \"Allowlist\", but allowlist is unspecified");
    if (json_len(policy->allowlist) == 0)
        return err_set(err, ERR_INVALID,
                       "credential plugin policy set to \"Allowlist\", but allowlist is empty; use \"DenyAll\" policy "
                       "instead");
    json_each(name, policy->allowlist) {
        if (strempty(json_string_value(name))[0] == '\0')
            return err_set(err, ERR_INVALID, "misconfigured credential plugin allowlist: empty allowlist entry #%zu",
                           name_index + 1);
    }
    return 0;
}

static char *full_path(const char *command)
{
    CLEANUP(err_clear) struct err ignored = {0};
    char *path = NULL;
    if (strchr(command, '/') != NULL || proc_find(command, &path, &ignored) < 0)
        return xstrdup(command);
    return path;
}

/* A name of the list means the program that PATH finds under it. */
static int check_policy(const struct kube_plugin_policy *policy, const char *command, struct err *err)
{
    const char *type = strempty(policy->type);
    const struct json *name;
    if (streq(type, "DenyAll"))
        return err_set(err, ERR_FORBIDDEN, "plugin \"%s\" not allowed: policy set to \"DenyAll\"", command);
    if (!streq(type, "Allowlist"))
        return 0;
    CLEANUP(xfree) char *path = full_path(command);
    json_each(name, policy->allowlist) {
        CLEANUP(xfree) char *allowed = full_path(strempty(json_string_value(name)));
        if (streq(json_string_value(name), command) || streq(allowed, path))
            return 0;
    }
    return err_set(err, ERR_FORBIDDEN, "plugin path \"%s\" is not permitted by the credential plugin allowlist", path);
}

static int get_credentials(const struct json *exec, const struct json *cluster, const struct kube_overrides *overrides,
                           struct kube_config *config, struct err *err)
{
    const char *version = json_str_or("", exec, "apiVersion", NULL);
    CLEANUP(json_free) struct json *info = NULL;
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(buf_done) struct buf output = {0};
    bool interactive = false;
    if (!streq(version, GROUP "/v1") && !streq(version, GROUP "/v1beta1"))
        return err_set(err, ERR_UNSUPPORTED, "exec plugin: invalid apiVersion \"%s\"", version);
    if (may_interact(exec, overrides->stdin_user, &interactive, err) < 0)
        return (int)err->code;
    info = json_build("{s:s, s:s, s:{s:b}}", "kind", "ExecCredential", "apiVersion", version, "spec", "interactive",
                      (int)interactive);
    if (json_is_true(exec, "provideClusterInfo", NULL))
        json_set(json_edit_member(info, "spec"), "cluster", cluster_info(cluster, config));
    json_print(info, &text);
    if (check_policy(&overrides->plugin_policy, json_str_or("", exec, "command", NULL), err) < 0)
        return (int)err->code;
    if (run(exec, buf_text(&text), interactive, &output, err) < 0)
        return (int)err->code;
    return take_status(version, &output, config, err);
}

int kubeconfig_exec(const struct json *exec, const struct json *cluster, const struct kube_overrides *overrides,
                    struct kube_config *config, struct err *err)
{
    if (get_credentials(exec, cluster, overrides, config, err) == 0)
        return 0;
    if (!starts_with(err_text(err), "exec plugin: invalid apiVersion"))
        (void)err_wrap(err, "getting credentials");
    free(err->reason);
    err->reason = xstrdup("ExecCredential");
    return (int)err->code;
}
