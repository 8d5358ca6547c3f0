/*
 * label.c: `label` and `annotate`: one merge patch on metadata.labels or metadata.annotations per object.
 */
#include "data/patch.h"
#include "objects/write.h"
#include "print/output.h"
#include "text/gotext.h"

#include "base/mem.h"

struct label {
    struct cli *cli;
    bool annotate; /* the other of the two commands */
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    struct output output;
    bool overwrite, list;
    const char *resource_version;
    struct strv resources, removals;
    struct json *changes; /* key → new value */
};

static const char *field(const struct label *label)
{
    return label->annotate ? "annotations" : "labels";
}

static const char *noun(const struct label *label)
{
    return label->annotate ? "annotation" : "label";
}

/* A label's value by the server's rule, told here as kubectl does. */
static int check_label_value(const char *pair, const char *value, struct err *err)
{
    static const char *const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static const char *const inside = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t len = strlen(value);
    if (strchr(value, '=') != NULL)
        return err_set(err, ERR_USAGE, "invalid label spec: %s", pair);
    if (len > 63)
        return err_set(err, ERR_USAGE, "invalid label value: \"%s\": must be no more than 63 bytes", pair);
    if (len > 0 && (value[strspn(value, inside)] != '\0' || strchr(alphanumeric, value[0]) == NULL ||
                    strchr(alphanumeric, value[len - 1]) == NULL))
        return err_set(err, ERR_USAGE,
                       "invalid label value: \"%s\": a valid label must be an empty string or consist of alphanumeric "
                       "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
                       "'MyValue',  or 'my_value',  or '12345', regex used for validation is "
                       "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
                       pair);
    return 0;
}

static int check_both_ways(const struct label *label, struct err *err)
{
    CLEANUP(strv_done) struct strv both = {0};
    for (size_t i = 0; i < label->removals.n; i++) {
        if (json_member(label->changes, label->removals.items[i]) != NULL)
            strv_add(&both, label->removals.items[i]);
    }
    if (both.n == 0)
        return 0;
    if (!label->annotate)
        return err_set(err, ERR_USAGE, "can not both modify and remove a label in the same command");
    CLEANUP(xfree) char *names = strv_join(&both, ", ");
    return err_set(err, ERR_USAGE, "can not both modify and remove the following annotation(s) in the same command: %s",
                   names);
}

/* Resources come first, then KEY=VALUE and KEY-. */
static int split_arguments(struct label *label, const struct strv *args, struct err *err)
{
    bool in_pairs = false;
    for (size_t i = 0; i < args->n; i++) {
        const char *arg = args->items[i], *equals = strchr(arg, '=');
        bool sets = equals != NULL && equals != arg, removes = !sets && ends_with(arg, "-") && arg[1] != '\0';
        if (!sets && !removes) {
            if (in_pairs)
                return err_set(err, ERR_USAGE, "all resources must be specified before %s changes: %s", noun(label),
                               arg);
            strv_add(&label->resources, arg);
            continue;
        }
        in_pairs = true;
        CLEANUP(xfree) char *key = xstrndup(arg, sets ? (size_t)(equals - arg) : strlen(arg) - 1);
        if (sets && !label->annotate && check_label_value(arg, equals + 1, err) < 0)
            return err->code;
        if (removes)
            strv_add(&label->removals, key);
        else
            json_set_str(label->changes, key, equals + 1);
    }
    return check_both_ways(label, err);
}

static int check_overwrite(const struct label *label, const struct json *current, struct err *err)
{
    if (label->overwrite)
        return 0;
    CLEANUP(buf_done) struct buf clashes = {0};
    CLEANUP(strv_done) struct strv keys = {0};
    gotext_keys(label->changes, &keys);
    for (size_t i = 0; i < keys.n; i++) {
        const char *old = json_string_value(json_member(current, keys.items[i]));
        const char *new = json_string_value(json_member(label->changes, keys.items[i]));
        if (old == NULL || streq(old, new))
            continue;
        if (!label->annotate)
            return err_set(err, ERR_EXISTS, "'%s' already has a value (%s), and --overwrite is false", keys.items[i],
                           old);
        buf_printf(&clashes, "%s'%s' already has a value (%s)", clashes.len > 0 ? "; " : "", keys.items[i], old);
    }
    if (clashes.len > 0)
        return err_set(err, ERR_EXISTS, "--overwrite is false but found the following declared annotation(s): %s",
                       buf_text(&clashes));
    return 0;
}

/* Changes the object as asked; the word for what that came to. */
static const char *change_here(const struct label *label, struct json *object)
{
    struct json *metadata = json_edit(object, "metadata", NULL), *members = json_edit(metadata, field(label), NULL);
    size_t n_set = 0, n_removed = 0;
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(label->changes, &position, &key, &value)) {
        if (json_same(json_member(members, key), value))
            continue;
        json_set(members, key, json_keep(value));
        n_set++;
    }
    for (size_t i = 0; i < label->removals.n; i++) {
        if (json_member(members, label->removals.items[i]) == NULL)
            continue;
        json_del(members, label->removals.items[i]);
        n_removed++;
    }
    if (json_len(members) == 0)
        json_del(metadata, field(label));
    return label->annotate              ? "annotated"
           : n_set > 0 && n_removed > 0 ? "modified"
           : n_set > 0                  ? "labeled"
           : n_removed > 0              ? "unlabeled"
                                        : "not labeled";
}

static void print_list(const struct label *label, const struct item *item, const struct json *object, bool one)
{
    const struct json *current = json_get(object, "metadata", field(label), NULL);
    CLEANUP(strv_done) struct strv keys = {0};
    gotext_keys(current, &keys);
    if (!one)
        printf("Listing %s for %s.%s/%s:\n", field(label), item->resource != NULL ? item->resource->kind : "",
               item->resource != NULL ? item->resource->group : "", item->name);
    for (size_t i = 0; i < keys.n; i++)
        printf("%s%s=%s\n", one ? "" : " ", keys.items[i],
               strempty(json_string_value(json_member(current, keys.items[i]))));
}

/* *changed is the object as it shall be; the annotation verb prints what the server made of it instead. */
static int send_change(const struct label *label, const struct item *item, struct json **changed, struct err *err)
{
    for (size_t i = 0; i < label->removals.n && !label->annotate; i++) {
        if (json_str(item->object, "metadata", "labels", label->removals.items[i], NULL) == NULL)
            printf("label \"%s\" not found.\n", label->removals.items[i]);
    }
    if (json_same(item->object, *changed) && label->resource_version == NULL)
        return 0;
    write_record(label->cli, &label->write, *changed);
    CLEANUP(json_free) struct json *patch = patch_merge_diff(item->object, *changed), *answer = NULL;
    if (label->resource_version != NULL)
        json_set_str(json_edit(patch, "metadata", NULL), "resourceVersion", label->resource_version);
    if (write_patch(label->cli, &label->write, item, NULL, KUBE_MERGE_PATCH, patch, NULL, &answer, err) < 0)
        return err->code;
    if (label->annotate) {
        json_free(*changed);
        *changed = take(&answer);
    }
    return 0;
}

static int label_one(struct label *label, const struct item *item, bool one, struct err *err)
{
    if (check_overwrite(label, json_get(item->object, "metadata", field(label), NULL), err) < 0)
        return err->code;
    CLEANUP(json_free) struct json *changed = json_clone(item->object);
    const char *verb = change_here(label, changed);
    if (label->list) {
        print_list(label, item, changed, one);
        return 0;
    }
    bool is_local = label->selection.local || write_is_client_dry_run(&label->write);
    if (!is_local && send_change(label, item, &changed, err) < 0)
        return err->code;
    if (!label->annotate) /* kubectl has a new printer for each object, which puts no "---" before it */
        label->output.n_printed = 0;
    return output_result(&label->output, changed, verb, label->write.dry_run, err);
}

static int run_label(struct label *label, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    struct selection *selection = &label->selection;
    if (write_options_check(&label->write, &err) < 0 ||
        output_parse(&label->output_options, &label->output, &err) < 0 || split_arguments(label, args, &err) < 0)
        return cli_fail(label->cli, &err);
    if (label->list && strempty(label->output_options.format)[0] != '\0')
        return cli_error("--list and --output may not be specified together");
    if (selection->local && streq(label->write.dry_run, "server"))
        return cli_error("cannot specify --local and --dry-run=server - did you mean --dry-run=client?");
    if (selection->local && label->resources.n > 0)
        return cli_error("can only use local files by -f pod.yaml or --filename=pod.json when --local=true is set");
    if (selection->local && !selection_has_files(selection))
        return cli_error("one or more files must be specified as -f pod.yaml or --filename=pod.json");
    if (label->resources.n == 0 && !selection_has_files(selection))
        return cli_error("one or more resources must be specified as <resource> <name> or <resource>/<name>");
    if (json_len(label->changes) == 0 && label->removals.n == 0 && !label->list)
        return cli_error("at least one %s update is required", noun(label));
    if (selection->all && (selection->label_selector != NULL || selection->field_selector != NULL))
        return cli_error("cannot set --all and --%s at the same time",
                         selection->label_selector != NULL ? "selector" : "field-selector");
    int code = selection->local
                   ? items_from_files(label->cli, selection, &items, &failures, &err)
                   : items_resolve(label->cli, selection, &label->resources, true, &items, &failures, &err);
    if (code < 0)
        return cli_fail(label->cli, &err);
    if (!items.single && label->resource_version != NULL)
        return cli_error("--resource-version may only be used with a single resource");
    for (size_t i = 0; i < items.n; i++) {
        struct err failure = {0};
        if (label_one(label, &items.list[i], items.single, &failure) < 0)
            failures_add(&failures, &failure);
    }
    return cli_fail_all(label->cli, &failures);
}

static int label_command(struct label *label, const char *words, const char *usage, const char *about, int argc,
                         char **argv)
{
    label->changes = json_new_object();
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&label->selection),
        SELECTION_LABEL_OPTION(&label->selection),
        SELECTION_FIELD_OPTION(&label->selection),
        SELECTION_NAMESPACES_OPTION(&label->selection),
        OUTPUT_OPTIONS(&label->output_options),
        WRITE_DRY_RUN_OPTION(&label->write),
        WRITE_MANAGER_OPTION(&label->write),
        WRITE_RECORD_OPTION(&label->write),
        {"all", 0, OPT_BOOL, &label->selection.all, NULL, "All resources of the types, in the namespace."},
        {"list", 0, OPT_BOOL, &label->list, NULL, "Only show what is there."},
        {"local", 0, OPT_BOOL, &label->selection.local, NULL, "Do not ask the server: work on the file."},
        {"overwrite", 0, OPT_BOOL, &label->overwrite, NULL, "Values that exist may be replaced."},
        {"resource-version", 0, OPT_STRING, &label->resource_version, "", "Only if the object has this version."},
        {0},
    };
    const struct cli_command command = {.words = words, .usage = usage, .about = about, .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(label->cli, &command, argc, argv, &args, NULL, &code))
        code = run_label(label, &args);
    selection_done(&label->selection);
    output_done(&label->output);
    strv_done(&label->resources);
    strv_done(&label->removals);
    json_free(label->changes);
    return code;
}

int command_label(struct cli *cli, int argc, char **argv)
{
    struct label label = {
        .cli = cli, .write = {.field_manager = "kubectl-label"}, .output_options = {.hide_missing = true}};
    return label_command(
        &label, "label",
        "[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version] [options]",
        "Update the labels on a resource.", argc, argv);
}

int command_annotate(struct cli *cli, int argc, char **argv)
{
    struct label label = {.cli = cli,
                          .annotate = true,
                          .write = {.field_manager = "kubectl-annotate"},
                          .output_options = {.hide_missing = true}};
    return label_command(
        &label, "annotate",
        "[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version] [options]",
        "Update the annotations on one or more resources.", argc, argv);
}
