/*
 * taint.c: `taint`: adds and removes taints of nodes. The whole list is replaced by one patch per node, since the
 * server keeps it as an atomic list.
 */
#include "objects/label_rules.h"
#include "objects/write.h"
#include "print/output.h"

#include "base/mem.h"

struct taint {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    struct output output;
    bool overwrite;
    struct strv resources;
    struct json *added, *removed; /* arrays of {key, value, effect}; effect missing: any */
};

static const char *key_of(const struct json *taint)
{
    return json_str_or("", taint, "key", NULL);
}

static const char *effect_of(const struct json *taint)
{
    return json_str_or("", taint, "effect", NULL);
}

static bool is_same(const struct json *a, const struct json *b)
{
    return streq(key_of(a), key_of(b)) && streq(effect_of(a), effect_of(b));
}

/* --- the arguments: KEY=VALUE:EFFECT, KEY:EFFECT, KEY-, KEY:EFFECT- */

static int check_effect(const char *effect, struct err *err)
{
    if (streq(effect, "NoSchedule") || streq(effect, "PreferNoSchedule") || streq(effect, "NoExecute"))
        return 0;
    return err_set(err, ERR_USAGE, "invalid taint effect: %s, unsupported taint effect", effect);
}

static int parse_taint(const char *text, struct json **ret, struct err *err)
{
    struct str whole = str_of(text), pair, effect_part, key_part, value_part = {0};
    bool has_effect = str_cut(whole, ':', &pair, &effect_part);
    CLEANUP(xfree) char *effect = has_effect ? xstrndup(effect_part.p, effect_part.len) : NULL;
    CLEANUP(buf_done) struct buf problems = {0};
    if (has_effect && strchr(effect, ':') != NULL)
        return err_set(err, ERR_USAGE, "invalid taint spec: %s", text);
    if (has_effect && check_effect(effect, err) < 0)
        return err->code;
    bool has_value = has_effect && str_cut(pair, '=', &key_part, &value_part);
    if (!has_value)
        key_part = pair;
    CLEANUP(xfree) char *key = xstrndup(key_part.p, key_part.len);
    CLEANUP(xfree) char *value = has_value ? xstrndup(value_part.p, value_part.len) : NULL;
    if (has_value && strchr(value, '=') != NULL)
        return err_set(err, ERR_USAGE, "invalid taint spec: %s", text);
    if (has_value)
        label_rules_value(value, &problems);
    if (problems.len == 0)
        label_rules_key(key, &problems);
    if (problems.len > 0)
        return err_set(err, ERR_USAGE, "invalid taint spec: %s, %s", text, buf_text(&problems));
    *ret = json_build("{s:s*, s:s, s:s*}", "effect", effect, "key", key, "value",
                      strempty(value)[0] != '\0' ? value : NULL);
    return 0;
}

static int add_change(struct taint *taint, const char *text, struct err *err)
{
    CLEANUP(json_free) struct json *change = NULL;
    const struct json *other;
    bool removes = ends_with(text, "-");
    CLEANUP(xfree) char *spec = xstrndup(text, strlen(text) - (removes ? 1 : 0));
    if (parse_taint(spec, &change, err) < 0)
        return err->code;
    if (removes) {
        json_del(change, "value");
        json_push(taint->removed, take(&change));
        return 0;
    }
    if (effect_of(change)[0] == '\0')
        return err_set(err, ERR_USAGE, "invalid taint spec: %s", text);
    json_each(other, taint->added) {
        if (is_same(other, change))
            return err_set(err, ERR_USAGE, "duplicated taints with the same key and effect: {%s %s %s <nil>}",
                           key_of(change), json_str_or("", change, "value", NULL), effect_of(change));
    }
    json_push(taint->added, take(&change));
    return 0;
}

/* NODE NAME... comes first, then the changes. */
static int split_arguments(struct taint *taint, const struct strv *args, struct err *err)
{
    CLEANUP(strv_done) struct strv changes = {0};
    for (size_t i = 0; i < args->n; i++) {
        const char *arg = args->items[i];
        bool is_change = strpbrk(arg, "=:") != NULL || ends_with(arg, "-");
        if (!is_change && changes.n > 0)
            return err_set(err, ERR_USAGE, "all resources must be specified before taint changes: %s", arg);
        strv_add(is_change ? &changes : &taint->resources, arg);
    }
    if (taint->resources.n < 1)
        return err_set(err, ERR_USAGE, "one or more resources must be specified as <resource> <name>");
    if (changes.n < 1)
        return err_set(err, ERR_USAGE, "at least one taint update is required");
    for (size_t i = 0; i < changes.n; i++) {
        if (add_change(taint, changes.items[i], err) == 0)
            continue;
        CLEANUP(xfree) char *problem = xstrdup(err_text(err));
        err_clear(err);
        return err_set(err, ERR_USAGE, "%s\nSee '%s taint -h' for help and examples", problem, taint->cli->program);
    }
    return 0;
}

static int check_changes(const struct taint *taint, struct err *err)
{
    const struct json *added, *removed;
    CLEANUP(buf_done) struct buf clashes = {0};
    json_each(added, taint->added) {
        json_each(removed, taint->removed) {
            if (streq(key_of(added), key_of(removed)) && (effect_of(removed)[0] == '\0' || is_same(added, removed)))
                buf_printf(&clashes, "%s%s=%s", clashes.len > 0 ? ", " : "", key_of(removed), effect_of(removed));
        }
    }
    if (clashes.len > 0)
        return err_set(err, ERR_USAGE,
                       "can not both modify and remove the following taint(s) in the same command: %s",
                       buf_text(&clashes));
    const struct selection *selection = &taint->selection;
    if (selection->all && strempty(selection->label_selector)[0] != '\0')
        return err_set(err, ERR_USAGE, "setting 'all' parameter with a non empty selector is prohibited");
    if (!selection->all && strempty(selection->label_selector)[0] == '\0' && taint->resources.n < 2)
        return err_set(err, ERR_USAGE, "at least one resource name must be specified since 'all' parameter is not set");
    return 0;
}

/* --- one node */

/* Old taints that stay follow the new ones, as kubectl orders them. */
static struct json *merged(const struct taint *taint, const struct json *old)
{
    struct json *result = json_clone(taint->added);
    const struct json *had, *have;
    json_each(had, old) {
        bool replaced = false;
        json_each(have, taint->added)
            replaced = replaced || is_same(have, had);
        if (!replaced)
            json_push(result, json_keep(had));
    }
    return result;
}

/* Takes out what a removal names; false if nothing. */
static bool remove_taints(struct json *taints, const struct json *removal)
{
    size_t before = json_len(taints);
    for (size_t i = json_len(taints); i-- > 0;) {
        const struct json *one = json_at(taints, i);
        bool matches = effect_of(removal)[0] == '\0' ? streq(key_of(one), key_of(removal)) : is_same(one, removal);
        if (matches)
            json_remove_at(taints, i);
    }
    return json_len(taints) < before;
}

static int compute(const struct taint *taint, const struct json *node, struct json **ret_taints, const char **ret_verb,
                   struct err *err)
{
    const struct json *old = json_get(node, "spec", "taints", NULL), *change, *had;
    CLEANUP(buf_done) struct buf present = {0};
    CLEANUP(buf_done) struct buf absent = {0};
    json_each(change, taint->added) {
        json_each(had, old) {
            if (is_same(change, had))
                buf_printf(&present, "%s%s", present.len > 0 ? "," : "", key_of(change));
        }
    }
    if (present.len > 0 && !taint->overwrite)
        return err_set(err, ERR_EXISTS,
                       "node %s already has %s taint(s) with same effect(s) and --overwrite is false",
                       json_str_or("", node, "metadata", "name", NULL), buf_text(&present));
    CLEANUP(json_free) struct json *taints = merged(taint, old);
    bool is_added = json_len(taints) != json_len(old), is_removed = false;
    size_t n_absent = 0;
    json_each(change, taint->removed) {
        is_removed = remove_taints(taints, change);
        if (is_removed)
            continue;
        buf_printf(&absent, "%staint \"%s%s%s\" not found", n_absent++ > 0 ? ", " : "", key_of(change),
                   effect_of(change)[0] != '\0' ? ":" : "", effect_of(change));
    }
    if (n_absent > 0)
        return err_set(err, ERR_NOT_FOUND, n_absent > 1 ? "[%s]" : "%s", buf_text(&absent));
    *ret_verb = (is_added && is_removed) || taint->overwrite ? "modified" : is_added ? "tainted" : "untainted";
    *ret_taints = take(&taints);
    return 0;
}

static int taint_node(struct taint *taint, const struct item *item, struct err *err)
{
    CLEANUP(json_free) struct json *taints = NULL, *changed = NULL;
    const char *verb = NULL;
    if (compute(taint, item->object, &taints, &verb, err) < 0)
        return err->code;
    bool is_same_list = json_same(taints, json_get(item->object, "spec", "taints", NULL));
    bool is_empty = json_len(taints) == 0;
    if (write_is_client_dry_run(&taint->write)) {
        changed = json_clone(item->object);
        if (is_empty)
            json_del(json_edit(changed, "spec", NULL), "taints");
        else
            json_set(json_edit(changed, "spec", NULL), "taints", json_keep(taints));
    } else {
        CLEANUP(json_free) struct json *patch = json_new_object();
        if (!is_same_list)
            json_set(json_edit(patch, "spec", NULL), "taints", is_empty ? json_new_null() : json_keep(taints));
        if (write_patch(taint->cli, &taint->write, item, NULL, KUBE_STRATEGIC_PATCH, patch, NULL, &changed, err) < 0)
            return err->code;
    }
    return output_result(&taint->output, changed, verb, "", err); /* kubectl does not tell of a dry run here */
}

/* --- the command */

static int check_type(struct taint *taint, struct err *err)
{
    const struct kube_resource *resource = NULL;
    const char *type = taint->resources.items[0];
    if (cli_connect(taint->cli, err) < 0 || kube_discovery_find(taint->cli->discovery, type, &resource, err) < 0)
        return err->code;
    if (!streq(resource->kind, "Node"))
        return err_set(err, ERR_USAGE, "invalid resource type %s, only node types are supported", type);
    return 0;
}

static int run_taint(struct taint *taint, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    CLEANUP(strv_done) struct strv nodes = {0};
    struct selection *selection = &taint->selection;
    if (write_options_check(&taint->write, &err) < 0 ||
        output_parse(&taint->output_options, &taint->output, &err) < 0 || split_arguments(taint, args, &err) < 0 ||
        check_type(taint, &err) < 0 || check_changes(taint, &err) < 0)
        return cli_fail(taint->cli, &err);
    bool by_selector = selection->all || strempty(selection->label_selector)[0] != '\0';
    strv_add(&nodes, "node");
    for (size_t i = 1; i < taint->resources.n && !by_selector; i++)
        strv_add(&nodes, taint->resources.items[i]);
    if (items_resolve(taint->cli, selection, &nodes, true, &items, &failures, &err) < 0)
        return cli_fail(taint->cli, &err);
    for (size_t i = 0; i < items.n; i++) {
        struct err failure = {0};
        if (taint_node(taint, &items.list[i], &failure) < 0)
            failures_add(&failures, &failure);
    }
    return cli_fail_all(taint->cli, &failures);
}

int command_taint(struct cli *cli, int argc, char **argv)
{
    struct taint taint = {.cli = cli,
                          .write = {.field_manager = "kubectl-taint", .validate = "strict"},
                          .selection = {.all_or_names = true},
                          .output_options = {.hide_missing = true},
                          .added = json_new_array(),
                          .removed = json_new_array()};
    const struct opt options[] = {
        {"all", 0, OPT_BOOL, &taint.selection.all, NULL, "Select all nodes in the cluster."},
        {"overwrite", 0, OPT_BOOL, &taint.overwrite, NULL, "Taints that exist may be replaced."},
        SELECTION_LABEL_OPTION(&taint.selection),
        OUTPUT_OPTIONS(&taint.output_options),
        WRITE_DRY_RUN_OPTION(&taint.write),
        WRITE_VALIDATE_OPTION(&taint.write),
        WRITE_MANAGER_OPTION(&taint.write),
        {0},
    };
    const struct cli_command command = {
        .words = "taint",
        .usage = "NODE NAME KEY_1=VAL_1:TAINT_EFFECT_1 ... KEY_N=VAL_N:TAINT_EFFECT_N [options]",
        .about = "Update the taints on one or more nodes.\n\n A taint is a key, an optional value and an effect: "
                 "NoSchedule, PreferNoSchedule or NoExecute.",
        .examples = "  # Add a taint to node foo\n  kubectl taint nodes foo dedicated=special-user:NoSchedule\n\n"
                    "  # Remove one taint, or all with the key\n  kubectl taint nodes foo dedicated:NoSchedule-\n"
                    "  kubectl taint nodes foo dedicated-\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_taint(&taint, &args);
    selection_done(&taint.selection);
    output_done(&taint.output);
    strv_done(&taint.resources);
    json_free(taint.added);
    json_free(taint.removed);
    return code;
}
