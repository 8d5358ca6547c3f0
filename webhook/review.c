/*
 * review.c: the envelope of every decision: an AdmissionReview (admission.k8s.io/v1) is read, and the answer written
 * straight into the output buffer.
 */
#include "review.h"

#include "base/codec.h"
#include "base/limits.h"
#include "base/mem.h"

#define REVIEW_API_VERSION "admission.k8s.io/v1"

const struct json_omit review_omit_in_metadata[] = {{.name = "creationTimestamp"}, {.name = "managedFields"}, {0}};

static void copy_cut(char *to, size_t size, const char *text)
{
    size_t len = strnlen(text, size - 1);

    memcpy(to, text, len);
    to[len] = '\0';
}

/* Also begins the decision. */
int review_read(const char *text, size_t len, const struct json_omit *omit, struct json **ret_review,
                       const struct json **ret_request, struct admission_decision *ret, struct err *err)
{
    CLEANUP(json_free) struct json *review = NULL;

    int r = json_parse_to_read_within(text, len, omit, LIMIT_REVIEW_TREE, &review, err);
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

bool review_is_kind(const struct json *request, const char *group, const char *kind)
{
    return streq(json_str(request, "kind", "kind", NULL), kind) &&
           streq(json_str_or("", request, "kind", "group", NULL), group);
}

bool review_is_operation(const struct json *request, const char *operation)
{
    return streq(json_str(request, "operation", NULL), operation);
}

int review_object(const struct json *request, const struct json **ret, struct err *err)
{
    *ret = json_get(request, "object", NULL);
    if (!json_is_object(*ret))
        return err_set(err, ERR_INVALID, "the AdmissionReview has no request.object");
    return 0;
}

/* --- writing the answer; members are opened here and closed by review_end */

void review_begin(struct buf *out, const struct json *request, bool allowed)
{
    buf_add_str(out,
                "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"" REVIEW_API_VERSION "\",\"response\":{\"uid\":");
    json_print(json_get(request, "uid", NULL), out);
    buf_add_str(out, allowed ? ",\"allowed\":true" : ",\"allowed\":false");
}

void review_end(struct buf *out)
{
    buf_add_str(out, "}}");
}

void review_add_patch(struct buf *out, const struct buf *patch)
{
    if (patch->len == 0)
        return;
    buf_add_str(out, ",\"patchType\":\"JSONPatch\",\"patch\":\"");
    base64_encode(patch->data, patch->len, out);
    buf_add_char(out, '"');
}

/* Clients show them at once (kubectl: "Warning: ..."). */
void review_add_warnings(struct buf *out, const struct strv *warnings)
{
    for (size_t i = 0; i < warnings->n; i++) {
        buf_add_str(out, i == 0 ? ",\"warnings\":[" : ",");
        json_print_text(warnings->items[i], out);
    }
    if (warnings->n > 0)
        buf_add_char(out, ']');
}

void review_deny(struct buf *out, const struct json *request, int code, const char *reason, const char *message,
                 struct admission_decision *ret)
{
    review_begin(out, request, false);
    buf_printf(out, ",\"status\":{\"code\":%d,\"reason\":\"%s\",\"message\":", code, reason);
    json_print_text(message, out);
    buf_add_char(out, '}');
    review_end(out);
    ret->outcome = ADMISSION_DENIED;
}

void review_allow(struct buf *out, const struct json *request, enum admission_outcome outcome,
                  struct admission_decision *ret)
{
    review_begin(out, request, true);
    review_end(out);
    ret->outcome = outcome;
}
