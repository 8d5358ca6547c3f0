/*
 * discovery.h: from what a person types ("po", "pods", "Pod", "deploy.v1.apps", "fp") to a resource. Built-in resources
 * are compiled in and cost no request; anything else asks the server's aggregated discovery, cached on disk per host in
 * kubectl's files.
 */
#pragma once

#include "kube/client.h"

struct kube_resource {
    const char *group, *version, *plural;
    const char *singular; /* of a built-in resource in the case of its kind: compare it without */
    const char *kind;
    bool namespaced;
    const char *short_names, *categories, *verbs; /* comma separated; "" for none */
};
/* Whether a comma separated list has the word. */
bool kube_resource_lists(const char *list, const char *word);

struct kube_discovery;
/* cache_dir: NULL for $KUBECACHEDIR or ~/.kube/cache. */
struct kube_discovery *kube_discovery_new(struct kube_client *client, const char *cache_dir);
/* Writes the cache when the server was asked; so does kube_discovery_free, which a command that is stopped never reaches. */
void kube_discovery_save(struct kube_discovery *discovery);
struct kube_discovery *kube_discovery_free(struct kube_discovery *discovery);

/*
 * text: plural, singular, short name or kind, any case, with ".group" or ".version.group". Borrowed until the discovery is
 * freed. ERR_NOT_FOUND with kubectl's words: "the server doesn't have a resource type \"x\"".
 */
int kube_discovery_find(struct kube_discovery *discovery, const char *text, const struct kube_resource **ret,
                        struct err *err) MUST_CHECK;
/* The same among what is compiled in or was told before, to this process or by the cache: asks nobody. NULL: not there. */
const struct kube_resource *kube_discovery_known(struct kube_discovery *discovery, const char *text);
/* By apiVersion and kind of a manifest. ERR_NOT_FOUND: "no matches for kind \"X\" in version \"g/v\"". */
int kube_discovery_find_kind(struct kube_discovery *discovery, const char *api_version, const char *kind,
                             const struct kube_resource **ret, struct err *err) MUST_CHECK;
/* Members of a category ("all"), in kubectl's order. *ret: heap array of borrowed pointers, *ret_n of them; 0 if no such category. */
int kube_discovery_category(struct kube_discovery *discovery, const char *category,
                            const struct kube_resource ***ret, size_t *ret_n, struct err *err) MUST_CHECK;
/*
 * Everything the server offers, in the preferred version, for api-resources. Borrowed array. cached: from the disk if it is
 * there. *ret_stale: "group/version" whose server does not answer, so that its resources are missing; borrowed.
 */
int kube_discovery_all(struct kube_discovery *discovery, bool cached, const struct kube_resource **ret, size_t *ret_n,
                       const struct strv **ret_stale, struct err *err) MUST_CHECK;
DEFINE_CLEANUP_POINTER(struct kube_discovery *, kube_discovery_free)
