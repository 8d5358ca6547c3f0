/*
 * size.h: how large a machine a pod gets. Pure.
 * https://docs.aws.amazon.com/eks/latest/userguide/fargate-pod-configuration.html
 *
 * Request = per resource the larger of (largest single init container while the sidecars before it run) and (sum of
 * containers and sidecars), KEP-753's rule, plus pod overhead; plus 256 MiB of memory; rounded up to the table:
 * lowest vCPU row that has the CPU and whose maximum has the memory, then its smallest memory step.
 */
#pragma once

#include "data/json.h"

#define FARGATE_OVERHEAD_BYTES (256ll << 20)
#define FARGATE_STORAGE_DEFAULT_BYTES (20ll << 30)
#define FARGATE_STORAGE_MAX_BYTES (175ll << 30)

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

/* Sums a pod's spec. Limits stand in for missing requests, as the API server defaults them. ERR_PARSE for a bad quantity. */
int fargate_request_of(const struct json *pod, struct fargate_request *ret, struct err *err) MUST_CHECK;
/*
 * Rounds up. exact: the request plus overhead itself, in steps of 1m and 1 MiB, at least 10m / 32 MiB. ERR_INVALID with
 * Fargate's text "Your pod's cpu/memory requirements exceed the max Fargate configuration" when no row is large enough.
 */
int fargate_size_for(const struct fargate_request *request, bool exact, struct fargate_size *ret, struct err *err) MUST_CHECK;
/* "0.25vCPU 0.5GB" (GB means GiB), as tools parse it. */
void fargate_size_print(const struct fargate_size *size, struct buf *out);
/* Back from the annotation; storage stays at its default. */
int fargate_size_parse(const char *text, struct fargate_size *ret, struct err *err) MUST_CHECK;
