/*
 * str.c: text helpers for parsers: slices, string lists, strict numbers. Numbers and durations are whole texts or
 * errors: nothing is skipped at the front or left over at the end. It does not know Kubernetes quantities
 * (kube layer) nor times of day (clock.h).
 */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

struct str str_of(const char *text)
{
    return (struct str){text, text != NULL ? strlen(text) : 0};
}

bool str_is(struct str s, const char *text)
{
    size_t len = strlen(text);

    return s.len == len && (len == 0 || memcmp(s.p, text, len) == 0);
}

bool str_is_nocase(struct str s, const char *text)
{
    size_t len = strlen(text);

    return s.len == len && (len == 0 || strncasecmp(s.p, text, len) == 0);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_blank(s.p[0])) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.p[s.len - 1]))
        s.len--;
    return s;
}

bool str_cut(struct str s, char c, struct str *head, struct str *tail)
{
    const char *at = s.len > 0 ? memchr(s.p, c, s.len) : NULL;

    if (at == NULL) {
        *head = s;
        *tail = (struct str){s.len > 0 ? s.p + s.len : s.p, 0};
        return false;
    }
    *head = (struct str){s.p, (size_t)(at - s.p)};
    *tail = (struct str){at + 1, s.len - head->len - 1};
    return true;
}

bool streq(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text);
    size_t suffix_len = strlen(suffix);

    return len >= suffix_len && memcmp(text + len - suffix_len, suffix, suffix_len) == 0;
}

const char *strempty(const char *text)
{
    return text != NULL ? text : "";
}

int parse_int(const char *text, int64_t min, int64_t max, int64_t *ret, struct err *err)
{
    const char *c = text;
    bool negative = *c == '-';
    bool overflow = false;
    int64_t value = 0;

    if (*c == '-' || *c == '+')
        c++;
    if (*c == '\0')
        return err_set(err, ERR_PARSE, "'%s' is not a whole number", text);
    for (; *c != '\0'; c++) {
        int digit = *c - '0';

        if (digit < 0 || digit > 9)
            return err_set(err, ERR_PARSE, "'%s' is not a whole number", text);
        /* downwards, because INT64_MIN has no positive counterpart */
        overflow = overflow || __builtin_mul_overflow(value, 10, &value) ||
                   __builtin_sub_overflow(value, digit, &value);
    }
    if (!negative && !overflow)
        overflow = __builtin_sub_overflow((int64_t)0, value, &value);
    if (overflow || value < min || value > max)
        return err_set(err, ERR_INVALID, "'%s' is not between %lld and %lld", text, (long long)min, (long long)max);
    *ret = value;
    return 0;
}

struct duration_unit {
    const char *name;
    int64_t ns;
};

static const struct duration_unit *find_unit(struct str name)
{
    static const struct duration_unit units[] = {
        {"ns", 1},
        {"us", 1000},
        {"\xc2\xb5s", 1000}, /* U+00B5 and U+03BC: both look like mu, Go takes both */
        {"\xce\xbcs", 1000},
        {"ms", 1000000},
        {"s", 1000000000},
        {"m", 60000000000},
        {"h", 3600000000000},
    };

    for (size_t i = 0; i < countof(units); i++) {
        if (str_is(name, units[i].name))
            return &units[i];
    }
    return NULL;
}

/* "12" or "12.5" or ".5" at *c; the fraction as fraction / scale. False without any digit or on overflow. */
static bool scan_decimal(const char **c, int64_t *ret_whole, int64_t *ret_fraction, int64_t *ret_scale)
{
    bool any = false;

    *ret_whole = 0;
    *ret_fraction = 0;
    *ret_scale = 1;
    for (; **c >= '0' && **c <= '9'; (*c)++) {
        any = true;
        if (__builtin_mul_overflow(*ret_whole, 10, ret_whole) ||
            __builtin_add_overflow(*ret_whole, **c - '0', ret_whole))
            return false;
    }
    if (**c != '.')
        return any;
    for ((*c)++; **c >= '0' && **c <= '9'; (*c)++) {
        any = true;
        /* digits past the 12th are far below a millisecond even of an hour */
        if (*ret_scale < 1000000000000) {
            *ret_fraction = *ret_fraction * 10 + (**c - '0');
            *ret_scale *= 10;
        }
    }
    return any;
}

/* As Go's time package quotes in its errors, which kubectl shows: heap string. */
static char *quote(struct str text)
{
    char *quoted = xmalloc(text.len * strlen("\\x00") + 3);
    char *to = quoted;

    *to++ = '"';
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c < ' ' || c >= 0x80) {
            to += snprintf(to, sizeof("\\x00"), "\\x%02x", c);
        } else {
            if (c == '"' || c == '\\')
                *to++ = '\\';
            *to++ = (char)c;
        }
    }
    *to++ = '"';
    *to = '\0';
    return quoted;
}

static int refuse_duration(const char *text, struct err *err)
{
    CLEANUP(xfree) char *quoted = quote(str_of(text));

    return err_set(err, ERR_PARSE, "time: invalid duration %s", quoted);
}

static int refuse_unit(const char *text, struct str unit, struct err *err)
{
    CLEANUP(xfree) char *quoted = quote(str_of(text));
    CLEANUP(xfree) char *quoted_unit = quote(unit);

    if (unit.len == 0)
        return err_set(err, ERR_PARSE, "time: missing unit in duration %s", quoted);
    return err_set(err, ERR_PARSE, "time: unknown unit %s in duration %s", quoted_unit, quoted);
}

int parse_duration(const char *text, int64_t *ret_ms, struct err *err)
{
    const char *c = text;
    bool negative = *c == '-';
    int64_t total_ns = 0;
    int64_t ms;

    if (*c == '-' || *c == '+')
        c++;
    if (streq(c, "0")) {
        *ret_ms = 0;
        return 0;
    }
    if (*c == '\0')
        return refuse_duration(text, err);
    while (*c != '\0') {
        const struct duration_unit *unit;
        int64_t whole, fraction, scale;
        struct str name;

        if (!scan_decimal(&c, &whole, &fraction, &scale))
            return refuse_duration(text, err);
        name = (struct str){c, strcspn(c, ".0123456789")};
        unit = find_unit(name);
        if (unit == NULL)
            return refuse_unit(text, name, err);
        c += name.len;
        fraction = (int64_t)((__int128)fraction * unit->ns / scale);
        if (__builtin_mul_overflow(whole, unit->ns, &whole) ||
            __builtin_add_overflow(total_ns, whole, &total_ns) ||
            __builtin_add_overflow(total_ns, fraction, &total_ns))
            return refuse_duration(text, err);
    }
    /* rounded up: "1us" as a timeout must not become 0, which often means none */
    ms = total_ns / 1000000 + (total_ns % 1000000 > 0);
    *ret_ms = negative ? -ms : ms;
    return 0;
}

char *duration_text(int64_t ms)
{
    const char *sign = ms < 0 ? "-" : "";
    long long rest = ms < 0 ? -(long long)ms : ms, seconds = rest / 1000, thousandths = rest % 1000;
    char fraction[8] = "";

    if (ms != 0 && seconds == 0)
        return xasprintf("%s%lldms", sign, rest);
    if (thousandths != 0) {
        (void)snprintf(fraction, sizeof(fraction), ".%03d", (int)thousandths);
        for (size_t len = strlen(fraction); fraction[len - 1] == '0'; len--)
            fraction[len - 1] = '\0';
    }
    if (seconds >= 3600)
        return xasprintf("%s%lldh%lldm%lld%ss", sign, seconds / 3600, seconds / 60 % 60, seconds % 60, fraction);
    if (seconds >= 60)
        return xasprintf("%s%lldm%lld%ss", sign, seconds / 60, seconds % 60, fraction);
    return xasprintf("%s%lld%ss", sign, seconds, fraction);
}

void strv_take(struct strv *list, char *text)
{
    /* one more than the items, for the NULL at the end */
    GROW(list->items, list->n + 1, list->cap);
    list->items[list->n++] = text;
    list->items[list->n] = NULL;
}

void strv_add(struct strv *list, const char *text)
{
    strv_take(list, xstrdup(strempty(text)));
}

void strv_addf(struct strv *list, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = xstrdup("");
    va_end(args);
    strv_take(list, text);
}

bool strv_has(const struct strv *list, const char *text)
{
    for (size_t i = 0; i < list->n; i++) {
        if (streq(list->items[i], text))
            return true;
    }
    return false;
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *list)
{
    if (list->n > 1)
        qsort(list->items, list->n, sizeof(list->items[0]), compare_items);
}

void strv_split(struct strv *list, const char *text, char c)
{
    struct str rest = str_of(text);
    bool more = rest.len > 0;

    while (more) {
        struct str item;

        more = str_cut(rest, c, &item, &rest);
        strv_take(list, xstrndup(item.p, item.len));
    }
}

char *strv_join(const struct strv *list, const char *separator)
{
    size_t separator_len = strlen(separator);
    size_t len = 0;
    char *text, *to;

    for (size_t i = 0; i < list->n; i++)
        len += strlen(list->items[i]) + separator_len;
    text = to = xmalloc(len + 1);
    for (size_t i = 0; i < list->n; i++) {
        if (i > 0)
            to = mempcpy(to, separator, separator_len);
        to = mempcpy(to, list->items[i], strlen(list->items[i]));
    }
    *to = '\0';
    return text;
}

void strv_done(struct strv *list)
{
    if (list == NULL)
        return;
    for (size_t i = 0; i < list->n; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct strv){0};
}
