/*
 * install.h: the objects of FKS in a cluster that is there already (manifests/install.yaml, inside this program): adapting,
 * applying, waiting for and deleting them. The order in which they come and go is told in manifests/README.md.
 */
#pragma once

#include "data/json.h"
#include "kube/client.h"
#include "kube/discovery.h"

#define INSTALL_AGENTS "fks-node" /* DaemonSet */
#define INSTALL_WEBHOOKS "/apis/admissionregistration.k8s.io/v1/"
#define INSTALL_MUTATING "0500-fks-fargate-mutation.fks.dev"
#define INSTALL_VALIDATING "fks-fargate-validation.fks.dev"

struct install_settings {
    const char *registry, *tag; /* of the images; NULL: as they are */
    bool hosts;                 /* the agents, too */
    bool beside_aws;            /* other names than those of AWS Fargate, which is in the cluster, too */
};

/* The objects in the order of applying: a JSON array. */
int install_objects(const struct install_settings *settings, struct json **ret, struct err *err) MUST_CHECK;
/* The resource of an object's kind and the object's own path on the server; *ret_path is the caller's. */
int install_locate(struct kube_discovery *discovery, const struct json *object, const struct kube_resource **ret,
                   char **ret_path, struct err *err) MUST_CHECK;
/* One object by server-side apply, whatever is there already. */
int install_apply_object(struct kube_client *client, struct kube_discovery *discovery, const struct json *object,
                         struct err *err) MUST_CHECK;
/* Returns when the CRDs are served. */
int install_wait_for_types(struct kube_client *client, struct err *err) MUST_CHECK;
/* Applies them all; again and again gives the same. */
int install_apply(struct kube_client *client, struct kube_discovery *discovery, const struct json *objects,
                  struct err *err) MUST_CHECK;
/* Until both programs are available and the API server asks the webhook; with hosts, until each that is chosen has its agent. */
int install_wait(struct kube_client *client, bool hosts, int64_t timeout_ms, struct err *err) MUST_CHECK;
/* Whether the agents are installed. */
int install_has_hosts(struct kube_client *client, bool *ret, struct err *err) MUST_CHECK;

/*
 * Until the API server asks the webhook about the namespaces of a new profile, to which the acting scheduler narrows the
 * registration. Whoever may not see registrations does not wait.
 */
int install_wait_for_profile(struct kube_client *client, const struct json *profile, int64_t timeout_ms,
                             struct err *err) MUST_CHECK;

/* The steps of taking FKS out, in this order. */
/* From then on no request of anybody depends on the webhook. */
int install_withdraw(struct kube_client *client, int64_t timeout_ms, struct err *err) MUST_CHECK;
/* Deletes the profiles and waits until their pods, which have that label, are drained. No type, no profiles: nothing to do. */
int install_drain(struct kube_client *client, const char *profile_label, int64_t timeout_ms, struct err *err) MUST_CHECK;
/* Ends the agents, which clean their hosts as they go; then what they wrote about these goes. */
int install_end_hosts(struct kube_client *client, int64_t timeout_ms, struct err *err) MUST_CHECK;
/* Ends the scheduler, then takes its Lease away, which it would make again. */
int install_end_scheduler(struct kube_client *client, int64_t timeout_ms, struct err *err) MUST_CHECK;
/* The rest, last first; the types and what is of them only if asked. */
int install_delete(struct kube_client *client, struct kube_discovery *discovery, const struct json *objects, bool keep_types,
                   int64_t timeout_ms, struct err *err) MUST_CHECK;
