/*
 * bind.c: POST pods/binding. The uid in it keeps a pod of the same name that came later from getting the Node; the API
 * server keeps a pod from being bound twice.
 */
#include "bind.h"

#include "base/log.h"
#include "base/mem.h"
#include "report.h"

static void on_bound(struct json **answer, struct err *err, void *data)
{
    struct pod *pod = data;
    struct scheduler *scheduler = pod->scheduler;
    const struct node *node = observe_node_of(pod);

    (void)answer;
    scheduler_call_done(pod);
    if (err->code == 0) {
        metric_add(scheduler->bindings, 1);
        pod->binding_made = true;
        measure_bound(pod);
        log_info("pod bound", "pod", pod->key, "node", node != NULL ? node->name : NULL);
        report_scheduled(pod);
        return; /* the watch brings the new stage */
    }
    /* a conflict is news that the watch brings as well; trying again costs little if it is late */
    log_line(err->code == ERR_CONFLICT || err->code == ERR_NOT_FOUND ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN,
             "a pod could not be bound", "pod", pod->key, "error", err_text(err), NULL);
    queue_failed(&scheduler->to_bind, &pod->bind_item, loop_now_ms(scheduler->loop));
    scheduler_poke(scheduler);
}

void bind_try(struct pod *pod)
{
    struct scheduler *scheduler = pod->scheduler;
    const struct node *node = observe_node_of(pod);
    const struct host *host = pod->host != NULL ? hosts_find(&scheduler->hosts, pod->host) : NULL;

    if (pod->stage != POD_RESERVED || pod->deleting || pod->binding_made || pod->call != NULL || !scheduler_acts(scheduler))
        return;
    if (node == NULL || !node->ready || pod->bind_item.state == QUEUE_WAITING)
        return;
    /* over: two replicas may have given away the same room; sweep.c takes one of the reservations back first */
    if (host == NULL || scheduler_host_state(scheduler, host) == HOST_DEAD || hosts_is_over(host))
        return;
    if (!scheduler_may_call(scheduler)) {
        queue_add(&scheduler->to_bind, &pod->bind_item);
        return;
    }
    queue_remove(&scheduler->to_bind, &pod->bind_item);
    scheduler_call(pod, "POST", "binding",
                   json_build("{s:s, s:s, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s}}", "apiVersion", "v1", "kind", "Binding",
                              "metadata", "name", pod->name, "namespace", pod->namespace, "uid", pod->uid, "target",
                              "apiVersion", "v1", "kind", "Node", "name", node->name),
                   NULL, on_bound);
}
