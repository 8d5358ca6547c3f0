/*
 * json_parse.c: RFC 8259 text to a tree, by recursive descent over the bytes in memory. Items and members are collected on
 * a stack that all levels share, and get an array of the right size when their bracket closes.
 *
 * What the caller wants left out is read by the functions skip_*: refused for the same reasons, at a fraction of the price,
 * which is the tree's nodes.
 */
#include "data/json.h"

#include <ctype.h>
#include <math.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/json_node.h"
#include "data/json_scan.h"
#include "data/utf8.h"

enum { FIRST_STACK = 64 };

struct parser {
    const char *start, *p, *end; /* of a document: in its own copy of the text, where strings are ended and decoded in place */
    const char *original;        /* the text as it came, for telling where it is wrong */
    int depth;
    struct buf text; /* the string or number under way, when it is not used as it stands */
    struct json_document *document; /* NULL: nodes on the heap */
    struct json_member *stack;      /* members and items (without a key) of the values that are still open */
    size_t n_stack, stack_cap;
    struct json_member *first_stack; /* the caller's, big enough for most texts */
    struct err *err;
};

static int fail(const struct parser *parser, const char *at, const char *what)
{
    size_t line = 1;
    const char *line_start = parser->original;

    at = parser->original + (at - parser->start);
    for (const char *p = parser->original; p < at; p++) {
        if (*p == '\n') {
            line++;
            line_start = p + 1;
        }
    }
    return err_set(parser->err, ERR_PARSE, "JSON line %zu, column %zu: %s", line, (size_t)(at - line_start) + 1,
                   what);
}

static int fail_here(const struct parser *parser, const char *expected)
{
    unsigned char c = parser->p < parser->end ? (unsigned char)*parser->p : 0;
    char what[80];

    if (parser->p >= parser->end)
        snprintf(what, sizeof(what), "%s expected, but the text ends", expected);
    else if (isgraph(c))
        snprintf(what, sizeof(what), "%s expected, but there is '%c'", expected, c);
    else
        snprintf(what, sizeof(what), "%s expected, but there is byte 0x%02x", expected, c);
    return fail(parser, parser->p, what);
}

static void skip_space(struct parser *parser)
{
    while (parser->p < parser->end &&
           (*parser->p == ' ' || *parser->p == '\n' || *parser->p == '\r' || *parser->p == '\t'))
        parser->p++;
}

static inline bool skip_char(struct parser *parser, char c)
{
    if (parser->p < parser->end && (unsigned char)*parser->p <= ' ')
        skip_space(parser);
    if (parser->p >= parser->end || *parser->p != c)
        return false;
    parser->p++;
    return true;
}

/* --- strings */

/* Four hexadecimal digits behind \u; -1 when they are not there. */
static int32_t read_hex(struct parser *parser)
{
    int32_t value = 0;

    if (parser->end - parser->p < 4)
        return -1;
    for (int i = 0; i < 4; i++, parser->p++) {
        char c = *parser->p;
        if (!isxdigit((unsigned char)c))
            return -1;
        value = value * 16 + (isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10);
    }
    return value;
}

static void add_utf8(struct buf *text, uint32_t c)
{
    char bytes[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};

    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        bytes[i] = (char)(0x80 | (c & 0x3F));
    bytes[0] = (char)(lead[n] | c);
    buf_add(text, bytes, n);
}

/* Behind "\u". */
static int read_unicode_escape(struct parser *parser)
{
    const char *start = parser->p - 2;
    int32_t high = read_hex(parser), low;

    if (high < 0)
        return fail(parser, start, "\\u needs four hexadecimal digits");
    if (high == 0)
        return fail(parser, start, "\\u0000 is not supported");
    if (high < 0xD800 || high > 0xDFFF) {
        add_utf8(&parser->text, (uint32_t)high);
        return 0;
    }
    if (high > 0xDBFF || parser->end - parser->p < 2 || parser->p[0] != '\\' || parser->p[1] != 'u')
        return fail(parser, start, "half of a surrogate pair");
    parser->p += 2;
    low = read_hex(parser);
    if (low < 0xDC00 || low > 0xDFFF)
        return fail(parser, start, "half of a surrogate pair");
    add_utf8(&parser->text, 0x10000 + ((uint32_t)(high - 0xD800) << 10) + (uint32_t)(low - 0xDC00));
    return 0;
}

static int read_escape(struct parser *parser)
{
    static const char letters[] = "\"\\/bfnrt", characters[] = "\"\\/\b\f\n\r\t";
    char c = parser->p + 1 < parser->end ? parser->p[1] : '\0';
    const char *letter = c != '\0' ? strchr(letters, c) : NULL;

    if (c != 'u' && letter == NULL)
        return fail(parser, parser->p, "unknown escape");
    parser->p += 2;
    if (letter == NULL)
        return read_unicode_escape(parser);
    buf_add_char(&parser->text, characters[letter - letters]);
    return 0;
}

/* A string whose first escape, or end of the text, is at parser->p. */
static __attribute__((noinline)) int read_string_with_escapes(struct parser *parser, const char *start, bool not_ascii,
                                                              struct str *ret)
{
    const char *clean = start, *p = parser->p;

    buf_clear(&parser->text);
    while (p < parser->end && *p == '\\') {
        buf_add(&parser->text, clean, (size_t)(p - clean));
        parser->p = p;
        int r = read_escape(parser);
        if (r < 0)
            return r;
        clean = parser->p;
        p = skip_plain(clean, parser->end, &not_ascii);
    }
    parser->p = p;
    if (p >= parser->end)
        return fail(parser, start - 1, "the string does not end");
    if (*p != '"')
        return fail_here(parser, "text without control characters");
    if (not_ascii && !utf8_valid(start, (size_t)(p - start)))
        return fail(parser, start - 1, "the string is no valid UTF-8");
    buf_add(&parser->text, clean, (size_t)(p - clean));
    *ret = (struct str){buf_text(&parser->text), parser->text.len};
    parser->p++;
    return parser->text.too_big ? buf_check(&parser->text, "JSON string", parser->err) : 0;
}

/* Behind the opening quote. The slice is of the input, or of parser->text when there are escapes. */
static inline int read_string(struct parser *parser, struct str *ret)
{
    const char *start = parser->p;
    bool not_ascii = false;
    const char *p = skip_plain(start, parser->end, &not_ascii);

    parser->p = p;
    if (p >= parser->end || *p != '"')
        return read_string_with_escapes(parser, start, not_ascii, ret);
    if (not_ascii && !utf8_valid(start, (size_t)(p - start)))
        return fail(parser, start - 1, "the string is no valid UTF-8");
    *ret = (struct str){start, (size_t)(p - start)};
    parser->p++;
    return 0;
}

/* --- numbers */

static void skip_digits(struct parser *parser)
{
    while (parser->p < parser->end && isdigit((unsigned char)*parser->p))
        parser->p++;
}

static bool at_digit(const struct parser *parser)
{
    return parser->p < parser->end && isdigit((unsigned char)*parser->p);
}

/* Over the digits of a number. *ret_whole: it has neither fraction nor exponent. */
static int skip_number_text(struct parser *parser, bool *ret_whole)
{
    bool whole = true;

    parser->p += *parser->p == '-';
    if (!at_digit(parser))
        return fail_here(parser, "a digit");
    if (*parser->p == '0')
        parser->p++;
    else
        skip_digits(parser);
    if (parser->p < parser->end && *parser->p == '.') {
        whole = false;
        parser->p++;
        if (!at_digit(parser))
            return fail_here(parser, "a digit");
        skip_digits(parser);
    }
    if (parser->p < parser->end && (*parser->p == 'e' || *parser->p == 'E')) {
        whole = false;
        parser->p++;
        if (parser->p < parser->end && (*parser->p == '+' || *parser->p == '-'))
            parser->p++;
        if (!at_digit(parser))
            return fail_here(parser, "a digit");
        skip_digits(parser);
    }
    *ret_whole = whole;
    return 0;
}

static struct json *new_number(struct parser *parser, enum json_type type)
{
    return json_node_new(parser->document, type);
}

/* ret NULL: only looks whether it is a number. */
static int read_number(struct parser *parser, struct json **ret)
{
    const char *start = parser->p;
    bool whole = true;
    int64_t integer;

    int r = skip_number_text(parser, &whole);
    if (r < 0)
        return r;
    if (whole && to_integer(start, parser->p, &integer)) {
        if (ret != NULL)
            (*ret = new_number(parser, JSON_INT))->integer = integer;
        return 0;
    }
    buf_clear(&parser->text);
    buf_add(&parser->text, start, (size_t)(parser->p - start)); /* strtod needs its NUL */
    double value = strtod(buf_text(&parser->text), NULL);
    if (!isfinite(value))
        return fail(parser, start, "the number is too large");
    if (ret != NULL)
        (*ret = new_number(parser, JSON_REAL))->real = value;
    return 0;
}

static bool skip_word(struct parser *parser, const char *word, size_t len)
{
    if ((size_t)(parser->end - parser->p) < len || memcmp(parser->p, word, len) != 0)
        return false;
    parser->p += len;
    return true;
}

static int read_word(struct parser *parser, struct json **ret)
{
    if (skip_word(parser, "true", 4))
        *ret = json_new_bool(true);
    else if (skip_word(parser, "false", 5))
        *ret = json_new_bool(false);
    else if (skip_word(parser, "null", 4))
        *ret = json_new_null();
    else
        return fail_here(parser, "a value");
    return 0;
}

static int enter(struct parser *parser)
{
    parser->p++;
    if (++parser->depth > LIMIT_JSON_DEPTH)
        return err_set(parser->err, ERR_TOO_BIG, "JSON is nested deeper than %d", LIMIT_JSON_DEPTH);
    return 0;
}

/* --- values that are left out */

static int skip_value(struct parser *parser);

static int skip_array(struct parser *parser)
{
    int r = enter(parser);

    if (r < 0)
        return r;
    if (!skip_char(parser, ']')) {
        do {
            r = skip_value(parser);
            if (r < 0)
                return r;
        } while (skip_char(parser, ','));
        if (!skip_char(parser, ']'))
            return fail_here(parser, "',' or ']'");
    }
    parser->depth--;
    return 0;
}

static int skip_object(struct parser *parser)
{
    struct str key;
    int r = enter(parser);

    if (r < 0)
        return r;
    if (!skip_char(parser, '}')) {
        do {
            if (!skip_char(parser, '"'))
                return fail_here(parser, "a key in double quotes");
            r = read_string(parser, &key);
            if (r < 0)
                return r;
            if (!skip_char(parser, ':'))
                return fail_here(parser, "':'");
            r = skip_value(parser);
            if (r < 0)
                return r;
        } while (skip_char(parser, ','));
        if (!skip_char(parser, '}'))
            return fail_here(parser, "',' or '}'");
    }
    parser->depth--;
    return 0;
}

static int skip_value(struct parser *parser)
{
    struct json *constant;
    struct str text;

    if (parser->p < parser->end && (unsigned char)*parser->p <= ' ')
        skip_space(parser);
    switch (parser->p < parser->end ? *parser->p : '\0') {
    case '{':
        return skip_object(parser);
    case '[':
        return skip_array(parser);
    case '"':
        parser->p++;
        return read_string(parser, &text);
    case '-':
    case '0' ... '9':
        return read_number(parser, NULL);
    default:
        return read_word(parser, &constant);
    }
}

/* --- values that are kept */

static int read_value(struct parser *parser, const struct json_omit *omit, struct json **ret);

/*
 * A text that was read, for a node or a key: a copy; in a document the text itself, which lies in its copy and is ended
 * where its closing quote was. Escapes make a text only shorter, so that it fits into its old place.
 */
static char *text_in_place(struct parser *parser, struct str text)
{
    bool decoded = text.p == parser->text.data;
    size_t at = (size_t)(parser->p - parser->start) - 1; /* of the closing quote */
    char *place = json_document_text(parser->document) + at - text.len;

    if (decoded)
        memcpy(place, text.p, text.len);
    place[text.len] = '\0';
    return place;
}

static struct json *new_string(struct parser *parser, struct str text)
{
    if (parser->document == NULL)
        return json_node_string(text.p, text.len);
    struct json *node = json_node_new(parser->document, JSON_STRING);
    node->string.text = text_in_place(parser, text);
    node->string.len = text.len;
    return node;
}

static void grow_stack(struct parser *parser)
{
    struct json_member *bigger = xcalloc(parser->stack_cap * 2, sizeof(*bigger));

    memcpy(bigger, parser->stack, parser->n_stack * sizeof(*bigger));
    if (parser->stack != parser->first_stack)
        free(parser->stack);
    parser->stack = bigger;
    parser->stack_cap *= 2;
}

static inline void push(struct parser *parser, char *key, size_t key_len, struct json *value)
{
    if (parser->n_stack == parser->stack_cap)
        grow_stack(parser);
    parser->stack[parser->n_stack++] = (struct json_member){key, key_len, value};
}

/* Everything from position `bottom` of the stack on becomes the items of an array. */
static struct json *pop_array(struct parser *parser, size_t bottom)
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

static int read_array(struct parser *parser, const struct json_omit *omit, struct json **ret)
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
            push(parser, NULL, 0, item);
        } while (skip_char(parser, ','));
        if (!skip_char(parser, ']'))
            return fail_here(parser, "',' or ']'");
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

static int read_member(struct parser *parser, const struct json_omit *omit)
{
    struct json *value = NULL;
    struct str key;

    if (!skip_char(parser, '"'))
        return fail_here(parser, "a key in double quotes");
    int r = read_string(parser, &key);
    if (r < 0)
        return r;
    const struct json_omit *found = find_omit(omit, key);
    bool wanted = found == NULL || found->inside != NULL;
    /* first of all: the slice may be of parser->text, which the value uses, too */
    char *copy = NULL;
    if (wanted)
        copy = parser->document != NULL ? text_in_place(parser, key) : xstrndup(key.p, key.len);
    if (!skip_char(parser, ':'))
        r = fail_here(parser, "':'");
    else if (wanted)
        r = read_value(parser, found != NULL ? found->inside : NULL, &value);
    else
        r = skip_value(parser);
    if (r == 0 && wanted)
        push(parser, copy, key.len, value);
    else if (parser->document == NULL)
        free(copy);
    return r;
}

static int read_object(struct parser *parser, const struct json_omit *omit, struct json **ret)
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
            return fail_here(parser, "',' or '}'");
    }
    parser->depth--;
    *ret = json_node_new(parser->document, JSON_OBJECT);
    if (parser->n_stack > bottom)
        json_object_fill(parser->document, *ret, parser->stack + bottom, parser->n_stack - bottom);
    parser->n_stack = bottom;
    return 0;
}

static int read_value(struct parser *parser, const struct json_omit *omit, struct json **ret)
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
        r = read_string(parser, &text);
        if (r == 0)
            *ret = new_string(parser, text);
        return r;
    case '-':
    case '0' ... '9':
        return read_number(parser, ret);
    default:
        return read_word(parser, ret);
    }
}

static int parse(struct parser *parser, const struct json_omit *omit, struct json **ret)
{
    CLEANUP(json_free) struct json *tree = NULL;
    struct json_member first_stack[FIRST_STACK];

    parser->stack = parser->first_stack = first_stack;
    parser->stack_cap = FIRST_STACK;
    int r = read_value(parser, omit, &tree);
    if (r == 0) {
        skip_space(parser);
        if (parser->p < parser->end)
            r = fail_here(parser, "the end");
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
    struct parser parser = {.start = text, .p = text, .end = text + len, .original = text, .err = err};

    return parse(&parser, omit, ret);
}

int json_parse(const char *text, size_t len, struct json **ret, struct err *err)
{
    return json_parse_without(text, len, NULL, ret, err);
}

int json_parse_to_read(const char *text, size_t len, const struct json_omit *omit, struct json **ret, struct err *err)
{
    CLEANUP(json_document_free) struct json_document *document = json_document_new(text, len);
    const char *copy = json_document_text(document);
    struct parser parser = {
        .start = copy, .p = copy, .end = copy + len, .original = text, .document = document, .err = err};
    struct json *tree;

    int r = parse(&parser, omit, &tree);
    if (r == 0)
        *ret = json_document_close(take(&document), tree);
    return r;
}
