/*
 * json_print.c: trees as text, compact for the wire and indented as kubectl shows them. Knows no more of the trees than json.h
 * tells.
 */
#include "data/json.h"

#include "base/mem.h"
#include "data/json_scan.h"
#include "data/real.h"
#include "data/utf8.h"

enum { INDENT = 4 };

struct printer {
    struct buf *out;
    bool pretty; /* kubectl's layout, with the escapes of Go's encoder */
    int depth;
};

static void newline(struct printer *printer)
{
    static const char blanks[] = "                                                                ";
    size_t n = (size_t)(printer->depth * INDENT);

    buf_add_char(printer->out, '\n');
    while (n > 0) {
        size_t part = n < sizeof(blanks) - 1 ? n : sizeof(blanks) - 1;
        buf_add(printer->out, blanks, part);
        n -= part;
    }
}

/* What stands for the character at p, NULL: itself. *ret_len: bytes of it that are replaced. */
static const char *escape(const char *p, bool pretty, char text[8], size_t *ret_len)
{
    unsigned char c = (unsigned char)*p;

    *ret_len = 1;
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    case '<':
    case '>':
    case '&':
        if (!pretty)
            return NULL;
        break;
    case 0xE2: /* U+2028 and U+2029, which JavaScript takes for line ends */
        if (!pretty || (unsigned char)p[1] != 0x80 || ((unsigned char)p[2] & 0xFE) != 0xA8)
            return NULL;
        *ret_len = 3;
        return (unsigned char)p[2] == 0xA8 ? "\\u2028" : "\\u2029";
    default:
        if (c >= 0x20)
            return NULL;
    }
    snprintf(text, 8, "\\u%04x", c);
    return text;
}

/* The first character from p on that escape() may have something to say about. */
static const char *skip_clean(const char *p, const char *end, bool pretty)
{
    bool not_ascii = false;

    if (!pretty)
        return skip_plain(p, end, &not_ascii);
    while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\' && *p != '<' && *p != '>' && *p != '&' &&
           *p != '\xE2')
        p++;
    return p;
}

static void print_string(struct printer *printer, const char *text)
{
    const char *clean = text, *p = text, *end = text + strlen(text);
    char space[8];

    buf_add_char(printer->out, '"');
    while ((p = skip_clean(p, end, printer->pretty)) < end) {
        size_t len;
        const char *replacement = escape(p, printer->pretty, space, &len);
        if (replacement == NULL) {
            p++;
            continue;
        }
        buf_add(printer->out, clean, (size_t)(p - clean));
        buf_add_str(printer->out, replacement);
        p += len;
        clean = p;
    }
    buf_add(printer->out, clean, (size_t)(end - clean));
    buf_add_char(printer->out, '"');
}

static void print_value(struct printer *printer, const struct json *json);

static void print_array(struct printer *printer, const struct json *json)
{
    const struct json *item;

    buf_add_char(printer->out, '[');
    printer->depth++;
    json_each(item, json) {
        if (item_index > 0)
            buf_add_char(printer->out, ',');
        if (printer->pretty)
            newline(printer);
        print_value(printer, item);
    }
    printer->depth--;
    if (printer->pretty && json_len(json) > 0)
        newline(printer);
    buf_add_char(printer->out, ']');
}

struct member {
    const char *key;
    const struct json *value;
};

static int compare_members(const void *a, const void *b)
{
    return strcmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static void print_sorted(struct printer *printer, const struct json *json)
{
    size_t n = 0, len = json_len(json);
    CLEANUP(xfree) struct member *members = xcalloc(len, sizeof(*members));
    void *position = NULL;

    while (n < len && json_next(json, &position, &members[n].key, &members[n].value))
        n++;
    qsort(members, n, sizeof(*members), compare_members);

    printer->depth++;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_char(printer->out, ',');
        newline(printer);
        print_string(printer, members[i].key);
        buf_add_str(printer->out, ": ");
        print_value(printer, members[i].value);
    }
    printer->depth--;
    newline(printer);
}

static void print_object(struct printer *printer, const struct json *json)
{
    void *position = NULL;
    const char *key;
    const struct json *value;
    bool first = true;

    buf_add_char(printer->out, '{');
    if (printer->pretty) {
        if (json_len(json) > 0)
            print_sorted(printer, json);
    } else {
        while (json_next(json, &position, &key, &value)) {
            if (!first)
                buf_add_char(printer->out, ',');
            first = false;
            print_string(printer, key);
            buf_add_char(printer->out, ':');
            print_value(printer, value);
        }
    }
    buf_add_char(printer->out, '}');
}

static void print_value(struct printer *printer, const struct json *json)
{
    char text[REAL_TEXT_MAX];

    switch (json_type(json)) {
    case JSON_NULL:
        buf_add_str(printer->out, "null");
        break;
    case JSON_BOOL:
        buf_add_str(printer->out, json_is_true(json, NULL) ? "true" : "false");
        break;
    case JSON_INT:
        buf_printf(printer->out, "%lld", (long long)json_int_value(json));
        break;
    case JSON_REAL:
        real_print_json(json_real_value(json), text);
        buf_add_str(printer->out, text);
        break;
    case JSON_STRING:
        print_string(printer, json_string_value(json));
        break;
    case JSON_ARRAY:
        print_array(printer, json);
        break;
    case JSON_OBJECT:
        print_object(printer, json);
        break;
    }
}

void json_print(const struct json *json, struct buf *out)
{
    struct printer printer = {.out = out};

    print_value(&printer, json);
}

void json_print_text(const char *text, struct buf *out)
{
    struct printer printer = {.out = out};
    CLEANUP(buf_done) struct buf repaired = {0};

    if (!utf8_valid(text, strlen(text))) {
        utf8_repair(text, strlen(text), &repaired);
        text = buf_text(&repaired);
    }
    print_string(&printer, text);
}

void json_print_pretty_inside(const struct json *json, int depth, struct buf *out)
{
    struct printer printer = {.out = out, .pretty = true, .depth = depth};

    print_value(&printer, json);
}

void json_print_pretty(const struct json *json, struct buf *out)
{
    json_print_pretty_inside(json, 0, out);
}
