/*
 * podstatus.h: the status of a pod from what the runtime reports and what the agent knows, as the kubelet writes
 * it. Pure.
 */
#pragma once

#include "base/str.h"
#include "cri/runtime.h"
#include "data/json.h"

/* About one container of the pod, of any kind; everything borrowed. */
struct podstatus_container {
    const char *name;
    const struct cri_container *current; /* its latest attempt, from cri_container_status; NULL: never created */
    const struct cri_container *last;    /* the attempt before it that exited; or NULL */
    const char *current_message;  /* termination message (file or log tail); NULL: the runtime's message */
    const char *last_message;
    /*
     * Why it is not running although it should be: "CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull",
     * "CreateContainerConfigError", "RunContainerError", ... NULL: "ContainerCreating"/"PodInitializing" for one never
     * created, the exit itself for one that ended and stays so. Ignored while it runs.
     */
    const char *waiting_reason, *waiting_message;
    bool startup_done; /* startup probe succeeded, or there is none; matters only while it runs */
    bool ready;        /* readiness probe's last result, true without one; matters only while it runs */
    uint32_t restarts; /* lower bound of restartCount; the attempt of current is taken into account */
    bool restarting;     /* ended, or removed, because another asked for a restart of all containers */
    bool starts_again;   /* it will, whatever its policy says: stopped for another image or a resize, or just made */
    bool readonly_below; /* read-only mounts that ask for it are so all the way down */
    /* what is in force, for status.resources (a resize); NULL: what its status says, else its spec */
    const struct json *resources;
};

#define POD_EVICTED "Evicted"
/* Of containers that wait, or ended, because all of the pod are restarted (KEP-5532). */
#define POD_RESTARTING "RestartingAllContainers"
#define POD_RESTARTING_MESSAGE "The container is removed because RestartAllContainers in place"

struct podstatus_facts {
    const struct cri_sandbox *sandbox; /* NULL: none */
    const char *host_ip;               /* the Node's address; NULL: unknown */
    const char *pod_ip;                /* of the sandbox; NULL: none yet (the last known one stays) */
    const struct podstatus_container *containers; /* in any order; absent containers count as never created */
    size_t n_containers;
    int64_t start_ns; /* when the agent first saw the pod; 0: now (an existing status.startTime always stays) */
    int64_t now_ns;   /* wall clock */
    /*
     * The agent ended the pod: "DeadlineExceeded", "Evicted", "OutOfpods", ...: Failed with this reason and message
     * as soon as no container runs. NULL otherwise.
     */
    const char *failed_reason, *failed_message;
    /*
     * No container runs, none will ever be started again (deleted, failed, or everything finished): makes the phase
     * Succeeded or Failed whatever the restartPolicy says. Containers of a bound pod whose turn had come and
     * whose end is not known get one (ContainerStatusUnknown, 137).
     */
    bool terminal;
    /* A resize: why it waits ("Infeasible", "Deferred"; NULL: it does not), whether one is under way, why it failed. */
    const char *resize_pending, *resize_message, *resize_error;
    bool resize_going;
    bool restarting; /* all containers are being stopped and removed, to start anew */
};

/*
 * A strategic merge patch for the status subresource: {"metadata":{"uid":...},"status":{...}}; NULL when
 * pod->status says all of it already. Conditions of others, readiness gates among them, are not touched. A pod that
 * is Succeeded or Failed stays so. The result is the caller's.
 */
struct json *podstatus_patch(const struct json *pod, const struct podstatus_facts *facts) MUST_CHECK;
/*
 * The status as it will be once the patch was applied, for /pods and for deciding what to do next; the caller's.
 */
struct json *podstatus_full(const struct json *pod, const struct podstatus_facts *facts) MUST_CHECK;

/* Every init container (but sidecars) exited with 0, every sidecar has started. */
bool podstatus_initialized(const struct json *pod, const struct podstatus_facts *facts);
/* status.phase is Succeeded or Failed. */
bool podstatus_is_terminal(const struct json *pod);
