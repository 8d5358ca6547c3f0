/*
 * gotext.c: JSON values in Go's notations. Maps are printed with their keys sorted, as Go does.
 */
#include "print/gotext.h"

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

void gotext_quote(const char *text, struct buf *out)
{
    buf_add_char(out, '"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_add_str(out, "\\n");
        else if (c == '\t')
            buf_add_str(out, "\\t");
        else if (c == '\r')
            buf_add_str(out, "\\r");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_add_char(out, (char)c);
    }
    buf_add_char(out, '"');
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
