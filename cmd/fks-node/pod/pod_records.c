/*
 * pod_records.c: what the runtime says about a pod's containers. Lists show that something changed;
 * ContainerStatus, asked for then, tells what. Two attempts of each container are remembered, the latest and the
 * one before, as `kubectl logs --previous` and status.lastState need; older ones are removed from the runtime.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include "pod/action.h"
#include "api/log_lines.h"
#include "host/cgroups.h"
#include "host/log_rotation.h"
#include "pod/pod.h"
#include "pod/probes.h"
#include "pod/records.h"

#define FALLBACK_LINES 80 /* of the log as termination message, and at most FALLBACK_BYTES of them: as the kubelet */
#define FALLBACK_BYTES 2048
#define EXIT_UNKNOWN 137

bool pod_container_runs(const struct pod_container *container)
{
    return container->current != NULL && container->current->state == CRI_RUNNING;
}

bool pod_container_is_here(const struct pod_container *container)
{
    const struct pod *pod = container->pod;

    return container->current != NULL && pod->sandbox != NULL &&
           streq(container->current->sandbox_id, pod->sandbox->id);
}

/* --- termination messages */

/*
 * The file is the container's to write, so it may be anything: only a regular file is read, and no more than the
 * limit.
 */
static char *read_message_file(const struct pod *pod, const char *name, uint32_t attempt)
{
    CLEANUP(xfree) char *path = volumes_termination_path(pod->agent->options.state_dir, pod->uid, name, attempt);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char bytes[LIMIT_TERMINATION_MESSAGE];
    struct stat facts;

    if (fd < 0 || fstat(fd, &facts) < 0 || !S_ISREG(facts.st_mode))
        return NULL;
    ssize_t n = read(fd, bytes, sizeof(bytes));
    return n > 0 ? xstrndup(bytes, (size_t)n) : NULL;
}

static char *termination_message(const struct pod *pod, const struct cri_container *ended)
{
    const char *name = cri_pairs_get(&ended->labels, PODSPEC_LABEL_CONTAINER_NAME);
    const char *policy = cri_pairs_get(&ended->annotations, PODSPEC_ANNOTATION_MESSAGE_POLICY);
    const char *path = cri_pairs_get(&ended->annotations, PODSPEC_ANNOTATION_MESSAGE_PATH);
    char *message =
        name != NULL && path != NULL && *path != '\0' ? read_message_file(pod, name, ended->attempt) : NULL;

    if (message != NULL || !streq(policy, "FallbackToLogsOnError") || ended->exit_code == 0 || name == NULL)
        return message;
    CLEANUP(xfree) char *relative = podspec_log_path(name, ended->attempt);
    CLEANUP(xfree) char *folder =
        xasprintf("%s/%s_%s_%s", pod->agent->options.log_dir, pod->namespace, pod->name, pod->uid);
    CLEANUP(xfree) char *log = path_join(folder, relative, NULL);
    return log_lines_tail_text(log, FALLBACK_LINES, FALLBACK_BYTES);
}

/* --- status */

int64_t pod_container_ran_ms(const struct cri_container *record)
{
    return record->started_ns > 0 ? (record->finished_ns - record->started_ns) / 1000000 : 0;
}

/* A run that was long enough makes the back-off start over. */
static void ended(struct pod_container *container)
{
    const struct cri_container *record = container->current;
    struct pod *pod = container->pod;
    int64_t ago_ms = (clock_wall_ns() - record->finished_ns) / 1000000;

    container->ended_ms = pod_now(pod) - (ago_ms > 0 ? ago_ms : 0);
    free(container->current_message);
    container->current_message = termination_message(pod, record);
    container->probes = probes_free(container->probes);
    container->post_start = action_free(container->post_start);
    container->probing = container->post_start_pending = container->recalled = false;
    pod_container_wait(container, NULL, NULL); /* how it ended says more, unless it is to be started again */
    container->ready = container->startup_done = false;
    if (pod_container_ran_ms(record) > BACKOFF_RESTART_FORGET_MS)
        backoff_reset(&container->restart);
    log_info("container ended", "pod", pod_title(pod), "container", container->name, "reason", record->reason);
}

static void status_known(struct pod_container *container, const struct cri_container *item)
{
    if (container->last != NULL && streq(container->last->id, item->id)) {
        record_container_update(&container->last, item);
        container->last_known = true;
        free(container->last_message);
        container->last_message = item->state == CRI_EXITED ? termination_message(container->pod, item) : NULL;
        return;
    }
    if (container->current == NULL || !streq(container->current->id, item->id))
        return;
    bool was_over = container->current->state == CRI_EXITED && container->current_message_read;
    record_container_update(&container->current, item);
    container->current_known = true;
    container->current_ms = pod_now(container->pod);
    if (item->state == CRI_EXITED && !was_over) {
        container->current_message_read = true;
        ended(container);
    }
}

static void on_status(const struct cri_container *items, size_t n, struct err *err, void *data)
{
    struct pod_container *container = data;

    container->n_queries--;
    if (err->code == 0 && n == 1)
        status_known(container, &items[0]);
    else if (err->code != 0 && err->code != ERR_NOT_FOUND) /* what is gone, the next list shows */
        pod_retry_later(container->pod, "reading the status of a container", err);
    pod_call_done(container->pod);
}

void pod_container_query(struct pod_container *container, const char *id)
{
    container->n_queries++;
    pod_call_begin(container->pod);
    cri_container_status(container->pod->agent->cri, id, on_status, container);
}

/* --- lists */

static void on_removed(struct err *err, void *data)
{
    struct pod_container *container = data;

    container->removing = false;
    if (err->code != 0 && err->code != ERR_NOT_FOUND)
        log_warn("removing an old container", "pod", pod_title(container->pod), "container", container->name, "error",
                 err_text(err));
    pod_call_done(container->pod);
}

static void remove_log(const struct pod_container *container, uint32_t attempt)
{
    const struct pod *pod = container->pod;
    CLEANUP(xfree) char *relative = podspec_log_path(container->name, attempt);
    CLEANUP(xfree) char *folder =
        xasprintf("%s/%s_%s_%s", pod->agent->options.log_dir, pod->namespace, pod->name, pod->uid);
    CLEANUP(xfree) char *log = path_join(folder, relative, NULL);

    log_rotation_remove(log);
}

void pod_container_shift(struct pod_container *container)
{
    if (container->current == NULL)
        return;
    if (container->last != NULL && container->last_removed) /* else it goes when a list shows it */
        remove_log(container, container->last->attempt);
    record_container_free(container->last);
    free(container->last_message);
    container->last = take(&container->current);
    container->last_message = take(&container->current_message);
    container->last_known = container->current_known;
    container->last_removed = false;
}

/* Older than the last two: nothing asks for it any more, nor for its log. */
static void remove_older(struct pod_container *container, const struct cri_container *item)
{
    struct pod *pod = container->pod;

    if (container->removing || item->state != CRI_EXITED)
        return;
    remove_log(container, item->attempt);
    container->removing = true;
    pod_call_begin(pod);
    cri_remove_container(pod->agent->cri, item->id, on_removed, container);
}

static bool is_newer(const struct cri_container *a, const struct cri_container *b)
{
    return a->attempt != b->attempt ? a->attempt > b->attempt : a->created_ns > b->created_ns;
}

void pod_container_observed(struct pod_container *container, const struct cri_container *item, int64_t asked_ms)
{
    if (container->busy || asked_ms <= container->removed_ms) {
        /* what is under way, or was since the list was asked for, tells more than this list */
        container->seen = true;
        return;
    }
    if (container->current == NULL && container->last != NULL && item->attempt <= container->last->attempt) {
        remove_older(container, item); /* left over when all were removed */
        return;
    }
    if (container->current != NULL && streq(container->current->id, item->id)) {
        container->seen = true;
        container->lost = false;
        /* also what an earlier question, which failed, was about */
        bool unknown = !container->current_known || (item->state == CRI_EXITED && !container->current_message_read);
        if ((container->current->state != item->state || unknown) && container->current_ms < asked_ms &&
            container->n_queries == 0)
            pod_container_query(container, item->id);
    } else if (container->current == NULL || is_newer(item, container->current)) {
        container->last_seen = container->seen;
        container->seen = true;
        pod_container_shift(container);
        container->current_known = container->restarted = false;
        container->current = record_container(item);
        container->current_message_read = container->started_here = container->created_here = false;
        container->start_failed = container->recalled = false;
        container->current_ms = asked_ms;
        pod_container_query(container, item->id);
    } else if (container->last != NULL && streq(container->last->id, item->id)) {
        container->last_seen = true;
        if (!container->last_known && container->n_queries == 0)
            pod_container_query(container, item->id);
    } else if (container->last == NULL || is_newer(item, container->last)) {
        container->last_seen = true;
        record_container_free(container->last);
        container->last = record_container(item);
        container->last_known = false;
        pod_container_query(container, item->id);
    } else {
        remove_older(container, item);
    }
}

/* Removed behind our back, or with its sandbox: whatever it did, it does not run any more. */
static void vanished(struct pod_container *container)
{
    struct cri_container *record = container->current;

    record->state = CRI_EXITED;
    record->exit_code = EXIT_UNKNOWN;
    record->finished_ns = clock_wall_ns();
    free((void *)(uintptr_t)record->reason);
    record->reason = xstrdup("ContainerStatusUnknown");
    free((void *)(uintptr_t)record->message);
    record->message = xstrdup("The container could not be located when the pod was terminated");
    container->current_message_read = container->current_known = true;
    ended(container);
    pod_wake(container->pod);
}

/*
 * A runtime that is started while its disk is full cannot take up what it had (containerd: "failed to checkpoint status") and
 * does not list it, but it runs on; another attempt would be a second run of the same. The runtime's next start finds it.
 */
static bool lives_on(struct pod_container *container)
{
    struct pod *pod = container->pod;
    const struct cri_container *record = container->current;
    bool lives = record->state == CRI_RUNNING && cgroups_container_lives(pod->agent->cgroups, pod->uid, record->id);

    if (lives && !container->lost)
        log_warn("the container runtime does not list a container that runs: it is left alone. See why in the runtime's log (is "
                 "its disk full?), and restart it then",
                 "pod", pod_title(pod), "container", container->name, "id", record->id);
    container->lost = lives;
    return lives;
}

bool pod_container_find_lost(struct pod_container *container)
{
    static const char *const lists[] = {"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"};
    static const char prefix[] = "containerd://";
    CLEANUP(err_clear) struct err ignored = {0};
    struct pod *pod = container->pod;
    const struct json *status, *found = NULL;

    for (size_t i = 0; i < countof(lists); i++)
        json_each(status, json_get(pod->object, "status", lists[i], NULL))
            if (streq(json_str(status, "name", NULL), container->name) && json_get(status, "state", "running", NULL) != NULL)
                found = status;
    const char *id = json_str_or("", found, "containerID", NULL);
    if (container->current != NULL || pod->sandbox == NULL || !starts_with(id, prefix))
        return false;
    struct cri_container known = {
        .id = id + strlen(prefix),
        .sandbox_id = pod->sandbox->id,
        .name = container->name,
        .attempt = (uint32_t)json_int_or(0, found, "restartCount", NULL),
        .image_ref = json_str(found, "imageID", NULL),
        .state = CRI_RUNNING,
    };
    if (!cgroups_container_lives(pod->agent->cgroups, pod->uid, known.id))
        return false;
    if (clock_parse(json_str_or("", found, "state", "running", "startedAt", NULL), &known.started_ns, &ignored) < 0)
        known.started_ns = clock_wall_ns();
    container->current = record_container(&known);
    container->current_known = true;
    container->current_ms = pod_now(pod);
    (void)lives_on(container);
    return true;
}

void pod_container_listed(struct pod_container *container)
{
    bool asking = container->n_queries > 0;

    /* nobody will ever tell how these ended: an earlier agent had them removed while this one began to look */
    if (!container->last_seen && container->last != NULL && !container->last_known && !asking) {
        container->last = record_container_free(container->last);
        pod_wake(container->pod);
    }
    if (container->seen || container->current == NULL)
        return;
    if (container->current->state != CRI_EXITED) {
        if (!lives_on(container))
            vanished(container);
    } else if (!container->current_known && !asking) {
        container->current = record_container_free(container->current);
        pod_wake(container->pod);
    }
}
