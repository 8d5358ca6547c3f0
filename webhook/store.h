/*
 * store.h: the profiles in force, as one immutable snapshot that is replaced as a whole. Fed by a watch on the API
 * server or by a file. While the source is away, the last snapshot stays in force.
 */
#pragma once

#include "base/loop.h"
#include "base/metrics.h"
#include "kube/client.h"
#include "snapshot.h"

struct store;

/* Watches FargateProfile objects. Never fails; client and names are borrowed. */
struct store *store_new_watch(struct loop *loop, struct kube_client *client, const struct fargate_names *names,
                              struct metrics *metrics);
/*
 * Reads a YAML or JSON file of FargateProfile objects (several documents, lists) and reads it again when it
 * changes. The file must be readable and well-formed at the start; later a broken file is reported and the last
 * snapshot stays.
 */
int store_new_file(struct loop *loop, const char *path, const struct fargate_names *names, struct metrics *metrics,
                   struct store **ret, struct err *err) MUST_CHECK;
struct store *store_free(struct store *store);

/* From now on called with each new snapshot, at once with the one in force if there is one. Borrowed. */
typedef void store_callback(struct snapshot *snapshot, void *data);
void store_on_snapshot(struct store *store, store_callback *callback, void *data);
/* Whether there is a snapshot. */
bool store_is_loaded(const struct store *store);
/* Brings the gauges of size and age up to date, for /metrics. */
void store_update_metrics(struct store *store);
/*
 * The profiles in a list of documents, as the file has them; what is no valid profile is handed to `skipped` with the
 * reason and left out. The result is owned by the caller.
 */
struct fargate_profiles *store_read_documents(const struct json *documents,
                                              void (*skipped)(const char *name, const struct err *err, void *data),
                                              void *data) MUST_CHECK;
DEFINE_CLEANUP_POINTER(struct store *, store_free)
