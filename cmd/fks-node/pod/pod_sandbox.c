/*
 * pod_sandbox.c: the pod's cgroup, its sandbox and its address. A sandbox that died takes its containers with it:
 * it is stopped for good and another attempt made, in which pod_containers.c starts everything anew.
 */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include "host/cgroups.h"
#include "pod/pod.h"
#include "pod/records.h"
#include "relist.h"
#include "host/user_ids.h"

#define RUNTIME_UNKNOWN_MS 250 /* just started: its answer is on the way */

/* --- cgroup */

static bool make_cgroup(struct pod *pod)
{
    CLEANUP(err_clear) struct err err = {0};

    if (pod->cgroup_made)
        return true;
    /*
     * The pod's folder comes first: whatever is made for it can be found again by it, and is removed when it is
     * gone.
     */
    CLEANUP(xfree) char *folder = volumes_pod_dir(pod->agent->options.state_dir, pod->uid);
    if (dir_make(folder, 0750, &err) < 0)
        ;
    else if (pod->size.mem_b <= 0)
        (void)err_set(&err, ERR_INVALID, "the size of the pod's machine cannot be told");
    else if (cgroups_make(pod->agent->cgroups, pod->uid, pod->size.mem_b, &err) == 0)
        return pod->cgroup_made = true;
    pod_event(pod, "Warning", "FailedToCreatePodContainer", "unable to ensure pod container exists: %s",
              err_text(&err));
    pod_retry_later(pod, "making the cgroup of a pod", &err);
    return false;
}

void pod_limit_cpu(struct pod *pod)
{
    CLEANUP(err_clear) struct err err = {0};

    if (pod->cpu_limited || pod->size.cpu_m <= 0)
        return;
    pod->cpu_limited = true;
    if (cgroups_limit_cpu(pod->agent->cgroups, pod->uid, pod->size.cpu_m, &err) < 0)
        agent_warn("limiting the CPU of a pod", pod_title(pod), &err);
}

/* --- runtime handler */

static void on_runtime_class(struct json **answer, struct err *err, void *data)
{
    struct pod *pod = data;

    pod->handler_busy = false;
    if (err->code == 0) {
        free(pod->runtime_handler);
        pod->runtime_handler = xstrdup(json_str_or("", *answer, "handler", NULL));
    } else {
        if (err->code == ERR_NOT_FOUND)
            pod_event(pod, "Warning", "FailedCreatePodSandBox",
                      "Failed to create pod sandbox: failed to get sandbox runtime: %s", err_text(err));
        pod_retry_later(pod, "reading the RuntimeClass of a pod", err);
    }
    pod_call_done(pod);
}

static bool know_handler(struct pod *pod)
{
    const char *class = json_str(pod->object, "spec", "runtimeClassName", NULL);

    if (pod->runtime_handler == NULL && class == NULL)
        pod->runtime_handler = xstrdup("");
    if (pod->runtime_handler != NULL)
        return true;
    if (!pod->handler_busy) {
        pod->handler_busy = true;
        pod_call_begin(pod);
        agent_request(pod->agent, "GET", kube_path("node.k8s.io", "v1", NULL, "runtimeclasses", class, NULL), NULL,
                      NULL, on_runtime_class, pod);
    }
    return false;
}

/* --- address */

static bool file_is(const char *path, const struct buf *text)
{
    CLEANUP(buf_done) struct buf found = {0};
    CLEANUP(err_clear) struct err ignored = {0};

    return file_read(path, text->len + 1, &found, &ignored) == 0 && found.len == text->len &&
           memcmp(buf_text(&found), text->data, text->len) == 0;
}

/* Without it no container can be made: a disk that is full is tried again. */
static bool write_hosts(struct pod *pod)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(xfree) char *folder = volumes_pod_dir(pod->agent->options.state_dir, pod->uid);
    CLEANUP(xfree) char *path = volumes_hosts_path(pod->agent->options.state_dir, pod->uid);

    if (pod->hosts_written)
        return true;
    if (!pod_may_try(pod))
        return false;
    podspec_hosts_file(pod->object, pod->address, pod->agent->options.cluster_domain, &text);
    /* A new address means a new sandbox, and containers that are made anew: they mount the new file. */
    if (file_is(path, &text) || (dir_make(folder, 0750, &err) == 0 &&
                                 file_write_cache(path, text.data, text.len, 0644, &err) == 0))
        return pod->hosts_written = true;
    pod_retry_later(pod, "writing the hosts file of a pod", &err);
    return false;
}

static void on_address(const struct cri_sandbox *items, size_t n, struct err *err, void *data)
{
    struct pod *pod = data;

    pod->address_busy = false;
    if (err->code != 0) {
        pod_retry_later(pod, "reading the address of a sandbox", err);
    } else if (n == 1 && pod->sandbox != NULL && streq(items[0].id, pod->sandbox->id)) {
        if (items[0].ip != NULL && *items[0].ip != '\0') {
            free(pod->address);
            pod->address = xstrdup(items[0].ip);
            pod->hosts_written = false;
            pod_retry_over(pod);
        } else if (items[0].ready) {
            CLEANUP(err_clear) struct err none = {0};
            (void)err_set(&none, ERR_NOT_FOUND, "the sandbox has no address");
            pod_retry_later(pod, "reading the address of a sandbox", &none);
        }
    }
    pod_call_done(pod);
}

static bool know_address(struct pod *pod)
{
    if (pod->address == NULL) {
        if (!pod->address_busy && pod_may_try(pod)) {
            pod->address_busy = true;
            pod_call_begin(pod);
            cri_sandbox_status(pod->agent->cri, pod->sandbox->id, on_address, pod);
        }
        return false;
    }
    return write_hosts(pod);
}

/* --- run */

/* The range that the pod's user namespace has already, if it is to have one, or gets now. */
static int know_user_ids(struct pod *pod, struct err *err)
{
    const struct agent *agent = pod->agent;
    const struct podspec_host host = {
        .known = agent->runtime.known,
        .handler = strempty(pod->runtime_handler),
        .user_namespaces = agent_handler_can(agent, strempty(pod->runtime_handler), "userNamespaces"),
        .strict_groups = agent->runtime.strict_groups,
        .apparmor = agent->system.apparmor,
    };

    pod->user_ids = user_ids_get(agent->user_ids, pod->uid);
    if (pod->sandbox != NULL && pod->sandbox->ready) /* what was asked could be done */
        return 0;
    int result = podspec_check_host(pod->object, &host, err);
    if (result < 0 || json_bool_or(true, pod->object, "spec", "hostUsers", NULL))
        return result;
    return user_ids_take(agent->user_ids, pod->uid, &pod->user_ids, err);
}

static bool make_spec(struct pod *pod, uint32_t attempt)
{
    CLEANUP(err_clear) struct err err = {0};
    struct podspec_context context;

    if (pod->sandbox_spec != NULL && pod->sandbox_spec->config.attempt == attempt)
        return true;
    pod->sandbox_spec = podspec_sandbox_free(pod->sandbox_spec);
    if (know_user_ids(pod, &err) == ERR_BUSY) {
        pod_wake_in(pod, RUNTIME_UNKNOWN_MS);
        return false;
    }
    pod_context(pod, &context);
    if (err.code == 0 && podspec_sandbox(pod->object, &context, attempt, &pod->sandbox_spec, &err) == 0)
        return true;
    pod_event(pod, "Warning", "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", err_text(&err));
    pod_retry_later(pod, "working out the sandbox of a pod", &err);
    return false;
}

static void on_run(const char *id, struct err *err, void *data)
{
    struct pod *pod = data;

    pod->sandbox_busy = false;
    pod->sandbox_ms = pod_now(pod);
    if (err->code == 0) {
        const struct cri_sandbox made = {
            .id = id,
            .name = pod->name,
            .uid = pod->uid,
            .namespace = pod->namespace,
            .attempt = pod->sandbox_spec->config.attempt,
            .ready = true,
        };
        if (pod->sandbox != NULL)
            strv_add(&pod->old_sandboxes, pod->sandbox->id);
        record_sandbox_free(pod->sandbox);
        pod->sandbox = record_sandbox(&made);
        pod->sandbox_stopped = false;
        pod->address = xfree(pod->address);
        pod_retry_over(pod);
    } else {
        if (err->code != ERR_REFUSED && err->code != ERR_TIMEOUT)
            pod_event(pod, "Warning", "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", cri_error_text(err));
        pod_retry_later(pod, "making the sandbox of a pod", err);
    }
    pod_call_done(pod);
}

static void run_sandbox(struct pod *pod, uint32_t attempt)
{
    CLEANUP(err_clear) struct err err = {0};

    if (!make_spec(pod, attempt))
        return;
    if (dir_make(pod->sandbox_spec->config.log_directory, 0755, &err) < 0) {
        pod_retry_later(pod, "making the log folder of a pod", &err);
        return;
    }
    pod->sandbox_busy = true;
    pod->cpu_limited = false;
    relist_hurry(pod->agent->relist);
    pod_call_begin(pod);
    cri_run_sandbox(pod->agent->cri, &pod->sandbox_spec->config, pod->runtime_handler, on_run, pod);
}

static void on_dead_stopped(struct err *err, void *data)
{
    struct pod *pod = data;

    pod->sandbox_busy = false;
    pod->sandbox_ms = pod_now(pod);
    if (err->code != 0 && err->code != ERR_NOT_FOUND)
        pod_retry_later(pod, "stopping a dead sandbox", err);
    else
        run_sandbox(pod, pod->sandbox->attempt + 1);
    pod_call_done(pod);
}

/* --- earlier attempts */

static void on_old_removed(struct err *err, void *data)
{
    struct pod *pod = data;

    pod->old_busy = false;
    if (err->code != 0 && err->code != ERR_NOT_FOUND)
        pod_retry_later(pod, "removing an old sandbox", err);
    pod_call_done(pod);
}

static void on_old_stopped(struct err *err, void *data)
{
    struct pod *pod = data;

    if ((err->code != 0 && err->code != ERR_NOT_FOUND) || pod->old_sandboxes.n == 0) {
        on_old_removed(err, pod);
        return;
    }
    CLEANUP(xfree) char *id = pod->old_sandboxes.items[--pod->old_sandboxes.n];
    pod->old_sandboxes.items[pod->old_sandboxes.n] = NULL;
    cri_remove_sandbox(pod->agent->cri, id, on_old_removed, pod);
}

static void remove_old(struct pod *pod)
{
    if (pod->old_busy || pod->old_sandboxes.n == 0 || !pod_may_try(pod))
        return;
    pod->old_busy = true;
    pod_call_begin(pod);
    cri_stop_sandbox(pod->agent->cri, pod->old_sandboxes.items[pod->old_sandboxes.n - 1], on_old_stopped, pod);
}

/* --- the step */

bool pod_sandbox_sync(struct pod *pod)
{
    if (pod->sandbox_busy)
        return false;
    if (pod->sandbox != NULL && pod->sandbox->ready) {
        remove_old(pod);
        return make_spec(pod, pod->sandbox->attempt) && know_address(pod);
    }
    if (!pod_may_try(pod) || !make_cgroup(pod) || !know_handler(pod))
        return false;
    if (pod->sandbox == NULL) {
        run_sandbox(pod, 0);
        return false;
    }
    pod_event(pod, "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
    pod->sandbox_busy = true;
    pod_call_begin(pod);
    cri_stop_sandbox(pod->agent->cri, pod->sandbox->id, on_dead_stopped, pod);
    return false;
}

void pod_sandbox_observed(struct pod *pod, const struct cri_sandbox *const *items, size_t n, int64_t asked_ms)
{
    const struct cri_sandbox *newest = NULL;

    if (pod->sandbox_busy || pod->old_busy || pod->sandbox_ms >= asked_ms)
        return;
    for (size_t i = 0; i < n; i++)
        if (newest == NULL || items[i]->attempt > newest->attempt ||
            (items[i]->attempt == newest->attempt && items[i]->created_ns > newest->created_ns))
            newest = items[i];
    strv_done(&pod->old_sandboxes);
    pod->old_sandboxes = (struct strv){0};
    for (size_t i = 0; i < n; i++)
        if (items[i] != newest)
            strv_add(&pod->old_sandboxes, items[i]->id);
    pod->sandbox_ms = asked_ms;
    if (newest == NULL) {
        if (pod->sandbox != NULL) {
            pod->sandbox = record_sandbox_free(pod->sandbox);
            pod_wake(pod);
        }
        return;
    }
    bool same = pod->sandbox != NULL && streq(pod->sandbox->id, newest->id);
    if (same && pod->sandbox->ready == newest->ready)
        return;
    if (!same)
        pod->address = xfree(pod->address);
    record_sandbox_free(pod->sandbox);
    pod->sandbox = record_sandbox(newest);
    pod_wake(pod);
}
