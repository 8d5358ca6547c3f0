/*
 * discovery_internal.h: what the discovery*.c files share.
 */
#pragma once

#include "kube/discovery.h"

extern const struct kube_resource discovery_table[]; /* what is compiled in */
extern const size_t discovery_table_len;

struct discovery_list {
    struct kube_resource *items;
    size_t n, cap;
    struct strv texts; /* theirs */
};
void discovery_list_done(struct discovery_list *list);
DEFINE_CLEANUP_IN_PLACE(struct discovery_list, discovery_list_done)

/* --- discovery_documents.c */

/* What the server offers, in its own words: an APIGroupDiscoveryList each. Empty: it was not asked. */
struct discovery_answer {
    struct json *core, *others; /* of /api and of /apis */
};
void discovery_answer_done(struct discovery_answer *answer);
DEFINE_CLEANUP_IN_PLACE(struct discovery_answer, discovery_answer_done)
/* meanwhile: work for the time in which the server thinks (kube_do_all), or NULL. */
int discovery_fetch(struct kube_client *client, bool (*meanwhile)(void *data), void *data, struct discovery_answer *ret,
                    struct err *err) MUST_CHECK;
/*
 * Appends the resources, all versions, in the server's order, without subresources. stale: group/version that an unreachable
 * aggregated server did not tell about.
 */
void discovery_answer_fill(const struct discovery_answer *answer, struct discovery_list *list, struct strv *stale);
/* The same from a document of the cache, an APIResourceList. */
void discovery_list_add(struct discovery_list *list, const struct json *document);
/* A document that kubectl caches: the resources of a group version, or the list of groups (group_version NULL). False: stop. */
typedef bool discovery_take(const char *group_version, const struct buf *text, void *data);
/* Hands out all documents, the groups last; false when it was stopped. */
bool discovery_answer_print(const struct discovery_answer *answer, discovery_take *take_one, void *data);

/* --- discovery_cache.c */

/* The folder for this server; heap string. */
char *discovery_cache_path(const char *cache_dir, const char *server) MUST_CHECK;
/* Fills an empty list; false when a document is absent, too old or not understood. */
bool discovery_cache_load(const char *folder, struct discovery_list *list);
/*
 * A server's first cache in the making: its folders and files are laid out under a name that nobody knows, which becomes the
 * folder's when all is there. Making seventy folders and files takes as long as the server's answer, so what every server
 * has is made while that is waited for. NULL: there is a cache already, which is only renewed.
 */
struct discovery_shelf;
struct discovery_shelf *discovery_shelf_new(const char *folder);
/* Makes the next place; false: there is nothing more to do before the answer is there. data: the shelf. */
bool discovery_shelf_step(void *data);
/* Takes away what did not become a cache. */
struct discovery_shelf *discovery_shelf_free(struct discovery_shelf *shelf);
DEFINE_CLEANUP_POINTER(struct discovery_shelf *, discovery_shelf_free)
/* Best effort: without a cache the next process asks again. shelf may be NULL. */
void discovery_cache_save(const char *folder, struct discovery_shelf *shelf, const struct discovery_answer *answer);
