/*
 * scheduler.c: holds the parts together: seven watches feed the picture, two queues say what to do next. Nothing is placed
 * or bound before every watch has its first list (a half-known cluster looks emptier than it is), nor unless this replica
 * leads.
 */
#include "scheduler.h"

#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bind.h"
#include "fargate/names.h"
#include "ledger.h"
#include "reconcile.h"
#include "report.h"
#include "sweep.h"
#include "watches.h"

#define TRIES_PER_TURN 500 /* then events get their turn */
#define TELLS_PER_TURN 16
#define TELL_PAUSE_MS 20
#define WAKE_DELAY_MS 20  /* changes come in bursts; one wake-up serves all of them */

struct json *scheduler_object(const struct pod *pod)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *object = NULL;

    if (pod->text != NULL && json_parse_to_read(pod->text, strlen(pod->text), NULL, &object, &err) < 0)
        log_warn("a pod could not be read back", "pod", pod->key, "error", err_text(&err));
    return object;
}

struct json *scheduler_reference(const struct pod *pod)
{
    CLEANUP(xfree) char *version = xasprintf("%llu", (unsigned long long)pod->version);

    return json_build("{s:s, s:s, s:{s:s, s:s, s:s, s:s}}", "apiVersion", "v1", "kind", "Pod", "metadata", "name",
                      pod->name, "namespace", pod->namespace, "uid", pod->uid, "resourceVersion", version);
}

char *scheduler_pod_path(const struct pod *pod, const char *subresource)
{
    return kube_path("", "v1", pod->namespace, "pods", pod->name, subresource);
}

void scheduler_call(struct pod *pod, const char *method, const char *subresource, struct json *body,
                    const char *content_type, kube_done *done)
{
    CLEANUP(json_free) struct json *owned_body = body;
    CLEANUP(xfree) char *path = scheduler_pod_path(pod, subresource);
    const struct kube_request request = {.method = method, .path = path, .body = body, .content_type = content_type};

    assert(pod->call == NULL); /* one at a time: the end of a forgotten one would come after the pod's */
    scheduler_count_call(pod->scheduler, 1);
    pod->call = kube_start(pod->scheduler->client, &request, done, pod);
}

void scheduler_call_done(struct pod *pod)
{
    pod->call = NULL;
    scheduler_count_call(pod->scheduler, -1);
}

bool scheduler_may_call(const struct scheduler *scheduler)
{
    return scheduler->n_calls < SCHEDULER_MAX_CALLS;
}

void scheduler_count_call(struct scheduler *scheduler, int sign)
{
    scheduler->n_calls += sign;
    if (sign < 0 && (scheduler->n_calls == SCHEDULER_MAX_CALLS - 1 ||
                     (scheduler->n_calls == SCHEDULER_IDLE_CALLS && scheduler->to_tell.n > 0)))
        scheduler_poke(scheduler);
}

bool scheduler_acts(const struct scheduler *scheduler)
{
    return scheduler->ready && leader_is_leading(scheduler->leader);
}

int64_t scheduler_host_ms(const struct scheduler *scheduler)
{
    return scheduler->host_ms;
}

enum host_state scheduler_host_state(const struct scheduler *scheduler, const struct host *host)
{
    return hosts_state(host, scheduler->host_ms);
}

void scheduler_poke(struct scheduler *scheduler)
{
    if (scheduler->ready)
        loop_timer_set(scheduler->work_timer, 0);
}

void scheduler_wake(struct scheduler *scheduler)
{
    if (scheduler->ready && !loop_timer_is_set(scheduler->wake_timer))
        loop_timer_set(scheduler->wake_timer, WAKE_DELAY_MS);
}

static void on_wake(void *data)
{
    struct scheduler *scheduler = data;

    queue_wake(&scheduler->to_place);
    scheduler_poke(scheduler);
}

/* For one more pod. */
static bool has_time(const struct scheduler *scheduler)
{
    return scheduler_may_call(scheduler) && scheduler->n_asking < SCHEDULER_MAX_ASKING;
}

/* Does what is due, then sleeps until the next thing is. */
static void on_work(void *data)
{
    struct scheduler *scheduler = data;
    int64_t now = loop_now_ms(scheduler->loop), place_delay, bind_delay;
    struct queue_item *item;
    int tries = 0;

    if (!scheduler_acts(scheduler))
        return;
    while (scheduler_may_call(scheduler) && (item = queue_next(&scheduler->to_bind, now)) != NULL)
        bind_try(container_of(item, struct pod, bind_item));
    ledger_work(scheduler->ledger);
    while (has_time(scheduler) && tries++ < TRIES_PER_TURN &&
           (item = queue_next(&scheduler->to_place, now)) != NULL)
        decide(container_of(item, struct pod, place_item));
    for (tries = 0; scheduler->n_calls <= SCHEDULER_IDLE_CALLS && tries < TELLS_PER_TURN &&
                    (item = queue_next(&scheduler->to_tell, now)) != NULL; tries++)
        report_told(container_of(item, struct pod, tell_item));
    if (scheduler->to_tell.n > 0 && scheduler->n_calls <= SCHEDULER_IDLE_CALLS)
        loop_timer_set(scheduler->tell_timer, TELL_PAUSE_MS);
    /* with all calls taken, the end of one of them pokes */
    bind_delay = scheduler_may_call(scheduler) ? queue_delay(&scheduler->to_bind, now) : -1;
    place_delay = has_time(scheduler) ? queue_delay(&scheduler->to_place, now) : -1;
    if (bind_delay >= 0 && (place_delay < 0 || bind_delay < place_delay))
        place_delay = bind_delay;
    if (place_delay >= 0)
        loop_timer_set(scheduler->work_timer, place_delay);
}

static void on_tell(void *data)
{
    scheduler_poke(data);
}

static const char *name_of(const struct json *old, const struct json *new)
{
    return json_str_or("", new != NULL ? new : old, "metadata", "name", NULL);
}

static void on_host_change(const struct json *old, const struct json *new, void *data)
{
    struct scheduler *scheduler = data;

    hosts_on_object(&scheduler->hosts, name_of(old, new), new, scheduler->host_ms);
    scheduler_wake(scheduler);
}

static void on_book_change(const struct json *old, const struct json *new, void *data)
{
    struct scheduler *scheduler = data;

    ledger_on_book(scheduler->ledger, json_string_value(json_member(json_get(new != NULL ? new : old, "metadata", "labels",
                                                                             NULL), FKS_HOST_LABEL)), new);
}

static bool is_open(const struct scheduler *scheduler, const char *name)
{
    const struct host *host = hosts_find(&scheduler->hosts, name);

    return host != NULL && scheduler_host_state(scheduler, host) == HOST_OPEN;
}

static void on_lease_change(const struct json *old, const struct json *new, void *data)
{
    struct scheduler *scheduler = data;
    const char *name = name_of(old, new);
    bool was_open;

    if (streq(name, LEADER_LEASE_NAME))
        return;
    was_open = is_open(scheduler, name);
    hosts_on_lease(&scheduler->hosts, name, new, scheduler->host_ms, clock_wall_ns());
    if (!was_open && is_open(scheduler, name))
        scheduler_wake(scheduler);
}

static void on_profile_change(const struct json *old, const struct json *new, void *data)
{
    struct scheduler *scheduler = data;

    profiles_on_object(scheduler->profiles, name_of(old, new), new);
    /* our own writes of the status change no rule */
    if (old != NULL && new != NULL && json_same(json_get(old, "spec", NULL), json_get(new, "spec", NULL)) &&
        json_same(json_get(old, "metadata", "deletionTimestamp", NULL),
                  json_get(new, "metadata", "deletionTimestamp", NULL)))
        return;
    scheduler->rules++;
    scheduler_wake(scheduler);
    sweep_poke(scheduler->sweep); /* a finalizer to add, or pods to drain */
}

static void on_runtime_change(const struct json *old, const struct json *new, void *data)
{
    (void)old;
    (void)new;
    scheduler_wake(data);
}

static void on_watch_error(const struct err *err, void *data)
{
    (void)data;
    log_warn("a watch failed and goes on after a pause", "error", err_text(err));
}

/* Begins or ends to act. */
static void on_leader_change(void *data)
{
    struct scheduler *scheduler = data;
    const char *key;
    void *pod;

    if (!scheduler_acts(scheduler)) {
        profiles_stop(scheduler->profiles);
        return;
    }
    log_info("acting");
    profiles_start(scheduler->profiles);
    for (size_t i = 0; map_next(&scheduler->pods, &i, &key, &pod);)
        bind_try(pod);
    sweep_poke(scheduler->sweep);
    scheduler_wake(scheduler);
    scheduler_poke(scheduler);
}

static void on_synced(void *data)
{
    struct scheduler *scheduler = data;
    const struct kube_watch *watches[] = {scheduler->pod_watch,   scheduler->node_watch,    scheduler->host_watch,
                                          scheduler->lease_watch, scheduler->profile_watch, scheduler->runtime_watch,
                                          scheduler->book_watch};

    for (size_t i = 0; i < countof(watches); i++)
        if (watches[i] == NULL || !kube_watch_synced(watches[i]))
            return;
    if (scheduler->ready)
        return;
    scheduler->ready = true;
    log_info("ready");
    on_leader_change(scheduler);
}

static struct kube_watch *start_watch(struct scheduler *scheduler, const char *path, const char *label_selector,
                                      const char *field_selector, const struct json_omit *omit,
                                      struct json *(*keep)(const struct json *object),
                                      void (*on_change)(const struct json *, const struct json *, void *))
{
    const struct kube_watch_options options = {
        .path = path, .label_selector = label_selector, .field_selector = field_selector, .omit = omit, .keep = keep,
        .on_change = on_change, .on_synced = on_synced, .on_error = on_watch_error, .data = scheduler,
    };

    return kube_watch_new(scheduler->client, &options);
}

int scheduler_init(struct scheduler *scheduler, struct loop *loop, struct kube_client *client,
                   const struct scheduler_options *options, struct metrics *metrics, struct err *err)
{
    CLEANUP(xfree) char *mine = xasprintf("spec.schedulerName=%s", options->names.scheduler);

    int r = fargate_names_check(&options->names, err);
    if (r < 0)
        return r;
    *scheduler = (struct scheduler){.loop = loop, .client = client, .options = *options, .metrics = metrics, .rules = 1};
    queue_init(&scheduler->to_place);
    queue_init(&scheduler->to_bind);
    queue_init(&scheduler->to_tell);
    measure_init(scheduler);
    scheduler->host_tick_ms = loop_now_ms(loop);
    scheduler->events = kube_events_new(client, options->names.scheduler);
    scheduler->profiles = profiles_new(loop, client);
    scheduler->leader = leader_new(loop, client, options->identity, on_leader_change, scheduler);
    scheduler->ledger = ledger_new(scheduler);
    scheduler->sweep = sweep_new(scheduler);
    scheduler->reconcile = reconcile_new(scheduler);
    scheduler->work_timer = loop_timer_new(loop, on_work, scheduler);
    scheduler->tell_timer = loop_timer_new(loop, on_tell, scheduler);
    scheduler->wake_timer = loop_timer_new(loop, on_wake, scheduler);
    scheduler->profile_watch = start_watch(scheduler, FKS_PROFILES_PATH, NULL, NULL, watches_omit_of_others, NULL,
                                           on_profile_change);
    scheduler->host_watch = start_watch(scheduler, FKS_HOSTS_PATH, NULL, NULL, watches_omit_of_others, NULL, on_host_change);
    scheduler->book_watch = start_watch(scheduler, LEDGER_BOOKS_PATH, FKS_HOST_LABEL, NULL, watches_omit_of_others,
                                        watches_keep_names, on_book_change);
    scheduler->lease_watch = start_watch(scheduler, "/apis/coordination.k8s.io/v1/namespaces/" FKS_NAMESPACE "/leases",
                                         NULL, NULL, watches_omit_of_others, NULL, on_lease_change);
    scheduler->runtime_watch = start_watch(scheduler, "/apis/node.k8s.io/v1/runtimeclasses", NULL, NULL,
                                           watches_omit_of_others, NULL, on_runtime_change);
    scheduler->node_watch = start_watch(scheduler, "/api/v1/nodes", FARGATE_COMPUTE_TYPE "=" FARGATE_COMPUTE_FARGATE,
                                        NULL, watches_omit_of_nodes, watches_keep_names, observe_node_change);
    scheduler->pod_watch = start_watch(scheduler, "/api/v1/pods", NULL, mine, watches_omit_of_pods, watches_keep_names,
                                       observe_pod_change);
    return 0;
}

void scheduler_done(struct scheduler *scheduler)
{
    scheduler->ready = false;
    scheduler->reconcile = reconcile_free(scheduler->reconcile);
    scheduler->sweep = sweep_free(scheduler->sweep);
    scheduler->leader = leader_free(scheduler->leader);
    observe_done(scheduler);
    scheduler->ledger = ledger_free(scheduler->ledger);
    scheduler->claim_watch = kube_watch_free(scheduler->claim_watch);
    scheduler->volume_watch = kube_watch_free(scheduler->volume_watch);
    scheduler->pod_watch = kube_watch_free(scheduler->pod_watch);
    scheduler->node_watch = kube_watch_free(scheduler->node_watch);
    scheduler->runtime_watch = kube_watch_free(scheduler->runtime_watch);
    scheduler->lease_watch = kube_watch_free(scheduler->lease_watch);
    scheduler->host_watch = kube_watch_free(scheduler->host_watch);
    scheduler->book_watch = kube_watch_free(scheduler->book_watch);
    scheduler->profile_watch = kube_watch_free(scheduler->profile_watch);
    scheduler->profiles = profiles_free(scheduler->profiles);
    scheduler->events = kube_events_free(scheduler->events);
    hosts_done(&scheduler->hosts);
    spreads_done(&scheduler->spreads);
    share_done(&scheduler->labels);
    scheduler->wake_timer = loop_timer_free(scheduler->wake_timer);
    scheduler->work_timer = loop_timer_free(scheduler->work_timer);
    scheduler->tell_timer = loop_timer_free(scheduler->tell_timer);
}
