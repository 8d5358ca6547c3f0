/*
 * kubeconfig_target.h: where the user's entry for a cluster goes.
 */
#pragma once

#include "cluster/cluster.h"

/* flag, or ~/.kube/fks/clusters/NAME with automatic, or the default file. Heap string, absolute. */
char *kubeconfig_target_path(const char *flag, bool automatic, const char *name) MUST_CHECK;
/* Takes the cluster's entry out of its file; failures are a warning. */
void kubeconfig_target_remove(const struct cluster *cluster);
