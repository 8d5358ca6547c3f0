/*
 * csi_plan.c: see csi_plan.h. The rules are the kubelet's: https://kubernetes-csi.github.io/docs/csi-driver-object.html
 */
#include "volumes/csi_plan.h"

#include <inttypes.h>

#include "base/codec.h"
#include "base/mem.h"
#include "net/pki.h"
#include "volumes/volumes.h"

#define NAME_MAX_LEN 63 /* CSI specification, GetPluginInfo */
#define CONTEXT_PREFIX "csi.storage.k8s.io/"
#define TOKENS_KEY CONTEXT_PREFIX "serviceAccount.tokens"

/* --- names */

bool csi_name_is_valid(const char *name)
{
    size_t len = strlen(strempty(name));

    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && ((c != '.' && c != '-' && c != '_') || i == 0 || i == len - 1))
            return false;
    }
    return len > 0 && len <= NAME_MAX_LEN;
}

char *csi_token_key(const char *driver, const char *audience)
{
    return xasprintf(CSI_TOKEN_PREFIX "%s/%s", driver, audience);
}

char *csi_refusal(const char *name, const struct json *driver)
{
    if (driver == NULL)
        return xasprintf(
            "there is no CSIDriver object \"%s\", so its volumes count as attached to nodes, which the Nodes of "
            "Fargate pods cannot have: create one, with spec.attachRequired: false if the driver can do without",
            name);
    if (json_bool_or(true, driver, "spec", "attachRequired", NULL))
        return xasprintf(
            "driver %s attaches volumes to nodes (attachRequired of its CSIDriver object), which the Nodes of "
            "Fargate pods cannot have: use a network file system",
            name);
    return NULL;
}

/* --- pairs */

static void add_pair(struct csi_pairs *pairs, const char *key, const char *value)
{
    GROW(pairs->items, pairs->n, pairs->cap);
    pairs->items[pairs->n++] = (struct csi_pair){xstrdup(key), xstrdup(value)};
}

static void pairs_done(struct csi_pairs *pairs)
{
    for (size_t i = 0; i < pairs->n; i++) {
        char *key = (char *)(uintptr_t)pairs->items[i].key, *value = (char *)(uintptr_t)pairs->items[i].value;
        explicit_bzero(value, strlen(value));
        free(key);
        free(value);
    }
    free(pairs->items);
    *pairs = (struct csi_pairs){0};
}

void csi_plan_done(struct csi_plan *plan)
{
    free(plan->driver);
    free(plan->handle);
    free(plan->fs_type);
    free(plan->mount_group);
    strv_done(&plan->mount_flags);
    pairs_done(&plan->stage_secrets);
    pairs_done(&plan->publish_secrets);
    pairs_done(&plan->context);
    pairs_done(&plan->publish_context);
    *plan = (struct csi_plan){0};
}

static void add_members(struct csi_pairs *pairs, const struct json *object)
{
    void *position = NULL;
    const char *key;
    const struct json *value;

    while (json_next(object, &position, &key, &value))
        add_pair(pairs, key, strempty(json_string_value(value)));
}

/* Both calls take the secret of their own; its bytes must be text, which is all that the protocol has. */
static int add_secret(const struct map *objects, const char *what, const char *namespace, const char *name,
                      struct csi_pairs *pairs, struct err *err)
{
    CLEANUP(xfree) char *key =
        namespace != NULL ? xasprintf("Secret/%s/%s", namespace, name) : xasprintf("Secret/%s", name);
    const struct json *secret = objects != NULL ? map_get(objects, key) : NULL, *value;
    void *position = NULL;
    const char *member;

    if (secret == NULL)
        return err_set(err, ERR_NOT_FOUND, "fetching %s failed: secrets \"%s\" not found%s%s", what, name,
                       namespace != NULL ? " in namespace " : "", strempty(namespace));
    while (json_next(json_get(secret, "data", NULL), &position, &member, &value)) {
        CLEANUP(buf_done) struct buf bytes = {0};
        const char *text = strempty(json_string_value(value));
        int r = base64_decode(text, strlen(text), &bytes, err);

        if (r < 0)
            return err_wrap(err, "key '%s' of secret \"%s\"", member, name);
        bool is_text = strlen(buf_text(&bytes)) == bytes.len;
        if (is_text)
            add_pair(pairs, member, buf_text(&bytes));
        if (bytes.len > 0)
            explicit_bzero(bytes.data, bytes.len);
        if (!is_text)
            return err_set(err, ERR_INVALID,
                           "key '%s' of secret \"%s\" is no text, which is all that drivers can be given", member,
                           name);
    }
    return 0;
}

/* --- facts of the CSIDriver object */

static bool has_mode(const struct json *driver, const char *mode)
{
    const struct json *modes = json_get(driver, "spec", "volumeLifecycleModes", NULL), *item;

    json_each(item, modes)
        if (streq(json_string_value(item), mode))
            return true;
    return json_len(modes) == 0 && streq(mode, "Persistent"); /* the API's default */
}

bool csi_is_usable(const char *name, const struct json *driver)
{
    CLEANUP(xfree) char *refusal = csi_refusal(name, driver);

    return refusal == NULL || has_mode(driver, "Ephemeral");
}

static int check_driver(const struct json *driver, const char *name, bool ephemeral, struct err *err)
{
    const char *mode = ephemeral ? "Ephemeral" : "Persistent";
    /* a volume written in the pod is never attached */
    CLEANUP(xfree) char *refusal = ephemeral ? NULL : csi_refusal(name, driver);

    if (refusal != NULL)
        return err_set(err, ERR_UNSUPPORTED, "%s", refusal);
    if (driver == NULL)
        return err_set(err, ERR_UNSUPPORTED, "volume mode \"%s\" not supported by driver %s (no CSIDriver object)",
                       mode, name);
    if (!has_mode(driver, mode))
        return err_set(err, ERR_UNSUPPORTED,
                       "volume mode \"%s\" not supported by driver %s (volumeLifecycleModes of its "
                       "CSIDriver object)",
                       mode, name);
    return 0;
}

static void add_pod(const struct json *pod, bool ephemeral, struct csi_pairs *context)
{
    add_pair(context, CONTEXT_PREFIX "pod.name", json_str_or("", pod, "metadata", "name", NULL));
    add_pair(context, CONTEXT_PREFIX "pod.namespace", json_str_or("", pod, "metadata", "namespace", NULL));
    add_pair(context, CONTEXT_PREFIX "pod.uid", json_str_or("", pod, "metadata", "uid", NULL));
    add_pair(context, CONTEXT_PREFIX "serviceAccount.name",
             json_str_or("default", pod, "spec", "serviceAccountName", NULL));
    add_pair(context, CONTEXT_PREFIX "ephemeral", ephemeral ? "true" : "false");
}

/* {"AUDIENCE": {"token": ..., "expirationTimestamp": ...}} */
static int add_tokens(const struct csi_plan_input *input, struct csi_plan *plan, struct err *err)
{
    const struct json *requests = json_get(input->driver, "spec", "tokenRequests", NULL), *request;
    CLEANUP(json_free) struct json *all = json_new_object();
    CLEANUP(buf_done) struct buf text = {0};

    if (json_len(requests) == 0)
        return 0;
    json_each(request, requests) {
        const char *audience = json_str_or("", request, "audience", NULL);
        CLEANUP(xfree) char *key = csi_token_key(plan->driver, audience);
        const char *status = input->tokens != NULL ? map_get(input->tokens, key) : NULL;
        struct json *token;
        int r = status != NULL
                    ? json_parse(status, strlen(status), &token, err)
                    : err_set(err, ERR_BUSY, "the service account token for \"%s\" has not come yet", audience);
        if (r < 0)
            return r;
        json_set(all, audience, token);
    }
    json_print(all, &text);
    add_pair(json_is_true(input->driver, "spec", "serviceAccountTokenInSecrets", NULL) ? &plan->publish_secrets
                                                                                       : &plan->publish_context,
             TOKENS_KEY, buf_text(&text));
    explicit_bzero(text.data, text.len);
    return 0;
}

/* --- access and owners */

static int read_access(const struct csi_plan_input *input, const struct json *bound, struct csi_plan *plan,
                       struct err *err)
{
    /* as the kubelet, which goes by the first one only */
    const char *mode = json_string_value(json_at(json_get(bound, "spec", "accessModes", NULL), 0));
    bool tells = input->capabilities.single_writer;

    mode = mode != NULL ? mode : "ReadWriteOnce";
    plan->exclusive = streq(mode, "ReadWriteOncePod");
    if (streq(mode, "ReadWriteOnce"))
        plan->access = tells ? CSI_SINGLE_NODE_MULTI_WRITER : CSI_SINGLE_NODE_WRITER;
    else if (streq(mode, "ReadWriteOncePod"))
        plan->access = tells ? CSI_SINGLE_NODE_SINGLE_WRITER : CSI_SINGLE_NODE_WRITER;
    else if (streq(mode, "ReadOnlyMany"))
        plan->access = CSI_MULTI_NODE_READER_ONLY;
    else if (streq(mode, "ReadWriteMany"))
        plan->access = CSI_MULTI_NODE_MULTI_WRITER;
    else
        return err_set(err, ERR_UNSUPPORTED, "access mode %s is not known here", mode);
    return 0;
}

static bool has_read_write_once(const struct json *bound)
{
    const struct json *mode;

    json_each(mode, json_get(bound, "spec", "accessModes", NULL))
        if (streq(json_string_value(mode), "ReadWriteOnce"))
            return true;
    return false;
}

/* Does the agent give the files to the pod's fsGroup? bound NULL: the volume is written in the pod. */
static bool gives_files(const struct csi_plan_input *input, const struct json *bound, const struct csi_plan *plan)
{
    const char *policy = json_str_or("ReadWriteOnceWithFSType", input->driver, "spec", "fsGroupPolicy", NULL);

    if (plan->readonly || streq(policy, "None"))
        return false;
    if (streq(policy, "File"))
        return true;
    return *plan->fs_type != '\0' && (bound == NULL || has_read_write_once(bound));
}

static void read_group(const struct csi_plan_input *input, const struct json *bound, struct csi_plan *plan)
{
    const struct json *security = json_get(input->pod, "spec", "securityContext", NULL);
    int64_t group = json_int_or(-1, security, "fsGroup", NULL);

    plan->fs_group = -1;
    if (group < 0)
        return;
    if (input->capabilities.mount_group)
        plan->mount_group = xasprintf("%" PRId64, group);
    else if (gives_files(input, bound, plan))
        plan->fs_group = group;
    plan->fs_group_if_needed = streq(json_str(security, "fsGroupChangePolicy", NULL), "OnRootMismatch");
}

/* --- the two kinds of volumes */

/* As the kubelet makes it; for the driver it is a volume like any other. */
static char *ephemeral_handle(const struct json *pod, const char *volume)
{
    CLEANUP(xfree) char *text = xasprintf("%s%s", json_str_or("", pod, "metadata", "uid", NULL), volume);
    char digest[65];

    pki_sha256_hex(text, strlen(text), digest);
    return xasprintf("csi-%s", digest);
}

static int plan_ephemeral(const struct csi_plan_input *input, const struct json *source, struct csi_plan *plan,
                          struct err *err)
{
    const char *secret = json_str(source, "nodePublishSecretRef", "name", NULL);

    plan->handle = ephemeral_handle(input->pod, json_str_or("", input->volume, "name", NULL));
    plan->readonly = json_is_true(source, "readOnly", NULL);
    return secret != NULL
               ? add_secret(input->objects, "NodePublishSecretRef", NULL, secret, &plan->publish_secrets, err)
               : 0;
}

static int plan_persistent(const struct csi_plan_input *input, const struct json *bound, const struct json *source,
                           struct csi_plan *plan, struct err *err)
{
    const char *stage_secret = json_str(source, "nodeStageSecretRef", "name", NULL);
    const char *publish_secret = json_str(source, "nodePublishSecretRef", "name", NULL);
    const struct json *option;
    int r = 0;

    if (streq(json_str(bound, "spec", "volumeMode", NULL), "Block"))
        return err_set(err, ERR_UNSUPPORTED,
                       "persistentvolume \"%s\" is a block device (volumeMode: Block), which Fargate pods "
                       "cannot have",
                       json_str_or("", bound, "metadata", "name", NULL));
    plan->handle = xstrdup(json_str_or("", source, "volumeHandle", NULL));
    plan->stage = input->capabilities.stage;
    plan->readonly = json_is_true(input->volume, "persistentVolumeClaim", "readOnly", NULL);
    json_each(option, json_get(bound, "spec", "mountOptions", NULL))
        strv_add(&plan->mount_flags, strempty(json_string_value(option)));
    if (stage_secret != NULL && plan->stage)
        r = add_secret(input->objects, "NodeStageSecretRef",
                       json_str_or("", source, "nodeStageSecretRef", "namespace", NULL), stage_secret,
                       &plan->stage_secrets, err);
    if (r == 0 && publish_secret != NULL)
        r = add_secret(input->objects, "NodePublishSecretRef",
                       json_str_or("", source, "nodePublishSecretRef", "namespace", NULL), publish_secret,
                       &plan->publish_secrets, err);
    return r;
}

/* --- entry points */

const struct json *csi_source_of(const struct json *volume, const struct map *objects)
{
    CLEANUP(err_clear) struct err ignored = {0};
    const struct json *bound, *inline_source = json_get(volume, "csi", NULL);

    if (inline_source != NULL || json_get(volume, "persistentVolumeClaim", NULL) == NULL)
        return inline_source;
    if (volumes_claimed(volume, objects, &bound, &ignored) < 0)
        return NULL;
    return json_get(bound, "spec", "csi", NULL);
}

int csi_plan_of(const struct csi_plan_input *input, struct csi_plan *ret, struct err *err)
{
    CLEANUP(csi_plan_done) struct csi_plan plan = {0};
    const struct json *source = json_get(input->volume, "csi", NULL), *bound = NULL;
    bool ephemeral = source != NULL;
    int r = 0;

    if (!ephemeral) {
        if ((r = volumes_claimed(input->volume, input->objects, &bound, err)) < 0)
            return r;
        source = json_get(bound, "spec", "csi", NULL);
    }
    const char *driver = json_str_or("", source, "driver", NULL);
    if (!csi_name_is_valid(driver))
        return err_set(err, ERR_INVALID, "'%.64s' is no name of a CSI driver", driver);
    plan.driver = xstrdup(driver);
    plan.fs_type = xstrdup(json_str_or("", source, "fsType", NULL));
    add_members(&plan.context, json_get(source, "volumeAttributes", NULL));
    plan.republish = json_is_true(input->driver, "spec", "requiresRepublish", NULL);
    if ((r = check_driver(input->driver, driver, ephemeral, err)) < 0 ||
        (r = read_access(input, bound, &plan, err)) < 0)
        return r;
    r = ephemeral ? plan_ephemeral(input, source, &plan, err) : plan_persistent(input, bound, source, &plan, err);
    if (r < 0 || (r = add_tokens(input, &plan, err)) < 0)
        return r;
    if (*plan.handle == '\0')
        return err_set(err, ERR_INVALID, "the volume of driver %s has no volumeHandle", driver);
    if (json_is_true(input->driver, "spec", "podInfoOnMount", NULL))
        add_pod(input->pod, ephemeral, &plan.publish_context);
    read_group(input, bound, &plan);
    *ret = plan;
    plan = (struct csi_plan){0};
    return 0;
}
