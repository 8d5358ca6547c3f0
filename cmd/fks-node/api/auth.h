/*
 * auth.h: decides about requests to the kubelet API, as a kubelet with webhook authentication and authorization does.
 */
#pragma once

#include "agent.h"
#include "net/server.h"

struct auth;
typedef void auth_allowed(struct server_request *request, void *data);

struct auth *auth_new(struct agent *agent);
struct auth *auth_free(struct auth *auth);
/*
 * Calls allowed, at once or later, if the peer may make this request of the Node of its port; else answers it: 401
 * (nobody known), 403, 500 (the API server cannot be asked).
 */
void auth_check(struct auth *auth, struct server_request *request, auth_allowed *allowed, void *data);

/* --- rules; pure */
/* The API server itself, or an administrator. */
bool auth_is_trusted(const struct tls_peer *peer);
struct auth_attributes { /* of a SubjectAccessReview; the right to any of the subresources is enough */
    const char *verb;
    const char *subresources[2];
    size_t n;
};
void auth_attributes_of(struct str method, struct str path, struct auth_attributes *ret);
