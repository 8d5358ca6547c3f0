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

/* Everything the server offers, all versions, in its order. */
int discovery_fetch(struct kube_client *client, struct discovery_list *ret, struct err *err) MUST_CHECK;
/* The file for this server; heap string. */
char *discovery_cache_path(const char *cache_dir, const char *server) MUST_CHECK;
/* False when absent, too old or not understood. */
bool discovery_cache_load(const char *path, struct discovery_list *ret);
/* Best effort: without a cache the next process asks again. */
void discovery_cache_save(const char *path, const struct discovery_list *list);
