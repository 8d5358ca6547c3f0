/*
 * cordon.c: `cordon` and `uncordon`: whether the scheduler may use a node. drain begins the same way (drain.c).
 */
#include "nodes/cordon.h"

#include "base/mem.h"

void cordon_done(struct cordon *cordon)
{
    items_done(&cordon->nodes);
    selection_done(&cordon->selection);
}

int cordon_find_nodes(struct cordon *cordon, const struct strv *names, struct err *err)
{
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    bool has_selector = strempty(cordon->selection.label_selector)[0] != '\0';
    if (names->n == 0 && !cordon->selector_seen)
        return err_set(err, ERR_USAGE, "USAGE: %s NODE [flags]\nSee '%s %s -h' for help and examples", cordon->words,
                       cordon->cli->program, cordon->words);
    if (names->n > 0 && has_selector)
        return err_set(err, ERR_USAGE,
                       "error: cannot specify both a node name and a --selector option\nSee '%s %s -h' for help and "
                       "examples",
                       cordon->cli->program, cordon->words);
    if (write_options_check(&cordon->write, err) < 0)
        return err->code;
    if (!has_selector)
        cordon->selection.label_selector = NULL;
    if (!has_selector && names->n == 0)
        return items_from_args(cordon->cli, &cordon->selection, names, &cordon->nodes, err);
    /* "nodes/x" is as good as "x" */
    bool typed = names->n > 0 && strchr(names->items[0], '/') != NULL;
    if (!typed)
        strv_add(&args, "nodes");
    for (size_t i = 0; i < names->n; i++)
        strv_add(&args, names->items[i]);
    if (items_resolve(cordon->cli, &cordon->selection, &args, true, &cordon->nodes, &failures, err) < 0)
        return err->code;
    if (failures.n > 0) {
        err_move(err, &failures.list[0]);
        return err->code;
    }
    return 0;
}

static int send_change(struct cordon *cordon, const struct item *node, bool unschedulable, struct err *err)
{
    CLEANUP(json_free) struct json *patch = json_new_object();
    json_set(json_edit(patch, "spec", NULL), "unschedulable",
             unschedulable ? json_new_bool(true) : json_new_null());
    return write_patch(cordon->cli, &cordon->write, node, NULL, KUBE_STRATEGIC_PATCH, patch, NULL, NULL, err);
}

void cordon_set(struct cordon *cordon, bool unschedulable)
{
    struct output output = {0};
    for (size_t i = 0; i < cordon->nodes.n; i++) {
        const struct item *node = &cordon->nodes.list[i];
        CLEANUP(err_clear) struct err err = {0};
        const char *verb = unschedulable ? "cordoned" : "uncordoned";
        if (!streq(node->resource->kind, "Node"))
            verb = "skipped";
        else if (json_is_true(node->object, "spec", "unschedulable", NULL) == unschedulable)
            verb = unschedulable ? "already cordoned" : "already uncordoned";
        else if (!write_is_client_dry_run(&cordon->write))
            (void)!send_change(cordon, node, unschedulable, &err);
        if (err.code == 0)
            (void)!output_result(&output, node->object, verb, cordon->write.dry_run, &err);
        (void)fflush(stdout);
        if (err.code != 0)
            fprintf(stderr, "error: unable to %s node \"%s\": %s\n", unschedulable ? "cordon" : "uncordon", node->name,
                    err_text(&err));
    }
}

static int cordon_command(struct cli *cli, bool unschedulable, int argc, char **argv)
{
    struct cordon cordon = {.cli = cli, .words = unschedulable ? "cordon" : "uncordon"};
    const struct opt options[] = {CORDON_OPTIONS(&cordon), {0}};
    const struct cli_command command = {
        .words = cordon.words,
        .usage = "NODE [options]",
        .about = unschedulable ? "Mark node as unschedulable." : "Mark node as schedulable.",
        .examples = unschedulable ? "  # Mark node \"foo\" as unschedulable\n  kubectl cordon foo\n"
                                  : "  # Mark node \"foo\" as schedulable\n  kubectl uncordon foo\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code)) {
        if (cordon_find_nodes(&cordon, &args, &err) < 0)
            code = cli_fail(cli, &err);
        else
            cordon_set(&cordon, unschedulable);
    }
    cordon_done(&cordon);
    return code;
}

int command_cordon(struct cli *cli, int argc, char **argv)
{
    return cordon_command(cli, true, argc, argv);
}

int command_uncordon(struct cli *cli, int argc, char **argv)
{
    return cordon_command(cli, false, argc, argv);
}
