/*
 * managed_fields.c: an entry's fieldsV1 is a tree of "f:name", "k:{...}", "v:..." members; one without members is in
 * the set, and so is one that has the member ".". Entries come with the latest first.
 */
#include "apply/managed_fields.h"

#include "base/mem.h"
#include "data/patch.h"

static bool holds(const struct json *fields, const char *const *path)
{
    const struct json *step = fields;
    for (; *path != NULL && step != NULL; path++) {
        CLEANUP(xfree) char *name = xasprintf("f:%s", *path);
        step = json_member(step, name);
    }
    return step != NULL && (json_len(step) == 0 || json_member(step, ".") != NULL);
}

void managed_fields_owners(const struct json *object, const char *operation, const char *const *path,
                           struct strv *ret_managers)
{
    const struct json *entry;
    json_each(entry, json_get(object, "metadata", "managedFields", NULL)) {
        const char *manager = json_str_or("", entry, "manager", NULL);
        if (streq(json_str(entry, "operation", NULL), operation) && holds(json_get(entry, "fieldsV1", NULL), path) &&
            !strv_has(ret_managers, manager))
            strv_add(ret_managers, manager);
    }
}

static void unite(struct json *into, const struct json *from)
{
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(from, &position, &key, &value)) {
        struct json *own = json_edit_member(into, key);
        if (own == NULL) {
            json_set(into, key, json_clone(value));
            continue;
        }
        bool one_is_leaf = (json_len(own) == 0) != (json_len(value) == 0);
        unite(own, value);
        if (one_is_leaf && !streq(key, "."))
            json_set(own, ".", json_new_object());
    }
}

/* Of the main resource: entries of a subresource stay as they are. */
static bool is_entry(const struct json *entry, const char *manager, const char *operation)
{
    return streq(json_str(entry, "manager", NULL), manager) && streq(json_str(entry, "operation", NULL), operation) &&
           json_str_or("", entry, "subresource", NULL)[0] == '\0';
}

static size_t find_entry(const struct json *entries, const char *manager, const char *operation,
                         const char *api_version)
{
    for (size_t i = 0; i < json_len(entries); i++) {
        const struct json *entry = json_at(entries, i);
        if (is_entry(entry, manager, operation) &&
            (api_version == NULL || streq(json_str(entry, "apiVersion", NULL), api_version)))
            return i;
    }
    return SIZE_MAX;
}

static void hand_over(struct json *entries, const char *manager, const char *to)
{
    size_t target = find_entry(entries, to, "Apply", NULL);
    if (target == SIZE_MAX) {
        target = find_entry(entries, manager, "Update", NULL);
        if (target == SIZE_MAX)
            return;
        json_set_str(json_edit_at(entries, target), "operation", "Apply");
        json_set_str(json_edit_at(entries, target), "manager", to);
    }
    /* sets of another version cannot be united; they are dropped with their entry */
    const char *version = json_str(json_at(entries, target), "apiVersion", NULL);
    size_t source = find_entry(entries, manager, "Update", version);
    if (source != SIZE_MAX)
        unite(json_edit(json_edit_at(entries, target), "fieldsV1", NULL),
              json_get(json_at(entries, source), "fieldsV1", NULL));
    for (size_t i = json_len(entries); i-- > 0;) {
        if (is_entry(json_at(entries, i), manager, "Update"))
            json_remove_at(entries, i);
    }
}

struct json *managed_fields_upgrade(const struct json *object, const struct strv *managers, const char *to)
{
    const struct json *old = json_get(object, "metadata", "managedFields", NULL);
    if (!json_is_array(old))
        return NULL;
    CLEANUP(json_free) struct json *entries = json_clone(old);
    for (size_t i = 0; i < managers->n; i++)
        hand_over(entries, managers->items[i], to);
    if (json_same(old, entries))
        return NULL;
    struct json *patch = json_new_array();
    patch_replace(patch, "/metadata/managedFields", take(&entries));
    /* the version that is there, so that a change in between is a conflict */
    patch_replace(patch, "/metadata/resourceVersion",
                  json_new_string(json_str_or("", object, "metadata", "resourceVersion", NULL)));
    return patch;
}
