/*
 * register_checks.h: what must hold before FKS goes into a cluster, asked before anything is written there.
 */
#pragma once

#include "data/json.h"
#include "install/install.h"
#include "kube/client.h"
#include "kube/discovery.h"

/* The API server is new enough, for hosts if there shall be some. *ret_version: "v1.36.3"; heap. ERR_UNSUPPORTED. */
int register_check_version(struct kube_client *client, bool hosts, char **ret_version, struct err *err) MUST_CHECK;
/* Nobody else owns what we would write: a Helm release, a local cluster of fks, AWS Fargate, FKS with other names. ERR_EXISTS. */
int register_check_owner(struct kube_client *client, const struct install_settings *settings, struct err *err) MUST_CHECK;
/* The caller may write each kind of these objects (SelfSubjectAccessReviews). ERR_FORBIDDEN lists all that is missing. */
int register_check_permissions(struct kube_client *client, struct kube_discovery *discovery, const struct json *objects,
                               struct err *err) MUST_CHECK;
/* The name of the Helm release that installed FKS; NULL: none did, or FKS is not there. Heap. */
int register_helm_release(struct kube_client *client, char **ret, struct err *err) MUST_CHECK;
