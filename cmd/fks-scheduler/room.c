/*
 * room.c: see room.h. The only place that changes reservations, so that the sums always agree.
 */
#include "room.h"

#include "base/mem.h"

static void use(struct pod *pod, int sign)
{
    if (pod->held.host != NULL)
        profiles_use(pod->profile, &pod->held.size, sign);
}

void room_take(struct pod *pod, const char *host, const struct fargate_size *size)
{
    use(pod, -1);
    hosts_reserve(&pod->scheduler->hosts, &pod->held, host, size);
    use(pod, 1);
    room_recount(pod, scheduler_object(pod));
}

void room_free(struct pod *pod)
{
    if (pod->held.host == NULL)
        return;
    use(pod, -1);
    hosts_release(&pod->scheduler->hosts, &pod->held);
    spreads_update(&pod->scheduler->spreads, pod->namespace, pod->uid, NULL, NULL);
}

void room_recount(struct pod *pod, const struct json *object)
{
    const char *host = pod->held.host != NULL && !pod->deleting ? pod->held.host->name : NULL;

    spreads_update(&pod->scheduler->spreads, pod->namespace, pod->uid, json_get(object, "metadata", "labels", NULL),
                   host);
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
