/*
 * schema_text.c: walks an OpenAPI v3 schema and writes what people want to know of it. Layout and order are those of
 * kubectl's plaintext explain. Fetching the document is explain.c's.
 */
#include "print/schema_text.h"

#include "base/mem.h"
#include "text/gotext.h"
#include "text/wordwrap.h"

#define DEPTH_MAX 40 /* schemas may refer to themselves */
#define ENUM_SHOWN 4 /* values in a list of fields; all of them when the field itself is explained */

struct writing {
    const struct json *document;
    bool recursive;
    struct buf *out;
};

/* The references on the way down: one that comes again is a cycle. */
struct trail {
    const char *reference;
    const struct trail *up;
    int depth;
};

static bool on_trail(const struct trail *trail, const char *reference)
{
    for (; trail != NULL; trail = trail->up) {
        if (streq(trail->reference, reference))
            return true;
    }
    return false;
}

static const char *reference_of(const struct json *schema)
{
    return json_str_or("", schema, "$ref", NULL);
}

static const struct json *follow(const struct json *document, const char *reference)
{
    static const char prefix[] = "#/components/schemas/";
    return starts_with(reference, prefix)
               ? json_member(json_get(document, "components", "schemas", NULL), reference + strlen(prefix))
               : NULL;
}

static const struct json *resolved(const struct json *document, const struct json *schema)
{
    const struct json *target = follow(document, reference_of(schema));
    return target != NULL ? target : schema;
}

/* The schema of a map's values, NULL when there is none or it is just true or false. */
static const struct json *map_values(const struct json *schema)
{
    const struct json *values = json_member(schema, "additionalProperties");
    return json_is_object(values) && json_len(values) > 0 ? values : NULL;
}

static void add_indented(const char *text, size_t amount, struct buf *out)
{
    buf_printf(out, "%*s", (int)amount, "");
    for (; *text != '\0'; text++) {
        buf_add_char(out, *text);
        if (*text == '\n')
            buf_printf(out, "%*s", (int)amount, "");
    }
}

static void add_wrapped(const char *text, size_t width, size_t indent, struct buf *out)
{
    CLEANUP(buf_done) struct buf wrapped = {0};
    wordwrap(text, width, &wrapped);
    add_indented(buf_text(&wrapped), indent, out);
    buf_add_char(out, '\n');
}

/* --- parts */

static void add_type(const struct json *document, const struct json *schema, int depth, struct buf *out)
{
    const struct json *items = json_member(schema, "items"), *values = map_values(schema);
    const struct json *all_of = json_member(schema, "allOf");
    const char *reference = reference_of(schema), *type = json_str_or("", schema, "type", NULL);
    if (depth > DEPTH_MAX) {
        buf_add_str(out, "Object");
    } else if (items != NULL && json_len(items) > 0) {
        buf_add_str(out, "[]");
        add_type(document, items, depth + 1, out);
    } else if (values != NULL) {
        buf_add_str(out, "map[string]");
        add_type(document, values, depth + 1, out);
    } else if (json_len(all_of) == 1 && json_len(json_member(schema, "properties")) == 0) {
        add_type(document, json_at(all_of, 0), depth + 1, out);
    } else if (reference[0] != '\0') {
        const char *target = json_str_or("", follow(document, reference), "type", NULL);
        const char *slash = strrchr(reference, '/'), *name = slash != NULL ? slash + 1 : reference;
        const char *dot = strrchr(name, '.');
        name = dot != NULL ? dot + 1 : name;
        buf_add_str(out, target[0] != '\0' && !streq(target, "object") ? target : name[0] != '\0' ? name : "Object");
    } else {
        buf_add_str(out, type[0] == '\0' || streq(type, "object") ? "Object" : type);
    }
}

static void add_enum(const struct json *schema, bool whole, size_t indent, struct buf *out)
{
    const struct json *values = json_member(schema, "enum");
    if (json_len(values) == 0)
        return;
    if (whole)
        buf_add_str(out, "ENUM:");
    else
        buf_printf(out, "\n%*senum: ", (int)indent, "");
    for (size_t i = 0; i < json_len(values); i++) {
        const struct json *value = json_at(values, i);
        if (!whole && i >= ENUM_SHOWN) {
            buf_add_str(out, ", ....");
            break;
        }
        buf_add_str(out, whole ? "\n    " : i > 0 ? ", " : "");
        if (streq(json_string_value(value), ""))
            buf_add_str(out, "\"\"");
        else
            gotext_print(value, out);
    }
}

/* What the schema and those it is made of say about themselves. */
static void add_descriptions(const struct json *document, const struct json *schema, int depth, struct buf *out)
{
    const struct json *part;
    if (schema == NULL || depth > DEPTH_MAX)
        return;
    schema = resolved(document, schema);
    const char *text = json_str_or("", schema, "description", NULL);
    if (text[0] != '\0')
        buf_printf(out, "%s\n", text);
    json_each(part, json_member(schema, "allOf"))
        add_descriptions(document, part, depth + 1, out);
    add_descriptions(document, json_member(schema, "items"), depth + 1, out);
    add_descriptions(document, map_values(schema), depth + 1, out);
}

static void add_external_docs(const struct json *schema, size_t indent, struct buf *out)
{
    const struct json *docs = json_member(schema, "externalDocs");
    const char *text = json_str_or("", docs, "description", NULL), *url = json_str_or("", docs, "url", NULL);
    if (json_len(docs) == 0)
        return;
    buf_printf(out, "\n%*sEXTERNAL DOCS:\n", (int)indent, "");
    if (text[0] != '\0')
        add_wrapped(text, 76 - indent, indent + (indent > 0 ? 2 : 4), out);
    if (url[0] != '\0')
        buf_printf(out, "%*sURL: %s\n", (int)(indent + (indent > 0 ? 2 : 4)), "", url);
}

static void add_field(const struct writing *writing, const char *name, const struct json *owner, size_t level)
{
    struct buf *out = writing->out;
    const struct json *schema = json_member(json_member(owner, "properties"), name), *required;
    size_t indent = level * 2;
    buf_printf(out, "%*s%s\t<", (int)indent, "", name);
    add_type(writing->document, schema, 0, out);
    buf_add_char(out, '>');
    json_each(required, json_member(owner, "required")) {
        if (streq(json_string_value(required), name))
            buf_add_str(out, " -required-");
    }
    add_enum(schema, false, indent, out);
    buf_add_char(out, '\n');
    if (writing->recursive)
        return;
    const char *text = json_str_or("", schema, "description", NULL);
    add_wrapped(text[0] != '\0' ? text : "<no description>", 78 - indent, indent + 2, out);
    add_external_docs(schema, indent + 2, out);
    buf_add_char(out, '\n');
}

static void add_fields(const struct writing *writing, const struct json *schema, size_t level,
                       const struct trail *trail)
{
    const struct json *part;
    const char *reference = reference_of(schema);
    if (schema == NULL || (trail != NULL && trail->depth > DEPTH_MAX) ||
        (reference[0] != '\0' && on_trail(trail, reference)))
        return;
    const struct trail here = {reference, trail, trail != NULL ? trail->depth + 1 : 0};
    const struct json *owner = resolved(writing->document, schema);
    const struct json *properties = json_member(owner, "properties");
    CLEANUP(strv_done) struct strv names = {0};
    gotext_keys(properties, &names);
    for (size_t i = 0; i < names.n; i++) {
        add_field(writing, names.items[i], owner, level);
        if (writing->recursive)
            add_fields(writing, json_member(properties, names.items[i]), level + 1, &here);
    }
    json_each(part, json_member(owner, "allOf"))
        add_fields(writing, part, level, &here);
    add_fields(writing, json_member(owner, "items"), level, &here);
    add_fields(writing, map_values(owner), level, &here);
}

/* --- the whole */

static void add_schema(const struct writing *writing, const struct json *schema)
{
    struct buf *out = writing->out;
    CLEANUP(buf_done) struct buf text = {0};
    add_descriptions(writing->document, schema, 0, &text);
    buf_add_str(out, "DESCRIPTION:\n");
    add_wrapped(text.len > 0 ? buf_text(&text) : "<empty>", 76, 4, out);
    add_external_docs(resolved(writing->document, schema), 0, out);
    size_t before = out->len;
    buf_add_str(out, "FIELDS:\n");
    size_t header = out->len;
    add_fields(writing, schema, 1, NULL);
    if (out->len == header)
        buf_truncate(out, before);
}

/* Goes down the fields from depth on and writes what is found there; false when the way ends before. */
static bool add_at(const struct writing *writing, const struct json *schema, const struct strv *fields, size_t depth,
                   const struct trail *trail)
{
    const char *reference = reference_of(schema);
    const struct json *target = resolved(writing->document, schema), *part;
    if (depth == fields->n) {
        add_schema(writing, schema);
        return true;
    }
    if ((trail != NULL && trail->depth > DEPTH_MAX) || (reference[0] != '\0' && on_trail(trail, reference)))
        return false;
    const struct trail here = {reference, trail, trail != NULL ? trail->depth + 1 : 0};
    const char *name = fields->items[depth];
    const struct json *field = json_member(json_member(target, "properties"), name);
    if (field != NULL) {
        if (depth + 1 == fields->n) {
            buf_printf(writing->out, "FIELD: %s <", name);
            add_type(writing->document, field, 0, writing->out);
            buf_add_str(writing->out, ">\n");
            add_enum(field, true, 0, writing->out);
            buf_add_str(writing->out, "\n\n");
        }
        return add_at(writing, field, fields, depth + 1, NULL);
    }
    if (json_len(json_member(target, "items")) > 0)
        return add_at(writing, json_member(target, "items"), fields, depth, &here);
    if (map_values(target) != NULL)
        return add_at(writing, map_values(target), fields, depth, &here);
    json_each(part, json_member(target, "allOf")) {
        if (add_at(writing, part, fields, depth, &here))
            return true;
    }
    return false;
}

const struct json *schema_of_kind(const struct json *schemas, const struct schema_question *question)
{
    void *position = NULL;
    const char *name;
    const struct json *schema, *type;
    while (json_next(schemas, &position, &name, &schema)) {
        json_each(type, json_member(schema, "x-kubernetes-group-version-kind")) {
            if (streq(json_str_or("", type, "group", NULL), question->group) &&
                streq(json_str(type, "version", NULL), question->version) &&
                streq(json_str(type, "kind", NULL), question->kind))
                return schema;
        }
    }
    return NULL;
}

int schema_text(const struct schema_question *question, struct buf *out, struct err *err)
{
    const struct writing writing = {question->document, question->recursive, out};
    const struct json *schema = schema_of_kind(json_get(question->document, "components", "schemas", NULL), question);
    if (schema == NULL)
        return err_set(err, ERR_NOT_FOUND, "GVK map[group:%s kind:%s version:%s] not found in OpenAPI schema",
                       question->group, question->kind, question->version);
    if (question->group[0] != '\0')
        buf_printf(out, "GROUP:      %s\n", question->group);
    buf_printf(out, "KIND:       %s\nVERSION:    %s\n\n", question->kind, question->version);
    if (!add_at(&writing, schema, question->fields, 0, NULL))
        return err_set(err, ERR_NOT_FOUND, "field \"%s\" does not exist",
                       question->fields->items[question->fields->n - 1]);
    buf_add_char(out, '\n');
    return 0;
}
