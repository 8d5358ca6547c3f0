/*
 * names.h: the names that FKS shares with the world. Those under eks.amazonaws.com are AWS's own, because tools already
 * key on them (dashboards, cost tools, DaemonSet affinities); fks.dev is ours.
 */
#pragma once

#include "base/err.h"

/*
 * Names that on a real EKS belong to AWS: where its Fargate is in the cluster too, FKS takes others, so that each leaves the
 * other's pods and Nodes alone. What says what a Node is (FARGATE_COMPUTE_TYPE), and what opts out, stays common to both.
 */
struct fargate_names {
    const char *scheduler;     /* schedulerName of the pods that a profile takes */
    const char *profile_label; /* on them: the profile */
    const char *node_prefix;   /* of their Nodes, up to the address: "fargate-ip-" */
};
extern const struct fargate_names fargate_names_usual;
/* ERR_USAGE: one of them cannot be that. */
int fargate_names_check(const struct fargate_names *names, struct err *err) MUST_CHECK;

#define FARGATE_SCHEDULER "fargate-scheduler"
#define FARGATE_PROFILE_LABEL "eks.amazonaws.com/fargate-profile"       /* on pods: the profile that took them */
#define FARGATE_COMPUTE_TYPE "eks.amazonaws.com/compute-type"           /* node label and taint "fargate"; pod annotation "ec2" opts out */
#define FARGATE_COMPUTE_FARGATE "fargate"
#define FARGATE_COMPUTE_EC2 "ec2"
#define FARGATE_CAPACITY_ANNOTATION "CapacityProvisioned"               /* on pods: "0.25vCPU 0.5GB" */
#define FARGATE_PRIORITY_CLASS "system-node-critical"
#define FARGATE_PRIORITY 2000001000
#define FARGATE_NODE_PREFIX "fargate-ip-"                               /* fargate-ip-A-B-C-D.REGION.compute.internal */

#define FKS_GROUP "fks.dev"
#define FKS_VERSION "v1"
#define FKS_API_VERSION FKS_GROUP "/" FKS_VERSION
#define FKS_PROFILES_PATH "/apis/" FKS_API_VERSION "/fargateprofiles"
#define FKS_HOSTS_PATH "/apis/" FKS_API_VERSION "/fargatehosts"
#define FKS_PASSED_OVER_ANNOTATION "fks.dev/passed-over" /* on a pod: when a host that was kept for it was given up */
#define FKS_HOST_LABEL "fks.dev/host"             /* on pods and their Nodes: the FargateHost that runs them; set by the scheduler */
#define FKS_PREFIX "fks.dev/"                     /* labels and annotations that only FKS's own identities may set on pods */
#define FKS_POD_UID_ANNOTATION "fks.dev/pod-uid"  /* on Nodes: the pod they exist for */
#define FKS_POD_ANNOTATION "fks.dev/pod"          /* on Nodes: its namespace/name */
#define FKS_NAMESPACE "fks-system"                /* host Leases, leader Lease */
#define FKS_REGISTRATION "fks-webhook-registration" /* ConfigMap there, in clusters that fks did not make */

/* User names of the programs' certificates and the group they share. */
#define FKS_USER_WEBHOOK "system:fks:webhook"
#define FKS_USER_SCHEDULER "system:fks:scheduler"
#define FKS_USER_NODE_PREFIX "system:fks:node:"   /* + host name */
#define FKS_IDENTITIES_GROUP "system:fks"
#define FKS_SERVICE_ACCOUNTS_GROUP "system:serviceaccounts:" FKS_NAMESPACE /* the same programs where they run as pods */
#define FKS_NODES_GROUP "system:fks:nodes"        /* second group of the agents alone: manifests/rbac/node.yaml binds to it */
