/*
 * hosts.c: keeps the picture of the hosts: what they offer, whether their heartbeat goes on, what is taken. place.c
 * chooses from it. Makes no requests and starts no timers.
 */
#include "fargate/hosts.h"

#include "base/clock.h"
#include "base/mem.h"

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

static void object_clear(struct hosts *hosts, struct host *host)
{
    host_kind_leave(hosts, host);
    host->cordoned = host->not_ready = host->said_ready = false;
    host->pressure = xfree(host->pressure);
    host->hostname = xfree(host->hostname);
}

static void host_free(struct hosts *hosts, struct host *host)
{
    object_clear(hosts, host);
    free(host->name);
    free(host->renew_time);
    free(host);
}

/* Forgets a host that no object, Lease or pod mentions any more. */
static void host_drop_unused(struct hosts *hosts, struct host *host)
{
    if (host->kind != NULL || host->renew_time != NULL || host->reservations != NULL)
        return;
    (void)map_del(&hosts->by_name, host->name);
    host_free(hosts, host);
}

void hosts_done(struct hosts *hosts)
{
    size_t position = 0;
    const char *name;
    void *value;

    while (map_next(&hosts->by_name, &position, &name, &value))
        host_free(hosts, value);
    position = 0;
    while (map_next(&hosts->zones, &position, &name, &value))
        free(value);
    map_done(&hosts->by_name);
    map_done(&hosts->kinds);
    map_done(&hosts->zones);
}

/* Open hosts are in the order of their kind, the others are not. */
static void relist(struct hosts *hosts, struct host *host, int64_t now_ms)
{
    if (hosts_state(host, now_ms) == HOST_OPEN)
        host_kind_list(hosts, host);
    else
        host_kind_unlist(hosts, host);
}

static void read_conditions(struct host *host, const struct json *conditions)
{
    static const char *const pressures[] = {"MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"};
    const struct json *item;

    json_each(item, conditions) {
        const char *type = json_str_or("", item, "type", NULL), *status = json_str(item, "status", NULL);

        if (streq(type, "Ready")) {
            host->not_ready = streq(status, "False");
            host->said_ready = streq(status, "True");
        }
        for (size_t i = 0; i < countof(pressures); i++)
            if (streq(type, pressures[i]) && streq(status, "True") && host->pressure == NULL)
                host->pressure = xstrdup(type);
    }
}

void hosts_on_object(struct hosts *hosts, const char *name, const struct json *new, int64_t now_ms)
{
    struct host *host = host_get(hosts, name);
    const char *hostname = json_str(new, "metadata", "labels", "kubernetes.io/hostname", NULL);

    object_clear(hosts, host);
    if (new == NULL || !host_kind_join(hosts, host, new)) {
        host_drop_unused(hosts, host);
        return;
    }
    host->hostname = hostname != NULL ? xstrdup(hostname) : NULL;
    host->cordoned = json_is_true(new, "spec", "unschedulable", NULL);
    read_conditions(host, json_get(new, "status", "conditions", NULL));
    relist(hosts, host, now_ms);
}

void hosts_on_lease(struct hosts *hosts, const char *name, const struct json *new, int64_t now_ms, int64_t wall_ns)
{
    CLEANUP(err_clear) struct err err = {0};
    struct host *host = host_get(hosts, name);
    const char *renew_time = json_str(new, "spec", "renewTime", NULL);
    int64_t renewed_ns;

    if (renew_time == NULL) {
        host->renew_time = xfree(host->renew_time);
        relist(hosts, host, now_ms);
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
    relist(hosts, host, now_ms);
}

static bool is_silent(const struct host *host, int64_t now_ms)
{
    return host->renew_time == NULL || now_ms - host->alive_ms > HOSTS_LEASE_MAX_AGE_MS;
}

enum host_state hosts_state(const struct host *host, int64_t now_ms)
{
    if (host->kind == NULL)
        return HOST_GONE;
    if (is_silent(host, now_ms))
        return HOST_DEAD;
    if (host->not_ready)
        return HOST_NOT_READY;
    if (host->pressure != NULL)
        return HOST_PRESSED;
    return host->cordoned ? HOST_CORDONED : HOST_OPEN;
}

bool hosts_is_lost(const struct host *host, int64_t now_ms)
{
    return is_silent(host, now_ms) && host->seen_ms > 0 && now_ms - host->seen_ms > HOSTS_LEASE_MAX_AGE_MS;
}

void hosts_refresh(struct hosts *hosts, int64_t now_ms)
{
    struct host *host;

    for (size_t i = 0; hosts_next(hosts, &i, &host);) {
        if (host->seen_ms == 0)
            host->seen_ms = now_ms > 0 ? now_ms : 1;
        if (host->kind != NULL)
            relist(hosts, host, now_ms);
    }
}

/* Changes what is taken of a host by one pod. */
static void take_room(struct hosts *hosts, struct host *host, const struct fargate_size *size, int sign)
{
    bool listed = host->listed;

    if (listed)
        host_kind_unlist(hosts, host);
    host->used_cpu_m += sign * size->cpu_m;
    host->used_mem_b += sign * size->mem_b;
    host->used_storage_b += sign * size->storage_b;
    host->used_pods += sign;
    if (listed)
        host_kind_list(hosts, host);
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
    take_room(hosts, host, size, 1);
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
    take_room(hosts, host, &reservation->size, -1);
    *reservation = (struct reservation){0};
    host_drop_unused(hosts, host);
}

bool hosts_is_over(const struct host *host)
{
    const struct host_kind *kind = host->kind;

    return kind != NULL && (host->used_cpu_m > kind->cpu_m || host->used_mem_b > kind->mem_b ||
                            host->used_pods > kind->pods ||
                            (kind->storage_b > 0 && host->used_storage_b > kind->storage_b));
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
