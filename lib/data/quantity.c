/*
 * quantity.c: resource quantities by the grammar of k8s.io/apimachinery/pkg/api/resource: a signed decimal number,
 * then a binary or decimal suffix or a decimal exponent. The number is kept as a mantissa of at most 20 digits,
 * scaled in 128 bits, and whatever falls off at the low end rounds the result up (away from zero).
 */
#include "data/quantity.h"

#include <ctype.h>

#include "base/str.h"

typedef unsigned __int128 wide;

enum { MANTISSA_DIGITS = 20, EXPONENT_MAX = 1000 };

struct number { /* mantissa * 10^decimal * 2^binary, a little more if inexact */
    bool negative;
    wide mantissa;
    int decimal;
    int binary;
    bool inexact;
};

static const struct suffix {
    const char *text;
    int decimal;
    int binary;
} suffixes[] = {
    {"", 0, 0},    {"n", -9, 0},  {"u", -6, 0},  {"m", -3, 0},  {"k", 3, 0},   {"M", 6, 0},
    {"G", 9, 0},   {"T", 12, 0},  {"P", 15, 0},  {"E", 18, 0},  {"Ki", 0, 10}, {"Mi", 0, 20},
    {"Gi", 0, 30}, {"Ti", 0, 40}, {"Pi", 0, 50}, {"Ei", 0, 60},
};

static int bad_quantity(const char *text, struct err *err)
{
    return err_set(err, ERR_PARSE, "'%.64s' is no quantity (examples: 250m, 0.5, 2, 512Mi, 1Gi)", text);
}

/* Digits with at most one point; false without any digit. */
static bool read_digits(const char **p, struct number *number)
{
    bool any = false, after_point = false;
    int kept = 0;

    for (;; (*p)++) {
        if (**p == '.' && !after_point) {
            after_point = true;
            continue;
        }
        if (!isdigit((unsigned char)**p))
            return any;
        any = true;
        int digit = **p - '0';
        if (kept < MANTISSA_DIGITS) {
            number->mantissa = number->mantissa * 10 + (unsigned)digit;
            kept += number->mantissa > 0;
            number->decimal -= after_point;
        } else {
            number->inexact |= digit != 0;
            number->decimal += !after_point;
        }
    }
}

static bool read_exponent(const char *p, struct number *number)
{
    bool negative = *p == '-';
    int exponent = 0;

    p += *p == '-' || *p == '+';
    if (*p == '\0')
        return false;
    for (; isdigit((unsigned char)*p); p++)
        if (exponent < EXPONENT_MAX)
            exponent = exponent * 10 + (*p - '0');
    number->decimal += negative ? -exponent : exponent;
    return *p == '\0';
}

static int read_number(const char *text, struct number *ret, struct err *err)
{
    struct number number = {.negative = *text == '-'};
    const char *p = text + (*text == '-' || *text == '+');

    if (strlen(text) > 1000 || !read_digits(&p, &number))
        return bad_quantity(text, err);
    for (size_t i = 0; i < countof(suffixes); i++) {
        if (*p == *suffixes[i].text && streq(p, suffixes[i].text)) {
            number.decimal += suffixes[i].decimal;
            number.binary = suffixes[i].binary;
            *ret = number;
            return 0;
        }
    }
    if ((*p != 'e' && *p != 'E') || !read_exponent(p + 1, &number))
        return bad_quantity(text, err);
    *ret = number;
    return 0;
}

/* The whole part of number * 10^more, rounded up. */
static int scale(const char *text, struct number number, int more, int64_t *ret, struct err *err)
{
    /* 10^20 * 2^60 is below 2^127 */
    wide value = number.mantissa << number.binary;
    int decimal = number.decimal + more;

    for (; decimal > 0 && value > 0; decimal--) {
        if (value > INT64_MAX)
            break;
        value *= 10;
    }
    for (; decimal < 0 && value > 0; decimal++) {
        number.inexact |= value % 10 != 0;
        value /= 10;
    }
    if (number.inexact)
        value++;
    if (value > INT64_MAX)
        return err_set(err, ERR_TOO_BIG, "the quantity '%.64s' is too large", text);
    *ret = number.negative ? -(int64_t)value : (int64_t)value;
    return 0;
}

int quantity_parse_milli(const char *text, int64_t *ret_milli, struct err *err)
{
    struct number number;
    int r = read_number(text, &number, err);

    return r < 0 ? r : scale(text, number, 3, ret_milli, err);
}

int quantity_parse_units(const char *text, int64_t *ret_units, struct err *err)
{
    struct number number;
    int r = read_number(text, &number, err);

    return r < 0 ? r : scale(text, number, 0, ret_units, err);
}

static void print(int64_t value, int64_t step, const char *const *names, size_t n_names, struct buf *out)
{
    size_t i = 0;

    while (value != 0 && value % step == 0 && i + 1 < n_names) {
        value /= step;
        i++;
    }
    buf_printf(out, "%lld%s", (long long)value, names[i]);
}

void quantity_print_milli(int64_t milli, struct buf *out)
{
    static const char *const names[] = {"m", "", "k", "M", "G", "T", "P"};

    if (milli == 0)
        buf_add_char(out, '0');
    else
        print(milli, 1000, names, countof(names), out);
}

void quantity_print_bytes(int64_t bytes, struct buf *out)
{
    static const char *const names[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};

    print(bytes, 1024, names, countof(names), out);
}

int quantity_canonical(const char *text, struct buf *out, struct err *err)
{
    int64_t milli = 0, units = 0;
    CLEANUP(err_clear) struct err too_big = {0};
    struct number number;
    if (read_number(text, &number, err) < 0)
        return err->code;
    bool has_milli = quantity_parse_milli(text, &milli, &too_big) == 0;
    bool is_binary = ends_with(text, "i");
    if (is_binary && (!has_milli || milli >= 1024000 || milli <= -1024000)) {
        if (quantity_parse_units(text, &units, err) < 0)
            return err->code;
        quantity_print_bytes(units, out);
    } else if (!has_milli || strpbrk(text, "eEnu") != NULL) {
        buf_add_str(out, text);
    } else {
        quantity_print_milli(milli, out);
    }
    return 0;
}
