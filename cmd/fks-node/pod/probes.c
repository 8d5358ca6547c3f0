/*
 * probes.c: runs a container's probes one by one on timers. Readiness and liveness begin when the startup probe, if
 * there is one, has succeeded.
 */
#include "pod/probes.h"

#include "base/clock.h"
#include "base/mem.h"

#include "pod/action.h"
#include "pod/pod.h"
#include "pod/probe_state.h"

struct probe {
    struct probes *owner;
    const char *field; /* of the container's spec; NULL: no such probe */
    struct probe_state state;
    struct loop_timer *timer;
    struct action *action;
};

struct probes {
    struct pod_container *container;
    struct probe startup, readiness, liveness;
    bool ending;
};

static const struct json *spec_of(const struct probe *probe)
{
    return json_get(probe->owner->container->spec, probe->field, NULL);
}

static int64_t period_ms(const struct probe *probe)
{
    int64_t seconds = json_int_or(10, spec_of(probe), "periodSeconds", NULL);

    return (seconds > 0 ? seconds : 1) * 1000;
}

static const char *title(const struct probe *probe)
{
    switch (probe->state.kind) {
    case PROBE_STARTUP:
        return "Startup";
    case PROBE_READINESS:
        return "Readiness";
    case PROBE_LIVENESS:
        return "Liveness";
    }
    return "";
}

/* Counted from the container's start, so that a restart of the agent does not add to it. */
static void begin(struct probe *probe)
{
    const struct cri_container *record = probe->owner->container->current;
    int64_t delay_ms = json_int_or(0, spec_of(probe), "initialDelaySeconds", NULL) * 1000;

    if (probe->field == NULL || loop_timer_is_set(probe->timer) || probe->action != NULL)
        return;
    int64_t ran_ms = (clock_wall_ns() - record->started_ns) / 1000000;
    delay_ms -= ran_ms > 0 ? ran_ms : 0; /* a clock that was set back since would make it wait for that long */
    loop_timer_set(probe->timer, delay_ms > 0 ? delay_ms : 0);
}

static void started(struct probes *probes)
{
    probes->container->startup_done = true;
    begin(&probes->readiness);
    begin(&probes->liveness);
    if (probes->readiness.field == NULL)
        probes->container->ready = true;
}

/* The probe's own grace period, if it has one, replaces the pod's. */
static void kill_container(struct probe *probe)
{
    struct pod_container *container = probe->owner->container;
    int64_t grace_s = json_int_or(pod_grace_s(container->pod), spec_of(probe), "terminationGracePeriodSeconds", NULL);

    pod_container_kill(container, grace_s, "Container %s failed %s probe, will be restarted", container->name,
                       probe->state.kind == PROBE_STARTUP ? "startup" : "liveness");
}

static void on_result(enum action_result result, const char *output, void *data)
{
    struct probe *probe = data;
    struct pod_container *container = probe->owner->container;
    CLEANUP(action_free) struct action *over UNUSED = take(&probe->action); /* output may lie in it */
    bool success = result == ACTION_SUCCEEDED || result == ACTION_WARNED;

    container->probe_results[probe->state.kind][result == ACTION_UNKNOWN ? 2 : success]++;
    if (!success && !probe->owner->ending)
        pod_container_event(container, "Warning", "Unhealthy", "%s probe %s: %s", title(probe),
                  result == ACTION_UNKNOWN ? "errored and resulted in unknown state" : "failed", output);
    else if (result == ACTION_WARNED)
        pod_container_event(container, "Warning", "ProbeWarning", "%s probe warning: %s", title(probe), output);
    if (result == ACTION_UNKNOWN) {
        loop_timer_set(probe->timer, period_ms(probe));
        return;
    }
    bool decided = probe_state_result(&probe->state, success);
    if (probe->state.kind != PROBE_STARTUP || !decided)
        loop_timer_set(probe->timer, period_ms(probe));
    if (!decided)
        return;
    switch (probe->state.kind) {
    case PROBE_STARTUP:
        if (success)
            started(probe->owner);
        else
            kill_container(probe);
        break;
    case PROBE_READINESS:
        container->ready = success;
        break;
    case PROBE_LIVENESS:
        if (!success) {
            loop_timer_cancel(probe->timer);
            kill_container(probe);
        }
        break;
    }
    pod_wake(container->pod);
}

static void run(void *data)
{
    struct probe *probe = data;
    struct pod_container *container = probe->owner->container;
    int64_t timeout_s = json_int_or(1, spec_of(probe), "timeoutSeconds", NULL);

    if (probe->action != NULL || !pod_container_runs(container) || container->spec == NULL)
        return;
    if (probe->owner->ending && probe->state.kind != PROBE_READINESS)
        return;
    /*
     * A runtime that is slower than the probe's time limit would get one program more with every period, and be slower
     * still: as with the kubelet, the next one waits for the end of the last.
     */
    if (action_is_running(container->pod->agent, probe)) {
        loop_timer_set(probe->timer, period_ms(probe));
        return;
    }
    struct action_target target = {
        .container_id = container->current->id,
        .address = container->pod->address,
        .ports = json_get(container->spec, "ports", NULL),
        .env = json_get(container->spec, "env", NULL),
    };
    probe->action = action_start(container->pod->agent, spec_of(probe), &target,
                                 (timeout_s > 0 ? timeout_s : 1) * 1000, on_result, probe);
}

static bool init(struct probe *probe, struct probes *probes, enum probe_kind kind, const char *field)
{
    const struct json *spec = json_get(probes->container->spec, field, NULL);

    probe->owner = probes;
    probe_state_init(&probe->state, kind, spec);
    if (spec == NULL)
        return false;
    probe->field = field;
    probe->timer = loop_timer_new(probes->container->pod->agent->loop, run, probe);
    return true;
}

/* What the API server has on record of this very container. */
static bool recorded(const struct pod_container *container, const char *field)
{
    static const char *const lists[] = {"containerStatuses", "initContainerStatuses"};

    for (size_t i = 0; i < countof(lists); i++) {
        const struct json *status;
        json_each(status, json_get(container->pod->object, "status", lists[i], NULL))
            if (streq(json_str(status, "name", NULL), container->name) && container->current->id != NULL &&
                ends_with(json_str_or("", status, "containerID", NULL), container->current->id))
                return json_is_true(status, field, NULL);
    }
    return false;
}

void probes_recall(struct pod_container *container)
{
    if (container->recalled || container->started_here || container->pod->object == NULL || !pod_container_runs(container))
        return;
    container->recalled = true;
    container->ready = recorded(container, "ready");
    container->startup_done = recorded(container, "started");
}

struct probes *probes_new(struct pod_container *container, bool adopted)
{
    struct probes *probes = NEW(struct probes);

    probes->container = container;
    bool startup = init(&probes->startup, probes, PROBE_STARTUP, "startupProbe");
    bool readiness = init(&probes->readiness, probes, PROBE_READINESS, "readinessProbe");
    bool liveness = init(&probes->liveness, probes, PROBE_LIVENESS, "livenessProbe");
    container->ready = adopted && recorded(container, "ready");
    container->startup_done = adopted && recorded(container, "started");
    if (startup && !container->startup_done)
        begin(&probes->startup);
    else
        started(probes);
    if (!startup && !readiness && !liveness)
        return probes_free(probes);
    return probes;
}

static void done(struct probe *probe)
{
    loop_timer_free(probe->timer);
    action_free(probe->action);
    if (probe->owner != NULL)
        action_forget(probe->owner->container->pod->agent, probe);
}

struct probes *probes_free(struct probes *probes)
{
    if (probes != NULL) {
        done(&probes->startup);
        done(&probes->readiness);
        done(&probes->liveness);
        free(probes);
    }
    return NULL;
}

void probes_ending(struct probes *probes)
{
    if (probes != NULL)
        probes->ending = true;
}
