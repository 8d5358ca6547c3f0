/*
 * selector.c: "a=b,c!=d,e in (x,y),f notin (z),g,!h" on a set of labels, as k8s.io/apimachinery/pkg/labels.
 */
#include "objects/selector.h"

#include "base/mem.h"
#include "base/str.h"

/* Takes the next requirement off the selector: up to a comma outside parentheses. */
static struct str next_requirement(struct str *rest)
{
    size_t depth = 0, i = 0;
    for (; i < rest->len; i++) {
        char c = rest->p[i];
        if (c == ',' && depth == 0)
            break;
        depth += c == '(';
        depth -= c == ')' && depth > 0;
    }
    struct str requirement = str_trim((struct str){rest->p, i});
    size_t used = i < rest->len ? i + 1 : i;
    *rest = (struct str){rest->p + used, rest->len - used};
    return requirement;
}

static const char *label_value(const struct json *labels, struct str key)
{
    CLEANUP(xfree) char *name = xstrndup(key.p, key.len);
    return json_string_value(json_member(labels, name));
}

static bool is_key(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (strchr(" =!(),<>", s.p[i]) != NULL)
            return false;
    }
    return s.len > 0;
}

/* "(x, y)" holds the value. */
static bool in_set(struct str set, const char *value)
{
    struct str rest = {set.p + 1, set.len - 2}, item;
    while (value != NULL && rest.len > 0) {
        (void)str_cut(rest, ',', &item, &rest);
        if (str_is(str_trim(item), value))
            return true;
    }
    return false;
}

/* 1, 0, or -1 for what is no requirement. */
static int matches_one(struct str r, const struct json *labels)
{
    if (r.len > 1 && r.p[0] == '!' && is_key(str_trim((struct str){r.p + 1, r.len - 1})))
        return label_value(labels, str_trim((struct str){r.p + 1, r.len - 1})) == NULL;
    struct str left, right;
    if (r.len > 0 && r.p[r.len - 1] == ')' && str_cut(r, '(', &left, &right)) {
        struct str set = {right.p - 1, right.len + 1}, key, relation;
        (void)str_cut(str_trim(left), ' ', &key, &relation);
        relation = str_trim(relation);
        if (!is_key(key) || (!str_is(relation, "in") && !str_is(relation, "notin")))
            return -1;
        bool found = in_set(set, label_value(labels, key));
        return str_is(relation, "in") ? found : !found;
    }
    if (!str_cut(r, '=', &left, &right))
        return is_key(r) ? label_value(labels, r) != NULL : -1;
    bool differs = left.len > 0 && left.p[left.len - 1] == '!';
    struct str key = str_trim((struct str){left.p, left.len - differs});
    if (right.len > 0 && right.p[0] == '=')
        right = (struct str){right.p + 1, right.len - 1};
    right = str_trim(right);
    if (!is_key(key) || (right.len > 0 && !is_key(right)))
        return -1;
    const char *value = label_value(labels, key);
    bool same = value != NULL && str_is(right, value);
    return differs ? !same : same;
}

int selector_matches(const char *selector, const struct json *labels, struct err *err)
{
    struct str rest = str_trim(str_of(selector));
    while (rest.len > 0) {
        int matches = matches_one(next_requirement(&rest), labels);
        if (matches < 0)
            return err_set(err, ERR_USAGE, "the provided selector \"%s\" is not valid: unable to parse requirement",
                           selector);
        if (matches == 0)
            return 0;
    }
    return 1;
}

/* --- as an object */

static void add_expression(struct json *selector, struct str key, const char *relation, struct json *values)
{
    CLEANUP(xfree) char *name = xstrndup(key.p, key.len);
    if (json_member(selector, "matchExpressions") == NULL)
        json_set(selector, "matchExpressions", json_new_array());
    json_push(json_edit_member(selector, "matchExpressions"),
              json_build("{s:s, s:s, s:o*}", "key", name, "operator", relation, "values", values));
}

/* "x, y" as a sorted array. */
static struct json *set_values(struct str set)
{
    CLEANUP(strv_done) struct strv values = {0};
    struct json *array = json_new_array();
    while (set.len > 0) {
        struct str item;
        (void)str_cut(set, ',', &item, &set);
        item = str_trim(item);
        strv_take(&values, xstrndup(item.p, item.len));
    }
    strv_sort(&values);
    for (size_t i = 0; i < values.n; i++)
        json_push(array, json_new_string(values.items[i]));
    return array;
}

/* matches_one has found it well-formed. */
static void add_requirement(struct json *selector, struct str r)
{
    struct str left, right, key, relation;
    if (r.p[0] == '!') {
        add_expression(selector, str_trim((struct str){r.p + 1, r.len - 1}), "DoesNotExist", NULL);
    } else if (r.p[r.len - 1] == ')' && str_cut(r, '(', &left, &right)) {
        (void)str_cut(str_trim(left), ' ', &key, &relation);
        add_expression(selector, key, str_is(str_trim(relation), "in") ? "In" : "NotIn",
                       set_values((struct str){right.p, right.len - 1}));
    } else if (!str_cut(r, '=', &left, &right)) {
        add_expression(selector, r, "Exists", NULL);
    } else {
        key = str_trim(left);
        if (right.len > 0 && right.p[0] == '=')
            right = (struct str){right.p + 1, right.len - 1};
        right = str_trim(right);
        CLEANUP(xfree) char *name = xstrndup(key.p, key.len), *value = xstrndup(right.p, right.len);
        json_set_str(json_edit(selector, "matchLabels", NULL), name, value);
    }
}

int selector_parse(const char *selector, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *tree = json_new_object();
    struct str rest = str_trim(str_of(selector));
    while (rest.len > 0) {
        struct str requirement = next_requirement(&rest);
        if (matches_one(requirement, NULL) < 0)
            return err_set(err, ERR_USAGE, "couldn't parse the selector string \"%s\": unable to parse requirement",
                           selector);
        struct str left, right;
        if (str_cut(requirement, '=', &left, &right) && left.len > 0 && left.p[left.len - 1] == '!')
            return err_set(err, ERR_USAGE, "\"!=\" is not a valid label selector operator");
        add_requirement(tree, requirement);
    }
    *ret = take(&tree);
    return 0;
}
