/*
 * apply.c: `apply`: makes the cluster look like the files. Client-side: creates what is absent, and sends a
 * three-way patch (merge.h) for the rest, remembering the file in an annotation. --server-side: hands the file to
 * the server, which knows the owner of every field.
 */
#include "merge.h"
#include "print/gotext.h"
#include "print/output.h"
#include "write.h"

#include "base/mem.h"

#define CONFLICT_RETRIES 5

struct apply {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    struct output output;
    bool server_side, force_conflicts, prune;
    struct json *applied; /* with -o json and the like: what will be printed at the end */
};

static int print_applied(struct apply *apply, const struct json *object, const char *verb, struct err *err)
{
    if (apply->applied != NULL) {
        json_push(apply->applied, json_clone(object));
        return 0;
    }
    return output_result(&apply->output, object, verb, apply->write.dry_run, err);
}

static void drop_nulls(struct json *object)
{
    CLEANUP(strv_done) struct strv keys = {0};
    gotext_keys(object, &keys);
    for (size_t i = 0; i < keys.n; i++) {
        struct json *value = json_edit_member(object, keys.items[i]);
        if (json_type(value) == JSON_NULL) {
            json_del(object, keys.items[i]);
            continue;
        }
        for (size_t j = 0; json_is_array(value) && j < json_len(value); j++)
            drop_nulls(json_edit_at(value, j));
        if (json_is_object(value))
            drop_nulls(value);
    }
}

static int create_absent(struct apply *apply, struct item *item, struct err *err)
{
    write_set_last_applied(item->object);
    drop_nulls(item->object);
    CLEANUP(json_free) struct json *created = NULL;
    if (write_is_client_dry_run(&apply->write)) {
        created = json_keep(item->object);
    } else if (write_create(apply->cli, &apply->write, item, &created, err) < 0) {
        write_blame_source("creating", item->source, err);
        return err->code;
    }
    return print_applied(apply, created, "created", err);
}

/* The file as it was applied last, from the live object's annotation; NULL if it has none. */
static int last_applied(const struct json *live, struct json **ret, struct err *err)
{
    const char *text = json_str(live, "metadata", "annotations", LAST_APPLIED_ANNOTATION, NULL);
    if (text == NULL || text[0] == '\0')
        return 0;
    if (json_parse(text, strlen(text), ret, err) < 0)
        return err_wrap(err, "the annotation " LAST_APPLIED_ANNOTATION " of the live object is no JSON");
    return 0;
}

/* One try: computes the patch against the live object and sends it. *ret_changed: there was something to send. */
static int patch_once(struct apply *apply, const struct item *item, const struct json *modified,
                      const struct json *live, struct json **ret, bool *ret_changed, struct err *err)
{
    CLEANUP(json_free) struct json *original = NULL, *patch = NULL;
    enum merge_style style = merge_style_of(item->resource->group);
    if (last_applied(live, &original, err) < 0 || merge_three_way(original, modified, live, style, &patch, err) < 0)
        return err->code;
    *ret_changed = json_len(patch) > 0;
    if (!*ret_changed)
        *ret = json_keep(live);
    else if (write_is_client_dry_run(&apply->write))
        *ret = merge_apply(live, patch);
    else
        return write_patch(apply->cli, &apply->write, item, NULL,
                           style == MERGE_STRATEGIC ? KUBE_STRATEGIC_PATCH : KUBE_MERGE_PATCH, patch, NULL, ret, err);
    return 0;
}

static int patch_existing(struct apply *apply, struct item *item, struct json *live, struct err *err)
{
    CLEANUP(json_free) struct json *current = live, *patched = NULL, *modified = json_clone(item->object);
    write_set_last_applied(modified);
    if (json_str(live, "metadata", "annotations", LAST_APPLIED_ANNOTATION, NULL) == NULL)
        fprintf(stderr,
                "Warning: resource %s/%s is missing the %s annotation which is required by %s apply. %s apply should "
                "only be "
                "used on resources created declaratively by either %s create --save-config or %s apply. The missing "
                "annotation "
                "will be patched automatically.\n",
                item->resource->plural, item->name, LAST_APPLIED_ANNOTATION, apply->cli->program, apply->cli->program,
                apply->cli->program, apply->cli->program);
    bool changed = false;
    int code = patch_once(apply, item, modified, current, &patched, &changed, err);
    for (int i = 0; i < CONFLICT_RETRIES && code == ERR_CONFLICT; i++) {
        err_clear(err);
        json_free(current);
        current = NULL;
        code = item_get(apply->cli, item, NULL, &current, err);
        if (code == 0)
            code = patch_once(apply, item, modified, current, &patched, &changed, err);
    }
    if (code < 0) {
        write_blame_source("patching", item->source, err);
        return err->code;
    }
    if (json_str(patched, "metadata", "deletionTimestamp", NULL) != NULL)
        fprintf(stderr, "Warning: Detected changes to resource %s which is currently being deleted.\n", item->name);
    return print_applied(apply, patched, changed ? "configured" : "unchanged", err);
}

static int apply_client_side(struct apply *apply, struct item *item, struct err *err)
{
    struct json *live = NULL;
    if (item_get(apply->cli, item, NULL, &live, err) == 0)
        return patch_existing(apply, item, live, err);
    if (err->code != ERR_NOT_FOUND || err->http_status != 404)
        return err->code;
    err_clear(err);
    return create_absent(apply, item, err);
}

static int apply_server_side(struct apply *apply, struct item *item, struct err *err)
{
    CLEANUP(json_free) struct json *applied = NULL;
    CLEANUP(xfree) char *force = xasprintf("force=%s", apply->force_conflicts ? "true" : "false");
    if (write_patch(apply->cli, &apply->write, item, NULL, KUBE_APPLY_PATCH, item->object, force, &applied, err) < 0) {
        if (err->code == ERR_CONFLICT) {
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
        return err->code;
    }
    return print_applied(apply, applied, "serverside-applied", err);
}

static int apply_one(struct apply *apply, struct item *item, struct err *err)
{
    if (item->name == NULL || item->name[0] == '\0') {
        const char *generate = json_str(item->object, "metadata", "generateName", NULL);
        if (generate != NULL)
            return err_set(err, ERR_INVALID, "from %s: cannot use generate name with apply", generate);
        return err_set(err, ERR_INVALID,
                       "error when retrieving current configuration of \"%s\": resource name may not be empty",
                       strempty(item->source));
    }
    return apply->server_side ? apply_server_side(apply, item, err) : apply_client_side(apply, item, err);
}

/* One object as itself, several as a List, as kubectl does at the end of an apply. */
static int print_collected(struct apply *apply, struct err *err)
{
    CLEANUP(json_free) struct json *applied = take(&apply->applied);
    if (json_len(applied) == 0)
        return 0;
    if (json_len(applied) == 1)
        return output_print(&apply->output, json_at(applied, 0), err);
    CLEANUP(json_free)
    struct json *list =
        json_build("{s:s, s:O, s:s, s:{}}", "apiVersion", "v1", "items", applied, "kind", "List", "metadata");
    return output_print(&apply->output, list, err);
}

static int check_options(struct apply *apply, const struct strv *args, struct err *err)
{
    if (args->n > 0) {
        CLEANUP(xfree) char *joined = strv_join(args, " ");
        return err_set(err, ERR_USAGE, "Unexpected args: [%s]\nSee '%s apply -h' for help and examples", joined,
                       apply->cli->program);
    }
    if (selection_require_files(&apply->selection, err) < 0)
        return err->code;
    if (apply->prune)
        return err_set(err, ERR_UNSUPPORTED,
                       "--prune is not available: delete what is no longer in the files with delete -f");
    if (apply->force_conflicts && !apply->server_side)
        return err_set(err, ERR_USAGE, "--force-conflicts only works with --server-side");
    if (write_options_check(&apply->write, err) < 0 || output_parse(&apply->output_options, &apply->output, err) < 0)
        return err->code;
    if (apply->server_side && write_is_client_dry_run(&apply->write))
        return err_set(err, ERR_USAGE,
                       "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
    if (apply->write.field_manager == NULL)
        apply->write.field_manager = apply->server_side ? "kubectl" : "kubectl-client-side-apply";
    return 0;
}

static int run_apply(struct apply *apply, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    apply->selection.check_type_meta = true;
    if (check_options(apply, args, &err) < 0)
        return cli_fail(apply->cli, &err);
    if (streq(apply->write.validate, "Ignore"))
        apply->selection.check_type_meta = false;
    if (items_from_files(apply->cli, &apply->selection, &items, &failures, &err) < 0)
        return cli_fail(apply->cli, &err);
    if (items.n == 0 && failures.n == 0)
        return cli_error("no objects passed to apply");
    if (apply->output.kind != OUTPUT_HUMAN)
        apply->applied = json_new_array();
    for (size_t i = 0; i < items.n; i++) {
        struct err failure = {0};
        if (apply_one(apply, &items.list[i], &failure) < 0)
            failures_add(&failures, &failure);
        (void)fflush(stdout);
    }
    if (failures.n == 0 && print_collected(apply, &err) < 0)
        failures_add(&failures, &err);
    return cli_fail_all(apply->cli, &failures);
}

int command_apply(struct cli *cli, int argc, char **argv)
{
    struct apply apply = {.cli = cli, .output_options = {.hide_missing = true}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&apply.selection),
        SELECTION_LABEL_OPTION(&apply.selection),
        OUTPUT_OPTIONS(&apply.output_options),
        WRITE_DRY_RUN_OPTION(&apply.write),
        WRITE_VALIDATE_OPTION(&apply.write),
        WRITE_MANAGER_OPTION(&apply.write),
        {"force-conflicts", 0, OPT_BOOL, &apply.force_conflicts, NULL,
         "With --server-side: take fields over from other managers."},
        {"prune", 0, OPT_BOOL, &apply.prune, NULL, "Not available."},
        {"server-side", 0, OPT_BOOL, &apply.server_side, NULL, "Let the server merge."},
        {0},
    };
    const struct cli_command command = {
        .words = "apply",
        .usage = "(-f FILENAME | -k DIRECTORY) [options]",
        .about = "Apply a configuration to a resource by file name or stdin. The resource is created if it does not "
                 "exist yet.",
        .examples =
            "  # Apply the objects in a file\n  fks apply -f ./pod.yaml\n\n  # Apply what another program writes\n"
            "  helm template web | fks apply -f -\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_apply(&apply, &args);
    selection_done(&apply.selection);
    output_done(&apply.output);
    json_free(apply.applied);
    return code;
}
