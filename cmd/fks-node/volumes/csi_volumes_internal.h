/*
 * csi_volumes_internal.h: what the files of csi_volumes share.
 */
#pragma once

#include "backoff.h"
#include "volumes/csi_volumes.h"

struct csi_use {                           /* a volume of a pod */
    char *uid, *namespace, *name, *volume; /* of the pod; of the volume in it */
    char *record, *target;                 /* paths */
    struct csi_plan plan;                  /* driver NULL: nothing is wanted */
    bool tried;                            /* a driver was asked to publish it: it has to be unpublished */
    bool published;
    bool republish, exclusive; /* as the latest plan said */
    bool ending;
    bool failed; /* on the way up: a fresh plan is due after the delay */
    int64_t published_ms;
    struct backoff backoff;
};

struct csi_held { /* a volume of this host */
    struct csi_volumes *owner;
    char *driver, *handle, *folder, *record, *staging;
    struct loop_timer *timer;
    struct csi_use **uses;
    size_t n, cap;
    bool recorded; /* a driver was asked to stage it: it has to be unstaged */
    bool staged;
    struct backoff backoff; /* of staging and unstaging */

    /* the call under way */
    bool busy;
    struct csi *client;     /* of the latest call */
    const char *call;       /* its name; static */
    struct csi_use *active; /* NULL: it is about the volume as a whole */
};

struct csi_volumes {
    struct csi_volumes_options options;
    struct csi_held **held;
    size_t n, cap;
};

/* --- csi_volumes.c: who uses what */
struct csi_held *csi_held_get(struct csi_volumes *volumes, const char *driver, const char *handle);
void csi_held_forget(struct csi_held *held);
struct csi_use *csi_use_get(struct csi_held *held, const char *uid, const char *volume);
void csi_use_forget(struct csi_held *held, struct csi_use *use);
int csi_use_save(const struct csi_held *held, const struct csi_use *use, struct err *err) MUST_CHECK;
int csi_held_save(struct csi_held *held, struct err *err) MUST_CHECK;
void csi_volumes_recall(struct csi_volumes *volumes);

/* --- csi_steps.c: what comes next for a volume, and the calls */
/* Begins the next step, unless one is under way. May free held. */
void csi_held_sync(void *held);
void csi_held_wake(struct csi_held *held);
