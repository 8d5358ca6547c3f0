/*
 * config_edit.c: `config use-context | set-context | rename-context | delete-*`. A change goes to the file that holds the
 * entry; a new entry to the default file (--kubeconfig, $KUBECONFIG, ~/.kube/config). Clusters and users are
 * config_entries.c's, single values config_property.c's.
 */
#include "config/config.h"

#include <sys/file.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/yaml.h"

/* --- the file */

static void file_done(struct config_file *file)
{
    free(file->path);
    json_free(file->config);
    buf_done(&file->said);
    *file = (struct config_file){0};
}
DEFINE_CLEANUP_IN_PLACE(struct config_file, file_done)

static int load(const char *path, struct json **ret, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *config = NULL;
    if (file_exists(path)) {
        if (file_read(path, LIMIT_FILE, &text, err) < 0)
            return err->code;
        if (yaml_parse(buf_text(&text), text.len, &config, err) < 0)
            return err_wrap(err, "error loading config file \"%s\"", path);
    }
    *ret = json_is_object(config) ? take(&config) : json_new_object();
    return 0;
}

static int by_name(const void *left, const void *right)
{
    const struct json *const *a = left, *const *b = right;
    return strcmp(json_str_or("", *a, "name", NULL), json_str_or("", *b, "name", NULL));
}

/* A section in the order of the names; null when it is empty. */
static void sort_section(struct json *config, const char *section)
{
    struct json *list = json_edit_member(config, section), *sorted = json_new_array();
    size_t n = json_is_array(list) ? json_len(list) : 0;
    CLEANUP(xfree) const struct json **entries = xcalloc(n + 1, sizeof(*entries));
    for (size_t i = 0; i < n; i++)
        entries[i] = json_at(list, i);
    qsort(entries, n, sizeof(*entries), by_name);
    for (size_t i = 0; i < n; i++)
        json_push(sorted, json_keep(entries[i]));
    if (n == 0)
        sorted = json_free(sorted);
    json_set(config, section, sorted);
}

/* What kubectl's types write though it is empty, and what they leave out then. */
static void settle_content(struct json *content, const char *section)
{
    static const char *const of_cluster[] = {"server", NULL}, *const of_context[] = {"cluster", "user", NULL};
    static const char *const none[] = {NULL};
    const char *const *required = streq(section, "clusters") ? of_cluster : streq(section, "contexts") ? of_context : none;
    static const char *const optional[] = {"tls-server-name", "certificate-authority", "proxy-url", "namespace", "token",
                                           "username", "password", "client-certificate", "client-key"};
    static const char *const switches[] = {"insecure-skip-tls-verify", "disable-compression"};
    if (json_is_object(json_member(content, "exec")))
        config_fill_exec(json_edit_member(content, "exec"));
    for (; *required != NULL; required++) {
        if (json_member(content, *required) == NULL)
            json_set_str(content, *required, "");
    }
    for (size_t i = 0; i < countof(optional); i++) {
        if (streq(json_str(content, optional[i], NULL), ""))
            json_del(content, optional[i]);
    }
    for (size_t i = 0; i < countof(switches); i++) {
        if (json_member(content, switches[i]) != NULL && !json_is_true(content, switches[i], NULL))
            json_del(content, switches[i]);
    }
}

/* The form in which kubectl leaves a file, whatever it was before. */
static void settle(struct json *config)
{
    static const char *const sections[] = {"clusters", "contexts", "users"};
    json_set_str(config, "apiVersion", json_str_or("v1", config, "apiVersion", NULL));
    json_set_str(config, "kind", json_str_or("Config", config, "kind", NULL));
    json_set_str(config, "current-context", json_str_or("", config, "current-context", NULL));
    if (json_len(json_member(config, "preferences")) == 0)
        json_del(config, "preferences");
    for (size_t i = 0; i < countof(sections); i++) {
        struct json *list = json_edit_member(config, sections[i]);
        for (size_t j = 0; json_is_array(list) && j < json_len(list); j++)
            settle_content(json_edit(json_edit_at(list, j), config_content_key(sections[i]), NULL), sections[i]);
        sort_section(config, sections[i]);
    }
}

static int store_file(const struct config_file *file, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *before = NULL;
    if (load(file->path, &before, err) < 0)
        return err->code;
    settle(before);
    settle(file->config);
    if (file_exists(file->path) && json_same(before, file->config))
        return 0; /* a file that says it already stays as its owner wrote it */
    yaml_print(file->config, &text);
    const char *slash = strrchr(file->path, '/');
    if (slash != NULL && slash > file->path) {
        CLEANUP(xfree) char *folder = xstrndup(file->path, (size_t)(slash - file->path));
        if (dir_make(folder, 0750, err) < 0)
            return err->code;
    }
    return file_write_atomic(file->path, text.data, text.len, 0600, err);
}

static int open_file(const char *section, const char *name, struct config_file *file, struct err *err)
{
    CLEANUP(strv_done) struct strv paths = {0};
    const char *flag = file->cli->overrides.kubeconfig, *environment = getenv("KUBECONFIG");
    if (flag == NULL && strempty(environment)[0] != '\0')
        strv_split(&paths, environment, ':');
    for (size_t i = 0; i < paths.n; i++) {
        CLEANUP(json_free) struct json *config = NULL;
        if (paths.items[i][0] == '\0' || !file_exists(paths.items[i]))
            continue;
        if (load(paths.items[i], &config, err) < 0)
            return err->code;
        bool has = section != NULL ? config_entry(config, section, name) != NULL
                                   : json_str_or("", config, "current-context", NULL)[0] != '\0';
        if (has) {
            file->path = xstrdup(paths.items[i]);
            file->config = take(&config);
            return 0;
        }
    }
    file->path = kube_config_default_path(flag);
    return load(file->path, &file->config, err);
}

/* --- the way of all */

static int unexpected_args(const struct strv *args)
{
    CLEANUP(xfree) char *joined = strv_join(args, " ");
    return cli_error("Unexpected args: [%s]", joined);
}

bool config_parse(struct cli *cli, const struct cli_command *command, int argc, char **argv, size_t n,
                  struct strv *ret_args, int *ret_code)
{
    if (!cli_parse(cli, command, argc, argv, ret_args, NULL, ret_code))
        return false;
    if (ret_args->n == n)
        return true;
    *ret_code = unexpected_args(ret_args);
    return false;
}

int config_change(struct cli *cli, const char *section, const char *name, config_changer *change, void *data)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(file_done) struct config_file file = {.cli = cli};
    if (open_file(section, name, &file, &err) < 0 || change(&file, data, &err) < 0 || store_file(&file, &err) < 0)
        return cli_fail(cli, &err);
    fputs(buf_text(&file.said), stdout);
    return 0;
}

struct json *config_edit_entry(struct json *config, const char *section, const char *name, bool *ret_existed)
{
    if (!json_is_array(json_member(config, section)))
        json_set(config, section, json_new_array());
    struct json *list = json_edit_member(config, section);
    const char *key = config_content_key(section);
    *ret_existed = false;
    for (size_t i = 0; i < json_len(list); i++) {
        struct json *entry = json_edit_at(list, i);
        if (streq(json_str(entry, "name", NULL), name)) {
            *ret_existed = true;
            return json_edit(entry, key, NULL);
        }
    }
    struct json *entry = json_new_object();
    json_set(entry, key, json_new_object());
    json_set_str(entry, "name", name);
    json_push(list, entry);
    return json_edit(json_edit_at(list, json_len(list) - 1), key, NULL);
}

bool config_drop_entry(struct json *config, const char *section, const char *name)
{
    struct json *list = json_edit_member(config, section);
    for (size_t i = 0; json_is_array(list) && i < json_len(list); i++) {
        if (streq(json_str(json_at(list, i), "name", NULL), name)) {
            json_remove_at(list, i);
            return true;
        }
    }
    return false;
}

/* --- contexts */

static int use_context(struct config_file *file, void *data, struct err *err)
{
    const char *name = data;
    (void)err;
    json_set_str(file->config, "current-context", name);
    buf_printf(&file->said, "Switched to context \"%s\".\n", name);
    return 0;
}

int command_config_use_context(struct cli *cli, int argc, char **argv)
{
    const struct cli_command command = {.words = "config use-context",
                                        .usage = "CONTEXT_NAME [options]",
                                        .about = "Set the current-context in a kubeconfig file."};
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *merged = NULL;
    int code = 0;
    if (!config_parse(cli, &command, argc, argv, 1, &args, &code))
        return code;
    if (kube_config_raw(&cli->overrides, &merged, &err) < 0)
        return cli_fail(cli, &err);
    if (config_entry(merged, "contexts", args.items[0]) == NULL)
        return cli_error("no context exists with the name: \"%s\"", args.items[0]);
    return config_change(cli, NULL, NULL, use_context, args.items[0]);
}

static void set_reference(struct json *context, const char *key, const char *value, bool existed)
{
    if (value != NULL)
        json_set_str(context, key, value);
    else if (!existed)
        json_set_str(context, key, "");
}

static int set_context(struct config_file *file, void *data, struct err *err)
{
    const struct cli *cli = file->cli;
    const char *name = data;
    bool existed = false;
    struct json *context = config_edit_entry(file->config, "contexts", name, &existed);
    (void)err;
    set_reference(context, "cluster", cli->overrides.cluster, existed);
    set_reference(context, "user", cli->overrides.user, existed);
    if (cli->namespace != NULL)
        json_set_str(context, "namespace", cli->namespace);
    buf_printf(&file->said, "Context \"%s\" %s.\n", name, existed ? "modified" : "created");
    return 0;
}

int command_config_set_context(struct cli *cli, int argc, char **argv)
{
    bool current = false;
    const struct opt options[] = {
        {"current", 0, OPT_BOOL, &current, NULL, "Change the current context."},
        {0},
    };
    const struct cli_command command = {
        .words = "config set-context",
        .keeps_empty = true,
        .usage =
            "[NAME | --current] [--cluster=cluster_nickname] [--user=user_nickname] [--namespace=namespace] [options]",
        .about = "Set a context entry in kubeconfig.",
        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *merged = NULL;
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (args.n > 1)
        return unexpected_args(&args);
    bool named = args.n == 1 && args.items[0][0] != '\0';
    if (!named && !current)
        return cli_error("you must specify a non-empty context name or --current");
    if (named && current)
        return cli_error("you cannot specify both a context name and --current");
    struct kube_overrides none = {.kubeconfig = cli->overrides.kubeconfig};
    if (kube_config_raw(&none, &merged, &err) < 0)
        return cli_fail(cli, &err);
    CLEANUP(xfree) char *name = xstrdup(current ? json_str_or("", merged, "current-context", NULL) : args.items[0]);
    if (name[0] == '\0')
        return cli_error("no current context is set");
    return config_change(cli, "contexts", name, set_context, name);
}

struct renaming {
    const char *from, *to;
};

static int rename_context(struct config_file *file, void *data, struct err *err)
{
    const struct renaming *names = data;
    const struct json *entry = config_entry(file->config, "contexts", names->from);
    if (entry == NULL)
        return err_set(err, ERR_NOT_FOUND, "cannot rename the context \"%s\", it's not in %s", names->from, file->path);
    if (config_entry(file->config, "contexts", names->to) != NULL)
        return err_set(err, ERR_EXISTS, "cannot rename the context \"%s\", the context \"%s\" already exists in %s",
                       names->from, names->to, file->path);
    bool existed = false;
    CLEANUP(json_free) struct json *content = json_clone(json_get(entry, "context", NULL));
    (void)config_drop_entry(file->config, "contexts", names->from);
    struct json *renamed = config_edit_entry(file->config, "contexts", names->to, &existed);
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(content, &position, &key, &value))
        json_set(renamed, key, json_keep(value));
    if (streq(json_str(file->config, "current-context", NULL), names->from))
        json_set_str(file->config, "current-context", names->to);
    buf_printf(&file->said, "Context \"%s\" renamed to \"%s\".\n", names->from, names->to);
    return 0;
}

int command_config_rename_context(struct cli *cli, int argc, char **argv)
{
    const struct cli_command command = {.words = "config rename-context",
                                        .usage = "CONTEXT_NAME NEW_NAME [options]",
                                        .about = "Rename a context from the kubeconfig file."};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (!config_parse(cli, &command, argc, argv, 2, &args, &code))
        return code;
    struct renaming names = {.from = args.items[0], .to = args.items[1]};
    return config_change(cli, "contexts", names.from, rename_context, &names);
}

/* --- deleting */

struct deletion {
    const char *section, *name;
};

static int delete_entry(struct config_file *file, void *data, struct err *err)
{
    const struct deletion *deletion = data;
    const char *kind = config_content_key(deletion->section), *name = deletion->name;
    if (!config_drop_entry(file->config, deletion->section, name))
        return err_set(err, ERR_NOT_FOUND, "cannot delete %s %s, not in %s", kind, name, file->path);
    if (streq(deletion->section, "contexts") && streq(json_str(file->config, "current-context", NULL), name))
        fputs(
            "warning: this removed your active context, use \"kubectl config use-context\" to select a different one\n",
            stderr);
    buf_printf(&file->said, "deleted %s %s from %s\n", kind, name, file->path);
    return 0;
}

static int delete_from(struct cli *cli, const char *section, const char *words, const char *about, int argc, char **argv)
{
    const struct cli_command command = {.words = words, .usage = "NAME [options]", .about = about};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (!config_parse(cli, &command, argc, argv, 1, &args, &code))
        return code;
    struct deletion deletion = {.section = section, .name = args.items[0]};
    return config_change(cli, section, deletion.name, delete_entry, &deletion);
}

int command_config_delete_context(struct cli *cli, int argc, char **argv)
{
    return delete_from(cli, "contexts", "config delete-context", "Delete the specified context from the kubeconfig.",
                       argc, argv);
}

int command_config_delete_cluster(struct cli *cli, int argc, char **argv)
{
    return delete_from(cli, "clusters", "config delete-cluster", "Delete the specified cluster from the kubeconfig.",
                       argc, argv);
}

int command_config_delete_user(struct cli *cli, int argc, char **argv)
{
    return delete_from(cli, "users", "config delete-user", "Delete the specified user from the kubeconfig.", argc, argv);
}
