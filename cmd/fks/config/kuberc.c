/*
 * kuberc.c: reading a kuberc file: which document counts, what is wrong with it, aliases and presets. It changes the command
 * line before any command sees it; the presets go to cli_parse, which alone knows a command's options. Writing the file
 * is kuberc_edit.c's.
 */
#include "config/kuberc.h"

#include <ctype.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/yaml.h"
#include "help.h"
#include "trace.h"

#define GROUP "kubectl.config.k8s.io"

void kuberc_done(struct kuberc *kuberc)
{
    json_free(kuberc->preference);
    json_free(kuberc->allowlist);
    strv_done(&kuberc->line);
    *kuberc = (struct kuberc){0};
}

bool kuberc_is_enabled(void)
{
    return !streq(getenv("KUBECTL_KUBERC"), "false");
}

int kuberc_path(const char *flag, char **ret, bool *ret_explicit, struct err *err)
{
    const char *environment = strempty(getenv("KUBERC"));
    bool has_flag = strempty(flag)[0] != '\0';
    *ret = NULL;
    *ret_explicit = has_flag || environment[0] != '\0';
    if (streq(environment, "off"))
        return has_flag ? err_set(err, ERR_USAGE,
                                  "disabling kuberc via KUBERC=off and passing kuberc flag are mutually exclusive")
                        : 0;
    *ret = has_flag              ? xstrdup(flag)
           : environment[0] != '\0' ? xstrdup(environment)
                                    : path_join(strempty(getenv("HOME")), ".kube/kuberc", NULL);
    return 0;
}

/* --- the type */

struct field {
    const char *name, *old_name; /* old_name: in v1alpha1, if it was another */
    enum json_type type;         /* of an array: what its items are, below */
    const struct field *items;   /* NULL in an array: texts */
    bool always;                 /* printed also when it is empty */
};
static const struct field option_fields[] = {
    {"name", NULL, JSON_STRING, NULL, true},
    {"default", NULL, JSON_STRING, NULL, true},
    {0},
};
static const struct field default_fields[] = {
    {"command", NULL, JSON_STRING, NULL, true},
    {"options", "flags", JSON_ARRAY, option_fields, true},
    {0},
};
static const struct field alias_fields[] = {
    {"name", NULL, JSON_STRING, NULL, true},
    {"command", NULL, JSON_STRING, NULL, true},
    {"prependArgs", NULL, JSON_ARRAY, NULL, false},
    {"appendArgs", NULL, JSON_ARRAY, NULL, false},
    {"options", "flags", JSON_ARRAY, option_fields, false},
    {0},
};
static const struct field allowlist_fields[] = {
    {"name", NULL, JSON_STRING, NULL, false},
    {"command", NULL, JSON_STRING, NULL, false},
    {0},
};
static const struct field preference_fields[] = {
    {"kind", NULL, JSON_STRING, NULL, false},
    {"apiVersion", NULL, JSON_STRING, NULL, false},
    {"defaults", "overrides", JSON_ARRAY, default_fields, true},
    {"aliases", NULL, JSON_ARRAY, alias_fields, true},
    {"credentialPluginPolicy", NULL, JSON_STRING, NULL, false},
    {"credentialPluginAllowlist", NULL, JSON_ARRAY, allowlist_fields, false},
    {0},
};

/* One conversion of a document. */
struct reading {
    bool is_alpha;
    struct strv unknown; /* paths of members that the type does not have */
};

static const char *field_name(const struct reading *reading, const struct field *field)
{
    return reading->is_alpha && field->old_name != NULL ? field->old_name : field->name;
}

static int read_object(struct reading *reading, const struct json *object, const struct field *fields, const char *path,
                       struct json **ret, struct err *err);

static int read_array(struct reading *reading, const struct json *array, const struct field *field, const char *path,
                      struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *list = json_new_array();
    const struct json *item;
    json_each(item, array) {
        CLEANUP(xfree) char *place = xasprintf("%s[%zu]", path, item_index);
        CLEANUP(json_free) struct json *read = NULL;
        if (field->items == NULL && json_type(item) != JSON_STRING)
            return err_set(err, ERR_PARSE, "%s is no string", place);
        if (field->items != NULL && read_object(reading, item, field->items, place, &read, err) < 0)
            return (int)err->code;
        json_push(list, read != NULL ? take(&read) : json_clone(item));
    }
    *ret = take(&list);
    return 0;
}

static int read_field(struct reading *reading, const struct json *object, const struct field *field, const char *path,
                      struct json *out, struct err *err)
{
    const struct json *value = json_member(object, field_name(reading, field));
    enum json_type type = json_type(value);
    CLEANUP(xfree) char *place = xasprintf("%s%s%s", path, path[0] != '\0' ? "." : "", field_name(reading, field));
    CLEANUP(json_free) struct json *list = NULL;
    if (type != JSON_NULL && type != field->type)
        return err_set(err, ERR_PARSE, "%s has another type", place);
    if (type == JSON_ARRAY && read_array(reading, value, field, place, &list, err) < 0)
        return (int)err->code;
    if (list != NULL && (field->always || json_len(list) > 0))
        json_set(out, field->name, take(&list));
    else if (type == JSON_STRING && (field->always || json_string_value(value)[0] != '\0'))
        json_set(out, field->name, json_clone(value));
    else if (field->always)
        json_set(out, field->name, field->type == JSON_STRING ? json_new_string("") : json_new_null());
    return 0;
}

static int read_object(struct reading *reading, const struct json *object, const struct field *fields, const char *path,
                       struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *out = json_new_object();
    if (!json_is_object(object))
        return err_set(err, ERR_PARSE, "%s is no object", path[0] != '\0' ? path : "the document");
    for (const struct field *field = fields; field->name != NULL; field++) {
        if (read_field(reading, object, field, path, out, err) < 0)
            return (int)err->code;
    }
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(object, &position, &key, &value)) {
        bool known = false;
        for (const struct field *field = fields; field->name != NULL; field++)
            known = known || streq(field_name(reading, field), key);
        if (!known)
            strv_addf(&reading->unknown, "unknown field \"%s%s%s\"", path, path[0] != '\0' ? "." : "", key);
    }
    *ret = take(&out);
    return 0;
}

int kuberc_normalize(const struct json *preference, struct json **ret, struct err *err)
{
    struct reading reading = {.is_alpha = streq(json_str(preference, "apiVersion", NULL), GROUP "/v1alpha1")};
    int code = read_object(&reading, preference, preference_fields, "", ret, err);
    strv_done(&reading.unknown);
    return code;
}

/* --- documents */

/* One document in v1beta1's form; ERR_* when it is none that can be used. Members without meaning go to *unknown. */
static int read_document(const char *text, size_t len, struct json **ret, struct strv *unknown, struct err *err)
{
    CLEANUP(json_free) struct json *document = NULL;
    if (yaml_parse(text, len, &document, err) < 0)
        return (int)err->code;
    const char *version = json_str_or("", document, "apiVersion", NULL);
    struct reading reading = {.is_alpha = streq(version, GROUP "/v1alpha1")};
    if (!reading.is_alpha && !streq(version, GROUP "/v1beta1"))
        return err_set(err, ERR_UNSUPPORTED, "no kind \"%s\" is registered for version \"%s\"",
                       json_str_or("", document, "kind", NULL), version);
    if (!streq(json_str(document, "kind", NULL), "Preference"))
        return err_set(err, ERR_UNSUPPORTED, "no kind \"%s\" is registered for version \"%s\"",
                       json_str_or("", document, "kind", NULL), version);
    int code = read_object(&reading, document, preference_fields, "", ret, err);
    *unknown = reading.unknown;
    return code;
}

/* The length of the document that begins at text, up to a line "---" or the end; *next is what follows it. */
static size_t document_length(const char *text, const char **next)
{
    for (const char *line = text; line != NULL; line = strchr(line, '\n') != NULL ? strchr(line, '\n') + 1 : NULL) {
        const char *rest = line + 3;
        if (!starts_with(line, "---"))
            continue;
        rest += strspn(rest, " \t\r");
        if (*rest == '\n' || *rest == '\0') {
            *next = *rest == '\n' ? rest + 1 : rest;
            return (size_t)(line - text);
        }
    }
    *next = text + strlen(text);
    return strlen(text);
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isspace((unsigned char)text[i]))
            return false;
    }
    return true;
}

/* The first document that can be used; *ret NULL if the file has no document at all. */
static int read_file(const struct cli *cli, const char *path, struct json **ret, struct strv *unknown, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err why = {0};
    size_t n = 0;
    if (file_read(path, LIMIT_FILE, &text, &why) < 0)
        return err_set(err, why.code, "open %s: %s", path,
                       why.code == ERR_NOT_FOUND   ? "no such file or directory"
                       : why.code == ERR_FORBIDDEN ? "permission denied"
                                                   : err_text(&why));
    for (const char *document = buf_text(&text), *next; *document != '\0'; document = next) {
        size_t len = document_length(document, &next);
        CLEANUP(err_clear) struct err useless = {0};
        CLEANUP(xfree) char *line = NULL;
        if (is_blank(document, len))
            continue;
        n++;
        if (read_document(document, len, ret, unknown, &useless) == 0) {
            line = xasprintf("kuberc: using entry %zu (%s) in %s", n, json_str_or("", *ret, "apiVersion", NULL), path);
            trace_line(cli, 5, line);
            return 0;
        }
        strv_done(unknown);
        line = xasprintf("kuberc: strict decoding error for entry %zu in %s: %s", n, path, err_text(&useless));
        trace_line(cli, 5, line);
    }
    if (n > 0)
        return err_set(err, ERR_PARSE, "no valid preferences found in %s, use --v=5 to see details", path);
    CLEANUP(xfree) char *line = xasprintf("kuberc: no preferences found in %s", path);
    trace_line(cli, 5, line);
    return 0;
}

/* --- checks */

static int check_options(const struct json *options, struct err *err)
{
    const struct json *option;
    json_each(option, options) {
        const char *name = json_str_or("", option, "name", NULL);
        if (name[0] == '-')
            return err_set(err, ERR_INVALID, "flag name %s should be in long form without dashes", name);
    }
    return 0;
}

static int check(const struct json *preference, struct err *err)
{
    const struct json *alias, *preset;
    CLEANUP(strv_done) struct strv names = {0};
    json_each(alias, json_get(preference, "aliases", NULL)) {
        const char *name = json_str_or("", alias, "name", NULL);
        bool letters = name[0] != '\0';
        for (const char *c = name; *c != '\0'; c++)
            letters = letters && ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z'));
        if (!letters)
            return err_set(err, ERR_INVALID, "invalid alias name, can only include alphabetical characters");
        if (check_options(json_get(alias, "options", NULL), err) < 0)
            return (int)err->code;
        if (strv_has(&names, name))
            return err_set(err, ERR_INVALID, "duplicate alias name %s", name);
        strv_add(&names, name);
    }
    json_each(preset, json_get(preference, "defaults", NULL)) {
        if (check_options(json_get(preset, "options", NULL), err) < 0)
            return (int)err->code;
    }
    return 0;
}

static int take_policy(struct cli *cli, struct kuberc *kuberc, struct err *err)
{
    const struct json *list = json_get(kuberc->preference, "credentialPluginAllowlist", NULL), *entry;
    if (list != NULL)
        kuberc->allowlist = json_new_array();
    json_each(entry, list) {
        const char *name = json_str_or("", entry, "name", NULL);
        json_push(kuberc->allowlist, json_new_string(json_str_or(name, entry, "command", NULL)));
    }
    struct kube_plugin_policy *policy = &cli->overrides.plugin_policy;
    policy->type = json_str_or("", kuberc->preference, "credentialPluginPolicy", NULL);
    policy->allowlist = kuberc->allowlist;
    return kube_plugin_policy_check(policy, err);
}

/* --- the command line */

/* --kuberc's value, before anything of the line is parsed. */
static int find_flag(int argc, char *const *argv, const char **ret, struct err *err)
{
    *ret = NULL;
    for (int i = 1; i < argc && !streq(argv[i], "--"); i++) {
        const char *value = streq(argv[i], "--kuberc") ? strempty(argv[i + 1])
                            : starts_with(argv[i], "--kuberc=") ? argv[i] + strlen("--kuberc=")
                                                                : NULL;
        if (value == NULL)
            continue;
        if (value[0] == '\0')
            return err_set(err, ERR_USAGE, "kuberc file is not found");
        *ret = value;
        return 0;
    }
    return 0;
}

/* -v's value, so that reading the file can be told of. */
static int64_t find_verbosity(int argc, char *const *argv)
{
    CLEANUP(err_clear) struct err ignored = {0};
    int64_t verbosity = 0;
    for (int i = 1; i < argc && !streq(argv[i], "--"); i++) {
        const char *value = streq(argv[i], "-v") || streq(argv[i], "--v") ? strempty(argv[i + 1])
                            : starts_with(argv[i], "--v=")                ? argv[i] + 4
                            : starts_with(argv[i], "-v=")                 ? argv[i] + 3
                            : starts_with(argv[i], "-v")                  ? argv[i] + 2
                                                                          : NULL;
        if (value != NULL && parse_int(value, 0, 100, &verbosity, &ignored) < 0)
            err_clear(&ignored);
    }
    return verbosity;
}

static void add_texts(struct strv *out, const struct json *texts)
{
    const struct json *text;
    json_each(text, texts)
        strv_add(out, strempty(json_string_value(text)));
}

/* The line with the alias's words for its name, its arguments around the user's. */
static int replace_alias(struct kuberc *kuberc, int argc, char *const *argv, int first_word, struct err *err)
{
    const struct json *alias;
    json_each(alias, json_get(kuberc->preference, "aliases", NULL)) {
        const char *name = json_str_or("", alias, "name", NULL), *command = json_str_or("", alias, "command", NULL);
        if (!streq(name, argv[first_word]))
            continue;
        if (help_full_name(command) == NULL)
            return err_set(err, ERR_INVALID, "command \"%s\" not found to set alias \"%s\": [%s]", command, name,
                           command);
        kuberc->alias = name;
        for (int i = 0; i < argc; i++) {
            if (i != first_word) {
                strv_add(&kuberc->line, argv[i]);
                continue;
            }
            strv_split(&kuberc->line, command, ' ');
            add_texts(&kuberc->line, json_get(alias, "prependArgs", NULL));
        }
        add_texts(&kuberc->line, json_get(alias, "appendArgs", NULL));
        return 0;
    }
    return 0;
}

static int read_preference(struct cli *cli, int argc, char *const *argv, struct json **ret, struct err *err)
{
    const char *flag = NULL;
    CLEANUP(xfree) char *path = NULL;
    CLEANUP(strv_done) struct strv unknown = {0};
    CLEANUP(err_clear) struct err why = {0};
    bool is_explicit = false;
    if (find_flag(argc, argv, &flag, err) < 0)
        return (int)err->code;
    if (kuberc_path(flag, &path, &is_explicit, &why) < 0)
        return err_set(err, why.code, "kuberc error %s", err_text(&why));
    if (path == NULL)
        return 0;
    if (read_file(cli, path, ret, &unknown, &why) < 0) {
        if (is_explicit)
            return err_set(err, why.code, "kuberc error kuberc: %s", err_text(&why));
        if (why.code != ERR_NOT_FOUND)
            fprintf(stderr, "kuberc: no preferences loaded from %s: %s", path, err_text(&why));
        return 0;
    }
    if (unknown.n > 0) {
        CLEANUP(xfree) char *list = strv_join(&unknown, ", ");
        fprintf(stderr, "kuberc: ignoring strict decoding error in %s: strict decoding error: %s", path, list);
    }
    return 0;
}

int kuberc_load(struct cli *cli, int argc, char *const *argv, int first_word, struct kuberc *ret, struct err *err)
{
    if (argc <= 1 || !kuberc_is_enabled())
        return 0;
    cli->verbosity = find_verbosity(argc, argv);
    int code = read_preference(cli, argc, argv, &ret->preference, err);
    cli->verbosity = 0; /* parsing the options sets it again */
    if (code < 0 || ret->preference == NULL)
        return code;
    if (check(ret->preference, err) < 0 || take_policy(cli, ret, err) < 0)
        return (int)err->code;
    if (first_word == 0 || help_is_word(argv[first_word]))
        return 0;
    return replace_alias(ret, argc, argv, first_word, err);
}

static void add_options(const struct json *entry, struct strv *out)
{
    const struct json *option;
    json_each(option, json_get(entry, "options", NULL)) {
        strv_add(out, json_str_or("", option, "name", NULL));
        strv_add(out, json_str_or("", option, "default", NULL));
    }
}

void kuberc_presets(const struct kuberc *kuberc, const char *words, struct strv *out)
{
    const struct json *entry;
    json_each(entry, json_get(kuberc->preference, "defaults", NULL)) {
        const char *text = json_str_or("", entry, "command", NULL), *command = help_full_name(text);
        if (command == NULL)
            cli_warn("command \"%s\" not found to set kuberc override", text);
        if (kuberc->alias == NULL && streq(command, words)) /* a command's defaults are not its alias's */
            add_options(entry, out);
    }
    json_each(entry, json_get(kuberc->preference, "aliases", NULL)) {
        if (kuberc->alias != NULL && streq(json_str(entry, "name", NULL), kuberc->alias))
            add_options(entry, out);
    }
}
