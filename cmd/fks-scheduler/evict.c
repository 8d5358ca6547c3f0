/*
 * evict.c: see evict.h. Every call names the pod's uid, so that a pod of the same name that came later is safe.
 */
#include "evict.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "report.h"

#define RETRY_MS 5000

static void on_evicted(struct json **answer UNUSED, struct err *err, void *data)
{
    struct pod *pod = data;

    scheduler_call_done(pod);
    pod->evict_after_ms = loop_now_ms(pod->scheduler->loop) + RETRY_MS;
    if (err->code == 0)
        log_info("pod evicted", "pod", pod->key);
    else if (err->code != ERR_NOT_FOUND) /* 429: a PodDisruptionBudget does not allow it yet */
        log_line(err->code == ERR_BUSY ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "a pod cannot be evicted yet", "pod",
                 pod->key, "error", err_text(err), NULL);
}

void evict_pod(struct pod *pod)
{
    if (pod->call != NULL || pod->deleting || loop_now_ms(pod->scheduler->loop) < pod->evict_after_ms)
        return;
    scheduler_call(pod, "POST", "eviction",
                   json_build("{s:s, s:s, s:{s:s, s:s}, s:{s:{s:s}}}", "apiVersion", "policy/v1", "kind", "Eviction",
                              "metadata", "name", pod->name, "namespace", pod->namespace, "deleteOptions",
                              "preconditions", "uid", pod->uid),
                   NULL, on_evicted);
}

static void on_deleted(struct json **answer UNUSED, struct err *err, void *data)
{
    struct pod *pod = data;

    scheduler_call_done(pod);
    pod->evict_after_ms = loop_now_ms(pod->scheduler->loop) + RETRY_MS;
    if (err->code != 0 && err->code != ERR_NOT_FOUND)
        log_warn("a pod of a dead host could not be deleted; trying again", "pod", pod->key, "error", err_text(err));
}

static void delete_now(struct pod *pod)
{
    scheduler_call(pod, "DELETE", NULL,
                   json_build("{s:s, s:s, s:i, s:{s:s}}", "kind", "DeleteOptions", "apiVersion", "v1",
                              "gracePeriodSeconds", 0, "preconditions", "uid", pod->uid),
                   NULL, on_deleted);
}

static void on_failed(struct json **answer UNUSED, struct err *err, void *data)
{
    struct pod *pod = data;

    scheduler_call_done(pod);
    if (err->code != 0 && err->code != ERR_NOT_FOUND)
        log_warn("a pod of a dead host could not be marked failed", "pod", pod->key, "error", err_text(err));
    delete_now(pod);
}

void evict_lost(struct pod *pod)
{
    CLEANUP(xfree) char *message = xasprintf("host %s has no heartbeat any more", strempty(pod->host));
    char now[CLOCK_TEXT_MAX];

    if (pod->call != NULL || loop_now_ms(pod->scheduler->loop) < pod->evict_after_ms)
        return;
    log_info("pod of a dead host is deleted", "pod", pod->key, "host", pod->host);
    if (pod->stage == POD_ENDED) {
        delete_now(pod);
        return;
    }
    report_lost(pod);
    clock_rfc3339(clock_wall_ns(), now);
    /* so that a Job or a person can tell a lost pod from one that failed */
    scheduler_call(pod, "PATCH", "status",
                   json_build("{s:{s:s}, s:{s:s, s:s, s:s, s:[{s:s, s:s, s:s, s:s, s:s}]}}", "metadata", "uid",
                              pod->uid, "status", "phase", "Failed", "reason", "HostLost", "message", message,
                              "conditions", "type", "DisruptionTarget", "status", "True", "reason", "HostLost",
                              "message", message, "lastTransitionTime", now),
                   KUBE_STRATEGIC_PATCH, on_failed);
}
