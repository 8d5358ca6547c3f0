/*
 * observe.c: turns what the API server says of pods and Nodes into stages, reservations and counts. It is the only
 * place where a pod's stage changes. Decides nothing: it queues what needs a decision and hands on what can be bound.
 */
#include "base/log.h"
#include "base/mem.h"
#include "bind.h"
#include "fargate/names.h"
#include "ledger.h"
#include "room.h"
#include "scheduler.h"

static enum pod_stage stage_of(const struct json *object)
{
    const char *phase = json_str(object, "status", "phase", NULL);

    if (streq(phase, "Succeeded") || streq(phase, "Failed"))
        return POD_ENDED;
    if (*json_str_or("", object, "spec", "nodeName", NULL) != '\0')
        return POD_BOUND;
    return *json_str_or("", object, "metadata", "labels", FKS_HOST_LABEL, NULL) != '\0' ? POD_RESERVED : POD_WAITING;
}

static void set_text(char **text, const char *value)
{
    if (streq(*text, value))
        return;
    free(*text);
    *text = value != NULL ? xstrdup(value) : NULL;
}

/* Holds the room that the object says is held. */
static void hold(struct pod *pod, const struct json *object)
{
    if (pod->host == NULL) { /* bound by hand: it takes nothing of ours */
        room_free(pod);
    } else {
        const struct fargate_size size = fargate_size_provisioned(object);

        if (pod->held.host == NULL || !streq(pod->held.host->name, pod->host) || pod->held.size.cpu_m != size.cpu_m ||
            pod->held.size.mem_b != size.mem_b)
            room_take(pod, pod->host, &size);
    }
}

static void give_up(struct pod *pod)
{
    if (pod->held.host == NULL)
        return;
    room_free(pod);
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
    } else if (pod->call == NULL && !pod->asking) {
        if (pod->waiting_ms == 0)
            pod->waiting_ms = loop_now_ms(scheduler->loop);
        queue_add(&scheduler->to_place, &pod->place_item);
        scheduler_poke(scheduler);
    }
}

static void enter_stage(struct pod *pod, const struct json *object, enum pod_stage before)
{
    const char *profile = 
        json_str(object, "metadata", "labels", pod->scheduler->options.names.profile_label, NULL);

    switch (pod->stage) {
    case POD_NEW:
        break;
    case POD_WAITING:
        room_count(pod, profile, PROFILE_COUNT_PENDING);
        wait_for_host(pod, object, before);
        break;
    case POD_RESERVED:
        if (before != POD_RESERVED)
            pod->reserved_ms = loop_now_ms(pod->scheduler->loop);
        room_count(pod, profile, PROFILE_COUNT_PENDING);
        hold(pod, object);
        bind_try(pod);
        break;
    case POD_BOUND:
        room_count(pod, profile, PROFILE_COUNT_RUNNING);
        hold(pod, object);
        break;
    case POD_ENDED:
        give_up(pod);
        room_count(pod, profile, PROFILE_COUNT_NONE);
        break;
    }
}

static void share_labels(struct pod *pod, const struct json *object)
{
    struct share *share = &pod->scheduler->labels;
    struct shared *before = pod->labels;

    pod->labels = share_take(share, json_get(object, "metadata", "labels", NULL));
    share_drop(share, before);
}

/* Nothing but the size has a say in where the pod goes. */
static bool is_plain(const struct json *spec)
{
    static const char *const says[] = {"nodeSelector", "affinity", "topologySpreadConstraints", "runtimeClassName"};
    const struct json *volume;

    for (size_t i = 0; i < countof(says); i++)
        if (json_member(spec, says[i]) != NULL)
            return false;
    json_each(volume, json_get(spec, "volumes", NULL))
        if (claim_of_volume(volume) != NULL || json_member(volume, "csi") != NULL)
            return false;
    return true;
}

/* Of a pod that is bound nothing is read any more. */
static void keep_text(struct pod *pod, const struct json *object)
{
    CLEANUP(buf_done) struct buf text = {0};

    pod->text = xfree(pod->text);
    if (*json_str_or("", object, "spec", "nodeName", NULL) != '\0')
        return;
    json_print(object, &text);
    pod->text = xstrdup(buf_text(&text));
    pod->plain = is_plain(json_get(object, "spec", NULL));
}

void observe_pod(struct pod *pod, const struct json *object)
{
    struct scheduler *scheduler = pod->scheduler;
    uint64_t version = strtoull(json_str_or("0", object, "metadata", "resourceVersion", NULL), NULL, 10);
    const char *host = json_str(object, "metadata", "labels", FKS_HOST_LABEL, NULL);
    enum pod_stage before = pod->stage;

    if (version < pod->version || !streq(json_str(object, "metadata", "uid", NULL), pod->uid))
        return;
    pod->version = version;
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
    if (pod->stage != POD_WAITING && pod->counted_refused) {
        profiles_refused(pod->profile, -1);
        pod->counted_refused = false;
    }
    enter_stage(pod, object, before);
    ledger_on_pod(pod);
    share_labels(pod, object);
    room_recount(pod);
}

/* Adds a text to those behind a struct. */
static char *add_text(char **end, const char *text)
{
    char *copy = *end;
    size_t size = strlen(text) + 1;

    memcpy(copy, text, size);
    *end += size;
    return copy;
}

static struct pod *pod_new(struct scheduler *scheduler, const char *key, const struct json *object)
{
    const char *namespace = json_str_or("", object, "metadata", "namespace", NULL);
    const char *uid = json_str_or("", object, "metadata", "uid", NULL);
    struct pod *pod = xcalloc(1, sizeof(*pod) + strlen(key) + strlen(namespace) + strlen(uid) + 3);
    char *end = (char *)(pod + 1);

    pod->scheduler = scheduler;
    pod->key = add_text(&end, key);
    pod->name = pod->key + strlen(namespace) + 1;
    pod->namespace = add_text(&end, namespace);
    pod->uid = add_text(&end, uid);
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
    ledger_on_end(pod);
    if (pod->asking)
        scheduler->n_asking--;
    queue_remove(&scheduler->to_place, &pod->place_item);
    queue_remove(&scheduler->to_bind, &pod->bind_item);
    queue_remove(&scheduler->to_tell, &pod->tell_item);
    give_up(pod);
    room_count(pod, NULL, PROFILE_COUNT_NONE);
    (void)map_del(&scheduler->pods, pod->key);
    (void)map_del(&scheduler->pods_by_uid, pod->uid);
    share_drop(&scheduler->labels, pod->labels);
    free(pod->text);
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
    keep_text(pod, new);
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
    kube_cancel(node->call);
    free(node);
}

static struct node *node_new(const char *name, const char *host, const char *pod_uid, const struct json *object)
{
    const char *uid = json_str_or("", object, "metadata", "uid", NULL);
    const char *pod_key = json_str_or("", object, "metadata", "annotations", FKS_POD_ANNOTATION, NULL);
    struct node *node = xcalloc(1, sizeof(*node) + strlen(name) + strlen(host) + strlen(pod_uid) + strlen(uid) +
                                       strlen(pod_key) + 5);
    char *end = (char *)(node + 1);

    node->name = add_text(&end, name);
    node->host = add_text(&end, host);
    node->pod_uid = add_text(&end, pod_uid);
    node->uid = add_text(&end, uid);
    node->pod_key = add_text(&end, pod_key);
    return node;
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
    int64_t orphan_ms;

    orphan_ms = map_has(&scheduler->nodes, name) ? ((struct node *)map_get(&scheduler->nodes, name))->orphan_ms : 0;
    node_forget(scheduler, name);
    if (uid == NULL || host == NULL)
        return;
    CLEANUP(xfree) char *key = node_key(uid, host);
    node = node_new(name, host, uid, new);
    node->scheduler = scheduler;
    node->orphan_ms = orphan_ms;
    json_each(item, json_get(new, "status", "conditions", NULL))
        if (streq(json_str(item, "type", NULL), "Ready"))
            node->ready = streq(json_str(item, "status", NULL), "True");
    if (json_get(new, "metadata", "deletionTimestamp", NULL) != NULL)
        node->ready = false;
    (void)map_set(&scheduler->nodes, name, node);
    (void)map_set(&scheduler->nodes_by_pod, key, node);
    pod = map_get(&scheduler->pods_by_uid, uid);
    if (pod != NULL && node->ready && pod->node_ms == 0 && observe_node_of(pod) == node)
        pod->node_ms = loop_now_ms(scheduler->loop);
    if (pod != NULL)
        bind_try(pod);
}

void observe_recount(struct scheduler *scheduler, const char *namespace)
{
    const char *key;
    void *value;

    for (size_t i = 0; map_next(&scheduler->pods, &i, &key, &value);) {
        struct pod *pod = value;

        if (streq(pod->namespace, namespace))
            room_recount(pod);
    }
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
