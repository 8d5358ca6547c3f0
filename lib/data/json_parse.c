/*
 * json_parse.c: RFC 8259 text to a tree, by recursive descent over the bytes in memory. Items and members are collected on
 * a stack that all levels share, and get an array of the right size when their bracket closes.
 *
 * What the caller wants left out is passed over by the functions skip_*: refused for the same reasons, at a fraction of the
 * price.
 */
#include "data/json.h"

#include <ctype.h>

#include "base/limits.h"
#include "base/mem.h"
#include "data/json_token.h"

enum { FIRST_STACK = 64 };

static void skip_space(struct json_parser *parser)
{
    while (parser->p < parser->end &&
           (*parser->p == ' ' || *parser->p == '\n' || *parser->p == '\r' || *parser->p == '\t'))
        parser->p++;
}

static inline bool skip_char(struct json_parser *parser, char c)
{
    if (parser->p < parser->end && (unsigned char)*parser->p <= ' ')
        skip_space(parser);
    if (parser->p >= parser->end || *parser->p != c)
        return false;
    parser->p++;
    return true;
}

/* Whether a stack of so many may be. */
static int check_room(const struct json_parser *parser, size_t stack_cap)
{
    if (parser->document != NULL && json_document_size(parser->document) + stack_cap * sizeof(struct json_member) > parser->room)
        return err_set(parser->err, ERR_TOO_BIG, "JSON has too many values for one text: a tree of them takes over %zu bytes",
                       parser->room);
    return 0;
}

static int enter(struct json_parser *parser)
{
    parser->p++;
    if (++parser->depth > LIMIT_JSON_DEPTH)
        return err_set(parser->err, ERR_TOO_BIG, "JSON is nested deeper than %d", LIMIT_JSON_DEPTH);
    return check_room(parser, parser->stack_cap);
}

/* --- values that are left out. These functions take where they begin and give where they end, NULL when they fail: the
 * position stays in a register */

static const char *skip_value(struct json_parser *parser, const char *p);

static inline const char *skip_blanks(const struct json_parser *parser, const char *p)
{
    while (p < parser->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

static const char *expected(struct json_parser *parser, const char *p, const char *what)
{
    parser->p = p;
    (void)json_token_expected(parser, what);
    return NULL;
}

/* From behind the opening quote. The quotes inside the keys of managedFields are what most escapes are for. */
static inline const char *skip_string(struct json_parser *parser, const char *start)
{
    const char *p = skip_ascii(start, parser->end);
    struct str text;

    while (parser->end - p >= 2 && p[0] == '\\' && p[1] == '"')
        p = skip_ascii(p + 2, parser->end);
    if (p < parser->end && *p == '"')
        return p + 1;
    parser->p = start;
    return json_token_unusual_string(parser, &text) == 0 ? parser->p : NULL;
}

static const char *skip_array(struct json_parser *parser, const char *p)
{
    p = skip_blanks(parser, p);
    if (p < parser->end && *p == ']')
        return p + 1;
    for (;;) {
        p = skip_value(parser, p);
        if (p == NULL)
            return NULL;
        p = skip_blanks(parser, p);
        if (p < parser->end && *p == ']')
            return p + 1;
        if (p >= parser->end || *p != ',')
            return expected(parser, p, "',' or ']'");
        p++;
    }
}

static const char *skip_object(struct json_parser *parser, const char *p)
{
    p = skip_blanks(parser, p);
    if (p < parser->end && *p == '}')
        return p + 1;
    for (;;) {
        p = skip_blanks(parser, p);
        if (p >= parser->end || *p != '"')
            return expected(parser, p, "a key in double quotes");
        p = skip_string(parser, p + 1);
        if (p == NULL)
            return NULL;
        p = skip_blanks(parser, p);
        if (p >= parser->end || *p != ':')
            return expected(parser, p, "':'");
        p = skip_value(parser, p + 1);
        if (p == NULL)
            return NULL;
        p = skip_blanks(parser, p);
        if (p < parser->end && *p == '}')
            return p + 1;
        if (p >= parser->end || *p != ',')
            return expected(parser, p, "',' or '}'");
        p++;
    }
}

static const char *skip_container(struct json_parser *parser, const char *p)
{
    parser->p = p;
    if (enter(parser) < 0)
        return NULL;
    p = *p == '{' ? skip_object(parser, p + 1) : skip_array(parser, p + 1);
    parser->depth--;
    return p;
}

/* A number or a word. */
static const char *skip_scalar(struct json_parser *parser, const char *p)
{
    struct json *constant;

    parser->p = p;
    bool is_number = p < parser->end && (*p == '-' || isdigit((unsigned char)*p));
    return (is_number ? json_token_number(parser, NULL) : json_token_word(parser, &constant)) == 0 ? parser->p : NULL;
}

static const char *skip_value(struct json_parser *parser, const char *p)
{
    p = skip_blanks(parser, p);
    switch (p < parser->end ? *p : '\0') {
    case '{':
    case '[':
        return skip_container(parser, p);
    case '"':
        return skip_string(parser, p + 1);
    default:
        return skip_scalar(parser, p);
    }
}

/* --- values that are kept */

static int read_value(struct json_parser *parser, const struct json_omit *omit, struct json **ret);

/*
 * A text that was read, for a node or a key: a copy; in a document the text itself, which lies in its copy and is ended
 * where its closing quote was. Escapes make a text only shorter, so that it fits into its old place.
 */
static char *text_in_place(struct json_parser *parser, struct str text)
{
    bool decoded = text.p == parser->text.data;
    size_t at = (size_t)(parser->p - parser->start) - 1; /* of the closing quote */
    char *place = json_document_text(parser->document) + at - text.len;

    if (decoded)
        memcpy(place, text.p, text.len);
    place[text.len] = '\0';
    return place;
}

static struct json *new_string(struct json_parser *parser, struct str text)
{
    if (parser->document == NULL)
        return json_node_string(text.p, text.len);
    struct json *node = json_node_new(parser->document, JSON_STRING);
    node->string.text = text_in_place(parser, text);
    node->string.len = text.len;
    return node;
}

static int grow_stack(struct json_parser *parser)
{
    int r = check_room(parser, parser->stack_cap * 2);
    if (r < 0)
        return r;
    struct json_member *bigger = xcalloc(parser->stack_cap * 2, sizeof(*bigger));

    memcpy(bigger, parser->stack, parser->n_stack * sizeof(*bigger));
    if (parser->stack != parser->first_stack)
        free(parser->stack);
    parser->stack = bigger;
    parser->stack_cap *= 2;
    return 0;
}

static inline int push(struct json_parser *parser, char *key, size_t key_len, struct json *value)
{
    int r = parser->n_stack == parser->stack_cap ? grow_stack(parser) : 0;
    if (r < 0)
        return r; /* only in a document, where nothing needs to be freed */
    parser->stack[parser->n_stack++] = (struct json_member){key, key_len, value};
    return 0;
}

/* Everything from position `bottom` of the stack on becomes the items of an array. */
static struct json *pop_array(struct json_parser *parser, size_t bottom)
{
    struct json *array = json_node_new(parser->document, JSON_ARRAY);
    size_t n = parser->n_stack - bottom, size = n * sizeof(struct json *);

    parser->n_stack = bottom;
    if (n == 0)
        return array;
    array->array.items = parser->document != NULL ? json_document_room(parser->document, size) : xmalloc(size);
    array->array.n = array->array.cap = (uint32_t)n;
    for (size_t i = 0; i < n; i++)
        array->array.items[i] = parser->stack[bottom + i].value;
    return array;
}

static int read_array(struct json_parser *parser, const struct json_omit *omit, struct json **ret)
{
    size_t bottom = parser->n_stack;
    int r = enter(parser);

    if (r < 0)
        return r;
    if (!skip_char(parser, ']')) {
        do {
            struct json *item;
            r = read_value(parser, omit, &item);
            if (r < 0)
                return r;
            r = push(parser, NULL, 0, item);
            if (r < 0)
                return r;
        } while (skip_char(parser, ','));
        if (!skip_char(parser, ']'))
            return json_token_expected(parser, "',' or ']'");
    }
    parser->depth--;
    *ret = pop_array(parser, bottom);
    return 0;
}

static const struct json_omit *find_omit(const struct json_omit *omit, struct str key)
{
    for (; omit != NULL && omit->name != NULL; omit++)
        if (key.len > 0 && *omit->name == *key.p && strncmp(omit->name, key.p, key.len) == 0 &&
            omit->name[key.len] == '\0')
            return omit;
    return NULL;
}

static int leave_out(struct json_parser *parser)
{
    const char *p = skip_value(parser, parser->p);

    if (p == NULL)
        return (int)parser->err->code;
    parser->p = p;
    return 0;
}

static int read_member(struct json_parser *parser, const struct json_omit *omit)
{
    struct json *value = NULL;
    struct str key;

    if (!skip_char(parser, '"'))
        return json_token_expected(parser, "a key in double quotes");
    int r = json_token_string(parser, &key);
    if (r < 0)
        return r;
    const struct json_omit *found = find_omit(omit, key);
    bool wanted = found == NULL || found->inside != NULL;
    /* first of all: the slice may be of parser->text, which the value uses, too */
    char *copy = NULL;
    if (wanted)
        copy = parser->document != NULL ? text_in_place(parser, key) : xstrndup(key.p, key.len);
    if (!skip_char(parser, ':'))
        r = json_token_expected(parser, "':'");
    else if (wanted)
        r = read_value(parser, found != NULL ? found->inside : NULL, &value);
    else
        r = leave_out(parser);
    if (r == 0 && wanted)
        return push(parser, copy, key.len, value);
    if (parser->document == NULL)
        free(copy);
    return r;
}

static int read_object(struct json_parser *parser, const struct json_omit *omit, struct json **ret)
{
    size_t bottom = parser->n_stack;
    int r = enter(parser);

    if (r < 0)
        return r;
    if (!skip_char(parser, '}')) {
        do {
            r = read_member(parser, omit);
            if (r < 0)
                return r;
        } while (skip_char(parser, ','));
        if (!skip_char(parser, '}'))
            return json_token_expected(parser, "',' or '}'");
    }
    parser->depth--;
    *ret = json_node_new(parser->document, JSON_OBJECT);
    if (parser->n_stack > bottom)
        json_object_fill(parser->document, *ret, parser->stack + bottom, parser->n_stack - bottom);
    parser->n_stack = bottom;
    return 0;
}

static int read_value(struct json_parser *parser, const struct json_omit *omit, struct json **ret)
{
    struct str text;
    int r;

    if (parser->p < parser->end && (unsigned char)*parser->p <= ' ')
        skip_space(parser);
    switch (parser->p < parser->end ? *parser->p : '\0') {
    case '{':
        return read_object(parser, omit, ret);
    case '[':
        return read_array(parser, omit, ret);
    case '"':
        parser->p++;
        r = json_token_string(parser, &text);
        if (r == 0)
            *ret = new_string(parser, text);
        return r;
    case '-':
    case '0' ... '9':
        return json_token_number(parser, ret);
    default:
        return json_token_word(parser, ret);
    }
}

static int parse(struct json_parser *parser, const struct json_omit *omit, struct json **ret)
{
    CLEANUP(json_free) struct json *tree = NULL;
    struct json_member first_stack[FIRST_STACK];

    parser->stack = parser->first_stack = first_stack;
    parser->stack_cap = FIRST_STACK;
    int r = read_value(parser, omit, &tree);
    if (r == 0) {
        skip_space(parser);
        if (parser->p < parser->end)
            r = json_token_expected(parser, "the end");
    }
    for (size_t i = 0; i < parser->n_stack && parser->document == NULL; i++) { /* of values cut off by an error */
        free(parser->stack[i].key);
        json_free(parser->stack[i].value);
    }
    if (parser->stack != first_stack)
        free(parser->stack);
    buf_done(&parser->text);
    if (r == 0)
        *ret = take(&tree);
    return r;
}

int json_parse_without(const char *text, size_t len, const struct json_omit *omit, struct json **ret, struct err *err)
{
    struct json_parser parser = {.start = text, .p = text, .end = text + len, .original = text, .err = err};

    return parse(&parser, omit, ret);
}

int json_parse(const char *text, size_t len, struct json **ret, struct err *err)
{
    return json_parse_without(text, len, NULL, ret, err);
}

/* In the document's text. original: the same as it came, or NULL. */
static int parse_document(struct json_document *document, size_t len, const char *original, const struct json_omit *omit,
                          size_t room, struct json **ret, struct err *err)
{
    CLEANUP(json_document_free) struct json_document *owned = document;
    const char *text = json_document_text(document);
    struct json_parser parser = {
        .start = text, .p = text, .end = text + len, .original = original, .document = document, .room = room, .err = err};
    struct json *tree;

    int r = parse(&parser, omit, &tree);
    if (r == 0)
        *ret = json_document_close(take(&owned), tree);
    return r;
}

int json_parse_to_read(const char *text, size_t len, const struct json_omit *omit, struct json **ret, struct err *err)
{
    return json_parse_to_read_within(text, len, omit, SIZE_MAX, ret, err);
}

int json_parse_to_read_within(const char *text, size_t len, const struct json_omit *omit, size_t room, struct json **ret,
                              struct err *err)
{
    return parse_document(json_document_new(text, len), len, text, omit, room, ret, err);
}

int json_parse_in_place(struct buf *text, const struct json_omit *omit, struct json **ret, struct err *err)
{
    size_t len = text->len;

    return parse_document(json_document_over(buf_take(text), len), len, NULL, omit, SIZE_MAX, ret, err);
}
