/*
 * merge.c: three-way merge patches, by the rules of k8s.io/apimachinery's strategicpatch:
 * https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
 */
#include "merge.h"

#include "base/mem.h"
#include "base/str.h"

#define DIRECTIVE "$patch"
#define RETAIN_KEYS "$retainKeys"
#define SET_ORDER "$setElementOrder/"
#define DELETE_PRIMITIVES "$deleteFromPrimitiveList/"

/*
 * The lists that merge, from the patchStrategy tags of k8s.io/api. key NULL: a list of plain values. parent: the
 * field that holds the list's object, where the same name means different things elsewhere; "" is the object's top.
 */
struct merge_rule {
    const char *field, *key, *parent;
    bool retain_keys;
};
static const struct merge_rule rules[] = {
    {"addresses", "type", "status", false},
    {"allocatedResourcesStatus", "name", NULL, false},
    {"conditions", "type", NULL, false},
    {"containers", "name", "spec", false},
    {"drivers", "name", NULL, false},
    {"env", "name", NULL, false},
    {"ephemeralContainers", "name", NULL, false},
    {"finalizers", NULL, "metadata", false},
    {"hostAliases", "ip", NULL, false},
    {"hostIPs", "ip", NULL, false},
    {"imagePullSecrets", "name", "spec", false},
    {"initContainers", "name", NULL, false},
    {"matchConditions", "name", NULL, false},
    {"ownerReferences", "uid", NULL, false},
    {"podCIDRs", NULL, NULL, false},
    {"podIPs", "ip", NULL, false},
    {"ports", "containerPort", "containers", false},
    {"ports", "containerPort", "initContainers", false},
    {"ports", "containerPort", "ephemeralContainers", false},
    {"ports", "port", "spec", false},
    {"reservedFor", "uid", NULL, false},
    {"resourceClaimStatuses", "name", NULL, true},
    {"resourceClaims", "name", NULL, true},
    {"schedulingGates", "name", NULL, false},
    {"secrets", "name", "", false},
    {"topologySpreadConstraints", "topologyKey", NULL, false},
    {"variables", "name", "spec", false},
    {"volumeDevices", "devicePath", NULL, false},
    {"volumeMounts", "mountPath", NULL, false},
    {"volumes", "name", "spec", true},
    {"webhooks", "name", "", false},
};

static const struct merge_rule *find_rule(const char *field, const char *parent)
{
    for (size_t i = 0; i < countof(rules); i++) {
        if (streq(rules[i].field, field) && (rules[i].parent == NULL || streq(rules[i].parent, parent)))
            return &rules[i];
    }
    return NULL;
}

enum merge_style merge_style_of(const char *group)
{
    /* The groups of k8s.io/api; others that end the same way (metrics.k8s.io, CRDs under x-k8s.io) are not. */
    static const char *const built_in[] = {"",
                                           "apps",
                                           "batch",
                                           "autoscaling",
                                           "policy",
                                           "extensions",
                                           "admissionregistration.k8s.io",
                                           "authentication.k8s.io",
                                           "authorization.k8s.io",
                                           "certificates.k8s.io",
                                           "coordination.k8s.io",
                                           "discovery.k8s.io",
                                           "events.k8s.io",
                                           "flowcontrol.apiserver.k8s.io",
                                           "internal.apiserver.k8s.io",
                                           "networking.k8s.io",
                                           "node.k8s.io",
                                           "rbac.authorization.k8s.io",
                                           "resource.k8s.io",
                                           "scheduling.k8s.io",
                                           "storage.k8s.io",
                                           "storagemigration.k8s.io"};
    for (size_t i = 0; i < countof(built_in); i++) {
        if (streq(built_in[i], group))
            return MERGE_STRATEGIC;
    }
    return MERGE_JSON;
}

/* --- differences */

struct diff {
    enum merge_style style;
    bool deletions; /* only what was removed; else only what was changed or added */
    struct err *err;
};

static int diff_objects(const struct diff *diff, const struct json *from, const struct json *to, const char *parent,
                        bool retain_keys, struct json **ret);

/* The element of a list whose merge key has this value. */
static const struct json *find_element(const struct json *list, const char *key, const struct json *value)
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
        if (json_member(element, rule->key) == NULL)
            return err_set(diff->err, ERR_INVALID, "map: %s element does not contain declared merge key: %s",
                           rule->field, rule->key);
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

/* Lists of objects that merge by a key. */
static int diff_keyed_list(const struct diff *diff, const struct merge_rule *rule, const struct json *from,
                           const struct json *to, struct json *patch)
{
    if (check_keys(diff, from, rule) < 0 || check_keys(diff, to, rule) < 0)
        return diff->err->code;
    CLEANUP(json_free) struct json *changes = json_new_array();
    const struct json *element;
    json_each(element, to) {
        const struct json *key = json_member(element, rule->key), *old = find_element(from, rule->key, key);
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
        if (!diff->deletions || find_element(to, rule->key, key) != NULL)
            continue;
        struct json *removal = json_build("{s:s}", DIRECTIVE, "delete");
        json_set(removal, rule->key, json_keep(key));
        json_push(changes, removal);
    }
    bool ordered = json_len(changes) > 0 || (!diff->deletions && !same_order(from, to, rule->key));
    if (ordered)
        set_prefixed(patch, SET_ORDER, rule->field, key_order(to, rule->key));
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
        if (!diff->deletions && find_element(from, NULL, value) == NULL)
            json_push(added, json_keep(value));
    }
    json_each(value, from) {
        if (diff->deletions && find_element(to, NULL, value) == NULL && find_element(removed, NULL, value) == NULL)
            json_push(removed, json_keep(value));
    }
    if (json_len(removed) > 0 || (!diff->deletions && !json_same(from, to)))
        set_prefixed(patch, SET_ORDER, rule->field, key_order(to, NULL));
    if (json_len(added) > 0)
        json_set(patch, rule->field, take(&added));
    if (json_len(removed) > 0)
        set_prefixed(patch, DELETE_PRIMITIVES, rule->field, take(&removed));
}

static int diff_lists(const struct diff *diff, const char *field, const char *parent, const struct json *from,
                      const struct json *to, struct json *patch)
{
    const struct merge_rule *rule = diff->style == MERGE_STRATEGIC ? find_rule(field, parent) : NULL;
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
        if (!diff->deletions)
            json_set(patch, key, json_keep(to));
        return 0;
    }
    if (json_is_array(from))
        return diff_lists(diff, key, parent, from, to, patch);
    if (json_is_object(from)) {
        CLEANUP(json_free) struct json *inner = NULL;
        bool retain_keys = diff->style == MERGE_STRATEGIC && streq(key, "strategy") && streq(parent, "spec");
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
        json_set(patch, RETAIN_KEYS, sorted_keys(to));
    *ret = take(&patch);
    return 0;
}

/* --- deletions and changes together */

static void join_patches(struct json *into, const struct json *from, const char *parent, enum merge_style style);

static void join_lists(struct json *into, const struct json *from, const struct merge_rule *rule,
                       enum merge_style style)
{
    const struct json *element;
    json_each(element, from) {
        const struct json *key = json_member(element, rule->key);
        bool found = false;
        for (size_t i = 0; i < json_len(into) && !found; i++) {
            struct json *own = json_edit_at(into, i);
            found = json_same(json_member(own, rule->key), key);
            if (found)
                join_patches(own, element, rule->field, style);
        }
        if (!found)
            json_push(into, json_clone(element));
    }
}

static void join_patches(struct json *into, const struct json *from, const char *parent, enum merge_style style)
{
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(from, &position, &key, &value)) {
        struct json *own = json_edit_member(into, key);
        const struct merge_rule *rule = style == MERGE_STRATEGIC ? find_rule(key, parent) : NULL;
        if (json_is_object(own) && json_is_object(value))
            join_patches(own, value, key, style);
        else if (rule != NULL && rule->key != NULL && json_is_array(own) && json_is_array(value))
            join_lists(own, value, rule, style);
        else
            json_set(into, key, json_clone(value));
    }
}

int merge_three_way(const struct json *original, const struct json *modified, const struct json *current,
                    enum merge_style style, struct json **ret_patch, struct err *err)
{
    CLEANUP(json_free) struct json *empty = json_new_object(), *changes = NULL, *removals = NULL;
    const struct diff change_diff = {.style = style, .err = err};
    const struct diff removal_diff = {.style = style, .deletions = true, .err = err};
    if (diff_objects(&change_diff, current, modified, "", false, &changes) < 0 ||
        diff_objects(&removal_diff, original != NULL ? original : empty, modified, "", false, &removals) < 0)
        return err->code;
    CLEANUP(json_free) struct json *patch = json_clone(removals); /* clone: members are shared with the inputs */
    join_patches(patch, changes, "", style);
    *ret_patch = take(&patch);
    return 0;
}

/* --- applying */

static void apply_to(struct json *object, const struct json *patch, const char *parent);

static void apply_list(struct json *object, const char *field, const struct json *patch, const struct merge_rule *rule)
{
    struct json *list = json_edit_member(object, field);
    const struct json *element;
    json_each(element, patch) {
        const struct json *key = json_member(element, rule->key);
        bool removes = streq(json_str(element, DIRECTIVE, NULL), "delete"), found = false;
        for (size_t i = 0; i < json_len(list) && !found; i++) {
            struct json *own = json_edit_at(list, i);
            found = json_same(json_member(own, rule->key), key);
            if (found && removes)
                json_remove_at(list, i);
            else if (found)
                apply_to(own, element, field);
        }
        if (!found && !removes)
            json_push(list, json_clone(element));
    }
}

/* "$deleteFromPrimitiveList/finalizers": takes the values out. */
static void remove_values(struct json *object, const char *field, const struct json *values)
{
    struct json *list = json_edit_member(object, field);
    for (size_t i = json_len(list); i-- > 0;) {
        if (find_element(values, NULL, json_at(list, i)) != NULL)
            json_remove_at(list, i);
    }
}

/* "$retainKeys": drops the members that are not named. */
static void retain_only(struct json *object, const struct json *keys)
{
    CLEANUP(json_free) struct json *names = sorted_keys(object);
    const struct json *name;
    json_each(name, names) {
        if (find_element(keys, NULL, name) == NULL)
            json_del(object, json_string_value(name));
    }
}

static void apply_to(struct json *object, const struct json *patch, const char *parent)
{
    const struct json *keep = json_member(patch, RETAIN_KEYS);
    if (keep != NULL)
        retain_only(object, keep);
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(patch, &position, &key, &value)) {
        struct json *own = json_edit_member(object, key);
        const struct merge_rule *rule = find_rule(key, parent);
        if (starts_with(key, DELETE_PRIMITIVES))
            remove_values(object, key + strlen(DELETE_PRIMITIVES), value);
        else if (key[0] == '$')
            continue;
        else if (json_type(value) == JSON_NULL)
            json_del(object, key);
        else if (json_is_object(own) && json_is_object(value))
            apply_to(own, value, key);
        else if (rule != NULL && rule->key != NULL && json_is_array(own) && json_is_array(value))
            apply_list(object, key, value, rule);
        else if (rule != NULL && json_is_array(own) && json_is_array(value)) {
            const struct json *added;
            json_each(added, value) {
                if (find_element(own, NULL, added) == NULL)
                    json_push(own, json_keep(added));
            }
        } else {
            json_set(object, key, json_clone(value));
        }
    }
}

struct json *merge_apply(const struct json *object, const struct json *patch)
{
    struct json *result = json_clone(object);
    apply_to(result, patch, "");
    return result;
}
