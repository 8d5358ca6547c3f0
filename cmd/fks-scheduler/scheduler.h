/*
 * scheduler.h: what the parts of fks-scheduler share: the watches, the pods and the queues. Everything is rebuilt from
 * lists at the start; nothing that matters is only here.
 */
#pragma once

#include "base/loop.h"
#include "base/metrics.h"
#include "data/share.h"
#include "fargate/claims.h"
#include "fargate/hosts.h"
#include "fargate/place.h"
#include "fargate/spread.h"
#include "kube/client.h"
#include "kube/event.h"
#include "kube/watch.h"
#include "leader.h"
#include "profiles.h"
#include "queue.h"

#define SCHEDULER_MAX_CALLS 32 /* under way at a time: more make the API server no faster, and each needs a connection */
#define SCHEDULER_MAX_ASKING 256 /* pods that have chosen a host and wait for its book, or for a call */
#define SCHEDULER_IDLE_CALLS 8 /* with no more than these, there is time to tell people what was done */

enum pod_stage {
    POD_NEW,
    POD_WAITING,  /* needs a host */
    POD_RESERVED, /* has the label of its host; its Node is being made there */
    POD_BOUND,    /* runs on its Node */
    POD_ENDED,    /* Succeeded or Failed: its capacity is free, whatever becomes of the object */
};

struct pod {
    struct scheduler *scheduler;
    char *key, *namespace, *name, *uid; /* in one piece of memory with the struct */
    char *text;            /* the object, while the pod is not bound: a tree would take four times the memory */
    bool plain;            /* nothing in its spec but its size has a say in where it goes */
    struct shared *labels; /* or NULL */
    enum pod_stage stage;
    uint64_t version;        /* newest resourceVersion known, by watch or by our own writes */
    bool asking;             /* for an entry in the book of the host whose room it holds; see ledger.h */
    uint64_t asked_version;  /* that the entry names */
    struct reservation held; /* counted on a host, also while the PATCH that says so is under way */
    char *host;              /* value of FKS_HOST_LABEL, or NULL */
    bool deleting;           /* has a deletionTimestamp */
    bool binding_made;       /* the API server took our binding; the watch has yet to say so */
    struct profile *profile; /* that it is counted in, or NULL */
    enum profile_count counted;
    bool counted_refused;    /* in the profile's number of refused pods */
    bool losing;             /* its host is dead: it is being failed and deleted */
    int64_t evict_after_ms;  /* the next try to evict it, by the loop's clock; 0: at once */
    struct queue_item place_item, bind_item, tell_item;
    bool tell_logging, tell_scheduled; /* events that wait until there is nothing more urgent */
    struct kube_call *call;        /* reservation, release or binding under way: one at a time */
    struct kube_call *report_call; /* condition */
    /* what it needs, kept until the pod or a rule changes */
    uint64_t need_rules; /* scheduler.rules when it was worked out; 0: not */
    struct fargate_size size;
    const char *refusal_reason; /* condition reason when it cannot be placed as it is, or NULL; static text */
    char *refusal;              /* and why, or NULL */
    /* what was last reported */
    char *report_text;
    int64_t report_ms;
    /* for metrics, by the loop's clock: when it was first seen waiting, given a host, and its Node was Ready; 0: not seen */
    int64_t waiting_ms, reserved_ms, node_ms;
};

struct node { /* a Node that fks-node made for a pod */
    struct scheduler *scheduler;
    char *name, *host, *pod_uid; /* in one piece of memory with the struct */
    char *uid, *pod_key;         /* of the Node itself; "namespace/name" of its pod */
    bool ready;
    int64_t orphan_ms;   /* since when its pod is not to be seen, by the loop's clock; 0: it is */
    struct kube_call *call; /* of sweep.c, or NULL */
};

struct scheduler_options {
    struct fargate_names names; /* texts borrowed */
    const char *identity;     /* of this replica; NULL: no leader election */
    enum place_policy policy;
};

struct scheduler {
    struct loop *loop;
    struct kube_client *client;
    struct kube_events *events;
    struct scheduler_options options;
    struct leader *leader;
    struct kube_watch *pod_watch, *node_watch, *host_watch, *lease_watch, *profile_watch, *runtime_watch, *book_watch;
    struct kube_watch *claim_watch, *volume_watch; /* from the first pod on that has a claim; else NULL */
    struct spreads spreads;
    struct share labels;     /* of all pods */
    struct ledger *ledger;
    struct sweep *sweep;
    struct reconcile *reconcile;
    int64_t host_ms, host_tick_ms; /* scheduler_host_ms, and when it was last moved on */
    struct hosts hosts;
    struct profiles *profiles;
    struct map pods;         /* "namespace/name" → struct pod */
    struct map pods_by_uid;  /* uid → struct pod */
    struct map nodes;        /* name → struct node */
    struct map nodes_by_pod; /* uid of the pod and host → struct node */
    struct queue to_place, to_bind, to_tell;
    uint64_t rules; /* raised when a profile or RuntimeClass changes */
    bool ready;     /* all watches have their first list */
    size_t n_calls, n_asking;
    struct loop_timer *work_timer, *wake_timer, *tell_timer;
    struct metrics *metrics;
    struct metric *decisions, *decision_seconds, *reservations, *conflicts, *bindings, *releases;
    struct metric *ledger_writes, *ledger_conflicts;
    struct metric *seconds_to_reserve, *seconds_to_node, *seconds_to_bind, *seconds_in_all;
};

int scheduler_init(struct scheduler *scheduler, struct loop *loop, struct kube_client *client,
                   const struct scheduler_options *options, struct metrics *metrics, struct err *err) MUST_CHECK;
void scheduler_done(struct scheduler *scheduler);
/* Sets the gauges; before metrics are printed. */
void scheduler_measure(struct scheduler *scheduler);

/* --- scheduler.c, for the parts */
/* Everything is listed, and this replica leads: it may write. */
bool scheduler_acts(const struct scheduler *scheduler);
/*
 * The clock of heartbeats: milliseconds that stand still while the API server does not answer, since hosts cannot renew
 * their Leases then either.
 */
int64_t scheduler_host_ms(const struct scheduler *scheduler);
enum host_state scheduler_host_state(const struct scheduler *scheduler, const struct host *host);
/* The pod as the watch last had it, what nobody here reads left out; a new tree; NULL once it is bound. */
struct json *scheduler_object(const struct pod *pod) MUST_CHECK;
/* Its names, as an event about it needs them; a new tree. */
struct json *scheduler_reference(const struct pod *pod) MUST_CHECK;
/* Something is due: work soon. */
void scheduler_poke(struct scheduler *scheduler);
/* Capacity or rules changed: those that wait get a try soon. */
void scheduler_wake(struct scheduler *scheduler);
/* "/api/v1/namespaces/NS/pods/NAME[/subresource]"; heap. */
char *scheduler_pod_path(const struct pod *pod, const char *subresource) MUST_CHECK;
/* Starts the pod's one call; counted until scheduler_call_done. body is taken over, or NULL. */
void scheduler_call(struct pod *pod, const char *method, const char *subresource, struct json *body,
                    const char *content_type, kube_done *done);
void scheduler_call_done(struct pod *pod);
bool scheduler_may_call(const struct scheduler *scheduler);
/* A call that is not a pod's begins or ends: +1, -1. */
void scheduler_count_call(struct scheduler *scheduler, int sign);

/* --- observe.c */
/* One state of a pod, from the watch or from an answer; one that is older than what is known is ignored. */
void observe_pod(struct pod *pod, const struct json *object);
/* Callbacks of the watches; data is the scheduler. */
void observe_pod_change(const struct json *old, const struct json *new, void *data);
void observe_node_change(const struct json *old, const struct json *new, void *data);
/* The Node that the pod's host made for it, or NULL. */
const struct node *observe_node_of(const struct pod *pod);
/* Tells all pods of a namespace to the counts behind spread constraints. */
void observe_recount(struct scheduler *scheduler, const char *namespace);
void observe_done(struct scheduler *scheduler);

/* --- measure.c */
void measure_init(struct scheduler *scheduler);
/* The pod's binding was made just now. */
void measure_bound(const struct pod *pod);
/* A pod was refused; reason: static text of a label. */
void measure_refusal(struct scheduler *scheduler, const char *reason);

/* --- decide.c */
/* One try: reserves a host, or says why not and queues the pod again. */
void decide(struct pod *pod);
