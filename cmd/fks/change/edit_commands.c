/*
 * edit_commands.c: `edit` and `apply edit-last-applied`.
 */
#include "change/edit.h"

#include "base/mem.h"

static int edit_command(struct edit *edit, const char *words, const char *about, int argc, char **argv)
{
    struct selection selection = {.everything_if_unnamed = true};
    struct output_options output_options = {.hide_missing = true};
    struct write_options write = {.field_manager = "kubectl-edit", .validate = "strict"};
    edit->selection = &selection;
    edit->output_options = &output_options;
    edit->write = &write;
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&selection),
        OUTPUT_OPTIONS(&output_options),
        WRITE_VALIDATE_OPTION(&write),
        WRITE_MANAGER_OPTION(&write),
        WRITE_RECORD_OPTION(&write),
        {"output-patch", 0, OPT_BOOL, &edit->output_patch, NULL, "Print the patch that is sent."},
        {"save-config", 0, OPT_BOOL, &edit->save_config, NULL,
         "Keep the configuration in the object's annotation, for a later apply."},
        {"subresource", 0, OPT_STRING, &edit->subresource, "", "Edit this subresource: status, resize."},
        {"windows-line-endings", 0, OPT_BOOL, &edit->windows_line_endings, NULL, "End lines of the file with CR LF."},
        {0},
    };
    const struct cli_command command = {
        .words = words,
        .usage = "(RESOURCE/NAME | -f FILENAME) [options]",
        .about = about,
        .examples = "  # With the editor of your choice\n  KUBE_EDITOR=nano fks edit svc/web\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(edit->cli, &command, argc, argv, &args, NULL, &code))
        code = edit_run(edit, &args);
    selection_done(&selection);
    output_done(&edit->output);
    return code;
}

int command_edit(struct cli *cli, int argc, char **argv)
{
    struct edit edit = {.cli = cli, .mode = EDIT_LIVE};
    return edit_command(&edit, "edit",
                        "Edit objects of the server in the editor that KUBE_EDITOR or EDITOR names, else vi. What was "
                        "changed is sent as a patch; what the server refuses is shown again with the reasons.",
                        argc, argv);
}

int command_edit_last_applied(struct cli *cli, int argc, char **argv)
{
    struct edit edit = {.cli = cli, .mode = EDIT_LAST_APPLIED};
    return edit_command(&edit, "apply edit-last-applied",
                        "Edit what apply remembers as the file that was applied last.", argc, argv);
}
