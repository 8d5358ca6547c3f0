/*
 * applyset.c: the parent object of a set of applied objects: read, written before and after an apply, and asked for what has
 * left the set. Applying and deleting are apply.c's. The parent's labels and annotations are kubectl's, so that either program
 * goes on with what the other began.
 */
#include "apply/applyset.h"

#include "base/codec.h"
#include "base/mem.h"
#include "net/pki.h"

#define PREFIX "applyset.kubernetes.io/"
#define ID_LABEL PREFIX "id"
#define MEMBER_LABEL PREFIX "part-of"
#define PARENT_TYPE_LABEL PREFIX "is-parent-type"
#define TOOLING_ANNOTATION PREFIX "tooling"
#define KINDS_ANNOTATION PREFIX "contains-group-kinds"
#define RESOURCES_ANNOTATION PREFIX "contains-group-resources" /* of kubectl before v1.27 */
#define NAMESPACES_ANNOTATION PREFIX "additional-namespaces"
#define TOOL "kubectl"
#define MANAGER TOOL "-applyset"

void applyset_done(struct applyset *set)
{
    item_done(&set->parent);
    set->id = xfree(set->id);
    strv_done(&set->kinds);
    strv_done(&set->namespaces);
    strv_done(&set->applied_kinds);
    strv_done(&set->applied_namespaces);
}

bool applyset_is_enabled(void)
{
    return streq(getenv("KUBECTL_APPLYSET"), "true");
}

/* --- the parent */

/* "secrets./web", in errors. */
static char *parent_text(const struct applyset *set)
{
    return xasprintf("%s.%s/%s", set->parent.resource->plural, set->parent.resource->group, set->parent.name);
}

/* A hash of the parent's name, namespace and kind, between what makes it a good value of a label. */
static char *make_id(const struct item *parent)
{
    CLEANUP(xfree) char *plain = xasprintf("%s.%s.%s.%s", parent->name, strempty(parent->namespace), parent->resource->kind,
                                           parent->resource->group);
    static const char digits[] = "0123456789abcdef";
    char hex[65], bytes[32];
    CLEANUP(buf_done) struct buf encoded = {0};
    pki_sha256_hex(plain, strlen(plain), hex);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)((strchr(digits, hex[2 * i]) - digits) << 4 | (strchr(digits, hex[2 * i + 1]) - digits));
    base64_encode(bytes, sizeof(bytes), &encoded);
    for (char *c = encoded.data; *c != '\0'; c++) /* the alphabet for URLs, without padding */
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? '\0' : *c;
    return xasprintf("applyset-%s-v1", buf_text(&encoded));
}

static int find_parent(struct applyset *set, const char *reference, struct err *err)
{
    const char *slash = strchr(reference, '/');
    CLEANUP(xfree) char *type = slash != NULL ? xstrndup(reference, (size_t)(slash - reference)) : xstrdup("secrets");
    const char *name = slash != NULL ? slash + 1 : reference;
    if (name[0] == '\0')
        return err_set(err, ERR_USAGE, "name cannot be blank");
    if (kube_discovery_find(set->cli->discovery, type, &set->parent.resource, err) < 0)
        return err->code;
    set->parent.name = xstrdup(name);
    return 0;
}

int applyset_open(struct applyset *set, struct cli *cli, const char *reference, struct err *err)
{
    set->cli = cli;
    if (cli_connect(cli, err) < 0)
        return err->code;
    if (find_parent(set, reference, err) < 0)
        return err_wrap(err, "invalid parent reference \"%s\"", reference);
    /* the context's namespace does not count: a set must not be another one because somebody changed their context */
    if (set->parent.resource->namespaced && cli->namespace != NULL)
        set->parent.namespace = xstrdup(cli->namespace);
    set->id = make_id(&set->parent);
    return 0;
}

static bool is_builtin_parent(const struct kube_resource *resource)
{
    return resource->group[0] == '\0' && (streq(resource->plural, "secrets") || streq(resource->plural, "configmaps"));
}

/* A custom type is allowed by a label of its definition. */
static int check_custom_parent(const struct applyset *set, struct err *err)
{
    const struct kube_resource *resource = set->parent.resource;
    struct item definitions = {0};
    const struct selection selection = {.label_selector = PARENT_TYPE_LABEL};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(buf_done) struct buf wanted = {0};
    if (kube_discovery_find(set->cli->discovery, "customresourcedefinitions", &definitions.resource, err) < 0 ||
        items_list(set->cli, &definitions, &selection, &items, err) < 0)
        return err_wrap(err, "identifying allowed custom resource parent types");
    resource_print_plural(resource, &wanted);
    for (size_t i = 0; i < items.n; i++) {
        if (streq(items.list[i].name, buf_text(&wanted)))
            return 0;
    }
    return err_set(err, ERR_USAGE, "resource \"%s/%s, Resource=%s\" is not permitted as an ApplySet parent", resource->group,
                   resource->version, resource->plural);
}

int applyset_check(const struct applyset *set, struct err *err)
{
    CLEANUP(err_clear) struct err second = {0};
    bool unnamed = set->parent.resource->namespaced && set->parent.namespace == NULL;
    int code = is_builtin_parent(set->parent.resource) ? 0 : check_custom_parent(set, &second);
    if (!unnamed && code == 0)
        return 0;
    static const char where[] = "namespace is required to use namespace-scoped ApplySet";
    if (unnamed && code < 0)
        return err_set(err, ERR_USAGE, "[%s, %s]", where, err_text(&second));
    return err_set(err, ERR_USAGE, "%s", unnamed ? where : err_text(&second));
}

/* --- what the parent says */

static void add_once(struct strv *list, const char *text)
{
    if (!strv_has(list, text))
        strv_add(list, text);
}

static char *kind_text(const struct kube_resource *resource)
{
    return xasprintf("%s%s%s", resource->kind, resource->group[0] != '\0' ? "." : "", resource->group);
}

static int read_kinds(struct applyset *set, const struct json *annotations, struct err *err)
{
    const char *kinds = json_str(annotations, KINDS_ANNOTATION, NULL), *resources = json_str(annotations, RESOURCES_ANNOTATION, NULL);
    if (kinds == NULL && strempty(resources)[0] == '\0')
        return err_set(err, ERR_INVALID, TOOL " requires the \"" KINDS_ANNOTATION "\" annotation to be set on all ApplySet parent objects");
    CLEANUP(strv_done) struct strv names = {0};
    strv_split(&names, kinds != NULL ? kinds : resources, ',');
    for (size_t i = 0; i < names.n; i++) {
        const struct kube_resource *resource = NULL;
        if (kube_discovery_find(set->cli->discovery, names.items[i], &resource, err) < 0)
            return kinds != NULL ? err_wrap(err, "could not find mapping for kind in \"" KINDS_ANNOTATION "\" annotation")
                                 : err_wrap(err, "invalid group resource in \"" RESOURCES_ANNOTATION "\" annotation");
        CLEANUP(xfree) char *kind = kind_text(resource);
        add_once(&set->kinds, kind);
    }
    return 0;
}

/* The parent is kubectl's, and this set's. */
static int check_parent(const struct applyset *set, const struct json *object, const char *name, struct err *err)
{
    const char *tooling = json_str(object, "metadata", "annotations", TOOLING_ANNOTATION, NULL);
    const char *id = json_str(object, "metadata", "labels", ID_LABEL, NULL);
    if (tooling == NULL)
        return err_set(err, ERR_EXISTS, "ApplySet parent object \"%s\" already exists and is missing required annotation \"%s\"",
                       name, TOOLING_ANNOTATION);
    const char *slash = strrchr(tooling, '/');
    CLEANUP(xfree) char *tool = slash != NULL ? xstrndup(tooling, (size_t)(slash - tooling)) : xstrdup(tooling);
    if (!streq(tool, TOOL))
        return err_set(err, ERR_EXISTS,
                       "ApplySet parent object \"%s\" already exists and is managed by tooling \"%s\" instead of \"" TOOL "\"", name,
                       tool);
    if (id == NULL)
        return err_set(err, ERR_EXISTS, "ApplySet parent object \"%s\" exists and does not have required label " ID_LABEL, name);
    if (!streq(id, set->id))
        return err_set(err, ERR_EXISTS,
                       "ApplySet parent object \"%s\" exists and has incorrect value for label \"" ID_LABEL "\" (got: %s, want: %s)",
                       name, id, set->id);
    return 0;
}

static int read_parent(struct applyset *set, struct err *err)
{
    CLEANUP(json_free) struct json *object = NULL;
    CLEANUP(xfree) char *name = parent_text(set);
    if (item_get(set->cli, &set->parent, NULL, &object, err) < 0) {
        if (err->code != ERR_NOT_FOUND)
            return err_wrap(err, "failed to fetch ApplySet parent object \"%s\"", name);
        err_clear(err);
        return is_builtin_parent(set->parent.resource)
                   ? 0
                   : err_set(err, ERR_NOT_FOUND, "custom resource ApplySet parents cannot be created automatically");
    }
    const struct json *annotations = json_get(object, "metadata", "annotations", NULL);
    if (check_parent(set, object, name, err) < 0)
        return err->code;
    if (read_kinds(set, annotations, err) < 0)
        return err_wrap(err, "parsing ApplySet annotation on \"%s\"", name);
    strv_split(&set->namespaces, json_str_or("", annotations, NAMESPACES_ANNOTATION, NULL), ',');
    if (set->parent.namespace != NULL)
        add_once(&set->namespaces, set->parent.namespace);
    return 0;
}

/* --- writing the parent */

/* Both lists as one, sorted, each once, without `without`. */
static char *join(const struct strv *first, const struct strv *second, const char *without)
{
    CLEANUP(strv_done) struct strv all = {0};
    const struct strv *lists[] = {first, second};
    for (size_t l = 0; l < countof(lists); l++) {
        for (size_t i = 0; lists[l] != NULL && i < lists[l]->n; i++) {
            if (!streq(lists[l]->items[i], without))
                add_once(&all, lists[l]->items[i]);
        }
    }
    strv_sort(&all);
    return strv_join(&all, ",");
}

static int send_parent(const struct applyset *set, const struct write_options *write, const struct json *parent, const char *force,
                       struct err *err)
{
    struct write_options own = *write;
    CLEANUP(json_free) struct json *answer = NULL;
    own.field_manager = MANAGER;
    return write_patch(set->cli, &own, &set->parent, NULL, KUBE_APPLY_PATCH, parent, force, &answer, err);
}

/* with_old: also what it had before. Server-side apply, so that annotations of older ways disappear. */
static int write_parent(const struct applyset *set, bool with_old, const struct write_options *write, struct err *err)
{
    if (write_is_client_dry_run(write))
        return 0;
    const struct kube_resource *resource = set->parent.resource;
    const char *namespace = set->parent.namespace;
    CLEANUP(xfree) char *kinds = join(&set->applied_kinds, with_old ? &set->kinds : NULL, NULL);
    CLEANUP(xfree) char *namespaces = join(&set->applied_namespaces, with_old ? &set->namespaces : NULL, namespace);
    CLEANUP(xfree) char *version = xasprintf("%s%s%s", resource->group, resource->group[0] != '\0' ? "/" : "", resource->version);
    CLEANUP(json_free) struct json *parent = json_build(
        "{s:s, s:s, s:{s:s, s:s*, s:{s:s}, s:{s:s, s:s, s:s}}}", "kind", resource->kind, "apiVersion", version, "metadata", "name",
        set->parent.name, "namespace", namespace, "labels", ID_LABEL, set->id, "annotations", TOOLING_ANNOTATION,
        TOOL "/" CLI_COMPATIBLE_VERSION, KINDS_ANNOTATION, kinds, NAMESPACES_ANNOTATION, namespaces);
    if (send_parent(set, write, parent, "force=false", err) == ERR_CONFLICT) {
        cli_warn("failed to update ApplySet: %s\nApplySet field manager " MANAGER " should own these fields. Retrying with conflicts forced.",
                 err_text(err));
        err_clear(err);
        (void)!send_parent(set, write, parent, "force=true", err);
    }
    return err->code != 0 ? err_wrap(err, "failed to update ApplySet") : 0;
}

/* --- the apply */

int applyset_label(const struct applyset *set, struct items *items, struct err *err)
{
    for (size_t i = 0; i < items->n; i++) {
        struct json *labels = json_edit(items->list[i].object, "metadata", "labels", NULL);
        if (json_get(labels, MEMBER_LABEL, NULL) != NULL)
            return err_set(err, ERR_INVALID, "ApplySet label \"" MEMBER_LABEL "\" already set in input data");
        json_set_str(labels, MEMBER_LABEL, set->id);
    }
    return 0;
}

int applyset_begin(struct applyset *set, const struct items *items, const struct write_options *write, struct err *err)
{
    if (read_parent(set, err) < 0)
        return err->code;
    for (size_t i = 0; i < items->n; i++) {
        const struct item *item = &items->list[i];
        CLEANUP(xfree) char *kind = kind_text(item->resource);
        add_once(&set->applied_kinds, kind);
        if (item->resource->namespaced && item->namespace != NULL)
            add_once(&set->applied_namespaces, item->namespace);
    }
    return write_parent(set, true, write, err);
}

/* namespace NULL: a cluster-scoped kind. */
static int list_members(struct applyset *set, const struct kube_resource *resource, const char *namespace,
                        const struct strv *applied, struct items *ret, struct err *err)
{
    CLEANUP(xfree) char *selector = xasprintf(MEMBER_LABEL "=%s", set->id);
    const struct item collection = {.resource = resource, .namespace = (char *)(uintptr_t)namespace};
    const struct selection selection = {.label_selector = selector};
    CLEANUP(items_done) struct items items = {0};
    if (items_list(set->cli, &collection, &selection, &items, err) < 0)
        return err_wrap(err, "listing %s/%s, Kind=%s objects for pruning", resource->group, resource->version, resource->kind);
    for (size_t i = 0; i < items.n; i++) {
        if (strv_has(applied, json_str_or("", items.list[i].object, "metadata", "uid", NULL)))
            continue;
        *items_add(ret) = items.list[i];
        items.list[i] = (struct item){0};
    }
    return 0;
}

/* All of them are known before the first one goes. */
static int find_pruned(struct applyset *set, const struct strv *applied, struct items *ret, struct err *err)
{
    for (size_t i = 0; i < set->kinds.n; i++) {
        const struct kube_resource *resource = NULL;
        if (kube_discovery_find(set->cli->discovery, set->kinds.items[i], &resource, err) < 0)
            return err->code;
        size_t n = resource->namespaced ? set->namespaces.n : 1;
        for (size_t k = 0; k < n; k++) {
            if (list_members(set, resource, resource->namespaced ? set->namespaces.items[k] : NULL, applied, ret, err) < 0)
                return err->code;
        }
    }
    return 0;
}

int applyset_prune(struct applyset *set, const struct strv *applied, const struct write_options *write, applyset_found *found,
                   void *data, struct err *err)
{
    CLEANUP(items_done) struct items pruned = {0};
    if (find_pruned(set, applied, &pruned, err) < 0)
        return err->code;
    for (size_t i = 0; i < pruned.n; i++) {
        const struct item *item = &pruned.list[i];
        CLEANUP(xfree) char *kind = kind_text(item->resource);
        bool namespaced = item->resource->namespaced;
        if (found(item, data, err) < 0)
            return err_wrap(err, "pruning %s %s%s%s", kind, namespaced ? strempty(item->namespace) : "", namespaced ? "/" : "",
                            item->name);
    }
    if (write_parent(set, false, write, err) < 0)
        return err_wrap(err, "apply and prune succeeded, but ApplySet update failed");
    return 0;
}
