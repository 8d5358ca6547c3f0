/*
 * csi_plan.h: what a driver of the Container Storage Interface has to be asked for one volume of a pod. Pure: the
 * objects are the caller's to fetch, the calls csi_volumes.h's to make.
 */
#pragma once

#include "base/map.h"
#include "base/str.h"
#include "csi/csi.h"
#include "data/json.h"

struct csi_plan_input { /* borrowed */
    const struct json *pod;
    const struct json *volume; /* entry of its spec.volumes */
    const struct map *objects; /* as volumes_input.objects; secrets of a PersistentVolume are "Secret/NAMESPACE/NAME" */
    const struct map *tokens;  /* by csi_token_key → char *: status of the TokenRequest as JSON */
    const struct json *driver; /* the CSIDriver object; NULL: there is none */
    struct csi_capabilities capabilities;
};

struct csi_plan { /* everything owned */
    char *driver, *handle;
    bool stage; /* NodeStageVolume before, NodeUnstageVolume when no pod of this host has the volume any more */
    bool readonly, exclusive; /* exclusive: one pod only (ReadWriteOncePod) */
    bool republish;           /* publish again from time to time: what it depends on may have changed */
    enum csi_access access;
    char *fs_type;
    struct strv mount_flags;
    char *mount_group;       /* the driver gives files to this group; NULL: it does not */
    int64_t fs_group;        /* the agent does; -1: nobody */
    bool fs_group_if_needed; /* only when the volume's root does not have it yet */
    struct csi_pairs stage_secrets, publish_secrets;
    struct csi_pairs context, publish_context; /* of both calls, and what only publishing gets */
};

/*
 * The source of a CSI volume: the pod volume's own `csi`, or spec.csi of the PersistentVolume that its claim is bound
 * to. NULL: of another type, or the objects are not there.
 */
const struct json *csi_source_of(const struct json *volume, const struct map *objects);
/*
 * *ret must be empty ({0}). err goes behind `MountVolume.SetUp failed for volume "v" : `. ERR_UNSUPPORTED: not with
 * this driver or volume; ERR_NOT_FOUND: a secret; ERR_BUSY: a token has not come yet; ERR_INVALID.
 */
int csi_plan_of(const struct csi_plan_input *input, struct csi_plan *ret, struct err *err) MUST_CHECK;
void csi_plan_done(struct csi_plan *plan);

/* "csi:DRIVER/AUDIENCE": the place of a driver's token among a pod's. Heap string. */
#define CSI_TOKEN_PREFIX "csi:"
char *csi_token_key(const char *driver, const char *audience) MUST_CHECK;
/*
 * Why no volume of this driver can be used here, whatever it is, or NULL. driver: its CSIDriver object, or NULL. Heap
 * string.
 *
 * Volumes that must be attached first are refused: attaching is done per Node, and each pod here has a Node of its own,
 * but the Nodes of a host share its machine. What one of them detaches, its neighbours lose.
 */
char *csi_refusal(const char *name, const struct json *driver) MUST_CHECK;
/* Volumes of some kind can be used with it. */
bool csi_is_usable(const char *name, const struct json *driver);
/* A driver's name can be part of paths and keys. */
bool csi_name_is_valid(const char *name);

DEFINE_CLEANUP_IN_PLACE(struct csi_plan, csi_plan_done)
