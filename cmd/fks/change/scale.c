/*
 * scale.c: `scale`: sets the replicas through the scale subresource, so it works for every kind that has one.
 */
#include "objects/write.h"
#include "print/output.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { POLL_US = 500 * 1000, RETRY_US = 50 * 1000, RETRY_MS = 5 * 60 * 1000 };

struct scale {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    struct output output;
    int64_t replicas, current_replicas;
    const char *resource_version;
    int64_t timeout_ms;
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

static int read_scale(const struct scale *scale, const struct item *item, struct json **ret, struct err *err)
{
    CLEANUP(xfree) char *path = item_path(item, "scale");
    const struct kube_request request = {.path = path};
    return cli_do(scale->cli, &request, ret, err);
}

/* One patch of the scale; with preconditions nothing may change between the look at it and the patch. */
static int try_scale(struct scale *scale, const struct item *item, bool *ret_refused, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *patch = json_build("{s:{s:I}}", "spec", "replicas", scale->replicas);
    CLEANUP(json_free) struct json *current = NULL;
    if (scale->current_replicas >= 0 || scale->resource_version != NULL) {
        if (read_scale(scale, item, &current, err) < 0 || check_current(scale, current, err) < 0)
            return err->code;
        json_set_str(json_edit(patch, "metadata", NULL), "resourceVersion",
                     json_str(current, "metadata", "resourceVersion", NULL));
    }
    *ret_refused = true;
    return write_patch(scale->cli, &scale->write, item, "scale", KUBE_MERGE_PATCH, patch, NULL, ret, err);
}

/* A controller that wrote the status in between is no reason to fail: the preconditions are looked at once more. */
static int change_scale(struct scale *scale, const struct item *item, struct json **ret, struct err *err)
{
    int64_t deadline = clock_monotonic_ms() + RETRY_MS;
    for (;;) {
        bool refused = false; /* by the server, not by the preconditions */
        if (try_scale(scale, item, &refused, ret, err) == 0)
            return 0;
        if (!refused || err->code != ERR_CONFLICT || clock_monotonic_ms() >= deadline)
            return err->code;
        err_clear(err);
        (void)usleep(RETRY_US);
    }
}

/* --timeout: until there are as many as wanted, or somebody wants another number. */
static int wait_for_replicas(struct scale *scale, const struct item *item, struct err *err)
{
    int64_t deadline = clock_monotonic_ms() + scale->timeout_ms;
    while (scale->timeout_ms > 0 && !write_is_dry_run(&scale->write)) {
        CLEANUP(json_free) struct json *current = NULL;
        if (read_scale(scale, item, &current, err) < 0)
            return err->code;
        if (json_int_or(0, current, "spec", "replicas", NULL) != scale->replicas ||
            json_int_or(0, current, "status", "replicas", NULL) == scale->replicas)
            return 0;
        if (clock_monotonic_ms() >= deadline)
            return err_set(err, ERR_TIMEOUT, "timed out waiting for \"%s\" to be synced", item->name);
        (void)usleep(POLL_US);
    }
    return 0;
}

/* --record: in a patch of its own, which may fail without harm. */
static void record_scaling(struct scale *scale, const struct item *item)
{
    CLEANUP(json_free) struct json *patch = json_new_object(), *recorded = NULL;
    CLEANUP(err_clear) struct err ignored = {0};
    write_record(scale->cli, &scale->write, patch);
    if (json_len(patch) > 0)
        (void)!write_patch(scale->cli, &scale->write, item, NULL, KUBE_MERGE_PATCH, patch, NULL, &recorded, &ignored);
}

static int scale_one(struct scale *scale, const struct item *item, struct err *err)
{
    CLEANUP(json_free) struct json *scaled = NULL, *shown = json_clone(item->object);
    int64_t replicas = scale->replicas;
    if (!write_is_client_dry_run(&scale->write)) {
        if (change_scale(scale, item, &scaled, err) < 0 || wait_for_replicas(scale, item, err) < 0)
            return err->code;
        replicas = json_int_or(replicas, scaled, "spec", "replicas", NULL);
        record_scaling(scale, item);
    }
    /* of other groups nobody knows where the number is */
    if (streq(item->resource->group, "apps") || item->resource->group[0] == '\0')
        json_set_int(json_edit(shown, "spec", NULL), "replicas", replicas);
    return output_result(&scale->output, shown, "scaled", scale->write.dry_run, err);
}

static int run_scale(struct scale *scale, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    bool fetch = !selection_has_files(&scale->selection); /* a file's object stands for itself */
    if (scale->replicas < 0)
        return cli_error("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
    if (scale->current_replicas < -1)
        return cli_error("The --current-replicas must specify an integer of -1 or greater");
    if (write_options_check(&scale->write, &err) < 0 ||
        output_parse(&scale->output_options, &scale->output, &err) < 0 ||
        items_resolve(scale->cli, &scale->selection, args, fetch, &items, &failures, &err) < 0)
        return cli_fail(scale->cli, &err);
    if (items.n > 1 && scale->resource_version != NULL)
        return cli_error("cannot use --resource-version with multiple resources");
    if (items.n == 0 && failures.n == 0)
        return cli_error("no objects passed to scale");
    for (size_t i = 0; i < items.n; i++) {
        if (scale_one(scale, &items.list[i], &err) < 0)
            return cli_fail(scale->cli, &err);
    }
    return cli_fail_all(scale->cli, &failures);
}

int command_scale(struct cli *cli, int argc, char **argv)
{
    struct scale scale = {.cli = cli,
                          .current_replicas = -1,
                          .write = {.field_manager = "kubectl"},
                          .output_options = {.hide_missing = true}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&scale.selection),
        SELECTION_LABEL_OPTION(&scale.selection),
        OUTPUT_OPTIONS(&scale.output_options),
        WRITE_DRY_RUN_OPTION(&scale.write),
        WRITE_RECORD_OPTION(&scale.write),
        {"all", 0, OPT_BOOL, &scale.selection.all, NULL, "All resources of the types, in the namespace."},
        {"current-replicas", 0, OPT_INT, &scale.current_replicas, "-1",
         "Scale only if there are so many replicas now."},
        {"replicas", 0, OPT_INT, &scale.replicas, "0", "The new number of replicas.", NULL, &scale.replicas_seen},
        {"resource-version", 0, OPT_STRING, &scale.resource_version, "",
         "Scale only if the resource has this version."},
        {"timeout", 0, OPT_DURATION, &scale.timeout_ms, "0s", "How long to wait for the replicas; 0: not at all."},
        {0},
    };
    const struct cli_command command = {
        .words = "scale",
        .usage = "[--resource-version=version] [--current-replicas=count] --replicas=COUNT (-f FILENAME | TYPE NAME) "
                 "[options]",
        .about = "Set a new size for a deployment, replica set, replication controller, or stateful set.",
        .required = "replicas",
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
