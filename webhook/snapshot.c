/* snapshot.c: counts who still decides by a snapshot; no lock, because nothing in it ever changes. */
#include "snapshot.h"

#include "base/mem.h"

struct snapshot *snapshot_new(struct fargate_profiles *profiles)
{
    struct snapshot *snapshot = NEW(struct snapshot);

    *snapshot = (struct snapshot){.profiles = profiles, .refs = 1};
    return snapshot;
}

struct snapshot *snapshot_keep(struct snapshot *snapshot)
{
    if (snapshot != NULL)
        (void)__atomic_fetch_add(&snapshot->refs, 1, __ATOMIC_RELAXED);
    return snapshot;
}

struct snapshot *snapshot_free(struct snapshot *snapshot)
{
    if (snapshot == NULL || __atomic_sub_fetch(&snapshot->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return NULL;
    (void)fargate_profiles_free((struct fargate_profiles *)(uintptr_t)snapshot->profiles);
    free(snapshot);
    return NULL;
}
