/*
 * describe_policy.c: what limits, ranks and scales pods: limit ranges, quotas, disruption budgets, priority classes,
 * autoscalers.
 */
#include "base/mem.h"
#include "data/quantity.h"
#include "describe/describe.h"
#include "text/gotext.h"

/* --- quotas and ranges; namespaces show them too, indented */

static const char *scope_help(const char *scope)
{
    static const char *const texts[][2] = {
        {"Terminating",
         "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before "
         "being actively terminated by the system."},
        {"NotTerminating",
         "Matches all pods that do not have an active deadline. These pods usually include long running "
         "pods whose container command is not expected to terminate."},
        {"BestEffort",
         "Matches all pods that do not have resource requirements set. These pods have a best effort quality "
         "of service."},
        {"NotBestEffort",
         "Matches all pods that have at least one resource requirement set. These pods have a burstable or "
         "guaranteed quality of service."}};
    for (size_t i = 0; i < countof(texts); i++) {
        if (streq(texts[i][0], scope))
            return texts[i][1];
    }
    return NULL;
}

static void describe_scopes(struct describe *describe, int level, const char *bullet, const struct json *scopes)
{
    CLEANUP(strv_done) struct strv names = {0};
    const struct json *scope;
    json_each(scope, scopes)
        strv_add(&names, strempty(json_string_value(scope)));
    if (names.n == 0)
        return;
    strv_sort(&names);
    CLEANUP(xfree) char *joined = strv_join(&names, ", ");
    describe_write(describe, level, "Scopes:\t%s\n", joined);
    for (size_t i = 0; i < names.n; i++) {
        if (scope_help(names.items[i]) != NULL)
            describe_write(describe, level, "%s %s\n", bullet, scope_help(names.items[i]));
    }
}

/* The used amount in the units of the hard one: decimal or binary. */
static void print_used(const struct json *used, const char *hard, bool same_units, struct buf *out)
{
    int64_t units = 0;
    CLEANUP(err_clear) struct err no_number = {0};
    if (used == NULL) {
        buf_add_char(out, '0');
        return;
    }
    describe_scalar(used, out);
    if (!same_units || ends_with(buf_text(out), "i") == ends_with(hard, "i") ||
        quantity_parse_units(buf_text(out), &units, &no_number) < 0)
        return;
    buf_clear(out);
    if (ends_with(hard, "i") && (units >= 1024 || units <= -1024))
        quantity_print_bytes(units, out);
    else
        quantity_print_milli(units * 1000, out);
}

void describe_quota_part(struct describe *describe, int level, const struct json *quota, bool in_namespace)
{
    CLEANUP(strv_done) struct strv names = {0};
    const struct json *hard = json_get(quota, "status", "hard", NULL), *used = json_get(quota, "status", "used", NULL);
    gotext_keys(hard, &names);
    describe_scopes(describe, level, in_namespace ? "*" : " *", json_get(quota, "spec", "scopes", NULL));
    describe_write(describe, level, "Resource\tUsed\tHard\n");
    describe_write(describe, level, in_namespace ? "--------\t---\t---\n" : "--------\t----\t----\n");
    for (size_t i = 0; i < names.n; i++) {
        CLEANUP(buf_done) struct buf used_text = {0}, hard_text = {0};
        describe_scalar(json_member(hard, names.items[i]), &hard_text);
        print_used(json_member(used, names.items[i]), buf_text(&hard_text), !in_namespace, &used_text);
        describe_write(describe, level, "%s\t%s\t%s\n", names.items[i], buf_text(&used_text), buf_text(&hard_text));
    }
}

void describe_resource_quota(struct describe *describe)
{
    describe_head(describe);
    describe_quota_part(describe, 0, describe->object, false);
}

static void describe_limit(struct describe *describe, const char *indent, const struct json *limit)
{
    static const char *const columns[] = {"min", "max", "defaultRequest", "default", "maxLimitRequestRatio"};
    CLEANUP(strv_done) struct strv all = {0}, names = {0};
    for (size_t i = 0; i < countof(columns); i++)
        gotext_keys(json_get(limit, columns[i], NULL), &all);
    strv_sort(&all);
    for (size_t i = 0; i < all.n; i++) {
        if (!strv_has(&names, all.items[i]))
            strv_add(&names, all.items[i]);
    }
    for (size_t i = 0; i < names.n; i++) {
        describe_write(describe, 0, "%s%s\t%s", indent, json_str_or("", limit, "type", NULL), names.items[i]);
        for (size_t j = 0; j < countof(columns); j++) {
            CLEANUP(buf_done) struct buf text = {0};
            const struct json *value = json_get(limit, columns[j], names.items[i], NULL);
            if (value != NULL)
                describe_scalar(value, &text);
            describe_write(describe, 0, "\t%s", describe_or(buf_text(&text), "-"));
        }
        describe_write(describe, 0, "\n");
    }
}

void describe_limits_head(struct describe *describe, const char *indent)
{
    describe_write(describe, 0, "%sType\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio\n",
                   indent);
    describe_write(describe, 0, "%s----\t--------\t---\t---\t---------------\t-------------\t-----------------------\n",
                   indent);
}

void describe_limits_part(struct describe *describe, const char *indent, const struct json *range)
{
    const struct json *limit;
    json_each(limit, json_get(range, "spec", "limits", NULL))
        describe_limit(describe, indent, limit);
}

void describe_limit_range(struct describe *describe)
{
    describe_head(describe);
    describe_limits_head(describe, "");
    describe_limits_part(describe, "", describe->object);
}

/* --- disruption budgets, priorities */

void describe_disruption_budget(struct describe *describe)
{
    const struct json *spec = json_get(describe->object, "spec", NULL), *selector = json_get(spec, "selector", NULL);
    const struct json *min = json_get(spec, "minAvailable", NULL), *max = json_get(spec, "maxUnavailable", NULL);
    CLEANUP(buf_done) struct buf amount = {0}, text = {0};
    static const struct describe_field counts[] = {
        {2, "Allowed disruptions", "status.disruptionsAllowed", SHOW_ZERO, AS_TEXT},
        {2, "Current", "status.currentHealthy", SHOW_ZERO, AS_TEXT},
        {2, "Desired", "status.desiredHealthy", SHOW_ZERO, AS_TEXT},
        {2, "Total", "status.expectedPods", SHOW_ZERO, AS_TEXT},
        {0}};
    describe_head(describe);
    if (min != NULL || max != NULL) {
        describe_scalar(min != NULL ? min : max, &amount);
        describe_write(describe, 0, "%s:\t%s\n", min != NULL ? "Min available" : "Max unavailable", buf_text(&amount));
    }
    describe_selector(selector, &text);
    describe_write(describe, 0, "Selector:\t%s\n", selector != NULL ? buf_text(&text) : "<unset>");
    describe_write(describe, 0, "Status:\n");
    describe_fields(describe, counts, describe->object);
    describe_events(describe);
}

void describe_priority_class(struct describe *describe)
{
    static const struct describe_field fields[] = {{0, "Name", "metadata.name", SHOW_EMPTY, AS_TEXT},
                                                   {0, "Value", "value", SHOW_ZERO, AS_TEXT},
                                                   {0, "GlobalDefault", "globalDefault", SHOW_FALSE, AS_TEXT},
                                                   {0, "PreemptionPolicy", "preemptionPolicy", SHOW_EMPTY, AS_TEXT},
                                                   {0, "Description", "description", SHOW_EMPTY, AS_TEXT},
                                                   {0, "Annotations", "metadata.annotations", SHOW_NONE, AS_LABELS},
                                                   {0}};
    describe_fields(describe, fields, describe->object);
    describe_events(describe);
}

/* --- autoscalers */

/* A quantity of a metric; "<nil>" when the server has none, as Go says it. */
static void add_amount(const struct json *amount, struct buf *out)
{
    if (amount == NULL)
        buf_add_str(out, "<nil>");
    else
        describe_scalar(amount, out);
}

/* "10% (5m)" of a resource metric's current state. */
static void add_utilization(const struct json *current, struct buf *out)
{
    const struct json *percent = json_get(current, "averageUtilization", NULL);
    if (percent == NULL) {
        buf_add_str(out, "<unknown>");
        return;
    }
    buf_printf(out, "%lld%% (", (long long)json_int_value(percent));
    add_amount(json_get(current, "averageValue", NULL), out);
    buf_add_char(out, ')');
}

static void describe_resource_metric(struct describe *describe, const struct json *metric, const struct json *current)
{
    const struct json *target = json_get(metric, "target", NULL), *average = json_get(target, "averageValue", NULL);
    const struct json *percent = json_get(target, "averageUtilization", NULL),
                      *now = json_get(current, "current", NULL);
    const char *container = json_str(metric, "container", NULL);
    CLEANUP(buf_done) struct buf is = {0}, wanted = {0};
    describe_write(describe, 1, "resource %s", json_str_or("", metric, "name", NULL));
    if (container != NULL)
        describe_write(describe, 0, " of container \"%s\"", container);
    describe_write(describe, 0, " on pods");
    if (average != NULL) {
        if (current == NULL)
            buf_add_str(&is, "<unknown>");
        else
            add_amount(json_get(now, "averageValue", NULL), &is);
        add_amount(average, &wanted);
        describe_write(describe, 0, ":\t%s / %s\n", buf_text(&is), buf_text(&wanted));
        return;
    }
    add_utilization(now, &is);
    if (percent != NULL)
        buf_printf(&wanted, "%lld%%", (long long)json_int_value(percent));
    describe_write(describe, 1, "(as a percentage of request):\t%s / %s\n", buf_text(&is),
                   describe_or(buf_text(&wanted), "<auto>"));
}

/* A metric that is no resource: object, pods, external. kind: its member. */
static void describe_other_metric(struct describe *describe, const char *kind, const struct json *metric,
                                  const struct json *current)
{
    const struct json *target = json_get(metric, "target", NULL), *now = json_get(current, "current", NULL);
    bool is_pods = streq(kind, "pods");
    bool average = is_pods || (streq(kind, "object") ? streq(json_str(target, "type", NULL), "AverageValue")
                                                     : json_get(target, "averageValue", NULL) != NULL);
    const char *member = average ? "averageValue" : "value";
    CLEANUP(buf_done) struct buf is = {0}, wanted = {0}, name = {0};
    bool unknown = current == NULL || (streq(kind, "external") && average && json_get(now, member, NULL) == NULL);
    if (unknown)
        buf_add_str(&is, "<unknown>");
    else
        add_amount(json_get(now, member, NULL), &is);
    add_amount(json_get(target, member, NULL), &wanted);
    gotext_quote(json_str_or("", metric, "metric", "name", NULL), &name);
    describe_write(describe, 1, "%s", buf_text(&name));
    if (is_pods)
        describe_write(describe, 0, " on pods:");
    else if (streq(kind, "object"))
        describe_write(describe, 0, " on %s/%s (target %s):", json_str_or("", metric, "describedObject", "kind", NULL),
                       json_str_or("", metric, "describedObject", "name", NULL), average ? "average value" : "value");
    else
        describe_write(describe, 0, " (target %s):", average ? "average value" : "value");
    describe_write(describe, 0, "\t%s / %s\n", buf_text(&is), buf_text(&wanted));
}

static void describe_metrics(struct describe *describe)
{
    static const char *const kinds[][2] = {{"Resource", "resource"},
                                           {"ContainerResource", "containerResource"},
                                           {"External", "external"},
                                           {"Pods", "pods"},
                                           {"Object", "object"}};
    const struct json *metric, *current = json_get(describe->object, "status", "currentMetrics", NULL);
    describe_write(describe, 0, "Metrics:\t( current / target )\n");
    json_each(metric, json_get(describe->object, "spec", "metrics", NULL)) {
        const char *type = json_str_or("", metric, "type", NULL), *member = NULL;
        for (size_t i = 0; i < countof(kinds); i++)
            member = streq(kinds[i][0], type) ? kinds[i][1] : member;
        if (member == NULL) {
            describe_write(describe, 1, "<unknown metric type \"%s\">\n", type);
            continue;
        }
        const struct json *now = json_get(json_at(current, metric_index), member, NULL);
        if (ends_with(type, "Resource"))
            describe_resource_metric(describe, json_get(metric, member, NULL), now);
        else
            describe_other_metric(describe, member, json_get(metric, member, NULL), now);
    }
}

static void describe_direction(struct describe *describe, const char *title, const struct json *rules)
{
    const struct json *policy, *window = json_get(rules, "stabilizationWindowSeconds", NULL);
    if (rules == NULL)
        return;
    describe_write(describe, 1, "%s:\n", title);
    if (window != NULL)
        describe_write(describe, 2, "Stabilization Window: %lld seconds\n", (long long)json_int_value(window));
    if (json_len(json_get(rules, "policies", NULL)) == 0)
        return;
    describe_write(describe, 2, "Select Policy: %s\n", json_str_or("Max", rules, "selectPolicy", NULL));
    describe_write(describe, 2, "Policies:\n");
    json_each(policy, json_get(rules, "policies", NULL))
        describe_write(describe, 3, "- Type: %s\tValue: %lld\tPeriod: %lld seconds\n",
                       json_str_or("", policy, "type", NULL), (long long)json_int_or(0, policy, "value", NULL),
                       (long long)json_int_or(0, policy, "periodSeconds", NULL));
}

void describe_autoscaler(struct describe *describe)
{
    const struct json *spec = json_get(describe->object, "spec", NULL),
                      *status = json_get(describe->object, "status", NULL);
    const struct json *conditions = json_get(status, "conditions", NULL);
    const char *kind = json_str_or("", spec, "scaleTargetRef", "kind", NULL);
    static const struct describe_field limits[] = {{0, "Min replicas", "minReplicas", SHOW_UNSET, AS_TEXT},
                                                   {0, "Max replicas", "maxReplicas", SHOW_ZERO, AS_TEXT},
                                                   {0}};
    describe_head(describe);
    describe_labels(describe);
    describe_time_field(describe, 0, "CreationTimestamp",
                        json_str(describe->object, "metadata", "creationTimestamp", NULL));
    describe_write(describe, 0, "Reference:\t%s/%s\n", kind, json_str_or("", spec, "scaleTargetRef", "name", NULL));
    describe_metrics(describe);
    describe_fields(describe, limits, spec);
    if (json_get(spec, "behavior", NULL) != NULL) {
        describe_write(describe, 0, "Behavior:\n");
        describe_direction(describe, "Scale Up", json_get(spec, "behavior", "scaleUp", NULL));
        describe_direction(describe, "Scale Down", json_get(spec, "behavior", "scaleDown", NULL));
    }
    describe_write(describe, 0, "%s pods:\t%lld current / %lld desired\n", kind,
                   (long long)json_int_or(0, status, "currentReplicas", NULL),
                   (long long)json_int_or(0, status, "desiredReplicas", NULL));
    if (json_len(conditions) > 0) {
        static const struct describe_column columns[] = {{"Type", "type", NULL, AS_TEXT},
                                                         {"Status", "status", NULL, AS_TEXT},
                                                         {"Reason", "reason", NULL, AS_TEXT},
                                                         {"Message", "message", NULL, AS_TEXT},
                                                         {0}};
        describe_write(describe, 0, "Conditions:\n");
        describe_table(describe, 1, columns, "", conditions);
    }
    describe_events(describe);
}
