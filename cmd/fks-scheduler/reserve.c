/*
 * reserve.c: writes reservations. Every write carries the resourceVersion that the decision was made from: of two
 * schedulers, or of a stale cache and the truth, only one wins, and the other looks again. The local view counts a
 * reservation from the moment it is asked for until it is known to have failed: an answer that got lost must not let
 * another pod into the same room.
 */
#include "reserve.h"

#include "base/log.h"
#include "base/mem.h"
#include "fargate/names.h"
#include "ledger.h"
#include "report.h"
#include "room.h"

static void let_go(struct pod *pod)
{
    room_free(pod);
    scheduler_wake(pod->scheduler);
}

/* The newest state has arrived; if it shows no reservation, none was made. */
static void settle(struct pod *pod, const struct json *object)
{
    struct scheduler *scheduler = pod->scheduler;

    queue_failed(&scheduler->to_place, &pod->place_item, loop_now_ms(scheduler->loop));
    observe_pod(pod, object);
    if (pod->stage == POD_WAITING)
        let_go(pod);
    scheduler_poke(scheduler);
}

static void on_looked(struct json **answer, struct err *err, void *data)
{
    struct pod *pod = data;

    scheduler_call_done(pod);
    if (err->code == 0) {
        settle(pod, *answer);
    } else if (err->code == ERR_NOT_FOUND) {
        let_go(pod); /* the watch will say so too */
    } else {
        log_warn("a pod could not be read after a failed reservation", "pod", pod->key, "error", err_text(err));
        /* the room stays taken; the retry finds out what became of it */
        queue_failed(&pod->scheduler->to_place, &pod->place_item, loop_now_ms(pod->scheduler->loop));
        scheduler_poke(pod->scheduler);
    }
}

void reserve_look(struct pod *pod)
{
    scheduler_call(pod, "GET", NULL, NULL, NULL, on_looked);
}

static void on_reserved(struct json **answer, struct err *err, void *data)
{
    struct pod *pod = data;
    struct scheduler *scheduler = pod->scheduler;

    scheduler_call_done(pod);
    if (err->code != 0) {
        metric_add(scheduler->conflicts, 1);
        log_line(err->code == ERR_CONFLICT ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "a reservation was not made", "pod",
                 pod->key, "error", err_text(err), NULL);
        reserve_look(pod);
        return;
    }
    metric_add(scheduler->reservations, 1);
    log_info("host reserved", "pod", pod->key, "host", json_str(*answer, "metadata", "labels", FKS_HOST_LABEL, NULL),
             "size", json_str(*answer, "metadata", "annotations", FARGATE_CAPACITY_ANNOTATION, NULL));
    report_logging(pod);
    observe_pod(pod, *answer);
    scheduler_poke(scheduler);
}

void reserve_start(struct pod *pod, const char *host, const struct fargate_size *size)
{
    room_take(pod, host, size);
    ledger_ask(pod);
}

void reserve_granted(struct pod *pod)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(xfree) char *version = xasprintf("%llu", (unsigned long long)pod->version);

    if (pod->stage != POD_WAITING || pod->held.host == NULL)
        return; /* it has a host, or has ended: its entry will be taken out, if need be */
    if (pod->deleting) {
        let_go(pod);
        return;
    }
    if (pod->call != NULL) { /* it is being evicted; should that fail, it is placed anew */
        reserve_refused(pod);
        return;
    }
    if (pod->version != pod->asked_version) { /* an entry is good for one version only */
        ledger_ask(pod);
        return;
    }
    fargate_size_print(&pod->held.size, &text);
    scheduler_call(pod, "PATCH", NULL,
                   json_build("{s:{s:s, s:s, s:{s:s}, s:{s:s, s:s}}}", "metadata", "uid", pod->uid, "resourceVersion",
                              version, "labels", FKS_HOST_LABEL, pod->held.host->name, "annotations",
                              FARGATE_CAPACITY_ANNOTATION, buf_text(&text), "Logging",
                              "LoggingDisabled: LOGGING_CONFIGMAP_NOT_FOUND"),
                   KUBE_MERGE_PATCH, on_reserved);
}

void reserve_refused(struct pod *pod)
{
    struct scheduler *scheduler = pod->scheduler;

    if (pod->stage != POD_WAITING)
        return;
    let_go(pod);
    if (!pod->deleting)
        queue_failed(&scheduler->to_place, &pod->place_item, loop_now_ms(scheduler->loop));
    scheduler_poke(scheduler);
}

static void on_undone(struct json **answer, struct err *err, void *data)
{
    struct pod *pod = data;

    scheduler_call_done(pod);
    if (err->code != 0) { /* the next tick finds the host still dead and tries again */
        if (err->code != ERR_CONFLICT && err->code != ERR_NOT_FOUND)
            log_warn("a reservation could not be released", "pod", pod->key, "error", err_text(err));
        return;
    }
    metric_add(pod->scheduler->releases, 1);
    observe_pod(pod, *answer);
    scheduler_poke(pod->scheduler);
}

void reserve_undo(struct pod *pod, const char *why)
{
    if (pod->call != NULL || pod->stage != POD_RESERVED)
        return;
    CLEANUP(xfree) char *version = xasprintf("%llu", (unsigned long long)pod->version);
    log_info("the reservation is taken back; the pod is placed anew", "pod", pod->key, "host", pod->host, "because", why);
    scheduler_call(pod, "PATCH", NULL,
                   json_build("{s:{s:s, s:s, s:{s:o}, s:{s:o}}}", "metadata", "uid", pod->uid, "resourceVersion",
                              version, "labels", FKS_HOST_LABEL, json_new_null(), "annotations",
                              FARGATE_CAPACITY_ANNOTATION, json_new_null()),
                   KUBE_MERGE_PATCH, on_undone);
}
