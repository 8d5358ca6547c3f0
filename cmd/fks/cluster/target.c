/* target.c: see target.h. */
#include "cluster/target.h"

#include "base/mem.h"
#include "home.h"
#include "install/registered.h"

static int connect_registered(const char *name, struct target *target, struct err *err)
{
    CLEANUP(registered_done) struct registered registered = {0};
    CLEANUP(kube_config_done) struct kube_config config = {0};
    int r;
    if ((r = registered_load(name, &registered, err)) < 0 || (r = registered_config(&registered, &config, err)) < 0 ||
        (r = kube_client_new(NULL, &config, "fks/v" FKS_PROGRAM_VERSION, &target->client, err)) < 0)
        return r;
    target->name = xstrdup(name);
    return 0;
}

/* The local cluster whose context this is: admin@NAME.REGION.fks.dev. */
static bool local_of_context(const struct kube_config *config, struct cluster *ret)
{
    CLEANUP(strv_done) struct strv names = {0};
    struct err ignored = {0};
    if (cluster_list(&names, &ignored) < 0)
        err_clear(&ignored);
    for (size_t i = 0; i < names.n; i++) {
        CLEANUP(cluster_done) struct cluster cluster = {0};
        if (cluster_load(names.items[i], &cluster, &ignored) < 0) {
            err_clear(&ignored);
            continue;
        }
        CLEANUP(xfree) char *name = cluster_kubeconfig_name(&cluster);
        if (streq(name, config->cluster_name)) {
            *ret = cluster;
            cluster = (struct cluster){0};
            return true;
        }
    }
    return false;
}

int target_connect(struct cli *cli, const char *cluster_name, struct target *ret, struct err *err)
{
    CLEANUP(target_done) struct target target = {0};
    int r;
    if (cluster_name != NULL && !home_has_cluster(cluster_name) && registered_exists(cluster_name)) {
        if ((r = connect_registered(cluster_name, &target, err)) < 0)
            return r;
    } else if (cluster_name != NULL) {
        if ((r = cluster_load(cluster_name, &target.cluster, err)) < 0 ||
            (r = cluster_connect(&target.cluster, &target.client, err)) < 0)
            return r;
        target.local = true;
        target.name = xstrdup(cluster_name);
    } else {
        CLEANUP(kube_config_done) struct kube_config config = {0};
        if ((r = kube_config_load(&cli->overrides, &config, err)) < 0)
            return r;
        if (config.context == NULL)
            return err_set(err, ERR_USAGE, "--cluster must be set: there is no current context either");
        target.local = local_of_context(&config, &target.cluster);
        target.name = xstrdup(target.local ? target.cluster.name : config.cluster_name);
        if ((r = kube_client_new(NULL, &config, "fks/" FKS_PROGRAM_VERSION, &target.client, err)) < 0)
            return r;
    }
    *ret = target;
    target = (struct target){0};
    return 0;
}

void target_done(struct target *target)
{
    target->client = kube_client_free(target->client);
    cluster_done(&target->cluster);
    target->name = xfree(target->name);
}
