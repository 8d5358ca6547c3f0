/*
 * fks-node: the agent on each host that offers capacity. Gives every pod that fks-scheduler sends here a Node of
 * its own, runs it through the container runtime, and serves the kubelet API. main.c reads the options, makes the
 * parts and connects them; pods.c and pod.c are where pods begin.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/opt.h"
#include "data/quantity.h"
#include "fargate/names.h"
#include "net/keeper.h"

#include "pod/action.h"
#include "agent.h"
#include "api/api.h"
#include "volumes/csi_volumes.h"
#include "daemonset/found.h"
#include "daemonset/runtime.h"
#include "host/cgroups.h"
#include "host/host.h"
#include "images/image_credentials.h"
#include "images/image_gc.h"
#include "images/image_turns.h"
#include "host/log_rotation.h"
#include "host/nodes.h"
#include "pods.h"
#include "relist.h"
#include "host/storage.h"
#include "pod/pod.h"
#include "host/user_ids.h"

#define DEFAULT_PODS 110
#define CGROUP_MOUNT "/sys/fs/cgroup"

static struct {
    struct agent_options agent;
    const char *kubeconfig, *runtime_endpoint;
    const char *client_ca, *tls_cert, *tls_key, *node_name;
    const char *capacity_cpu, *capacity_memory, *log_max_size;
    const char *metrics_listen, *log_level;
    char *default_csi_dir;
    bool version, help;
} flags = {
    .agent =
        {
            .node_prefix = FARGATE_NODE_PREFIX,
            .state_dir = "/var/lib/fks-node",
            .log_dir = "/var/log/pods",
            .cluster_domain = "cluster.local",
            .resolv_conf = "/etc/resolv.conf",
            .cgroup_root = "fks",
            .impersonate_nodes = true,
            .capacity_pods = DEFAULT_PODS,
            .log_max_files = 5,
            .parallel_pulls = 5,
            .image_gc_high = 85,
            .image_gc_low = 80,
            .csi_timeout_s = 120,
        },
    .runtime_endpoint = "unix:///run/containerd/containerd.sock",
    .log_max_size = "10Mi",
    .log_level = "info",
};

static const struct opt options[] = {
    {"address", 0, OPT_STRING, &flags.agent.address, "IP",
     "Address at which the API server reaches this host; required.", NULL, NULL},
    {"capacity-cpu", 0, OPT_STRING, &flags.capacity_cpu, "QUANTITY", "CPU offered to pods; default: the machine's.",
     NULL, NULL},
    {"capacity-memory", 0, OPT_STRING, &flags.capacity_memory, "QUANTITY",
     "Memory offered to pods; default: the machine's.", NULL, NULL},
    {"capacity-pods", 0, OPT_INT, &flags.agent.capacity_pods, "N", "Most pods at a time.", NULL, NULL},
    {"cgroup-root", 0, OPT_STRING, &flags.agent.cgroup_root, "NAME", "Cgroup that holds the pods' cgroups.", NULL,
     NULL},
    {"client-ca", 0, OPT_STRING, &flags.client_ca, "FILE", "Authority of the kubelet API's clients; default: the API server's.", NULL,
     NULL},
    {"cluster-dns", 0, OPT_LIST, &flags.agent.cluster_dns, "IP", "DNS servers of the cluster.", NULL, NULL},
    {"cluster-domain", 0, OPT_STRING, &flags.agent.cluster_domain, "NAME", "DNS domain of the cluster.", NULL, NULL},
    {"container-log-max-files", 0, OPT_INT, &flags.agent.log_max_files, "N",
     "Log files kept of a container, the one it writes included.", NULL, NULL},
    {"container-log-max-size", 0, OPT_STRING, &flags.log_max_size, "QUANTITY",
     "Size at which a container's log is rotated.", NULL, NULL},
    {"container-runtime-endpoint", 0, OPT_STRING, &flags.runtime_endpoint, "URL", "Socket of the container runtime.",
     NULL, NULL},
    {"csi-plugins-registry", 0, OPT_STRING, &flags.agent.csi_dir, "DIR",
     "Folder in which CSI drivers register, as with a kubelet; default: plugins_registry below --state-dir. A driver must see "
     "plugins and pods below --state-dir under the same paths, and its mounts there must reach this host.",
     NULL, NULL},
    {"csi-timeout", 0, OPT_INT, &flags.agent.csi_timeout_s, "SECONDS", "How long a CSI driver may take for a call.", NULL,
     NULL},
    {"help", 'h', OPT_BOOL, &flags.help, NULL, "Print this help.", NULL, NULL},
    {"host-name", 0, OPT_STRING, &flags.agent.host_name, "NAME", "Name of the FargateHost; required.", NULL, NULL},
    {"image-gc-high-threshold", 0, OPT_INT, &flags.agent.image_gc_high, "PERCENT",
     "Use of the disk at which unused images are removed; 100: never.", NULL, NULL},
    {"image-gc-low-threshold", 0, OPT_INT, &flags.agent.image_gc_low, "PERCENT",
     "Use of the disk at which enough were removed.", NULL, NULL},
    {"impersonate-nodes", 0, OPT_BOOL, &flags.agent.impersonate_nodes, NULL,
     "Read what pods mount, and request their tokens, as the pod's Node; default: true. =false before Kubernetes v1.36.",
     NULL, NULL},
    {"kubeconfig", 0, OPT_STRING, &flags.kubeconfig, "FILE", "Way to the API server; default: in-cluster.", NULL,
     NULL},
    {"log-level", 0, OPT_STRING, &flags.log_level, "LEVEL", "debug, info, warn or error.", NULL, NULL},
    {"max-parallel-image-pulls", 0, OPT_INT, &flags.agent.parallel_pulls, "N", "Most images pulled at a time.", NULL,
     NULL},
    {"metrics-listen", 0, OPT_STRING, &flags.metrics_listen, "HOST:PORT",
     "Serve /metrics and /healthz there, without TLS.", NULL, NULL},
    {"node-name", 0, OPT_STRING, &flags.node_name, "NAME",
     "Node of this host's kubelet: zone, region, pod range and DNS servers that are not given are found with it.", NULL,
     NULL},
    {"node-name-prefix", 0, OPT_STRING, &flags.agent.node_prefix, "PREFIX",
     "How the names of the pods' Nodes begin, up to the address.", NULL, NULL},
    {"pod-cidr", 0, OPT_STRING, &flags.agent.pod_cidr, "CIDR",
     "Range that the pods' addresses come from, for information.", NULL, NULL},
    {"pod-log-dir", 0, OPT_STRING, &flags.agent.log_dir, "DIR", "Folder of the containers' logs.", NULL, NULL},
    {"region", 0, OPT_STRING, &flags.agent.region, "NAME", "Region of this host; part of the Nodes' names; default: local.", NULL,
     NULL},
    {"resolv-conf", 0, OPT_STRING, &flags.agent.resolv_conf, "FILE",
     "The host's DNS settings, for pods that use them.", NULL, NULL},
    {"state-dir", 0, OPT_STRING, &flags.agent.state_dir, "DIR", "Folder of the pods' volumes.", NULL, NULL},
    {"tls-cert", 0, OPT_STRING, &flags.tls_cert, "FILE", "Certificate of the kubelet API; default: made now.", NULL, NULL},
    {"tls-key", 0, OPT_STRING, &flags.tls_key, "FILE", "Key of that certificate.", NULL, NULL},
    {"version", 0, OPT_BOOL, &flags.version, NULL, "Print the version.", NULL, NULL},
    {"zone", 0, OPT_STRING, &flags.agent.zone, "NAME", "Zone of this host; default: local-a.", NULL, NULL},
    {NULL, 0, OPT_BOOL, NULL, NULL, NULL, NULL, NULL},
};

static void print_help(void)
{
    CLEANUP(buf_done) struct buf text = {0};

    buf_add_str(&text,
                "Usage: fks-node [options]\n       fks-node runtime [options]   (a containerd for it, in a DaemonSet)\n\n"
                "Runs the pods of one host, each on a Node of its own.\n\nOptions:\n");
    opt_help(options, &text);
    (void)fputs(buf_text(&text), stdout);
}

/* --- settings */

static int require(const char *value, const char *name, struct err *err)
{
    if (value == NULL || *value == '\0')
        return err_set(err, ERR_USAGE, "--%s is required", name);
    return 0;
}

static int read_capacity(struct err *err)
{
    struct sysinfo machine;
    int result = 0;

    if (sysinfo(&machine) < 0)
        return err_errno(err, errno, "reading the machine's memory");
    flags.agent.capacity_cpu_m = sysconf(_SC_NPROCESSORS_ONLN) * 1000;
    flags.agent.capacity_mem_b = (int64_t)machine.totalram * machine.mem_unit;
    if (flags.capacity_cpu != NULL &&
        (result = quantity_parse_milli(flags.capacity_cpu, &flags.agent.capacity_cpu_m, err)) < 0)
        return err_wrap(err, "--capacity-cpu");
    if (flags.capacity_memory != NULL &&
        (result = quantity_parse_units(flags.capacity_memory, &flags.agent.capacity_mem_b, err)) < 0)
        return err_wrap(err, "--capacity-memory");
    if ((result = quantity_parse_units(flags.log_max_size, &flags.agent.log_max_b, err)) < 0)
        return err_wrap(err, "--container-log-max-size");
    if (flags.agent.log_max_b <= 0 || flags.agent.log_max_files < 2)
        return err_set(err, ERR_USAGE, "--container-log-max-size must be positive, --container-log-max-files at least 2");
    if (flags.agent.image_gc_low < 0 || flags.agent.image_gc_high > 100 ||
        (flags.agent.image_gc_high < 100 && flags.agent.image_gc_low >= flags.agent.image_gc_high))
        return err_set(err, ERR_USAGE, "--image-gc-low-threshold must be below --image-gc-high-threshold, both percent");
    if (flags.agent.csi_timeout_s <= 0)
        return err_set(err, ERR_USAGE, "--csi-timeout must be positive");
    if (flags.agent.parallel_pulls <= 0)
        return err_set(err, ERR_USAGE, "--max-parallel-image-pulls must be positive");
    if (flags.agent.capacity_cpu_m <= 0 || flags.agent.capacity_mem_b <= 0 || flags.agent.capacity_pods <= 0)
        return err_set(err, ERR_USAGE, "capacities must be positive");
    return 0;
}

static int check_flags(struct err *err)
{
    int result;

    if ((result = require(flags.agent.host_name, "host-name", err)) < 0 ||
        (result = require(flags.agent.address, "address", err)) < 0)
        return result;
    if ((flags.tls_cert == NULL) != (flags.tls_key == NULL))
        return err_set(err, ERR_USAGE, "--tls-cert and --tls-key go together");
    struct fargate_names names = fargate_names_usual;
    names.node_prefix = flags.agent.node_prefix;
    if ((result = fargate_names_check(&names, err)) < 0)
        return err_wrap(err, "--node-name-prefix");
    if (!starts_with(flags.runtime_endpoint, "unix://"))
        return err_set(err, ERR_USAGE, "--container-runtime-endpoint '%s' does not begin with 'unix://'",
                       flags.runtime_endpoint);
    flags.agent.runtime_socket = flags.runtime_endpoint + strlen("unix://");
    if (flags.agent.csi_dir == NULL)
        flags.agent.csi_dir = flags.default_csi_dir = path_join(flags.agent.state_dir, "plugins_registry", NULL);
    return read_capacity(err);
}

/* --- parts */

static int make_connections(struct agent *agent, struct err *err)
{
    CLEANUP(kube_config_done) struct kube_config config = {0};
    struct kube_overrides overrides = {.kubeconfig = flags.kubeconfig};
    int result =
        flags.kubeconfig != NULL ? kube_config_load(&overrides, &config, err) : kube_config_in_cluster(&config, err);

    if (result < 0 ||
        (result = kube_client_new(agent->loop, &config, "fks-node/" FKS_PROGRAM_VERSION, &agent->kube, err)) < 0 ||
        (result = cri_new(agent->loop, agent->options.runtime_socket, agent->keeper, &agent->cri, err)) < 0)
        return result;
    agent->events = kube_events_new(agent->kube, "kubelet");
    return 0;
}

static int read_text(const char *path, char **ret, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    int result = file_read(path, LIMIT_FILE, &text, err);

    if (result == 0)
        *ret = buf_take(&text);
    return result;
}

static const char *first_of(const char *given, const char *found, const char *otherwise)
{
    return given != NULL ? given : found != NULL ? found : otherwise;
}

/* What the command line does not say; *found is borrowed by the options from then on. */
static int find_settings(struct agent *agent, struct found *found, struct err *err)
{
    struct agent_options *settings = &agent->options;
    int result;

    if (flags.node_name != NULL && (result = found_node(agent->kube, flags.node_name, found, err)) < 0)
        return result;
    if (flags.node_name != NULL && settings->cluster_dns.n == 0 &&
        (result = found_cluster_dns(agent->kube, found, err)) < 0)
        return result;
    if (found->cluster_dns != NULL)
        strv_add(&settings->cluster_dns, found->cluster_dns);
    settings->zone = first_of(settings->zone, found->zone, "local-a");
    settings->region = first_of(settings->region, found->region, "local");
    settings->pod_cidr = first_of(settings->pod_cidr, found->pod_cidr, NULL);
    result = flags.client_ca != NULL ? read_text(flags.client_ca, &found->client_ca, err)
                                     : found_client_ca(agent->kube, found, err);
    if (result < 0)
        return result;
    if (flags.tls_cert == NULL)
        return found_certificate(settings->host_name, settings->address, found, err);
    result = read_text(flags.tls_cert, &found->tls_cert, err);
    return result < 0 ? result : read_text(flags.tls_key, &found->tls_key, err);
}

static int make_api(struct agent *agent, const struct found *found, struct err *err)
{
    const struct api_options api = {found->tls_cert, found->tls_key, found->client_ca};
    int result = api_new(agent, &api, &agent->api, err);

    explicit_bzero(found->tls_key, strlen(found->tls_key));
    if (result == 0 && flags.metrics_listen != NULL)
        result = api_listen_metrics(agent->api, flags.metrics_listen, err);
    return result;
}

static int make_host_parts(struct agent *agent, struct err *err)
{
    CLEANUP(buf_done) struct buf resolv_conf = {0};
    int result;

    if ((result = file_read(agent->options.resolv_conf, LIMIT_FILE, &resolv_conf, err)) < 0) {
        if (result != ERR_NOT_FOUND)
            return result;
        err_clear(err);
    }
    agent->resolv_conf = buf_take(&resolv_conf);
    if ((result = dir_make(agent->options.state_dir, 0750, err)) < 0 ||
        (result = dir_make(agent->options.log_dir, 0755, err)) < 0 ||
        (result = cgroups_new(CGROUP_MOUNT, agent->options.cgroup_root, &agent->cgroups, err)) < 0 ||
        (result = action_clients_new(agent->loop, &agent->actions, err)) < 0)
        return result;
    agent_system_read(&agent->system);
    return 0;
}

static void on_services_synced(void *data)
{
    struct agent *agent = data;

    pods_wake_all(agent->pods);
}

static void on_services_error(const struct err *err, void *data)
{
    struct agent *agent = data;

    agent_warn("watching Services; trying again", agent->options.host_name, err);
}

static void on_service(const struct json *old, const struct json *new, void *data)
{
    (void)old, (void)new, (void)data; /* read from the store when a container is made */
}

static void start_parts(struct agent *agent)
{
    const struct kube_watch_options services = {
        .path = "/api/v1/services",
        .omit = agent_omit,
        .on_change = on_service,
        .on_synced = on_services_synced,
        .on_error = on_services_error,
        .data = agent,
    };

    agent->user_ids = user_ids_new(agent->options.state_dir);
    agent->image_turns = image_turns_new((size_t)agent->options.parallel_pulls);
    agent->image_credentials = image_credentials_new(agent->options.state_dir);
    agent->pods = pods_new(agent);
    agent->nodes = nodes_new(agent);
    pod_csi_start(agent);
    agent->relist = relist_new(agent);
    agent->services = kube_watch_new(agent->kube, &services);
    nodes_start(agent->nodes);
    pods_start(agent->pods);
    agent->host = host_publisher_new(agent);
    agent->storage = storage_new(agent);
    agent->log_rotation = log_rotation_new(agent);
    agent->image_gc = image_gc_new(agent);
}

/* Pods and their containers stay as they are: the next agent finds and keeps them. */
static void on_end(int signal_number UNUSED, void *data)
{
    struct agent *agent = data;

    loop_stop(agent->loop, 0);
}

static int run(struct agent *agent, struct found *found, struct err *err)
{
    int result;

    agent->options = flags.agent;
    agent_metrics_make(agent);
    if ((result = keeper_new(&agent->keeper, err)) < 0 || (result = loop_new(&agent->loop, err)) < 0 ||
        (result = loop_signal(agent->loop, SIGTERM, on_end, agent, err)) < 0 ||
        (result = loop_signal(agent->loop, SIGINT, on_end, agent, err)) < 0 ||
        (result = make_host_parts(agent, err)) < 0 || (result = make_connections(agent, err)) < 0 ||
        (result = find_settings(agent, found, err)) < 0 || (result = make_api(agent, found, err)) < 0)
        return result;
    start_parts(agent);
    log_info("running", "host", agent->options.host_name, "address", agent->options.address, "runtime",
             agent->options.runtime_socket);
    return loop_run(agent->loop, err);
}

static void end(struct agent *agent)
{
    host_publisher_free(agent->host);
    storage_free(agent->storage);
    log_rotation_free(agent->log_rotation);
    image_gc_free(agent->image_gc);
    relist_free(agent->relist);
    kube_watch_free(agent->services);
    csi_volumes_free(agent->csi_volumes);
    csi_drivers_free(agent->csi_drivers);
    cri_free(agent->cri); /* no answer may come to pods that are gone */
    keeper_free(agent->keeper);
    pods_free(agent->pods);
    image_credentials_free(agent->image_credentials);
    user_ids_free(agent->user_ids);
    image_turns_free(agent->image_turns);
    nodes_free(agent->nodes);
    api_free(agent->api);
    kube_events_free(agent->events);
    kube_client_free(agent->kube);
    agent_requests_done(&agent->requests);
    action_clients_free(agent->actions);
    cgroups_free(agent->cgroups);
    metrics_free(agent->metrics);
    agent_system_done(&agent->system);
    free(agent->resolv_conf);
    free(agent->sandbox_image);
    free(flags.default_csi_dir);
    json_free(agent->runtime.handlers);
    loop_free(agent->loop);
}

int main(int argc, char **argv)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(strv_done) struct strv arguments = {0};
    CLEANUP(found_done) struct found found = {0};
    const struct opt_tables tables = {.tables = {options}};
    static struct agent agent;
    enum log_level level = LOG_LEVEL_INFO;
    int dash;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)umask(022);
    if (argc > 1 && streq(argv[1], "runtime"))
        return runtime_main(argc - 2, argv + 2);
    if (opt_parse(&tables, argc - 1, argv + 1, false, &arguments, &dash, &err) < 0 ||
        (!flags.help && !flags.version &&
         ((arguments.n > 0 && err_set(&err, ERR_USAGE, "unexpected argument '%s'", arguments.items[0]) < 0) ||
          log_level_parse(flags.log_level, &level, &err) < 0 || check_flags(&err) < 0))) {
        (void)fprintf(stderr, "error: %s\nSee 'fks-node --help'\n", err_text(&err));
        return 2;
    }
    if (flags.help || flags.version) {
        if (flags.help)
            print_help();
        else
            (void)puts("fks-node v" FKS_PROGRAM_VERSION);
        return 0;
    }
    mem_be_sparing();
    log_init("fks-node", level);
    proc_allow_files();
    int result = run(&agent, &found, &err);
    if (result < 0)
        log_error("fks-node cannot go on", "error", err_text(&err));
    end(&agent);
    return result < 0 ? 1 : 0;
}
