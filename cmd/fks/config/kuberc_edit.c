/*
 * kuberc_edit.c: `kuberc view | set`: showing and changing the file of defaults and aliases. What its entries do is
 * kuberc.c's.
 */
#include "config/kuberc.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/yaml.h"
#include "print/output.h"

#define VERSION "kubectl.config.k8s.io/v1beta1"
#define IS_OFF "KUBERC is disabled via KUBERC=off environment variable"

/* --- the file */

static int store(const char *path, const struct json *preference, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    const char *slash = strrchr(path, '/');
    if (slash != NULL && slash > path) {
        CLEANUP(xfree) char *folder = xstrndup(path, (size_t)(slash - path));
        if (dir_make(folder, 0755, err) < 0)
            return (int)err->code;
    }
    yaml_print(preference, &text);
    if (file_write_atomic(path, text.data, text.len, 0644, err) < 0)
        return err_wrap(err, "failed to write kuberc file");
    printf("Updated %s\n", path);
    return 0;
}

static int parse(const struct buf *text, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *tree = NULL;
    if (yaml_parse(buf_text(text), text->len, &tree, err) < 0 || kuberc_normalize(tree, ret, err) < 0)
        return err_wrap(err, "error parsing kuberc file");
    return 0;
}

/* What the file says, or an empty preference. */
static int load(const char *path, struct json **ret, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    if (file_exists(path) && file_read(path, LIMIT_FILE, &text, err) < 0)
        return err_wrap(err, "error reading kuberc file");
    if (text.len > 0)
        return parse(&text, ret, err);
    *ret = json_build("{s:s, s:s, s:n, s:n}", "kind", "Preference", "apiVersion", VERSION, "defaults", "aliases");
    return 0;
}

/* The file that --kuberc or $KUBERC names; NULL after the error was told. */
static char *file_to_use(const struct cli *cli, bool *ret_explicit)
{
    CLEANUP(err_clear) struct err err = {0};
    char *path = NULL;
    if (kuberc_path(cli->kuberc, &path, ret_explicit, &err) < 0)
        (void)cli_fail(cli, &err);
    else if (path == NULL)
        (void)cli_error(IS_OFF);
    return path;
}

/* --- view */

/* Without a file of the usual name: the answer y makes one. */
static int offer_file(const struct cli *cli, const char *path)
{
    CLEANUP(err_clear) struct err err = {0};
    char answer[16] = "";
    printf("kuberc file not found at %s\n"
           "Would you like to generate a default kuberc file with recommended options? (y/N): ",
           path);
    (void)fflush(stdout);
    if (fgets(answer, sizeof(answer), stdin) == NULL || (answer[0] | 0x20) != 'y' || answer[1] != '\n')
        return 0;
    CLEANUP(json_free)
    struct json *preference = json_build(
        "{s:s, s:s, s:[{s:s, s:[{s:s, s:s}]}, {s:s, s:[{s:s, s:s}]}], s:n}", "kind", "Preference", "apiVersion", VERSION,
        "defaults", "command", "apply", "options", "name", "server-side", "default", "true", "command", "delete",
        "options", "name", "interactive", "default", "true", "aliases");
    return store(path, preference, &err) < 0 ? cli_fail(cli, &err) : 0;
}

int command_kuberc_view(struct cli *cli, int argc, char **argv)
{
    struct output_options wanted = {.format = "yaml", .hide_missing = true};
    const struct opt options[] = {OUTPUT_OPTIONS(&wanted), {0}};
    const struct cli_command command = {.words = "kuberc view",
                                        .usage = "[options]",
                                        .about = "Display the contents of the kuberc file.",
                                        .examples = "  # What the file says, as JSON\n  kubectl kuberc view -o json\n",
                                        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(output_done) struct output output = {0};
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *preference = NULL;
    bool is_explicit = false;
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    CLEANUP(xfree) char *path = file_to_use(cli, &is_explicit);
    if (path == NULL)
        return 1;
    if (file_read(path, LIMIT_FILE, &text, &err) < 0) {
        if (err.code != ERR_NOT_FOUND)
            return cli_error("error reading kuberc file: %s", err_text(&err));
        return is_explicit ? cli_error("kuberc file not found at %s", path) : offer_file(cli, path);
    }
    if (parse(&text, &preference, &err) < 0 || output_parse(&wanted, &output, &err) < 0)
        return cli_fail(cli, &err);
    output.keep_order = true;
    static const char *const lists[] = {"defaults", "aliases"};
    for (size_t i = 0; i < countof(lists); i++) {
        if (!json_is_array(json_member(preference, lists[i])))
            json_set(preference, lists[i], json_new_array());
    }
    return output_print(&output, preference, &err) < 0 ? cli_fail(cli, &err) : 0;
}

/* --- set */

struct settings {
    const char *section, *command, *name, *policy;
    struct strv options, prepended, appended, allowlist;
    bool overwrite;
};

static void settings_done(struct settings *settings)
{
    strv_done(&settings->options);
    strv_done(&settings->prepended);
    strv_done(&settings->appended);
    strv_done(&settings->allowlist);
}
DEFINE_CLEANUP_IN_PLACE(struct settings, settings_done)

static int check_policy(const struct settings *settings, struct err *err)
{
    const char *policy = strempty(settings->policy);
    bool is_list = streq(policy, "Allowlist");
    if (policy[0] == '\0')
        return err_set(err, ERR_USAGE, "--policy is required when --section=credentialplugin");
    if (!is_list && !streq(policy, "AllowAll") && !streq(policy, "DenyAll"))
        return err_set(err, ERR_USAGE, " --policy must be  \"AllowAll\", \"DenyAll\", or \"Allowlist\", got: %s", policy);
    if (!is_list && settings->allowlist.n > 0)
        return err_set(err, ERR_USAGE,
                       "--allowlist-entry may only be used when --section=credentialplugin and --policy=Allowlist");
    if (is_list && settings->allowlist.n == 0)
        return err_set(err, ERR_USAGE,
                       "--allowlist-entry is required when --section=credentialplugin and --policy=Allowlist");
    return 0;
}

static int check(const struct settings *settings, struct err *err)
{
    const char *section = strempty(settings->section);
    bool is_defaults = streq(section, "defaults"), is_aliases = streq(section, "aliases");
    if (streq(section, "credentialplugin"))
        return check_policy(settings, err);
    if (!is_defaults && !is_aliases)
        return err_set(err, ERR_USAGE,
                       "--section must be \"defaults\", \"aliases\", or \"credentialplugin\", got: %s", section);
    if (is_aliases && strempty(settings->name)[0] == '\0')
        return err_set(err, ERR_USAGE, "--name is required when --section=aliases");
    if (is_defaults && strempty(settings->name)[0] != '\0')
        return err_set(err, ERR_USAGE, "--name should not be specified when --section=defaults");
    if (is_defaults && settings->prepended.n + settings->appended.n > 0)
        return err_set(err, ERR_USAGE, "--prependarg and --appendarg are only valid for --section=aliases");
    if (strempty(settings->command)[0] == '\0')
        return err_set(err, ERR_USAGE, "--command is required when --section=aliases or --section=defaults");
    return 0;
}

/* "--output=wide" and "output=wide" as {name, default}. */
static int read_options(const struct strv *texts, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *list = json_new_array();
    for (size_t i = 0; i < texts->n; i++) {
        const char *text = texts->items[i], *sign = strchr(text, '=');
        if (sign == NULL)
            return err_set(err, ERR_USAGE, "invalid option format \"%s\", expected flag=value", text);
        const char *name = text + strspn(text, "-");
        CLEANUP(xfree) char *flag = xstrndup(name, name < sign ? (size_t)(sign - name) : 0);
        json_push(list, json_build("{s:s, s:s}", "name", flag, "default", sign + 1));
    }
    *ret = take(&list);
    return 0;
}

static struct json *texts_to_json(const struct strv *texts)
{
    struct json *list = json_new_array();
    for (size_t i = 0; i < texts->n; i++)
        json_push(list, json_new_string(texts->items[i]));
    return list;
}

/* An empty list leaves what the entry has. */
static void set_list(struct json *entry, const char *key, struct json *list)
{
    CLEANUP(json_free) struct json *mine = list;
    if (json_len(mine) > 0)
        json_set(entry, key, take(&mine));
}

/* The entry of the list whose member is the value, or a new one; NULL if it is there and may not be replaced. */
static struct json *entry_to_set(struct json *preference, const char *section, const char *member, const char *value,
                                 bool overwrite)
{
    if (!json_is_array(json_member(preference, section)))
        json_set(preference, section, json_new_array());
    struct json *list = json_edit_member(preference, section);
    for (size_t i = 0; i < json_len(list); i++) {
        if (streq(json_str(json_at(list, i), member, NULL), value))
            return overwrite ? json_edit_at(list, i) : NULL;
    }
    json_push(list, json_build("{s:s}", member, value));
    return json_edit_at(list, json_len(list) - 1);
}

static int set_entry(struct json *preference, const struct settings *settings, struct err *err)
{
    CLEANUP(json_free) struct json *options = NULL;
    bool is_alias = streq(settings->section, "aliases");
    const char *key = is_alias ? settings->name : settings->command;
    if (read_options(&settings->options, &options, err) < 0)
        return (int)err->code;
    struct json *entry =
        entry_to_set(preference, settings->section, is_alias ? "name" : "command", key, settings->overwrite);
    if (entry == NULL && is_alias)
        return err_set(err, ERR_EXISTS, "alias \"%s\" already exists, use --overwrite to replace", key);
    if (entry == NULL)
        return err_set(err, ERR_EXISTS, "defaults for command \"%s\" already exist, use --overwrite to replace", key);
    json_set_str(entry, "command", settings->command);
    set_list(entry, "prependArgs", texts_to_json(&settings->prepended));
    set_list(entry, "appendArgs", texts_to_json(&settings->appended));
    set_list(entry, "options", take(&options));
    if (!is_alias && json_member(entry, "options") == NULL)
        json_set(entry, "options", json_new_null());
    return 0;
}

/* "command=NAME" of an entry. */
static int read_allowed(const char *text, struct json *list, struct err *err)
{
    const char *sign = strchr(text, '=');
    CLEANUP(xfree) char *field = xstrndup(text, sign != NULL ? (size_t)(sign - text) : 0);
    if (sign == NULL)
        return err_set(err, ERR_USAGE, "improperly formatted allowlist entry: \"%s\"", text);
    if (streq(field, "name"))
        return err_set(err, ERR_USAGE, "allowlist entry field \"name\" is deprecated, use \"command\" instead");
    if (!streq(field, "command"))
        return err_set(err, ERR_USAGE, "unrecognized allowlist entry field: \"%s\"", field);
    if (sign[1 + strspn(sign + 1, " \t")] == '\0')
        return err_set(err, ERR_USAGE, "empty value in allowlist entry for field \"%s\"", field);
    json_push(list, json_build("{s:s}", "command", sign + 1));
    return 0;
}

static void set_policy(struct json *preference, const struct settings *settings, struct failures *failures)
{
    CLEANUP(json_free) struct json *list = json_new_array();
    CLEANUP(strv_done) struct strv parts = {0};
    for (size_t i = 0; i < settings->allowlist.n; i++)
        strv_split(&parts, settings->allowlist.items[i], ',');
    for (size_t i = 0; i < parts.n; i++) {
        CLEANUP(err_clear) struct err err = {0};
        if (read_allowed(parts.items[i], list, &err) < 0)
            failures_add(failures, &err);
    }
    if (streq(settings->policy, "Allowlist"))
        json_set(preference, "credentialPluginAllowlist", take(&list));
    json_set_str(preference, "credentialPluginPolicy", settings->policy);
}

static int run_set(const struct cli *cli, const struct settings *settings)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    CLEANUP(json_free) struct json *preference = NULL;
    bool is_explicit = false;
    CLEANUP(xfree) char *path = file_to_use(cli, &is_explicit);
    if (path == NULL)
        return 1;
    if (check(settings, &err) < 0 || load(path, &preference, &err) < 0)
        return cli_fail(cli, &err);
    if (streq(settings->section, "credentialplugin"))
        set_policy(preference, settings, &failures);
    else if (set_entry(preference, settings, &err) < 0)
        return cli_fail(cli, &err);
    if (failures.n > 0)
        return cli_fail_all(cli, &failures);
    return store(path, preference, &err) < 0 ? cli_fail(cli, &err) : 0;
}

int command_kuberc_set(struct cli *cli, int argc, char **argv)
{
    CLEANUP(settings_done) struct settings settings = {0};
    bool has_section = false;
    const struct opt options[] = {
        {"allowlist-entry", 0, OPT_ARRAY, &settings.allowlist, "[]",
         "A credential plugin that may run, command=NAME; may be repeated."},
        {"appendarg", 0, OPT_ARRAY, &settings.appended, "[]",
         "Argument that an alias adds after the user's; may be repeated."},
        {"command", 0, OPT_STRING, &settings.command, "", "The command that is meant: get, \"set env\"."},
        {"name", 0, OPT_STRING, &settings.name, "", "Name of the alias."},
        {"option", 0, OPT_ARRAY, &settings.options, "[]", "Option and its default, name=value; may be repeated."},
        {"overwrite", 0, OPT_BOOL, &settings.overwrite, NULL, "Replace an entry that is there already."},
        {"policy", 0, OPT_STRING, &settings.policy, "",
         "Which credential plugins may run: AllowAll, DenyAll or Allowlist."},
        {"prependarg", 0, OPT_ARRAY, &settings.prepended, "[]",
         "Argument that an alias puts before the user's; may be repeated."},
        {"section", 0, OPT_STRING, &settings.section, "", "What to set: defaults, aliases or credentialplugin.",
         .seen = &has_section},
        {0},
    };
    const struct cli_command command = {
        .words = "kuberc set",
        .usage = "--section (defaults|aliases|credentialplugin) --command COMMAND [options]",
        .about = "Set defaults of a command's options, an alias, or which credential plugins may run.",
        .examples = "  # Wide output of get unless said otherwise\n"
                    "  kubectl kuberc set --section=defaults --command=get --option=output=wide\n\n"
                    "  # \"kubectl getn\" for \"kubectl get nodes\"\n"
                    "  kubectl kuberc set --section=aliases --name=getn --command=get --prependarg=nodes\n",
        .options = options,
        .required = "section"};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_set(cli, &settings);
    return code;
}
