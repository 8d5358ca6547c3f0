/*
 * volumes.h: persistent volume claims of pods that wait. The claims and volumes of the cluster are watched from the first
 * pod on that has one; a change wakes the pods that wait.
 */
#pragma once

#include "scheduler.h"

/*
 * drivers gets the CSI drivers that the volumes need on their host. Looks at all claims of the pod. CLAIM_USABLE also for a pod without claims; else why lists what is wrong. CLAIM_WAITS
 * also while the first lists are under way.
 */
enum claim_verdict volumes_check(struct scheduler *scheduler, const struct json *pod, struct strv *drivers,
                                 struct buf *why);
