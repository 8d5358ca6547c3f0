/*
 * snapshot.h: the profiles in force at one moment: immutable, shared by the threads that decide by them. store.c makes one
 * for each change; the last who lets go of it frees it.
 */
#pragma once

#include "fargate/profile.h"

struct snapshot {
    const struct fargate_profiles *profiles;
    uint32_t refs; /* private */
};

/* Takes the profiles over; one reference for the caller. */
struct snapshot *snapshot_new(struct fargate_profiles *profiles) MUST_CHECK;
struct snapshot *snapshot_keep(struct snapshot *snapshot) MUST_CHECK;
struct snapshot *snapshot_free(struct snapshot *snapshot);
DEFINE_CLEANUP_POINTER(struct snapshot *, snapshot_free)
