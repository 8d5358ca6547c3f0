/*
 * json_parse.c: RFC 8259 text to a tree, by recursive descent over the bytes in memory. Not jansson's own parser:
 * that one takes a byte at a time through callbacks (a fifth of the speed, which the admission path and large lists
 * feel), refuses integers that int64 cannot hold, and has a depth limit of its own.
 *
 * What the caller wants left out is read by the same functions, with NULL for the place of the result: refused for the same
 * reasons, at a fraction of the price, which is the tree's nodes.
 */
#include "data/json.h"

#include <ctype.h>
#include <endian.h>
#include <math.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/json_internal.h"
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

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The highest bit of each zero byte; above the lowest of them, bytes of 1 may be marked, too. */
static uint64_t zero_bytes(uint64_t word)
{
    return (word - EACH_BYTE(1)) & ~word & EACH_BYTE(0x80);
}

/*
 * The first quote, backslash or control character, looked for eight bytes at a time. Sets *not_ascii when a byte before it
 * is not ASCII.
 */
static const char *skip_plain(const char *p, const char *end, bool *not_ascii)
{
    for (; end - p >= 8; p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        word = le64toh(word); /* the first byte is the lowest */
        uint64_t stop = zero_bytes(word ^ EACH_BYTE('"')) | zero_bytes(word ^ EACH_BYTE('\\')) |
                        ((word - EACH_BYTE(0x20)) & ~word & EACH_BYTE(0x80));
        uint64_t before = stop != 0 ? (stop & -stop) - 1 : UINT64_MAX;
        *not_ascii = *not_ascii || (word & before & EACH_BYTE(0x80)) != 0;
        if (stop != 0)
            return p + __builtin_ctzll(stop) / 8;
    }
    for (; p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20; p++)
        *not_ascii = *not_ascii || (unsigned char)*p >= 0x80;
    return p;
}

/* Behind the opening quote. The slice is of the input, or of parser->text when there are escapes. */
static int read_string(struct parser *parser, struct str *ret)
{
    const char *start = parser->p, *clean = start;
    bool not_ascii = false;
    int r;

    buf_clear(&parser->text);
    for (;;) {
        const char *p = skip_plain(parser->p, parser->end, &not_ascii);
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
    if (not_ascii && !utf8_valid(start, (size_t)(parser->p - start)))
        return fail(parser, start - 1, "the string is no valid UTF-8");
    *ret = (struct str){start, (size_t)(parser->p - start)};
    if (clean != start) {
        buf_add(&parser->text, clean, (size_t)(parser->p - clean));
        *ret = (struct str){parser->text.data, parser->text.len};
    }
    parser->p++;
    return parser->text.too_big ? buf_check(&parser->text, "JSON string", parser->err) : 0;
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
        if (ret != NULL)
            *ret = json_new_int(integer);
        return 0;
    }
    buf_clear(&parser->text);
    buf_add(&parser->text, start, (size_t)(parser->p - start)); /* strtod needs its NUL */
    double value = strtod(buf_text(&parser->text), NULL);
    if (!isfinite(value))
        return fail(parser, start, "the number is too large");
    if (ret != NULL)
        *ret = json_new_real(value);
    return 0;
}

/* --- values; ret NULL: nothing is kept of it */

static int read_value(struct parser *parser, const struct json_omit *omit, struct json **ret);

static int enter(struct parser *parser)
{
    parser->p++;
    if (++parser->depth > LIMIT_JSON_DEPTH)
        return err_set(parser->err, ERR_TOO_BIG, "JSON is nested deeper than %d", LIMIT_JSON_DEPTH);
    return 0;
}

static int read_array(struct parser *parser, const struct json_omit *omit, struct json **ret)
{
    CLEANUP(json_free) struct json *array = ret != NULL ? json_new_array() : NULL;
    int r = enter(parser);

    if (r < 0)
        return r;
    if (!skip_char(parser, ']')) {
        do {
            struct json *item;
            r = read_value(parser, omit, ret != NULL ? &item : NULL);
            if (r < 0)
                return r;
            if (ret != NULL)
                json_push(array, item);
        } while (skip_char(parser, ','));
        if (!skip_char(parser, ']'))
            return fail_here(parser, "',' or ']'");
    }
    parser->depth--;
    if (ret != NULL)
        *ret = take(&array);
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

/* object NULL: nothing is kept. */
static int read_member(struct parser *parser, const struct json_omit *omit, struct json *object)
{
    CLEANUP(xfree) char *copy = NULL;
    struct str key;

    if (!skip_char(parser, '"'))
        return fail_here(parser, "a key in double quotes");
    int r = read_string(parser, &key);
    if (r < 0)
        return r;
    if (!skip_char(parser, ':'))
        return fail_here(parser, "':'");
    const struct json_omit *found = find_omit(omit, key);
    if (object == NULL || (found != NULL && found->inside == NULL))
        return read_value(parser, NULL, NULL);
    if (key.p == parser->text.data) /* with escapes; the value may have some, too */
        key.p = copy = xstrndup(key.p, key.len);
    struct json *value;
    r = read_value(parser, found != NULL ? found->inside : NULL, &value);
    if (r == 0)
        json_set_checked(object, key.p, key.len, value);
    return r;
}

static int read_object(struct parser *parser, const struct json_omit *omit, struct json **ret)
{
    CLEANUP(json_free) struct json *object = ret != NULL ? json_new_object() : NULL;
    int r = enter(parser);

    if (r < 0)
        return r;
    if (!skip_char(parser, '}')) {
        do {
            r = read_member(parser, omit, object);
            if (r < 0)
                return r;
        } while (skip_char(parser, ','));
        if (!skip_char(parser, '}'))
            return fail_here(parser, "',' or '}'");
    }
    parser->depth--;
    if (ret != NULL)
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

static int read_word(struct parser *parser, struct json **ret)
{
    struct json *value;

    if (skip_word(parser, "true"))
        value = json_new_bool(true);
    else if (skip_word(parser, "false"))
        value = json_new_bool(false);
    else if (skip_word(parser, "null"))
        value = json_new_null();
    else
        return fail_here(parser, "a value");
    if (ret != NULL)
        *ret = value; /* else nothing is lost: jansson does not count these three */
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
        if (r == 0 && ret != NULL)
            *ret = json_new_checked(text.p, text.len);
        return r;
    case '-':
    case '0' ... '9':
        return read_number(parser, ret);
    default:
        return read_word(parser, ret);
    }
}

int json_parse_without(const char *text, size_t len, const struct json_omit *omit, struct json **ret, struct err *err)
{
    struct parser parser = {.start = text, .p = text, .end = text + len, .err = err};
    CLEANUP(json_free) struct json *tree = NULL;

    int r = read_value(&parser, omit, &tree);
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

int json_parse(const char *text, size_t len, struct json **ret, struct err *err)
{
    return json_parse_without(text, len, NULL, ret, err);
}
