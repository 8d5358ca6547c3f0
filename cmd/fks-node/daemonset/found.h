/*
 * found.h: what an agent that nobody set up by hand finds out itself when it starts: in the cluster, and of its host's Node.
 */
#pragma once

#include "agent.h"

struct found { /* owned */
    char *client_ca;                /* PEM: who signs the kubelet API's clients */
    char *tls_cert, *tls_key;       /* PEM: made now */
    char *zone, *region, *pod_cidr; /* of the Node; NULL where it does not say */
    char *cluster_dns;
};
void found_done(struct found *found);
DEFINE_CLEANUP_IN_PLACE(struct found, found_done)

/* Of ConfigMap kube-system/extension-apiserver-authentication: for everybody whom the API server calls. */
int found_client_ca(struct kube_client *client, struct found *found, struct err *err) MUST_CHECK;
/* A certificate for the kubelet API as a kubelet makes one: of an authority that nobody knows. */
int found_certificate(const char *host_name, const char *address, struct found *found, struct err *err) MUST_CHECK;
/* Zone, region and pod range of a Node. */
void found_of_node(const struct json *node, struct found *found);
int found_node(struct kube_client *client, const char *name, struct found *found, struct err *err) MUST_CHECK;
/* The address of the Service kube-system/kube-dns; a cluster without it is no error. */
int found_cluster_dns(struct kube_client *client, struct found *found, struct err *err) MUST_CHECK;
