/*
 * api_resources.c: `api-resources` and `api-versions`: what the server offers.
 */
#include "objects/items.h"

#include <strings.h>

#include "base/mem.h"
#include "print/output.h"
#include "text/tabwriter.h"

struct api_resources {
    struct output_options output_options;
    struct output output;
    const char *group, *sort_by;
    bool no_headers, namespaced, namespaced_seen, group_seen, cached, wide, names;
    struct strv verbs, categories;
};

/* --- which, and in which order */

static bool has_all(const char *list, const struct strv *wanted)
{
    for (size_t i = 0; i < wanted->n; i++) {
        if (!kube_resource_lists(list, wanted->items[i]))
            return false;
    }
    return true;
}

static bool is_wanted(const struct api_resources *options, const struct kube_resource *resource)
{
    return resource->verbs[0] != '\0' && (!options->group_seen || streq(resource->group, options->group)) &&
           (!options->namespaced_seen || resource->namespaced == options->namespaced) &&
           has_all(resource->verbs, &options->verbs) && has_all(resource->categories, &options->categories);
}

/* By one text, then by name; what is equal stays in the server's order, that of the array. */
static int in_order(const struct kube_resource *a, const char *a_text, const struct kube_resource *b, const char *b_text)
{
    int order = strcmp(a_text, b_text);
    order = order != 0 ? order : strcmp(a->plural, b->plural);
    return order != 0 ? order : a < b ? -1 : 1;
}

static int by_group(const void *left, const void *right)
{
    const struct kube_resource *const *a = left, *const *b = right;
    return in_order(*a, (*a)->group, *b, (*b)->group);
}

static int by_name(const void *left, const void *right)
{
    const struct kube_resource *const *a = left, *const *b = right;
    return in_order(*a, (*a)->plural, *b, (*b)->plural);
}

static int by_kind(const void *left, const void *right)
{
    const struct kube_resource *const *a = left, *const *b = right;
    return in_order(*a, (*a)->kind, *b, (*b)->kind);
}

/* --- printing */

static void write_row(const struct kube_resource *resource, bool wide, struct buf *out)
{
    buf_printf(out, "%s\t%s\t%s%s%s\t%s\t%s", resource->plural, resource->short_names, resource->group,
               resource->group[0] != '\0' ? "/" : "", resource->version, resource->namespaced ? "true" : "false",
               resource->kind);
    if (wide)
        buf_printf(out, "\t%s\t%s", resource->verbs, resource->categories);
    buf_add_char(out, '\n');
}

static void print_table(const struct api_resources *options, const struct kube_resource *const *list, size_t n)
{
    CLEANUP(tabwriter_done) struct tabwriter writer = {.min_width = 6, .padding = 3};
    CLEANUP(buf_done) struct buf text = {0};
    if (!options->names && !options->no_headers)
        buf_printf(&writer.text, "NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND%s\n",
                   options->wide ? "\tVERBS\tCATEGORIES" : "");
    for (size_t i = 0; i < n; i++) {
        if (options->names) {
            resource_print_plural(list[i], &writer.text);
            buf_add_char(&writer.text, '\n');
        } else {
            write_row(list[i], options->wide, &writer.text);
        }
    }
    tabwriter_flush(&writer, &text);
    fputs(buf_text(&text), stdout);
}

/* An array, or NULL where kubectl leaves an empty one out. */
static struct json *texts(const char *list)
{
    CLEANUP(strv_done) struct strv words = {0};
    strv_split(&words, list, ',');
    if (words.n == 0)
        return NULL;
    struct json *array = json_new_array();
    for (size_t i = 0; i < words.n; i++)
        json_push(array, json_new_string(words.items[i]));
    return array;
}

static int print_list(struct api_resources *options, const struct kube_resource *const *list, size_t n, struct err *err)
{
    struct json *resources = n > 0 ? json_new_array() : json_new_null();
    for (size_t i = 0; i < n; i++) {
        const struct kube_resource *r = list[i];
        json_push(resources, json_build("{s:s, s:s, s:b, s:s*, s:s, s:s, s:o, s:o*, s:o*}", "name", r->plural,
                                        "singularName", r->singular, "namespaced", (int)r->namespaced, "group",
                                        r->group[0] != '\0' ? r->group : NULL, "version", r->version, "kind", r->kind,
                                        "verbs", texts(r->verbs), "shortNames", texts(r->short_names), "categories",
                                        texts(r->categories)));
    }
    CLEANUP(json_free)
    struct json *document = json_build("{s:s, s:s, s:s, s:o}", "kind", "APIResourceList", "apiVersion", "v1",
                                       "groupVersion", "", "resources", resources);
    options->output.keep_order = true;
    return output_print(&options->output, document, err);
}

/* --- the command */

static int tell_stale(const struct strv *stale)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(strv_done) struct strv sorted = {0};
    for (size_t i = 0; i < stale->n; i++)
        strv_add(&sorted, stale->items[i]);
    strv_sort(&sorted);
    for (size_t i = 0; i < sorted.n; i++)
        buf_printf(&text, "%s%s: stale GroupVersion discovery: %s", i > 0 ? ", " : "", sorted.items[i], sorted.items[i]);
    return sorted.n > 0 ? cli_error("unable to retrieve the complete list of server APIs: %s", buf_text(&text)) : 0;
}

static int run_api_resources(struct cli *cli, struct api_resources *options)
{
    CLEANUP(err_clear) struct err err = {0};
    const struct kube_resource *all = NULL;
    const struct strv *stale = NULL;
    size_t n_all = 0, n = 0;
    if (cli_connect(cli, &err) < 0 ||
        kube_discovery_all(cli->discovery, options->cached, &all, &n_all, &stale, &err) < 0)
        return cli_fail(cli, &err);
    CLEANUP(xfree) const struct kube_resource **list = xcalloc(n_all + 1, sizeof(*list));
    for (size_t i = 0; i < n_all; i++) {
        if (is_wanted(options, &all[i]))
            list[n++] = &all[i];
    }
    qsort(list, n, sizeof(*list),
          streq(options->sort_by, "name")   ? by_name
          : streq(options->sort_by, "kind") ? by_kind
                                            : by_group);
    if (options->output.kind == OUTPUT_HUMAN)
        print_table(options, list, n);
    else if (print_list(options, list, n, &err) < 0)
        return cli_fail(cli, &err);
    return tell_stale(stale);
}

static int parse_format(struct api_resources *options, struct err *err)
{
    const char *format = strempty(options->output_options.format);
    options->wide = streq(format, "wide");
    options->names = streq(format, "name");
    if (format[0] == '\0' || options->wide || options->names)
        return 0;
    bool whole = strcasecmp(format, "json") == 0 || strcasecmp(format, "yaml") == 0 ||
                 (strcasecmp(format, "kyaml") == 0 && output_has_kyaml());
    if (!whole)
        return err_set(err, ERR_USAGE,
                       "unable to match a printer suitable for the output format \"%s\", allowed formats are: json,%sname,"
                       "wide,yaml", format, output_has_kyaml() ? "kyaml," : "");
    return output_parse(&options->output_options, &options->output, err);
}

int command_api_resources(struct cli *cli, int argc, char **argv)
{
    struct api_resources resources = {.group = "", .sort_by = "", .namespaced = true};
    const struct opt options[] = {
        {"api-group", 0, OPT_STRING, &resources.group, "", "Only this API group.", NULL, &resources.group_seen},
        {"cached", 0, OPT_BOOL, &resources.cached, NULL, "From the cache on disk, if it is there and not too old."},
        {"categories", 0, OPT_LIST, &resources.categories, "[]", "Only resources in these categories."},
        {"namespaced", 0, OPT_BOOL, &resources.namespaced, NULL,
         "true: only namespaced resources; false: only the others.", NULL, &resources.namespaced_seen},
        {"no-headers", 0, OPT_BOOL, &resources.no_headers, NULL, "Leave the header line out."},
        {"output", 'o', OPT_STRING, &resources.output_options.format, "", "json, yaml, kyaml, name or wide."},
        {"show-managed-fields", 0, OPT_BOOL, &resources.output_options.show_managed_fields, NULL,
         "Accepted as everywhere; resources have none."},
        {"sort-by", 0, OPT_STRING, &resources.sort_by, "", "name or kind."},
        {"verbs", 0, OPT_LIST, &resources.verbs, "[]", "Only resources with these verbs."},
        {0},
    };
    const struct cli_command command = {.words = "api-resources",
                                        .usage = "[flags] [options]",
                                        .about = "Print the supported API resources on the server.",
                                        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(err_clear) struct err err = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code)) {
        CLEANUP(xfree) char *joined = strv_join(&args, " ");
        const char *sort_by = resources.sort_by;
        if (args.n > 0)
            code = cli_error("unexpected arguments: [%s]\nSee '%s api-resources -h' for help and examples", joined,
                             cli->program);
        else if (parse_format(&resources, &err) < 0)
            code = cli_fail(cli, &err);
        else if (sort_by[0] != '\0' && !streq(sort_by, "name") && !streq(sort_by, "kind"))
            code = cli_error("--sort-by accepts only name or kind");
        else
            code = run_api_resources(cli, &resources);
    }
    output_done(&resources.output);
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
    if (args.n > 0) {
        CLEANUP(xfree) char *joined = strv_join(&args, " ");
        return cli_error("unexpected arguments: [%s]\nSee '%s api-versions -h' for help and examples", joined, cli->program);
    }
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
