/*
 * set_types.c: an object from a file as kubectl prints it after `set --local`: kubectl reads it into Go's types, whose
 * members without omitempty are written even when nobody gave them.
 */
#include "change/set.h"

#include "base/mem.h"

/* What stands where nothing was given. */
static const struct member {
    const char *kind, *parent, *name, *value; /* parent: "" or "spec"; value: JSON */
} members[] = {
    {"Pod", "", "status", "{}"},
    {"ReplicationController", "", "status", "{\"replicas\":0}"},
    {"ReplicaSet", "", "status", "{\"replicas\":0}"},
    {"Deployment", "spec", "strategy", "{}"},
    {"Deployment", "", "status", "{}"},
    {"DaemonSet", "spec", "updateStrategy", "{}"},
    {"DaemonSet", "", "status",
     "{\"currentNumberScheduled\":0,\"numberMisscheduled\":0,\"desiredNumberScheduled\":0,\"numberReady\":0}"},
    {"StatefulSet", "spec", "updateStrategy", "{}"},
    {"StatefulSet", "", "status", "{\"replicas\":0,\"availableReplicas\":0}"},
    {"Job", "", "status", "{}"},
    {"CronJob", "", "status", "{}"},
    {"Service", "", "status", "{\"loadBalancer\":{}}"},
};

static void fill(struct json *object, const char *name, const char *value)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *tree = NULL;
    if (json_member(object, name) == NULL && json_parse(value, strlen(value), &tree, &err) == 0)
        json_set(object, name, tree);
}

static void fill_each(struct json *list, const char *name, const char *value)
{
    for (size_t i = 0; i < json_len(list); i++)
        fill(json_edit_at(list, i), name, value);
}

/* Many generators write "creationTimestamp: null", which is no time. */
static void drop_null_time(struct json *metadata)
{
    const struct json *time = json_member(metadata, "creationTimestamp");
    if (time != NULL && json_type(time) == JSON_NULL)
        json_del(metadata, "creationTimestamp");
}

void set_fill_types(struct json *object)
{
    static const char *const lists[] = {"containers", "initContainers", "ephemeralContainers"};
    const char *kind = json_str_or("", object, "kind", NULL);
    CLEANUP(err_clear) struct err no_pods = {0};
    struct json *spec = NULL;
    drop_null_time(json_edit_member(object, "metadata"));
    if (json_get(object, "spec", "template", "metadata", NULL) != NULL)
        drop_null_time(json_edit(object, "spec", "template", "metadata", NULL));
    if (set_pod_spec(object, &spec, &no_pods) == 0) {
        for (size_t i = 0; i < countof(lists); i++)
            fill_each(json_edit_member(spec, lists[i]), "resources", "{}");
        if (json_get(object, "spec", "template", NULL) != NULL)
            fill(json_edit(object, "spec", "template", NULL), "metadata", "{}");
    }
    if (streq(kind, "CronJob")) {
        fill(json_edit(object, "spec", "jobTemplate", NULL), "metadata", "{}");
        fill(json_edit(object, "spec", "jobTemplate", "spec", "template", NULL), "metadata", "{}");
    }
    for (size_t i = 0; i < countof(members); i++) {
        if (streq(kind, members[i].kind))
            fill(members[i].parent[0] != '\0' ? json_edit(object, members[i].parent, NULL) : object, members[i].name,
                 members[i].value);
    }
    if (streq(kind, "StatefulSet"))
        fill_each(json_edit_member(json_edit(object, "spec", NULL), "volumeClaimTemplates"), "status", "{}");
    if (streq(kind, "Service"))
        fill_each(json_edit_member(json_edit(object, "spec", NULL), "ports"), "targetPort", "0");
}
