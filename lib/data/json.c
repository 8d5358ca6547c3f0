/*
 * json.c: JSON trees on jansson, the only file that includes it. A struct json is jansson's own node under our
 * name, so nothing is wrapped; jansson's allocation failures end the program as those of mem.h do. Texts that enter
 * are checked once here (UTF-8, no NUL), so jansson's own checks are skipped. Parsing and printing are json_parse.c
 * and json_print.c.
 */

/* jansson's names that json.h uses for something of its own; therefore its header comes first */
#define json_t json
#define json_type jansson_type
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_INTEGER JANSSON_INTEGER
#define JSON_REAL JANSSON_REAL
#define JSON_TRUE JANSSON_TRUE
#define JSON_FALSE JANSSON_FALSE
#define JSON_NULL JANSSON_NULL
#include <jansson.h>
#undef json_t
#undef json_type
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_INTEGER
#undef JSON_REAL
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL
#undef json_is_object
#undef json_is_array
#undef json_is_true

#include "data/json.h"

#include <math.h>
#include <stdarg.h>

#include "base/mem.h"
#include "data/json_internal.h"
#include "data/utf8.h"

static struct json *must(struct json *node)
{
    if (node == NULL)
        abort();
    return node;
}

static void must_succeed(int result)
{
    if (result != 0)
        abort();
}

static bool is_type(const struct json *node, jansson_type type)
{
    return node != NULL && node->type == type;
}

/* jansson reads through pointers to changeable nodes */
static struct json *changeable(const struct json *node)
{
    return (struct json *)(uintptr_t)node;
}

/* --- lifetime */

struct json *json_keep(const struct json *tree)
{
    return json_incref(changeable(tree));
}

struct json *json_free(struct json *tree)
{
    json_decref(tree);
    return NULL;
}

/* Not json_deep_copy: that one keeps a hash table against loops, which our trees cannot have. */
struct json *json_clone(const struct json *tree)
{
    if (tree == NULL)
        return NULL;
    switch (tree->type) {
    case JANSSON_OBJECT: {
        struct json *copy = must(json_object());
        void *position = NULL;
        const char *key;
        const struct json *value;
        while (json_next(tree, &position, &key, &value))
            must_succeed(json_object_set_new_nocheck(copy, key, json_clone(value)));
        return copy;
    }
    case JANSSON_ARRAY: {
        struct json *copy = must(json_array());
        const struct json *item;
        json_each(item, tree)
            must_succeed(json_array_append_new(copy, json_clone(item)));
        return copy;
    }
    case JANSSON_STRING:
        return must(json_stringn_nocheck(json_string_value(tree), json_string_length(tree)));
    case JANSSON_INTEGER:
        return must(json_integer(json_integer_value(tree)));
    case JANSSON_REAL:
        return must(json_real(json_number_value(tree)));
    case JANSSON_TRUE:
    case JANSSON_FALSE:
    case JANSSON_NULL:
        break;
    }
    return json_keep(tree); /* the constants are shared and not counted */
}

bool json_same(const struct json *a, const struct json *b)
{
    return a == b || (a != NULL && b != NULL && json_equal(a, b));
}

/* --- reading */

enum json_type json_type(const struct json *tree)
{
    if (tree == NULL)
        return JSON_NULL;
    switch (tree->type) {
    case JANSSON_OBJECT:
        return JSON_OBJECT;
    case JANSSON_ARRAY:
        return JSON_ARRAY;
    case JANSSON_STRING:
        return JSON_STRING;
    case JANSSON_INTEGER:
        return JSON_INT;
    case JANSSON_REAL:
        return JSON_REAL;
    case JANSSON_TRUE:
    case JANSSON_FALSE:
        return JSON_BOOL;
    case JANSSON_NULL:
        break;
    }
    return JSON_NULL;
}

bool json_is_object(const struct json *tree)
{
    return is_type(tree, JANSSON_OBJECT);
}

bool json_is_array(const struct json *tree)
{
    return is_type(tree, JANSSON_ARRAY);
}

static const struct json *walk(const struct json *node, va_list keys)
{
    const char *key;

    while (node != NULL && (key = va_arg(keys, const char *)) != NULL)
        node = json_member(node, key);
    return node;
}

/* WALK(node, tree): node is what the keys after the named parameter `tree` lead to. */
#define WALK(node, tree)                                                                           \
    const struct json *node;                                                                       \
    do {                                                                                           \
        va_list keys;                                                                              \
        va_start(keys, tree);                                                                      \
        node = walk((tree), keys);                                                                 \
        va_end(keys);                                                                              \
    } while (0)

const struct json *json_get(const struct json *tree, ...)
{
    WALK(node, tree);
    return node;
}

const char *json_str(const struct json *tree, ...)
{
    WALK(node, tree);
    return json_string_value(node);
}

const char *json_str_or(const char *fallback, const struct json *tree, ...)
{
    WALK(node, tree);
    const char *text = json_string_value(node);
    return text != NULL ? text : fallback;
}

static bool whole(double value)
{
    return value == trunc(value) && value >= -0x1p63 && value < 0x1p63;
}

int64_t json_int_or(int64_t fallback, const struct json *tree, ...)
{
    WALK(node, tree);
    if (is_type(node, JANSSON_INTEGER))
        return json_integer_value(node);
    if (is_type(node, JANSSON_REAL) && whole(json_number_value(node)))
        return (int64_t)json_number_value(node);
    return fallback;
}

bool json_is_true(const struct json *tree, ...)
{
    WALK(node, tree);
    return is_type(node, JANSSON_TRUE);
}

bool json_bool_or(bool fallback, const struct json *tree, ...)
{
    WALK(node, tree);
    if (is_type(node, JANSSON_TRUE))
        return true;
    return is_type(node, JANSSON_FALSE) ? false : fallback;
}

/* json_string_value and json_number_value are jansson's own */

int64_t json_int_value(const struct json *tree)
{
    if (!is_type(tree, JANSSON_REAL))
        return json_integer_value(tree);
    double value = json_number_value(tree);
    if (value >= 0x1p63)
        return INT64_MAX;
    return value < -0x1p63 ? INT64_MIN : (int64_t)value;
}

size_t json_len(const struct json *tree)
{
    return is_type(tree, JANSSON_ARRAY) ? json_array_size(tree) : json_object_size(tree);
}

const struct json *json_at(const struct json *array, size_t index)
{
    return json_array_get(array, index);
}

const struct json *json_member(const struct json *object, const char *key)
{
    return json_object_get(object, key);
}

bool json_next(const struct json *object, void **position, const char **ret_key, const struct json **ret_value)
{
    struct json *node = changeable(object);

    *position = *position == NULL ? json_object_iter(node) : json_object_iter_next(node, *position);
    if (*position == NULL)
        return false;
    *ret_key = json_object_iter_key(*position);
    *ret_value = json_object_iter_value(*position);
    return true;
}

/* --- building */

struct json *json_new_object(void)
{
    return must(json_object());
}

struct json *json_new_array(void)
{
    return must(json_array());
}

struct json *json_new_string(const char *text)
{
    return text != NULL ? json_new_string_n(text, strlen(text)) : json_null();
}

struct json *json_new_string_n(const char *text, size_t len)
{
    if (utf8_valid(text, len))
        return must(json_stringn_nocheck(text, len));
    CLEANUP(buf_done) struct buf clean = {0};
    utf8_repair(text, len, &clean);
    return must(json_stringn_nocheck(buf_text(&clean), clean.len));
}

struct json *json_new_checked(const char *text, size_t len)
{
    return must(json_stringn_nocheck(text, len));
}

struct json *json_new_int(int64_t value)
{
    return must(json_integer(value));
}

struct json *json_new_real(double value)
{
    return isfinite(value) ? must(json_real(value)) : json_null();
}

struct json *json_new_bool(bool value)
{
    return json_boolean(value);
}

struct json *json_new_null(void)
{
    return json_null();
}

static char next_letter(const char **format)
{
    while (**format != '\0' && strchr(" \t\n,:", **format) != NULL)
        (*format)++;
    return **format != '\0' ? *(*format)++ : '\0';
}

struct arguments { /* a va_list that functions can share */
    va_list list;
};

/* One value; NULL: a member to be left out. */
static struct json *build(const char **format, struct arguments *args)
{
    struct json *node = NULL;
    char letter = next_letter(format);

    switch (letter) {
    case '{':
        node = json_new_object();
        while ((letter = next_letter(format)) == 's') {
            const char *key = va_arg(args->list, const char *);
            struct json *value = build(format, args);
            if (value != NULL)
                json_set(node, key, value);
        }
        if (letter != '}')
            abort();
        return node;
    case '[':
        node = json_new_array();
        while ((letter = next_letter(format)) != ']') {
            if (letter == '\0')
                abort();
            (*format)--;
            struct json *value = build(format, args);
            if (value != NULL)
                json_push(node, value);
        }
        return node;
    case 'b':
        return json_new_bool(va_arg(args->list, int) != 0);
    case 'i':
        return json_new_int(va_arg(args->list, int));
    case 'I':
        return json_new_int(va_arg(args->list, long long));
    case 'n':
        return json_null();
    case 's': {
        const char *text = va_arg(args->list, const char *);
        node = text != NULL ? json_new_string(text) : NULL;
        break;
    }
    case 'o':
        node = va_arg(args->list, struct json *);
        break;
    case 'O':
        node = json_keep(va_arg(args->list, const struct json *));
        break;
    default:
        abort();
    }
    bool optional = **format == '*';
    if (optional)
        (*format)++;
    return node != NULL || optional ? node : json_null();
}

struct json *json_build(const char *format, ...)
{
    struct arguments args;

    va_start(args.list, format);
    struct json *node = build(&format, &args);
    va_end(args.list);
    if (next_letter(&format) != '\0')
        abort();
    return must(node);
}

/* --- changing */

void json_set(struct json *object, const char *key, struct json *value)
{
    size_t len = strlen(key);

    if (value == NULL)
        value = json_null();
    if (utf8_valid(key, len)) {
        must_succeed(json_object_setn_new_nocheck(object, key, len, value));
        return;
    }
    CLEANUP(buf_done) struct buf clean = {0};
    utf8_repair(key, len, &clean);
    must_succeed(json_object_setn_new_nocheck(object, clean.data, clean.len, value));
}

void json_set_checked(struct json *object, const char *key, size_t len, struct json *value)
{
    must_succeed(json_object_setn_new_nocheck(object, key, len, value));
}

void json_set_str(struct json *object, const char *key, const char *text)
{
    json_set(object, key, json_new_string(text));
}

void json_set_int(struct json *object, const char *key, int64_t value)
{
    json_set(object, key, json_new_int(value));
}

void json_set_bool(struct json *object, const char *key, bool value)
{
    json_set(object, key, json_new_bool(value));
}

void json_del(struct json *object, const char *key)
{
    (void)json_object_del(object, key);
}

void json_push(struct json *array, struct json *value)
{
    must_succeed(json_array_append_new(array, value != NULL ? value : json_null()));
}

void json_remove_at(struct json *array, size_t index)
{
    (void)json_array_remove(array, index);
}

struct json *json_edit(struct json *object, ...)
{
    va_list keys;
    const char *key;

    va_start(keys, object);
    key = va_arg(keys, const char *);
    while (key != NULL) {
        const char *next_key = va_arg(keys, const char *);
        struct json *member = json_object_get(object, key);
        if (!json_is_object(member) && !(json_is_array(member) && next_key == NULL)) {
            member = json_new_object();
            json_set(object, key, member);
        }
        object = member;
        key = next_key;
    }
    va_end(keys);
    return object;
}

struct json *json_edit_at(struct json *array, size_t index)
{
    return json_array_get(array, index);
}

struct json *json_edit_member(struct json *object, const char *key)
{
    return json_object_get(object, key);
}
