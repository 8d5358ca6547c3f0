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

/* the object may be a FargateProfile, whose spec counts */
static const struct json_omit omit_in_metadata[] = {{.name = "creationTimestamp"}, {.name = "managedFields"}, {0}};

static const struct json_omit omit_in_any_object[] = {
    {.name = "metadata", .inside = omit_in_metadata},
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

static bool is_ours(const struct json *request)
{
    const struct json *group;

    json_each(group, json_get(request, "userInfo", "groups", NULL)) {
        const char *name = json_string_value(group);
        if (streq(name, FKS_IDENTITIES_GROUP) || streq(name, MASTERS_GROUP))
            return true;
    }
    return false;
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
            i == 0 ? "label" : "annotation", key, json_str_or("", request, "userInfo", "username", NULL));
        review_deny(out, request, 403, "Forbidden", message, ret);
        return true;
    }
    return false;
}

/* A Fargate Node has room for the pod that it exists for, and fks-scheduler binds that one. */
static bool refuse_node(const struct json *request, const char *node, struct buf *out, struct admission_decision *ret)
{
    if (!starts_with(node, FARGATE_NODE_PREFIX))
        return false;
    CLEANUP(xfree) char *message =
        xasprintf("node '%.253s' exists for one Fargate pod: only FKS (group " FKS_IDENTITIES_GROUP
                  ") may bind a pod to it, and user '%.253s' is none of it",
                  node, json_str_or("", request, "userInfo", "username", NULL));
    review_deny(out, request, 403, "Forbidden", message, ret);
    return true;
}

/* Pods, and Bindings, whose annotations and labels the API server copies to the pod. */
static int validate_pod(const struct json *request, struct buf *out, struct admission_decision *ret, struct err *err)
{
    const struct json *object;

    int r = review_object(request, &object, err);
    if (r < 0)
        return r;
    const char *node = review_is_kind(request, "", "Binding")    ? json_str_or("", object, "target", "name", NULL)
                       : review_is_operation(request, "CREATE") ? json_str_or("", object, "spec", "nodeName", NULL)
                                                                : "";
    if (!is_ours(request) && (refuse_keys(request, object, out, ret) || refuse_node(request, node, out, ret)))
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
            return validate_pod(request, out, ret, err);
    }
    review_allow(out, request, ADMISSION_ALLOWED, ret);
    return 0;
}
