/*
 * json_parse.c: RFC 8259 text to a tree, by recursive descent over the bytes in memory. Not jansson's own parser:
 * that one takes a byte at a time through callbacks (a fifth of the speed, which the admission path and large lists
 * feel), refuses integers that int64 cannot hold, and has a depth limit of its own.
 */
#include "data/json.h"

#include <ctype.h>
#include <math.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/utf8.h"

struct parser {
    const char *start, *p, *end;
    int depth;
    struct buf text; /* the string or number under way, when it is not used as it stands */
    struct err *err;
};

static int fail(const struct parser *parser, const char *at, const char *what)
{
    size_t line = 1;
    const char *line_start = parser->start;

    for (const char *p = parser->start; p < at; p++) {
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

static bool skip_char(struct parser *parser, char c)
{
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

/* Behind the opening quote. The slice is of the input, or of parser->text when there are escapes. */
static int read_string(struct parser *parser, struct str *ret)
{
    const char *start = parser->p, *clean = start;
    int r;

    buf_clear(&parser->text);
    for (;;) {
        const char *p = parser->p;
        while (p < parser->end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
            p++;
        parser->p = p;
        if (p >= parser->end)
            return fail(parser, start - 1, "the string does not end");
        if (*p == '"')
            break;
        if (*p != '\\')
            return fail_here(parser, "text without control characters");
        buf_add(&parser->text, clean, (size_t)(p - clean));
        r = read_escape(parser);
        if (r < 0)
            return r;
        clean = parser->p;
    }
    if (!utf8_valid(start, (size_t)(parser->p - start)))
        return fail(parser, start - 1, "the string is no valid UTF-8");
    *ret = (struct str){start, (size_t)(parser->p - start)};
    if (clean != start) {
        buf_add(&parser->text, clean, (size_t)(parser->p - clean));
        *ret = (struct str){parser->text.data, parser->text.len};
    }
    parser->p++;
    return buf_check(&parser->text, "JSON string", parser->err);
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

static bool to_integer(const char *p, const char *end, int64_t *ret)
{
    bool negative = *p == '-';
    int64_t value = 0;

    for (p += negative; p < end; p++) {
        int digit = *p - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    *ret = value;
    return true;
}

static int read_number(struct parser *parser, struct json **ret)
{
    const char *start = parser->p;
    bool whole = true;
    int64_t integer;

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
    if (whole && to_integer(start, parser->p, &integer)) {
        *ret = json_new_int(integer);
        return 0;
    }
    buf_clear(&parser->text);
    buf_add(&parser->text, start, (size_t)(parser->p - start)); /* strtod needs its NUL */
    double value = strtod(buf_text(&parser->text), NULL);
    if (!isfinite(value))
        return fail(parser, start, "the number is too large");
    *ret = json_new_real(value);
    return 0;
}

/* --- values */

static int read_value(struct parser *parser, struct json **ret);

static int enter(struct parser *parser)
{
    parser->p++;
    if (++parser->depth > LIMIT_JSON_DEPTH)
        return err_set(parser->err, ERR_TOO_BIG, "JSON is nested deeper than %d", LIMIT_JSON_DEPTH);
    return 0;
}

static int read_array(struct parser *parser, struct json **ret)
{
    CLEANUP(json_free) struct json *array = json_new_array();
    int r = enter(parser);

    if (r < 0)
        return r;
    if (!skip_char(parser, ']')) {
        do {
            struct json *item;
            r = read_value(parser, &item);
            if (r < 0)
                return r;
            json_push(array, item);
        } while (skip_char(parser, ','));
        if (!skip_char(parser, ']'))
            return fail_here(parser, "',' or ']'");
    }
    parser->depth--;
    *ret = take(&array);
    return 0;
}

static int read_member(struct parser *parser, struct json *object)
{
    char short_key[128];
    struct str key;

    if (!skip_char(parser, '"'))
        return fail_here(parser, "a key in double quotes");
    int r = read_string(parser, &key);
    if (r < 0)
        return r;
    if (!skip_char(parser, ':'))
        return fail_here(parser, "':'");
    /* keys are short; a copy, because the value may need parser->text */
    char *copy = key.len < sizeof(short_key) ? memcpy(short_key, key.p, key.len) : xstrndup(key.p, key.len);
    copy[key.len] = '\0';
    struct json *value;
    r = read_value(parser, &value);
    if (r == 0)
        json_set(object, copy, value);
    if (copy != short_key)
        free(copy);
    return r;
}

static int read_object(struct parser *parser, struct json **ret)
{
    CLEANUP(json_free) struct json *object = json_new_object();
    int r = enter(parser);

    if (r < 0)
        return r;
    if (!skip_char(parser, '}')) {
        do {
            r = read_member(parser, object);
            if (r < 0)
                return r;
        } while (skip_char(parser, ','));
        if (!skip_char(parser, '}'))
            return fail_here(parser, "',' or '}'");
    }
    parser->depth--;
    *ret = take(&object);
    return 0;
}

static bool skip_word(struct parser *parser, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(parser->end - parser->p) < len || memcmp(parser->p, word, len) != 0)
        return false;
    parser->p += len;
    return true;
}

static int read_value(struct parser *parser, struct json **ret)
{
    struct str text;
    int r;

    skip_space(parser);
    switch (parser->p < parser->end ? *parser->p : '\0') {
    case '{':
        return read_object(parser, ret);
    case '[':
        return read_array(parser, ret);
    case '"':
        parser->p++;
        r = read_string(parser, &text);
        if (r == 0)
            *ret = json_new_string_n(text.p, text.len);
        return r;
    case '-':
    case '0' ... '9':
        return read_number(parser, ret);
    default:
        break;
    }
    if (skip_word(parser, "true"))
        *ret = json_new_bool(true);
    else if (skip_word(parser, "false"))
        *ret = json_new_bool(false);
    else if (skip_word(parser, "null"))
        *ret = json_new_null();
    else
        return fail_here(parser, "a value");
    return 0;
}

int json_parse(const char *text, size_t len, struct json **ret, struct err *err)
{
    struct parser parser = {.start = text, .p = text, .end = text + len, .err = err};
    CLEANUP(json_free) struct json *tree = NULL;

    int r = read_value(&parser, &tree);
    if (r == 0) {
        skip_space(&parser);
        if (parser.p < parser.end)
            r = fail_here(&parser, "the end");
    }
    buf_done(&parser.text);
    if (r == 0)
        *ret = take(&tree);
    return r;
}
