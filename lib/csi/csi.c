/*
 * csi.c: see csi.h. Builds the requests and reads the answers; the transport is grpc_call.h's. What to call when, and
 * with what, is the agent's to know.
 */
#include "csi/csi_internal.h"

#include "base/mem.h"
#include "base/str.h"

#include "csi.pb-c.h"
#include "registration.pb-c.h"
#pragma GCC diagnostic ignored "-Wcast-qual" /* in the initialisers of the generated headers */

/* Of NodeServiceCapability.RPC.Type. */
#define CAPABILITY_STAGE 1
#define CAPABILITY_SINGLE_WRITER 5
#define CAPABILITY_MOUNT_GROUP 6

#define NODE(name) "csi.v1", "Node", name
#define REGISTRATION(name) "pluginregistration", "Registration", name

struct csi {
    struct grpc_client *client;
};

struct csi_call {
    const struct csi_method *method;
    union csi_done done;
    void *data;
};

int csi_new(struct loop *loop, const char *socket_path, struct csi **ret, struct err *err)
{
    CLEANUP(csi_free) struct csi *csi = NEW(struct csi);
    int r = grpc_client_new(loop, socket_path, NULL, &csi->client, err);

    if (r < 0)
        return r;
    *ret = take(&csi);
    return 0;
}

struct csi *csi_free(struct csi *csi)
{
    if (csi != NULL)
        grpc_client_free(csi->client);
    free(csi);
    return NULL;
}

/* --- calls */

static void deliver(const ProtobufCMessage *answer, struct err *err, void *data)
{
    const struct csi_call *call = data;

    call->method->deliver(answer, err, call->done, call->data);
}

static void on_answer(const ProtobufCMessage *answer, struct err *err, void *data)
{
    CLEANUP(xfree) struct csi_call *call = data;

    deliver(answer, err, call);
}

static void start(struct csi *csi, const struct csi_method *method, const ProtobufCMessage *request, int64_t timeout_ms,
                  union csi_done done, void *data)
{
    struct csi_call *call = NEW(struct csi_call);

    *call = (struct csi_call){method, done, data};
    grpc_start(csi->client, &method->grpc, request, timeout_ms, on_answer, free, call);
}

void csi_answer(const struct csi_method *method, const char *body, size_t len, const char *code, const char *message,
                union csi_done done, void *data)
{
    struct csi_call call = {method, done, data};

    grpc_answer(&method->grpc, body, len, code, message, deliver, &call);
}

/* protobuf-c's strings are not const, but packing does not change them. */
static char *text_of(const char *text)
{
    return (char *)(uintptr_t)strempty(text);
}

static void deliver_ok(const ProtobufCMessage *answer UNUSED, struct err *err, union csi_done done, void *data)
{
    done.ok(err, data);
}

/* --- the node service */

static void deliver_info(const ProtobufCMessage *message, struct err *err, union csi_done done, void *data)
{
    const Csi__V1__NodeGetInfoResponse *answer = (const Csi__V1__NodeGetInfoResponse *)message;

    if (answer == NULL)
        done.info(NULL, 0, err, data);
    else
        done.info(answer->node_id, answer->max_volumes_per_node, err, data);
}

static const struct csi_method method_info = {{NODE("NodeGetInfo"), &csi__v1__node_get_info_response__descriptor},
                                              deliver_info};

void csi_node_info(struct csi *csi, int64_t timeout_ms, csi_info_done *done, void *data)
{
    Csi__V1__NodeGetInfoRequest request = CSI__V1__NODE_GET_INFO_REQUEST__INIT;

    start(csi, &method_info, &request.base, timeout_ms, (union csi_done){.info = done}, data);
}

static void deliver_capabilities(const ProtobufCMessage *message, struct err *err, union csi_done done, void *data)
{
    const Csi__V1__NodeGetCapabilitiesResponse *answer = (const Csi__V1__NodeGetCapabilitiesResponse *)message;
    struct csi_capabilities seen = {0};

    if (answer == NULL) {
        done.capabilities(NULL, err, data);
        return;
    }
    for (size_t i = 0; i < answer->n_capabilities; i++) {
        int32_t type = answer->capabilities[i]->rpc != NULL ? answer->capabilities[i]->rpc->type : 0;
        seen.stage = seen.stage || type == CAPABILITY_STAGE;
        seen.mount_group = seen.mount_group || type == CAPABILITY_MOUNT_GROUP;
        seen.single_writer = seen.single_writer || type == CAPABILITY_SINGLE_WRITER;
    }
    done.capabilities(&seen, err, data);
}

static const struct csi_method method_capabilities = {
    {NODE("NodeGetCapabilities"), &csi__v1__node_get_capabilities_response__descriptor}, deliver_capabilities};

void csi_node_capabilities(struct csi *csi, int64_t timeout_ms, csi_capabilities_done *done, void *data)
{
    Csi__V1__NodeGetCapabilitiesRequest request = CSI__V1__NODE_GET_CAPABILITIES_REQUEST__INIT;

    start(csi, &method_capabilities, &request.base, timeout_ms, (union csi_done){.capabilities = done}, data);
}

/* --- volumes */

struct encoded { /* the parts of a request that lie outside of it */
    Csi__V1__MountVolume mount;
    Csi__V1__AccessMode access;
    Csi__V1__VolumeCapability capability;
    Csi__V1__Pair *pairs;
    Csi__V1__Pair **secrets, **context;
    size_t n_secrets, n_context;
};

static void encoded_done(struct encoded *encoded)
{
    free(encoded->pairs);
    free(encoded->secrets);
    free(encoded->context);
}
DEFINE_CLEANUP_IN_PLACE(struct encoded, encoded_done)

static size_t add_pairs(const struct csi_pairs *pairs, Csi__V1__Pair *place, Csi__V1__Pair ***ret)
{
    size_t n = pairs != NULL ? pairs->n : 0;

    *ret = xcalloc(n > 0 ? n : 1, sizeof(**ret));
    for (size_t i = 0; i < n; i++) {
        csi__v1__pair__init(&place[i]);
        place[i].key = text_of(pairs->items[i].key);
        place[i].value = text_of(pairs->items[i].value);
        (*ret)[i] = &place[i];
    }
    return n;
}

static void encode(const struct csi_volume *volume, struct encoded *ret)
{
    size_t n_flags = 0, n_secrets = volume->secrets != NULL ? volume->secrets->n : 0;
    size_t n = n_secrets + (volume->context != NULL ? volume->context->n : 0);

    while (volume->mount_flags != NULL && volume->mount_flags[n_flags] != NULL)
        n_flags++;
    csi__v1__mount_volume__init(&ret->mount);
    ret->mount.fs_type = text_of(volume->fs_type);
    ret->mount.n_mount_flags = n_flags;
    ret->mount.mount_flags = (char **)(uintptr_t)volume->mount_flags;
    ret->mount.volume_mount_group = text_of(volume->mount_group);
    csi__v1__access_mode__init(&ret->access);
    ret->access.mode = (Csi__V1__AccessMode__Mode)volume->access;
    csi__v1__volume_capability__init(&ret->capability);
    ret->capability.mount = &ret->mount;
    ret->capability.access_mode = &ret->access;
    ret->pairs = xcalloc(n > 0 ? n : 1, sizeof(*ret->pairs));
    ret->n_secrets = add_pairs(volume->secrets, ret->pairs, &ret->secrets);
    ret->n_context = add_pairs(volume->context, ret->pairs + n_secrets, &ret->context);
}

static const struct csi_method method_stage = {
    {NODE("NodeStageVolume"), &csi__v1__node_stage_volume_response__descriptor}, deliver_ok};

void csi_stage(struct csi *csi, const struct csi_volume *volume, int64_t timeout_ms, csi_ok_done *done, void *data)
{
    CLEANUP(encoded_done) struct encoded encoded = {0};
    Csi__V1__NodeStageVolumeRequest request = CSI__V1__NODE_STAGE_VOLUME_REQUEST__INIT;

    encode(volume, &encoded);
    request.volume_id = text_of(volume->id);
    request.staging_target_path = text_of(volume->staging_path);
    request.volume_capability = &encoded.capability;
    request.n_secrets = encoded.n_secrets;
    request.secrets = encoded.secrets;
    request.n_volume_context = encoded.n_context;
    request.volume_context = encoded.context;
    start(csi, &method_stage, &request.base, timeout_ms, (union csi_done){.ok = done}, data);
}

static const struct csi_method method_publish = {
    {NODE("NodePublishVolume"), &csi__v1__node_publish_volume_response__descriptor}, deliver_ok};

void csi_publish(struct csi *csi, const struct csi_volume *volume, int64_t timeout_ms, csi_ok_done *done, void *data)
{
    CLEANUP(encoded_done) struct encoded encoded = {0};
    Csi__V1__NodePublishVolumeRequest request = CSI__V1__NODE_PUBLISH_VOLUME_REQUEST__INIT;

    encode(volume, &encoded);
    request.volume_id = text_of(volume->id);
    request.staging_target_path = text_of(volume->staging_path);
    request.target_path = text_of(volume->target_path);
    request.volume_capability = &encoded.capability;
    request.readonly = volume->readonly;
    request.n_secrets = encoded.n_secrets;
    request.secrets = encoded.secrets;
    request.n_volume_context = encoded.n_context;
    request.volume_context = encoded.context;
    start(csi, &method_publish, &request.base, timeout_ms, (union csi_done){.ok = done}, data);
}

static const struct csi_method method_unpublish = {
    {NODE("NodeUnpublishVolume"), &csi__v1__node_unpublish_volume_response__descriptor}, deliver_ok};

void csi_unpublish(struct csi *csi, const char *id, const char *target_path, int64_t timeout_ms, csi_ok_done *done,
                   void *data)
{
    Csi__V1__NodeUnpublishVolumeRequest request = CSI__V1__NODE_UNPUBLISH_VOLUME_REQUEST__INIT;

    request.volume_id = text_of(id);
    request.target_path = text_of(target_path);
    start(csi, &method_unpublish, &request.base, timeout_ms, (union csi_done){.ok = done}, data);
}

static const struct csi_method method_unstage = {
    {NODE("NodeUnstageVolume"), &csi__v1__node_unstage_volume_response__descriptor}, deliver_ok};

void csi_unstage(struct csi *csi, const char *id, const char *staging_path, int64_t timeout_ms, csi_ok_done *done,
                 void *data)
{
    Csi__V1__NodeUnstageVolumeRequest request = CSI__V1__NODE_UNSTAGE_VOLUME_REQUEST__INIT;

    request.volume_id = text_of(id);
    request.staging_target_path = text_of(staging_path);
    start(csi, &method_unstage, &request.base, timeout_ms, (union csi_done){.ok = done}, data);
}

/* --- registration */

static void deliver_plugin(const ProtobufCMessage *message, struct err *err, union csi_done done, void *data)
{
    const Pluginregistration__PluginInfo *answer = (const Pluginregistration__PluginInfo *)message;

    if (answer == NULL) {
        done.plugin(NULL, err, data);
        return;
    }
    const struct csi_plugin plugin = {
        .type = answer->type,
        .name = answer->name,
        .endpoint = answer->endpoint,
        .versions = (const char *const *)answer->supported_versions,
        .n_versions = answer->n_supported_versions,
    };
    done.plugin(&plugin, err, data);
}

static const struct csi_method method_plugin = {{REGISTRATION("GetInfo"), &pluginregistration__plugin_info__descriptor},
                                                deliver_plugin};

void csi_plugin_info(struct csi *csi, int64_t timeout_ms, csi_plugin_done *done, void *data)
{
    Pluginregistration__InfoRequest request = PLUGINREGISTRATION__INFO_REQUEST__INIT;

    start(csi, &method_plugin, &request.base, timeout_ms, (union csi_done){.plugin = done}, data);
}

static const struct csi_method method_notify = {
    {REGISTRATION("NotifyRegistrationStatus"), &pluginregistration__registration_status_response__descriptor},
    deliver_ok};

void csi_plugin_notify(struct csi *csi, const char *error, int64_t timeout_ms, csi_ok_done *done, void *data)
{
    Pluginregistration__RegistrationStatus request = PLUGINREGISTRATION__REGISTRATION_STATUS__INIT;

    request.plugin_registered = error == NULL;
    request.error = text_of(error);
    start(csi, &method_notify, &request.base, timeout_ms, (union csi_done){.ok = done}, data);
}

const struct csi_method *const csi_methods[] = {
    &method_info,   &method_capabilities, &method_stage, &method_publish, &method_unpublish, &method_unstage,
    &method_plugin, &method_notify,       NULL,
};
