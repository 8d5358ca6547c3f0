/*
 * addons.h: what FKS puts into a cluster's API: namespace, CRDs, RBAC, webhook registration, profiles, CoreDNS. All by
 * server-side apply, so that doing it again changes nothing.
 */
#pragma once

#include "cluster/cluster.h"
#include "kube/discovery.h"

/* The resource of an object's kind and the object's own path on the server; *ret_path is the caller's. */
int addons_locate(struct kube_discovery *discovery, const struct json *object, const struct kube_resource **ret, char **ret_path,
                  struct err *err) MUST_CHECK;
/* One object, whatever is there already; also for clusters that are not local. */
int addons_apply(struct kube_client *client, struct kube_discovery *discovery, const struct json *object,
                 struct err *err) MUST_CHECK;
/* Returns when the CRDs are served. */
int addons_wait_for_types(struct kube_client *client, struct err *err) MUST_CHECK;
/* Namespace, CRDs, RBAC; returns when the CRDs are served. */
int addons_base(const struct cluster *cluster, struct kube_client *client, struct err *err) MUST_CHECK;
/* The webhook must answer by now: failurePolicy is Fail. */
int addons_webhook(const struct cluster *cluster, struct kube_client *client, struct err *err) MUST_CHECK;
int addons_coredns(const struct cluster *cluster, struct kube_client *client, struct err *err) MUST_CHECK;
/* Creates one FargateProfile; ERR_EXISTS when the name is taken. */
int addons_profile(struct kube_client *client, const struct json *profile, struct err *err) MUST_CHECK;
/* eksctl's default: fp-default on the namespaces default and kube-system; pods that missed it are replaced. */
struct json *addons_default_profile(void) MUST_CHECK;
