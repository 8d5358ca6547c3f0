/*
 * kyaml.c: trees as KYAML, laid out as sigs.k8s.io/yaml/kyaml does it: lists of objects or lists have their brackets side
 * by side ("[{"), other lists a line for each item; a text of several lines is folded, one line of output for each of its
 * own. Keys are quoted only where some YAML parser could take them for something else than a string.
 */
#include "data/kyaml.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "data/utf8.h"

#define FOLD "\\\n"

static void indent(size_t level, struct buf *out)
{
    for (size_t i = 0; i < level; i++)
        buf_add_str(out, "  ");
}

/* --- strings */

static bool is_space(uint32_t c)
{
    return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
           c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* Go's unicode.IsPrint but for characters that Unicode has not assigned within its blocks. */
static bool is_printed(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {{0, 0x1F},         {0x7F, 0xA0},       {0xAD, 0xAD},       {0x378, 0x379},      {0x600, 0x605},
                  {0x61C, 0x61C},    {0x6DD, 0x6DD},     {0x70F, 0x70F},     {0x1680, 0x1680},    {0x180E, 0x180E},
                  {0x2000, 0x200F},  {0x2028, 0x202F},   {0x205F, 0x206F},   {0x3000, 0x3000},    {0xD800, 0xF8FF},
                  {0xFEFF, 0xFEFF},  {0xFFF0, 0xFFFB},   {0xFFFE, 0xFFFF},   {0x1FFFE, 0x1FFFF},  {0x2FFFE, 0x2FFFF},
                  {0x323B0, 0xE00FF}, {0xE01F0, 0x10FFFF}};
    for (size_t i = 0; i < countof(hidden); i++) {
        if (c >= hidden[i].first && c <= hidden[i].last)
            return false;
    }
    return true;
}

static void print_escape(uint32_t c, struct buf *out)
{
    static const struct {
        uint32_t c;
        const char *text;
    } named[] = {{'\a', "\\a"}, {'\b', "\\b"},  {'\f', "\\f"},  {'\n', "\\n"},   {'\r', "\\r"},  {'\t', "\\t"},
                 {'\v', "\\v"}, {0x1B, "\\e"}, {0x85, "\\N"}, {0xA0, "\\_"}, {0x2028, "\\L"}, {0x2029, "\\P"}};
    for (size_t i = 0; i < countof(named); i++) {
        if (named[i].c == c) {
            buf_add_str(out, named[i].text);
            return;
        }
    }
    buf_printf(out, c < ' ' || c == 0x7F ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

/* level: where a text of several lines is indented to; one_line: of a key, which is not folded. */
static void print_quoted(const char *text, size_t level, bool one_line, struct buf *out)
{
    bool folded = !one_line && strchr(text, '\n') != NULL, line_start = folded;
    size_t left = strlen(text);

    buf_add_str(out, folded ? "\"" FOLD : "\"");
    for (const char *p = text; *p != '\0';) {
        uint32_t c = (unsigned char)*p;
        size_t len = utf8_decode(p, left, &c);
        len = len > 0 ? len : 1;
        if (line_start) {
            /* a reader drops the blanks before a line's text: one of the text's own must be escaped */
            indent(level, out);
            buf_add_char(out, is_space(c) && c != '\n' ? '\\' : ' ');
        }
        line_start = folded && c == '\n';
        if (line_start)
            buf_add_str(out, "\\n" FOLD);
        else if (c == '\t' && !one_line)
            buf_add_char(out, '\t');
        else if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", (int)c);
        else if (is_printed(c))
            buf_add(out, p, len);
        else
            print_escape(c, out);
        p += len;
        left -= len;
    }
    if (folded) {
        buf_add_str(out, line_start ? "" : FOLD);
        indent(level, out);
    }
    buf_add_char(out, '"');
}

/* --- keys */

/* Roughly Go's unicode.IsLetter or IsNumber. */
static bool is_letter_or_digit(uint32_t c)
{
    if (c < 0x80)
        return isalnum((int)c) != 0;
    return c >= 0xC0 && c != 0xD7 && c != 0xF7 && is_printed(c) && !(c >= 0x2000 && c <= 0x2BFF) &&
           !(c >= 0x3001 && c <= 0x3004) && !(c >= 0xFE00 && c <= 0xFE6F) && !(c >= 0x1F000 && c <= 0x1FBFF);
}

/* A date without time, "2026-1-31": some parsers know timestamps. */
static bool is_date(const char *text)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, len = 0;

    if (strspn(text, "0123456789") != 4 || strspn(text, "0123456789-") != strlen(text) ||
        sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &len) != 3 || text[len] != '\0' || month < 1 || month > 12)
        return false;
    bool leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return day >= 1 && day <= days[month - 1] + (leap ? 1 : 0);
}

/* As Go's ParseInt with base 0 and ParseFloat read it; a sign never gets here. */
static bool is_number(const char *text)
{
    char *end = NULL;
    int base = 10;
    const char *digits = text;

    if (text[0] == '0' && text[1] != '\0') {
        int mark = tolower((unsigned char)text[1]);
        base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 8;
        digits = strchr("xob", mark) != NULL ? text + 2 : text + 1;
    }
    errno = 0;
    (void)strtoll(digits, &end, base);
    if (isxdigit((unsigned char)digits[0]) && *end == '\0' && errno == 0)
        return true;
    if (strcasecmp(text, "inf") == 0 || strcasecmp(text, "infinity") == 0 || strcasecmp(text, "nan") == 0)
        return true;
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    if ((!isdigit((unsigned char)text[0]) && text[0] != '.') || (hexadecimal && strpbrk(text, "pP") == NULL))
        return false;
    double value = strtod(text, &end);
    return *end == '\0' && value < 0x1p1023 * 2;
}

/* What some parser of YAML 1.1 or 1.2 takes for null, a boolean, a number or a time. */
static bool is_ambiguous(const char *text)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "t", "f"};
    for (size_t i = 0; i < countof(words); i++) {
        /* "t" and "f" are booleans in either case, and so are all the others */
        if (strcasecmp(text, words[i]) == 0)
            return true;
    }
    CLEANUP(buf_done) struct buf without_underscores = {0};
    for (const char *p = text; *p != '\0'; p++) {
        if (*p != '_')
            buf_add_char(&without_underscores, *p);
    }
    return is_number(buf_text(&without_underscores)) || is_date(text);
}

static bool is_bare_key(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len;) {
        uint32_t c = (unsigned char)text[i];
        size_t n = utf8_decode(text + i, len - i, &c);
        n = n > 0 ? n : 1;
        bool inside = i > 0 && i + n < len && (c == '-' || c == '.' || c == '/');
        if (!inside && c != '_' && !is_letter_or_digit(c))
            return false;
        i += n;
    }
    return len > 0 && !is_ambiguous(text);
}

/* --- values */

struct member {
    const char *key;
    const struct json *value;
};

static int compare_members(const void *a, const void *b)
{
    return strcmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static void print_value(const struct json *json, size_t level, bool sorted, struct buf *out);

static void print_object(const struct json *json, size_t level, bool sorted, struct buf *out)
{
    size_t n = 0, len = json_len(json);
    CLEANUP(xfree) struct member *members = xcalloc(len + 1, sizeof(*members));
    void *position = NULL;

    while (n < len && json_next(json, &position, &members[n].key, &members[n].value))
        n++;
    if (sorted)
        qsort(members, n, sizeof(*members), compare_members);
    buf_add_str(out, n > 0 ? "{\n" : "{");
    for (size_t i = 0; i < n; i++) {
        indent(level + 1, out);
        if (is_bare_key(members[i].key))
            buf_add_str(out, members[i].key);
        else
            print_quoted(members[i].key, level + 1, true, out);
        buf_add_str(out, ": ");
        print_value(members[i].value, level + 1, sorted, out);
        buf_add_str(out, ",\n");
    }
    if (n > 0)
        indent(level, out);
    buf_add_char(out, '}');
}

static void print_array(const struct json *json, size_t level, bool sorted, struct buf *out)
{
    const struct json *item;
    bool cuddled = true;

    json_each(item, json)
        cuddled = cuddled && (json_is_object(item) || json_is_array(item));
    buf_add_char(out, '[');
    json_each(item, json) {
        if (cuddled) {
            buf_add_str(out, item_index > 0 ? ", " : "");
        } else {
            buf_add_str(out, item_index > 0 ? ",\n" : "\n");
            indent(level + 1, out);
        }
        print_value(item, cuddled ? level : level + 1, sorted, out);
    }
    if (!cuddled) {
        buf_add_str(out, ",\n");
        indent(level, out);
    }
    buf_add_char(out, ']');
}

static void print_value(const struct json *json, size_t level, bool sorted, struct buf *out)
{
    switch (json_type(json)) {
    case JSON_STRING:
        print_quoted(json_string_value(json), level + 1, false, out);
        break;
    case JSON_ARRAY:
        print_array(json, level, sorted, out);
        break;
    case JSON_OBJECT:
        print_object(json, level, sorted, out);
        break;
    case JSON_NULL:
    case JSON_BOOL:
    case JSON_INT:
    case JSON_REAL:
        json_print(json, out);
        break;
    }
}

void kyaml_print(const struct json *json, bool sorted, struct buf *out)
{
    buf_add_str(out, "---\n");
    print_value(json, 0, sorted, out);
    buf_add_char(out, '\n');
}
