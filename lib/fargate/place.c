/*
 * place.c: the decision. Hosts of one kind are asked together and looked at in their order, so that most decisions touch
 * a handful of hosts; a pod that tells hosts apart (by name, or by spread constraints) has every host asked. What other
 * pods say about this one (affinity between pods) plays no part, as on Fargate.
 */
#include "fargate/place.h"

#include "fargate/labels.h"
#include "fargate/names.h"
#include "fargate/place_internal.h"

/* --- filters */

const char *place_label(const struct host *host, const char *key, bool *ret_unknown)
{
    const struct host_kind *kind = host->kind;

    *ret_unknown = false;
    if (streq(key, "topology.kubernetes.io/zone") || streq(key, "failure-domain.beta.kubernetes.io/zone"))
        return kind->zone;
    if (streq(key, "topology.kubernetes.io/region") || streq(key, "failure-domain.beta.kubernetes.io/region"))
        return kind->region;
    if (streq(key, FARGATE_COMPUTE_TYPE))
        return FARGATE_COMPUTE_FARGATE;
    if (streq(key, FKS_HOST_LABEL))
        return host->name;
    if (streq(key, "kubernetes.io/hostname"))
        return host->hostname;
    if (streq(key, "kubernetes.io/os") || streq(key, "beta.kubernetes.io/os"))
        return "linux";
    if (streq(key, "kubernetes.io/arch") || streq(key, "beta.kubernetes.io/arch")) {
        *ret_unknown = kind->architecture == NULL; /* an agent that does not say is taken for the right one */
        return kind->architecture;
    }
    return json_string_value(json_member(kind->labels, key));
}

static bool term_matches(const struct host *host, const struct json *term)
{
    const struct json *expressions = json_get(term, "matchExpressions", NULL);
    const struct json *fields = json_get(term, "matchFields", NULL);
    const struct json *item;

    if (json_len(expressions) + json_len(fields) == 0 || json_len(fields) > 0)
        return false; /* an empty term matches nothing; a field is the name of a Node that does not exist yet */
    json_each(item, expressions) {
        bool unknown;
        const char *value = place_label(host, json_str_or("", item, "key", NULL), &unknown);

        if (!unknown && !labels_expression_matches(item, value))
            return false;
    }
    return true;
}

static const struct json *terms_of(const struct json *spec)
{
    return json_get(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution",
                    "nodeSelectorTerms", NULL);
}

static bool selector_matches(const struct host *host, const struct json *spec)
{
    const struct json *terms = terms_of(spec), *wanted, *term;
    void *position = NULL;
    const char *key;
    bool unknown;

    while (json_next(json_get(spec, "nodeSelector", NULL), &position, &key, &wanted)) {
        const char *value = place_label(host, key, &unknown);

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

/* What is the same for all hosts of a kind, unless the pod tells hosts apart. */
static enum place_reason check_kind(const struct host *host, const struct place_need *need)
{
    const struct host_kind *kind = host->kind;

    if (need->zones != NULL && need->zones->n > 0 && (kind->zone == NULL || !strv_has(need->zones, kind->zone)))
        return PLACE_ZONE;
    if (!selector_matches(host, need->spec))
        return PLACE_SELECTOR;
    if (need->runtime_handler != NULL && !strv_has(&kind->runtime_handlers, need->runtime_handler))
        return PLACE_RUNTIME;
    for (size_t i = 0; need->csi_drivers != NULL && i < need->csi_drivers->n; i++)
        if (!strv_has(&kind->csi_drivers, need->csi_drivers->items[i]))
            return PLACE_DRIVER;
    if (need->size.cpu_m > kind->cpu_m || need->size.mem_b > kind->mem_b || kind->pods < 1 ||
        (kind->storage_b > 0 && need->size.storage_b > kind->storage_b))
        return PLACE_TOO_SMALL;
    return PLACE_FITS;
}

static enum place_reason check_room(const struct host *host, const struct fargate_size *size)
{
    const struct host_kind *kind = host->kind;

    if (size->cpu_m > kind->cpu_m - host->used_cpu_m)
        return PLACE_CPU;
    if (size->mem_b > kind->mem_b - host->used_mem_b)
        return PLACE_MEMORY;
    if (kind->storage_b > 0 && size->storage_b > kind->storage_b - host->used_storage_b)
        return PLACE_DISK;
    return host->used_pods >= kind->pods ? PLACE_PODS : PLACE_FITS;
}

enum place_reason place_check(const struct host *host, const struct place_need *need, int64_t now_ms)
{
    enum place_reason reason;

    switch (hosts_state(host, now_ms)) {
    case HOST_OPEN:
        break;
    case HOST_GONE:
        return PLACE_GONE;
    case HOST_DEAD:
        return PLACE_DEAD;
    case HOST_NOT_READY:
        return PLACE_NOT_READY;
    case HOST_PRESSED:
        return PLACE_PRESSED;
    case HOST_CORDONED:
        return PLACE_CORDONED;
    }
    reason = check_kind(host, need);
    return reason == PLACE_FITS ? check_room(host, &need->size) : reason;
}

/* --- scores */

struct candidate {
    const struct host *host; /* NULL: none yet */
    int64_t crowd;           /* pods that spread constraints count against it */
    int64_t zone_fullness;
};

static bool is_better(const struct candidate *a, const struct candidate *b, enum place_policy policy)
{
    int order;

    if (b->host == NULL)
        return true;
    if (a->crowd != b->crowd)
        return a->crowd < b->crowd;
    if (a->zone_fullness != b->zone_fullness)
        return a->zone_fullness < b->zone_fullness;
    order = host_compare(a->host, b->host);
    return policy == PLACE_PACK ? order > 0 : order < 0;
}

/* Does the pod choose among hosts of one kind? */
static bool tells_hosts_apart(const struct place_need *need)
{
    static const char *const keys[] = {FKS_HOST_LABEL, "kubernetes.io/hostname"};
    const struct json *selector = json_get(need->spec, "nodeSelector", NULL), *term, *item;

    if (need->n_spreads > 0)
        return true;
    for (size_t i = 0; i < countof(keys); i++) {
        if (json_member(selector, keys[i]) != NULL)
            return true;
        json_each(term, terms_of(need->spec))
            json_each(item, json_get(term, "matchExpressions", NULL))
                if (streq(json_str(item, "key", NULL), keys[i]))
                    return true;
    }
    return false;
}

static int64_t share(int64_t part, int64_t whole)
{
    return whole > 0 ? (int64_t)((double)part / (double)whole * HOSTS_FULL) : 0;
}

/* Above this fullness no host of the kind has room; it may have below, by another resource than the scarcest not. */
static int64_t fullest_with_room(const struct host_kind *kind, const struct fargate_size *size)
{
    int64_t least = share(size->cpu_m, kind->cpu_m), memory = share(size->mem_b, kind->mem_b);
    int64_t pods = share(1, kind->pods);

    least = memory < least ? memory : least;
    least = pods < least ? pods : least;
    if (kind->storage_b > 0 && share(size->storage_b, kind->storage_b) < least)
        least = share(size->storage_b, kind->storage_b);
    return HOSTS_FULL - least + 1; /* both shares were rounded down */
}

static bool has_room(const struct host *host, const struct place_need *need, int64_t now_ms)
{
    return check_room(host, &need->size) == PLACE_FITS && hosts_state(host, now_ms) == HOST_OPEN;
}

/* The first of the kind, in the policy's order, that has room. */
static const struct host *pick(const struct host_kind *kind, const struct place_need *need, int64_t now_ms)
{
    int64_t most = fullest_with_room(kind, &need->size);
    size_t low = 0, high = kind->n_open;

    if (need->policy == PLACE_SPREAD) {
        for (size_t i = 0; i < kind->n_open && kind->open[i]->fullness <= most; i++)
            if (has_room(kind->open[i], need, now_ms))
                return kind->open[i];
        return NULL;
    }
    while (low < high) { /* the first that is too full */
        size_t middle = low + (high - low) / 2;

        if (kind->open[middle]->fullness <= most)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i > 0; i--)
        if (has_room(kind->open[i - 1], need, now_ms))
            return kind->open[i - 1];
    return NULL;
}

static const struct host *choose_by_kind(const struct hosts *hosts, const struct place_need *need, int64_t now_ms)
{
    struct candidate best = {0};
    size_t position = 0;
    const char *key;
    void *value;

    while (map_next(&hosts->kinds, &position, &key, &value)) {
        const struct host_kind *kind = value;
        struct candidate candidate;

        if (kind->n_open == 0 || check_kind(kind->open[0], need) != PLACE_FITS)
            continue;
        candidate = (struct candidate){.host = pick(kind, need, now_ms),
                                       .zone_fullness = hosts_zone_fullness(hosts, kind->zone)};
        if (candidate.host != NULL && is_better(&candidate, &best, need->policy))
            best = candidate;
    }
    return best.host;
}

static const struct host *choose_by_host(const struct hosts *hosts, const struct place_need *need, int64_t now_ms)
{
    CLEANUP(place_domains_done) struct place_domains domains = {0};
    struct candidate best = {0};
    struct host *host;

    place_domains_count(&domains, hosts, need, now_ms);
    for (size_t i = 0; hosts_next(hosts, &i, &host);) {
        struct candidate candidate = {.host = host};

        if (place_check(host, need, now_ms) != PLACE_FITS || place_domains_uneven(&domains, host, need))
            continue;
        candidate.crowd = place_domains_crowd(&domains, host, need);
        candidate.zone_fullness = hosts_zone_fullness(hosts, host->kind->zone);
        if (is_better(&candidate, &best, need->policy))
            best = candidate;
    }
    return best.host;
}

const struct host *place_choose(const struct hosts *hosts, const struct place_need *need, int64_t now_ms)
{
    return tells_hosts_apart(need) ? choose_by_host(hosts, need, now_ms) : choose_by_kind(hosts, need, now_ms);
}

void place_survey(const struct hosts *hosts, const struct place_need *need, int64_t now_ms,
                  void (*each)(const struct host *host, enum place_reason reason, void *data), void *data,
                  struct place_result *ret)
{
    CLEANUP(place_domains_done) struct place_domains domains = {0};
    struct host *host;

    *ret = (struct place_result){0};
    place_domains_count(&domains, hosts, need, now_ms);
    for (size_t i = 0; hosts_next(hosts, &i, &host);) {
        enum place_reason reason = place_check(host, need, now_ms);

        if (reason == PLACE_FITS && place_domains_uneven(&domains, host, need))
            reason = PLACE_UNEVEN;
        ret->n_hosts += reason != PLACE_GONE;
        ret->n_reason[reason]++;
        if (each != NULL && reason != PLACE_GONE)
            each(host, reason, data);
    }
}
