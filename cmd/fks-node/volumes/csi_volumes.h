/*
 * csi_volumes.h: the CSI volumes that pods of this host use, and the calls that bring each of them where it should be.
 * A volume is staged once for all its pods here and unstaged after the last; it is published to each pod on its own.
 * One call is under way per volume; what fails is tried again after a growing delay. Records (csi_records.h) are ahead
 * of every call, so the agent may be killed at any moment.
 */
#pragma once

#include "base/loop.h"
#include "volumes/csi_drivers.h"
#include "volumes/csi_plan.h"

struct csi_volumes;

enum csi_news {
    CSI_NEWS_DONE,        /* it is up, or down */
    CSI_NEWS_NOT_UP,      /* a step on the way up failed; it is tried again */
    CSI_NEWS_NOT_DOWN,    /* and on the way down */
    CSI_NEWS_PLAN_IS_DUE, /* time to try again, with a plan of what objects and secrets say by now */
};

struct csi_volumes_options { /* strings stay the caller's */
    struct loop *loop;
    const struct csi_drivers *drivers;
    const char *state_dir;
    const char *boot_id; /* mounts of an earlier boot are gone */
    int64_t timeout_ms;  /* of a call */
    /* What became of a pod's volume. error: the text for the pod's event, of failures only. */
    void (*on_news)(const char *uid, const char *volume, enum csi_news news, const char *error, void *data);
    void *data;
};

struct csi_user { /* who uses a volume: a pod, by the name that it has there */
    const char *uid, *namespace, *name, *volume;
};

enum csi_state {
    CSI_ABSENT, /* a plan is needed */
    CSI_GOING,
    CSI_UP,
    CSI_STALE, /* it is up, and a fresh plan is due: its driver wants it published again from time to time */
};

/* Reads the records of an earlier agent. */
struct csi_volumes *csi_volumes_new(const struct csi_volumes_options *options);
struct csi_volumes *csi_volumes_free(struct csi_volumes *volumes);
enum csi_state csi_volumes_state(const struct csi_volumes *volumes, const char *uid, const char *volume);
/*
 * Takes the plan over (*plan is empty afterwards, also on failure) and begins. ERR_CONFLICT: a pod that has it alone
 * uses it, or this one wants it alone; ERR_IO: the record could not be written.
 */
int csi_volumes_up(struct csi_volumes *volumes, const struct csi_user *user, struct csi_plan *plan,
                   struct err *err) MUST_CHECK;
/* Takes all volumes of a pod down. True when none is left; else on_news tells when to ask again. */
bool csi_volumes_down(struct csi_volumes *volumes, const char *uid);
/* for (size_t i = 0; csi_volumes_next(volumes, &i, &user);): every use; borrowed until the next turn. */
bool csi_volumes_next(const struct csi_volumes *volumes, size_t *position, struct csi_user *ret);
/* A driver came or went: what waits is tried again at once. */
void csi_volumes_driver_changed(struct csi_volumes *volumes);
