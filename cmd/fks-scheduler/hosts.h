/*
 * hosts.h: the hosts, whether they may be used, and how much of each is taken. A host's picture comes from three
 * places: its FargateHost, its Lease (heartbeat) and the reservations of pods, which may arrive in any order.
 */
#pragma once

#include "base/map.h"
#include "base/str.h"
#include "data/json.h"
#include "fargate/size.h"

#define HOSTS_LEASE_MAX_AGE_MS 40000
#define HOSTS_DEFAULT_PODS 110

enum host_state {
    HOST_OPEN,
    HOST_GONE,      /* no FargateHost (any more), or one that cannot be read */
    HOST_DEAD,      /* its Lease is missing or older than HOSTS_LEASE_MAX_AGE_MS */
    HOST_NOT_READY, /* the agent says so: condition Ready=False */
    HOST_CORDONED,  /* spec.unschedulable */
};

struct reservation { /* embedded in the pod; host NULL: holds nothing */
    struct host *host;
    struct fargate_size size;
    struct reservation *previous, *next; /* of the same host */
};

struct host {
    char *name;
    /* of the FargateHost */
    bool known;
    bool cordoned, not_ready;
    char *zone, *region; /* or NULL */
    struct strv runtime_handlers;
    struct json *labels; /* metadata.labels, or NULL */
    int64_t cpu_m, mem_b, pods;
    /* of the Lease */
    char *renew_time; /* as written by the agent; NULL: no Lease seen */
    int64_t alive_ms; /* monotonic: when renew_time was last seen to change */
    /* of the pods */
    int64_t used_cpu_m, used_mem_b, used_pods;
    struct reservation *reservations;
};

struct hosts { /* {0} is valid and empty */
    struct map by_name;
};

void hosts_done(struct hosts *hosts);
/* The FargateHost or Lease changed; new is NULL when it is gone, name says whose it was. */
void hosts_on_object(struct hosts *hosts, const char *name, const struct json *new);
/* wall_ns dates the first renewTime seen of a host; after that only changes count, whatever the host's clock says. */
void hosts_on_lease(struct hosts *hosts, const char *name, const struct json *new, int64_t now_ms, int64_t wall_ns);
enum host_state hosts_state(const struct host *host, int64_t now_ms);

/* Takes room on a host, which need not be known yet. What the reservation held before is given back. */
void hosts_reserve(struct hosts *hosts, struct reservation *reservation, const char *name,
                   const struct fargate_size *size);
void hosts_release(struct hosts *hosts, struct reservation *reservation);
const struct host *hosts_find(const struct hosts *hosts, const char *name);
bool hosts_next(const struct hosts *hosts, size_t *position, struct host **ret);
DEFINE_CLEANUP_IN_PLACE(struct hosts, hosts_done)
