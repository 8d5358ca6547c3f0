/*
 * place.h: which host takes a pod, and if none does, why. Pure.
 */
#pragma once

#include "hosts.h"

enum place_reason {
    PLACE_FITS,
    PLACE_GONE,     /* the host has no readable FargateHost */
    PLACE_DEAD,     /* no heartbeat */
    PLACE_NOT_READY,
    PLACE_CORDONED,
    PLACE_ZONE,     /* the profile's zones */
    PLACE_SELECTOR, /* the pod's nodeSelector or required node affinity */
    PLACE_RUNTIME,  /* lacks the runtime handler */
    PLACE_TOO_SMALL, /* smaller than the pod even when empty */
    PLACE_CPU,
    PLACE_MEMORY,
    PLACE_PODS,
    PLACE_REASONS,
};

struct place_need {
    struct fargate_size size;
    const struct strv *zones;    /* none: any */
    const char *runtime_handler; /* or NULL */
    const struct json *spec;     /* of the pod: nodeSelector, affinity */
};

struct place_result {
    const struct host *host; /* NULL: none fits */
    size_t n_hosts;          /* that have a FargateHost */
    size_t n_reason[PLACE_REASONS];
};

enum place_reason place_check(const struct host *host, const struct place_need *need, int64_t now_ms);
/* Of those that fit, the one that is least full with the pod on it; then fewest pods, then by name. */
void place_choose(const struct hosts *hosts, const struct place_need *need, int64_t now_ms, struct place_result *ret);
/* "0 of 3 hosts can take 2vCPU 4GB: 2 have not enough vCPU free, 1 is in another zone. <what to do>" */
void place_explain(const struct place_result *result, const struct place_need *need, struct buf *out);
