/*
 * pod_resize.c: changes of a running pod's requests and limits. What a container got is remembered in its status, so
 * a difference between spec and status is a resize that is still to be done, also after a restart of the agent.
 * Within the machine that was provisioned for the pod every change is taken, beyond it none: a machine neither grows nor
 * shrinks, as on Fargate, where a larger one is a new pod. The refusal is the condition PodResizePending with the reason
 * Infeasible, and an event. (API servers from 1.36 on refuse requests above the whole Node before they come here; they
 * leave room for Kubernetes itself, and limits, to the node.)
 */
#include "base/log.h"
#include "base/mem.h"
#include "fargate/names.h"

#include "pod/pod.h"

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

static void set_infeasible(struct pod *pod, const char *message)
{
    if (streq(pod->resize_message, message))
        return;
    pod_event(pod, "Warning", "ResizeInfeasible", "Pod resize Infeasible: %s", message);
    pod->resize_pending = "Infeasible";
    free(pod->resize_message);
    pod->resize_message = xstrdup(message);
}

static void set_allowed(struct pod *pod)
{
    pod->resize_pending = NULL;
    pod->resize_message = xfree(pod->resize_message);
}

/*
 * Whether the profile has limits above the machine cut to it, which only shows in such limits being in force already. The
 * pod as it was before the resize tells.
 */
static bool limits_are_cut(const struct pod *pod)
{
    static const char *const lists[] = {"initContainers", "containers"};
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(json_free) struct json *before = json_clone(pod->object);

    for (size_t i = 0; i < countof(lists); i++) {
        struct json *containers = json_edit_member(json_edit(before, "spec", NULL), lists[i]), *item;

        for (size_t j = 0; (item = json_edit_at(containers, j)) != NULL; j++)
            for (size_t k = 0; k < pod->n_containers; k++)
                if (pod->containers[k]->resources != NULL &&
                    streq(pod->containers[k]->name, json_str(item, "name", NULL)))
                    json_set(item, "resources", json_clone(pod->containers[k]->resources));
    }
    return fargate_limits_check(before, &pod->size, &ignored) < 0;
}

/* True when the pod's machine is large enough for what the spec asks for. */
static bool machine_fits(struct pod *pod)
{
    CLEANUP(err_clear) struct err err = {0};

    if (fargate_resize_check(pod->object, &pod->size, limits_are_cut(pod), &err) < 0) {
        set_infeasible(pod, err_text(&err));
        return false;
    }
    return true;
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
        container->restart_wanted = true;
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
    container->restart_wanted = false;
}

void pod_resize_sync(struct pod *pod)
{
    bool any = false;

    for (size_t i = 0; i < pod->n_containers; i++)
        any = any || differs(pod->containers[i]) || pod->containers[i]->resizing != NULL;
    pod->resize_going = false;
    if (!any) {
        set_allowed(pod);
        pod->resize_error = xfree(pod->resize_error);
        return;
    }
    if (!machine_fits(pod))
        return;
    set_allowed(pod);
    pod->resize_going = true;
    for (size_t i = 0; i < pod->n_containers; i++)
        if (differs(pod->containers[i]))
            resize(pod->containers[i]);
}
