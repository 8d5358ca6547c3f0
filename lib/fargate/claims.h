/*
 * claims.h: may a pod's persistent volume claim be used on Fargate? Network file systems that were made beforehand (NFS,
 * EFS) may, and volumes of CSI drivers on hosts that have these; disks that are attached to one machine may not. Pure: the objects
 * are the caller's to find.
 */
#pragma once

#include "base/str.h"
#include "data/json.h"

enum claim_verdict {
    CLAIM_USABLE,
    CLAIM_WAITS,   /* not there, or not bound yet: time may help */
    CLAIM_REFUSED, /* bound to what cannot be used */
};

/* volume: its name in the pod; claim, bound: the objects, or NULL when they do not exist. why: in Fargate's words. */
enum claim_verdict claim_check(const char *volume, const char *claim_name, const struct json *claim,
                               const struct json *bound, struct buf *why);
/*
 * Adds the CSI driver that an entry of spec.volumes needs on its host, once: of the volume itself, or of the PersistentVolume behind
 * its claim (or NULL).
 */
void claim_drivers(const struct json *volume, const struct json *bound, struct strv *drivers);
/* The claim's name if this entry of spec.volumes is a claim, else NULL. */
const char *claim_of_volume(const struct json *volume);
