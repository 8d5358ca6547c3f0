/*
 * discovery_documents.c: the server's aggregated discovery (KEP-3352), which tells everything in two answers, turned into
 * the documents of older servers, a list of groups and a list of resources for each version: these are what kubectl keeps on
 * disk, and we with it. Reading them is done here too; the disk is discovery_cache.c's.
 */
#include "base/mem.h"
#include "kube/discovery_internal.h"

/* v2 since Kubernetes 1.30, v2beta1 since 1.27 */
#define ACCEPT_AGGREGATED                                                                                              \
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"                                            \
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"

/* --- from aggregated discovery */

/* An APIResource. group and version are left out where they are those of the list. */
static struct json *resource_of(const struct json *parent, const struct json *source, const char *subresource)
{
    const char *kind = json_str(source, "responseKind", "kind", NULL);
    const char *group = json_str(source, "responseKind", "group", NULL);
    const char *version = json_str(source, "responseKind", "version", NULL);
    if (kind == NULL)
        return NULL; /* only subresources are served */
    CLEANUP(xfree)
    char *name = subresource == NULL ? xstrdup(json_str_or("", parent, "resource", NULL))
                                     : xasprintf("%s/%s", json_str_or("", parent, "resource", NULL), subresource);
    const struct json *names = json_get(source, "shortNames", NULL), *categories = json_get(source, "categories", NULL);
    return json_build("{s:s, s:s, s:b, s:s*, s:s*, s:s, s:O, s:O*, s:O*}", "name", name, "singularName",
                      json_str_or("", parent, "singularResource", NULL), "namespaced",
                      (int)streq(json_str(parent, "scope", NULL), "Namespaced"), "group",
                      strempty(group)[0] != '\0' ? group : NULL, "version", strempty(version)[0] != '\0' ? version : NULL,
                      "kind", kind, "verbs", json_get(source, "verbs", NULL), "shortNames",
                      json_len(names) > 0 ? names : NULL, "categories", json_len(categories) > 0 ? categories : NULL);
}

static struct json *list_of(const char *group_version, const struct json *version)
{
    struct json *resources = json_new_array();
    const struct json *resource, *subresource;
    json_each(resource, json_get(version, "resources", NULL)) {
        struct json *entry = resource_of(resource, resource, NULL);
        if (entry != NULL)
            json_push(resources, entry);
        json_each(subresource, json_get(resource, "subresources", NULL)) {
            entry = resource_of(resource, subresource, json_str_or("", subresource, "subresource", NULL));
            if (entry != NULL)
                json_push(resources, entry);
        }
    }
    return json_build("{s:s, s:s, s:s, s:o}", "kind", "APIResourceList", "apiVersion", "v1", "groupVersion", group_version,
                      "resources", resources);
}

struct documents {
    struct json *groups, *lists, *stale; /* arrays */
};

static void documents_done(struct documents *documents)
{
    json_free(documents->groups);
    json_free(documents->lists);
    json_free(documents->stale);
    *documents = (struct documents){0};
}
DEFINE_CLEANUP_IN_PLACE(struct documents, documents_done)

static void add_group(struct documents *documents, const struct json *source)
{
    const char *name = json_str_or("", source, "metadata", "name", NULL);
    struct json *versions = json_new_array();
    const struct json *version;
    json_each(version, json_get(source, "versions", NULL)) {
        const char *text = json_str_or("", version, "version", NULL);
        CLEANUP(xfree) char *group_version = name[0] != '\0' ? xasprintf("%s/%s", name, text) : xstrdup(text);
        if (streq(json_str(version, "freshness", NULL), "Stale")) {
            json_push(documents->stale, json_new_string(group_version));
            continue;
        }
        json_push(versions, json_build("{s:s, s:s}", "groupVersion", group_version, "version", text));
        json_push(documents->lists, list_of(group_version, version));
    }
    const struct json *first = json_at(versions, 0);
    struct json *preferred = first != NULL ? json_keep(first) : json_build("{s:s, s:s}", "groupVersion", "", "version", "");
    json_push(documents->groups,
              json_build("{s:s, s:o, s:o}", "name", name, "versions", versions, "preferredVersion", preferred));
}

static int add_document(struct documents *documents, struct kube_client *client, const struct json *document,
                        struct err *err)
{
    const struct json *group;
    if (!streq(json_str(document, "kind", NULL), "APIGroupDiscoveryList"))
        return err_set(err, ERR_UNSUPPORTED, "the server at %s has no aggregated discovery (Kubernetes 1.27 or newer has)",
                       kube_client_config(client)->server);
    json_each(group, json_get(document, "items", NULL))
        add_group(documents, group);
    return 0;
}

int discovery_fetch(struct kube_client *client, struct json **ret, struct err *err)
{
    CLEANUP(documents_done)
    struct documents documents = {.groups = json_new_array(), .lists = json_new_array(), .stale = json_new_array()};
    static const struct kube_request requests[] = {
        {.path = "/api", .accept = ACCEPT_AGGREGATED, .to_read = true},
        {.path = "/apis", .accept = ACCEPT_AGGREGATED, .to_read = true},
    };
    struct json *answers[countof(requests)] = {NULL};
    if (kube_do_all(client, requests, countof(requests), answers, err) < 0)
        return (int)err->code;
    CLEANUP(json_free) struct json *core = answers[0], *others = answers[1];
    if (add_document(&documents, client, core, err) < 0 || add_document(&documents, client, others, err) < 0)
        return (int)err->code;
    *ret = json_build("{s:{s:s, s:s, s:o}, s:o, s:o}", "groups", "kind", "APIGroupList", "apiVersion", "v1", "groups",
                      take(&documents.groups), "lists", take(&documents.lists), "stale", take(&documents.stale));
    return 0;
}

/* --- to resources */

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

static void add_resources(struct discovery_list *list, const struct json *document)
{
    const char *group_version = json_str_or("", document, "groupVersion", NULL), *slash = strchr(group_version, '/');
    const struct json *item;
    json_each(item, json_get(document, "resources", NULL)) {
        const char *plural = json_str(item, "name", NULL), *kind = json_str(item, "kind", NULL);
        if (plural == NULL || kind == NULL || strchr(plural, '/') != NULL)
            continue;
        GROW(list->items, list->n, list->cap);
        struct kube_resource *resource = &list->items[list->n++];
        *resource = (struct kube_resource){
            .group = slash != NULL ? xstrndup(group_version, (size_t)(slash - group_version)) : xstrdup(""),
            .version = xstrdup(slash != NULL ? slash + 1 : group_version),
            .plural = xstrdup(plural),
            .singular = xstrdup(json_str_or("", item, "singularName", NULL)),
            .kind = xstrdup(kind),
            .namespaced = json_is_true(item, "namespaced", NULL),
        };
        add_strings(&resource->short_names, json_get(item, "shortNames", NULL));
        add_strings(&resource->categories, json_get(item, "categories", NULL));
        add_strings(&resource->verbs, json_get(item, "verbs", NULL));
    }
}

void discovery_list_fill(struct discovery_list *list, const struct json *documents)
{
    const struct json *document;
    json_each(document, json_get(documents, "lists", NULL))
        add_resources(list, document);
}
