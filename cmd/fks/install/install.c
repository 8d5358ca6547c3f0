/*
 * install.c: see install.h: coming. Going is in install_remove.c.
 */
#include "install/install.h"

#include <unistd.h>

#include "base/mem.h"
#include "data/yaml.h"
#include "fargate/names.h"
#include "install/manifests.h"
#include "install/progress.h"
#include "install/wait.h"

#define NODE_PREFIX_OPTION "--node-name-prefix="
#define READ_US 500000 /* until every API server has read a registration that was written */

/* "fks.dev/fks-webhook:0.1.0" with another registry or tag. */
static char *image_of(const char *image, const struct install_settings *settings)
{
    const char *slash = strrchr(image, '/'), *colon = strrchr(image, ':');
    if (slash == NULL || colon == NULL || colon < slash)
        return xstrdup(image);
    CLEANUP(xfree) char *registry = xstrndup(image, (size_t)(slash - image));
    CLEANUP(xfree) char *name = xstrndup(slash + 1, (size_t)(colon - slash) - 1);
    return xasprintf("%s/%s:%s", settings->registry != NULL ? settings->registry : registry, name,
                     settings->tag != NULL ? settings->tag : colon + 1);
}

static void set_images(struct json *object, const struct install_settings *settings)
{
    const char *kind = json_str(object, "kind", NULL);
    if (!streq(kind, "Deployment") && !streq(kind, "DaemonSet"))
        return;
    struct json *containers = json_edit_member(json_edit(object, "spec", "template", "spec", NULL), "containers");
    for (size_t i = 0; i < json_len(containers); i++) {
        struct json *container = json_edit_at(containers, i);
        CLEANUP(xfree) char *image = image_of(json_str_or("", container, "image", NULL), settings);
        json_set_str(container, "image", image);
    }
}

static int parse(enum manifest_set set, struct json **ret, struct err *err)
{
    const struct manifest *manifest = manifests_of(set);
    CLEANUP(json_free) struct json *parsed = NULL;
    int r = yaml_parse_all(manifest->text.p, manifest->text.len, &parsed, err);
    if (r < 0)
        return err_wrap(err, "reading the built-in manifest '%s'", manifest->name);
    *ret = json_clone(parsed);
    return 0;
}

/* Behind the rest; the namespace, which both have, becomes the one that lets privileged pods in. */
static int add_hosts(struct json *objects, struct err *err)
{
    CLEANUP(json_free) struct json *hosts = NULL;
    const struct json *object;
    int r = parse(MANIFESTS_INSTALL_HOSTS, &hosts, err);
    if (r < 0)
        return r;
    json_each(object, hosts)
    {
        if (!streq(json_str(object, "kind", NULL), "Namespace")) {
            json_push(objects, json_clone(object));
            continue;
        }
        for (size_t i = 0; i < json_len(objects); i++)
            if (streq(json_str(json_at(objects, i), "kind", NULL), "Namespace"))
                json_set(json_edit_at(objects, i), "metadata", json_clone(json_get(object, "metadata", NULL)));
    }
    return 0;
}

/* The agents call Nodes as the ConfigMap among the objects says. */
static void set_node_prefix(struct json *objects)
{
    CLEANUP(buf_done) struct buf argument = {0};
    const struct json *object;
    buf_add_str(&argument, NODE_PREFIX_OPTION);
    json_each(object, objects)
        buf_add_str(&argument, json_str_or("", object, "data", "nodeNamePrefix", NULL));
    for (size_t i = 0; i < json_len(objects); i++) {
        if (!streq(json_str(json_at(objects, i), "kind", NULL), "DaemonSet"))
            continue;
        struct json *containers =
            json_edit_member(json_edit(json_edit_at(objects, i), "spec", "template", "spec", NULL), "containers");
        for (size_t j = 0; j < json_len(containers); j++) {
            struct json *arguments = json_new_array();
            const struct json *item;
            json_each(item, json_get(json_at(containers, j), "args", NULL))
                json_push(arguments, starts_with(strempty(json_string_value(item)), NODE_PREFIX_OPTION)
                                         ? json_new_string(buf_text(&argument))
                                         : json_clone(item));
            json_set(json_edit_at(containers, j), "args", arguments);
        }
    }
}

int install_objects(const struct install_settings *settings, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *objects = NULL;
    int r = parse(settings->beside_aws ? MANIFESTS_INSTALL_EKS : MANIFESTS_INSTALL, &objects, err);
    if (r < 0 || (settings->hosts && (r = add_hosts(objects, err)) < 0))
        return r;
    for (size_t i = 0; i < json_len(objects); i++)
        set_images(json_edit_at(objects, i), settings);
    set_node_prefix(objects);
    *ret = take(&objects);
    return 0;
}

int install_apply(struct kube_client *client, struct kube_discovery *discovery, const struct json *objects, struct err *err)
{
    const struct json *object;
    json_each(object, objects)
    {
        int r = install_apply_object(client, discovery, object, err);
        if (r < 0)
            return r;
    }
    return install_wait_for_types(client, err);
}

static int get(struct kube_client *client, const char *path, struct json **ret, struct err *err)
{
    const struct kube_request request = {.path = path};
    return kube_do(client, &request, ret, err);
}

/* The generation that was applied, not the one before it. */
static int deployment_available(struct kube_client *client, const char *name, struct err *err)
{
    CLEANUP(json_free) struct json *object = NULL;
    CLEANUP(xfree) char *path = kube_path("apps", "v1", FKS_NAMESPACE, "deployments", name, NULL);
    int r = get(client, path, &object, err);
    if (r < 0)
        return r;
    int64_t wanted = json_int_or(1, object, "spec", "replicas", NULL);
    if (json_int_or(0, object, "status", "observedGeneration", NULL) >= json_int_or(0, object, "metadata", "generation", NULL) &&
        json_int_or(0, object, "status", "updatedReplicas", NULL) >= wanted &&
        json_int_or(0, object, "status", "availableReplicas", NULL) >= wanted)
        return 1;
    return err_set(err, ERR_BUSY, "'fks describe pod -n " FKS_NAMESPACE " -l app.kubernetes.io/name=%s' tells more", name);
}

static int scheduler_available(void *data, struct err *err)
{
    return deployment_available(data, "fks-scheduler", err);
}

static int webhook_available(void *data, struct err *err)
{
    return deployment_available(data, "fks-webhook", err);
}

static int is_registered(void *data, struct err *err)
{
    static const char *const paths[] = {INSTALL_WEBHOOKS "mutatingwebhookconfigurations/" INSTALL_MUTATING,
                                        INSTALL_WEBHOOKS "validatingwebhookconfigurations/" INSTALL_VALIDATING};
    for (size_t i = 0; i < countof(paths); i++) {
        CLEANUP(json_free) struct json *object = NULL;
        int r = get(data, paths[i], &object, err);
        if (r < 0)
            return r;
        /* its first seconds, in which a webhook that cannot be reached is ignored */
        if (json_get(object, "metadata", "annotations", "fks.dev/settling", NULL) != NULL)
            return 0;
    }
    return 1;
}

static int get_agents(struct kube_client *client, struct json **ret, struct err *err)
{
    CLEANUP(xfree) char *path = kube_path("apps", "v1", FKS_NAMESPACE, "daemonsets", INSTALL_AGENTS, NULL);
    return get(client, path, ret, err);
}

/* On every host that there is: none may be chosen yet. */
static int agents_ready(void *data, struct err *err)
{
    CLEANUP(json_free) struct json *object = NULL;
    int r = get_agents(data, &object, err);
    if (r < 0)
        return r;
    int64_t wanted = json_int_or(0, object, "status", "desiredNumberScheduled", NULL);
    if (json_int_or(0, object, "status", "observedGeneration", NULL) >= json_int_or(0, object, "metadata", "generation", NULL) &&
        json_int_or(0, object, "status", "updatedNumberScheduled", NULL) >= wanted &&
        json_int_or(0, object, "status", "numberReady", NULL) >= wanted)
        return 1;
    return err_set(err, ERR_BUSY, "'fks describe pod -n " FKS_NAMESPACE " -l app.kubernetes.io/name=" INSTALL_AGENTS "' tells more");
}

int install_has_hosts(struct kube_client *client, bool *ret, struct err *err)
{
    CLEANUP(json_free) struct json *object = NULL;
    int r = get_agents(client, &object, err);
    *ret = r == 0;
    if (r != ERR_NOT_FOUND && r != ERR_FORBIDDEN) /* the check of permissions says it better */
        return r;
    err_clear(err);
    return 0;
}

int install_wait(struct kube_client *client, bool hosts, int64_t timeout_ms, struct err *err)
{
    progress(PROGRESS_INFO, "waiting for the scheduler");
    int r = wait_until("the pods of fks-scheduler", timeout_ms, scheduler_available, client, err);
    if (r < 0)
        return r;
    progress(PROGRESS_INFO, "waiting for the webhook");
    if ((r = wait_until("the pods of fks-webhook", timeout_ms, webhook_available, client, err)) < 0)
        return r;
    if ((r = wait_until("the registration of the webhook", timeout_ms, is_registered, client, err)) < 0 || !hosts)
        return r;
    return wait_until("the agents of the hosts", timeout_ms, agents_ready, client, err);
}

struct coverage {
    struct kube_client *client;
    const struct json *profile;
};

/* fks.dev/namespaces of the registration is what it is narrowed to; without it, nothing is. */
static int covers(void *data, struct err *err)
{
    const struct coverage *coverage = data;
    CLEANUP(json_free) struct json *object = NULL;
    CLEANUP(strv_done) struct strv namespaces = {0};
    const struct json *selector;
    int r = get(coverage->client, INSTALL_WEBHOOKS "mutatingwebhookconfigurations/" INSTALL_MUTATING, &object, err);
    if (r == ERR_FORBIDDEN || r == ERR_NOT_FOUND) {
        err_clear(err);
        return 1;
    }
    if (r < 0)
        return r;
    const char *text = json_str(object, "metadata", "annotations", "fks.dev/namespaces", NULL);
    if (text == NULL)
        return 1;
    strv_split(&namespaces, text, ',');
    json_each(selector, json_get(coverage->profile, "spec", "selectors", NULL))
        if (!strv_has(&namespaces, json_str_or("", selector, "namespace", NULL)))
            return 0;
    return 1;
}

int install_wait_for_profile(struct kube_client *client, const struct json *profile, int64_t timeout_ms, struct err *err)
{
    struct coverage coverage = {client, profile};
    int r = wait_until("the webhook's registration to cover the profile's namespaces", timeout_ms, covers, &coverage, err);
    if (r == 0)
        usleep(READ_US);
    return r;
}
