/*
 * profiles.h: the FargateProfiles as the scheduler needs them (sizing, zones), and their status: state, condition and
 * pod counts, kept by counting, patched when they change and at most once a second each.
 */
#pragma once

#include "base/loop.h"
#include "base/map.h"
#include "fargate/place.h"
#include "kube/client.h"

struct profiles;

enum profile_count { PROFILE_COUNT_NONE, PROFILE_COUNT_PENDING, PROFILE_COUNT_RUNNING };

struct profile {
    char *name;
    bool exists;        /* the object is there; a pod may name one that is not */
    bool deleting;      /* its pods are being drained; PROFILE_FINALIZER keeps it until they are gone */
    struct json *finalizers; /* as on the object, or NULL */
    char *version;      /* resourceVersion */
    char *problem;      /* why its rules cannot be used, or NULL */
    struct fargate_profile rules; /* valid if it exists and has no problem */
    int64_t generation; /* metadata.generation */
    int64_t n_pending, n_running, n_refused;
    struct place_usage used;
    struct json *last_error; /* for the status, or NULL */
    struct json *status; /* as the server has it, or NULL */
    bool dirty;         /* status may differ from what it should be */
    int64_t next_patch_ms;
    struct kube_call *call;           /* status */
    struct kube_call *finalizer_call; /* of drain.c */
    struct profiles *profiles;
};

#define PROFILE_FINALIZER "fks.dev/drain"

struct profiles *profiles_new(struct loop *loop, struct kube_client *client);
struct profiles *profiles_free(struct profiles *profiles);
/* The profile of this name, made when nothing is known of it yet. Stays valid while pods are counted in it. */
struct profile *profiles_get(struct profiles *profiles, const char *name);
/* The FargateProfile changed; new NULL: gone. */
void profiles_on_object(struct profiles *profiles, const char *name, const struct json *new);
/* A pod moves from one count to another; either may be PROFILE_COUNT_NONE. */
void profiles_count(struct profile *profile, enum profile_count from, enum profile_count to);
/* A pod of this size takes room (1) or gives it back (-1). profile NULL: nothing. */
void profiles_use(struct profile *profile, const struct fargate_size *size, int sign);
/* So many more of its pending pods cannot run as they are. profile NULL: nothing. */
void profiles_refused(struct profile *profile, int by);
/* The last refusal, for the status. profile NULL: nothing. */
void profiles_error(struct profile *profile, const char *pod, const char *reason, const char *message);
/* Statuses are written from now on: before all lists are there the counts would be wrong. */
void profiles_start(struct profiles *profiles);
/* Not any more: another replica writes them. */
void profiles_stop(struct profiles *profiles);
bool profiles_next(const struct profiles *profiles, size_t *position, struct profile **ret);
DEFINE_CLEANUP_POINTER(struct profiles *, profiles_free)
