/*
 * admission.c: /mutate: hands matching pods over by a JSON patch, tells or refuses what Fargate does not support, and keeps
 * DaemonSets off Fargate Nodes. What a review is not about is allowed untouched, so a webhook configuration with wider rules
 * than ours breaks nobody.
 */
#include "admission.h"

#include "base/mem.h"
#include "fargate/daemonset.h"
#include "fargate/mutate.h"
#include "fargate/names.h"
#include "fargate/size.h"
#include "fargate/support.h"
#include "review.h"

#define PATCH_ROOM 1000 /* of most */

/* --- what is read */

/*
 * What no decision looks at, which is most of a review: no trees are built of it. The paths are spelled out because the
 * names may be keys of labels, annotations and node selectors as well.
 */
static const struct json_omit omit_in_projected[] = {{.name = "sources"}, {0}};

static const struct json_omit omit_in_volumes[] = {{.name = "projected", .inside = omit_in_projected}, {0}};

static const struct json_omit omit_in_containers[] = {
    {.name = "args"},
    {.name = "command"},
    {.name = "env"},
    {.name = "envFrom"},
    {.name = "image"},
    {.name = "imagePullPolicy"},
    {.name = "lifecycle"},
    {.name = "livenessProbe"},
    {.name = "readinessProbe"},
    {.name = "startupProbe"},
    {.name = "terminationMessagePath"},
    {.name = "terminationMessagePolicy"},
    {.name = "volumeMounts"},
    {.name = "workingDir"},
    {0},
};

static const struct json_omit omit_in_spec[] = {
    {.name = "affinity"},
    {.name = "containers", .inside = omit_in_containers},
    {.name = "initContainers", .inside = omit_in_containers},
    {.name = "volumes", .inside = omit_in_volumes},
    {.name = "dnsPolicy"},
    {.name = "enableServiceLinks"},
    {.name = "imagePullSecrets"},
    {.name = "restartPolicy"},
    {.name = "securityContext"}, /* the containers' have limits, this one has none */
    {.name = "serviceAccount"},
    {.name = "serviceAccountName"},
    {.name = "terminationGracePeriodSeconds"},
    {.name = "topologySpreadConstraints"},
    {0},
};

static const struct json_omit omit_in_pod[] = {
    {.name = "metadata", .inside = review_omit_in_metadata},
    {.name = "spec", .inside = omit_in_spec},
    {.name = "status"},
    {0},
};

static const struct json_omit omit_in_mutate_request[] = {
    {.name = "object", .inside = omit_in_pod},
    {.name = "oldObject"},
    {.name = "options"},
    {.name = "requestKind"},
    {.name = "requestResource"},
    {.name = "resource"},
    {.name = "userInfo"},
    {0},
};

static const struct json_omit omit_to_mutate[] = {{.name = "request", .inside = omit_in_mutate_request}, {0}};

/* --- decisions */

/* The API server writes them into its audit log, under the webhook's name. */
static void add_audit(struct buf *out, const struct fargate_match *match)
{
    buf_add_str(out, ",\"auditAnnotations\":{");
    if (match->profile != NULL) {
        buf_add_str(out, "\"profile\":");
        json_print_text(match->profile->name, out);
        buf_add_char(out, ',');
    }
    buf_add_str(out, "\"verdict\":");
    json_print_text(fargate_verdict_text(match->verdict), out);
    buf_add_char(out, '}');
}

static void copy_name(struct admission_decision *ret, const char *name)
{
    size_t len = strnlen(name, sizeof(ret->profile) - 1);

    memcpy(ret->profile, name, len);
    ret->profile[len] = '\0';
}

/* No size of the table is large enough, or a limit is above the size: the scheduler would say so later. */
static void check_size(const struct json *pod, const struct fargate_profile *profile, struct strv *reasons)
{
    CLEANUP(err_clear) struct err err = {0};
    struct fargate_request request;
    struct fargate_size size;

    if (fargate_request_of(pod, &request, &err) < 0 || fargate_size_for(&request, profile->exact_sizing, &size, &err) < 0 ||
        (!profile->clamp_limits && fargate_limits_check(pod, &size, &err) < 0))
        strv_add(reasons, err_text(&err));
}

/* All reasons in one text; NULL: none, or the pod is another back end's. Heap. */
static char *why_unsupported(const struct json *pod, const struct fargate_profile *profile)
{
    CLEANUP(strv_done) struct strv reasons = {0};

    if (profile == NULL || profile->scheduler_name != NULL)
        return NULL;
    fargate_unsupported(pod, &reasons);
    check_size(pod, profile, &reasons);
    if (reasons.n == 0)
        return NULL;
    CLEANUP(xfree) char *list = strv_join(&reasons, ", ");
    return xasprintf("Pod not supported on Fargate: %s", list);
}

static bool is_enforced(const struct admission_rules *rules, const struct fargate_profile *profile)
{
    return profile->pod_validation == FARGATE_VALIDATION_DEFAULT ? rules->enforce
                                                                 : profile->pod_validation == FARGATE_VALIDATION_ENFORCE;
}

static void refuse_pod(const struct json *request, const char *why, const struct fargate_profile *profile, struct buf *out,
                       struct admission_decision *ret)
{
    CLEANUP(xfree) char *message =
        xasprintf("%s. FargateProfile '%s' takes this pod: change the pod, or let it run on an ordinary node by the annotation "
                  FARGATE_COMPUTE_TYPE ": " FARGATE_COMPUTE_EC2, why, profile->name);

    review_deny(out, request, 422, "Invalid", message, ret);
}

static int mutate_pod(const struct admission_rules *rules, const struct json *request, struct buf *out,
                      struct admission_decision *ret, struct err *err)
{
    CLEANUP(buf_done) struct buf patch = {0};
    CLEANUP(strv_done) struct strv warnings = {0};
    const struct json *pod;

    int r = review_object(request, &pod, err);
    if (r < 0)
        return r;
    struct fargate_match match = fargate_match_pod(rules->profiles, json_str_or("", request, "namespace", NULL), pod);
    if (match.profile != NULL)
        copy_name(ret, match.profile->name);
    /* shown by kubectl at once, long before the scheduler says the same in an event */
    CLEANUP(xfree) char *why = why_unsupported(pod, match.profile);
    if (why != NULL && is_enforced(rules, match.profile)) {
        refuse_pod(request, why, match.profile, out, ret);
        return 0;
    }
    if (why != NULL)
        strv_add(&warnings, why);
    else if (match.verdict == FARGATE_PROFILE_UNKNOWN)
        strv_add(&warnings, fargate_verdict_text(match.verdict));
    (void)buf_reserve(&patch, PATCH_ROOM);
    fargate_mutate(pod, &match, &patch);
    review_begin(out, request, true);
    review_add_patch(out, &patch);
    add_audit(out, &match);
    review_add_warnings(out, &warnings);
    review_end(out);
    ret->outcome = match.profile != NULL ? ADMISSION_PATCHED : ADMISSION_UNTOUCHED;
    return 0;
}

static int mutate_daemonset(const struct json *request, struct buf *out, struct admission_decision *ret, struct err *err)
{
    CLEANUP(json_free) struct json *patch = NULL;
    CLEANUP(buf_done) struct buf text = {0};
    const struct json *daemonset;

    int r = review_object(request, &daemonset, err);
    if (r < 0)
        return r;
    patch = fargate_keep_off(daemonset);
    if (json_len(patch) > 0)
        json_print(patch, &text);
    review_begin(out, request, true);
    review_add_patch(out, &text);
    review_end(out);
    ret->outcome = json_len(patch) > 0 ? ADMISSION_PATCHED : ADMISSION_UNTOUCHED;
    return 0;
}

int admission_mutate(const struct admission_rules *rules, const char *review, size_t len, struct buf *out,
                     struct admission_decision *ret, struct err *err)
{
    CLEANUP(json_free) struct json *tree = NULL;
    const struct json *request;

    int r = review_read(review, len, omit_to_mutate, &tree, &request, ret, err);
    if (r < 0)
        return r;
    bool create = review_is_operation(request, "CREATE"), update = review_is_operation(request, "UPDATE");
    bool whole = *json_str_or("", request, "subResource", NULL) == '\0';
    if (whole && create && review_is_kind(request, "", "Pod"))
        return mutate_pod(rules, request, out, ret, err);
    if (whole && (create || update) && review_is_kind(request, "apps", "DaemonSet"))
        return mutate_daemonset(request, out, ret, err);
    review_allow(out, request, ADMISSION_UNTOUCHED, ret);
    return 0;
}

const char *admission_outcome_name(enum admission_outcome outcome)
{
    static const char *const names[] = {"patched", "untouched", "allowed", "denied"};

    return names[outcome];
}
