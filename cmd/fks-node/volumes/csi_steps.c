/*
 * csi_steps.c: what comes next for a volume: one call to its driver at a time, in the order that the specification asks
 * for (stage, publish ... unpublish, unstage), each repeated until it succeeds. Drivers must take a call that they had
 * before for done, so a call whose answer got lost is simply made again.
 */
#include "volumes/csi_volumes_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "volumes/csi_owner.h"
#include "volumes/csi_records.h"
#include "volumes/volumes.h"

#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS 122000 /* the kubelet's, for volume operations */

static int64_t now_of(const struct csi_held *held)
{
    return loop_now_ms(held->owner->options.loop);
}

void csi_held_wake(struct csi_held *held)
{
    loop_timer_set(held->timer, 0);
}

/* --- telling */

static void tell(const struct csi_held *held, const struct csi_use *use, enum csi_news news, const char *error)
{
    const struct csi_volumes_options *options = &held->owner->options;

    options->on_news(use->uid, use->volume, news, error, options->data);
}

/* What the calls' errors leave out: who it was, and what to look at. */
static char *explain(const struct csi_held *held, const struct err *err)
{
    const struct csi_volumes_options *options = &held->owner->options;

    if (err->code == ERR_TIMEOUT)
        return xasprintf("driver %s did not answer %s within %" PRId64
                         " s: look at the driver's log on this host; it is asked again",
                         held->driver, strempty(held->call), options->timeout_ms / 1000);
    if (err->code == ERR_REFUSED)
        return xasprintf("driver %s cannot be reached: %s: is it running on this host?", held->driver, err_text(err));
    return xasprintf("driver %s: %s", held->driver, err_text(err));
}

/* What it was asked for may be why: a secret, say. So the next try is with a fresh plan. */
static void fail_use(struct csi_held *held, struct csi_use *use, const char *text)
{
    if (!use->ending) {
        csi_plan_done(&use->plan);
        use->failed = !use->published;
    }
    tell(held, use, use->ending ? CSI_NEWS_NOT_DOWN : CSI_NEWS_NOT_UP, text);
}

static void fail(struct csi_held *held, struct csi_use *use, const struct err *err)
{
    CLEANUP(xfree) char *text = explain(held, err);

    log_warn("a step of a CSI volume failed; trying again", "driver", held->driver, "volume", held->handle, "call",
             strempty(held->call), "error", err_text(err));
    backoff_fail(use != NULL ? &use->backoff : &held->backoff, now_of(held), RETRY_FIRST_MS, RETRY_MAX_MS);
    if (use != NULL)
        fail_use(held, use, text);
    for (size_t i = 0; use == NULL && i < held->n; i++) /* staging is for all that wait for it */
        if (held->uses[i]->plan.driver != NULL && !held->uses[i]->ending)
            fail_use(held, held->uses[i], text);
}

/* --- calls */

/* A client of its own: the driver's registration may end while a call is under way. */
static bool begin(struct csi_held *held, struct csi_use *use, const char *call)
{
    CLEANUP(err_clear) struct err err = {0};
    struct csi_driver driver;

    held->call = call;
    held->client = csi_free(held->client);
    if (!csi_drivers_get(held->owner->options.drivers, held->driver, &driver))
        err_set(&err, ERR_NOT_FOUND,
                "%s: not found in the list of registered CSI drivers: its registration socket is missing in %s", call,
                csi_drivers_dir(held->owner->options.drivers));
    if (err.code != 0 || csi_new(held->owner->options.loop, driver.endpoint, &held->client, &err) < 0) {
        fail(held, use, &err);
        return false;
    }
    held->active = use;
    return held->busy = true;
}

static void end_step(struct csi_held *held)
{
    held->busy = false;
    held->active = NULL;
    csi_held_wake(held);
}

/* --- staging */

static void on_staged(struct err *err, void *data)
{
    struct csi_held *held = data;
    CLEANUP(err_clear) struct err own = {0};

    if (err->code != 0) {
        fail(held, NULL, err);
    } else {
        held->staged = true;
        backoff_reset(&held->backoff);
        if (csi_held_save(held, &own) < 0)
            fail(held, NULL, &own); /* it is staged nevertheless: after a restart once more */
        log_info("CSI volume staged", "driver", held->driver, "volume", held->handle);
    }
    end_step(held);
}

static void fill(const struct csi_held *held, const struct csi_plan *plan, struct csi_volume *ret)
{
    *ret = (struct csi_volume){
        .id = held->handle,
        .staging_path = plan->stage ? held->staging : NULL,
        .access = plan->access,
        .fs_type = plan->fs_type,
        .mount_flags = (const char *const *)plan->mount_flags.items,
        .mount_group = plan->mount_group,
    };
}

static void stage(struct csi_held *held, const struct csi_plan *plan)
{
    CLEANUP(err_clear) struct err err = {0};
    struct csi_volume volume;

    fill(held, plan, &volume);
    volume.secrets = &plan->stage_secrets;
    volume.context = &plan->context;
    held->call = "NodeStageVolume";
    if (csi_held_save(held, &err) < 0 || dir_make(held->staging, 0750, &err) < 0)
        fail(held, NULL, &err);
    else if (begin(held, NULL, held->call))
        csi_stage(held->client, &volume, held->owner->options.timeout_ms, on_staged, held);
}

static int remove_stage(struct csi_held *held, struct err *err)
{
    int r;

    if (volumes_is_mounted(held->staging))
        return err_set(err, ERR_BUSY, "NodeUnstageVolume: the driver says it is done, but '%s' is still mounted",
                       held->staging);
    if (remove(held->staging) < 0 && errno != ENOENT)
        return err_errno(err, errno, "removing '%s'", held->staging);
    if ((r = csi_record_remove(held->record, err)) < 0)
        return r;
    if (rmdir(held->folder) < 0 && errno != ENOENT)
        return err_errno(err, errno, "removing '%s'", held->folder);
    return 0;
}

/* A driver that lost or never had the volume: with nothing mounted there is nothing to undo. */
static bool is_undone(const struct err *err, const char *path)
{
    return err->code == 0 || (err->code == ERR_NOT_FOUND && !volumes_is_mounted(path));
}

static void on_unstaged(struct err *err, void *data)
{
    struct csi_held *held = data;
    CLEANUP(err_clear) struct err own = {0};

    held->staged = false;
    if (!is_undone(err, held->staging)) {
        fail(held, NULL, err);
    } else if (remove_stage(held, &own) < 0) {
        fail(held, NULL, &own);
    } else {
        held->recorded = false;
        backoff_reset(&held->backoff);
        log_info("CSI volume unstaged", "driver", held->driver, "volume", held->handle);
    }
    end_step(held);
}

/* --- publishing */

static void set_published(struct csi_held *held, struct csi_use *use)
{
    CLEANUP(err_clear) struct err err = {0};

    use->published = true;
    use->published_ms = now_of(held);
    csi_plan_done(&use->plan); /* with its secrets */
    backoff_reset(&use->backoff);
    if (csi_use_save(held, use, &err) < 0)
        log_warn("the record of a CSI volume cannot be written", "volume", held->handle, "error", err_text(&err));
    log_info("CSI volume published", "driver", held->driver, "volume", held->handle, "pod", use->name);
    tell(held, use, CSI_NEWS_DONE, NULL);
}

static void on_given(int pid UNUSED, int status, void *data)
{
    struct csi_held *held = data;
    CLEANUP(err_clear) struct err err = {0};

    if (status == 0) {
        set_published(held, held->active);
    } else {
        err_set(&err, ERR_IO, "applyFSGroup failed for vol %s: group %" PRId64 " could not be given its files (%s)",
                held->handle, held->active->plan.fs_group,
                WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : "killed");
        fail(held, held->active, &err);
    }
    end_step(held);
}

static void NORETURN give_in_child(const struct csi_use *use)
{
    struct err err = {0};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    errno = 0;
    int r = csi_owner_give(use->target, (gid_t)use->plan.fs_group, use->plan.fs_group_if_needed, &err);
    _exit(r == 0 ? 0 : errno > 0 && errno < 128 ? errno : EIO);
}

static void give_files(struct csi_held *held)
{
    CLEANUP(err_clear) struct err err = {0};
    pid_t pid = fork();

    if (pid == 0)
        give_in_child(held->active);
    if (pid < 0)
        err_errno(&err, errno, "starting the process that gives files to fsGroup");
    else if (loop_child(held->owner->options.loop, pid, on_given, held, &err) == 0)
        return;
    fail(held, held->active, &err);
    end_step(held);
}

static void on_published(struct err *err, void *data)
{
    struct csi_held *held = data;
    struct csi_use *use = held->active;

    if (err->code == 0 && use->plan.fs_group >= 0 && !use->published) {
        give_files(held);
        return;
    }
    if (err->code == 0)
        set_published(held, use);
    else
        fail(held, use, err);
    end_step(held);
}

static void add_all(struct csi_pairs *all, const struct csi_pairs *some)
{
    for (size_t i = 0; i < some->n; i++) {
        GROW(all->items, all->n, all->cap);
        all->items[all->n++] = some->items[i];
    }
}

static void publish(struct csi_held *held, struct csi_use *use)
{
    CLEANUP(err_clear) struct err err = {0};
    struct csi_pairs context = {0}; /* of two equal keys the later counts */
    struct csi_volume volume;

    fill(held, &use->plan, &volume);
    volume.target_path = use->target;
    volume.readonly = use->plan.readonly;
    volume.secrets = &use->plan.publish_secrets;
    add_all(&context, &use->plan.context);
    add_all(&context, &use->plan.publish_context);
    volume.context = &context;
    CLEANUP(xfree) char *parent = xstrndup(use->target, (size_t)(strrchr(use->target, '/') - use->target));
    held->call = "NodePublishVolume";
    bool was_tried = use->tried;
    use->tried = true;
    if (dir_make(parent, 0750, &err) < 0 || (!was_tried && csi_use_save(held, use, &err) < 0)) {
        use->tried = was_tried;
        fail(held, use, &err);
    } else if (begin(held, use, held->call)) {
        csi_publish(held->client, &volume, held->owner->options.timeout_ms, on_published, held);
    }
    free(context.items);
}

static int remove_use(struct csi_use *use, struct err *err)
{
    if (volumes_is_mounted(use->target))
        return err_set(err, ERR_BUSY, "NodeUnpublishVolume: the driver says it is done, but '%s' is still mounted",
                       use->target);
    if (remove(use->target) < 0 && errno != ENOENT)
        return err_errno(err, errno, "removing '%s'", use->target);
    return csi_record_remove(use->record, err);
}

/* False: it is tried again. */
static bool end_use(struct csi_held *held, struct csi_use *use)
{
    CLEANUP(err_clear) struct err err = {0};

    if (remove_use(use, &err) < 0) {
        fail(held, use, &err);
        return false;
    }
    CLEANUP(xfree) char *uid = xstrdup(use->uid);
    CLEANUP(xfree) char *volume = xstrdup(use->volume);
    const struct csi_volumes_options *options = &held->owner->options;
    csi_use_forget(held, use);
    options->on_news(uid, volume, CSI_NEWS_DONE, NULL, options->data);
    return true;
}

static void on_unpublished(struct err *err, void *data)
{
    struct csi_held *held = data;
    struct csi_use *use = held->active;

    use->published = false;
    if (!is_undone(err, use->target))
        fail(held, use, err);
    else if (end_use(held, use))
        log_info("CSI volume unpublished", "driver", held->driver, "volume", held->handle);
    end_step(held);
}

static void unpublish(struct csi_held *held, struct csi_use *use)
{
    CLEANUP(err_clear) struct err err = {0};

    held->call = "NodeUnpublishVolume";
    if (volumes_drop_subpaths(held->owner->options.state_dir, use->uid, &err) < 0)
        fail(held, use, &err);
    else if (begin(held, use, held->call))
        csi_unpublish(held->client, held->handle, use->target, held->owner->options.timeout_ms, on_unpublished, held);
}

/* --- what comes next */

/* True: it is due; else *next_ms is no later than when it is. */
static bool is_due(const struct csi_held *held, const struct backoff *backoff, int64_t *next_ms)
{
    int64_t left_ms = backoff_left_ms(backoff, now_of(held));

    if (left_ms > 0 && (*next_ms < 0 || left_ms < *next_ms))
        *next_ms = left_ms;
    return left_ms == 0;
}

static void sync_use(struct csi_held *held, struct csi_use *use, int64_t *next_ms)
{
    bool wanted = use->plan.driver != NULL && !use->ending;

    if (use->ending && is_due(held, &use->backoff, next_ms)) {
        if (use->tried)
            unpublish(held, use);
        else
            (void)end_use(held, use);
    } else if (wanted && use->plan.stage && !held->staged) {
        if (is_due(held, &held->backoff, next_ms))
            stage(held, &use->plan);
    } else if (wanted && is_due(held, &use->backoff, next_ms)) {
        publish(held, use);
    } else if (use->failed && !use->ending && is_due(held, &held->backoff, next_ms) &&
               is_due(held, &use->backoff, next_ms)) {
        use->failed = false;
        tell(held, use, CSI_NEWS_PLAN_IS_DUE, NULL);
    }
}

void csi_held_sync(void *data)
{
    struct csi_held *held = data;
    int64_t next_ms = -1;

    for (size_t i = held->n; i > 0 && !held->busy; i--) /* from the end: a use may go */
        if (i <= held->n)
            sync_use(held, held->uses[i - 1], &next_ms);
    if (held->busy)
        return;
    if (held->n == 0 && !held->recorded) {
        csi_held_forget(held);
        return;
    }
    if (held->n == 0 && is_due(held, &held->backoff, &next_ms)) {
        if (begin(held, NULL, "NodeUnstageVolume")) {
            csi_unstage(held->client, held->handle, held->staging, held->owner->options.timeout_ms, on_unstaged, held);
            return;
        }
    }
    /* what failed just now has a new delay */
    (void)is_due(held, &held->backoff, &next_ms);
    for (size_t i = 0; i < held->n; i++)
        (void)is_due(held, &held->uses[i]->backoff, &next_ms);
    if (next_ms >= 0)
        loop_timer_set(held->timer, next_ms);
}
