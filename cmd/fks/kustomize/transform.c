/*
 * transform.c: the fields that change every object: namespace, namePrefix and nameSuffix, commonLabels and labels,
 * commonAnnotations, replicas, images.
 */
#include "kustomize/internal.h"

#include "base/mem.h"

/* --- fields by path */

static void visit_at(struct json *node, const struct strv *steps, size_t i, bool create, kustomize_visit *visit,
                     void *data)
{
    if (json_is_array(node)) {
        for (size_t j = 0; j < json_len(node); j++)
            visit_at(json_edit_at(node, j), steps, i, create, visit, data);
        return;
    }
    if (!json_is_object(node))
        return;
    bool is_list = ends_with(steps->items[i], "[]");
    CLEANUP(xfree) char *key = xstrndup(steps->items[i], strlen(steps->items[i]) - (is_list ? 2 : 0));
    const struct json *member = json_member(node, key);
    bool missing = member == NULL || json_type(member) == JSON_NULL;
    if (missing && (!create || is_list))
        return;
    if (i + 1 == steps->n)
        visit(node, key, data);
    else
        visit_at(missing ? json_edit(node, key, NULL) : json_edit_member(node, key), steps, i + 1, create, visit, data);
}

void kustomize_visit_path(struct json *object, const char *path, bool create, kustomize_visit *visit, void *data)
{
    CLEANUP(strv_done) struct strv steps = {0};
    strv_split(&steps, path, '/');
    if (steps.n > 0)
        visit_at(object, &steps, 0, create, visit, data);
}

struct place {
    const char *kind, *group; /* NULL: any */
    const char *path;
    bool create;
};

static void visit_places(struct kustomize_set *set, const struct place *places, size_t n, kustomize_visit *visit,
                         void *data)
{
    for (size_t i = 0; i < set->n; i++) {
        struct kustomize_object *object = &set->list[i];
        CLEANUP(xfree) char *group = kustomize_group(object->object);
        for (size_t j = 0; j < n; j++) {
            const struct place *place = &places[j];
            if ((place->kind == NULL || streq(place->kind, kustomize_object_kind(object))) &&
                (place->group == NULL || streq(place->group, group)))
                kustomize_visit_path(object->object, place->path, place->create, visit, data);
        }
    }
}

/* --- labels and annotations */

#define POD_TERMS "/podAffinityTerm/labelSelector/matchLabels"
#define PREFERRED "/preferredDuringSchedulingIgnoredDuringExecution"
#define REQUIRED "/requiredDuringSchedulingIgnoredDuringExecution"
#define AFFINITY(kind, prefix)                                                                    \
    {kind, "apps", prefix "/affinity/podAffinity" PREFERRED POD_TERMS, false},                    \
        {kind, "apps", prefix "/affinity/podAffinity" REQUIRED "/labelSelector/matchLabels"},     \
        {kind, "apps", prefix "/affinity/podAntiAffinity" PREFERRED POD_TERMS},                   \
        {kind, "apps", prefix "/affinity/podAntiAffinity" REQUIRED "/labelSelector/matchLabels"}, \
    {                                                                                             \
        kind, "apps", prefix "/topologySpreadConstraints/labelSelector/matchLabels"               \
    }

static const struct place selectors[] = {
    {"Service", "", "spec/selector", true},
    {"ReplicationController", "", "spec/selector", true},
    {"Deployment", NULL, "spec/selector/matchLabels", true},
    AFFINITY("Deployment", "spec/template/spec"),
    {"ReplicaSet", NULL, "spec/selector/matchLabels", true},
    {"DaemonSet", NULL, "spec/selector/matchLabels", true},
    {"StatefulSet", "apps", "spec/selector/matchLabels", true},
    AFFINITY("StatefulSet", "spec/template/spec"),
    {"Job", "batch", "spec/selector/matchLabels"},
    {"CronJob", "batch", "spec/jobTemplate/spec/selector/matchLabels"},
    {"PodDisruptionBudget", "policy", "spec/selector/matchLabels"},
    {"NetworkPolicy", "networking.k8s.io", "spec/podSelector/matchLabels"},
    {"NetworkPolicy", "networking.k8s.io", "spec/ingress/from/podSelector/matchLabels"},
    {"NetworkPolicy", "networking.k8s.io", "spec/egress/to/podSelector/matchLabels"},
};
static const struct place label_templates[] = {
    {"ReplicationController", "", "spec/template/metadata/labels", true},
    {"Deployment", NULL, "spec/template/metadata/labels", true},
    {"ReplicaSet", NULL, "spec/template/metadata/labels", true},
    {"DaemonSet", NULL, "spec/template/metadata/labels", true},
    {"StatefulSet", "apps", "spec/template/metadata/labels", true},
    {"StatefulSet", "apps", "spec/volumeClaimTemplates[]/metadata/labels", true},
    {"Job", "batch", "spec/template/metadata/labels", true},
    {"CronJob", "batch", "spec/jobTemplate/metadata/labels", true},
    {"CronJob", "batch", "spec/jobTemplate/spec/template/metadata/labels", true},
};
static const struct place own_labels[] = {{NULL, NULL, "metadata/labels", true}};
static const struct place annotations[] = {
    {NULL, NULL, "metadata/annotations", true},
    {"ReplicationController", "", "spec/template/metadata/annotations", true},
    {"Deployment", NULL, "spec/template/metadata/annotations", true},
    {"ReplicaSet", NULL, "spec/template/metadata/annotations", true},
    {"DaemonSet", NULL, "spec/template/metadata/annotations", true},
    {"StatefulSet", NULL, "spec/template/metadata/annotations", true},
    {"Job", "batch", "spec/template/metadata/annotations", true},
    {"CronJob", "batch", "spec/jobTemplate/metadata/annotations", true},
    {"CronJob", "batch", "spec/jobTemplate/spec/template/metadata/annotations", true},
};

/* The pairs of `data` into the object at the place. */
static void set_pairs(struct json *holder, const char *key, void *data)
{
    const struct json *pairs = data, *value;
    struct json *target = json_edit(holder, key, NULL);
    void *position = NULL;
    const char *name;
    while (json_next(pairs, &position, &name, &value)) {
        CLEANUP(buf_done) struct buf text = {0};
        if (json_type(value) != JSON_STRING)
            json_print(value, &text);
        json_set_str(target, name, json_type(value) == JSON_STRING ? json_string_value(value) : buf_text(&text));
    }
}

static void set_labels(struct kustomize_set *set, const struct json *pairs, bool in_selectors, bool in_templates)
{
    struct json *data = (struct json *)(uintptr_t)pairs;
    if (in_selectors)
        visit_places(set, selectors, countof(selectors), set_pairs, data);
    if (in_selectors || in_templates)
        visit_places(set, label_templates, countof(label_templates), set_pairs, data);
    visit_places(set, own_labels, countof(own_labels), set_pairs, data);
}

static int transform_labels(const struct kustomize_layer *layer, struct kustomize_set *set, struct err *err)
{
    const struct json *entry, *common = kustomize_field(layer->file, "commonLabels");
    json_each(entry, kustomize_field(layer->file, "labels")) {
        if (json_len(kustomize_field(entry, "fields")) > 0)
            return err_set(err, ERR_UNSUPPORTED, "%s: \"fields\" of \"labels\" is not available here", layer->folder);
        set_labels(set, kustomize_field(entry, "pairs"), json_is_true(kustomize_field(entry, "includeSelectors"), NULL),
                   json_is_true(kustomize_field(entry, "includeTemplates"), NULL));
    }
    if (common != NULL)
        set_labels(set, common, true, true);
    return 0;
}

/* --- namespace and names */

static bool is_cluster_scoped(const char *kind)
{
    static const char *const kinds[] = {"APIService",
                                        "CSIDriver",
                                        "CSINode",
                                        "CertificateSigningRequest",
                                        "ClusterRole",
                                        "ClusterRoleBinding",
                                        "ClusterTrustBundle",
                                        "ComponentStatus",
                                        "CustomResourceDefinition",
                                        "DeviceClass",
                                        "FlowSchema",
                                        "IPAddress",
                                        "IngressClass",
                                        "MutatingAdmissionPolicy",
                                        "MutatingAdmissionPolicyBinding",
                                        "MutatingWebhookConfiguration",
                                        "Namespace",
                                        "Node",
                                        "PersistentVolume",
                                        "PodSecurityPolicy",
                                        "PriorityClass",
                                        "PriorityLevelConfiguration",
                                        "ResourceSlice",
                                        "RuntimeClass",
                                        "SelfSubjectAccessReview",
                                        "ServiceCIDR",
                                        "StorageClass",
                                        "SubjectAccessReview",
                                        "TokenReview",
                                        "ValidatingAdmissionPolicy",
                                        "ValidatingAdmissionPolicyBinding",
                                        "ValidatingWebhookConfiguration",
                                        "VolumeAttachment",
                                        "VolumeAttributesClass"};
    for (size_t i = 0; i < countof(kinds); i++) {
        if (streq(kinds[i], kind))
            return true;
    }
    return false;
}

static void set_text(struct json *holder, const char *key, void *data)
{
    json_set_str(holder, key, data);
}

static void set_namespace(struct kustomize_object *object, const char *namespace)
{
    static const char *const conversion = "spec/conversion/webhook/clientConfig/service/namespace";
    const char *kind = kustomize_object_kind(object);
    char *text = (char *)(uintptr_t) namespace;
    if (!is_cluster_scoped(kind)) {
        kustomize_object_keep_name(object);
        json_set_str(json_edit(object->object, "metadata", NULL), "namespace", namespace);
    }
    if (streq(kind, "Namespace")) {
        kustomize_object_keep_name(object);
        json_set_str(json_edit(object->object, "metadata", NULL), "name", namespace);
    } else if (streq(kind, "APIService")) {
        kustomize_visit_path(object->object, "spec/service/namespace", true, set_text, text);
    } else if (streq(kind, "CustomResourceDefinition")) {
        kustomize_visit_path(object->object, conversion, false, set_text, text);
    } else if (streq(kind, "RoleBinding") || streq(kind, "ClusterRoleBinding")) {
        struct json *subjects = json_edit_member(object->object, "subjects");
        for (size_t i = 0; i < json_len(subjects); i++) {
            struct json *subject = json_edit_at(subjects, i);
            if (streq(json_str(subject, "name", NULL), "default"))
                json_set_str(subject, "namespace", namespace);
        }
    }
}

static void set_name(struct kustomize_object *object, const char *prefix, const char *suffix)
{
    const char *kind = kustomize_object_kind(object);
    if (streq(kind, "Namespace") || streq(kind, "CustomResourceDefinition") || streq(kind, "APIService"))
        return;
    kustomize_object_keep_name(object);
    CLEANUP(xfree) char *name = xasprintf("%s%s%s", prefix, kustomize_object_name(object), suffix);
    json_set_str(json_edit(object->object, "metadata", NULL), "name", name);
}

static void transform_names(const struct kustomize_layer *layer, struct kustomize_set *set)
{
    const char *namespace = strempty(kustomize_text(layer->file, "namespace"));
    const char *prefix = strempty(kustomize_text(layer->file, "namePrefix"));
    const char *suffix = strempty(kustomize_text(layer->file, "nameSuffix"));
    for (size_t i = 0; i < set->n; i++) {
        if (namespace[0] != '\0')
            set_namespace(&set->list[i], namespace);
        if (prefix[0] != '\0' || suffix[0] != '\0')
            set_name(&set->list[i], prefix, suffix);
    }
}

/* --- replicas */

static int transform_replicas(const struct kustomize_layer *layer, struct kustomize_set *set, struct err *err)
{
    static const char *const kinds[] = {"Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"};
    const struct json *entry;
    json_each(entry, kustomize_field(layer->file, "replicas")) {
        const char *name = strempty(kustomize_text(entry, "name"));
        bool found = false;
        for (size_t i = 0; i < set->n; i++) {
            struct kustomize_object *object = &set->list[i];
            for (size_t j = 0; j < countof(kinds); j++) {
                if (!streq(kinds[j], kustomize_object_kind(object)) || !kustomize_object_was(object, name, NULL))
                    continue;
                json_set_int(json_edit(object->object, "spec", NULL), "replicas",
                             json_int_or(0, kustomize_field(entry, "count"), NULL));
                found = true;
            }
        }
        if (!found)
            return err_set(err, ERR_NOT_FOUND,
                           "resource with name %s does not match a Deployment, ReplicationController, ReplicaSet or "
                           "StatefulSet",
                           name);
    }
    return 0;
}

/* --- images */

/* "registry:5000/path/name", its tag and digest, NULL where there is none. */
static void split_image(const char *image, char **name, char **tag, char **digest)
{
    const char *slash = strchr(image, '/'), *from = slash != NULL && slash > image ? slash : image;
    const char *at = strchr(from, '@'), *colon = strchr(from, ':');
    if (colon != NULL && at != NULL && colon > at)
        colon = NULL;
    const char *end = colon != NULL ? colon : at != NULL ? at : image + strlen(image);
    *name = xstrndup(image, (size_t)(end - image));
    *tag = colon == NULL ? NULL : at != NULL ? xstrndup(colon + 1, (size_t)(at - colon - 1)) : xstrdup(colon + 1);
    *digest = at != NULL ? xstrdup(at + 1) : NULL;
}

static void set_image(struct json *holder, const char *key, void *data)
{
    const struct json *entry = data;
    const char *image = json_str(holder, key, NULL);
    CLEANUP(xfree) char *name = NULL, *tag = NULL, *digest = NULL;
    if (image == NULL)
        return;
    split_image(image, &name, &tag, &digest);
    if (!streq(name, kustomize_text(entry, "name")))
        return;
    const char *new_name = strempty(kustomize_text(entry, "newName"));
    const char *new_tag = strempty(kustomize_text(entry, "newTag"));
    const char *new_digest = strempty(kustomize_text(entry, "digest"));
    const char *tag_suffix = strempty(kustomize_text(entry, "tagSuffix"));
    struct buf text = {0};
    buf_add_str(&text, new_name[0] != '\0' ? new_name : name);
    if (new_tag[0] != '\0' || new_digest[0] != '\0')
        buf_printf(&text, "%s%s%s%s", new_tag[0] != '\0' ? ":" : "", new_tag, new_digest[0] != '\0' ? "@" : "",
                   new_digest);
    else if (tag_suffix[0] != '\0')
        buf_printf(&text, ":%s%s", strempty(tag), tag_suffix);
    else
        buf_printf(&text, "%s%s%s%s", tag != NULL ? ":" : "", strempty(tag), digest != NULL ? "@" : "",
                   strempty(digest));
    CLEANUP(xfree) char *result = buf_take(&text);
    json_set_str(holder, key, result);
}

/* The image of every container, wherever lists of containers are. */
static void set_container_images(struct json *node, const struct json *entry)
{
    if (json_is_array(node)) {
        for (size_t i = 0; i < json_len(node); i++)
            set_container_images(json_edit_at(node, i), entry);
        return;
    }
    CLEANUP(strv_done) struct strv keys = {0};
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(json_is_object(node) ? node : NULL, &position, &key, &value))
        strv_add(&keys, key);
    for (size_t i = 0; i < keys.n; i++) {
        struct json *member = json_edit_member(node, keys.items[i]);
        bool containers = streq(keys.items[i], "containers") || streq(keys.items[i], "initContainers") ||
                          streq(keys.items[i], "ephemeralContainers");
        for (size_t j = 0; containers && json_is_array(member) && j < json_len(member); j++) {
            if (json_is_object(json_at(member, j)))
                set_image(json_edit_at(member, j), "image", (void *)(uintptr_t)entry);
        }
        set_container_images(member, entry);
    }
}

static void transform_images(const struct kustomize_layer *layer, struct kustomize_set *set, const char *field)
{
    const struct json *entry;
    json_each(entry, kustomize_field(layer->file, field)) {
        for (size_t i = 0; i < set->n; i++) {
            struct json *object = set->list[i].object;
            if (streq(kustomize_object_kind(&set->list[i]), "CustomResourceDefinition"))
                continue;
            set_container_images(object, entry);
            kustomize_visit_path(object, "spec/volumes/image/reference", false, set_image, (void *)(uintptr_t)entry);
            kustomize_visit_path(object, "spec/template/spec/volumes/image/reference", false, set_image,
                                 (void *)(uintptr_t)entry);
        }
    }
}

int kustomize_transform(const struct kustomize_layer *layer, struct kustomize_set *set, struct err *err)
{
    const struct json *notes = kustomize_field(layer->file, "commonAnnotations");
    transform_names(layer, set);
    if (transform_labels(layer, set, err) < 0)
        return err->code;
    if (notes != NULL)
        visit_places(set, annotations, countof(annotations), set_pairs, (void *)(uintptr_t)notes);
    if (kustomize_patch_json6902(layer, set, err) < 0 || transform_replicas(layer, set, err) < 0)
        return err->code;
    transform_images(layer, set, "images");
    transform_images(layer, set, "imageTags");
    return 0;
}
