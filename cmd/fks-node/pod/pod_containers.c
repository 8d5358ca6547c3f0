/*
 * pod_containers.c: which container comes next, and its way from nothing to running: image, variables, mounts,
 * create, start, hook, probes. Init containers one after the other, sidecars among them from their place on, the
 * others together. What the runtime knows already is taken as it is, so nothing is started twice.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include "pod/action.h"
#include "pod/pod.h"
#include "pods.h"
#include "pod/probes.h"
#include "pod/records.h"
#include "relist.h"

#define FAILURE_FIRST_MS 2000
#define FAILURE_MAX_MS 10000
#define POST_START_MAX_MS 3600000 /* a hook may take long; a probe would have killed the container by then */

void pod_container_wait(struct pod_container *container, const char *reason, const char *message)
{
    char *reason_copy = xstrdup(reason), *message_copy = xstrdup(message);

    free(container->waiting_reason);
    free(container->waiting_message);
    container->waiting_reason = reason_copy;
    container->waiting_message = message_copy;
}

/* --- what is left to do */

static bool is_over(const struct pod_container *container)
{
    return container->current != NULL && container->current->state == CRI_EXITED;
}

/*
 * When the agent dies while containerd makes a container, containerd may go on without having learned of the sandbox's process
 * ("lstat /proc/0/ns/ipc"): it can never be started, whoever tries.
 */
bool pod_container_broke_off(const struct pod_container *container)
{
    return is_over(container) && container->current_known && !container->started_here &&
           (!container->start_failed || !container->created_here) && streq(container->current->reason, "StartError");
}

static bool restarts(const struct pod_container *container)
{
    if (pod_container_broke_off(container)) /* whatever the policy */
        return true;
    if (container->restart_wanted)
        return true;
    return podspec_restarts(container->pod->object, container->spec, container->kind != POD_CONTAINER_MAIN,
                            container->current->exit_code);
}

/* The runtime has a main container in this sandbox, so initialization was over before. */
static bool main_began(const struct pod *pod)
{
    for (size_t i = 0; i < pod->n_containers; i++)
        if (pod->containers[i]->kind == POD_CONTAINER_MAIN && pod_container_is_here(pod->containers[i]))
            return true;
    return false;
}

static bool init_succeeded(const struct pod_container *container)
{
    return pod_container_is_here(container) && is_over(container) && container->current->exit_code == 0;
}

enum pod_progress pod_containers_progress(const struct pod *pod)
{
    bool any_main = false, all_over = true;

    if (pod_is_restarting(pod))
        return POD_PROGRESS_GOING;
    for (size_t i = 0; i < pod->n_containers; i++) {
        const struct pod_container *container = pod->containers[i];
        if (container->spec == NULL || container->busy)
            continue;
        if (container->kind == POD_CONTAINER_INIT && is_over(container) && container->current->exit_code != 0 &&
            container->current_message_read && !restarts(container))
            return POD_PROGRESS_THROUGH;
        if (container->kind != POD_CONTAINER_MAIN)
            continue;
        any_main = true;
        if (!is_over(container) || !container->current_message_read || restarts(container))
            all_over = false;
    }
    for (size_t i = 0; i < pod->n_containers; i++)
        if (pod->containers[i]->busy)
            all_over = false;
    return any_main && all_over ? POD_PROGRESS_THROUGH : POD_PROGRESS_GOING;
}

/* --- start */

static void failed(struct pod_container *container, const char *reason, const char *message)
{
    if (!streq(container->waiting_reason, reason) || !streq(container->waiting_message, message))
        pod_container_event(container, "Warning", "Failed", "Error: %s", message);
    pod_container_wait(container, reason, message);
    backoff_fail(&container->failure, pod_now(container->pod), FAILURE_FIRST_MS, FAILURE_MAX_MS);
    container->image_state = POD_IMAGE_UNKNOWN;
}

static bool is_away(const struct err *err)
{
    return err->code == ERR_REFUSED || err->code == ERR_TIMEOUT || err->code == ERR_IO;
}

/*
 * The start that an agent before us asked for is under way, or done (net/keeper.h). Words of containerd, which has no code for it:
 * internal/cri/server/container_start.go.
 */
static bool is_started_by_another(const struct err *err)
{
    return strstr(err_text(err), "is already in starting state") != NULL ||
           strstr(err_text(err), "container is in CONTAINER_") != NULL;
}

static void on_running(const struct cri_container *items, size_t n, struct err *err, void *data)
{
    struct pod_container *container = data;
    struct pod *pod = container->pod;

    container->busy = false;
    if (err->code == 0 && n == 1 && streq(items[0].id, container->current->id)) {
        record_container_update(&container->current, &items[0]);
        container->current_known = true;
        container->current_ms = pod_now(pod);
        if (items[0].state == CRI_EXITED)
            pod_container_query(container, items[0].id); /* pod_records.c deals with ends */
    } else if (err->code != 0) {
        pod_retry_later(pod, "reading the status of a started container", err);
    }
    relist_hurry(pod->agent->relist);
    pod_call_done(pod);
}

static void on_started(struct err *err, void *data)
{
    struct pod_container *container = data;
    struct pod *pod = container->pod;

    if (err->code == 0) {
        container->started_here = true;
        metric_add(pod->agent->m_starts, 1);
        pod_container_wait(container, NULL, NULL);
        backoff_reset(&container->failure);
        pod_retry_over(pod);
        pod_container_event(container, "Normal", "Started", "Container started");
    } else if (is_away(err) || is_started_by_another(err)) {
        pod_retry_later(pod, "starting a container", err);
    } else {
        pod_container_event(container, "Warning", "Failed", "Error: %s", cri_error_text(err));
        container->start_failed = true;
        metric_add(pod->agent->m_start_failures, 1);
        pod_container_wait(container, "RunContainerError", cri_error_text(err));
        backoff_fail(&container->failure, pod_now(pod), FAILURE_FIRST_MS, FAILURE_MAX_MS);
    }
    /* also after a failure: it may run nevertheless, or have ended with the reason in its status */
    cri_container_status(pod->agent->cri, container->current->id, on_running, container);
}

static void start(struct pod_container *container)
{
    container->busy = true;
    relist_hurry(container->pod->agent->relist);
    pod_call_begin(container->pod);
    cri_start_container(container->pod->agent->cri, container->current->id, on_started, container);
}

/* --- create */

static void on_created(const char *id, struct err *err, void *data)
{
    struct pod_container *container = data;
    struct pod *pod = container->pod;

    container->busy = false;
    if (err->code != 0) {
        if (is_away(err)) {
            pod_retry_later(pod, "making a container", err);
        } else {
            metric_add(pod->agent->m_start_failures, 1);
            failed(container, "CreateContainerError", cri_error_text(err));
        }
        pod_call_done(pod);
        return;
    }
    const struct cri_container made = {
        .id = id,
        .sandbox_id = pod->sandbox != NULL ? pod->sandbox->id : "",
        .name = container->name,
        .attempt = container->next_attempt,
        .state = CRI_CREATED,
        .created_ns = clock_wall_ns(),
    };
    pod_container_shift(container);
    container->current = record_container(&made);
    container->restarted = false;
    container->current_known = true;
    container->current_ms = pod_now(pod);
    container->current_message_read = container->started_here = container->start_failed = false;
    container->created_here = true;
    container->image_state = POD_IMAGE_UNKNOWN; /* looked at again before the next start */
    pod_resize_created(container);
    pod_container_event(container, "Normal", "Created", "Container created");
    if (!pod_is_deleted(pod) && !pod->gone && pod->failed_reason == NULL)
        start(container);
    pod_call_done(pod);
}

/* Counts on from the runtime's records, and from the API server's when the runtime has lost its own. */
static uint32_t next_attempt(const struct pod_container *container)
{
    static const char *const lists[] = {"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"};

    if (container->current != NULL)
        return container->current->attempt + 1;
    if (container->last != NULL)
        return container->last->attempt + 1;
    for (size_t i = 0; i < countof(lists); i++) {
        const struct json *status;
        json_each(status, json_get(container->pod->object, "status", lists[i], NULL))
            if (streq(json_str(status, "name", NULL), container->name))
                return (uint32_t)json_int_or(0, status, "restartCount", NULL) +
                       (*json_str_or("", status, "containerID", NULL) != '\0');
    }
    return 0;
}

static const struct json **list_services(const struct pod *pod, size_t *ret_n)
{
    struct kube_watch *watch = pod->agent->services;
    const struct json **services = xcalloc(kube_watch_count(watch) + 1, sizeof(services[0]));
    const struct json *service;

    *ret_n = 0;
    for (size_t i = 0; kube_watch_next(watch, &i, &service);)
        services[(*ret_n)++] = service;
    return services;
}

static int read_file(const char *volume, const char *path, struct buf *ret, const void *data, struct err *err)
{
    const struct pod *pod = data;

    return volumes_read(pod->object, pod->agent->options.state_dir, volume, path, ret, err);
}

static int make_environment(struct pod_container *container, struct environment *ret, struct err *err)
{
    struct environment_context context = {
        .objects = &container->pod->objects, .read_file = read_file, .read_file_data = container->pod};
    const struct json **services = list_services(container->pod, &context.n_services);

    context.services = services;
    pod_downward(container->pod, &context.downward);
    int result = environment_make(container->pod->object, container->spec, &context, ret, err);
    free(services);
    return result;
}

static int make_log_folder(const struct pod_container *container, struct err *err)
{
    CLEANUP(xfree) char *folder =
        path_join(container->pod->sandbox_spec->config.log_directory, container->name, NULL);

    return dir_make(folder, 0755, err);
}

static const char *target_id(const struct pod_container *container)
{
    const char *name = json_str(container->spec, "targetContainerName", NULL);

    if (name == NULL || *name == '\0')
        return NULL;
    const struct pod_container *target = pod_container_get(container->pod, name);
    return target->current != NULL ? target->current->id : NULL;
}

static int create(struct pod_container *container, struct err *err)
{
    CLEANUP(environment_done) struct environment environment = {0};
    CLEANUP(volumes_mounts_done) struct volumes_mounts mounts = {0};
    CLEANUP(podspec_container_free) struct podspec_container *made = NULL;
    struct pod *pod = container->pod;
    CLEANUP(map_done) struct map images = {0};
    const struct volumes_places places = {
        .state_dir = pod->agent->options.state_dir,
        .readonly_below = agent_handler_can(pod->agent, strempty(pod->runtime_handler), "recursiveReadOnlyMounts"),
        .images = &images,
    };
    struct podspec_context context;
    int result;

    for (size_t i = 0; i < pod->n_volume_images; i++)
        if (pod->volume_images[i]->image != NULL)
            (void)map_set(&images, pod->volume_images[i]->name, (char *)(uintptr_t)pod->volume_images[i]->image->id);
    container->next_attempt = next_attempt(container);
    if ((result = make_environment(container, &environment, err)) < 0 ||
        (result = podspec_check_user(pod->object, container->spec, container->image, err)) < 0 ||
        (result = volumes_mounts_of(pod->object, container->spec, &places, &environment,
                                    container->next_attempt, &mounts, err)) < 0 ||
        (result = make_log_folder(container, err)) < 0)
        return result;
    struct podspec_container_input input = {
        .pod = pod->object,
        .container = container->spec,
        .attempt = container->next_attempt,
        .image = container->image,
        .environment = &environment,
        .mounts = &mounts,
        .target_container_id = target_id(container),
    };
    pod_context(pod, &context);
    if ((result = podspec_container(&input, &context, &made, err)) < 0)
        return result;
    const struct json *resources = json_get(container->spec, "resources", NULL);
    json_free(container->creating);
    container->creating = resources != NULL ? json_clone(resources) : json_new_object();
    container->busy = true;
    relist_hurry(pod->agent->relist);
    pod_call_begin(pod);
    cri_create_container(pod->agent->cri, pod->sandbox->id, &made->config, &pod->sandbox_spec->config, on_created,
                         container);
    return 0;
}

/* --- one container */

/* A restart of the agent forgets the back-off; the number of attempts tells how far it had come. */
static void recall_backoff(struct pod_container *container)
{
    const struct cri_container *current = container->current;

    if (container->started_here || container->restart.wait_ms > 0 ||
        pod_container_ran_ms(current) > BACKOFF_RESTART_FORGET_MS)
        return;
    for (uint32_t i = 0; i < current->attempt && container->restart.wait_ms < BACKOFF_RESTART_MAX_MS; i++)
        backoff_fail(&container->restart, pod_now(container->pod), BACKOFF_RESTART_FIRST_MS, BACKOFF_RESTART_MAX_MS);
}

/* Restarts wait: not at all the first time, then 10 s after the end, 20 s, ... */
static bool is_crash_looping(struct pod_container *container)
{
    struct pod *pod = container->pod;
    char delay[BACKOFF_TEXT_MAX];

    recall_backoff(container);
    int64_t left_ms = container->ended_ms + container->restart.wait_ms - pod_now(pod);
    if (left_ms <= 0)
        return false;
    if (!streq(container->waiting_reason, "CrashLoopBackOff")) {
        backoff_text(container->restart.wait_ms, delay);
        CLEANUP(xfree) char *message =
            xasprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", delay, container->name,
                      pod->name, pod->namespace, pod->uid);
        pod_container_wait(container, "CrashLoopBackOff", message);
        pod_container_event(container, "Warning", "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)",
                  container->name, pod->name, pod->namespace, pod->uid);
    }
    pod_wake_in(pod, left_ms);
    return true;
}

/* containerd mounts images from 2.1 on; earlier ones would make an empty folder of it. */
static bool runtime_mounts_images(const struct agent *agent)
{
    static const char name[] = "containerd://";
    const char *version = agent->system.runtime_version;

    if (!starts_with(version, name))
        return true;
    version += strlen(name);
    version += *version == 'v';
    return !starts_with(version, "0.") && !starts_with(version, "1.") && !starts_with(version, "2.0.");
}

/* True when the images of all image volumes that the container mounts are there. */
static bool sync_volume_images(struct pod_container *container)
{
    struct pod *pod = container->pod;
    const struct json *mount, *volume;

    json_each(mount, json_get(container->spec, "volumeMounts", NULL))
        json_each(volume, json_get(pod->object, "spec", "volumes", NULL)) {
            if (volumes_image_of(volume) == NULL ||
                !streq(json_str(volume, "name", NULL), json_str(mount, "name", NULL)))
                continue;
            if (!runtime_mounts_images(pod->agent)) {
                CLEANUP(err_clear) struct err err = {0};
                (void)err_set(&err, ERR_UNSUPPORTED, "volume \"%s\" is an image, which %s cannot mount: containerd 2.1 can",
                              json_str_or("", volume, "name", NULL), pod->agent->system.runtime_version);
                failed(container, "CreateContainerConfigError", err_text(&err));
                return false;
            }
            struct pod_container *image = pod_volume_image(pod, volume);
            if (pod_image_sync(image))
                continue;
            if (image->waiting_reason != NULL)
                pod_container_wait(container, image->waiting_reason, image->waiting_message);
            return false;
        }
    return true;
}

/* Of what the kubelet compares only the image can change in place. Whatever the policy says, it starts again. */
static void replace_if_changed(struct pod_container *container)
{
    const char *made_of = cri_pairs_get(&container->current->annotations, PODSPEC_ANNOTATION_HASH);
    char hash[PODSPEC_HASH_MAX];

    podspec_container_hash(container->spec, hash);
    if (made_of == NULL || streq(made_of, hash) || !pod_container_is_here(container) ||
        container->kind == POD_CONTAINER_INIT || container->kind == POD_CONTAINER_EPHEMERAL)
        return;
    container->restart_wanted = true;
    container->image_state = POD_IMAGE_UNKNOWN;
    pod_container_kill(container, pod_grace_s(container->pod), "Container %s definition changed, will be restarted",
                       container->name);
}

static void step(struct pod_container *container)
{
    CLEANUP(err_clear) struct err err = {0};
    struct pod *pod = container->pod;
    const struct cri_container *current = container->current;
    bool here = pod_container_is_here(container);
    int64_t wait_ms = backoff_left_ms(&container->failure, pod_now(pod));

    if (container->busy || container->kill != POD_KILL_NONE || container->n_queries > 0 || !pod_may_try(pod))
        return;
    if (current == NULL && pod_container_find_lost(container)) {
        pod_wake(pod);
        return;
    }
    if (current != NULL && current->state == CRI_RUNNING) {
        replace_if_changed(container); /* one in a dead sandbox: the next list shows its end */
        return;
    }
    if (wait_ms > 0) {
        pod_wake_in(pod, wait_ms);
        return;
    }
    if (current != NULL && current->state == CRI_CREATED && here && !container->start_failed) {
        start(container); /* the agent was killed between create and start, or did not hear that it was made */
        return;
    }
    if (is_over(container)) {
        if (!container->current_message_read)
            return;
        /* an init container runs again in a sandbox made anew, however it ended in the old one */
        if (!restarts(container) && (here || container->kind != POD_CONTAINER_INIT))
            return;
        if (!container->restart_wanted && is_crash_looping(container))
            return;
    }
    if (!pod_image_sync(container) || !sync_volume_images(container))
        return;
    if (is_over(container) && !container->restart_wanted)
        backoff_fail(&container->restart, pod_now(pod), BACKOFF_RESTART_FIRST_MS, BACKOFF_RESTART_MAX_MS);
    if (create(container, &err) < 0) {
        failed(container, "CreateContainerConfigError", err_text(&err));
        pod_volumes_refresh_in(pod, FAILURE_FIRST_MS / 2);
        pod_wake_in(pod, FAILURE_FIRST_MS / 2);
    }
}

/* --- after the start */

static void on_post_start(enum action_result result, const char *output, void *data)
{
    struct pod_container *container = data;
    CLEANUP(action_free) struct action *over UNUSED = take(&container->post_start);

    container->post_start_pending = false;
    if (result != ACTION_SUCCEEDED) {
        pod_container_event(container, "Warning", "FailedPostStartHook", "PostStartHook failed: %s", output);
        pod_container_kill(container, pod_grace_s(container->pod), "FailedPostStartHook");
    } else {
        container->probes = probes_new(container, false);
    }
    pod_wake(container->pod);
}

/* Begins hook and probes of a container that has come to run. */
static void attend(struct pod_container *container)
{
    const struct json *hook = json_get(container->spec, "lifecycle", "postStart", NULL);

    if (container->probing || container->busy || container->spec == NULL || !pod_container_runs(container))
        return;
    container->probing = container->recalled = true;
    if (hook == NULL || !container->started_here) {
        container->probes = probes_new(container, !container->started_here);
        return;
    }
    struct action_target target = {
        .container_id = container->current->id,
        .address = container->pod->address,
        .ports = json_get(container->spec, "ports", NULL),
        .is_hook = true,
    };
    container->post_start_pending = true;
    container->post_start =
        action_start(container->pod->agent, hook, &target, POST_START_MAX_MS, on_post_start, container);
}

void pod_containers_attend(struct pod *pod)
{
    bool runs = false, busy = false, started_here = false;

    for (size_t i = 0; i < pod->n_containers; i++) {
        attend(pod->containers[i]);
        started_here = started_here || pod->containers[i]->started_here;
        runs = runs || pod_container_runs(pod->containers[i]);
        busy = busy || pod->containers[i]->busy;
    }
    if (!runs || busy || pod->cpu_limited)
        return;
    pod_limit_cpu(pod);
    if (started_here)
        metric_observe(pod->agent->m_pod_start, (double)(clock_wall_ns() - pod->seen_ns) / 1e9);
}

/* --- all containers */

/* True when the main containers may run. */
static bool sync_init_containers(struct pod *pod)
{
    bool began = main_began(pod);
    const struct json *spec;

    json_each(spec, json_get(pod->object, "spec", "initContainers", NULL)) {
        struct pod_container *container = pod_container_get(pod, strempty(json_str(spec, "name", NULL)));
        if (container->kind == POD_CONTAINER_SIDECAR) {
            step(container);
            bool started = pod_container_runs(container) && container->startup_done && !container->post_start_pending;
            if (!began && !started)
                return false;
        } else if (!began && !init_succeeded(container)) {
            step(container);
            return false;
        }
    }
    return true;
}

void pod_containers_sync(struct pod *pod)
{
    if (!sync_init_containers(pod))
        return;
    for (size_t i = 0; i < pod->n_containers; i++) {
        struct pod_container *container = pod->containers[i];
        if (container->spec != NULL && (container->kind == POD_CONTAINER_MAIN ||
                                        (container->kind == POD_CONTAINER_EPHEMERAL &&
                                         (container->current == NULL || container->current->state == CRI_CREATED))))
            step(container);
    }
}

void pod_containers_prepare(struct pod *pod)
{
    for (size_t i = 0; i < pod->n_containers; i++) {
        struct pod_container *container = pod->containers[i];
        if (container->spec != NULL && container->kind != POD_CONTAINER_EPHEMERAL && container->current == NULL &&
            !container->busy)
            (void)pod_image_sync(container);
    }
}
