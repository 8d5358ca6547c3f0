/*
 * review.h: AdmissionReviews read and answered, for admission_mutate.c and admission_validate.c. Pure.
 */
#pragma once

#include "admission.h"
#include "base/buf.h"
#include "data/json.h"

/* What no decision looks at in the metadata of any object; both endpoints leave it out. */
extern const struct json_omit review_omit_in_metadata[];

/*
 * The tree is only read and owned by the caller; *ret_request is borrowed from it. Also begins the decision. ERR_PARSE or
 * ERR_INVALID: these bytes are no review.
 */
int review_read(const char *text, size_t len, const struct json_omit *omit, struct json **ret_review,
                const struct json **ret_request, struct admission_decision *ret, struct err *err) MUST_CHECK;
bool review_is_kind(const struct json *request, const char *group, const char *kind);
bool review_is_operation(const struct json *request, const char *operation);
/* request.object; ERR_INVALID without one. */
int review_object(const struct json *request, const struct json **ret, struct err *err) MUST_CHECK;

/* The answer: begin, any of the adds, end. */
void review_begin(struct buf *out, const struct json *request, bool allowed);
void review_add_patch(struct buf *out, const struct buf *patch); /* nothing for an empty one */
void review_add_warnings(struct buf *out, const struct strv *warnings); /* nothing for none */
void review_end(struct buf *out);

/* Whole answers. reason: of metav1.Status ("Forbidden"). */
void review_allow(struct buf *out, const struct json *request, enum admission_outcome outcome,
                  struct admission_decision *ret);
void review_deny(struct buf *out, const struct json *request, int code, const char *reason, const char *message,
                 struct admission_decision *ret);
