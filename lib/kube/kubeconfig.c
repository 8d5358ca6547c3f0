/*
 * kubeconfig.c: from kubeconfig files and command line overrides to one resolved struct kube_config. The order of checks
 * and the error texts are client-go's (tools/clientcmd), because scripts match them. Reading and merging files is in
 * kubeconfig_files.c, plugins in kubeconfig_exec.c, a pod's service account in kubeconfig_pod.c, writing in
 * kubeconfig_write.c.
 */
#include "kube/kubeconfig.h"

#include <errno.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kube/kubeconfig_internal.h"

#define DEFAULT_SERVER "http://localhost:8080"
#define CREDENTIAL_MAX MIB(1)

static void wipe_free(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void kube_config_done(struct kube_config *config)
{
    free(config->server);
    free(config->ca_pem);
    free(config->cert_pem);
    wipe_free(config->key_pem);
    free(config->tls_server_name);
    wipe_free(config->token);
    free(config->token_file);
    free(config->username);
    wipe_free(config->password);
    free(config->proxy_url);
    free(config->as);
    free(config->as_uid);
    strv_done(&config->as_groups);
    strv_done(&config->as_extra_headers);
    strv_done(&config->as_extra_values);
    free(config->namespace);
    free(config->context);
    free(config->cluster_name);
    free(config->user_name);
    *config = (struct kube_config){0};
}

/* --- choosing entries */

struct chosen {
    const char *context_name, *cluster_name, *user_name; /* "" for none */
    bool context_found;
    const struct json *context; /* or NULL */
    struct json *cluster, *user; /* copies with the overrides applied; never NULL after choose() */
};

static void chosen_done(struct chosen *chosen)
{
    json_free(chosen->cluster);
    json_free(chosen->user);
}
DEFINE_CLEANUP_IN_PLACE(struct chosen, chosen_done)

static bool given(const char *text)
{
    return strempty(text)[0] != '\0';
}

static void override_member(struct json *object, const char *key, const char *value)
{
    if (given(value))
        json_set_str(object, key, value);
}

/* A file given on the command line replaces file and data of the entry. */
static void override_file(struct json *object, const char *key, const char *data_key, const char *value)
{
    if (!given(value))
        return;
    json_set_str(object, key, value);
    json_del(object, data_key);
}

static const char *default_server(void)
{
    const char *master = getenv("KUBERNETES_MASTER");
    return given(master) ? master : DEFAULT_SERVER;
}

static void override_cluster(struct json *cluster, const struct kube_overrides *overrides)
{
    override_member(cluster, "server", overrides->server);
    if (overrides->insecure_skip_tls_verify || given(overrides->certificate_authority)) {
        json_del(cluster, "certificate-authority");
        json_del(cluster, "certificate-authority-data");
        json_set_bool(cluster, "insecure-skip-tls-verify", overrides->insecure_skip_tls_verify);
        override_member(cluster, "certificate-authority", overrides->certificate_authority);
    }
    if (given(overrides->tls_server_name) || given(overrides->server)) {
        json_del(cluster, "tls-server-name");
        override_member(cluster, "tls-server-name", overrides->tls_server_name);
    }
    if (!given(json_str(cluster, "server", NULL)))
        json_set_str(cluster, "server", default_server());
}

/* "key=value" items, equal keys collected, instead of the entry's. */
static void override_extra(struct json *user, const struct strv *items)
{
    if (items->n > 0)
        json_set(user, "as-user-extra", json_new_object());
    for (size_t i = 0; i < items->n; i++) {
        struct str key, value;
        (void)str_cut(str_of(items->items[i]), '=', &key, &value);
        CLEANUP(xfree) char *name = xstrndup(key.p, key.len);
        struct json *all = json_edit(user, "as-user-extra", NULL);
        if (json_member(all, name) == NULL)
            json_set(all, name, json_new_array());
        json_push(json_edit_member(all, name), json_new_string_n(value.p, value.len));
    }
}

static void override_user(struct json *user, const struct kube_overrides *overrides)
{
    override_file(user, "client-certificate", "client-certificate-data", overrides->client_certificate);
    override_file(user, "client-key", "client-key-data", overrides->client_key);
    if (given(overrides->token)) {
        json_set_str(user, "token", overrides->token);
        json_del(user, "tokenFile");
    }
    override_member(user, "username", overrides->username);
    override_member(user, "password", overrides->password);
    override_member(user, "as", overrides->as);
    override_member(user, "as-uid", overrides->as_uid);
    override_extra(user, &overrides->as_user_extra);
    if (overrides->as_groups.n > 0) {
        struct json *groups = json_new_array();
        for (size_t i = 0; i < overrides->as_groups.n; i++)
            json_push(groups, json_new_string(overrides->as_groups.items[i]));
        json_set(user, "as-groups", groups);
    }
}

static struct json *copy_entry(const struct json *entry)
{
    return json_is_object(entry) ? json_clone(entry) : json_new_object();
}

/* Whom to talk to as whom. An entry named on the command line must exist. */
static int choose(const struct json *config, const struct kube_overrides *overrides, struct chosen *ret,
                  struct err *err)
{
    bool forced = given(overrides->context);
    ret->context_name = forced ? overrides->context : json_str_or("", config, "current-context", NULL);
    ret->context = kubeconfig_entry(config, "contexts", ret->context_name, "context");
    ret->context_found = ret->context != NULL;
    ret->cluster_name = given(overrides->cluster) ? overrides->cluster : json_str_or("", ret->context, "cluster", NULL);
    ret->user_name = given(overrides->user) ? overrides->user : json_str_or("", ret->context, "user", NULL);
    const struct json *cluster = kubeconfig_entry(config, "clusters", ret->cluster_name, "cluster");
    const struct json *user = kubeconfig_entry(config, "users", ret->user_name, "user");
    if (forced && !ret->context_found) {
        (void)err_set(err, ERR_NOT_FOUND, "context was not found for specified context: %s", ret->context_name);
        err->reason = xstrdup("InvalidConfiguration");
        return ERR_NOT_FOUND;
    }
    if (user == NULL && given(overrides->user))
        return err_set(err, ERR_NOT_FOUND, "auth info \"%s\" does not exist", ret->user_name);
    if (cluster == NULL && given(overrides->cluster))
        return err_set(err, ERR_NOT_FOUND, "no server found for cluster \"%s\"", ret->cluster_name);
    ret->cluster = copy_entry(cluster);
    ret->user = copy_entry(user);
    override_cluster(ret->cluster, overrides);
    override_user(ret->user, overrides);
    return 0;
}

/* --- checking: all problems at once, as client-go */

static bool has(const struct json *object, const char *key)
{
    return given(json_str(object, key, NULL));
}

static void check_file(struct strv *problems, const struct json *object, const char *key, const char *word,
                       const char *owner)
{
    const char *path = json_str_or("", object, key, NULL);
    if (path[0] != '\0' && access(path, R_OK) != 0)
        strv_addf(problems, "unable to read %s %s for %s due to open %s: %s", word, path, owner, path,
                  errno == ENOENT ? "no such file or directory" : errno == EACCES ? "permission denied" : strerror(errno));
}

static void check_exec(struct strv *problems, const struct json *exec, const char *owner)
{
    const struct json *variable;
    const char *version = json_str_or("", exec, "apiVersion", NULL);
    const char *mode = json_str_or("", exec, "interactiveMode", NULL);
    if (!has(exec, "command"))
        strv_addf(problems, "command must be specified for %s to use exec authentication plugin", owner);
    if (version[0] == '\0')
        strv_addf(problems, "apiVersion must be specified for %s to use exec authentication plugin", owner);
    json_each(variable, json_get(exec, "env", NULL)) {
        if (!has(variable, "name"))
            strv_addf(problems, "env variable name must be specified for %s to use exec authentication plugin", owner);
    }
    if (mode[0] == '\0' && !ends_with(version, "/v1beta1") && !ends_with(version, "/v1alpha1"))
        strv_addf(problems, "interactiveMode must be specified for %s to use exec authentication plugin", owner);
    else if (mode[0] != '\0' && !streq(mode, "Never") && !streq(mode, "IfAvailable") && !streq(mode, "Always"))
        strv_addf(problems, "invalid interactiveMode for %s: \"%s\"", owner, mode);
}

static void check_user(struct strv *problems, const struct json *user, const char *owner)
{
    const struct json *exec = json_get(user, "exec", NULL);
    if (has(user, "client-certificate") || has(user, "client-certificate-data")) {
        if (has(user, "client-certificate") && has(user, "client-certificate-data"))
            strv_addf(problems,
                      "client-cert-data and client-cert are both specified for %s. client-cert-data will override.", owner);
        if (has(user, "client-key") && has(user, "client-key-data"))
            strv_addf(problems,
                      "client-key-data and client-key are both specified for %s; client-key-data will override", owner);
        if (!has(user, "client-key") && !has(user, "client-key-data"))
            strv_addf(problems, "client-key-data or client-key must be specified for %s to use the clientCert "
                      "authentication method.", owner);
        check_file(problems, user, "client-certificate", "client-cert", owner);
        check_file(problems, user, "client-key", "client-key", owner);
    }
    if (json_is_object(exec)) {
        if (json_is_object(json_get(user, "auth-provider", NULL)))
            strv_addf(problems, "authProvider cannot be provided in combination with an exec plugin for %s", owner);
        check_exec(problems, exec, owner);
    }
    if (has(user, "token") && (has(user, "username") || has(user, "password")))
        strv_addf(problems, "more than one authentication method found for %s; found [token basicAuth], only one is allowed",
                  owner);
    if ((has(user, "as-uid") || json_len(json_get(user, "as-groups", NULL)) > 0 ||
         json_len(json_get(user, "as-user-extra", NULL)) > 0) && !has(user, "as"))
        strv_addf(problems, "requesting uid, groups or user-extra for %s without impersonating a user", owner);
}

static void check_cluster(struct strv *problems, const struct json *cluster, const char *owner)
{
    const char *proxy = json_str_or("", cluster, "proxy-url", NULL);
    if (proxy[0] != '\0' && strstr(proxy, "://") == NULL)
        strv_addf(problems, "invalid 'proxy-url' \"%s\" for cluster \"%s\": could not parse: %s", proxy, owner, proxy);
    else if (proxy[0] != '\0' && !starts_with(proxy, "http://") && !starts_with(proxy, "https://") &&
             !starts_with(proxy, "socks5://"))
        strv_addf(problems, "invalid 'proxy-url' \"%s\" for cluster \"%s\": unsupported scheme \"%.*s\", must be http, https, "
                  "or socks5", proxy, owner, (int)strcspn(proxy, ":"), proxy);
    if (has(cluster, "certificate-authority") && has(cluster, "certificate-authority-data"))
        strv_addf(problems, "certificate-authority-data and certificate-authority are both specified for %s. "
                  "certificate-authority-data will override.", owner);
    check_file(problems, cluster, "certificate-authority", "certificate-authority", owner);
}

static int check(const struct chosen *chosen, struct err *err)
{
    CLEANUP(strv_done) struct strv problems = {0};
    if (chosen->context_name[0] != '\0' && !chosen->context_found)
        strv_addf(&problems, "context was not found for specified context: %s", chosen->context_name);
    check_user(&problems, chosen->user, chosen->user_name);
    check_cluster(&problems, chosen->cluster, chosen->cluster_name);
    if (problems.n == 0)
        return 0;
    CLEANUP(xfree) char *all = strv_join(&problems, "\n* ");
    (void)err_set(err, ERR_INVALID, "%s%s", problems.n > 1 ? "* " : "", all);
    err->reason = xstrdup("InvalidConfiguration");
    return (int)err->code;
}

/* --- taking over what is valid */

/* The text of KEY-data (base64), or of the file that KEY names; nothing when both are absent. */
static int credential(const struct json *object, const char *key, char **ret, struct err *err)
{
    CLEANUP(xfree) char *data_key = xasprintf("%s-data", key);
    const char *data = json_str(object, data_key, NULL), *path = json_str(object, key, NULL);
    CLEANUP(buf_done) struct buf text = {.max = CREDENTIAL_MAX};
    if (given(data)) {
        if (base64_decode(data, strlen(data), &text, err) < 0)
            return err_wrap(err, "invalid configuration: %s", data_key);
    } else if (given(path)) {
        buf_done(&text);
        if (file_read(path, CREDENTIAL_MAX, &text, err) < 0)
            return (int)err->code;
    } else {
        return 0;
    }
    free(*ret);
    *ret = buf_take(&text);
    return 0;
}

static int take_tls(const struct json *cluster, struct kube_config *config, struct err *err)
{
    config->insecure = json_is_true(cluster, "insecure-skip-tls-verify", NULL);
    config->tls_server_name = has(cluster, "tls-server-name") ? xstrdup(json_str(cluster, "tls-server-name", NULL)) : NULL;
    if (credential(cluster, "certificate-authority", &config->ca_pem, err) < 0)
        return (int)err->code;
    if (config->insecure && config->ca_pem != NULL)
        return err_set(err, ERR_INVALID, "specifying a root certificates file with the insecure flag is not allowed");
    return 0;
}

static int take_user(const struct chosen *chosen, const struct kube_overrides *overrides, struct kube_config *config,
                     struct err *err)
{
    const struct json *user = chosen->user, *exec = json_get(user, "exec", NULL);
    const char *token_file = json_str(user, "tokenFile", NULL);
    if (has(user, "token"))
        config->token = xstrdup(json_str(user, "token", NULL));
    if (given(token_file)) {
        CLEANUP(buf_done) struct buf text = {0};
        if (config->token == NULL) {
            CLEANUP(err_clear) struct err why = {0};
            if (file_read(token_file, CREDENTIAL_MAX, &text, &why) < 0)
                return access(token_file, R_OK) < 0 ? err_errno(err, errno, "open %s", token_file)
                                                    : err_set(err, why.code, "%s", err_text(&why));
            while (text.len > 0 && strchr("\r\n \t", text.data[text.len - 1]) != NULL)
                buf_truncate(&text, text.len - 1);
            if (text.len == 0)
                return err_set(err, ERR_INVALID, "read empty token from file \"%s\"", token_file);
            config->token = buf_take(&text);
        }
        config->token_file = xstrdup(token_file);
    }
    if (has(user, "username") || has(user, "password")) {
        config->username = xstrdup(json_str_or("", user, "username", NULL));
        config->password = xstrdup(json_str_or("", user, "password", NULL));
    }
    if (has(user, "client-certificate") || has(user, "client-certificate-data")) {
        if (credential(user, "client-certificate", &config->cert_pem, err) < 0 ||
            credential(user, "client-key", &config->key_pem, err) < 0)
            return (int)err->code;
    }
    if (json_is_object(json_get(user, "auth-provider", NULL)))
        return err_set(err, ERR_UNSUPPORTED, "no Auth Provider found for name \"%s\"",
                       json_str_or("", user, "auth-provider", "name", NULL));
    bool known = config->token != NULL || config->username != NULL || config->cert_pem != NULL;
    if (json_is_object(exec) && !known && kubeconfig_exec(exec, chosen->cluster, overrides, config, err) < 0)
        return (int)err->code;
    return 0;
}

/* Header names take the key percent-encoded where a header cannot carry it, as client-go does it. */
static void take_extra(const struct json *extra, struct kube_config *config)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&'*+-.^_`|~";
    const struct json *values, *value;
    void *position = NULL;
    const char *key;
    while (json_next(extra, &position, &key, &values)) {
        CLEANUP(buf_done) struct buf name = {0};
        buf_add_str(&name, "Impersonate-Extra-");
        for (const char *c = key; *c != '\0'; c++) {
            if (strchr(plain, *c) != NULL)
                buf_add_char(&name, *c);
            else
                buf_printf(&name, "%%%02X", (unsigned char)*c);
        }
        json_each(value, values) {
            strv_add(&config->as_extra_headers, buf_text(&name));
            strv_add(&config->as_extra_values, strempty(json_string_value(value)));
        }
    }
}

/* client-go takes a server without scheme for http, and reads credentials only for https. */
static char *server_url(const char *server)
{
    CLEANUP(xfree) char *url = strstr(server, "://") != NULL ? xstrdup(server) : xasprintf("http://%s", server);
    url[strcspn(url, "?#")] = '\0';
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    return xstrndup(url, len);
}

static int resolve(const struct chosen *chosen, const struct kube_overrides *overrides, struct kube_config *config,
                   struct err *err)
{
    const struct json *group;
    config->server = server_url(json_str(chosen->cluster, "server", NULL));
    config->proxy_url = has(chosen->cluster, "proxy-url") ? xstrdup(json_str(chosen->cluster, "proxy-url", NULL)) : NULL;
    config->context = xstrdup(chosen->context_name);
    config->cluster_name = xstrdup(chosen->cluster_name);
    config->user_name = xstrdup(chosen->user_name);
    const char *namespace = json_str(chosen->context, "namespace", NULL);
    if (given(overrides->namespace))
        namespace = overrides->namespace;
    config->namespace = given(namespace)           ? xstrdup(namespace)
                        : kubeconfig_pod_possible() ? kubeconfig_pod_namespace()
                                                    : xstrdup("default");
    config->as = has(chosen->user, "as") ? xstrdup(json_str(chosen->user, "as", NULL)) : NULL;
    config->as_uid = has(chosen->user, "as-uid") ? xstrdup(json_str(chosen->user, "as-uid", NULL)) : NULL;
    json_each(group, json_get(chosen->user, "as-groups", NULL))
        strv_add(&config->as_groups, strempty(json_string_value(group)));
    take_extra(json_get(chosen->user, "as-user-extra", NULL), config);
    config->request_timeout_ms = overrides->request_timeout_ms;
    if (!starts_with(config->server, "https://"))
        return 0;
    if (take_tls(chosen->cluster, config, err) < 0)
        return (int)err->code;
    return take_user(chosen, overrides, config, err);
}

/* --- in a pod */

int kube_config_in_cluster(struct kube_config *ret, struct err *err)
{
    static const struct kube_overrides none;
    CLEANUP(chosen_done) struct chosen chosen = {.context_name = "", .cluster_name = "", .user_name = ""};
    CLEANUP(kube_config_done) struct kube_config config = {0};
    if (!kubeconfig_pod_has_address())
        return err_set(err, ERR_NOT_FOUND, "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and "
                       "KUBERNETES_SERVICE_PORT must be defined");
    chosen.cluster = json_new_object();
    chosen.user = json_new_object();
    kubeconfig_pod_fill(chosen.cluster, chosen.user);
    if (resolve(&chosen, &none, &config, err) < 0)
        return err_wrap(err, "unable to load in-cluster configuration");
    *ret = config;
    config = (struct kube_config){0};
    return 0;
}

/*
 * A pod's service account is taken where nothing names a server, or what names one says what would be taken without it.
 * Options that say more (--token, --as ...) go on top.
 */
static bool leaves_server_open(const struct chosen *chosen, const struct kube_overrides *overrides)
{
    return !given(overrides->server) && !has(chosen->cluster, "proxy-url") &&
           streq(json_str(chosen->cluster, "server", NULL), default_server());
}

int kube_config_load(const struct kube_overrides *overrides, struct kube_config *ret, struct err *err)
{
    static const struct kube_overrides none;
    CLEANUP(json_free) struct json *merged = NULL;
    CLEANUP(chosen_done) struct chosen chosen = {0};
    CLEANUP(kube_config_done) struct kube_config config = {0};
    bool found;
    if (overrides == NULL)
        overrides = &none;
    if (kubeconfig_merged(overrides->kubeconfig, true, &merged, &found, err) < 0 ||
        choose(merged, overrides, &chosen, err) < 0 || check(&chosen, err) < 0)
        return (int)err->code;
    if (leaves_server_open(&chosen, overrides) && kubeconfig_pod_possible())
        kubeconfig_pod_fill(chosen.cluster, chosen.user);
    if (resolve(&chosen, overrides, &config, err) < 0)
        return (int)err->code;
    *ret = config;
    config = (struct kube_config){0};
    return 0;
}
