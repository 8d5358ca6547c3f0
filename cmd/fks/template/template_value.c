/*
 * template_value.c: what a template computes with: Go's values as kubectl's templates meet them. Lists and maps are always
 * parts of the object that is printed, and borrowed from it.
 */
#include "base/mem.h"
#include "data/real.h"
#include "template/template_internal.h"
#include "text/gotext.h"

struct value value_of_json(const struct json *json)
{
    if (json == NULL)
        return (struct value){0};
    struct value value = {.boxed = true, .tree = json};
    switch (json_type(json)) {
    case JSON_NULL:
        value.kind = VALUE_NIL;
        break;
    case JSON_BOOL:
        value.kind = VALUE_BOOL;
        value.truth = json_is_true(json, NULL);
        break;
    case JSON_INT:
        value.kind = VALUE_INT64;
        value.whole = json_int_value(json);
        break;
    case JSON_REAL:
        value.kind = VALUE_REAL;
        value.real = json_number_value(json);
        break;
    case JSON_STRING:
        value.kind = VALUE_TEXT;
        value.text = json_string_value(json);
        value.len = strlen(value.text);
        break;
    case JSON_ARRAY:
        value.kind = VALUE_LIST;
        value.n = json_len(json);
        break;
    case JSON_OBJECT:
        value.kind = VALUE_MAP;
        value.n = json_len(json);
        break;
    }
    return value;
}

struct value value_of_int(int64_t whole)
{
    return (struct value){.kind = VALUE_INT, .whole = whole};
}

struct value value_of_bool(bool truth)
{
    return (struct value){.kind = VALUE_BOOL, .truth = truth};
}

struct value value_of_text(const char *text)
{
    return (struct value){.kind = VALUE_TEXT, .text = text, .len = strlen(text)};
}

struct value value_take_text(struct buf *text)
{
    struct value value = {.kind = VALUE_TEXT, .len = text->len};
    value.owned = buf_take(text);
    value.text = value.owned;
    return value;
}

struct value value_copy(const struct value *value)
{
    struct value copy = *value;
    if (value->owned != NULL) {
        copy.owned = xstrndup(value->text, value->len);
        copy.text = copy.owned;
    }
    return copy;
}

void value_unbox(struct value *value)
{
    value->boxed = false;
    if (value->kind == VALUE_NIL)
        value->kind = VALUE_NONE;
}

void value_done(struct value *value)
{
    free(value->owned);
    *value = (struct value){0};
}

bool value_is_whole(const struct value *value)
{
    return value->kind == VALUE_INT || value->kind == VALUE_INT64 || value->kind == VALUE_BYTE;
}

bool value_is_true(const struct value *value)
{
    switch (value->kind) {
    case VALUE_NONE:
    case VALUE_NIL:
        return false;
    case VALUE_BOOL:
        return value->truth;
    case VALUE_INT:
    case VALUE_INT64:
    case VALUE_BYTE:
        return value->whole != 0;
    case VALUE_REAL:
        return value->real < 0 || value->real > 0;
    case VALUE_TEXT:
        return value->len > 0;
    case VALUE_LIST:
    case VALUE_MAP:
        return value->n > 0;
    }
    return false;
}

const char *value_type(const struct value *value)
{
    static const char *const names[] = {
        [VALUE_NONE] = "interface {}",
        [VALUE_NIL] = "interface {}",
        [VALUE_BOOL] = "bool",
        [VALUE_INT] = "int",
        [VALUE_INT64] = "int64",
        [VALUE_BYTE] = "uint8",
        [VALUE_REAL] = "float64",
        [VALUE_TEXT] = "string",
        [VALUE_LIST] = "[]interface {}",
        [VALUE_MAP] = "map[string]interface {}",
    };
    return names[value->kind];
}

const char *value_static_type(const struct value *value)
{
    return value->boxed ? "interface {}" : value_type(value);
}

struct value value_member(const struct value *map, const char *key, size_t len)
{
    CLEANUP(xfree) char *name = xstrndup(key, len);
    return value_of_json(json_member(map->tree, name));
}

struct value value_item(const struct value *list, size_t at)
{
    return value_of_json(json_at(list->tree, list->from + at));
}

void value_print(const struct value *value, struct buf *out)
{
    value_format("%v", 2, value, 1, out);
}
