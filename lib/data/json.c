/*
 * json.c: JSON trees: reading, building, changing. Parsing and printing are json_parse.c and json_print.c; where nodes lie
 * and how members are found, json_memory.c and json_object.c. Texts that enter are checked once here (UTF-8, no NUL).
 */
#include "data/json.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "data/json_node.h"
#include "data/utf8.h"

const struct json json_constants[3] = {
    {.type = JSON_NULL, .place = JSON_CONSTANT},
    {.type = JSON_BOOL, .place = JSON_CONSTANT, .boolean = false},
    {.type = JSON_BOOL, .place = JSON_CONSTANT, .boolean = true},
};

static bool is_type(const struct json *node, enum json_type type)
{
    return node != NULL && node->type == type;
}

/* Reference counts are no change of a tree that others see. */
static struct json *changeable(const struct json *node)
{
    return (struct json *)(uintptr_t)node;
}

/* --- lifetime */

struct json *json_keep(const struct json *tree)
{
    struct json *node = changeable(tree);

    if (node == NULL || node->place == JSON_CONSTANT)
        return node;
    if (node->place != JSON_COUNTED)
        return json_clone(node);
    __atomic_fetch_add(&node->refs, 1, __ATOMIC_RELAXED);
    return node;
}

/* Whether this was the last reference. The last holder needs no atomic subtraction, which is most of the cases. */
static bool drop_reference(struct json *node)
{
    return __atomic_load_n(&node->refs, __ATOMIC_ACQUIRE) == 1 ||
           __atomic_sub_fetch(&node->refs, 1, __ATOMIC_ACQ_REL) == 0;
}

struct json *json_free(struct json *node)
{
    if (node == NULL || node->place == JSON_CONSTANT)
        return NULL;
    if (node->place == JSON_DOCUMENT_ROOT) {
        json_document_free_root(node);
        return NULL;
    }
    if (node->place != JSON_COUNTED || !drop_reference(node))
        return NULL;
    if (node->type == JSON_ARRAY) {
        for (size_t i = 0; i < node->array.n; i++)
            json_free(node->array.items[i]);
        free(node->array.items);
    } else if (node->type == JSON_OBJECT) {
        json_object_done(node);
    }
    free(node);
    return NULL;
}

static struct json *clone_object(const struct json *tree)
{
    struct json *copy = json_new_object();
    size_t n = tree->object.n;
    CLEANUP(xfree) struct json_member *members = xcalloc(n, sizeof(*members));

    for (size_t i = 0; i < n; i++) {
        const struct json_member *from = &tree->object.members[i];
        members[i] = (struct json_member){xstrndup(from->key, from->key_len), from->key_len, json_clone(from->value)};
    }
    json_object_fill(NULL, copy, members, n);
    return copy;
}

struct json *json_clone(const struct json *tree)
{
    if (tree == NULL)
        return NULL;
    switch ((enum json_type)tree->type) {
    case JSON_OBJECT:
        return clone_object(tree);
    case JSON_ARRAY: {
        struct json *copy = json_new_array();
        for (size_t i = 0; i < tree->array.n; i++)
            json_push(copy, json_clone(tree->array.items[i]));
        return copy;
    }
    case JSON_STRING:
        return json_node_string(tree->string.text, tree->string.len);
    case JSON_INT:
        return json_new_int(tree->integer);
    case JSON_REAL:
        return json_new_real(tree->real);
    case JSON_BOOL:
        return json_new_bool(tree->boolean);
    case JSON_NULL:
        break;
    }
    return json_new_null();
}

static bool same_members(const struct json *a, const struct json *b)
{
    if (a->object.n != b->object.n)
        return false;
    for (size_t i = 0; i < a->object.n; i++) {
        const struct json_member *member = &a->object.members[i];
        const struct json_member *other = json_object_find(b, member->key, member->key_len);
        if (other == NULL || !json_same(member->value, other->value))
            return false;
    }
    return true;
}

static bool same_items(const struct json *a, const struct json *b)
{
    if (a->array.n != b->array.n)
        return false;
    for (size_t i = 0; i < a->array.n; i++)
        if (!json_same(a->array.items[i], b->array.items[i]))
            return false;
    return true;
}

bool json_same(const struct json *a, const struct json *b)
{
    if (a == b || a == NULL || b == NULL || a->type != b->type)
        return a == b;
    switch ((enum json_type)a->type) {
    case JSON_OBJECT:
        return same_members(a, b);
    case JSON_ARRAY:
        return same_items(a, b);
    case JSON_STRING:
        return a->string.len == b->string.len && memcmp(a->string.text, b->string.text, a->string.len) == 0;
    case JSON_INT:
        return a->integer == b->integer;
    case JSON_REAL:
        return a->real >= b->real && a->real <= b->real;
    case JSON_BOOL:
        return a->boolean == b->boolean;
    case JSON_NULL:
        break;
    }
    return true;
}

/* --- reading */

enum json_type json_type(const struct json *tree)
{
    return tree != NULL ? (enum json_type)tree->type : JSON_NULL;
}

bool json_is_object(const struct json *tree)
{
    return is_type(tree, JSON_OBJECT);
}

bool json_is_array(const struct json *tree)
{
    return is_type(tree, JSON_ARRAY);
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
    return value >= -0x1p63 && value < 0x1p63 && (double)(int64_t)value >= value && (double)(int64_t)value <= value;
}

int64_t json_int_or(int64_t fallback, const struct json *tree, ...)
{
    WALK(node, tree);
    if (is_type(node, JSON_INT))
        return node->integer;
    if (is_type(node, JSON_REAL) && whole(node->real))
        return (int64_t)node->real;
    return fallback;
}

bool json_is_true(const struct json *tree, ...)
{
    WALK(node, tree);
    return is_type(node, JSON_BOOL) && node->boolean;
}

bool json_bool_or(bool fallback, const struct json *tree, ...)
{
    WALK(node, tree);
    return is_type(node, JSON_BOOL) ? node->boolean : fallback;
}

const char *json_string_value(const struct json *tree)
{
    return is_type(tree, JSON_STRING) ? tree->string.text : NULL;
}

int64_t json_int_value(const struct json *tree)
{
    if (is_type(tree, JSON_INT))
        return tree->integer;
    double value = json_number_value(tree);
    if (value >= 0x1p63)
        return INT64_MAX;
    return value < -0x1p63 ? INT64_MIN : (int64_t)value;
}

double json_number_value(const struct json *tree)
{
    if (is_type(tree, JSON_INT))
        return (double)tree->integer;
    return is_type(tree, JSON_REAL) ? tree->real : 0;
}

size_t json_len(const struct json *tree)
{
    if (is_type(tree, JSON_ARRAY))
        return tree->array.n;
    return is_type(tree, JSON_OBJECT) ? tree->object.n : 0;
}

const struct json *json_at(const struct json *array, size_t index)
{
    return is_type(array, JSON_ARRAY) && index < array->array.n ? array->array.items[index] : NULL;
}

const struct json *json_member(const struct json *object, const char *key)
{
    const struct json_member *member =
        is_type(object, JSON_OBJECT) && key != NULL ? json_object_find(object, key, strlen(key)) : NULL;

    return member != NULL ? member->value : NULL;
}

bool json_next(const struct json *object, void **position, const char **ret_key, const struct json **ret_value)
{
    size_t at = (size_t)(uintptr_t)*position;

    if (!is_type(object, JSON_OBJECT) || at >= object->object.n)
        return false;
    *ret_key = object->object.members[at].key;
    *ret_value = object->object.members[at].value;
    *position = (void *)(uintptr_t)(at + 1);
    return true;
}

/* --- building */

struct json *json_new_object(void)
{
    return json_node_new(NULL, JSON_OBJECT);
}

struct json *json_new_array(void)
{
    return json_node_new(NULL, JSON_ARRAY);
}

struct json *json_new_string(const char *text)
{
    return text != NULL ? json_new_string_n(text, strlen(text)) : json_new_null();
}

struct json *json_new_string_n(const char *text, size_t len)
{
    if (utf8_valid(text, len))
        return json_node_string(text, len);
    CLEANUP(buf_done) struct buf clean = {0};
    utf8_repair(text, len, &clean);
    return json_node_string(buf_text(&clean), clean.len);
}

struct json *json_new_int(int64_t value)
{
    struct json *node = json_node_new(NULL, JSON_INT);
    node->integer = value;
    return node;
}

struct json *json_new_real(double value)
{
    if (!isfinite(value))
        return json_new_null();
    struct json *node = json_node_new(NULL, JSON_REAL);
    node->real = value;
    return node;
}

struct json *json_new_bool(bool value)
{
    return changeable(&json_constants[value ? 2 : 1]);
}

struct json *json_new_null(void)
{
    return changeable(&json_constants[0]);
}

static char next_letter(const char **format)
{
    while (**format == ' ' || **format == '\t' || **format == '\n' || **format == ',' || **format == ':')
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
        return json_new_null();
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
    return node != NULL || optional ? node : json_new_null();
}

struct json *json_build(const char *format, ...)
{
    struct arguments args;

    va_start(args.list, format);
    struct json *node = build(&format, &args);
    va_end(args.list);
    if (next_letter(&format) != '\0')
        abort();
    return node;
}

/* --- changing */

static void assert_changeable(const struct json *node, enum json_type type)
{
    if (!is_type(node, type) || node->place != JSON_COUNTED)
        abort(); /* our bug: a constant, a tree for reading, or another type */
}

void json_set(struct json *object, const char *key, struct json *value)
{
    size_t len = strlen(key);
    CLEANUP(buf_done) struct buf clean = {0};

    assert_changeable(object, JSON_OBJECT);
    if (value == NULL)
        value = json_new_null();
    if (!utf8_valid(key, len)) {
        utf8_repair(key, len, &clean);
        key = buf_text(&clean);
        len = clean.len;
    }
    struct json_member *member = json_object_find(object, key, len);
    if (member == NULL) {
        json_object_put(object, xstrndup(key, len), len, value);
    } else {
        struct json *before = member->value;
        member->value = value;
        json_free(before);
    }
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
    if (!is_type(object, JSON_OBJECT))
        return;
    assert_changeable(object, JSON_OBJECT);
    json_object_remove(object, key);
}

void json_push(struct json *array, struct json *value)
{
    assert_changeable(array, JSON_ARRAY);
    GROW(array->array.items, array->array.n, array->array.cap);
    array->array.items[array->array.n++] = value != NULL ? value : json_new_null();
}

void json_remove_at(struct json *array, size_t index)
{
    if (!is_type(array, JSON_ARRAY) || index >= array->array.n)
        return;
    assert_changeable(array, JSON_ARRAY);
    struct json *gone = array->array.items[index];
    size_t behind = array->array.n - index - 1;
    memmove(&array->array.items[index], &array->array.items[index + 1], behind * sizeof(gone));
    array->array.n--;
    json_free(gone);
}

struct json *json_edit(struct json *object, ...)
{
    va_list keys;
    const char *key;

    va_start(keys, object);
    key = va_arg(keys, const char *);
    while (key != NULL) {
        const char *next_key = va_arg(keys, const char *);
        struct json *member = json_edit_member(object, key);
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
    return changeable(json_at(array, index));
}

struct json *json_edit_member(struct json *object, const char *key)
{
    return changeable(json_member(object, key));
}
