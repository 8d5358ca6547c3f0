/*
 * teardown.h: taking a local cluster away, whatever state it is in.
 */
#pragma once

#include "cluster/cluster.h"

/* Ends every process and container and removes mounts, interfaces, rules and runtime files; the cluster's folder stays. */
int teardown_running(const struct cluster *cluster, struct err *err) MUST_CHECK;
/* One host's share of that. */
int teardown_host(const struct cluster *cluster, const struct cluster_host *host, struct err *err) MUST_CHECK;
/* All of it and the folder. */
int teardown_all(const struct cluster *cluster, struct err *err) MUST_CHECK;
