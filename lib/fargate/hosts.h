/*
 * hosts.h: the hosts, whether they may be used, and how much of each is taken. Pure: the caller brings objects and time.
 * A host's picture comes from three places: its FargateHost, its Lease (heartbeat) and the reservations of pods, which
 * may arrive in any order.
 *
 * Hosts that no pod can tell apart but by name (same zone, labels, runtimes, capacity) are one kind, and the open ones of
 * a kind are kept in order of fullness: so a decision looks at kinds and at a few hosts, however many there are.
 */
#pragma once

#include "base/map.h"
#include "base/str.h"
#include "data/json.h"
#include "fargate/size.h"

#define HOSTS_LEASE_MAX_AGE_MS 40000
#define HOSTS_DEFAULT_PODS 110
#define HOSTS_FULL 1000000 /* of a host's fullness: nothing is left of the scarcest resource */

enum host_state {
    HOST_OPEN,
    HOST_GONE,      /* no FargateHost (any more), or one that cannot be read */
    HOST_DEAD,      /* its Lease is missing or older than HOSTS_LEASE_MAX_AGE_MS */
    HOST_NOT_READY, /* the agent says so: condition Ready=False */
    HOST_PRESSED,   /* or another condition: pressure of memory, disk or processes, no network */
    HOST_CORDONED,  /* spec.unschedulable */
};

struct reservation { /* embedded in the pod; host NULL: holds nothing */
    struct host *host;
    bool promised; /* by another scheduler, to a pod that is not known to hold it: not embedded in a pod; the owner's to set */
    struct fargate_size size;
    struct reservation *previous, *next; /* of the same host */
};

struct host_kind {
    char *key;
    char *zone, *region, *architecture; /* or NULL */
    struct strv runtime_handlers;
    struct strv csi_drivers;
    struct json *labels; /* metadata.labels but for the host's names, or NULL */
    int64_t cpu_m, mem_b, pods;
    int64_t storage_b;   /* 0: not counted */
    size_t n_hosts;
    struct host **open;  /* by host_compare */
    size_t n_open, cap_open;
};

struct zone { /* of the open hosts */
    int64_t cpu_m, mem_b, used_cpu_m, used_mem_b;
};

struct host {
    char *name;
    struct host_kind *kind; /* of the FargateHost; NULL: there is none that can be read */
    bool cordoned, not_ready;
    bool said_ready;  /* condition Ready=True, however long ago that was written */
    char *pressure;   /* the condition that keeps pods away, or NULL */
    char *hostname;   /* its label kubernetes.io/hostname, or NULL */
    /* of the Lease */
    char *renew_time; /* as written by the agent; NULL: no Lease seen */
    int64_t alive_ms; /* monotonic: when renew_time was last seen to change */
    int64_t seen_ms;  /* when hosts_refresh first saw the host; 0: not yet */
    /* of the pods */
    int64_t used_cpu_m, used_mem_b, used_storage_b, used_pods;
    struct reservation *reservations;
    /* of the order */
    bool listed;      /* among kind->open */
    int64_t fullness; /* share of the scarcest resource, of HOSTS_FULL */
};

struct hosts { /* {0} is valid and empty */
    struct map by_name;
    struct map kinds; /* key → struct host_kind */
    struct map zones; /* name → struct zone */
};

void hosts_done(struct hosts *hosts);
/* The FargateHost or Lease changed; new is NULL when it is gone, name says whose it was. */
void hosts_on_object(struct hosts *hosts, const char *name, const struct json *new, int64_t now_ms);
/* wall_ns dates the first renewTime seen of a host; after that only changes count, whatever the host's clock says. */
void hosts_on_lease(struct hosts *hosts, const char *name, const struct json *new, int64_t now_ms, int64_t wall_ns);
enum host_state hosts_state(const struct host *host, int64_t now_ms);
/*
 * Without a heartbeat, or without a FargateHost, and watched for long enough to be sure: what ran there is lost. Unlike
 * HOST_DEAD this never rests on comparing the clocks of two machines.
 */
bool hosts_is_lost(const struct host *host, int64_t now_ms);
/* Takes those whose heartbeat has stopped meanwhile out of the order. About once a second is often enough. */
void hosts_refresh(struct hosts *hosts, int64_t now_ms);

/* Takes room on a host, which need not be known yet. What the reservation held before is given back. */
void hosts_reserve(struct hosts *hosts, struct reservation *reservation, const char *name,
                   const struct fargate_size *size);
void hosts_release(struct hosts *hosts, struct reservation *reservation);
/* More is taken than there is. A host that is not known is not over. */
bool hosts_is_over(const struct host *host);
const struct host *hosts_find(const struct hosts *hosts, const char *name);
bool hosts_next(const struct hosts *hosts, size_t *position, struct host **ret);
/* By fullness, then number of pods, then name. */
int host_compare(const struct host *a, const struct host *b);
/* How full the zone is, of HOSTS_FULL, by its scarcer resource; zone NULL: 0. */
int64_t hosts_zone_fullness(const struct hosts *hosts, const char *zone);
DEFINE_CLEANUP_IN_PLACE(struct hosts, hosts_done)

/* --- host_kinds.c, for hosts.c */
/* Reads what makes the kind and joins it; false (and no kind) when the capacity cannot be read. */
bool host_kind_join(struct hosts *hosts, struct host *host, const struct json *object);
void host_kind_leave(struct hosts *hosts, struct host *host);
/* Into the order or out of it; and before and after its used_* change, which keeps order and zones right. */
void host_kind_list(struct hosts *hosts, struct host *host);
void host_kind_unlist(struct hosts *hosts, struct host *host);
