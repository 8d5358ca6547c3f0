/*
 * install_apply.c: one object of FKS in a cluster, by its kind, and the types that the others need; the same for local
 * clusters and for those that were there.
 */
#include "install/install.h"

#include "base/mem.h"
#include "install/wait.h"

int install_locate(struct kube_discovery *discovery, const struct json *object, const struct kube_resource **ret,
                   char **ret_path, struct err *err)
{
    int r = kube_discovery_find_kind(discovery, json_str_or("", object, "apiVersion", NULL),
                                     json_str_or("", object, "kind", NULL), ret, err);
    if (r < 0)
        return r;
    *ret_path = kube_path((*ret)->group, (*ret)->version,
                          (*ret)->namespaced ? json_str_or("default", object, "metadata", "namespace", NULL) : NULL,
                          (*ret)->plural, json_str_or("", object, "metadata", "name", NULL), NULL);
    return 0;
}

/* PATCH ?fieldManager=fks&force=true of one object, by its kind. */
int install_apply_object(struct kube_client *client, struct kube_discovery *discovery, const struct json *object,
                         struct err *err)
{
    const struct kube_resource *resource;
    CLEANUP(xfree) char *path = NULL;
    int r = install_locate(discovery, object, &resource, &path, err);
    if (r < 0)
        return r;
    CLEANUP(buf_done) struct buf query = {0};
    buf_add_str(&query, path);
    kube_path_query(&query, "fieldManager", "fks");
    kube_path_query(&query, "force", "true");
    const struct kube_request request = {
        .method = "PATCH", .path = buf_text(&query), .body = object, .content_type = KUBE_APPLY_PATCH};
    if ((r = kube_do(client, &request, NULL, err)) < 0)
        return err_wrap(err, "applying %s '%s'", resource->kind, json_str_or("", object, "metadata", "name", NULL));
    return 0;
}

static int is_established(void *data, struct err *err)
{
    static const char *const names[] = {"fargateprofiles.fks.dev", "fargatehosts.fks.dev"};
    for (size_t i = 0; i < countof(names); i++) {
        CLEANUP(json_free) struct json *object = NULL;
        CLEANUP(xfree) char *path =
            kube_path("apiextensions.k8s.io", "v1", NULL, "customresourcedefinitions", names[i], NULL);
        const struct kube_request request = {.path = path};
        int r = kube_do(data, &request, &object, err);
        if (r < 0)
            return r;
        if (!wait_condition_is(object, "Established", "True"))
            return 0;
    }
    return 1;
}

int install_wait_for_types(struct kube_client *client, struct err *err)
{
    return wait_until("the FKS resource types to be served", 30000, is_established, client, err);
}
