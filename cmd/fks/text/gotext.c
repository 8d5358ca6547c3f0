/*
 * gotext.c: JSON values in Go's notations. Maps are printed with their keys sorted, as Go does.
 */
#include "text/gotext.h"

#include "base/mem.h"
#include "base/str.h"
#include "data/real.h"

void gotext_keys(const struct json *object, struct strv *out)
{
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(object, &position, &key, &value))
        strv_add(out, key);
    strv_sort(out);
}

/* float64 as %v. */
static void print_real(double number, struct buf *out)
{
    char text[REAL_TEXT_MAX];
    real_print_g(number, text);
    buf_add_str(out, text);
}

void gotext_print(const struct json *value, struct buf *out)
{
    const struct json *item;
    switch (json_type(value)) {
    case JSON_NULL:
        buf_add_str(out, "<nil>");
        break;
    case JSON_BOOL:
    case JSON_INT:
        json_print(value, out);
        break;
    case JSON_REAL:
        print_real(json_real_value(value), out);
        break;
    case JSON_STRING:
        buf_add_str(out, json_string_value(value));
        break;
    case JSON_ARRAY:
        buf_add_char(out, '[');
        json_each(item, value) {
            buf_add_str(out, item_index > 0 ? " " : "");
            gotext_print(item, out);
        }
        buf_add_char(out, ']');
        break;
    case JSON_OBJECT: {
        CLEANUP(strv_done) struct strv keys = {0};
        gotext_keys(value, &keys);
        buf_add_str(out, "map[");
        for (size_t i = 0; i < keys.n; i++) {
            buf_printf(out, "%s%s:", i > 0 ? " " : "", keys.items[i]);
            gotext_print(json_member(value, keys.items[i]), out);
        }
        buf_add_char(out, ']');
        break;
    }
    }
}

void gotext_json(const struct json *value, struct buf *out)
{
    const struct json *item;
    if (json_is_array(value)) {
        buf_add_char(out, '[');
        json_each(item, value) {
            buf_add_str(out, item_index > 0 ? "," : "");
            gotext_json(item, out);
        }
        buf_add_char(out, ']');
    } else if (json_is_object(value)) {
        CLEANUP(strv_done) struct strv keys = {0};
        gotext_keys(value, &keys);
        buf_add_char(out, '{');
        for (size_t i = 0; i < keys.n; i++) {
            CLEANUP(json_free) struct json *key = json_new_string(keys.items[i]);
            buf_add_str(out, i > 0 ? "," : "");
            json_print_pretty(key, out);
            buf_add_char(out, ':');
            gotext_json(json_member(value, keys.items[i]), out);
        }
        buf_add_char(out, '}');
    } else {
        json_print_pretty(value, out);
    }
}

uint32_t gotext_rune(const char *text, size_t len, size_t *ret_size)
{
    const unsigned char *c = (const unsigned char *)text;
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = c[0] < 0x80 ? 1 : c[0] >= 0xf0 && c[0] < 0xf8 ? 4 : c[0] >= 0xe0 && c[0] < 0xf0 ? 3 : c[0] >= 0xc0 && c[0] < 0xe0 ? 2 : 0;
    uint32_t value = size == 1 ? c[0] : size > 0 ? c[0] & (0x7fu >> size) : 0;
    bool good = size > 0 && size <= len;
    for (size_t i = 1; i < size && good; i++) {
        good = (c[i] & 0xc0) == 0x80;
        value = value << 6 | (c[i] & 0x3f);
    }
    if (!good || (size > 1 && value < smallest[size]) || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
        *ret_size = 1;
        return 0xfffd;
    }
    *ret_size = size;
    return value;
}

void gotext_add_rune(uint32_t c, struct buf *out)
{
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        c = 0xfffd;
    if (c < 0x80) {
        buf_add_char(out, (char)c);
        return;
    }
    if (c < 0x800) {
        buf_add_char(out, (char)(0xc0 | c >> 6));
    } else if (c < 0x10000) {
        buf_add_char(out, (char)(0xe0 | c >> 12));
        buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
    } else {
        buf_add_char(out, (char)(0xf0 | c >> 18));
        buf_add_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    buf_add_char(out, (char)(0x80 | (c & 0x3f)));
}

/* Beyond ASCII, all but control characters, blanks, what has no glyph, and what is nobody's; not every unassigned one. */
bool gotext_is_printable(uint32_t c)
{
    if (c < 0xa1)
        return c >= ' ' && c < 0x7f;
    static const struct {
        uint32_t first, last;
    } hidden[] = {{0xad, 0xad},     {0x1680, 0x1680}, {0x180e, 0x180e}, {0x2000, 0x200f}, {0x2028, 0x202f},
                  {0x205f, 0x206f}, {0x3000, 0x3000}, {0xd800, 0xf8ff}, {0xfeff, 0xfeff}, {0xfff0, 0xfffb},
                  {0xfffe, 0xffff}, {0xe0000, 0xe00ff}, {0xf0000, UINT32_MAX}};
    for (size_t i = 0; i < countof(hidden); i++) {
        if (c >= hidden[i].first && c <= hidden[i].last)
            return false;
    }
    return true;
}

void gotext_quote_n(const char *text, size_t len, char quote, bool ascii, struct buf *out)
{
    static const char from[] = "\a\b\f\n\r\t\v", to[] = "abfnrtv";
    buf_add_char(out, quote);
    size_t size = 1;
    for (size_t i = 0; i < len; i += size) {
        uint32_t c = gotext_rune(text + i, len - i, &size);
        const char *named = c != 0 && c < 0x20 ? strchr(from, (char)c) : NULL;
        if (c == (unsigned char)quote || c == '\\')
            buf_printf(out, "\\%c", (char)c);
        else if (named != NULL)
            buf_printf(out, "\\%c", to[named - from]);
        else if (c == 0xfffd && size == 1)
            buf_printf(out, "\\x%02x", (unsigned char)text[i]);
        else if (gotext_is_printable(c) && (c < 0x80 || !ascii))
            buf_add(out, text + i, size);
        else if (c < 0x80)
            buf_printf(out, "\\x%02x", c);
        else
            buf_printf(out, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
    }
    buf_add_char(out, quote);
}

void gotext_quote(const char *text, struct buf *out)
{
    gotext_quote_n(text, strlen(text), '"', false, out);
}

void gotext_syntax(const struct json *value, struct buf *out)
{
    const struct json *item;
    if (json_is_object(value)) {
        CLEANUP(strv_done) struct strv keys = {0};
        gotext_keys(value, &keys);
        buf_add_str(out, "map[string]interface {}{");
        for (size_t i = 0; i < keys.n; i++) {
            buf_add_str(out, i > 0 ? ", " : "");
            gotext_quote(keys.items[i], out);
            buf_add_char(out, ':');
            gotext_syntax(json_member(value, keys.items[i]), out);
        }
        buf_add_char(out, '}');
    } else if (json_is_array(value)) {
        buf_add_str(out, "[]interface {}{");
        json_each(item, value) {
            buf_add_str(out, item_index > 0 ? ", " : "");
            gotext_syntax(item, out);
        }
        buf_add_char(out, '}');
    } else if (json_type(value) == JSON_STRING) {
        gotext_quote(json_string_value(value), out);
    } else if (json_type(value) == JSON_NULL) {
        buf_add_str(out, "interface {}(nil)");
    } else {
        gotext_print(value, out);
    }
}
