/*
 * sweep.c: see sweep.h. Everything here is decided from the picture as it is at the moment; nothing is remembered but
 * since when a Node has had no pod.
 *
 * A dead host's bound pods are given up only while another host is open: with nowhere to go they had better wait for
 * their own host to come back.
 */
#include "sweep.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "drain.h"
#include "evict.h"
#include "fargate/names.h"
#include "ledger.h"
#include "report.h"
#include "reserve.h"
#include "room.h"

#define EVERY_MS 1000
#define TRIM_TICKS 30 /* between two returns of free memory to the system */
#define ORPHAN_MS 20000 /* the host's own agent has so long to clean up */
#define CLOCK_STEP_MAX_MS 5000
#define TELL_AGAIN_MS 30000
#define NODE_LATE_MS 120000 /* from the reservation to the Node: a large image may be on its way */

struct sweep {
    struct scheduler *scheduler;
    struct loop_timer *timer;
    struct kube_call *telling; /* of a silent host */
    int64_t tell_ms;           /* not before then */
    unsigned ticks;
};

/* --- hosts */

/* The clock of heartbeats goes on while the API server answers. */
static void move_clock(struct scheduler *scheduler)
{
    int64_t now = loop_now_ms(scheduler->loop), step = now - scheduler->host_tick_ms;

    scheduler->host_tick_ms = now;
    if (leader_silence_ms(scheduler->leader) <= 2 * LEADER_RENEW_MS)
        scheduler->host_ms += step < CLOCK_STEP_MAX_MS ? step : CLOCK_STEP_MAX_MS;
}

static bool is_any_open(const struct scheduler *scheduler)
{
    struct host *host;

    for (size_t i = 0; hosts_next(&scheduler->hosts, &i, &host);)
        if (host->listed)
            return true;
    return false;
}

/* Unbound pods of a dead host go elsewhere; bound ones are lost once that is certain. */
static void clear_host(struct scheduler *scheduler, struct host *host, bool any_open)
{
    bool lost = hosts_is_lost(host, scheduler->host_ms);

    for (struct reservation *held = host->reservations, *next; held != NULL && scheduler_may_call(scheduler); held = next) {
        struct pod *pod = room_pod(held);

        next = held->next;
        if (pod == NULL)
            continue;
        if (pod->stage == POD_RESERVED && !pod->binding_made)
            reserve_undo(pod, "the host is dead");
        else if (pod->stage == POD_BOUND && lost && any_open)
            evict_lost(pod);
    }
}

/* The last reservations that are too much, of pods that are not bound, are taken back. */
static void relieve_host(struct scheduler *scheduler, struct host *host)
{
    for (struct reservation *held = host->reservations; held != NULL && scheduler_may_call(scheduler); held = held->next) {
        struct pod *pod = room_pod(held);

        if (pod == NULL || pod->stage != POD_RESERVED || pod->binding_made || pod->call != NULL)
            continue;
        reserve_undo(pod, "more was promised of the host than it has");
        return; /* one at a time: the sums tell whether that was enough */
    }
}

/* Tells of pods whose Node is long in coming. They keep their host: its agent goes on trying. */
static void look_for_late_nodes(struct scheduler *scheduler, struct host *host)
{
    int64_t now = loop_now_ms(scheduler->loop);

    for (struct reservation *held = host->reservations; held != NULL; held = held->next) {
        struct pod *pod = room_pod(held);

        if (pod == NULL || pod->stage != POD_RESERVED || pod->reserved_ms == 0 || now - pod->reserved_ms < NODE_LATE_MS ||
            observe_node_of(pod) != NULL)
            continue;
        CLEANUP(xfree) char *text = xasprintf("Pod provisioning timed out (will retry) for pod: %s (host %s has made no "
                                              "Node for it yet: see the pod's other events, and the log of fks-node there)",
                                              pod->key, strempty(pod->host));
        report_waiting(pod, "Unschedulable", text);
    }
}

static void on_told(struct json **answer UNUSED, struct err *err, void *data)
{
    struct sweep *sweep = data;

    sweep->telling = NULL;
    if (err->code == 0 || err->code == ERR_NOT_FOUND)
        return;
    log_warn("the condition of a silent host could not be written; trying again", "error", err_text(err));
    sweep->tell_ms = loop_now_ms(sweep->scheduler->loop) + TELL_AGAIN_MS;
}

/*
 * The condition of a host is what its agent last said. When that is silent it is Unknown, as the condition of a Node whose
 * kubelet is; the agent writes it anew when it is back.
 */
static void tell_of_silence(struct sweep *sweep, const struct host *host)
{
    if (!host->said_ready || sweep->telling != NULL || loop_now_ms(sweep->scheduler->loop) < sweep->tell_ms)
        return;
    char now[CLOCK_TEXT_MAX];
    clock_rfc3339(clock_wall_ns(), now);
    CLEANUP(xfree) char *path = kube_path(FKS_GROUP, FKS_VERSION, NULL, "fargatehosts", host->name, "status");
    CLEANUP(xfree) char *message = xasprintf("fks-node stopped renewing its Lease %s/%s; the last time was %s", FKS_NAMESPACE,
                                             host->name, host->renew_time != NULL ? host->renew_time : "never");
    CLEANUP(json_free) struct json *body =
        json_build("{s:{s:[{s:s, s:s, s:s, s:s, s:s}]}}", "status", "conditions", "type", "Ready", "status", "Unknown",
                   "reason", "HostSilent", "message", message, "lastTransitionTime", now);
    const struct kube_request request = {
        .method = "PATCH", .path = path, .body = body, .content_type = KUBE_MERGE_PATCH};

    sweep->telling = kube_start(sweep->scheduler->client, &request, on_told, sweep);
}

static void look_at_hosts(struct sweep *sweep)
{
    struct scheduler *scheduler = sweep->scheduler;
    bool any_open = is_any_open(scheduler);
    struct host *host;

    for (size_t i = 0; hosts_next(&scheduler->hosts, &i, &host);) {
        enum host_state state = scheduler_host_state(scheduler, host);

        if (state == HOST_DEAD || state == HOST_GONE)
            clear_host(scheduler, host, any_open);
        else if (hosts_is_over(host))
            relieve_host(scheduler, host);
        look_for_late_nodes(scheduler, host);
        if (hosts_is_lost(host, scheduler->host_ms))
            tell_of_silence(sweep, host);
    }
}

/* Pods that are to end but whose host cannot say that they have. */
static void look_at_ending_pods(struct scheduler *scheduler)
{
    const char *key;
    void *value;

    for (size_t i = 0; map_next(&scheduler->pods, &i, &key, &value) && scheduler_may_call(scheduler);) {
        struct pod *pod = value;
        const struct host *host;

        if (!pod->deleting || pod->host == NULL || (pod->stage != POD_ENDED && pod->stage != POD_BOUND))
            continue;
        host = hosts_find(&scheduler->hosts, pod->host);
        if (host == NULL || hosts_is_lost(host, scheduler->host_ms))
            evict_lost(pod);
    }
}

/* --- Nodes without a pod */

static void on_node_deleted(struct json **answer UNUSED, struct err *err, void *data)
{
    struct node *node = data;

    node->call = NULL;
    node->orphan_ms = loop_now_ms(node->scheduler->loop);
    if (err->code == 0)
        log_info("Node without a pod deleted", "node", node->name, "pod", node->pod_key);
    else if (err->code != ERR_NOT_FOUND && err->code != ERR_CONFLICT)
        log_warn("a Node without a pod could not be deleted; trying again", "node", node->name, "error", err_text(err));
}

static void delete_node(struct node *node)
{
    CLEANUP(xfree) char *path = kube_path("", "v1", NULL, "nodes", node->name, NULL);
    CLEANUP(json_free) struct json *body = json_build("{s:s, s:s, s:{s:s}}", "kind", "DeleteOptions", "apiVersion", "v1",
                                                      "preconditions", "uid", node->uid);
    const struct kube_request request = {.method = "DELETE", .path = path, .body = body};

    node->call = kube_start(node->scheduler->client, &request, on_node_deleted, node);
}

/* The API server itself says whether the pod is there: our picture may be late, or the pod another scheduler's. */
static void on_pod_looked(struct json **answer, struct err *err, void *data)
{
    struct node *node = data;
    const char *host = json_str(*answer, "metadata", "labels", FKS_HOST_LABEL, NULL);

    node->call = NULL;
    if (err->code == ERR_NOT_FOUND ||
        (err->code == 0 && (!streq(json_str(*answer, "metadata", "uid", NULL), node->pod_uid) ||
                            !streq(host, node->host))))
        delete_node(node);
    else
        node->orphan_ms = 0;
}

static void look_for_pod(struct node *node)
{
    struct str namespace, name;

    if (!str_cut(str_of(node->pod_key), '/', &namespace, &name)) {
        node->orphan_ms = 0; /* not made by fks-node: not ours */
        return;
    }
    CLEANUP(xfree) char *namespace_text = xstrndup(namespace.p, namespace.len);
    CLEANUP(xfree) char *name_text = xstrndup(name.p, name.len);
    CLEANUP(xfree) char *path = kube_path("", "v1", namespace_text, "pods", name_text, NULL);
    const struct kube_request request = {.path = path};
    node->call = kube_start(node->scheduler->client, &request, on_pod_looked, node);
}

static void look_at_node(struct scheduler *scheduler, struct node *node)
{
    const struct pod *pod = map_get(&scheduler->pods_by_uid, node->pod_uid);
    const struct host *host = hosts_find(&scheduler->hosts, node->host);
    int64_t now = loop_now_ms(scheduler->loop);

    if (pod != NULL && streq(pod->host, node->host)) {
        node->orphan_ms = 0;
        return;
    }
    if (node->orphan_ms == 0)
        node->orphan_ms = now;
    if (node->call == NULL && (now - node->orphan_ms >= ORPHAN_MS || host == NULL ||
                               hosts_is_lost(host, scheduler->host_ms)))
        look_for_pod(node);
}

/* --- the second */

static void on_tick(void *data)
{
    struct sweep *sweep = data;
    struct scheduler *scheduler = sweep->scheduler;
    const char *name;
    void *node;

    loop_timer_set(sweep->timer, EVERY_MS);
    move_clock(scheduler);
    hosts_refresh(&scheduler->hosts, scheduler->host_ms);
    spreads_expire(&scheduler->spreads, loop_now_ms(scheduler->loop));
    if (++sweep->ticks % TRIM_TICKS == 5) /* what a burst of pods needed is not needed for ever */
        mem_give_back();
    if (!scheduler_acts(scheduler))
        return;
    look_at_hosts(sweep);
    look_at_ending_pods(scheduler);
    for (size_t i = 0; map_next(&scheduler->nodes, &i, &name, &node);)
        look_at_node(scheduler, node);
    ledger_tidy(scheduler->ledger);
    drain_profiles(scheduler);
}

struct sweep *sweep_new(struct scheduler *scheduler)
{
    struct sweep *sweep = NEW(struct sweep);

    sweep->scheduler = scheduler;
    sweep->timer = loop_timer_new(scheduler->loop, on_tick, sweep);
    loop_timer_set(sweep->timer, EVERY_MS);
    return sweep;
}

struct sweep *sweep_free(struct sweep *sweep)
{
    if (sweep == NULL)
        return NULL;
    (void)loop_timer_free(sweep->timer);
    kube_cancel(sweep->telling);
    free(sweep);
    return NULL;
}

void sweep_poke(struct sweep *sweep)
{
    loop_timer_set(sweep->timer, 0);
}
