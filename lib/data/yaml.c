/*
 * yaml.c: YAML streams to JSON trees: libyaml's events, read by recursive descent. Anchors are kept as trees and
 * copied at each alias, merge keys are resolved in place, in the order of the document (as Go's yaml.v2 does). What
 * aliases expand to counts against the limits, so a small text cannot become a huge tree. Printing is in
 * yaml_print.c.
 */
#include "data/yaml.h"

#include <ctype.h>
#include <math.h>
#include <yaml.h>

#include "base/codec.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/real.h"
#include "data/yaml_scalar.h"

/* bytes of text that weigh as much as one node */
#define BYTES_PER_NODE 64

struct anchor {
    struct json *tree; /* NULL while its node is being read */
    size_t nodes;
    int height;
};

struct node { /* what reading one node gave */
    struct json *tree;
    size_t nodes; /* weight with everything below */
    int height;
};

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    struct map anchors; /* of the current document: name → struct anchor */
    size_t total;
    int depth;
};

static void forget_anchors(struct reader *reader)
{
    const char *name;
    void *value;

    for (size_t i = 0; map_next(&reader->anchors, &i, &name, &value);) {
        struct anchor *anchor = value;
        json_free(anchor->tree);
        free(anchor);
    }
    map_done(&reader->anchors);
}

static void reader_done(struct reader *reader)
{
    forget_anchors(reader);
    yaml_event_delete(&reader->event);
    yaml_parser_delete(&reader->parser);
}
DEFINE_CLEANUP_IN_PLACE(struct reader, reader_done)

/* libyaml counts lines from 0; the numbers here are those that kubectl users know from yaml.v2. */
static int parser_error(const yaml_parser_t *parser, struct err *err)
{
    size_t line = parser->problem_mark.line != 0 ? parser->problem_mark.line + (parser->error == YAML_SCANNER_ERROR)
                                                 : parser->context_mark.line;
    const char *problem = parser->problem != NULL ? parser->problem : "unknown problem parsing YAML content";

    if (line != 0)
        return err_set(err, ERR_PARSE, "yaml: line %zu: %s", line, problem);
    return err_set(err, ERR_PARSE, "yaml: %s", problem);
}

static int node_error(const struct reader *reader, const char *what, struct err *err)
{
    return err_set(err, ERR_PARSE, "yaml: line %zu: %s", reader->event.start_mark.line + 1, what);
}

static int next_event(struct reader *reader, struct err *err)
{
    yaml_event_delete(&reader->event);
    if (!yaml_parser_parse(&reader->parser, &reader->event))
        return parser_error(&reader->parser, err);
    return 0;
}

static int add_weight(struct reader *reader, size_t nodes, struct err *err)
{
    reader->total += nodes;
    if (reader->total > LIMIT_YAML_EVENTS)
        return err_set(err, ERR_TOO_BIG, "yaml: more than %d nodes, aliases included", LIMIT_YAML_EVENTS);
    return 0;
}

/* --- scalars */

/* A whole real is an integer on the JSON side, where Go's reader of the next step sees "1000", not "1e3". */
static struct json *new_number(double value)
{
    char text[REAL_TEXT_MAX];

    real_print_json(value, text);
    if (strpbrk(text, ".e") == NULL && value >= -0x1p63 && value < 0x1p63)
        return json_new_int((int64_t)value);
    return json_new_real(value);
}

static int scalar_tree(const struct reader *reader, struct yaml_scalar scalar, const char *text, struct json **ret,
                       struct err *err)
{
    switch (scalar.kind) {
    case YAML_NULL:
        *ret = json_new_null();
        return 0;
    case YAML_BOOL:
        *ret = json_new_bool(scalar.boolean);
        return 0;
    case YAML_INT:
        *ret = json_new_int(scalar.integer);
        return 0;
    case YAML_REAL:
        if (!isfinite(scalar.real))
            return node_error(reader, "infinity and NaN cannot be converted to JSON", err);
        *ret = new_number(scalar.real);
        return 0;
    case YAML_STRING:
    case YAML_TIMESTAMP:
    case YAML_BASE60:
        break;
    }
    *ret = json_new_string(text);
    return 0;
}

static int tagged_tree(const struct reader *reader, const char *tag, const char *text, size_t len, struct json **ret,
                       struct err *err)
{
    struct yaml_scalar scalar = yaml_scalar_resolve(text);
    enum yaml_kind kind = scalar.kind;

    if (streq(tag, YAML_STR_TAG) || !starts_with(tag, "tag:yaml.org,2002:")) {
        *ret = json_new_string(text);
        return 0;
    }
    if (streq(tag, "tag:yaml.org,2002:binary")) {
        CLEANUP(buf_done) struct buf bytes = {0};
        int r = base64_decode(text, len, &bytes, err);
        if (r < 0)
            return err_wrap(err, "yaml: line %zu: !!binary value", reader->event.start_mark.line + 1);
        *ret = json_new_string_n(buf_text(&bytes), bytes.len);
        return 0;
    }
    if ((streq(tag, YAML_INT_TAG) && kind == YAML_INT) || (streq(tag, YAML_BOOL_TAG) && kind == YAML_BOOL) ||
        (streq(tag, YAML_NULL_TAG) && kind == YAML_NULL) ||
        (streq(tag, YAML_TIMESTAMP_TAG) && kind == YAML_TIMESTAMP) ||
        (streq(tag, YAML_FLOAT_TAG) && (kind == YAML_REAL || kind == YAML_INT)))
        return scalar_tree(reader, scalar, text, ret, err);
    return err_set(err, ERR_PARSE, "yaml: line %zu: cannot decode '%.40s' as a !!%s",
                   reader->event.start_mark.line + 1, text, tag + strlen("tag:yaml.org,2002:"));
}

static int read_scalar(struct reader *reader, struct node *ret, struct err *err)
{
    const char *text = (const char *)reader->event.data.scalar.value;
    const char *tag = (const char *)reader->event.data.scalar.tag;
    size_t len = reader->event.data.scalar.length;
    int r;

    if (memchr(text, '\0', len) != NULL)
        return node_error(reader, "text with a NUL character", err);
    ret->nodes = 1 + len / BYTES_PER_NODE;
    ret->height = 0;
    r = add_weight(reader, ret->nodes, err);
    if (r < 0)
        return r;
    if (tag != NULL)
        return tagged_tree(reader, tag, text, len, &ret->tree, err);
    if (reader->event.data.scalar.plain_implicit)
        return scalar_tree(reader, yaml_scalar_resolve(text), text, &ret->tree, err);
    ret->tree = json_new_string_n(text, len);
    return 0;
}

/* --- nodes; each reads the current event and leaves its own last event current */

static int read_node(struct reader *reader, struct node *ret, struct err *err);

static int read_alias(struct reader *reader, struct node *ret, struct err *err)
{
    const char *name = (const char *)reader->event.data.alias.anchor;
    const struct anchor *anchor = map_get(&reader->anchors, name);

    if (anchor == NULL)
        return err_set(err, ERR_PARSE, "yaml: unknown anchor '%.100s' referenced", name);
    if (anchor->tree == NULL)
        return err_set(err, ERR_PARSE, "yaml: anchor '%.100s' value contains itself", name);
    if (reader->depth + anchor->height > LIMIT_JSON_DEPTH)
        return err_set(err, ERR_TOO_BIG, "yaml: nested deeper than %d", LIMIT_JSON_DEPTH);
    int r = add_weight(reader, anchor->nodes, err);
    if (r < 0)
        return r;
    *ret = (struct node){.tree = json_clone(anchor->tree), .nodes = anchor->nodes, .height = anchor->height};
    return 0;
}

static void include(struct node *outer, const struct node *inner)
{
    outer->nodes += inner->nodes;
    if (inner->height + 1 > outer->height)
        outer->height = inner->height + 1;
}

static int read_sequence(struct reader *reader, struct node *ret, struct err *err)
{
    CLEANUP(json_free) struct json *array = json_new_array();
    struct node whole = {.nodes = 1};
    int r;

    for (;;) {
        struct node item = {0};
        r = next_event(reader, err);
        if (r < 0)
            return r;
        if (reader->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        r = read_node(reader, &item, err);
        if (r < 0)
            return r;
        json_push(array, item.tree);
        include(&whole, &item);
    }
    whole.tree = take(&array);
    *ret = whole;
    return 0;
}

static bool is_merge_key(const yaml_event_t *event)
{
    if (event->type != YAML_SCALAR_EVENT || !streq((const char *)event->data.scalar.value, "<<"))
        return false;
    return event->data.scalar.plain_implicit ||
           streq((const char *)event->data.scalar.tag, "tag:yaml.org,2002:merge");
}

static bool copy_members(struct json *object, const struct json *from)
{
    void *position = NULL;
    const char *key;
    const struct json *value;

    if (!json_is_object(from))
        return false;
    while (json_next(from, &position, &key, &value))
        json_set(object, key, json_clone(value));
    return true;
}

/* The value of "<<": a mapping, or a list of them of which earlier ones win. */
static int merge(const struct reader *reader, struct json *object, const struct json *value, struct err *err)
{
    bool good = true;

    if (json_is_array(value)) {
        for (size_t i = json_len(value); good && i > 0; i--)
            good = copy_members(object, json_at(value, i - 1));
    } else {
        good = copy_members(object, value);
    }
    return good ? 0 : node_error(reader, "map merge requires map or sequence of maps as the value", err);
}

/* The key as JSON has it, a heap string. */
static int key_text(const struct reader *reader, const struct json *key, char **ret, struct err *err)
{
    char text[REAL_TEXT_MAX];

    switch (json_type(key)) {
    case JSON_STRING:
        *ret = xstrdup(json_string_value(key));
        return 0;
    case JSON_INT:
        *ret = xasprintf("%lld", (long long)json_int_value(key));
        return 0;
    case JSON_REAL:
        real_print_g(json_real_value(key), text);
        *ret = xstrdup(text);
        return 0;
    case JSON_BOOL:
        *ret = xstrdup(json_is_true(key, NULL) ? "true" : "false");
        return 0;
    case JSON_NULL:
        return node_error(reader, "unsupported map key: null", err);
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return node_error(reader, "invalid map key: a list or a map", err);
}

static int read_member(struct reader *reader, struct json *object, struct node *whole, struct err *err)
{
    CLEANUP(json_free) struct json *key_tree = NULL;
    CLEANUP(xfree) char *key = NULL;
    struct node part = {0};
    bool merging = is_merge_key(&reader->event);

    int r = read_node(reader, &part, err);
    key_tree = part.tree;
    if (r < 0)
        return r;
    if (!merging)
        r = key_text(reader, key_tree, &key, err);
    if (r == 0)
        r = next_event(reader, err);
    part = (struct node){0};
    if (r == 0)
        r = read_node(reader, &part, err);
    if (r < 0)
        return r;
    include(whole, &part);
    if (!merging) {
        json_set(object, key, part.tree);
        return 0;
    }
    r = merge(reader, object, part.tree, err);
    json_free(part.tree);
    return r;
}

static int read_mapping(struct reader *reader, struct node *ret, struct err *err)
{
    CLEANUP(json_free) struct json *object = json_new_object();
    struct node whole = {.nodes = 1};
    int r;

    for (;;) {
        r = next_event(reader, err);
        if (r < 0)
            return r;
        if (reader->event.type == YAML_MAPPING_END_EVENT)
            break;
        r = read_member(reader, object, &whole, err);
        if (r < 0)
            return r;
    }
    whole.tree = take(&object);
    *ret = whole;
    return 0;
}

static const char *anchor_name(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return (const char *)event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return (const char *)event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return (const char *)event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

static struct anchor *new_anchor(struct reader *reader, const char *name)
{
    struct anchor *anchor = NEW(struct anchor);
    struct anchor *before = map_set(&reader->anchors, name, anchor);

    if (before != NULL)
        json_free(before->tree);
    free(before);
    return anchor;
}

static int read_node_value(struct reader *reader, struct node *ret, struct err *err)
{
    int r;

    switch (reader->event.type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, ret, err);
    case YAML_ALIAS_EVENT:
        return read_alias(reader, ret, err);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        r = add_weight(reader, 1, err);
        if (r < 0)
            return r;
        if (++reader->depth > LIMIT_JSON_DEPTH)
            return err_set(err, ERR_TOO_BIG, "yaml: nested deeper than %d", LIMIT_JSON_DEPTH);
        r = reader->event.type == YAML_SEQUENCE_START_EVENT ? read_sequence(reader, ret, err)
                                                            : read_mapping(reader, ret, err);
        reader->depth--;
        return r;
    default:
        return node_error(reader, "a value is missing", err);
    }
}

static int read_node(struct reader *reader, struct node *ret, struct err *err)
{
    CLEANUP(xfree) char *name = xstrdup(anchor_name(&reader->event));

    if (name != NULL)
        (void)new_anchor(reader, name);
    int r = read_node_value(reader, ret, err);
    if (r < 0 || name == NULL)
        return r;
    /* looked up again: the same name may have been given once more inside */
    struct anchor *anchor = new_anchor(reader, name);
    *anchor = (struct anchor){.tree = json_clone(ret->tree), .nodes = ret->nodes, .height = ret->height};
    r = add_weight(reader, ret->nodes, err);
    if (r < 0)
        ret->tree = json_free(ret->tree);
    return r;
}

static int read_stream(struct reader *reader, struct json *documents, struct err *err)
{
    int r;

    for (;;) {
        r = next_event(reader, err);
        if (r < 0)
            return r;
        if (reader->event.type == YAML_STREAM_END_EVENT)
            return 0;
        if (reader->event.type != YAML_DOCUMENT_START_EVENT)
            continue; /* stream start, document end */
        struct node root = {0};
        r = next_event(reader, err);
        if (r == 0)
            r = read_node(reader, &root, err);
        if (r < 0)
            return r;
        if (json_type(root.tree) == JSON_NULL)
            json_free(root.tree);
        else
            json_push(documents, root.tree);
        forget_anchors(reader);
    }
}

/* --- JSON texts, one after the other; YAML would take them too but for tabs and a missing "---" between them */

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && isspace((unsigned char)*p))
        p++;
    return p;
}

/* The end of the object or array at p; NULL when it does not end. */
static const char *value_end(const char *p, const char *end)
{
    size_t depth = 0;

    for (; p < end; p++) {
        if (*p == '"') {
            for (p++; p < end && *p != '"'; p++)
                p += *p == '\\';
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if ((*p == '}' || *p == ']') && --depth == 0) {
            return p + 1;
        }
    }
    return NULL;
}

static struct json *parse_json_stream(const char *text, size_t len)
{
    CLEANUP(json_free) struct json *documents = json_new_array();
    const char *end = text + len, *p = skip_space(text, end);

    while (p < end) {
        CLEANUP(err_clear) struct err ignored = {0};
        const char *next = *p == '{' || *p == '[' ? value_end(p, end) : NULL;
        struct json *document;
        if (next == NULL || json_parse(p, (size_t)(next - p), &document, &ignored) < 0)
            return NULL; /* YAML then; its error tells what is wrong */
        json_push(documents, document);
        p = skip_space(next, end);
    }
    return take(&documents);
}

int yaml_parse_all(const char *text, size_t len, struct json **ret, struct err *err)
{
    struct json *documents = parse_json_stream(text, len);

    if (documents == NULL) {
        CLEANUP(json_free) struct json *read = json_new_array();
        CLEANUP(reader_done) struct reader reader = {0};
        if (!yaml_parser_initialize(&reader.parser))
            abort(); /* out of memory */
        yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, len);
        int r = read_stream(&reader, read, err);
        if (r < 0)
            return r;
        documents = take(&read);
    }
    *ret = documents;
    return 0;
}

int yaml_parse(const char *text, size_t len, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *documents = NULL;
    int r = yaml_parse_all(text, len, &documents, err);

    if (r < 0)
        return r;
    if (json_len(documents) > 1)
        return err_set(err, ERR_PARSE, "yaml: %zu documents where one is expected", json_len(documents));
    *ret = json_len(documents) == 1 ? json_keep(json_at(documents, 0)) : json_new_null();
    return 0;
}
