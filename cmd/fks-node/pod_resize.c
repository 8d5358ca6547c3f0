/*
 * pod_resize.c: changes of a running pod's requests and limits. What a container got is remembered in its status, so
 * a difference between spec and status is a resize that is still to be done, also after a restart of the agent.
 * Within the pod's machine every change is taken; beyond it the machine grows if its host has room (API servers from
 * 1.36 on refuse such a resize before it comes here). A machine never shrinks: what was provisioned stays so.
 */
#include "base/log.h"
#include "base/mem.h"
#include "fargate/names.h"

#include "cgroups.h"
#include "nodes.h"
#include "pod.h"
#include "pods.h"

static const struct json *wanted_of(const struct pod_container *container)
{
    return json_get(container->spec, "resources", NULL);
}

static bool same(const struct json *a, const struct json *b)
{
    return (json_len(a) == 0 && json_len(b) == 0) || (a != NULL && b != NULL && json_same(a, b));
}

/* A container that was adopted has what its status says; one whose status was never written has what its spec says. */
static void recall(struct pod_container *container)
{
    static const char *const lists[] = {"containerStatuses", "initContainerStatuses"};
    const struct json *found = NULL, *status;

    if (container->resources != NULL || container->current == NULL)
        return;
    for (size_t i = 0; i < countof(lists); i++)
        json_each(status, json_get(container->pod->object, "status", lists[i], NULL))
            if (streq(json_str(status, "name", NULL), container->name) &&
                ends_with(json_str_or("", status, "containerID", NULL), container->current->id))
                found = json_get(status, "resources", NULL);
    if (found == NULL)
        found = wanted_of(container);
    container->resources = found != NULL ? json_clone(found) : json_new_object();
}

static bool is_resizable(const struct pod_container *container)
{
    return container->spec != NULL && container->kind != POD_CONTAINER_EPHEMERAL && pod_container_runs(container) &&
           pod_container_is_here(container) && !container->busy && container->kill == POD_KILL_NONE;
}

static bool differs(struct pod_container *container)
{
    if (!is_resizable(container))
        return false;
    recall(container);
    return !same(container->resources, wanted_of(container));
}

/* --- the machine */

static void set_pending(struct pod *pod, const char *reason, char *message)
{
    if (!streq(pod->resize_pending, reason))
        pod_event(pod, "Warning", streq(reason, "Infeasible") ? "ResizeInfeasible" : "ResizeDeferred", "%s", message);
    pod->resize_pending = reason;
    free(pod->resize_message);
    pod->resize_message = message;
}

static void set_allowed(struct pod *pod)
{
    pod->resize_pending = NULL;
    pod->resize_message = xfree(pod->resize_message);
}

static void on_told(struct json **answer UNUSED, struct err *err, void *data)
{
    struct pod *pod = data;

    pod->size_telling = false;
    if (err->code == 0)
        pod->size_told = true;
    else if (err->code != ERR_NOT_FOUND)
        pod_retry_later(pod, "telling the size of a pod's machine", err);
    pod_call_done(pod);
}

/* The scheduler counts by the annotation, and people read it. */
static void tell_size(struct pod *pod)
{
    CLEANUP(buf_done) struct buf text = {0};

    if (pod->size_told || pod->size_telling || !pod_may_try(pod))
        return;
    fargate_size_print(&pod->size, &text);
    pod->size_telling = true;
    pod_call_begin(pod);
    agent_request(pod->agent, "PATCH", kube_path("", "v1", pod->namespace, "pods", pod->name, "status"),
                  json_build("{s:{s:s, s:{s:s}}}", "metadata", "uid", pod->uid, "annotations",
                             FARGATE_CAPACITY_ANNOTATION, buf_text(&text)),
                  KUBE_STRATEGIC_PATCH, on_told, pod);
}

static bool grow(struct pod *pod, const struct fargate_size *size)
{
    CLEANUP(err_clear) struct err err = {0};
    const struct fargate_size before = pod->size;

    pod->size.cpu_m = size->cpu_m > before.cpu_m ? size->cpu_m : before.cpu_m;
    pod->size.mem_b = size->mem_b > before.mem_b ? size->mem_b : before.mem_b;
    if (cgroups_make(pod->agent->cgroups, pod->uid, pod->size.mem_b, &err) < 0 ||
        cgroups_limit_cpu(pod->agent->cgroups, pod->uid, pod->size.cpu_m, &err) < 0) {
        pod->size = before;
        pod_retry_later(pod, "resizing the machine of a pod", &err);
        return false;
    }
    log_info("the machine of a pod grew", "pod", pod_title(pod));
    pod->size_told = false;
    nodes_resized(pod);
    return true;
}

static char *shortage(const char *what, const struct fargate_size *size, const struct fargate_size *room, bool cpu)
{
    return cpu ? xasprintf("%s: cpu, requested: %lld, capacity: %lld", what, (long long)size->cpu_m,
                           (long long)room->cpu_m)
               : xasprintf("%s: memory, requested: %lld, capacity: %lld", what, (long long)size->mem_b,
                           (long long)room->mem_b);
}

/* True when the pod's machine is, or has become, large enough for what the spec asks for. */
static bool machine_fits(struct pod *pod)
{
    CLEANUP(err_clear) struct err err = {0};
    const struct agent_options *options = &pod->agent->options;
    const struct fargate_size host = {.cpu_m = options->capacity_cpu_m, .mem_b = options->capacity_mem_b};
    struct fargate_request request;
    struct fargate_size size, taken;

    if (fargate_request_of(pod->object, &request, &err) < 0 || fargate_size_for(&request, false, &size, &err) < 0) {
        set_pending(pod, "Infeasible", xstrdup(err_text(&err)));
        return false;
    }
    /* a machine that was sized exactly may lie between two rows of the table */
    if (request.cpu_m <= pod->size.cpu_m && request.mem_b <= pod->size.mem_b)
        return true;
    if (size.cpu_m > host.cpu_m || size.mem_b > host.mem_b) {
        set_pending(pod, "Infeasible", shortage("Node didn't have enough capacity", &size, &host,
                                                size.cpu_m > host.cpu_m));
        return false;
    }
    pods_taken(pod->agent->pods, pod, &taken);
    const struct fargate_size room = {.cpu_m = host.cpu_m - taken.cpu_m, .mem_b = host.mem_b - taken.mem_b};
    if (size.cpu_m > room.cpu_m || size.mem_b > room.mem_b) {
        set_pending(pod, "Deferred", shortage("Node didn't have enough resource", &size, &room,
                                              size.cpu_m > room.cpu_m));
        return false;
    }
    return grow(pod, &size);
}

/* --- containers */

static const char *amount(const struct json *resources, const char *list, const char *name)
{
    return strempty(json_str(resources, list, name, NULL));
}

static bool needs_restart(const struct pod_container *container)
{
    const struct json *policy;

    json_each(policy, json_get(container->spec, "resizePolicy", NULL)) {
        const char *name = json_str_or("", policy, "resourceName", NULL);
        if (!streq(json_str(policy, "restartPolicy", NULL), "RestartContainer"))
            continue;
        if (!streq(amount(container->resources, "requests", name), amount(wanted_of(container), "requests", name)) ||
            !streq(amount(container->resources, "limits", name), amount(wanted_of(container), "limits", name)))
            return true;
    }
    return false;
}

static void on_updated(struct err *err, void *data)
{
    struct pod_container *container = data;
    struct pod *pod = container->pod;
    CLEANUP(json_free) struct json *applied = take(&container->resizing);

    if (err->code == 0) {
        json_free(container->resources);
        container->resources = take(&applied);
        pod->resize_error = xfree(pod->resize_error);
        log_info("container resized", "pod", pod_title(pod), "container", container->name);
    } else {
        if (!streq(pod->resize_error, err_text(err)))
            pod_event(pod, "Warning", "ResizeError", "Error resizing container %s: %s", container->name, err_text(err));
        free(pod->resize_error);
        pod->resize_error = xstrdup(err_text(err));
        pod_retry_later(pod, "resizing a container", err);
    }
    pod_call_done(pod);
}

static void resize(struct pod_container *container)
{
    CLEANUP(err_clear) struct err err = {0};
    struct pod *pod = container->pod;
    struct podspec_context context;
    struct cri_resources resources = {0};

    if (container->resizing != NULL || !pod_may_try(pod))
        return;
    if (needs_restart(container)) {
        container->resize_restart = true;
        pod_container_kill(container, pod_grace_s(pod), "Container %s resize requires restart", container->name);
        return;
    }
    pod_context(pod, &context);
    if (podspec_container_resources(pod->object, container->spec, &context, &resources, &err) < 0) {
        pod_retry_later(pod, "working out the resources of a container", &err);
        return;
    }
    resources.oom_score_adj = 0; /* stays as it is */
    container->resizing = wanted_of(container) != NULL ? json_clone(wanted_of(container)) : json_new_object();
    pod_call_begin(pod);
    cri_update_resources(pod->agent->cri, container->current->id, &resources, on_updated, container);
}

void pod_resize_created(struct pod_container *container)
{
    json_free(container->resources);
    container->resources = take(&container->creating);
    container->resize_restart = false;
}

void pod_resize_sync(struct pod *pod)
{
    bool any = false;

    for (size_t i = 0; i < pod->n_containers; i++)
        any = any || differs(pod->containers[i]) || pod->containers[i]->resizing != NULL;
    pod->resize_going = false;
    tell_size(pod);
    if (!any) {
        set_allowed(pod);
        pod->resize_error = xfree(pod->resize_error);
        return;
    }
    if (!machine_fits(pod)) {
        pod_wake_in(pod, POD_RESIZE_AGAIN_MS);
        return;
    }
    set_allowed(pod);
    tell_size(pod);
    pod->resize_going = true;
    for (size_t i = 0; i < pod->n_containers; i++)
        if (differs(pod->containers[i]))
            resize(pod->containers[i]);
}
