/*
 * pod_csi.c: the CSI volumes of pods: from objects and drivers to csi_volumes.h, and from there back to the pod's
 * events. What a driver is asked for is worked out by csi_plan.c; when it is asked, by csi_steps.c.
 */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include "volumes/csi_volumes.h"
#include "host/host.h"
#include "pod/pod.h"
#include "pods.h"

#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS 122000 /* the kubelet's, for volume operations */

/* --- up */

static void failed(struct pod *pod, const char *volume, const char *why)
{
    pod_event(pod, "Warning", "FailedMount", "MountVolume.SetUp failed for volume \"%s\" : %s", volume, why);
    backoff_fail(&pod->mount_backoff, pod_now(pod), RETRY_FIRST_MS, RETRY_MAX_MS);
    pod_wake_in(pod, backoff_left_ms(&pod->mount_backoff, pod_now(pod)));
    pod->fetched = false; /* what it depends on may be another by then */
    log_warn("a CSI volume cannot be mounted", "pod", pod_title(pod), "volume", volume, "error", why);
}

/* Of the pod's service account, for the driver; asked for with the pod's others. */
static void want_tokens(struct pod *pod, const char *driver, const struct json *object)
{
    const struct json *request;

    json_each(request, json_get(object, "spec", "tokenRequests", NULL)) {
        CLEANUP(xfree) char *key = csi_token_key(driver, json_str_or("", request, "audience", NULL));
        if (!volumes_needs_token(&pod->needs, key, request) || map_has(&pod->tokens, key))
            continue;
        pod->tokens_fetched = false;
        pod_wake(pod);
    }
}

/* ERR_BUSY: something that comes by itself is missing; the pod is woken then. */
static int plan_and_begin(struct pod *pod, const struct json *volume, const char *name, struct err *err)
{
    struct agent *agent = pod->agent;
    CLEANUP(csi_plan_done) struct csi_plan plan = {0};
    struct csi_driver driver;
    const struct csi_user user = {pod->uid, pod->namespace, pod->name, json_str_or("", volume, "name", NULL)};
    int r;

    if (!csi_drivers_get(agent->csi_drivers, name, &driver))
        return err_set(err, ERR_NOT_FOUND,
                       "driver name %s not found in the list of registered CSI drivers: start it on host %s, with its "
                       "registration socket in %s",
                       name, agent->options.host_name, csi_drivers_dir(agent->csi_drivers));
    if (!csi_drivers_synced(agent->csi_drivers))
        return err_set(err, ERR_BUSY, "the CSIDriver objects are being listed");
    const struct csi_plan_input input = {
        .pod = pod->object,
        .volume = volume,
        .objects = &pod->objects,
        .tokens = &pod->tokens,
        .driver = csi_drivers_object(agent->csi_drivers, name),
        .capabilities = driver.capabilities,
    };
    want_tokens(pod, name, input.driver);
    if ((r = csi_plan_of(&input, &plan, err)) < 0)
        return r;
    return csi_volumes_up(agent->csi_volumes, &user, &plan, err);
}

/* True when the volume is up. */
static bool sync_volume(struct pod *pod, const struct json *volume, const struct json *source)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *name = json_str_or("", volume, "name", NULL);
    enum csi_state state = csi_volumes_state(pod->agent->csi_volumes, pod->uid, name);

    if (state == CSI_UP || state == CSI_GOING)
        return state == CSI_UP;
    int64_t wait_ms = backoff_left_ms(&pod->mount_backoff, pod_now(pod));
    if (wait_ms > 0)
        pod_wake_in(pod, wait_ms);
    else if (plan_and_begin(pod, volume, json_str_or("", source, "driver", NULL), &err) < 0 && err.code != ERR_BUSY)
        failed(pod, name, err_text(&err));
    return state == CSI_STALE;
}

bool pod_csi_sync(struct pod *pod)
{
    const struct json *volume;
    bool all = true;

    json_each(volume, json_get(pod->object, "spec", "volumes", NULL)) {
        const struct json *source = csi_source_of(volume, &pod->objects);
        if (source != NULL && !sync_volume(pod, volume, source))
            all = false;
    }
    return all;
}

bool pod_csi_is_stale(const struct pod *pod)
{
    const struct json *volume;

    json_each(volume, json_get(pod->object, "spec", "volumes", NULL))
        if (csi_volumes_state(pod->agent->csi_volumes, pod->uid, json_str_or("", volume, "name", NULL)) == CSI_STALE)
            return true;
    return false;
}

/* --- down */

bool pod_csi_down(struct pod *pod)
{
    return csi_volumes_down(pod->agent->csi_volumes, pod->uid);
}

/* --- what comes back */

static void on_news(const char *uid, const char *volume, enum csi_news news, const char *error, void *data)
{
    struct agent *agent = data;
    struct pod *pod = pods_get(agent->pods, uid);

    if (pod == NULL)
        return;
    switch (news) {
    case CSI_NEWS_DONE:
        backoff_reset(&pod->mount_backoff);
        break;
    case CSI_NEWS_NOT_UP:
        pod_event(pod, "Warning", "FailedMount", "MountVolume.SetUp failed for volume \"%s\" : %s", volume, error);
        break;
    case CSI_NEWS_NOT_DOWN:
        pod_event(pod, "Warning", "FailedUnmount", "UnmountVolume.TearDown failed for volume \"%s\" : %s", volume,
                  error);
        break;
    case CSI_NEWS_PLAN_IS_DUE:
        pod->fetched = false;
        break;
    }
    pod_wake(pod);
}

static bool has_csi(const struct pod *pod)
{
    const struct json *volume;

    json_each(volume, json_get(pod->object, "spec", "volumes", NULL))
        if (csi_source_of(volume, &pod->objects) != NULL)
            return true;
    return false;
}

static void on_drivers(void *data)
{
    struct agent *agent = data;
    struct pod *pod;

    csi_volumes_driver_changed(agent->csi_volumes);
    for (size_t i = 0; pods_next(agent->pods, &i, &pod);) {
        if (!has_csi(pod))
            continue;
        backoff_reset(&pod->mount_backoff);
        pod_wake(pod);
    }
    if (agent->host != NULL)
        host_publisher_changed(agent->host);
}

/* What a driver in a pod of the host's kubelet mounts, before it can register. */
static void make_folders(const struct agent *agent)
{
    static const char *const names[] = {"pods", "plugins"};
    CLEANUP(err_clear) struct err err = {0};

    for (size_t i = 0; i < countof(names); i++) {
        CLEANUP(xfree) char *path = path_join(agent->options.state_dir, names[i], NULL);
        if (dir_make(path, 0750, &err) < 0) {
            agent_warn("making a folder for CSI drivers", path, &err);
            err_clear(&err);
        }
    }
}

void pod_csi_start(struct agent *agent)
{
    const struct csi_drivers_options drivers = {
        .loop = agent->loop,
        .kube = agent->kube,
        .dir = agent->options.csi_dir,
        .timeout_ms = agent->options.csi_timeout_s * 1000,
        .on_change = on_drivers,
        .data = agent,
    };
    struct csi_user user;

    make_folders(agent);
    agent->csi_drivers = csi_drivers_new(&drivers);
    const struct csi_volumes_options volumes = {
        .loop = agent->loop,
        .drivers = agent->csi_drivers,
        .state_dir = agent->options.state_dir,
        .boot_id = agent->system.boot_id,
        .timeout_ms = agent->options.csi_timeout_s * 1000,
        .on_news = on_news,
        .data = agent,
    };
    agent->csi_volumes = csi_volumes_new(&volumes);
    /* a pod that went while no agent was here: it proves for itself that it is gone, and takes its volumes down */
    for (size_t i = 0; csi_volumes_next(agent->csi_volumes, &i, &user);)
        (void)pods_found(agent->pods, user.uid, user.namespace, user.name);
}
