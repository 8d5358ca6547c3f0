/*
 * target.h: which cluster a command means: --cluster NAME (a local or a registered cluster), else the current kubeconfig context.
 */
#pragma once

#include "cli.h"
#include "cluster/cluster.h"

struct target {
    struct kube_client *client; /* owned */
    struct cluster cluster;     /* filled for a local cluster */
    bool local;
    char *name;                 /* the cluster's name for messages */
};

/* cluster_name NULL: the current context. ERR_USAGE "--cluster must be set" when there is no context either. */
int target_connect(struct cli *cli, const char *cluster_name, struct target *ret, struct err *err) MUST_CHECK;
void target_done(struct target *target);
DEFINE_CLEANUP_IN_PLACE(struct target, target_done)
