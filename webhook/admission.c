/*
 * admission.c: answers AdmissionReviews. /mutate hands matching pods over by a JSON patch; /validate guards
 * FargateProfiles and the labels and annotations that FKS's own programs rely on. What a review is not about is
 * allowed untouched, so a webhook configuration with wider rules than ours breaks nobody. The answer is written
 * straight into the output buffer.
 */
#include "admission.h"

#include "base/codec.h"
#include "base/mem.h"
#include "fargate/mutate.h"
#include "fargate/names.h"
#include "fargate/support.h"

#define REVIEW_API_VERSION "admission.k8s.io/v1"
#define MASTERS_GROUP "system:masters"

/* --- reading a review */

/*
 * What no decision looks at, which is most of a review: no trees are built of it. The paths are spelled out because the
 * names may be keys of labels, annotations and node selectors as well.
 */
static const struct json_omit omit_in_metadata[] = {{.name = "creationTimestamp"}, {.name = "managedFields"}, {0}};

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
    {.name = "metadata", .inside = omit_in_metadata},
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

/* here the object may be a FargateProfile, whose spec counts */
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

static void copy_cut(char *to, size_t size, const char *text)
{
    size_t len = strnlen(text, size - 1);

    memcpy(to, text, len);
    to[len] = '\0';
}

/* Also begins the decision. */
static int read_review(const char *text, size_t len, const struct json_omit *omit, struct json **ret_review,
                       const struct json **ret_request, struct admission_decision *ret, struct err *err)
{
    CLEANUP(json_free) struct json *review = NULL;

    int r = json_parse_to_read(text, len, omit, &review, err);
    if (r < 0)
        return err_wrap(err, "the body is no AdmissionReview");
    if (!streq(json_str(review, "kind", NULL), "AdmissionReview") ||
        !streq(json_str(review, "apiVersion", NULL), REVIEW_API_VERSION))
        return err_set(err, ERR_INVALID,
                       "the body is no AdmissionReview of " REVIEW_API_VERSION ", but '%.64s' of '%.64s'",
                       json_str_or("", review, "kind", NULL), json_str_or("", review, "apiVersion", NULL));
    const struct json *request = json_get(review, "request", NULL);
    const char *uid = json_str_or("", request, "uid", NULL);
    if (*uid == '\0')
        return err_set(err, ERR_INVALID, "the AdmissionReview has no request.uid");
    ret->profile[0] = '\0';
    copy_cut(ret->uid, sizeof(ret->uid), uid);
    *ret_request = request;
    *ret_review = take(&review);
    return 0;
}

static bool is_kind(const struct json *request, const char *group, const char *kind)
{
    return streq(json_str(request, "kind", "kind", NULL), kind) &&
           streq(json_str_or("", request, "kind", "group", NULL), group);
}

static bool is_operation(const struct json *request, const char *operation)
{
    return streq(json_str(request, "operation", NULL), operation);
}

static int find_object(const struct json *request, const struct json **ret, struct err *err)
{
    *ret = json_get(request, "object", NULL);
    if (!json_is_object(*ret))
        return err_set(err, ERR_INVALID, "the AdmissionReview has no request.object");
    return 0;
}

/* --- writing the answer; members are opened here and closed by end_response */

static void add_string(struct buf *out, const char *text)
{
    CLEANUP(json_free) struct json *string = json_new_string(text);

    json_print(string, out);
}

static void begin_response(struct buf *out, const struct json *request, bool allowed)
{
    buf_add_str(out,
                "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"" REVIEW_API_VERSION "\",\"response\":{\"uid\":");
    json_print(json_get(request, "uid", NULL), out);
    buf_add_str(out, allowed ? ",\"allowed\":true" : ",\"allowed\":false");
}

static void end_response(struct buf *out)
{
    buf_add_str(out, "}}");
}

static void add_patch(struct buf *out, const struct json *patch)
{
    CLEANUP(buf_done) struct buf text = {0};

    if (json_len(patch) == 0)
        return;
    json_print(patch, &text);
    buf_add_str(out, ",\"patchType\":\"JSONPatch\",\"patch\":\"");
    base64_encode(text.data, text.len, out);
    buf_add_char(out, '"');
}

/* The API server writes them into its audit log, under the webhook's name. */
static void add_audit(struct buf *out, const struct fargate_match *match)
{
    buf_add_str(out, ",\"auditAnnotations\":{");
    if (match->profile != NULL) {
        buf_add_str(out, "\"profile\":");
        add_string(out, match->profile->name);
        buf_add_char(out, ',');
    }
    buf_add_str(out, "\"verdict\":");
    add_string(out, fargate_verdict_text(match->verdict));
    buf_add_char(out, '}');
}

/* Shown by kubectl at once, long before the scheduler says the same in an event. */
static void add_warning(struct buf *out, const struct json *pod, const struct fargate_match *match)
{
    CLEANUP(strv_done) struct strv reasons = {0};
    CLEANUP(xfree) char *text = NULL;

    if (match->verdict == FARGATE_PROFILE_UNKNOWN) {
        text = xstrdup(fargate_verdict_text(match->verdict));
    } else if (match->profile != NULL && match->profile->scheduler_name == NULL) {
        fargate_unsupported(pod, &reasons);
        if (reasons.n > 0) {
            CLEANUP(xfree) char *list = strv_join(&reasons, ", ");
            text = xasprintf("Pod not supported on Fargate: %s", list);
        }
    }
    if (text == NULL)
        return;
    buf_add_str(out, ",\"warnings\":[");
    add_string(out, text);
    buf_add_char(out, ']');
}

static void deny(struct buf *out, const struct json *request, int code, const char *reason, const char *message,
                 struct admission_decision *ret)
{
    begin_response(out, request, false);
    buf_printf(out, ",\"status\":{\"code\":%d,\"reason\":\"%s\",\"message\":", code, reason);
    add_string(out, message);
    buf_add_char(out, '}');
    end_response(out);
    ret->outcome = ADMISSION_DENIED;
}

static void allow(struct buf *out, const struct json *request, enum admission_outcome outcome,
                  struct admission_decision *ret)
{
    begin_response(out, request, true);
    end_response(out);
    ret->outcome = outcome;
}

/* --- /mutate */

int admission_mutate(const struct fargate_profiles *profiles, const char *review, size_t len, struct buf *out,
                     struct admission_decision *ret, struct err *err)
{
    CLEANUP(json_free) struct json *tree = NULL;
    CLEANUP(json_free) struct json *patch = NULL;
    const struct json *request, *pod;

    int r = read_review(review, len, omit_to_mutate, &tree, &request, ret, err);
    if (r < 0)
        return r;
    if (!is_kind(request, "", "Pod") || !is_operation(request, "CREATE") ||
        *json_str_or("", request, "subResource", NULL) != '\0') {
        allow(out, request, ADMISSION_UNTOUCHED, ret);
        return 0;
    }
    r = find_object(request, &pod, err);
    if (r < 0)
        return r;

    struct fargate_match match = fargate_match_pod(profiles, json_str_or("", request, "namespace", NULL), pod);
    patch = fargate_mutate(pod, &match);
    begin_response(out, request, true);
    add_patch(out, patch);
    add_audit(out, &match);
    add_warning(out, pod, &match);
    end_response(out);
    ret->outcome = match.profile != NULL ? ADMISSION_PATCHED : ADMISSION_UNTOUCHED;
    if (match.profile != NULL)
        copy_cut(ret->profile, sizeof(ret->profile), match.profile->name);
    return 0;
}

/* --- /validate: profiles */

static int validate_profile(const struct json *request, struct buf *out, struct admission_decision *ret,
                            struct err *err)
{
    CLEANUP(strv_done) struct strv reasons = {0};
    const struct json *profile, *before = json_get(request, "oldObject", NULL);

    int r = find_object(request, &profile, err);
    if (r < 0)
        return r;
    /* an object that became invalid by a newer rule must still be labelled, finished and deleted */
    bool same_spec =
        json_is_object(before) && json_same(json_get(before, "spec", NULL), json_get(profile, "spec", NULL));
    bool deleting = json_str(profile, "metadata", "deletionTimestamp", NULL) != NULL;
    if (!same_spec && !deleting)
        fargate_profile_check(profile, &reasons);
    if (reasons.n == 0) {
        allow(out, request, ADMISSION_ALLOWED, ret);
        return 0;
    }
    CLEANUP(xfree) char *list = strv_join(&reasons, "; ");
    CLEANUP(xfree) char *message =
        xasprintf("FargateProfile '%.253s' is invalid: %s", json_str_or("", profile, "metadata", "name", NULL), list);
    deny(out, request, 422, "Invalid", message, ret);
    return 0;
}

/* --- /validate: pods */

static bool may_write_our_keys(const struct json *request)
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

/* Pods, and Bindings, whose annotations and labels the API server copies to the pod. */
static int validate_pod(const struct json *request, struct buf *out, struct admission_decision *ret, struct err *err)
{
    static const char *const maps[] = {"labels", "annotations"};
    bool update = is_operation(request, "UPDATE");
    const struct json *pod, *before = update ? json_get(request, "oldObject", NULL) : NULL;

    int r = find_object(request, &pod, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < countof(maps) && !may_write_our_keys(request); i++) {
        const struct json *map = json_get(pod, "metadata", maps[i], NULL);
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
        deny(out, request, 403, "Forbidden", message, ret);
        return 0;
    }
    allow(out, request, ADMISSION_ALLOWED, ret);
    return 0;
}

int admission_validate(const char *review, size_t len, struct buf *out, struct admission_decision *ret,
                       struct err *err)
{
    CLEANUP(json_free) struct json *tree = NULL;
    const struct json *request;

    int r = read_review(review, len, omit_to_validate, &tree, &request, ret, err);
    if (r < 0)
        return r;
    if (is_operation(request, "CREATE") || is_operation(request, "UPDATE")) {
        if (is_kind(request, FKS_GROUP, "FargateProfile") && *json_str_or("", request, "subResource", NULL) == '\0')
            return validate_profile(request, out, ret, err);
        if (is_kind(request, "", "Pod") || is_kind(request, "", "Binding"))
            return validate_pod(request, out, ret, err);
    }
    allow(out, request, ADMISSION_ALLOWED, ret);
    return 0;
}

const char *admission_outcome_name(enum admission_outcome outcome)
{
    static const char *const names[] = {"patched", "untouched", "allowed", "denied"};

    return names[outcome];
}
