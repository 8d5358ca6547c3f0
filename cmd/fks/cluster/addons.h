/*
 * addons.h: what FKS puts into a local cluster's API: namespace, CRDs, RBAC, webhook registration, profiles, CoreDNS. All
 * by server-side apply, so that doing it again changes nothing.
 */
#pragma once

#include "cluster/cluster.h"

/* Namespace, CRDs, RBAC; returns when the CRDs are served. */
int addons_base(const struct cluster *cluster, struct kube_client *client, struct err *err) MUST_CHECK;
/* The webhook must answer by now: failurePolicy is Fail. */
int addons_webhook(const struct cluster *cluster, struct kube_client *client, struct err *err) MUST_CHECK;
int addons_coredns(const struct cluster *cluster, struct kube_client *client, struct err *err) MUST_CHECK;
/* Creates one FargateProfile; ERR_EXISTS when the name is taken. */
int addons_profile(struct kube_client *client, const struct json *profile, struct err *err) MUST_CHECK;
/* eksctl's default: fp-default on the namespaces default and kube-system; pods that missed it are replaced. */
struct json *addons_default_profile(void) MUST_CHECK;
