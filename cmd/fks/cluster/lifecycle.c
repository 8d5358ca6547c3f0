/*
 * lifecycle.c: get, delete, start and stop cluster, and utils write-kubeconfig.
 */
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cluster/bringup.h"
#include "cluster/claim.h"
#include "cluster/commands.h"
#include "cluster/credentials.h"
#include "cluster/eksctl_output.h"
#include "cluster/kubeconfig_target.h"
#include "cluster/supervisor.h"
#include "cluster/teardown.h"
#include "cluster_options.h"
#include "home.h"
#include "install/progress.h"
#include "install/registered.h"

#define STOP_TIMEOUT_MS 60000
#define START_TIMEOUT_MS (25 * 60 * 1000)

/* "creating" or "deleting", if that was begun and is not done; else "". Heap. */
static char *unfinished(const struct cluster *cluster)
{
    CLEANUP(xfree) char *path = cluster_path(cluster, CLUSTER_UNFINISHED);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    return xstrdup(file_read(path, LIMIT_FILE, &text, &ignored) < 0 ? "" : buf_text(&text));
}

/* EKS' words, and STOPPED. Whether it runs: whether its supervisor is there. */
static const char *status_of(const struct cluster *cluster)
{
    CLEANUP(xfree) char *doing = unfinished(cluster);
    if (*doing != '\0')
        return !claim_is_held(cluster->home) ? "FAILED" : streq(doing, "deleting") ? "DELETING" : "CREATING";
    return supervisor_pid(cluster) != 0 ? "ACTIVE" : "STOPPED";
}

/* One that fks did not make: its state is not known without asking it. */
static int get_registered(const char *name, enum eksctl_format format, struct err *err)
{
    static const char *const heads[] = {"NAME", "STATUS", "CREATED", "PROVIDER", "CONTEXT", "ENDPOINT"};
    CLEANUP(registered_done) struct registered registered = {0};
    int r = registered_load(name, &registered, err);
    if (r < 0)
        return r;
    const char *provider = registered.provider != NULL ? registered.provider : "OTHER";
    if (format == EKSCTL_TABLE) {
        struct eksctl_table table = {0};
        const char *const cells[] = {name, "REGISTERED", registered.created, provider, registered.context, registered.server};
        for (size_t i = 0; i < countof(cells); i++)
            strv_add(&table.cells, strempty(cells[i]));
        eksctl_table_print(&table, heads, countof(heads), "clusters");
        return 0;
    }
    CLEANUP(json_free) struct json *array =
        json_build("[{s:s, s:s, s:s*, s:s*, s:{s:s, s:s*, s:s*}}]", "Name", name, "Status", "REGISTERED", "CreatedAt",
                   registered.created, "Endpoint", registered.server, "ConnectorConfig", "Provider", provider, "Context",
                   registered.context, "Kubeconfig", registered.kubeconfig);
    eksctl_tree_print(array, format);
    return 0;
}

/* Registered clusters have no region, and fks did not create them. */
static int list_registered(struct eksctl_table *table, struct json *array, struct err *err)
{
    CLEANUP(strv_done) struct strv names = {0};
    int r = registered_list(&names, err);
    for (size_t i = 0; i < names.n; i++) {
        strv_add(&table->cells, names.items[i]);
        strv_add(&table->cells, "");
        strv_add(&table->cells, "False");
        json_push(array, json_build("{s:s, s:s, s:s}", "Name", names.items[i], "Region", "", "Owned", "False"));
    }
    return r;
}

static int get_one(const char *name, const char *region, enum eksctl_format format, struct err *err)
{
    static const char *const heads[] = {"NAME", "VERSION", "STATUS", "CREATED", "VPC", "SUBNETS", "SECURITYGROUPS", "PROVIDER"};
    CLEANUP(cluster_done) struct cluster cluster = {0};
    int r = cluster_load(name, &cluster, err);
    if (r < 0)
        return r;
    if (region != NULL && !streq(region, cluster.region))
        return err_set(err, ERR_NOT_FOUND, "cluster '%s' not found in region '%s': it is in '%s'", name, region, cluster.region);
    CLEANUP(xfree) char *network = cluster_bridge_cidr(cluster.number);
    CLEANUP(xfree) char *pods = cluster_pod_cidr(cluster.number);
    CLEANUP(xfree) char *server = cluster_server(&cluster);
    if (format == EKSCTL_TABLE) {
        struct eksctl_table table = {0};
        const char *const cells[] = {cluster.name, "1.36", status_of(&cluster), cluster.created, network, pods, "", "FKS"};
        for (size_t i = 0; i < countof(cells); i++)
            strv_add(&table.cells, strempty(cells[i]));
        eksctl_table_print(&table, heads, countof(heads), "clusters");
        return 0;
    }
    CLEANUP(json_free) struct json *array =
        json_build("[{s:s, s:s, s:s, s:s*, s:s, s:s, s:{s:s, s:s}, s:s}]", "Name", cluster.name, "Version", "1.36", "Status",
                   status_of(&cluster), "CreatedAt", cluster.created, "Endpoint", server, "Region", cluster.region,
                   "Network", "Hosts", network, "Pods", pods, "Home", cluster.home);
    eksctl_tree_print(array, format);
    return 0;
}

/* region NULL: all. Registered clusters are in none. */
static int get_all(const char *region, enum eksctl_format format, struct err *err)
{
    static const char *const heads[] = {"NAME", "REGION", "EKSCTL CREATED"};
    CLEANUP(strv_done) struct strv names = {0};
    CLEANUP(json_free) struct json *array = json_new_array();
    struct eksctl_table table = {0};
    int r = cluster_list(&names, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < names.n; i++) {
        CLEANUP(cluster_done) struct cluster cluster = {0};
        CLEANUP(err_clear) struct err broken = {0};
        if (cluster_load(names.items[i], &cluster, &broken) < 0) {
            progress(PROGRESS_WARNING, "cluster '%s': %s", names.items[i], err_text(&broken));
            continue;
        }
        if (region != NULL && !streq(region, cluster.region))
            continue;
        strv_add(&table.cells, cluster.name);
        strv_add(&table.cells, cluster.region);
        strv_add(&table.cells, "True");
        json_push(array, json_build("{s:s, s:s, s:s}", "Name", cluster.name, "Region", cluster.region, "Owned", "True"));
    }
    if (region == NULL && (r = list_registered(&table, array, err)) < 0) {
        strv_done(&table.cells);
        return r;
    }
    if (format == EKSCTL_TABLE) {
        eksctl_table_print(&table, heads, countof(heads), "clusters");
        return 0;
    }
    strv_done(&table.cells);
    eksctl_tree_print(array, format);
    return 0;
}

int command_get_cluster(struct cli *cli, int argc, char **argv)
{
    struct cluster_options options = {.output = "table"};
    CLEANUP(err_clear) struct err err = {0};
    bool all_regions = false;
    enum eksctl_format format;
    const struct opt own[] = {
        {"all-regions", 'A', OPT_BOOL, &all_regions, NULL, "list the clusters of all regions, whatever --region says", NULL, NULL},
        {0}};
    int r = cluster_options_parse(cli, &options, own, "get cluster", "Get cluster(s)", argc, argv, &err);
    if (r > 0)
        return 0;
    if (r < 0)
        return cli_usage(cli, "get cluster", &err);
    if ((r = eksctl_format_parse(options.output, &format, &err)) < 0)
        return cli_fail(cli, &err);
    if (options.name != NULL && all_regions) {
        r = err_set(&err, ERR_USAGE, "--all-regions is for listing all clusters, it must be used without cluster name flag/argument");
        return cli_fail(cli, &err);
    }
    if (options.name == NULL)
        r = get_all(all_regions ? NULL : options.region, format, &err);
    else if (!home_has_cluster(options.name) && registered_exists(options.name))
        r = get_registered(options.name, format, &err);
    else
        r = get_one(options.name, options.region, format, &err);
    return r < 0 ? cli_fail(cli, &err) : 0;
}

/*
 * Parses a command that takes a cluster's name and nothing else, and loads the cluster once no other command changes it.
 * 1: help was printed.
 */
static int load_named(struct cli *cli, struct cluster_options *options, const struct opt *own, const char *words,
                      const char *summary, int argc, char **argv, int *ret_lock, struct cluster *ret, struct err *err)
{
    int r = cluster_options_parse(cli, options, own, words, summary, argc, argv, err);
    if (r != 0)
        return r;
    const char *name = options->name != NULL ? options->name : options->cluster;
    if (name == NULL)
        return err_set(err, ERR_USAGE, "--name must be set");
    if ((r = home_check_name(name, err)) < 0)
        return r;
    CLEANUP(xfree) char *home = home_of_cluster(name);
    return (r = claim_cluster(home, ret_lock, err)) < 0 ? r : cluster_load(name, ret, err);
}

static int delete_cluster(struct cluster *cluster, struct err *err)
{
    progress(PROGRESS_INFO, "deleting cluster \"%s\"", cluster->name);
    if (geteuid() != 0)
        return err_set(err, ERR_FORBIDDEN, "deleting a local cluster needs root: run it with sudo");
    static const char deleting[] = "deleting";
    CLEANUP(xfree) char *unfinished_path = cluster_path(cluster, CLUSTER_UNFINISHED);
    CLEANUP(err_clear) struct err ignored = {0}; /* the disk may be full */
    (void)!file_write_atomic(unfinished_path, deleting, strlen(deleting), 0600, &ignored);
    if (cluster->kubeconfig != NULL) { /* while it is still known which file has the entry */
        kubeconfig_target_remove(cluster);
        progress(PROGRESS_SUCCESS, "kubeconfig has been updated");
    }
    int r = teardown_all(cluster, err);
    if (r < 0)
        return r;
    progress(PROGRESS_SUCCESS, "all cluster resources were deleted");
    return 0;
}

/* A folder without a readable cluster.json: a create that was cut off before it chose addresses. */
static int delete_remains(const char *name, struct err *err)
{
    CLEANUP(xfree) char *home = home_of_cluster(name);
    progress(PROGRESS_WARNING, "cluster \"%s\" has no description; removing its folder '%s'", name, home);
    int r = dir_remove(home, err);
    cluster_tidy_home();
    return r;
}

int command_delete_cluster(struct cli *cli, int argc, char **argv)
{
    struct cluster_options options = {0};
    CLEANUP(cluster_done) struct cluster cluster = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(fd_close) int lock = -1;
    bool force = false;
    const struct opt own[] = {
        {"force", 0, OPT_BOOL, &force, NULL, "also remove a cluster whose description is damaged", NULL, NULL},
        {0}};
    int r = load_named(cli, &options, own, "delete cluster", "Delete a cluster", argc, argv, &lock, &cluster, &err);
    if (r > 0)
        return 0;
    const char *name = options.name;
    if (r < 0 && name != NULL && home_has_cluster(name) && (force || err.code == ERR_NOT_FOUND)) {
        err_clear(&err);
        r = delete_remains(name, &err);
        return r < 0 ? cli_fail(cli, &err) : 0;
    }
    if (r == 0)
        r = delete_cluster(&cluster, &err);
    if (r < 0 && err.code == ERR_USAGE)
        return cli_usage(cli, "delete cluster", &err);
    return r < 0 ? cli_fail(cli, &err) : 0;
}

int command_stop_cluster(struct cli *cli, int argc, char **argv)
{
    struct cluster_options options = {0};
    CLEANUP(cluster_done) struct cluster cluster = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(fd_close) int lock = -1;
    int r = load_named(cli, &options, NULL, "stop cluster", "Stop a cluster: its processes end, its state stays", argc, argv, &lock,
                       &cluster, &err);
    if (r > 0)
        return 0;
    if (r == 0)
        progress(PROGRESS_INFO, "stopping cluster \"%s\"", cluster.name);
    if (r == 0 && (r = supervisor_stop(&cluster, STOP_TIMEOUT_MS, &err)) == 0 && (r = teardown_running(&cluster, &err)) == 0)
        progress(PROGRESS_SUCCESS, "cluster \"%s\" is stopped; 'fks start cluster %s' starts it again", cluster.name,
                 cluster.name);
    return r < 0 ? cli_fail(cli, &err) : 0;
}

/* Half a cluster starts, too, but never works. */
static int check_finished(const struct cluster *cluster, struct err *err)
{
    CLEANUP(xfree) char *doing = unfinished(cluster);
    if (*doing == '\0')
        return 0;
    return err_set(err, ERR_INVALID, "%s cluster '%s' was cut off: 'fks delete cluster %s' removes what there is%s", doing,
                   cluster->name, cluster->name, streq(doing, "creating") ? ", then create it again" : "");
}

int command_start_cluster(struct cli *cli, int argc, char **argv)
{
    struct cluster_options options = {.timeout_ms = START_TIMEOUT_MS};
    CLEANUP(cluster_done) struct cluster cluster = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(fd_close) int lock = -1;
    int r = load_named(cli, &options, NULL, "start cluster", "Start a stopped cluster", argc, argv, &lock, &cluster, &err);
    if (r > 0)
        return 0;
    if (r == 0 && (r = check_finished(&cluster, &err)) == 0 && (r = bringup_check_machine(&err)) == 0) {
        if (supervisor_pid(&cluster) != 0) {
            progress(PROGRESS_INFO, "cluster \"%s\" is running already", cluster.name);
            return 0;
        }
        progress(PROGRESS_INFO, "starting cluster \"%s\"", cluster.name);
        const struct bringup_options steps = {.timeout_ms = options.timeout_ms};
        /* what a crash left behind would be in the way */
        if ((r = bringup_check_room(cluster.home, &err)) == 0 && (r = claim_number(&cluster, &err)) == 0 &&
            (r = teardown_running(&cluster, &err)) == 0 && (r = claim_number(&cluster, &err)) == 0 &&
            (r = bringup(&cluster, &steps, &err)) == 0)
            progress(PROGRESS_SUCCESS, "cluster \"%s\" in \"%s\" region is ready", cluster.name, cluster.region);
    }
    return r < 0 ? cli_fail(cli, &err) : 0;
}

int command_write_kubeconfig(struct cli *cli, int argc, char **argv)
{
    struct cluster_options options = {0};
    CLEANUP(cluster_done) struct cluster cluster = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(fd_close) int lock = -1;
    const char *file = NULL;
    bool automatic = false, set_context = true;
    const struct opt own[] = {
        {"kubeconfig", 0, OPT_STRING, &file, "FILE", "path to write to (default: $KUBECONFIG or ~/.kube/config)", NULL, NULL},
        {"auto-kubeconfig", 0, OPT_BOOL, &automatic, NULL, "write to ~/.kube/fks/clusters/NAME", NULL, NULL},
        {"set-kubeconfig-context", 0, OPT_BOOL, &set_context, NULL, "make it the current context", NULL, NULL},
        {0}};
    int r = load_named(cli, &options, own, "utils write-kubeconfig", "Write kubeconfig file for a given cluster", argc, argv, &lock,
                       &cluster, &err);
    if (r > 0)
        return 0;
    if (r == 0) {
        CLEANUP(xfree) char *path = kubeconfig_target_path(file, automatic, cluster.name);
        if ((r = credentials_write_user_entry(&cluster, path, set_context, &err)) == 0)
            progress(PROGRESS_SUCCESS, "saved kubeconfig as \"%s\"", path);
        if (r == 0 && !streq(path, cluster.kubeconfig)) {
            free(cluster.kubeconfig);
            cluster.kubeconfig = take(&path);
            r = cluster_save(&cluster, &err); /* delete takes the entry out of the file that it is in */
        }
    }
    return r < 0 ? cli_fail(cli, &err) : 0;
}
