/*
 * scale.c: `scale`: sets the replicas through the scale subresource, so it works for every kind that has one.
 */
#include "print/output.h"
#include "write.h"

#include "base/mem.h"

struct scale {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    struct output output;
    int64_t replicas, current_replicas;
    const char *resource_version;
    bool replicas_seen;
};

/* The preconditions, against the scale as it is. */
static int check_current(const struct scale *scale, const struct json *current, struct err *err)
{
    int64_t replicas = json_int_or(0, current, "spec", "replicas", NULL);
    if (scale->current_replicas >= 0 && replicas != scale->current_replicas)
        return err_set(err, ERR_CONFLICT, "Expected replicas to be %lld, was %lld", (long long)scale->current_replicas,
                       (long long)replicas);
    const char *version = json_str_or("", current, "metadata", "resourceVersion", NULL);
    if (scale->resource_version != NULL && !streq(version, scale->resource_version))
        return err_set(err, ERR_CONFLICT, "Expected resource version to be %s, was %s", scale->resource_version,
                       version);
    return 0;
}

static int scale_one(struct scale *scale, const struct item *item, struct err *err)
{
    CLEANUP(json_free) struct json *scaled = NULL;
    if (!write_is_client_dry_run(&scale->write)) {
        CLEANUP(json_free) struct json *patch = json_build("{s:{s:I}}", "spec", "replicas", scale->replicas);
        if (scale->current_replicas >= 0 || scale->resource_version != NULL) {
            CLEANUP(xfree) char *path = item_path(item, "scale");
            const struct kube_request request = {.path = path};
            CLEANUP(json_free) struct json *current = NULL;
            if (cli_do(scale->cli, &request, &current, err) < 0 || check_current(scale, current, err) < 0)
                return err->code;
            /* nothing may have changed since the look at it */
            json_set_str(json_edit(patch, "metadata", NULL), "resourceVersion",
                         json_str(current, "metadata", "resourceVersion", NULL));
        }
        if (write_patch(scale->cli, &scale->write, item, "scale", KUBE_MERGE_PATCH, patch, NULL, &scaled, err) < 0)
            return err->code;
    }
    CLEANUP(json_free) struct json *after = NULL;
    if (output_is_object(&scale->output) && !write_is_dry_run(&scale->write) &&
        item_get(scale->cli, item, NULL, &after, err) < 0)
        return err->code;
    return output_result(&scale->output, after != NULL ? after : item->object, "scaled", scale->write.dry_run, err);
}

static int run_scale(struct scale *scale, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    if (!scale->replicas_seen)
        return cli_error("required flag(s) \"replicas\" not set");
    if (scale->replicas < 0)
        return cli_error("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
    if (write_options_check(&scale->write, &err) < 0 ||
        output_parse(&scale->output_options, &scale->output, &err) < 0 ||
        items_resolve(scale->cli, &scale->selection, args, true, &items, &failures, &err) < 0)
        return cli_fail(scale->cli, &err);
    if (failures.n > 0)
        return cli_fail_all(scale->cli, &failures);
    if (items.n > 1 && scale->resource_version != NULL)
        return cli_error("cannot use --resource-version with multiple resources");
    for (size_t i = 0; i < items.n; i++) {
        if (scale_one(scale, &items.list[i], &err) < 0)
            return cli_fail(scale->cli, &err);
    }
    return items.n > 0 ? 0 : cli_error("no objects passed to scale");
}

int command_scale(struct cli *cli, int argc, char **argv)
{
    struct scale scale = {.cli = cli,
                          .current_replicas = -1,
                          .write = {.field_manager = "kubectl-scale", .validate = "ignore"},
                          .output_options = {.hide_missing = true}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&scale.selection),
        SELECTION_LABEL_OPTION(&scale.selection),
        OUTPUT_OPTIONS(&scale.output_options),
        WRITE_DRY_RUN_OPTION(&scale.write),
        {"all", 0, OPT_BOOL, &scale.selection.all, NULL, "All resources of the types, in the namespace."},
        {"current-replicas", 0, OPT_INT, &scale.current_replicas, "-1",
         "Scale only if there are so many replicas now."},
        {"replicas", 0, OPT_INT, &scale.replicas, "0", "The new number of replicas.", NULL, &scale.replicas_seen},
        {"resource-version", 0, OPT_STRING, &scale.resource_version, "",
         "Scale only if the resource has this version."},
        {0},
    };
    const struct cli_command command = {
        .words = "scale",
        .usage = "[--resource-version=version] [--current-replicas=count] --replicas=COUNT (-f FILENAME | TYPE NAME) "
                 "[options]",
        .about = "Set a new size for a deployment, replica set, replication controller, or stateful set.",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_scale(&scale, &args);
    selection_done(&scale.selection);
    output_done(&scale.output);
    return code;
}
