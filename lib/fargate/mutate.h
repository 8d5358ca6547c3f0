/*
 * mutate.h: the patch that hands a matched pod to the serverless scheduler. Pure: pod and match in, RFC 6902 patch out.
 */
#pragma once

#include "fargate/match.h"

/*
 * Fields (reference: what EKS does): spec.schedulerName, spec.priorityClassName with spec.priority (the API server's
 * Priority plugin has already written 0 and refuses one without the other) and preemptionPolicy where it is set and
 * differs, the profile label, and what the profile adds (runtimeClassName, nodeSelector, tolerations; what the
 * pod itself says there stays). A profile with a schedulerName of its own hands the pod to that scheduler and leaves its
 * priority alone. Missing maps are made. Nothing that already has the value: a second pass gives an empty patch.
 * Appended to `patch`, which is empty, as text; an empty patch is none.
 */
void fargate_mutate(const struct json *pod, const struct fargate_match *match, struct buf *patch);
