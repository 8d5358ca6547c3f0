/*
 * pod.h: one pod and the state machine that runs it.
 *
 * pod_sync compares what is wanted (the API object) with what is (records of the runtime's answers) and starts
 * whatever comes next; every completion, every change of the object and every look at the runtime leads to pod_sync
 * again. Nothing is remembered that could not be found out anew, so the agent may be killed at any moment. The
 * steps live in
 *     pod.c             what is wanted, life and end of the struct
 *     pod_sandbox.c     cgroup, sandbox, address
 *     pod_images.c      images of the containers
 *     pod_volumes.c     objects, tokens, volumes
 *     pod_mounts.c      network file systems
 *     pod_csi.c         volumes of CSI drivers
 *     pod_containers.c  which container comes next; create, start
 *     pod_records.c     what the runtime says about containers
 *     pod_kill.c        stopping one container
 *     pod_end.c         stopping all, deletion, cleaning up
 *     pod_resize.c      changes of requests and limits
 *     pod_restart.c     all containers anew, because one asks for it
 *     pod_update.c      the status patch
 * All but main entries are called by these files only.
 */
#pragma once

#include "agent.h"
#include "backoff.h"
#include "fargate/size.h"
#include "spec/podspec.h"
#include "status/podstatus.h"
#include "volumes/volumes.h"

struct node;
struct pod;
struct probes;
struct action;
struct fetch;
struct mounting;

struct pod_rate { /* how fast CPU time grew between the latest two looks */
    int64_t time_ns, cpu_ns, nano_cores;
};

struct pod_volume_use { /* of a volume on the host's disk */
    char *name;
    int64_t used_b, inodes;
};

enum pod_container_kind { POD_CONTAINER_MAIN, POD_CONTAINER_INIT, POD_CONTAINER_SIDECAR, POD_CONTAINER_EPHEMERAL };

enum pod_image_state {
    POD_IMAGE_UNKNOWN, /* not looked for since the last start */
    POD_IMAGE_BUSY,    /* a call is under way */
    POD_IMAGE_READY,
    POD_IMAGE_FAILED, /* waiting_reason says why; tried again when the back-off is over */
};

enum pod_kill_state {
    POD_KILL_NONE,
    POD_KILL_PRE_STOP, /* the hook runs */
    POD_KILL_STOPPING, /* StopContainer is under way or about to be tried again */
};

struct pod_container {
    struct pod *pod;
    char *name;
    enum pod_container_kind kind;
    const struct json *spec; /* in pod->object; NULL while the object is not known */

    struct cri_container *current;        /* latest attempt; NULL: none was ever made */
    struct cri_container *last;           /* the one before, or NULL */
    bool current_known, last_known;       /* by ContainerStatus; a list tells neither exit code nor times */
    char *current_message, *last_message; /* termination messages; NULL until ended */
    int64_t current_ms;                   /* loop time of the latest knowledge about current */
    int64_t ended_ms;                     /* loop time at which current ended */
    bool seen, last_seen;                 /* scratch of pods_observe_containers: current and last are in the list */
    int n_queries;                        /* ContainerStatus calls under way */
    bool current_message_read;            /* the end of current was dealt with */
    bool removing;                        /* an attempt older than last is being removed */
    bool last_removed;                    /* the runtime does not have last any more */
    bool restarted;                       /* removed with all others; last tells how it ended */
    int64_t removed_ms;                   /* loop time of that: older lists do not know */

    bool lost;               /* it runs, but the runtime does not list it */
    bool busy;               /* create, start or removal is under way */
    bool created_here;       /* current was made by this process, and it heard of it */
    bool started_here;       /* current was started by this process, not adopted */
    bool start_failed;       /* the runtime told this process that current cannot be started */
    bool probing;            /* hook and probes of current were begun */
    bool recalled;           /* ready and startup_done say what an earlier agent found, or what the probes say */
    bool post_start_pending; /* the hook runs: not ready yet */
    struct backoff failure;  /* of making or starting it */
    uint32_t next_attempt;   /* of the one that is being made */
    struct action *post_start;
    struct backoff restart;
    char *waiting_reason, *waiting_message;

    struct pod_rate rate;
    int64_t logs_b, layer_b; /* on disk: logs, and what the container wrote to its own file system */

    struct json *resources;  /* in force since creation or the latest resize; NULL: not recalled yet */
    struct json *creating;   /* what the one under way is created with */
    struct json *resizing;   /* what a resize under way leads to */
    bool restart_wanted;     /* stopped, because a resize or another image asks for a new start */

    enum pod_image_state image_state;
    struct backoff image_backoff;
    struct cri_image *image;
    size_t pull_secret; /* which credential is tried */
    int64_t pull_ms, pull_begun_ms; /* loop time at which the pull was asked for, and at which it began */

    struct probes *probes; /* NULL: none running */
    int64_t probe_results[3][3]; /* by enum probe_kind and: failed, successful, unknown */
    bool startup_done, ready;

    enum pod_kill_state kill;
    struct action *pre_stop;
    int64_t stop_deadline_ms; /* loop time at which the runtime was told to kill */
    int n_stops;              /* StopContainer calls under way */
    bool stop_failed;         /* the latest failed: try again */
    int64_t kill_deadline_ms; /* loop time at which hook and grace are over */
};

struct pod {
    struct agent *agent;
    char *uid, *namespace, *name;
    struct json *object;      /* newest state known; NULL: only its remains are known */
    int64_t version;          /* resourceVersion of object */
    int64_t seen_ns;          /* wall clock when it was first seen */
    int64_t start_ms;         /* loop time of status.startTime, once start_known */
    bool start_known;
    bool in_watch;            /* the watch has it */
    bool gone;                /* proven: no object of this UID exists any more */
    bool asking;              /* the proof is under way */
    struct fargate_size size; /* {0} until known */

    struct loop_timer *timer; /* the next pod_sync */
    int64_t due_ms;           /* when it comes, on the loop's clock */
    int64_t ask_ms;           /* not before this loop time is the API server asked again */
    int n_calls;              /* operations under way; the struct lives until there are none */
    struct backoff retry;     /* after failures that are nobody's fault */
    bool stopped_being_ours;  /* bound to somebody else's Node */

    /* sandbox */
    char *cgroup; /* path for the runtime */
    bool cgroup_made, cpu_limited;
    struct cri_sandbox *sandbox; /* latest attempt, or NULL */
    struct strv old_sandboxes;   /* ids of earlier attempts */
    int64_t sandbox_ms;          /* loop time of the latest knowledge */
    bool sandbox_busy, address_busy, old_busy;
    bool hosts_written;
    char *address; /* of the current sandbox, or NULL */
    struct podspec_sandbox *sandbox_spec;
    struct cri_id_range user_ids; /* of its user namespace; length 0: none, or not known yet */
    char *runtime_handler; /* NULL: not looked up yet; "": the default */
    bool handler_busy;

    /* node */
    struct node *node; /* owned by nodes.c; NULL: none */

    /* containers: pointers stay valid for the pod's life */
    struct pod_container **containers;
    size_t n_containers, cap_containers;

    /* volumes */
    struct volumes_needs needs;
    bool needs_known;
    struct map objects;           /* "ConfigMap/x" → struct json * */
    struct map tokens;            /* → char * */
    struct map token_due;         /* token key → int64_t *: loop time of its renewal */
    struct fetch *fetches;        /* under way, private to pod_volumes.c */
    int n_fetches, n_token_calls; /* how many of them are for objects and for tokens */
    bool fetched, tokens_fetched, volumes_ready;
    bool fetch_failed;    /* one of those under way */
    bool fetch_denied;    /* and that because the API server refused it to the Node */
    bool volumes_changed; /* something was fetched that is not on disk yet */
    struct backoff fetch_backoff;
    struct mounting *mounting; /* a mount program runs; private to pod_mounts.c; or NULL */
    struct backoff mount_backoff;
    struct pod_container **volume_images; /* images of image volumes, which come the way of a container's */
    size_t n_volume_images, cap_volume_images;
    int64_t refresh_ms; /* loop time of the next refresh; 0: as soon as possible */

    /* resize */
    const char *resize_pending;          /* static: "Infeasible", or NULL */
    char *resize_message, *resize_error; /* why; of the latest that failed */
    bool resize_going;

    bool restarting; /* all containers are being stopped and removed, to start anew */

    /* use */
    struct pod_rate rate;
    struct pod_volume_use *volume_use; /* as of disk_ns */
    size_t n_volume_use;
    int64_t disk_ns; /* wall clock of the latest measurement of disk; 0: none yet */

    /* status */
    bool patching;
    struct backoff patch_backoff;
    const char *failed_reason; /* static: the agent ended the pod; or NULL */
    char *failed_message;

    /* end */
    bool ending;         /* containers are being stopped for good */
    int64_t end_ms;      /* loop time at which the grace period is over; 0: not ending */
    int64_t end_grace_s; /* the grace period that led to it */
    bool seen_deleted;   /* the object was being deleted when it was first seen */
    bool sandbox_stopped;
    bool deleting;           /* DELETE with grace 0 is under way */
    int64_t delete_again_ms; /* loop time: finalizers may keep the object after a DELETE */
    bool volumes_down, cgroup_down, node_down;
};

/* --- pod.c */
struct pod *pod_new(struct agent *agent, const char *uid, const char *namespace, const char *name);
struct pod *pod_free(struct pod *pod);
/* A newer object (an older one is ignored). Wakes the pod. */
void pod_set_object(struct pod *pod, const struct json *object);
/* The watch no longer has it: asks for proof. */
void pod_missing(struct pod *pod);
/* pod_sync on the next turn, or in delay_ms unless it comes earlier anyway. */
void pod_wake(struct pod *pod);
void pod_wake_in(struct pod *pod, int64_t delay_ms);
/* Not within the delay after a failure. */
bool pod_may_try(const struct pod *pod);
int64_t pod_now(const struct pod *pod);
/* Around every asynchronous operation. pod_call_done wakes the pod. */
void pod_call_begin(struct pod *pod);
void pod_call_done(struct pod *pod);
/* A failure: the pod's steps are tried again after a growing delay; pod_retry_over ends that. */
void pod_retry_over(struct pod *pod);
void pod_retry_later(struct pod *pod, const char *what, const struct err *err);
/* "namespace/name", for logs; borrowed until the next call. */
const char *pod_title(const struct pod *pod);
void pod_event(struct pod *pod, const char *type, const char *reason, const char *format, ...) PRINTF(4, 5);
/* About one of the pod's containers (of the pod, for the image of a volume). */
void pod_container_event(struct pod_container *container, const char *type, const char *reason, const char *format, ...)
    PRINTF(4, 5);
bool pod_is_deleted(const struct pod *pod);
bool pod_is_bound(const struct pod *pod);
struct pod_container *pod_container_get(struct pod *pod, const char *name);
/* The image of an image volume, for pod_image_sync; its spec names image and policy as a container's does. */
struct pod_container *pod_volume_image(struct pod *pod, const struct json *volume);
const char *pod_node_name(const struct pod *pod);
void pod_context(struct pod *pod, struct podspec_context *ret);
void pod_downward(struct pod *pod, struct downward_context *ret);

/* Ends the pod: Failed, reason Evicted. message (heap) is taken over. */
void pod_evict(struct pod *pod, char *message);

/* --- pod_sandbox.c */
/* True once the sandbox runs and has an address. */
bool pod_sandbox_sync(struct pod *pod);
void pod_sandbox_observed(struct pod *pod, const struct cri_sandbox *const *items, size_t n, int64_t asked_ms);
void pod_limit_cpu(struct pod *pod);

/* --- pod_images.c */
/* True once the image is there; else waiting_reason tells. */
bool pod_image_sync(struct pod_container *container);

/* --- pod_volumes.c */
/* Starts and repeats fetching; true once everything is on disk. */
bool pod_volumes_sync(struct pod *pod);
/* --- pod_mounts.c */
/* Mounts the pod's network file systems, one after the other; true when all are mounted. */
bool pod_mounts_sync(struct pod *pod);
void pod_mounts_done(struct pod *pod);
/* --- pod_csi.c */
/* Looks for drivers and for what an earlier agent left with them; once, before the first pod. */
void pod_csi_start(struct agent *agent);
/* Brings the pod's CSI volumes up; true when all are. */
bool pod_csi_sync(struct pod *pod);
/* Takes them down; true when none is left. */
bool pod_csi_down(struct pod *pod);
/* A driver wants volumes of the pod published again. */
bool pod_csi_is_stale(const struct pod *pod);
/* --- pod_volumes.c */
/* Objects were asked for, as far as pulling images needs any. */
bool pod_objects_known(const struct pod *pod);
/* A container misses an object or key: looks again soon. */
void pod_volumes_refresh_in(struct pod *pod, int64_t delay_ms);
void pod_volumes_done(struct pod *pod);

/* --- pod_containers.c */
enum pod_progress {
    POD_PROGRESS_GOING,   /* something runs or will run */
    POD_PROGRESS_THROUGH, /* nothing is left to run: Succeeded or Failed */
};
/* What containers the pod still has to run; starts nothing. */
enum pod_progress pod_containers_progress(const struct pod *pod);
void pod_containers_sync(struct pod *pod);
/* Hooks and probes of what runs; needs the pod's address and nothing else. */
void pod_containers_attend(struct pod *pod);
/* Images that will be needed, before anything else is ready. */
void pod_containers_prepare(struct pod *pod);
bool pod_container_runs(const struct pod_container *container);
/* Its latest start was broken off by the death of an earlier agent: no run of the container, so it does not count. */
bool pod_container_broke_off(const struct pod_container *container);
void pod_container_wait(struct pod_container *container, const char *reason, const char *message);
/* The record is of a container in the pod's current sandbox. */
bool pod_container_is_here(const struct pod_container *container);

/* --- pod_records.c */
void pod_container_observed(struct pod_container *container, const struct cri_container *item, int64_t asked_ms);
/* After all items of a list: what it did not have, the runtime does not have any more. */
void pod_container_listed(struct pod_container *container);
/*
 * A container that an earlier agent told the API server of, and that the runtime does not list, runs nevertheless: taken as
 * current.
 */
bool pod_container_find_lost(struct pod_container *container);
/* current becomes last; without current nothing happens. */
void pod_container_shift(struct pod_container *container);
/* How long it ran; 0 when it never started. */
int64_t pod_container_ran_ms(const struct cri_container *record);
/* ContainerStatus of id (current or last); then the pod wakes. */
void pod_container_query(struct pod_container *container, const char *id);

/* --- pod_kill.c */
/* Stops one container with hooks and grace; for failed probes and hooks too. */
void pod_container_kill(struct pod_container *container, int64_t grace_s, const char *format, ...) PRINTF(3, 4);
void pod_container_kill_sync(struct pod_container *container);
int64_t pod_grace_s(const struct pod *pod);
/*
 * Seconds left of a grace period: all of grace_s for a fresh deletion, what is left until the deletion timestamp
 * (never less than a second, never more than grace_s) for one that was under way before the agent started. Pure.
 */
int64_t pod_grace_left(int64_t grace_s, int64_t deletion_wall_s, int64_t now_wall_s, bool was_under_way);

/* --- pod_end.c */
/* The API object wants the pod gone, or it is through. */
void pod_end_sync(struct pod *pod);
/* The object is gone. May free the pod. */
void pod_remains_sync(struct pod *pod);

/* --- pod_resize.c */
void pod_resize_sync(struct pod *pod);
/* The container was made with what `creating` says. */
void pod_resize_created(struct pod_container *container);

/* --- pod_restart.c */
/* A container asks that all of the pod start anew, and that is not done yet. */
bool pod_is_restarting(const struct pod *pod);
/* It ended, or was removed, for that reason alone. */
bool pod_container_is_restarting(const struct pod_container *container);
/* Goes on with it; true while no container may be started. */
bool pod_restart_sync(struct pod *pod);

/* --- pod_update.c */
/* Patches the status if it differs; true when the API object says what is true now. */
bool pod_status_sync(struct pod *pod, bool terminal);
/* The status as it is now, for /pods. */
struct json *pod_status_now(struct pod *pod) MUST_CHECK;
