/*
 * event.c: writes core/v1 Events about objects. Best effort by design: an Event that cannot be written is dropped, and no
 * caller ever waits for one. Equal events within ten minutes become one object with a count, so a pod that fails every
 * few seconds costs one small PATCH each time and no new object.
 */
#include "kube/event.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"

#define SAME_FOR_MS 600000
#define KEPT_MAX 4096     /* remembered events; the oldest go first */
#define IN_FLIGHT_MAX 64  /* more at once are dropped: the server has better things to do */
#define MESSAGE_MAX 1024  /* as the API server allows */
#define KEY_SIZE 33

struct kube_events {
    struct kube_client *client;
    char *component;
    struct map kept; /* key → struct kept * */
    size_t in_flight;
};

struct kept { /* an Event that was written */
    struct kube_events *events;
    char key[KEY_SIZE];
    char *namespace, *name;
    int64_t count, last_ms;
    struct kube_call *call; /* POST or PATCH under way */
    bool changed;           /* count rose while a call was under way */
};

static void kept_free(struct kept *kept)
{
    if (kept->call != NULL) {
        kube_cancel(kept->call);
        kept->events->in_flight--;
    }
    free(kept->namespace);
    free(kept->name);
    free(kept);
}

struct kube_events *kube_events_new(struct kube_client *client, const char *component)
{
    struct kube_events *events = NEW(struct kube_events);
    events->client = client;
    events->component = xstrdup(component);
    return events;
}

struct kube_events *kube_events_free(struct kube_events *events)
{
    const char *key;
    void *kept;
    if (events == NULL)
        return NULL;
    for (size_t i = 0; map_next(&events->kept, &i, &key, &kept);)
        kept_free(kept);
    map_done(&events->kept);
    free(events->component);
    free(events);
    return NULL;
}

static void forget(struct kept *kept)
{
    map_del(&kept->events->kept, kept->key);
    kept_free(kept);
}

/* The expired ones go; when that is not enough, the oldest, which stand first in the map. */
static void make_room(struct kube_events *events, int64_t now)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(&events->kept, &i, &key, &value);) {
        struct kept *kept = value;
        if (now - kept->last_ms >= SAME_FOR_MS || events->kept.n >= KEPT_MAX)
            forget(kept);
    }
}

static void send_count(struct kept *kept);

static void on_done(struct json **answer, struct err *err, void *data)
{
    struct kept *kept = data;
    (void)answer;
    kept->call = NULL;
    kept->events->in_flight--;
    if (err->code != 0) { /* not created, or expired: the next one starts anew */
        forget(kept);
        return;
    }
    if (kept->changed)
        send_count(kept);
}

static void send_count(struct kept *kept)
{
    CLEANUP(xfree) char *path = kube_path("", "v1", kept->namespace, "events", kept->name, NULL);
    char now[CLOCK_TEXT_MAX];
    clock_rfc3339(clock_wall_ns(), now);
    CLEANUP(json_free) struct json *patch = json_build("{s:I, s:s}", "count", (long long)kept->count, "lastTimestamp", now);
    struct kube_request request = {.method = "PATCH", .path = path, .body = patch, .content_type = KUBE_MERGE_PATCH};
    kept->changed = false;
    kept->events->in_flight++;
    kept->call = kube_start(kept->events->client, &request, on_done, kept);
}

static void send_new(struct kept *kept, const struct json *object, const char *field, const char *host, const char *type,
                     const char *reason, const char *message)
{
    CLEANUP(xfree) char *path = kube_path("", "v1", kept->namespace, "events", NULL, NULL);
    char now[CLOCK_TEXT_MAX];
    clock_rfc3339(clock_wall_ns(), now);
    CLEANUP(json_free) struct json *event = json_build(
        "{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s*, s:s*, s:s*, s:s*, s:s*}, s:s, s:s, s:s, s:{s:s, s:s*}, s:s, s:s, s:i,"
        " s:s, s:s}",
        "apiVersion", "v1", "kind", "Event", "metadata", "name", kept->name, "namespace", kept->namespace,
        "involvedObject", "kind", json_str_or("Pod", object, "kind", NULL), "apiVersion",
        json_str_or("v1", object, "apiVersion", NULL), "namespace", json_str(object, "metadata", "namespace", NULL), "name",
        json_str(object, "metadata", "name", NULL), "uid", json_str(object, "metadata", "uid", NULL), "resourceVersion",
        json_str(object, "metadata", "resourceVersion", NULL), "fieldPath", field, "type", type, "reason", reason, "message", message, "source",
        "component", kept->events->component, "host", host, "firstTimestamp", now, "lastTimestamp", now, "count", 1,
        "reportingComponent", kept->events->component, "reportingInstance", strempty(host));
    struct kube_request request = {.method = "POST", .path = path, .body = event};
    kept->events->in_flight++;
    kept->call = kube_start(kept->events->client, &request, on_done, kept);
}

/*
 * Stands for what makes two events equal: thousands are remembered, and their texts would be most of the memory. Twice
 * FNV-1a, so that it takes more than bad luck for two to be taken for one; that would cost a count, nothing else.
 */
static void hash_key(const char *text, char key[KEY_SIZE])
{
    uint64_t one = 0xcbf29ce484222325u, other = 0x84222325cbf29ce4u;

    for (const char *c = text; *c != '\0'; c++) {
        one = (one ^ (unsigned char)*c) * 0x100000001b3u;
        other = (other ^ (unsigned char)*c) * 0x9e3779b97f4a7c15u;
    }
    (void)snprintf(key, KEY_SIZE, "%016llx%016llx", (unsigned long long)one, (unsigned long long)other);
}

/* Cuts at a character, not inside one. */
static void cut_message(char *message)
{
    size_t len = strlen(message);
    if (len <= MESSAGE_MAX)
        return;
    for (len = MESSAGE_MAX; len > 0 && ((unsigned char)message[len] & 0xc0) == 0x80; len--)
        ;
    message[len] = '\0';
}

void kube_event(struct kube_events *events, const struct json *object, const char *host, const char *type,
                const char *reason, const char *format, ...)
{
    CLEANUP(buf_done) struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    kube_event_of(events, object, NULL, host, type, reason, buf_text(&text));
}

void kube_event_of(struct kube_events *events, const struct json *object, const char *field, const char *host,
                   const char *type, const char *reason, const char *text)
{
    int64_t now = clock_monotonic_ms();
    CLEANUP(xfree) char *message = xstrdup(text);
    cut_message(message);
    const char *name = json_str_or("unknown", object, "metadata", "name", NULL);
    const char *namespace = json_str_or("default", object, "metadata", "namespace", NULL);
    CLEANUP(xfree) char *all =
        xasprintf("%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s", json_str_or("Pod", object, "kind", NULL), namespace, name,
                  json_str_or("", object, "metadata", "uid", NULL), strempty(field), type, reason, message);
    char key[KEY_SIZE];
    hash_key(all, key);
    struct kept *kept = map_get(&events->kept, key);
    if (kept != NULL && now - kept->last_ms >= SAME_FOR_MS && kept->call == NULL) {
        forget(kept);
        kept = NULL;
    }
    if (kept != NULL) {
        kept->count++;
        kept->last_ms = now;
        kept->changed = true;
        if (kept->call == NULL && events->in_flight < IN_FLIGHT_MAX)
            send_count(kept);
        return;
    }
    if (events->in_flight >= IN_FLIGHT_MAX)
        return;
    if (events->kept.n >= KEPT_MAX)
        make_room(events, now);
    kept = NEW(struct kept);
    kept->events = events;
    memcpy(kept->key, key, KEY_SIZE);
    kept->namespace = xstrdup(namespace);
    kept->name = xasprintf("%s.%016llx", name, (unsigned long long)clock_wall_ns());
    kept->count = 1;
    kept->last_ms = now;
    map_set(&events->kept, key, kept);
    send_new(kept, object, field, host, type, reason, message);
}
