/*
 * kubeconfig_internal.h: what the kubeconfig_*.c files share.
 */
#pragma once

#include "kube/kubeconfig.h"

/* The names of the files to read, in order. */
void kubeconfig_paths(const char *kubeconfig_flag, struct strv *ret);
/* One file as a Config tree, checked; JSON null for an empty one. ERR_NOT_FOUND if absent. */
int kubeconfig_read(const char *path, struct json **ret, struct err *err) MUST_CHECK;
/* All files merged; resolve: relative file names become relative to nothing. *ret_found: any file was there. */
int kubeconfig_merged(const char *kubeconfig_flag, bool resolve, struct json **ret, bool *ret_found,
                      struct err *err) MUST_CHECK;
/* The "cluster", "user" or "context" (member) of the entry called name in a list; NULL if there is none. */
const struct json *kubeconfig_entry(const struct json *config, const char *list, const char *name,
                                    const char *member);
/* Runs the plugin of users[].user.exec and puts token or certificate into config. */
int kubeconfig_exec(const struct json *exec, const struct json *cluster, const struct kube_overrides *overrides,
                    struct kube_config *config, struct err *err) MUST_CHECK;

/* --- kubeconfig_pod.c */

/* The API server's address is in the environment. */
bool kubeconfig_pod_has_address(void);
/* And there is a token. */
bool kubeconfig_pod_possible(void);
/* Makes the way to the API server out of it; what the entries have (token, authority) stays. */
void kubeconfig_pod_fill(struct json *cluster, struct json *user);
/* The namespace of the pod, "default" where nothing tells. Heap string. */
char *kubeconfig_pod_namespace(void) MUST_CHECK;
