/*
 * pod_restart.c: a container ended in a way for which its rules ask that all of the pod's containers start anew (KEP-5532):
 * init containers first, in the same sandbox, with the same volumes. All are stopped at once, without hooks, and removed from
 * the runtime, the one that asked last: as long as the runtime has it, the restart is not over, so an agent that is killed
 * half-way needs no other memory. Afterwards none was ever made, and pod_containers.c does what it does with a new pod.
 * Ephemeral containers are left alone.
 */
#include "base/log.h"
#include "base/mem.h"

#include "host/log_rotation.h"
#include "pod/pod.h"
#include "pod/records.h"

static bool takes_part(const struct pod_container *container)
{
    return container->spec != NULL && container->kind != POD_CONTAINER_EPHEMERAL;
}

static bool is_over(const struct pod_container *container)
{
    return container->current != NULL && container->current->state == CRI_EXITED && container->current_known &&
           container->current_message_read;
}

static bool asks(const struct pod_container *container)
{
    return takes_part(container) && is_over(container) && pod_container_is_here(container) &&
           !pod_container_broke_off(container) &&
           podspec_restarts_all(container->spec, container->current->exit_code);
}

bool pod_is_restarting(const struct pod *pod)
{
    bool asked = pod->restarting;

    for (size_t i = 0; i < pod->n_containers && !asked; i++)
        asked = asks(pod->containers[i]);
    return asked;
}

bool pod_container_is_restarting(const struct pod_container *container)
{
    if (!takes_part(container))
        return false;
    if (container->current == NULL)
        return container->restarted;
    return pod_is_restarting(container->pod) && is_over(container) && !asks(container);
}

/* --- stopping */

/* Sidecars serve the others to the end. True once nothing runs, and nothing is under way that could make it so. */
static bool stop_all(struct pod *pod)
{
    bool others = false, all_stopped = true;

    for (size_t i = 0; i < pod->n_containers; i++) {
        struct pod_container *container = pod->containers[i];
        if (!takes_part(container) || container->kind == POD_CONTAINER_SIDECAR)
            continue;
        others = others || pod_container_runs(container);
        pod_container_kill(container, 0, "Stopping container %s: all containers of the pod are restarted", container->name);
    }
    for (size_t i = 0; i < pod->n_containers; i++) {
        struct pod_container *container = pod->containers[i];
        if (!takes_part(container))
            continue;
        if (!others && container->kind == POD_CONTAINER_SIDECAR)
            pod_container_kill(container, 0, "Stopping container %s: all containers of the pod are restarted",
                               container->name);
        bool ended = container->current == NULL || container->current->state == CRI_CREATED || is_over(container);
        if (!ended || container->busy || container->n_stops > 0 || container->n_queries > 0)
            all_stopped = false;
    }
    return all_stopped;
}

/* --- removal */

static void set_text(const char **text, const char *value)
{
    free((void *)(uintptr_t)*text);
    *text = xstrdup(value);
}

/* Lists that were asked for before still have it. */
static void on_removed(struct err *err, void *data)
{
    struct pod_container *container = data;
    struct pod *pod = container->pod;

    container->busy = false;
    container->removed_ms = pod_now(pod);
    if (err->code != 0 && err->code != ERR_NOT_FOUND) {
        pod_retry_later(pod, "removing a container, because all of the pod are restarted", err);
    } else if (container->last != NULL && !container->last_removed) {
        container->last_removed = true;
    } else if (container->current != NULL) {
        if (container->current->state != CRI_EXITED || pod_container_is_restarting(container)) {
            container->current->state = CRI_EXITED;
            set_text(&container->current->reason, POD_RESTARTING);
        }
        pod_container_shift(container);
        container->last_removed = container->restarted = true;
        pod_container_wait(container, POD_RESTARTING, POD_RESTARTING_MESSAGE);
    }
    pod_call_done(pod);
}

/* The attempt before the latest goes first, or a new agent would take it for the latest. */
static void remove_one(struct pod_container *container)
{
    struct pod *pod = container->pod;
    const struct cri_container *record =
        container->last != NULL && !container->last_removed ? container->last : container->current;

    container->busy = true;
    pod_call_begin(pod);
    cri_remove_container(pod->agent->cri, record->id, on_removed, container);
}

/* Those that did not ask first. True once none is left. */
static bool remove_all(struct pod *pod)
{
    size_t left = 0;

    for (int asking = 0; asking < 2 && left == 0; asking++)
        for (size_t i = 0; i < pod->n_containers; i++) {
            struct pod_container *container = pod->containers[i];
            if (!takes_part(container) || container->current == NULL || asks(container) != asking)
                continue;
            left++;
            if (!container->busy && pod_may_try(pod))
                remove_one(container);
        }
    return left == 0;
}

bool pod_restart_sync(struct pod *pod)
{
    if (!pod->restarting) {
        if (!pod_is_restarting(pod))
            return false;
        pod->restarting = true;
        log_info("all containers are restarted", "pod", pod_title(pod));
    }
    if (!stop_all(pod) || !remove_all(pod))
        return true;
    pod->restarting = false;
    return false;
}
