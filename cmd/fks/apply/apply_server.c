/*
 * apply_server.c: `apply --server-side`: the server merges, since it knows who owns which field. Objects that were
 * applied from the client before have their fields under another manager and by Update; these are handed over, or a
 * field that leaves the file would never leave the object.
 */
#include "apply/apply.h"

#include "base/mem.h"

#include "apply/managed_fields.h"

#define SERVER_SIDE_MANAGER "kubectl"
#define LAST_APPLIED_MANAGER "kubectl-last-applied"
#define MIGRATION_TRIES 5

static const char *const last_applied_path[] = {"metadata", "annotations", LAST_APPLIED_ANNOTATION, NULL};

static int send(struct apply *apply, const struct item *item, const char *manager, const struct json *object,
                struct json **ret, struct err *err)
{
    CLEANUP(xfree) char *force = xasprintf("force=%s", apply->force_conflicts ? "true" : "false");
    struct write_options write = apply->write;
    write.field_manager = manager;
    return write_patch(apply->cli, &write, item, apply->subresource, KUBE_APPLY_PATCH, object, force, ret, err);
}

/* Replaces *object. */
static void refresh(struct json **object, struct json **by)
{
    json_free(*object);
    *object = take(by);
}

/*
 * The annotation of client-side apply gets a manager of its own, so that the way back stays open. Only for the
 * default manager: the server keeps the annotation up to date for no other.
 */
static int keep_annotation(struct apply *apply, const struct item *item, struct json **object, struct err *err)
{
    const char *text = json_str(*object, "metadata", "annotations", LAST_APPLIED_ANNOTATION, NULL);
    if (!streq(apply->write.field_manager, SERVER_SIDE_MANAGER) || text == NULL)
        return 0;
    CLEANUP(strv_done) struct strv owners = {0};
    managed_fields_owners(*object, "Apply", last_applied_path, &owners);
    if (owners.n > 0)
        return 0;
    CLEANUP(json_free) struct json *answer = NULL;
    CLEANUP(json_free)
    struct json *only =
        json_build("{s:s, s:s, s:{s:s, s:s*}}", "apiVersion", json_str(*object, "apiVersion", NULL), "kind",
                   json_str(*object, "kind", NULL), "metadata", "name", item->name, "namespace", item->namespace);
    json_set_str(json_edit(only, "metadata", "annotations", NULL), LAST_APPLIED_ANNOTATION, text);
    if (send(apply, item, LAST_APPLIED_MANAGER, only, &answer, err) < 0)
        return err->code;
    refresh(object, &answer);
    return 0;
}

static int migrate(struct apply *apply, const struct item *item, struct json **object, bool *ret_migrated,
                   struct err *err)
{
    CLEANUP(strv_done) struct strv managers = {0};
    managed_fields_owners(*object, "Update", last_applied_path, &managers);
    for (int tries = 0;; tries++) {
        CLEANUP(json_free) struct json *answer = NULL;
        CLEANUP(json_free)
        struct json *patch = managed_fields_upgrade(*object, &managers, apply->write.field_manager);
        if (patch == NULL)
            return 0;
        int code = write_patch(apply->cli, &apply->write, item, apply->subresource, KUBE_JSON_PATCH, patch, NULL,
                               &answer, err);
        if (code == 0) {
            refresh(object, &answer);
            *ret_migrated = true;
            return 0;
        }
        if (code != ERR_CONFLICT || tries + 1 == MIGRATION_TRIES)
            return code;
        err_clear(err);
        if (item_get(apply->cli, item, NULL, &answer, err) < 0)
            return err->code;
        refresh(object, &answer);
    }
}

/* None of this is worth failing for: the object is applied, and the next apply tries again. */
static void take_over(struct apply *apply, const struct item *item, struct json **object)
{
    CLEANUP(err_clear) struct err err = {0};
    bool migrated = false;
    if (keep_annotation(apply, item, object, &err) < 0) {
        fprintf(stderr,
                "Warning: failed to migrate kubectl.kubernetes.io/last-applied-configuration for Server-Side Apply. "
                "This is non-fatal and will be retried next time you apply. Error: %s\n",
                err_text(&err));
        return;
    }
    if (migrate(apply, item, object, &migrated, &err) < 0) {
        fprintf(stderr,
                "Warning: server rejected managed fields migration to Server-Side Apply. This is non-fatal and will "
                "be retried next time you apply. Error: %s\n",
                err_text(&err));
        return;
    }
    CLEANUP(json_free) struct json *answer = NULL;
    if (!migrated)
        return;
    if (send(apply, item, apply->write.field_manager, item->object, &answer, &err) < 0)
        fprintf(stderr,
                "Warning: failed to re-apply configuration after performing Server-Side Apply migration. This is "
                "non-fatal and will be retried next time you apply. Error: %s\n",
                err_text(&err));
    else
        refresh(object, &answer);
}

static int explain_conflict(struct err *err)
{
    CLEANUP(xfree) char *conflict = xstrdup(err_text(err));
    err_clear(err);
    return err_set(err, ERR_CONFLICT,
                   "%s\nPlease review the fields above--they currently have other managers. Here\n"
                   "are the ways you can resolve this warning:\n"
                   "* If you intend to manage all of these fields, please re-run the apply\n"
                   "  command with the `--force-conflicts` flag.\n"
                   "* If you do not intend to manage all of the fields, please edit your\n"
                   "  manifest to remove references to the fields that should keep their\n"
                   "  current managers.\n"
                   "* You may co-own fields by updating your manifest to match the existing\n"
                   "  value; in this case, you'll become the manager if the other manager(s)\n"
                   "  stop managing the field (remove it from their configuration).\n"
                   "See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts",
                   conflict);
}

int apply_server_side(struct apply *apply, struct item *item, struct err *err)
{
    CLEANUP(json_free) struct json *applied = NULL;
    if (send(apply, item, apply->write.field_manager, item->object, &applied, err) < 0)
        return err->code == ERR_CONFLICT ? explain_conflict(err) : err->code;
    take_over(apply, item, &applied);
    prune_mark(&apply->pruning, item, applied);
    write_warn_if_deleting(applied);
    return apply_print(apply, applied, "serverside-applied", err);
}
