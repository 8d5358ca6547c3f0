/*
 * podstatus_containers.c: the status of each container, from the runtime's view of its last two attempts, the agent's
 * reasons for not running it, and what the pod's status said before (a container may have been removed meanwhile).
 */
#include "status/podstatus_internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "spec/podspec.h"

#define UNKNOWN_EXIT_CODE 137
#define UNKNOWN_REASON "ContainerStatusUnknown"

static const char *const spec_lists[] = {"containers", "initContainers", "ephemeralContainers"};
static const char *const status_lists[] = {"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"};

struct json *podstatus_time(int64_t wall_ns)
{
    char text[CLOCK_TEXT_MAX];

    if (wall_ns <= 0)
        return json_new_null();
    clock_rfc3339(wall_ns, text);
    return json_new_string(text);
}

static void set_text(struct json *object, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_set_str(object, key, text);
}

static struct json *waiting(const char *reason, const char *message)
{
    struct json *state = json_new_object();

    set_text(state, "reason", reason);
    set_text(state, "message", message);
    return json_build("{s:o}", "waiting", state);
}

/* An end that nobody saw. */
static struct json *terminated_unseen(int exit_code, const char *reason, const char *message)
{
    return json_build("{s:{s:i, s:s, s:s, s:o, s:o}}", "terminated", "exitCode", exit_code, "reason", reason, "message",
                      message, "startedAt", json_new_null(), "finishedAt", json_new_null());
}

static struct json *terminated_unknown(const char *message)
{
    return terminated_unseen(UNKNOWN_EXIT_CODE, UNKNOWN_REASON, message);
}

static char *container_id(const struct cri_container *container)
{
    return xasprintf("containerd://%s", container->id);
}

static struct json *terminated(const struct cri_container *container, const char *message)
{
    CLEANUP(xfree) char *id = container_id(container);
    const char *reason = strempty(container->reason);
    struct json *state = json_build("{s:i}", "exitCode", (int)container->exit_code);

    if (reason[0] == '\0')
        reason = container->exit_code == 0 ? "Completed" : "Error";
    set_text(state, "reason", reason);
    set_text(state, "message", message != NULL ? message : container->message);
    json_set(state, "startedAt", podstatus_time(container->started_ns));
    json_set(state, "finishedAt", podstatus_time(container->finished_ns));
    set_text(state, "containerID", id);
    return json_build("{s:o}", "terminated", state);
}

/* --- one container */

struct view { /* everything that is known about one container */
    const struct json *pod;
    const struct json *spec;
    const struct json *old; /* its status so far; NULL: none */
    const struct podstatus_container *facts; /* NULL: none */
    const struct podstatus_facts *pod_facts;
    enum podstatus_kind kind;
    bool ending; /* the pod will not start it again */
};

static const struct cri_container *current_of(const struct view *view)
{
    return view->facts != NULL ? view->facts->current : NULL;
}

static bool was(const struct view *view, const char *state)
{
    return json_get(view->old, "state", state, NULL) != NULL;
}

static struct json *terminated_for_restart(const struct cri_container *container, const char *message)
{
    struct cri_container shown = *container;

    shown.reason = POD_RESTARTING;
    return terminated(&shown, message);
}

static struct json *waiting_for_restart(void)
{
    return waiting(POD_RESTARTING, POD_RESTARTING_MESSAGE);
}

/* Also by the word of an earlier agent: the runtime does not have it any more. */
static bool is_restarting(const struct view *view)
{
    if (view->facts != NULL && view->facts->restarting)
        return true;
    return current_of(view) == NULL && streq(json_str(view->old, "state", "waiting", "reason", NULL), POD_RESTARTING);
}

static struct json *default_waiting(const struct view *view)
{
    const char *reason = view->facts != NULL ? view->facts->waiting_reason : NULL;
    bool has_init = json_len(json_get(view->pod, "spec", "initContainers", NULL)) > 0;

    if (reason != NULL)
        return waiting(reason, view->facts->waiting_message);
    return waiting(has_init ? "PodInitializing" : "ContainerCreating", NULL);
}

/* Whether it had its turn: the first init container always had, the others when one after them came to something. */
static bool init_had_turn(const struct view *view)
{
    const struct json *init = json_get(view->pod, "spec", "initContainers", NULL);
    const struct json *statuses = json_get(view->pod, "status", "initContainerStatuses", NULL);
    bool found = false;

    for (size_t i = 0; i < json_len(init); i++) {
        const char *name = json_str(json_at(init, i), "name", NULL);
        const struct podstatus_container *facts = podstatus_find(view->pod_facts, name);
        const struct json *old = podstatus_find_status(statuses, name);

        found = found || streq(name, json_str(view->spec, "name", NULL));
        if (found && (i == 0 || (facts != NULL && facts->current != NULL) || json_get(old, "state", "terminated", NULL) != NULL ||
                      json_get(old, "lastState", "terminated", NULL) != NULL))
            return true;
    }
    return false;
}

/*
 * The pod is over and nobody knows how this one ended. As with the kubelet that is a failure, also when it was never made, once
 * its turn had come.
 */
static bool ends_unknown(const struct view *view)
{
    if (!view->pod_facts->terminal || view->kind == PODSTATUS_EPHEMERAL ||
        json_str_or("", view->pod, "spec", "nodeName", NULL)[0] == '\0')
        return false;
    if (view->kind == PODSTATUS_INIT)
        return init_had_turn(view);
    return podstatus_has_started(view->pod, view->pod_facts) || podstatus_initialized(view->pod, view->pod_facts);
}

/* The runtime does not have it: never created, or removed. */
static struct json *state_of_absent(const struct view *view)
{
    bool sidecar = view->kind == PODSTATUS_INIT && podspec_is_sidecar(view->spec);

    if (is_restarting(view) && !view->pod_facts->terminal)
        return waiting_for_restart();
    if (was(view, "terminated"))
        return json_clone(json_get(view->old, "state", NULL));
    if (view->kind == PODSTATUS_INIT && !sidecar && podstatus_has_started(view->pod, view->pod_facts))
        return terminated_unseen(0, "Completed",
                                 "Unable to get init container status from container runtime and pod has been "
                                 "initialized, treat it as exited normally");
    if (ends_unknown(view))
        return terminated_unknown("The container could not be located when the pod was terminated");
    return default_waiting(view);
}

static struct json *state_of(const struct view *view)
{
    const struct cri_container *current = current_of(view);

    if (current == NULL)
        return state_of_absent(view);
    switch (current->state) {
    case CRI_RUNNING:
        return json_build("{s:{s:o}}", "running", "startedAt", podstatus_time(current->started_ns));
    case CRI_EXITED:
        if (is_restarting(view) && !view->ending)
            return waiting_for_restart();
        if (view->facts->starts_again && !view->ending) /* no API server lets it start again that was told of an end for good */
            return default_waiting(view);
        if (view->facts->waiting_reason != NULL && !view->ending)
            return waiting(view->facts->waiting_reason, view->facts->waiting_message);
        return terminated(current, view->facts->current_message);
    case CRI_UNKNOWN:
        if (was(view, "running"))
            return terminated_unknown("The container could not be located when the pod was terminated");
        break;
    case CRI_CREATED:
        break;
    }
    if (view->ending && view->pod_facts->terminal)
        return terminated_unknown("The container could not be located when the pod was terminated");
    return default_waiting(view);
}

/* What it was before its present state. */
static struct json *last_state_of(const struct view *view, const struct json *state)
{
    const struct cri_container *current = current_of(view);
    const struct json *old_last = json_get(view->old, "lastState", NULL);

    if (current != NULL && current->state == CRI_EXITED && json_get(state, "waiting", NULL) != NULL)
        return (is_restarting(view) ? terminated_for_restart : terminated)(current, view->facts->current_message);
    if (view->facts != NULL && view->facts->last != NULL && view->facts->last->state == CRI_EXITED)
        return terminated(view->facts->last, view->facts->last_message);
    if (current != NULL && was(view, "terminated")) {
        CLEANUP(xfree) char *id = container_id(current);

        if (!streq(json_str(view->old, "containerID", NULL), id))
            return json_clone(json_get(view->old, "state", NULL));
    }
    if (current == NULL && was(view, "running") && json_len(old_last) == 0)
        return terminated_unknown(
            "The container could not be located when the pod was deleted.  The container used to be Running");
    return old_last != NULL ? json_clone(old_last) : json_new_object();
}

static int64_t restart_count(const struct view *view)
{
    const struct cri_container *current = current_of(view);
    int64_t count = json_int_or(0, view->old, "restartCount", NULL);

    if (view->facts != NULL && view->facts->restarts > count)
        count = view->facts->restarts;
    if (current != NULL && current->attempt > count)
        count = current->attempt;
    return count;
}

static void set_ready(const struct view *view, struct json *status)
{
    bool running = json_get(status, "state", "running", NULL) != NULL;
    bool started = running && view->facts != NULL && view->facts->startup_done;
    bool ready = started && view->facts->ready;
    const struct json *exited = json_get(status, "state", "terminated", NULL);

    if (view->kind == PODSTATUS_INIT && !podspec_is_sidecar(view->spec))
        ready = exited != NULL && json_int_or(-1, exited, "exitCode", NULL) == 0;
    if (view->kind == PODSTATUS_EPHEMERAL)
        ready = false;
    else
        json_set_bool(status, "started", started);
    json_set_bool(status, "ready", ready);
}

/* The image by name, where the runtime knows only its id. */
static const char *image_name(const struct view *view)
{
    const struct cri_container *current = current_of(view);

    if (current != NULL && strempty(current->image)[0] != '\0' && !starts_with(current->image, "sha256:"))
        return current->image;
    return json_str_or("", view->spec, "image", NULL);
}

static void set_mounts(const struct view *view, struct json *status)
{
    const struct json *mounts = json_get(view->spec, "volumeMounts", NULL);
    const struct json *mount;
    struct json *list;

    if (json_len(mounts) == 0)
        return;
    list = json_new_array();
    json_each(mount, mounts)
    {
        struct json *item = json_build("{s:s, s:s}", "name", json_str_or("", mount, "name", NULL), "mountPath",
                                       json_str_or("", mount, "mountPath", NULL));

        if (json_is_true(mount, "readOnly", NULL)) {
            json_set_bool(item, "readOnly", true);
            bool below = view->facts != NULL && view->facts->readonly_below &&
                         !streq(json_str_or("Disabled", mount, "recursiveReadOnly", NULL), "Disabled");
            json_set_str(item, "recursiveReadOnly", below ? "Enabled" : "Disabled");
        }
        json_push(list, item);
    }
    json_set(status, "volumeMounts", list);
}

/* A resize that waits or is under way has not changed them yet. */
static void set_resources(const struct view *view, struct json *status)
{
    const struct json *resources = view->facts->resources;
    CLEANUP(xfree) char *id = container_id(current_of(view));
    const struct json *requests;

    if (view->kind == PODSTATUS_EPHEMERAL)
        return;
    if (resources == NULL && streq(json_str(view->old, "containerID", NULL), id))
        resources = json_get(view->old, "resources", NULL);
    if (resources == NULL)
        resources = json_get(view->spec, "resources", NULL);
    requests = json_get(resources, "requests", NULL);
    json_set(status, "resources", resources != NULL ? json_clone(resources) : json_new_object());
    if (json_len(requests) > 0)
        json_set(status, "allocatedResources", json_clone(requests));
}

static struct json *container_status(const struct view *view)
{
    const struct cri_container *current = current_of(view);
    struct json *state = state_of(view);
    struct json *last = last_state_of(view, state);
    struct json *status;

    if (current == NULL && was(view, "terminated") && !is_restarting(view)) { /* all that will ever be known of it */
        json_free(state);
        json_free(last);
        return json_clone(view->old);
    }
    status = json_build("{s:s, s:o, s:o, s:I, s:s, s:s}", "name", json_str_or("", view->spec, "name", NULL), "state",
                        state, "lastState", last, "restartCount", restart_count(view), "image", image_name(view),
                        "imageID", current != NULL ? strempty(current->image_ref) : "");
    set_ready(view, status);
    if (current != NULL) {
        CLEANUP(xfree) char *id = container_id(current);

        json_set_str(status, "containerID", id);
        set_resources(view, status);
    }
    set_mounts(view, status);
    return status;
}

/* --- the lists */

static const struct json *spec_of(const struct json *list, const char *name)
{
    const struct json *container;

    json_each(container, list)
        if (streq(json_str(container, "name", NULL), name))
            return container;
    return NULL;
}

/* Init containers in the order they run, the others by name, as the kubelet writes them. */
struct json *podstatus_containers(const struct json *pod, const struct podstatus_facts *facts, enum podstatus_kind kind)
{
    const struct json *specs = json_get(pod, "spec", spec_lists[kind], NULL);
    const struct json *old = json_get(pod, "status", status_lists[kind], NULL);
    CLEANUP(strv_done) struct strv names = {0};
    struct json *list = json_new_array();
    const struct json *spec;

    json_each(spec, specs)
        strv_add(&names, json_str_or("", spec, "name", NULL));
    if (kind != PODSTATUS_INIT)
        strv_sort(&names);
    for (size_t i = 0; i < names.n; i++) {
        const struct view view = {
            .pod = pod,
            .spec = spec_of(specs, names.items[i]),
            .old = podstatus_find_status(old, names.items[i]),
            .facts = podstatus_find(facts, names.items[i]),
            .pod_facts = facts,
            .kind = kind,
            .ending = facts->terminal || facts->failed_reason != NULL ||
                      json_get(pod, "metadata", "deletionTimestamp", NULL) != NULL,
        };

        json_push(list, container_status(&view));
    }
    return list;
}
