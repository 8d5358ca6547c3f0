/*
 * csi_volumes.c: who uses which volume: the tables behind csi_volumes.h, and their records. The calls are
 * csi_steps.c's.
 */
#include "volumes/csi_volumes_internal.h"

#include "base/log.h"
#include "base/mem.h"
#include "volumes/csi_records.h"
#include "volumes/volumes.h"

#define REPUBLISH_MS 30000 /* with the pace at which pods are looked after: within a minute or so, as the kubelet */

/* --- tables */

static struct csi_held *held_find(const struct csi_volumes *volumes, const char *driver, const char *handle)
{
    for (size_t i = 0; i < volumes->n; i++)
        if (streq(volumes->held[i]->handle, handle) && streq(volumes->held[i]->driver, driver))
            return volumes->held[i];
    return NULL;
}

struct csi_held *csi_held_get(struct csi_volumes *volumes, const char *driver, const char *handle)
{
    struct csi_held *held = held_find(volumes, driver, handle);
    const char *state_dir = volumes->options.state_dir;
    char digest[65];

    if (held != NULL)
        return held;
    csi_record_digest(driver, handle, digest);
    held = NEW(struct csi_held);
    held->owner = volumes;
    held->driver = xstrdup(driver);
    held->handle = xstrdup(handle);
    held->folder = csi_record_stage_dir(state_dir, digest);
    held->record = csi_record_stage_path(state_dir, digest);
    held->staging = xasprintf("%s/globalmount", held->folder);
    held->timer = loop_timer_new(volumes->options.loop, csi_held_sync, held);
    GROW(volumes->held, volumes->n, volumes->cap);
    volumes->held[volumes->n++] = held;
    return held;
}

static void use_free(struct csi_use *use)
{
    csi_plan_done(&use->plan);
    free(use->uid);
    free(use->namespace);
    free(use->name);
    free(use->volume);
    free(use->record);
    free(use->target);
    free(use);
}

static void held_free(struct csi_held *held)
{
    csi_free(held->client);
    loop_timer_free(held->timer);
    for (size_t i = 0; i < held->n; i++)
        use_free(held->uses[i]);
    free(held->uses);
    free(held->driver);
    free(held->handle);
    free(held->folder);
    free(held->record);
    free(held->staging);
    free(held);
}

void csi_held_forget(struct csi_held *held)
{
    struct csi_volumes *volumes = held->owner;

    for (size_t i = 0; i < volumes->n; i++)
        if (volumes->held[i] == held)
            volumes->held[i] = volumes->held[--volumes->n];
    held_free(held);
}

static struct csi_use *use_find(const struct csi_held *held, const char *uid, const char *volume)
{
    for (size_t i = 0; i < held->n; i++)
        if (streq(held->uses[i]->uid, uid) && streq(held->uses[i]->volume, volume))
            return held->uses[i];
    return NULL;
}

struct csi_use *csi_use_get(struct csi_held *held, const char *uid, const char *volume)
{
    struct csi_use *use = use_find(held, uid, volume);

    if (use != NULL)
        return use;
    use = NEW(struct csi_use);
    use->uid = xstrdup(uid);
    use->volume = xstrdup(volume);
    use->record = csi_record_use_path(held->owner->options.state_dir, uid, volume);
    use->target = volumes_dir(held->owner->options.state_dir, uid, volume);
    GROW(held->uses, held->n, held->cap);
    held->uses[held->n++] = use;
    return use;
}

void csi_use_forget(struct csi_held *held, struct csi_use *use)
{
    for (size_t i = 0; i < held->n; i++)
        if (held->uses[i] == use)
            held->uses[i] = held->uses[--held->n];
    use_free(use);
}

/* A pod's use of a volume, whichever volume it is. */
static struct csi_use *any_use(const struct csi_volumes *volumes, const char *uid, const char *volume)
{
    struct csi_use *use = NULL;

    for (size_t i = 0; i < volumes->n && use == NULL; i++)
        use = use_find(volumes->held[i], uid, volume);
    return use;
}

/* --- records */

int csi_use_save(const struct csi_held *held, const struct csi_use *use, struct err *err)
{
    CLEANUP(json_free) struct json *record =
        json_build("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b}", "namespace", use->namespace, "name", use->name,
                   "driver", held->driver, "handle", held->handle, "boot", held->owner->options.boot_id, "tried",
                   (int)use->tried, "published", (int)use->published, "republish", (int)use->republish, "exclusive",
                   (int)use->exclusive);

    return csi_record_write(use->record, record, err);
}

int csi_held_save(struct csi_held *held, struct err *err)
{
    CLEANUP(json_free) struct json *record =
        json_build("{s:s, s:s, s:s, s:b}", "driver", held->driver, "handle", held->handle, "boot",
                   held->owner->options.boot_id, "staged", (int)held->staged);
    int r = csi_record_write(held->record, record, err);

    held->recorded = held->recorded || r == 0;
    return r;
}

static void recall(const char *uid, const char *name, const struct json *record, void *data)
{
    struct csi_volumes *volumes = data;
    const char *driver = json_str_or("", record, "driver", NULL), *handle = json_str_or("", record, "handle", NULL);
    bool this_boot = streq(json_str(record, "boot", NULL), volumes->options.boot_id);

    if (!csi_name_is_valid(driver) || *handle == '\0') {
        log_warn("the record of a CSI volume is of no use", "pod", strempty(uid), "volume", name);
        return;
    }
    struct csi_held *held = csi_held_get(volumes, driver, handle);
    if (uid == NULL) {
        held->recorded = true;
        held->staged = this_boot && json_is_true(record, "staged", NULL);
        return;
    }
    struct csi_use *use = csi_use_get(held, uid, name);
    use->namespace = xstrdup(json_str_or("", record, "namespace", NULL));
    use->name = xstrdup(json_str_or("", record, "name", NULL));
    use->tried = json_is_true(record, "tried", NULL);
    use->published = this_boot && json_is_true(record, "published", NULL);
    use->republish = json_is_true(record, "republish", NULL);
    use->exclusive = json_is_true(record, "exclusive", NULL);
}

void csi_volumes_recall(struct csi_volumes *volumes)
{
    csi_record_each(volumes->options.state_dir, recall, volumes);
    for (size_t i = 0; i < volumes->n; i++)
        csi_held_wake(volumes->held[i]);
}

/* --- entry points */

struct csi_volumes *csi_volumes_new(const struct csi_volumes_options *options)
{
    struct csi_volumes *volumes = NEW(struct csi_volumes);

    volumes->options = *options;
    csi_volumes_recall(volumes);
    return volumes;
}

struct csi_volumes *csi_volumes_free(struct csi_volumes *volumes)
{
    if (volumes == NULL)
        return NULL;
    for (size_t i = 0; i < volumes->n; i++)
        held_free(volumes->held[i]);
    free(volumes->held);
    free(volumes);
    return NULL;
}

enum csi_state csi_volumes_state(const struct csi_volumes *volumes, const char *uid, const char *volume)
{
    const struct csi_use *use = any_use(volumes, uid, volume);

    if (use == NULL)
        return CSI_ABSENT;
    if (use->published) {
        int64_t age_ms = loop_now_ms(volumes->options.loop) - use->published_ms;
        return use->republish && age_ms >= REPUBLISH_MS && use->plan.driver == NULL ? CSI_STALE : CSI_UP;
    }
    return use->plan.driver != NULL || use->failed || use->ending ? CSI_GOING : CSI_ABSENT;
}

static int check_exclusive(const struct csi_held *held, const char *uid, const struct csi_plan *plan, struct err *err)
{
    for (size_t i = 0; i < held->n; i++) {
        const struct csi_use *use = held->uses[i];
        if (!streq(use->uid, uid) && (plan->exclusive || use->exclusive))
            return err_set(err, ERR_CONFLICT,
                           "volume uses the ReadWriteOncePod access mode and is already in use by another pod: "
                           "%s/%s",
                           use->namespace, use->name);
    }
    return 0;
}

int csi_volumes_up(struct csi_volumes *volumes, const struct csi_user *user, struct csi_plan *plan, struct err *err)
{
    CLEANUP(csi_plan_done) struct csi_plan own = *plan;
    struct csi_held *held;
    int r;

    *plan = (struct csi_plan){0};
    held = csi_held_get(volumes, own.driver, own.handle);
    csi_held_wake(held); /* without a use it goes again */
    if ((r = check_exclusive(held, user->uid, &own, err)) < 0)
        return r;
    struct csi_use *use = csi_use_get(held, user->uid, user->volume);
    if (use->namespace == NULL) {
        use->namespace = xstrdup(user->namespace);
        use->name = xstrdup(user->name);
    }
    use->republish = own.republish;
    use->exclusive = own.exclusive;
    if (!use->published && (r = csi_use_save(held, use, err)) < 0) {
        if (!use->tried && held->active != use)
            csi_use_forget(held, use);
        return r;
    }
    if (held->active != use) { /* else the one under way comes to its end first */
        csi_plan_done(&use->plan);
        use->plan = own;
        use->failed = false;
        own = (struct csi_plan){0};
    }
    return 0;
}

bool csi_volumes_down(struct csi_volumes *volumes, const char *uid)
{
    bool none = true;

    for (size_t i = 0; i < volumes->n; i++) {
        struct csi_held *held = volumes->held[i];
        for (size_t j = 0; j < held->n; j++) {
            struct csi_use *use = held->uses[j];
            if (!streq(use->uid, uid))
                continue;
            none = false;
            if (use->ending)
                continue;
            use->ending = true;
            backoff_reset(&use->backoff);
            csi_held_wake(held);
        }
    }
    return none;
}

bool csi_volumes_next(const struct csi_volumes *volumes, size_t *position, struct csi_user *ret)
{
    size_t index = 0;

    for (size_t i = 0; i < volumes->n; i++)
        for (size_t j = 0; j < volumes->held[i]->n; j++, index++)
            if (index == *position) {
                const struct csi_use *use = volumes->held[i]->uses[j];
                *ret = (struct csi_user){use->uid, use->namespace, use->name, use->volume};
                *position += 1;
                return true;
            }
    return false;
}

void csi_volumes_driver_changed(struct csi_volumes *volumes)
{
    for (size_t i = 0; i < volumes->n; i++) {
        struct csi_held *held = volumes->held[i];
        backoff_reset(&held->backoff);
        for (size_t j = 0; j < held->n; j++)
            backoff_reset(&held->uses[j]->backoff);
        csi_held_wake(held);
    }
}
