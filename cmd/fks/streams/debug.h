/*
 * debug.h: between debug.c (the command), debug_pod.c (what is made) and debug_profile.c (its rights).
 */
#pragma once

#include "cli.h"

struct debug {
    struct cli *cli;
    const char *container, *copy_to, *image, *pull_policy, *target, *profile;
    bool args_only, replace, quiet, same_node, share_processes, share_seen, use_stdin, tty, attach, attach_seen;
    bool keep_labels, keep_annotations, keep_liveness, keep_readiness, keep_startup, keep_init;
    struct strv env, set_image; /* "name=value" each */
    struct strv command;        /* what follows -- */
    struct json *custom;        /* --custom: part of a container, or NULL */
};

/* How the debugging container comes to be. */
enum debug_style { DEBUG_EPHEMERAL, DEBUG_COPY, DEBUG_NODE };

/* ERR_USAGE: "unknown profile: x". */
int debug_profile_check(const char *name, struct err *err) MUST_CHECK;
/* Gives a pod and its debugging container what --profile stands for. */
void debug_profile_apply(const struct debug *debug, enum debug_style style, struct json *pod, const char *container);
/* The container of a pod under a name, of any kind, to be changed; NULL: none. */
struct json *debug_find_container(struct json *pod, const char *name);

/* The pod with one more ephemeral container, its name in *ret_container (heap). */
void debug_add_container(const struct debug *debug, const struct json *pod, struct json **ret, char **ret_container);
/* A new pod like it. *ret_container: NULL when only images were changed. */
int debug_copy_pod(const struct debug *debug, const struct json *pod, struct json **ret, char **ret_container,
                   struct err *err) MUST_CHECK;
/* A pod on a node. */
void debug_node_pod(const struct debug *debug, const char *node, struct json **ret, char **ret_container);
/* Tells of rights that a user who is not root cannot use. */
void debug_warn_of_user(const struct json *pod, struct json *debug_pod, const char *container);

/* Waits until the container runs, and joins its streams; returns the exit code. */
int debug_attach(const struct debug *debug, const char *namespace, const char *pod, const char *container);
