/*
 * rollout.c: `rollout status | restart | pause | resume` of deployments, daemon sets and stateful sets.
 */
#include "print/output.h"
#include "watch.h"
#include "write.h"

#include "base/clock.h"
#include "base/mem.h"

struct rollout {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    struct output output;
    bool watch;
    int64_t timeout_ms;
};

/* --- status */

static int64_t spec_int(const struct json *object, const char *field, int64_t fallback)
{
    return json_int_or(fallback, object, "spec", field, NULL);
}

static int64_t status_int(const struct json *object, const char *field)
{
    return json_int_or(0, object, "status", field, NULL);
}

static bool is_observed(const struct json *object)
{
    return json_int_or(0, object, "metadata", "generation", NULL) <= status_int(object, "observedGeneration");
}

/* Appends what to say; 1: done, 0: not yet. */
static int deployment_status(const struct json *object, const char *name, struct buf *out, struct err *err)
{
    if (!is_observed(object)) {
        buf_add_str(out, "Waiting for deployment spec update to be observed...\n");
        return 0;
    }
    const struct json *condition;
    json_each(condition, json_get(object, "status", "conditions", NULL)) {
        if (streq(json_str(condition, "type", NULL), "Progressing") &&
            streq(json_str(condition, "reason", NULL), "ProgressDeadlineExceeded"))
            return err_set(err, ERR_TIMEOUT, "deployment \"%s\" exceeded its progress deadline", name);
    }
    long long wanted = spec_int(object, "replicas", 1), updated = status_int(object, "updatedReplicas");
    long long all = status_int(object, "replicas"), available = status_int(object, "availableReplicas");
    if (updated < wanted)
        buf_printf(
            out,
            "Waiting for deployment \"%s\" rollout to finish: %lld out of %lld new replicas have been updated...\n",
            name, updated, wanted);
    else if (all > updated)
        buf_printf(out,
                   "Waiting for deployment \"%s\" rollout to finish: %lld old replicas are pending termination...\n",
                   name, all - updated);
    else if (available < updated)
        buf_printf(out,
                   "Waiting for deployment \"%s\" rollout to finish: %lld of %lld updated replicas are available...\n",
                   name, available, updated);
    else {
        buf_printf(out, "deployment \"%s\" successfully rolled out\n", name);
        return 1;
    }
    return 0;
}

static int daemon_set_status(const struct json *object, const char *name, struct buf *out, struct err *err)
{
    if (!streq(json_str_or("RollingUpdate", object, "spec", "updateStrategy", "type", NULL), "RollingUpdate"))
        return err_set(err, ERR_UNSUPPORTED, "rollout status is only available for RollingUpdate strategy type");
    if (!is_observed(object)) {
        buf_add_str(out, "Waiting for daemon set spec update to be observed...\n");
        return 0;
    }
    long long wanted = status_int(object, "desiredNumberScheduled"),
              updated = status_int(object, "updatedNumberScheduled");
    long long available = status_int(object, "numberAvailable");
    if (updated < wanted)
        buf_printf(out,
                   "Waiting for daemon set \"%s\" rollout to finish: %lld out of %lld new pods have been updated...\n",
                   name, updated, wanted);
    else if (available < wanted)
        buf_printf(out, "Waiting for daemon set \"%s\" rollout to finish: %lld of %lld updated pods are available...\n",
                   name, available, wanted);
    else {
        buf_printf(out, "daemon set \"%s\" successfully rolled out\n", name);
        return 1;
    }
    return 0;
}

static int stateful_set_status(const struct json *object, struct buf *out, struct err *err)
{
    if (!streq(json_str_or("RollingUpdate", object, "spec", "updateStrategy", "type", NULL), "RollingUpdate"))
        return err_set(err, ERR_UNSUPPORTED, "rollout status is only available for RollingUpdate strategy type");
    if (!is_observed(object)) {
        buf_add_str(out, "Waiting for statefulset spec update to be observed...\n");
        return 0;
    }
    long long wanted = spec_int(object, "replicas", 1), ready = status_int(object, "readyReplicas");
    long long updated = status_int(object, "updatedReplicas");
    long long partition = json_int_or(0, object, "spec", "updateStrategy", "rollingUpdate", "partition", NULL);
    const char *new_revision = json_str_or("", object, "status", "updateRevision", NULL);
    if (ready < wanted) {
        buf_printf(out, "Waiting for %lld pods to be ready...\n", wanted - ready);
        return 0;
    }
    if (partition > 0) {
        if (updated < wanted - partition) {
            buf_printf(out,
                       "Waiting for partitioned roll out to finish: %lld out of %lld new pods have been updated...\n",
                       updated, wanted - partition);
            return 0;
        }
        buf_printf(out, "partitioned roll out complete: %lld new pods have been updated...\n", updated);
        return 1;
    }
    if (!streq(new_revision, json_str_or("", object, "status", "currentRevision", NULL))) {
        buf_printf(out, "waiting for statefulset rolling update to complete %lld pods at revision %s...\n", updated,
                   new_revision);
        return 0;
    }
    buf_printf(out, "statefulset rolling update complete %lld pods at revision %s...\n",
               (long long)status_int(object, "currentReplicas"),
               json_str_or("", object, "status", "currentRevision", NULL));
    return 1;
}

static int object_status(const struct json *object, struct buf *out, struct err *err)
{
    const char *kind = json_str_or("", object, "kind", NULL), *name = json_str_or("", object, "metadata", "name", NULL);
    if (streq(kind, "Deployment"))
        return deployment_status(object, name, out, err);
    if (streq(kind, "DaemonSet"))
        return daemon_set_status(object, name, out, err);
    if (streq(kind, "StatefulSet"))
        return stateful_set_status(object, out, err);
    return err_set(err, ERR_UNSUPPORTED, "no status viewer has been implemented for %s", kind);
}

struct following {
    int done; /* 1: rolled out, negative: failed */
    struct err *err;
};

static int show_status(struct following *following, const struct json *object)
{
    CLEANUP(buf_done) struct buf text = {0};
    following->done = object_status(object, &text, following->err);
    fputs(buf_text(&text), stdout);
    (void)fflush(stdout);
    return following->done;
}

static bool on_event(const char *type, const struct json *object, void *data)
{
    struct following *following = data;
    if (streq(type, "DELETED")) {
        following->done = err_set(following->err, ERR_GONE, "object has been deleted");
        return false;
    }
    return show_status(following, object) == 0;
}

static int follow_status(const struct rollout *rollout, const struct item *item, struct err *err)
{
    int64_t deadline = rollout->timeout_ms > 0 ? clock_monotonic_ms() + rollout->timeout_ms : 0;
    struct err verdict = {0};
    struct following following = {.err = &verdict};
    (void)show_status(&following, item->object);
    CLEANUP(xfree) char *version = xstrdup(json_str_or("0", item->object, "metadata", "resourceVersion", NULL));
    while (following.done == 0 && rollout->watch) {
        CLEANUP(xfree) char *collection = item_collection_path(item);
        int64_t left = deadline > 0 ? deadline - clock_monotonic_ms() : 0;
        const struct watch_request request = {
            .path = collection, .name = item->name, .resource_version = version, .timeout_ms = left};
        bool ended_by_server = false;
        int code = deadline > 0 && left <= 0
                       ? ERR_TIMEOUT
                       : watch_run(rollout->cli, &request, on_event, &following, &ended_by_server, err);
        if (code == ERR_TIMEOUT) {
            err_clear(err);
            return err_set(err, ERR_TIMEOUT, "timed out waiting for the condition");
        }
        if (code < 0)
            return code;
        if (ended_by_server) {
            CLEANUP(json_free) struct json *object = NULL;
            if (item_get(rollout->cli, item, NULL, &object, err) < 0)
                return err->code;
            free(version);
            version = xstrdup(json_str_or("0", object, "metadata", "resourceVersion", NULL));
            (void)show_status(&following, object);
        }
    }
    if (following.done < 0)
        err_move(err, &verdict);
    return following.done < 0 ? err->code : 0;
}

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

enum action { ACTION_STATUS, ACTION_RESTART, ACTION_PAUSE, ACTION_RESUME };

static int run_action(struct rollout *rollout, enum action action, const struct item *item, struct err *err)
{
    if (action == ACTION_STATUS)
        return follow_status(rollout, item, err);
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
    rollout->selection.everything_if_unnamed = true;
    if (write_options_check(&rollout->write, &err) < 0 ||
        output_parse(&rollout->output_options, &rollout->output, &err) < 0 ||
        items_resolve(rollout->cli, &rollout->selection, args, true, &items, &failures, &err) < 0)
        return cli_fail(rollout->cli, &err);
    for (size_t i = 0; i < items.n; i++) {
        struct err failure = {0};
        if (run_action(rollout, action, &items.list[i], &failure) < 0)
            failures_add(&failures, &failure);
    }
    if (items.n == 0 && failures.n == 0)
        return cli_error("No resources found in %s namespace.", cli_namespace(rollout->cli));
    return cli_fail_all(rollout->cli, &failures);
}

static int rollout_command(struct cli *cli, enum action action, const char *words, const char *about, int argc,
                           char **argv)
{
    struct rollout rollout = {.cli = cli,
                              .watch = true,
                              .write = {.field_manager = "kubectl-rollout"},
                              .output_options = {.hide_missing = true}};
    const struct opt status_options[] = {
        SELECTION_FILE_OPTIONS(&rollout.selection),
        SELECTION_LABEL_OPTION(&rollout.selection),
        {"timeout", 0, OPT_DURATION, &rollout.timeout_ms, "0s", "How long to watch; 0: for ever."},
        {"watch", 'w', OPT_BOOL, &rollout.watch, NULL, "Watch until it is done."},
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
                                        .options = action == ACTION_STATUS ? status_options : change_options};
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
