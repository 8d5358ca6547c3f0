/*
 * discovery_documents.c: the server's aggregated discovery (KEP-3352), which tells everything in two answers: turned into
 * resources, and printed as the documents of older servers, a list of groups and a list of resources for each version, which
 * are what kubectl keeps on disk, and we with it. Reading those is done here too; the disk is discovery_cache.c's.
 */
#include "base/mem.h"
#include "kube/discovery_internal.h"

/* v2 since Kubernetes 1.30, v2beta1 since 1.27 */
#define ACCEPT_AGGREGATED                                                                                              \
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"                                            \
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"

/* --- the answer */

void discovery_answer_done(struct discovery_answer *answer)
{
    answer->core = json_free(answer->core);
    answer->others = json_free(answer->others);
}

static bool is_aggregated(const struct json *document)
{
    return streq(json_str(document, "kind", NULL), "APIGroupDiscoveryList");
}

int discovery_fetch(struct kube_client *client, bool (*meanwhile)(void *data), void *data, struct discovery_answer *ret,
                    struct err *err)
{
    static const struct kube_request requests[] = {
        {.path = "/api", .accept = ACCEPT_AGGREGATED, .to_read = true},
        {.path = "/apis", .accept = ACCEPT_AGGREGATED, .to_read = true},
    };
    struct json *answers[countof(requests)] = {NULL};
    if (kube_do_all(client, requests, countof(requests), meanwhile, data, answers, err) < 0)
        return (int)err->code;
    CLEANUP(discovery_answer_done) struct discovery_answer answer = {.core = answers[0], .others = answers[1]};
    if (!is_aggregated(answer.core) || !is_aggregated(answer.others))
        return err_set(err, ERR_UNSUPPORTED, "the server at %s has no aggregated discovery (Kubernetes 1.27 or newer has)",
                       kube_client_config(client)->server);
    *ret = answer;
    answer = (struct discovery_answer){0};
    return 0;
}

static const char *name_of(const struct json *group)
{
    return json_str_or("", group, "metadata", "name", NULL);
}

static bool is_stale(const struct json *version)
{
    return streq(json_str(version, "freshness", NULL), "Stale");
}

/* "apps/v1", "v1" */
static void add_group_version(const struct json *group, const struct json *version, struct buf *out)
{
    const char *name = name_of(group);
    buf_printf(out, "%s%s%s", name, name[0] != '\0' ? "/" : "", json_str_or("", version, "version", NULL));
}

/* --- in kubectl's documents, as texts: on the way to the disk they need no trees */

/* before: a comma and the key, as they stand in the text */
static void add_text(const char *before, const char *text, struct buf *out)
{
    buf_add_str(out, before);
    json_print_text(text, out);
}

static void add_list(const char *before, const struct json *list, struct buf *out)
{
    buf_add_str(out, before);
    json_print(list, out);
}

/* An APIResource. group and version are left out where they are those of the list. */
static void add_resource(const struct json *parent, const struct json *source, const char *subresource, struct buf *out)
{
    const char *kind = json_str(source, "responseKind", "kind", NULL);
    const char *group = json_str_or("", source, "responseKind", "group", NULL);
    const char *version = json_str_or("", source, "responseKind", "version", NULL);
    const struct json *names = json_member(source, "shortNames"), *categories = json_member(source, "categories");
    if (kind == NULL)
        return; /* only subresources are served */
    CLEANUP(buf_done) struct buf name = {0};
    buf_add_str(&name, json_str_or("", parent, "resource", NULL));
    buf_add_str(&name, subresource != NULL ? "/" : "");
    buf_add_str(&name, strempty(subresource));
    add_text(out->data[out->len - 1] == '[' ? "{\"name\":" : ",{\"name\":", buf_text(&name), out);
    add_text(",\"singularName\":", json_str_or("", parent, "singularResource", NULL), out);
    buf_add_str(out, ",\"namespaced\":");
    buf_add_str(out, streq(json_str(parent, "scope", NULL), "Namespaced") ? "true" : "false");
    if (group[0] != '\0')
        add_text(",\"group\":", group, out);
    if (version[0] != '\0')
        add_text(",\"version\":", version, out);
    add_text(",\"kind\":", kind, out);
    add_list(",\"verbs\":", json_member(source, "verbs"), out);
    if (json_len(names) > 0)
        add_list(",\"shortNames\":", names, out);
    if (json_len(categories) > 0)
        add_list(",\"categories\":", categories, out);
    buf_add_char(out, '}');
}

/* An APIResourceList. */
static void print_resources(const char *group_version, const struct json *version, struct buf *out)
{
    const struct json *resource, *subresource;
    add_text("{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":", group_version, out);
    buf_add_str(out, ",\"resources\":[");
    json_each(resource, json_member(version, "resources")) {
        add_resource(resource, resource, NULL, out);
        json_each(subresource, json_member(resource, "subresources"))
            add_resource(resource, subresource, json_str_or("", subresource, "subresource", NULL), out);
    }
    buf_add_str(out, "]}\n");
}

static void add_version(const struct json *group, const struct json *version, struct buf *out)
{
    CLEANUP(buf_done) struct buf name = {0};
    if (version != NULL)
        add_group_version(group, version, &name);
    add_text("{\"groupVersion\":", buf_text(&name), out);
    add_text(",\"version\":", json_str_or("", version, "version", NULL), out);
    buf_add_char(out, '}');
}

static void add_group(const struct json *group, struct buf *out)
{
    const struct json *version, *preferred = NULL;
    add_text(out->data[out->len - 1] == '[' ? "{\"name\":" : ",{\"name\":", name_of(group), out);
    buf_add_str(out, ",\"versions\":[");
    json_each(version, json_member(group, "versions")) {
        if (is_stale(version))
            continue;
        buf_add_str(out, preferred != NULL ? "," : "");
        preferred = preferred != NULL ? preferred : version;
        add_version(group, version, out);
    }
    buf_add_str(out, "],\"preferredVersion\":");
    add_version(group, preferred, out);
    buf_add_char(out, '}');
}

/* An APIGroupList. */
static void print_groups(const struct discovery_answer *answer, struct buf *out)
{
    const struct json *group;
    buf_add_str(out, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[");
    json_each(group, json_member(answer->core, "items"))
        add_group(group, out);
    json_each(group, json_member(answer->others, "items"))
        add_group(group, out);
    buf_add_str(out, "]}\n");
}

static bool hand_out_resources(const struct json *document, discovery_take *take_one, void *data)
{
    CLEANUP(buf_done) struct buf text = {0}, name = {0};
    const struct json *group, *version;
    json_each(group, json_member(document, "items")) {
        json_each(version, json_member(group, "versions")) {
            if (is_stale(version))
                continue;
            buf_clear(&name);
            buf_clear(&text);
            add_group_version(group, version, &name);
            print_resources(buf_text(&name), version, &text);
            if (!take_one(buf_text(&name), &text, data))
                return false;
        }
    }
    return true;
}

bool discovery_answer_print(const struct discovery_answer *answer, discovery_take *take_one, void *data)
{
    CLEANUP(buf_done) struct buf text = {0};
    if (!hand_out_resources(answer->core, take_one, data) || !hand_out_resources(answer->others, take_one, data))
        return false;
    print_groups(answer, &text);
    return take_one(NULL, &text, data);
}

/* --- to resources */

void discovery_list_done(struct discovery_list *list)
{
    strv_done(&list->texts);
    free(list->items);
    *list = (struct discovery_list){0};
}

static const char *keep(struct discovery_list *list, char *text)
{
    strv_take(&list->texts, text);
    return text;
}

static const char *join(struct discovery_list *list, const struct json *array)
{
    struct buf text = {0};
    const struct json *item;
    json_each(item, array) {
        buf_add_str(&text, text.len > 0 ? "," : "");
        buf_add_str(&text, strempty(json_string_value(item)));
    }
    return text.len > 0 ? keep(list, buf_take(&text)) : "";
}

/* One more resource with what is called the same in both kinds of documents. */
static struct kube_resource *new_resource(struct discovery_list *list, const struct json *source)
{
    GROW(list->items, list->n, list->cap);
    struct kube_resource *resource = &list->items[list->n++];
    *resource = (struct kube_resource){
        .short_names = join(list, json_member(source, "shortNames")),
        .categories = join(list, json_member(source, "categories")),
        .verbs = join(list, json_member(source, "verbs")),
    };
    return resource;
}

void discovery_list_add(struct discovery_list *list, const struct json *document)
{
    const char *group_version = json_str_or("", document, "groupVersion", NULL), *slash = strchr(group_version, '/');
    const char *group = slash != NULL ? keep(list, xstrndup(group_version, (size_t)(slash - group_version))) : "";
    const char *version = keep(list, xstrdup(slash != NULL ? slash + 1 : group_version));
    const struct json *item;
    json_each(item, json_member(document, "resources")) {
        const char *plural = json_str(item, "name", NULL), *kind = json_str(item, "kind", NULL);
        if (plural == NULL || kind == NULL || strchr(plural, '/') != NULL)
            continue;
        struct kube_resource *resource = new_resource(list, item);
        resource->group = group;
        resource->version = version;
        resource->plural = keep(list, xstrdup(plural));
        resource->singular = keep(list, xstrdup(json_str_or("", item, "singularName", NULL)));
        resource->kind = keep(list, xstrdup(kind));
        resource->namespaced = json_is_true(item, "namespaced", NULL);
    }
}

static void add_version_resources(struct discovery_list *list, const struct json *group, const struct json *version)
{
    const char *group_name = keep(list, xstrdup(name_of(group)));
    const char *version_name = keep(list, xstrdup(json_str_or("", version, "version", NULL)));
    const struct json *item;
    json_each(item, json_member(version, "resources")) {
        const char *kind = json_str(item, "responseKind", "kind", NULL);
        if (kind == NULL)
            continue;
        struct kube_resource *resource = new_resource(list, item);
        resource->group = group_name;
        resource->version = version_name;
        resource->plural = keep(list, xstrdup(json_str_or("", item, "resource", NULL)));
        resource->singular = keep(list, xstrdup(json_str_or("", item, "singularResource", NULL)));
        resource->kind = keep(list, xstrdup(kind));
        resource->namespaced = streq(json_str(item, "scope", NULL), "Namespaced");
    }
}

static void add_document(struct discovery_list *list, struct strv *stale, const struct json *document)
{
    const struct json *group, *version;
    json_each(group, json_member(document, "items")) {
        json_each(version, json_member(group, "versions")) {
            if (is_stale(version)) {
                CLEANUP(buf_done) struct buf name = {0};
                add_group_version(group, version, &name);
                strv_add(stale, buf_text(&name));
            } else {
                add_version_resources(list, group, version);
            }
        }
    }
}

void discovery_answer_fill(const struct discovery_answer *answer, struct discovery_list *list, struct strv *stale)
{
    add_document(list, stale, answer->core);
    add_document(list, stale, answer->others);
}
