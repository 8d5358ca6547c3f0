/*
 * pods.h: all pods of this host, by UID: those that the API server gave us (one watch), and those that still have
 * something here (sandboxes, Nodes, folders) although their object is gone.
 */
#pragma once

#include "agent.h"
#include "fargate/size.h"

struct pod;

struct pods *pods_new(struct agent *agent);
/* Starts the watch. */
void pods_start(struct pods *pods);
struct pods *pods_free(struct pods *pods);

/* The first list of pods and of Nodes, and the first look at the runtime are complete: decisions can be made. */
bool pods_settled(const struct pods *pods);
/* NULL if unknown. */
struct pod *pods_get(const struct pods *pods, const char *uid);
/* for (size_t i = 0; pods_next(pods, &i, &pod);) */
bool pods_next(const struct pods *pods, size_t *position, struct pod **ret);
/*
 * Something of a pod was found here: makes an entry without an object if there is none. The pod then asks the API
 * server whether its object lives, and cleans up if not.
 */
struct pod *pods_found(struct pods *pods, const char *uid, const char *namespace, const char *name);
/* The pod left nothing behind: frees it. */
void pods_forget(struct pods *pods, struct pod *pod);
void pods_wake_all(struct pods *pods);

/* From relist.c. asked_ms: loop time at which the list was asked for; what changed since then it cannot know. */
void pods_observe_sandboxes(struct pods *pods, const struct cri_sandbox *items, size_t n, int64_t asked_ms);
void pods_observe_containers(struct pods *pods, const struct cri_container *items, size_t n, int64_t asked_ms);
