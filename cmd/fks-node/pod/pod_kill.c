/*
 * pod_kill.c: stops one container: preStop hook inside the grace period, then StopContainer with what is left of
 * it. A grace period that becomes shorter meanwhile is obeyed: the runtime is told again.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include "host/cgroups.h"
#include "pod/action.h"
#include "pod/pod.h"
#include "pod/probes.h"

/* Containers get this long in any case, as the kubelet does: an outright SIGKILL loses data. */
#define GRACE_MIN_MS 2000
#define GRACE_EVICTED_S 1

int64_t pod_grace_s(const struct pod *pod)
{
    int64_t grace_s = json_int_or(30, pod->object, "spec", "terminationGracePeriodSeconds", NULL);

    if (streq(pod->failed_reason, POD_EVICTED) && grace_s > GRACE_EVICTED_S) /* every second makes it worse */
        return GRACE_EVICTED_S;
    return pod_is_deleted(pod) ? json_int_or(grace_s, pod->object, "metadata", "deletionGracePeriodSeconds", NULL)
                               : grace_s;
}

int64_t pod_grace_left(int64_t grace_s, int64_t deletion_wall_s, int64_t now_wall_s, bool was_under_way)
{
    int64_t left_s = deletion_wall_s - now_wall_s;

    if (!was_under_way || left_s > grace_s)
        return grace_s;
    return left_s < 1 ? 1 : left_s;
}

static void on_stopped(struct err *err, void *data)
{
    struct pod_container *container = data;
    struct pod *pod = container->pod;

    container->n_stops--;
    if (err->code == 0 || err->code == ERR_NOT_FOUND) {
        container->stop_failed = false;
        if (err->code != 0 && container->lost && container->current != NULL) /* the next list shows that it ended */
            cgroups_container_kill(pod->agent->cgroups, pod->uid, container->current->id);
        if (err->code == 0 && container->current != NULL)
            pod_container_query(container, container->current->id);
    } else {
        container->stop_failed = true;
        pod_retry_later(pod, "stopping a container", err);
    }
    pod_call_done(pod);
}

static void stop(struct pod_container *container)
{
    struct pod *pod = container->pod;
    int64_t left_ms = container->kill_deadline_ms - pod_now(pod);

    if (left_ms < GRACE_MIN_MS)
        left_ms = GRACE_MIN_MS;
    container->kill = POD_KILL_STOPPING;
    container->stop_failed = false;
    container->stop_deadline_ms = pod_now(pod) + left_ms;
    container->n_stops++;
    pod_call_begin(pod);
    cri_stop_container(pod->agent->cri, container->current->id, (left_ms + 999) / 1000, on_stopped, container);
}

static void on_pre_stop(enum action_result result, const char *output, void *data)
{
    struct pod_container *container = data;
    CLEANUP(action_free) struct action *over UNUSED = take(&container->pre_stop);

    if (result != ACTION_SUCCEEDED)
        pod_container_event(container, "Warning", "FailedPreStopHook", "PreStopHook failed: %s", output);
    if (pod_container_runs(container))
        stop(container);
    pod_wake(container->pod);
}

void pod_container_kill(struct pod_container *container, int64_t grace_s, const char *format, ...)
{
    struct pod *pod = container->pod;
    const struct json *hook = json_get(container->spec, "lifecycle", "preStop", NULL);
    CLEANUP(buf_done) struct buf text = {0};
    va_list args;

    if (!pod_container_runs(container) || container->kill != POD_KILL_NONE)
        return;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    pod_container_event(container, "Normal", "Killing", "%s", buf_text(&text));
    log_info("stopping a container", "pod", pod_title(pod), "container", container->name, "why", buf_text(&text));
    probes_ending(container->probes);
    container->kill_deadline_ms = pod_now(pod) + grace_s * 1000;
    if (hook == NULL || grace_s <= 0 || pod->gone) {
        stop(container);
        return;
    }
    struct action_target target = {
        .container_id = container->current->id,
        .address = pod->address,
        .ports = json_get(container->spec, "ports", NULL),
        .is_hook = true,
    };
    container->kill = POD_KILL_PRE_STOP;
    container->pre_stop = action_start(pod->agent, hook, &target, grace_s * 1000, on_pre_stop, container);
}

/* The pod's end came nearer while this container was being stopped already. */
static void obey_shorter_grace(struct pod_container *container)
{
    struct pod *pod = container->pod;
    int64_t left_ms = pod->end_ms - pod_now(pod);

    if (!pod->ending || pod->end_ms >= container->kill_deadline_ms)
        return;
    container->kill_deadline_ms = pod->end_ms;
    if (container->kill == POD_KILL_PRE_STOP)
        action_limit(container->pre_stop, left_ms > 0 ? left_ms : 0);
    else if (container->stop_deadline_ms > pod->end_ms + GRACE_MIN_MS && container->n_stops > 0)
        stop(container);
}

void pod_container_kill_sync(struct pod_container *container)
{
    struct pod *pod = container->pod;

    if (container->kill == POD_KILL_NONE)
        return;
    if (!pod_container_runs(container)) {
        container->pre_stop = action_free(container->pre_stop);
        if (container->n_stops == 0)
            container->kill = POD_KILL_NONE;
        return;
    }
    obey_shorter_grace(container);
    if (container->stop_failed && container->n_stops == 0 && pod_may_try(pod))
        stop(container);
}
