/*
 * pods.c: who is here. Two sources are brought together by UID: the watch of the pods that the scheduler labelled
 * for this host, and what the runtime, the Nodes and the state folder show. A pod that only the latter know is kept
 * as an entry without object, and proves for itself (pod.c) that its object is gone before anything of it is
 * touched.
 */
#include "pods.h"

#include <dirent.h>

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "fargate/names.h"

#include "host/cgroups.h"
#include "host/nodes.h"
#include "pod/pod.h"
#include "relist.h"

struct pods {
    struct agent *agent;
    struct kube_watch *watch;
    struct map by_uid; /* → struct pod * */
    bool synced, swept;
};

struct pod *pods_get(const struct pods *pods, const char *uid)
{
    return map_get(&pods->by_uid, uid);
}

bool pods_next(const struct pods *pods, size_t *position, struct pod **ret)
{
    const char *uid;
    void *pod;

    if (!map_next(&pods->by_uid, position, &uid, &pod))
        return false;
    *ret = pod;
    return true;
}

struct pod *pods_found(struct pods *pods, const char *uid, const char *namespace, const char *name)
{
    struct pod *pod = pods_get(pods, uid);

    if (pod != NULL || *uid == '\0')
        return pod;
    pod = pod_new(pods->agent, uid, namespace, name);
    (void)map_set(&pods->by_uid, uid, pod);
    metric_set(pods->agent->m_pods, (double)pods->by_uid.n);
    pod_wake(pod);
    return pod;
}

void pods_forget(struct pods *pods, struct pod *pod)
{
    log_info("pod is gone", "pod", pod_title(pod), "uid", pod->uid);
    (void)map_del(&pods->by_uid, pod->uid);
    metric_set(pods->agent->m_pods, (double)pods->by_uid.n);
    pod_free(pod);
}

void pods_wake_all(struct pods *pods)
{
    struct pod *pod;

    for (size_t i = 0; pods_next(pods, &i, &pod);)
        pod_wake(pod);
}

/* --- leftovers on disk: only of pods that nobody knows, so nothing of theirs can be running */

/* "<namespace>_<name>_<uid>" in a folder that others may use too. */
static void drop_logs(const struct pods *pods, const char *uid)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *folder = pods->agent->options.log_dir;
    CLEANUP(xfree) char *suffix = xasprintf("_%s", uid);
    DIR *listing = opendir(folder);
    const struct dirent *entry;

    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        CLEANUP(xfree) char *path = path_join(folder, entry->d_name, NULL);
        if (*entry->d_name != '.' && ends_with(entry->d_name, suffix) && dir_remove(path, &err) < 0) {
            agent_warn("removing the logs of a pod that is gone", uid, &err);
            err_clear(&err);
        }
    }
    if (listing != NULL)
        closedir(listing);
}

static void drop_leftovers(const struct pods *pods, const char *uid)
{
    CLEANUP(err_clear) struct err err = {0};

    drop_logs(pods, uid);
    if (cgroups_remove(pods->agent->cgroups, uid, &err) < 0) {
        agent_warn("removing the cgroup of a pod that is gone", uid, &err);
        err_clear(&err);
    }
    if (volumes_tear_down(pods->agent->options.state_dir, uid, &err) < 0)
        agent_warn("removing the volumes of a pod that is gone", uid, &err);
}

bool pods_settled(const struct pods *pods)
{
    return pods->synced && nodes_settled(pods->agent->nodes) && relist_complete(pods->agent->relist);
}

static void sweep_once(struct pods *pods)
{
    if (pods->swept || !pods_settled(pods))
        return;
    pods->swept = true;
    CLEANUP(xfree) char *folder = path_join(pods->agent->options.state_dir, "pods", NULL);
    DIR *listing = opendir(folder);
    const struct dirent *entry;
    while (listing != NULL && (entry = readdir(listing)) != NULL)
        if (*entry->d_name != '.' && pods_get(pods, entry->d_name) == NULL)
            drop_leftovers(pods, entry->d_name);
    if (listing != NULL)
        closedir(listing);
}

/* --- the runtime */

void pods_observe_sandboxes(struct pods *pods, const struct cri_sandbox *items, size_t n, int64_t asked_ms)
{
    CLEANUP(map_done) struct map by_uid = {0}; /* → place of its last sandbox, one up */
    CLEANUP(xfree) size_t *before = xcalloc(n + 1, sizeof(before[0])); /* of the same pod, one up; 0: none */
    CLEANUP(xfree) const struct cri_sandbox **own = xcalloc(n + 1, sizeof(own[0]));
    struct pod *pod;

    for (size_t i = 0; i < n; i++)
        if (items[i].uid != NULL && items[i].namespace != NULL && items[i].name != NULL) {
            pods_found(pods, items[i].uid, items[i].namespace, items[i].name);
            before[i] = (size_t)(uintptr_t)map_set(&by_uid, items[i].uid, (void *)(uintptr_t)(i + 1));
        }
    for (size_t position = 0; pods_next(pods, &position, &pod);) {
        size_t n_own = 0;
        for (size_t i = (size_t)(uintptr_t)map_get(&by_uid, pod->uid); i > 0; i = before[i - 1])
            own[n_own++] = &items[i - 1];
        pod_sandbox_observed(pod, own, n_own, asked_ms);
    }
}

void pods_observe_containers(struct pods *pods, const struct cri_container *items, size_t n, int64_t asked_ms)
{
    struct pod *pod;

    for (size_t position = 0; pods_next(pods, &position, &pod);)
        for (size_t i = 0; i < pod->n_containers; i++)
            pod->containers[i]->seen = pod->containers[i]->last_seen = false;
    for (size_t i = 0; i < n; i++) {
        const char *uid = cri_pairs_get(&items[i].labels, PODSPEC_LABEL_POD_UID);
        const char *namespace = cri_pairs_get(&items[i].labels, PODSPEC_LABEL_POD_NAMESPACE);
        const char *pod_name = cri_pairs_get(&items[i].labels, PODSPEC_LABEL_POD_NAME);
        const char *name = cri_pairs_get(&items[i].labels, PODSPEC_LABEL_CONTAINER_NAME);
        if (uid == NULL || namespace == NULL || pod_name == NULL || name == NULL)
            continue; /* somebody else's */
        pod_container_observed(pod_container_get(pods_found(pods, uid, namespace, pod_name), name), &items[i],
                               asked_ms);
    }
    for (size_t position = 0; pods_next(pods, &position, &pod);)
        for (size_t i = 0; i < pod->n_containers; i++) {
            struct pod_container *container = pod->containers[i];
            if (!container->busy && container->current_ms < asked_ms)
                pod_container_listed(container);
        }
    sweep_once(pods);
}

/* --- the watch */

static void on_change(const struct json *old, const struct json *new, void *data)
{
    struct pods *pods = data;
    const char *old_uid = json_str(old, "metadata", "uid", NULL);
    const char *new_uid = json_str(new, "metadata", "uid", NULL);
    struct pod *pod;

    if (old_uid != NULL && !streq(old_uid, new_uid) && (pod = pods_get(pods, old_uid)) != NULL)
        pod_missing(pod);
    if (new_uid == NULL)
        return;
    pod = pods_found(pods, new_uid, strempty(json_str(new, "metadata", "namespace", NULL)),
                     strempty(json_str(new, "metadata", "name", NULL)));
    if (pod != NULL) {
        pod->in_watch = true;
        pod_set_object(pod, new);
    }
}

static void on_synced(void *data)
{
    struct pods *pods = data;

    pods->synced = true;
    pods_wake_all(pods);
}

static void on_error(const struct err *err, void *data UNUSED)
{
    agent_warn("watching the pods of this host; trying again", FKS_HOST_LABEL, err);
}

struct pods *pods_new(struct agent *agent)
{
    struct pods *pods = NEW(struct pods);

    pods->agent = agent;
    return pods;
}

void pods_start(struct pods *pods)
{
    CLEANUP(xfree) char *selector = xasprintf("%s=%s", FKS_HOST_LABEL, pods->agent->options.host_name);
    struct kube_watch_options options = {
        .path = "/api/v1/pods",
        .label_selector = selector,
        .omit = agent_omit,
        .on_change = on_change,
        .on_synced = on_synced,
        .on_error = on_error,
        .data = pods,
    };

    pods->watch = kube_watch_new(pods->agent->kube, &options);
}

struct pods *pods_free(struct pods *pods)
{
    struct pod *pod;

    if (pods == NULL)
        return NULL;
    kube_watch_free(pods->watch);
    for (size_t i = 0; pods_next(pods, &i, &pod);)
        pod_free(pod);
    map_done(&pods->by_uid);
    free(pods);
    return NULL;
}
