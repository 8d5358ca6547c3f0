/*
 * mutate.c: the patch that hands a pod over. Operations are written straight into its text, the pod is only read; a
 * field that has its value already gets none, so the patch of a patched pod is empty.
 */
#include "fargate/mutate.h"

#include "base/mem.h"
#include "data/patch.h"
#include "fargate/names.h"

static void set_string(struct buf *patch, const struct json *parent, const char *parent_pointer, const char *key,
                       const char *value)
{
    const struct json *current = json_member(parent, key);
    CLEANUP(buf_done) struct buf pointer = {0};

    if (streq(json_string_value(current), value))
        return;
    buf_add_str(&pointer, parent_pointer);
    patch_pointer_add(&pointer, key);
    patch_text_begin(patch, current == NULL ? "add" : "replace", buf_text(&pointer));
    json_print_text(value, patch);
}

/* A map that is not there yet is added whole. */
static void set_label(struct buf *patch, const struct json *metadata, const char *key, const char *value)
{
    const struct json *labels = json_member(metadata, "labels");

    if (json_is_object(labels)) {
        set_string(patch, labels, "/metadata/labels", key, value);
        return;
    }
    patch_text_begin(patch, "add", "/metadata/labels");
    buf_add_char(patch, '{');
    json_print_text(key, patch);
    buf_add_char(patch, ':');
    json_print_text(value, patch);
    buf_add_char(patch, '}');
}

static void add_tree(struct buf *patch, const char *pointer, const struct json *value)
{
    patch_text_begin(patch, "add", pointer);
    json_print(value, patch);
}

static void add_object(struct buf *patch, const char *pointer)
{
    patch_text_begin(patch, "add", pointer);
    buf_add_str(patch, "{}");
}

/*
 * Both fields: the API server's Priority plugin has written spec.priority: 0 by the time webhooks run, and refuses
 * a class whose value differs. It refuses a preemption policy other than the class's in the same way.
 */
static void set_priority(struct buf *patch, const struct json *spec)
{
    const struct json *priority = json_member(spec, "priority");
    const char *policy = json_string_value(json_member(spec, "preemptionPolicy"));

    set_string(patch, spec, "/spec", "priorityClassName", FARGATE_PRIORITY_CLASS);
    if (json_int_value(priority) != FARGATE_PRIORITY) {
        patch_text_begin(patch, priority == NULL ? "add" : "replace", "/spec/priority");
        buf_printf(patch, "%d", FARGATE_PRIORITY);
    }
    if (policy != NULL)
        set_string(patch, spec, "/spec", "preemptionPolicy", "PreemptLowerPriority");
}

/* The pod's own entries win over the profile's. */
static void add_node_selector(struct buf *patch, const struct json *spec, const struct json *wanted)
{
    const struct json *current = json_member(spec, "nodeSelector");
    void *position = NULL;
    const char *key;
    const struct json *value;

    if (wanted == NULL)
        return;
    if (!json_is_object(current)) {
        add_tree(patch, "/spec/nodeSelector", wanted);
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

static void add_tolerations(struct buf *patch, const struct json *spec, const struct json *wanted)
{
    const struct json *current = json_member(spec, "tolerations"), *toleration;

    if (wanted == NULL)
        return;
    if (!json_is_array(current)) {
        add_tree(patch, "/spec/tolerations", wanted);
        return;
    }
    json_each(toleration, wanted)
        if (!contains(current, toleration))
            add_tree(patch, "/spec/tolerations/-", toleration);
}

void fargate_mutate(const struct json *pod, const struct fargate_match *match, struct buf *patch)
{
    const struct json *metadata = json_get(pod, "metadata", NULL), *spec = json_get(pod, "spec", NULL);
    const struct fargate_profile *profile = match->profile;

    if (match->verdict != FARGATE_MATCHED || profile == NULL)
        return;
    if (!json_is_object(metadata))
        add_object(patch, "/metadata");
    if (!json_is_object(spec))
        add_object(patch, "/spec");
    set_label(patch, metadata, match->names->profile_label, profile->name);
    if (profile->scheduler_name != NULL) {
        set_string(patch, spec, "/spec", "schedulerName", profile->scheduler_name);
    } else {
        set_string(patch, spec, "/spec", "schedulerName", match->names->scheduler);
        set_priority(patch, spec);
    }
    if (profile->runtime_class != NULL && json_string_value(json_member(spec, "runtimeClassName")) == NULL)
        set_string(patch, spec, "/spec", "runtimeClassName", profile->runtime_class);
    add_node_selector(patch, spec, profile->node_selector);
    add_tolerations(patch, spec, profile->tolerations);
    patch_text_end(patch);
}
