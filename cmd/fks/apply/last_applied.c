/*
 * last_applied.c: `apply view-last-applied` and `apply set-last-applied`: the annotation in which client-side apply
 * remembers the file. `apply edit-last-applied` is edit.c's.
 */
#include "apply/patcher.h"
#include "data/patch.h"
#include "data/yaml.h"
#include "print/output.h"
#include "text/gotext.h"

#include "base/mem.h"

/* --- view */

/* As Go's json.Indent: the text's own order and escapes, two blanks a level. */
static void indent_json(const char *text, struct buf *out)
{
    int depth = 0;
    bool in_string = false, opened = false;
    for (const char *c = text; *c != '\0'; c++) {
        if (in_string) {
            buf_add_char(out, *c);
            if (*c == '\\' && c[1] != '\0')
                buf_add_char(out, *++c);
            else if (*c == '"')
                in_string = false;
            continue;
        }
        if (strchr(" \t\r\n", *c) != NULL)
            continue;
        bool closes = *c == '}' || *c == ']';
        depth -= closes ? 1 : 0;
        if (opened != closes && (opened || closes))
            buf_printf(out, "\n%*s", depth * 2, "");
        opened = *c == '{' || *c == '[';
        depth += opened ? 1 : 0;
        in_string = *c == '"';
        buf_add_char(out, *c);
        if (*c == ',')
            buf_printf(out, "\n%*s", depth * 2, "");
        if (*c == ':')
            buf_add_char(out, ' ');
    }
    if (ends_with(text, "\n"))
        buf_add_char(out, '\n');
}

static int view_one(const struct item *item, const char *format, struct err *err)
{
    const char *text = json_str(item->object, "metadata", "annotations", LAST_APPLIED_ANNOTATION, NULL);
    CLEANUP(json_free) struct json *last = NULL;
    CLEANUP(buf_done) struct buf out = {0};
    if (text == NULL)
        return err_set(err, ERR_NOT_FOUND, "no last-applied-configuration annotation found on resource: %s\n",
                       item->name);
    if (patcher_last_applied(item->object, &last, err) < 0)
        return err->code;
    if (streq(format, "json"))
        indent_json(text, &out);
    else
        yaml_print(last, &out);
    fputs(buf_text(&out), stdout);
    return 0;
}

static int run_view(struct cli *cli, const struct selection *selection, const char *format, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    if (!streq(format, "yaml") && !streq(format, "json"))
        return cli_error("Unexpected -o output mode: %s, the flag 'output' must be one of yaml|json\n"
                         "See '%s apply view-last-applied -h' for help and examples",
                         format, cli->program);
    if (items_resolve(cli, selection, args, true, &items, &failures, &err) < 0)
        return cli_fail(cli, &err);
    for (size_t i = 0; i < items.n && failures.n == 0; i++) {
        struct err failure = {0};
        if (view_one(&items.list[i], format, &failure) < 0)
            failures_add(&failures, &failure);
    }
    return cli_fail_all(cli, &failures);
}

int command_view_last_applied(struct cli *cli, int argc, char **argv)
{
    struct selection selection = {.everything_if_unnamed = true, .all_or_names = true};
    const char *format = "yaml";
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&selection),
        SELECTION_LABEL_OPTION(&selection),
        {"all", 0, OPT_BOOL, &selection.all, NULL, "All resources of the types, in the namespace."},
        {"output", 'o', OPT_STRING, &format, "yaml", "yaml or json."},
        {0},
    };
    const struct cli_command command = {
        .words = "apply view-last-applied",
        .usage = "(TYPE [NAME | -l label] | TYPE/NAME | -f FILENAME) [options]",
        .about = "Show the configuration that was applied last, from the object's annotation.",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_view(cli, &selection, format, &args);
    selection_done(&selection);
    return code;
}

/* --- set */

struct set {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    struct output output;
    bool create_annotation;
};

static int set_one(struct set *set, const struct item *item, struct err *err)
{
    CLEANUP(json_free) struct json *live = NULL, *old = NULL, *patched = NULL;
    if (item_get(set->cli, item, NULL, &live, err) < 0 || patcher_last_applied(live, &old, err) < 0)
        return err->code;
    if (old == NULL && !set->create_annotation)
        return err_set(err, ERR_NOT_FOUND,
                       "no last-applied-configuration annotation found on resource: %s, to create the annotation, run "
                       "the command with --create-annotation",
                       item->name);
    if (old != NULL && json_same(old, item->object)) {
        printf("set-last-applied %s: no changes required.\n", item->name);
        return 0;
    }
    CLEANUP(buf_done) struct buf text = {0};
    gotext_json(item->object, &text);
    buf_add_char(&text, '\n');
    CLEANUP(json_free)
    struct json *patch =
        json_build("{s:{s:{s:s}}}", "metadata", "annotations", LAST_APPLIED_ANNOTATION, buf_text(&text));
    if (write_is_client_dry_run(&set->write))
        patched = json_keep(live);
    else if (write_patch(set->cli, &set->write, item, NULL, KUBE_MERGE_PATCH, patch, NULL, &patched, err) < 0)
        return err->code;
    return output_result(&set->output, patched, "configured", set->write.dry_run, err);
}

static int run_set(struct set *set)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    const struct strv nothing = {0};
    if (set->selection.filenames.n == 0 &&
        items_from_args(set->cli, &set->selection, &nothing, &items, &err) < 0) /* which says what to give */
        return cli_fail(set->cli, &err);
    if (write_options_check(&set->write, &err) < 0 || output_parse(&set->output_options, &set->output, &err) < 0 ||
        items_from_files(set->cli, &set->selection, &items, &failures, &err) < 0)
        return cli_fail(set->cli, &err);
    for (size_t i = 0; i < items.n && failures.n == 0; i++) {
        struct err failure = {0};
        if (set_one(set, &items.list[i], &failure) < 0)
            failures_add(&failures, &failure);
    }
    return cli_fail_all(set->cli, &failures);
}

int command_set_last_applied(struct cli *cli, int argc, char **argv)
{
    struct set set = {.cli = cli, .output_options = {.hide_missing = true}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&set.selection),
        OUTPUT_OPTIONS(&set.output_options),
        WRITE_DRY_RUN_OPTION(&set.write),
        {"create-annotation", 0, OPT_BOOL, &set.create_annotation, NULL, "Also for objects without the annotation."},
        {0},
    };
    const struct cli_command command = {
        .words = "apply set-last-applied",
        .usage = "-f FILENAME [options]",
        .about = "Make the annotation say that the file was applied last, and change nothing else of the object.",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_set(&set);
    selection_done(&set.selection);
    output_done(&set.output);
    return code;
}
