/*
 * patch.c: `patch`: sends the user's patch; strategic merge, JSON merge or JSON patch.
 */
#include "data/patch.h"
#include "merge/merge.h"
#include "objects/write.h"
#include "print/output.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/yaml.h"

struct patch_command {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    struct output output;
    const char *patch, *patch_file, *type, *subresource;
    char *text; /* what is sent */
};

/* JSON goes as it is, so that the server judges it; anything else is YAML. */
static int read_patch(struct patch_command *command, struct err *err)
{
    CLEANUP(buf_done) struct buf bytes = {0};
    if (command->patch_file != NULL) {
        CLEANUP(err_clear) struct err cause = {0};
        if (file_read(command->patch_file, LIMIT_FILE, &bytes, &cause) < 0)
            return cause.code == ERR_NOT_FOUND
                       ? err_set(err, ERR_NOT_FOUND, "unable to read patch file: open %s: no such file or directory",
                                 command->patch_file)
                       : err_set(err, cause.code, "unable to read patch file: %s", err_text(&cause));
    } else {
        buf_add_str(&bytes, command->patch);
    }
    const char *text = buf_text(&bytes);
    const char *start = text + strspn(text, " \t\r\n");
    if (*start == '{' || *start == '[') {
        command->text = xstrdup(text);
        return 0;
    }
    CLEANUP(json_free) struct json *tree = NULL;
    if (yaml_parse(text, bytes.len, &tree, err) < 0)
        return err_wrap(err, "unable to parse \"%s\"", text);
    struct buf as_json = {0};
    json_print(tree, &as_json);
    command->text = buf_take(&as_json);
    return 0;
}

static const char *content_type(const char *type)
{
    return streq(type, "json") ? KUBE_JSON_PATCH : streq(type, "merge") ? KUBE_MERGE_PATCH : KUBE_STRATEGIC_PATCH;
}

/* --dry-run=client, --local: what the server would make of it. */
static int apply_here(const struct patch_command *command, const struct json *object, struct json **ret,
                      struct err *err)
{
    CLEANUP(json_free) struct json *patch = NULL;
    if (json_parse(command->text, strlen(command->text), &patch, err) < 0)
        return err_wrap(err, "unable to parse \"%s\"", command->text);
    if (streq(command->type, "json"))
        return patch_apply(object, patch, ret, err);
    const char *version = json_str_or("", object, "apiVersion", NULL);
    CLEANUP(xfree) char *group = xstrndup(version, strchr(version, '/') != NULL ? strcspn(version, "/") : 0);
    if (!streq(command->type, "merge") && merge_style_of(group) != MERGE_STRATEGIC)
        return err_set(err, ERR_UNSUPPORTED,
                       "strategic merge patch is not supported for %s, Kind=%s locally, try --type merge", version,
                       json_str_or("", object, "kind", NULL));
    *ret = streq(command->type, "merge") ? patch_merge(object, patch) : merge_apply(object, patch);
    return 0;
}

/* --record is a patch of its own, which may fail without a word, as in kubectl. */
static void record_cause(const struct patch_command *command, const struct item *item, struct json **patched)
{
    CLEANUP(json_free) struct json *recorded = json_clone(*patched), *answer = NULL;
    write_record(command->cli, &command->write, recorded);
    CLEANUP(json_free) struct json *patch = patch_merge_diff(*patched, recorded);
    CLEANUP(err_clear) struct err ignored = {0};
    if (json_len(patch) == 0 || write_patch(command->cli, &command->write, item, command->subresource, KUBE_MERGE_PATCH,
                                            patch, NULL, &answer, &ignored) < 0)
        return;
    json_free(*patched);
    *patched = take(&answer);
}

/* Custom resources take no strategic merge patches. */
static int refuse_type(const struct patch_command *command, const struct item *item, struct err *err)
{
    const struct kube_resource *r = item->resource;
    CLEANUP(xfree) char *reason = xstrdup(err_text(err));
    err_clear(err);
    return err_set(err, ERR_UNSUPPORTED, "%s is not supported by %s/%s, Kind=%s: %s", content_type(command->type),
                   r->group, r->version, r->kind, reason);
}

static int patch_one(struct patch_command *command, const struct item *item, struct err *err)
{
    CLEANUP(json_free) struct json *patched = NULL;
    bool did_patch = false;
    if (command->selection.local || write_is_client_dry_run(&command->write)) {
        if (apply_here(command, item->object, &patched, err) < 0)
            return err->code;
        did_patch = !json_same(patched, item->object);
    } else {
        if (item_check_name(item, err) < 0)
            return err->code;
        CLEANUP(xfree) char *plain = item_path(item, command->subresource);
        CLEANUP(buf_done) struct buf path = {0};
        buf_add_str(&path, plain);
        if (write_is_dry_run(&command->write))
            kube_path_query(&path, "dryRun", "All");
        kube_path_query(&path, "fieldManager", command->write.field_manager);
        const struct kube_request request = {.method = "PATCH",
                                             .path = buf_text(&path),
                                             .body_text = command->text,
                                             .content_type = content_type(command->type)};
        if (cli_do(command->cli, &request, &patched, err) < 0)
            return err->http_status == 415 ? refuse_type(command, item, err) : err->code;
        did_patch = !json_same(patched, item->object);
        record_cause(command, item, &patched);
    }
    command->output.n_printed = 0; /* kubectl has a new printer for each object, which puts no "---" before it */
    return output_result(&command->output, patched, did_patch ? "patched" : "patched (no change)", "", err);
}

static int run_patch(struct patch_command *command, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    if (command->patch != NULL && command->patch_file != NULL)
        return cli_error("cannot specify --patch and --patch-file together");
    if (strempty(command->patch)[0] == '\0' && command->patch_file == NULL)
        return cli_error("must specify --patch or --patch-file containing the contents of the patch");
    if (!streq(command->type, "strategic") && !streq(command->type, "merge") && !streq(command->type, "json"))
        return cli_error("--type must be one of [json merge strategic], not \"%s\"", command->type);
    if (write_options_check(&command->write, &err) < 0 ||
        output_parse(&command->output_options, &command->output, &err) < 0 || read_patch(command, &err) < 0)
        return cli_fail(command->cli, &err);
    bool local = command->selection.local;
    if (local && args->n > 0)
        return cli_error("cannot specify --local and server resources");
    if (local && streq(command->write.dry_run, "server"))
        return cli_error("cannot specify --local and --dry-run=server - did you mean --dry-run=client?");
    bool fetch = !selection_has_files(&command->selection); /* a file's object stands for itself, as in kubectl */
    int code = local ? items_from_files(command->cli, &command->selection, &items, &failures, &err)
                     : items_resolve(command->cli, &command->selection, args, fetch && command->subresource == NULL,
                                     &items, &failures, &err);
    if (code < 0)
        return cli_fail(command->cli, &err);
    for (size_t i = 0; i < items.n; i++) {
        struct err failure = {0};
        if (fetch && command->subresource != NULL &&
            item_fetch(command->cli, &items.list[i], command->subresource, &failure) < 0)
            failures_add(&failures, &failure);
        else if (patch_one(command, &items.list[i], &failure) < 0)
            failures_add(&failures, &failure);
    }
    if (items.n == 0 && failures.n == 0)
        return cli_error("no objects passed to patch");
    return cli_fail_all(command->cli, &failures);
}

int command_patch(struct cli *cli, int argc, char **argv)
{
    struct patch_command patch = {.cli = cli,
                                  .type = "strategic",
                                  .write = {.field_manager = "kubectl-patch"},
                                  .output_options = {.hide_missing = true}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&patch.selection),
        OUTPUT_OPTIONS(&patch.output_options),
        WRITE_DRY_RUN_OPTION(&patch.write),
        WRITE_MANAGER_OPTION(&patch.write),
        WRITE_RECORD_OPTION(&patch.write),
        {"local", 0, OPT_BOOL, &patch.selection.local, NULL, "Do not ask the server: work on the file."},
        {"patch", 'p', OPT_STRING, &patch.patch, "", "The patch, JSON or YAML."},
        {"patch-file", 0, OPT_STRING, &patch.patch_file, "", "File with the patch."},
        {"subresource", 0, OPT_STRING, &patch.subresource, "", "Patch this subresource: status, scale, resize."},
        {"type", 0, OPT_STRING, &patch.type, "strategic", "json, merge or strategic."},
        {0},
    };
    const struct cli_command command = {
        .words = "patch",
        .usage = "(-f FILENAME | TYPE NAME) [-p PATCH|--patch-file FILE] [options]",
        .about = "Update fields of a resource using strategic merge patch, a JSON merge patch, or a JSON patch.",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_patch(&patch, &args);
    selection_done(&patch.selection);
    output_done(&patch.output);
    free(patch.text);
    return code;
}
