/*
 * auth_reconcile.c: `auth reconcile`: roles get the rules and bindings the subjects that a file asks for, beside what
 * they have. Unlike apply it compares what rules mean, not how they are written (rbac.h).
 */
#include "auth/rbac.h"
#include "objects/write.h"
#include "print/output.h"

#include "base/mem.h"

#define RBAC "rbac.authorization.k8s.io"
#define PROTECTION "rbac.authorization.kubernetes.io/autoupdate"
#define ATTEMPTS 3 /* somebody else changes the object meanwhile */

struct reconcile {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    struct output output;
    bool remove_permissions, remove_subjects;
};

enum operation { OPERATION_NONE, OPERATION_CREATE, OPERATION_UPDATE, OPERATION_RECREATE };

/* What is to be done for one object, and why. */
struct plan {
    enum operation operation;
    bool is_protected;
    struct json *object;         /* to be sent; afterwards what the server made of it */
    struct json *missing, *extra; /* rules or subjects, arrays */
    char *uid;                   /* of the object to be deleted first */
};

static void plan_done(struct plan *plan)
{
    json_free(plan->object);
    json_free(plan->missing);
    json_free(plan->extra);
    free(plan->uid);
    *plan = (struct plan){0};
}
DEFINE_CLEANUP_IN_PLACE(struct plan, plan_done)

static bool is_role(const struct json *object)
{
    return ends_with(json_str_or("", object, "kind", NULL), "Role");
}

/* --- comparing */

/* Labels or annotations of the file, under those that are there. */
static void merge_metadata(struct plan *plan, const struct json *expected, const char *key)
{
    const struct json *wanted = json_get(expected, "metadata", key, NULL), *value;
    void *position = NULL;
    const char *name;
    while (json_next(wanted, &position, &name, &value)) {
        if (json_member(json_get(plan->object, "metadata", key, NULL), name) != NULL)
            continue;
        json_set(json_edit(plan->object, "metadata", key, NULL), name, json_keep(value));
        plan->operation = OPERATION_UPDATE;
    }
}

static bool has_value(const struct json *list, const struct json *value)
{
    const struct json *item;
    json_each(item, list) {
        if (json_same(item, value))
            return true;
    }
    return false;
}

/* Members of a that b lacks, each once. */
static struct json *without(const struct json *a, const struct json *b)
{
    struct json *result = json_new_array();
    const struct json *item;
    json_each(item, a) {
        if (!has_value(b, item) && !has_value(result, item))
            json_push(result, json_keep(item));
    }
    return result;
}

static void append_all(struct json *object, const char *key, const struct json *more)
{
    const struct json *item;
    if (!json_is_array(json_member(object, key)))
        json_set(object, key, json_new_array());
    json_each(item, more)
        json_push(json_edit_member(object, key), json_keep(item));
}

static void replace_list(struct json *object, const char *key, const struct json *list)
{
    json_set(object, key, list != NULL ? json_clone(list) : json_new_array());
}

static void settle_list(struct plan *plan, const struct json *expected, const char *key, bool remove_extra)
{
    if (!remove_extra && json_len(plan->missing) > 0)
        append_all(plan->object, key, plan->missing);
    else if (remove_extra && json_len(plan->missing) + json_len(plan->extra) > 0)
        replace_list(plan->object, key, json_member(expected, key));
    else
        return;
    plan->operation = OPERATION_UPDATE;
}

static void settle_aggregation(struct plan *plan, const struct json *existing, const struct json *expected,
                               bool remove_extra)
{
    const struct json *wanted_rule = json_member(expected, "aggregationRule");
    const struct json *had_rule = json_member(existing, "aggregationRule");
    const struct json *wanted = json_member(wanted_rule, "clusterRoleSelectors");
    const struct json *had = json_member(had_rule, "clusterRoleSelectors");
    CLEANUP(json_free) struct json *missing = without(wanted, had);
    CLEANUP(json_free) struct json *extra = without(had, wanted);
    if (wanted_rule == NULL && had_rule != NULL)
        json_del(plan->object, "aggregationRule");
    else if (!remove_extra && json_len(missing) > 0)
        append_all(json_edit(plan->object, "aggregationRule", NULL), "clusterRoleSelectors", missing);
    else if (remove_extra && json_len(missing) + json_len(extra) > 0)
        json_set(plan->object, "aggregationRule", json_clone(wanted_rule));
    else
        return;
    plan->operation = OPERATION_UPDATE;
}

static void compute_role(const struct reconcile *reconcile, const struct json *existing, const struct json *expected,
                         struct plan *plan)
{
    const struct json *had = json_member(existing, "rules"), *wanted = json_member(expected, "rules");
    bool both_aggregated =
        json_member(existing, "aggregationRule") != NULL && json_member(expected, "aggregationRule") != NULL;
    plan->missing = rbac_uncovered(had, wanted);
    plan->extra = both_aggregated ? json_new_array() : rbac_uncovered(wanted, had);
    settle_list(plan, expected, "rules", reconcile->remove_permissions);
    settle_aggregation(plan, existing, expected, reconcile->remove_permissions);
}

static void compute(const struct reconcile *reconcile, const struct json *existing, const struct json *expected,
                    struct plan *plan)
{
    plan->is_protected = streq(json_str(existing, "metadata", "annotations", PROTECTION, NULL), "false");
    if (!is_role(expected) && !json_same(json_member(existing, "roleRef"), json_member(expected, "roleRef"))) {
        plan->operation = OPERATION_RECREATE; /* a roleRef cannot be changed */
        plan->object = json_clone(expected);
        plan->uid = xstrdup(json_str(existing, "metadata", "uid", NULL));
        return;
    }
    plan->object = json_clone(existing);
    merge_metadata(plan, expected, "annotations");
    merge_metadata(plan, expected, "labels");
    if (is_role(expected)) {
        compute_role(reconcile, existing, expected, plan);
        return;
    }
    plan->missing = without(json_member(expected, "subjects"), json_member(existing, "subjects"));
    plan->extra = without(json_member(existing, "subjects"), json_member(expected, "subjects"));
    settle_list(plan, expected, "subjects", reconcile->remove_subjects);
}

/* --- sending */

static int ensure_namespace(struct cli *cli, const char *namespace, struct err *err)
{
    CLEANUP(xfree) char *path = kube_path("", "v1", NULL, "namespaces", namespace, NULL);
    const struct kube_request get = {.path = path};
    if (cli_do(cli, &get, NULL, err) == 0 || err->code != ERR_NOT_FOUND)
        return err->code;
    err_clear(err);
    CLEANUP(json_free)
    struct json *object =
        json_build("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace", "metadata", "name", namespace);
    const struct kube_request post = {.method = "POST", .path = "/api/v1/namespaces", .body = object};
    if (cli_do(cli, &post, NULL, err) < 0 && err->code == ERR_EXISTS)
        err_clear(err);
    return err->code;
}

static int send_delete(struct cli *cli, const struct item *item, const char *uid, struct err *err)
{
    CLEANUP(xfree) char *path = item_path(item, NULL);
    CLEANUP(json_free)
    struct json *body = json_build("{s:s, s:s, s:{s:s*}}", "apiVersion", "v1", "kind", "DeleteOptions",
                                   "preconditions", "uid", uid);
    const struct kube_request request = {.method = "DELETE", .path = path, .body = body};
    if (cli_do(cli, &request, NULL, err) < 0 && err->code == ERR_NOT_FOUND)
        err_clear(err);
    return err->code;
}

static int send_plan(struct cli *cli, const struct item *item, struct plan *plan, struct err *err)
{
    CLEANUP(xfree) char *collection = item_collection_path(item);
    CLEANUP(xfree) char *path = item_path(item, NULL);
    if (plan->operation == OPERATION_NONE)
        return 0;
    if (plan->operation == OPERATION_RECREATE && send_delete(cli, item, plan->uid, err) < 0)
        return err->code;
    bool update = plan->operation == OPERATION_UPDATE;
    if (!update && item->namespace != NULL && ensure_namespace(cli, item->namespace, err) < 0)
        return err->code;
    struct json *answer = NULL;
    const struct kube_request request = {
        .method = update ? "PUT" : "POST", .path = update ? path : collection, .body = plan->object};
    if (cli_do(cli, &request, &answer, err) < 0)
        return err->code;
    json_free(plan->object);
    plan->object = answer;
    return 0;
}

static int make_plan(const struct reconcile *reconcile, const struct item *item, struct plan *plan, struct err *err)
{
    CLEANUP(xfree) char *path = item_path(item, NULL);
    CLEANUP(json_free) struct json *existing = NULL;
    const struct kube_request get = {.path = path};
    if (cli_do(reconcile->cli, &get, &existing, err) == 0) {
        compute(reconcile, existing, item->object, plan);
        return 0;
    }
    if (err->code != ERR_NOT_FOUND)
        return err->code;
    err_clear(err);
    const struct json *list = json_member(item->object, is_role(item->object) ? "rules" : "subjects");
    plan->operation = OPERATION_CREATE;
    plan->object = json_clone(item->object);
    plan->missing = list != NULL ? json_clone(list) : json_new_array();
    return 0;
}

/* --- telling */


/* A rule or a subject as Go prints the structure, which is what kubectl shows. */
static void print_member(const struct json *member, bool is_rule)
{
    static const char *const lists[][2] = {{"Verbs", "verbs"},
                                           {"APIGroups", "apiGroups"},
                                           {"Resources", "resources"},
                                           {"ResourceNames", "resourceNames"},
                                           {"NonResourceURLs", "nonResourceURLs"}};
    static const char *const strings[][2] = {
        {"Kind", "kind"}, {"APIGroup", "apiGroup"}, {"Name", "name"}, {"Namespace", "namespace"}};
    CLEANUP(buf_done) struct buf text = {0};
    for (size_t i = 0; i < (is_rule ? countof(lists) : countof(strings)); i++) {
        buf_add_str(&text, i > 0 ? " " : "");
        if (is_rule) {
            buf_printf(&text, "%s:", lists[i][0]);
            rbac_list_text(json_member(member, lists[i][1]), &text);
        } else {
            buf_printf(&text, "%s:%s", strings[i][0], json_str_or("", member, strings[i][1], NULL));
        }
    }
    fprintf(stderr, "\t\t{%s}\n", buf_text(&text));
}

static void print_members(const char *title, const struct json *list, bool is_rule)
{
    const struct json *member;
    if (json_len(list) > 0)
        fprintf(stderr, "\t%s:\n", title);
    json_each(member, list)
        print_member(member, is_rule);
}

static void tell(const struct reconcile *reconcile, const struct plan *plan)
{
    static const char *const words[] = {
        [OPERATION_CREATE] = "create", [OPERATION_UPDATE] = "update", [OPERATION_RECREATE] = "recreate"};
    bool roles = is_role(plan->object);
    (void)fflush(stdout);
    if (plan->operation == OPERATION_NONE)
        return;
    fprintf(stderr, "\treconciliation required %s%s\n", words[plan->operation],
            plan->is_protected ? ", but object opted out (rbac.authorization.kubernetes.io/autoupdate: false)" : "");
    print_members(roles ? "missing rules added" : "missing subjects added", plan->missing, roles);
    if (roles ? reconcile->remove_permissions : reconcile->remove_subjects)
        print_members(roles ? "extra rules removed" : "extra subjects removed", plan->extra, roles);
}

/* --- the command */

static int reconcile_item(struct reconcile *reconcile, struct item *item, struct err *err)
{
    const char *api_version = json_str_or("", item->object, "apiVersion", NULL);
    const char *kind = json_str_or("", item->object, "kind", NULL);
    if (!starts_with(api_version, RBAC "/"))
        return 0; /* other objects of the file are not our business */
    if (!streq(api_version, RBAC "/v1"))
        return err_set(err, ERR_UNSUPPORTED, "only rbac.authorization.k8s.io/v1 is supported: not *%s.%s",
                       api_version + strlen(RBAC "/"), kind);
    if (kube_discovery_find_kind(reconcile->cli->discovery, api_version, kind, &item->resource, err) < 0)
        return err->code;
    item->namespace = xstrdup(json_str(item->object, "metadata", "namespace", NULL));
    if (item->resource->namespaced && strempty(item->namespace)[0] == '\0')
        return err_set(err, ERR_INVALID, "an empty namespace may not be set when a resource name is provided");

    CLEANUP(plan_done) struct plan plan = {0};
    for (int attempt = 0;; attempt++) {
        plan_done(&plan);
        if (make_plan(reconcile, item, &plan, err) < 0)
            return err->code;
        if (plan.is_protected || write_is_client_dry_run(&reconcile->write) ||
            send_plan(reconcile->cli, item, &plan, err) == 0)
            break;
        bool again = err->code == ERR_CONFLICT || err->code == ERR_EXISTS || err->code == ERR_NOT_FOUND;
        if (!again || attempt + 1 >= ATTEMPTS)
            return err->code;
        err_clear(err);
    }
    if (output_result(&reconcile->output, plan.object, "reconciled", reconcile->write.dry_run, err) < 0)
        return err->code;
    tell(reconcile, &plan);
    return 0;
}

static int run_reconcile(struct reconcile *reconcile, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    reconcile->selection.local = true; /* kinds that the server does not know are reported by their version */
    if (selection_require_files(&reconcile->selection, &err) < 0)
        return cli_fail(reconcile->cli, &err);
    if (args->n > 0)
        return cli_error("no arguments are allowed");
    if (write_options_check(&reconcile->write, &err) < 0 ||
        output_parse(&reconcile->output_options, &reconcile->output, &err) < 0)
        return cli_fail(reconcile->cli, &err);
    if (streq(reconcile->write.dry_run, "server"))
        return cli_error("--dry-run=server for command reconcile is not supported yet");
    if (cli_connect(reconcile->cli, &err) < 0 ||
        items_from_files(reconcile->cli, &reconcile->selection, &items, &failures, &err) < 0)
        return cli_fail(reconcile->cli, &err);
    for (size_t i = 0; i < items.n; i++) {
        struct err failure = {0};
        if (reconcile_item(reconcile, &items.list[i], &failure) < 0)
            failures_add(&failures, &failure);
    }
    return cli_fail_all(reconcile->cli, &failures);
}

int command_auth_reconcile(struct cli *cli, int argc, char **argv)
{
    struct reconcile reconcile = {.cli = cli, .output_options = {.hide_missing = true}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&reconcile.selection),
        OUTPUT_OPTIONS(&reconcile.output_options),
        WRITE_DRY_RUN_OPTION(&reconcile.write),
        {"remove-extra-permissions", 0, OPT_BOOL, &reconcile.remove_permissions, NULL,
         "Remove what roles allow beyond the file."},
        {"remove-extra-subjects", 0, OPT_BOOL, &reconcile.remove_subjects, NULL,
         "Remove the subjects of bindings that the file does not name."},
        {0},
    };
    const struct cli_command command = {
        .words = "auth reconcile",
        .usage = "-f FILENAME [options]",
        .about = "Reconciles rules for RBAC role, role binding, cluster role, and cluster role binding objects.\n\n "
                 "Missing objects and their namespaces are created; existing roles and bindings get what they lack.",
        .examples = "  # Reconcile RBAC resources from a file\n  kubectl auth reconcile -f my-rbac-rules.yaml\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_reconcile(&reconcile, &args);
    selection_done(&reconcile.selection);
    output_done(&reconcile.output);
    return code;
}
