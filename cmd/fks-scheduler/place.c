/*
 * place.c: the decision. One pass over the hosts, each refused with one reason or given a score; no pod but the one
 * to be placed is looked at. Affinity between pods and spread constraints play no part, as on Fargate.
 */
#include "place.h"

#include "fargate/names.h"

/* The value that a Node made by this host has for a label; NULL: none. *ret_unknown: could be anything. */
static const char *label_of(const struct host *host, const char *key, bool *ret_unknown)
{
    const char *value = json_string_value(json_member(host->labels, key));

    *ret_unknown = false;
    if (streq(key, "topology.kubernetes.io/zone") || streq(key, "failure-domain.beta.kubernetes.io/zone"))
        return host->zone;
    if (streq(key, "topology.kubernetes.io/region") || streq(key, "failure-domain.beta.kubernetes.io/region"))
        return host->region;
    if (streq(key, FARGATE_COMPUTE_TYPE))
        return FARGATE_COMPUTE_FARGATE;
    if (streq(key, FKS_HOST_LABEL))
        return host->name;
    if (streq(key, "kubernetes.io/os") || streq(key, "beta.kubernetes.io/os"))
        return "linux";
    /* an agent that does not say is taken for the right one */
    if (value == NULL && (streq(key, "kubernetes.io/arch") || streq(key, "beta.kubernetes.io/arch")))
        *ret_unknown = true;
    return value;
}

/* One term of a node selector: {key, operator, values}. */
static bool expression_matches(const struct host *host, const struct json *expression)
{
    const char *key = json_str_or("", expression, "key", NULL);
    const char *operator = json_str_or("", expression, "operator", NULL);
    bool unknown, among = false;
    const char *value = label_of(host, key, &unknown);
    const struct json *item;

    if (unknown)
        return true;
    json_each(item, json_get(expression, "values", NULL))
        among = among || (value != NULL && streq(json_string_value(item), value));
    if (streq(operator, "In"))
        return among;
    if (streq(operator, "NotIn"))
        return !among;
    if (streq(operator, "Exists"))
        return value != NULL;
    if (streq(operator, "DoesNotExist"))
        return value == NULL;
    return false; /* Gt, Lt: none of our labels is a number */
}

static bool term_matches(const struct host *host, const struct json *term)
{
    const struct json *expressions = json_get(term, "matchExpressions", NULL);
    const struct json *fields = json_get(term, "matchFields", NULL);
    const struct json *item;

    if (json_len(expressions) + json_len(fields) == 0 || json_len(fields) > 0)
        return false; /* an empty term matches nothing; a field is the name of a Node that does not exist yet */
    json_each(item, expressions)
        if (!expression_matches(host, item))
            return false;
    return true;
}

static bool selector_matches(const struct host *host, const struct json *spec)
{
    const struct json *terms = json_get(spec, "affinity", "nodeAffinity",
                                        "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms", NULL);
    const struct json *wanted, *term;
    void *position = NULL;
    const char *key;
    bool unknown;

    while (json_next(json_get(spec, "nodeSelector", NULL), &position, &key, &wanted)) {
        const char *value = label_of(host, key, &unknown);

        if (!unknown && (value == NULL || !streq(value, json_string_value(wanted))))
            return false;
    }
    if (terms == NULL)
        return true;
    json_each(term, terms)
        if (term_matches(host, term))
            return true;
    return false;
}

enum place_reason place_check(const struct host *host, const struct place_need *need, int64_t now_ms)
{
    switch (hosts_state(host, now_ms)) {
    case HOST_OPEN:
        break;
    case HOST_GONE:
        return PLACE_GONE;
    case HOST_DEAD:
        return PLACE_DEAD;
    case HOST_NOT_READY:
        return PLACE_NOT_READY;
    case HOST_CORDONED:
        return PLACE_CORDONED;
    }
    if (need->zones != NULL && need->zones->n > 0 && (host->zone == NULL || !strv_has(need->zones, host->zone)))
        return PLACE_ZONE;
    if (!selector_matches(host, need->spec))
        return PLACE_SELECTOR;
    if (need->runtime_handler != NULL && !strv_has(&host->runtime_handlers, need->runtime_handler))
        return PLACE_RUNTIME;
    if (need->size.cpu_m > host->cpu_m || need->size.mem_b > host->mem_b)
        return PLACE_TOO_SMALL;
    if (need->size.cpu_m > host->cpu_m - host->used_cpu_m)
        return PLACE_CPU;
    if (need->size.mem_b > host->mem_b - host->used_mem_b)
        return PLACE_MEMORY;
    if (host->used_pods >= host->pods)
        return PLACE_PODS;
    return PLACE_FITS;
}

/* How full the host is with the pod on it, by the scarcer resource, in millionths. */
static int64_t fullness(const struct host *host, const struct fargate_size *size)
{
    double cpu = (double)(host->used_cpu_m + size->cpu_m) / (double)host->cpu_m;
    double memory = (double)(host->used_mem_b + size->mem_b) / (double)host->mem_b;

    return (int64_t)((cpu > memory ? cpu : memory) * 1e6);
}

static bool is_better(const struct host *host, const struct host *best, const struct fargate_size *size)
{
    int64_t full, best_full;

    if (best == NULL)
        return true;
    full = fullness(host, size);
    best_full = fullness(best, size);
    if (full != best_full)
        return full < best_full;
    if (host->used_pods != best->used_pods)
        return host->used_pods < best->used_pods;
    return strcmp(host->name, best->name) < 0;
}

void place_choose(const struct hosts *hosts, const struct place_need *need, int64_t now_ms, struct place_result *ret)
{
    struct host *host;

    *ret = (struct place_result){0};
    for (size_t i = 0; hosts_next(hosts, &i, &host);) {
        enum place_reason reason = place_check(host, need, now_ms);

        ret->n_hosts += reason != PLACE_GONE;
        ret->n_reason[reason]++;
        if (reason == PLACE_FITS && is_better(host, ret->host, &need->size))
            ret->host = host;
    }
}

static const struct {
    enum place_reason reason;
    const char *one, *many, *remedy;
} texts[] = {
    {PLACE_CPU, "has not enough vCPU free", "have not enough vCPU free", "delete pods, ask for less, or add a host"},
    {PLACE_MEMORY, "has not enough memory free", "have not enough memory free",
     "delete pods, ask for less, or add a host"},
    {PLACE_PODS, "runs as many pods as it may", "run as many pods as they may", "delete pods, or add a host"},
    {PLACE_TOO_SMALL, "is smaller than the pod", "are smaller than the pod", "ask for less, or add a larger host"},
    {PLACE_ZONE, "is in a zone that the profile leaves out", "are in zones that the profile leaves out",
     "widen the profile's zones, or add a host in one of them"},
    {PLACE_SELECTOR, "does not match the pod's node selector", "do not match the pod's node selector",
     "change nodeSelector or node affinity, or label or add a host"},
    {PLACE_RUNTIME, "lacks the runtime handler", "lack the runtime handler",
     "choose another runtimeClassName, or install the runtime on a host"},
    {PLACE_CORDONED, "is cordoned", "are cordoned", "set spec.unschedulable of the FargateHost to false"},
    {PLACE_NOT_READY, "says it is not ready", "say they are not ready", "see the conditions of the FargateHost"},
    {PLACE_DEAD, "has no heartbeat", "have no heartbeat", "see whether fks-node runs there"},
};

void place_explain(const struct place_result *result, const struct place_need *need, struct buf *out)
{
    const char *separator = ": ";

    if (result->n_hosts == 0) {
        (void)buf_add_str(out, "no host offers capacity: start fks-node on one");
        return;
    }
    (void)buf_printf(out, "0 of %zu %s can take ", result->n_hosts, result->n_hosts == 1 ? "host" : "hosts");
    fargate_size_print(&need->size, out);
    for (size_t i = 0; i < countof(texts); i++) {
        size_t n = result->n_reason[texts[i].reason];

        if (n == 0)
            continue;
        (void)buf_printf(out, "%s%zu %s (%s)", separator, n, n == 1 ? texts[i].one : texts[i].many, texts[i].remedy);
        separator = ", ";
    }
}
