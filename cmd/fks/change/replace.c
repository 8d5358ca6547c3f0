/*
 * replace.c: `replace`: PUT of whole objects from files; --force deletes them first and creates them anew; --raw
 * puts a file's bytes to a path.
 */
#include "objects/deletion.h"
#include "objects/write.h"
#include "print/output.h"

#include "base/clock.h"
#include "base/mem.h"

#define CONFLICT_TRIES 4
#define FORCE_WAIT_MS (INT64_C(5) * 60 * 1000) /* for the old object's end, unless --timeout says otherwise */

struct replace {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    struct output output;
    bool save_config, force, wait;
    int64_t grace_period, timeout_ms;
    const char *cascade, *raw, *subresource;
};

/* Custom resources are not replaced without a version, so a file without one means the version that is there. */
static bool names_version(const struct item *item)
{
    return strempty(json_str(item->object, "metadata", "resourceVersion", NULL))[0] != '\0';
}

static void take_live_version(struct replace *replace, const struct item *item)
{
    CLEANUP(json_free) struct json *live = NULL;
    CLEANUP(err_clear) struct err ignored = {0}; /* the PUT will tell */
    if (item_get(replace->cli, item, NULL, &live, &ignored) < 0)
        return;
    json_set_str(json_edit(item->object, "metadata", NULL), "resourceVersion",
                 json_str(live, "metadata", "resourceVersion", NULL));
}

static int put(struct replace *replace, const struct item *item, struct json **ret, struct err *err)
{
    bool any_version = !names_version(item);
    for (int tries = 1;; tries++) {
        if (any_version)
            take_live_version(replace, item);
        int code = write_replace(replace->cli, &replace->write, item, replace->subresource, item->object, ret, err);
        if (code != ERR_CONFLICT || !any_version || tries == CONFLICT_TRIES)
            return code;
        err_clear(err); /* somebody was faster; the file means to win whatever was there */
    }
}

static int replace_one(struct replace *replace, const struct item *item, struct err *err)
{
    CLEANUP(json_free) struct json *replaced = NULL;
    if (replace->save_config ||
        json_str(item->object, "metadata", "annotations", LAST_APPLIED_ANNOTATION, NULL) != NULL)
        write_set_last_applied(item->object);
    if (write_is_client_dry_run(&replace->write)) {
        replaced = json_keep(item->object);
    } else if (put(replace, item, &replaced, err) < 0) {
        write_blame_source("replacing", item->source, err);
        return err->code;
    }
    return output_result(&replace->output, replaced, "replaced", replace->write.dry_run, err);
}

/* --- --force */

static void delete_all(struct replace *replace, const struct deletion *deletion, const struct items *items,
                       struct failures *failures)
{
    for (size_t i = 0; i < items->n; i++) {
        struct err failure = {0};
        if (deletion_send(replace->cli, deletion, &items->list[i], NULL, &failure) == 0)
            deletion_print(deletion, &items->list[i], replace->output.kind == OUTPUT_NAME);
        else if (failure.code == ERR_NOT_FOUND)
            err_clear(&failure);
        else
            failures_add(failures, &failure);
    }
    (void)fflush(stdout);
    int64_t deadline = clock_monotonic_ms() + (replace->timeout_ms != 0 ? replace->timeout_ms : FORCE_WAIT_MS);
    for (size_t i = 0; i < items->n && failures->n == 0; i++) {
        struct err failure = {0};
        if (deletion_wait(replace->cli, &items->list[i], NULL, deadline, &failure) < 0)
            failures_add(failures, &failure);
    }
}

static int create_one(struct replace *replace, struct item *item, struct err *err)
{
    CLEANUP(json_free) struct json *created = NULL;
    if (replace->save_config ||
        json_str(item->object, "metadata", "annotations", LAST_APPLIED_ANNOTATION, NULL) != NULL)
        write_set_last_applied(item->object);
    if (write_create(replace->cli, &replace->write, item, &created, err) < 0)
        return err->code;
    return output_result(&replace->output, created, "replaced", "none", err);
}

static void replace_by_force(struct replace *replace, struct items *items, struct failures *failures)
{
    struct deletion deletion = {.grace_period = replace->grace_period, .dry_run = "none"};
    struct err err = {0};
    if (deletion_policy(replace->cascade, &deletion.policy, &err) < 0) {
        failures_add(failures, &err);
        return;
    }
    delete_all(replace, &deletion, items, failures);
    if (failures->n > 0)
        return;
    for (size_t i = 0; i < items->n; i++) {
        struct err failure = {0};
        if (create_one(replace, &items->list[i], &failure) < 0)
            failures_add(failures, &failure);
    }
}

/* --- the command */

static int check_options(struct replace *replace, struct err *err)
{
    if (write_options_check(&replace->write, err) < 0 ||
        output_parse(&replace->output_options, &replace->output, err) < 0 ||
        selection_require_files(&replace->selection, err) < 0)
        return err->code;
    if (replace->grace_period == 0)
        replace->grace_period = 1; /* 0 would lose data; the wait for the end is there anyway */
    if (replace->grace_period >= 0 && !replace->force)
        return err_set(err, ERR_USAGE, "--grace-period must have --force specified");
    if (replace->timeout_ms != 0 && !replace->force)
        return err_set(err, ERR_USAGE, "--timeout must have --force specified");
    if (replace->force && write_is_dry_run(&replace->write))
        return err_set(err, ERR_USAGE, "--dry-run can not be used when --force is set");
    replace->selection.check_type_meta = !streq(replace->write.validate, "Ignore");
    return 0;
}

static int run_replace(struct replace *replace, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    if (check_options(replace, &err) < 0)
        return cli_fail(replace->cli, &err);
    if (replace->raw != NULL) {
        if (write_raw(replace->cli, "PUT", replace->raw, &replace->selection, replace->output_options.format, &err) < 0)
            return cli_fail(replace->cli, &err);
        return 0;
    }
    /* arguments count only with --force, as in kubectl */
    int code = replace->force ? items_select(replace->cli, &replace->selection, args, &items, &failures, &err)
                              : items_from_files(replace->cli, &replace->selection, &items, &failures, &err);
    if (code < 0)
        return cli_fail(replace->cli, &err);
    if (items.n == 0 && failures.n == 0 && replace->force)
        return cli_error("no objects passed to replace");
    if (replace->force)
        replace_by_force(replace, &items, &failures);
    for (size_t i = 0; i < items.n && !replace->force; i++) {
        struct err failure = {0};
        if (replace_one(replace, &items.list[i], &failure) < 0)
            failures_add(&failures, &failure);
    }
    return cli_fail_all(replace->cli, &failures);
}

int command_replace(struct cli *cli, int argc, char **argv)
{
    struct replace replace = {.cli = cli,
                              .grace_period = -1,
                              .cascade = "background",
                              .write = {.field_manager = "kubectl-replace", .validate = "strict"},
                              .output_options = {.hide_missing = true}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&replace.selection),
        OUTPUT_OPTIONS(&replace.output_options),
        WRITE_DRY_RUN_OPTION(&replace.write),
        WRITE_VALIDATE_OPTION(&replace.write),
        WRITE_MANAGER_OPTION(&replace.write),
        {"cascade", 0, OPT_STRING, &replace.cascade, "background",
         "background, orphan or foreground: with --force, what becomes of the objects owned by the old one.",
         "background"},
        {"force", 0, OPT_BOOL, &replace.force, NULL, "Delete the objects, wait for their end, and create them anew."},
        {"grace-period", 0, OPT_INT, &replace.grace_period, "-1", "With --force: seconds given to end gracefully."},
        {"raw", 0, OPT_STRING, &replace.raw, "", "A path to PUT the file to as it is."},
        {"save-config", 0, OPT_BOOL, &replace.save_config, NULL,
         "Keep the configuration in the object's annotation, for a later apply."},
        {"subresource", 0, OPT_STRING, &replace.subresource, "", "Replace this subresource: status, scale."},
        {"timeout", 0, OPT_DURATION, &replace.timeout_ms, "0s",
         "With --force: how long the old object may take to end."},
        {"wait", 0, OPT_BOOL, &replace.wait, NULL, "With --force the old object's end is always waited for."},
        {0},
    };
    const struct cli_command command = {
        .words = "replace",
        .usage = "-f FILENAME [options]",
        .about = "Replace a resource by file name or stdin. The file holds the complete object.",
        .examples = "  # Replace a pod by what a file says\n  fks replace -f ./pod.yaml\n\n"
                    "  # Delete and create it anew\n  fks replace --force -f ./pod.yaml\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_replace(&replace, &args);
    selection_done(&replace.selection);
    output_done(&replace.output);
    return code;
}
