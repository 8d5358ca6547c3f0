/*
 * admission_validate.c: /validate: guards FargateProfiles, the labels and annotations that FKS's own programs rely on, and the
 * Nodes that exist for one pod each. RBAC decides who may write pods at all; here it is about what.
 */
#include "admission.h"

#include "base/mem.h"
#include "fargate/names.h"
#include "fargate/overlap.h"
#include "review.h"

#define MASTERS_GROUP "system:masters"

/* The control plane's own controllers, under their own names or with service accounts: they end the pods of lost Nodes. */
#define CONTROLLERS_GROUP "system:serviceaccounts:kube-system"
static const char *const control_plane_users[] = {"system:kube-controller-manager", "system:kube-scheduler"};

/* Conditions that only whoever runs a pod, or places it, can know. */
static const char *const agent_conditions[] = {"ContainersReady", "Initialized", "PodReadyToStartContainers",
                                               "PodScheduled", "Ready"};

/* no more than the metadata's: the object may be a FargateProfile, whose spec counts */
static const struct json_omit omit_in_any_object[] = {
    {.name = "metadata", .inside = review_omit_in_metadata},
    {0},
};

static const struct json_omit omit_in_validate_request[] = {
    {.name = "object", .inside = omit_in_any_object},
    {.name = "oldObject", .inside = omit_in_any_object},
    {.name = "options"},
    {0},
};

static const struct json_omit omit_to_validate[] = {{.name = "request", .inside = omit_in_validate_request}, {0}};

/* --- /validate: profiles */

static void allow_profile(const struct fargate_profiles *profiles, const struct json *request, const struct json *object,
                          struct buf *out, struct admission_decision *ret)
{
    CLEANUP(fargate_profile_done) struct fargate_profile profile = {0};
    CLEANUP(strv_done) struct strv warnings = {0};
    CLEANUP(err_clear) struct err ignored = {0};

    if (profiles != NULL && fargate_profile_read(object, &profile, &ignored) == 0)
        fargate_overlaps(&profile, profiles, &warnings);
    review_begin(out, request, true);
    review_add_warnings(out, &warnings);
    review_end(out);
    ret->outcome = ADMISSION_ALLOWED;
}

static int validate_profile(const struct fargate_profiles *profiles, const struct json *request, struct buf *out, struct admission_decision *ret,
                            struct err *err)
{
    CLEANUP(strv_done) struct strv reasons = {0};
    const struct json *profile, *before = json_get(request, "oldObject", NULL);

    int r = review_object(request, &profile, err);
    if (r < 0)
        return r;
    /* an object that became invalid by a newer rule must still be labelled, finished and deleted */
    bool same_spec =
        json_is_object(before) && json_same(json_get(before, "spec", NULL), json_get(profile, "spec", NULL));
    bool deleting = json_str(profile, "metadata", "deletionTimestamp", NULL) != NULL;
    if (!same_spec && !deleting)
        fargate_profile_check(profile, &reasons);
    if (same_spec || deleting) {
        review_allow(out, request, ADMISSION_ALLOWED, ret);
        return 0;
    }
    if (reasons.n == 0) {
        allow_profile(profiles, request, profile, out, ret);
        return 0;
    }
    CLEANUP(xfree) char *list = strv_join(&reasons, "; ");
    CLEANUP(xfree) char *message =
        xasprintf("FargateProfile '%.253s' is invalid: %s", json_str_or("", profile, "metadata", "name", NULL), list);
    review_deny(out, request, 422, "Invalid", message, ret);
    return 0;
}

/* --- /validate: pods */

static bool has_group(const struct json *request, const char *wanted)
{
    const struct json *group;

    json_each(group, json_get(request, "userInfo", "groups", NULL))
        if (streq(json_string_value(group), wanted))
            return true;
    return false;
}

static const char *user_of(const struct json *request)
{
    return json_str_or("", request, "userInfo", "username", NULL);
}

static bool is_ours(const struct json *request)
{
    return has_group(request, FKS_IDENTITIES_GROUP) || has_group(request, FKS_SERVICE_ACCOUNTS_GROUP) ||
           has_group(request, MASTERS_GROUP);
}

static bool is_control_plane(const struct json *request)
{
    for (size_t i = 0; i < countof(control_plane_users); i++)
        if (streq(user_of(request), control_plane_users[i]))
            return true;
    return has_group(request, CONTROLLERS_GROUP);
}

/* The first of our keys that one map has and the other has not, or has with another value; NULL if none. */
static const char *changed_key(const struct json *map, const struct json *other)
{
    void *position = NULL;
    const char *key;
    const struct json *value;

    while (json_next(map, &position, &key, &value))
        if (starts_with(key, FKS_PREFIX) && !json_same(value, json_member(other, key)))
            return key;
    return NULL;
}

/* A label or annotation of ours that somebody else sets, changes or removes: denied, and true. */
static bool refuse_keys(const struct json *request, const struct json *object, struct buf *out,
                        struct admission_decision *ret)
{
    static const char *const maps[] = {"labels", "annotations"};
    bool update = review_is_operation(request, "UPDATE");
    const struct json *before = update ? json_get(request, "oldObject", NULL) : NULL;

    for (size_t i = 0; i < countof(maps); i++) {
        const struct json *map = json_get(object, "metadata", maps[i], NULL);
        const struct json *old_map = json_get(before, "metadata", maps[i], NULL);
        const char *key = changed_key(map, old_map);
        if (key == NULL && update)
            key = changed_key(old_map, map);
        if (key == NULL)
            continue;
        CLEANUP(xfree) char *message = xasprintf(
            "%s '%.317s' of a pod is managed by FKS: only its own programs (group " FKS_IDENTITIES_GROUP
            ") may set, change or remove it, and user '%.253s' is none of them",
            i == 0 ? "label" : "annotation", key, user_of(request));
        review_deny(out, request, 403, "Forbidden", message, ret);
        return true;
    }
    return false;
}

/* A Fargate Node has room for the pod that it exists for, and fks-scheduler binds that one. */
static bool refuse_node(const struct fargate_names *names, const struct json *request, const char *node, struct buf *out, struct admission_decision *ret)
{
    if (!starts_with(node, names->node_prefix))
        return false;
    CLEANUP(xfree) char *message =
        xasprintf("node '%.253s' exists for one Fargate pod: only FKS (group " FKS_IDENTITIES_GROUP
                  ") may bind a pod to it, and user '%.253s' is none of it",
                  node, user_of(request));
    review_deny(out, request, 403, "Forbidden", message, ret);
    return true;
}

static const struct json *find_condition(const struct json *status, const char *type)
{
    const struct json *condition;

    json_each(condition, json_get(status, "conditions", NULL))
        if (streq(json_str(condition, "type", NULL), type))
            return condition;
    return NULL;
}

/* What differs between two statuses and is not for everybody to say; NULL: nothing. */
static const char *changed_part(const struct json *status, const struct json *before)
{
    const struct json *sides[] = {status, before}, *value;
    const char *key;

    for (size_t i = 0; i < countof(sides); i++) {
        void *position = NULL;
        while (json_next(sides[i], &position, &key, &value))
            if (!streq(key, "conditions") && !json_same(value, json_member(sides[1 - i], key)))
                return key;
    }
    for (size_t i = 0; i < countof(agent_conditions); i++) {
        const struct json *now = find_condition(status, agent_conditions[i]);
        const struct json *then = find_condition(before, agent_conditions[i]);
        if ((now == NULL) != (then == NULL) || (now != NULL && !json_same(now, then)))
            return agent_conditions[i];
    }
    return NULL;
}

/*
 * The status of a pod on a Fargate Node is what fks-node says. Others may add conditions of their own (readiness gates of
 * load balancers).
 */
static bool refuse_status(const struct fargate_names *names, const struct json *request, const struct json *object,
                          struct buf *out, struct admission_decision *ret)
{
    const struct json *before = json_get(request, "oldObject", NULL);
    const char *node = json_str_or("", before, "spec", "nodeName", NULL), *part;

    if (!streq(json_str(request, "subResource", NULL), "status") || !review_is_operation(request, "UPDATE") ||
        !starts_with(node, names->node_prefix) || is_control_plane(request))
        return false;
    part = changed_part(json_get(object, "status", NULL), json_get(before, "status", NULL));
    if (part == NULL)
        return false;
    CLEANUP(xfree) char *message =
        xasprintf("'%.80s' in the status of a pod on the Fargate node '%.253s' is reported by FKS (group "
                  FKS_IDENTITIES_GROUP "), and user '%.253s' is none of it; conditions of other types may be set",
                  part, node, user_of(request));
    review_deny(out, request, 403, "Forbidden", message, ret);
    return true;
}

/* Pods, and Bindings, whose annotations and labels the API server copies to the pod. */
static int validate_pod(const struct admission_rules *rules, const struct json *request, struct buf *out,
                        struct admission_decision *ret, struct err *err)
{
    const struct fargate_names *names = rules->names != NULL ? rules->names : &fargate_names_usual;
    const struct json *object;

    int r = review_object(request, &object, err);
    if (r < 0)
        return r;
    const char *node = review_is_kind(request, "", "Binding")    ? json_str_or("", object, "target", "name", NULL)
                       : review_is_operation(request, "CREATE") ? json_str_or("", object, "spec", "nodeName", NULL)
                                                                : "";
    if (!is_ours(request) && (refuse_keys(request, object, out, ret) || refuse_node(names, request, node, out, ret) ||
                              refuse_status(names, request, object, out, ret)))
        return 0;
    review_allow(out, request, ADMISSION_ALLOWED, ret);
    return 0;
}

int admission_validate(const struct admission_rules *rules, const char *review, size_t len, struct buf *out, struct admission_decision *ret,
                       struct err *err)
{
    CLEANUP(json_free) struct json *tree = NULL;
    const struct json *request;

    int r = review_read(review, len, omit_to_validate, &tree, &request, ret, err);
    if (r < 0)
        return r;
    if (review_is_operation(request, "CREATE") || review_is_operation(request, "UPDATE")) {
        if (review_is_kind(request, FKS_GROUP, "FargateProfile") && *json_str_or("", request, "subResource", NULL) == '\0')
            return validate_profile(rules->profiles, request, out, ret, err);
        if (review_is_kind(request, "", "Pod") || review_is_kind(request, "", "Binding"))
            return validate_pod(rules, request, out, ret, err);
    }
    review_allow(out, request, ADMISSION_ALLOWED, ret);
    return 0;
}
