/*
 * merge_apply.c: a strategic merge patch applied to an object as the API server would do it, with all directives:
 * $patch, $retainKeys, $setElementOrder, $deleteFromPrimitiveList. For --dry-run=client, --local and kustomizations.
 */
#include "merge/merge_internal.h"

#include "base/mem.h"
#include "base/str.h"

struct merging {
    const char *kind;    /* of the whole object */
    bool patch_is_first; /* elements that the patch names come first */
};

static void apply_object(const struct merging *merging, struct json *object, const struct json *patch,
                         const char *parent);

static void keys_of(const struct json *object, struct strv *out)
{
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(object, &position, &key, &value))
        strv_add(out, key);
}

/* A value of the patch that meets nothing: without directives and nulls. NULL when nothing is to be there. */
static struct json *plain_value(const struct json *value)
{
    if (json_type(value) == JSON_NULL ||
        (json_is_object(value) && streq(json_str(value, MERGE_DIRECTIVE, NULL), "delete")))
        return NULL;
    if (json_is_array(value)) {
        struct json *list = json_new_array();
        const struct json *element;
        json_each(element, value) {
            struct json *plain = json_type(element) == JSON_NULL ? json_new_null() : plain_value(element);
            if (plain != NULL)
                json_push(list, plain);
        }
        return list;
    }
    if (!json_is_object(value))
        return json_clone(value);
    struct json *object = json_new_object();
    void *position = NULL;
    const char *key;
    const struct json *member;
    while (json_next(value, &position, &key, &member)) {
        struct json *plain = key[0] == '$' ? NULL : plain_value(member);
        if (plain != NULL)
            json_set(object, key, plain);
    }
    return object;
}

static size_t index_of(const struct json *list, const char *key, const struct json *element)
{
    const struct json *wanted = key != NULL ? json_member(element, key) : element;
    for (size_t i = 0; i < json_len(list); i++) {
        const struct json *own = json_at(list, i);
        own = key != NULL ? json_member(own, key) : own;
        if (own != NULL && wanted != NULL && json_same(own, wanted))
            return i;
    }
    return SIZE_MAX;
}

/*
 * $setElementOrder: the elements it names come in its order; the others keep their place before a named one that
 * stood behind them in the list as it was.
 */
static struct json *reorder(const struct json *list, const struct json *order, const struct json *before,
                            const char *key)
{
    CLEANUP(json_free) struct json *named = json_new_array(), *others = json_new_array();
    const struct json *element;
    json_each(element, order) {
        size_t i = index_of(list, key, element);
        if (i != SIZE_MAX)
            json_push(named, json_keep(json_at(list, i)));
    }
    json_each(element, list) {
        if (index_of(order, key, element) == SIZE_MAX)
            json_push(others, json_keep(element));
    }
    struct json *result = json_new_array();
    size_t i = 0, j = 0;
    while (i < json_len(others) || j < json_len(named)) {
        const struct json *other = json_at(others, i), *next = json_at(named, j);
        size_t other_place = other != NULL ? index_of(before, key, other) : SIZE_MAX;
        size_t next_place = next != NULL ? index_of(before, key, next) : SIZE_MAX;
        bool other_first = next == NULL || (other != NULL && other_place != SIZE_MAX && next_place != SIZE_MAX &&
                                            other_place < next_place);
        if (other_first)
            i++;
        else
            j++;
        json_push(result, json_keep(other_first ? other : next));
    }
    return result;
}

static void apply_keyed_element(const struct merging *merging, struct json *list, const struct json *element,
                                const struct merge_rule *rule)
{
    const char *directive = json_str(element, MERGE_DIRECTIVE, NULL);
    size_t place = index_of(list, rule->key, element);
    if (streq(directive, "delete")) {
        for (; place != SIZE_MAX; place = index_of(list, rule->key, element))
            json_remove_at(list, place);
    } else if (place != SIZE_MAX) {
        apply_object(merging, json_edit_at(list, place), element, rule->field);
    } else if (!streq(directive, "replace")) {
        json_push(list, plain_value(element));
    }
}

static void apply_list(const struct merging *merging, struct json *object, const char *field, const struct json *patch,
                       const struct merge_rule *rule)
{
    struct json *list = json_edit_member(object, field);
    const struct json *element;
    bool replaces = false;
    json_each(element, patch)
        replaces = replaces || (rule->key != NULL && json_len(element) == 1 &&
                                streq(json_str(element, MERGE_DIRECTIVE, NULL), "replace"));
    if (replaces) {
        struct json *plain = json_new_array();
        json_each(element, patch) {
            if (json_member(element, MERGE_DIRECTIVE) == NULL)
                json_push(plain, plain_value(element));
        }
        json_set(object, field, plain);
        return;
    }
    CLEANUP(json_free) struct json *before = json_clone(list), *nothing = json_new_array();
    json_each(element, patch) {
        if (rule->key != NULL)
            apply_keyed_element(merging, list, element, rule);
        else if (index_of(list, NULL, element) == SIZE_MAX)
            json_push(list, json_clone(element));
    }
    /* what the patch names comes in its order; new elements come before the old ones, as the server has it */
    if (rule->key != NULL)
        json_set(object, field, reorder(list, patch, merging->patch_is_first ? nothing : before, rule->key));
}

/* "$deleteFromPrimitiveList/finalizers": takes the values out. */
static void remove_values(struct json *object, const char *field, const struct json *values)
{
    struct json *list = json_edit_member(object, field);
    for (size_t i = json_len(list); i-- > 0;) {
        if (merge_find_element(values, NULL, json_at(list, i)) != NULL)
            json_remove_at(list, i);
    }
}

/* "$retainKeys": drops the members that are not named. */
static void retain_only(struct json *object, const struct json *names)
{
    CLEANUP(strv_done) struct strv keys = {0};
    keys_of(object, &keys);
    for (size_t i = 0; i < keys.n; i++) {
        CLEANUP(json_free) struct json *key = json_new_string(keys.items[i]);
        if (merge_find_element(names, NULL, key) == NULL)
            json_del(object, keys.items[i]);
    }
}

static void empty_object(struct json *object)
{
    CLEANUP(strv_done) struct strv keys = {0};
    keys_of(object, &keys);
    for (size_t i = 0; i < keys.n; i++)
        json_del(object, keys.items[i]);
}

static void apply_member(const struct merging *merging, struct json *object, const char *key, const struct json *value,
                         const char *parent)
{
    struct json *own = json_edit_member(object, key);
    const struct merge_rule *rule = merge_rule_find(merging->kind, key, parent);
    bool fits = rule != NULL && json_is_array(own) && json_is_array(value) &&
                (json_len(own) == 0 || json_is_object(json_at(own, 0)) == (rule->key != NULL));
    if (json_is_object(own) && json_is_object(value) && !merge_rule_replaces(merging->kind, key, parent)) {
        apply_object(merging, own, value, key);
    } else if (fits) {
        apply_list(merging, object, key, value, rule);
    } else {
        struct json *plain = plain_value(value);
        if (plain != NULL)
            json_set(object, key, plain);
        else
            json_del(object, key);
    }
}

/* The list as it was before the patch's elements were applied, for the order. */
static void apply_order(const struct merging *merging, struct json *object, const struct json *before,
                        const char *field, const struct json *order, const char *parent)
{
    const struct merge_rule *rule = merge_rule_find(merging->kind, field, parent);
    const struct json *list = json_member(object, field);
    if (rule != NULL && json_is_array(list))
        json_set(object, field, reorder(list, order, json_member(before, field), rule->key));
}

static void apply_object(const struct merging *merging, struct json *object, const struct json *patch,
                         const char *parent)
{
    const char *directive = json_str(patch, MERGE_DIRECTIVE, NULL);
    CLEANUP(json_free) struct json *before = json_clone(object);
    if (streq(directive, "replace") || streq(directive, "delete"))
        empty_object(object);
    if (streq(directive, "delete"))
        return;
    if (json_member(patch, MERGE_RETAIN_KEYS) != NULL)
        retain_only(object, json_member(patch, MERGE_RETAIN_KEYS));
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(patch, &position, &key, &value)) {
        if (starts_with(key, MERGE_DELETE_PRIMITIVES))
            remove_values(object, key + strlen(MERGE_DELETE_PRIMITIVES), value);
        else if (key[0] != '$')
            apply_member(merging, object, key, value, parent);
    }
    position = NULL;
    while (json_next(patch, &position, &key, &value)) {
        if (starts_with(key, MERGE_SET_ORDER))
            apply_order(merging, object, before, key + strlen(MERGE_SET_ORDER), value, parent);
    }
}

static struct json *apply(const struct json *object, const struct json *patch, bool patch_is_first)
{
    struct json *result = json_is_object(object) ? json_clone(object) : json_new_object();
    const struct merging merging = {.kind = json_str(object, "kind", NULL), .patch_is_first = patch_is_first};
    if (json_is_object(patch))
        apply_object(&merging, result, patch, "");
    return result;
}

struct json *merge_apply(const struct json *object, const struct json *patch)
{
    return apply(object, patch, false);
}

struct json *merge_apply_first(const struct json *object, const struct json *patch)
{
    return apply(object, patch, true);
}
