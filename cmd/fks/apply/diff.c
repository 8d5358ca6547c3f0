/*
 * diff.c: `diff`: the live objects beside what they would be after an apply, which the server tells by a dry run.
 * Both are written as YAML into two folders, and diff(1), or KUBECTL_EXTERNAL_DIFF, compares these. Exit code: 0
 * nothing differs, 1 something does, more: a failure.
 */
#include "apply/patcher.h"
#include "apply/prune.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "data/yaml.h"

#define DIFF_FAILED 2
#define TRIES 4 /* with an object that keeps changing; the last one takes what there is */

struct diff_command {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    bool server_side, force_conflicts, show_managed_fields, show_secrets, prune;
    int64_t concurrency;
    struct strv allowlist;
    struct prune pruning;
    char *live_folder, *merged_folder;
};

/* --- what is compared */

/* What the object would be. live NULL: it would be created. */
static int merged(struct diff_command *diff, const struct item *item, struct json **live, bool lock, struct json **ret,
                  struct err *err)
{
    if (diff->server_side) {
        CLEANUP(xfree) char *force = xasprintf("force=%s", diff->force_conflicts ? "true" : "false");
        return write_patch(diff->cli, &diff->write, item, NULL, KUBE_APPLY_PATCH, item->object, force, ret, err);
    }
    if (*live == NULL)
        return write_create(diff->cli, &diff->write, item, ret, err);
    /* the annotation itself is no difference; the patch is the one of the file without it */
    CLEANUP(json_free) struct json *modified = json_clone(item->object), *patch = NULL;
    json_del(json_edit(modified, "metadata", "annotations", NULL), LAST_APPLIED_ANNOTATION);
    const struct patcher patcher = {.cli = diff->cli, .write = &diff->write, .overwrite = true, .lock = lock};
    return patcher_run(&patcher, item, modified, live, ret, &patch, err);
}

/* Values of Secrets: hidden, but a changed one can be told. */
static void mask_secrets(struct json *live, struct json *new)
{
    struct json *from = json_is_object(live) ? json_edit_member(live, "data") : NULL;
    struct json *to = json_edit_member(new, "data");
    CLEANUP(json_free) struct json *old = from != NULL ? json_clone(from) : json_new_object();
    CLEANUP(json_free) struct json *now = to != NULL ? json_clone(to) : json_new_object();
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(old, &position, &key, &value)) {
        const struct json *other = json_member(now, key);
        bool changed = other != NULL && !json_same(value, other);
        json_set_str(from, key, changed ? "*** (before)" : "***");
        if (other != NULL)
            json_set_str(to, key, changed ? "*** (after)" : "***");
    }
    position = NULL;
    while (json_next(now, &position, &key, &value)) {
        if (json_member(old, key) == NULL)
            json_set_str(to, key, "***");
    }
}

/* "apps.v1.Deployment.default.web" */
static int write_object(const char *folder, const struct item *item, const struct json *object, struct err *err)
{
    const struct kube_resource *r = item->resource;
    CLEANUP(xfree)
    char *path = xasprintf("%s/%s%s%s.%s.%s.%s", folder, r->group, r->group[0] != '\0' ? "." : "", r->version, r->kind,
                           strempty(item->namespace), item->name);
    CLEANUP(buf_done) struct buf text = {0};
    if (object != NULL)
        yaml_print(object, &text);
    return file_write_atomic(path, buf_text(&text), text.len, 0600, err);
}

static void drop_managed_fields(struct json *object)
{
    struct json *metadata = json_is_object(object) ? json_edit_member(object, "metadata") : NULL;
    if (metadata != NULL)
        json_del(metadata, "managedFields");
}

static int write_pair(struct diff_command *diff, const struct item *item, struct json *live, struct json *new,
                      struct err *err)
{
    if (!diff->show_managed_fields) {
        drop_managed_fields(live);
        drop_managed_fields(new);
    }
    bool masked =
        !diff->show_secrets && streq(item->resource->kind, "Secret") && streq(item->resource->version, "v1");
    if (masked)
        mask_secrets(live, new);
    CLEANUP(json_free) struct json *nothing = masked && live == NULL ? json_new_null() : NULL; /* kubectl's masks leave it */
    if (write_object(diff->live_folder, item, nothing != NULL ? nothing : live, err) < 0)
        return err->code;
    return write_object(diff->merged_folder, item, new, err);
}

static int compare_one(struct diff_command *diff, const struct item *item, struct err *err)
{
    for (int i = 1;; i++) {
        CLEANUP(json_free) struct json *live = NULL, *new = NULL;
        if (item_get(diff->cli, item, NULL, &live, err) < 0) {
            if (err->code != ERR_NOT_FOUND)
                return err->code;
            err_clear(err);
        }
        prune_mark(&diff->pruning, item, live);
        int code = merged(diff, item, &live, i < TRIES, &new, err);
        if (code == ERR_CONFLICT && !diff->server_side && i < TRIES) {
            err_clear(err);
            continue;
        }
        if (code < 0)
            return code;
        write_warn_if_deleting(live);
        CLEANUP(json_free) struct json *old = live != NULL ? json_clone(live) : NULL, *after = json_clone(new);
        return write_pair(diff, item, old, after, err);
    }
}

static int add_pruned(const struct item *item, void *data, struct err *err)
{
    const struct diff_command *diff = data;
    return write_object(diff->live_folder, item, item->object, err);
}

/* --- comparing */

/* Of the variable's words only letters, digits, - and = are taken as arguments, as kubectl does. */
static void split_program(const char *text, struct strv *argv)
{
    CLEANUP(strv_done) struct strv words = {0};
    strv_split(&words, text, ' ');
    for (size_t i = 0; i < words.n; i++) {
        const char *word = words.items[i];
        size_t plain = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-=");
        if (i == 0 || (word[0] != '\0' && word[plain] == '\0'))
            strv_add(argv, word);
    }
}

static int run_program(const struct diff_command *diff)
{
    const char *external = getenv("KUBECTL_EXTERNAL_DIFF");
    CLEANUP(strv_done) struct strv argv = {0};
    if (strempty(external)[0] != '\0') {
        split_program(external, &argv);
        strv_add(&argv, diff->live_folder);
        strv_add(&argv, diff->merged_folder);
    } else {
        strv_split(&argv, "diff -u -N", ' ');
        strv_add(&argv, diff->live_folder);
        strv_add(&argv, diff->merged_folder);
    }
    CLEANUP(err_clear) struct err err = {0};
    const struct proc_options options = {
        .argv = (const char *const *)argv.items, .stdin_fd = STDIN_FILENO, .stdout_fd = -1, .stderr_fd = -1};
    pid_t pid = 0;
    int status = 0;
    (void)fflush(stdout);
    if (proc_spawn(&options, &pid, &err) < 0) {
        (void)cli_error("failed to run \"%s\": %s", argv.items[0],
                        err.code == ERR_NOT_FOUND ? "executable file not found in $PATH" : err_text(&err));
        return DIFF_FAILED;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
        return WEXITSTATUS(status);
    (void)cli_error("failed to run \"%s\": %s %d", argv.items[0], WIFEXITED(status) ? "exit status" : "signal",
                    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : DIFF_FAILED;
}

static int make_folder(const char *prefix, char **ret, struct err *err)
{
    const char *base = getenv("TMPDIR");
    char *path = xasprintf("%s/%s-XXXXXX", strempty(base)[0] != '\0' ? base : "/tmp", prefix);
    if (mkdtemp(path) == NULL) {
        (void)err_errno(err, errno, "making the temporary folder '%s'", path);
        free(path);
        return err->code;
    }
    *ret = path;
    return 0;
}

static void remove_folder(char *path)
{
    CLEANUP(err_clear) struct err ignored = {0};
    if (path != NULL)
        (void)!dir_remove(path, &ignored);
    free(path);
}

/* --- the command */

static int fail(const struct diff_command *diff, const struct failures *failures, const struct err *err)
{
    if (err != NULL)
        (void)cli_fail(diff->cli, err);
    else
        (void)cli_fail_all(diff->cli, failures);
    return DIFF_FAILED;
}

static int check_options(struct diff_command *diff, const struct strv *args, struct err *err)
{
    if (args->n > 0) {
        CLEANUP(xfree) char *joined = strv_join(args, " ");
        return err_set(err, ERR_USAGE, "Unexpected args: [%s]\nSee '%s diff -h' for help and examples", joined,
                       diff->cli->program);
    }
    if (selection_require_files(&diff->selection, err) < 0)
        return err->code;
    if (diff->force_conflicts && !diff->server_side)
        return err_set(err, ERR_USAGE, "--force-conflicts only works with --server-side");
    if (write_options_check(&diff->write, err) < 0)
        return err->code;
    diff->write.dry_run = "server";
    if (diff->write.field_manager == NULL)
        diff->write.field_manager = diff->server_side ? "kubectl" : "kubectl-client-side-apply";
    diff->pruning.label_selector = diff->selection.label_selector;
    return diff->prune ? prune_check(&diff->pruning, err) : 0;
}

static int run_diff(struct diff_command *diff, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    if (check_options(diff, args, &err) < 0 ||
        items_from_files(diff->cli, &diff->selection, &items, &failures, &err) < 0 ||
        make_folder("LIVE", &diff->live_folder, &err) < 0 || make_folder("MERGED", &diff->merged_folder, &err) < 0)
        return fail(diff, NULL, &err);
    if (failures.n > 0)
        return fail(diff, &failures, NULL);
    for (size_t i = 0; i < items.n; i++) {
        if (compare_one(diff, &items.list[i], &err) < 0)
            return fail(diff, NULL, &err);
    }
    if (diff->prune && prune_each(&diff->pruning, add_pruned, diff, &err) < 0)
        return fail(diff, NULL, &err);
    return run_program(diff);
}

int command_diff(struct cli *cli, int argc, char **argv)
{
    struct diff_command diff = {.cli = cli, .concurrency = 1, .pruning = {.cli = cli, .allowlist = &diff.allowlist}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&diff.selection),
        SELECTION_LABEL_OPTION(&diff.selection),
        WRITE_MANAGER_OPTION(&diff.write),
        {"concurrency", 0, OPT_INT, &diff.concurrency, "1",
         "Objects are compared one after another whatever this says."},
        {"force-conflicts", 0, OPT_BOOL, &diff.force_conflicts, NULL,
         "With --server-side: take fields over from other managers."},
        {"prune", 0, OPT_BOOL, &diff.prune, NULL, "Also show what apply --prune would delete."},
        {"prune-allowlist", 0, OPT_ARRAY, &diff.allowlist, "[]", "With --prune: group/version/kind to prune."},
        {"server-side", 0, OPT_BOOL, &diff.server_side, NULL, "As apply --server-side would do it."},
        {"show-managed-fields", 0, OPT_BOOL, &diff.show_managed_fields, NULL, "Keep managedFields."},
        {"show-secrets", 0, OPT_BOOL, &diff.show_secrets, NULL, "Do not hide the values of Secrets."},
        {0},
    };
    const struct cli_command command = {
        .words = "diff",
        .usage = "-f FILENAME [options]",
        .about = "Show the difference between the live objects and what they would be if the files were applied. "
                 "KUBECTL_EXTERNAL_DIFF names another program than diff. Exit code: 0 no difference, 1 differences, "
                 "more: an error.",
        .examples = "  # What would applying the file change?\n  fks diff -f ./pod.yaml\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_diff(&diff, &args);
    else if (code != 0)
        code = DIFF_FAILED;
    remove_folder(diff.live_folder);
    remove_folder(diff.merged_folder);
    selection_done(&diff.selection);
    strv_done(&diff.allowlist);
    prune_done(&diff.pruning);
    return code;
}
