/*
 * claim.h: who may change a cluster, and whose the addresses of its number are.
 *
 * Two commands on one cluster would take each other's work down; and a number (interfaces, cgroups and addresses are named by
 * it) is a cluster's own only while it runs: a stopped one of another FKS_HOME may find it taken when it starts again.
 */
#pragma once

#include "cluster/cluster.h"

/* The folder of a new cluster can be claimed. */
int claim_prepare(const char *home, struct err *err) MUST_CHECK;
/*
 * Until this process ends or *ret_fd is closed, no other command changes the cluster in this folder; says whom it waits for.
 * ERR_NOT_FOUND: there is no such folder, or not any more.
 */
int claim_cluster(const char *home, int *ret_fd, struct err *err) MUST_CHECK;
/* Another process has it now. */
bool claim_is_held(const char *home);

/* Which numbers the clusters of this FKS_HOME have, stopped ones too. */
int claim_numbers(bool ret[CLUSTER_MAX], struct err *err) MUST_CHECK;
/* Takes the number for this cluster. ERR_EXISTS: another cluster runs with it. */
int claim_number(const struct cluster *cluster, struct err *err) MUST_CHECK;
/* The same for who has locked the machine (cluster_lock). */
int claim_number_locked(const struct cluster *cluster, struct err *err) MUST_CHECK;
