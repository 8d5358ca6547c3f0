/*
 * volumes_payload.c: the files of configMap, secret, projected and downwardAPI volumes, made from the objects
 * handed in. No disk here: atomic_writer.c writes them.
 */
#include "volumes/volumes_internal.h"

#include <string.h>

#include "base/codec.h"
#include "base/limits.h"
#include "base/mem.h"

#define DEFAULT_MODE 0644

void volumes_payload_done(struct volumes_payload *payload)
{
    for (size_t i = 0; i < payload->n; i++) {
        free((char *)(uintptr_t)payload->files[i].path);
        if (payload->files[i].data != NULL)
            explicit_bzero((char *)(uintptr_t)payload->files[i].data, payload->files[i].len);
        free((char *)(uintptr_t)payload->files[i].data);
    }
    free(payload->files);
    *payload = (struct volumes_payload){0};
}

int64_t volumes_fs_group(const struct json *pod)
{
    return json_int_or(-1, pod, "spec", "securityContext", "fsGroup", NULL);
}

mode_t volumes_group_mode(mode_t mode, int64_t fs_group)
{
    return fs_group >= 0 ? mode | 0440 : mode;
}

/* Takes data over. A later file of the same path wins. */
static void payload_add(struct volumes_payload *payload, const char *path, char *data, size_t len, mode_t mode,
                        int64_t uid)
{
    struct atomic_file file = {.path = NULL, .data = data, .len = len, .mode = mode, .uid = uid};

    for (size_t i = 0; i < payload->n; i++)
        if (streq(payload->files[i].path, path)) {
            file.path = payload->files[i].path;
            free((char *)(uintptr_t)payload->files[i].data);
            payload->files[i] = file;
            return;
        }
    file.path = xstrdup(path);
    GROW(payload->files, payload->n, payload->cap);
    payload->files[payload->n++] = file;
}

/* --- ConfigMaps and Secrets */

struct object_source {
    const char *kind; /* "ConfigMap", "Secret" */
    const char *name;
    const struct json *items; /* NULL or empty: every key */
    bool optional;
    mode_t default_mode;
};

static int decode(const char *text, struct buf *bytes, struct err *err)
{
    bytes->max = LIMIT_FILE;
    return base64_decode(text, strlen(text), bytes, err);
}

/* One key's bytes; 1 when the key is there, 0 when not. */
static int object_bytes(const struct object_source *source, const struct json *object, const char *key,
                        struct buf *bytes, struct err *err)
{
    bool secret = streq(source->kind, "Secret");
    const struct json *text = json_member(json_get(object, "data", NULL), key);
    const struct json *binary = secret ? text : json_member(json_get(object, "binaryData", NULL), key);
    int r;

    if (binary != NULL) {
        r = decode(strempty(json_string_value(binary)), bytes, err);
        return r < 0 ? err_wrap(err, "key %s of %s %s", key, source->kind, source->name) : 1;
    }
    if (text == NULL)
        return 0;
    buf_add_str(bytes, strempty(json_string_value(text)));
    return 1;
}

static int add_key(struct volumes_payload *payload, const struct object_source *source, const struct json *object,
                   const char *key, const char *path, mode_t mode, struct err *err)
{
    CLEANUP(buf_done) struct buf bytes = {0};
    size_t len;
    int r = object_bytes(source, object, key, &bytes, err);

    if (r < 0)
        return r;
    if (r == 0 && source->optional)
        return 0;
    if (r == 0)
        return streq(source->kind, "Secret")
                   ? err_set(err, ERR_NOT_FOUND, "references non-existent secret key: %s", key)
                   : err_set(err, ERR_NOT_FOUND, "configmap references non-existent config key: %s", key);
    len = bytes.len;
    payload_add(payload, path, buf_take(&bytes), len, mode, -1);
    return 0;
}

static int add_all_keys(struct volumes_payload *payload, const struct object_source *source, const struct json *object,
                        const char *member, struct err *err)
{
    void *position = NULL;
    const char *key;
    const struct json *value;
    int r = 0;

    while (r == 0 && json_next(json_get(object, member, NULL), &position, &key, &value))
        r = add_key(payload, source, object, key, key, source->default_mode, err);
    return r;
}

static int add_object(struct volumes_payload *payload, const struct volumes_input *input,
                      const struct object_source *source, struct err *err)
{
    CLEANUP(xfree) char *place = xasprintf("%s/%s", source->kind, source->name);
    const struct json *object = input->objects != NULL ? map_get(input->objects, place) : NULL;
    const struct json *item;
    int r = 0;

    if (object == NULL)
        return source->optional ? 0
                                : err_set(err, ERR_NOT_FOUND, "%s \"%s\" not found",
                                          streq(source->kind, "Secret") ? "secret" : "configmap", source->name);
    if (json_len(source->items) == 0) {
        r = add_all_keys(payload, source, object, "data", err);
        if (r == 0 && streq(source->kind, "ConfigMap"))
            r = add_all_keys(payload, source, object, "binaryData", err);
        return r;
    }
    json_each(item, source->items)
    {
        r = add_key(payload, source, object, json_str_or("", item, "key", NULL), json_str_or("", item, "path", NULL),
                    (mode_t)json_int_or(source->default_mode, item, "mode", NULL), err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- downward API */

/* One file of a downwardAPI source; the text as a heap string. */
static int downward_text(const struct volumes_input *input, const struct json *item, char **ret, struct err *err)
{
    const struct json *field = json_get(item, "fieldRef", NULL);
    const struct json *resource = json_get(item, "resourceFieldRef", NULL);
    const char *container_name = json_str_or("", resource, "containerName", NULL);
    static const char *const lists[] = {"containers", "initContainers"};
    const struct json *container;

    if (field != NULL)
        return downward_field(input->pod, json_str_or("", field, "fieldPath", NULL), &input->downward, ret, err);
    for (size_t i = 0; i < countof(lists); i++)
        json_each(container, json_get(input->pod, "spec", lists[i], NULL))
            if (streq(json_str(container, "name", NULL), container_name))
                return downward_resource(container, json_str_or("", resource, "resource", NULL),
                                         json_str(resource, "divisor", NULL), &input->downward, ret, err);
    return err_set(err, ERR_INVALID, "container %s not found", container_name);
}

static int add_downward(struct volumes_payload *payload, const struct volumes_input *input, const struct json *items,
                        mode_t default_mode, struct err *err)
{
    const struct json *item;

    json_each(item, items)
    {
        char *text;
        int r = downward_text(input, item, &text, err);

        if (r < 0)
            return r;
        payload_add(payload, json_str_or("", item, "path", NULL), text, strlen(text),
                    (mode_t)json_int_or(default_mode, item, "mode", NULL), -1);
    }
    return 0;
}

/* --- service account tokens */

/* The user that all containers run as, or -1: then the token is for that user's eyes only. */
static int64_t common_user(const struct json *pod)
{
    static const char *const lists[] = {"initContainers", "containers"};
    int64_t pod_user = json_int_or(-1, pod, "spec", "securityContext", "runAsUser", NULL);
    int64_t common = -1;
    bool first = true;
    const struct json *container;

    for (size_t i = 0; i < countof(lists); i++)
        json_each(container, json_get(pod, "spec", lists[i], NULL))
        {
            int64_t user = json_int_or(pod_user, container, "securityContext", "runAsUser", NULL);

            if (!first && user != common)
                return -1;
            common = user;
            first = false;
        }
    return common;
}

static int add_token(struct volumes_payload *payload, const struct volumes_input *input, const char *volume,
                     size_t index, const struct json *source, mode_t default_mode, struct err *err)
{
    CLEANUP(xfree) char *key = xasprintf("%s/%zu", volume, index);
    const char *token = input->tokens != NULL ? map_get(input->tokens, key) : NULL;
    int64_t user = common_user(input->pod);
    bool narrow = user >= 0 || volumes_fs_group(input->pod) >= 0;

    if (token == NULL)
        return err_set(err, ERR_NOT_FOUND, "failed to fetch token: none for audience \"%s\" yet",
                       json_str_or("", source, "audience", NULL));
    payload_add(payload, json_str_or("", source, "path", NULL), xstrdup(token), strlen(token),
                narrow ? 0600 : default_mode, user);
    return 0;
}

static int add_trust_anchors(struct volumes_payload *payload, const struct volumes_input *input,
                             const struct json *source, mode_t default_mode, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    int64_t user = common_user(input->pod);
    bool narrow = user >= 0 || volumes_fs_group(input->pod) >= 0;
    int r = volumes_trust_anchors(source, input->objects, &text, err);

    if (r < 0)
        return r;
    size_t len = text.len;
    payload_add(payload, json_str_or("", source, "path", NULL), buf_take(&text), len, narrow ? 0600 : default_mode, user);
    return 0;
}

/* --- volumes */

static struct object_source object_source_of(const char *kind, const struct json *reference, const char *name_key,
                                             mode_t default_mode)
{
    return (struct object_source){
        .kind = kind,
        .name = json_str_or("", reference, name_key, NULL),
        .items = json_get(reference, "items", NULL),
        .optional = json_is_true(reference, "optional", NULL),
        .default_mode = default_mode,
    };
}

static int add_projected(struct volumes_payload *payload, const struct volumes_input *input, const struct json *volume,
                         const struct json *source, size_t index, mode_t default_mode, struct err *err)
{
    const struct json *part;
    struct object_source object;

    if ((part = json_get(source, "serviceAccountToken", NULL)) != NULL)
        return add_token(payload, input, json_str_or("", volume, "name", NULL), index, part, default_mode, err);
    if ((part = json_get(source, "configMap", NULL)) != NULL) {
        object = object_source_of("ConfigMap", part, "name", default_mode);
        return add_object(payload, input, &object, err);
    }
    if ((part = json_get(source, "secret", NULL)) != NULL) {
        object = object_source_of("Secret", part, "name", default_mode);
        return add_object(payload, input, &object, err);
    }
    if ((part = json_get(source, "downwardAPI", NULL)) != NULL)
        return add_downward(payload, input, json_get(part, "items", NULL), default_mode, err);
    if ((part = json_get(source, "clusterTrustBundle", NULL)) != NULL)
        return add_trust_anchors(payload, input, part, default_mode, err);
    if (json_len(source) == 0)
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "projected source %zu is of a type that is not supported", index);
}

int volumes_payload_of(const struct volumes_input *input, const struct json *volume, struct volumes_payload *ret,
                       struct err *err)
{
    const char *type;
    enum volumes_type kind = volumes_type_of(volume, &type);
    const struct json *body = json_get(volume, type, NULL);
    mode_t mode = (mode_t)json_int_or(DEFAULT_MODE, body, "defaultMode", NULL);
    struct object_source object;
    const struct json *source;
    int r = 0;

    if (kind == VOLUMES_CONFIG_MAP || kind == VOLUMES_SECRET) {
        object = kind == VOLUMES_SECRET ? object_source_of("Secret", body, "secretName", mode)
                                        : object_source_of("ConfigMap", body, "name", mode);
        r = add_object(ret, input, &object, err);
    } else if (kind == VOLUMES_DOWNWARD_API) {
        r = add_downward(ret, input, json_get(body, "items", NULL), mode, err);
    } else if (kind == VOLUMES_PROJECTED) {
        json_each(source, json_get(body, "sources", NULL))
        {
            r = add_projected(ret, input, volume, source, source_index, mode, err);
            if (r < 0)
                return r;
        }
    }
    if (r < 0)
        return r;
    for (size_t i = 0; i < ret->n; i++)
        ret->files[i].mode = volumes_group_mode(ret->files[i].mode, volumes_fs_group(input->pod));
    return 0;
}
