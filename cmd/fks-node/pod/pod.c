/*
 * pod.c: the life of one struct pod: what its object asks for, when the next step is due, and which step that is. The
 * steps themselves are in the other pod_*.c files (see pod.h). Nothing here waits.
 */
#include "pod/pod.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fargate/names.h"

#include "pod/action.h"
#include "host/cgroups.h"
#include "host/nodes.h"
#include "pods.h"
#include "pod/probes.h"
#include "pod/records.h"

#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS 5000
#define ASK_AGAIN_MS 10000

static void pod_sync(void *data);

struct pod *pod_new(struct agent *agent, const char *uid, const char *namespace, const char *name)
{
    struct pod *pod = NEW(struct pod);

    pod->agent = agent;
    pod->uid = xstrdup(uid);
    pod->cgroup = cgroups_path(agent->cgroups, uid);
    pod->namespace = xstrdup(namespace);
    pod->name = xstrdup(name);
    pod->seen_ns = clock_wall_ns();
    pod->timer = loop_timer_new(agent->loop, pod_sync, pod);
    return pod;
}

static void container_free(struct pod_container *container, bool owns_spec)
{
    if (owns_spec)
        json_free((struct json *)(uintptr_t)container->spec);
    probes_free(container->probes);
    action_free(container->post_start);
    action_free(container->pre_stop);
    record_container_free(container->current);
    record_container_free(container->last);
    record_image_free(container->image);
    free(container->name);
    free(container->current_message);
    free(container->last_message);
    free(container->waiting_reason);
    free(container->waiting_message);
    json_free(container->resources);
    json_free(container->creating);
    json_free(container->resizing);
    free(container);
}

struct pod *pod_free(struct pod *pod)
{
    if (pod == NULL)
        return NULL;
    loop_timer_free(pod->timer);
    for (size_t i = 0; i < pod->n_containers; i++)
        container_free(pod->containers[i], false);
    free(pod->containers);
    for (size_t i = 0; i < pod->n_volume_images; i++)
        container_free(pod->volume_images[i], true);
    free(pod->volume_images);
    nodes_detach(pod);
    pod_volumes_done(pod);
    pod_mounts_done(pod);
    record_sandbox_free(pod->sandbox);
    podspec_sandbox_free(pod->sandbox_spec);
    strv_done(&pod->old_sandboxes);
    json_free(pod->object);
    free(pod->address);
    free(pod->cgroup);
    free(pod->runtime_handler);
    free(pod->failed_message);
    for (size_t i = 0; i < pod->n_volume_use; i++)
        free(pod->volume_use[i].name);
    free(pod->volume_use);
    free(pod->resize_message);
    free(pod->resize_error);
    free(pod->uid);
    free(pod->namespace);
    free(pod->name);
    free(pod);
    return NULL;
}

/* --- time */

int64_t pod_now(const struct pod *pod)
{
    return loop_now_ms(pod->agent->loop);
}

void pod_wake(struct pod *pod)
{
    pod_wake_in(pod, 0);
}

void pod_wake_in(struct pod *pod, int64_t delay_ms)
{
    int64_t due_ms = pod_now(pod) + delay_ms;

    if (loop_timer_is_set(pod->timer) && pod->due_ms <= due_ms)
        return;
    pod->due_ms = due_ms;
    loop_timer_set(pod->timer, delay_ms);
}

void pod_call_begin(struct pod *pod)
{
    pod->n_calls++;
}

void pod_call_done(struct pod *pod)
{
    pod->n_calls--;
    pod_wake(pod);
}

bool pod_may_try(const struct pod *pod)
{
    return backoff_left_ms(&pod->retry, pod_now(pod)) == 0;
}

void pod_retry_over(struct pod *pod)
{
    backoff_reset(&pod->retry);
}

void pod_retry_later(struct pod *pod, const char *what, const struct err *err)
{
    /* Several steps may fail for the same reason at the same time: that counts once. */
    if (pod_may_try(pod))
        backoff_fail(&pod->retry, pod_now(pod), RETRY_FIRST_MS, RETRY_MAX_MS);
    pod_wake_in(pod, backoff_left_ms(&pod->retry, pod_now(pod)));
    log_warn(what, "pod", pod_title(pod), "error", err_text(err));
}

/* --- facts */

const char *pod_title(const struct pod *pod)
{
    static char title[512];

    (void)snprintf(title, sizeof(title), "%s/%s", pod->namespace, pod->name);
    return title;
}

const char *pod_node_name(const struct pod *pod)
{
    const char *bound = json_str(pod->object, "spec", "nodeName", NULL);

    return bound != NULL || pod->node == NULL ? bound : node_name(pod->node);
}

static void write_event(struct pod *pod, const char *field, const char *type, const char *reason, const char *text)
{
    const char *node = pod_node_name(pod);

    if (pod->object != NULL)
        kube_event_of(pod->agent->events, pod->object, field, node != NULL ? node : pod->agent->options.host_name, type,
                      reason, text);
}

void pod_event(struct pod *pod, const char *type, const char *reason, const char *format, ...)
{
    CLEANUP(buf_done) struct buf text = {0};
    va_list args;

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    write_event(pod, NULL, type, reason, buf_text(&text));
}

/* "spec.containers{main}"; NULL for the image of a volume, which is no container. Heap. */
static char *field_of(const struct pod_container *container)
{
    static const char *const lists[] = {
        [POD_CONTAINER_MAIN] = "containers",
        [POD_CONTAINER_INIT] = "initContainers",
        [POD_CONTAINER_SIDECAR] = "initContainers",
        [POD_CONTAINER_EPHEMERAL] = "ephemeralContainers",
    };
    const struct pod *pod = container->pod;

    for (size_t i = 0; i < pod->n_containers; i++)
        if (pod->containers[i] == container)
            return xasprintf("spec.%s{%s}", lists[container->kind], container->name);
    return NULL;
}

void pod_container_event(struct pod_container *container, const char *type, const char *reason, const char *format, ...)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(xfree) char *field = field_of(container);
    va_list args;

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    write_event(container->pod, field, type, reason, buf_text(&text));
}

bool pod_is_deleted(const struct pod *pod)
{
    return json_str(pod->object, "metadata", "deletionTimestamp", NULL) != NULL;
}

bool pod_is_bound(const struct pod *pod)
{
    const char *bound = json_str(pod->object, "spec", "nodeName", NULL);

    return bound != NULL && *bound != '\0';
}

/* Bound to a Node that is not the one made here: somebody else runs it. */
static bool is_foreign(const struct pod *pod)
{
    const char *bound = json_str(pod->object, "spec", "nodeName", NULL);
    const char *own = pod->node != NULL ? node_name(pod->node) : nodes_name_for(pod->agent->nodes, pod->uid);

    if (!pod_is_bound(pod))
        return false;
    return own != NULL ? !streq(bound, own) : !starts_with(bound, pod->agent->options.node_prefix);
}

struct pod_container *pod_container_get(struct pod *pod, const char *name)
{
    for (size_t i = 0; i < pod->n_containers; i++)
        if (streq(pod->containers[i]->name, name))
            return pod->containers[i];
    struct pod_container *container = NEW(struct pod_container);
    container->pod = pod;
    container->name = xstrdup(name);
    GROW(pod->containers, pod->n_containers, pod->cap_containers);
    pod->containers[pod->n_containers++] = container;
    return container;
}

struct pod_container *pod_volume_image(struct pod *pod, const struct json *volume)
{
    const char *name = json_str_or("", volume, "name", NULL);

    for (size_t i = 0; i < pod->n_volume_images; i++)
        if (streq(pod->volume_images[i]->name, name))
            return pod->volume_images[i];
    struct pod_container *image = NEW(struct pod_container);
    image->pod = pod;
    image->name = xstrdup(name);
    image->spec = json_build("{s:s, s:s, s:s}", "name", name, "image", volumes_image_of(volume), "imagePullPolicy",
                             json_str_or("IfNotPresent", volume, "image", "pullPolicy", NULL));
    GROW(pod->volume_images, pod->n_volume_images, pod->cap_volume_images);
    pod->volume_images[pod->n_volume_images++] = image;
    return image;
}

void pod_context(struct pod *pod, struct podspec_context *ret)
{
    const struct agent_options *options = &pod->agent->options;

    *ret = (struct podspec_context){
        .log_root = options->log_dir,
        .cgroup_parent = pod->cgroup,
        .cluster_dns = (const char *const *)options->cluster_dns.items,
        .cluster_domain = options->cluster_domain,
        .host_resolv_conf = pod->agent->resolv_conf,
        .provisioned_cpu_m = pod->size.cpu_m,
        .provisioned_mem_b = pod->size.mem_b,
        .user_ids = pod->user_ids,
        .oom_group = cgroups_has_file(pod->agent->cgroups, "memory.oom.group"),
        .swap_limits = cgroups_has_file(pod->agent->cgroups, "memory.swap.max"),
    };
}

void pod_downward(struct pod *pod, struct downward_context *ret)
{
    *ret = (struct downward_context){
        .pod_ip = pod->address,
        .host_ip = pod->agent->options.address,
        .node_name = pod_node_name(pod),
        .allocatable_cpu_m = pod->size.cpu_m,
        .allocatable_mem_b = pod->size.mem_b,
        .allocatable_storage_b = pod->size.storage_b,
    };
}

/* --- the object */

static void assign_specs(struct pod *pod, const char *list, enum pod_container_kind kind)
{
    const struct json *spec;

    json_each(spec, json_get(pod->object, "spec", list, NULL)) {
        const char *name = json_str(spec, "name", NULL);
        if (name == NULL)
            continue;
        struct pod_container *container = pod_container_get(pod, name);
        container->spec = spec;
        container->kind = kind == POD_CONTAINER_INIT && podspec_is_sidecar(spec) ? POD_CONTAINER_SIDECAR : kind;
    }
}

/* The scheduler wrote the size down; without its word it is worked out as the scheduler would. */
static void read_size(struct pod *pod)
{
    CLEANUP(err_clear) struct err err = {0};
    struct fargate_request request;
    const struct json *annotations = json_get(pod->object, "metadata", "annotations", NULL);
    const char *text = json_string_value(json_member(annotations, FARGATE_CAPACITY_ANNOTATION));

    if (pod->size.cpu_m != 0)
        return;
    bool known = fargate_request_of(pod->object, &request, &err) == 0;
    if (known && fargate_size_for(&request, false, &pod->size, &err) < 0)
        pod->size = (struct fargate_size){0};
    int64_t storage_b = pod->size.storage_b;
    err_clear(&err);
    if (text != NULL && fargate_size_parse(text, &pod->size, &err) < 0)
        agent_warn("reading the annotation " FARGATE_CAPACITY_ANNOTATION, pod_title(pod), &err);
    if (storage_b > 0)
        pod->size.storage_b = storage_b;
}

void pod_set_object(struct pod *pod, const struct json *object)
{
    CLEANUP(err_clear) struct err err = {0};
    int64_t version = 0;

    if (!streq(json_str(object, "metadata", "uid", NULL), pod->uid))
        return;
    if (parse_int(strempty(json_str(object, "metadata", "resourceVersion", NULL)), 0, INT64_MAX, &version, &err) < 0)
        version = pod->version;
    /* The watch and the answers to our own requests come by different ways and may overtake each other. */
    if (pod->object != NULL && version < pod->version)
        return;
    struct json *old = pod->object;
    if (old == NULL)
        pod->seen_deleted = json_str(object, "metadata", "deletionTimestamp", NULL) != NULL;
    pod->object = json_keep(object);
    pod->version = version;
    for (size_t i = 0; i < pod->n_containers; i++)
        pod->containers[i]->spec = NULL;
    assign_specs(pod, "initContainers", POD_CONTAINER_INIT);
    assign_specs(pod, "containers", POD_CONTAINER_MAIN);
    assign_specs(pod, "ephemeralContainers", POD_CONTAINER_EPHEMERAL);
    if (json_len(json_get(old, "spec", "ephemeralContainers", NULL)) !=
        json_len(json_get(object, "spec", "ephemeralContainers", NULL)))
        pod->needs_known = false;
    read_size(pod);
    if (old == NULL ||
        !json_same(json_get(old, "metadata", "labels", NULL), json_get(object, "metadata", "labels", NULL)) ||
        !json_same(json_get(old, "metadata", "annotations", NULL), json_get(object, "metadata", "annotations", NULL)))
        pod->refresh_ms = 0; /* downwardAPI volumes show them */
    json_free(old);
    pod_wake(pod);
}

static void on_asked(struct json **answer, struct err *err, void *data)
{
    struct pod *pod = data;

    pod->asking = false;
    if (err->code == ERR_NOT_FOUND) {
        pod->gone = true;
    } else if (err->code != 0) {
        pod_retry_later(pod, "asking whether a pod still exists", err);
    } else if (!streq(json_str(*answer, "metadata", "uid", NULL), pod->uid)) {
        pod->gone = true;
    } else {
        /* It lives, but not with our label: leave it alone, and ask again. */
        pod_set_object(pod, *answer);
        pod->ask_ms = pod_now(pod) + ASK_AGAIN_MS;
    }
    pod_call_done(pod);
}

/* Only the API server's own word, asked for now, proves that a pod is gone; then its remains may be removed. */
static void ask(struct pod *pod)
{
    if (pod->asking || !pod_may_try(pod))
        return;
    if (pod->ask_ms > pod_now(pod)) {
        pod_wake_in(pod, pod->ask_ms - pod_now(pod));
        return;
    }
    pod->asking = true;
    pod_call_begin(pod);
    agent_request(pod->agent, "GET", kube_path("", "v1", pod->namespace, "pods", pod->name, NULL), NULL, NULL,
                  on_asked, pod);
}

void pod_missing(struct pod *pod)
{
    pod->in_watch = false;
    pod->ask_ms = 0;
    pod_wake(pod);
}

void pod_evict(struct pod *pod, char *message)
{
    CLEANUP(xfree) char *owned = message;

    if (pod->failed_reason != NULL)
        return;
    pod->failed_reason = POD_EVICTED;
    pod->failed_message = take(&owned);
    pod_event(pod, "Warning", "Evicted", "%s", pod->failed_message);
    pod_wake(pod);
}

/* --- the machine */

/* The loop time of status.startTime. Read off the wall clock once, so that setting the clock later ends no pod. */
static bool know_start(struct pod *pod)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *start = json_str(pod->object, "status", "startTime", NULL);
    int64_t start_ns;

    if (pod->start_known)
        return true;
    if (start == NULL || clock_parse(start, &start_ns, &err) < 0)
        return false;
    int64_t age_ms = (clock_wall_ns() - start_ns) / 1000000;
    pod->start_ms = pod_now(pod) - (age_ms > 0 ? age_ms : 0);
    return pod->start_known = true;
}

/* spec.activeDeadlineSeconds counts from status.startTime. */
static void check_deadline(struct pod *pod)
{
    int64_t seconds = json_int_or(0, pod->object, "spec", "activeDeadlineSeconds", NULL);

    if (!know_start(pod) || seconds <= 0 || pod->failed_reason != NULL)
        return;
    int64_t left_ms = pod->start_ms + seconds * 1000 - pod_now(pod);
    if (left_ms > 0) {
        pod_wake_in(pod, left_ms);
        return;
    }
    pod->failed_reason = "DeadlineExceeded";
    pod->failed_message = xstrdup("Pod was active on the node longer than the specified deadline");
    pod_event(pod, "Normal", "DeadlineExceeded", "%s", pod->failed_message);
}

/* What an ordinary node's kubelet turns away for good, before anything was made for the pod. */
static void check_admission(struct pod *pod)
{
    if (pod->failed_reason != NULL || pod->sandbox != NULL || pod_is_bound(pod) || podstatus_is_terminal(pod->object))
        return;
    CLEANUP(xfree) char *sysctl = podspec_forbidden_sysctl(pod->object);
    if (sysctl == NULL)
        return;
    pod->failed_reason = "SysctlForbidden";
    pod->failed_message = xasprintf("Pod was rejected: forbidden sysctl: \"%s\" not allowlisted", sysctl);
    pod_event(pod, "Warning", pod->failed_reason, "forbidden sysctl: \"%s\" not allowlisted", sysctl);
}

static void run_sync(struct pod *pod)
{
    bool has_address = pod_sandbox_sync(pod);

    pod_containers_prepare(pod);
    bool has_volumes = pod_volumes_sync(pod);
    /* A bound pod whose Node was deleted gets it again; both go on meanwhile. */
    if ((has_address || pod_is_bound(pod)) && !pod_is_deleted(pod))
        (void)nodes_ensure(pod);
    if (has_address && pod_is_bound(pod))
        pod_containers_attend(pod);
    bool may_run = has_address && pod_is_bound(pod) && !pod_restart_sync(pod);
    if (may_run && has_volumes && kube_watch_synced(pod->agent->services))
        pod_containers_sync(pod);
    if (pod_is_bound(pod)) {
        pod_resize_sync(pod);
        (void)pod_status_sync(pod, false);
    }
}

static void pod_sync(void *data)
{
    struct pod *pod = data;

    if (!pods_settled(pod->agent->pods))
        return; /* whoever completes the picture wakes everybody */
    int64_t wait_ms = backoff_left_ms(&pod->retry, pod_now(pod));
    if (wait_ms > 0)
        pod_wake_in(pod, wait_ms);
    if (!pod->gone && !pod->in_watch)
        ask(pod);
    for (size_t i = 0; i < pod->n_containers; i++) {
        probes_recall(pod->containers[i]);
        pod_container_kill_sync(pod->containers[i]);
    }
    if (pod->gone) {
        pod_remains_sync(pod); /* may free the pod */
        return;
    }
    if (pod->object == NULL)
        return;
    if (is_foreign(pod)) {
        if (!pod->stopped_being_ours)
            log_warn("the pod was bound to a Node that is not its own; it is left to that one", "pod", pod_title(pod),
                     "node", json_str(pod->object, "spec", "nodeName", NULL));
        pod->stopped_being_ours = true;
        pod_remains_sync(pod);
        return;
    }
    check_deadline(pod);
    check_admission(pod);
    if (pod_is_deleted(pod) || podstatus_is_terminal(pod->object) || pod->failed_reason != NULL ||
        pod_containers_progress(pod) == POD_PROGRESS_THROUGH) {
        pod->ending = true;
        pod_end_sync(pod);
        return;
    }
    run_sync(pod);
}
