/*
 * config_entries.c: `config set-cluster | set-credentials`. What an entry holds comes from the global options of the same
 * names and, for a credential plugin, from options of its own; what they do not name stays as it is. Which file is
 * changed is config_edit.c's.
 */
#include "config/config.h"

#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

/* --- files: by name, or their bytes in KEY-data */

/* An absolute name; one inside the kubeconfig's own folder relative to it, so that the folder can be moved. */
static char *stored_path(const char *path, const char *kubeconfig)
{
    CLEANUP(xfree) char *here = getcwd(NULL, 0);
    if (here == NULL || path[0] == '\0')
        return xstrdup(path);
    CLEANUP(xfree) char *full = path[0] == '/' ? xstrdup(path) : path_join(here, path, NULL);
    CLEANUP(xfree) char *base = kubeconfig[0] == '/' ? xstrdup(kubeconfig) : path_join(here, kubeconfig, NULL);
    *strrchr(base, '/') = '\0';
    size_t len = strlen(base);
    bool inside = strncmp(full, base, len) == 0 && full[len] == '/';
    return xstrdup(inside ? full + len + 1 : full);
}

static int set_file(struct json *content, const struct config_file *file, const char *key, const char *path, bool embed,
                    struct err *err)
{
    if (path == NULL)
        return 0;
    CLEANUP(xfree) char *data_key = xasprintf("%s-data", key);
    if (!embed) {
        CLEANUP(xfree) char *stored = stored_path(path, file->path);
        json_set_str(content, key, stored);
        json_del(content, data_key);
        return 0;
    }
    CLEANUP(buf_done) struct buf bytes = {0}, encoded = {0};
    CLEANUP(err_clear) struct err why = {0};
    if (file_read(path, LIMIT_FILE, &bytes, &why) < 0)
        return err_set(err, why.code, "could not stat %s file %s: stat %s: %s", key, path, path,
                       why.code == ERR_NOT_FOUND ? "no such file or directory" : err_text(&why));
    base64_encode(bytes.data, bytes.len, &encoded);
    json_set_str(content, data_key, buf_text(&encoded));
    json_del(content, key);
    return 0;
}

/* --- clusters */

struct cluster_options {
    const char *name, *proxy_url;
    bool embed;
};

static int change_cluster(struct config_file *file, void *data, struct err *err)
{
    const struct cluster_options *options = data;
    const struct kube_overrides *o = &file->cli->overrides;
    bool existed = false;
    struct json *content = config_edit_entry(file->config, "clusters", options->name, &existed);
    if (o->server != NULL) {
        json_set_str(content, "server", o->server);
        json_del(content, "tls-server-name"); /* it was the other server's */
    }
    if (o->tls_server_name != NULL)
        json_set_str(content, "tls-server-name", o->tls_server_name);
    if (file->cli->insecure_seen)
        json_set_bool(content, "insecure-skip-tls-verify", o->insecure_skip_tls_verify);
    if (o->insecure_skip_tls_verify) {
        json_del(content, "certificate-authority");
        json_del(content, "certificate-authority-data");
    } else if (o->certificate_authority != NULL) {
        json_del(content, "insecure-skip-tls-verify");
    }
    if (options->proxy_url != NULL)
        json_set_str(content, "proxy-url", options->proxy_url);
    if (json_member(content, "server") == NULL)
        json_set_str(content, "server", "");
    buf_printf(&file->said, "Cluster \"%s\" set.\n", options->name);
    return set_file(content, file, "certificate-authority", o->certificate_authority, options->embed, err);
}

int command_config_set_cluster(struct cli *cli, int argc, char **argv)
{
    struct cluster_options cluster = {0};
    const struct opt options[] = {
        {"embed-certs", 0, OPT_BOOL, &cluster.embed, NULL, "Put the files' content into the kubeconfig."},
        {"proxy-url", 0, OPT_STRING, &cluster.proxy_url, "", "Proxy on the way to the server."},
        {0},
    };
    const struct cli_command command = {
        .words = "config set-cluster",
        .keeps_empty = true,
        .usage = "NAME [options]",
        .about = "Set a cluster entry in kubeconfig: --server, --certificate-authority, ...",
        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (!config_parse(cli, &command, argc, argv, 1, &args, &code))
        return code;
    const struct kube_overrides *o = &cli->overrides;
    if (args.items[0][0] == '\0')
        return cli_error("you must specify a non-empty cluster name");
    if (o->insecure_skip_tls_verify && strempty(o->certificate_authority)[0] != '\0')
        return cli_error("you cannot specify a certificate authority and insecure mode at the same time");
    if (cluster.embed && strempty(o->certificate_authority)[0] == '\0')
        return cli_error("you must specify a --certificate-authority to embed");
    cluster.name = args.items[0];
    return config_change(cli, "clusters", cluster.name, change_cluster, &cluster);
}

/* --- users */

/* The options of a user that are not global ones; NULL and empty: not given. */
struct user_options {
    const char *name;
    bool embed;
    const char *auth_provider;
    struct strv auth_provider_args;
    const char *exec_command, *exec_version, *exec_mode;
    bool exec_cluster_info, exec_cluster_info_given;
    struct strv exec_args, exec_env;
};

static void user_options_done(struct user_options *options)
{
    strv_done(&options->auth_provider_args);
    strv_done(&options->exec_args);
    strv_done(&options->exec_env);
}
DEFINE_CLEANUP_IN_PLACE(struct user_options, user_options_done)

/* "NAME=VALUE" sets, "NAME-" removes. */
static int check_pairs(const struct strv *pairs, const char *option, struct err *err)
{
    CLEANUP(strv_done) struct strv wrong = {0};
    for (size_t i = 0; i < pairs->n; i++) {
        const char *pair = pairs->items[i];
        bool sets = pair[0] != '=' && strchr(pair, '=') != NULL;
        if (!sets && (!ends_with(pair, "-") || streq(pair, "-")))
            strv_add(&wrong, pair);
    }
    if (wrong.n == 0)
        return 0;
    CLEANUP(xfree) char *list = strv_join(&wrong, ", ");
    return err_set(err, ERR_USAGE, "invalid %s format: %s", option, list);
}

static int check_user(const struct cli *cli, const struct user_options *options, struct err *err)
{
    const struct kube_overrides *o = &cli->overrides;
    const char *mode = options->exec_mode;
    bool has_token = strempty(o->token)[0] != '\0';
    bool has_password = strempty(o->username)[0] != '\0' || strempty(o->password)[0] != '\0';
    if (check_pairs(&options->auth_provider_args, "auth-provider-arg", err) < 0 ||
        check_pairs(&options->exec_env, "exec-env", err) < 0)
        return (int)err->code;
    if (options->name[0] == '\0')
        return err_set(err, ERR_USAGE, "you must specify a non-empty user name");
    if (has_token && has_password)
        return err_set(err, ERR_USAGE,
                       "you cannot specify more than one authentication method at the same time: --token, "
                       "--username/--password");
    if (options->embed && strempty(o->client_certificate)[0] == '\0' && strempty(o->client_key)[0] == '\0')
        return err_set(err, ERR_USAGE, "you must specify a --client-certificate or --client-key to embed");
    if (mode != NULL && !streq(mode, "IfAvailable") && !streq(mode, "Always") && !streq(mode, "Never"))
        return err_set(err, ERR_USAGE, "invalid interactive mode type, can be only IfAvailable, Never, Always");
    return 0;
}

static void change_auth_provider(struct json *content, const struct user_options *options)
{
    const char *name = options->auth_provider;
    struct json *provider = json_edit_member(content, "auth-provider");
    if (name != NULL && !streq(json_str(provider, "name", NULL), name)) {
        json_set(content, "auth-provider", json_build("{s:n, s:s}", "config", "name", name));
        provider = json_edit_member(content, "auth-provider");
    }
    for (size_t i = 0; provider != NULL && i < options->auth_provider_args.n; i++) {
        const char *pair = options->auth_provider_args.items[i];
        const char *sign = strchr(pair, '=');
        CLEANUP(xfree) char *key = xstrndup(pair, sign != NULL ? (size_t)(sign - pair) : strlen(pair) - 1);
        if (sign != NULL)
            json_set_str(json_edit(provider, "config", NULL), key, sign + 1);
        else
            json_del(json_edit(provider, "config", NULL), key);
    }
}

static void change_variable(struct json *exec, const char *pair)
{
    const char *sign = strchr(pair, '=');
    CLEANUP(xfree) char *name = xstrndup(pair, sign != NULL ? (size_t)(sign - pair) : strlen(pair) - 1);
    if (!json_is_array(json_member(exec, "env")))
        json_set(exec, "env", json_new_array());
    struct json *env = json_edit_member(exec, "env");
    for (size_t i = 0; i < json_len(env); i++) {
        if (!streq(json_str(json_at(env, i), "name", NULL), name))
            continue;
        if (sign != NULL)
            json_set_str(json_edit_at(env, i), "value", sign + 1);
        else
            json_remove_at(env, i);
        return;
    }
    if (sign != NULL)
        json_push(env, json_build("{s:s, s:s}", "name", name, "value", sign + 1));
}

/* All but the command needs a plugin that is there already. */
static void change_exec(struct json *content, const struct user_options *options)
{
    if (options->exec_command != NULL) {
        if (!json_is_object(json_member(content, "exec")))
            json_set(content, "exec",
                     json_build("{s:n, s:s, s:n, s:b}", "args", "command", "", "env", "provideClusterInfo", 0));
        struct json *exec = json_edit_member(content, "exec");
        json_set_str(exec, "command", options->exec_command);
        json_set(exec, "args", json_new_null());
    }
    struct json *exec = json_edit_member(content, "exec");
    if (exec == NULL)
        return;
    if (options->exec_version != NULL)
        json_set_str(exec, "apiVersion", options->exec_version);
    if (options->exec_mode != NULL)
        json_set_str(exec, "interactiveMode", options->exec_mode);
    if (options->exec_cluster_info_given)
        json_set_bool(exec, "provideClusterInfo", options->exec_cluster_info);
    if (options->exec_args.n > 0) {
        struct json *args = json_new_array();
        for (size_t i = 0; i < options->exec_args.n; i++)
            json_push(args, json_new_string(options->exec_args.items[i]));
        json_set(exec, "args", args);
    }
    for (size_t i = 0; i < options->exec_env.n; i++)
        change_variable(exec, options->exec_env.items[i]);
}

static int change_user(struct config_file *file, void *data, struct err *err)
{
    const struct user_options *options = data;
    const struct kube_overrides *o = &file->cli->overrides;
    bool existed = false;
    struct json *content = config_edit_entry(file->config, "users", options->name, &existed);
    bool sets_token = strempty(o->token)[0] != '\0';
    bool sets_password = strempty(o->username)[0] != '\0' || strempty(o->password)[0] != '\0';
    if (set_file(content, file, "client-certificate", o->client_certificate, options->embed, err) < 0 ||
        set_file(content, file, "client-key", o->client_key, options->embed, err) < 0)
        return (int)err->code;
    if (o->token != NULL)
        json_set_str(content, "token", o->token);
    if (o->username != NULL)
        json_set_str(content, "username", o->username);
    if (o->password != NULL)
        json_set_str(content, "password", o->password);
    if (sets_password)
        json_del(content, "token");
    if (sets_token) {
        json_del(content, "username");
        json_del(content, "password");
    }
    change_auth_provider(content, options);
    change_exec(content, options);
    buf_printf(&file->said, "User \"%s\" set.\n", options->name);
    return 0;
}

int command_config_set_credentials(struct cli *cli, int argc, char **argv)
{
    CLEANUP(user_options_done) struct user_options user = {0};
    const struct opt options[] = {
        {"auth-provider", 0, OPT_STRING, &user.auth_provider, "", "Auth provider of the user."},
        {"auth-provider-arg", 0, OPT_LIST, &user.auth_provider_args, "[]",
         "key=value for the auth provider, key- to remove one; may be repeated."},
        {"embed-certs", 0, OPT_BOOL, &user.embed, NULL, "Put the files' content into the kubeconfig."},
        {"exec-api-version", 0, OPT_STRING, &user.exec_version, "", "API version that the credential plugin speaks."},
        {"exec-arg", 0, OPT_LIST, &user.exec_args, "[]", "Argument of the credential plugin; may be repeated."},
        {"exec-command", 0, OPT_STRING, &user.exec_command, "", "The program that gives credentials."},
        {"exec-env", 0, OPT_ARRAY, &user.exec_env, "[]",
         "name=value for the plugin's environment, name- to remove one; may be repeated."},
        {"exec-interactive-mode", 0, OPT_STRING, &user.exec_mode, "",
         "Whether the plugin may read the terminal: IfAvailable, Always or Never."},
        {"exec-provide-cluster-info", 0, OPT_BOOL, &user.exec_cluster_info, NULL,
         "Tell the plugin which cluster it is for.", .seen = &user.exec_cluster_info_given},
        {0},
    };
    const struct cli_command command = {
        .words = "config set-credentials",
        .usage = "NAME [options]",
        .about = "Set a user entry in kubeconfig: --token, --username and --password, --client-certificate and "
                 "--client-key, or a program that gives credentials.",
        .examples = "  # Credentials from a program\n"
                    "  kubectl config set-credentials dev --exec-command=/usr/local/bin/login "
                    "--exec-api-version=client.authentication.k8s.io/v1\n",
        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    int code = 0;
    if (!config_parse(cli, &command, argc, argv, 1, &args, &code))
        return code;
    user.name = args.items[0];
    if (check_user(cli, &user, &err) < 0)
        return cli_fail(cli, &err);
    return config_change(cli, "users", user.name, change_user, &user);
}
