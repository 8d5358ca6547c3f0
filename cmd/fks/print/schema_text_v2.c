/*
 * schema_text_v2.c: the text of `explain --output=plaintext-openapiv2`: what kubectl showed before servers had OpenAPI v3.
 * Its layout, and how it breaks lines, differ from schema_text.c's in everything. Fetching the document is explain.c's.
 */
#include "print/schema_text.h"

#include <ctype.h>

#include "base/mem.h"
#include "text/gotext.h"

#define WIDTH 80
#define OF_DESCRIPTION 5 /* columns before a text */
#define OF_FIELD 3
#define DEPTH_MAX 40 /* schemas may refer to themselves */

enum kind { REFERENCE, OBJECT, MAP, ARRAY, PRIMITIVE, ARBITRARY };

struct node {
    const struct json *schema;
    bool arbitrary; /* the values of a map that does not tell more: only the description is of use */
};

struct writing {
    const struct json *document;
    struct buf *out;
};

static enum kind kind_of(struct node node)
{
    const char *type = json_str(node.schema, "type", NULL);
    bool has_properties = json_member(node.schema, "properties") != NULL;
    if (node.arbitrary)
        return ARBITRARY;
    if (json_str(node.schema, "$ref", NULL) != NULL)
        return REFERENCE;
    if (type == NULL)
        return has_properties ? OBJECT : ARBITRARY;
    if (streq(type, "object"))
        return has_properties ? OBJECT : MAP;
    return streq(type, "array") ? ARRAY : PRIMITIVE;
}

static const char *description_of(struct node node)
{
    return json_str_or("", node.schema, "description", NULL);
}

/* What a reference refers to, or the elements of a map or an array. */
static struct node below(const struct json *document, struct node node)
{
    static const char prefix[] = "#/definitions/";
    const char *reference = json_str_or("", node.schema, "$ref", NULL);
    if (reference[0] != '\0')
        return (struct node){starts_with(reference, prefix)
                                 ? json_member(json_member(document, "definitions"), reference + strlen(prefix))
                                 : NULL, false};
    if (kind_of(node) == ARRAY)
        return (struct node){json_member(node.schema, "items"), false};
    const struct json *values = json_member(node.schema, "additionalProperties");
    return json_is_object(values) ? (struct node){values, false} : (struct node){node.schema, true};
}

static bool is_shell(struct node node)
{
    enum kind kind = kind_of(node);
    return kind == REFERENCE || kind == ARRAY || kind == MAP;
}

static struct node field_of(struct node node, const char *name)
{
    return (struct node){json_member(json_member(node.schema, "properties"), name), false};
}

static void add_type(const struct json *document, struct node node, struct buf *out)
{
    for (int depth = 0; is_shell(node) && depth < DEPTH_MAX; depth++) {
        enum kind kind = kind_of(node);
        buf_add_str(out, kind == ARRAY ? "[]" : kind == MAP ? "map[string]" : "");
        node = below(document, node);
    }
    if (kind_of(node) == OBJECT)
        buf_add_str(out, "Object");
    else if (kind_of(node) == PRIMITIVE)
        buf_add_str(out, json_str_or("", node.schema, "type", NULL));
}

/* --- lines */

struct paragraph {
    struct buf *out;
    struct buf line;
    size_t indent, width, n_lines;
    bool colon; /* the line ends with one */
};

static void end_line(struct paragraph *paragraph)
{
    if (paragraph->line.len == 0)
        return;
    buf_printf(paragraph->out, "%*s%s\n", (int)paragraph->indent, "", buf_text(&paragraph->line));
    buf_clear(&paragraph->line);
    paragraph->n_lines++;
    paragraph->colon = false;
}

/* "1. ", "- " or "* " */
static bool is_bullet(struct str text)
{
    size_t n = 0;
    while (n < text.len && isdigit((unsigned char)text.p[n]))
        n++;
    if (n > 0)
        n += n < text.len && text.p[n] == '.' ? 1 : 0;
    else
        n = text.len > 0 && (text.p[0] == '-' || text.p[0] == '*') ? 1 : 0;
    return n > 0 && n < text.len && isspace((unsigned char)text.p[n]);
}

static void add_words(struct paragraph *paragraph, struct str text)
{
    while (text.len > 0) {
        size_t n = 0;
        while (n < text.len && !isspace((unsigned char)text.p[n]))
            n++;
        if (paragraph->line.len > 0 && paragraph->line.len + 1 + n > paragraph->width)
            end_line(paragraph);
        buf_printf(&paragraph->line, "%s%.*s", paragraph->line.len > 0 ? " " : "", (int)n, text.p);
        paragraph->colon = text.p[n - 1] == ':';
        text = str_trim((struct str){text.p + n, text.len - n});
    }
}

/* Lines are joined and broken anew, but for lists, what follows a colon, empty lines and code. */
static void add_wrapped(const char *text, size_t indent, struct buf *out)
{
    CLEANUP(strv_done) struct strv lines = {0};
    struct paragraph paragraph = {.out = out, .indent = indent, .width = WIDTH - indent};
    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        struct str line = str_trim(str_of(lines.items[i]));
        bool is_code = starts_with(lines.items[i], "    ");
        if (is_code || (line.len == 0 && paragraph.n_lines > 0)) {
            end_line(&paragraph);
            buf_printf(out, "%*s%s\n", is_code ? (int)indent : 0, "", is_code ? lines.items[i] : "");
            paragraph.n_lines++;
            continue;
        }
        if (paragraph.colon || line.len == 0 || is_bullet(line))
            end_line(&paragraph);
        add_words(&paragraph, line);
    }
    end_line(&paragraph);
    buf_done(&paragraph.line);
}

/* --- parts */

static void add_fields(const struct writing *writing, struct node node)
{
    CLEANUP(strv_done) struct strv names = {0};
    gotext_keys(json_member(node.schema, "properties"), &names);
    for (size_t i = 0; i < names.n; i++) {
        struct node field = field_of(node, names.items[i]);
        const struct json *required;
        buf_printf(writing->out, "%*s%s\t<", OF_FIELD, "", names.items[i]);
        add_type(writing->document, field, writing->out);
        buf_add_char(writing->out, '>');
        json_each(required, json_member(node.schema, "required")) {
            if (streq(json_string_value(required), names.items[i]))
                buf_add_str(writing->out, " -required-");
        }
        buf_add_char(writing->out, '\n');
        add_wrapped(description_of(field), OF_FIELD + 2, writing->out);
        buf_add_char(writing->out, '\n');
    }
}

/* trail: the definitions on the way down; one that comes again is a cycle. */
static void add_all_fields(const struct writing *writing, struct node node, size_t indent, struct strv *trail)
{
    size_t n_trail = trail->n;
    while (is_shell(node) && trail->n < DEPTH_MAX) {
        const char *reference = json_str(node.schema, "$ref", NULL);
        if (reference != NULL && strv_has(trail, reference))
            break;
        if (reference != NULL)
            strv_add(trail, reference);
        node = below(writing->document, node);
    }
    CLEANUP(strv_done) struct strv names = {0};
    if (kind_of(node) == OBJECT)
        gotext_keys(json_member(node.schema, "properties"), &names);
    for (size_t i = 0; i < names.n; i++) {
        struct node field = field_of(node, names.items[i]);
        buf_printf(writing->out, "%*s%s\t<", (int)indent, "", names.items[i]);
        add_type(writing->document, field, writing->out);
        buf_add_str(writing->out, ">\n");
        add_all_fields(writing, field, indent + OF_FIELD, trail);
    }
    while (trail->n > n_trail)
        free(trail->items[--trail->n]);
}

static void add_descriptions(const struct strv *descriptions, struct buf *out)
{
    bool empty = true;
    buf_add_str(out, "DESCRIPTION:\n");
    for (size_t i = 0; i < descriptions->n; i++) {
        if (descriptions->items[i][0] == '\0')
            continue;
        empty = false;
        buf_add_str(out, i > 0 ? "\n" : "");
        add_wrapped(descriptions->items[i], OF_DESCRIPTION, out);
    }
    if (empty)
        add_wrapped("<empty>", OF_DESCRIPTION, out);
}

static void add_model(const struct writing *writing, const struct schema_question *question, struct node node)
{
    CLEANUP(strv_done) struct strv descriptions = {0};
    CLEANUP(buf_done) struct buf type = {0};
    struct buf *out = writing->out;
    const char *name = question->fields->n > 0 ? question->fields->items[question->fields->n - 1] : "";
    add_type(writing->document, node, &type);
    for (int depth = 0; is_shell(node) && depth < DEPTH_MAX; depth++) {
        strv_add(&descriptions, description_of(node));
        node = below(writing->document, node);
    }
    strv_add(&descriptions, description_of(node));
    buf_printf(out, "KIND:     %s\nVERSION:  %s%s%s\n\n", question->kind, question->group,
               question->group[0] != '\0' ? "/" : "", question->version);
    if (kind_of(node) == PRIMITIVE)
        buf_printf(out, "FIELD:    %s <%s>\n\n", name, buf_text(&type));
    else if (kind_of(node) == OBJECT && name[0] != '\0')
        buf_printf(out, "RESOURCE: %s <%s>\n\n", name, buf_text(&type));
    add_descriptions(&descriptions, out);
    if (kind_of(node) != OBJECT)
        return;
    buf_add_str(out, "\nFIELDS:\n");
    CLEANUP(strv_done) struct strv trail = {0};
    if (question->recursive)
        add_all_fields(writing, node, OF_FIELD, &trail);
    else
        add_fields(writing, node);
}

/* --- the whole */

int schema_text_v2(const struct schema_question *question, struct buf *out, struct err *err)
{
    const struct writing writing = {question->document, out};
    struct node node = {schema_of_kind(json_member(question->document, "definitions"), question), false};
    if (node.schema == NULL)
        return err_set(err, ERR_NOT_FOUND, "couldn't find resource for \"%s%s%s, Kind=%s\"", question->group,
                       question->group[0] != '\0' ? "/" : "", question->version, question->kind);
    for (size_t i = 0; i < question->fields->n; i++) {
        for (int depth = 0; is_shell(node) && depth < DEPTH_MAX; depth++)
            node = below(question->document, node);
        if (kind_of(node) != OBJECT)
            break; /* a text has no fields, but kubectl does not mind */
        node = field_of(node, question->fields->items[i]);
        if (node.schema == NULL)
            return err_set(err, ERR_NOT_FOUND, "field \"%s\" does not exist", question->fields->items[i]);
    }
    add_model(&writing, question, node);
    return 0;
}
