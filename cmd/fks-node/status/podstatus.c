/*
 * podstatus.c: makes the whole status of a pod and the patch that leads to it. Only what belongs to a kubelet is
 * written, so that conditions of others survive, and only what differs, so that an idle pod costs the API server
 * nothing.
 */
#include "status/podstatus_internal.h"

#include "base/mem.h"
#include "spec/podspec.h"

const struct podstatus_container *podstatus_find(const struct podstatus_facts *facts, const char *name)
{
    for (size_t i = 0; i < facts->n_containers; i++)
        if (streq(facts->containers[i].name, name))
            return &facts->containers[i];
    return NULL;
}

const struct json *podstatus_find_status(const struct json *statuses, const char *name)
{
    const struct json *status;

    json_each(status, statuses)
        if (streq(json_str(status, "name", NULL), name))
            return status;
    return NULL;
}

bool podstatus_has_started(const struct json *pod, const struct podstatus_facts *facts)
{
    const struct json *container;

    json_each(container, json_get(pod, "spec", "containers", NULL))
    {
        const char *name = json_str(container, "name", NULL);
        const struct podstatus_container *of = podstatus_find(facts, name);
        const struct json *old = podstatus_find_status(json_get(pod, "status", "containerStatuses", NULL), name);

        if (of != NULL && of->current != NULL && of->current->state != CRI_CREATED)
            return true;
        if (json_get(old, "state", "running", NULL) != NULL || json_get(old, "state", "terminated", NULL) != NULL ||
            json_get(old, "lastState", "terminated", NULL) != NULL)
            return true;
    }
    return false;
}

bool podstatus_any_runs(const struct podstatus_facts *facts)
{
    for (size_t i = 0; i < facts->n_containers; i++)
        if (facts->containers[i].current != NULL && facts->containers[i].current->state == CRI_RUNNING)
            return true;
    return false;
}

bool podstatus_initialized(const struct json *pod, const struct podstatus_facts *facts)
{
    CLEANUP(json_free) struct json *statuses = podstatus_containers(pod, facts, PODSTATUS_INIT);
    const struct json *container;

    json_each(container, json_get(pod, "spec", "initContainers", NULL))
    {
        const struct json *of = podstatus_find_status(statuses, json_str(container, "name", NULL));

        if (!json_is_true(of, podspec_is_sidecar(container) ? "started" : "ready", NULL))
            return false;
    }
    return true;
}

/* --- the status */

static void set_addresses(const struct json *pod, const struct podstatus_facts *facts, struct json *status)
{
    const char *pod_ip = facts->pod_ip != NULL ? facts->pod_ip : facts->sandbox != NULL ? facts->sandbox->ip : NULL;

    if (json_is_true(pod, "spec", "hostNetwork", NULL))
        pod_ip = facts->host_ip;
    if (facts->host_ip != NULL) {
        json_set_str(status, "hostIP", facts->host_ip);
        json_set(status, "hostIPs", json_build("[{s:s}]", "ip", facts->host_ip));
    }
    if (pod_ip != NULL) {
        json_set_str(status, "podIP", pod_ip);
        json_set(status, "podIPs", json_build("[{s:s}]", "ip", pod_ip));
    }
}

static void set_phase(const struct json *pod, const struct podstatus_facts *facts, struct json *status)
{
    const char *phase = podstatus_phase(pod, facts, status);
    bool same = streq(json_str(pod, "status", "phase", NULL), phase);

    json_set_str(status, "phase", phase);
    if (same) /* reason and message belong to the phase */
        return;
    json_del(status, "reason");
    json_del(status, "message");
    if (streq(phase, "Failed") && facts->failed_reason != NULL) {
        json_set_str(status, "reason", facts->failed_reason);
        if (strempty(facts->failed_message)[0] != '\0')
            json_set_str(status, "message", facts->failed_message);
    }
}

struct json *podstatus_full(const struct json *pod, const struct podstatus_facts *facts)
{
    const struct json *old = json_get(pod, "status", NULL);
    struct json *status = json_is_object(old) ? json_clone(old) : json_new_object();
    int64_t generation = json_int_or(0, pod, "metadata", "generation", NULL);

    if (generation > 0)
        json_set_int(status, "observedGeneration", generation);
    json_set(status, "containerStatuses", podstatus_containers(pod, facts, PODSTATUS_REGULAR));
    if (json_len(json_get(pod, "spec", "initContainers", NULL)) > 0)
        json_set(status, "initContainerStatuses", podstatus_containers(pod, facts, PODSTATUS_INIT));
    if (json_len(json_get(pod, "spec", "ephemeralContainers", NULL)) > 0)
        json_set(status, "ephemeralContainerStatuses", podstatus_containers(pod, facts, PODSTATUS_EPHEMERAL));
    set_addresses(pod, facts, status);
    if (json_str_or("", status, "startTime", NULL)[0] == '\0')
        json_set(status, "startTime", podstatus_time(facts->start_ns > 0 ? facts->start_ns : facts->now_ns));
    json_set_str(status, "qosClass", podspec_qos_class(pod));
    set_phase(pod, facts, status);
    podstatus_conditions(pod, facts, status);
    return status;
}

/* --- the patch */

static bool lacks(const struct json *object, const char *key)
{
    return json_member(object, key) == NULL;
}

/*
 * Older API servers drop members that they do not know. What was sent once for this very container and did not come
 * back is no difference, or it would be sent for ever.
 */
static bool same_container_status(const struct json *old, const struct json *new)
{
    static const char *const newer[] = {"resources", "allocatedResources", "volumeMounts", "started"};
    CLEANUP(json_free) struct json *copy = json_clone(new);

    if (!streq(json_str_or("", old, "containerID", NULL), json_str_or("", new, "containerID", NULL)))
        return false;
    for (size_t i = 0; i < countof(newer); i++)
        if (lacks(old, newer[i]))
            json_del(copy, newer[i]);
    return json_same(old, copy);
}

static bool same_container_statuses(const struct json *old, const struct json *new)
{
    if (json_len(old) != json_len(new))
        return false;
    for (size_t i = 0; i < json_len(new); i++)
        if (!same_container_status(json_at(old, i), json_at(new, i)))
            return false;
    return true;
}

/* Conditions merge by type; what a condition lost has to be said. */
static void patch_conditions(const struct json *old, const struct json *new, struct json *patch)
{
    static const char *const may_vanish[] = {"reason", "message"};
    struct json *list = json_new_array();
    const struct json *condition;

    json_each(condition, json_get(new, "conditions", NULL))
    {
        const struct json *before = NULL;
        const struct json *item;
        struct json *change;

        json_each(item, json_get(old, "conditions", NULL))
            if (streq(json_str(item, "type", NULL), json_str(condition, "type", NULL)))
                before = item;
        if (before != NULL && json_same(before, condition))
            continue;
        change = json_clone(condition);
        for (size_t i = 0; i < countof(may_vanish); i++)
            if (!lacks(before, may_vanish[i]) && lacks(condition, may_vanish[i]))
                json_set(change, may_vanish[i], json_new_null());
        json_push(list, change);
    }
    json_each(condition, json_get(old, "conditions", NULL))
    {
        const char *type = json_str(condition, "type", NULL);
        bool there = false;
        const struct json *item;

        json_each(item, json_get(new, "conditions", NULL))
            there = there || streq(json_str(item, "type", NULL), type);
        if (!there)
            json_push(list, json_build("{s:s, s:s}", "$patch", "delete", "type", strempty(type)));
    }
    if (json_len(list) > 0)
        json_set(patch, "conditions", list);
    else
        json_free(list);
}

/* podIPs and hostIPs merge by address too, so an old address would stay beside the new one. */
static void patch_addresses(const struct json *old, const struct json *new, const char *one, const char *all,
                            struct json *patch)
{
    struct json *list;

    if (json_same(json_get(old, one, NULL), json_get(new, one, NULL)) &&
        (json_get(old, all, NULL) == NULL || json_same(json_get(old, all, NULL), json_get(new, all, NULL))))
        return;
    if (json_get(new, one, NULL) == NULL)
        return;
    json_set(patch, one, json_clone(json_get(new, one, NULL)));
    list = json_clone(json_get(new, all, NULL));
    if (json_len(json_get(old, all, NULL)) > 0)
        json_push(list, json_build("{s:s}", "$patch", "replace"));
    json_set(patch, all, list);
}

static void patch_member(const struct json *old, const struct json *new, const char *key, struct json *patch)
{
    const struct json *before = json_member(old, key);
    const struct json *after = json_member(new, key);

    if (after == NULL && before != NULL)
        json_set(patch, key, json_new_null());
    else if (after != NULL && (before == NULL || !json_same(before, after)))
        json_set(patch, key, json_clone(after));
}

struct json *podstatus_patch(const struct json *pod, const struct podstatus_facts *facts)
{
    static const char *const plain[] = {"phase", "reason", "message", "startTime", "qosClass", "observedGeneration"};
    static const char *const lists[] = {"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"};
    const struct json *old = json_get(pod, "status", NULL);
    CLEANUP(json_free) struct json *new = podstatus_full(pod, facts);
    CLEANUP(json_free) struct json *patch = json_new_object();

    for (size_t i = 0; i < countof(plain); i++)
        patch_member(old, new, plain[i], patch);
    for (size_t i = 0; i < countof(lists); i++)
        if (!same_container_statuses(json_get(old, lists[i], NULL), json_get(new, lists[i], NULL)))
            patch_member(old, new, lists[i], patch);
    patch_addresses(old, new, "hostIP", "hostIPs", patch);
    patch_addresses(old, new, "podIP", "podIPs", patch);
    patch_conditions(old, new, patch);
    if (json_len(patch) == 0)
        return NULL;
    return json_build("{s:{s:s}, s:o}", "metadata", "uid", json_str_or("", pod, "metadata", "uid", NULL), "status",
                      take(&patch));
}
