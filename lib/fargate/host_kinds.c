/*
 * host_kinds.c: which hosts are alike, and the open ones of each kind in order of fullness. hosts.c says when a host
 * joins, leaves, opens or closes; place.c reads the order.
 */
#include "base/mem.h"
#include "data/quantity.h"
#include "fargate/hosts.h"
#include "fargate/names.h"

/* --- kinds */

/* A quantity as string or number: false when it is missing or cannot be read. */
static bool read_quantity(const struct json *capacity, const char *key, bool milli, int64_t *ret)
{
    CLEANUP(err_clear) struct err err = {0};
    const struct json *value = json_member(capacity, key);

    if (json_type(value) == JSON_INT) {
        *ret = json_int_value(value);
        return *ret >= 0 && (!milli || !__builtin_mul_overflow(*ret, 1000, ret));
    }
    if (json_type(value) != JSON_STRING)
        return false;
    if (milli)
        return quantity_parse_milli(json_string_value(value), ret, &err) >= 0 && *ret >= 0;
    return quantity_parse_units(json_string_value(value), ret, &err) >= 0 && *ret >= 0;
}

static char *copy_or_null(const char *text)
{
    return text != NULL ? xstrdup(text) : NULL;
}

static void kind_free(struct host_kind *kind)
{
    free(kind->key);
    free(kind->zone);
    free(kind->region);
    free(kind->architecture);
    strv_done(&kind->runtime_handlers);
    strv_done(&kind->csi_drivers);
    json_free(kind->labels);
    free(kind->open);
    free(kind);
}

static void read_labels(struct host_kind *kind, const struct json *labels)
{
    if (labels == NULL)
        return;
    kind->labels = json_clone(labels);
    json_del(kind->labels, "kubernetes.io/hostname");
    json_del(kind->labels, FKS_HOST_LABEL);
}

static struct host_kind *kind_read(const struct json *object)
{
    const struct json *spec = json_get(object, "spec", NULL), *capacity = json_get(spec, "capacity", NULL), *item;
    const struct json *labels = json_get(object, "metadata", "labels", NULL);
    struct host_kind *kind = NEW(struct host_kind);
    CLEANUP(buf_done) struct buf key = {0};

    if (!read_quantity(capacity, "cpu", true, &kind->cpu_m) || !read_quantity(capacity, "memory", false, &kind->mem_b)) {
        kind_free(kind);
        return NULL;
    }
    if (!read_quantity(capacity, "pods", false, &kind->pods))
        kind->pods = HOSTS_DEFAULT_PODS;
    if (!read_quantity(capacity, "ephemeral-storage", false, &kind->storage_b))
        kind->storage_b = 0;
    kind->zone = copy_or_null(json_str(spec, "zone", NULL));
    kind->region = copy_or_null(json_str(spec, "region", NULL));
    kind->architecture = copy_or_null(json_str(spec, "architecture", NULL));
    if (kind->architecture == NULL)
        kind->architecture = copy_or_null(json_string_value(json_member(labels, "kubernetes.io/arch")));
    json_each(item, json_get(spec, "runtimeHandlers", NULL))
        if (json_string_value(item) != NULL)
            strv_add(&kind->runtime_handlers, json_string_value(item));
    json_each(item, json_get(spec, "csiDrivers", NULL))
        if (json_string_value(item) != NULL)
            strv_add(&kind->csi_drivers, json_string_value(item));
    read_labels(kind, labels);
    buf_printf(&key, "%s %s %s %lld %lld %lld %lld ", strempty(kind->zone), strempty(kind->region),
               strempty(kind->architecture), (long long)kind->cpu_m, (long long)kind->mem_b, (long long)kind->storage_b,
               (long long)kind->pods);
    json_print(json_get(spec, "runtimeHandlers", NULL), &key);
    json_print(json_get(spec, "csiDrivers", NULL), &key);
    json_print(kind->labels, &key);
    kind->key = xstrdup(buf_text(&key));
    return kind;
}

bool host_kind_join(struct hosts *hosts, struct host *host, const struct json *object)
{
    struct host_kind *kind = kind_read(object), *known;

    if (kind == NULL)
        return false;
    known = map_get(&hosts->kinds, kind->key);
    if (known != NULL)
        kind_free(kind);
    else
        (void)map_set(&hosts->kinds, kind->key, kind);
    host->kind = known != NULL ? known : kind;
    host->kind->n_hosts++;
    return true;
}

void host_kind_leave(struct hosts *hosts, struct host *host)
{
    struct host_kind *kind = host->kind;

    if (kind == NULL)
        return;
    host_kind_unlist(hosts, host);
    host->kind = NULL;
    if (--kind->n_hosts > 0)
        return;
    (void)map_del(&hosts->kinds, kind->key);
    kind_free(kind);
}

/* --- the order */

static int64_t share(int64_t used, int64_t whole)
{
    if (used <= 0)
        return 0;
    /* in floating point, since a product of bytes and millionths would not fit; more than full is possible */
    return whole > 0 ? (int64_t)((double)used / (double)whole * HOSTS_FULL) : HOSTS_FULL + 1;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t fullness_of(const struct host *host)
{
    const struct host_kind *kind = host->kind;
    int64_t full = larger(share(host->used_cpu_m, kind->cpu_m), share(host->used_mem_b, kind->mem_b));

    if (kind->storage_b > 0)
        full = larger(full, share(host->used_storage_b, kind->storage_b));
    return larger(full, share(host->used_pods, kind->pods));
}

int host_compare(const struct host *a, const struct host *b)
{
    if (a->fullness != b->fullness)
        return a->fullness < b->fullness ? -1 : 1;
    if (a->used_pods != b->used_pods)
        return a->used_pods < b->used_pods ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Where the host is in the order, or belongs. */
static size_t place_in_order(const struct host_kind *kind, const struct host *host)
{
    size_t low = 0, high = kind->n_open;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (host_compare(kind->open[middle], host) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_to_zone(struct hosts *hosts, const struct host *host, int sign)
{
    const struct host_kind *kind = host->kind;
    struct zone *zone = map_get(&hosts->zones, strempty(kind->zone));

    if (zone == NULL) {
        zone = NEW(struct zone);
        (void)map_set(&hosts->zones, strempty(kind->zone), zone);
    }
    zone->cpu_m += sign * kind->cpu_m;
    zone->mem_b += sign * kind->mem_b;
    zone->used_cpu_m += sign * host->used_cpu_m;
    zone->used_mem_b += sign * host->used_mem_b;
}

void host_kind_list(struct hosts *hosts, struct host *host)
{
    struct host_kind *kind = host->kind;
    size_t place;

    if (host->listed)
        return;
    host->fullness = fullness_of(host);
    place = place_in_order(kind, host);
    GROW(kind->open, kind->n_open, kind->cap_open);
    memmove(kind->open + place + 1, kind->open + place, (kind->n_open - place) * sizeof(*kind->open));
    kind->open[place] = host;
    kind->n_open++;
    host->listed = true;
    add_to_zone(hosts, host, 1);
}

void host_kind_unlist(struct hosts *hosts, struct host *host)
{
    struct host_kind *kind = host->kind;
    size_t place;

    if (!host->listed)
        return;
    place = place_in_order(kind, host);
    kind->n_open--;
    memmove(kind->open + place, kind->open + place + 1, (kind->n_open - place) * sizeof(*kind->open));
    host->listed = false;
    add_to_zone(hosts, host, -1);
}

int64_t hosts_zone_fullness(const struct hosts *hosts, const char *name)
{
    const struct zone *zone = map_get(&hosts->zones, strempty(name));

    return zone != NULL ? larger(share(zone->used_cpu_m, zone->cpu_m), share(zone->used_mem_b, zone->mem_b)) : 0;
}
