/*
 * watch.c: the reflector: one collection, listed once and then followed. The state is a single current action: listing,
 * watching, or waiting to try again. Whatever goes wrong, the store stays as it was and the next list or watch repairs it;
 * the owner only sees changes.
 *
 * How a dead connection is found: TCP's keepalives tell when the peer is gone. Behind a proxy that holds the connection open
 * only silence tells: the server sends a bookmark about every minute, but the first of a watch may take two (seen with
 * v1.36, where nothing changed). After longer silence the watch is quietly taken up again where it was; only when that
 * brings nothing, either, it is a failure.
 *
 * How soon to try again: after a refused connection (the server is being restarted) quickly and at most a second apart, for
 * five minutes; after anything else 0.5 s doubling to 30 s. Delays are spread by half, so that many watchers do not come at
 * once. A watch that ran for a while and ended in order is resumed at once.
 */
#include "kube/watch.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"

#define IDLE_MS 180000
#define LIST_TIMEOUT_MS 60000
#define PAGE_TEXT "500" /* objects of a list at a time: a large cluster in one answer would set the memory that is needed */
#define WATCH_SECONDS 300 /* plus up to as much again at random: watches of many clients should not end together */
#define REFUSED_FIRST_MS 100
#define REFUSED_MAX_MS 1000
#define REFUSED_QUICK_FOR_MS 300000
#define REFUSED_LATER_MAX_MS 5000
#define FAILED_FIRST_MS 500
#define FAILED_MAX_MS 30000
#define HEALTHY_AFTER_MS 5000 /* a watch that lasted so long was no failure */

struct stored {
    struct json *object; /* NULL: what follows is all that is kept */
    char names[];        /* uid and resourceVersion, each with its NUL, and nothing while there is an object */
};

struct kube_watch {
    struct kube_client *client;
    char *path, *label_selector, *field_selector;
    struct kube_watch_options options;
    struct json_omit omit_in_list[2], omit_in_event[2]; /* options.omit of each item, of the object */
    struct map store; /* "namespace/name" → struct stored */
    char *version;    /* resourceVersion to watch from; NULL: list first */
    char *more;        /* of a list under way: where its next page begins; NULL: the first */
    struct map listed; /* and the keys of its pages so far */
    struct kube_call *call;
    struct loop_timer *timer;
    struct buf line; /* unfinished line of the watch */
    bool synced;
    int64_t current_ms; /* when the store was last known to be current; 0: never */
    int64_t began_ms;   /* of the watch under way */
    bool heard;         /* something came over it */
    bool was_silent;    /* the one before ended because nothing came */
    int64_t failing_since_ms;
    int64_t delay_ms;   /* last back-off; 0 when all is well */
    struct err broken;  /* why the stream was stopped by us or by an ERROR event */
    int depth;          /* callbacks of the owner on the stack */
    bool freed;
};

static void begin(void *data);

static char *key_of(const char *namespace, const char *name)
{
    return xasprintf("%s/%s", strempty(namespace), strempty(name));
}

/* --- the owner's view */

/* After every callback: the owner may have freed the watch in it. */
static bool tell_change(struct kube_watch *watch, const struct json *old, const struct json *new)
{
    if (!watch->freed && watch->options.on_change != NULL)
        watch->options.on_change(old, new, watch->options.data);
    return !watch->freed;
}

bool kube_watch_synced(const struct kube_watch *watch)
{
    return watch->synced;
}

int64_t kube_watch_age_ms(const struct kube_watch *watch)
{
    return watch->current_ms == 0 ? INT64_MAX : clock_monotonic_ms() - watch->current_ms;
}

const struct json *kube_watch_get(const struct kube_watch *watch, const char *namespace, const char *name)
{
    CLEANUP(xfree) char *key = key_of(namespace, name);
    const struct stored *stored = map_get(&watch->store, key);
    return stored != NULL ? stored->object : NULL;
}

size_t kube_watch_count(const struct kube_watch *watch)
{
    return watch->store.n;
}

bool kube_watch_next(const struct kube_watch *watch, size_t *position, const struct json **ret)
{
    const char *key;
    void *value;
    while (map_next(&watch->store, position, &key, &value)) {
        *ret = ((const struct stored *)value)->object;
        if (*ret != NULL)
            return true;
    }
    return false;
}

/* --- the store */

static const char *metadata_of(const struct json *object, const char *key)
{
    return strempty(json_string_value(json_member(json_get(object, "metadata", NULL), key)));
}

static struct stored *stored_new(const struct kube_watch *watch, const struct json *object)
{
    struct json *kept = watch->options.keep != NULL ? watch->options.keep(object) : json_keep(object);
    const char *uid = metadata_of(object, "uid"), *version = metadata_of(object, "resourceVersion");
    size_t uid_size = kept == NULL ? strlen(uid) + 1 : 0, version_size = kept == NULL ? strlen(version) + 1 : 0;
    struct stored *stored = xmalloc(sizeof(*stored) + uid_size + version_size);

    stored->object = kept;
    memcpy(stored->names, uid, uid_size);
    memcpy(stored->names + uid_size, version, version_size);
    return stored;
}

static struct stored *stored_free(struct stored *stored)
{
    if (stored != NULL)
        json_free(stored->object);
    free(stored);
    return NULL;
}
DEFINE_CLEANUP_POINTER(struct stored *, stored_free)

static bool stored_is(const struct stored *stored, const char *key, const char *value)
{
    if (stored->object != NULL)
        return streq(metadata_of(stored->object, key), value);
    return streq(streq(key, "uid") ? stored->names : stored->names + strlen(stored->names) + 1, value);
}

/* The object as the owner is told of it; a new reference. */
static struct json *stored_tell(const struct stored *stored, const char *key)
{
    struct str namespace, name;

    if (stored->object != NULL)
        return json_keep(stored->object);
    (void)str_cut(str_of(key), '/', &namespace, &name);
    CLEANUP(xfree) char *namespace_text = namespace.len > 0 ? xstrndup(namespace.p, namespace.len) : NULL;
    return json_build("{s:{s:s, s:s*, s:s, s:s}}", "metadata", "name", name.p, "namespace", namespace_text, "uid",
                      stored->names, "resourceVersion", stored->names + strlen(stored->names) + 1);
}

/* An object of the same name but another uid is another object. */
static void put(struct kube_watch *watch, const struct json *object)
{
    CLEANUP(xfree) char *key = key_of(metadata_of(object, "namespace"), metadata_of(object, "name"));
    CLEANUP(json_free) struct json *new = json_keep(object); /* lives through the callbacks */
    const struct stored *known = map_get(&watch->store, key);
    bool same_object = known != NULL && stored_is(known, "uid", metadata_of(object, "uid"));
    if (same_object && stored_is(known, "resourceVersion", metadata_of(object, "resourceVersion")))
        return;
    CLEANUP(json_free) struct json *old = known != NULL ? stored_tell(known, key) : NULL;
    if (known != NULL && !same_object) {
        stored_free(map_del(&watch->store, key));
        if (!tell_change(watch, old, NULL))
            return;
        old = json_free(old);
    }
    stored_free(map_set(&watch->store, key, stored_new(watch, new)));
    tell_change(watch, old, new);
}

/* last: the final state as the server told it, or NULL for what the store has. */
static void drop(struct kube_watch *watch, const char *key, const struct json *last)
{
    CLEANUP(xfree) char *copy = xstrdup(key); /* it may be the store's own */
    CLEANUP(stored_free) struct stored *stored = map_del(&watch->store, copy);
    if (stored == NULL)
        return;
    CLEANUP(json_free) struct json *old = last == NULL ? stored_tell(stored, copy) : NULL;
    tell_change(watch, last != NULL ? last : old, NULL);
}

static void store_done(struct map *store)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(store, &i, &key, &value);)
        stored_free(value);
    map_done(store);
}

static void set_version(struct kube_watch *watch, const char *version)
{
    if (strempty(version)[0] == '\0')
        return;
    free(watch->version);
    watch->version = xstrdup(version);
}

static void mark_current(struct kube_watch *watch)
{
    watch->current_ms = clock_monotonic_ms();
}

/* --- trying again */

static void destroy(struct kube_watch *watch)
{
    kube_cancel(watch->call);
    loop_timer_free(watch->timer);
    store_done(&watch->store);
    map_done(&watch->listed);
    free(watch->more);
    buf_done(&watch->line);
    err_clear(&watch->broken);
    free(watch->version);
    free(watch->path);
    free(watch->label_selector);
    free(watch->field_selector);
    free(watch);
}

static void enter(struct kube_watch *watch)
{
    watch->depth++;
}

/* False when the watch is gone. */
static bool leave(struct kube_watch *watch)
{
    if (--watch->depth > 0 || !watch->freed)
        return !watch->freed;
    destroy(watch);
    return false;
}

static int64_t spread(int64_t delay_ms)
{
    return delay_ms / 2 + (int64_t)random_below((uint64_t)delay_ms / 2 + 1);
}

static void try_again(struct kube_watch *watch, const struct err *err)
{
    int64_t now = clock_monotonic_ms();
    bool refused = err->code == ERR_REFUSED;
    if (watch->delay_ms == 0)
        watch->failing_since_ms = now;
    int64_t first = refused ? REFUSED_FIRST_MS : FAILED_FIRST_MS;
    int64_t most = !refused                                                ? FAILED_MAX_MS
                   : now - watch->failing_since_ms < REFUSED_QUICK_FOR_MS ? REFUSED_MAX_MS
                                                                           : REFUSED_LATER_MAX_MS;
    watch->delay_ms = watch->delay_ms == 0 ? first : watch->delay_ms * 2;
    if (watch->delay_ms > most)
        watch->delay_ms = most;
    loop_timer_set(watch->timer, spread(watch->delay_ms));
    if (watch->options.on_error != NULL)
        watch->options.on_error(err, watch->options.data);
}

/* --- watching */

/* True to go on with the stream. */
static bool handle_event(struct kube_watch *watch, struct json *event)
{
    const char *type = json_str_or("", event, "type", NULL);
    const struct json *object = json_get(event, "object", NULL);
    const char *version = json_str(object, "metadata", "resourceVersion", NULL);
    if (streq(type, "ERROR")) {
        (void)kube_status_error(object, 0, &watch->broken);
        return false;
    }
    mark_current(watch);
    watch->delay_ms = 0;
    set_version(watch, version);
    if (streq(type, "ADDED") || streq(type, "MODIFIED")) {
        put(watch, object);
    } else if (streq(type, "DELETED")) {
        CLEANUP(xfree) char *key = key_of(json_str(object, "metadata", "namespace", NULL),
                                          json_str(object, "metadata", "name", NULL));
        drop(watch, key, object);
    }
    return !watch->freed;
}

static bool handle_line(struct kube_watch *watch, const char *line, size_t len)
{
    CLEANUP(json_free) struct json *event = NULL;
    if (json_parse_without(line, len, watch->omit_in_event, &event, &watch->broken) < 0) {
        (void)err_wrap(&watch->broken, "watching '%s'", watch->path);
        return false;
    }
    return handle_event(watch, event);
}

static bool on_chunk(const struct http_response *response, const char *bytes, size_t len, void *data)
{
    struct kube_watch *watch = data;
    bool go_on = true;
    (void)response;
    watch->heard = true;
    enter(watch);
    while (go_on && len > 0) {
        const char *end = memchr(bytes, '\n', len);
        size_t n = end != NULL ? (size_t)(end - bytes) : len;
        if (end != NULL && watch->line.len == 0) { /* usually a chunk holds whole lines */
            go_on = n == 0 || handle_line(watch, bytes, n);
        } else if (!buf_add(&watch->line, bytes, n)) {
            (void)err_set(&watch->broken, ERR_TOO_BIG, "watching '%s': an event is over %zu bytes", watch->path,
                          (size_t)LIMIT_WATCH_LINE);
            go_on = false;
        } else if (end != NULL) {
            go_on = handle_line(watch, watch->line.data, watch->line.len);
            buf_clear(&watch->line);
        }
        if (end != NULL)
            n++;
        bytes += n;
        len -= n;
    }
    return leave(watch) && go_on;
}

static void on_watch_done(struct json **answer, struct err *err, void *data)
{
    struct kube_watch *watch = data;
    (void)answer;
    watch->call = NULL;
    buf_clear(&watch->line);
    enter(watch);
    if (watch->broken.code != 0) {
        err_clear(err);
        err_move(err, &watch->broken);
    }
    bool lasted = clock_monotonic_ms() - watch->began_ms >= HEALTHY_AFTER_MS;
    if (lasted)
        watch->delay_ms = 0;
    if (err->code == ERR_GONE || err->code == ERR_INVALID || err->code == ERR_NOT_FOUND || err->code == ERR_TOO_BIG) {
        free(take(&watch->version)); /* too old, or not understood: start over from a list */
    }
    bool silent = err->code == ERR_TIMEOUT && (watch->heard || !watch->was_silent);
    watch->was_silent = err->code == ERR_TIMEOUT;
    if (err->code == ERR_GONE && watch->delay_ms == 0) {
        watch->delay_ms = 1; /* a second one in a row waits */
        loop_timer_set(watch->timer, 0);
    } else if (silent) {
        loop_timer_set(watch->timer, 0);
    } else if (err->code != 0) {
        try_again(watch, err);
    } else if (lasted) {
        loop_timer_set(watch->timer, 0);
    } else {
        CLEANUP(err_clear) struct err early = {0};
        (void)err_set(&early, ERR_IO, "watching '%s': the server ended the watch early", watch->path);
        try_again(watch, &early);
    }
    (void)leave(watch);
}

static void add_selectors(const struct kube_watch *watch, struct buf *path)
{
    if (watch->label_selector != NULL)
        kube_path_query(path, "labelSelector", watch->label_selector);
    if (watch->field_selector != NULL)
        kube_path_query(path, "fieldSelector", watch->field_selector);
}

static void begin_watch(struct kube_watch *watch)
{
    CLEANUP(buf_done) struct buf path = {0};
    CLEANUP(xfree) char *seconds = xasprintf("%d", WATCH_SECONDS + (int)random_below(WATCH_SECONDS));
    buf_add_str(&path, watch->path);
    add_selectors(watch, &path);
    kube_path_query(&path, "watch", "true");
    kube_path_query(&path, "allowWatchBookmarks", "true");
    kube_path_query(&path, "resourceVersion", watch->version);
    kube_path_query(&path, "timeoutSeconds", seconds);
    int64_t idle_ms = watch->options.idle_timeout_ms;
    struct kube_request request = {.path = buf_text(&path), .idle_timeout_ms = idle_ms > 0 ? idle_ms : IDLE_MS};
    watch->began_ms = clock_monotonic_ms();
    watch->heard = false;
    watch->call = kube_stream(watch->client, &request, on_chunk, on_watch_done, watch);
}

/* --- listing */

/* Items of a list lack what the list says once for all: "PodList" of "v1" holds "Pod"s of "v1". */
static void complete(struct json *item, const char *api_version, const char *kind)
{
    if (json_str(item, "kind", NULL) == NULL && kind != NULL)
        json_set_str(item, "kind", kind);
    if (json_str(item, "apiVersion", NULL) == NULL && api_version != NULL)
        json_set_str(item, "apiVersion", api_version);
}

static void take_page(struct kube_watch *watch, struct json *list)
{
    const char *list_kind = json_str(list, "kind", NULL), *api_version = json_str(list, "apiVersion", NULL);
    CLEANUP(xfree) char *kind =
        list_kind != NULL && ends_with(list_kind, "List") ? xstrndup(list_kind, strlen(list_kind) - 4) : NULL;
    struct json *items = json_edit_member(list, "items");
    for (size_t i = 0; i < json_len(items) && !watch->freed; i++) {
        struct json *item = json_edit_at(items, i);
        CLEANUP(xfree) char *name = key_of(json_str(item, "metadata", "namespace", NULL),
                                           json_str(item, "metadata", "name", NULL));
        map_set(&watch->listed, name, NULL);
        complete(item, api_version, kind);
        put(watch, item);
    }
}

static void drop_unlisted(struct kube_watch *watch)
{
    CLEANUP(strv_done) struct strv gone = {0};
    const char *key;
    void *value;
    for (size_t i = 0; map_next(&watch->store, &i, &key, &value);)
        if (!map_has(&watch->listed, key))
            strv_add(&gone, key);
    for (size_t i = 0; i < gone.n && !watch->freed; i++)
        drop(watch, gone.items[i], NULL);
}

/* The next list begins with its first page. */
static void forget_pages(struct kube_watch *watch)
{
    watch->more = xfree(watch->more);
    map_done(&watch->listed);
    watch->listed = (struct map){0};
}

static void begin_list(struct kube_watch *watch);

static void on_list_done(struct json **answer, struct err *err, void *data)
{
    struct kube_watch *watch = data;
    watch->call = NULL;
    enter(watch);
    if (err->code == 0 && json_str(*answer, "metadata", "resourceVersion", NULL) == NULL)
        (void)err_set(err, ERR_PARSE, "listing '%s': the answer is no list", watch->path);
    if (err->code != 0) {
        forget_pages(watch);
        try_again(watch, err);
        (void)leave(watch);
        return;
    }
    take_page(watch, *answer);
    const char *more = json_str_or("", *answer, "metadata", "continue", NULL);
    if (*more != '\0' && !watch->freed) {
        free(watch->more);
        watch->more = xstrdup(more);
        begin_list(watch);
        (void)leave(watch);
        return;
    }
    drop_unlisted(watch);
    if (!watch->freed) {
        forget_pages(watch);
        set_version(watch, json_str(*answer, "metadata", "resourceVersion", NULL));
        mark_current(watch);
        if (!watch->synced) {
            watch->synced = true;
            if (watch->options.on_synced != NULL)
                watch->options.on_synced(watch->options.data);
        }
    }
    if (!watch->freed)
        begin_watch(watch);
    (void)leave(watch);
}

static void begin_list(struct kube_watch *watch)
{
    CLEANUP(buf_done) struct buf path = {0};
    buf_add_str(&path, watch->path);
    add_selectors(watch, &path);
    kube_path_query(&path, "limit", PAGE_TEXT);
    if (watch->more != NULL)
        kube_path_query(&path, "continue", watch->more);
    /* no resourceVersion: the newest state, which API servers answer from their cache too */
    struct kube_request request = {.path = buf_text(&path), .timeout_ms = LIST_TIMEOUT_MS, .omit = watch->omit_in_list};
    watch->call = kube_start(watch->client, &request, on_list_done, watch);
}

static void begin(void *data)
{
    struct kube_watch *watch = data;
    if (watch->version == NULL)
        begin_list(watch);
    else
        begin_watch(watch);
}

struct kube_watch *kube_watch_new(struct kube_client *client, const struct kube_watch_options *options)
{
    struct kube_watch *watch = NEW(struct kube_watch);
    watch->client = client;
    watch->options = *options;
    watch->path = xstrdup(options->path);
    watch->label_selector = xstrdup(options->label_selector);
    watch->field_selector = xstrdup(options->field_selector);
    if (options->omit != NULL) {
        watch->omit_in_list[0] = (struct json_omit){"items", options->omit};
        watch->omit_in_event[0] = (struct json_omit){"object", options->omit};
    }
    buf_init(&watch->line, LIMIT_WATCH_LINE);
    watch->timer = loop_timer_new(kube_client_loop(client), begin, watch);
    loop_timer_set(watch->timer, 0);
    return watch;
}

struct kube_watch *kube_watch_free(struct kube_watch *watch)
{
    if (watch == NULL || watch->freed)
        return NULL;
    watch->freed = true;
    if (watch->depth == 0)
        destroy(watch);
    return NULL;
}
