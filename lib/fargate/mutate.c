/*
 * mutate.c: the patch that hands a pod over. Operations are written straight into the patch, the pod is only read; a
 * field that has its value already gets none, so the patch of a patched pod is empty.
 */
#include "fargate/mutate.h"

#include "base/mem.h"
#include "data/patch.h"
#include "fargate/names.h"

static void set_string(struct json *patch, const struct json *parent, const char *parent_pointer, const char *key,
                       const char *value)
{
    const struct json *current = json_member(parent, key);
    CLEANUP(buf_done) struct buf pointer = {0};

    if (streq(json_string_value(current), value))
        return;
    buf_add_str(&pointer, parent_pointer);
    patch_pointer_add(&pointer, key);
    if (current == NULL)
        patch_add(patch, buf_text(&pointer), json_new_string(value));
    else
        patch_replace(patch, buf_text(&pointer), json_new_string(value));
}

/* A map under `parent` that is not there yet is added whole. */
static void set_in_map(struct json *patch, const struct json *parent, const char *parent_pointer,
                       const char *map_name, const char *key, const char *value)
{
    const struct json *map = json_member(parent, map_name);
    CLEANUP(buf_done) struct buf pointer = {0};

    buf_add_str(&pointer, parent_pointer);
    patch_pointer_add(&pointer, map_name);
    if (json_is_object(map))
        set_string(patch, map, buf_text(&pointer), key, value);
    else
        patch_add(patch, buf_text(&pointer), json_build("{s:s}", key, value));
}

/*
 * Both fields: the API server's Priority plugin has written spec.priority: 0 by the time webhooks run, and refuses
 * a class whose value differs. It refuses a preemption policy other than the class's in the same way.
 */
static void set_priority(struct json *patch, const struct json *spec)
{
    const struct json *priority = json_member(spec, "priority");
    const char *policy = json_string_value(json_member(spec, "preemptionPolicy"));

    set_string(patch, spec, "/spec", "priorityClassName", FARGATE_PRIORITY_CLASS);
    if (priority == NULL)
        patch_add(patch, "/spec/priority", json_new_int(FARGATE_PRIORITY));
    else if (json_int_value(priority) != FARGATE_PRIORITY)
        patch_replace(patch, "/spec/priority", json_new_int(FARGATE_PRIORITY));
    if (policy != NULL && !streq(policy, "PreemptLowerPriority"))
        patch_replace(patch, "/spec/preemptionPolicy", json_new_string("PreemptLowerPriority"));
}

/* The pod's own entries win over the profile's. */
static void add_node_selector(struct json *patch, const struct json *spec, const struct json *wanted)
{
    const struct json *current = json_member(spec, "nodeSelector");
    void *position = NULL;
    const char *key;
    const struct json *value;

    if (wanted == NULL)
        return;
    if (!json_is_object(current)) {
        patch_add(patch, "/spec/nodeSelector", json_keep(wanted));
        return;
    }
    while (json_next(wanted, &position, &key, &value))
        if (json_member(current, key) == NULL)
            set_string(patch, current, "/spec/nodeSelector", key, json_string_value(value));
}

static bool contains(const struct json *array, const struct json *wanted)
{
    const struct json *item;

    json_each(item, array)
        if (json_same(item, wanted))
            return true;
    return false;
}

static void add_tolerations(struct json *patch, const struct json *spec, const struct json *wanted)
{
    const struct json *current = json_member(spec, "tolerations"), *toleration;

    if (wanted == NULL)
        return;
    if (!json_is_array(current)) {
        patch_add(patch, "/spec/tolerations", json_keep(wanted));
        return;
    }
    json_each(toleration, wanted)
        if (!contains(current, toleration))
            patch_add(patch, "/spec/tolerations/-", json_keep(toleration));
}

struct json *fargate_mutate(const struct json *pod, const struct fargate_match *match)
{
    const struct json *metadata = json_get(pod, "metadata", NULL), *spec = json_get(pod, "spec", NULL);
    const struct fargate_profile *profile = match->profile;
    struct json *patch = json_new_array();

    if (match->verdict != FARGATE_MATCHED || profile == NULL)
        return patch;
    if (!json_is_object(metadata))
        patch_add(patch, "/metadata", json_new_object());
    if (!json_is_object(spec))
        patch_add(patch, "/spec", json_new_object());
    set_in_map(patch, metadata, "/metadata", "labels", FARGATE_PROFILE_LABEL, profile->name);
    if (profile->scheduler_name != NULL) {
        set_string(patch, spec, "/spec", "schedulerName", profile->scheduler_name);
    } else {
        set_string(patch, spec, "/spec", "schedulerName", FARGATE_SCHEDULER);
        set_priority(patch, spec);
    }
    if (profile->runtime_class != NULL && json_string_value(json_member(spec, "runtimeClassName")) == NULL)
        set_string(patch, spec, "/spec", "runtimeClassName", profile->runtime_class);
    add_node_selector(patch, spec, profile->node_selector);
    add_tolerations(patch, spec, profile->tolerations);
    return patch;
}
