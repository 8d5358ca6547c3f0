/*
 * create_rbac.c: `create role | clusterrole | rolebinding | clusterrolebinding`: one rule, or one reference, from
 * options.
 */
#include "objects/generate.h"

#include "base/mem.h"

/* What --verb, --resource, --resource-name, --non-resource-url say, without repetitions. */
struct rule {
    struct strv verbs, resources, resource_names, urls;
    struct json *groups; /* API group → its resources, filled by check_resources */
};

static void rule_done(struct rule *rule)
{
    strv_done(&rule->verbs);
    strv_done(&rule->resources);
    strv_done(&rule->resource_names);
    strv_done(&rule->urls);
    rule->groups = json_free(rule->groups);
}
DEFINE_CLEANUP_IN_PLACE(struct rule, rule_done)

static void remove_repetitions(struct strv *list)
{
    CLEANUP(strv_done) struct strv all = *list;
    *list = (struct strv){0};
    for (size_t i = 0; i < all.n; i++) {
        if (!strv_has(list, all.items[i]))
            strv_add(list, all.items[i]);
    }
}

/* "*" among them stands for all. */
static void reduce_to_star(struct strv *list)
{
    if (!strv_has(list, "*"))
        return;
    strv_done(list);
    strv_add(list, "*");
}

/* A resource as the rule will name it. */
struct rule_resource {
    char *plural, *group, *subresource; /* subresource: "" for none */
};

static void rule_resource_done(struct rule_resource *resource)
{
    free(resource->plural);
    free(resource->group);
    free(resource->subresource);
}
DEFINE_CLEANUP_IN_PLACE(struct rule_resource, rule_resource_done)

static void split_resource(const char *text, struct rule_resource *ret)
{
    struct str path, subresource, plural, group;
    (void)str_cut(str_of(text), '/', &path, &subresource);
    (void)str_cut(path, '.', &plural, &group);
    ret->plural = xstrndup(plural.p, plural.len);
    ret->group = xstrndup(strempty(group.p), group.len);
    ret->subresource = xstrndup(strempty(subresource.p), subresource.len);
}

/* Verbs that only make sense for certain resources, which no server lists. */
static const struct special_verb {
    const char *verb, *group, *plural;
} special_verbs[] = {
    {"use", "policy", "podsecuritypolicies"},
    {"use", "extensions", "podsecuritypolicies"},
    {"bind", "rbac.authorization.k8s.io", "roles"},
    {"bind", "rbac.authorization.k8s.io", "clusterroles"},
    {"escalate", "rbac.authorization.k8s.io", "roles"},
    {"escalate", "rbac.authorization.k8s.io", "clusterroles"},
    {"impersonate", "", "users"},
    {"impersonate", "", "serviceaccounts"},
    {"impersonate", "", "groups"},
    {"impersonate", "authentication.k8s.io", "userextras"},
};

/* 1: the verb is special and fits the resource, 0: it is not special. */
static int check_special_verb(const char *verb, const struct rule_resource *resource, struct err *err)
{
    bool special = false;
    for (size_t i = 0; i < countof(special_verbs); i++) {
        if (!streq(special_verbs[i].verb, verb))
            continue;
        special = true;
        if (streq(special_verbs[i].group, resource->group) && streq(special_verbs[i].plural, resource->plural))
            return 1;
    }
    if (special)
        return err_set(err, ERR_USAGE, "can not perform '%s' on '%s' in group '%s'", verb, resource->plural,
                       resource->group);
    return 0;
}

/* Replaces what was typed by what the server calls it; `unknown` is set when the server has no such resource. */
static int look_up(struct cli *cli, struct rule_resource *resource, struct err *unknown, struct err *err)
{
    CLEANUP(xfree)
    char *typed =
        resource->group[0] != '\0' ? xasprintf("%s.%s", resource->plural, resource->group) : xstrdup(resource->plural);
    const struct kube_resource *found = NULL;
    if (cli_connect(cli, err) < 0)
        return err->code;
    if (kube_discovery_find(cli->discovery, typed, &found, unknown) < 0) {
        if (unknown->code == ERR_NOT_FOUND)
            return 0;
        err_move(err, unknown);
        return err->code;
    }
    free(resource->plural);
    free(resource->group);
    resource->plural = xstrdup(found->plural);
    resource->group = xstrdup(found->group);
    return 0;
}

static int check_resource(struct cli *cli, struct rule *rule, const char *text, bool everything, struct err *err)
{
    CLEANUP(rule_resource_done) struct rule_resource resource = {0};
    CLEANUP(err_clear) struct err unknown = {0};
    split_resource(text, &resource);
    if (resource.plural[0] == '\0')
        return err_set(err, ERR_USAGE, "resource must be specified if apiGroup/subresource specified");
    bool is_star = streq(resource.plural, "*");
    if (!is_star && look_up(cli, &resource, &unknown, err) < 0)
        return err->code;
    bool known = everything || unknown.code == 0;
    for (size_t i = 0; i < rule->verbs.n && !everything && !is_star; i++) {
        int special = check_special_verb(rule->verbs.items[i], &resource, err);
        if (special < 0)
            return special;
        known = known || special > 0;
    }
    if (!known)
        return err_set(err, ERR_NOT_FOUND, "the server doesn't have a resource type \"%s\"%s%s%s", resource.plural,
                       resource.group[0] != '\0' ? " in group \"" : "", resource.group,
                       resource.group[0] != '\0' ? "\"" : "");
    struct json *list = json_edit_member(rule->groups, resource.group);
    if (list == NULL) {
        json_set(rule->groups, resource.group, json_new_array());
        list = json_edit_member(rule->groups, resource.group);
    }
    CLEANUP(xfree)
    char *name = resource.subresource[0] != '\0' ? xasprintf("%s/%s", resource.plural, resource.subresource)
                                                 : xstrdup(resource.plural);
    const struct json *there;
    json_each(there, list) {
        if (streq(json_string_value(there), name))
            return 0;
    }
    json_push(list, json_new_string(name));
    return 0;
}

/* Sorts the resources by API group; after a "*" the rest is taken as it stands. */
static int check_resources(struct cli *cli, struct rule *rule, struct err *err)
{
    bool everything = false;
    rule->groups = json_new_object();
    if (strv_has(&rule->resources, "*"))
        reduce_to_star(&rule->resources);
    for (size_t i = 0; i < rule->resources.n; i++) {
        if (check_resource(cli, rule, rule->resources.items[i], everything, err) < 0)
            return err->code;
        everything = everything || rule->resources.items[i][0] == '*';
    }
    return 0;
}

static void warn_about_verbs(const struct rule *rule)
{
    static const char *const usual[] = {"*",      "get",   "delete",   "list",       "create",
                                        "update", "patch", "watch",    "proxy",      "deletecollection",
                                        "use",    "bind",  "escalate", "impersonate"};
    for (size_t i = 0; i < rule->verbs.n; i++) {
        bool known = false;
        for (size_t j = 0; j < countof(usual); j++)
            known = known || streq(usual[j], rule->verbs.items[i]);
        if (!known)
            fprintf(stderr, "Warning: '%s' is not a standard resource verb\n", rule->verbs.items[i]);
    }
}

static struct json *strings(const struct strv *list)
{
    struct json *array = json_new_array();
    for (size_t i = 0; i < list->n; i++)
        json_push(array, json_new_string(list->items[i]));
    return array;
}

static struct json *build_rules(const struct rule *rule)
{
    struct json *rules = json_new_array();
    CLEANUP(strv_done) struct strv groups = {0};
    const struct json *value;
    void *position = NULL;
    const char *key;
    while (json_next(rule->groups, &position, &key, &value))
        strv_add(&groups, key);
    strv_sort(&groups);
    for (size_t i = 0; i < groups.n; i++) {
        struct json *one = json_build("{s:o, s:[s], s:O}", "verbs", strings(&rule->verbs), "apiGroups", groups.items[i],
                                      "resources", json_member(rule->groups, groups.items[i]));
        if (rule->resource_names.n > 0)
            json_set(one, "resourceNames", strings(&rule->resource_names));
        json_push(rules, one);
    }
    if (rule->urls.n > 0)
        json_push(rules,
                  json_build("{s:o, s:o}", "verbs", strings(&rule->verbs), "nonResourceURLs", strings(&rule->urls)));
    return rules;
}

static int check_urls(const struct rule *rule, struct err *err)
{
    static const char *const verbs[] = {"*", "get", "post", "put", "delete", "patch", "head", "options"};
    for (size_t i = 0; i < rule->verbs.n; i++) {
        bool known = false;
        for (size_t j = 0; j < countof(verbs); j++)
            known = known || streq(verbs[j], rule->verbs.items[i]);
        if (!known)
            return err_set(err, ERR_USAGE, "invalid verb: '%s' for nonResourceURL", rule->verbs.items[i]);
    }
    for (size_t i = 0; i < rule->urls.n; i++) {
        const char *url = rule->urls.items[i], *star = strchr(url, '*');
        if (streq(url, "*"))
            continue;
        if (url[0] != '/')
            return err_set(err, ERR_USAGE, "nonResourceURL should start with /");
        if (star != NULL && star[1] != '\0')
            return err_set(err, ERR_USAGE, "nonResourceURL only supports wildcard matches when '*' is at the end");
    }
    return 0;
}

#define RULE_OPTIONS(rule)                                                                                   \
    {"verb", 0, OPT_LIST, &(rule)->verbs, "[]", "Verb that the rule allows."},                               \
        {"resource", 0, OPT_LIST, &(rule)->resources, "[]", "Resource that the rule is about."},             \
    {                                                                                                        \
        "resource-name", 0, OPT_ARRAY, &(rule)->resource_names, "[]", "Name that the rule is restricted to." \
    }

static void tidy_rule(struct rule *rule)
{
    remove_repetitions(&rule->verbs);
    reduce_to_star(&rule->verbs);
    remove_repetitions(&rule->resource_names);
    remove_repetitions(&rule->urls);
}

/* As kubectl, which says "error: " of everything but unknown resources. */
static int fail_rule(const struct cli *cli, const struct err *err)
{
    if (err->code != ERR_NOT_FOUND || err->http_status != 0)
        return cli_fail(cli, err);
    fprintf(stderr, "%s\n", err_text(err));
    return 1;
}

int command_create_role(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    CLEANUP(rule_done) struct rule rule = {0};
    CLEANUP(err_clear) struct err err = {0};
    const struct opt options[] = {GENERATE_OPTIONS(&generate), RULE_OPTIONS(&rule), {0}};
    const struct cli_command command = {
        .words = "create role",
        .usage = "NAME --verb=verb --resource=resource.group/subresource [--resource-name=resourcename] "
                 "[--dry-run=server|client|none] [options]",
        .about = "Create a role with a single rule.",
        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    tidy_rule(&rule);
    if (rule.verbs.n == 0)
        return cli_error("at least one verb must be specified");
    warn_about_verbs(&rule);
    if (rule.resources.n == 0)
        return cli_error("at least one resource must be specified");
    if (check_resources(cli, &rule, &err) < 0)
        return fail_rule(cli, &err);
    return generate_finish(&generate,
                           json_build("{s:s, s:s, s:o, s:o}", "kind", "Role", "apiVersion",
                                      "rbac.authorization.k8s.io/v1", "metadata",
                                      generate_metadata(&generate, generate.name, true), "rules", build_rules(&rule)),
                           NULL);
}

/* The rules of a ClusterRole that is not put together from others. */
static int cluster_rules(struct cli *cli, struct rule *rule, struct json **ret, struct err *err)
{
    if (rule->verbs.n == 0)
        return err_set(err, ERR_USAGE, "at least one verb must be specified");
    if (rule->resources.n == 0 && rule->urls.n == 0)
        return err_set(err, ERR_USAGE, "one of resource or nonResourceURL must be specified");
    if (rule->resources.n > 0) {
        warn_about_verbs(rule);
        if (check_resources(cli, rule, err) < 0)
            return err->code;
    }
    if (rule->urls.n > 0 && check_urls(rule, err) < 0)
        return err->code;
    *ret = build_rules(rule);
    return 0;
}

/* All --aggregation-rule=a=b,c=d as one map. */
static int parse_aggregation(const struct strv *texts, struct json **ret, struct err *err)
{
    CLEANUP(xfree) char *joined = strv_join(texts, ",");
    if (texts->n > 0 && generate_labels(joined, ret, err) < 0) {
        err_clear(err);
        return err_set(err, ERR_USAGE,
                       "invalid argument \"%s\" for \"--aggregation-rule\" flag: malformed pair, expect string=string",
                       joined);
    }
    return 0;
}

int command_create_clusterrole(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    CLEANUP(rule_done) struct rule rule = {0};
    CLEANUP(strv_done) struct strv aggregation = {0};
    CLEANUP(json_free) struct json *labels = NULL;
    CLEANUP(err_clear) struct err err = {0};
    const struct opt options[] = {
        GENERATE_OPTIONS(&generate),
        RULE_OPTIONS(&rule),
        {"non-resource-url", 0, OPT_LIST, &rule.urls, "[]", "Path, of no resource, that the rule is about."},
        {"aggregation-rule", 0, OPT_ARRAY, &aggregation, "", "Labels of the cluster roles to put together."},
        {0},
    };
    const struct cli_command command = {.words = "create clusterrole",
                                        .usage =
                                            "NAME --verb=verb --resource=resource.group [--resource-name=resourcename] "
                                            "[--dry-run=server|client|none] [options]",
                                        .about = "Create a cluster role.",
                                        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    tidy_rule(&rule);
    if (parse_aggregation(&aggregation, &labels, &err) < 0)
        return cli_error("%s\nSee '%s create clusterrole --help' for usage.", err_text(&err), cli->program);
    struct json *rules = NULL;
    if (labels != NULL && (rule.urls.n > 0 || rule.verbs.n > 0 || rule.resources.n > 0 || rule.resource_names.n > 0))
        return cli_error(
            "aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames");
    if (labels == NULL && cluster_rules(cli, &rule, &rules, &err) < 0)
        return fail_rule(cli, &err);
    struct json *role =
        json_build("{s:s, s:s, s:o, s:o}", "kind", "ClusterRole", "apiVersion", "rbac.authorization.k8s.io/v1",
                   "metadata", generate_metadata(&generate, generate.name, false), "rules", rules);
    if (labels != NULL)
        json_set(role, "aggregationRule",
                 json_build("{s:[{s:o}]}", "clusterRoleSelectors", "matchLabels", take(&labels)));
    return generate_finish(&generate, role, NULL);
}

/* --- bindings */

struct binding {
    const char *cluster_role, *role;
    bool cluster_role_seen;
    struct strv users, groups, accounts;
};

static void binding_done(struct binding *binding)
{
    strv_done(&binding->users);
    strv_done(&binding->groups);
    strv_done(&binding->accounts);
}
DEFINE_CLEANUP_IN_PLACE(struct binding, binding_done)

static int build_subjects(const struct binding *binding, struct json **ret, struct err *err)
{
    static const char group[] = "rbac.authorization.k8s.io";
    CLEANUP(json_free) struct json *subjects = json_new_array();
    for (size_t i = 0; i < binding->users.n; i++)
        json_push(subjects,
                  json_build("{s:s, s:s, s:s}", "kind", "User", "apiGroup", group, "name", binding->users.items[i]));
    for (size_t i = 0; i < binding->groups.n; i++)
        json_push(subjects,
                  json_build("{s:s, s:s, s:s}", "kind", "Group", "apiGroup", group, "name", binding->groups.items[i]));
    for (size_t i = 0; i < binding->accounts.n; i++) {
        CLEANUP(strv_done) struct strv parts = {0};
        strv_split(&parts, binding->accounts.items[i], ':');
        if (parts.n != 2 || parts.items[0][0] == '\0' || parts.items[1][0] == '\0')
            return err_set(err, ERR_USAGE, "serviceaccount must be <namespace>:<name>");
        json_push(subjects, json_build("{s:s, s:s, s:s}", "kind", "ServiceAccount", "name", parts.items[1], "namespace",
                                       parts.items[0]));
    }
    *ret = json_len(subjects) > 0 ? take(&subjects) : NULL;
    return 0;
}

static int finish_binding(struct generate *generate, const struct binding *binding, const char *kind, const char *what)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *subjects = NULL;
    if (build_subjects(binding, &subjects, &err) < 0)
        return cli_fail(generate->cli, &err);
    bool is_role = strempty(binding->role)[0] != '\0';
    struct json *metadata = generate_metadata(generate, generate->name, streq(kind, "RoleBinding"));
    return generate_finish(generate,
                           json_build("{s:s, s:s, s:o, s:o*, s:{s:s, s:s, s:s}}", "kind", kind, "apiVersion",
                                      "rbac.authorization.k8s.io/v1", "metadata", metadata, "subjects", subjects,
                                      "roleRef", "apiGroup", "rbac.authorization.k8s.io", "kind",
                                      is_role ? "Role" : "ClusterRole", "name",
                                      is_role ? binding->role : strempty(binding->cluster_role)),
                           what);
}

#define BINDING_OPTIONS(binding)                                                                       \
    {"user", 0, OPT_ARRAY, &(binding)->users, "[]", "User to bind."},                                  \
        {"group", 0, OPT_ARRAY, &(binding)->groups, "[]", "Group to bind."},                           \
    {                                                                                                  \
        "serviceaccount", 0, OPT_ARRAY, &(binding)->accounts, "[]", "Service account: NAMESPACE:NAME." \
    }

int command_create_rolebinding(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    CLEANUP(binding_done) struct binding binding = {0};
    const struct opt options[] = {
        GENERATE_OPTIONS(&generate),
        BINDING_OPTIONS(&binding),
        {"clusterrole", 0, OPT_STRING, &binding.cluster_role, "", "The cluster role to bind to."},
        {"role", 0, OPT_STRING, &binding.role, "", "The role to bind to."},
        {0},
    };
    const struct cli_command command = {
        .words = "create rolebinding",
        .usage = "NAME --clusterrole=NAME|--role=NAME [--user=username] [--group=groupname] "
                 "[--serviceaccount=namespace:serviceaccountname] [--dry-run=server|client|none] [options]",
        .about = "Create a role binding for a particular role or cluster role.",
        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    if ((strempty(binding.role)[0] == '\0') == (strempty(binding.cluster_role)[0] == '\0'))
        return cli_error("exactly one of clusterrole or role must be specified");
    return finish_binding(&generate, &binding, "RoleBinding", "rolebinding:");
}

int command_create_clusterrolebinding(struct cli *cli, int argc, char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    CLEANUP(binding_done) struct binding binding = {0};
    const struct opt options[] = {
        GENERATE_OPTIONS(&generate),
        BINDING_OPTIONS(&binding),
        {"clusterrole", 0, OPT_STRING, &binding.cluster_role, "", "The cluster role to bind to.", NULL,
         &binding.cluster_role_seen},
        {0},
    };
    const struct cli_command command = {
        .words = "create clusterrolebinding",
        .usage = "NAME --clusterrole=NAME [--user=username] [--group=groupname] "
                 "[--serviceaccount=namespace:serviceaccountname] [--dry-run=server|client|none] [options]",
        .about = "Create a cluster role binding for a particular cluster role.",
        .required = "clusterrole",
        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    return finish_binding(&generate, &binding, "ClusterRoleBinding", "clusterrolebinding:");
}
