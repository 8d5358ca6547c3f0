/*
 * identity.h: who we are, as HTTP headers, for connections that kube/client.h does not make: streams and the proxy.
 */
#pragma once

#include "kube/kubeconfig.h"
#include "net/http.h"

#define IDENTITY_HEADERS_MAX 32

/* {0} is valid and empty. */
struct identity {
    struct http_header list[IDENTITY_HEADERS_MAX];
    size_t n;
    struct strv texts; /* owns the values */
};
void identity_done(struct identity *identity);
DEFINE_CLEANUP_IN_PLACE(struct identity, identity_done)

/* Authorization and Impersonate-*; names are borrowed from config. ERR_* when a token file cannot be read. */
int identity_of(const struct kube_config *config, struct identity *ret, struct err *err) MUST_CHECK;
