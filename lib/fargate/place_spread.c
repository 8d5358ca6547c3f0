/*
 * place_spread.c: topology spread constraints. The pods that a constraint counts are known by host; here they are added
 * up by domain, the value of the constraint's key. Every pod has a Node of its own, so a constraint over host names is
 * kept by construction; it is a wish here (spread over hosts), never a reason to refuse.
 */
#include "fargate/place_internal.h"

#include "fargate/names.h"

static size_t n_spreads(const struct place_need *need)
{
    return need->n_spreads < PLACE_SPREADS_MAX ? need->n_spreads : PLACE_SPREADS_MAX;
}

static bool is_over_hosts(const char *key)
{
    return streq(key, "kubernetes.io/hostname") || streq(key, FKS_HOST_LABEL);
}

/* The host's domain, or NULL when it has none and plays no part. */
static const char *domain_of(const struct host *host, const char *key)
{
    bool unknown;

    return is_over_hosts(key) ? host->name : place_label(host, key, &unknown);
}

static int64_t number(const struct map *map, const char *key)
{
    return (int64_t)(intptr_t)map_get(map, key);
}

/* Domains count if a host of theirs could ever take the pod, full ones included: as kube-scheduler counts them. */
static bool has_part(const struct host *host, const struct place_need *need, int64_t now_ms)
{
    enum place_reason reason = place_check(host, need, now_ms);

    return reason == PLACE_FITS || reason == PLACE_CPU || reason == PLACE_MEMORY || reason == PLACE_DISK ||
           reason == PLACE_PODS;
}

static int64_t least_of(const struct map *totals, const struct place_spread *spread)
{
    int64_t least = -1;
    size_t position = 0;
    const char *key;
    void *value;

    if ((int64_t)totals->n < spread->min_domains)
        return 0; /* domains that are not there yet have no pods */
    while (map_next(totals, &position, &key, &value))
        least = least < 0 || (intptr_t)value < least ? (intptr_t)value : least;
    return least < 0 ? 0 : least;
}

void place_domains_count(struct place_domains *domains, const struct hosts *hosts, const struct place_need *need,
                         int64_t now_ms)
{
    struct host *host;

    for (size_t i = 0; n_spreads(need) > 0 && hosts_next(hosts, &i, &host);) {
        if (!has_part(host, need, now_ms))
            continue;
        for (size_t k = 0; k < n_spreads(need); k++) {
            const char *domain = domain_of(host, need->spreads[k].key);
            struct map *totals = &domains->totals[k];

            if (domain != NULL)
                (void)map_set(totals, domain, (void *)(intptr_t)(number(totals, domain) +
                                                                 number(need->spreads[k].counts, host->name)));
        }
    }
    for (size_t k = 0; k < n_spreads(need); k++)
        domains->least[k] = least_of(&domains->totals[k], &need->spreads[k]);
}

bool place_domains_uneven(const struct place_domains *domains, const struct host *host, const struct place_need *need)
{
    for (size_t k = 0; k < n_spreads(need); k++) {
        const struct place_spread *spread = &need->spreads[k];
        const char *domain;

        if (!spread->required || is_over_hosts(spread->key))
            continue;
        domain = domain_of(host, spread->key);
        if (domain == NULL || number(&domains->totals[k], domain) + 1 - domains->least[k] > spread->max_skew)
            return true;
    }
    return false;
}

int64_t place_domains_crowd(const struct place_domains *domains, const struct host *host,
                            const struct place_need *need)
{
    int64_t crowd = 0;

    for (size_t k = 0; k < n_spreads(need); k++) {
        const char *domain = domain_of(host, need->spreads[k].key);

        if (domain != NULL)
            crowd += number(&domains->totals[k], domain);
    }
    return crowd;
}

void place_domains_done(struct place_domains *domains)
{
    for (size_t k = 0; k < PLACE_SPREADS_MAX; k++)
        map_done(&domains->totals[k]);
}
