/*
 * registration.h: where FKS runs as pods, keeps the API server's registrations of fks-webhook. What to register is in a
 * ConfigMap: the registrations as YAML, the name of the webhook's Secret, and whether FKS makes the certificate in it. They
 * are put in force when a webhook pod is ready and its authority known, follow the ConfigMap and the Secret, and are
 * withdrawn when the ConfigMap goes. Only the replica that leads writes.
 */
#pragma once

#include "base/loop.h"
#include "base/metrics.h"
#include "kube/client.h"
#include "leader.h"

struct registration;

struct registration_options {
    const char *config_map; /* its name in FKS_NAMESPACE */
    const struct leader *leader;
    struct metrics *metrics;
};

/* All borrowed. */
struct registration *registration_new(struct loop *loop, struct kube_client *client,
                                      const struct registration_options *options);
struct registration *registration_free(struct registration *registration);
DEFINE_CLEANUP_POINTER(struct registration *, registration_free)
