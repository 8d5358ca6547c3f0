/*
 * auth.c: who may use the kubelet API. Exec is root in a container, so only the API server's own client
 * certificate, and those of the cluster's administrators, are let in; what users may do was decided by the API
 * server before.
 */
#include "api.h"

#define API_SERVER "kube-apiserver-kubelet-client"
#define ADMINISTRATORS "system:masters"

int auth_check(const struct tls_peer *peer)
{
    if (peer == NULL || peer->common_name == NULL)
        return 401;
    if (streq(peer->common_name, API_SERVER) || strv_has(&peer->organizations, ADMINISTRATORS))
        return 0;
    return 403;
}
