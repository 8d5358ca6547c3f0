/*
 * agent.h: what every module of fks-node shares: the settings, the loop, the connections, and pointers to the
 * parts. main.c makes one; all of it lives until the program ends.
 */
#pragma once

#include "base/loop.h"
#include "base/metrics.h"
#include "base/str.h"
#include "cri/runtime.h"
#include "kube/client.h"
#include "kube/event.h"
#include "kube/watch.h"
#include "net/tls.h"

#define AGENT_KUBELET_VERSION "v1.36.3" /* what Nodes report: some clients choose their ways by it */

struct agent_options { /* strings are borrowed from the command line */
    const char *host_name, *zone, *region;
    const char *address; /* where the API server reaches this host; the kubelet API listens on it */
    const char *node_prefix; /* as in struct fargate_names */
    const char *runtime_socket;
    const char *state_dir, *log_dir;
    const char *cluster_domain, *resolv_conf, *pod_cidr, *cgroup_root;
    struct strv cluster_dns;
    const char *csi_dir; /* sockets of CSI drivers' registrars */
    int64_t csi_timeout_s;
    bool impersonate_nodes;
    int64_t capacity_cpu_m, capacity_mem_b, capacity_pods;
    int64_t log_max_b, log_max_files;        /* a container's log is rotated at this size; files kept */
    int64_t parallel_pulls;                  /* images pulled at a time */
    int64_t image_gc_high, image_gc_low;     /* percent of the disk: unused images are removed; 100: never */
};

struct agent_system { /* of this machine, for nodeInfo; owned, never NULL */
    char *machine_id, *system_uuid, *boot_id, *kernel, *os_image, *architecture;
    bool apparmor; /* the kernel enforces its profiles */
    char *runtime_version; /* "containerd://1.6.20"; "" until the runtime answered */
};

struct agent_runtime { /* what the container runtime can, as it says itself; for Node status too */
    bool known;
    bool strict_groups;
    struct json *handlers; /* [{name, features: {userNamespaces, recursiveReadOnlyMounts}}]; NULL: it does not tell */
};

struct agent_turn;
struct agent_requests { /* agent_request.c */
    struct agent_turn *first, *last; /* those that wait */
    struct agent_turn *sent;
    size_t n_sent;
};

struct cgroups;
struct csi_drivers;
struct csi_volumes;
struct host_publisher;
struct keeper;
struct nodes;
struct pods;
struct relist;
struct action_clients;
struct api;
struct storage;
struct image_credentials;
struct image_gc;
struct image_turns;
struct log_rotation;
struct user_ids;

struct agent {
    struct agent_options options;
    struct agent_system system;
    struct agent_runtime runtime;
    char *resolv_conf; /* text of the host's */
    int64_t renewed_ns; /* private to agent_renew_ns */
    char *sandbox_image; /* as the runtime's settings name it; NULL: not known */
    struct loop *loop;
    struct kube_client *kube;
    struct agent_requests requests;
    struct kube_events *events;
    struct metrics *metrics;
    struct metric *m_pods, *m_starts, *m_start_failures, *m_pod_start;
    struct keeper *keeper;
    struct cri *cri;
    struct cgroups *cgroups;
    struct host_publisher *host;
    struct relist *relist;
    struct nodes *nodes;
    struct pods *pods;
    struct action_clients *actions;
    struct api *api;
    struct storage *storage;
    struct csi_drivers *csi_drivers;
    struct csi_volumes *csi_volumes;
    struct image_credentials *image_credentials;
    struct image_gc *image_gc;
    struct image_turns *image_turns;
    struct log_rotation *log_rotation;
    struct user_ids *user_ids;
    struct kube_watch *services; /* for service variables */
};

/* What of the API server's objects nobody here reads, a third of their bytes and more of their memory. */
extern const struct json_omit agent_omit[];
/* One request; path (heap) and body (or NULL) are taken over, method and content_type (NULL: JSON) are static. */
void agent_request(struct agent *agent, const char *method, char *path, struct json *body, const char *content_type,
                   kube_done *done, void *data);
/*
 * The same as the pod's Node (system:node:NAME), so that the API server gives no more than what that Node's pods name; as the agent
 * itself with --impersonate-nodes=false.
 */
void agent_request_as(struct agent *agent, const char *node, const char *method, char *path, struct json *body,
                      kube_done *done, void *data);
/* Those that have no answer yet are forgotten; nobody is told. After kube_client_free. */
void agent_requests_done(struct agent_requests *requests);
/* Body of a DELETE: grace period in seconds (negative: the object's own) and the uid that the object must have. */
struct json *agent_delete_options(int64_t grace_s, const char *uid) MUST_CHECK;
/* Wall clock as metav1.Time and MicroTime trees. */
struct json *agent_time(int64_t wall_ns) MUST_CHECK;
struct json *agent_time_micro(int64_t wall_ns) MUST_CHECK;
/*
 * Wall clock for a Lease's renewTime: always later than the one before. The node controller takes only a later time for a
 * sign of life, so a clock that was set back would make every Node look dead. seen_ns: a renewTime found in a Lease, or 0.
 */
int64_t agent_renew_ns(struct agent *agent, int64_t seen_ns);
/* A feature ("userNamespaces", "recursiveReadOnlyMounts") of a runtime handler; "": the default one. */
bool agent_handler_can(const struct agent *agent, const char *handler, const char *feature);
/* Reads machine id, kernel and so on. */
void agent_system_read(struct agent_system *system);
void agent_system_done(struct agent_system *system);
/* Makes the registry and the series that are counted on hot paths. */
void agent_metrics_make(struct agent *agent);
/* A failed operation, once, at warn. */
void agent_warn(const char *what, const char *object, const struct err *err);
