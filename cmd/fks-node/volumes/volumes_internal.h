/*
 * volumes_internal.h: what the files of volumes share.
 */
#pragma once

#include "volumes/atomic_writer.h"
#include "volumes/volumes.h"

/* Which member of a volume says its type. */
enum volumes_type {
    VOLUMES_EMPTY_DIR,
    VOLUMES_CONFIG_MAP,
    VOLUMES_SECRET,
    VOLUMES_PROJECTED,
    VOLUMES_DOWNWARD_API,
    VOLUMES_IMAGE,
    VOLUMES_NFS,
    VOLUMES_CLAIM,
    VOLUMES_CSI,
    VOLUMES_UNSUPPORTED,
};
/* *ret_type: the API's name of it ("configMap"; "hostPath" too); borrowed. */
enum volumes_type volumes_type_of(const struct json *volume, const char **ret_type);
const struct json *volumes_find(const struct json *pod, const char *name);

/* The files of one volume. */
struct volumes_payload {
    struct atomic_file *files; /* path and data owned */
    size_t n, cap;
};
void volumes_payload_done(struct volumes_payload *payload);
/* Of configMap, secret, projected and downwardAPI volumes. */
int volumes_payload_of(const struct volumes_input *input, const struct json *volume, struct volumes_payload *ret,
                       struct err *err) MUST_CHECK;

/* volumes_trust.c: appends the certificates of a clusterTrustBundle source. ERR_NOT_FOUND, ERR_UNSUPPORTED, ERR_PARSE. */
int volumes_trust_anchors(const struct json *source, const struct map *objects, struct buf *out,
                          struct err *err) MUST_CHECK;
/* Which ones it may be, as a field selector: "metadata.name=x" or "spec.signerName=y". Heap string. */
char *volumes_trust_selector(const struct json *source) MUST_CHECK;

/* spec.securityContext.fsGroup, -1 without one. */
int64_t volumes_fs_group(const struct json *pod);
/* Mode of files made from a volume's mode with an fsGroup: the group may read what the owner may. */
mode_t volumes_group_mode(mode_t mode, int64_t fs_group);

/* ERR_INVALID unless text can be one element of a path. */
int volumes_check_element(const char *what, const char *text, struct err *err) MUST_CHECK;

DEFINE_CLEANUP_IN_PLACE(struct volumes_payload, volumes_payload_done)
