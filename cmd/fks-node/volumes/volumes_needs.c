/*
 * volumes_needs.c: which objects and tokens a pod needs, read off its spec: for volumes, for variables and for pulls.
 */
#include "volumes/volumes_internal.h"

#include "base/mem.h"

#define DEFAULT_EXPIRATION_S 3600
#define MIN_EXPIRATION_S 600 /* of the TokenRequest API */

enum use { USE_VOLUME, USE_VARIABLE, USE_PULL };

static void add_object(struct volumes_needs *needs, const char *kind, const char *name, bool optional, enum use use)
{
    CLEANUP(xfree) char *key = NULL;
    struct volumes_object *object = NULL;

    if (name == NULL || name[0] == '\0')
        return;
    key = xasprintf("%s/%s", kind, name);
    for (size_t i = 0; i < needs->n_objects; i++)
        if (streq(needs->objects[i].key, key))
            object = &needs->objects[i];
    if (object == NULL) {
        GROW(needs->objects, needs->n_objects, needs->cap_objects);
        object = &needs->objects[needs->n_objects++];
        *object = (struct volumes_object){.kind = kind, .name = xstrdup(name), .key = take(&key), .optional = true};
    }
    object->optional = object->optional && optional;
    object->in_volume = object->in_volume || use == USE_VOLUME;
    object->for_pulls = object->for_pulls || use == USE_PULL;
}

/* A reference as volumes and variables have it: {name, optional}; absent is fine. */
static void add_reference(struct volumes_needs *needs, const char *kind, const struct json *reference, enum use use)
{
    if (reference != NULL)
        add_object(needs, kind, json_str(reference, "name", NULL), json_is_true(reference, "optional", NULL), use);
}

bool volumes_needs_token(struct volumes_needs *needs, const char *key, const struct json *source)
{
    int64_t expiration = json_int_or(DEFAULT_EXPIRATION_S, source, "expirationSeconds", NULL);

    for (size_t i = 0; i < needs->n_tokens; i++)
        if (streq(needs->tokens[i].key, key))
            return false;
    GROW(needs->tokens, needs->n_tokens, needs->cap_tokens);
    needs->tokens[needs->n_tokens++] = (struct volumes_token){
        .key = xstrdup(key),
        .audience = xstrdup(json_str_or("", source, "audience", NULL)),
        .expiration_s = expiration < MIN_EXPIRATION_S ? MIN_EXPIRATION_S : expiration,
    };
    return true;
}

static void add_volume(struct volumes_needs *needs, const struct json *volume)
{
    const char *name = json_str_or("", volume, "name", NULL);
    const struct json *secret = json_get(volume, "secret", NULL);
    const struct json *claim = json_get(volume, "persistentVolumeClaim", NULL);
    const struct json *csi_secret = json_get(volume, "csi", "nodePublishSecretRef", NULL);
    const struct json *source;

    if (claim != NULL)
        add_object(needs, "PersistentVolumeClaim", json_str(claim, "claimName", NULL), false, USE_VOLUME);
    add_reference(needs, "ConfigMap", json_get(volume, "configMap", NULL), USE_VOLUME);
    add_reference(needs, "Secret", csi_secret, USE_VOLUME);
    if (secret != NULL) /* the only one whose name is called secretName */
        add_object(needs, "Secret", json_str(secret, "secretName", NULL), json_is_true(secret, "optional", NULL),
                   USE_VOLUME);
    json_each(source, json_get(volume, "projected", "sources", NULL))
    {
        const struct json *token = json_get(source, "serviceAccountToken", NULL);

        add_reference(needs, "ConfigMap", json_get(source, "configMap", NULL), USE_VOLUME);
        add_reference(needs, "Secret", json_get(source, "secret", NULL), USE_VOLUME);
        if (token != NULL) {
            CLEANUP(xfree) char *key = xasprintf("%s/%zu", name, source_index);

            (void)volumes_needs_token(needs, key, token);
        }
        if (json_get(source, "clusterTrustBundle", NULL) != NULL) {
            CLEANUP(xfree) char *selector = volumes_trust_selector(json_get(source, "clusterTrustBundle", NULL));

            add_object(needs, VOLUMES_TRUST, selector, false, USE_VOLUME);
        }
    }
}

static void add_container(struct volumes_needs *needs, const struct json *container)
{
    const struct json *item;

    json_each(item, json_get(container, "envFrom", NULL))
    {
        add_reference(needs, "ConfigMap", json_get(item, "configMapRef", NULL), USE_VARIABLE);
        add_reference(needs, "Secret", json_get(item, "secretRef", NULL), USE_VARIABLE);
    }
    json_each(item, json_get(container, "env", NULL))
    {
        add_reference(needs, "ConfigMap", json_get(item, "valueFrom", "configMapKeyRef", NULL), USE_VARIABLE);
        add_reference(needs, "Secret", json_get(item, "valueFrom", "secretKeyRef", NULL), USE_VARIABLE);
    }
}

/* --- volumes that are elsewhere */

bool volumes_is_network(const struct json *volume)
{
    return json_get(volume, "nfs", NULL) != NULL || json_get(volume, "persistentVolumeClaim", NULL) != NULL;
}

const char *volumes_image_of(const struct json *volume)
{
    return json_get(volume, "image", NULL) != NULL ? json_str_or("", volume, "image", "reference", NULL) : NULL;
}

static const struct json *object_of(const struct map *objects, const char *kind, const char *name)
{
    CLEANUP(xfree) char *key = xasprintf("%s/%s", kind, name);

    return objects != NULL ? map_get(objects, key) : NULL;
}

int volumes_claimed(const struct json *volume, const struct map *objects, const struct json **ret, struct err *err)
{
    const char *name = json_str_or("", volume, "persistentVolumeClaim", "claimName", NULL);
    const struct json *object = object_of(objects, "PersistentVolumeClaim", name);
    const char *bound = json_str_or("", object, "spec", "volumeName", NULL);

    if (object == NULL)
        return err_set(err, ERR_NOT_FOUND, "persistentvolumeclaim \"%s\" not found", name);
    if (*bound == '\0' || !streq(json_str(object, "status", "phase", NULL), "Bound"))
        return err_set(err, ERR_NOT_FOUND, "persistentvolumeclaim \"%s\" is not bound", name);
    object = object_of(objects, "PersistentVolume", bound);
    if (object == NULL)
        return err_set(err, ERR_NOT_FOUND, "persistentvolume \"%s\" not found", bound);
    *ret = object;
    return 0;
}

int volumes_nfs_of(const struct json *volume, const struct map *objects, struct volumes_nfs *ret, struct err *err)
{
    const struct json *claim = json_get(volume, "persistentVolumeClaim", NULL);
    const struct json *nfs = json_get(volume, "nfs", NULL), *object = NULL;
    int r;

    if (claim != NULL) {
        if ((r = volumes_claimed(volume, objects, &object, err)) < 0)
            return r;
        nfs = json_get(object, "spec", "nfs", NULL);
        if (nfs == NULL)
            return err_set(err, ERR_UNSUPPORTED,
                           "persistentvolume \"%s\" is neither of type nfs nor of type csi: no other type is supported here",
                           json_str_or("", object, "metadata", "name", NULL));
    }
    if (nfs == NULL)
        return err_set(err, ERR_INVALID, "the volume is of another type");
    *ret = (struct volumes_nfs){
        .server = json_str_or("", nfs, "server", NULL),
        .path = json_str_or("", nfs, "path", NULL),
        .readonly = json_is_true(nfs, "readOnly", NULL) || json_is_true(claim, "readOnly", NULL),
        .options = json_get(object, "spec", "mountOptions", NULL),
    };
    return 0;
}

/* --- all of a pod */

void volumes_needs_of(const struct json *pod, struct volumes_needs *ret)
{
    static const char *const lists[] = {"initContainers", "containers", "ephemeralContainers"};
    const struct json *item;

    json_each(item, json_get(pod, "spec", "volumes", NULL))
        add_volume(ret, item);
    for (size_t i = 0; i < countof(lists); i++)
        json_each(item, json_get(pod, "spec", lists[i], NULL))
            add_container(ret, item);
    json_each(item, json_get(pod, "spec", "imagePullSecrets", NULL))
        add_object(ret, "Secret", json_str(item, "name", NULL), true, USE_PULL);
}

void volumes_needs_done(struct volumes_needs *needs)
{
    for (size_t i = 0; i < needs->n_objects; i++) {
        free(needs->objects[i].name);
        free(needs->objects[i].key);
    }
    for (size_t i = 0; i < needs->n_tokens; i++) {
        free(needs->tokens[i].key);
        free(needs->tokens[i].audience);
    }
    free(needs->objects);
    free(needs->tokens);
    *needs = (struct volumes_needs){0};
}
