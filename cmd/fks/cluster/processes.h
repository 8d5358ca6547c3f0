/*
 * processes.h: which programs make up a local cluster, with what words they are started. Pure: cluster in, list out; the
 * supervisor runs it.
 */
#pragma once

#include "cluster/cluster.h"

enum process_gate {
    PROCESS_AT_ONCE,
    PROCESS_AFTER_API, /* once the API server is ready: upstream's programs end themselves without one */
    PROCESS_AFTER_BASE, /* once FKS's resource types and RBAC are there: earlier it would only run into back-offs */
};

struct process {
    char *name;           /* log file and messages: "kube-apiserver", "host-1-containerd" */
    struct strv argv;
    struct strv env;      /* additions */
    char *netns_path;     /* or NULL: the machine's network */
    enum process_gate gate;
    int stop_order;       /* lower ones are stopped first */
    /* a kube-proxy on a host without a Node (introduction.h); NULL otherwise */
    char *introduce_name, *introduce_address, *health_url;
};

struct process_list {
    struct process *items;
    size_t n, cap;
};

/* programs: folder of fks-webhook, fks-scheduler and fks-node. */
void processes_of(const struct cluster *cluster, const char *programs, struct process_list *ret);
void process_list_done(struct process_list *list);
DEFINE_CLEANUP_IN_PLACE(struct process_list, process_list_done)
