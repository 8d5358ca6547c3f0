/*
 * cluster.h: a local cluster as a folder: what it is (cluster.json), where everything lies, which addresses it has.
 *
 *   $FKS_HOME/clusters/NAME/          0700; FKS_HOME is ~/.fks unless set
 *     cluster.json                    this struct; written once the cluster's addresses are chosen
 *     pki/  kubeconfig/               keys and connection files of the components, 0600
 *     etcd/  logs/                    the control plane's data and every process's log
 *     hosts/host-1/                   containerd, CNI and fks-node state of one host
 *     supervisor.pid                  locked by the running supervisor
 *     prepared                        its types, RBAC and first profiles are in the API: FKS's programs may start
 *     unfinished                      "creating" or "deleting", until that is done
 *     lock                            locked by the command that changes the cluster (claim.h)
 *
 * The network of cluster number I (0..127), chosen so that it overlaps no route of the machine:
 *   bridge fksI-br 10.201.I.0/24: .1 control plane, .10+n host n · pods 10.202-209 as a /20, a /24 a host · services
 *   10.210-217 as a /20.
 */
#pragma once

#include "base/str.h"
#include "data/json.h"
#include "kube/client.h"

#define CLUSTER_PREPARED "prepared"
#define CLUSTER_UNFINISHED "unfinished"
#define CLUSTER_MAX 128      /* clusters on one machine */
#define CLUSTER_HOSTS_MAX 16 /* hosts of one cluster: pod /24s in its /20 */

enum cluster_host_kind {
    CLUSTER_HOST_FARGATE, /* fks-node: a Node for each pod */
    CLUSTER_HOST_KUBELET, /* an ordinary node */
};

struct cluster_host {
    char *name; /* "host-1"; for ordinary nodes the Node's name */
    int number; /* 1.. : address, pod range, interface names */
    enum cluster_host_kind kind;
    char *zone;
    char *nodegroup; /* of an ordinary node, else NULL */
};

struct cluster {
    char *name, *region, *version; /* version: Kubernetes', "v1.36.3" */
    char *home;                    /* folder of this cluster */
    char *assets;                  /* folder of the control plane programs */
    char *kubeconfig;              /* file that got the context, or NULL */
    char *created;                 /* RFC 3339 */
    char *pod_validation;          /* of fks-webhook: "Warn", "Enforce"; NULL: its default */
    char *webhook_failure_policy;  /* "Fail" or "Ignore"; NULL: as the manifest says */
    char *host_cpu, *host_memory;  /* what each host offers to pods; NULL: what the machine has */
    char *runtime_handlers;        /* beside runc: "NAME=TYPE,..." for containerd; NULL: none */
    int number;                    /* I */
    int api_port, etcd_port, etcd_peer_port, manager_port, scheduler_port, webhook_port;
    int metrics_port;              /* of fks-scheduler */
    struct cluster_host *hosts;
    size_t n_hosts, cap_hosts;
};

/* ERR_NOT_FOUND "cluster 'x' not found: ..." */
int cluster_load(const char *name, struct cluster *ret, struct err *err) MUST_CHECK;
int cluster_load_from(const char *home, struct cluster *ret, struct err *err) MUST_CHECK;
int cluster_save(const struct cluster *cluster, struct err *err) MUST_CHECK;
/* Names of all clusters, sorted; an absent home gives none. */
int cluster_list(struct strv *ret, struct err *err) MUST_CHECK;
/* Removes the folder of all clusters when it is empty. */
void cluster_tidy_home(void);
void cluster_done(struct cluster *cluster);
struct cluster_host *cluster_add_host(struct cluster *cluster, enum cluster_host_kind kind, const char *zone,
                                      const char *nodegroup);
/* Drops the hosts of a node group. */
void cluster_remove_nodegroup(struct cluster *cluster, const char *nodegroup);

/*
 * Locks /run/fks/lock against other creates and deletes on this machine; *ret_fd is closed to unlock. The lock file goes
 * with the last cluster (cluster_lock_tidy), so a lock won on a removed file is taken again.
 */
int cluster_lock(int *ret_fd, struct err *err) MUST_CHECK;
/* Removes /run/fks when no cluster has anything there any more. */
void cluster_lock_tidy(void);

/* A path inside the cluster's folder, printf style. Heap string. */
char *cluster_path(const struct cluster *cluster, const char *format, ...) PRINTF(2, 3) MUST_CHECK;
/* The first process of a pod with a user namespace, nobody on this machine, passes through on its way to its files. */
#define CLUSTER_RUN_MODE 0711
/* /run/fks/I: sockets (short paths) and runtime state. */
char *cluster_run_path(const struct cluster *cluster, const char *format, ...) PRINTF(2, 3) MUST_CHECK;

/* --- addresses; heap strings */
char *cluster_address(const struct cluster *cluster) MUST_CHECK;                    /* 10.201.I.1 */
char *cluster_bridge_cidr(int number) MUST_CHECK;                                   /* 10.201.I.0/24 */
char *cluster_host_address(const struct cluster *cluster, int host) MUST_CHECK;     /* 10.201.I.(10+n) */
char *cluster_pod_cidr(int number) MUST_CHECK;                                      /* /20 of the cluster */
char *cluster_host_pod_cidr(const struct cluster *cluster, int host) MUST_CHECK;    /* /24 of host n */
char *cluster_service_cidr(int number) MUST_CHECK;                                  /* /20 */
char *cluster_service_address(const struct cluster *cluster, int last) MUST_CHECK;  /* .1 API server, .10 DNS */
char *cluster_server(const struct cluster *cluster) MUST_CHECK;                     /* https://10.201.I.1:PORT */
/* Interface and namespace names: fksI-br, fksI-hN. */
char *cluster_bridge(const struct cluster *cluster) MUST_CHECK;
char *cluster_netns(const struct cluster *cluster, int host) MUST_CHECK;
char *cluster_cgroup(const struct cluster *cluster) MUST_CHECK; /* fksI */

/* Names in the user's kubeconfig: NAME.REGION.fks.dev and admin@NAME.REGION.fks.dev. */
char *cluster_kubeconfig_name(const struct cluster *cluster) MUST_CHECK;
char *cluster_kubeconfig_context(const struct cluster *cluster) MUST_CHECK;

/* A blocking client with the administrator's certificate. */
int cluster_connect(const struct cluster *cluster, struct kube_client **ret, struct err *err) MUST_CHECK;

DEFINE_CLEANUP_IN_PLACE(struct cluster, cluster_done)
