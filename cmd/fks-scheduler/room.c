/*
 * room.c: see room.h. The only place that changes reservations, so that the sums always agree.
 */
#include "room.h"

#include "base/mem.h"
#include "ledger.h"

struct pod *room_pod(struct reservation *held)
{
    return held->promised ? NULL : container_of(held, struct pod, held);
}

static void use(struct pod *pod, int sign)
{
    if (pod->held.host != NULL)
        profiles_use(pod->profile, &pod->held.size, sign);
}

void room_free(struct pod *pod)
{
    if (pod->held.host == NULL)
        return;
    CLEANUP(xfree) char *host = xstrdup(pod->held.host->name);
    use(pod, -1);
    hosts_release(&pod->scheduler->hosts, &pod->held); /* may forget the host */
    ledger_on_room(pod, host);
    spreads_update(&pod->scheduler->spreads, pod->namespace, pod->uid, NULL, NULL);
}

void room_take(struct pod *pod, const char *host, const struct fargate_size *size)
{
    if (pod->held.host != NULL && !streq(pod->held.host->name, host))
        room_free(pod);
    use(pod, -1);
    hosts_reserve(&pod->scheduler->hosts, &pod->held, host, size);
    use(pod, 1);
    ledger_on_room(pod, host);
    room_recount(pod);
}

void room_recount(struct pod *pod)
{
    const char *host = pod->held.host != NULL && !pod->deleting ? pod->held.host->name : NULL;

    spreads_update(&pod->scheduler->spreads, pod->namespace, pod->uid, pod->labels != NULL ? pod->labels->tree : NULL, host);
}

void room_count(struct pod *pod, const char *profile, enum profile_count as)
{
    bool leaves = as == PROFILE_COUNT_NONE || profile == NULL;

    if (pod->profile != NULL && (leaves || !streq(pod->profile->name, profile))) {
        use(pod, -1);
        profiles_refused(pod->profile, pod->counted_refused ? -1 : 0);
        pod->counted_refused = false;
        profiles_count(take(&pod->profile), pod->counted, PROFILE_COUNT_NONE);
        pod->counted = PROFILE_COUNT_NONE;
    }
    if (leaves)
        return;
    if (pod->profile == NULL) {
        pod->profile = profiles_get(pod->scheduler->profiles, profile);
        use(pod, 1);
    }
    profiles_count(pod->profile, pod->counted, as);
    pod->counted = as;
}
