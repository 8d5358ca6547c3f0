/*
 * discovery_cache.c: the server's aggregated discovery documents (KEP-3352) as a list of resources, and that list on disk,
 * one small file per server beside kubectl's own cache.
 */
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kube/discovery_internal.h"

#define FRESH_S (6 * 3600) /* as kubectl */
#define CACHE_MAX MIB(16)
/* v2 since Kubernetes 1.30, v2beta1 since 1.27 */
#define ACCEPT_AGGREGATED                                                                                              \
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"                                            \
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"

void kube_resource_done(struct kube_resource *resource)
{
    free(resource->group);
    free(resource->version);
    free(resource->plural);
    free(resource->singular);
    free(resource->kind);
    strv_done(&resource->short_names);
    strv_done(&resource->categories);
    strv_done(&resource->verbs);
    *resource = (struct kube_resource){0};
}

void discovery_list_done(struct discovery_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        kube_resource_done(&list->items[i]);
    free(list->items);
    *list = (struct discovery_list){0};
}

static void add_strings(struct strv *to, const struct json *array)
{
    const struct json *item;
    json_each(item, array) {
        if (json_string_value(item) != NULL)
            strv_add(to, json_string_value(item));
    }
}

/* --- from the server */

static void add_version(struct discovery_list *list, const char *group, const struct json *version)
{
    const struct json *item;
    json_each(item, json_get(version, "resources", NULL)) {
        const char *plural = json_str(item, "resource", NULL), *kind = json_str(item, "responseKind", "kind", NULL);
        if (plural == NULL || kind == NULL)
            continue; /* only subresources are served */
        GROW(list->items, list->n, list->cap);
        struct kube_resource *resource = &list->items[list->n++];
        *resource = (struct kube_resource){
            .group = xstrdup(group),
            .version = xstrdup(json_str_or("", version, "version", NULL)),
            .plural = xstrdup(plural),
            .singular = xstrdup(json_str_or("", item, "singularResource", NULL)),
            .kind = xstrdup(kind),
            .namespaced = streq(json_str(item, "scope", NULL), "Namespaced"),
        };
        add_strings(&resource->short_names, json_get(item, "shortNames", NULL));
        add_strings(&resource->categories, json_get(item, "categories", NULL));
        add_strings(&resource->verbs, json_get(item, "verbs", NULL));
    }
}

static int add_document(struct kube_client *client, const char *path, struct discovery_list *list, struct err *err)
{
    CLEANUP(json_free) struct json *document = NULL;
    const struct json *group, *version;
    struct kube_request request = {.path = path, .accept = ACCEPT_AGGREGATED};
    if (kube_do(client, &request, &document, err) < 0)
        return (int)err->code;
    if (!streq(json_str(document, "kind", NULL), "APIGroupDiscoveryList"))
        return err_set(err, ERR_UNSUPPORTED, "the server at %s has no aggregated discovery (Kubernetes 1.27 or newer has)",
                       kube_client_config(client)->server);
    json_each(group, json_get(document, "items", NULL)) {
        json_each(version, json_get(group, "versions", NULL))
            add_version(list, json_str_or("", group, "metadata", "name", NULL), version);
    }
    return 0;
}

int discovery_fetch(struct kube_client *client, struct discovery_list *ret, struct err *err)
{
    CLEANUP(discovery_list_done) struct discovery_list list = {0};
    if (add_document(client, "/api", &list, err) < 0 || add_document(client, "/apis", &list, err) < 0)
        return (int)err->code;
    *ret = list;
    list = (struct discovery_list){0};
    return 0;
}

/* --- on disk: {"resources": [[group, version, plural, singular, kind, namespaced, [short], [category], [verb]], ...]} */

char *discovery_cache_path(const char *cache_dir, const char *server)
{
    CLEANUP(xfree) char *folder = kube_cache_dir(cache_dir);
    const char *host = strstr(server, "://");
    CLEANUP(xfree) char *name = xasprintf("%s.json", host != NULL ? host + 3 : server);
    for (char *c = name; *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '.'))
            *c = '_';
    return path_join(folder, name, NULL);
}

static struct json *strings(const struct strv *list)
{
    struct json *array = json_new_array();
    for (size_t i = 0; i < list->n; i++)
        json_push(array, json_new_string(list->items[i]));
    return array;
}

void discovery_cache_save(const char *path, const struct discovery_list *list)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(buf_done) struct buf text = {0};
    struct json *rows = json_new_array();
    for (size_t i = 0; i < list->n; i++) {
        const struct kube_resource *resource = &list->items[i];
        json_push(rows, json_build("[s, s, s, s, s, b, o, o, o]", resource->group, resource->version, resource->plural,
                                   resource->singular, resource->kind, (int)resource->namespaced,
                                   strings(&resource->short_names), strings(&resource->categories),
                                   strings(&resource->verbs)));
    }
    CLEANUP(json_free) struct json *document = json_build("{s:o}", "resources", rows);
    json_print(document, &text);
    CLEANUP(xfree) char *folder = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    if (dir_make(folder, 0750, &ignored) == 0)
        (void)!file_write_atomic(path, buf_text(&text), text.len, 0640, &ignored);
}

static char *text_at(const struct json *row, size_t index)
{
    return xstrdup(strempty(json_string_value(json_at(row, index))));
}

bool discovery_cache_load(const char *path, struct discovery_list *ret)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *document = NULL;
    CLEANUP(discovery_list_done) struct discovery_list list = {0};
    const struct json *row;
    struct stat status;
    if (stat(path, &status) < 0 || clock_wall_ns() / 1000000000 - status.st_mtime >= FRESH_S)
        return false;
    if (file_read(path, CACHE_MAX, &text, &ignored) < 0 ||
        json_parse(buf_text(&text), text.len, &document, &ignored) < 0)
        return false;
    json_each(row, json_get(document, "resources", NULL)) {
        if (json_len(row) != 9)
            return false;
        GROW(list.items, list.n, list.cap);
        struct kube_resource *resource = &list.items[list.n++];
        *resource = (struct kube_resource){
            .group = text_at(row, 0),
            .version = text_at(row, 1),
            .plural = text_at(row, 2),
            .singular = text_at(row, 3),
            .kind = text_at(row, 4),
            .namespaced = json_is_true(json_at(row, 5), NULL),
        };
        add_strings(&resource->short_names, json_at(row, 6));
        add_strings(&resource->categories, json_at(row, 7));
        add_strings(&resource->verbs, json_at(row, 8));
    }
    if (list.n == 0)
        return false;
    *ret = list;
    list = (struct discovery_list){0};
    return true;
}
