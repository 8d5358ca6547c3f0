/*
 * auth.c: `auth can-i` and `auth whoami`: questions to the server about the one who asks. Reviews are objects that are
 * created and never stored; the answer is their status.
 */
#include "auth/rbac.h"
#include "objects/write.h"
#include "print/output.h"
#include "text/gotext.h"
#include "text/tabwriter.h"

#include <ctype.h>

#include "base/mem.h"

#define AUTHORIZATION "authorization.k8s.io"
#define AUTHENTICATION "authentication.k8s.io"

/* POSTs a review and returns it with its status. */
static int ask(struct cli *cli, const char *group, const char *version, const char *kind, const char *plural,
               struct json *spec, struct json **ret, struct err *err)
{
    CLEANUP(xfree) char *api_version = xasprintf("%s/%s", group, version);
    CLEANUP(xfree) char *path = kube_path(group, version, NULL, plural, NULL, NULL);
    CLEANUP(json_free) struct json *review = json_build("{s:s, s:s}", "apiVersion", api_version, "kind", kind);
    if (spec != NULL)
        json_set(review, "spec", spec);
    const struct kube_request request = {.method = "POST", .path = path, .body = review};
    return cli_do(cli, &request, ret, err);
}

static void print_columns(struct tabwriter *writer)
{
    CLEANUP(buf_done) struct buf text = {0};
    tabwriter_flush(writer, &text);
    fputs(buf_text(&text), stdout);
}

/* --- can-i */

struct can_i {
    struct cli *cli;
    bool all_namespaces, quiet, list, no_headers;
    const char *subresource;
    const char *verb, *url;
    char *group, *resource, *name; /* of the object asked for */
    const struct kube_resource *found;
};

static bool is_one_of(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (streq(words[i], word))
            return true;
    }
    return false;
}

static void warn_unknown_verb(const struct can_i *can)
{
    static const char *const of_resources[] = {"get",        "list",
                                               "watch",      "create",
                                               "update",     "patch",
                                               "delete",     "deletecollection",
                                               "use",        "bind",
                                               "impersonate", "*",
                                               "approve",    "sign",
                                               "escalate",   "attest"};
    static const char *const of_urls[] = {"get", "put", "post", "head", "options", "delete", "patch", "*"};
    bool known = can->url != NULL ? is_one_of(can->verb, of_urls, countof(of_urls))
                                  : is_one_of(can->verb, of_resources, countof(of_resources));
    if (!known)
        cli_warn("verb '%s' is not a known verb\n", can->verb);
}

/* TYPE or TYPE/NAME. A type that the server does not know is asked about as it was typed. */
static int find_resource(struct can_i *can, const char *argument, struct err *err)
{
    struct str type, name;
    bool has_name = str_cut(str_of(argument), '/', &type, &name);
    can->resource = xstrndup(type.p, type.len);
    can->group = xstrdup("");
    can->name = has_name ? xstrndup(name.p, name.len) : xstrdup("");
    if (streq(can->resource, "*"))
        return 0;
    CLEANUP(xfree) char *lower = xstrdup(can->resource);
    for (char *c = lower; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    if (cli_connect(can->cli, err) < 0)
        return err->code;
    CLEANUP(err_clear) struct err unknown = {0};
    if (kube_discovery_find(can->cli->discovery, lower, &can->found, &unknown) == 0) {
        free(can->resource);
        free(can->group);
        can->resource = xstrdup(can->found->plural);
        can->group = xstrdup(can->found->group);
        return 0;
    }
    const char *dot = strchr(lower, '.');
    if (streq(lower, "users") || streq(lower, "groups")) /* for "impersonate": no server lists them */
        return 0;
    if (dot == NULL)
        cli_warn("the server doesn't have a resource type '%s'\n", lower);
    else
        cli_warn("the server doesn't have a resource type '%.*s' in group '%s'\n", (int)(dot - lower), lower, dot + 1);
    return 0;
}

static int check_can_i(struct can_i *can, const struct strv *args, struct err *err)
{
    if (can->list) {
        if (args->n != 0)
            return err_set(err, ERR_USAGE, "list option must be specified with no arguments");
        if (can->quiet || can->all_namespaces || strempty(can->subresource)[0] != '\0')
            return err_set(err, ERR_USAGE,
                           "list option can't be specified with neither quiet, all-namespaces nor subresource options");
        return 0;
    }
    if (args->n != 2)
        return err_set(err, ERR_USAGE,
                       "you must specify two arguments: verb resource or verb resource/resourceName.\n"
                       "See 'kubectl auth can-i -h' for help and examples.");
    can->verb = args->items[0];
    if (args->items[1][0] == '/') {
        can->url = args->items[1];
        if (strempty(can->subresource)[0] != '\0')
            return err_set(err, ERR_USAGE, "--subresource can not be used with NonResourceURL");
    } else {
        if (find_resource(can, args->items[1], err) < 0)
            return err->code;
    }
    if (can->found != NULL && !can->all_namespaces && !can->found->namespaced) {
        if (can->group[0] == '\0')
            cli_warn("resource '%s' is not namespace scoped\n", can->resource);
        else
            cli_warn("resource '%s' is not namespace scoped in group '%s'\n", can->resource, can->group);
    }
    if (can->url != NULL || !can->all_namespaces)
        warn_unknown_verb(can);
    if (can->no_headers)
        return err_set(err, ERR_USAGE, "--no-headers cannot be set without --list specified");
    return 0;
}

static int ask_can_i(const struct can_i *can, struct err *err)
{
    struct json *spec = json_new_object();
    if (can->url != NULL) {
        json_set(spec, "nonResourceAttributes", json_build("{s:s, s:s}", "path", can->url, "verb", can->verb));
    } else {
        const char *namespace = can->all_namespaces ? "" : cli_namespace(can->cli);
        json_set(spec, "resourceAttributes",
                 json_build("{s:s, s:s, s:s, s:s, s:s, s:s}", "namespace", namespace, "verb", can->verb, "group",
                            can->group, "resource", can->resource, "subresource", strempty(can->subresource), "name",
                            can->name));
    }
    CLEANUP(json_free) struct json *review = NULL;
    if (ask(can->cli, AUTHORIZATION, "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", spec, &review, err) < 0)
        return err->code;
    bool allowed = json_is_true(review, "status", "allowed", NULL);
    const char *reason = json_str_or("", review, "status", "reason", NULL);
    const char *failure = json_str_or("", review, "status", "evaluationError", NULL);
    if (can->quiet)
        return allowed ? 0 : 1;
    fputs(allowed ? "yes" : "no", stdout);
    if (!allowed && reason[0] != '\0')
        printf(" - %s", reason);
    if (!allowed && failure[0] != '\0')
        printf(" - %s", failure);
    fputc('\n', stdout);
    return allowed ? 0 : 1;
}

static void print_rules(const struct json *rules, bool headers)
{
    CLEANUP(tabwriter_done) struct tabwriter writer = {.min_width = 6, .padding = 3};
    const struct json *rule;
    if (headers)
        buf_add_str(&writer.text, "Resources\tNon-Resource URLs\tResource Names\tVerbs\n");
    json_each(rule, rules) {
        rbac_resource_text(rule, &writer.text);
        buf_add_char(&writer.text, '\t');
        rbac_list_text(json_get(rule, "nonResourceURLs", NULL), &writer.text);
        buf_add_char(&writer.text, '\t');
        rbac_list_text(json_get(rule, "resourceNames", NULL), &writer.text);
        buf_add_char(&writer.text, '\t');
        rbac_list_text(json_get(rule, "verbs", NULL), &writer.text);
        buf_add_char(&writer.text, '\n');
    }
    print_columns(&writer);
}

static int list_rules(const struct can_i *can, struct err *err)
{
    CLEANUP(json_free) struct json *review = NULL;
    CLEANUP(json_free) struct json *parts = json_new_array();
    const struct json *rule;
    if (ask(can->cli, AUTHORIZATION, "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews",
            json_build("{s:s}", "namespace", cli_namespace(can->cli)), &review, err) < 0)
        return err->code;
    const struct json *status = json_get(review, "status", NULL);
    if (json_is_true(status, "incomplete", NULL))
        cli_warn("the list may be incomplete: %s", json_str_or("", status, "evaluationError", NULL));
    json_each(rule, json_get(status, "resourceRules", NULL))
        rbac_break_down(rule, parts);
    json_each(rule, json_get(status, "nonResourceRules", NULL))
        rbac_break_down(rule, parts);
    CLEANUP(json_free) struct json *rules = rbac_compact(parts);
    print_rules(rules, !can->no_headers);
    return 0;
}

static int run_can_i(struct can_i *can, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    if (check_can_i(can, args, &err) < 0 || cli_connect(can->cli, &err) < 0)
        return cli_fail(can->cli, &err);
    int code = can->list ? list_rules(can, &err) : ask_can_i(can, &err);
    return code < 0 ? cli_fail(can->cli, &err) : code;
}

int command_auth_can_i(struct cli *cli, int argc, char **argv)
{
    struct can_i can = {.cli = cli};
    const struct opt options[] = {
        {"all-namespaces", 'A', OPT_BOOL, &can.all_namespaces, NULL, "Check the action in all namespaces."},
        {"list", 0, OPT_BOOL, &can.list, NULL, "Print all allowed actions."},
        {"no-headers", 0, OPT_BOOL, &can.no_headers, NULL, "Print allowed actions without headers."},
        {"quiet", 'q', OPT_BOOL, &can.quiet, NULL, "No output; the exit code is the answer."},
        {"subresource", 0, OPT_STRING, &can.subresource, "", "Subresource, such as log or scale."},
        {0},
    };
    const struct cli_command command = {
        .words = "auth can-i",
        .usage = "VERB [TYPE | TYPE/NAME | NONRESOURCEURL] [options]",
        .about = "Check whether an action is allowed.\n\n VERB is an API verb (get, list, create, ...), TYPE a resource "
                 "with or without its group,\nNONRESOURCEURL a path that starts with \"/\". Goes well with --as.",
        .examples = "  # May I create pods in any namespace?\n  kubectl auth can-i create pods --all-namespaces\n\n"
                    "  # May a service account list pods in namespace prod?\n"
                    "  kubectl auth can-i list pods --as=system:serviceaccount:dev:foo -n prod\n\n"
                    "  # All that is allowed in a namespace\n  kubectl auth can-i --list --namespace=foo\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_can_i(&can, &args);
    free(can.group);
    free(can.resource);
    free(can.name);
    return code;
}

/* --- whoami */

static void print_user(const struct json *user)
{
    CLEANUP(tabwriter_done) struct tabwriter writer = {.min_width = 6, .padding = 3};
    const struct json *groups = json_get(user, "groups", NULL), *extra = json_get(user, "extra", NULL);
    buf_add_str(&writer.text, "ATTRIBUTE\tVALUE\n");
    if (json_str_or("", user, "username", NULL)[0] != '\0')
        buf_printf(&writer.text, "Username\t%s\n", json_str(user, "username", NULL));
    if (json_str_or("", user, "uid", NULL)[0] != '\0')
        buf_printf(&writer.text, "UID\t%s\n", json_str(user, "uid", NULL));
    if (json_len(groups) > 0) {
        buf_add_str(&writer.text, "Groups\t");
        rbac_list_text(groups, &writer.text);
        buf_add_char(&writer.text, '\n');
    }
    CLEANUP(strv_done) struct strv keys = {0};
    gotext_keys(extra, &keys);
    for (size_t i = 0; i < keys.n; i++) {
        buf_printf(&writer.text, "Extra: %s\t", keys.items[i]);
        rbac_list_text(json_member(extra, keys.items[i]), &writer.text);
        buf_add_char(&writer.text, '\n');
    }
    print_columns(&writer);
}

static int ask_who(struct cli *cli, struct json **ret, struct err *err)
{
    static const char *const versions[] = {"v1", "v1beta1", "v1alpha1"};
    for (size_t i = 0; i < countof(versions); i++) {
        err_clear(err);
        if (ask(cli, AUTHENTICATION, versions[i], "SelfSubjectReview", "selfsubjectreviews", NULL, ret,
                err) == 0)
            return 0;
        if (err->code != ERR_NOT_FOUND)
            break;
    }
    int status = err->http_status;
    if (status == 403 || status == 404) {
        err_clear(err);
        return err_set(err, ERR_UNSUPPORTED, "the selfsubjectreviews API is not enabled in the cluster%s",
                       status == 403 ? " or you do not have permission to call it" : "");
    }
    return err->code;
}

static int run_whoami(struct cli *cli, const struct output_options *options)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(output_done) struct output output = {0};
    CLEANUP(json_free) struct json *review = NULL;
    if (output_parse(options, &output, &err) < 0 || ask_who(cli, &review, &err) < 0)
        return cli_fail(cli, &err);
    output.keep_order = true; /* the server's order is that of kubectl's types */
    if (output.kind == OUTPUT_HUMAN)
        print_user(json_get(review, "status", "userInfo", NULL));
    else if (output_print(&output, review, &err) < 0)
        return cli_fail(cli, &err);
    return 0;
}

int command_auth_whoami(struct cli *cli, int argc, char **argv)
{
    struct output_options output = {.hide_missing = true};
    const struct opt options[] = {OUTPUT_OPTIONS(&output), {0}};
    const struct cli_command command = {
        .words = "auth whoami",
        .usage = "[options]",
        .about = "Experimental: Check who you are and your attributes (groups, extra), as the cluster sees you.",
        .examples = "  # Get your subject attributes\n  kubectl auth whoami -o json\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_whoami(cli, &output);
    return code;
}
