/*
 * template_call.c: the functions of templates: Go's own, and kubectl's exists and base64decode. "and" and "or", which need
 * not look at all of their arguments, are template.c's.
 */
#include <ctype.h>

#include "base/codec.h"
#include "base/mem.h"
#include "template/template_internal.h"
#include "text/gotext.h"

static const struct function functions[] = {
    {"and", 1, .more = true},   {"or", 1, .more = true},    {"not", 1},
    {"len", 1},                 {"index", 1, .more = true}, {"slice", 1, .more = true},
    {"call", 1, .more = true},  {"eq", 1, .more = true},    {"ne", 2},
    {"lt", 2},                  {"le", 2},                  {"gt", 2},
    {"ge", 2},                  {"print", .more = true},    {"println", .more = true},
    {"html", .more = true},     {"js", .more = true},       {"urlquery", .more = true},
    {"printf", 1, .more = true, .text_first = true},
    {"exists", 1, .more = true},
    {"base64decode", 1, .text_first = true},
};

const struct function *function_find(const char *name, size_t len)
{
    for (size_t i = 0; i < countof(functions); i++) {
        if (str_is((struct str){name, len}, functions[i].name))
            return &functions[i];
    }
    return NULL;
}

static bool is_nothing(const struct value *value)
{
    return value->kind == VALUE_NONE || value->kind == VALUE_NIL;
}

/* --- len, index, slice */

static int call_len(const struct value *value, struct value *ret, struct err *err)
{
    if (value->kind == VALUE_NIL)
        return err_set(err, ERR_INVALID, "len of nil pointer");
    if (value->kind == VALUE_NONE)
        return err_set(err, ERR_INVALID, "reflect: call of reflect.Value.Type on zero Value");
    if (value->kind != VALUE_TEXT && value->kind != VALUE_LIST && value->kind != VALUE_MAP)
        return err_set(err, ERR_INVALID, "len of type %s", value_type(value));
    *ret = value_of_int((int64_t)(value->kind == VALUE_TEXT ? value->len : value->n));
    return 0;
}

/* A position in [0, max]. */
static int take_position(const struct value *index, size_t max, size_t *ret, struct err *err)
{
    if (is_nothing(index))
        return err_set(err, ERR_INVALID, "cannot index slice/array with nil");
    if (!value_is_whole(index))
        return err_set(err, ERR_INVALID, "cannot index slice/array with type %s", value_type(index));
    if (index->whole < 0 || (uint64_t)index->whole > max)
        return err_set(err, ERR_INVALID, "index out of range: %lld", (long long)index->whole);
    *ret = (size_t)index->whole;
    return 0;
}

static int index_one(const struct value *item, const struct value *index, struct value *ret, struct err *err)
{
    size_t at = 0, len = item->kind == VALUE_TEXT ? item->len : item->n;
    switch (item->kind) {
    case VALUE_TEXT:
    case VALUE_LIST:
        if (take_position(index, len, &at, err) < 0)
            return err->code;
        if (at == len)
            return err_set(err, ERR_INVALID, "reflect: %s index out of range", item->kind == VALUE_TEXT ? "string" : "slice");
        *ret = item->kind == VALUE_LIST ? value_item(item, at)
                                        : (struct value){.kind = VALUE_BYTE, .whole = (unsigned char)item->text[at]};
        return 0;
    case VALUE_MAP:
        if (is_nothing(index))
            return err_set(err, ERR_INVALID, "value is nil; should be of type string");
        if (index->kind != VALUE_TEXT)
            return err_set(err, ERR_INVALID, "value has type %s; should be string", value_type(index));
        *ret = value_member(item, index->text, index->len);
        if (ret->kind == VALUE_NONE)
            *ret = (struct value){.kind = VALUE_NIL, .boxed = true};
        return 0;
    case VALUE_NIL:
        return err_set(err, ERR_INVALID, "index of nil pointer");
    case VALUE_NONE:
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_INT64:
    case VALUE_BYTE:
    case VALUE_REAL:
        break;
    }
    return err_set(err, ERR_INVALID, "can't index item of type %s", value_type(item));
}

static int call_index(const struct value *args, size_t n, struct value *ret, struct err *err)
{
    CLEANUP(value_done) struct value item = value_copy(&args[0]);
    if (is_nothing(&item))
        return err_set(err, ERR_INVALID, "index of untyped nil");
    for (size_t i = 1; i < n; i++) {
        struct value next;
        if (index_one(&item, &args[i], &next, err) < 0)
            return err->code;
        value_done(&item);
        item = next;
    }
    *ret = item;
    item = (struct value){0};
    return 0;
}

static int call_slice(const struct value *args, size_t n, struct value *ret, struct err *err)
{
    const struct value *item = &args[0];
    bool is_text = item->kind == VALUE_TEXT;
    size_t len = is_text ? item->len : item->n, at[3] = {0, len, len};
    if (is_nothing(item))
        return err_set(err, ERR_INVALID, "slice of untyped nil");
    if (n - 1 > 3)
        return err_set(err, ERR_INVALID, "too many slice indexes: %zu", n - 1);
    if (is_text && n - 1 == 3)
        return err_set(err, ERR_INVALID, "cannot 3-index slice a string");
    if (!is_text && item->kind != VALUE_LIST)
        return err_set(err, ERR_INVALID, "can't slice item of type %s", value_type(item));
    for (size_t i = 1; i < n; i++) {
        if (take_position(&args[i], len, &at[i - 1], err) < 0)
            return err->code;
    }
    for (size_t i = 0; i < 2; i++) {
        if (at[i] > at[i + 1])
            return err_set(err, ERR_INVALID, "invalid slice index: %zu > %zu", at[i], at[i + 1]);
    }
    if (is_text) {
        CLEANUP(buf_done) struct buf text = {0};
        buf_add(&text, item->text + at[0], at[1] - at[0]);
        *ret = value_take_text(&text);
        return 0;
    }
    *ret = *item; /* a list owns nothing */
    ret->boxed = false;
    ret->from += at[0];
    ret->n = at[1] - at[0];
    return 0;
}

/* kubectl's: whether index would find something. Without an index, nothing is something, too. */
static bool call_exists(const struct value *args, size_t n)
{
    if (n == 1)
        return true;
    struct err err = {0};
    CLEANUP(value_done) struct value found = {0};
    bool exists = call_index(args, n, &found, &err) == 0 && !is_nothing(&found);
    err_clear(&err);
    return exists;
}

/* --- comparison */

enum comparable { COMPARE_NOTHING, COMPARE_BOOL, COMPARE_WHOLE, COMPARE_REAL, COMPARE_TEXT, COMPARE_BYTE };

static enum comparable comparable(const struct value *value)
{
    static const enum comparable kinds[] = {
        [VALUE_BOOL] = COMPARE_BOOL,  [VALUE_INT] = COMPARE_WHOLE, [VALUE_INT64] = COMPARE_WHOLE,
        [VALUE_BYTE] = COMPARE_BYTE,  [VALUE_REAL] = COMPARE_REAL, [VALUE_TEXT] = COMPARE_TEXT,
        [VALUE_LIST] = COMPARE_NOTHING, [VALUE_MAP] = COMPARE_NOTHING,
    };
    return value->kind < countof(kinds) ? kinds[value->kind] : COMPARE_NOTHING;
}

static bool both_whole(const struct value *a, const struct value *b)
{
    return value_is_whole(a) && value_is_whole(b);
}

static int order(const struct value *a, const struct value *b)
{
    if (a->kind == VALUE_BOOL)
        return a->truth - b->truth;
    if (a->kind == VALUE_REAL)
        return a->real < b->real ? -1 : a->real > b->real;
    if (a->kind != VALUE_TEXT)
        return a->whole < b->whole ? -1 : a->whole > b->whole;
    int result = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
    return result != 0 ? result : a->len < b->len ? -1 : a->len > b->len;
}

static int not_comparable(const struct value *a, const struct value *b, struct err *err)
{
    CLEANUP(buf_done) struct buf first = {0}, second = {0};
    value_format("%s", 2, a, 1, &first);
    value_format("%v", 2, b, 1, &second);
    if (a->kind != b->kind)
        return err_set(err, ERR_INVALID, "non-comparable types %s: %s, %s: %s", buf_text(&first), value_type(a), value_type(b),
                       buf_text(&second));
    buf_clear(&second);
    value_format("%s", 2, b, 1, &second);
    return err_set(err, ERR_INVALID, "non-comparable type %s: %s", buf_text(&second), value_type(b));
}

/* *ret: equal or not. Nothing equals nothing, and nothing else. */
static int equal(const struct value *a, const struct value *b, bool *ret, struct err *err)
{
    bool nothing = is_nothing(a) || is_nothing(b);
    *ret = is_nothing(a) && is_nothing(b);
    if (nothing)
        return 0;
    if (comparable(a) != comparable(b) && !both_whole(a, b))
        return err_set(err, ERR_INVALID, "incompatible types for comparison: %s and %s", value_type(a), value_type(b));
    if (comparable(a) == COMPARE_NOTHING)
        return not_comparable(a, b, err);
    *ret = order(a, b) == 0;
    return 0;
}

static int less(const struct value *a, const struct value *b, bool *ret, struct err *err)
{
    static const char bad[] = "invalid type for comparison";
    if (comparable(a) == COMPARE_NOTHING || comparable(b) == COMPARE_NOTHING)
        return err_set(err, ERR_INVALID, bad);
    if (comparable(a) != comparable(b) && !both_whole(a, b))
        return err_set(err, ERR_INVALID, "incompatible types for comparison: %s and %s", value_type(a), value_type(b));
    if (comparable(a) == COMPARE_BOOL)
        return err_set(err, ERR_INVALID, bad);
    *ret = order(a, b) < 0;
    return 0;
}

static int call_equal(const char *name, const struct value *args, size_t n, struct value *ret, struct err *err)
{
    if (n < 2)
        return err_set(err, ERR_INVALID, "missing argument for comparison");
    bool same = false;
    for (size_t i = 1; i < n && !same; i++) { /* eq a b c: a is any of the others */
        if (equal(&args[0], &args[i], &same, err) < 0)
            return err->code;
    }
    *ret = value_of_bool(same == streq(name, "eq"));
    return 0;
}

static int call_order(const char *name, const struct value *args, struct value *ret, struct err *err)
{
    bool smaller = false, same = false;
    if (less(&args[0], &args[1], &smaller, err) < 0)
        return err->code;
    if (equal(&args[0], &args[1], &same, err) < 0)
        return err->code;
    *ret = value_of_bool(streq(name, "lt")   ? smaller
                         : streq(name, "le") ? smaller || same
                         : streq(name, "gt") ? !smaller && !same
                                             : !smaller);
    return 0;
}

/* --- text */

/* Sprint puts a blank between operands that are both no strings, Sprintln between all. */
static void print_all(const struct value *args, size_t n, bool line, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        bool strings = i > 0 && (args[i].kind == VALUE_TEXT || args[i - 1].kind == VALUE_TEXT);
        if (i > 0 && (line || !strings))
            buf_add_char(out, ' ');
        value_print(&args[i], out);
    }
    buf_add_str(out, line ? "\n" : "");
}

static void escape_html(struct str text, struct buf *out)
{
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'<', "&lt;"}, {'>', "&gt;"}, {'&', "&amp;"}, {'"', "&#34;"}, {'\'', "&#39;"}, {'\0', "\xef\xbf\xbd"}};
    for (size_t i = 0; i < text.len; i++) {
        const char *entity = NULL;
        for (size_t k = 0; k < countof(entities) && entity == NULL; k++)
            entity = entities[k].c == text.p[i] ? entities[k].entity : NULL;
        if (entity != NULL)
            buf_add_str(out, entity);
        else
            buf_add_char(out, text.p[i]);
    }
}

static void escape_js(struct str text, struct buf *out)
{
    size_t size = 1;
    for (size_t i = 0; i < text.len; i += size) {
        uint32_t c = gotext_rune(text.p + i, text.len - i, &size);
        if (c < 0x80 && c != 0 && strchr("\\'\"", (char)c) != NULL)
            buf_printf(out, "\\%c", (char)c);
        else if (c < ' ' || (c < 0x80 && strchr("<>&=", (char)c) != NULL))
            buf_printf(out, "\\u%04X", c);
        else if (c < 0x80 || (gotext_is_printable(c) && size > 1))
            buf_add(out, text.p + i, size);
        else if (c == 0xfffd)
            gotext_add_rune(c, out);
        else
            buf_printf(out, "\\u%04X", c);
    }
}

/* As in a form: a blank is "+". */
static void escape_query(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (isalnum((unsigned char)c) || (c != '\0' && strchr("-_.~", c) != NULL))
            buf_add_char(out, c);
        else if (c == ' ')
            buf_add_char(out, '+');
        else
            buf_printf(out, "%%%02X", (unsigned char)c);
    }
}

static struct value call_escape(const char *name, const struct value *args, size_t n)
{
    struct buf plain = {0}, out = {0};
    struct value *shown = xcalloc(n + 1, sizeof(*shown));
    for (size_t i = 0; i < n; i++)
        shown[i] = is_nothing(&args[i]) ? value_of_text("<no value>") : args[i]; /* borrowed */
    print_all(shown, n, false, &plain);
    free(shown);
    struct str text = {buf_text(&plain), plain.len};
    if (streq(name, "html"))
        escape_html(text, &out);
    else if (streq(name, "js"))
        escape_js(text, &out);
    else
        escape_query(text, &out);
    buf_done(&plain);
    return value_take_text(&out);
}

/* The error names the first byte that is none of base64, as Go's does. */
static int call_base64decode(const struct value *arg, struct value *ret, struct err *err)
{
    struct buf decoded = {0};
    CLEANUP(err_clear) struct err why = {0};
    if (base64_decode(arg->text, arg->len, &decoded, &why) == 0) {
        *ret = value_take_text(&decoded);
        return 0;
    }
    buf_done(&decoded);
    size_t at = 0, n = 0;
    for (; at < arg->len; at++) {
        char c = arg->text[at];
        if (c == '\n' || c == '\r')
            continue;
        if (!isalnum((unsigned char)c) && c != '+' && c != '/')
            break;
        n++;
    }
    /* without a bad byte, the last group of four is not full: Go tells where it begins */
    return err_set(err, ERR_PARSE, "base64 decode failed: illegal base64 data at input byte %zu", at < arg->len ? at : n - n % 4);
}

int function_call(const struct function *function, const char *callee, const struct value *args, size_t n,
                  struct value *ret, struct err *err)
{
    const char *name = function->name;
    struct buf text = {0};
    if (streq(name, "len"))
        return call_len(&args[0], ret, err);
    if (streq(name, "index"))
        return call_index(args, n, ret, err);
    if (streq(name, "slice"))
        return call_slice(args, n, ret, err);
    if (streq(name, "eq") || streq(name, "ne"))
        return call_equal(name, args, n, ret, err);
    if (streq(name, "lt") || streq(name, "le") || streq(name, "gt") || streq(name, "ge"))
        return call_order(name, args, ret, err);
    if (streq(name, "base64decode"))
        return call_base64decode(&args[0], ret, err);
    if (streq(name, "call")) /* no object holds a function */
        return is_nothing(&args[0]) ? err_set(err, ERR_INVALID, "call of nil")
                                    : err_set(err, ERR_INVALID, "non-function %s of type %s", callee, value_type(&args[0]));
    if (streq(name, "not"))
        *ret = value_of_bool(!value_is_true(&args[0]));
    else if (streq(name, "exists"))
        *ret = value_of_bool(call_exists(args, n));
    else if (streq(name, "html") || streq(name, "js") || streq(name, "urlquery"))
        *ret = call_escape(name, args, n);
    else if (streq(name, "printf"))
        value_format(args[0].text, args[0].len, args + 1, n - 1, &text), *ret = value_take_text(&text);
    else
        print_all(args, n, streq(name, "println"), &text), *ret = value_take_text(&text);
    return 0;
}
