/*
 * csi.h: a driver of the Container Storage Interface (csi.v1), as its node's agent talks to it, and the way a driver
 * makes itself known to a kubelet, in plain structs, asynchronous on a loop. protobuf types stay inside lib/csi.
 *
 * Every call takes a callback that runs exactly once, unless the client is freed first. err is set on failure, with
 * codes from the gRPC status (cri/grpc_call.h); ERR_TIMEOUT: the driver may still be at it. Results are borrowed during
 * the callback, arguments for the call.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "base/loop.h"

struct csi;

/* A connection per call, so none is made here: a driver that does not run is ERR_REFUSED of a call. */
int csi_new(struct loop *loop, const char *socket_path, struct csi **ret, struct err *err) MUST_CHECK;
struct csi *csi_free(struct csi *csi);

/* Protocol numbers. */
enum csi_access {
    CSI_SINGLE_NODE_WRITER = 1,
    CSI_MULTI_NODE_READER_ONLY = 3,
    CSI_MULTI_NODE_MULTI_WRITER = 5,
    CSI_SINGLE_NODE_SINGLE_WRITER = 6,
    CSI_SINGLE_NODE_MULTI_WRITER = 7,
};

struct csi_pair {
    const char *key, *value;
};
struct csi_pairs {
    struct csi_pair *items;
    size_t n, cap;
};

struct csi_volume { /* what a call says of a volume; NULL strings are empty */
    const char *id;
    const char *staging_path; /* NULL: the driver does not stage */
    const char *target_path;  /* publishing only */
    enum csi_access access;
    const char *fs_type;
    const char *const *mount_flags;            /* NULL-ended, or NULL */
    const char *mount_group;                   /* a group's number: the driver gives files to it */
    bool readonly;                             /* publishing only */
    const struct csi_pairs *secrets, *context; /* NULL: none */
};

struct csi_capabilities { /* of a driver's node service */
    bool stage;           /* STAGE_UNSTAGE_VOLUME */
    bool mount_group;     /* VOLUME_MOUNT_GROUP */
    bool single_writer;   /* SINGLE_NODE_MULTI_WRITER: it tells one writer on a node from several */
};

typedef void csi_ok_done(struct err *err, void *data);
typedef void csi_info_done(const char *node_id, int64_t max_volumes, struct err *err, void *data);
typedef void csi_capabilities_done(const struct csi_capabilities *capabilities, struct err *err, void *data);

void csi_node_info(struct csi *csi, int64_t timeout_ms, csi_info_done *done, void *data);
void csi_node_capabilities(struct csi *csi, int64_t timeout_ms, csi_capabilities_done *done, void *data);
void csi_stage(struct csi *csi, const struct csi_volume *volume, int64_t timeout_ms, csi_ok_done *done, void *data);
void csi_publish(struct csi *csi, const struct csi_volume *volume, int64_t timeout_ms, csi_ok_done *done, void *data);
void csi_unpublish(struct csi *csi, const char *id, const char *target_path, int64_t timeout_ms, csi_ok_done *done,
                   void *data);
void csi_unstage(struct csi *csi, const char *id, const char *staging_path, int64_t timeout_ms, csi_ok_done *done,
                 void *data);

/* --- on a registration socket */
#define CSI_PLUGIN_TYPE "CSIPlugin"
struct csi_plugin {
    const char *type, *name, *endpoint; /* endpoint: path of the driver's own socket */
    const char *const *versions;        /* n_versions of them */
    size_t n_versions;
};
typedef void csi_plugin_done(const struct csi_plugin *plugin, struct err *err, void *data);
void csi_plugin_info(struct csi *csi, int64_t timeout_ms, csi_plugin_done *done, void *data);
/* error NULL: registered. */
void csi_plugin_notify(struct csi *csi, const char *error, int64_t timeout_ms, csi_ok_done *done, void *data);

DEFINE_CLEANUP_POINTER(struct csi *, csi_free)
