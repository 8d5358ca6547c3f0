/*
 * bringup.h: from a cluster's description to a cluster that works: used by create (first time) and start (again).
 */
#pragma once

#include "cluster/cluster.h"

struct bringup_options {
    bool first;              /* also put CRDs, webhook, profiles and CoreDNS into the API */
    const struct json *profiles; /* array of FargateProfile objects to create; may be empty or NULL */
    const char *kubeconfig;  /* write the user's entry here as soon as the API server answers; NULL: do not */
    bool set_context;
    int64_t timeout_ms;      /* of each wait */
};

/* Networks, files, supervisor, images, API objects; returns when CoreDNS answers and every host is ready. */
int bringup(const struct cluster *cluster, const struct bringup_options *options, struct err *err) MUST_CHECK;
/* One more host in a cluster that runs: network, files, supervisor told, images. */
int bringup_host(const struct cluster *cluster, const struct cluster_host *host, struct err *err) MUST_CHECK;
/* Before anything is made: root, the programs a cluster needs. ERR_FORBIDDEN, ERR_NOT_FOUND say what to do. */
int bringup_check_machine(struct err *err) MUST_CHECK;
/* There is room on the disk of this folder, which need not exist yet. ERR_TOO_BIG says how much is wanted. */
int bringup_check_room(const char *folder, struct err *err) MUST_CHECK;
