/*
 * labels.c: see labels.h. Operators are those of label selectors (In, NotIn, Exists, DoesNotExist) and of node
 * selectors (Gt and Lt as well).
 */
#include "fargate/labels.h"

#include "base/str.h"

static bool is_among(const struct json *values, const char *value)
{
    const struct json *item;

    json_each(item, values)
        if (value != NULL && streq(json_string_value(item), value))
            return true;
    return false;
}

/* value OPERATOR the one number in values: 1 greater, -1 less. */
static bool compares(const struct json *values, const char *value, int sign)
{
    CLEANUP(err_clear) struct err ignored = {0};
    int64_t ours, theirs;

    if (value == NULL || json_len(values) != 1 || json_string_value(json_at(values, 0)) == NULL ||
        parse_int(value, INT64_MIN, INT64_MAX, &ours, &ignored) < 0 ||
        parse_int(json_string_value(json_at(values, 0)), INT64_MIN, INT64_MAX, &theirs, &ignored) < 0)
        return false;
    return sign > 0 ? ours > theirs : ours < theirs;
}

bool labels_expression_matches(const struct json *expression, const char *value)
{
    const char *operator = json_str_or("", expression, "operator", NULL);
    const struct json *values = json_get(expression, "values", NULL);

    if (streq(operator, "In"))
        return is_among(values, value);
    if (streq(operator, "NotIn"))
        return !is_among(values, value);
    if (streq(operator, "Exists"))
        return value != NULL;
    if (streq(operator, "DoesNotExist"))
        return value == NULL;
    if (streq(operator, "Gt"))
        return compares(values, value, 1);
    if (streq(operator, "Lt"))
        return compares(values, value, -1);
    return false;
}

bool labels_selected(const struct json *selector, const struct json *labels)
{
    const struct json *wanted, *expression;
    void *position = NULL;
    const char *key;

    if (!json_is_object(selector))
        return false;
    while (json_next(json_get(selector, "matchLabels", NULL), &position, &key, &wanted)) {
        const char *value = json_string_value(json_member(labels, key));

        if (value == NULL || !streq(value, json_string_value(wanted)))
            return false;
    }
    json_each(expression, json_get(selector, "matchExpressions", NULL)) {
        const char *name = json_str_or("", expression, "key", NULL);

        if (!labels_expression_matches(expression, json_string_value(json_member(labels, name))))
            return false;
    }
    return true;
}
