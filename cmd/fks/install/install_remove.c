/*
 * install_remove.c: the second half of install.h: taking FKS out of a cluster without anybody's pod being refused, or left
 * behind.
 */
#include "install/install.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fargate/names.h"
#include "install/progress.h"
#include "install/wait.h"

#define ABSENT_MS 1500      /* a scheduler that had begun to write a registration is through by then */
#define PAUSE_US 200000     /* between two looks at many objects */
#define UNATTENDED_MS 10000 /* without pods for so long, a profile's finalizer has nobody who would take it off */

/* ERR_NOT_FOUND is no failure. */
static int delete_path(struct kube_client *client, const char *path, struct err *err)
{
    const struct kube_request request = {.method = "DELETE", .path = path};
    int r = kube_do(client, &request, NULL, err);
    if (r != ERR_NOT_FOUND)
        return r;
    err_clear(err);
    return 0;
}

/* 1: there; 0: not. */
static int is_there(struct kube_client *client, const char *path, struct err *err)
{
    CLEANUP(json_free) struct json *object = NULL;
    const struct kube_request request = {.path = path};
    int r = kube_do(client, &request, &object, err);
    if (r == ERR_NOT_FOUND) {
        err_clear(err);
        return 0;
    }
    return r < 0 ? r : 1;
}

struct absence {
    struct kube_client *client;
    int64_t since_ms; /* 0: they were there */
};

/* The scheduler withdraws them when the ConfigMap goes; where none runs, this does. */
static int registrations_absent(void *data, struct err *err)
{
    static const char *const paths[] = {INSTALL_WEBHOOKS "mutatingwebhookconfigurations/" INSTALL_MUTATING,
                                        INSTALL_WEBHOOKS "validatingwebhookconfigurations/" INSTALL_VALIDATING};
    struct absence *absence = data;
    usleep(PAUSE_US);
    for (size_t i = 0; i < countof(paths); i++) {
        int r = is_there(absence->client, paths[i], err);
        if (r > 0) {
            absence->since_ms = 0;
            r = delete_path(absence->client, paths[i], err);
        }
        if (r < 0)
            return r;
    }
    if (absence->since_ms == 0)
        absence->since_ms = clock_monotonic_ms();
    return clock_monotonic_ms() - absence->since_ms >= ABSENT_MS;
}

int install_withdraw(struct kube_client *client, int64_t timeout_ms, struct err *err)
{
    struct absence absence = {.client = client};
    int r = delete_path(client, "/api/v1/namespaces/" FKS_NAMESPACE "/configmaps/" FKS_REGISTRATION, err);
    return r < 0 ? r : wait_until("the webhook's registrations to go", timeout_ms, registrations_absent, &absence, err);
}

/* --- profiles */

static int list(struct kube_client *client, const char *path, const char *selector, struct json **ret, struct err *err)
{
    CLEANUP(buf_done) struct buf query = {0};
    buf_add_str(&query, path);
    if (selector != NULL)
        kube_path_query(&query, "labelSelector", selector);
    const struct kube_request request = {.path = buf_text(&query)};
    return kube_do(client, &request, ret, err);
}

/* Pods of the profile that have not ended. */
static int count_pods(struct kube_client *client, const char *label, const char *profile, size_t *ret, struct err *err)
{
    CLEANUP(json_free) struct json *pods = NULL;
    CLEANUP(xfree) char *selector = xasprintf("%s=%s", label, profile);
    const struct json *pod;
    int r = list(client, "/api/v1/pods", selector, &pods, err);
    if (r < 0)
        return r;
    json_each(pod, json_get(pods, "items", NULL))
    {
        const char *phase = json_str(pod, "status", "phase", NULL);
        *ret += !streq(phase, "Succeeded") && !streq(phase, "Failed");
    }
    return 0;
}

struct draining {
    struct kube_client *client;
    const char *label; /* of the profiles' pods */
    int64_t began_ms;
    size_t told; /* pods left when it was last said */
};

static int release(struct kube_client *client, const char *name, struct err *err)
{
    CLEANUP(json_free) struct json *body = json_build("{s:{s:n}}", "metadata", "finalizers");
    CLEANUP(xfree) char *path = kube_path(FKS_GROUP, FKS_VERSION, NULL, "fargateprofiles", name, NULL);
    const struct kube_request request = {.method = "PATCH", .path = path, .body = body, .content_type = KUBE_MERGE_PATCH};
    progress(PROGRESS_WARNING, "no scheduler takes care of profile \"%s\", which has no pods: releasing it", name);
    int r = kube_do(client, &request, NULL, err);
    if (r != ERR_NOT_FOUND)
        return r;
    err_clear(err);
    return 0;
}

static int profiles_gone(void *data, struct err *err)
{
    struct draining *draining = data;
    usleep(PAUSE_US);
    CLEANUP(json_free) struct json *profiles = NULL;
    const struct json *profile;
    size_t pods = 0, left = 0;
    int r = list(draining->client, FKS_PROFILES_PATH, NULL, &profiles, err);
    if (r == ERR_NOT_FOUND)
        err_clear(err);
    else if (r < 0)
        return r;
    json_each(profile, json_get(profiles, "items", NULL))
    {
        const char *name = json_str_or("", profile, "metadata", "name", NULL);
        size_t mine = 0;
        if ((r = count_pods(draining->client, draining->label, name, &mine, err)) < 0)
            return r;
        pods += mine;
        left++;
        if (mine == 0 && clock_monotonic_ms() - draining->began_ms > UNATTENDED_MS &&
            (r = release(draining->client, name, err)) < 0)
            return r;
    }
    if (pods != draining->told && pods > 0)
        progress(PROGRESS_INFO, "%zu pod%s of the profiles left", pods, pods == 1 ? "" : "s");
    if (pods > 0) /* somebody drains them */
        draining->began_ms = clock_monotonic_ms();
    draining->told = pods;
    return left == 0;
}

int install_drain(struct kube_client *client, const char *profile_label, int64_t timeout_ms, struct err *err)
{
    CLEANUP(json_free) struct json *profiles = NULL;
    const struct json *profile;
    int r = list(client, FKS_PROFILES_PATH, NULL, &profiles, err);
    if (r == ERR_NOT_FOUND) {
        err_clear(err);
        return 0;
    }
    if (r < 0)
        return r;
    json_each(profile, json_get(profiles, "items", NULL))
    {
        const char *name = json_str_or("", profile, "metadata", "name", NULL);
        CLEANUP(xfree) char *path = kube_path(FKS_GROUP, FKS_VERSION, NULL, "fargateprofiles", name, NULL);
        progress(PROGRESS_INFO, "deleting Fargate profile \"%s\", its pods are drained", name);
        if ((r = delete_path(client, path, err)) < 0)
            return r;
    }
    struct draining draining = {.client = client, .label = profile_label, .began_ms = clock_monotonic_ms()};
    return wait_until("the pods of the profiles to end", timeout_ms, profiles_gone, &draining, err);
}

/* --- programs and the rest */

static int pods_gone(struct kube_client *client, const char *selector, struct err *err)
{
    CLEANUP(json_free) struct json *pods = NULL;
    usleep(PAUSE_US);
    int r = list(client, "/api/v1/namespaces/" FKS_NAMESPACE "/pods", selector, &pods, err);
    return r < 0 ? r : json_len(json_get(pods, "items", NULL)) == 0;
}

static int scheduler_gone(void *data, struct err *err)
{
    return pods_gone(data, "app.kubernetes.io/name=fks-scheduler", err);
}

static int programs_gone(void *data, struct err *err)
{
    return pods_gone(data, "app.kubernetes.io/part-of=fks", err);
}

static int agents_gone(void *data, struct err *err)
{
    return pods_gone(data, "app.kubernetes.io/name=" INSTALL_AGENTS, err);
}

/* Each has cleaned its host by then. What it wrote about the host goes only now: it would write it again. */
int install_end_hosts(struct kube_client *client, int64_t timeout_ms, struct err *err)
{
    CLEANUP(json_free) struct json *hosts = NULL;
    CLEANUP(xfree) char *agents = kube_path("apps", "v1", FKS_NAMESPACE, "daemonsets", INSTALL_AGENTS, NULL);
    const struct json *host;
    int r;
    if ((r = delete_path(client, agents, err)) < 0 ||
        (r = wait_until("the agents to leave their hosts", timeout_ms, agents_gone, client, err)) < 0)
        return r;
    r = list(client, FKS_HOSTS_PATH, NULL, &hosts, err);
    if (r == ERR_NOT_FOUND) {
        err_clear(err);
        return 0;
    }
    if (r < 0)
        return r;
    json_each(host, json_get(hosts, "items", NULL))
    {
        const char *name = json_str_or("", host, "metadata", "name", NULL);
        CLEANUP(xfree) char *object = kube_path(FKS_GROUP, FKS_VERSION, NULL, "fargatehosts", name, NULL);
        CLEANUP(xfree) char *lease = kube_path("coordination.k8s.io", "v1", FKS_NAMESPACE, "leases", name, NULL);
        if ((r = delete_path(client, lease, err)) < 0 || (r = delete_path(client, object, err)) < 0)
            return r;
    }
    return 0;
}

int install_end_scheduler(struct kube_client *client, int64_t timeout_ms, struct err *err)
{
    CLEANUP(json_free) struct json *body = json_build("{s:{s:i}}", "spec", "replicas", 0);
    const struct kube_request request = {
        .method = "PATCH", .path = "/apis/apps/v1/namespaces/" FKS_NAMESPACE "/deployments/fks-scheduler/scale", .body = body,
        .content_type = KUBE_MERGE_PATCH};
    int r = kube_do(client, &request, NULL, err);
    if (r < 0 && r != ERR_NOT_FOUND)
        return r;
    err_clear(err);
    r = wait_until("fks-scheduler to end", timeout_ms, scheduler_gone, client, err);
    return r < 0 ? r : delete_path(client, "/apis/coordination.k8s.io/v1/namespaces/" FKS_NAMESPACE "/leases/fks-scheduler", err);
}

struct one {
    struct kube_client *client;
    const char *path;
};

static int one_gone(void *data, struct err *err)
{
    const struct one *one = data;
    int r = is_there(one->client, one->path, err);
    return r < 0 ? r : r == 0;
}

int install_delete(struct kube_client *client, struct kube_discovery *discovery, const struct json *objects, bool keep_types,
                   int64_t timeout_ms, struct err *err)
{
    for (size_t i = json_len(objects); i-- > 0;) {
        const struct json *object = json_at(objects, i);
        const struct kube_resource *resource;
        const char *name = json_str_or("", object, "metadata", "name", NULL);
        CLEANUP(xfree) char *path = NULL;
        int r = install_locate(discovery, object, &resource, &path, err);
        if (r < 0)
            return r;
        bool namespace = streq(resource->kind, "Namespace");
        /* a namespace that still has pods looks again only after a long while */
        if (namespace && (r = wait_until("the programs to end", timeout_ms, programs_gone, client, err)) < 0)
            return r;
        bool type = streq(resource->kind, "CustomResourceDefinition");
        if (type && keep_types)
            continue;
        if ((r = delete_path(client, path, err)) < 0)
            return err_wrap(err, "deleting %s '%s'", resource->kind, name);
        /* what these hold goes a moment after they were asked to */
        struct one one = {client, path};
        if ((type || namespace) && (r = wait_until(name, timeout_ms, one_gone, &one, err)) < 0)
            return r;
    }
    return 0;
}
