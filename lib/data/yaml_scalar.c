/*
 * yaml_scalar.c: implicit types of plain scalars as Go's yaml.v2 sees them, which every Kubernetes tool uses: the
 * YAML 1.1 booleans, null, integers in base 2, 8, 10 and 16 with underscores, floats, and timestamps
 * (https://yaml.org/type/).
 */
#include "data/yaml_scalar.h"

#include <ctype.h>
#include <math.h>

#include "base/mem.h"
#include "base/str.h"

static const struct word {
    const char *text;
    struct yaml_scalar scalar;
} words[] = {
    {"", {.kind = YAML_NULL}},
    {"~", {.kind = YAML_NULL}},
    {"null", {.kind = YAML_NULL}},
    {"Null", {.kind = YAML_NULL}},
    {"NULL", {.kind = YAML_NULL}},
    {"y", {.kind = YAML_BOOL, .boolean = true}},
    {"Y", {.kind = YAML_BOOL, .boolean = true}},
    {"yes", {.kind = YAML_BOOL, .boolean = true}},
    {"Yes", {.kind = YAML_BOOL, .boolean = true}},
    {"YES", {.kind = YAML_BOOL, .boolean = true}},
    {"true", {.kind = YAML_BOOL, .boolean = true}},
    {"True", {.kind = YAML_BOOL, .boolean = true}},
    {"TRUE", {.kind = YAML_BOOL, .boolean = true}},
    {"on", {.kind = YAML_BOOL, .boolean = true}},
    {"On", {.kind = YAML_BOOL, .boolean = true}},
    {"ON", {.kind = YAML_BOOL, .boolean = true}},
    {"n", {.kind = YAML_BOOL}},
    {"N", {.kind = YAML_BOOL}},
    {"no", {.kind = YAML_BOOL}},
    {"No", {.kind = YAML_BOOL}},
    {"NO", {.kind = YAML_BOOL}},
    {"false", {.kind = YAML_BOOL}},
    {"False", {.kind = YAML_BOOL}},
    {"FALSE", {.kind = YAML_BOOL}},
    {"off", {.kind = YAML_BOOL}},
    {"Off", {.kind = YAML_BOOL}},
    {"OFF", {.kind = YAML_BOOL}},
    {".nan", {.kind = YAML_REAL, .real = NAN}},
    {".NaN", {.kind = YAML_REAL, .real = NAN}},
    {".NAN", {.kind = YAML_REAL, .real = NAN}},
    {".inf", {.kind = YAML_REAL, .real = INFINITY}},
    {".Inf", {.kind = YAML_REAL, .real = INFINITY}},
    {".INF", {.kind = YAML_REAL, .real = INFINITY}},
    {"+.inf", {.kind = YAML_REAL, .real = INFINITY}},
    {"+.Inf", {.kind = YAML_REAL, .real = INFINITY}},
    {"+.INF", {.kind = YAML_REAL, .real = INFINITY}},
    {"-.inf", {.kind = YAML_REAL, .real = -INFINITY}},
    {"-.Inf", {.kind = YAML_REAL, .real = -INFINITY}},
    {"-.INF", {.kind = YAML_REAL, .real = -INFINITY}},
};

static const char *skip_digits(const char *p)
{
    while (isdigit((unsigned char)*p))
        p++;
    return p;
}

static int digit_of(char c)
{
    if (isdigit((unsigned char)c))
        return c - '0';
    return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : 99;
}

/* 0x, 0o, 0b, a leading 0 for octal, else decimal. */
static bool read_integer(const char *p, struct yaml_scalar *ret)
{
    bool negative = *p == '-', signed_text = *p == '-' || *p == '+';
    uint64_t value = 0, max = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
    int base = 10;

    p += signed_text;
    if (*p == '0' && p[1] != '\0') {
        char letter = (char)tolower((unsigned char)p[1]);
        base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
        p += letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1;
    }
    if (*p == '\0')
        return false;
    for (; *p != '\0'; p++) {
        if (digit_of(*p) >= base || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit_of(*p), &value))
            return false;
    }
    if (value <= max)
        *ret = (struct yaml_scalar){.kind = YAML_INT, .integer = (int64_t)(negative ? -value : value)};
    else if (!signed_text)
        *ret = (struct yaml_scalar){.kind = YAML_REAL, .real = (double)value};
    return value <= max || !signed_text;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool read_real(const char *text, struct yaml_scalar *ret)
{
    const char *p = text + (*text == '-' || *text == '+'), *digits = p;

    p = skip_digits(p);
    if (*p == '.') {
        const char *fraction = p + 1;
        p = skip_digits(fraction);
        if (p == fraction && fraction == digits + 1)
            return false;
    } else if (p == digits) {
        return false;
    }
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '-' || p[1] == '+' ? 2 : 1;
        if (!isdigit((unsigned char)*p))
            return false;
        p = skip_digits(p);
    }
    double value = strtod(text, NULL);
    if (*p != '\0' || isinf(value))
        return false;
    *ret = (struct yaml_scalar){.kind = YAML_REAL, .real = value};
    return true;
}

/* One or two digits, at most max. */
static bool read_part(const char **p, int max, int *ret)
{
    if (!isdigit((unsigned char)**p))
        return false;
    *ret = *(*p)++ - '0';
    if (isdigit((unsigned char)**p))
        *ret = *ret * 10 + (*(*p)++ - '0');
    return *ret <= max;
}

static bool is_date(const char **p)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = 0, month, day;

    for (int i = 0; i < 4; i++, (*p)++) {
        if (!isdigit((unsigned char)**p))
            return false;
        year = year * 10 + (**p - '0');
    }
    if (*(*p)++ != '-' || !read_part(p, 12, &month) || month < 1 || *(*p)++ != '-' || !read_part(p, 31, &day) ||
        day < 1)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && leap);
}

static bool is_timestamp(const char *p)
{
    int part;

    if (!is_date(&p))
        return false;
    if (*p == '\0')
        return true;
    bool with_zone = *p == 'T' || *p == 't';
    if (!with_zone && *p != ' ')
        return false;
    p++;
    if (!read_part(&p, 23, &part) || *p++ != ':' || !read_part(&p, 59, &part) || *p++ != ':' ||
        !read_part(&p, 59, &part))
        return false;
    if ((*p == '.' || *p == ',') && isdigit((unsigned char)p[1]))
        p = skip_digits(p + 1);
    if (!with_zone)
        return *p == '\0';
    if (*p == 'Z')
        return p[1] == '\0';
    if (*p != '+' && *p != '-')
        return false;
    return strlen(p) == 6 && isdigit((unsigned char)p[1]) && isdigit((unsigned char)p[2]) && p[3] == ':' &&
           isdigit((unsigned char)p[4]) && isdigit((unsigned char)p[5]) && (p[1] - '0') * 10 + (p[2] - '0') <= 24 &&
           (p[4] - '0') * 10 + (p[5] - '0') <= 60;
}

/* [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)? */
static bool is_base60(const char *p)
{
    p += *p == '-' || *p == '+';
    if (!isdigit((unsigned char)*p))
        return false;
    while (isdigit((unsigned char)*p) || *p == '_')
        p++;
    if (*p != ':')
        return false;
    while (*p == ':') {
        if (!isdigit((unsigned char)p[1]))
            return false;
        p += p[1] <= '5' && isdigit((unsigned char)p[2]) ? 3 : 2;
    }
    if (*p == '.')
        for (p++; isdigit((unsigned char)*p) || *p == '_';)
            p++;
    return *p == '\0';
}

static char *without_underscores(const char *text)
{
    char *copy = xstrdup(text), *to = copy;

    for (const char *p = text; *p != '\0'; p++)
        if (*p != '_')
            *to++ = *p;
    *to = '\0';
    return copy;
}

struct yaml_scalar yaml_scalar_resolve(const char *text)
{
    struct yaml_scalar scalar = {.kind = YAML_STRING};

    /* most text begins like none of the special forms */
    if (*text != '\0' && strchr("yYnNtTfFoO~.+-0123456789", *text) == NULL)
        return scalar;
    for (size_t i = 0; i < countof(words); i++)
        if (streq(text, words[i].text))
            return words[i].scalar;
    if (*text == '.') {
        (void)read_real(text, &scalar);
        return scalar;
    }
    if (*text != '+' && *text != '-' && !isdigit((unsigned char)*text))
        return scalar;
    if (is_timestamp(text)) {
        scalar.kind = YAML_TIMESTAMP;
        return scalar;
    }
    CLEANUP(xfree) char *plain = without_underscores(text);
    if (!read_integer(plain, &scalar) && !read_real(plain, &scalar) && is_base60(text))
        scalar.kind = YAML_BASE60;
    return scalar;
}
