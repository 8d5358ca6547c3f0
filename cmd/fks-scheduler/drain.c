/*
 * drain.c: see drain.h. Ended pods stay: they hold no capacity, and their logs may still be wanted.
 */
#include "drain.h"

#include "base/log.h"
#include "base/mem.h"
#include "evict.h"
#include "fargate/names.h"

static bool has_finalizer(const struct profile *profile)
{
    const struct json *item;

    json_each(item, profile->finalizers)
        if (streq(json_string_value(item), PROFILE_FINALIZER))
            return true;
    return false;
}

static void on_written(struct json **answer UNUSED, struct err *err, void *data)
{
    struct profile *profile = data;

    profile->finalizer_call = NULL;
    if (err->code != 0 && err->code != ERR_NOT_FOUND && err->code != ERR_CONFLICT)
        log_warn("the finalizer of a profile could not be written; trying again", "profile", profile->name, "error",
                 err_text(err));
}

/* The resourceVersion keeps finalizers of others that came meanwhile. */
static void write_finalizers(struct scheduler *scheduler, struct profile *profile, bool wanted)
{
    CLEANUP(json_free) struct json *list = json_new_array();
    CLEANUP(xfree) char *path = kube_path(FKS_GROUP, FKS_VERSION, NULL, "fargateprofiles", profile->name, NULL);
    const struct json *item;

    json_each(item, profile->finalizers)
        if (!streq(json_string_value(item), PROFILE_FINALIZER))
            json_push(list, json_keep(item));
    if (wanted)
        json_push(list, json_new_string(PROFILE_FINALIZER));
    CLEANUP(json_free) struct json *body =
        json_build("{s:{s:s, s:O}}", "metadata", "resourceVersion", profile->version, "finalizers", list);
    const struct kube_request request = {.method = "PATCH", .path = path, .body = body,
                                         .content_type = KUBE_MERGE_PATCH};
    profile->finalizer_call = kube_start(scheduler->client, &request, on_written, profile);
}

static void evict_pods_of(struct scheduler *scheduler, const struct profile *profile)
{
    const char *key;
    void *value;

    for (size_t i = 0; map_next(&scheduler->pods, &i, &key, &value) && scheduler_may_call(scheduler);) {
        struct pod *pod = value;

        if (pod->profile == profile)
            evict_pod(pod);
    }
}

void drain_profiles(struct scheduler *scheduler)
{
    struct profile *profile;

    for (size_t i = 0; profiles_next(scheduler->profiles, &i, &profile);) {
        if (!profile->exists || profile->finalizer_call != NULL)
            continue;
        if (!profile->deleting && !has_finalizer(profile))
            write_finalizers(scheduler, profile, true);
        else if (profile->deleting && profile->n_pending + profile->n_running > 0)
            evict_pods_of(scheduler, profile);
        else if (profile->deleting && has_finalizer(profile))
            write_finalizers(scheduler, profile, false);
    }
}
