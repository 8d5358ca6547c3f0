/*
 * volumes.c: see volumes.h. The verdict on one claim is fargate/claims.h's.
 */
#include "volumes.h"

#include "base/log.h"
#include "watches.h"

static void on_change(const struct json *old, const struct json *new, void *data)
{
    struct scheduler *scheduler = data;
    const struct json *before = json_get(old, "status", "phase", NULL), *after = json_get(new, "status", "phase", NULL);

    if (old == NULL || new == NULL || !json_same(before, after))
        scheduler_wake(scheduler);
}

static void on_synced(void *data)
{
    scheduler_wake(data);
}

static void on_error(const struct err *err, void *data UNUSED)
{
    log_warn("watching claims and volumes; trying again", "error", err_text(err));
}

static struct kube_watch *start(struct scheduler *scheduler, const char *path)
{
    const struct kube_watch_options options = {
        .path = path, .omit = watches_omit_of_others, .on_change = on_change, .on_synced = on_synced, .on_error = on_error, .data = scheduler,
    };

    return kube_watch_new(scheduler->client, &options);
}

static enum claim_verdict check_one(struct scheduler *scheduler, const struct json *pod, const struct json *volume,
                                    struct strv *drivers, struct buf *why)
{
    const char *namespace = json_str_or("", pod, "metadata", "namespace", NULL), *name = claim_of_volume(volume);
    const struct json *claim = kube_watch_get(scheduler->claim_watch, namespace, name);
    const struct json *bound =
        kube_watch_get(scheduler->volume_watch, NULL, json_str_or("", claim, "spec", "volumeName", NULL));
    CLEANUP(buf_done) struct buf text = {0};
    enum claim_verdict verdict =
        claim_check(json_str_or("", volume, "name", NULL), name, claim, bound, &text);

    if (verdict == CLAIM_USABLE)
        claim_drivers(volume, bound, drivers);
    else
        (void)buf_printf(why, "%s%s", why->len > 0 ? ", " : "", buf_text(&text));
    return verdict;
}

enum claim_verdict volumes_check(struct scheduler *scheduler, const struct json *pod, struct strv *drivers, struct buf *why)
{
    enum claim_verdict worst = CLAIM_USABLE, verdict;
    const struct json *volume;

    json_each(volume, json_get(pod, "spec", "volumes", NULL)) {
        if (claim_of_volume(volume) == NULL) {
            claim_drivers(volume, NULL, drivers);
            continue;
        }
        if (scheduler->claim_watch == NULL) {
            scheduler->claim_watch = start(scheduler, "/api/v1/persistentvolumeclaims");
            scheduler->volume_watch = start(scheduler, "/api/v1/persistentvolumes");
        }
        if (!kube_watch_synced(scheduler->claim_watch) || !kube_watch_synced(scheduler->volume_watch)) {
            (void)buf_add_str(why, "the claims of the cluster are being listed");
            return CLAIM_WAITS;
        }
        verdict = check_one(scheduler, pod, volume, drivers, why);
        worst = verdict > worst ? verdict : worst;
    }
    return worst;
}
