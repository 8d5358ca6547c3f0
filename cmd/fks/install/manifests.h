/*
 * manifests.h: the files under manifests/ that a cluster is made of, inside the program, so that fks needs no data folder.
 */
#pragma once

#include "base/str.h"

struct manifest {
    const char *name; /* for messages: path below manifests/ */
    struct str text;
};

enum manifest_set {
    MANIFESTS_BASE,    /* namespace, CRDs, RBAC: before anything of FKS can work */
    MANIFESTS_WEBHOOK, /* registration; url and caBundle are filled in */
    MANIFESTS_COREDNS, /* the Service's clusterIP is filled in */
    MANIFESTS_INSTALL_EKS, /* the same with names that leave AWS's alone */
    MANIFESTS_INSTALL, /* everything for a cluster that is there already, as the chart renders it */
    MANIFESTS_INSTALL_HOSTS, /* what is added to that for hosts that run pods */
};

/* Ends with a NULL name. */
const struct manifest *manifests_of(enum manifest_set set);
