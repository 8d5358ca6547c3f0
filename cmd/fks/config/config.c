/*
 * config.c: `config view | current-context | get-contexts | get-clusters | get-users`: what the kubeconfig files say.
 */
#include "config/config.h"

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "print/output.h"
#include "text/tabwriter.h"

const char *config_content_key(const char *section)
{
    return streq(section, "clusters") ? "cluster" : streq(section, "users") ? "user" : "context";
}

const struct json *config_entry(const struct json *config, const char *section, const char *name)
{
    const struct json *entry;
    json_each(entry, json_get(config, section, NULL)) {
        if (streq(json_str(entry, "name", NULL), name))
            return entry;
    }
    return NULL;
}

/* --- view */

/* Puts the members named first in front, in that order; the rest follows. */
static struct json *in_order(const struct json *object, const char *const *first)
{
    struct json *ordered = json_new_object();
    for (size_t i = 0; first[i] != NULL; i++) {
        if (json_member(object, first[i]) != NULL)
            json_set(ordered, first[i], json_keep(json_member(object, first[i])));
    }
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(object, &position, &key, &value)) {
        if (json_member(ordered, key) == NULL)
            json_set(ordered, key, json_keep(value));
    }
    return ordered;
}

static void redact(struct json *content)
{
    static const struct {
        const char *key, *shown;
    } secrets[] = {{"certificate-authority-data", "DATA+OMITTED"},
                   {"client-certificate-data", "DATA+OMITTED"},
                   {"client-key-data", "DATA+OMITTED"},
                   {"token", "REDACTED"},
                   {"password", "REDACTED"}};
    for (size_t i = 0; i < countof(secrets); i++) {
        if (json_member(content, secrets[i].key) != NULL)
            json_set_str(content, secrets[i].key, secrets[i].shown);
    }
}

static const char *current_context(const struct cli *cli, const struct json *config)
{
    return cli->overrides.context != NULL ? cli->overrides.context : json_str_or("", config, "current-context", NULL);
}

/* Only what the current context needs. */
static int minify(const struct cli *cli, struct json **config, struct err *err)
{
    const char *name = current_context(cli, *config);
    const struct json *context = config_entry(*config, "contexts", name);
    if (name[0] == '\0')
        return err_set(err, ERR_NOT_FOUND, "current-context must exist in order to minify");
    if (context == NULL)
        return err_set(err, ERR_NOT_FOUND, "cannot locate context %s", name);
    const char *cluster_name = json_str_or("", context, "context", "cluster", NULL);
    const char *user_name = json_str_or("", context, "context", "user", NULL);
    const struct json *cluster = config_entry(*config, "clusters", cluster_name);
    const struct json *user = config_entry(*config, "users", user_name);
    if (cluster == NULL && cluster_name[0] != '\0')
        return err_set(err, ERR_NOT_FOUND, "cannot locate cluster %s", cluster_name);
    if (user == NULL && user_name[0] != '\0')
        return err_set(err, ERR_NOT_FOUND, "cannot locate user %s", user_name);
    struct json *small = json_build("{s:s, s:s, s:[O], s:s}", "kind", "Config", "apiVersion", "v1", "contexts", context,
                                    "current-context", name);
    json_set(small, "clusters", cluster != NULL ? json_build("[O]", cluster) : json_new_null());
    json_set(small, "users", user != NULL ? json_build("[O]", user) : json_new_null());
    json_free(*config);
    *config = small;
    return 0;
}

void config_fill_exec(struct json *exec)
{
    static const char *const lists[] = {"args", "env"};
    const char *version = json_str_or("", exec, "apiVersion", NULL);
    for (size_t i = 0; i < countof(lists); i++) {
        if (json_member(exec, lists[i]) == NULL)
            json_set(exec, lists[i], json_new_null());
    }
    if (json_member(exec, "command") == NULL)
        json_set_str(exec, "command", "");
    if (json_member(exec, "provideClusterInfo") == NULL)
        json_set_bool(exec, "provideClusterInfo", false);
    /* from v1 on the user has to say it */
    if (json_str_or("", exec, "interactiveMode", NULL)[0] == '\0' && (ends_with(version, "/v1beta1") || ends_with(version, "/v1alpha1")))
        json_set_str(exec, "interactiveMode", "IfAvailable");
}

/* The form kubectl shows: sections present even when empty, members in the order of its types, secrets hidden. */
static struct json *shown_config(const struct json *config, bool raw)
{
    static const char *const sections[] = {"clusters", "users", "contexts"};
    static const char *const content_order[] = {"server",
                                                "tls-server-name",
                                                "insecure-skip-tls-verify",
                                                "certificate-authority",
                                                "certificate-authority-data",
                                                "proxy-url",
                                                "disable-compression",
                                                "client-certificate",
                                                "client-certificate-data",
                                                "client-key",
                                                "client-key-data",
                                                "token",
                                                "tokenFile",
                                                "as",
                                                "as-uid",
                                                "as-groups",
                                                "as-user-extra",
                                                "username",
                                                "password",
                                                "auth-provider",
                                                "exec",
                                                "cluster",
                                                "user",
                                                "namespace",
                                                NULL};
    static const char *const exec_order[] = {"command",     "args",
                                             "env",         "apiVersion",
                                             "installHint", "provideClusterInfo",
                                             "interactiveMode", NULL};
    static const char *const provider_order[] = {"name", "config", NULL};
    struct json *shown = json_build("{s:s, s:s}", "kind", "Config", "apiVersion", "v1");
    for (size_t i = 0; i < countof(sections); i++) {
        const struct json *entry, *entries = json_get(config, sections[i], NULL);
        const char *content_key = config_content_key(sections[i]);
        struct json *list = json_len(entries) > 0 ? json_new_array() : json_new_null();
        json_each(entry, entries) {
            struct json *content = in_order(json_member(entry, content_key), content_order);
            if (json_is_object(json_member(content, "exec"))) {
                CLEANUP(json_free) struct json *exec = json_clone(json_member(content, "exec"));
                config_fill_exec(exec);
                json_set(content, "exec", in_order(exec, exec_order));
            }
            if (json_is_object(json_member(content, "auth-provider")))
                json_set(content, "auth-provider", in_order(json_member(content, "auth-provider"), provider_order));
            if (!raw)
                redact(content);
            struct json *copy = json_build("{s:s}", "name", json_str_or("", entry, "name", NULL));
            json_set(copy, content_key, content);
            json_push(list, copy);
        }
        json_set(shown, sections[i], list);
    }
    json_set_str(shown, "current-context", json_str_or("", config, "current-context", NULL));
    return shown;
}

/* The content of a file in place of its name; --flatten. */
static int embed_file(struct json *content, const char *key, struct err *err)
{
    CLEANUP(buf_done) struct buf bytes = {0}, encoded = {0};
    CLEANUP(err_clear) struct err why = {0};
    CLEANUP(xfree) char *data_key = xasprintf("%s-data", key);
    const char *path = json_str_or("", content, key, NULL);
    if (path[0] == '\0')
        return 0;
    if (json_str_or("", content, data_key, NULL)[0] != '\0')
        return err_set(err, ERR_INVALID, "cannot have values for both path and contents");
    if (file_read(path, LIMIT_FILE, &bytes, &why) < 0)
        return err_set(err, why.code, "open %s: %s", path,
                       why.code == ERR_NOT_FOUND ? "no such file or directory" : err_text(&why));
    base64_encode(bytes.data, bytes.len, &encoded);
    json_set_str(content, data_key, buf_text(&encoded));
    json_del(content, key);
    return 0;
}

static int embed_files(struct json *config, struct err *err)
{
    static const struct {
        const char *section, *key;
    } files[] = {{"users", "client-certificate"}, {"users", "client-key"}, {"clusters", "certificate-authority"}};
    for (size_t i = 0; i < countof(files); i++) {
        struct json *entries = json_edit_member(config, files[i].section);
        for (size_t j = 0; j < json_len(entries); j++) {
            struct json *content = json_edit_member(json_edit_at(entries, j), config_content_key(files[i].section));
            if (content != NULL && embed_file(content, files[i].key, err) < 0)
                return (int)err->code;
        }
    }
    return 0;
}

int command_config_view(struct cli *cli, int argc, char **argv)
{
    bool raw = false, minified = false, flatten = false, merge = true;
    struct output_options output_options = {.hide_missing = true};
    const struct opt options[] = {
        OUTPUT_OPTIONS(&output_options),
        {"flatten", 0, OPT_BOOL, &flatten, NULL, "Certificates and keys instead of the names of their files."},
        {"merge", 0, OPT_BOOL, &merge, NULL, "All files that there are; false: only that of --kubeconfig."},
        {"minify", 0, OPT_BOOL, &minified, NULL, "Only what the current context uses."},
        {"raw", 0, OPT_BOOL, &raw, NULL, "Show certificates and secrets."},
        {0},
    };
    const struct cli_command command = {.words = "config view",
                                        .usage = "[options]",
                                        .about = "Display merged kubeconfig settings or a specified kubeconfig file.",
                                        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (args.n > 0)
        return cli_error("unexpected arguments: [%s]\nSee '%s config view -h' for help and examples", args.items[0],
                         cli->program);
    if (!merge && cli->overrides.kubeconfig == NULL)
        return cli_error("if merge==false a precise file must be specified");
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(output_done) struct output output = {0};
    CLEANUP(json_free) struct json *config = NULL, *shown = NULL;
    if (output_options.format == NULL && output_options.template == NULL)
        output_options.format = "yaml";
    int loaded = 0;
    if (output_parse(&output_options, &output, &err) < 0)
        return cli_fail(cli, &err);
    loaded = flatten ? kube_config_raw_resolved(&cli->overrides, &config, &err)
                     : kube_config_raw(&cli->overrides, &config, &err);
    if (loaded < 0 || (minified && minify(cli, &config, &err) < 0))
        return cli_fail(cli, &err);
    if (flatten) { /* its own copy: the parts of a minified one are shared */
        struct json *copy = json_clone(config);
        json_free(config);
        config = copy;
        if (embed_files(config, &err) < 0)
            return cli_fail(cli, &err);
    }
    shown = shown_config(config, raw || flatten);
    output.keep_order = true;
    return output_print(&output, shown, &err) < 0 ? cli_fail(cli, &err) : 0;
}

/* --- lists */

int command_config_current_context(struct cli *cli, int argc, char **argv)
{
    const struct cli_command command = {
        .words = "config current-context", .usage = "[options]", .about = "Display the current-context."};
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *config = NULL;
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (kube_config_raw(&cli->overrides, &config, &err) < 0)
        return cli_fail(cli, &err);
    const char *name = json_str_or("", config, "current-context", NULL);
    if (name[0] == '\0')
        return cli_error("current-context is not set");
    puts(name);
    return 0;
}

static void entry_names(const struct json *config, const char *section, struct strv *out)
{
    const struct json *entry;
    json_each(entry, json_get(config, section, NULL))
        strv_add(out, json_str_or("", entry, "name", NULL));
    strv_sort(out);
}

static int list_names(struct cli *cli, const char *words, const char *section, const char *about, int argc, char **argv)
{
    const struct cli_command command = {.words = words, .usage = "[options]", .about = about};
    CLEANUP(strv_done) struct strv args = {0}, names = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *config = NULL;
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (kube_config_raw(&cli->overrides, &config, &err) < 0)
        return cli_fail(cli, &err);
    entry_names(config, section, &names);
    puts("NAME");
    for (size_t i = 0; i < names.n; i++)
        puts(names.items[i]);
    return 0;
}

int command_config_get_clusters(struct cli *cli, int argc, char **argv)
{
    return list_names(cli, "config get-clusters", "clusters", "Display clusters defined in the kubeconfig.", argc,
                      argv);
}

int command_config_get_users(struct cli *cli, int argc, char **argv)
{
    return list_names(cli, "config get-users", "users", "Display users defined in the kubeconfig.", argc, argv);
}

static int print_contexts(const struct cli *cli, const struct json *config, const struct strv *wanted, bool only_names,
                          bool no_headers)
{
    CLEANUP(tabwriter_done) struct tabwriter writer = {.min_width = 6, .padding = 3};
    CLEANUP(failures_done) struct failures failures = {0};
    CLEANUP(buf_done) struct buf text = {0};
    if (!only_names && !no_headers)
        buf_add_str(&writer.text, "CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE\n");
    for (size_t i = 0; i < wanted->n; i++) {
        const char *name = wanted->items[i];
        const struct json *entry = config_entry(config, "contexts", name);
        struct err missing = {0};
        if (entry == NULL) {
            err_set(&missing, ERR_NOT_FOUND, "context %s not found", name);
            failures_add(&failures, &missing);
            continue;
        }
        if (only_names) {
            buf_printf(&writer.text, "%s\n", name);
            continue;
        }
        buf_printf(&writer.text, "%s\t%s\t%s\t%s\t%s\n",
                   streq(name, json_str_or("", config, "current-context", NULL)) ? "*" : "", name,
                   json_str_or("", entry, "context", "cluster", NULL), json_str_or("", entry, "context", "user", NULL),
                   json_str_or("", entry, "context", "namespace", NULL));
    }
    tabwriter_flush(&writer, &text);
    fputs(buf_text(&text), stdout);
    return cli_fail_all(cli, &failures);
}

int command_config_get_contexts(struct cli *cli, int argc, char **argv)
{
    const char *format = NULL;
    bool no_headers = false;
    const struct opt options[] = {
        {"no-headers", 0, OPT_BOOL, &no_headers, NULL, "Leave the header line out."},
        {"output", 'o', OPT_STRING, &format, "", "name: only the names."},
        {0},
    };
    const struct cli_command command = {.words = "config get-contexts",
                                        .usage = "[(-o|--output=)name)] [options]",
                                        .about = "Display one or many contexts from the kubeconfig file.",
                                        .options = options};
    CLEANUP(strv_done) struct strv args = {0}, names = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *config = NULL;
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (format != NULL && format[0] != '\0' && !streq(format, "name"))
        return cli_error(
            "--output %s is not available in kubectl config get-contexts; resetting to default output format", format);
    if (kube_config_raw(&cli->overrides, &config, &err) < 0)
        return cli_fail(cli, &err);
    entry_names(config, "contexts", &names);
    strv_sort(&args);
    return print_contexts(cli, config, args.n > 0 ? &args : &names, streq(format, "name"), no_headers);
}
