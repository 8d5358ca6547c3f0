/*
 * pod_update.c: tells the API server what is. At most one patch of a pod is under way; what changes meanwhile goes
 * with the next one, so only the newest state is ever sent.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include "pod/pod.h"

#define RETRY_FIRST_MS 200
#define RETRY_MAX_MS 10000

/* An attempt that was broken off is told to nobody: to a policy that allows no second one it would be the pod's end. */
static const struct cri_container *last_of(const struct pod_container *container)
{
    const struct cri_container *last = container->last;

    if (last == NULL || container->spec == NULL || !streq(last->reason, "StartError") ||
        podspec_restarts(container->pod->object, container->spec, container->kind != POD_CONTAINER_MAIN,
                         last->exit_code))
        return last;
    return NULL;
}

static struct podstatus_container fact_of(const struct pod_container *container)
{
    return (struct podstatus_container){
        .name = container->name,
        .current = pod_container_broke_off(container) ? NULL : container->current,
        .last = last_of(container),
        .current_message = container->current_message,
        .last_message = container->last_message,
        .resources = container->resources,
        .readonly_below = agent_handler_can(container->pod->agent, strempty(container->pod->runtime_handler),
                                            "recursiveReadOnlyMounts"),
        .waiting_reason = container->waiting_reason,
        .waiting_message = container->waiting_message,
        .startup_done = container->startup_done,
        .ready = container->ready && !container->post_start_pending,
        .restarts = container->current != NULL ? container->current->attempt
                    : container->restarted     ? container->last->attempt + 1
                                               : 0,
        .restarting = pod_container_is_restarting(container),
        .starts_again = container->restart_wanted ||
                        (container->current != NULL && container->current->state == CRI_CREATED),
    };
}

/* *ret_containers is heap and must outlive *ret. */
static void facts_of(const struct pod *pod, bool terminal, struct podstatus_facts *ret,
                     struct podstatus_container **ret_containers)
{
    struct podstatus_container *containers = xcalloc(pod->n_containers + 1, sizeof(containers[0]));

    for (size_t i = 0; i < pod->n_containers; i++)
        containers[i] = fact_of(pod->containers[i]);
    *ret_containers = containers;
    *ret = (struct podstatus_facts){
        .sandbox = pod->sandbox,
        .host_ip = pod->agent->options.address,
        .pod_ip = pod->address,
        .containers = containers,
        .n_containers = pod->n_containers,
        .start_ns = pod->seen_ns,
        .now_ns = clock_wall_ns(),
        .failed_reason = pod->failed_reason,
        .failed_message = pod->failed_message,
        .terminal = terminal,
        .resize_pending = pod->resize_pending,
        .resize_message = pod->resize_message,
        .resize_error = pod->resize_error,
        .resize_going = pod->resize_going,
        .restarting = pod_is_restarting(pod),
    };
}

/*
 * Half of the truth is not told: after a restart of the agent a list comes first, without exit codes; and the end of a
 * container is dealt with (termination message) a moment after it is seen.
 */
static bool is_known(const struct pod *pod)
{
    if (pod->address_busy) /* a sandbox without address would not be taken for ready */
        return false;
    for (size_t i = 0; i < pod->n_containers; i++) {
        const struct pod_container *container = pod->containers[i];
        const struct cri_container *current = container->current;
        if ((current != NULL && !container->current_known) || (container->last != NULL && !container->last_known))
            return false;
        if (current != NULL && current->state == CRI_EXITED && !container->current_message_read)
            return false;
    }
    return true;
}

static void on_patched(struct json **answer, struct err *err, void *data)
{
    struct pod *pod = data;

    pod->patching = false;
    if (err->code == 0) {
        backoff_reset(&pod->patch_backoff);
        pod_set_object(pod, *answer);
    } else if (err->code == ERR_NOT_FOUND || err->code == ERR_CONFLICT) {
        pod_missing(pod); /* gone, or another pod of the same name by now */
    } else {
        backoff_fail(&pod->patch_backoff, pod_now(pod), RETRY_FIRST_MS, RETRY_MAX_MS);
        agent_warn("patching the status of a pod", pod_title(pod), err);
    }
    pod_call_done(pod);
}

bool pod_status_sync(struct pod *pod, bool terminal)
{
    CLEANUP(xfree) struct podstatus_container *containers = NULL;
    struct podstatus_facts facts;

    if (pod->patching || !is_known(pod))
        return false;
    int64_t wait_ms = backoff_left_ms(&pod->patch_backoff, pod_now(pod));
    if (wait_ms > 0) {
        pod_wake_in(pod, wait_ms);
        return false;
    }
    facts_of(pod, terminal, &facts, &containers);
    struct json *patch = podstatus_patch(pod->object, &facts);
    if (patch == NULL)
        return true;
    pod->patching = true;
    pod_call_begin(pod);
    agent_request(pod->agent, "PATCH", kube_path("", "v1", pod->namespace, "pods", pod->name, "status"), patch,
                  KUBE_STRATEGIC_PATCH, on_patched, pod);
    return false;
}

struct json *pod_status_now(struct pod *pod)
{
    CLEANUP(xfree) struct podstatus_container *containers = NULL;
    struct podstatus_facts facts;

    facts_of(pod, false, &facts, &containers);
    return podstatus_full(pod->object, &facts);
}
