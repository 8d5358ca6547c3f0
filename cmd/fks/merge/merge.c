/*
 * merge.c: three-way merge patches, by the rules of k8s.io/apimachinery's strategicpatch:
 * https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
 */
#include "merge/merge_internal.h"

#include "base/mem.h"
#include "base/str.h"

#include "text/gotext.h"

/* --- differences */

struct diff {
    enum merge_style style;
    const char *kind; /* of the whole object */
    bool deletions;   /* only what was removed; else only what was changed or added */
    struct err *err;
};

static int diff_objects(const struct diff *diff, const struct json *from, const struct json *to, const char *parent,
                        bool retain_keys, struct json **ret);

/* The element of a list whose merge key has this value. */
const struct json *merge_find_element(const struct json *list, const char *key, const struct json *value)
{
    const struct json *element;
    json_each(element, list) {
        const struct json *own = key != NULL ? json_member(element, key) : element;
        if (own != NULL && json_same(own, value))
            return element;
    }
    return NULL;
}

static int check_keys(const struct diff *diff, const struct json *list, const struct merge_rule *rule)
{
    const struct json *element;
    json_each(element, list) {
        if (json_member(element, rule->key) != NULL)
            continue;
        CLEANUP(buf_done) struct buf text = {0};
        gotext_print(element, &text);
        return err_set(diff->err, ERR_INVALID, "map: %s does not contain declared merge key: %s", buf_text(&text),
                       rule->key);
    }
    return 0;
}

/* The order directive: every element of the new list by its key alone. */
static struct json *key_order(const struct json *list, const char *key)
{
    struct json *order = json_new_array();
    const struct json *element;
    json_each(element, list) {
        if (key == NULL) {
            json_push(order, json_keep(element));
            continue;
        }
        struct json *named = json_new_object();
        json_set(named, key, json_keep(json_member(element, key)));
        json_push(order, named);
    }
    return order;
}

static bool same_order(const struct json *from, const struct json *to, const char *key)
{
    if (json_len(from) != json_len(to))
        return false;
    for (size_t i = 0; i < json_len(from); i++) {
        if (!json_same(json_member(json_at(from, i), key), json_member(json_at(to, i), key)))
            return false;
    }
    return true;
}

static void set_prefixed(struct json *patch, const char *prefix, const char *field, struct json *value)
{
    CLEANUP(xfree) char *name = xasprintf("%s%s", prefix, field);
    json_set(patch, name, value);
}

/*
 * The element of the other list that the one at index means. A key may be there more than once (a port for TCP and
 * for UDP); then the first means the first, and so on.
 */
static const struct json *counterpart(const struct json *list, size_t index, const struct json *other, const char *key)
{
    const struct json *value = json_member(json_at(list, index), key), *element;
    size_t rank = 0;
    for (size_t i = 0; i < index; i++)
        rank += json_same(json_member(json_at(list, i), key), value);
    json_each(element, other) {
        if (json_same(json_member(element, key), value) && rank-- == 0)
            return element;
    }
    return NULL;
}

/* Lists of objects that merge by a key. */
static int diff_keyed_list(const struct diff *diff, const struct merge_rule *rule, const struct json *from,
                           const struct json *to, struct json *patch)
{
    if (check_keys(diff, from, rule) < 0 || check_keys(diff, to, rule) < 0)
        return diff->err->code;
    CLEANUP(json_free) struct json *changes = json_new_array();
    const struct json *element;
    json_each(element, to) {
        const struct json *key = json_member(element, rule->key);
        const struct json *old = counterpart(to, element_index, from, rule->key);
        if (old == NULL && !diff->deletions)
            json_push(changes, json_keep(element));
        if (old == NULL)
            continue;
        CLEANUP(json_free) struct json *change = NULL;
        if (diff_objects(diff, old, element, rule->field, rule->retain_keys, &change) < 0)
            return diff->err->code;
        if (json_len(change) == 0)
            continue;
        json_set(change, rule->key, json_keep(key));
        json_push(changes, take(&change));
    }
    json_each(element, from) {
        const struct json *key = json_member(element, rule->key);
        if (!diff->deletions || counterpart(from, element_index, to, rule->key) != NULL)
            continue;
        struct json *removal = json_build("{s:s}", MERGE_DIRECTIVE, "delete");
        json_set(removal, rule->key, json_keep(key));
        json_push(changes, removal);
    }
    bool ordered = json_len(changes) > 0 || (!diff->deletions && !same_order(from, to, rule->key));
    if (ordered)
        set_prefixed(patch, MERGE_SET_ORDER, rule->field, key_order(to, rule->key));
    if (json_len(changes) > 0)
        json_set(patch, rule->field, take(&changes));
    return 0;
}

/* Lists of plain values that merge as sets. */
static void diff_value_list(const struct diff *diff, const struct merge_rule *rule, const struct json *from,
                            const struct json *to, struct json *patch)
{
    CLEANUP(json_free) struct json *added = json_new_array(), *removed = json_new_array();
    const struct json *value;
    json_each(value, to) {
        if (!diff->deletions && merge_find_element(from, NULL, value) == NULL)
            json_push(added, json_keep(value));
    }
    json_each(value, from) {
        if (diff->deletions && merge_find_element(to, NULL, value) == NULL &&
            merge_find_element(removed, NULL, value) == NULL)
            json_push(removed, json_keep(value));
    }
    if (json_len(removed) > 0 || (!diff->deletions && !json_same(from, to)))
        set_prefixed(patch, MERGE_SET_ORDER, rule->field, key_order(to, NULL));
    if (json_len(added) > 0)
        json_set(patch, rule->field, take(&added));
    if (json_len(removed) > 0)
        set_prefixed(patch, MERGE_DELETE_PRIMITIVES, rule->field, take(&removed));
}

static int diff_lists(const struct diff *diff, const char *field, const char *parent, const struct json *from,
                      const struct json *to, struct json *patch)
{
    const struct merge_rule *rule = diff->style == MERGE_STRATEGIC ? merge_rule_find(diff->kind, field, parent) : NULL;
    /* a list of another shape than the table expects (conditions of some kinds) is replaced whole */
    const struct json *sample = json_len(from) > 0 ? json_at(from, 0) : json_at(to, 0);
    if (rule != NULL && sample != NULL && json_is_object(sample) != (rule->key != NULL))
        rule = NULL;
    if (rule == NULL) {
        if (!diff->deletions && !json_same(from, to))
            json_set(patch, field, json_keep(to));
        return 0;
    }
    if (json_len(from) == 0) {
        if (json_len(to) > 0 && !diff->deletions)
            json_set(patch, field, json_keep(to));
        return 0;
    }
    if (rule->key != NULL)
        return diff_keyed_list(diff, rule, from, to, patch);
    diff_value_list(diff, rule, from, to, patch);
    return 0;
}

/* One member that both objects have. */
static int diff_member(const struct diff *diff, const char *key, const struct json *from, const struct json *to,
                       const char *parent, struct json *patch)
{
    if (json_type(from) != json_type(to)) {
        /* a merge patch says null for what was there last time, not for what others have set since */
        bool unsets = diff->style == MERGE_JSON && json_type(to) == JSON_NULL;
        if (diff->deletions == unsets)
            json_set(patch, key, json_keep(to));
        return 0;
    }
    if (json_is_array(from))
        return diff_lists(diff, key, parent, from, to, patch);
    if (json_is_object(from)) {
        CLEANUP(json_free) struct json *inner = NULL;
        bool is_strategic = diff->style == MERGE_STRATEGIC;
        if (is_strategic && merge_rule_replaces(diff->kind, key, parent)) {
            if (!diff->deletions && !json_same(from, to))
                json_set(patch, key, json_keep(to));
            return 0;
        }
        bool retain_keys = is_strategic && merge_rule_retains(key, parent);
        if (diff_objects(diff, from, to, key, retain_keys, &inner) < 0)
            return diff->err->code;
        if (json_len(inner) > 0)
            json_set(patch, key, take(&inner));
        return 0;
    }
    if (!diff->deletions && !json_same(from, to))
        json_set(patch, key, json_keep(to));
    return 0;
}

static bool has_new_member(const struct json *from, const struct json *to)
{
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(from, &position, &key, &value)) {
        if (json_member(to, key) == NULL)
            return true;
    }
    return false;
}

static struct json *sorted_keys(const struct json *object)
{
    CLEANUP(strv_done) struct strv keys = {0};
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(object, &position, &key, &value))
        strv_add(&keys, key);
    strv_sort(&keys);
    struct json *list = json_new_array();
    for (size_t i = 0; i < keys.n; i++)
        json_push(list, json_new_string(keys.items[i]));
    return list;
}

static int diff_objects(const struct diff *diff, const struct json *from, const struct json *to, const char *parent,
                        bool retain_keys, struct json **ret)
{
    CLEANUP(json_free) struct json *patch = json_new_object();
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(to, &position, &key, &value)) {
        const struct json *old = json_member(from, key);
        if (old == NULL && !diff->deletions && (diff->style == MERGE_STRATEGIC || json_type(value) != JSON_NULL))
            json_set(patch, key, json_keep(value));
        if (old != NULL && diff_member(diff, key, old, value, parent, patch) < 0)
            return diff->err->code;
    }
    position = NULL;
    while (json_next(from, &position, &key, &value)) {
        if (diff->deletions && json_member(to, key) == NULL)
            json_set(patch, key, json_new_null());
    }
    if (retain_keys && json_len(to) > 0 && (json_len(patch) > 0 || has_new_member(from, to)))
        json_set(patch, MERGE_RETAIN_KEYS, sorted_keys(to));
    *ret = take(&patch);
    return 0;
}

/* --- deletions and changes together */

static void join_patches(const struct diff *diff, struct json *into, const struct json *from, const char *parent);

static void join_lists(const struct diff *diff, struct json *into, const struct json *from,
                       const struct merge_rule *rule)
{
    const struct json *element;
    json_each(element, from) {
        const struct json *key = json_member(element, rule->key);
        bool found = false;
        for (size_t i = 0; i < json_len(into) && !found; i++) {
            struct json *own = json_edit_at(into, i);
            found = json_same(json_member(own, rule->key), key);
            if (found)
                join_patches(diff, own, element, rule->field);
        }
        if (!found)
            json_push(into, json_clone(element));
    }
}

static void join_patches(const struct diff *diff, struct json *into, const struct json *from, const char *parent)
{
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(from, &position, &key, &value)) {
        struct json *own = json_edit_member(into, key);
        const struct merge_rule *rule =
            diff->style == MERGE_STRATEGIC ? merge_rule_find(diff->kind, key, parent) : NULL;
        if (json_is_object(own) && json_is_object(value))
            join_patches(diff, own, value, key);
        else if (rule != NULL && rule->key != NULL && json_is_array(own) && json_is_array(value))
            join_lists(diff, own, value, rule);
        else
            json_set(into, key, json_clone(value));
    }
}

int merge_three_way(const struct json *original, const struct json *modified, const struct json *current,
                    enum merge_style style, struct json **ret_patch, struct err *err)
{
    CLEANUP(json_free) struct json *empty = json_new_object(), *changes = NULL, *removals = NULL;
    const char *kind = json_str(modified, "kind", NULL);
    const struct diff change_diff = {.style = style, .kind = kind, .err = err};
    const struct diff removal_diff = {.style = style, .kind = kind, .deletions = true, .err = err};
    if (diff_objects(&change_diff, current, modified, "", false, &changes) < 0 ||
        diff_objects(&removal_diff, original != NULL ? original : empty, modified, "", false, &removals) < 0)
        return err->code;
    CLEANUP(json_free) struct json *patch = json_clone(removals); /* clone: members are shared with the inputs */
    join_patches(&change_diff, patch, changes, "");
    *ret_patch = take(&patch);
    return 0;
}

int merge_two_way(const struct json *from, const struct json *to, enum merge_style style, struct json **ret_patch,
                  struct err *err)
{
    return merge_three_way(from, to, from, style, ret_patch, err);
}

/* --- conflicts */

static bool values_clash(const struct json *ours, const struct json *theirs, const char *kind, const char *field,
                         const char *parent);

static bool objects_clash(const struct json *ours, const struct json *theirs, const char *kind, const char *field)
{
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(ours, &position, &key, &value)) {
        const struct json *other = json_member(theirs, key);
        if (key[0] != '$' && other != NULL && values_clash(value, other, kind, key, field))
            return true;
    }
    return false;
}

static bool values_clash(const struct json *ours, const struct json *theirs, const char *kind, const char *field,
                         const char *parent)
{
    if (json_is_object(ours) && json_is_object(theirs))
        return objects_clash(ours, theirs, kind, field);
    const struct merge_rule *rule = merge_rule_find(kind, field, parent);
    if (!json_is_array(ours) || !json_is_array(theirs) || rule == NULL)
        return !json_same(ours, theirs);
    const struct json *element;
    json_each(element, ours) {
        const struct json *other =
            rule->key != NULL ? merge_find_element(theirs, rule->key, json_member(element, rule->key)) : NULL;
        if (other != NULL && objects_clash(element, other, kind, field))
            return true;
    }
    return false;
}

int merge_conflicts(const struct json *original, const struct json *current, const struct json *patch,
                    enum merge_style style, bool *ret, struct err *err)
{
    CLEANUP(json_free) struct json *empty = json_new_object(), *changed = NULL;
    const struct json *from = original != NULL ? original : empty;
    if (merge_two_way(from, current, style, &changed, err) < 0)
        return err->code;
    *ret = objects_clash(patch, changed, json_str(current, "kind", NULL), "");
    return 0;
}
