/*
 * describe_workload.c: what makes pods: deployments, replica sets, daemon sets, stateful sets, jobs.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "describe/describe.h"

static long long status_int(const struct describe *describe, const char *field)
{
    return json_int_or(0, describe->object, "status", field, NULL);
}

static void describe_selector_line(struct describe *describe)
{
    CLEANUP(buf_done) struct buf text = {0};
    describe_selector(json_get(describe->object, "spec", "selector", NULL), &text);
    describe_write(describe, 0, "Selector:\t%s\n", buf_text(&text));
}

static void describe_conditions(struct describe *describe)
{
    const struct json *condition, *conditions = json_get(describe->object, "status", "conditions", NULL);
    if (json_len(conditions) == 0)
        return;
    describe_write(describe, 0, "Conditions:\n  Type\tStatus\tReason\n");
    describe_write(describe, 1, "----\t------\t------\n");
    json_each(condition, conditions)
        describe_write(describe, 1, "%s \t%s\t%s\n", json_str_or("", condition, "type", NULL),
                       json_str_or("", condition, "status", NULL), json_str_or("", condition, "reason", NULL));
}

static bool is_owned(const struct json *object, const struct json *owner)
{
    const struct json *reference;
    json_each(reference, json_get(object, "metadata", "ownerReferences", NULL)) {
        if (json_is_true(reference, "controller", NULL) &&
            streq(json_str(reference, "uid", NULL), json_str(owner, "metadata", "uid", NULL)))
            return true;
    }
    return false;
}

static void describe_pods_status(struct describe *describe)
{
    static const char *const phases[] = {"Running", "Pending", "Succeeded", "Failed"};
    size_t counts[countof(phases)] = {0};
    const struct json *pod;
    json_each(pod, json_get(describe->related, "pods", NULL)) {
        for (size_t i = 0; i < countof(phases) && is_owned(pod, describe->object); i++)
            counts[i] += streq(json_str(pod, "status", "phase", NULL), phases[i]);
    }
    describe_write(describe, 0, "Pods Status:\t%zu Running / %zu Waiting / %zu Succeeded / %zu Failed\n", counts[0],
                   counts[1], counts[2], counts[3]);
}

/* --- deployments */

static bool same_template(const struct json *deployment, const struct json *replica_set)
{
    CLEANUP(json_free) struct json *mine = json_clone(json_get(deployment, "spec", "template", NULL));
    CLEANUP(json_free) struct json *its = json_clone(json_get(replica_set, "spec", "template", NULL));
    json_del(json_edit(its, "metadata", "labels", NULL), "pod-template-hash");
    json_del(json_edit(mine, "metadata", "labels", NULL), "pod-template-hash");
    return json_same(mine, its);
}

static void add_replica_set(const struct json *replica_set, struct buf *out)
{
    buf_printf(out, "%s%s (%lld/%lld replicas created)", out->len > 0 ? ", " : "",
               json_str_or("", replica_set, "metadata", "name", NULL),
               (long long)json_int_or(0, replica_set, "status", "replicas", NULL),
               (long long)json_int_or(0, replica_set, "spec", "replicas", NULL));
}

static void describe_replica_sets(struct describe *describe)
{
    CLEANUP(buf_done) struct buf old = {0}, new = {0};
    const struct json *replica_set;
    json_each(replica_set, json_get(describe->related, "replicaSets", NULL)) {
        if (!is_owned(replica_set, describe->object))
            continue;
        if (new.len == 0 && same_template(describe->object, replica_set))
            add_replica_set(replica_set, &new);
        else
            add_replica_set(replica_set, &old);
    }
    if (old.len == 0 && new.len == 0)
        return;
    describe_write(describe, 0, "OldReplicaSets:\t%s\n", old.len > 0 ? buf_text(&old) : "<none>");
    describe_write(describe, 0, "NewReplicaSet:\t%s\n", new.len > 0 ? buf_text(&new) : "<none>");
}

void describe_deployment(struct describe *describe)
{
    const struct json *spec = json_get(describe->object, "spec", NULL);
    const struct json *rolling = json_get(spec, "strategy", "rollingUpdate", NULL);
    describe_head(describe);
    describe_time_field(describe, 0, "CreationTimestamp",
                        json_str(describe->object, "metadata", "creationTimestamp", NULL));
    describe_labels(describe);
    describe_selector_line(describe);
    describe_write(describe, 0,
                   "Replicas:\t%lld desired | %lld updated | %lld total | %lld available | %lld unavailable\n",
                   (long long)json_int_or(0, spec, "replicas", NULL), status_int(describe, "updatedReplicas"),
                   status_int(describe, "replicas"), status_int(describe, "availableReplicas"),
                   status_int(describe, "unavailableReplicas"));
    describe_write(describe, 0, "StrategyType:\t%s\n", json_str_or("", spec, "strategy", "type", NULL));
    describe_write(describe, 0, "MinReadySeconds:\t%lld\n", (long long)json_int_or(0, spec, "minReadySeconds", NULL));
    if (rolling != NULL) {
        CLEANUP(buf_done) struct buf unavailable = {0}, surge = {0};
        describe_scalar(json_get(rolling, "maxUnavailable", NULL), &unavailable);
        describe_scalar(json_get(rolling, "maxSurge", NULL), &surge);
        describe_write(describe, 0, "RollingUpdateStrategy:\t%s max unavailable, %s max surge\n",
                       buf_text(&unavailable), buf_text(&surge));
    }
    describe_pod_template(describe, json_get(spec, "template", NULL));
    describe_conditions(describe);
    describe_replica_sets(describe);
    describe_events(describe);
}

void describe_replica_set(struct describe *describe)
{
    const struct json *spec = json_get(describe->object, "spec", NULL);
    describe_head(describe);
    describe_selector_line(describe);
    describe_labels(describe);
    describe_controller(describe);
    describe_write(describe, 0, "Replicas:\t%lld current / %lld desired\n", status_int(describe, "replicas"),
                   (long long)json_int_or(0, spec, "replicas", NULL));
    describe_pods_status(describe);
    describe_pod_template(describe, json_get(spec, "template", NULL));
    describe_conditions(describe);
    describe_events(describe);
}

void describe_replication_controller(struct describe *describe)
{
    const struct json *spec = json_get(describe->object, "spec", NULL);
    describe_head(describe);
    describe_selector_line(describe);
    describe_labels(describe);
    describe_write(describe, 0, "Replicas:\t%lld current / %lld desired\n", status_int(describe, "replicas"),
                   (long long)json_int_or(0, spec, "replicas", NULL));
    describe_pods_status(describe);
    describe_pod_template(describe, json_get(spec, "template", NULL));
    describe_conditions(describe);
    describe_events(describe);
}

void describe_daemon_set(struct describe *describe)
{
    const struct json *spec = json_get(describe->object, "spec", NULL);
    CLEANUP(buf_done) struct buf nodes = {0};
    describe_selector(json_get(spec, "template", "spec", "nodeSelector", NULL), &nodes);
    describe_head(describe);
    describe_selector_line(describe);
    describe_write(describe, 0, "Node-Selector:\t%s\n", buf_text(&nodes));
    describe_labels(describe);
    describe_write(describe, 0, "Desired Number of Nodes Scheduled: %lld\n",
                   status_int(describe, "desiredNumberScheduled"));
    describe_write(describe, 0, "Current Number of Nodes Scheduled: %lld\n",
                   status_int(describe, "currentNumberScheduled"));
    describe_write(describe, 0, "Number of Nodes Scheduled with Up-to-date Pods: %lld\n",
                   status_int(describe, "updatedNumberScheduled"));
    describe_write(describe, 0, "Number of Nodes Scheduled with Available Pods: %lld\n",
                   status_int(describe, "numberAvailable"));
    describe_write(describe, 0, "Number of Nodes Misscheduled: %lld\n", status_int(describe, "numberMisscheduled"));
    describe_pods_status(describe);
    describe_pod_template(describe, json_get(spec, "template", NULL));
    describe_events(describe);
}

static void describe_claim_templates(struct describe *describe, const struct json *templates)
{
    const struct json *claim, *mode;
    describe_write(describe, 0, "Volume Claims:%s\n", json_len(templates) == 0 ? "\t<none>" : "");
    json_each(claim, templates) {
        CLEANUP(buf_done) struct buf modes = {0};
        json_each(mode, json_get(claim, "spec", "accessModes", NULL))
            buf_printf(&modes, "%s%s", mode_index > 0 ? " " : "", strempty(json_string_value(mode)));
        describe_write(describe, 1, "Name:\t%s\n", json_str_or("", claim, "metadata", "name", NULL));
        describe_write(describe, 1, "StorageClass:\t%s\n", json_str_or("", claim, "spec", "storageClassName", NULL));
        describe_map(describe, "  Labels", json_get(claim, "metadata", "labels", NULL));
        describe_map(describe, "  Annotations", json_get(claim, "metadata", "annotations", NULL));
        describe_write(describe, 1, "Capacity:\t%s\n",
                       json_str_or("<default>", claim, "spec", "resources", "requests", "storage", NULL));
        describe_write(describe, 1, "Access Modes:\t[%s]\n", buf_text(&modes));
    }
}

void describe_stateful_set(struct describe *describe)
{
    const struct json *spec = json_get(describe->object, "spec", NULL);
    const struct json *partition = json_get(spec, "updateStrategy", "rollingUpdate", "partition", NULL);
    describe_head(describe);
    describe_time_field(describe, 0, "CreationTimestamp",
                        json_str(describe->object, "metadata", "creationTimestamp", NULL));
    describe_selector_line(describe);
    describe_labels(describe);
    describe_write(describe, 0, "Replicas:\t%lld desired | %lld total\n",
                   (long long)json_int_or(0, spec, "replicas", NULL), status_int(describe, "replicas"));
    describe_write(describe, 0, "Update Strategy:\t%s\n", json_str_or("", spec, "updateStrategy", "type", NULL));
    if (partition != NULL)
        describe_write(describe, 1, "Partition:\t%lld\n", (long long)json_int_value(partition));
    describe_pods_status(describe);
    describe_pod_template(describe, json_get(spec, "template", NULL));
    describe_claim_templates(describe, json_get(spec, "volumeClaimTemplates", NULL));
    describe_events(describe);
}

/* --- jobs */

void describe_cron_job(struct describe *describe)
{
    static const struct describe_field schedule[] = {
        {0, "Schedule", "schedule", SHOW_EMPTY, AS_TEXT},
        {0, "Concurrency Policy", "concurrencyPolicy", SHOW_EMPTY, AS_TEXT},
        {0, "Suspend", "suspend", SHOW_UNSET, AS_TITLE},
        {0, "Time Zone", "timeZone", SHOW_UNSET, AS_TEXT},
        {0, "Successful Job History Limit", "successfulJobsHistoryLimit", SHOW_UNSET, AS_TEXT},
        {0, "Failed Job History Limit", "failedJobsHistoryLimit", SHOW_UNSET, AS_TEXT},
        {0, "Starting Deadline Seconds", "startingDeadlineSeconds", SHOW_UNSET, AS_SECONDS},
        {0, "Selector", "jobTemplate.spec.selector", SHOW_UNSET, AS_LABELS},
        {0, "Parallelism", "jobTemplate.spec.parallelism", SHOW_UNSET, AS_TEXT},
        {0, "Completions", "jobTemplate.spec.completions", SHOW_UNSET, AS_TEXT},
        {0, "Active Deadline Seconds", "jobTemplate.spec.activeDeadlineSeconds", SKIP_LINE, AS_SECONDS},
        {0}};
    static const struct describe_field last[] = {
        {0, "Last Schedule Time", "status.lastScheduleTime", SHOW_UNSET, AS_TIME}, {0}};
    const struct json *spec = json_get(describe->object, "spec", NULL), *job;
    CLEANUP(buf_done) struct buf active = {0};
    json_each(job, json_get(describe->object, "status", "active", NULL))
        buf_printf(&active, "%s%s", job_index > 0 ? ", " : "", json_str_or("", job, "name", NULL));
    describe_head(describe);
    describe_labels(describe);
    describe_fields(describe, schedule, spec);
    describe_pod_template(describe, json_get(spec, "jobTemplate", "spec", "template", NULL));
    describe_fields(describe, last, describe->object);
    describe_write(describe, 0, "Active Jobs:\t%s\n", describe_or(buf_text(&active), "<none>"));
    describe_events(describe);
}

static void describe_optional(struct describe *describe, const char *title, const struct json *value,
                              const char *suffix)
{
    if (value == NULL)
        return;
    CLEANUP(buf_done) struct buf text = {0};
    describe_scalar(value, &text);
    describe_write(describe, 0, "%s:\t%s%s\n", title, buf_text(&text), suffix);
}

static void describe_job_times(struct describe *describe)
{
    const char *start = json_str(describe->object, "status", "startTime", NULL);
    const char *end = json_str(describe->object, "status", "completionTime", NULL);
    int64_t start_ns = 0, end_ns = 0;
    CLEANUP(err_clear) struct err bad_start = {0}, bad_end = {0};
    if (start != NULL)
        describe_time_field(describe, 0, "Start Time", start);
    if (end != NULL)
        describe_time_field(describe, 0, "Completed At", end);
    if (start == NULL || end == NULL || clock_parse(start, &start_ns, &bad_start) < 0 ||
        clock_parse(end, &end_ns, &bad_end) < 0)
        return;
    char duration[CLOCK_TEXT_MAX];
    clock_human_duration((end_ns - start_ns) / 1000000000, duration);
    describe_write(describe, 0, "Duration:\t%s\n", duration);
}

void describe_job(struct describe *describe)
{
    const struct json *spec = json_get(describe->object, "spec", NULL),
                      *completions = json_get(spec, "completions", NULL);
    const struct json *ready = json_get(describe->object, "status", "ready", NULL);
    describe_head(describe);
    describe_selector_line(describe);
    describe_labels(describe);
    describe_controller(describe);
    describe_optional(describe, "Parallelism", json_get(spec, "parallelism", NULL), "");
    describe_optional(describe, "Completions", completions, "");
    if (completions == NULL)
        describe_write(describe, 0, "Completions:\t<unset>\n");
    describe_optional(describe, "Completion Mode", json_get(spec, "completionMode", NULL), "");
    describe_optional(describe, "Suspend", json_get(spec, "suspend", NULL), "");
    describe_optional(describe, "Backoff Limit", json_get(spec, "backoffLimit", NULL), "");
    describe_optional(describe, "TTL Seconds After Finished", json_get(spec, "ttlSecondsAfterFinished", NULL), "");
    describe_job_times(describe);
    describe_optional(describe, "Active Deadline Seconds", json_get(spec, "activeDeadlineSeconds", NULL), "s");
    describe_write(describe, 0, "Pods Statuses:\t%lld Active", status_int(describe, "active"));
    if (ready != NULL)
        describe_write(describe, 0, " (%lld Ready)", (long long)json_int_value(ready));
    describe_write(describe, 0, " / %lld Succeeded / %lld Failed\n", status_int(describe, "succeeded"),
                   status_int(describe, "failed"));
    if (streq(json_str(spec, "completionMode", NULL), "Indexed")) {
        const char *indexes = json_str_or("<none>", describe->object, "status", "completedIndexes", NULL);
        size_t shown = strlen(indexes), soft_limit = 50;
        if (shown > soft_limit)
            shown = soft_limit + strcspn(indexes + soft_limit, ",");
        bool cut = indexes[shown] != '\0';
        describe_write(describe, 0, "Completed Indexes:\t%.*s%s\n", (int)shown + cut, indexes, cut ? "..." : "");
    }
    describe_pod_template(describe, json_get(spec, "template", NULL));
    describe_events(describe);
}
