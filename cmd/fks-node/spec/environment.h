/*
 * environment.h: the environment variables of one container, as the kubelet makes them: service variables, envFrom, env
 * with $(VAR) expansion. Pure: objects are handed in.
 */
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "base/str.h"
#include "cri/runtime.h"
#include "data/json.h"

#include "spec/downward.h"

struct environment {
    struct cri_pair *items; /* keys and values owned; no key twice */
    size_t n;
    size_t cap;
    struct map index; /* private */
};
void environment_done(struct environment *environment);
/* The value of a variable, or NULL. */
const char *environment_get(const struct environment *environment, const char *name);

/* Everything borrowed. */
struct environment_context {
    struct downward_context downward;
    /* "ConfigMap/NAME" and "Secret/NAME" of the pod's namespace → struct json *; absent: not found */
    const struct map *objects;
    /* any Services; those of other namespaces but default/kubernetes are passed over */
    const struct json *const *services;
    size_t n_services;
    /* text of a file in a volume of the pod, for fileKeyRef (ERR_NOT_FOUND: no such file); NULL: such variables are an error */
    int (*read_file)(const char *volume, const char *path, struct buf *ret, const void *data, struct err *err);
    const void *read_file_data;
};

/*
 * container: one element of containers, initContainers or ephemeralContainers of the pod. *ret must be empty ({0})
 * and is the caller's to environment_done.
 * ERR_NOT_FOUND with the kubelet's texts for a container waiting with reason CreateContainerConfigError: `configmap
 * "x" not found`, `secret "x" not found`, `couldn't find key k in ConfigMap ns/x`, `couldn't find key k in Secret
 * ns/x`, `environment variable key "k" not found in file "f"`; ERR_PARSE: `couldn't parse env file`, and why; ERR_INVALID for
 * a field or resource that does not exist.
 */
int environment_make(const struct json *pod, const struct json *container, const struct environment_context *context,
                     struct environment *ret, struct err *err) MUST_CHECK;

/*
 * What the kubelet knows of a container's env (NULL: nothing) when it expands a probe's command: the values as they stand in
 * the spec, empty where they come from elsewhere. *ret must be empty ({0}).
 */
void environment_values(const struct json *env, struct environment *ret);

/* $(NAME) replaced by known variables, $$ by $; unknown ones stay as they are. Heap string. */
char *environment_expand(const struct environment *environment, const char *text) MUST_CHECK;
/*
 * For subPathExpr: as environment_expand, but an unknown variable is ERR_INVALID (`missing value for "NAME"`).
 */
int environment_expand_strict(const struct environment *environment, const char *text, char **ret,
                              struct err *err) MUST_CHECK;

DEFINE_CLEANUP_IN_PLACE(struct environment, environment_done)
