/*
 * cluster_names.h: what FKS calls in a cluster what usually has AWS's names (fargate/names.h). Where it was installed with
 * others, the ConfigMap of the webhook's registration says so; local clusters have none, and use the usual ones.
 */
#pragma once

#include "fargate/names.h"
#include "kube/client.h"

struct cluster_names {
    struct fargate_names names;
    struct json *config; /* private: what the names are borrowed from */
};

/* Whoever may not see the ConfigMap gets the usual names. */
int cluster_names_read(struct kube_client *client, struct cluster_names *ret, struct err *err) MUST_CHECK;
void cluster_names_done(struct cluster_names *names);
DEFINE_CLEANUP_IN_PLACE(struct cluster_names, cluster_names_done)
