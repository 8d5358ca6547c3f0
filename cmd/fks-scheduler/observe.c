/*
 * observe.c: turns what the API server says of pods and Nodes into stages, reservations and counts. It is the only
 * place where a pod's stage changes. Decides nothing: it queues what needs a decision and hands on what can be bound.
 */
#include "base/log.h"
#include "base/mem.h"
#include "bind.h"
#include "fargate/names.h"
#include "scheduler.h"

/* resourceVersions are decimal numbers that only grow. */
static bool is_older(const char *version, const char *known)
{
    size_t len = strlen(version), known_len = strlen(known);

    return len != known_len ? len < known_len : strcmp(version, known) < 0;
}

static enum pod_stage stage_of(const struct json *object)
{
    const char *phase = json_str(object, "status", "phase", NULL);

    if (streq(phase, "Succeeded") || streq(phase, "Failed"))
        return POD_ENDED;
    if (*json_str_or("", object, "spec", "nodeName", NULL) != '\0')
        return POD_BOUND;
    return *json_str_or("", object, "metadata", "labels", FKS_HOST_LABEL, NULL) != '\0' ? POD_RESERVED : POD_WAITING;
}

/* What a reserved pod takes: as written on it, else as its requests say. */
static struct fargate_size size_of(const struct json *object)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *text = json_str(object, "metadata", "annotations", FARGATE_CAPACITY_ANNOTATION, NULL);
    struct fargate_size size = {0};
    struct fargate_request request;

    if (text != NULL && fargate_size_parse(text, &size, &err) >= 0)
        return size;
    err_clear(&err);
    if (fargate_request_of(object, &request, &err) < 0 || fargate_size_for(&request, false, &size, &err) < 0)
        return (struct fargate_size){0};
    return size;
}

static void set_text(char **text, const char *value)
{
    if (streq(*text, value))
        return;
    free(*text);
    *text = value != NULL ? xstrdup(value) : NULL;
}

static void count(struct pod *pod, const char *profile, enum profile_count as)
{
    if (pod->profile != NULL && (as == PROFILE_COUNT_NONE || !streq(pod->profile->name, profile))) {
        profiles_count(take(&pod->profile), pod->counted, PROFILE_COUNT_NONE);
        pod->counted = PROFILE_COUNT_NONE;
    }
    if (profile == NULL || as == PROFILE_COUNT_NONE)
        return;
    pod->profile = profiles_get(pod->scheduler->profiles, profile);
    profiles_count(pod->profile, pod->counted, as);
    pod->counted = as;
}

/* Holds the room that the object says is held. */
static void hold(struct pod *pod, const struct json *object)
{
    struct hosts *hosts = &pod->scheduler->hosts;

    if (pod->host == NULL) { /* bound by hand: it takes nothing of ours */
        hosts_release(hosts, &pod->held);
    } else {
        const struct fargate_size size = size_of(object);

        /* the agent writes another size when a resize made the machine grow */
        if (pod->held.host == NULL || !streq(pod->held.host->name, pod->host) || pod->held.size.cpu_m != size.cpu_m ||
            pod->held.size.mem_b != size.mem_b)
            hosts_reserve(hosts, &pod->held, pod->host, &size);
    }
}

static void give_up(struct pod *pod)
{
    if (pod->held.host == NULL)
        return;
    hosts_release(&pod->scheduler->hosts, &pod->held);
    scheduler_wake(pod->scheduler);
}

static void wait_for_host(struct pod *pod, const struct json *object, enum pod_stage before)
{
    struct scheduler *scheduler = pod->scheduler;

    /* one that was asked for and not seen yet stays: the call, or the retry after it, finds out */
    if (before == POD_RESERVED)
        give_up(pod);
    if (pod->deleting || json_len(json_get(object, "spec", "schedulingGates", NULL)) > 0) {
        queue_remove(&scheduler->to_place, &pod->place_item);
    } else if (pod->call == NULL) {
        queue_add(&scheduler->to_place, &pod->place_item);
        scheduler_poke(scheduler);
    }
}

void observe_pod(struct pod *pod, const struct json *object)
{
    struct scheduler *scheduler = pod->scheduler;
    const char *version = json_str_or("", object, "metadata", "resourceVersion", NULL);
    const char *host = json_str(object, "metadata", "labels", FKS_HOST_LABEL, NULL);
    const char *profile = json_str(object, "metadata", "labels", FARGATE_PROFILE_LABEL, NULL);
    enum pod_stage before = pod->stage;

    if ((pod->version != NULL && is_older(version, pod->version)) ||
        !streq(json_str(object, "metadata", "uid", NULL), pod->uid))
        return;
    set_text(&pod->version, version);
    set_text(&pod->host, host != NULL && *host != '\0' ? host : NULL);
    pod->deleting = json_get(object, "metadata", "deletionTimestamp", NULL) != NULL;
    pod->need_rules = 0;
    pod->stage = stage_of(object);
    if (pod->stage != POD_WAITING) {
        queue_remove(&scheduler->to_place, &pod->place_item);
        queue_forgive(&pod->place_item);
    }
    if (pod->stage != POD_RESERVED) {
        queue_remove(&scheduler->to_bind, &pod->bind_item);
        queue_forgive(&pod->bind_item);
    }
    switch (pod->stage) {
    case POD_NEW:
        break;
    case POD_WAITING:
        count(pod, profile, PROFILE_COUNT_PENDING);
        wait_for_host(pod, object, before);
        break;
    case POD_RESERVED:
        count(pod, profile, PROFILE_COUNT_PENDING);
        hold(pod, object);
        bind_try(pod);
        break;
    case POD_BOUND:
        count(pod, profile, PROFILE_COUNT_RUNNING);
        hold(pod, object);
        break;
    case POD_ENDED:
        count(pod, profile, PROFILE_COUNT_NONE);
        give_up(pod);
        break;
    }
}

static struct pod *pod_new(struct scheduler *scheduler, const char *key, const struct json *object)
{
    struct pod *pod = NEW(struct pod);

    pod->scheduler = scheduler;
    pod->key = xstrdup(key);
    pod->namespace = xstrdup(json_str_or("", object, "metadata", "namespace", NULL));
    pod->name = xstrdup(json_str_or("", object, "metadata", "name", NULL));
    pod->uid = xstrdup(json_str_or("", object, "metadata", "uid", NULL));
    (void)map_set(&scheduler->pods, key, pod);
    (void)map_set(&scheduler->pods_by_uid, pod->uid, pod);
    return pod;
}

static void pod_free(struct pod *pod)
{
    struct scheduler *scheduler = pod->scheduler;

    if (pod->call != NULL) {
        kube_cancel(pod->call);
        scheduler_call_done(pod);
    }
    kube_cancel(pod->report_call);
    queue_remove(&scheduler->to_place, &pod->place_item);
    queue_remove(&scheduler->to_bind, &pod->bind_item);
    count(pod, NULL, PROFILE_COUNT_NONE);
    give_up(pod);
    (void)map_del(&scheduler->pods, pod->key);
    (void)map_del(&scheduler->pods_by_uid, pod->uid);
    free(pod->key);
    free(pod->namespace);
    free(pod->name);
    free(pod->uid);
    free(pod->version);
    free(pod->host);
    free(pod->refusal);
    free(pod->report_text);
    free(pod);
}

void observe_pod_change(const struct json *old, const struct json *new, void *data)
{
    struct scheduler *scheduler = data;
    const struct json *object = new != NULL ? new : old;
    CLEANUP(xfree) char *key = xasprintf("%s/%s", json_str_or("", object, "metadata", "namespace", NULL),
                                         json_str_or("", object, "metadata", "name", NULL));
    struct pod *pod = map_get(&scheduler->pods, key);

    /* another pod of the same name, when its predecessor went unseen between two lists */
    if (pod != NULL && (new == NULL || !streq(pod->uid, json_str(new, "metadata", "uid", NULL)))) {
        pod_free(pod);
        pod = NULL;
    }
    if (new == NULL)
        return;
    if (pod == NULL)
        pod = pod_new(scheduler, key, new);
    observe_pod(pod, new);
}

static char *node_key(const char *uid, const char *host)
{
    return xasprintf("%s %s", uid, host);
}

const struct node *observe_node_of(const struct pod *pod)
{
    CLEANUP(xfree) char *key = node_key(pod->uid, strempty(pod->host));

    return map_get(&pod->scheduler->nodes_by_pod, key);
}

static void node_forget(struct scheduler *scheduler, const char *name)
{
    struct node *node = map_del(&scheduler->nodes, name);

    if (node == NULL)
        return;
    CLEANUP(xfree) char *key = node_key(node->pod_uid, node->host);
    if (map_get(&scheduler->nodes_by_pod, key) == node)
        (void)map_del(&scheduler->nodes_by_pod, key);
    free(node->name);
    free(node->host);
    free(node->pod_uid);
    free(node);
}

void observe_node_change(const struct json *old, const struct json *new, void *data)
{
    struct scheduler *scheduler = data;
    const char *name = json_str_or("", new != NULL ? new : old, "metadata", "name", NULL);
    const char *uid = json_str(new, "metadata", "annotations", FKS_POD_UID_ANNOTATION, NULL);
    const char *host = json_str(new, "metadata", "labels", FKS_HOST_LABEL, NULL);
    const struct json *item;
    struct node *node;
    struct pod *pod;

    node_forget(scheduler, name);
    if (uid == NULL || host == NULL)
        return;
    CLEANUP(xfree) char *key = node_key(uid, host);
    node = NEW(struct node);
    node->name = xstrdup(name);
    node->host = xstrdup(host);
    node->pod_uid = xstrdup(uid);
    json_each(item, json_get(new, "status", "conditions", NULL))
        if (streq(json_str(item, "type", NULL), "Ready"))
            node->ready = streq(json_str(item, "status", NULL), "True");
    if (json_get(new, "metadata", "deletionTimestamp", NULL) != NULL)
        node->ready = false;
    (void)map_set(&scheduler->nodes, name, node);
    (void)map_set(&scheduler->nodes_by_pod, key, node);
    pod = map_get(&scheduler->pods_by_uid, uid);
    if (pod != NULL)
        bind_try(pod);
}

void observe_done(struct scheduler *scheduler)
{
    const char *key;
    void *value;

    for (size_t i = 0; map_next(&scheduler->pods, &i, &key, &value);)
        pod_free(value);
    for (size_t i = 0; map_next(&scheduler->nodes, &i, &key, &value);)
        node_forget(scheduler, key);
    map_done(&scheduler->pods);
    map_done(&scheduler->pods_by_uid);
    map_done(&scheduler->nodes);
    map_done(&scheduler->nodes_by_pod);
}
