/*
 * early.h: did a pod come too early? It waits for an ordinary node, but would run serverless if it were created now. Pure.
 */
#pragma once

#include "fargate/match.h"

enum early_verdict {
    EARLY_REPLACE,  /* evict it: its controller's replacement goes to the profile */
    EARLY_NOT,      /* no profile takes it, or it is placed, ending, or held back by a scheduling gate */
    EARLY_NO_OWNER, /* a profile takes it, but no controller would replace it: people must */
};

/* *ret_profile: the profile that would take it, unless EARLY_NOT; borrowed. */
enum early_verdict early_check(const struct fargate_profiles *profiles, const struct json *pod,
                               const struct fargate_profile **ret_profile);
/* The uid of its controller, or NULL. */
const char *early_owner(const struct json *pod);
