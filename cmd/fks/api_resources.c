/*
 * api_resources.c: `api-resources` and `api-versions`: what the server offers.
 */
#include "items.h"

#include "base/mem.h"
#include "print/tabwriter.h"

struct api_resources {
    const char *format, *group, *sort_by, *namespaced_text;
    bool no_headers, namespaced, namespaced_seen, group_seen;
    struct strv verbs, categories;
};

static bool has_all(const struct strv *have, const struct strv *wanted)
{
    for (size_t i = 0; i < wanted->n; i++) {
        if (!strv_has(have, wanted->items[i]))
            return false;
    }
    return true;
}

static bool is_wanted(const struct api_resources *options, const struct kube_resource *resource)
{
    return resource->verbs.n > 0 && (!options->group_seen || streq(resource->group, options->group)) &&
           (!options->namespaced_seen || resource->namespaced == options->namespaced) &&
           has_all(&resource->verbs, &options->verbs) && has_all(&resource->categories, &options->categories);
}

static int by_group(const void *left, const void *right)
{
    const struct kube_resource *const *a = left, *const *b = right;
    int order = strcmp((*a)->group, (*b)->group);
    return order != 0 ? order : strcmp((*a)->plural, (*b)->plural);
}

static int by_name(const void *left, const void *right)
{
    const struct kube_resource *const *a = left, *const *b = right;
    int order = strcmp((*a)->plural, (*b)->plural);
    return order != 0 ? order : strcmp((*a)->group, (*b)->group);
}

static int by_kind(const void *left, const void *right)
{
    const struct kube_resource *const *a = left, *const *b = right;
    int order = strcmp((*a)->kind, (*b)->kind);
    return order != 0 ? order : by_group(left, right);
}

static void write_row(const struct kube_resource *resource, bool wide, struct buf *out)
{
    CLEANUP(strv_done) struct strv verbs = {0};
    for (size_t i = 0; i < resource->verbs.n; i++)
        strv_add(&verbs, resource->verbs.items[i]);
    strv_sort(&verbs);
    CLEANUP(xfree) char *short_names = strv_join(&resource->short_names, ",");
    buf_printf(out, "%s\t%s\t%s%s%s\t%s\t%s", resource->plural, short_names, resource->group,
               resource->group[0] != '\0' ? "/" : "", resource->version, resource->namespaced ? "true" : "false",
               resource->kind);
    if (wide) {
        CLEANUP(xfree) char *all_verbs = strv_join(&verbs, ","), *categories = strv_join(&resource->categories, ",");
        buf_printf(out, "\t%s\t%s", all_verbs, categories);
    }
    buf_add_char(out, '\n');
}

static void print_resources(const struct api_resources *options, const struct kube_resource *const *list, size_t n)
{
    bool wide = streq(options->format, "wide"), only_names = streq(options->format, "name");
    CLEANUP(tabwriter_done) struct tabwriter writer = {.min_width = 6, .padding = 3};
    CLEANUP(buf_done) struct buf text = {0};
    if (!only_names && !options->no_headers)
        buf_printf(&writer.text, "NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND%s\n",
                   wide ? "\tVERBS\tCATEGORIES" : "");
    for (size_t i = 0; i < n; i++) {
        if (only_names) {
            resource_print_plural(list[i], &writer.text);
            buf_add_char(&writer.text, '\n');
        } else {
            write_row(list[i], wide, &writer.text);
        }
    }
    tabwriter_flush(&writer, &text);
    fputs(buf_text(&text), stdout);
}

static int run_api_resources(struct cli *cli, const struct api_resources *options)
{
    CLEANUP(err_clear) struct err err = {0};
    const struct kube_resource *all = NULL;
    size_t n_all = 0, n = 0;
    if (cli_connect(cli, &err) < 0 || kube_discovery_all(cli->discovery, &all, &n_all, &err) < 0)
        return cli_fail(cli, &err);
    const struct kube_resource **list = xcalloc(n_all + 1, sizeof(*list));
    for (size_t i = 0; i < n_all; i++) {
        if (is_wanted(options, &all[i]))
            list[n++] = &all[i];
    }
    qsort(list, n, sizeof(*list),
          streq(options->sort_by, "name")   ? by_name
          : streq(options->sort_by, "kind") ? by_kind
                                            : by_group);
    print_resources(options, list, n);
    free(list);
    return 0;
}

int command_api_resources(struct cli *cli, int argc, char **argv)
{
    struct api_resources resources = {.group = "", .sort_by = "", .namespaced = true};
    const struct opt options[] = {
        {"api-group", 0, OPT_STRING, &resources.group, "", "Only this API group.", NULL, &resources.group_seen},
        {"categories", 0, OPT_LIST, &resources.categories, "[]", "Only resources in these categories."},
        {"namespaced", 0, OPT_BOOL, &resources.namespaced, NULL,
         "true: only namespaced resources; false: only the others.", NULL, &resources.namespaced_seen},
        {"no-headers", 0, OPT_BOOL, &resources.no_headers, NULL, "Leave the header line out."},
        {"output", 'o', OPT_STRING, &resources.format, "", "wide or name."},
        {"sort-by", 0, OPT_STRING, &resources.sort_by, "", "name or kind."},
        {"verbs", 0, OPT_LIST, &resources.verbs, "[]", "Only resources with these verbs."},
        {0},
    };
    const struct cli_command command = {.words = "api-resources",
                                        .usage = "[flags] [options]",
                                        .about = "Print the supported API resources on the server.",
                                        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code)) {
        CLEANUP(xfree) char *joined = strv_join(&args, " ");
        const char *format = strempty(resources.format), *sort_by = resources.sort_by;
        if (args.n > 0)
            code = cli_error("unexpected arguments: [%s]\nSee '%s api-resources -h' for help and examples", joined,
                             cli->program);
        else if (format[0] != '\0' && !streq(format, "wide") && !streq(format, "name"))
            code = cli_error("--output %s is not available", format);
        else if (sort_by[0] != '\0' && !streq(sort_by, "name") && !streq(sort_by, "kind"))
            code = cli_error("--sort-by accepts only name or kind");
        else
            code = run_api_resources(cli, &resources);
    }
    strv_done(&resources.verbs);
    strv_done(&resources.categories);
    return code;
}

int command_api_versions(struct cli *cli, int argc, char **argv)
{
    const struct cli_command command = {
        .words = "api-versions",
        .usage = "[options]",
        .about = "Print the supported API versions on the server, in the form of \"group/version\"."};
    CLEANUP(strv_done) struct strv args = {0}, versions = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *groups = NULL, *core = NULL;
    int code = 0;
    if (!cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        return code;
    const struct kube_request core_request = {.path = "/api"}, groups_request = {.path = "/apis"};
    if (cli_do(cli, &core_request, &core, &err) < 0 || cli_do(cli, &groups_request, &groups, &err) < 0)
        return cli_fail(cli, &err);
    const struct json *item, *version;
    json_each(item, json_get(core, "versions", NULL))
        strv_add(&versions, strempty(json_string_value(item)));
    json_each(item, json_get(groups, "groups", NULL)) {
        json_each(version, json_get(item, "versions", NULL))
            strv_add(&versions, json_str_or("", version, "groupVersion", NULL));
    }
    strv_sort(&versions);
    for (size_t i = 0; i < versions.n; i++)
        puts(versions.items[i]);
    return 0;
}
