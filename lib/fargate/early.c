/*
 * early.c: see early.h. Used by fks-scheduler and by `fks reconcile fargateprofile`.
 */
#include "fargate/early.h"

#include "base/str.h"

const char *early_owner(const struct json *pod)
{
    const struct json *owner;

    json_each(owner, json_get(pod, "metadata", "ownerReferences", NULL))
        if (json_is_true(owner, "controller", NULL))
            return json_str(owner, "uid", NULL);
    return NULL;
}

enum early_verdict early_check(const struct fargate_profiles *profiles, const struct json *pod,
                               const struct fargate_profile **ret_profile)
{
    struct fargate_match match;

    if (!streq(json_str_or("Pending", pod, "status", "phase", NULL), "Pending") ||
        *json_str_or("", pod, "spec", "nodeName", NULL) != '\0' ||
        json_get(pod, "metadata", "deletionTimestamp", NULL) != NULL ||
        json_len(json_get(pod, "spec", "schedulingGates", NULL)) > 0)
        return EARLY_NOT;
    /* one that admission took already is where it belongs */
    if (!streq(json_str_or("default-scheduler", pod, "spec", "schedulerName", NULL), "default-scheduler"))
        return EARLY_NOT;
    match = fargate_match_pod(profiles, json_str_or("", pod, "metadata", "namespace", NULL), pod);
    if (match.verdict != FARGATE_MATCHED)
        return EARLY_NOT;
    *ret_profile = match.profile;
    return early_owner(pod) != NULL ? EARLY_REPLACE : EARLY_NO_OWNER;
}
