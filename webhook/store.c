/*
 * store.c: makes the snapshots of profiles that the workers decide by, on the main loop. One bad profile never hurts the
 * others: it is left out, logged and counted.
 */
#include "store.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "data/yaml.h"
#include "fargate/names.h"
#include "kube/watch.h"

/* inotify would miss files behind the symbolic links of a mounted ConfigMap; a stat a second costs nothing */
enum { FILE_CHECK_MS = 1000 };

struct store {
    struct loop *loop;
    const struct fargate_names *names;
    struct snapshot *snapshot;         /* NULL before the first */
    store_callback *on_snapshot;
    void *data;
    size_t invalid;                    /* profiles left out of it */
    struct loop_timer *timer;          /* watch: rebuild on the next turn; file: look for changes */
    struct kube_watch *watch;          /* or NULL */
    char *path;                        /* or NULL */
    struct stat seen;                  /* the file when it was last read */
    int64_t checked_ms;                /* when the file was last looked at */
    struct metric *size_gauge, *age_gauge, *invalid_gauge, *invalid_seen, *changes, *failures;
};

static struct store *new_store(struct loop *loop, const struct fargate_names *names, struct metrics *metrics)
{
    struct store *store = NEW(struct store);

    store->loop = loop;
    store->names = names;
    store->size_gauge = metrics_get(metrics, METRIC_GAUGE, "fks_webhook_profiles",
                                    "Valid profiles that admission decides by", NULL);
    store->age_gauge = metrics_get(metrics, METRIC_GAUGE, "fks_webhook_profiles_age_seconds",
                                   "Seconds since the profiles were last known to be current; an API server says so "
                                   "every minute or two",
                                   NULL);
    store->invalid_gauge = metrics_get(metrics, METRIC_GAUGE, "fks_webhook_profiles_invalid",
                                       "Profiles that are left out as invalid", NULL);
    store->invalid_seen = metrics_get(metrics, METRIC_COUNTER, "fks_webhook_profile_warnings_total",
                                      "Invalid profiles that were met, each change counted", NULL);
    store->changes = metrics_get(metrics, METRIC_COUNTER, "fks_webhook_profile_snapshots_total",
                                 "Snapshots of the profiles that were taken into use", NULL);
    store->failures = metrics_get(metrics, METRIC_COUNTER, "fks_webhook_profile_source_failures_total",
                                  "Failures to read the profiles, from the API server or the file", NULL);
    return store;
}

static void replace_snapshot(struct store *store, struct fargate_profiles *profiles, size_t invalid)
{
    snapshot_free(store->snapshot);
    profiles->names = store->names;
    store->snapshot = snapshot_new(profiles);
    store->invalid = invalid;
    if (store->on_snapshot != NULL)
        store->on_snapshot(store->snapshot, store->data);
    metric_add(store->changes, 1);
    log_debug("profiles taken into use");
}

static void warn_invalid(struct store *store, const char *name, const struct err *err)
{
    metric_add(store->invalid_seen, 1);
    log_warn("invalid profile left out", "profile", name, "reason", err_text(err));
}

/* --- fed by a watch */

static void rebuild(void *data)
{
    struct store *store = data;
    const struct json *object;
    struct fargate_profile *items;
    size_t n = 0;

    if (!kube_watch_synced(store->watch))
        return; /* half a list is no snapshot */
    size_t count = kube_watch_count(store->watch);
    items = xcalloc(count, sizeof(*items));
    for (size_t i = 0; n < count && kube_watch_next(store->watch, &i, &object);) {
        CLEANUP(err_clear) struct err ignored = {0}; /* on_change has reported it */
        /* one that is being deleted drains its pods; their replacements must not come back to it */
        if (json_str(object, "metadata", "deletionTimestamp", NULL) == NULL &&
            fargate_profile_read(object, &items[n], &ignored) == 0)
            n++;
    }
    replace_snapshot(store, fargate_profiles_new(items, n), count - n);
}

static void on_change(UNUSED const struct json *old, const struct json *new, void *data)
{
    struct store *store = data;

    if (new != NULL) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(fargate_profile_done) struct fargate_profile profile = {0};
        if (fargate_profile_read(new, &profile, &err) < 0)
            warn_invalid(store, json_str(new, "metadata", "name", NULL), &err);
    }
    /* many changes may come in one turn: build once, after the last of them */
    loop_timer_set(store->timer, 0);
}

static void on_synced(void *data)
{
    rebuild(data);
}

static void on_watch_error(const struct err *err, void *data)
{
    struct store *store = data;

    metric_add(store->failures, 1);
    log_warn("cannot watch profiles, trying again", "error", err_text(err));
}

/* What makes no difference for a decision, and would be most of the memory. */
static const struct json_omit omit_in_metadata[] = {
    {.name = "annotations"}, {.name = "creationTimestamp"}, {.name = "generation"}, {.name = "managedFields"}, {0}};
static const struct json_omit omit_in_profile[] = {{.name = "metadata", .inside = omit_in_metadata}, {.name = "status"}, {0}};

struct store *store_new_watch(struct loop *loop, struct kube_client *client, const struct fargate_names *names,
                              struct metrics *metrics)
{
    struct store *store = new_store(loop, names, metrics);

    store->timer = loop_timer_new(loop, rebuild, store);
    store->watch = kube_watch_new(client, &(struct kube_watch_options){
                                              .path = FKS_PROFILES_PATH,
                                              .omit = omit_in_profile,
                                              .on_change = on_change,
                                              .on_synced = on_synced,
                                              .on_error = on_watch_error,
                                              .data = store,
                                          });
    return store;
}

/* --- fed by a file */

struct collector {
    struct fargate_profile *items;
    size_t n, cap;
    struct map names;
    void (*skipped)(const char *name, const struct err *err, void *data);
    void *data;
};

static void collect(struct collector *collector, const struct json *object)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *name = json_str_or("", object, "metadata", "name", NULL);
    const struct json *items = json_get(object, "items", NULL), *item;
    struct fargate_profile profile;

    if (json_is_array(items)) {
        json_each(item, items)
            collect(collector, item);
        return;
    }
    if (!streq(json_str(object, "kind", NULL), "FargateProfile") ||
        !streq(json_str(object, "apiVersion", NULL), FKS_API_VERSION)) {
        (void)err_set(&err, ERR_INVALID, "no FargateProfile of " FKS_API_VERSION ", but '%.64s' of '%.64s'",
                      json_str_or("", object, "kind", NULL), json_str_or("", object, "apiVersion", NULL));
    } else if (map_has(&collector->names, name)) {
        (void)err_set(&err, ERR_EXISTS, "a profile of this name came before");
    } else if (fargate_profile_read(object, &profile, &err) == 0) {
        GROW(collector->items, collector->n, collector->cap);
        collector->items[collector->n++] = profile;
        map_set(&collector->names, name, NULL);
        return;
    }
    collector->skipped(name, &err, collector->data);
}

struct fargate_profiles *store_read_documents(const struct json *documents,
                                              void (*skipped)(const char *name, const struct err *err, void *data),
                                              void *data)
{
    struct collector collector = {.skipped = skipped, .data = data};
    const struct json *document;

    json_each(document, documents)
        collect(&collector, document);
    map_done(&collector.names);
    return fargate_profiles_new(collector.items, collector.n);
}

struct skip_count {
    struct store *store;
    size_t n;
};

static void on_skipped(const char *name, const struct err *err, void *data)
{
    struct skip_count *count = data;

    count->n++;
    warn_invalid(count->store, name, err);
}

static int read_file(struct store *store, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *documents = NULL;
    struct skip_count skipped = {.store = store};

    int r = file_read(store->path, LIMIT_FILE, &text, err);
    if (r == 0)
        r = yaml_parse_all(buf_text(&text), text.len, &documents, err);
    if (r < 0)
        return err_wrap(err, "reading profiles from '%s'", store->path);
    struct fargate_profiles *profiles = store_read_documents(documents, on_skipped, &skipped);
    replace_snapshot(store, profiles, skipped.n);
    return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void check_file(void *data)
{
    struct store *store = data;
    struct stat now = {0}; /* stays all zero when the file is gone: a change, too */
    CLEANUP(err_clear) struct err err = {0};

    loop_timer_set(store->timer, FILE_CHECK_MS);
    bool exists = stat(store->path, &now) == 0;
    if (same_file(&now, &store->seen)) {
        if (exists)
            store->checked_ms = loop_now_ms(store->loop);
        return;
    }
    store->seen = now;
    if (read_file(store, &err) < 0) {
        metric_add(store->failures, 1);
        log_warn("keeping the profiles read before", "error", err_text(&err));
        return;
    }
    store->checked_ms = loop_now_ms(store->loop);
    log_info("profiles read again", "file", store->path);
}

int store_new_file(struct loop *loop, const char *path, const struct fargate_names *names, struct metrics *metrics,
                   struct store **ret, struct err *err)
{
    CLEANUP(store_free) struct store *store = new_store(loop, names, metrics);

    store->path = xstrdup(path);
    store->timer = loop_timer_new(loop, check_file, store);
    if (stat(path, &store->seen) < 0)
        return err_errno(err, errno, "profiles file '%s'", path);
    int r = read_file(store, err);
    if (r < 0)
        return r;
    store->checked_ms = loop_now_ms(loop);
    loop_timer_set(store->timer, FILE_CHECK_MS);
    *ret = take(&store);
    return 0;
}

/* --- both */

struct store *store_free(struct store *store)
{
    if (store == NULL)
        return NULL;
    kube_watch_free(store->watch);
    loop_timer_free(store->timer);
    snapshot_free(store->snapshot);
    free(store->path);
    free(store);
    return NULL;
}

void store_on_snapshot(struct store *store, store_callback *callback, void *data)
{
    store->on_snapshot = callback;
    store->data = data;
    if (store->snapshot != NULL)
        callback(store->snapshot, data);
}

bool store_is_loaded(const struct store *store)
{
    return store->snapshot != NULL;
}

void store_update_metrics(struct store *store)
{
    int64_t age_ms =
        store->watch != NULL ? kube_watch_age_ms(store->watch) : loop_now_ms(store->loop) - store->checked_ms;

    metric_set(store->size_gauge, store->snapshot != NULL ? (double)store->snapshot->profiles->n : 0);
    metric_set(store->age_gauge, (double)age_ms / 1000);
    metric_set(store->invalid_gauge, (double)store->invalid);
}
