/*
 * report.c: events and conditions, in Fargate's words where it has some. Best effort: nothing depends on a report.
 */
#include "report.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#define REPEAT_MS 300000
#define CHANGE_MS 3000

static void on_condition(struct json **answer, struct err *err, void *data)
{
    struct pod *pod = data;

    pod->report_call = NULL;
    if (err->code == 0)
        observe_pod(pod, *answer);
    /* a conflict means that the pod has moved on */
    else if (err->code != ERR_CONFLICT && err->code != ERR_NOT_FOUND)
        log_warn("the condition of a pod could not be written", "pod", pod->key, "error", err_text(err));
}

static bool condition_is_set(const struct json *object, const char *reason, const char *message)
{
    const struct json *item;

    json_each(item, json_get(object, "status", "conditions", NULL))
        if (streq(json_str(item, "type", NULL), "PodScheduled"))
            return streq(json_str(item, "status", NULL), "False") && streq(json_str(item, "reason", NULL), reason) &&
                   streq(json_str(item, "message", NULL), message);
    return false;
}

static void set_condition(struct pod *pod, const char *reason, const char *message)
{
    CLEANUP(json_free) struct json *body = NULL;
    CLEANUP(xfree) char *path = scheduler_pod_path(pod, "status");
    CLEANUP(xfree) char *version = xasprintf("%llu", (unsigned long long)pod->version);
    char now[CLOCK_TEXT_MAX];

    CLEANUP(json_free) struct json *object = scheduler_object(pod);

    if (pod->report_call != NULL || condition_is_set(object, reason, message))
        return;
    clock_rfc3339(clock_wall_ns(), now);
    /* the resourceVersion keeps a late answer from overwriting the PodScheduled=True of a pod bound meanwhile */
    body = json_build("{s:{s:s, s:s}, s:{s:[{s:s, s:s, s:s, s:s, s:s}]}}", "metadata", "uid", pod->uid,
                      "resourceVersion", version, "status", "conditions", "type", "PodScheduled", "status",
                      "False", "reason", reason, "message", message, "lastTransitionTime", now);
    const struct kube_request request = {.method = "PATCH", .path = path, .body = body,
                                         .content_type = KUBE_STRATEGIC_PATCH};
    pod->report_call = kube_start(pod->scheduler->client, &request, on_condition, pod);
}

bool report_is_due(const struct pod *pod)
{
    return pod->report_text == NULL || loop_now_ms(pod->scheduler->loop) - pod->report_ms >= CHANGE_MS;
}

void report_waiting(struct pod *pod, const char *reason, const char *message)
{
    int64_t now = loop_now_ms(pod->scheduler->loop);
    CLEANUP(json_free) struct json *object = scheduler_reference(pod);

    if (pod->report_text != NULL &&
        now - pod->report_ms < (streq(pod->report_text, message) ? REPEAT_MS : CHANGE_MS))
        return;
    free(pod->report_text);
    pod->report_text = xstrdup(message);
    pod->report_ms = now;
    log_info("pod waits", "pod", pod->key, "reason", reason, "message", message);
    kube_event(pod->scheduler->events, object, NULL, "Warning", "FailedScheduling", "%s", message);
    set_condition(pod, reason, message);
    profiles_error(pod->profile, pod->key, reason, message);
}

void report_lost(struct pod *pod)
{
    CLEANUP(json_free) struct json *object = scheduler_reference(pod);

    kube_event(pod->scheduler->events, object, NULL, "Warning", "HostLost",
               "Host %s has no heartbeat any more; the pod is deleted, so that its controller replaces it elsewhere",
               strempty(pod->host));
}

static void tell_soon(struct pod *pod)
{
    struct scheduler *scheduler = pod->scheduler;

    queue_add(&scheduler->to_tell, &pod->tell_item);
    if (scheduler->n_calls <= SCHEDULER_IDLE_CALLS)
        scheduler_poke(scheduler);
}

void report_scheduled(struct pod *pod)
{
    pod->tell_scheduled = true;
    tell_soon(pod);
}

void report_logging(struct pod *pod)
{
    pod->tell_logging = true;
    tell_soon(pod);
}

void report_told(struct pod *pod)
{
    CLEANUP(json_free) struct json *object = scheduler_reference(pod);
    struct kube_events *events = pod->scheduler->events;
    const struct node *node = observe_node_of(pod);

    if (pod->tell_logging)
        kube_event(events, object, NULL, "Warning", "LoggingDisabled",
                   "Disabled logging because aws-logging configmap was not found. configmap \"aws-logging\" not found");
    if (pod->tell_scheduled && node != NULL)
        kube_event(events, object, NULL, "Normal", "Scheduled", "Successfully assigned %s/%s to %s", pod->namespace,
                   pod->name, node->name);
    pod->tell_logging = pod->tell_scheduled = false;
}
