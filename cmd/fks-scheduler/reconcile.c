/*
 * reconcile.c: see reconcile.h. A replacement that misses its profile again (the webhook is down) is not replaced for
 * ever: each controller's pods are evicted once, then after 10 s, 20 s, and so on, at most every ten minutes.
 */
#include "reconcile.h"

#include "base/log.h"
#include "base/mem.h"
#include "fargate/early.h"
#include "fargate/names.h"

#define EVERY_MS 2000
#define RETRY_FIRST_MS 10000
#define RETRY_MAX_MS 600000
#define FORGET_MS 3600000
#define CALLS_MAX 16

struct owner { /* a controller whose pods were replaced */
    int64_t after_ms; /* no more of them before this */
    int64_t delay_ms;
    int64_t round_ms; /* the round that set them: its other pods go with the first */
};

struct eviction {
    struct reconcile *reconcile;
    struct kube_call *call;
    char *pod;
};

struct reconcile {
    struct scheduler *scheduler;
    struct loop_timer *timer;
    struct kube_watch *watch; /* of Pending pods of the default scheduler; from the first profile on that wants it */
    struct fargate_profiles *profiles;
    uint64_t rules;       /* scheduler.rules that profiles are of */
    bool wanted;          /* by one of them */
    struct map owners;    /* uid → struct owner */
    struct map evictions; /* uid of the pod → struct eviction, under way */
};

/* --- profiles */

static void read_profiles(struct reconcile *reconcile)
{
    struct scheduler *scheduler = reconcile->scheduler;
    struct fargate_profile *items;
    const struct json *object;
    size_t n = 0;

    if (reconcile->profiles != NULL && reconcile->rules == scheduler->rules)
        return;
    reconcile->rules = scheduler->rules;
    reconcile->profiles = fargate_profiles_free(reconcile->profiles);
    reconcile->wanted = false;
    items = xcalloc(kube_watch_count(scheduler->profile_watch) + 1, sizeof(*items));
    for (size_t i = 0; kube_watch_next(scheduler->profile_watch, &i, &object);) {
        CLEANUP(err_clear) struct err ignored = {0}; /* the profile's status says it */

        if (json_get(object, "metadata", "deletionTimestamp", NULL) != NULL ||
            fargate_profile_read(object, &items[n], &ignored) < 0)
            continue;
        reconcile->wanted = reconcile->wanted || items[n].reconcile_pending;
        n++;
    }
    reconcile->profiles = fargate_profiles_new(items, n);
    reconcile->profiles->names = &reconcile->scheduler->options.names;
}

/* --- evictions */

static void eviction_free(struct eviction *eviction)
{
    kube_cancel(eviction->call);
    free(eviction->pod);
    free(eviction);
}

static void on_evicted(struct json **answer UNUSED, struct err *err, void *data)
{
    struct eviction *eviction = data;
    const char *uid;
    void *value;

    eviction->call = NULL;
    if (err->code == 0)
        log_info("pod that came too early evicted", "pod", eviction->pod);
    else if (err->code != ERR_NOT_FOUND)
        log_warn("a pod that came too early could not be evicted", "pod", eviction->pod, "error", err_text(err));
    for (size_t i = 0; map_next(&eviction->reconcile->evictions, &i, &uid, &value);)
        if (value == eviction) {
            (void)map_del(&eviction->reconcile->evictions, uid);
            break;
        }
    eviction_free(eviction);
}

static void evict(struct reconcile *reconcile, const struct json *pod, const char *uid)
{
    const char *namespace = json_str_or("", pod, "metadata", "namespace", NULL);
    const char *name = json_str_or("", pod, "metadata", "name", NULL);
    CLEANUP(xfree) char *path = kube_path("", "v1", namespace, "pods", name, "eviction");
    CLEANUP(json_free) struct json *body =
        json_build("{s:s, s:s, s:{s:s, s:s}, s:{s:{s:s}}}", "apiVersion", "policy/v1", "kind", "Eviction", "metadata",
                   "name", name, "namespace", namespace, "deleteOptions", "preconditions", "uid", uid);
    const struct kube_request request = {.method = "POST", .path = path, .body = body};
    struct eviction *eviction = NEW(struct eviction);

    eviction->reconcile = reconcile;
    eviction->pod = xasprintf("%s/%s", namespace, name);
    (void)map_set(&reconcile->evictions, uid, eviction);
    eviction->call = kube_start(reconcile->scheduler->client, &request, on_evicted, eviction);
}

/* May a pod of this controller go now? Remembers that it does. */
static bool owner_allows(struct reconcile *reconcile, const char *uid, int64_t now)
{
    struct owner *owner = map_get(&reconcile->owners, uid);

    if (owner == NULL) {
        owner = NEW(struct owner);
        (void)map_set(&reconcile->owners, uid, owner);
    } else if (owner->round_ms == now) {
        return true;
    } else if (now < owner->after_ms) {
        return false;
    }
    owner->round_ms = now;
    owner->delay_ms = owner->delay_ms == 0 ? RETRY_FIRST_MS : owner->delay_ms * 2;
    owner->delay_ms = owner->delay_ms < RETRY_MAX_MS ? owner->delay_ms : RETRY_MAX_MS;
    owner->after_ms = now + owner->delay_ms;
    return true;
}

static void forget_owners(struct reconcile *reconcile, int64_t now)
{
    size_t position = 0;
    const char *uid;
    void *value;

    while (map_next(&reconcile->owners, &position, &uid, &value)) {
        struct owner *owner = value;

        if (now - owner->after_ms > FORGET_MS) {
            (void)map_del(&reconcile->owners, uid);
            free(owner);
        }
    }
}

/* --- the round */

static void on_error(const struct err *err, void *data UNUSED)
{
    log_warn("watching pods that came too early; trying again", "error", err_text(err));
}

static void start_watch(struct reconcile *reconcile)
{
    const struct kube_watch_options options = {
        .path = "/api/v1/pods",
        .field_selector = "spec.schedulerName=default-scheduler,spec.nodeName=,status.phase=Pending",
        .on_error = on_error,
        .data = reconcile,
    };

    if (reconcile->watch == NULL)
        reconcile->watch = kube_watch_new(reconcile->scheduler->client, &options);
}

static void look_at_pods(struct reconcile *reconcile)
{
    int64_t now = loop_now_ms(reconcile->scheduler->loop);
    const struct json *pod;

    for (size_t i = 0; kube_watch_next(reconcile->watch, &i, &pod) && reconcile->evictions.n < CALLS_MAX;) {
        const char *uid = json_str_or("", pod, "metadata", "uid", NULL);
        const struct fargate_profile *profile;

        if (!map_has(&reconcile->evictions, uid) &&
            early_check(reconcile->profiles, pod, &profile) == EARLY_REPLACE && profile->reconcile_pending &&
            owner_allows(reconcile, early_owner(pod), now))
            evict(reconcile, pod, uid);
    }
    forget_owners(reconcile, now);
}

static void on_tick(void *data)
{
    struct reconcile *reconcile = data;

    loop_timer_set(reconcile->timer, EVERY_MS);
    if (!scheduler_acts(reconcile->scheduler))
        return;
    read_profiles(reconcile);
    if (!reconcile->wanted)
        return;
    start_watch(reconcile);
    if (kube_watch_synced(reconcile->watch))
        look_at_pods(reconcile);
}

struct reconcile *reconcile_new(struct scheduler *scheduler)
{
    struct reconcile *reconcile = NEW(struct reconcile);

    reconcile->scheduler = scheduler;
    reconcile->timer = loop_timer_new(scheduler->loop, on_tick, reconcile);
    loop_timer_set(reconcile->timer, EVERY_MS);
    return reconcile;
}

struct reconcile *reconcile_free(struct reconcile *reconcile)
{
    const char *key;
    void *value;

    if (reconcile == NULL)
        return NULL;
    for (size_t i = 0; map_next(&reconcile->evictions, &i, &key, &value);)
        eviction_free(value);
    for (size_t i = 0; map_next(&reconcile->owners, &i, &key, &value);)
        free(value);
    map_done(&reconcile->evictions);
    map_done(&reconcile->owners);
    (void)kube_watch_free(reconcile->watch);
    (void)loop_timer_free(reconcile->timer);
    (void)fargate_profiles_free(reconcile->profiles);
    free(reconcile);
    return NULL;
}
