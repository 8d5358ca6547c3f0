/*
 * apply.c: `apply`: makes the cluster look like the files. Client-side: creates what is absent, and patches the rest
 * (patcher.h), remembering the file in an annotation. --server-side is apply_server.c's.
 */
#include "apply/apply.h"

#include "base/mem.h"

#include "apply/patcher.h"
#include "text/gotext.h"

int apply_print(struct apply *apply, const struct json *object, const char *verb, struct err *err)
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
    prune_mark(&apply->pruning, item, created);
    return apply_print(apply, created, "created", err);
}

/* Resource: ..., GroupVersionKind: ..., Name: ..., Namespace: ...: an object as kubectl writes it in errors. */
static void describe_item(const struct item *item, struct buf *out)
{
    const struct kube_resource *r = item->resource;
    const char *slash = "/"; /* also for the core group: "/v1" */
    buf_printf(out,
               "Resource: \"%s%s%s, Resource=%s\", GroupVersionKind: \"%s%s%s, Kind=%s\"\nName: \"%s\", Namespace: "
               "\"%s\"",
               r->group, slash, r->version, r->plural, r->group, slash, r->version, r->kind, strempty(item->name),
               strempty(item->namespace));
}

static int blame_current(const struct item *item, struct err *err)
{
    CLEANUP(buf_done) struct buf what = {0};
    describe_item(item, &what);
    if (item->source != NULL)
        (void)err_wrap(err, "error when retrieving current configuration of:\n%s\nfrom server for: \"%s\"",
                       buf_text(&what), item->source);
    return err->code;
}

/* "applying patch: ... to: ... for: "file": ..." around the reason, as kubectl tells it. */
static int blame_patch(const struct item *item, const struct json *patch, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0}, what = {0};
    if (patch != NULL)
        gotext_json(patch, &text);
    describe_item(item, &what);
    if (item->source != NULL)
        (void)err_wrap(err, "error when applying patch:\n%s\nto:\n%s\nfor: \"%s\"", buf_text(&text), buf_text(&what),
                       item->source);
    return err->code;
}

static int patch_existing(struct apply *apply, struct item *item, struct json *live, struct err *err)
{
    CLEANUP(json_free) struct json *current = live, *patched = NULL, *patch = NULL;
    CLEANUP(json_free) struct json *modified = json_clone(item->object);
    const char *program = apply->cli->program;
    write_set_last_applied(modified);
    prune_mark(&apply->pruning, item, live);
    if (json_str(live, "metadata", "annotations", LAST_APPLIED_ANNOTATION, NULL) == NULL)
        fprintf(stderr,
                "Warning: resource %s/%s is missing the %s annotation which is required by %s apply. %s apply should "
                "only be used on resources created declaratively by either %s create --save-config or %s apply. The "
                "missing annotation will be patched automatically.\n",
                item->resource->plural, item->name, LAST_APPLIED_ANNOTATION, program, program, program, program);
    const struct patcher patcher = {.cli = apply->cli,
                                    .write = &apply->write,
                                    .overwrite = apply->overwrite,
                                    .force = apply->force,
                                    .deletion = apply->deletion,
                                    .timeout_ms = apply->timeout_ms};
    if (patcher_run(&patcher, item, modified, &current, &patched, &patch, err) < 0)
        return blame_patch(item, patch, err);
    write_warn_if_deleting(patched);
    return apply_print(apply, patched, json_len(patch) > 0 ? "configured" : "unchanged", err);
}

static int apply_client_side(struct apply *apply, struct item *item, struct err *err)
{
    struct json *live = NULL;
    if (item_get(apply->cli, item, NULL, &live, err) == 0)
        return patch_existing(apply, item, live, err);
    if (err->code != ERR_NOT_FOUND || err->http_status != 404)
        return blame_current(item, err);
    err_clear(err);
    return create_absent(apply, item, err);
}

static int apply_one(struct apply *apply, struct item *item, struct err *err)
{
    write_record(apply->cli, &apply->write, item->object);
    if (item->name == NULL || item->name[0] == '\0') {
        const char *generate = json_str(item->object, "metadata", "generateName", NULL);
        if (generate != NULL)
            return err_set(err, ERR_INVALID, "from %s: cannot use generate name with apply", generate);
        (void)err_set(err, ERR_INVALID, "resource name may not be empty");
        return blame_current(item, err);
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
        json_build("{s:s, s:s, s:{}, s:[]}", "kind", "List", "apiVersion", "v1", "metadata", "items");
    const struct json *object;
    json_each(object, applied) { /* the List in its own order, the objects in it sorted, as kubectl has it */
        CLEANUP(buf_done) struct buf text = {0};
        struct json *sorted = NULL;
        gotext_json(object, &text);
        if (json_parse(buf_text(&text), text.len, &sorted, err) < 0)
            return err->code;
        json_push(json_edit_member(list, "items"), sorted);
    }
    apply->output.keep_order = true;
    return output_print(&apply->output, list, err);
}

static int check_combinations(const struct apply *apply, struct err *err)
{
    bool client_dry_run = write_is_client_dry_run(&apply->write);
    const char *wrong = NULL;
    if (apply->force_conflicts && !apply->server_side)
        wrong = "--force-conflicts only works with --server-side";
    else if (apply->server_side && client_dry_run)
        wrong = "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)";
    else if (apply->server_side && apply->force)
        wrong = "--force cannot be used with --server-side";
    else if (write_is_dry_run(&apply->write) && !client_dry_run && apply->force)
        wrong = "--dry-run=server cannot be used with --force";
    else if (apply->all && apply->selection.label_selector != NULL)
        wrong = "cannot set --all and --selector at the same time";
    else if (apply->applyset != NULL && !apply->prune)
        wrong = "--applyset requires --prune";
    return wrong != NULL ? err_set(err, ERR_USAGE, "%s", wrong) : 0;
}

static int check_applyset(struct apply *apply, struct err *err)
{
    const char *wrong = apply->force                              ? "--force cannot be used with --prune"
                        : apply->all                              ? "--all is incompatible with --applyset"
                        : apply->selection.label_selector != NULL ? "--selector is incompatible with --applyset"
                        : apply->allowlist.n > 0                  ? "--prune-allowlist is incompatible with --applyset"
                                                                  : NULL;
    if (applyset_check(&apply->set, err) < 0)
        return err->code;
    return wrong != NULL ? err_set(err, ERR_USAGE, "%s", wrong) : 0;
}

static int check_prune(struct apply *apply, struct err *err)
{
    if (apply->applyset != NULL)
        return check_applyset(apply, err);
    if (apply->force)
        return err_set(err, ERR_USAGE, "--force cannot be used with --prune");
    if (!apply->all && apply->selection.label_selector == NULL)
        return err_set(err, ERR_USAGE,
                       "all resources selected for prune without explicitly passing --all. To prune all resources, "
                       "pass the --all flag. If you did not mean to prune all resources, specify a label selector");
    if (apply->server_side)
        return err_set(err, ERR_USAGE,
                       "--prune is in alpha and doesn't currently work on objects created by server-side apply");
    apply->pruning.label_selector = apply->selection.label_selector;
    return prune_check(&apply->pruning, err);
}

static int prune_one(const struct item *item, void *data, struct err *err)
{
    struct apply *apply = data;
    if (!write_is_client_dry_run(&apply->write) && deletion_send(apply->cli, &apply->deletion, item, NULL, err) < 0)
        return err->code;
    return output_result(&apply->output, item->object, "pruned", apply->write.dry_run, err);
}

static int prune_all(struct apply *apply, struct err *err)
{
    if (apply->applyset != NULL)
        return applyset_prune(&apply->set, &apply->pruning.uids, &apply->write, prune_one, apply, err);
    return prune_each(&apply->pruning, prune_one, apply, err);
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
    if (write_options_check(&apply->write, err) < 0 || output_parse(&apply->output_options, &apply->output, err) < 0 ||
        (apply->applyset != NULL && applyset_open(&apply->set, apply->cli, apply->applyset, err) < 0) ||
        check_combinations(apply, err) < 0 || (apply->prune && check_prune(apply, err) < 0) ||
        deletion_policy(apply->cascade, &apply->deletion.policy, err) < 0)
        return err->code;
    if (apply->subresource != NULL && !apply->server_side)
        return err_set(err, ERR_USAGE, "--subresource can only be specified for --server-side");
    apply->deletion.grace_period = apply->grace_period;
    apply->deletion.dry_run = apply->write.dry_run;
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
    if (apply->cli->namespace != NULL)
        strv_add(&apply->pruning.namespaces, apply->cli->namespace);
    if (items.n == 0 && failures.n == 0)
        return cli_error("no objects passed to apply");
    if (apply->applyset != NULL && applyset_label(&apply->set, &items, &err) < 0) {
        failures_add(&failures, &err);
        items_done(&items); /* nothing is applied, but kubectl looks at the set nevertheless */
    }
    if (apply->applyset != NULL && applyset_begin(&apply->set, &items, &apply->write, &err) < 0)
        return cli_fail(apply->cli, &err);
    if (apply->output.kind != OUTPUT_HUMAN)
        apply->applied = json_new_array();
    for (size_t i = 0; i < items.n; i++) {
        struct err failure = {0};
        prune_mark(&apply->pruning, &items.list[i], NULL); /* its namespace, whatever becomes of it */
        if (apply_one(apply, &items.list[i], &failure) < 0)
            failures_add(&failures, &failure);
        (void)fflush(stdout);
    }
    if (failures.n == 0 &&
        (print_collected(apply, &err) < 0 || (apply->prune && prune_all(apply, &err) < 0)))
        failures_add(&failures, &err);
    return cli_fail_all(apply->cli, &failures);
}

int command_apply(struct cli *cli, int argc, char **argv)
{
    struct apply apply = {.cli = cli,
                          .write = {.validate = "strict"},
                          .overwrite = true,
                          .openapi_patch = true,
                          .grace_period = -1,
                          .cascade = "background",
                          .pruning = {.cli = cli, .allowlist = &apply.allowlist},
                          .output_options = {.hide_missing = true}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&apply.selection),
        SELECTION_LABEL_OPTION(&apply.selection),
        OUTPUT_OPTIONS(&apply.output_options),
        WRITE_DRY_RUN_OPTION(&apply.write),
        WRITE_VALIDATE_OPTION(&apply.write),
        WRITE_MANAGER_OPTION(&apply.write),
        WRITE_RECORD_OPTION(&apply.write),
        {"all", 0, OPT_BOOL, &apply.all, NULL, "With --prune: no label selector is needed."},
        {"cascade", 0, OPT_STRING, &apply.cascade, "background",
         "background, orphan or foreground: what becomes of the objects owned by a deleted one.", "background"},
        {"force", 0, OPT_BOOL, &apply.force, NULL,
         "When a change is refused, delete the object and create it anew; what it did is interrupted."},
        {"force-conflicts", 0, OPT_BOOL, &apply.force_conflicts, NULL,
         "With --server-side: take fields over from other managers."},
        {"grace-period", 0, OPT_INT, &apply.grace_period, "-1", "Seconds given to end gracefully when deleting."},
        {"openapi-patch", 0, OPT_BOOL, &apply.openapi_patch, NULL,
         "Without effect: the merge keys of built-in kinds are built in."},
        {"overwrite", 0, OPT_BOOL, &apply.overwrite, NULL,
         "Fields that others have changed too get the file's value; false: that is an error."},
        {"prune", 0, OPT_BOOL, &apply.prune, NULL,
         "Delete what was applied once, matches --selector (or --all is given) and is in no file now."},
        {"prune-allowlist", 0, OPT_ARRAY, &apply.allowlist, "[]", "With --prune: group/version/kind to prune."},
        {"server-side", 0, OPT_BOOL, &apply.server_side, NULL, "Let the server merge."},
        {"subresource", 0, OPT_STRING, &apply.subresource, "", "With --server-side: apply to this subresource."},
        {"timeout", 0, OPT_DURATION, &apply.timeout_ms, "0s", "How long a deleted object may take to end."},
        {"wait", 0, OPT_BOOL, &apply.wait, NULL, "With --force the old object's end is always waited for."},
        /* alpha: without KUBECTL_APPLYSET=true the table ends here, and the option is unknown */
        {applyset_is_enabled() ? "applyset" : NULL, 0, OPT_STRING, &apply.applyset, "",
         "With --prune: [TYPE[.GROUP]/]NAME of the object that knows what was applied; a Secret without a type."},
        {0},
    };
    const struct cli_command command = {
        .words = "apply",
        .usage = "(-f FILENAME | -k DIRECTORY) [options]",
        .about = "Apply a configuration to a resource by file name or stdin. The resource is created if it does not "
                 "exist yet.",
        .examples =
            "  # Apply the objects in a file\n  fks apply -f ./pod.yaml\n\n  # Apply what another program writes\n"
            "  helm template web | fks apply -f -\n\n  # Delete what carries the label and has left the folder\n"
            "  fks apply -f ./web --prune -l app=web\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_apply(&apply, &args);
    selection_done(&apply.selection);
    output_done(&apply.output);
    strv_done(&apply.allowlist);
    prune_done(&apply.pruning);
    applyset_done(&apply.set);
    json_free(apply.applied);
    return code;
}
