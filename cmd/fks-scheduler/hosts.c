/*
 * hosts.c: keeps the picture of the hosts: what they offer, whether their heartbeat goes on, what is taken. place.c
 * chooses from it. Makes no requests and starts no timers.
 */
#include "hosts.h"

#include "base/clock.h"
#include "base/mem.h"
#include "data/quantity.h"

static struct host *host_get(struct hosts *hosts, const char *name)
{
    struct host *host = map_get(&hosts->by_name, name);

    if (host == NULL) {
        host = NEW(struct host);
        host->name = xstrdup(name);
        (void)map_set(&hosts->by_name, name, host);
    }
    return host;
}

static void object_clear(struct host *host)
{
    host->known = host->cordoned = host->not_ready = false;
    host->zone = xfree(host->zone);
    host->region = xfree(host->region);
    strv_done(&host->runtime_handlers);
    host->labels = json_free(host->labels);
    host->cpu_m = host->mem_b = host->pods = 0;
}

static void host_free(struct host *host)
{
    object_clear(host);
    free(host->name);
    free(host->renew_time);
    free(host);
}

/* Forgets a host that no object, Lease or pod mentions any more. */
static void host_drop_unused(struct hosts *hosts, struct host *host)
{
    if (host->known || host->renew_time != NULL || host->reservations != NULL)
        return;
    (void)map_del(&hosts->by_name, host->name);
    host_free(host);
}

void hosts_done(struct hosts *hosts)
{
    size_t position = 0;
    const char *name;
    void *host;

    while (map_next(&hosts->by_name, &position, &name, &host))
        host_free(host);
    map_done(&hosts->by_name);
}

/* A quantity as string or number: false when it is missing or cannot be read. */
static bool quantity_of(const struct json *capacity, const char *key, bool milli, int64_t *ret)
{
    CLEANUP(err_clear) struct err err = {0};
    const struct json *value = json_member(capacity, key);

    if (json_type(value) == JSON_INT) {
        *ret = json_int_value(value);
        if (*ret < 0 || (milli && __builtin_mul_overflow(*ret, 1000, ret)))
            return false;
        return true;
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

void hosts_on_object(struct hosts *hosts, const char *name, const struct json *new)
{
    struct host *host = host_get(hosts, name);
    const struct json *spec = json_get(new, "spec", NULL);
    const struct json *capacity = json_get(spec, "capacity", NULL);
    const struct json *item;

    object_clear(host);
    if (new == NULL) {
        host_drop_unused(hosts, host);
        return;
    }
    host->zone = copy_or_null(json_str(spec, "zone", NULL));
    host->region = copy_or_null(json_str(spec, "region", NULL));
    host->cordoned = json_is_true(spec, "unschedulable", NULL);
    json_each(item, json_get(spec, "runtimeHandlers", NULL))
        if (json_string_value(item) != NULL)
            strv_add(&host->runtime_handlers, json_string_value(item));
    if (json_get(new, "metadata", "labels", NULL) != NULL)
        host->labels = json_keep(json_get(new, "metadata", "labels", NULL));
    json_each(item, json_get(new, "status", "conditions", NULL))
        if (streq(json_str(item, "type", NULL), "Ready"))
            host->not_ready = streq(json_str(item, "status", NULL), "False");
    if (!quantity_of(capacity, "pods", false, &host->pods))
        host->pods = HOSTS_DEFAULT_PODS;
    host->known = quantity_of(capacity, "cpu", true, &host->cpu_m) &&
                  quantity_of(capacity, "memory", false, &host->mem_b);
}

void hosts_on_lease(struct hosts *hosts, const char *name, const struct json *new, int64_t now_ms, int64_t wall_ns)
{
    CLEANUP(err_clear) struct err err = {0};
    struct host *host = host_get(hosts, name);
    const char *renew_time = json_str(new, "spec", "renewTime", NULL);
    int64_t renewed_ns;

    if (renew_time == NULL) {
        host->renew_time = xfree(host->renew_time);
        host_drop_unused(hosts, host);
        return;
    }
    if (streq(renew_time, host->renew_time))
        return;
    /*
     * A change proves the host alive now. The first one that a freshly started scheduler sees proves nothing: it may
     * have been written an hour ago.
     */
    if (host->renew_time != NULL)
        host->alive_ms = now_ms;
    else if (clock_parse(renew_time, &renewed_ns, &err) < 0)
        host->alive_ms = now_ms - HOSTS_LEASE_MAX_AGE_MS - 1;
    else
        host->alive_ms = renewed_ns < wall_ns ? now_ms - (wall_ns - renewed_ns) / 1000000 : now_ms;
    free(host->renew_time);
    host->renew_time = xstrdup(renew_time);
}

enum host_state hosts_state(const struct host *host, int64_t now_ms)
{
    if (!host->known)
        return HOST_GONE;
    if (host->renew_time == NULL || now_ms - host->alive_ms > HOSTS_LEASE_MAX_AGE_MS)
        return HOST_DEAD;
    if (host->not_ready)
        return HOST_NOT_READY;
    return host->cordoned ? HOST_CORDONED : HOST_OPEN;
}

void hosts_reserve(struct hosts *hosts, struct reservation *reservation, const char *name,
                   const struct fargate_size *size)
{
    struct host *host;

    hosts_release(hosts, reservation);
    host = host_get(hosts, name);
    reservation->host = host;
    reservation->size = *size;
    reservation->previous = NULL;
    reservation->next = host->reservations;
    if (host->reservations != NULL)
        host->reservations->previous = reservation;
    host->reservations = reservation;
    host->used_cpu_m += size->cpu_m;
    host->used_mem_b += size->mem_b;
    host->used_pods++;
}

void hosts_release(struct hosts *hosts, struct reservation *reservation)
{
    struct host *host = reservation->host;

    if (host == NULL)
        return;
    if (reservation->previous != NULL)
        reservation->previous->next = reservation->next;
    else
        host->reservations = reservation->next;
    if (reservation->next != NULL)
        reservation->next->previous = reservation->previous;
    host->used_cpu_m -= reservation->size.cpu_m;
    host->used_mem_b -= reservation->size.mem_b;
    host->used_pods--;
    *reservation = (struct reservation){0};
    host_drop_unused(hosts, host);
}

const struct host *hosts_find(const struct hosts *hosts, const char *name)
{
    return map_get(&hosts->by_name, name);
}

bool hosts_next(const struct hosts *hosts, size_t *position, struct host **ret)
{
    const char *name;
    void *host;

    if (!map_next(&hosts->by_name, position, &name, &host))
        return false;
    *ret = host;
    return true;
}
