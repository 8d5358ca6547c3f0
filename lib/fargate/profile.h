/*
 * profile.h: FargateProfile objects (fks.dev/v1) as plain structs, and the one validator that the CLI, the file loader and
 * the admission server share. https://docs.aws.amazon.com/eks/latest/userguide/fargate-profile.html
 */
#pragma once

#include "base/str.h"
#include "data/json.h"
#include "fargate/names.h"

struct fargate_label {
    char *key, *value; /* both may hold * and ? */
};

struct fargate_selector {
    char *namespace; /* may hold * (any run, also empty) and ? (exactly one character) */
    struct fargate_label *labels;
    size_t n_labels;
};

enum fargate_pod_validation { /* spec.podValidation: what becomes of a pod that Fargate would refuse */
    FARGATE_VALIDATION_DEFAULT, /* as the admission server is set */
    FARGATE_VALIDATION_WARN,    /* it is created, with a warning, and waits with the reason */
    FARGATE_VALIDATION_ENFORCE, /* it is refused at once */
};

#define FARGATE_NO_QUOTA (-1) /* of a member of struct fargate_quota */

struct fargate_quota { /* the most that pods of one profile may hold at a time */
    int64_t cpu_m, mem_b, pods;
};

struct fargate_profile {
    char *name;
    struct fargate_selector *selectors;
    size_t n_selectors;
    int64_t priority;         /* spec.priority: higher wins before names are compared; default 0 */
    char *runtime_class;      /* spec.runtimeClassName, or NULL */
    char *scheduler_name;     /* spec.schedulerName: another serverless back end takes the pod; NULL: fargate-scheduler */
    struct json *node_selector; /* spec.nodeSelector, or NULL */
    struct json *tolerations;   /* spec.tolerations, or NULL */
    struct strv zones;        /* spec.zones */
    bool exact_sizing;        /* spec.sizing: Exact */
    enum fargate_pod_validation pod_validation;
    bool clamp_limits;        /* spec.limits: Clamp: those above the size are cut to it, not refused */
    struct fargate_quota quota; /* spec.quota */
    bool reconcile_pending;   /* spec.reconcilePendingPods: pods that came too early are replaced */
};

/* All profiles, immutable once made; sorted so that the first match is the one that wins. One free. */
struct fargate_profiles {
    struct fargate_profile *items;
    size_t n;
    struct fargate_index *index; /* of match.c */
    const struct fargate_names *names; /* of the cluster; borrowed; fargate_profiles_new: the usual ones */
};

/* Reads one object. ERR_INVALID with all reasons, one sentence each joined by "; ", when fargate_profile_check has any. */
int fargate_profile_read(const struct json *object, struct fargate_profile *ret, struct err *err) MUST_CHECK;
void fargate_profile_done(struct fargate_profile *profile);
/*
 * Rules: metadata.name not empty, DNS-1123 label, at most 63, not beginning with "eks-"; 1 to 5 selectors; each with a
 * namespace (DNS-1123 or glob) and at most 5 labels of label syntax or glob; no two equal selectors; known sizing;
 * node selector and tolerations that the API server takes in a pod: one that it refuses would stop every pod of the profile.
 * Texts follow the EKS API where it has one ("Fargate Profile requires at least one selector.", "Request contains
 * Selector with more than 5 Label pairs"). Adds one text for each reason; none: valid.
 */
void fargate_profile_check(const struct json *object, struct strv *reasons);

/* Takes n profiles over (the array is heap) and sorts them: priority descending, then name ascending. */
struct fargate_profiles *fargate_profiles_new(struct fargate_profile *items, size_t n) MUST_CHECK;
struct fargate_profiles *fargate_profiles_free(struct fargate_profiles *profiles);

DEFINE_CLEANUP_IN_PLACE(struct fargate_profile, fargate_profile_done)
DEFINE_CLEANUP_POINTER(struct fargate_profiles *, fargate_profiles_free)
