/*
 * jsonpath.c: evaluates a parsed JSONPath template on a tree. Values stay borrowed from the tree; literals belong to
 * the template.
 */
#include "print/jsonpath.h"

#include "base/mem.h"
#include "base/str.h"
#include "print/jsonpath_internal.h"
#include "text/gotext.h"

struct values {
    const struct json **list;
    size_t n, cap;
};

static void values_done(struct values *values)
{
    free(values->list);
    *values = (struct values){0};
}
DEFINE_CLEANUP_IN_PLACE(struct values, values_done)

static void add_value(struct values *values, const struct json *value)
{
    GROW(values->list, values->n, values->cap);
    values->list[values->n++] = value;
}

struct walk {
    bool allow_missing;
    struct err *err;
};

static int walk_steps(struct walk *walk, const struct path_steps *steps, const struct values *in, struct values *out);

static int walk_field(struct walk *walk, const struct path_step *step, const struct values *in, struct values *out)
{
    if (in->n == 0)
        return 0;
    for (size_t i = 0; i < in->n; i++) {
        const struct json *value = json_member(in->list[i], step->name);
        if (value != NULL)
            add_value(out, value);
    }
    if (out->n == 0 && !walk->allow_missing)
        return err_set(walk->err, ERR_NOT_FOUND, "%s is not found", step->name);
    return 0;
}

static const char *go_type(const struct json *value)
{
    switch (json_type(value)) {
    case JSON_BOOL:
        return "bool";
    case JSON_INT:
        return "int64";
    case JSON_REAL:
        return "float64";
    case JSON_STRING:
        return "string";
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return "map[string]interface {}";
}

static int walk_slice(struct walk *walk, const struct path_step *step, const struct values *in, struct values *out)
{
    for (size_t i = 0; i < in->n; i++) {
        const struct json *array = in->list[i];
        if (json_type(array) == JSON_NULL)
            continue;
        if (!json_is_array(array))
            return err_set(walk->err, ERR_INVALID, "%s is not array or slice", go_type(array));
        int64_t len = (int64_t)json_len(array);
        int64_t from = step->has_from ? step->from : 0;
        from += from < 0 ? len : 0;
        int64_t to = step->single ? from + 1 : step->has_to ? step->to : len;
        to += to < 0 ? len : 0;
        if (from == to)
            continue;
        if (from >= len || from < 0)
            return err_set(walk->err, ERR_INVALID, "array index out of bounds: index %lld, length %lld",
                           (long long)from, (long long)len);
        if (to > len || to < 0)
            return err_set(walk->err, ERR_INVALID, "array index out of bounds: index %lld, length %lld",
                           (long long)to - 1, (long long)len);
        if (from > to)
            return err_set(walk->err, ERR_INVALID, "starting index %lld is greater than ending index %lld",
                           (long long)from, (long long)to);
        if (step->has_step && step->step <= 0)
            return err_set(walk->err, ERR_INVALID, "step must be > 0");
        for (int64_t j = from; j < to; j += step->has_step ? step->step : 1)
            add_value(out, json_at(array, (size_t)j));
    }
    return 0;
}

static void add_children(const struct json *value, struct values *out)
{
    const struct json *child;
    if (json_is_array(value)) {
        json_each(child, value)
            add_value(out, child);
        return;
    }
    CLEANUP(strv_done) struct strv keys = {0};
    gotext_keys(value, &keys);
    for (size_t i = 0; i < keys.n; i++)
        add_value(out, json_member(value, keys.items[i]));
}

static void add_descendants(const struct json *value, struct values *out)
{
    CLEANUP(values_done) struct values children = {0};
    add_children(value, &children);
    if (children.n == 0)
        return;
    add_value(out, value);
    for (size_t i = 0; i < children.n; i++)
        add_descendants(children.list[i], out);
}

/* As Go's templates compare: whole numbers and others are different types. */
static bool is_comparable(const struct json *value)
{
    enum json_type type = json_type(value);
    return type == JSON_BOOL || type == JSON_INT || type == JSON_REAL || type == JSON_STRING;
}

/* Whether it holds: 1, 0, or negative where it cannot be asked. */
static int passes(const char *relation, const struct json *left, const struct json *right, struct err *err)
{
    bool for_order = !streq(relation, "==") && !streq(relation, "!=");
    enum json_type type = json_type(left);
    int order = 0;
    if (!is_comparable(left) || !is_comparable(right))
        return err_set(err, ERR_INVALID, "invalid type for comparison");
    if (type != json_type(right))
        return err_set(err, ERR_INVALID, "incompatible types for comparison");
    if (type == JSON_BOOL && for_order)
        return err_set(err, ERR_INVALID, "invalid type for comparison");
    if (type == JSON_STRING)
        order = strcmp(json_string_value(left), json_string_value(right));
    else if (type == JSON_BOOL)
        order = !json_same(left, right);
    else if (type == JSON_INT)
        order = (json_int_value(left) > json_int_value(right)) - (json_int_value(left) < json_int_value(right));
    else
        order = (json_real_value(left) > json_real_value(right)) - (json_real_value(left) < json_real_value(right));
    if (!for_order)
        return streq(relation, "==") ? order == 0 : order != 0;
    if (relation[0] == '<')
        return order < 0 || (order == 0 && relation[1] == '=');
    return order > 0 || (order == 0 && relation[1] == '=');
}

static int walk_filter(struct walk *walk, const struct path_step *step, const struct values *in, struct values *out)
{
    static const char *const relations[] = {"exists", "==", "!=", "<", ">", "<=", ">="};
    bool known = false;
    for (size_t i = 0; i < countof(relations); i++)
        known = known || streq(relations[i], step->name);
    if (!known)
        return err_set(walk->err, ERR_PARSE, "unrecognized filter operator %s", step->name);
    for (size_t i = 0; i < in->n; i++) {
        const struct json *array = in->list[i], *item;
        if (!json_is_array(array)) {
            CLEANUP(buf_done) struct buf text = {0};
            gotext_print(array, &text);
            return err_set(walk->err, ERR_INVALID, "%s is not array or slice and cannot be filtered", buf_text(&text));
        }
        json_each(item, array) {
            CLEANUP(values_done) struct values one = {0}, left = {0}, right = {0};
            add_value(&one, item);
            CLEANUP(err_clear) struct err missing = {0};
            struct walk inner = {.allow_missing = walk->allow_missing, .err = &missing};
            int code = walk_steps(&inner, &step->left, &one, &left);
            if (streq(step->name, "exists")) {
                if (left.n > 0)
                    add_value(out, item);
                continue;
            }
            if (code < 0 || (left.n > 0 && walk_steps(&inner, &step->right, &one, &right) < 0)) {
                err_move(walk->err, &missing);
                return walk->err->code;
            }
            if (left.n == 0 || right.n == 0)
                continue;
            if (left.n > 1 || right.n > 1)
                return err_set(walk->err, ERR_INVALID, "can only compare one element at a time");
            code = passes(step->name, left.list[0], right.list[0], walk->err);
            if (code < 0)
                return code;
            if (code == 1)
                add_value(out, item);
        }
    }
    return 0;
}

static int walk_step(struct walk *walk, const struct path_step *step, const struct values *in, struct values *out)
{
    switch (step->kind) {
    case PATH_FIELD:
        return walk_field(walk, step, in, out);
    case PATH_SLICE:
        return walk_slice(walk, step, in, out);
    case PATH_WILDCARD:
        for (size_t i = 0; i < in->n; i++)
            add_children(in->list[i], out);
        return 0;
    case PATH_RECURSIVE:
        for (size_t i = 0; i < in->n; i++)
            add_descendants(in->list[i], out);
        return 0;
    case PATH_FILTER:
        return walk_filter(walk, step, in, out);
    case PATH_UNION:
        for (size_t i = 0; i < step->n_members; i++) {
            CLEANUP(values_done) struct values found = {0};
            if (walk_steps(walk, &step->members[i], in, &found) < 0)
                return walk->err->code;
            for (size_t j = 0; j < found.n; j++)
                add_value(out, found.list[j]);
        }
        return 0;
    case PATH_LITERAL:
        add_value(out, step->literal);
        return 0;
    case PATH_IDENTIFIER:
        return err_set(walk->err, ERR_PARSE, "unrecognized identifier %s", step->name);
    }
    return 0;
}

static int walk_steps(struct walk *walk, const struct path_steps *steps, const struct values *in, struct values *out)
{
    CLEANUP(values_done) struct values current = {0};
    for (size_t i = 0; i < in->n; i++)
        add_value(&current, in->list[i]);
    for (size_t i = 0; i < steps->n; i++) {
        struct values next = {0};
        if (walk_step(walk, &steps->list[i], &current, &next) < 0) {
            values_done(&next);
            return walk->err->code;
        }
        values_done(&current);
        current = next;
    }
    *out = current;
    current = (struct values){0};
    return 0;
}

/* --- templates */

struct printing {
    struct walk walk;
    bool as_json;
    struct buf *out;
};

static void print_values(const struct printing *printing, const struct values *values)
{
    if (printing->as_json) {
        CLEANUP(json_free) struct json *array = json_new_array();
        for (size_t i = 0; i < values->n; i++)
            json_push(array, json_keep(values->list[i]));
        json_print_pretty(array, printing->out);
        buf_add_char(printing->out, '\n');
        return;
    }
    for (size_t i = 0; i < values->n; i++) {
        const struct json *value = values->list[i];
        if (i > 0)
            buf_add_char(printing->out, ' ');
        if (json_is_array(value) || json_is_object(value))
            gotext_json(value, printing->out);
        else if (json_type(value) == JSON_NULL)
            buf_add_str(printing->out, "null");
        else
            gotext_print(value, printing->out);
    }
}

/* The part after the {end} that closes the range at `begin`. */
static size_t after_end(const struct jsonpath *path, size_t begin)
{
    size_t depth = 0;
    for (size_t i = begin; i < path->n; i++) {
        depth += path->parts[i].kind == PART_RANGE;
        depth -= path->parts[i].kind == PART_END && depth > 0;
        if (depth == 0)
            return i + 1;
    }
    return path->n;
}

/* Prints parts [from, to) for one value of "@". */
static int print_parts(struct printing *printing, const struct jsonpath *path, size_t from, size_t to,
                       const struct json *value)
{
    struct values in = {.list = &value, .n = 1};
    for (size_t i = from; i < to;) {
        const struct part *part = &path->parts[i];
        CLEANUP(values_done) struct values found = {0};
        if (part->kind == PART_END)
            return err_set(printing->walk.err, ERR_PARSE, "not in range, nothing to end");
        if (walk_steps(&printing->walk, &part->steps, &in, &found) < 0)
            return printing->walk.err->code;
        if (part->kind == PART_STEPS) {
            print_values(printing, &found);
            i++;
            continue;
        }
        size_t next = after_end(path, i);
        size_t body_end = next > i + 1 && path->parts[next - 1].kind == PART_END ? next - 1 : next;
        for (size_t j = 0; j < found.n; j++) {
            if (print_parts(printing, path, i + 1, body_end, found.list[j]) < 0)
                return printing->walk.err->code;
        }
        i = next;
    }
    return 0;
}

int jsonpath_find(const struct jsonpath *path, const struct json *object, bool allow_missing, struct json **ret_array,
                  struct err *err)
{
    struct values in = {.list = &object, .n = 1};
    CLEANUP(values_done) struct values found = {0};
    struct walk walk = {.allow_missing = allow_missing, .err = err};
    for (size_t i = 0; i < path->n; i++) {
        if (walk_steps(&walk, &path->parts[i].steps, &in, &found) < 0)
            return err->code;
        break;
    }
    *ret_array = json_new_array();
    for (size_t i = 0; i < found.n; i++)
        json_push(*ret_array, json_keep(found.list[i]));
    return 0;
}

int jsonpath_print(const char *text, const struct json *object, bool allow_missing, bool as_json, struct buf *out,
                   struct err *err)
{
    CLEANUP(jsonpath_free) struct jsonpath *path = NULL;
    CLEANUP(err_clear) struct err why_not = {0};
    if (jsonpath_parse(text, &path, &why_not) < 0)
        return err_set(err, why_not.code, "error parsing jsonpath %s, %s", text, err_text(&why_not));
    struct printing printing = {.walk = {.allow_missing = allow_missing, .err = err}, .as_json = as_json, .out = out};
    if (print_parts(&printing, path, 0, path->n, object) == 0)
        return 0;
    CLEANUP(buf_done) struct buf quoted = {0}, dump = {0};
    CLEANUP(xfree) char *why = xstrdup(err_text(err));
    enum err_code code = err->code;
    gotext_quote(text, &quoted);
    gotext_syntax(object, &dump);
    err_clear(err);
    return err_set(
        err, code,
        "error executing jsonpath %s: Error executing template: %s. Printing more information for debugging the "
        "template:\n\ttemplate was:\n\t\t%s\n\tobject given to jsonpath engine was:\n\t\t%s\n\n\n",
        buf_text(&quoted), why, text, buf_text(&dump));
}
