/*
 * rollout.c: `rollout status | history | undo | restart | pause | resume` of deployments, daemon sets and stateful
 * sets: the commands, and the changes that are one small patch.
 */
#include "change/rollout.h"

#include "base/clock.h"
#include "base/mem.h"

/* --- changes */

static const char *plural_name(const struct item *item, struct buf *out)
{
    resource_print_plural(item->resource, out);
    return buf_text(out);
}

static bool has_template(const char *kind)
{
    return streq(kind, "Deployment") || streq(kind, "DaemonSet") || streq(kind, "StatefulSet");
}

static int change(struct rollout *rollout, const struct item *item, const struct json *patch, const char *verb,
                  struct err *err)
{
    CLEANUP(json_free) struct json *changed = NULL;
    if (write_patch(rollout->cli, &rollout->write, item, NULL, KUBE_STRATEGIC_PATCH, patch, NULL, &changed, err) < 0)
        return err->code;
    return output_result(&rollout->output, changed, verb, rollout->write.dry_run, err);
}

static int restart_one(struct rollout *rollout, const struct item *item, struct err *err)
{
    CLEANUP(buf_done) struct buf type = {0};
    if (!has_template(item->resource->kind))
        return err_set(err, ERR_UNSUPPORTED, "%s \"%s\" restarting is not supported", plural_name(item, &type),
                       item->name);
    if (streq(item->resource->kind, "Deployment") && json_is_true(item->object, "spec", "paused", NULL))
        return err_set(err, ERR_CONFLICT, "%s \"%s\" can't restart paused deployment (run rollout resume first)",
                       plural_name(item, &type), item->name);
    char now[CLOCK_TEXT_MAX];
    clock_rfc3339(clock_wall_ns(), now);
    CLEANUP(json_free)
    struct json *patch = json_build("{s:{s:{s:{s:{s:s}}}}}", "spec", "template", "metadata", "annotations",
                                    "kubectl.kubernetes.io/restartedAt", now);
    return change(rollout, item, patch, "restarted", err);
}

static int pause_one(struct rollout *rollout, const struct item *item, bool pause, struct err *err)
{
    CLEANUP(buf_done) struct buf type = {0};
    const char *name = plural_name(item, &type);
    if (!streq(item->resource->kind, "Deployment"))
        return err_set(err, ERR_UNSUPPORTED, "%s \"%s\" %s is not supported", name, item->name,
                       pause ? "pausing" : "resuming");
    bool paused = json_is_true(item->object, "spec", "paused", NULL);
    if (paused == pause)
        return err_set(err, ERR_CONFLICT, "%s \"%s\" is %s", name, item->name, pause ? "already paused" : "not paused");
    CLEANUP(json_free)
    struct json *patch =
        pause ? json_build("{s:{s:b}}", "spec", "paused", 1) : json_build("{s:{s:n}}", "spec", "paused");
    return change(rollout, item, patch, pause ? "paused" : "resumed", err);
}

/* --- the commands */

enum action { ACTION_STATUS, ACTION_HISTORY, ACTION_UNDO, ACTION_RESTART, ACTION_PAUSE, ACTION_RESUME };

static int run_action(struct rollout *rollout, enum action action, const struct item *item, struct err *err)
{
    if (action == ACTION_STATUS)
        return rollout_status(rollout, item, err);
    if (action == ACTION_HISTORY)
        return rollout_history(rollout, item, err);
    if (action == ACTION_UNDO)
        return rollout_undo(rollout, item, err);
    if (action == ACTION_RESTART)
        return restart_one(rollout, item, err);
    return pause_one(rollout, item, action == ACTION_PAUSE, err);
}

static int run_rollout(struct rollout *rollout, enum action action, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    if (args->n == 0 && !selection_has_files(&rollout->selection))
        return cli_error("required resource not specified");
    if (rollout->revision < 0 && action != ACTION_UNDO)
        return cli_error("revision must be a positive integer: %lld", (long long)rollout->revision);
    rollout->selection.everything_if_unnamed = true;
    if (write_options_check(&rollout->write, &err) < 0 ||
        output_parse(&rollout->output_options, &rollout->output, &err) < 0 ||
        items_resolve(rollout->cli, &rollout->selection, args, true, &items, &failures, &err) < 0)
        return cli_fail(rollout->cli, &err);
    rollout->output.keep_order = true; /* the server's order is that of kubectl's types */
    for (size_t i = 0; i < items.n; i++) {
        struct err failure = {0};
        if (run_action(rollout, action, &items.list[i], &failure) < 0)
            failures_add(&failures, &failure);
    }
    if (items.n == 0 && failures.n == 0 && action != ACTION_HISTORY && action != ACTION_UNDO)
        fprintf(stderr, "No resources found in %s namespace.\n", cli_namespace(rollout->cli));
    return cli_fail_all(rollout->cli, &failures);
}

static int rollout_command(struct cli *cli, enum action action, const char *words, const char *about, int argc,
                           char **argv)
{
    struct rollout rollout = {.cli = cli,
                              .watch = true,
                              .write = {.field_manager = action == ACTION_UNDO ? "kubectl" : "kubectl-rollout"},
                              .output_options = {.hide_missing = true}};
    const struct opt status_options[] = {
        SELECTION_FILE_OPTIONS(&rollout.selection),
        SELECTION_LABEL_OPTION(&rollout.selection),
        {"revision", 0, OPT_INT, &rollout.revision, "0", "Follow this revision; 0: the latest."},
        {"timeout", 0, OPT_DURATION, &rollout.timeout_ms, "0s", "How long to watch; 0: for ever."},
        {"watch", 'w', OPT_BOOL, &rollout.watch, NULL, "Watch until it is done."},
        {0},
    };
    const struct opt history_options[] = {
        SELECTION_FILE_OPTIONS(&rollout.selection),
        SELECTION_LABEL_OPTION(&rollout.selection),
        OUTPUT_OPTIONS(&rollout.output_options),
        {"revision", 0, OPT_INT, &rollout.revision, "0", "Show this revision's pod template."},
        {0},
    };
    const struct opt undo_options[] = {
        SELECTION_FILE_OPTIONS(&rollout.selection),
        SELECTION_LABEL_OPTION(&rollout.selection),
        OUTPUT_OPTIONS(&rollout.output_options),
        WRITE_DRY_RUN_OPTION(&rollout.write),
        {"to-revision", 0, OPT_INT, &rollout.revision, "0", "The revision to go back to; 0: the last one."},
        {0},
    };
    const struct opt change_options[] = {
        SELECTION_FILE_OPTIONS(&rollout.selection),
        SELECTION_LABEL_OPTION(&rollout.selection),
        OUTPUT_OPTIONS(&rollout.output_options),
        WRITE_MANAGER_OPTION(&rollout.write),
        {0},
    };
    const struct cli_command command = {.words = words,
                                        .usage = "(TYPE NAME | TYPE/NAME) [flags] [options]",
                                        .about = about,
                                        .options = action == ACTION_STATUS    ? status_options
                                                   : action == ACTION_HISTORY ? history_options
                                                   : action == ACTION_UNDO    ? undo_options
                                                                              : change_options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_rollout(&rollout, action, &args);
    selection_done(&rollout.selection);
    output_done(&rollout.output);
    return code;
}

int command_rollout_status(struct cli *cli, int argc, char **argv)
{
    return rollout_command(cli, ACTION_STATUS, "rollout status", "Show the status of the rollout.", argc, argv);
}

int command_rollout_history(struct cli *cli, int argc, char **argv)
{
    return rollout_command(cli, ACTION_HISTORY, "rollout history",
                           "View previous rollout revisions and configurations.", argc, argv);
}

int command_rollout_undo(struct cli *cli, int argc, char **argv)
{
    return rollout_command(cli, ACTION_UNDO, "rollout undo", "Roll back to a previous rollout.", argc, argv);
}

int command_rollout_restart(struct cli *cli, int argc, char **argv)
{
    return rollout_command(cli, ACTION_RESTART, "rollout restart",
                           "Restart a resource: its pods are replaced one after the other.", argc, argv);
}

int command_rollout_pause(struct cli *cli, int argc, char **argv)
{
    return rollout_command(cli, ACTION_PAUSE, "rollout pause", "Mark the provided resource as paused.", argc, argv);
}

int command_rollout_resume(struct cli *cli, int argc, char **argv)
{
    return rollout_command(cli, ACTION_RESUME, "rollout resume", "Resume a paused resource.", argc, argv);
}
