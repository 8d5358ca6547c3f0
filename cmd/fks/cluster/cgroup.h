/*
 * cgroup.h: the cgroups of a local cluster, on cgroup v1 and v2. Every process of the cluster lies below fksI: the
 * supervised programs in fksI/system (a shim that outlives containerd is still found there), containers in fksI/pods and
 * fksI/NODE. That is what lets delete find everything, also after a crash.
 */
#pragma once

#include <sys/types.h>

#include "cluster/cluster.h"

/* Makes fksI in every hierarchy, and fksI/system. */
int cgroup_make(const struct cluster *cluster, struct err *err) MUST_CHECK;
/* Makes fksI/NODE in every hierarchy: the kubelet of an ordinary node puts its pods there and does not make it itself. */
int cgroup_make_host(const struct cluster *cluster, const struct cluster_host *host, struct err *err) MUST_CHECK;
/* Moves a program (and what it starts later) into fksI/system. */
int cgroup_add(const struct cluster *cluster, pid_t pid, struct err *err) MUST_CHECK;
/* SIGKILLs the containers of one ordinary node (fksI/NODE) and removes their cgroups. */
int cgroup_kill_host(const struct cluster *cluster, const struct cluster_host *host, struct err *err) MUST_CHECK;
/* SIGKILLs everything below fksI until nothing is left (at most 10 s), then removes the cgroups. */
int cgroup_kill(const struct cluster *cluster, struct err *err) MUST_CHECK;
