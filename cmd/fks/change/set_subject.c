/*
 * set_subject.c: `set subject`: adds users, groups and service accounts to a role binding or cluster role binding.
 */
#include "change/set.h"

#include "base/mem.h"

struct subjects {
    struct strv users, groups, accounts;
};

/* "NAMESPACE:NAME", as namespace and name. */
static bool split_account(const char *text, struct str *namespace, struct str *name)
{
    return str_cut(str_of(text), ':', namespace, name) && name->len > 0 && memchr(name->p, ':', name->len) == NULL;
}

static void add_subject(struct json *list, struct json *subject, bool *changed)
{
    const struct json *there;
    json_each(there, list) {
        if (json_same(there, subject)) {
            json_free(subject);
            return;
        }
    }
    json_push(list, subject);
    *changed = true;
}

static int change_subjects(struct set *set, void *data, const struct item *item, struct json *object, struct err *err)
{
    static const char group[] = "rbac.authorization.k8s.io";
    const struct subjects *subjects = data;
    const char *kind = json_str_or("", object, "kind", NULL);
    bool changed = false;
    (void)item;
    if (!streq(kind, "RoleBinding") && !streq(kind, "ClusterRoleBinding"))
        return err_set(err, ERR_UNSUPPORTED, "setting subjects is only supported for RoleBinding/ClusterRoleBinding");
    if (json_member(object, "subjects") == NULL)
        json_set(object, "subjects", json_new_array());
    struct json *list = json_edit_member(object, "subjects");
    for (size_t i = 0; i < subjects->users.n; i++)
        add_subject(list,
                    json_build("{s:s, s:s, s:s}", "kind", "User", "apiGroup", group, "name", subjects->users.items[i]),
                    &changed);
    for (size_t i = 0; i < subjects->groups.n; i++)
        add_subject(
            list, json_build("{s:s, s:s, s:s}", "kind", "Group", "apiGroup", group, "name", subjects->groups.items[i]),
            &changed);
    for (size_t i = 0; i < subjects->accounts.n; i++) {
        struct str namespace, name;
        (void)split_account(subjects->accounts.items[i], &namespace, &name);
        if (namespace.len == 0)
        namespace = str_of(cli_namespace(set->cli));
        struct json *subject = json_build("{s:s}", "kind", "ServiceAccount");
        json_set(subject, "name", json_new_string_n(name.p, name.len));
        json_set(subject, "namespace", json_new_string_n(namespace.p, namespace.len));
        add_subject(list, subject, &changed);
    }
    return changed;
}

static int check_accounts(const struct subjects *subjects, const struct items *items, struct err *err)
{
    for (size_t i = 0; i < subjects->accounts.n; i++) {
        struct str namespace, name;
        if (!split_account(subjects->accounts.items[i], &namespace, &name))
            return err_set(err, ERR_USAGE, "serviceaccount must be <namespace>:<name>");
        for (size_t j = 0; j < items->n; j++) {
            if (namespace.len == 0 && streq(json_str(items->list[j].object, "kind", NULL), "ClusterRoleBinding"))
                return err_set(err, ERR_USAGE,
                               "serviceaccount must be <namespace>:<name>, namespace must be specified");
        }
    }
    return 0;
}

static int run_set_subject(struct set *set, const struct strv *args, struct subjects *subjects)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    if (set_check(set, &err) < 0 || set_select(set, args, &items, &failures, &err) < 0)
        return cli_fail(set->cli, &err);
    if (failures.n > 0)
        return cli_fail_all(set->cli, &failures);
    if (subjects->users.n + subjects->groups.n + subjects->accounts.n == 0)
        return cli_error("you must specify at least one value of user, group or serviceaccount");
    if (check_accounts(subjects, &items, &err) < 0)
        return cli_fail(set->cli, &err);
    strv_sort(&subjects->users);
    strv_sort(&subjects->groups);
    strv_sort(&subjects->accounts);
    return set_run_items(set, &items, change_subjects, subjects);
}

int command_set_subject(struct cli *cli, int argc, char **argv)
{
    CLEANUP(set_done) struct set set = SET_INIT(cli, "subjects updated");
    struct subjects subjects = {0};
    set.failed = "failed to patch subjects to rolebinding:";
    const struct opt options[] = {
        SET_OPTIONS(&set),
        SELECTION_LABEL_OPTION(&set.selection),
        {"group", 0, OPT_ARRAY, &subjects.groups, "[]", "Group to bind to the role."},
        {"serviceaccount", 0, OPT_ARRAY, &subjects.accounts, "[]", "Service account to bind: NAMESPACE:NAME."},
        {"user", 0, OPT_ARRAY, &subjects.users, "[]", "User to bind to the role."},
        {0},
    };
    const struct cli_command command = {
        .words = "set subject",
        .usage = "(-f FILENAME | TYPE NAME) [--user=username] [--group=groupname] "
                 "[--serviceaccount=namespace:serviceaccountname] [--dry-run=server|client|none] [options]",
        .about = "Update the user, group, or service account in a role binding or cluster role binding.",
        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_set_subject(&set, &args, &subjects);
    strv_done(&subjects.users);
    strv_done(&subjects.groups);
    strv_done(&subjects.accounts);
    return code;
}
