/*
 * measure.c: metrics. Counters and histograms are fed where things happen; gauges are set just before they are printed.
 */
#include "base/map.h"
#include "scheduler.h"

static struct metric *stage_seconds(struct scheduler *scheduler, const char *stage)
{
    return metrics_get(scheduler->metrics, METRIC_HISTOGRAM, "fks_scheduler_pod_seconds",
                       "Time of pods on their way: queue: first seen to reserved; node: to its Node being Ready; bind: to "
                       "bound; all: first seen to bound.", "stage", stage, NULL);
}

void measure_init(struct scheduler *scheduler)
{
    struct metrics *metrics = scheduler->metrics;

    scheduler->decisions = metrics_get(metrics, METRIC_COUNTER, "fks_scheduler_decisions_total",
                                       "Choices of a host for a pod.", NULL);
    scheduler->decision_seconds = metrics_get(metrics, METRIC_HISTOGRAM, "fks_scheduler_decision_seconds",
                                              "Time of one choice.", NULL);
    scheduler->reservations = metrics_get(metrics, METRIC_COUNTER, "fks_scheduler_reservations_total",
                                          "Pods given a host.", NULL);
    scheduler->conflicts = metrics_get(metrics, METRIC_COUNTER, "fks_scheduler_reservations_failed_total",
                                       "Reservations that the API server refused or that got lost.", NULL);
    scheduler->releases = metrics_get(metrics, METRIC_COUNTER, "fks_scheduler_reservations_undone_total",
                                      "Reservations taken back because the host died or was promised twice.", NULL);
    scheduler->ledger_writes = metrics_get(metrics, METRIC_COUNTER, "fks_scheduler_ledger_writes_total",
                                           "Changes of the reservations in the status of FargateHosts.", NULL);
    scheduler->ledger_conflicts = metrics_get(metrics, METRIC_COUNTER, "fks_scheduler_ledger_conflicts_total",
                                              "Those that came too late, since somebody else had changed the object.",
                                              NULL);
    scheduler->bindings = metrics_get(metrics, METRIC_COUNTER, "fks_scheduler_bindings_total",
                                      "Pods bound to their Nodes.", NULL);
    scheduler->seconds_to_reserve = stage_seconds(scheduler, "queue");
    scheduler->seconds_to_node = stage_seconds(scheduler, "node");
    scheduler->seconds_to_bind = stage_seconds(scheduler, "bind");
    scheduler->seconds_in_all = stage_seconds(scheduler, "all");
}

/* 0 stands for a moment that this replica has not seen. */
static void observe_between(struct metric *metric, int64_t from_ms, int64_t to_ms)
{
    if (from_ms > 0 && to_ms >= from_ms)
        metric_observe(metric, (double)(to_ms - from_ms) / 1000);
}

void measure_bound(const struct pod *pod)
{
    const struct scheduler *scheduler = pod->scheduler;
    int64_t now = loop_now_ms(scheduler->loop);

    observe_between(scheduler->seconds_to_reserve, pod->waiting_ms, pod->reserved_ms);
    observe_between(scheduler->seconds_to_node, pod->reserved_ms, pod->node_ms);
    observe_between(scheduler->seconds_to_bind, pod->node_ms, now);
    observe_between(scheduler->seconds_in_all, pod->waiting_ms, now);
}

void measure_refusal(struct scheduler *scheduler, const char *reason)
{
    metric_add(metrics_get(scheduler->metrics, METRIC_COUNTER, "fks_scheduler_refusals_total",
                           "Tries that ended with a pod waiting, by reason.", "reason", reason, NULL), 1);
}

static void set(struct scheduler *scheduler, const char *name, const char *help, const char *key, const char *value,
                double number)
{
    metric_set(key != NULL ? metrics_get(scheduler->metrics, METRIC_GAUGE, name, help, key, value, NULL)
                           : metrics_get(scheduler->metrics, METRIC_GAUGE, name, help, NULL), number);
}

static void set_of_host(struct scheduler *scheduler, const struct host *host, const char *resource, double offered,
                        double used)
{
    const char *zone = host->kind->zone != NULL ? host->kind->zone : "";

    metric_set(metrics_get(scheduler->metrics, METRIC_GAUGE, "fks_scheduler_capacity",
                           "What each host offers: vCPU, bytes of memory, pods.", "host", host->name, "zone", zone,
                           "resource", resource, NULL), offered);
    metric_set(metrics_get(scheduler->metrics, METRIC_GAUGE, "fks_scheduler_used", "What is taken of it.", "host",
                           host->name, "zone", zone, "resource", resource, NULL), used);
}

static void measure_hosts(struct scheduler *scheduler)
{
    static const char *const states[] = {"open", "gone", "dead", "not_ready", "pressed", "cordoned"};
    double hosts[countof(states)] = {0};
    struct host *host;

    for (size_t i = 0; hosts_next(&scheduler->hosts, &i, &host);) {
        const struct host_kind *kind = host->kind;

        hosts[scheduler_host_state(scheduler, host)]++;
        if (kind == NULL)
            continue;
        set_of_host(scheduler, host, "cpu", (double)kind->cpu_m / 1000, (double)host->used_cpu_m / 1000);
        set_of_host(scheduler, host, "memory", (double)kind->mem_b, (double)host->used_mem_b);
        set_of_host(scheduler, host, "pods", (double)kind->pods, (double)host->used_pods);
    }
    for (size_t i = 0; i < countof(states); i++)
        set(scheduler, "fks_scheduler_hosts", "Hosts by state.", "state", states[i], hosts[i]);
}

void scheduler_measure(struct scheduler *scheduler)
{
    static const char *const stages[] = {"new", "waiting", "reserved", "bound", "ended"};
    double pods[countof(stages)] = {0};
    const char *key;
    void *value;

    for (size_t i = 0; map_next(&scheduler->pods, &i, &key, &value);)
        pods[((struct pod *)value)->stage]++;
    for (size_t i = POD_WAITING; i < countof(stages); i++)
        set(scheduler, "fks_scheduler_pods", "Serverless pods by stage.", "stage", stages[i], pods[i]);
    measure_hosts(scheduler);
    set(scheduler, "fks_scheduler_queue_length", "Entries waiting for a try.", "queue", "place",
        (double)scheduler->to_place.n);
    set(scheduler, "fks_scheduler_queue_length", "Entries waiting for a try.", "queue", "bind",
        (double)scheduler->to_bind.n);
    set(scheduler, "fks_scheduler_leading", "1 if this replica acts.", NULL, NULL, scheduler_acts(scheduler));
}
