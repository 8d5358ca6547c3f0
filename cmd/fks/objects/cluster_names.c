/*
 * cluster_names.c: see cluster_names.h. One GET; nothing is kept between commands.
 */
#include "objects/cluster_names.h"

int cluster_names_read(struct kube_client *client, struct cluster_names *ret, struct err *err)
{
    const struct kube_request request = {.path = "/api/v1/namespaces/" FKS_NAMESPACE "/configmaps/" FKS_REGISTRATION};
    struct cluster_names names = {.names = fargate_names_usual};
    int r = kube_do(client, &request, &names.config, err);

    if (r == ERR_NOT_FOUND || r == ERR_FORBIDDEN)
        err_clear(err);
    else if (r < 0)
        return r;
    names.names.scheduler = json_str_or(FARGATE_SCHEDULER, names.config, "data", "schedulerName", NULL);
    names.names.profile_label = json_str_or(FARGATE_PROFILE_LABEL, names.config, "data", "profileLabel", NULL);
    names.names.node_prefix = json_str_or(FARGATE_NODE_PREFIX, names.config, "data", "nodeNamePrefix", NULL);
    *ret = names;
    return 0;
}

void cluster_names_done(struct cluster_names *names)
{
    names->config = json_free(names->config);
}
