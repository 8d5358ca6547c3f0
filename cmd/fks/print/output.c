/*
 * output.c: from the words of -o to a form, and printing objects in it. Several objects one after another are
 * separated as kubectl does it: YAML by "---", everything else by a newline.
 */
#include "print/output.h"

#include <ctype.h>
#include <strings.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/kyaml.h"
#include "data/yaml.h"

#include "print/columns.h"
#include "print/jsonpath.h"
#include "template/template.h"
#include "text/gotext.h"

/* --- the -o option */

struct format {
    const char *name;
    enum output_kind kind;
    bool is_file; /* the expression is in a file */
};
static const struct format formats[] = {
    {"json", OUTPUT_JSON, false},
    {"yaml", OUTPUT_YAML, false},
    {"kyaml", OUTPUT_KYAML, false},
    {"name", OUTPUT_NAME, false},
    {"jsonpath", OUTPUT_JSONPATH, false},
    {"jsonpath-file", OUTPUT_JSONPATH, true},
    {"jsonpath-as-json", OUTPUT_JSONPATH_JSON, false},
    {"go-template", OUTPUT_TEMPLATE, false},
    {"go-template-file", OUTPUT_TEMPLATE, true},
    {"template", OUTPUT_TEMPLATE, false},
    {"templatefile", OUTPUT_TEMPLATE, true},
    {"custom-columns", OUTPUT_COLUMNS, false},
    {"custom-columns-file", OUTPUT_COLUMNS, true},
    {"wide", OUTPUT_WIDE, false},
};

bool output_has_kyaml(void)
{
    return strcasecmp(strempty(getenv("KUBECTL_KYAML")), "false") != 0;
}

static int unknown_format(const struct output_options *options, struct err *err)
{
    return err_set(
        err, ERR_USAGE,
        "unable to match a printer suitable for the output format \"%s\", allowed formats are: %sgo-template,"
        "go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,%sname,template,templatefile,%syaml",
        options->format, options->is_get ? "custom-columns,custom-columns-file," : "",
        output_has_kyaml() ? "kyaml," : "", options->is_get ? "wide," : "");
}

static const struct format *find_format(struct str name, bool is_get)
{
    for (size_t i = 0; i < countof(formats); i++) {
        bool only_get = formats[i].kind == OUTPUT_COLUMNS || formats[i].kind == OUTPUT_WIDE;
        bool switched_off = formats[i].kind == OUTPUT_KYAML && !output_has_kyaml();
        if (str_is(name, formats[i].name) && (is_get || !only_get) && !switched_off)
            return &formats[i];
    }
    return NULL;
}

static int read_expression(const char *path, struct output *ret, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    struct err failure = {0};
    if (file_read(path, LIMIT_FILE, &text, &failure) < 0) {
        bool missing = failure.code == ERR_NOT_FOUND;
        err_clear(&failure);
        return err_set(err, ERR_NOT_FOUND, "error reading %s %s, open %s: %s",
                       ret->kind == OUTPUT_COLUMNS ? "template" : "--template", path, path,
                       missing ? "no such file or directory" : "cannot be read");
    }
    ret->expression = buf_take(&text);
    return 0;
}

/* The forms that hide managedFields. */
static bool is_whole_object(enum output_kind kind)
{
    return kind == OUTPUT_JSON || kind == OUTPUT_YAML || kind == OUTPUT_KYAML;
}

int output_parse(const struct output_options *options, struct output *ret, struct err *err)
{
    ret->show_managed_fields = options->show_managed_fields;
    ret->hide_missing = options->hide_missing;
    const char *text = strempty(options->format);
    if (text[0] == '\0') {
        if (strempty(options->template)[0] != '\0') {
            ret->kind = OUTPUT_TEMPLATE;
            ret->expression = xstrdup(options->template);
        }
        return 0;
    }
    struct str name, expression;
    bool has_expression = str_cut(str_of(text), '=', &name, &expression);
    CLEANUP(xfree) char *lower = xstrndup(name.p, name.len); /* "JSON" is json; the names with a value are as they are */
    for (char *c = lower; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    bool any_case = streq(lower, "json") || streq(lower, "yaml") || streq(lower, "kyaml") || streq(lower, "name");
    const struct format *format = find_format(any_case ? str_of(lower) : name, options->is_get);
    bool plain = format != NULL && (is_whole_object(format->kind) || format->kind == OUTPUT_NAME ||
                                    format->kind == OUTPUT_WIDE);
    if (format == NULL || (plain && has_expression))
        return unknown_format(options, err);
    ret->kind = format->kind;
    if (plain)
        return 0;
    CLEANUP(xfree) char *given = has_expression ? xstrndup(expression.p, expression.len) : xstrdup(options->template);
    if (strempty(given)[0] == '\0') {
        if (ret->kind == OUTPUT_COLUMNS)
            return err_set(err, ERR_USAGE, "custom-columns format specified but no custom columns given");
        return err_set(err, ERR_USAGE, "template format specified but no template given");
    }
    ret->from_file = format->is_file;
    if (format->is_file)
        return read_expression(given, ret, err);
    ret->expression = take(&given);
    return 0;
}

void output_done(struct output *output)
{
    free(output->expression);
    *output = (struct output){0};
}

bool output_is_object(const struct output *output)
{
    return output->kind != OUTPUT_HUMAN && output->kind != OUTPUT_WIDE && output->kind != OUTPUT_NAME;
}

/* --- objects */

static void drop_managed_fields(struct json *object)
{
    struct json *metadata = json_edit_member(object, "metadata");
    if (json_is_object(metadata))
        json_del(metadata, "managedFields");
    struct json *items = json_edit_member(object, "items");
    for (size_t i = 0; i < json_len(items) && json_is_array(items); i++) {
        metadata = json_edit_member(json_edit_at(items, i), "metadata");
        if (json_is_object(metadata))
            json_del(metadata, "managedFields");
    }
}

void output_object_name(const struct json *object, struct buf *out)
{
    for (const char *c = json_str_or("<unknown>", object, "kind", NULL); *c != '\0'; c++)
        buf_add_char(out, (char)tolower((unsigned char)*c));
    const char *version = json_str_or("", object, "apiVersion", NULL);
    const char *slash = strchr(version, '/');
    if (slash != NULL)
        buf_printf(out, ".%.*s", (int)(slash - version), version);
    buf_printf(out, "/%s", json_str_or("<unknown>", object, "metadata", "name", NULL));
}

void output_print_names(const struct json *object, struct buf *out)
{
    const struct json *items = json_get(object, "items", NULL), *item;
    if (ends_with(json_str_or("", object, "kind", NULL), "List") && json_is_array(items)) {
        json_each(item, items)
            output_print_names(item, out);
        return;
    }
    output_object_name(object, out);
    buf_add_char(out, '\n');
}

static void print_json(const struct output *output, const struct json *object, struct buf *out)
{
    if (output->keep_order)
        output_json_ordered(object, out);
    else
        json_print_pretty(object, out);
    buf_add_char(out, '\n');
}

int output_print(struct output *output, const struct json *object, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *trimmed = NULL;
    if (is_whole_object(output->kind) && !output->show_managed_fields) {
        trimmed = json_clone(object);
        drop_managed_fields(trimmed);
        object = trimmed;
    }
    int code = 0;
    switch (output->kind) {
    case OUTPUT_JSON:
        print_json(output, object, &text);
        break;
    case OUTPUT_YAML:
        if (output->n_printed > 0)
            buf_add_str(&text, "---\n");
        yaml_print(object, &text);
        break;
    case OUTPUT_KYAML:
        kyaml_print(object, !output->keep_order, &text);
        break;
    case OUTPUT_NAME:
        output_print_names(object, &text);
        break;
    case OUTPUT_JSONPATH:
    case OUTPUT_JSONPATH_JSON:
        code = jsonpath_print(output->expression, object, output->hide_missing, output->kind == OUTPUT_JSONPATH_JSON,
                              &text, err);
        break;
    case OUTPUT_TEMPLATE:
        code = template_print(output->expression, object, output->hide_missing, &text, err);
        break;
    case OUTPUT_COLUMNS:
        code = columns_print(output->expression, object,
                             (output->no_headers && !output->from_file) || output->n_printed > 0, &text, err);
        break;
    case OUTPUT_HUMAN:
    case OUTPUT_WIDE:
        return err_set(err, ERR_INTERNAL, "an object has no table of its own");
    }
    output->n_printed++;
    fwrite(buf_text(&text), 1, text.len, output->to != NULL ? output->to : stdout);
    return code;
}

int output_print_event(struct output *output, const struct json *event, struct err *err)
{
    CLEANUP(buf_done) struct buf object = {0}, line = {0}, text = {0};
    CLEANUP(json_free) struct json *ordered = NULL;
    if (output->kind != OUTPUT_JSON && output->kind != OUTPUT_KYAML) {
        struct output whole = *output;
        whole.show_managed_fields = true;
        int code = output_print(&whole, event, err);
        output->n_printed = whole.n_printed;
        return code;
    }
    /* the type first, as in kubectl's structure; the object's keys sorted */
    gotext_json(json_get(event, "object", NULL), &object);
    buf_printf(&line, "{\"type\":\"%s\",\"object\":%s}\n", json_str_or("", event, "type", NULL), buf_text(&object));
    output->n_printed++;
    if (output->kind == OUTPUT_KYAML) {
        if (json_parse(buf_text(&line), line.len, &ordered, err) < 0)
            return (int)err->code;
        kyaml_print(ordered, false, &text);
    }
    fputs(output->kind == OUTPUT_KYAML ? buf_text(&text) : buf_text(&line), stdout);
    return 0;
}

int output_result(struct output *output, const struct json *object, const char *verb, const char *dry_run,
                  struct err *err)
{
    if (output->kind != OUTPUT_HUMAN && output->kind != OUTPUT_WIDE)
        return output_print(output, object, err);
    CLEANUP(buf_done) struct buf line = {0};
    output_object_name(object, &line);
    printf("%s %s%s\n", buf_text(&line), verb,
           streq(dry_run, "client")   ? " (dry run)"
           : streq(dry_run, "server") ? " (server dry run)"
                                      : "");
    return 0;
}

/* --- JSON in the objects' own order */

static void print_string(const char *text, struct buf *out)
{
    CLEANUP(json_free) struct json *string = json_new_string(text);
    CLEANUP(buf_done) struct buf quoted = {0};
    json_print_pretty(string, &quoted);
    buf_add(out, quoted.data, quoted.len);
}

static void print_indent(size_t depth, struct buf *out)
{
    buf_add_char(out, '\n');
    for (size_t i = 0; i < depth; i++)
        buf_add_str(out, "    ");
}

static void print_ordered(const struct json *json, size_t depth, struct buf *out)
{
    bool is_array = json_is_array(json);
    if ((!is_array && !json_is_object(json)) || json_len(json) == 0) {
        json_print_pretty(json, out);
        return;
    }
    buf_add_char(out, is_array ? '[' : '{');
    bool first = true;
    const struct json *value;
    if (is_array) {
        json_each(value, json) {
            buf_add_str(out, first ? "" : ",");
            print_indent(depth + 1, out);
            print_ordered(value, depth + 1, out);
            first = false;
        }
    } else {
        void *position = NULL;
        const char *key;
        while (json_next(json, &position, &key, &value)) {
            buf_add_str(out, first ? "" : ",");
            print_indent(depth + 1, out);
            print_string(key, out);
            buf_add_str(out, ": ");
            print_ordered(value, depth + 1, out);
            first = false;
        }
    }
    print_indent(depth, out);
    buf_add_char(out, is_array ? ']' : '}');
}

void output_json_ordered(const struct json *json, struct buf *out)
{
    print_ordered(json, 0, out);
}
