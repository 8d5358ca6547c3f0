/*
 * claims.h: may a pod's persistent volume claim be used on Fargate? Network file systems that were made beforehand (NFS,
 * EFS) may; disks that are attached to one machine may not. Pure: the objects are the caller's to find.
 */
#pragma once

#include "data/json.h"

enum claim_verdict {
    CLAIM_USABLE,
    CLAIM_WAITS,   /* not there, or not bound yet: time may help */
    CLAIM_REFUSED, /* bound to what cannot be used */
};

/* volume: its name in the pod; claim, bound: the objects, or NULL when they do not exist. why: in Fargate's words. */
enum claim_verdict claim_check(const char *volume, const char *claim_name, const struct json *claim,
                               const struct json *bound, struct buf *why);
/* The claim's name if this entry of spec.volumes is a claim, else NULL. */
const char *claim_of_volume(const struct json *volume);
