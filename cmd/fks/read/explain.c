/*
 * explain.c: `explain TYPE[.FIELD...]`: what a kind's fields mean, from the server's OpenAPI v3. `explain pod NAME` is
 * another question, why a pod is where it is, and explain_pod.c's.
 */
#include "cli.h"

#include "base/mem.h"
#include "print/schema_text.h"
#include "profiles/explain_pod.h"

struct explain {
    struct cli *cli;
    bool recursive;
    const char *api_version; /* --api-version, or NULL */
    const char *format;
};

/* What stands behind the resource in "deployments.apps.spec.replicas". */
static void split_fields(const char *text, const struct kube_resource *resource, struct strv *fields)
{
    CLEANUP(xfree)
    char *full = resource->group[0] != '\0' ? xasprintf("%s.%s", resource->plural, resource->group)
                                            : xstrdup(resource->plural);
    size_t len = strlen(full);
    size_t skip = starts_with(text, full) && (text[len] == '.' || text[len] == '\0') ? len : strcspn(text, ".");
    CLEANUP(xfree) char *rest = xstrdup(text[skip] == '.' ? text + skip + 1 : "");
    size_t rest_len = strlen(rest);
    if (rest_len > 0 && rest[rest_len - 1] == '.') /* "pods.spec." */
        rest[rest_len - 1] = '\0';
    if (rest[0] != '\0')
        strv_split(fields, rest, '.');
}

static int find_resource(const struct explain *explain, const char *text, const struct kube_resource **ret,
                         struct err *err)
{
    CLEANUP(xfree) char *word = xstrndup(text, strcspn(text, "."));
    const struct kube_resource *any = NULL, *with_group;
    struct err missing = {0};
    if (kube_discovery_find(explain->cli->discovery, word, &any, err) < 0)
        return err->code;
    if (explain->api_version == NULL) {
        with_group = kube_discovery_known(explain->cli->discovery, text); /* else its rest are fields */
        *ret = with_group != NULL ? with_group : any;
        return 0;
    }
    if (kube_discovery_find_kind(explain->cli->discovery, explain->api_version, any->kind, ret, &missing) == 0)
        return 0;
    err_clear(&missing);
    const char *slash = strchr(explain->api_version, '/');
    return err_set(err, ERR_NOT_FOUND, "couldn't find resource for \"%.*s%s%s, Resource=%s\"",
                   slash != NULL ? (int)(slash - explain->api_version) : 0, explain->api_version,
                   "/", slash != NULL ? slash + 1 : explain->api_version, any->plural);
}

/* Most of the server's documents: what its addresses take and give. */
static const struct json_omit addresses[] = {{"paths", NULL}, {NULL, NULL}};

static int fetch_document(struct cli *cli, const struct kube_resource *resource, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *index = NULL;
    CLEANUP(xfree)
    char *key = resource->group[0] != '\0' ? xasprintf("apis/%s/%s", resource->group, resource->version)
                                           : xasprintf("api/%s", resource->version);
    const struct kube_request of_index = {.path = "/openapi/v3"};
    if (cli_do(cli, &of_index, &index, err) < 0)
        return err->code;
    const char *url = json_str(json_get(index, "paths", NULL), key, "serverRelativeURL", NULL);
    if (url == NULL)
        return err_set(err, ERR_NOT_FOUND, "couldn't find resource for \"%s/%s, Resource=%s\"", resource->group,
                       resource->version, resource->plural);
    const struct kube_request of_document = {.path = url, .to_read = true, .omit = addresses};
    return cli_do(cli, &of_document, ret, err);
}

/* `--output=plaintext-openapiv2`: everything is in one document, be the version one that the server lists or not. */
static int print_from_v2(const struct explain *explain, const char *text, struct err *err)
{
    const struct kube_resource *resource = NULL;
    const struct kube_request request = {.path = "/openapi/v2", .to_read = true, .omit = addresses};
    CLEANUP(strv_done) struct strv fields = {0};
    CLEANUP(json_free) struct json *document = NULL;
    CLEANUP(buf_done) struct buf out = {0};
    const struct explain any_version = {.cli = explain->cli};
    if (find_resource(&any_version, text, &resource, err) < 0 || cli_do(explain->cli, &request, &document, err) < 0)
        return err->code;
    split_fields(text, resource, &fields);
    const char *wanted = explain->api_version, *slash = wanted != NULL ? strchr(wanted, '/') : NULL;
    CLEANUP(xfree) char *group = slash != NULL ? xstrndup(wanted, (size_t)(slash - wanted)) : xstrdup("");
    const struct schema_question question = {.document = document,
                                             .group = wanted != NULL ? group : resource->group,
                                             .version = slash != NULL ? slash + 1 : wanted != NULL ? wanted : resource->version,
                                             .kind = resource->kind,
                                             .fields = &fields,
                                             .recursive = explain->recursive};
    int code = schema_text_v2(&question, &out, err);
    fwrite(buf_text(&out), 1, out.len, stdout);
    return code;
}

static int print_explanation(const struct explain *explain, const char *text, struct err *err)
{
    const struct kube_resource *resource = NULL;
    CLEANUP(strv_done) struct strv fields = {0};
    CLEANUP(json_free) struct json *document = NULL;
    CLEANUP(buf_done) struct buf out = {0};
    if (cli_connect(explain->cli, err) < 0)
        return err->code;
    if (streq(explain->format, "plaintext-openapiv2"))
        return print_from_v2(explain, text, err);
    if (find_resource(explain, text, &resource, err) < 0)
        return err->code;
    split_fields(text, resource, &fields);
    if (fetch_document(explain->cli, resource, &document, err) < 0)
        return err->code;
    const struct schema_question question = {.document = document,
                                             .group = resource->group,
                                             .version = resource->version,
                                             .kind = resource->kind,
                                             .fields = &fields,
                                             .recursive = explain->recursive};
    int code = schema_text(&question, &out, err);
    fwrite(buf_text(&out), 1, out.len, stdout);
    return code;
}

static bool is_pod_word(const char *word)
{
    return streq(word, "pod") || streq(word, "pods") || streq(word, "po");
}

int command_explain(struct cli *cli, int argc, char **argv)
{
    struct explain explain = {.cli = cli, .format = "plaintext"};
    const struct opt options[] = {
        {"api-version", 0, OPT_STRING, &explain.api_version, "", "Use this API version of the type (group/version)."},
        {"output", 'o', OPT_STRING, &explain.format, "plaintext", "Format of the text: plaintext or plaintext-openapiv2."},
        {"recursive", 'R', OPT_BOOL, &explain.recursive, NULL, "Names and types of all fields below, without descriptions."},
        {0},
    };
    const struct cli_command command = {
        .words = "explain",
        .usage = "TYPE [--recursive=FALSE|TRUE] [--api-version=api-version-group] | pod NAME [options]",
        .about = "Describe fields and structure of various resources; or, with the name of a pod, tell why that pod is "
                 "where it is, or why it waits.",
        .examples = "  # The documentation of pods\n  fks explain pods\n\n  # Of one field\n  fks explain "
                    "pods.spec.containers\n\n  # Why does my pod hang?\n  fks explain pod web-5d8f\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    if (args.n == 2 && is_pod_word(args.items[0]))
        return explain_pod(cli, args.items[1]);
    if (args.n == 0)
        return cli_error("You must specify the type of resource to explain. Use \"%s api-resources\" for a complete list "
                         "of supported resources.\n", cli->program);
    if (args.n > 1)
        return cli_error("We accept only this format: explain RESOURCE\n");
    if (!streq(explain.format, "plaintext") && !streq(explain.format, "plaintext-openapiv2"))
        return cli_error("unrecognized format: %s", explain.format);
    return print_explanation(&explain, args.items[0], &err) < 0 ? cli_fail_type(cli, &err) : 0;
}
