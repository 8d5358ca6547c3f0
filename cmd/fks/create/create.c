/*
 * create.c: `create -f`: the objects of files as they are. `create KIND NAME` is in the create_*.c files.
 */
#include "objects/write.h"
#include "print/output.h"

#include "base/mem.h"

#include "change/edit.h"

struct create {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    bool save_config, edit, windows_line_endings;
    const char *raw;
};

static int create_one(struct create *create, struct item *item, struct output *output, struct err *err)
{
    if (create->save_config || json_str(item->object, "metadata", "annotations", LAST_APPLIED_ANNOTATION, NULL) != NULL)
        write_set_last_applied(item->object);
    write_record(create->cli, &create->write, item->object);
    CLEANUP(json_free) struct json *created = NULL;
    if (write_is_client_dry_run(&create->write)) {
        created = json_keep(item->object);
    } else if (write_create(create->cli, &create->write, item, &created, err) < 0) {
        write_blame_source("creating", item->source, err);
        return err->code;
    }
    return output_result(output, created, "created", create->write.dry_run, err);
}

static int run_create(struct create *create, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    CLEANUP(output_done) struct output output = {0};
    if (args->n > 0) {
        CLEANUP(xfree) char *joined = strv_join(args, " ");
        return cli_error("Unexpected args: [%s]\nSee '%s create -h' for help and examples", joined,
                         create->cli->program);
    }
    if (selection_require_files(&create->selection, &err) < 0 || write_options_check(&create->write, &err) < 0 ||
        output_parse(&create->output_options, &output, &err) < 0)
        return cli_fail(create->cli, &err);
    if (create->raw != NULL && create->edit)
        return cli_error("--raw and --edit are mutually exclusive");
    if (create->raw != NULL) {
        if (write_raw(create->cli, "POST", create->raw, &create->selection, create->output_options.format, &err) < 0)
            return cli_fail(create->cli, &err);
        return 0;
    }
    if (create->edit) {
        struct edit edit = {.cli = create->cli,
                            .mode = EDIT_CREATE,
                            .selection = &create->selection,
                            .write = &create->write,
                            .output_options = &create->output_options,
                            .save_config = create->save_config,
                            .windows_line_endings = create->windows_line_endings};
        int code = edit_run(&edit, args);
        output_done(&edit.output);
        return code;
    }
    create->selection.check_type_meta = !streq(create->write.validate, "Ignore");
    CLEANUP(failures_done) struct failures broken = {0};
    if (items_from_files(create->cli, &create->selection, &items, &broken, &err) < 0)
        return cli_fail(create->cli, &err);
    for (size_t i = 0; i < items.n; i++) {
        struct err failure = {0};
        if (create_one(create, &items.list[i], &output, &failure) < 0)
            failures_add(&failures, &failure);
    }
    for (size_t i = 0; i < broken.n; i++)
        failures_add(&failures, &broken.list[i]);
    if (items.n == 0 && failures.n == 0)
        return cli_error("no objects passed to create");
    return cli_fail_all(create->cli, &failures);
}

int command_create(struct cli *cli, int argc, char **argv)
{
    struct create create = {
        .cli = cli, .write = {.field_manager = "kubectl-create", .validate = "strict"}, .output_options = {.hide_missing = true}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&create.selection),
        SELECTION_LABEL_OPTION(&create.selection),
        OUTPUT_OPTIONS(&create.output_options),
        WRITE_DRY_RUN_OPTION(&create.write),
        WRITE_VALIDATE_OPTION(&create.write),
        WRITE_MANAGER_OPTION(&create.write),
        WRITE_RECORD_OPTION(&create.write),
        {"edit", 0, OPT_BOOL, &create.edit, NULL, "Edit the objects before they are created."},
        {"windows-line-endings", 0, OPT_BOOL, &create.windows_line_endings, NULL,
         "With --edit: end lines of the file with CR LF."},
        {"raw", 0, OPT_STRING, &create.raw, "", "A path to POST the file to as it is."},
        {"save-config", 0, OPT_BOOL, &create.save_config, NULL,
         "Keep the configuration in the object's annotation, for a later apply."},
        {0},
    };
    const struct cli_command command = {
        .words = "create",
        .usage = "-f FILENAME [options]",
        .about = "Create a resource from a file or from stdin. 'create KIND' makes one from options.",
        .examples =
            "  # Create the objects in a file\n  fks create -f ./pod.yaml\n\n  # Create a deployment from options\n"
            "  fks create deployment web --image=nginx\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_create(&create, &args);
    selection_done(&create.selection);
    return code;
}

/* --- "create secret" and "create service", which need one more word */

int command_create_group(struct cli *cli, int argc, char **argv)
{
    static const struct {
        const char *words, *help;
    } rows[] = {
#define COMMAND(words, function, help) {words, help},
#include "commands.h"
#undef COMMAND
    };
    const char *noun = streq(argv[0], "secret") ? "secret" : "service";
    CLEANUP(xfree) char *prefix = xasprintf("create %s ", noun), *words = xasprintf("create %s", noun);
    CLEANUP(xfree) char *about = xasprintf("Create a %s using a specified subcommand.", noun);
    const struct cli_command command = {.words = words, .usage = "SUBCOMMAND [options]", .about = about};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    CLEANUP(xfree) char *joined = strv_join(&args, " ");
    if (args.n > 0)
        return cli_error("unknown command \"%s\"\nSee '%s %s -h' for help and examples", joined, cli->program, words);
    fprintf(stderr, "%s\n\nAvailable Commands:\n", about);
    for (size_t i = 0; i < countof(rows); i++) {
        if (rows[i].help != NULL && starts_with(rows[i].words, prefix))
            fprintf(stderr, "  %-18s%s\n", rows[i].words + strlen(prefix), rows[i].help);
    }
    return 1;
}
