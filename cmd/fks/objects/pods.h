/*
 * pods.h: from what the user names (a pod, a deployment, a service...) to pods and their containers; for logs, exec,
 * attach.
 */
#pragma once

#include "objects/items.h"

/* "web", "pod/web", "deploy/web": the object, read from the server. */
int pods_read_object(struct cli *cli, const char *argument, struct json **ret, struct err *err) MUST_CHECK;
/* What the pods are wanted for: the words of the error about kinds that have none, and which pod is the best one. */
enum pods_purpose { PODS_TO_ATTACH, PODS_FOR_LOGS };
/*
 * The pods behind an object: itself if it is a pod, else those its selector matches, the best one first (running
 * before not running, ready before not ready, and so on as kubectl). Without any, the first one that appears within
 * timeout_ms; ERR_TIMEOUT.
 */
int pods_of_object(struct cli *cli, const struct json *object, enum pods_purpose purpose, int64_t timeout_ms,
                   struct json **ret_array, struct err *err) MUST_CHECK;
/*
 * Path of the list of a container: "containers", "initContainers", "ephemeralContainers"; NULL if the pod has none
 * of the name.
 */
const char *pods_find_container(const struct json *pod, const char *name);
/* "a, b, c (ephem), d (init)". */
void pods_container_names(const struct json *pod, struct buf *out);
/*
 * The container to use: `name`, else the default-container annotation's, else the first one, about which stderr is
 * told when there are more (unless quiet). Borrowed.
 */
int pods_choose_container(const struct json *pod, const char *name, bool quiet, const char **ret,
                          struct err *err) MUST_CHECK;
/* A LabelSelector tree or a plain map of labels as selector text. */
void pods_selector_text(const struct json *selector, struct buf *out);
