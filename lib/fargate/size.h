/*
 * size.h: how large a machine a pod gets. Pure.
 * https://docs.aws.amazon.com/eks/latest/userguide/fargate-pod-configuration.html
 *
 * Request = per resource the larger of (largest single init container while the sidecars before it run) and (sum of
 * containers and sidecars), KEP-753's rule, or what the pod says as a whole (KEP-2837); plus pod overhead; plus 256 MiB
 * of memory; rounded up to the table: lowest vCPU row that has the CPU and whose maximum has the memory, then its
 * smallest memory step. Disk: what is asked for, a tenth more and 5 GiB, at least 20 GiB.
 */
#pragma once

#include "base/str.h"
#include "data/json.h"

#define FARGATE_OVERHEAD_BYTES (256ll << 20)
#define FARGATE_STORAGE_DEFAULT_BYTES (20ll << 30)
#define FARGATE_STORAGE_MAX_BYTES (175ll << 30) /* of the request */

struct fargate_request { /* what the pod asks for, before overhead and rounding */
    int64_t cpu_m;
    int64_t mem_b;
    int64_t storage_b; /* ephemeral */
};

struct fargate_size { /* what it gets */
    int64_t cpu_m;
    int64_t mem_b;
    int64_t storage_b;
};

struct fargate_sum { /* how a request comes about */
    struct fargate_request running;   /* containers and sidecars together */
    struct fargate_request init_peak; /* the largest moment before: an init container and the sidecars before it */
    struct fargate_request whole_pod; /* spec.resources; it stands instead of the sum where it is given */
    bool whole_pod_cpu, whole_pod_mem;
    struct fargate_request overhead;  /* of the RuntimeClass */
    struct fargate_request request;   /* the outcome */
};

/* Limits stand in for missing requests, as the API server defaults them. ERR_PARSE for a bad quantity. */
int fargate_container_request(const struct json *container, struct fargate_request *ret, struct err *err) MUST_CHECK;
/* Sums a pod's spec. ERR_PARSE for a bad quantity, ERR_TOO_BIG when a sum does not fit. */
int fargate_request_sum(const struct json *pod, struct fargate_sum *ret, struct err *err) MUST_CHECK;
/* The outcome alone. */
int fargate_request_of(const struct json *pod, struct fargate_request *ret, struct err *err) MUST_CHECK;
/*
 * Rounds up. exact: the request plus overhead itself, in steps of 1m and 1 MiB, at least 10m / 32 MiB. ERR_INVALID with
 * Fargate's text "Your pod's cpu/memory requirements exceed the max Fargate configuration" when no row is large enough.
 */
int fargate_size_for(const struct fargate_request *request, bool exact, struct fargate_size *ret, struct err *err) MUST_CHECK;
/*
 * May a pod run in this size? ERR_INVALID names the container, or the pod as a whole, whose limit is above it: its
 * cgroup could not be made, and the container would fail to start. Also the test of a resize of a running pod.
 */
int fargate_limits_check(const struct json *pod, const struct fargate_size *size, struct err *err) MUST_CHECK;
/*
 * ERR_INVALID with the reason when the pod, as resized, asks for more than the size that was provisioned for it. clamp: its
 * limits may be above it, since they are cut to it.
 */
int fargate_resize_check(const struct json *pod, const struct fargate_size *size, bool clamp,
                         struct err *err) MUST_CHECK;
/*
 * The way from a pod to its size, one line for people each: the containers, the sums, what is added, the rounding, and
 * what limits say to it. Ends early with the reason when there is no size.
 */
void fargate_size_explain(const struct json *pod, bool exact, bool clamp, struct strv *lines);
/* "0.25vCPU 0.5GB" (GB means GiB), as tools parse it. */
void fargate_size_print(const struct fargate_size *size, struct buf *out);
/* Back from the annotation; storage stays at its default. */
int fargate_size_parse(const char *text, struct fargate_size *ret, struct err *err) MUST_CHECK;
/*
 * What a pod that was given a host takes there: as its annotation says, else as its requests say; disk, which the
 * annotation leaves out, always as they say.
 */
struct fargate_size fargate_size_provisioned(const struct json *pod);
