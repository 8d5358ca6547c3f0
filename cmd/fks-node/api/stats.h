/*
 * stats.h: what a pod uses, for metrics-server, `kubectl top`, Prometheus and dashboards. The Node of a pod is the pod's
 * machine, so a Node's figures are those of the pod.
 */
#pragma once

#include "agent.h"
#include "host/cgroups.h"
#include "net/server.h"

struct pod;

enum stats_page {
    STATS_SUMMARY,  /* /stats/summary, JSON; ?only_cpu_and_memory=true leaves the rest out */
    STATS_RESOURCE, /* /metrics/resource, what metrics-server reads */
    STATS_CADVISOR, /* /metrics/cadvisor: the series that dashboards use */
};

/* Answers the request, after asking the runtime. */
void stats_serve(struct server_request *request, struct pod *pod, enum stats_page page);

struct stats_network { /* of the pod's own interface */
    bool known;
    int64_t received_b, receive_errors, receive_dropped, received_packets;
    int64_t sent_b, send_errors, send_dropped, sent_packets;
};
struct stats_figures {
    bool known;
    struct cgroups_figures of;
};
struct stats_view { /* everything that a page is made of */
    const struct pod *pod;
    const struct cri_stats *containers;
    size_t n_containers;
    struct stats_figures *figures, pod_figures; /* of each of containers, or NULL, and of the pod: not for STATS_RESOURCE */
    struct cgroups_usage use;
    bool has_use;
    bool brief; /* CPU and memory only: STATS_SUMMARY */
    struct stats_network network;
    const char *machine;       /* labels that tell one machine from another; or NULL */
    const char *sandbox_image; /* or NULL */
    int64_t now_ns;
};
/*
 * The container of the pod that a figure of the runtime is about; NULL: none that runs. The runtime lists init containers
 * that have ended, too, without CPU and memory; metrics-server leaves out a whole pod that has such a container.
 */
const struct pod_container *stats_container(const struct stats_view *view, const struct cri_stats *stats);

/* --- stats_pages.c, stats_series.c: the texts; pure */
void stats_summary(const struct stats_view *view, struct buf *out);
void stats_resource(const struct stats_view *view, struct buf *out);
void stats_cadvisor(const struct stats_view *view, struct buf *out);
/* The line of eth0 in a /proc/PID/net/dev. */
void stats_network_parse(const char *text, struct stats_network *ret);
