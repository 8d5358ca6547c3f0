/*
 * podstatus_conditions.c: phase and conditions from the container statuses, by the kubelet's rules.
 * https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
 */
#include "status/podstatus_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "spec/podspec.h"

/* --- phase */

struct counts {
    size_t pending_init;    /* init containers that have still to exit */
    size_t pending_sidecar; /* sidecars that have not started yet */
    bool init_failed;       /* for good */
    size_t running, waiting, stopped, stopped_for_good, succeeded, unknown;
};

/* The exit code of a container that stopped, also of one that waits to be started again. */
static bool exit_code_of(const struct json *status, int32_t *ret)
{
    const struct json *exited = json_get(status, "state", "terminated", NULL);

    if (exited == NULL && json_get(status, "state", "waiting", NULL) != NULL)
        exited = json_get(status, "lastState", "terminated", NULL);
    if (exited == NULL)
        return false;
    *ret = (int32_t)json_int_or(0, exited, "exitCode", NULL);
    return true;
}

/* Stopped with all others, to start again whatever its policy says. */
static bool is_restarting(const struct json *status)
{
    return streq(json_str(status, "lastState", "terminated", "reason", NULL), POD_RESTARTING) &&
           json_get(status, "state", "waiting", NULL) != NULL;
}

static void count_init(const struct json *pod, const struct json *container, const struct json *status,
                       struct counts *counts)
{
    int32_t code;

    if (json_get(status, "state", "running", NULL) != NULL || !exit_code_of(status, &code))
        counts->pending_init++;
    else if (code != 0 && !podspec_restarts(pod, container, true, code) && !is_restarting(status))
        counts->init_failed = true;
}

static void count_sidecar(const struct json *status, struct counts *counts)
{
    int32_t code;

    if (json_get(status, "state", "running", NULL) != NULL) {
        if (!json_is_true(status, "started", NULL))
            counts->pending_sidecar++;
        counts->running++;
    } else if (status == NULL) {
        counts->unknown++;
    } else if (!exit_code_of(status, &code)) {
        counts->pending_sidecar++;
        counts->waiting++;
    }
}

static void count_regular(const struct json *pod, const struct json *container, const struct json *status,
                          const struct podstatus_container *facts, struct counts *counts)
{
    bool starts_again = is_restarting(status) || (facts != NULL && facts->starts_again);
    int32_t code;

    if (status == NULL) {
        counts->unknown++;
    } else if (json_get(status, "state", "running", NULL) != NULL) {
        counts->running++;
    } else if (!exit_code_of(status, &code)) {
        counts->waiting++;
    } else {
        counts->stopped++;
        if (!podspec_restarts(pod, container, false, code) && !starts_again)
            counts->stopped_for_good++;
        if (code == 0 && json_get(status, "state", "terminated", NULL) != NULL)
            counts->succeeded++;
    }
}

static const char *phase_by_counts(const struct counts *counts, bool terminal, bool started)
{
    if (counts->init_failed)
        return "Failed";
    if (counts->pending_init > 0 || (counts->pending_sidecar > 0 && !started) || counts->waiting > 0 ||
        counts->unknown > 0)
        return "Pending";
    if (counts->running > 0)
        return "Running";
    if (counts->stopped == 0)
        return "Pending";
    if (!terminal && counts->stopped != counts->stopped_for_good)
        return "Running";
    return counts->stopped == counts->succeeded ? "Succeeded" : "Failed";
}

static bool is_end(const char *phase)
{
    return streq(phase, "Succeeded") || streq(phase, "Failed");
}

bool podstatus_is_terminal(const struct json *pod)
{
    return is_end(json_str(pod, "status", "phase", NULL));
}

const char *podstatus_phase(const struct json *pod, const struct podstatus_facts *facts, const struct json *status)
{
    const char *old = json_str(pod, "status", "phase", NULL);
    const char *so_far = streq(old, "Running") ? "Running" : "Pending";
    const struct json *container;
    struct counts counts = {0};
    const char *phase;

    if (is_end(old))
        return streq(old, "Succeeded") ? "Succeeded" : "Failed";
    json_each(container, json_get(pod, "spec", "initContainers", NULL))
    {
        const struct json *of = podstatus_find_status(json_get(status, "initContainerStatuses", NULL),
                                                      json_str(container, "name", NULL));

        if (podspec_is_sidecar(container))
            count_sidecar(of, &counts);
        else
            count_init(pod, container, of, &counts);
    }
    json_each(container, json_get(pod, "spec", "containers", NULL))
        count_regular(pod, container,
                      podstatus_find_status(json_get(status, "containerStatuses", NULL),
                                            json_str(container, "name", NULL)),
                      podstatus_find(facts, json_str(container, "name", NULL)), &counts);
    phase = phase_by_counts(&counts, facts->terminal, podstatus_has_started(pod, facts));
    if (facts->failed_reason != NULL || (facts->terminal && !is_end(phase)))
        phase = "Failed";
    /* controllers replace a pod that ended: it must not run beside its successor */
    return is_end(phase) && podstatus_any_runs(facts) ? so_far : phase;
}

/* --- conditions */

struct verdict {
    bool status;
    const char *reason; /* NULL: none */
    struct buf message;
};

static void verdict_done(struct verdict *verdict)
{
    buf_done(&verdict->message);
}
DEFINE_CLEANUP_IN_PLACE(struct verdict, verdict_done)

/* "containers with unready status: [a b]", parted by ", " from what is there already. */
static void add_names(struct buf *message, const char *what, const struct strv *names)
{
    CLEANUP(xfree) char *list = strv_join(names, " ");

    if (names->n > 0)
        buf_printf(message, "%s%s: [%s]", message->len > 0 ? ", " : "", what, list);
}

static void containers_ready(const struct json *pod, const struct json *status, struct verdict *ret)
{
    const char *phase = json_str(status, "phase", NULL);
    CLEANUP(strv_done) struct strv unready = {0};
    const struct json *container;

    if (is_end(phase)) {
        ret->reason = streq(phase, "Failed") ? "PodFailed" : "PodCompleted";
        return;
    }
    json_each(container, json_get(pod, "spec", "initContainers", NULL))
    {
        const char *name = json_str_or("", container, "name", NULL);

        if (podspec_is_sidecar(container) &&
            !json_is_true(podstatus_find_status(json_get(status, "initContainerStatuses", NULL), name), "ready", NULL))
            strv_add(&unready, name);
    }
    json_each(container, json_get(pod, "spec", "containers", NULL))
    {
        const char *name = json_str_or("", container, "name", NULL);

        if (!json_is_true(podstatus_find_status(json_get(status, "containerStatuses", NULL), name), "ready", NULL))
            strv_add(&unready, name);
    }
    add_names(&ret->message, "containers with unready status", &unready);
    ret->status = unready.n == 0;
    ret->reason = ret->status ? NULL : "ContainersNotReady";
}

static const struct json *find_condition(const struct json *status, const char *type)
{
    const struct json *condition;

    json_each(condition, json_get(status, "conditions", NULL))
        if (streq(json_str(condition, "type", NULL), type))
            return condition;
    return NULL;
}

/* ContainersReady, and every readiness gate is True. */
static void pod_ready(const struct json *pod, const struct json *status, struct verdict *ret)
{
    const struct json *gate;

    containers_ready(pod, status, ret);
    if (!ret->status)
        return;
    json_each(gate, json_get(pod, "spec", "readinessGates", NULL))
    {
        const char *type = json_str_or("", gate, "conditionType", NULL);
        const struct json *condition = find_condition(status, type);
        const char *value = json_str_or("", condition, "status", NULL);

        if (streq(value, "True"))
            continue;
        if (ret->message.len > 0)
            buf_add_str(&ret->message, ", ");
        if (condition == NULL)
            buf_printf(&ret->message, "corresponding condition of pod readiness gate \"%s\" does not exist.", type);
        else
            buf_printf(&ret->message, "the status of pod readiness gate \"%s\" is not \"True\", but %s", type, value);
        ret->status = false;
        ret->reason = "ReadinessGatesNotReady";
    }
}

static bool init_is_done(const struct json *container, const struct json *status)
{
    return json_is_true(status, podspec_is_sidecar(container) ? "started" : "ready", NULL);
}

static bool any_regular_started(const struct json *status)
{
    const struct json *of;

    json_each(of, json_get(status, "containerStatuses", NULL))
        if (json_get(of, "state", "running", NULL) != NULL || json_get(of, "state", "terminated", NULL) != NULL ||
            json_get(of, "lastState", "terminated", NULL) != NULL)
            return true;
    return false;
}

static void initialized(const struct json *pod, const struct json *status, struct verdict *ret)
{
    CLEANUP(strv_done) struct strv incomplete = {0};
    const struct json *container;

    ret->status = true;
    if (streq(json_str(status, "phase", NULL), "Succeeded")) {
        ret->reason = "PodCompleted";
        return;
    }
    if (any_regular_started(status)) /* a sidecar that restarts does not undo it */
        return;
    json_each(container, json_get(pod, "spec", "initContainers", NULL))
    {
        const char *name = json_str_or("", container, "name", NULL);

        if (!init_is_done(container, podstatus_find_status(json_get(status, "initContainerStatuses", NULL), name)))
            strv_add(&incomplete, name);
    }
    if (incomplete.n == 0)
        return;
    add_names(&ret->message, "containers with incomplete status", &incomplete);
    ret->status = false;
    ret->reason = "ContainersNotInitialized";
}

/* The condition of this type in status.conditions, made at the end when it is not there. Borrowed. */
static struct json *condition_to_edit(struct json *status, const char *type)
{
    struct json *list = json_edit_member(status, "conditions");

    for (size_t i = 0; i < json_len(list); i++)
        if (streq(json_str(json_at(list, i), "type", NULL), type))
            return json_edit_at(list, i);
    json_push(list, json_build("{s:s}", "type", type));
    return json_edit_at(list, json_len(list) - 1);
}

static void set_or_delete(struct json *object, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_set_str(object, key, text);
    else
        json_del(object, key);
}

/* lastTransitionTime is of the status alone: a new message is no transition. */
static void set_condition(const struct json *pod, const struct podstatus_facts *facts, struct json *status,
                          const char *type, const struct verdict *verdict)
{
    struct json *condition = condition_to_edit(status, type);
    const char *value = verdict->status ? "True" : "False";
    int64_t generation = json_int_or(0, pod, "metadata", "generation", NULL);

    if (!streq(json_str(condition, "status", NULL), value)) {
        json_set_str(condition, "status", value);
        json_set(condition, "lastTransitionTime", podstatus_time(facts->now_ns));
    }
    set_or_delete(condition, "reason", verdict->reason);
    set_or_delete(condition, "message", buf_text(&verdict->message));
    if (generation > 0) /* API servers before 1.33 neither set the one nor know the other */
        json_set_int(condition, "observedGeneration", generation);
}

static void drop_condition(struct json *status, const char *type)
{
    CLEANUP(json_free) struct json *kept = json_new_array();
    const struct json *condition;

    if (find_condition(status, type) == NULL)
        return;
    json_each(condition, json_get(status, "conditions", NULL))
        if (!streq(json_str(condition, "type", NULL), type))
            json_push(kept, json_clone(condition));
    json_set(status, "conditions", take(&kept));
}

/* These two are there only while they are true. */
static void resize_conditions(const struct json *pod, const struct podstatus_facts *facts, struct json *status)
{
    CLEANUP(verdict_done) struct verdict pending = {.status = true, .reason = facts->resize_pending};
    CLEANUP(verdict_done) struct verdict going = {.status = true};

    if (facts->resize_pending != NULL) {
        buf_add_str(&pending.message, strempty(facts->resize_message));
        set_condition(pod, facts, status, "PodResizePending", &pending);
    } else {
        drop_condition(status, "PodResizePending");
    }
    if (facts->resize_going && !is_end(json_str(status, "phase", NULL))) {
        if (facts->resize_error != NULL) {
            going.reason = "Error";
            buf_add_str(&going.message, facts->resize_error);
        }
        set_condition(pod, facts, status, "PodResizeInProgress", &going);
    } else {
        drop_condition(status, "PodResizeInProgress");
    }
}

/* Only pods that could do so have it. */
static void restart_condition(const struct json *pod, const struct podstatus_facts *facts, struct json *status)
{
    CLEANUP(verdict_done) struct verdict restarting = {0};
    const char *phase = json_str(status, "phase", NULL);

    if (!podspec_may_restart_all(pod))
        return;
    if (is_end(phase)) {
        restarting.reason = streq(phase, "Failed") ? "PodFailed" : "PodCompleted";
    } else if (facts->restarting) {
        restarting.status = true;
        restarting.reason = "RestartAllContainersStarted";
        buf_add_str(&restarting.message, "container exited with restart policy rule");
    }
    set_condition(pod, facts, status, "AllContainersRestarting", &restarting);
}

void podstatus_conditions(const struct json *pod, const struct podstatus_facts *facts, struct json *status)
{
    CLEANUP(verdict_done) struct verdict sandbox = {0};
    CLEANUP(verdict_done) struct verdict init = {0};
    CLEANUP(verdict_done) struct verdict ready = {0};
    CLEANUP(verdict_done) struct verdict containers = {0};
    const struct verdict scheduled = {.status = true};

    if (!json_is_array(json_get(status, "conditions", NULL)))
        json_set(status, "conditions", json_new_array());
    sandbox.status = facts->sandbox != NULL && facts->sandbox->ready &&
                     (facts->pod_ip != NULL || facts->sandbox->ip != NULL ||
                      json_is_true(pod, "spec", "hostNetwork", NULL));
    set_condition(pod, facts, status, "PodReadyToStartContainers", &sandbox);
    initialized(pod, status, &init);
    set_condition(pod, facts, status, "Initialized", &init);
    pod_ready(pod, status, &ready);
    set_condition(pod, facts, status, "Ready", &ready);
    containers_ready(pod, status, &containers);
    set_condition(pod, facts, status, "ContainersReady", &containers);
    if (json_str_or("", pod, "spec", "nodeName", NULL)[0] != '\0')
        set_condition(pod, facts, status, "PodScheduled", &scheduled);
    resize_conditions(pod, facts, status);
    restart_condition(pod, facts, status);
    if (streq(facts->failed_reason, POD_EVICTED)) {
        CLEANUP(verdict_done) struct verdict disrupted = {.status = true, .reason = "TerminationByKubelet"};
        buf_add_str(&disrupted.message, strempty(facts->failed_message));
        set_condition(pod, facts, status, "DisruptionTarget", &disrupted);
    }
}
