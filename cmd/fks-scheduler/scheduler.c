/*
 * scheduler.c: holds the parts together: six watches feed the picture, two queues say what to do next, three timers
 * drive it. Nothing is placed or bound before every watch has its first list; a half-known cluster looks emptier than
 * it is.
 */
#include "scheduler.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bind.h"
#include "fargate/names.h"
#include "reserve.h"

#define MAX_CALLS 64      /* reservations under way at a time */
#define TRIES_PER_TURN 500 /* then events get their turn */
#define WAKE_DELAY_MS 20  /* changes come in bursts; one wake-up serves all of them */
#define TICK_MS 1000

const struct json *scheduler_object(const struct pod *pod)
{
    const struct json *object = kube_watch_get(pod->scheduler->pod_watch, pod->namespace, pod->name);

    return streq(json_str(object, "metadata", "uid", NULL), pod->uid) ? object : NULL;
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

    pod->scheduler->n_calls++;
    pod->call = kube_start(pod->scheduler->client, &request, done, pod);
}

void scheduler_call_done(struct pod *pod)
{
    pod->call = NULL;
    if (pod->scheduler->n_calls-- == MAX_CALLS)
        scheduler_poke(pod->scheduler);
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

/* Does what is due, then sleeps until the next thing is. */
static void on_work(void *data)
{
    struct scheduler *scheduler = data;
    int64_t now = loop_now_ms(scheduler->loop), place_delay, bind_delay;
    struct queue_item *item;
    int tries = 0;

    while ((item = queue_next(&scheduler->to_bind, now)) != NULL)
        bind_try(container_of(item, struct pod, bind_item));
    while (scheduler->n_calls < MAX_CALLS && tries++ < TRIES_PER_TURN &&
           (item = queue_next(&scheduler->to_place, now)) != NULL)
        decide(container_of(item, struct pod, place_item));
    bind_delay = queue_delay(&scheduler->to_bind, now);
    /* with all calls taken, the end of one of them pokes */
    place_delay = scheduler->n_calls < MAX_CALLS ? queue_delay(&scheduler->to_place, now) : -1;
    if (bind_delay >= 0 && (place_delay < 0 || bind_delay < place_delay))
        place_delay = bind_delay;
    if (place_delay >= 0)
        loop_timer_set(scheduler->work_timer, place_delay);
}

/* Pods that were promised to a host which has died since, and are not bound yet, go elsewhere. */
static void on_tick(void *data)
{
    struct scheduler *scheduler = data;
    int64_t now = loop_now_ms(scheduler->loop);
    struct host *host;

    for (size_t i = 0; hosts_next(&scheduler->hosts, &i, &host);) {
        enum host_state state = hosts_state(host, now);

        if (state != HOST_DEAD && state != HOST_GONE)
            continue;
        for (struct reservation *held = host->reservations, *next; held != NULL; held = next) {
            struct pod *pod = container_of(held, struct pod, held);

            next = held->next;
            if (scheduler->n_calls < MAX_CALLS && !pod->binding_made)
                reserve_undo(pod);
        }
    }
    loop_timer_set(scheduler->tick_timer, TICK_MS);
}

static const char *name_of(const struct json *old, const struct json *new)
{
    return json_str_or("", new != NULL ? new : old, "metadata", "name", NULL);
}

static void on_host_change(const struct json *old, const struct json *new, void *data)
{
    struct scheduler *scheduler = data;

    hosts_on_object(&scheduler->hosts, name_of(old, new), new);
    scheduler_wake(scheduler);
}

static bool is_open(const struct scheduler *scheduler, const char *name)
{
    const struct host *host = hosts_find(&scheduler->hosts, name);

    return host != NULL && hosts_state(host, loop_now_ms(scheduler->loop)) == HOST_OPEN;
}

static void on_lease_change(const struct json *old, const struct json *new, void *data)
{
    struct scheduler *scheduler = data;
    const char *name = name_of(old, new);
    bool was_open = is_open(scheduler, name);

    hosts_on_lease(&scheduler->hosts, name, new, loop_now_ms(scheduler->loop), clock_wall_ns());
    if (!was_open && is_open(scheduler, name))
        scheduler_wake(scheduler);
}

static void on_profile_change(const struct json *old, const struct json *new, void *data)
{
    struct scheduler *scheduler = data;

    profiles_on_object(scheduler->profiles, name_of(old, new), new);
    /* our own writes of the status change no rule */
    if (old != NULL && new != NULL && json_same(json_get(old, "spec", NULL), json_get(new, "spec", NULL)))
        return;
    scheduler->rules++;
    scheduler_wake(scheduler);
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

static void on_synced(void *data)
{
    struct scheduler *scheduler = data;
    const struct kube_watch *watches[] = {scheduler->pod_watch,   scheduler->node_watch,    scheduler->host_watch,
                                          scheduler->lease_watch, scheduler->profile_watch, scheduler->runtime_watch};
    const char *key;
    void *pod;

    for (size_t i = 0; i < countof(watches); i++)
        if (watches[i] == NULL || !kube_watch_synced(watches[i]))
            return;
    if (scheduler->ready)
        return;
    scheduler->ready = true;
    log_info("ready");
    profiles_start(scheduler->profiles);
    for (size_t i = 0; map_next(&scheduler->pods, &i, &key, &pod);)
        bind_try(pod);
    loop_timer_set(scheduler->tick_timer, TICK_MS);
    scheduler_poke(scheduler);
}

static struct kube_watch *start_watch(struct scheduler *scheduler, const char *path, const char *label_selector,
                                      const char *field_selector,
                                      void (*on_change)(const struct json *, const struct json *, void *))
{
    const struct kube_watch_options options = {
        .path = path, .label_selector = label_selector, .field_selector = field_selector,
        .on_change = on_change, .on_synced = on_synced, .on_error = on_watch_error, .data = scheduler,
    };

    return kube_watch_new(scheduler->client, &options);
}

static void make_metrics(struct scheduler *scheduler)
{
    struct metrics *metrics = scheduler->metrics;

    scheduler->decisions = metrics_get(metrics, METRIC_COUNTER, "fks_scheduler_decisions_total",
                                       "Passes over the hosts for a pod.", NULL);
    scheduler->decision_seconds = metrics_get(metrics, METRIC_HISTOGRAM, "fks_scheduler_decision_seconds",
                                              "Time of one pass over the hosts.", NULL);
    scheduler->reservations = metrics_get(metrics, METRIC_COUNTER, "fks_scheduler_reservations_total",
                                          "Pods given a host.", NULL);
    scheduler->conflicts = metrics_get(metrics, METRIC_COUNTER, "fks_scheduler_reservations_failed_total",
                                       "Reservations that the API server refused or that got lost.", NULL);
    scheduler->releases = metrics_get(metrics, METRIC_COUNTER, "fks_scheduler_reservations_undone_total",
                                      "Reservations taken back because the host died.", NULL);
    scheduler->bindings = metrics_get(metrics, METRIC_COUNTER, "fks_scheduler_bindings_total",
                                      "Pods bound to their Nodes.", NULL);
}

int scheduler_init(struct scheduler *scheduler, struct loop *loop, struct kube_client *client, const char *name,
                   struct metrics *metrics, struct err *err)
{
    CLEANUP(xfree) char *mine = xasprintf("spec.schedulerName=%s", name);

    *scheduler = (struct scheduler){.loop = loop, .client = client, .name = name, .metrics = metrics, .rules = 1};
    if (*name == '\0')
        return err_set(err, ERR_USAGE, "--scheduler-name must not be empty");
    queue_init(&scheduler->to_place);
    queue_init(&scheduler->to_bind);
    make_metrics(scheduler);
    scheduler->events = kube_events_new(client, name);
    scheduler->profiles = profiles_new(loop, client);
    scheduler->work_timer = loop_timer_new(loop, on_work, scheduler);
    scheduler->wake_timer = loop_timer_new(loop, on_wake, scheduler);
    scheduler->tick_timer = loop_timer_new(loop, on_tick, scheduler);
    scheduler->profile_watch = start_watch(scheduler, FKS_PROFILES_PATH, NULL, NULL, on_profile_change);
    scheduler->host_watch = start_watch(scheduler, FKS_HOSTS_PATH, NULL, NULL, on_host_change);
    scheduler->lease_watch = start_watch(scheduler, "/apis/coordination.k8s.io/v1/namespaces/" FKS_NAMESPACE "/leases",
                                         NULL, NULL, on_lease_change);
    scheduler->runtime_watch = start_watch(scheduler, "/apis/node.k8s.io/v1/runtimeclasses", NULL, NULL,
                                           on_runtime_change);
    scheduler->node_watch = start_watch(scheduler, "/api/v1/nodes", FARGATE_COMPUTE_TYPE "=" FARGATE_COMPUTE_FARGATE,
                                        NULL, observe_node_change);
    scheduler->pod_watch = start_watch(scheduler, "/api/v1/pods", NULL, mine, observe_pod_change);
    return 0;
}

void scheduler_done(struct scheduler *scheduler)
{
    scheduler->ready = false;
    observe_done(scheduler);
    scheduler->pod_watch = kube_watch_free(scheduler->pod_watch);
    scheduler->node_watch = kube_watch_free(scheduler->node_watch);
    scheduler->runtime_watch = kube_watch_free(scheduler->runtime_watch);
    scheduler->lease_watch = kube_watch_free(scheduler->lease_watch);
    scheduler->host_watch = kube_watch_free(scheduler->host_watch);
    scheduler->profile_watch = kube_watch_free(scheduler->profile_watch);
    scheduler->profiles = profiles_free(scheduler->profiles);
    scheduler->events = kube_events_free(scheduler->events);
    hosts_done(&scheduler->hosts);
    scheduler->tick_timer = loop_timer_free(scheduler->tick_timer);
    scheduler->wake_timer = loop_timer_free(scheduler->wake_timer);
    scheduler->work_timer = loop_timer_free(scheduler->work_timer);
}

void scheduler_measure(struct scheduler *scheduler)
{
    static const char *const stages[] = {"new", "waiting", "reserved", "bound", "ended"};
    static const char *const states[] = {"open", "gone", "dead", "not_ready", "cordoned"};
    double pods[countof(stages)] = {0}, hosts[countof(states)] = {0};
    const char *key;
    void *value;
    struct host *host;

    for (size_t i = 0; map_next(&scheduler->pods, &i, &key, &value);)
        pods[((struct pod *)value)->stage]++;
    for (size_t i = 0; hosts_next(&scheduler->hosts, &i, &host);)
        hosts[hosts_state(host, loop_now_ms(scheduler->loop))]++;
    for (size_t i = POD_WAITING; i < countof(stages); i++)
        metric_set(metrics_get(scheduler->metrics, METRIC_GAUGE, "fks_scheduler_pods", "Serverless pods by stage.",
                               "stage", stages[i], NULL), pods[i]);
    for (size_t i = 0; i < countof(states); i++)
        metric_set(metrics_get(scheduler->metrics, METRIC_GAUGE, "fks_scheduler_hosts", "Hosts by state.", "state",
                               states[i], NULL), hosts[i]);
}
