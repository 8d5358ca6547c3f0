/*
 * prune.c: lists the kinds of the allowlist in the namespaces of the files, and picks what carries apply's annotation
 * and was not applied this time.
 */
#include "apply/prune.h"

#include "base/mem.h"

#include "objects/write.h"

static const char *const usual_kinds[] = {"core/v1/ConfigMap",
                                          "core/v1/Endpoints",
                                          "core/v1/PersistentVolumeClaim",
                                          "core/v1/Pod",
                                          "core/v1/ReplicationController",
                                          "core/v1/Secret",
                                          "core/v1/Service",
                                          "batch/v1/Job",
                                          "batch/v1/CronJob",
                                          "networking.k8s.io/v1/Ingress",
                                          "apps/v1/DaemonSet",
                                          "apps/v1/Deployment",
                                          "apps/v1/ReplicaSet",
                                          "apps/v1/StatefulSet",
                                          "core/v1/Namespace",
                                          "core/v1/PersistentVolume"};

void prune_done(struct prune *prune)
{
    strv_done(&prune->uids);
    strv_done(&prune->namespaces);
}

void prune_mark(struct prune *prune, const struct item *item, const struct json *object)
{
    const char *uid = json_str(object, "metadata", "uid", NULL);
    if (uid != NULL)
        strv_add(&prune->uids, uid);
    if (item->namespace != NULL && !strv_has(&prune->namespaces, item->namespace))
        strv_add(&prune->namespaces, item->namespace);
}

static int find_kind(struct prune *prune, const char *text, const struct kube_resource **ret, struct err *err)
{
    CLEANUP(strv_done) struct strv parts = {0};
    strv_split(&parts, text, '/');
    if (parts.n != 3)
        return err_set(err, ERR_USAGE, "invalid GroupVersionKind format: %s, please follow <group/version/kind>", text);
    bool is_core = streq(parts.items[0], "core") || parts.items[0][0] == '\0';
    CLEANUP(xfree)
    char *version = is_core ? xstrdup(parts.items[1]) : xasprintf("%s/%s", parts.items[0], parts.items[1]);
    return kube_discovery_find_kind(prune->cli->discovery, version, parts.items[2], ret, err);
}

int prune_check(struct prune *prune, struct err *err)
{
    const struct kube_resource *resource = NULL;
    if (prune->allowlist->n > 0 && cli_connect(prune->cli, err) < 0)
        return err->code;
    for (size_t i = 0; i < prune->allowlist->n; i++) {
        if (find_kind(prune, prune->allowlist->items[i], &resource, err) < 0)
            return err->code;
    }
    return 0;
}

/* namespace NULL: a cluster-scoped kind. */
static int prune_collection(struct prune *prune, const struct kube_resource *resource, const char *namespace,
                            prune_found *found, void *data, struct err *err)
{
    const struct item collection = {.resource = resource, .namespace = (char *)(uintptr_t) namespace};
    const struct selection selection = {.label_selector = prune->label_selector};
    CLEANUP(items_done) struct items items = {0};
    if (items_list(prune->cli, &collection, &selection, &items, err) < 0)
        return err->code;
    for (size_t i = 0; i < items.n; i++) {
        const struct item *item = &items.list[i];
        const char *uid = json_str_or("", item->object, "metadata", "uid", NULL);
        if (json_get(item->object, "metadata", "annotations", LAST_APPLIED_ANNOTATION, NULL) == NULL ||
            strv_has(&prune->uids, uid))
            continue;
        if (found(item, data, err) < 0)
            return err->code;
    }
    return 0;
}

static int prune_kind(struct prune *prune, const char *kind, bool namespaced, prune_found *found, void *data,
                      struct err *err)
{
    const struct kube_resource *resource = NULL;
    if (find_kind(prune, kind, &resource, err) < 0)
        return err_wrap(err, "error retrieving RESTMappings to prune: invalid resource %s", kind);
    if (resource->namespaced != namespaced)
        return 0;
    int code = 0;
    for (size_t i = 0; i < prune->namespaces.n && namespaced && code == 0; i++)
        code = prune_collection(prune, resource, prune->namespaces.items[i], found, data, err);
    if (!namespaced)
        code = prune_collection(prune, resource, NULL, found, data, err);
    return code < 0 ? err_wrap(err, "error pruning %s object %s", namespaced ? "namespaced" : "nonNamespaced", kind)
                    : 0;
}

int prune_each(struct prune *prune, prune_found *found, void *data, struct err *err)
{
    bool usual = prune->allowlist->n == 0;
    size_t n = usual ? countof(usual_kinds) : prune->allowlist->n;
    if (usual && prune->cli->namespace != NULL)
        fputs("Warning: Deprecated: kubectl apply will no longer prune non-namespaced resources by default when used "
              "with the --namespace flag in a future release. To preserve the current behaviour, list the resources "
              "you want to target explicitly in the --prune-allowlist flag.\n",
              stderr);
    for (int pass = 0; pass < 2; pass++) { /* what is in namespaces first */
        for (size_t i = 0; i < n; i++) {
            const char *kind = usual ? usual_kinds[i] : prune->allowlist->items[i];
            if (prune_kind(prune, kind, pass == 0, found, data, err) < 0)
                return err->code;
        }
    }
    return 0;
}
