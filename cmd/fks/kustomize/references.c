/*
 * references.c: fields of built-in kinds that name other objects, and their values after the objects' names changed.
 */
#include "kustomize/internal.h"

#include "base/mem.h"

/* A field, relative to a pod's spec, that names an object of a kind. */
static const struct {
    const char *target, *path;
} pod_references[] = {
    {"ConfigMap", "volumes/configMap/name"},
    {"ConfigMap", "volumes/projected/sources/configMap/name"},
    {"ConfigMap", "containers/env/valueFrom/configMapKeyRef/name"},
    {"ConfigMap", "initContainers/env/valueFrom/configMapKeyRef/name"},
    {"ConfigMap", "containers/envFrom/configMapRef/name"},
    {"ConfigMap", "initContainers/envFrom/configMapRef/name"},
    {"Secret", "volumes/secret/secretName"},
    {"Secret", "volumes/projected/sources/secret/name"},
    {"Secret", "containers/env/valueFrom/secretKeyRef/name"},
    {"Secret", "initContainers/env/valueFrom/secretKeyRef/name"},
    {"Secret", "containers/envFrom/secretRef/name"},
    {"Secret", "initContainers/envFrom/secretRef/name"},
    {"Secret", "imagePullSecrets/name"},
    {"ServiceAccount", "serviceAccountName"},
    {"PersistentVolumeClaim", "volumes/persistentVolumeClaim/claimName"},
    {"PriorityClass", "priorityClassName"},
};
static const struct {
    const char *kind, *pod;
} pod_holders[] = {
    {"Pod", "spec"},
    {"PodTemplate", "template/spec"},
    {"Deployment", "spec/template/spec"},
    {"ReplicaSet", "spec/template/spec"},
    {"ReplicationController", "spec/template/spec"},
    {"DaemonSet", "spec/template/spec"},
    {"StatefulSet", "spec/template/spec"},
    {"Job", "spec/template/spec"},
    {"CronJob", "spec/jobTemplate/spec/template/spec"},
};
static const struct {
    const char *target, *kind, *path;
} references[] = {
    {"Deployment", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name"},
    {"ReplicationController", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name"},
    {"ReplicaSet", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name"},
    {"StatefulSet", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name"},
    {"ConfigMap", "Role", "rules/resourceNames"},
    {"ConfigMap", "ClusterRole", "rules/resourceNames"},
    {"Secret", "Role", "rules/resourceNames"},
    {"Secret", "ClusterRole", "rules/resourceNames"},
    {"Secret", "Ingress", "spec/tls/secretName"},
    {"Secret", "ServiceAccount", "imagePullSecrets/name"},
    {"Secret", "PersistentVolume", "spec/azureFile/secretName"},
    {"Service", "StatefulSet", "spec/serviceName"},
    {"Service", "Ingress", "spec/rules/http/paths/backend/service/name"},
    {"Service", "Ingress", "spec/defaultBackend/service/name"},
    {"Service", "APIService", "spec/service/name"},
    {"Service", "ValidatingWebhookConfiguration", "webhooks/clientConfig/service"},
    {"Service", "MutatingWebhookConfiguration", "webhooks/clientConfig/service"},
    {"Role", "RoleBinding", "roleRef/name"},
    {"ClusterRole", "RoleBinding", "roleRef/name"},
    {"ClusterRole", "ClusterRoleBinding", "roleRef/name"},
    {"ServiceAccount", "RoleBinding", "subjects"},
    {"ServiceAccount", "ClusterRoleBinding", "subjects"},
    {"PersistentVolume", "PersistentVolumeClaim", "spec/volumeName"},
    {"PersistentVolume", "ClusterRole", "rules/resourceNames"},
    {"StorageClass", "PersistentVolume", "spec/storageClassName"},
    {"StorageClass", "PersistentVolumeClaim", "spec/storageClassName"},
    {"StorageClass", "StatefulSet", "spec/volumeClaimTemplates/spec/storageClassName"},
    {"IngressClass", "Ingress", "spec/ingressClassName"},
    {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "spec/policyName"},
};

struct fixing {
    struct kustomize_set *set;
    const struct kustomize_object *referrer;
    const char *target; /* kind */
};

static bool is_target(const struct fixing *fixing, const struct kustomize_object *object, const char *namespace)
{
    static const char *const everywhere[] = {"ClusterRole",   "PersistentVolume", "StorageClass",
                                             "PriorityClass", "IngressClass",     "ValidatingAdmissionPolicy"};
    if (!streq(kustomize_object_kind(object), fixing->target))
        return false;
    for (size_t i = 0; i < countof(everywhere); i++) {
        if (streq(everywhere[i], fixing->target))
            return true;
    }
    bool was_there = streq(kustomize_object_namespace(object), namespace);
    for (size_t i = 0; i < object->namespaces.n; i++)
        was_there = was_there || streq(object->namespaces.items[i], namespace);
    return was_there;
}

/* The name when the layer began. */
static const char *layer_name(const struct kustomize_object *object)
{
    return object->names.n > object->layer_start ? object->names.items[object->layer_start]
                                                 : kustomize_object_name(object);
}

/*
 * What is meant by a name: the object that had it when the layer began; else, for what a patch of this layer says,
 * the only one that ever had it. NULL: nothing of the set.
 */
static const struct kustomize_object *find_target(const struct fixing *fixing, const char *name, const char *namespace)
{
    const struct kustomize_object *found = NULL;
    size_t n_found = 0;
    for (size_t i = 0; i < fixing->set->n; i++) {
        const struct kustomize_object *object = &fixing->set->list[i];
        if (!is_target(fixing, object, namespace))
            continue;
        if (streq(layer_name(object), name))
            return object;
        if (kustomize_object_was(object, name, NULL)) {
            found = object;
            n_found++;
        }
    }
    return n_found == 1 ? found : NULL;
}

/* {name, namespace} of a service account or a service. */
static void fix_object(const struct fixing *fixing, struct json *reference)
{
    const char *name = json_str(reference, "name", NULL), *kind = json_str(reference, "kind", NULL);
    if (name == NULL || (kind != NULL && !streq(kind, fixing->target)))
        return;
    const struct kustomize_object *target =
        find_target(fixing, name, json_str_or("default", reference, "namespace", NULL));
    const char *namespace = target != NULL ? json_str(target->object, "metadata", "namespace", NULL) : NULL;
    if (target != NULL)
        json_set_str(reference, "name", kustomize_object_name(target));
    if (namespace != NULL)
        json_set_str(reference, "namespace", namespace);
}

static void fix(struct json *holder, const char *key, void *data)
{
    const struct fixing *fixing = data;
    const char *kind = json_str(holder, "kind", NULL), *text = json_str(holder, key, NULL);
    struct json *value = json_edit_member(holder, key);
    const char *namespace = kustomize_object_namespace(fixing->referrer);
    if (kind != NULL && !streq(kind, fixing->target) && holder != fixing->referrer->object)
        return;
    const struct kustomize_object *target = text != NULL ? find_target(fixing, text, namespace) : NULL;
    if (target != NULL) {
        json_set_str(holder, key, kustomize_object_name(target)); /* value is gone */
        return;
    }
    if (json_is_object(value))
        fix_object(fixing, value);
    for (size_t i = 0; json_is_array(value) && i < json_len(value); i++) {
        struct json *element = json_edit_at(value, i);
        if (json_is_object(element))
            fix_object(fixing, element);
        const char *name = json_string_value(element);
        target = name != NULL ? find_target(fixing, name, namespace) : NULL;
        if (target == NULL)
            continue;
        struct json *changed = json_new_array();
        for (size_t j = 0; j < json_len(value); j++)
            json_push(changed, j == i ? json_new_string(kustomize_object_name(target)) : json_keep(json_at(value, j)));
        json_set(holder, key, changed);
        value = json_edit_member(holder, key);
    }
}

static void fix_object_references(struct kustomize_set *set, struct kustomize_object *referrer)
{
    const char *kind = kustomize_object_kind(referrer);
    struct fixing fixing = {.set = set, .referrer = referrer};
    for (size_t i = 0; i < countof(references); i++) {
        fixing.target = references[i].target;
        if (streq(references[i].kind, kind))
            kustomize_visit_path(referrer->object, references[i].path, false, fix, &fixing);
    }
    for (size_t i = 0; i < countof(pod_holders); i++) {
        if (!streq(pod_holders[i].kind, kind))
            continue;
        for (size_t j = 0; j < countof(pod_references); j++) {
            CLEANUP(xfree) char *path = xasprintf("%s/%s", pod_holders[i].pod, pod_references[j].path);
            fixing.target = pod_references[j].target;
            kustomize_visit_path(referrer->object, path, false, fix, &fixing);
        }
    }
}

void kustomize_fix_references(struct kustomize_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        fix_object_references(set, &set->list[i]);
}
