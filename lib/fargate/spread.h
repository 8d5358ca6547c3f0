/*
 * spread.h: for topology spread constraints: how many pods of a namespace that a label selector selects each host has.
 * Counted once for each selector in use, then kept up to date pod by pod. Pure: the caller brings pods and time.
 */
#pragma once

#include "fargate/place.h"

struct spreads { /* {0} is valid and empty */
    struct map groups; /* namespace and selector → struct spread_group */
};

void spreads_done(struct spreads *spreads);
/* A pod as it is now: host NULL when it has none, is ending or is gone. labels may be NULL. */
void spreads_update(struct spreads *spreads, const char *namespace, const char *uid, const struct json *labels,
                    const char *host);
/*
 * Host name → number of pods, as a pointer's value; borrowed until the next call. *ret_new: nothing has been counted yet,
 * the caller tells all pods of the namespace by spreads_update.
 */
const struct map *spreads_counts(struct spreads *spreads, const char *namespace, const struct json *selector,
                                 int64_t now_ms, bool *ret_new);
/* The selector of a constraint: labelSelector with the values that matchLabelKeys take from the pod's own labels. */
struct json *spreads_selector(const struct json *constraint, const struct json *labels) MUST_CHECK;
/* Reads one constraint; counts as above. What ret points to is the constraint's and the group's. */
struct place_spread spreads_read(const struct json *constraint, const struct map *counts);
/* Forgets what no pod has asked for in a while. */
void spreads_expire(struct spreads *spreads, int64_t now_ms);
DEFINE_CLEANUP_IN_PLACE(struct spreads, spreads_done)
