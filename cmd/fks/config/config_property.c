/*
 * config_property.c: `config set | unset`: one value of a kubeconfig by its path, "contexts.NAME.namespace",
 * "current-context". A name may hold dots: it ends where a field of its section's entries begins.
 */
#include "config/config.h"

#include "base/codec.h"
#include "base/mem.h"

enum value_type { TEXT, BOOLEAN, BYTES, STRUCTURE };
struct field {
    const char *section, *name;
    enum value_type type;
};
static const struct field fields[] = {
    {"clusters", "server", TEXT},
    {"clusters", "tls-server-name", TEXT},
    {"clusters", "insecure-skip-tls-verify", BOOLEAN},
    {"clusters", "certificate-authority", TEXT},
    {"clusters", "certificate-authority-data", BYTES},
    {"clusters", "proxy-url", TEXT},
    {"clusters", "disable-compression", BOOLEAN},
    {"clusters", "extensions", STRUCTURE},
    {"contexts", "cluster", TEXT},
    {"contexts", "user", TEXT},
    {"contexts", "namespace", TEXT},
    {"contexts", "extensions", STRUCTURE},
    {"users", "client-certificate", TEXT},
    {"users", "client-certificate-data", BYTES},
    {"users", "client-key", TEXT},
    {"users", "client-key-data", BYTES},
    {"users", "token", TEXT},
    {"users", "tokenFile", TEXT},
    {"users", "as", TEXT},
    {"users", "as-uid", TEXT},
    {"users", "as-groups", STRUCTURE},
    {"users", "as-user-extra", STRUCTURE},
    {"users", "username", TEXT},
    {"users", "password", TEXT},
    {"users", "auth-provider", STRUCTURE},
    {"users", "exec", STRUCTURE},
    {"users", "extensions", STRUCTURE},
    {"preferences", "colors", BOOLEAN},
};
static const char *const sections[] = {"clusters", "contexts", "users"};

/* A path taken apart. */
struct property {
    const char *path;
    struct json *value;        /* what it is to be; NULL: it is to go */
    char *section, *name;      /* name: of the entry; NULL: the path ends before it */
    const struct field *field; /* NULL: the path ends before it */
};

static void property_done(struct property *property)
{
    free(property->section);
    free(property->name);
    json_free(property->value);
}
DEFINE_CLEANUP_IN_PLACE(struct property, property_done)

static const struct field *find_field(const char *section, const char *name)
{
    for (size_t i = 0; i < countof(fields); i++) {
        if (streq(fields[i].section, section) && streq(fields[i].name, name))
            return &fields[i];
    }
    return NULL;
}

static bool is_section(const char *name)
{
    for (size_t i = 0; i < countof(sections); i++) {
        if (streq(sections[i], name))
            return true;
    }
    return false;
}

static int has_more(const char *path, struct err *err)
{
    return err_set(err, ERR_USAGE, "unable to parse one or more field values of %s", path);
}

/* The parts of "a..b" are a, "" and b. */
static void split_path(const char *path, struct strv *parts)
{
    for (const char *part = path; part != NULL; part = strchr(part, '.') != NULL ? strchr(part, '.') + 1 : NULL)
        strv_addf(parts, "%.*s", (int)strcspn(part, "."), part);
}

static int parse_property(const char *path, struct property *ret, struct err *err)
{
    CLEANUP(strv_done) struct strv parts = {0}, name = {0};
    split_path(path, &parts);
    const char *section = parts.items[0];
    bool is_scalar = streq(section, "current-context") || streq(section, "kind") || streq(section, "apiVersion");
    *ret = (struct property){.path = path, .section = xstrdup(section)};
    if (is_scalar)
        return parts.n > 1 ? has_more(path, err) : 0;
    size_t i = 1;
    if (is_section(section)) {
        for (; i < parts.n && (i == 1 || find_field(section, parts.items[i]) == NULL); i++)
            strv_add(&name, parts.items[i]);
        ret->name = name.n > 0 ? strv_join(&name, ".") : NULL;
    } else if (!streq(section, "preferences")) {
        return err_set(err, ERR_USAGE, "unable to parse %s after [] at api.Config", path);
    }
    if (i < parts.n) {
        ret->field = find_field(section, parts.items[i]);
        if (ret->field == NULL)
            return err_set(err, ERR_USAGE, "unable to parse %s after [{%s api.Preferences}] at api.Preferences", path,
                           section);
        i++;
    }
    return i < parts.n ? has_more(path, err) : 0;
}

/* Bytes are kept as base64; with --set-raw-bytes the value is the bytes themselves. */
static int read_value(struct property *property, const char *text, bool raw_bytes, struct err *err)
{
    CLEANUP(buf_done) struct buf bytes = {0}, encoded = {0};
    enum value_type type = property->field != NULL ? property->field->type : TEXT;
    if (type == STRUCTURE || (property->field == NULL && (is_section(property->section) || streq(property->section, "preferences"))))
        return err_set(err, ERR_USAGE, "can't set a map to a value: map[]");
    if (type == BOOLEAN) {
        if (!streq(text, "true") && !streq(text, "false"))
            return err_set(err, ERR_USAGE, "strconv.ParseBool: parsing \"%s\": invalid syntax", text);
        property->value = json_new_bool(streq(text, "true"));
        return 0;
    }
    if (type == TEXT) {
        property->value = json_new_string(text);
        return 0;
    }
    if (raw_bytes)
        buf_add_str(&bytes, text);
    else if (base64_decode(text, strlen(text), &bytes, err) < 0)
        return err_wrap(err, "error decoding input value");
    base64_encode(bytes.data, bytes.len, &encoded); /* base64(1) breaks lines, a kubeconfig does not */
    property->value = json_new_string(buf_text(&encoded));
    return 0;
}

static void set_or_unset(struct json *content, struct property *property)
{
    const char *key = property->field->name;
    if (property->value != NULL)
        json_set(content, key, take(&property->value));
    else if (streq(key, "server") || streq(key, "cluster") || streq(key, "user"))
        json_set_str(content, key, "");
    else
        json_del(content, key);
}

static int change_field(struct json *config, struct property *property, struct err *err)
{
    const char *section = property->section;
    if (property->value == NULL && property->name != NULL && config_entry(config, section, property->name) == NULL)
        return err_set(err, ERR_NOT_FOUND, "current map key `%s` is invalid", property->name);
    bool existed = true;
    struct json *content = property->name != NULL ? config_edit_entry(config, section, property->name, &existed)
                                                  : json_edit(config, section, NULL);
    if (!existed && streq(section, "clusters"))
        json_set_str(content, "server", "");
    if (!existed && streq(section, "contexts")) {
        json_set_str(content, "cluster", "");
        json_set_str(content, "user", "");
    }
    set_or_unset(content, property);
    return 0;
}

static int change_property(struct config_file *file, void *data, struct err *err)
{
    struct property *property = data;
    const char *section = property->section;
    buf_printf(&file->said, "Property \"%s\" %s.\n", property->path, property->value != NULL ? "set" : "unset");
    if (streq(section, "kind") || streq(section, "apiVersion")) /* a kubeconfig has but one of each */
        return 0;
    if (streq(section, "current-context"))
        json_set(file->config, section, property->value != NULL ? take(&property->value) : json_new_string(""));
    else if (property->field != NULL)
        return change_field(file->config, property, err);
    else if (property->name != NULL)
        (void)config_drop_entry(file->config, section, property->name);
    else
        json_del(file->config, section);
    return 0;
}

static int edit_property(struct cli *cli, bool unset, int argc, char **argv)
{
    bool raw_bytes = false;
    const struct opt options[] = {
        {"set-raw-bytes", 0, OPT_BOOL, &raw_bytes, NULL,
         "The value of a -data field is the bytes themselves, not base64."},
        {0},
    };
    const struct cli_command command = {.words = unset ? "config unset" : "config set",
                                        .usage = unset ? "PROPERTY_NAME [options]"
                                                       : "PROPERTY_NAME PROPERTY_VALUE [options]",
                                        .about = unset ? "Unset an individual value in a kubeconfig file."
                                                       : "Set an individual value in a kubeconfig file.",
                                        .options = unset ? NULL : options};
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(property_done) struct property property = {0};
    int code = 0;
    if (!config_parse(cli, &command, argc, argv, unset ? 1 : 2, &args, &code))
        return code;
    if (parse_property(args.items[0], &property, &err) < 0 ||
        (!unset && read_value(&property, args.items[1], raw_bytes, &err) < 0))
        return cli_fail(cli, &err);
    return config_change(cli, property.name != NULL ? property.section : NULL, property.name, change_property, &property);
}

int command_config_set(struct cli *cli, int argc, char **argv)
{
    return edit_property(cli, false, argc, argv);
}

int command_config_unset(struct cli *cli, int argc, char **argv)
{
    return edit_property(cli, true, argc, argv);
}
