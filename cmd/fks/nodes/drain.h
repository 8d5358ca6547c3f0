/*
 * drain.h: between drain.c, which empties nodes, and drain_filter.c, which decides about each pod.
 */
#pragma once

#include "nodes/cordon.h"

struct drain {
    struct cordon cordon;
    bool force, ignore_daemonsets, delete_emptydir, disable_eviction;
    int64_t grace_period_s, timeout_ms, skip_wait_s; /* grace period below 0: the pod's own; timeout 0: none */
    const char *pod_selector;
};

/* The pods of a node that are to go, and what there is to say about the others. {0} is valid and empty. */
struct drain_pods {
    struct json *going;   /* array of pods */
    struct json *notices; /* message → array of "namespace/name", about pods that go or stay all the same */
    struct json *refusals; /* the same for pods that must not go: the drain cannot be done */
};
void drain_pods_done(struct drain_pods *pods);
DEFINE_CLEANUP_IN_PLACE(struct drain_pods, drain_pods_done)

/* Lists the node's pods and sorts them. ERR_INVALID with everything that is in the way. */
int drain_find_pods(const struct drain *drain, const char *node, struct drain_pods *ret, struct err *err) MUST_CHECK;
/* A pod whose deletion began so long ago that it is not waited for any more. */
bool drain_is_given_up(const struct drain *drain, const struct json *pod);
/* "message: ns/a, ns/b; other message: ns/c". */
void drain_notices_text(const struct json *notices, struct buf *out);
