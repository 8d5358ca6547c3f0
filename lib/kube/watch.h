/*
 * watch.h: a reflector: lists one collection, watches it, and keeps a store of it up to date for ever: bookmarks, resume
 * at the last resource version, a fresh list on 410, back-off with jitter (0.5 s to 30 s) on failures. Callbacks tell
 * every change once, also those found only by a fresh list.
 */
#pragma once

#include "kube/client.h"

struct kube_watch;

struct kube_watch_options {
    const char *path;           /* collection: "/api/v1/pods"; copied */
    const char *label_selector; /* or NULL */
    const char *field_selector; /* or NULL */
    const struct json_omit *omit; /* members of each object that nobody reads: they are not kept; borrowed; or NULL */
    /*
     * What the store keeps of an object, if not all of it; a new reference. Callbacks get the whole object as new, and
     * what was kept as old. metadata.name, namespace, uid and resourceVersion must stay. keep is NULL: everything is kept.
     * What it returns is NULL: nothing is but these four, in less memory than a tree takes; kube_watch_get and
     * kube_watch_next pass over such objects.
     */
    struct json *(*keep)(const struct json *object);
    int64_t idle_timeout_ms;    /* silence after which a watch is taken up again; 0: 180 s */
    /* old NULL: new object; new NULL: gone (old is its last state known). Trees are borrowed and read-only. */
    void (*on_change)(const struct json *old, const struct json *new, void *data);
    void (*on_synced)(void *data); /* after the first complete list, once; may be NULL */
    /* A failure that will be tried again: for logs and metrics; may be NULL. */
    void (*on_error)(const struct err *err, void *data);
    void *data;
};

struct kube_watch *kube_watch_new(struct kube_client *client, const struct kube_watch_options *options);
struct kube_watch *kube_watch_free(struct kube_watch *watch);
bool kube_watch_synced(const struct kube_watch *watch);
/* Milliseconds since the last byte that proved the store current (list, event or bookmark). */
int64_t kube_watch_age_ms(const struct kube_watch *watch);
/* From the store; namespace NULL for cluster-scoped kinds. Borrowed until the next callback. */
const struct json *kube_watch_get(const struct kube_watch *watch, const char *namespace, const char *name);
size_t kube_watch_count(const struct kube_watch *watch);
/* for (size_t i = 0; kube_watch_next(w, &i, &object);) */
bool kube_watch_next(const struct kube_watch *watch, size_t *position, const struct json **ret);
DEFINE_CLEANUP_POINTER(struct kube_watch *, kube_watch_free)
