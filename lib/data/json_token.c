/*
 * json_token.c: what JSON text is made of below arrays and objects: strings with their escapes, numbers, words; and the
 * errors that say where a text is wrong. See json_parse.c.
 */
#include "data/json_token.h"

#include <ctype.h>
#include <math.h>

#include "base/mem.h"

int json_token_fail(const struct json_parser *parser, const char *at, const char *what)
{
    size_t line = 1;
    const char *line_start = parser->original;

    if (parser->original == NULL)
        return err_set(parser->err, ERR_PARSE, "JSON byte %zu: %s", (size_t)(at - parser->start) + 1, what);
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

int json_token_expected(const struct json_parser *parser, const char *expected)
{
    unsigned char c = parser->p < parser->end ? (unsigned char)*parser->p : 0;
    char what[80];

    if (parser->p >= parser->end)
        snprintf(what, sizeof(what), "%s expected, but the text ends", expected);
    else if (isgraph(c))
        snprintf(what, sizeof(what), "%s expected, but there is '%c'", expected, c);
    else
        snprintf(what, sizeof(what), "%s expected, but there is byte 0x%02x", expected, c);
    return json_token_fail(parser, parser->p, what);
}

/* --- strings */

/* Four hexadecimal digits behind \u; -1 when they are not there. */
static int32_t read_hex(struct json_parser *parser)
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
static int read_unicode_escape(struct json_parser *parser)
{
    const char *start = parser->p - 2;
    int32_t high = read_hex(parser), low;

    if (high < 0)
        return json_token_fail(parser, start, "\\u needs four hexadecimal digits");
    if (high == 0)
        return json_token_fail(parser, start, "\\u0000 is not supported");
    if (high < 0xD800 || high > 0xDFFF) {
        add_utf8(&parser->text, (uint32_t)high);
        return 0;
    }
    if (high > 0xDBFF || parser->end - parser->p < 2 || parser->p[0] != '\\' || parser->p[1] != 'u')
        return json_token_fail(parser, start, "half of a surrogate pair");
    parser->p += 2;
    low = read_hex(parser);
    if (low < 0xDC00 || low > 0xDFFF)
        return json_token_fail(parser, start, "half of a surrogate pair");
    add_utf8(&parser->text, 0x10000 + ((uint32_t)(high - 0xD800) << 10) + (uint32_t)(low - 0xDC00));
    return 0;
}

static int read_escape(struct json_parser *parser)
{
    static const char letters[] = "\"\\/bfnrt", characters[] = "\"\\/\b\f\n\r\t";
    char c = parser->p + 1 < parser->end ? parser->p[1] : '\0';
    const char *letter = c != '\0' ? strchr(letters, c) : NULL;

    if (c != 'u' && letter == NULL)
        return json_token_fail(parser, parser->p, "unknown escape");
    parser->p += 2;
    if (letter == NULL)
        return read_unicode_escape(parser);
    buf_add_char(&parser->text, characters[letter - letters]);
    return 0;
}

/* A string whose first escape, or end of the text, is at parser->p. */
static __attribute__((noinline)) int read_string_with_escapes(struct json_parser *parser, const char *start, bool not_ascii,
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
        return json_token_fail(parser, start - 1, "the string does not end");
    if (*p != '"')
        return json_token_expected(parser, "text without control characters");
    if (not_ascii && !utf8_valid(start, (size_t)(p - start)))
        return json_token_fail(parser, start - 1, "the string is no valid UTF-8");
    buf_add(&parser->text, clean, (size_t)(p - clean));
    *ret = (struct str){buf_text(&parser->text), parser->text.len};
    parser->p++;
    return parser->text.too_big ? buf_check(&parser->text, "JSON string", parser->err) : 0;
}

int json_token_unusual_string(struct json_parser *parser, struct str *ret)
{
    const char *start = parser->p;
    bool not_ascii = false;
    const char *p = skip_plain(start, parser->end, &not_ascii);

    parser->p = p;
    if (p >= parser->end || *p != '"')
        return read_string_with_escapes(parser, start, not_ascii, ret);
    if (not_ascii && !utf8_valid(start, (size_t)(p - start)))
        return json_token_fail(parser, start - 1, "the string is no valid UTF-8");
    *ret = (struct str){start, (size_t)(p - start)};
    parser->p++;
    return 0;
}

/* --- numbers */

static void skip_digits(struct json_parser *parser)
{
    while (parser->p < parser->end && isdigit((unsigned char)*parser->p))
        parser->p++;
}

static bool at_digit(const struct json_parser *parser)
{
    return parser->p < parser->end && isdigit((unsigned char)*parser->p);
}

/* Over the digits of a number. *ret_whole: it has neither fraction nor exponent. */
static int skip_number_text(struct json_parser *parser, bool *ret_whole)
{
    bool whole = true;

    parser->p += *parser->p == '-';
    if (!at_digit(parser))
        return json_token_expected(parser, "a digit");
    if (*parser->p == '0')
        parser->p++;
    else
        skip_digits(parser);
    if (parser->p < parser->end && *parser->p == '.') {
        whole = false;
        parser->p++;
        if (!at_digit(parser))
            return json_token_expected(parser, "a digit");
        skip_digits(parser);
    }
    if (parser->p < parser->end && (*parser->p == 'e' || *parser->p == 'E')) {
        whole = false;
        parser->p++;
        if (parser->p < parser->end && (*parser->p == '+' || *parser->p == '-'))
            parser->p++;
        if (!at_digit(parser))
            return json_token_expected(parser, "a digit");
        skip_digits(parser);
    }
    *ret_whole = whole;
    return 0;
}

static struct json *new_number(struct json_parser *parser, enum json_type type)
{
    return json_node_new(parser->document, type);
}

int json_token_number(struct json_parser *parser, struct json **ret)
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
        return json_token_fail(parser, start, "the number is too large");
    if (ret != NULL)
        (*ret = new_number(parser, JSON_REAL))->real = value;
    return 0;
}

static bool skip_word(struct json_parser *parser, const char *word, size_t len)
{
    if ((size_t)(parser->end - parser->p) < len || memcmp(parser->p, word, len) != 0)
        return false;
    parser->p += len;
    return true;
}

int json_token_word(struct json_parser *parser, struct json **ret)
{
    if (skip_word(parser, "true", 4))
        *ret = json_new_bool(true);
    else if (skip_word(parser, "false", 5))
        *ret = json_new_bool(false);
    else if (skip_word(parser, "null", 4))
        *ret = json_new_null();
    else
        return json_token_expected(parser, "a value");
    return 0;
}
