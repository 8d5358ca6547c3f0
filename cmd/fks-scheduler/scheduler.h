/*
 * scheduler.h: what the parts of fks-scheduler share: the watches, the pods and the queues. Everything is rebuilt from
 * lists at the start; nothing that matters is only here.
 */
#pragma once

#include "hosts.h"
#include "kube/client.h"
#include "kube/event.h"
#include "kube/watch.h"
#include "place.h"
#include "profiles.h"
#include "queue.h"

#include "base/loop.h"
#include "base/metrics.h"

enum pod_stage {
    POD_NEW,
    POD_WAITING,  /* needs a host */
    POD_RESERVED, /* has the label of its host; its Node is being made there */
    POD_BOUND,    /* runs on its Node */
    POD_ENDED,    /* Succeeded or Failed: its capacity is free, whatever becomes of the object */
};

struct pod {
    struct scheduler *scheduler;
    char *key, *namespace, *name, *uid;
    enum pod_stage stage;
    char *version;           /* newest resourceVersion known, by watch or by our own writes */
    struct reservation held; /* counted on a host, also while the PATCH that says so is under way */
    char *host;              /* value of FKS_HOST_LABEL, or NULL */
    bool deleting;           /* has a deletionTimestamp */
    bool binding_made;       /* the API server took our binding; the watch has yet to say so */
    struct profile *profile; /* that it is counted in, or NULL */
    enum profile_count counted;
    struct queue_item place_item, bind_item;
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
};

struct node { /* a Node that fks-node made for a pod */
    char *name, *host, *pod_uid;
    bool ready;
};

struct scheduler {
    struct loop *loop;
    struct kube_client *client;
    struct kube_events *events;
    const char *name; /* spec.schedulerName; borrowed */
    struct kube_watch *pod_watch, *node_watch, *host_watch, *lease_watch, *profile_watch, *runtime_watch;
    struct hosts hosts;
    struct profiles *profiles;
    struct map pods;         /* "namespace/name" → struct pod */
    struct map pods_by_uid;  /* uid → struct pod */
    struct map nodes;        /* name → struct node */
    struct map nodes_by_pod; /* uid of the pod and host → struct node */
    struct queue to_place, to_bind;
    uint64_t rules; /* raised when a profile or RuntimeClass changes */
    bool ready;     /* all watches have their first list */
    size_t n_calls;
    struct loop_timer *work_timer, *wake_timer, *tick_timer;
    struct metrics *metrics;
    struct metric *decisions, *decision_seconds, *reservations, *conflicts, *bindings, *releases;
};

int scheduler_init(struct scheduler *scheduler, struct loop *loop, struct kube_client *client, const char *name,
                   struct metrics *metrics, struct err *err) MUST_CHECK;
void scheduler_done(struct scheduler *scheduler);
/* Sets the gauges; before metrics are printed. */
void scheduler_measure(struct scheduler *scheduler);

/* --- scheduler.c, for the parts */
/* The pod as the store has it; may be older than our own last write; NULL once gone. */
const struct json *scheduler_object(const struct pod *pod);
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

/* --- observe.c */
/* One state of a pod, from the watch or from an answer; one that is older than what is known is ignored. */
void observe_pod(struct pod *pod, const struct json *object);
/* Callbacks of the watches; data is the scheduler. */
void observe_pod_change(const struct json *old, const struct json *new, void *data);
void observe_node_change(const struct json *old, const struct json *new, void *data);
/* The Node that the pod's host made for it, or NULL. */
const struct node *observe_node_of(const struct pod *pod);
void observe_done(struct scheduler *scheduler);

/* --- decide.c */
/* One try: reserves a host, or says why not and queues the pod again. */
void decide(struct pod *pod);
