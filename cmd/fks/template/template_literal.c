/*
 * template_literal.c: strings, characters and numbers of a template into values, by Go's rules. Complex numbers are left
 * out, with an error: no object has one.
 */
#include "template/template_literal.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

#include "base/mem.h"
#include "text/gotext.h"

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* n digits in a base; false: others. */
static bool take_code(struct str *rest, size_t n, int base, uint32_t *ret)
{
    if (rest->len < n)
        return false;
    *ret = 0;
    for (size_t i = 0; i < n; i++) {
        if (digit_of(rest->p[i]) >= base)
            return false;
        *ret = *ret * (uint32_t)base + (uint32_t)digit_of(rest->p[i]);
    }
    *rest = (struct str){rest->p + n, rest->len - n};
    return true;
}

/* One character of a quoted text, escapes resolved; *ret_byte: it is a byte and no character. */
static bool take_character(struct str *rest, char quote, uint32_t *ret, bool *ret_byte)
{
    static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
    *ret_byte = false;
    if (rest->len == 0 || rest->p[0] == quote)
        return false;
    if (rest->p[0] != '\\') {
        size_t size = 0;
        *ret = gotext_rune(rest->p, rest->len, &size);
        *rest = (struct str){rest->p + size, rest->len - size};
        return true;
    }
    if (rest->len < 2)
        return false;
    char c = rest->p[1];
    *rest = (struct str){rest->p + 2, rest->len - 2};
    const char *found = strchr(from, c);
    if (found != NULL || c == quote) {
        *ret = found != NULL ? (unsigned char)to[found - from] : (unsigned char)quote;
        return true;
    }
    if (c == 'x' || (c >= '0' && c <= '7')) {
        *ret_byte = true;
        if (c != 'x')
            *rest = (struct str){rest->p - 1, rest->len + 1};
        return take_code(rest, c == 'x' ? 2 : 3, c == 'x' ? 16 : 8, ret) && *ret < 256;
    }
    return (c == 'u' || c == 'U') && take_code(rest, c == 'u' ? 4 : 8, 16, ret) && *ret <= 0x10ffff &&
           !(*ret >= 0xd800 && *ret < 0xe000);
}

bool template_unquote(const char *text, size_t len, struct buf *out)
{
    struct str rest = {text + 1, len - 2};
    char quote = text[0];
    if (quote == '`') {
        for (size_t i = 0; i < rest.len; i++) {
            if (rest.p[i] != '\r')
                buf_add_char(out, rest.p[i]);
        }
        return true;
    }
    while (rest.len > 0) {
        uint32_t c = 0;
        bool byte = false;
        const char *start = rest.p;
        if (!take_character(&rest, quote, &c, &byte))
            return false;
        if (byte)
            buf_add_char(out, (char)c);
        else if (*start != '\\')
            buf_add(out, start, (size_t)(rest.p - start));
        else
            gotext_add_rune(c, out);
    }
    return true;
}

static int quoted_error(struct err *err, const char *what, const char *text)
{
    CLEANUP(buf_done) struct buf quoted = {0};
    gotext_quote(text, &quoted);
    return err_set(err, ERR_PARSE, "%s: %s", what, buf_text(&quoted));
}

int template_character(const char *text, size_t len, struct value *ret, struct err *err)
{
    struct str rest = {text + 1, len - 1};
    uint32_t c = 0;
    bool byte = false;
    if (!take_character(&rest, '\'', &c, &byte))
        return err_set(err, ERR_PARSE, "invalid syntax");
    if (rest.len != 1)
        return err_set(err, ERR_PARSE, "malformed character constant: %.*s", (int)len, text);
    *ret = value_of_int(c);
    return 0;
}

/* Underscores stand between digits, or after "0x" and its like; *ret is the text without them. */
static bool strip_underscores(const char *text, char *ret)
{
    const char *at = text + (*text == '+' || *text == '-');
    bool has_base = at[0] == '0' && at[1] != '\0' && strchr("xXoObB", at[1]) != NULL;
    const char *first = at + (has_base ? 2 : 0);
    size_t n = 0;
    for (at = text; *at != '\0'; at++) {
        if (*at != '_') {
            ret[n++] = *at;
            continue;
        }
        bool after = at > text && (isxdigit((unsigned char)at[-1]) || (has_base && at == first));
        if (!after || !isxdigit((unsigned char)at[1]))
            return false;
    }
    ret[n] = '\0';
    return true;
}

/* An integer of any base; ERANGE: too large. */
static int read_whole(const char *text, int64_t *ret)
{
    bool negative = *text == '-';
    const char *digits = text + (*text == '+' || *text == '-');
    int base = 10;
    if (digits[0] == '0' && digits[1] != '\0') {
        bool named = strchr("xXoObB", digits[1]) != NULL;
        base = strchr("xX", digits[1]) != NULL ? 16 : strchr("bB", digits[1]) != NULL ? 2 : 8;
        digits += named ? 2 : 1;
    }
    if (*digits == '\0')
        return EINVAL;
    uint64_t value = 0;
    bool too_large = false;
    for (; *digits != '\0'; digits++) {
        if (digit_of(*digits) >= base)
            return EINVAL;
        too_large = too_large || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
                    __builtin_add_overflow(value, (uint64_t)digit_of(*digits), &value);
    }
    if (too_large || value > (uint64_t)INT64_MAX + negative)
        return too_large ? ERANGE : EOVERFLOW;
    *ret = negative ? (int64_t)(0 - value) : (int64_t)value;
    return 0;
}

int template_number(const char *text, struct value *ret, struct err *err)
{
    CLEANUP(xfree) char *plain = xstrdup(text);
    size_t len = strlen(text);
    if (text[len - 1] == 'i')
        return err_set(err, ERR_UNSUPPORTED, "complex numbers are not available: %s", text);
    if (!strip_underscores(text, plain))
        return quoted_error(err, "illegal number syntax", text);
    int64_t whole = 0;
    int problem = read_whole(plain, &whole);
    bool as_real = strpbrk(text, ".eEpP") != NULL && !(strpbrk(text, "xX") != NULL && strpbrk(text, "pP") == NULL);
    if (problem == 0 && !as_real) {
        *ret = value_of_int(whole);
        return 0;
    }
    if (problem == EOVERFLOW && text[0] != '-' && !as_real) {
        *ret = (struct value){0};
        return 0;
    }
    char *end = NULL;
    errno = 0;
    double real = strtod(plain, &end);
    bool hexadecimal = strpbrk(text, "xX") != NULL;
    if (*end != '\0' || end == plain || isinf(real) || (hexadecimal && strpbrk(text, "pP") == NULL && problem == EINVAL))
        return quoted_error(err, "illegal number syntax", text);
    if (strpbrk(text, ".eEpP") == NULL)
        return quoted_error(err, "integer overflow", text);
    *ret = (struct value){.kind = VALUE_REAL, .real = real};
    return 0;
}
