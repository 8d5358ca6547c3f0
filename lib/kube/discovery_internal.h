/*
 * discovery_internal.h: what the discovery*.c files share.
 */
#pragma once

#include "kube/discovery.h"

struct discovery_row { /* a resource that is compiled in; lists are comma separated */
    const char *group, *version, *plural, *kind;
    bool namespaced;
    const char *short_names, *categories, *verbs;
};
extern const struct discovery_row discovery_table[];
extern const size_t discovery_table_len;

struct discovery_list {
    struct kube_resource *items;
    size_t n, cap;
};
void discovery_list_done(struct discovery_list *list);
DEFINE_CLEANUP_IN_PLACE(struct discovery_list, discovery_list_done)

/* --- discovery_documents.c */

/*
 * What the server offers, in the documents that kubectl caches: {"groups": an APIGroupList, "lists": [an APIResourceList for
 * each version of each group], "stale": [group/version that an unreachable aggregated server did not tell about]}.
 */
int discovery_fetch(struct kube_client *client, struct json **ret, struct err *err) MUST_CHECK;
/* The resources of such documents, all versions, in the server's order, without subresources. */
void discovery_list_fill(struct discovery_list *list, const struct json *documents);

/* --- discovery_cache.c */

/* The folder for this server; heap string. */
char *discovery_cache_path(const char *cache_dir, const char *server) MUST_CHECK;
/* False when a document is absent, too old or not understood. */
bool discovery_cache_load(const char *folder, struct json **ret);
/* Best effort: without a cache the next process asks again. */
void discovery_cache_save(const char *folder, const struct json *documents);
