/*
 * items.c: lists of items, and reading them from the server: one object, or a collection in pieces.
 */
#include "objects/items.h"

#include <ctype.h>

#include "base/mem.h"

void item_done(struct item *item)
{
    free(item->namespace);
    free(item->name);
    free(item->source);
    json_free(item->object);
    *item = (struct item){0};
}

struct item *items_add(struct items *items)
{
    GROW(items->list, items->n, items->cap);
    struct item *item = &items->list[items->n++];
    *item = (struct item){0};
    return item;
}

void items_done(struct items *items)
{
    for (size_t i = 0; i < items->n; i++)
        item_done(&items->list[i]);
    free(items->list);
    *items = (struct items){0};
}

void selection_done(struct selection *selection)
{
    strv_done(&selection->filenames);
}

bool selection_has_files(const struct selection *selection)
{
    return selection->filenames.n > 0 || selection->kustomize != NULL;
}

int selection_require_files(const struct selection *selection, struct err *err)
{
    if (!selection_has_files(selection))
        return err_set(err, ERR_USAGE, "must specify one of -f and -k");
    return 0;
}

void resource_print_kind(const struct kube_resource *resource, struct buf *out)
{
    for (const char *c = resource->kind; *c != '\0'; c++)
        buf_add_char(out, (char)tolower((unsigned char)*c));
    if (resource->group[0] != '\0')
        buf_printf(out, ".%s", resource->group);
}

void resource_print_plural(const struct kube_resource *resource, struct buf *out)
{
    buf_add_str(out, resource->plural);
    if (resource->group[0] != '\0')
        buf_printf(out, ".%s", resource->group);
}

void item_print_name(const struct item *item, struct buf *out)
{
    resource_print_kind(item->resource, out);
    buf_printf(out, "/%s", strempty(item->name));
}

int item_check_name(const struct item *item, struct err *err)
{
    if (strempty(item->name)[0] == '\0')
        return err_set(err, ERR_INVALID, "resource name may not be empty");
    return 0;
}

char *item_path(const struct item *item, const char *subresource)
{
    const struct kube_resource *r = item->resource;
    return kube_path(r->group, r->version, r->namespaced ? item->namespace : NULL, r->plural, item->name, subresource);
}

char *item_collection_path(const struct item *item)
{
    const struct kube_resource *r = item->resource;
    return kube_path(r->group, r->version, r->namespaced ? item->namespace : NULL, r->plural, NULL, NULL);
}

/* For an object that is not found: when its namespace does not exist either, that is the better message. */
static void blame_namespace(struct cli *cli, const char *namespace, struct err *err)
{
    CLEANUP(xfree) char *path = kube_path("", "v1", NULL, "namespaces", namespace, NULL);
    const struct kube_request request = {.path = path};
    struct err missing = {0};
    if (cli_do(cli, &request, NULL, &missing) < 0 && missing.code == ERR_NOT_FOUND) {
        err_clear(err);
        err_move(err, &missing);
    }
    err_clear(&missing);
}

int item_get(struct cli *cli, const struct item *item, const char *accept, struct json **ret, struct err *err)
{
    if (item_check_name(item, err) < 0)
        return err->code;
    CLEANUP(xfree) char *path = item_path(item, NULL);
    const struct kube_request request = {.path = path, .accept = accept};
    if (cli_do(cli, &request, ret, err) < 0) {
        if (err->code == ERR_NOT_FOUND && item->namespace != NULL && !streq(item->namespace, "default"))
            blame_namespace(cli, item->namespace, err);
        return err->code;
    }
    return 0;
}

int item_fetch(struct cli *cli, struct item *item, const char *subresource, struct err *err)
{
    if (item_check_name(item, err) < 0)
        return err->code;
    CLEANUP(xfree) char *path = item_path(item, subresource);
    const struct kube_request request = {.path = path};
    struct json *object = NULL;
    if (cli_do(cli, &request, &object, err) < 0)
        return err->code;
    json_free(item->object);
    item->object = object;
    return 0;
}

/* A list that the server refuses is told with what was asked for, as kubectl does. */
static int blame_selector(const struct item *item, const struct selection *selection, struct err *err)
{
    const char *labels = strempty(selection->label_selector), *fields = strempty(selection->field_selector);
    const struct kube_resource *r = item->resource;
    if (err->http_status != 400 && err->http_status != 404)
        return err->code;
    CLEANUP(xfree) char *subject = xasprintf("%s/%s, Resource=%s", r->group, r->version, r->plural);
    if (labels[0] == '\0' && fields[0] == '\0')
        return err_wrap(err, "Unable to list \"%s\"", subject);
    return err_wrap(err, "Unable to find \"%s\" that match label selector \"%s\", field selector \"%s\"", subject,
                    labels, fields);
}

int item_list(struct cli *cli, const struct item *item, const struct item_listing *listing, item_page *page, void *data,
              struct err *err)
{
    const struct selection *selection = listing->selection;
    CLEANUP(xfree) char *continue_token = NULL;
    do {
        CLEANUP(buf_done) struct buf path = {0};
        CLEANUP(xfree) char *collection = item_collection_path(item);
        buf_add_str(&path, collection);
        /* in the alphabet's order, as kubectl writes it and its users' scripts find it in -v output */
        if (continue_token != NULL)
            kube_path_query(&path, "continue", continue_token);
        if (selection->field_selector != NULL && selection->field_selector[0] != '\0')
            kube_path_query(&path, "fieldSelector", selection->field_selector);
        if (listing->extra_query != NULL)
            buf_printf(&path, "%c%s", strchr(buf_text(&path), '?') != NULL ? '&' : '?', listing->extra_query);
        if (selection->label_selector != NULL && selection->label_selector[0] != '\0')
            kube_path_query(&path, "labelSelector", selection->label_selector);
        if (selection->chunk_size > 0) {
            CLEANUP(xfree) char *limit = xasprintf("%lld", (long long)selection->chunk_size);
            kube_path_query(&path, "limit", limit);
        }

        const struct kube_request request = {
            .path = buf_text(&path), .accept = listing->accept, .omit = listing->omit};
        CLEANUP(json_free) struct json *answer = NULL;
        if (cli_do(cli, &request, &answer, err) < 0)
            return blame_selector(item, selection, err);
        free(continue_token);
        const char *next = json_str(answer, "metadata", "continue", NULL);
        continue_token = next != NULL && next[0] != '\0' ? xstrdup(next) : NULL;
        if (!page(&answer, data))
            return 0;
    } while (continue_token != NULL);
    return 0;
}

int items_select(struct cli *cli, const struct selection *selection, const struct strv *args, struct items *ret,
                 struct failures *failures, struct err *err)
{
    if (!selection_has_files(selection))
        return items_from_args(cli, selection, args, ret, err);
    if (args->n > 0) {
        if (items_check_files(selection, err) < 0)
            return err->code;
        if (args->n == 1 && strchr(args->items[0], '/') == NULL)
            return err_set(
                err, ERR_USAGE,
                "when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well");
        return err_set(err, ERR_USAGE,
                       strchr(args->items[0], '/') != NULL
                           ? "resource/name arguments cannot be provided when a path is specified"
                           : "when paths, URLs, or stdin is provided as input, you may not specify resource "
                             "arguments as well");
    }
    return items_from_files(cli, selection, ret, failures, err);
}

void item_set_type(const struct kube_resource *resource, struct json *object)
{
    CLEANUP(xfree)
    char *api_version = resource->group[0] != '\0' ? xasprintf("%s/%s", resource->group, resource->version)
                                                   : xstrdup(resource->version);
    json_set_str(object, "apiVersion", api_version);
    json_set_str(object, "kind", resource->kind);
}

struct members {
    const struct item *collection;
    struct items *out;
};

/* One item per member of a list answer, which has no other holder. */
static bool add_members(struct json **answer, void *data)
{
    struct members *members = data;
    const struct kube_resource *resource = members->collection->resource;
    struct json *list = json_edit_member(*answer, "items");
    for (size_t i = 0; i < json_len(list); i++) {
        struct json *member = json_edit_at(list, i);
        struct item *item = items_add(members->out);
        item->resource = resource;
        item->name = xstrdup(json_str(member, "metadata", "name", NULL));
        item->namespace = xstrdup(json_str(member, "metadata", "namespace", NULL));
        item_set_type(resource, member);
        item->object = json_keep(member);
    }
    return true;
}

int items_list(struct cli *cli, const struct item *collection, const struct selection *selection, struct items *ret,
               struct err *err)
{
    const struct item_listing listing = {.selection = selection};
    struct members members = {.collection = collection, .out = ret};
    return item_list(cli, collection, &listing, add_members, &members, err);
}

int items_fail(const struct cli *cli, const struct selection *selection, const struct err *err)
{
    if (selection->kustomize == NULL || err->http_status != 0 || err->code == ERR_USAGE)
        return cli_fail(cli, err);
    (void)fflush(stdout);
    fprintf(stderr, "%s\n", err_text(err));
    return 1;
}

int items_fail_all(const struct cli *cli, const struct selection *selection, const struct failures *failures)
{
    if (failures->n != 1 || failures->list[0].http_status != 0 || selection->filenames.n == 0)
        return cli_fail_all(cli, failures);
    (void)fflush(stdout);
    fprintf(stderr, "%s\n", err_text(&failures->list[0]));
    return 1;
}

int items_resolve(struct cli *cli, const struct selection *selection, const struct strv *args, bool fetch,
                  struct items *ret, struct failures *failures, struct err *err)
{
    CLEANUP(items_done) struct items selected = {0};
    if (items_select(cli, selection, args, &selected, failures, err) < 0)
        return err->code;
    ret->single = selected.single;
    for (size_t i = 0; i < selected.n; i++) {
        struct item *item = &selected.list[i];
        struct err failure = {0};
        if (item->name == NULL) {
            if (items_list(cli, item, selection, ret, &failure) < 0)
                failures_add(failures, &failure);
            continue;
        }
        if (fetch) {
            struct json *object = NULL;
            if (item_get(cli, item, NULL, &object, &failure) < 0) {
                failures_add(failures, &failure);
                continue;
            }
            json_free(item->object);
            item->object = object;
        }
        struct item *copy = items_add(ret);
        *copy = *item;
        *item = (struct item){0};
    }
    return 0;
}
