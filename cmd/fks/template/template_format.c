/*
 * template_format.c: Go's fmt.Sprintf for the values of a template: verbs, flags, widths, argument numbers, and its ways of
 * saying that verb and value do not fit.
 */
#include <math.h>

#include "base/mem.h"
#include "data/real.h"
#include "template/template_internal.h"
#include "text/gotext.h"

#define NUMBER_MAX 1000000 /* widths and precisions beyond are none, as in Go */

struct directive {
    bool minus, plus, sharp, space, zero;
    bool go_syntax; /* %#v */
    bool has_width, has_precision;
    int64_t width, precision;
    uint32_t verb;
};

static void print_value(const struct directive *directive, const struct value *value, int depth, struct buf *out);

/* --- filling up to the width */

static void fill(int64_t n, char c, struct buf *out)
{
    for (; n > 0; n--)
        buf_add_char(out, c);
}

static int64_t count_runes(const char *text, size_t len)
{
    int64_t n = 0;
    size_t size = 1;
    for (size_t i = 0; i < len; i += size, n++)
        (void)gotext_rune(text + i, len - i, &size);
    return n;
}

static void pad(const struct directive *directive, const char *text, size_t len, bool zeros, struct buf *out)
{
    int64_t n = directive->has_width ? directive->width - count_runes(text, len) : 0;
    if (!directive->minus)
        fill(n, zeros && directive->zero ? '0' : ' ', out);
    buf_add(out, text, len);
    if (directive->minus)
        fill(n, ' ', out);
}

static void pad_text(const struct directive *directive, const char *text, struct buf *out)
{
    pad(directive, text, strlen(text), true, out);
}

/* "%!d(string=hi)" */
static void bad_verb(const struct directive *directive, const struct value *value, struct buf *out)
{
    buf_add_str(out, "%!");
    gotext_add_rune(directive->verb, out);
    buf_add_char(out, '(');
    if (value->kind == VALUE_NONE || value->kind == VALUE_NIL) {
        buf_add_str(out, "<nil>");
    } else {
        struct directive plain = *directive;
        plain.verb = 'v';
        buf_printf(out, "%s=", value_type(value));
        print_value(&plain, value, 0, out);
    }
    buf_add_char(out, ')');
}

/* --- whole numbers */

static void print_digits(const struct directive *directive, const struct value *value, unsigned base, struct buf *out)
{
    static const char lower[] = "0123456789abcdefx", upper[] = "0123456789ABCDEFX";
    const char *digits = directive->verb == 'X' ? upper : lower;
    bool negative = value->whole < 0;
    bool sign = negative || directive->plus || directive->space;
    uint64_t rest = negative ? 0 - (uint64_t)value->whole : (uint64_t)value->whole;
    char reversed[64 + 1];
    size_t n = 0;
    int64_t least = 0;
    if (directive->has_precision) {
        least = directive->precision;
        if (least == 0 && rest == 0) {
            fill(directive->has_width ? directive->width : 0, ' ', out);
            return;
        }
    } else if (directive->zero && !directive->minus && directive->has_width) {
        least = directive->width - (sign ? 1 : 0);
    }
    do {
        reversed[n++] = digits[rest % base];
        rest /= base;
    } while (rest > 0);
    CLEANUP(buf_done) struct buf text = {0};
    if (sign)
        buf_add_char(&text, negative ? '-' : directive->plus ? '+' : ' ');
    if (directive->verb == 'O')
        buf_add_str(&text, "0o");
    if (directive->sharp && (base == 2 || base == 16)) {
        buf_add_char(&text, '0');
        buf_add_char(&text, base == 2 ? 'b' : digits[16]);
    }
    if (directive->sharp && base == 8 && reversed[n - 1] != '0' && least <= (int64_t)n)
        buf_add_char(&text, '0');
    fill(least - (int64_t)n, '0', &text);
    while (n > 0)
        buf_add_char(&text, reversed[--n]);
    pad(directive, buf_text(&text), text.len, false, out);
}

static void print_unicode(const struct directive *directive, uint64_t code, struct buf *out)
{
    CLEANUP(buf_done) struct buf text = {0};
    int digits = directive->has_precision && directive->precision > 4 ? (int)directive->precision : 4;
    buf_printf(&text, "U+%0*llX", digits, (unsigned long long)code);
    if (directive->sharp && code <= 0x10ffff && gotext_is_printable((uint32_t)code)) {
        buf_add_str(&text, " '");
        gotext_add_rune((uint32_t)code, &text);
        buf_add_char(&text, '\'');
    }
    pad(directive, buf_text(&text), text.len, false, out);
}

static void print_whole(const struct directive *directive, const struct value *value, struct buf *out)
{
    CLEANUP(buf_done) struct buf text = {0}, quoted = {0};
    uint64_t code = (uint64_t)value->whole;
    switch (directive->verb) {
    case 'v':
        if (directive->go_syntax && value->kind == VALUE_BYTE) {
            struct directive hexadecimal = *directive;
            hexadecimal.sharp = true;
            print_digits(&hexadecimal, value, 16, out);
            return;
        }
        print_digits(directive, value, 10, out);
        return;
    case 'd':
        print_digits(directive, value, 10, out);
        return;
    case 'b':
        print_digits(directive, value, 2, out);
        return;
    case 'o':
    case 'O':
        print_digits(directive, value, 8, out);
        return;
    case 'x':
    case 'X':
        print_digits(directive, value, 16, out);
        return;
    case 'c':
    case 'q':
        gotext_add_rune(code > 0x10ffff ? 0xfffd : (uint32_t)code, &text);
        if (directive->verb == 'q')
            gotext_quote_n(buf_text(&text), text.len, '\'', directive->plus, &quoted);
        if (directive->verb == 'q')
            pad(directive, buf_text(&quoted), quoted.len, true, out);
        else
            pad(directive, buf_text(&text), text.len, true, out);
        return;
    case 'U':
        print_unicode(directive, code, out);
        return;
    default:
        bad_verb(directive, value, out);
    }
}

/* --- real numbers */

/* "0x1.8p+01": C's %a, but for the exponent's digits. */
static void print_hexadecimal(const char *text, struct buf *out)
{
    const char *exponent = strpbrk(text, "pP");
    buf_add(out, text, (size_t)(exponent - text) + 2);
    buf_add_str(out, strlen(exponent + 2) < 2 ? "0" : "");
    buf_add_str(out, exponent + 2);
}

/* "4503599627370496p-52" */
static void print_binary(double real, struct buf *out)
{
    int exponent = 0;
    double fraction = frexp(real, &exponent);
    if (real > 0 || real < 0)
        exponent -= 53;
    else
        exponent = -1074;
    if (exponent < -1074) {
        fraction = ldexp(fraction, exponent + 1074);
        exponent = -1074;
    }
    buf_printf(out, "%.0fp%+d", ldexp(fraction, 53), exponent);
}

static void print_real(const struct directive *directive, const struct value *value, struct buf *out)
{
    CLEANUP(buf_done) struct buf text = {0};
    char verb = (char)directive->verb, shortest[REAL_TEXT_MAX];
    double real = value->real;
    if (directive->verb >= 0x80 || strchr("vbgGxXeEfF", verb) == NULL || verb == '\0') {
        bad_verb(directive, value, out);
        return;
    }
    bool exact = directive->has_precision || strchr("eEfF", verb) != NULL;
    int digits = directive->has_precision ? (int)directive->precision : 6;
    if (verb == 'b') {
        print_binary(real, &text);
    } else if (verb == 'x' || verb == 'X') {
        CLEANUP(xfree) char *plain = directive->has_precision ? xasprintf(verb == 'x' ? "%.*a" : "%.*A", digits, real)
                                                              : xasprintf(verb == 'x' ? "%a" : "%A", real);
        print_hexadecimal(plain, &text);
    } else if (exact || directive->sharp) {
        CLEANUP(xfree) char *plain = verb == 'e'                   ? xasprintf("%.*e", digits, real)
                                     : verb == 'E'                 ? xasprintf("%.*E", digits, real)
                                     : verb == 'f' || verb == 'F'  ? xasprintf("%.*f", digits, real)
                                     : verb == 'G' && directive->sharp ? xasprintf("%#.*G", digits, real)
                                     : verb == 'G'                 ? xasprintf("%.*G", digits, real)
                                     : directive->sharp            ? xasprintf("%#.*g", digits, real)
                                                                   : xasprintf("%.*g", digits, real);
        buf_add_str(&text, plain);
    } else {
        real_print_g(real, shortest);
        for (char *c = shortest; verb == 'G' && *c != '\0'; c++)
            *c = *c == 'e' ? 'E' : *c;
        buf_add_str(&text, shortest);
    }
    bool negative = buf_text(&text)[0] == '-';
    const char *number = buf_text(&text) + (negative ? 1 : 0);
    const char *sign = negative ? "-" : directive->plus ? "+" : directive->space ? " " : "";
    int64_t len = (int64_t)(strlen(sign) + strlen(number));
    if (directive->zero && !directive->minus && directive->has_width && directive->width > len) {
        buf_add_str(out, sign);
        fill(directive->width - len, '0', out);
        buf_add_str(out, number);
        return;
    }
    CLEANUP(xfree) char *whole = xasprintf("%s%s", sign, number);
    pad_text(directive, whole, out);
}

/* --- strings */

static void print_bytes(const struct directive *directive, const char *text, size_t len, struct buf *out)
{
    CLEANUP(buf_done) struct buf digits = {0};
    const char *prefix = directive->verb == 'x' ? "0x" : "0X";
    if (directive->has_precision && (uint64_t)directive->precision < len)
        len = (size_t)directive->precision;
    for (size_t i = 0; i < len; i++) {
        buf_add_str(&digits, i > 0 && directive->space ? " " : "");
        if (directive->sharp && (i == 0 || directive->space))
            buf_add_str(&digits, prefix);
        buf_printf(&digits, directive->verb == 'x' ? "%02x" : "%02X", (unsigned char)text[i]);
    }
    pad(directive, buf_text(&digits), digits.len, true, out);
}

static bool can_be_raw(const char *text, size_t len)
{
    size_t size = 1;
    for (size_t i = 0; i < len; i += size) {
        uint32_t c = gotext_rune(text + i, len - i, &size);
        if ((c == 0xfffd && size == 1) || c == 0xfeff || (c < ' ' && c != '\t') || c == '`' || c == 0x7f)
            return false;
    }
    return true;
}

static void print_quoted(const struct directive *directive, const char *text, size_t len, struct buf *out)
{
    CLEANUP(buf_done) struct buf quoted = {0};
    if (directive->sharp && can_be_raw(text, len)) {
        buf_add_char(&quoted, '`');
        buf_add(&quoted, text, len);
        buf_add_char(&quoted, '`');
    } else {
        gotext_quote_n(text, len, '"', directive->plus, &quoted);
    }
    pad(directive, buf_text(&quoted), quoted.len, true, out);
}

static void print_text(const struct directive *directive, const struct value *value, struct buf *out)
{
    size_t len = value->len, size = 1;
    uint32_t verb = directive->verb;
    if (verb == 'x' || verb == 'X') {
        print_bytes(directive, value->text, len, out);
        return;
    }
    if (verb != 'v' && verb != 's' && verb != 'q') {
        bad_verb(directive, value, out);
        return;
    }
    if (directive->has_precision) {
        len = 0;
        for (int64_t n = 0; n < directive->precision && len < value->len; n++, len += size)
            (void)gotext_rune(value->text + len, value->len - len, &size);
    }
    if (verb == 'q' || (verb == 'v' && directive->go_syntax))
        print_quoted(directive, value->text, len, out);
    else
        pad(directive, value->text, len, true, out);
}

/* --- values */

static void print_list(const struct directive *directive, const struct value *value, int depth, struct buf *out)
{
    buf_add_str(out, directive->go_syntax ? "[]interface {}{" : "[");
    for (size_t i = 0; i < value->n; i++) {
        struct value item = value_item(value, i);
        buf_add_str(out, i == 0 ? "" : directive->go_syntax ? ", " : " ");
        print_value(directive, &item, depth + 1, out);
    }
    buf_add_char(out, directive->go_syntax ? '}' : ']');
}

static void print_map(const struct directive *directive, const struct value *value, int depth, struct buf *out)
{
    CLEANUP(strv_done) struct strv keys = {0};
    gotext_keys(value->tree, &keys);
    buf_add_str(out, directive->go_syntax ? "map[string]interface {}{" : "map[");
    for (size_t i = 0; i < keys.n; i++) {
        struct value key = value_of_text(keys.items[i]), item = value_member(value, key.text, key.len);
        buf_add_str(out, i == 0 ? "" : directive->go_syntax ? ", " : " ");
        print_value(directive, &key, depth + 1, out);
        buf_add_char(out, ':');
        print_value(directive, &item, depth + 1, out);
    }
    buf_add_char(out, directive->go_syntax ? '}' : ']');
}

static void print_value(const struct directive *directive, const struct value *value, int depth, struct buf *out)
{
    switch (value->kind) {
    case VALUE_NONE:
    case VALUE_NIL:
        if (depth > 0)
            buf_add_str(out, directive->go_syntax ? "interface {}(nil)" : "<nil>");
        else if (directive->verb == 'v' || directive->verb == 'T')
            pad_text(directive, "<nil>", out);
        else
            bad_verb(directive, value, out);
        return;
    case VALUE_BOOL:
        if (directive->verb == 't' || directive->verb == 'v')
            pad_text(directive, value->truth ? "true" : "false", out);
        else
            bad_verb(directive, value, out);
        return;
    case VALUE_INT:
    case VALUE_INT64:
    case VALUE_BYTE:
        print_whole(directive, value, out);
        return;
    case VALUE_REAL:
        print_real(directive, value, out);
        return;
    case VALUE_TEXT:
        print_text(directive, value, out);
        return;
    case VALUE_LIST:
        print_list(directive, value, depth, out);
        return;
    case VALUE_MAP:
        print_map(directive, value, depth, out);
        return;
    }
}

static void print_argument(const struct directive *given, const struct value *value, struct buf *out)
{
    struct directive directive = *given;
    if (directive.verb == 'v') {
        directive.go_syntax = directive.sharp;
        directive.sharp = directive.plus = false;
    }
    if (directive.verb == 'T' && value->kind != VALUE_NONE && value->kind != VALUE_NIL)
        pad_text(&directive, value_type(value), out);
    else
        print_value(&directive, value, 0, out);
}

/* --- the format */

struct format {
    const char *at, *end;
    const struct value *args;
    size_t n, next;   /* of the arguments */
    bool reordered;   /* %[2]d was seen */
    bool bad_number;  /* in this directive */
    bool after_index; /* the last thing was one */
    struct buf *out;
};

static bool is_at(const struct format *format, char c)
{
    return format->at < format->end && *format->at == c;
}

/* Decimal digits; false: none, or too many. */
static bool take_digits(struct format *format, const char *end, int64_t *ret)
{
    const char *start = format->at;
    int64_t number = 0;
    while (format->at < end && *format->at >= '0' && *format->at <= '9') {
        if (number > NUMBER_MAX) {
            format->at = end;
            return false;
        }
        number = number * 10 + (*format->at++ - '0');
    }
    *ret = format->at > start ? number : 0;
    return format->at > start;
}

/* "[2]": the argument that comes next. */
static void take_argument_number(struct format *format)
{
    format->after_index = false;
    if (!is_at(format, '['))
        return;
    format->reordered = true;
    const char *open = format->at, *close = memchr(open, ']', (size_t)(format->end - open));
    int64_t number = 0;
    format->bad_number = true;
    if (close == NULL || format->end - open < 3) {
        format->at = open + 1;
        return;
    }
    format->at = open + 1;
    bool good = take_digits(format, close, &number) && format->at == close;
    format->at = close + 1;
    format->after_index = good;
    if (good && number >= 1 && (uint64_t)number <= format->n) {
        format->next = (size_t)number - 1;
        format->bad_number = false;
    }
}

/* "*": an argument is the number. */
static bool take_star(struct format *format, int64_t *ret)
{
    *ret = 0;
    if (format->next >= format->n)
        return false;
    const struct value *arg = &format->args[format->next++];
    if (!value_is_whole(arg) || arg->whole > NUMBER_MAX || arg->whole < -NUMBER_MAX)
        return false;
    *ret = arg->whole;
    return true;
}

static void take_width(struct format *format, struct directive *directive)
{
    if (!is_at(format, '*')) {
        directive->has_width = take_digits(format, format->end, &directive->width);
        format->bad_number = format->bad_number || (format->after_index && directive->has_width);
        return;
    }
    format->at++;
    directive->has_width = take_star(format, &directive->width);
    if (!directive->has_width)
        buf_add_str(format->out, "%!(BADWIDTH)");
    if (directive->width < 0) {
        directive->width = -directive->width;
        directive->minus = true;
        directive->zero = false;
    }
    format->after_index = false;
}

static void take_precision(struct format *format, struct directive *directive)
{
    if (!is_at(format, '.') || format->at + 1 >= format->end)
        return;
    format->at++;
    bool bad = format->bad_number || format->after_index;
    format->bad_number = false;
    take_argument_number(format);
    format->bad_number = format->bad_number || bad;
    if (!is_at(format, '*')) {
        (void)take_digits(format, format->end, &directive->precision);
        directive->has_precision = true;
        return;
    }
    format->at++;
    directive->has_precision = take_star(format, &directive->precision) && directive->precision >= 0;
    if (!directive->has_precision)
        buf_add_str(format->out, "%!(BADPREC)");
    format->after_index = false;
}

static void take_flags(struct format *format, struct directive *directive)
{
    for (; format->at < format->end && strchr("#0+- ", *format->at) != NULL && *format->at != '\0'; format->at++) {
        directive->sharp = directive->sharp || *format->at == '#';
        directive->zero = directive->zero || *format->at == '0';
        directive->plus = directive->plus || *format->at == '+';
        directive->minus = directive->minus || *format->at == '-';
        directive->space = directive->space || *format->at == ' ';
    }
}

/* After "%". */
static void print_directive(struct format *format)
{
    struct directive directive = {0};
    size_t size = 0;
    format->bad_number = false;
    take_flags(format, &directive);
    take_argument_number(format);
    take_width(format, &directive);
    take_precision(format, &directive);
    if (!format->after_index) {
        bool bad = format->bad_number;
        format->bad_number = false;
        take_argument_number(format);
        format->bad_number = format->bad_number || bad;
    }
    if (format->at >= format->end) {
        buf_add_str(format->out, "%!(NOVERB)");
        return;
    }
    directive.verb = gotext_rune(format->at, (size_t)(format->end - format->at), &size);
    format->at += size;
    if (directive.verb == '%') {
        buf_add_char(format->out, '%');
    } else if (format->bad_number || format->next >= format->n) {
        buf_add_str(format->out, "%!");
        gotext_add_rune(directive.verb, format->out);
        buf_add_str(format->out, format->bad_number ? "(BADINDEX)" : "(MISSING)");
    } else {
        print_argument(&directive, &format->args[format->next++], format->out);
    }
}

void value_format(const char *text, size_t len, const struct value *args, size_t n, struct buf *out)
{
    struct format format = {.at = text, .end = text + len, .args = args, .n = n, .out = out};
    static const struct directive plain = {.verb = 'v'};
    while (format.at < format.end) {
        const char *percent = memchr(format.at, '%', (size_t)(format.end - format.at));
        const char *stop = percent != NULL ? percent : format.end;
        buf_add(out, format.at, (size_t)(stop - format.at));
        format.at = percent != NULL ? percent + 1 : format.end;
        if (percent != NULL)
            print_directive(&format);
    }
    if (format.reordered || format.next >= n)
        return;
    buf_add_str(out, "%!(EXTRA ");
    for (size_t i = format.next; i < n; i++) {
        bool nothing = args[i].kind == VALUE_NONE || args[i].kind == VALUE_NIL;
        buf_printf(out, "%s%s%s", i > format.next ? ", " : "", nothing ? "" : value_type(&args[i]), nothing ? "" : "=");
        print_value(&plain, &args[i], 0, out);
    }
    buf_add_char(out, ')');
}
