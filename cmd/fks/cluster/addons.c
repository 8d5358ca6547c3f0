/*
 * addons.c: see addons.h.
 */
#include "cluster/addons.h"

#include "base/codec.h"
#include "base/mem.h"
#include "cluster/credentials.h"
#include "data/yaml.h"
#include "fargate/names.h"
#include "install/install.h"
#include "install/manifests.h"

/* Every document of a set; edit may change it first. */
static int apply_set(const struct cluster *cluster, struct kube_client *client, enum manifest_set set,
                     int (*edit)(const struct cluster *cluster, struct json *object, struct err *err), struct err *err)
{
    CLEANUP(kube_discovery_free) struct kube_discovery *discovery = kube_discovery_new(client, NULL);
    for (const struct manifest *manifest = manifests_of(set); manifest->name != NULL; manifest++) {
        CLEANUP(json_free) struct json *documents = NULL;
        int r = yaml_parse_all(manifest->text.p, manifest->text.len, &documents, err);
        if (r < 0)
            return err_wrap(err, "reading the built-in manifest '%s'", manifest->name);
        const struct json *document;
        json_each(document, documents)
        {
            CLEANUP(json_free) struct json *object = json_clone(document);
            if ((edit != NULL && (r = edit(cluster, object, err)) < 0) ||
                (r = install_apply_object(client, discovery, object, err)) < 0)
                return r;
        }
    }
    return 0;
}

int addons_base(const struct cluster *cluster, struct kube_client *client, struct err *err)
{
    int r = apply_set(cluster, client, MANIFESTS_BASE, NULL, err);
    return r < 0 ? r : install_wait_for_types(client, err);
}

static int edit_webhook(const struct cluster *cluster, struct json *object, struct err *err)
{
    CLEANUP(xfree) char *ca = NULL;
    CLEANUP(buf_done) struct buf bundle = {0};
    int r = credentials_ca(cluster, &ca, err);
    if (r < 0)
        return r;
    base64_encode(ca, strlen(ca), &bundle);
    bool mutating = streq(json_str(object, "kind", NULL), "MutatingWebhookConfiguration");
    CLEANUP(xfree) char *url =
        xasprintf("https://127.0.0.1:%d/%s", cluster->webhook_port, mutating ? "mutate" : "validate");
    struct json *webhooks = json_edit_member(object, "webhooks");
    for (size_t i = 0; i < json_len(webhooks); i++) {
        struct json *webhook = json_edit_at(webhooks, i);
        json_set(webhook, "clientConfig", json_build("{s:s, s:s}", "url", url, "caBundle", buf_text(&bundle)));
        if (i == 0 && mutating && cluster->webhook_failure_policy != NULL)
            json_set_str(webhook, "failurePolicy", cluster->webhook_failure_policy); /* the others have reasons of their own */
    }
    return 0;
}

int addons_webhook(const struct cluster *cluster, struct kube_client *client, struct err *err)
{
    return apply_set(cluster, client, MANIFESTS_WEBHOOK, edit_webhook, err);
}

static int edit_coredns(const struct cluster *cluster, struct json *object, struct err *err UNUSED)
{
    if (!streq(json_str(object, "kind", NULL), "Service"))
        return 0;
    CLEANUP(xfree) char *address = cluster_service_address(cluster, 10);
    json_set_str(json_edit_member(object, "spec"), "clusterIP", address);
    return 0;
}

int addons_coredns(const struct cluster *cluster, struct kube_client *client, struct err *err)
{
    return apply_set(cluster, client, MANIFESTS_COREDNS, edit_coredns, err);
}

int addons_profile(struct kube_client *client, const struct json *profile, struct err *err)
{
    const struct kube_request request = {
        .method = "POST", .path = FKS_PROFILES_PATH "?fieldManager=fks", .body = profile};
    return kube_do(client, &request, NULL, err);
}

struct json *addons_default_profile(void)
{
    /* admission of kube-system goes on without the webhook while that is away: such pods are replaced when it is back */
    return json_build("{s:s, s:s, s:{s:s}, s:{s:[{s:s}, {s:s}], s:b}}", "apiVersion", FKS_API_VERSION, "kind",
                      "FargateProfile", "metadata", "name", "fp-default", "spec", "selectors", "namespace", "default",
                      "namespace", "kube-system", "reconcilePendingPods", 1);
}
