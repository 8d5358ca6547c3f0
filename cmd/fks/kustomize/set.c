/*
 * set.c: the objects of a build, who they are and were, and the order in which they are best applied.
 */
#include "kustomize/internal.h"

#include "base/mem.h"

#define NO_GROUP "~G" /* kustomize sorts what is missing by these */
#define NO_NAMESPACE "~X"

const char *kustomize_object_name(const struct kustomize_object *object)
{
    return json_str_or("", object->object, "metadata", "name", NULL);
}

const char *kustomize_object_namespace(const struct kustomize_object *object)
{
    const char *namespace = json_str_or("", object->object, "metadata", "namespace", NULL);
    return namespace[0] != '\0' ? namespace : "default";
}

const char *kustomize_object_kind(const struct kustomize_object *object)
{
    return json_str_or("", object->object, "kind", NULL);
}

char *kustomize_group(const struct json *object)
{
    const char *version = json_str_or("", object, "apiVersion", NULL), *slash = strchr(version, '/');
    return slash != NULL ? xstrndup(version, (size_t)(slash - version)) : xstrdup("");
}

void kustomize_object_keep_name(struct kustomize_object *object)
{
    strv_add(&object->names, kustomize_object_name(object));
    strv_add(&object->namespaces, kustomize_object_namespace(object));
}

bool kustomize_object_was(const struct kustomize_object *object, const char *name, const char *namespace)
{
    for (size_t i = 0; i < object->names.n; i++) {
        if (streq(object->names.items[i], name) && (namespace == NULL || streq(object->namespaces.items[i], namespace)))
            return true;
    }
    return streq(kustomize_object_name(object), name) &&
           (namespace == NULL || streq(kustomize_object_namespace(object), namespace));
}

static bool same_id(const struct kustomize_object *a, const struct kustomize_object *b)
{
    CLEANUP(xfree) char *group_a = kustomize_group(a->object), *group_b = kustomize_group(b->object);
    return streq(kustomize_object_kind(a), kustomize_object_kind(b)) && streq(group_a, group_b) &&
           streq(kustomize_object_name(a), kustomize_object_name(b)) &&
           streq(kustomize_object_namespace(a), kustomize_object_namespace(b));
}

static void object_done(struct kustomize_object *object)
{
    json_free(object->object);
    strv_done(&object->names);
    strv_done(&object->namespaces);
}

static int add(struct kustomize_set *set, struct kustomize_object *object, struct err *err)
{
    int code = 0;
    if (set->n >= KUSTOMIZE_OBJECTS_MAX)
        code = err_set(err, ERR_TOO_BIG, "more than %d objects", KUSTOMIZE_OBJECTS_MAX);
    for (size_t i = 0; i < set->n && code == 0; i++) {
        if (same_id(&set->list[i], object))
            code = err_set(
                err, ERR_INVALID, "may not add resource with an already registered id: %s %s of namespace %s",
                kustomize_object_kind(object), kustomize_object_name(object), kustomize_object_namespace(object));
    }
    if (code < 0) {
        object_done(object);
        return code;
    }
    GROW(set->list, set->n, set->cap);
    set->list[set->n++] = *object;
    return 0;
}

int kustomize_set_add(struct kustomize_set *set, struct json *object, struct err *err)
{
    struct kustomize_object new = {.object = object};
    return add(set, &new, err);
}

int kustomize_set_move(struct kustomize_set *set, struct kustomize_set *from, struct err *err)
{
    for (size_t i = 0; i < from->n; i++) {
        struct kustomize_object moved = from->list[i];
        from->list[i] = (struct kustomize_object){0};
        if (add(set, &moved, err) < 0)
            return err->code;
    }
    from->n = 0;
    return 0;
}

void kustomize_set_remove(struct kustomize_set *set, size_t index)
{
    object_done(&set->list[index]);
    for (size_t i = index; i + 1 < set->n; i++)
        set->list[i] = set->list[i + 1];
    set->n--;
}

void kustomize_set_done(struct kustomize_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        object_done(&set->list[i]);
    free(set->list);
    *set = (struct kustomize_set){0};
}

/* --- order */

static int place_of_kind(const char *kind)
{
    static const char *const first[] = {"Namespace",
                                        "ResourceQuota",
                                        "StorageClass",
                                        "CustomResourceDefinition",
                                        "ServiceAccount",
                                        "PodSecurityPolicy",
                                        "Role",
                                        "ClusterRole",
                                        "RoleBinding",
                                        "ClusterRoleBinding",
                                        "ConfigMap",
                                        "Secret",
                                        "Endpoints",
                                        "Service",
                                        "LimitRange",
                                        "PriorityClass",
                                        "PersistentVolume",
                                        "PersistentVolumeClaim",
                                        "Deployment",
                                        "StatefulSet",
                                        "CronJob",
                                        "PodDisruptionBudget"};
    for (size_t i = 0; i < countof(first); i++) {
        if (streq(first[i], kind))
            return (int)i - (int)countof(first);
    }
    return streq(kind, "MutatingWebhookConfiguration") ? 1 : streq(kind, "ValidatingWebhookConfiguration") ? 2 : 0;
}

/* "apps_v1_Deployment|prod|web" with kustomize's words for what is missing. */
static char *sort_key(const struct kustomize_object *object)
{
    const char *version = json_str_or("", object->object, "apiVersion", NULL), *slash = strchr(version, '/');
    CLEANUP(xfree) char *group = kustomize_group(object->object);
    const char *namespace = json_str_or("", object->object, "metadata", "namespace", NULL);
    return xasprintf("%s_%s_%s|%s|%s", group[0] != '\0' ? group : NO_GROUP, slash != NULL ? slash + 1 : version,
                     kustomize_object_kind(object), namespace[0] != '\0' ? namespace : NO_NAMESPACE,
                     kustomize_object_name(object));
}

static int compare(const void *a, const void *b)
{
    const struct kustomize_object *left = a, *right = b;
    int place_left = place_of_kind(kustomize_object_kind(left)),
        place_right = place_of_kind(kustomize_object_kind(right));
    if (place_left != place_right)
        return place_left < place_right ? -1 : 1;
    CLEANUP(xfree) char *key_left = sort_key(left), *key_right = sort_key(right);
    return strcmp(key_left, key_right);
}

void kustomize_set_sort(struct kustomize_set *set)
{
    if (set->n > 1)
        qsort(set->list, set->n, sizeof(*set->list), compare);
}
