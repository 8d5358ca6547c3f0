/*
 * spread.c: see spread.h. A group knows the host of each pod that it counts, so an update says only how the pod is now.
 */
#include "fargate/spread.h"

#include "base/mem.h"
#include "base/str.h"
#include "fargate/labels.h"

#define KEPT_FOR_MS 600000

struct spread_group {
    char *key, *namespace;
    struct json *selector;
    struct map hosts;  /* uid → heap name of its host */
    struct map counts; /* host → number */
    int64_t used_ms;
};

static void group_free(struct spread_group *group)
{
    size_t position = 0;
    const char *uid;
    void *host;

    while (map_next(&group->hosts, &position, &uid, &host))
        free(host);
    map_done(&group->hosts);
    map_done(&group->counts);
    json_free(group->selector);
    free(group->namespace);
    free(group->key);
    free(group);
}

void spreads_done(struct spreads *spreads)
{
    size_t position = 0;
    const char *key;
    void *group;

    while (map_next(&spreads->groups, &position, &key, &group))
        group_free(group);
    map_done(&spreads->groups);
}

static void change(struct spread_group *group, const char *host, int by)
{
    intptr_t n = (intptr_t)map_get(&group->counts, host) + by;

    if (n > 0)
        (void)map_set(&group->counts, host, (void *)n);
    else
        (void)map_del(&group->counts, host);
}

static void update(struct spread_group *group, const char *uid, const struct json *labels, const char *host)
{
    const char *wanted = host != NULL && labels_selected(group->selector, labels) ? host : NULL;
    char *counted = map_get(&group->hosts, uid);

    if (streq(wanted, counted))
        return;
    if (counted != NULL) {
        change(group, counted, -1);
        (void)map_del(&group->hosts, uid);
        free(counted);
    }
    if (wanted != NULL) {
        change(group, wanted, 1);
        (void)map_set(&group->hosts, uid, xstrdup(wanted));
    }
}

void spreads_update(struct spreads *spreads, const char *namespace, const char *uid, const struct json *labels,
                    const char *host)
{
    size_t position = 0;
    const char *key;
    void *value;

    while (map_next(&spreads->groups, &position, &key, &value)) {
        struct spread_group *group = value;

        if (streq(group->namespace, namespace))
            update(group, uid, labels, host);
    }
}

const struct map *spreads_counts(struct spreads *spreads, const char *namespace, const struct json *selector,
                                 int64_t now_ms, bool *ret_new)
{
    CLEANUP(buf_done) struct buf key = {0};
    struct spread_group *group;

    (void)buf_printf(&key, "%s ", namespace);
    json_print(selector, &key);
    group = map_get(&spreads->groups, buf_text(&key));
    *ret_new = group == NULL;
    if (group == NULL) {
        group = NEW(struct spread_group);
        group->key = xstrdup(buf_text(&key));
        group->namespace = xstrdup(namespace);
        group->selector = selector != NULL ? json_keep(selector) : NULL;
        (void)map_set(&spreads->groups, group->key, group);
    }
    group->used_ms = now_ms;
    return &group->counts;
}

struct json *spreads_selector(const struct json *constraint, const struct json *labels)
{
    const struct json *selector = json_get(constraint, "labelSelector", NULL), *key;
    struct json *merged = selector != NULL ? json_clone(selector) : NULL;

    json_each(key, json_get(constraint, "matchLabelKeys", NULL)) {
        const char *name = json_string_value(key), *value = json_string_value(json_member(labels, strempty(name)));

        if (merged != NULL && value != NULL)
            json_set_str(json_edit(merged, "matchLabels", NULL), name, value);
    }
    return merged;
}

struct place_spread spreads_read(const struct json *constraint, const struct map *counts)
{
    return (struct place_spread){
        .key = json_str_or("", constraint, "topologyKey", NULL),
        .required = streq(json_str(constraint, "whenUnsatisfiable", NULL), "DoNotSchedule"),
        .max_skew = json_int_or(1, constraint, "maxSkew", NULL),
        .min_domains = json_int_or(0, constraint, "minDomains", NULL),
        .counts = counts,
    };
}

void spreads_expire(struct spreads *spreads, int64_t now_ms)
{
    size_t position = 0;
    const char *key;
    void *value;

    while (map_next(&spreads->groups, &position, &key, &value)) {
        struct spread_group *group = value;

        if (now_ms - group->used_ms <= KEPT_FOR_MS)
            continue;
        (void)map_del(&spreads->groups, key);
        group_free(group);
    }
}
