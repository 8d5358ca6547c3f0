/*
 * patcher.c: one object's three-way patch, sent or, for --dry-run=client, applied here.
 */
#include "apply/patcher.h"

#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

#include "merge/merge.h"

#define CONFLICT_RETRIES 5
#define BACK_OFF_S 1 /* before every retry but the first */
#define DELETE_WAIT_MS (INT64_C(5) * 60 * 1000)

int patcher_last_applied(const struct json *live, struct json **ret, struct err *err)
{
    const char *text = json_str(live, "metadata", "annotations", LAST_APPLIED_ANNOTATION, NULL);
    if (text == NULL || text[0] == '\0')
        return 0;
    if (json_parse(text, strlen(text), ret, err) < 0)
        return err_wrap(err, "the annotation " LAST_APPLIED_ANNOTATION " of the live object is no JSON");
    return 0;
}

/* The same object by another name, kind or version would be another object. */
static int check_identity(const struct json *patch, struct err *err)
{
    if (json_get(patch, "apiVersion", NULL) != NULL || json_get(patch, "kind", NULL) != NULL ||
        json_get(patch, "metadata", "name", NULL) != NULL)
        return err_set(err, ERR_INVALID, "At least one of apiVersion, kind and name was changed");
    return 0;
}

static int build_patch(const struct patcher *patcher, const struct json *modified, const struct json *live,
                       enum merge_style style, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *original = NULL, *patch = NULL;
    if (patcher_last_applied(live, &original, err) < 0 ||
        merge_three_way(original, modified, live, style, &patch, err) < 0 ||
        (style == MERGE_JSON && check_identity(patch, err) < 0))
        return err->code;
    bool conflicts = false;
    if (!patcher->overwrite && merge_conflicts(original, live, patch, style, &conflicts, err) < 0)
        return err->code;
    if (conflicts) {
        CLEANUP(buf_done) struct buf text = {0};
        json_print(patch, &text);
        return err_set(err, ERR_INVALID,
                       "the patch conflicts with changes that were made since the last apply: %s\n"
                       "use --overwrite to apply it all the same",
                       buf_text(&text));
    }
    *ret = take(&patch);
    return 0;
}

/* One try. *patch is replaced. */
static int patch_once(const struct patcher *patcher, const struct item *item, const struct json *modified,
                      const struct json *live, struct json **ret, struct json **patch, struct err *err)
{
    enum merge_style style = merge_style_of(item->resource->group);
    json_free(*patch);
    *patch = NULL;
    if (build_patch(patcher, modified, live, style, patch, err) < 0)
        return err->code;
    if (json_len(*patch) == 0) {
        *ret = json_keep(live);
        return 0;
    }
    if (write_is_client_dry_run(patcher->write)) {
        *ret = merge_apply(live, *patch);
        return 0;
    }
    if (patcher->lock)
        json_set_str(json_edit(*patch, "metadata", NULL), "resourceVersion",
                     json_str(live, "metadata", "resourceVersion", NULL));
    return write_patch(patcher->cli, patcher->write, item, NULL,
                       style == MERGE_STRATEGIC ? KUBE_STRATEGIC_PATCH : KUBE_MERGE_PATCH, *patch, NULL, ret, err);
}

/* --force. When the new object is refused, the old one comes back and the refusal is the error. */
static int delete_and_create(const struct patcher *patcher, const struct item *item, const struct json *modified,
                             const struct json *live, struct json **ret, struct err *err)
{
    CLEANUP(xfree) char *uid = NULL;
    int64_t wait = patcher->timeout_ms != 0 ? patcher->timeout_ms : DELETE_WAIT_MS;
    if (deletion_send(patcher->cli, &patcher->deletion, item, &uid, err) < 0 ||
        deletion_wait(patcher->cli, item, uid, clock_monotonic_ms() + wait, err) < 0)
        return err->code;
    struct item new = *item;
    new.object = json_clone(modified);
    int code = write_create(patcher->cli, patcher->write, &new, ret, err);
    json_free(new.object);
    if (code == 0)
        return 0;
    CLEANUP(err_clear) struct err again = {0};
    CLEANUP(xfree) char *invalid_text = take(&patcher->cli->invalid_text); /* the second answer would hide it */
    new.object = json_clone(live);
    if (write_create(patcher->cli, patcher->write, &new, NULL, &again) < 0) {
        CLEANUP(xfree) char *first = xstrdup(err_text(err));
        err_clear(err);
        err_set(err, ERR_INVALID,
                "An error occurred force-replacing the existing object with the newly provided one:\n\n%s.\n\n"
                "Additionally, an error occurred attempting to restore the original object:\n\n%s",
                first, err_text(&again));
    } else {
        free(patcher->cli->invalid_text);
        patcher->cli->invalid_text = take(&invalid_text);
    }
    json_free(new.object);
    return err->code;
}

int patcher_run(const struct patcher *patcher, const struct item *item, const struct json *modified, struct json **live,
                struct json **ret, struct json **ret_patch, struct err *err)
{
    int code = patch_once(patcher, item, modified, *live, ret, ret_patch, err);
    for (int i = 0; i < CONFLICT_RETRIES && code == ERR_CONFLICT; i++) {
        struct json *now = NULL;
        err_clear(err);
        if (i > 0)
            (void)nanosleep(&(struct timespec){.tv_sec = BACK_OFF_S}, NULL);
        if (item_get(patcher->cli, item, NULL, &now, err) < 0)
            return err->code;
        json_free(*live);
        *live = now;
        code = patch_once(patcher, item, modified, now, ret, ret_patch, err);
    }
    bool refused = code == ERR_CONFLICT || err->http_status == 422;
    if (code < 0 && refused && patcher->force) {
        err_clear(err);
        return delete_and_create(patcher, item, modified, *live, ret, err);
    }
    if (code < 0)
        write_blame_source("patching", item->source, err);
    return code;
}
