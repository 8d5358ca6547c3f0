/*
 * pod_end.c: the last part of a pod's way. pod_end_sync: everything stops, the final status is told, then, for a
 * deleted pod, its object is deleted for good. pod_remains_sync: the object is gone, and so is everything that was
 * made for it.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include "host/cgroups.h"
#include "host/nodes.h"
#include "pod/pod.h"
#include "pods.h"
#include "pod/probes.h"
#include "pod/records.h"
#include "host/user_ids.h"

#define GRACE_GONE_S 2 /* of a pod that was deleted by force: nobody waits for it any more */
#define DELETE_AGAIN_MS 15000

/* --- containers */

/* Sets the loop time of the end; only ever earlier than before. */
static void set_end(struct pod *pod, int64_t grace_s)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *timestamp = json_str(pod->object, "metadata", "deletionTimestamp", NULL);
    int64_t deletion_ns, left_s = grace_s;
    bool first = pod->end_ms == 0;

    if (timestamp != NULL && !pod->gone && clock_parse(timestamp, &deletion_ns, &err) == 0)
        left_s = pod_grace_left(grace_s, deletion_ns / 1000000000, clock_wall_ns() / 1000000000,
                                first && pod->seen_deleted);
    int64_t end_ms = pod_now(pod) + left_s * 1000;
    if (first || (end_ms < pod->end_ms && grace_s < pod->end_grace_s)) {
        pod->end_ms = end_ms;
        pod->end_grace_s = grace_s;
    }
}

static bool is_sidecar(const struct pod_container *container)
{
    return container->kind == POD_CONTAINER_SIDECAR;
}

static void kill_in_order(struct pod *pod)
{
    int64_t left_s = (pod->end_ms - pod_now(pod) + 999) / 1000;
    bool others = false;

    for (size_t i = 0; i < pod->n_containers; i++) {
        struct pod_container *container = pod->containers[i];
        if (is_sidecar(container))
            continue;
        others = others || pod_container_runs(container);
        pod_container_kill(container, left_s > 0 ? left_s : 0, "Stopping container %s", container->name);
    }
    /* sidecars serve the others to the end, and each those before it in the list */
    for (size_t i = pod->n_containers; i > 0 && !others; i--) {
        struct pod_container *container = pod->containers[i - 1];
        if (!is_sidecar(container) || !pod_container_runs(container))
            continue;
        pod_container_kill(container, left_s > 0 ? left_s : 0, "Stopping container %s", container->name);
        return;
    }
}

/* True once no container runs and nothing that could make one run is under way. */
static bool stop_all(struct pod *pod, int64_t grace_s)
{
    bool all_stopped = true;

    pod->ending = true;
    set_end(pod, grace_s);
    kill_in_order(pod);
    for (size_t i = 0; i < pod->n_containers; i++) {
        const struct pod_container *container = pod->containers[i];
        if (container->busy || container->n_stops > 0 || container->n_queries > 0 || pod_container_runs(container))
            all_stopped = false;
    }
    return all_stopped;
}

/* --- sandbox */

static void on_sandbox_stopped(struct err *err, void *data)
{
    struct pod *pod = data;

    pod->sandbox_busy = false;
    pod->sandbox_ms = pod_now(pod);
    if (err->code == 0 || err->code == ERR_NOT_FOUND) {
        pod->sandbox_stopped = true;
        if (pod->sandbox != NULL)
            pod->sandbox->ready = false;
    } else {
        pod_retry_later(pod, "stopping the sandbox of a pod", err);
    }
    pod_call_done(pod);
}

static bool stop_sandbox(struct pod *pod)
{
    if (pod->sandbox_busy)
        return false;
    if (pod->sandbox == NULL || pod->sandbox_stopped)
        return true;
    if (pod_may_try(pod)) {
        pod->sandbox_busy = true;
        pod_call_begin(pod);
        cri_stop_sandbox(pod->agent->cri, pod->sandbox->id, on_sandbox_stopped, pod);
    }
    return false;
}

static void on_sandbox_removed(struct err *err, void *data)
{
    struct pod *pod = data;

    pod->sandbox_busy = false;
    pod->sandbox_ms = pod_now(pod);
    if (err->code != 0 && err->code != ERR_NOT_FOUND) {
        pod_retry_later(pod, "removing the sandbox of a pod", err);
    } else if (pod->old_sandboxes.n > 0) {
        pod->old_sandboxes.n--;
        free(take(&pod->old_sandboxes.items[pod->old_sandboxes.n]));
    } else {
        pod->sandbox = record_sandbox_free(pod->sandbox);
    }
    pod_call_done(pod);
}

static const char *sandbox_to_remove(const struct pod *pod)
{
    if (pod->old_sandboxes.n > 0)
        return pod->old_sandboxes.items[pod->old_sandboxes.n - 1];
    return pod->sandbox != NULL ? pod->sandbox->id : NULL;
}

static void on_remains_stopped(struct err *err, void *data)
{
    struct pod *pod = data;
    const char *id = sandbox_to_remove(pod);

    if ((err->code != 0 && err->code != ERR_NOT_FOUND) || id == NULL)
        on_sandbox_removed(err, pod);
    else
        cri_remove_sandbox(pod->agent->cri, id, on_sandbox_removed, pod);
}

/* All of the pod's sandboxes, one after the other, earlier attempts first. True when none is left. */
static bool remove_sandboxes(struct pod *pod)
{
    const char *id = sandbox_to_remove(pod);

    if (pod->sandbox_busy || pod->old_busy)
        return false;
    if (id == NULL)
        return true;
    if (pod_may_try(pod)) {
        pod->sandbox_busy = true;
        pod_call_begin(pod);
        cri_stop_sandbox(pod->agent->cri, id, on_remains_stopped, pod);
    }
    return false;
}

/* --- folders */

static bool tear_down_volumes(struct pod *pod)
{
    CLEANUP(err_clear) struct err err = {0};

    if (!pod_csi_down(pod))
        return false;
    if (pod->volumes_down)
        return true;
    if (!pod_may_try(pod))
        return false;
    if (volumes_tear_down(pod->agent->options.state_dir, pod->uid, &err) == 0) {
        user_ids_give(pod->agent->user_ids, pod->uid);
        return pod->volumes_down = true;
    }
    pod_retry_later(pod, "removing the volumes of a pod", &err);
    return false;
}

/*
 * Whoever starts after a crash finds this folder, and by it what else is left (pods.c). It goes last; the volumes in it may have
 * been removed before, also by an agent before us.
 */
static void mark_remains(const struct pod *pod)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *folder = volumes_pod_dir(pod->agent->options.state_dir, pod->uid);

    if (pod->cgroup_down)
        return;
    if (dir_make(folder, 0750, &err) < 0)
        agent_warn("marking the remains of a pod", pod_title(pod), &err);
}

static bool remove_folders(struct pod *pod)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *logs =
        xasprintf("%s/%s_%s_%s", pod->agent->options.log_dir, pod->namespace, pod->name, pod->uid);

    if (pod->cgroup_down)
        return tear_down_volumes(pod);
    if (!pod_may_try(pod))
        return false;
    if (dir_remove(logs, &err) < 0) {
        agent_warn("removing the logs of a pod", pod_title(pod), &err);
        err_clear(&err);
    }
    if (cgroups_remove(pod->agent->cgroups, pod->uid, &err) < 0) {
        pod_retry_later(pod, "removing the cgroup of a pod", &err);
        return false;
    }
    pod->cgroup_down = true;
    pod->volumes_down = false;
    return tear_down_volumes(pod);
}

/* --- the API object */

static void on_deleted(struct json **answer UNUSED, struct err *err, void *data)
{
    struct pod *pod = data;

    pod->deleting = false;
    if (err->code == 0)
        pod->delete_again_ms = pod_now(pod) + DELETE_AGAIN_MS;
    else if (err->code == ERR_NOT_FOUND || err->code == ERR_CONFLICT)
        pod_missing(pod);
    else
        pod_retry_later(pod, "deleting the object of a pod", err);
    pod_call_done(pod);
}

static void delete_object(struct pod *pod)
{
    if (pod->deleting || !pod_may_try(pod))
        return;
    if (pod->delete_again_ms > pod_now(pod)) {
        pod_wake_in(pod, pod->delete_again_ms - pod_now(pod));
        return;
    }
    pod->deleting = true;
    pod_call_begin(pod);
    agent_request(pod->agent, "DELETE", kube_path("", "v1", pod->namespace, "pods", pod->name, NULL),
                  agent_delete_options(0, pod->uid), NULL, on_deleted, pod);
}

/* The API server knows the end of every container: nothing is left to tell, and records may have gone since. */
static bool is_told(const struct pod *pod)
{
    static const char *const lists[] = {"initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"};
    const struct json *status;

    if (!podstatus_is_terminal(pod->object))
        return false;
    for (size_t i = 0; i < countof(lists); i++)
        json_each(status, json_get(pod->object, "status", lists[i], NULL))
            if (json_get(status, "state", "running", NULL) != NULL)
                return false;
    return true;
}

void pod_end_sync(struct pod *pod)
{
    /* logs are read through the Node, so it stays as long as the object does */
    if (pod_is_bound(pod))
        (void)nodes_ensure(pod);
    if (!stop_all(pod, pod_grace_s(pod))) {
        if (pod_is_bound(pod))
            (void)pod_status_sync(pod, false);
        return;
    }
    if (!stop_sandbox(pod)) /* first, so that the final status is true of it, too */
        return;
    if (!is_told(pod) && !pod_status_sync(pod, true))
        return;
    if (!pod_csi_down(pod))
        return; /* as with a kubelet, the pod stays until its volumes are out of their drivers' hands */
    (void)tear_down_volumes(pod);
    if (pod_is_deleted(pod))
        delete_object(pod);
}

void pod_remains_sync(struct pod *pod)
{
    if (!pod->node_down && nodes_remove(pod))
        pod->node_down = true;
    if (!stop_all(pod, GRACE_GONE_S))
        return;
    mark_remains(pod);
    if (!remove_sandboxes(pod) || !remove_folders(pod) || !pod->node_down)
        return;
    if (pod->gone && pod->n_calls == 0)
        pods_forget(pod->agent->pods, pod);
}
