/*
 * admission.h: AdmissionReview (admission.k8s.io/v1) in, AdmissionReview out. Pure: bytes and a snapshot of profiles decide
 * the answer; no I/O, nothing kept. Every review is answered from itself alone, so a dry run is like any other.
 */
#pragma once

#include "fargate/match.h"

#define ADMISSION_NAME_MAX 64
#define ADMISSION_UID_MAX 40

enum admission_outcome {
    ADMISSION_PATCHED,   /* mutate: a profile took the pod */
    ADMISSION_UNTOUCHED, /* mutate: allowed as it is */
    ADMISSION_ALLOWED,   /* validate */
    ADMISSION_DENIED,    /* validate */
};

struct admission_decision { /* for metrics and logs */
    enum admission_outcome outcome;
    char profile[ADMISSION_NAME_MAX]; /* the profile that took the pod, or "" */
    char uid[ADMISSION_UID_MAX];      /* of the review, cut when it is longer than the API server's */
};

struct admission_rules {
    const struct fargate_profiles *profiles; /* NULL: none is known yet */
    const struct fargate_names *names;       /* NULL: the usual ones; profiles have theirs */
    bool enforce; /* pods that Fargate does not support are refused, where their profile does not say otherwise */
};

/*
 * Appends the response to out. ERR_PARSE or ERR_INVALID: the bytes are no review that can be answered (HTTP 400
 * with the text); nothing is appended then.
 */
int admission_mutate(const struct admission_rules *rules, const char *review, size_t len, struct buf *out,
                     struct admission_decision *ret, struct err *err) MUST_CHECK;
/*
 * FargateProfiles are checked by fargate_profile_check, and a warning names those they overlap with. Pods may not carry fks.dev/
 * keys that others than FKS wrote, nor be bound to a Fargate Node by others.
 */
int admission_validate(const struct admission_rules *rules, const char *review, size_t len, struct buf *out,
                       struct admission_decision *ret, struct err *err) MUST_CHECK;

/* "patched", "untouched", "allowed", "denied": metric labels. */
const char *admission_outcome_name(enum admission_outcome outcome);
