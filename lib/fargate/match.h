/*
 * match.h: which profile takes a pod. Pure.
 */
#pragma once

#include "fargate/profile.h"

/* `*` any run of bytes, also none; `?` exactly one UTF-8 character. Linear time in practice, never exponential. Both are UTF-8. */
bool fargate_glob(const char *pattern, const char *text);

enum fargate_verdict {
    FARGATE_MATCHED,
    FARGATE_NO_PROFILE,       /* no selector matches */
    FARGATE_OPTED_OUT,        /* annotation eks.amazonaws.com/compute-type: ec2 */
    FARGATE_DAEMONSET,        /* owned by a DaemonSet */
    FARGATE_MIRROR,           /* static pod's mirror */
    FARGATE_BOUND,            /* spec.nodeName is set already */
    FARGATE_OTHER_SCHEDULER,  /* spec.schedulerName is neither empty, default-scheduler nor that of the profiles' pods */
    FARGATE_PROFILE_UNKNOWN,  /* the profile label names a profile that does not exist or does not match */
};

struct fargate_match {
    enum fargate_verdict verdict;
    const struct fargate_profile *profile; /* borrowed; NULL unless FARGATE_MATCHED */
    size_t selector;                       /* index of the selector that matched */
    const struct fargate_names *names;     /* of the profiles */
};

/* namespace: of the request (a pod's own may be empty). A pod's profile label chooses among matching profiles. */
struct fargate_match fargate_match_pod(const struct fargate_profiles *profiles, const char *namespace,
                                       const struct json *pod);
/* One sentence for people: "no profile matches namespace 'x' and the pod's labels". Static text. */
const char *fargate_verdict_text(enum fargate_verdict verdict);
/*
 * Whether a selector matches; if not, why says what is missing: "namespace 'a' is not 'b'", "no label app=web (the pod has
 * app=db)".
 */
bool fargate_selector_explain(const struct fargate_selector *selector, const char *namespace, const struct json *labels,
                              struct buf *why);
/* Some label of the pod is the wanted one. */
bool fargate_label_matches(const struct fargate_label *wanted, const struct json *labels);
