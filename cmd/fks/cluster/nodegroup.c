/*
 * nodegroup.c: create, get and delete nodegroup: ordinary nodes of a local cluster, each a real kubelet with a containerd of
 * its own in a network namespace.
 */
#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cluster/assets.h"
#include "cluster/bringup.h"
#include "cluster/cgroup.h"
#include "cluster/claim.h"
#include "cluster/commands.h"
#include "cluster/eksctl_output.h"
#include "cluster/supervisor.h"
#include "cluster/target.h"
#include "cluster/teardown.h"
#include "cluster_options.h"
#include "home.h"
#include "install/progress.h"
#include "install/wait.h"

#define DEFAULT_TIMEOUT_MS (25 * 60 * 1000)
#define END_TIMEOUT_MS 30000

static int connect_local(struct cli *cli, const struct cluster_options *options, struct target *ret, struct err *err)
{
    int r = target_connect(cli, options->cluster, ret, err);
    if (r == 0 && !ret->local)
        r = err_set(err, ERR_UNSUPPORTED,
                    "cluster '%s' is not a local cluster of this machine: its nodes are made where it was made", ret->name);
    return r;
}

/* The same once no other command changes the cluster, as it is then. */
static int connect_to_change(struct cli *cli, const struct cluster_options *options, int *ret_lock, struct target *ret,
                             struct err *err)
{
    int r = connect_local(cli, options, ret, err);
    if (r < 0 || (r = claim_cluster(ret->cluster.home, ret_lock, err)) < 0)
        return r;
    CLEANUP(xfree) char *home = xstrdup(ret->cluster.home);
    cluster_done(&ret->cluster);
    return cluster_load_from(home, &ret->cluster, err);
}

static bool has_nodegroup(const struct cluster *cluster, const char *name)
{
    for (size_t i = 0; i < cluster->n_hosts; i++)
        if (streq(cluster->hosts[i].nodegroup, name))
            return true;
    return false;
}

struct node_probe {
    struct kube_client *client;
    const char *name;
};

static int node_ready(void *data, struct err *err)
{
    const struct node_probe *probe = data;
    CLEANUP(json_free) struct json *node = NULL;
    CLEANUP(xfree) char *path = kube_path("", "v1", NULL, "nodes", probe->name, NULL);
    const struct kube_request request = {.path = path};
    int r = kube_do(probe->client, &request, &node, err);
    if (r < 0)
        return r;
    return wait_condition_is(node, "Ready", "True") ? 1 : 0;
}

static int create_nodes(struct target *target, const char *name, int64_t nodes, const struct cluster_options *options,
                        struct err *err)
{
    struct cluster *cluster = &target->cluster;
    CLEANUP(xfree) char *zone = xasprintf("%s-a", cluster->region);
    CLEANUP(xfree) char *checked = NULL;
    int r = assets_find(cluster->assets, true, &checked, err);
    if (r < 0)
        return r;
    if (has_nodegroup(cluster, name))
        return err_set(err, ERR_EXISTS, "nodegroup '%s' exists already in cluster '%s'", name, cluster->name);
    if (nodes < 1 || cluster->n_hosts + (size_t)nodes > CLUSTER_HOSTS_MAX)
        return err_set(err, ERR_USAGE, "--nodes must be at least 1, and a local cluster has at most %d hosts (%zu now)",
                       CLUSTER_HOSTS_MAX, cluster->n_hosts);
    size_t first = cluster->n_hosts;
    for (int64_t i = 0; i < nodes; i++)
        (void)cluster_add_host(cluster, CLUSTER_HOST_KUBELET, zone, name);
    if (cluster->hosts[cluster->n_hosts - 1].number > CLUSTER_HOSTS_MAX)
        return err_set(err, ERR_USAGE, "cluster '%s' has used up its %d host numbers", cluster->name, CLUSTER_HOSTS_MAX);
    progress(PROGRESS_INFO, "creating nodegroup \"%s\" with %lld node(s) in cluster \"%s\"", name, (long long)nodes,
             cluster->name);
    if ((r = cluster_save(cluster, err)) < 0)
        return r;
    for (size_t i = first; i < cluster->n_hosts; i++)
        if ((r = bringup_host(cluster, &cluster->hosts[i], err)) < 0)
            return r;
    for (size_t i = first; i < cluster->n_hosts; i++) {
        struct node_probe probe = {target->client, cluster->hosts[i].name};
        CLEANUP(xfree) char *what = xasprintf("node '%s' (log: %s/logs/%s-kubelet.log)", probe.name, cluster->home, probe.name);
        if ((r = wait_until(what, options->timeout_ms, node_ready, &probe, err)) < 0)
            return r;
        progress(PROGRESS_INFO, "node \"%s\" is ready", probe.name);
    }
    progress(PROGRESS_SUCCESS, "created nodegroup \"%s\" in cluster \"%s\"", name, cluster->name);
    return 0;
}

int command_create_nodegroup(struct cli *cli, int argc, char **argv)
{
    struct cluster_options options = {.timeout_ms = DEFAULT_TIMEOUT_MS};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(target_done) struct target target = {0};
    CLEANUP(fd_close) int lock = -1;
    int64_t nodes = 2;
    const struct opt own[] = {{"nodes", 'N', OPT_INT, &nodes, "N", "total number of nodes", NULL, NULL}, {0}};
    int r = cluster_options_parse(cli, &options, own, "create nodegroup", "Create ordinary nodes in a local cluster", argc, argv, &err);
    if (r > 0)
        return 0;
    if (r < 0)
        return cli_usage(cli, "create nodegroup", &err);
    char generated[12] = "ng-";
    random_hex(generated + 3, 8);
    const char *name = options.name != NULL ? options.name : generated;
    if ((r = home_check_name(name, &err)) == 0 && (r = bringup_check_machine(&err)) == 0 &&
        (r = connect_to_change(cli, &options, &lock, &target, &err)) == 0)
        r = create_nodes(&target, name, nodes, &options, &err);
    return r < 0 ? cli_fail(cli, &err) : 0;
}

int command_get_nodegroup(struct cli *cli, int argc, char **argv)
{
    static const char *const heads[] = {"CLUSTER", "NODEGROUP", "STATUS", "DESIRED CAPACITY", "TYPE"};
    struct cluster_options options = {.output = "table"};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(target_done) struct target target = {0};
    CLEANUP(json_free) struct json *array = json_new_array();
    struct eksctl_table table = {0};
    enum eksctl_format format;
    int r = cluster_options_parse(cli, &options, NULL, "get nodegroup", "Get nodegroup(s)", argc, argv, &err);
    if (r > 0)
        return 0;
    if (r < 0)
        return cli_usage(cli, "get nodegroup", &err);
    if ((r = eksctl_format_parse(options.output, &format, &err)) < 0 || (r = connect_local(cli, &options, &target, &err)) < 0)
        return cli_fail(cli, &err);
    const struct cluster *cluster = &target.cluster;
    for (size_t i = 0; i < cluster->n_hosts; i++) {
        const char *name = cluster->hosts[i].nodegroup;
        int count = 0;
        bool first = true;
        for (size_t j = 0; name != NULL && j < cluster->n_hosts; j++) {
            count += streq(cluster->hosts[j].nodegroup, name);
            first = first && (j >= i || !streq(cluster->hosts[j].nodegroup, name));
        }
        if (name == NULL || !first || (options.name != NULL && !streq(options.name, name)))
            continue;
        CLEANUP(xfree) char *number = xasprintf("%d", count);
        const char *const cells[] = {cluster->name, name, "ACTIVE", number, "kubelet"};
        for (size_t column = 0; column < countof(cells); column++)
            strv_add(&table.cells, cells[column]);
        json_push(array, json_build("{s:s, s:s, s:s, s:i, s:s}", "Cluster", cluster->name, "Name", name, "Status", "ACTIVE",
                                    "DesiredCapacity", count, "Type", "kubelet"));
    }
    if (json_len(array) == 0 && options.name != NULL) {
        r = err_set(&err, ERR_NOT_FOUND, "nodegroup '%s' not found in cluster '%s'", options.name, cluster->name);
        strv_done(&table.cells);
        return cli_fail(cli, &err);
    }
    if (format == EKSCTL_TABLE) {
        eksctl_table_print(&table, heads, countof(heads), "nodegroups");
        return 0;
    }
    strv_done(&table.cells);
    eksctl_tree_print(array, format);
    return 0;
}

/* --- delete */

struct dropped_probe {
    const struct cluster *cluster;
    const struct cluster_host *host;
};

/* The supervisor has taken the host's programs off its list. */
static int supervisor_dropped(void *data, struct err *err)
{
    const struct dropped_probe *probe = data;
    CLEANUP(xfree) char *path = cluster_path(probe->cluster, "processes.json");
    CLEANUP(xfree) char *prefix = xasprintf("%s-", probe->host->name);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *processes = NULL;
    int r = file_read(path, LIMIT_FILE, &text, err);
    if (r < 0 || (r = json_parse(buf_text(&text), text.len, &processes, err)) < 0)
        return r;
    void *position = NULL;
    const char *name;
    const struct json *process;
    while (json_next(processes, &position, &name, &process))
        if (starts_with(name, prefix))
            return 0;
    return 1;
}

static int delete_node(struct target *target, const struct cluster_host *host, struct err *err)
{
    CLEANUP(xfree) char *path = kube_path("", "v1", NULL, "nodes", host->name, NULL);
    const struct kube_request request = {.method = "DELETE", .path = path};
    struct dropped_probe dropped = {&target->cluster, host};
    int r = wait_until("the node's programs to end", END_TIMEOUT_MS, supervisor_dropped, &dropped, err);
    if (r < 0 || (r = cgroup_kill_host(&target->cluster, host, err)) < 0 || (r = teardown_host(&target->cluster, host, err)) < 0)
        return r;
    r = kube_do(target->client, &request, NULL, err);
    if (r == ERR_NOT_FOUND) {
        err_clear(err);
        r = 0;
    }
    return r;
}

int command_delete_nodegroup(struct cli *cli, int argc, char **argv)
{
    struct cluster_options options = {.timeout_ms = DEFAULT_TIMEOUT_MS};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(target_done) struct target target = {0};
    CLEANUP(cluster_done) struct cluster before = {0};
    CLEANUP(fd_close) int lock = -1;
    int r = cluster_options_parse(cli, &options, NULL, "delete nodegroup", "Delete a nodegroup", argc, argv, &err);
    if (r > 0)
        return 0;
    if (r == 0 && options.name == NULL)
        r = err_set(&err, ERR_USAGE, "--name must be set");
    if (r < 0)
        return cli_usage(cli, "delete nodegroup", &err);
    if ((r = connect_to_change(cli, &options, &lock, &target, &err)) < 0 || (r = cluster_load(target.cluster.name, &before, &err)) < 0)
        return cli_fail(cli, &err);
    if (!has_nodegroup(&before, options.name)) {
        r = err_set(&err, ERR_NOT_FOUND, "nodegroup '%s' not found in cluster '%s'", options.name, before.name);
        return cli_fail(cli, &err);
    }
    cluster_remove_nodegroup(&target.cluster, options.name);
    if ((r = cluster_save(&target.cluster, &err)) == 0)
        r = supervisor_reload(&target.cluster, &err);
    for (size_t i = 0; r == 0 && i < before.n_hosts; i++)
        if (streq(before.hosts[i].nodegroup, options.name))
            r = delete_node(&target, &before.hosts[i], &err);
    if (r < 0)
        return cli_fail(cli, &err);
    progress(PROGRESS_SUCCESS, "deleted nodegroup \"%s\" from cluster \"%s\"", options.name, target.name);
    return 0;
}
