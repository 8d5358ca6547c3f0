/*
 * args.c: resource arguments of the command line as items: "pods", "po web", "deploy/web svc/web", "po,svc", "all".
 * Rules and messages are those of kubectl's resource builder.
 */
#include "objects/items.h"

#include "base/mem.h"

static const char missing_resource[] = "You must provide one or more resources by argument or filename.\n"
                                       "Example resource specifications include:\n"
                                       "   '-f rsrc.yaml'\n"
                                       "   '--filename=rsrc.json'\n"
                                       "   '<resource> <name>'\n"
                                       "   '<resource>'";

/* Commas split types; each type once, order kept. */
static void split_types(const char *text, struct strv *out)
{
    CLEANUP(strv_done) struct strv parts = {0};
    strv_split(&parts, text, ',');
    for (size_t i = 0; i < parts.n; i++) {
        if (!strv_has(out, parts.items[i]))
            strv_add(out, parts.items[i]);
    }
}

/* "a,b x y" means a/x a/y b/x b/y. */
static void spread_types(const struct strv *args, struct strv *out)
{
    CLEANUP(strv_done) struct strv types = {0};
    if (args->n >= 2)
        split_types(args->items[0], &types);
    if (types.n > 1) {
        for (size_t i = 0; i < types.n; i++)
            for (size_t j = 1; j < args->n; j++)
                strv_addf(out, "%s/%s", types.items[i], args->items[j]);
        return;
    }
    for (size_t i = 0; i < args->n; i++)
        strv_add(out, args->items[i]);
}

static struct item *add_item(struct cli *cli, const struct selection *selection, const struct kube_resource *resource,
                             const char *name, struct items *ret)
{
    struct item *item = items_add(ret);
    item->resource = resource;
    item->name = xstrdup(name);
    if (resource->namespaced && !selection->all_namespaces)
        item->namespace = xstrdup(cli_namespace(cli));
    return item;
}

static int add_named(struct cli *cli, const struct selection *selection, const struct kube_resource *resource,
                     const char *name, struct items *ret, struct err *err)
{
    if (resource->namespaced && selection->all_namespaces)
        return err_set(err, ERR_USAGE, "a resource cannot be retrieved by name across all namespaces");
    add_item(cli, selection, resource, name, ret);
    return 0;
}

static bool excludes_names(const struct selection *selection)
{
    return selection->label_selector != NULL || selection->field_selector != NULL ||
           (selection->all && selection->all_or_names);
}

static int from_pairs(struct cli *cli, const struct selection *selection, const struct strv *args, struct items *ret,
                      struct err *err)
{
    size_t n_slashes = 0;
    for (size_t i = 0; i < args->n; i++)
        n_slashes += strchr(args->items[i], '/') != NULL;
    if (n_slashes != args->n)
        return err_set(err, ERR_USAGE,
                       "there is no need to specify a resource type as a separate argument when passing arguments in "
                       "resource/name form (e.g. '%s get resource/<resource_name>' instead of '%s get resource "
                       "resource/<resource_name>'",
                       cli->program, cli->program);
    for (size_t i = 0; i < args->n; i++) {
        CLEANUP(strv_done) struct strv parts = {0};
        strv_split(&parts, args->items[i], '/');
        if (parts.n > 2)
            return err_set(err, ERR_USAGE, "arguments in resource/name form may not have more than one slash");
        if (parts.n < 2 || parts.items[0][0] == '\0' || parts.items[1][0] == '\0' ||
            strchr(parts.items[0], ',') != NULL)
            return err_set(err, ERR_USAGE, "arguments in resource/name form must have a single resource and name");
    }
    if (excludes_names(selection))
        return err_set(err, ERR_USAGE,
                       "selectors and the all flag cannot be used when passing resource/name arguments");
    for (size_t i = 0; i < args->n; i++) {
        CLEANUP(strv_done) struct strv parts = {0};
        strv_split(&parts, args->items[i], '/');
        const struct kube_resource *resource = NULL;
        if (kube_discovery_find(cli->discovery, parts.items[0], &resource, err) < 0)
            return err->code;
        if (add_named(cli, selection, resource, parts.items[1], ret, err) < 0)
            return err->code;
    }
    ret->single = ret->n == 1;
    return 0;
}

/* The resources behind a list of types, categories expanded, each once. */
static int resolve_types(struct cli *cli, const char *text, const struct kube_resource ***ret, size_t *ret_n,
                         struct err *err)
{
    CLEANUP(strv_done) struct strv types = {0};
    split_types(text, &types);
    const struct kube_resource **found = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < types.n; i++) {
        const struct kube_resource **members = NULL;
        size_t n_members = 0;
        int code = kube_discovery_category(cli->discovery, types.items[i], &members, &n_members, err);
        const struct kube_resource *one = NULL;
        if (code == 0 && n_members == 0)
            code = kube_discovery_find(cli->discovery, types.items[i], &one, err);
        if (code < 0) {
            free(members);
            free(found);
            return code;
        }
        for (size_t j = 0; j < (one != NULL ? 1 : n_members); j++) {
            const struct kube_resource *resource = one != NULL ? one : members[j];
            bool seen = false;
            for (size_t k = 0; k < n; k++)
                seen = seen || found[k] == resource;
            if (seen)
                continue;
            GROW(found, n, cap);
            found[n++] = resource;
        }
        free(members);
    }
    *ret = found;
    *ret_n = n;
    return 0;
}

static int from_types(struct cli *cli, const struct selection *selection, const struct strv *args, struct items *ret,
                      struct err *err)
{
    if (excludes_names(selection) && args->n > 1)
        return err_set(err, ERR_USAGE, "name cannot be provided when a selector is specified");
    const struct kube_resource **resources = NULL;
    size_t n = 0;
    if (resolve_types(cli, args->items[0], &resources, &n, err) < 0)
        return err->code;
    int code = 0;
    if (args->n > 1 && n != 1) {
        code = err_set(err, ERR_USAGE, "you must specify only one resource");
    } else if (args->n > 1) {
        for (size_t i = 1; i < args->n && code == 0; i++)
            code = add_named(cli, selection, resources[0], args->items[i], ret, err);
        ret->single = ret->n == 1;
    } else if (excludes_names(selection) || selection->all || selection->everything_if_unnamed) {
        for (size_t i = 0; i < n; i++)
            add_item(cli, selection, resources[i], NULL, ret);
    } else {
        code = err_set(err, ERR_USAGE, "resource(s) were provided, but no name was specified");
    }
    free(resources);
    return code;
}

int items_from_args(struct cli *cli, const struct selection *selection, const struct strv *args, struct items *ret,
                    struct err *err)
{
    if (args->n == 0) {
        if (excludes_names(selection))
            return err_set(err, ERR_USAGE, "at least one resource must be specified to use a selector");
        return err_set(err, ERR_USAGE, "%s", missing_resource);
    }
    if (cli_connect(cli, err) < 0)
        return err->code;
    CLEANUP(strv_done) struct strv spread = {0};
    spread_types(args, &spread);
    for (size_t i = 0; i < spread.n; i++) {
        if (strchr(spread.items[i], '/') != NULL)
            return from_pairs(cli, selection, &spread, ret, err);
    }
    return from_types(cli, selection, &spread, ret, err);
}
