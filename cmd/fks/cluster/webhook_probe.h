/*
 * webhook_probe.h: asking a local cluster's admission server itself, the way the API server does.
 */
#pragma once

#include "cluster/cluster.h"

/* Waits until it is ready: it has seen the profiles once. */
int webhook_probe_ready(const struct cluster *cluster, int64_t timeout_ms, struct err *err) MUST_CHECK;
/*
 * Waits until a profile that the API server has just accepted is in force: a pod made to fit its first selector is
 * reviewed until the answer carries a patch. Without this, a Deployment created right afterwards may miss the profile (the
 * fixed 30 s sleep of eksctl, PR #3615).
 */
int webhook_probe_profile(const struct cluster *cluster, const struct json *profile, int64_t timeout_ms,
                          struct err *err) MUST_CHECK;
