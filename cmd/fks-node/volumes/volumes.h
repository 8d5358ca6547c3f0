/*
 * volumes.h: what a pod's volumes need from the API server, and the volumes on disk. Blocking file work on small
 * files; no requests: objects and tokens are handed in.
 *
 * Below <state_dir>/pods/<uid>/:
 *     volumes/<volume>/                                  what containers mount (tmpfs for secret, projected, Memory)
 *     volume-subpaths/<volume>/<container>/<mount index>  bind mounts of subPaths
 *     containers/<container>/<attempt>                   termination message file
 *     etc-hosts                                          the pod's /etc/hosts (podspec_hosts_file makes its text)
 */
#pragma once

#include "base/map.h"
#include "base/str.h"
#include "cri/runtime.h"
#include "data/json.h"

#include "spec/downward.h"
#include "spec/environment.h"

/* --- what is needed */
#define VOLUMES_TRUST "ClusterTrustBundle" /* no single object: a list, by field selector */
struct volumes_object {
    const char *kind; /* "ConfigMap", "Secret", "PersistentVolumeClaim" or VOLUMES_TRUST */
    char *name;       /* of VOLUMES_TRUST the field selector */
    char *key;       /* "ConfigMap/NAME": its place in maps of objects */
    bool optional;   /* every use of it is optional */
    bool in_volume;  /* fetch again from time to time and call volumes_set_up; else only variables or pulls use it */
    bool for_pulls;  /* named in imagePullSecrets */
};
struct volumes_token {
    char *key;      /* "VOLUME/INDEX OF THE SOURCE": its place in maps of tokens */
    char *audience; /* "": the API server's own */
    int64_t expiration_s; /* at least 600 */
};
struct volumes_needs {
    struct volumes_object *objects; /* every object once, of volumes, env, envFrom and imagePullSecrets */
    size_t n_objects, cap_objects;
    struct volumes_token *tokens;
    size_t n_tokens, cap_tokens;
};
/* *ret must be empty ({0}). All objects are of the pod's own namespace. */
void volumes_needs_of(const struct json *pod, struct volumes_needs *ret);
/* Adds a token under this key: source is a TokenRequest's {audience, expirationSeconds}. False: it is there already. */
bool volumes_needs_token(struct volumes_needs *needs, const char *key, const struct json *source);
void volumes_needs_done(struct volumes_needs *needs);

/* --- on disk */
struct volumes_input {
    const struct json *pod;
    const char *state_dir;
    const struct map *objects; /* as environment_context.objects; absent or NULL: not found */
    const struct map *tokens;  /* volumes_token.key → char *: the bearer token */
    struct downward_context downward;
};
/*
 * Makes every volume, and brings configMap, secret, projected and downwardAPI volumes up to date (atomically, only what
 * changed): call it before the first container, and again whenever pod, objects or tokens changed. Idempotent, also
 * after a restart of the agent. Needs root (mount, chown).
 * err is the message for a FailedMount event, as the kubelet writes it: `MountVolume.SetUp failed for volume "v" :
 * configmap "x" not found` (ERR_NOT_FOUND), `... references non-existent config key: k` (ERR_NOT_FOUND), a volume
 * type that is not supported (ERR_UNSUPPORTED; trying again is of no use), a path that leaves the volume
 * (ERR_INVALID), ERR_IO.
 */
int volumes_set_up(const struct volumes_input *input, struct err *err) MUST_CHECK;

/*
 * The mounts of one container: its volumeMounts with subPath and subPathExpr resolved (bound in place, no way out
 * of the volume by symlinks), the managed /etc/hosts (unless the pod uses the host's network or the container
 * mounts its own), and the termination message file, which is created empty here for this attempt.
 */
struct volumes_mounts {
    struct cri_mount *items; /* strings owned */
    size_t n, cap;
};
struct volumes_places { /* borrowed */
    const char *state_dir;
    bool readonly_below; /* the runtime can make what is mounted below a volume read-only too */
    const struct map *images; /* name of an image volume → const char *: id of its image; NULL: none */
};
/*
 * *ret must be empty ({0}). ERR_UNSUPPORTED: recursive read-only mounts where the runtime cannot. ERR_NOT_FOUND: names a volume that the pod does not have; ERR_INVALID: subPath with
 * ".." or that leads out of the volume; ERR_IO. Reason for the container: CreateContainerConfigError.
 */
int volumes_mounts_of(const struct json *pod, const struct json *container, const struct volumes_places *places,
                      const struct environment *environment, uint32_t attempt, struct volumes_mounts *ret,
                      struct err *err) MUST_CHECK;
void volumes_mounts_done(struct volumes_mounts *mounts);

/* --- claims and network file systems */
/* The PersistentVolume that a volume's claim is bound to. ERR_NOT_FOUND: no such claim, or not bound. */
int volumes_claimed(const struct json *volume, const struct map *objects, const struct json **ret,
                    struct err *err) MUST_CHECK;
struct volumes_nfs { /* borrowed from the objects it was found in */
    const char *server, *path;
    bool readonly;
    const struct json *options; /* array of mount options, or NULL */
};
/*
 * Of a volume of type nfs, or of a claim that is bound to one. objects: "PersistentVolumeClaim/NAME" and
 * "PersistentVolume/NAME" beside the others. ERR_NOT_FOUND: no such claim, or not bound; ERR_UNSUPPORTED: bound to
 * something else; ERR_INVALID: of another type.
 */
int volumes_nfs_of(const struct json *volume, const struct map *objects, struct volumes_nfs *ret,
                   struct err *err) MUST_CHECK;
/* The volume is, or may turn out to be, a network file system. */
bool volumes_is_network(const struct json *volume);
/* The reference of a volume of type image, or NULL. */
const char *volumes_image_of(const struct json *volume);
bool volumes_is_mounted(const char *path);

/*
 * A file that containers write, by its path in a volume of the pod; no symlink leads out of the volume, and nothing but a
 * regular file is read. *ret must be empty. ERR_NOT_FOUND: no such file; ERR_INVALID: no such volume, no regular file;
 * ERR_TOO_BIG: over LIMIT_FILE; ERR_IO.
 */
int volumes_read(const struct json *pod, const char *state_dir, const char *volume, const char *path, struct buf *ret,
                 struct err *err) MUST_CHECK;

/* Heap strings. */
char *volumes_dir(const char *state_dir, const char *uid, const char *volume) MUST_CHECK;
char *volumes_pod_dir(const char *state_dir, const char *uid) MUST_CHECK;
char *volumes_hosts_path(const char *state_dir, const char *uid) MUST_CHECK;
/* Read it (at most LIMIT_TERMINATION_MESSAGE) when the container has exited. */
char *volumes_termination_path(const char *state_dir, const char *uid, const char *container,
                               uint32_t attempt) MUST_CHECK;

/* Takes the mounts of subPaths away, which would keep their volumes busy. Absent is success. */
int volumes_drop_subpaths(const char *state_dir, const char *uid, struct err *err) MUST_CHECK;
/* Unmounts and removes <state_dir>/pods/<uid>. Absent is success. ERR_BUSY, ERR_IO: try again. No Pod object needed. */
int volumes_tear_down(const char *state_dir, const char *uid, struct err *err) MUST_CHECK;

DEFINE_CLEANUP_IN_PLACE(struct volumes_needs, volumes_needs_done)
DEFINE_CLEANUP_IN_PLACE(struct volumes_mounts, volumes_mounts_done)
