/*
 * delete.c: `delete`: what was named, selected or is in files goes, one after another, and then all are waited for.
 * One object's deletion is deletion.c.
 */
#include "objects/items.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "objects/deletion.h"
#include "objects/write.h"

#define WAIT_FOREVER_MS (INT64_C(168) * 3600 * 1000) /* kubectl's "for ever" */

struct delete
{
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    const char *output, *cascade, *raw;
    int64_t grace_period, timeout_ms;
    bool force, now, wait, ignore_not_found, ignore_seen, interactive;
};

/* What was deleted, to wait for. */
struct deleted {
    struct item item;
    char *uid; /* an object with another uid is a new one of the same name */
};

static int check_options(struct delete *delete, struct err *err)
{
    struct selection *selection = &delete->selection;
    if (selection->all || selection->label_selector != NULL || selection->field_selector != NULL)
        delete->ignore_not_found = delete->ignore_seen ? delete->ignore_not_found : true;
    if (delete->now) {
        if (delete->grace_period != -1)
            return err_set(err, ERR_USAGE, "--now and --grace-period cannot be specified together");
        delete->grace_period = 1;
    }
    if (delete->grace_period == 0 && !delete->force)
        delete->grace_period = 1; /* 0 is dangerous, so it takes --force as well */
    if (delete->force && delete->grace_period < 0)
        delete->grace_period = 0;
    if (write_options_check(&delete->write, err) < 0)
        return err->code;
    if (strempty(delete->output)[0] != '\0' && !streq(delete->output, "name"))
        return err_set(err, ERR_USAGE, "unexpected -o output mode: %s. We only support '-o name'", delete->output);
    if (selection->all && (selection->label_selector != NULL || selection->field_selector != NULL))
        return err_set(err, ERR_USAGE, "setting 'all' parameter but found a non empty selector. ");
    if (delete->force && delete->grace_period > 0)
        return err_set(err, ERR_USAGE, "--force and --grace-period greater than 0 cannot be specified together");
    if (delete->force)
        fputs("Warning: Immediate deletion does not wait for confirmation that the running resource has been "
              "terminated. The "
              "resource may continue to run on the cluster indefinitely.\n",
              stderr);
    return 0;
}

static int delete_one(const struct delete *delete, const struct deletion *deletion, const struct item *item,
                      char **ret_uid, struct err *err)
{
    int code = 0;
    if (write_is_client_dry_run(&delete->write))
        code = item_check_name(item, err);
    else
        code = deletion_send(delete->cli, deletion, item, ret_uid, err);
    if (code < 0) {
        write_blame_source("deleting", item->source, err);
        return err->code;
    }
    deletion_print(deletion, item, streq(delete->output, "name"));
    return 0;
}

static void wait_all(const struct delete *delete, const struct deleted *list, size_t n, struct failures *failures)
{
    int64_t timeout = delete->timeout_ms != 0 ? delete->timeout_ms : WAIT_FOREVER_MS;
    int64_t deadline = clock_monotonic_ms() + timeout;
    for (size_t i = 0; i < n; i++) {
        struct err failure = {0};
        int code = deletion_wait(delete->cli, &list[i].item, list[i].uid, deadline, &failure);
        if (code == ERR_FORBIDDEN || failure.http_status == 405) /* who may delete need not be allowed to look */
            err_clear(&failure);
        else if (code < 0)
            failures_add(failures, &failure);
    }
}

/* --- the command */

static bool is_confirmed(const struct items *items)
{
    printf("You are about to delete the following %zu resource(s):\n", items->n);
    for (size_t i = 0; i < items->n; i++) {
        CLEANUP(buf_done) struct buf name = {0};
        item_print_name(&items->list[i], &name);
        puts(buf_text(&name));
    }
    fputs("Do you want to continue? (y/N): ", stdout);
    (void)fflush(stdout);
    char answer[16] = "";
    return fgets(answer, sizeof(answer), stdin) != NULL &&
           str_is_nocase((struct str){answer, strcspn(answer, "\r\n")}, "y");
}

static int delete_items(struct delete *delete, struct items *items, const struct deletion *deletion,
                        struct failures *failures)
{
    struct deleted *list = xcalloc(items->n + 1, sizeof(*list));
    size_t n = 0, found = 0;
    bool warn_cluster_scope = delete->cli->namespace != NULL && !delete->selection.all_namespaces;
    for (size_t i = 0; i < items->n; i++) {
        struct item *item = &items->list[i];
        struct err failure = {0};
        CLEANUP(xfree) char *uid = NULL;
        found++;
        if (warn_cluster_scope && !item->resource->namespaced) {
            fputs("Warning: deleting cluster-scoped resources, not scoped to the provided namespace\n", stderr);
            warn_cluster_scope = false;
        }
        if (delete_one(delete, deletion, item, &uid, &failure) < 0) {
            if (delete->ignore_not_found && failure.code == ERR_NOT_FOUND)
                err_clear(&failure);
            else
                failures_add(failures, &failure);
            continue;
        }
        list[n++] = (struct deleted){.item = *item, .uid = take(&uid)};
    }
    (void)fflush(stdout);
    if (failures->n == 0 && found == 0)
        puts("No resources found");
    if (failures->n == 0 && delete->wait && !write_is_dry_run(&delete->write))
        wait_all(delete, list, n, failures);
    for (size_t i = 0; i < n; i++)
        free(list[i].uid);
    free(list);
    return cli_fail_all(delete->cli, failures);
}

static int run_delete(struct delete *delete, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    struct deletion deletion = {0};
    if (check_options(delete, &err) < 0 || deletion_policy(delete->cascade, &deletion.policy, &err) < 0)
        return cli_fail(delete->cli, &err);
    if (delete->raw != NULL) {
        if (delete->interactive)
            return cli_error("--interactive can not be used with --raw");
        if (write_raw(delete->cli, "DELETE", delete->raw, &delete->selection, delete->output, &err) < 0)
            return cli_fail(delete->cli, &err);
        return 0;
    }
    if (items_resolve(delete->cli, &delete->selection, args, false, &items, &failures, &err) < 0)
        return cli_fail(delete->cli, &err);
    if (delete->interactive && failures.n == 0) {
        if (items.n == 0) {
            puts("No resources found");
            return 0;
        }
        if (!is_confirmed(&items)) {
            puts("deletion is cancelled");
            return 0;
        }
    }
    deletion.grace_period = delete->grace_period;
    deletion.dry_run = delete->write.dry_run;
    return delete_items(delete, &items, &deletion, &failures);
}

int command_delete(struct cli *cli, int argc, char **argv)
{
    struct delete delete = {
        .cli = cli, .grace_period = -1, .wait = true, .cascade = "background", .selection = {.chunk_size = 500, .all_or_names = true}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&delete.selection),
        SELECTION_LABEL_OPTION(&delete.selection),
        SELECTION_FIELD_OPTION(&delete.selection),
        SELECTION_NAMESPACES_OPTION(&delete.selection),
        WRITE_DRY_RUN_OPTION(&delete.write),
        {"all", 0, OPT_BOOL, &delete.selection.all, NULL, "Delete all resources of the types, in the namespace."},
        {"cascade", 0, OPT_STRING, &delete.cascade, "background",
         "background, orphan or foreground: what becomes of the objects owned by the deleted one.", "background"},
        {"force", 0, OPT_BOOL, &delete.force, NULL, "Remove from the API at once, without waiting for a graceful end."},
        {"grace-period", 0, OPT_INT, &delete.grace_period, "-1",
         "Seconds given to end gracefully; negative: the object's own."},
        {"ignore-not-found", 0, OPT_BOOL, &delete.ignore_not_found, NULL, "What is not there counts as deleted.", NULL,
         &delete.ignore_seen},
        {"interactive", 'i', OPT_BOOL, &delete.interactive, NULL, "Ask before deleting."},
        {"now", 0, OPT_BOOL, &delete.now, NULL, "Grace period of one second."},
        {"output", 'o', OPT_STRING, &delete.output, "", "name: shorter output (resource/name)."},
        {"raw", 0, OPT_STRING, &delete.raw, "", "A path to send DELETE to as it is."},
        {"timeout", 0, OPT_DURATION, &delete.timeout_ms, "0s",
         "How long to wait until the objects are gone; 0: for ever."},
        {"wait", 0, OPT_BOOL, &delete.wait, NULL, "Wait until the objects are gone."},
        {0},
    };
    const struct cli_command command = {
        .words = "delete",
        .usage = "([-f FILENAME] | [-k DIRECTORY] | TYPE [(NAME | -l label | --all)]) [options]",
        .about = "Delete resources by file names, stdin, resources and names, or by resources and label selector.",
        .examples = "  # Delete what a file describes\n  fks delete -f ./pod.yaml\n\n  # Delete pods and services with "
                    "a label\n"
                    "  fks delete pods,services -l app=web\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_delete(&delete, &args);
    selection_done(&delete.selection);
    return code;
}
