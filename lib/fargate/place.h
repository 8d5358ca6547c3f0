/*
 * place.h: which host takes a pod, and if none does, why. Pure.
 *
 * A host is refused for one reason, or fits. Of those that fit the best has, in this order: fewest pods that the pod's
 * topology spread constraints count against it, the emptiest zone, and then the emptiest (PLACE_SPREAD) or fullest
 * (PLACE_PACK) host.
 */
#pragma once

#include "fargate/hosts.h"
#include "fargate/profile.h"

#define PLACE_SPREADS_MAX 8 /* constraints of one pod that are looked at */

enum place_policy { PLACE_SPREAD, PLACE_PACK };

enum place_reason {
    PLACE_FITS,
    PLACE_GONE,     /* the host has no readable FargateHost */
    PLACE_DEAD,     /* no heartbeat */
    PLACE_NOT_READY,
    PLACE_PRESSED,
    PLACE_CORDONED,
    PLACE_ZONE,     /* the profile's zones */
    PLACE_SELECTOR, /* the pod's nodeSelector or required node affinity */
    PLACE_RUNTIME,  /* lacks the runtime handler */
    PLACE_DRIVER,   /* lacks a CSI driver */
    PLACE_TOO_SMALL, /* smaller than the pod even when empty */
    PLACE_CPU,
    PLACE_MEMORY,
    PLACE_DISK,
    PLACE_PODS,
    PLACE_UNEVEN,   /* a topology spread constraint with DoNotSchedule */
    PLACE_REASONS,
};

/* One topology spread constraint of the pod, with what it counts. */
struct place_spread {
    const char *key;          /* topologyKey */
    bool required;            /* whenUnsatisfiable: DoNotSchedule */
    int64_t max_skew, min_domains;
    const struct map *counts; /* host name → number of matching pods there, as a pointer's value */
};

struct place_need {
    struct fargate_size size;
    const struct strv *zones;    /* none: any */
    const char *runtime_handler; /* or NULL */
    const struct strv *csi_drivers; /* of the pod's volumes, or NULL */
    const struct json *spec;     /* of the pod: nodeSelector, affinity */
    const struct place_spread *spreads;
    size_t n_spreads;
    enum place_policy policy;
};

struct place_result {
    size_t n_hosts; /* that have a FargateHost */
    size_t n_reason[PLACE_REASONS];
};

/* Everything but spread constraints, which need a look at all hosts. */
enum place_reason place_check(const struct host *host, const struct place_need *need, int64_t now_ms);
/* The host, or NULL when none fits. Its cost grows with the kinds of hosts; with spread constraints, with the hosts. */
const struct host *place_choose(const struct hosts *hosts, const struct place_need *need, int64_t now_ms);
/* Asks every host, for the reasons; each, which may be NULL, is told every verdict. */
void place_survey(const struct hosts *hosts, const struct place_need *need, int64_t now_ms,
                  void (*each)(const struct host *host, enum place_reason reason, void *data), void *data,
                  struct place_result *ret);
/* "0 of 3 hosts can take 2vCPU 4GB: 2 have not enough vCPU free, 1 is in another zone. <what to do>" */
void place_explain(const struct place_result *result, const struct place_need *need, struct buf *out);
/* "has not enough vCPU free", and what may help ("" for PLACE_FITS). Static texts. */
const char *place_reason_text(enum place_reason reason);
const char *place_reason_remedy(enum place_reason reason);

struct place_usage { /* of a profile's pods that have a host */
    int64_t cpu_m, mem_b, pods;
};
/* false: the quota has no room for one more of this size; why says which member, how much of it is taken, and what to do. */
bool place_quota_allows(const struct fargate_quota *quota, const struct place_usage *used,
                        const struct fargate_size *size, struct buf *why);
