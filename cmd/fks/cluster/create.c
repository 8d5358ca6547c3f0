/*
 * create.c: `fks create cluster`, with eksctl's flags where they mean something without AWS. Either the whole cluster
 * stands at the end, or nothing of it is left (unless --keep-on-failure).
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/opt.h"
#include "cluster/addons.h"
#include "cluster/assets.h"
#include "cluster/bringup.h"
#include "cluster/claim.h"
#include "cluster/commands.h"
#include "cluster/kubeconfig_target.h"
#include "cluster/network.h"
#include "cluster/teardown.h"
#include "data/quantity.h"
#include "data/yaml.h"
#include "home.h"
#include "install/progress.h"

struct create_options {
    const char *name, *region, *version, *assets_dir, *kubeconfig, *nodegroup_name, *config_file;
    bool fargate, without_nodegroup, dry_run, help, managed, keep_on_failure;
    bool auto_kubeconfig, set_context, write_kubeconfig, nodes_seen;
    int64_t nodes, hosts, api_port, timeout_ms;
    const char *host_cpu, *host_memory;
    const char *pod_validation, *webhook_failure_policy;
    struct strv zones, tags, runtime_handlers;
    bool aws_seen;
    const char *aws_text;
    bool aws_bool;
};

/* Started, and not yet whole: what a signal has to clean up. */
static const struct cluster *unfinished;
static pid_t creating_pid;

static void on_interrupt(int signal_number)
{
    /* the cleaning is done by a fresh process: nothing here is safe to call from a handler */
    if (unfinished != NULL && getpid() == creating_pid)
        execl("/proc/self/exe", "fks", "delete", "cluster", unfinished->name, (char *)NULL);
    _exit(128 + signal_number);
}

/* eksctl's "adjective-noun-number". */
static char *create_generate_name(void)
{
    static const char *const adjectives[] = {"amazing", "bold", "calm", "eager", "fluent", "gentle", "lively", "quiet"};
    static const char *const nouns[] = {"badger", "canyon", "forest", "harbor", "lagoon", "meadow", "sparrow", "summit"};
    return xasprintf("%s-%s-%lld", adjectives[random_below(countof(adjectives))], nouns[random_below(countof(nouns))],
                     (long long)(clock_wall_ns() / 1000000000));
}

/* Moves the logs of a cluster that is about to be removed to $FKS_HOME/failed/NAME; its path, or NULL. */
static char *create_save_logs(const struct cluster *cluster)
{
    CLEANUP(xfree) char *home = home_path();
    CLEANUP(xfree) char *failed = path_join(home, "failed", NULL);
    CLEANUP(xfree) char *kept = path_join(failed, cluster->name, NULL);
    CLEANUP(xfree) char *logs = cluster_path(cluster, "logs");
    struct err ignored = {0};
    if (!file_exists(logs) || dir_make(failed, 0700, &ignored) < 0 || dir_remove(kept, &ignored) < 0 ||
        rename(logs, kept) != 0) {
        err_clear(&ignored);
        return NULL;
    }
    return take(&kept);
}

static const char usage[] =
    "Create a cluster\n\n"
    "Usage: fks create cluster [NAME] [flags]\n\n"
    "A real Kubernetes control plane on this machine, supervised in the background. With --fargate every pod in the namespaces\n"
    "default and kube-system gets a Node of its own; without it there is also a node group of ordinary kubelets.\n\n"
    "Flags:\n";

static int parse(struct cli *cli, struct create_options *options, int argc, char **argv, struct err *err)
{
    const struct opt table[] = {
        {"name", 'n', OPT_STRING, &options->name, "NAME", "cluster name (generated if unspecified)", NULL, NULL},
        {"region", 'r', OPT_STRING, &options->region, "REGION", "region name, part of node names and labels", NULL, NULL},
        {"zones", 0, OPT_LIST, &options->zones, "ZONES", "zones; the hosts are spread over them", NULL, NULL},
        {"version", 0, OPT_STRING, &options->version, "VERSION", "Kubernetes version (1.36, latest or auto)", NULL, NULL},
        {"fargate", 0, OPT_BOOL, &options->fargate, NULL,
         "create a Fargate profile scheduling pods in the default and kube-system namespaces onto Fargate", NULL, NULL},
        {"hosts", 0, OPT_INT, &options->hosts, "N", "hosts that offer capacity for Fargate pods", NULL, NULL},
        {"host-cpu", 0, OPT_STRING, &options->host_cpu, "QUANTITY",
         "CPU that each of these hosts offers; more than the machine has overcommits it (default: the machine's)", NULL, NULL},
        {"host-memory", 0, OPT_STRING, &options->host_memory, "QUANTITY",
         "memory that each of these hosts offers (default: the machine's)", NULL, NULL},
        {"runtime-handlers", 0, OPT_LIST, &options->runtime_handlers, "NAME=TYPE,...",
         "runtimes for RuntimeClasses beside runc: handler and containerd runtime type (kata=io.containerd.kata.v2)", NULL, NULL},
        {"pod-validation", 0, OPT_STRING, &options->pod_validation, "MODE",
         "what becomes of pods that Fargate does not support: Warn creates them with a warning, Enforce refuses them", NULL, NULL},
        {"webhook-failure-policy", 0, OPT_STRING, &options->webhook_failure_policy, "POLICY",
         "pods created while fks-webhook is away: Fail refuses them, Ignore lets them miss Fargate (kube-system: always Ignore)",
         NULL, NULL},
        {"nodegroup-name", 0, OPT_STRING, &options->nodegroup_name, "NAME", "name of the node group", NULL, NULL},
        {"without-nodegroup", 0, OPT_BOOL, &options->without_nodegroup, NULL, "create no node group", NULL, NULL},
        {"nodes", 'N', OPT_INT, &options->nodes, "N", "ordinary nodes", NULL, &options->nodes_seen},
        {"managed", 0, OPT_BOOL, &options->managed, NULL, "create the node group also with --fargate", NULL, NULL},
        {"tags", 0, OPT_LIST, &options->tags, "K=V,...", "tags; accepted for eksctl's sake, kept nowhere", NULL, NULL},
        {"timeout", 0, OPT_DURATION, &options->timeout_ms, "DURATION", "longest time for each wait", NULL, NULL},
        {"dry-run", 0, OPT_BOOL, &options->dry_run, NULL, "print the ClusterConfig and do nothing", NULL, NULL},
        {"kubeconfig", 0, OPT_STRING, &options->kubeconfig, "FILE", "where to write the credentials", NULL, NULL},
        {"auto-kubeconfig", 0, OPT_BOOL, &options->auto_kubeconfig, NULL,
         "write the credentials to a file of their own, ~/.kube/fks/clusters/NAME", NULL, NULL},
        {"set-kubeconfig-context", 0, OPT_BOOL, &options->set_context, NULL, "make it the current context", NULL, NULL},
        {"write-kubeconfig", 0, OPT_BOOL, &options->write_kubeconfig, NULL, "write the credentials at all", NULL, NULL},
        {"assets-dir", 0, OPT_STRING, &options->assets_dir, "DIR", "folder with the control plane programs", NULL, NULL},
        {"api-port", 0, OPT_INT, &options->api_port, "PORT", "port of the API server (default: 6443 or the next free one)", NULL, NULL},
        {"keep-on-failure", 0, OPT_BOOL, &options->keep_on_failure, NULL, "leave what was made when something fails", NULL, NULL},
        {"config-file", 'f', OPT_STRING, &options->config_file, "FILE", NULL, NULL, NULL},
        {"help", 'h', OPT_BOOL, &options->help, NULL, "help for this command", NULL, NULL},
        /* eksctl's flags about AWS: taken, and one warning says that they do nothing here */
        {"profile", 'p', OPT_STRING, &options->aws_text, "NAME", NULL, NULL, &options->aws_seen},
        {"with-oidc", 0, OPT_BOOL, &options->aws_bool, NULL, NULL, NULL, &options->aws_seen},
        {"vpc-cidr", 0, OPT_STRING, &options->aws_text, "CIDR", NULL, NULL, &options->aws_seen},
        {"vpc-nat-mode", 0, OPT_STRING, &options->aws_text, "MODE", NULL, NULL, &options->aws_seen},
        {"node-type", 't', OPT_STRING, &options->aws_text, "TYPE", NULL, NULL, &options->aws_seen},
        {"ssh-access", 0, OPT_BOOL, &options->aws_bool, NULL, NULL, NULL, &options->aws_seen},
        {"spot", 0, OPT_BOOL, &options->aws_bool, NULL, NULL, NULL, &options->aws_seen},
        {"cfn-role-arn", 0, OPT_STRING, &options->aws_text, "ARN", NULL, NULL, &options->aws_seen},
        {"cfn-disable-rollback", 0, OPT_BOOL, &options->aws_bool, NULL, NULL, NULL, &options->aws_seen},
        {0},
    };
    const struct opt_tables tables = {{table}};
    const struct cli_command command = {.words = "create cluster", .usage = "[NAME] [flags]", .about = "", .options = table, .alone = true};
    if (cli_answers(cli, &command, argc, argv)) {
        options->help = true;
        return 0;
    }
    CLEANUP(strv_done) struct strv args = {0};
    int dash;
    int r = opt_parse(&tables, argc - 1, argv + 1, false, &args, &dash, err);
    if (r < 0)
        return r;
    if (options->help) {
        CLEANUP(buf_done) struct buf help = {0};
        buf_add_str(&help, usage);
        opt_help(table, &help);
        (void)!write(STDOUT_FILENO, help.data, help.len);
        return 0;
    }
    if (args.n > 1)
        return err_set(err, ERR_USAGE, "only one argument is allowed to be used as a name");
    if (args.n == 1 && options->name != NULL)
        return err_set(err, ERR_USAGE, "--name=%s and argument %s cannot be used at the same time", options->name,
                       args.items[0]);
    if (args.n == 1)
        for (int i = 1; i < argc; i++) /* args holds copies; argv lives as long as the program */
            if (streq(argv[i], args.items[0]))
                options->name = argv[i];
    return 0;
}

/* Handler names are DNS labels, types are containerd's: both go into a TOML file. */
static bool is_runtime_handler(const char *text)
{
    static const char name_bytes[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    static const char type_bytes[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
    size_t name = strspn(text, name_bytes);
    const char *type = text + name + 1;
    return name > 0 && name <= 63 && text[name] == '=' && *type != '\0' && type[strspn(type, type_bytes)] == '\0';
}

static int check_quantity(const char *flag, const char *text, struct err *err)
{
    int64_t value;
    if (text == NULL)
        return 0;
    int r = quantity_parse_milli(text, &value, err);
    if (r < 0)
        return err_wrap(err, "--%s", flag);
    return value > 0 ? 0 : err_set(err, ERR_USAGE, "--%s must be positive", flag);
}

/* text: NULL, or one of the two. */
static int check_choice(const char *flag, const char *text, const char *a, const char *b, struct err *err)
{
    if (text == NULL || streq(text, a) || streq(text, b))
        return 0;
    return err_set(err, ERR_USAGE, "--%s must be %s or %s, not '%s'", flag, a, b, text);
}

static int check_hosts(const struct create_options *options, struct err *err)
{
    int r = check_quantity("host-cpu", options->host_cpu, err);
    if (r < 0 || (r = check_quantity("host-memory", options->host_memory, err)) < 0)
        return r;
    for (size_t i = 0; i < options->runtime_handlers.n; i++)
        if (!is_runtime_handler(options->runtime_handlers.items[i]))
            return err_set(err, ERR_USAGE, "--runtime-handlers: '%s' is not NAME=TYPE, for example kata=io.containerd.kata.v2",
                           options->runtime_handlers.items[i]);
    return 0;
}

static int check(struct create_options *options, struct err *err)
{
    if (options->config_file != NULL)
        return err_set(err, ERR_USAGE, "--config-file is not available yet for 'create cluster': use flags, and 'fks apply -f' "
                                       "for FargateProfiles");
    if (options->version != NULL && !streq(options->version, "auto") && !streq(options->version, "latest") &&
        !streq(options->version, "1.36") && !streq(options->version, ASSETS_VERSION) &&
        !streq(options->version, ASSETS_VERSION + 1))
        return err_set(err, ERR_USAGE, "invalid version, %s is not supported, supported values: auto, latest, 1.36",
                       options->version);
    if (options->hosts < 1 || options->hosts > CLUSTER_HOSTS_MAX)
        return err_set(err, ERR_USAGE, "--hosts must be between 1 and %d", CLUSTER_HOSTS_MAX);
    if (options->nodes < 0 || options->nodes + options->hosts > CLUSTER_HOSTS_MAX)
        return err_set(err, ERR_USAGE, "--nodes and --hosts together must be between 1 and %d", CLUSTER_HOSTS_MAX);
    if (options->api_port != 0 && (options->api_port < 1 || options->api_port > 65535))
        return err_set(err, ERR_USAGE, "--api-port must be between 1 and 65535");
    if (options->auto_kubeconfig && options->kubeconfig != NULL)
        return err_set(err, ERR_USAGE, "--kubeconfig and --auto-kubeconfig cannot be used at the same time");
    if (options->region[0] == '\0' || strspn(options->region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(options->region) ||
        strlen(options->region) > 40)
        return err_set(err, ERR_USAGE, "--region '%s' is not valid: lower-case letters, digits and hyphens, at most 40",
                       options->region);
    int r = check_hosts(options, err);
    if (r < 0 || (r = check_choice("pod-validation", options->pod_validation, "Warn", "Enforce", err)) < 0 ||
        (r = check_choice("webhook-failure-policy", options->webhook_failure_policy, "Fail", "Ignore", err)) < 0)
        return r;
    if (options->fargate && options->nodes_seen && !options->managed)
        progress(PROGRESS_WARNING, "--nodes is ignored with --fargate unless --managed is given too");
    if (options->aws_seen)
        progress(PROGRESS_WARNING, "flags that concern AWS are ignored: this cluster runs on this machine");
    return 0;
}

static int choose_ports(struct cluster *cluster, const struct create_options *options, struct err *err)
{
    /* the bridge does not exist yet; a program that listens on every address has these ports all the same */
    struct {
        int first, *port;
    } wanted[] = {{6443, &cluster->api_port},          {2379, &cluster->etcd_port},    {2380, &cluster->etcd_peer_port},
                  {10257, &cluster->manager_port},     {10259, &cluster->scheduler_port}, {23445, &cluster->webhook_port},
                  {10461, &cluster->metrics_port}};
    if (options->api_port != 0) {
        int r = network_check_port("0.0.0.0", (int)options->api_port, err);
        if (r < 0)
            return r;
    }
    /* ports on loopback are shared by all clusters, also stopped ones: each cluster number has its own range */
    for (size_t i = 0; i < countof(wanted); i++) {
        int first = wanted[i].port == &cluster->api_port ? wanted[i].first : wanted[i].first + 10 * cluster->number;
        int r = network_free_port(wanted[i].port == &cluster->api_port ? "0.0.0.0" : "127.0.0.1", first, wanted[i].port, err);
        if (r < 0)
            return r;
    }
    if (options->api_port != 0)
        cluster->api_port = (int)options->api_port;
    return 0;
}

static void add_hosts(struct cluster *cluster, const struct create_options *options)
{
    CLEANUP(xfree) char *zone = xasprintf("%s-a", options->region);
    CLEANUP(xfree) char *generated = NULL;
    const char *nodegroup = options->nodegroup_name;
    if (nodegroup == NULL) {
        char suffix[9];
        random_hex(suffix, 8);
        nodegroup = generated = xasprintf("ng-%s", suffix);
    }
    bool nodes = options->fargate ? options->managed : !options->without_nodegroup;
    int64_t wanted = options->hosts + (nodes ? options->nodes : 0);
    for (int64_t i = 0; i < wanted; i++) {
        const char *where = options->zones.n > 0 ? options->zones.items[(size_t)i % options->zones.n] : zone;
        bool fargate = i < options->hosts;
        (void)cluster_add_host(cluster, fargate ? CLUSTER_HOST_FARGATE : CLUSTER_HOST_KUBELET, where,
                               fargate ? NULL : nodegroup);
    }
}

/* In the folder that was just made: nobody else has it, and from here on `delete` can remove what there is. */
static int describe(struct cluster *cluster, const struct create_options *options, int *ret_lock, struct err *err)
{
    static const char creating[] = "creating";
    CLEANUP(xfree) char *unfinished_path = cluster_path(cluster, CLUSTER_UNFINISHED);
    int r = claim_prepare(cluster->home, err);
    if (r < 0 || (r = claim_cluster(cluster->home, ret_lock, err)) < 0 ||
        (r = file_write_atomic(unfinished_path, creating, strlen(creating), 0600, err)) < 0)
        return r;
    add_hosts(cluster, options);
    r = cluster_save(cluster, err);
    return r < 0 ? r : claim_number_locked(cluster, err);
}

/* Claims name and number: from here on a second create of the same name fails. */
static int claim(struct cluster *cluster, const struct create_options *options, int *ret_lock, struct err *err)
{
    CLEANUP(xfree) char *parent = home_path();
    CLEANUP(xfree) char *clusters = path_join(parent, "clusters", NULL);
    bool known[CLUSTER_MAX] = {false};
    int r = dir_make(clusters, 0700, err);
    CLEANUP(fd_close) int lock = -1;
    if (r < 0 || (r = cluster_lock(&lock, err)) < 0)
        return r;
    if (home_has_cluster(cluster->name))
        return err_set(err, ERR_EXISTS,
                       "cluster '%s' exists already ('%s'): choose another name, or 'fks delete cluster %s' first", cluster->name,
                       cluster->home, cluster->name);
    if ((r = claim_numbers(known, err)) < 0 || (r = network_find_number(known, &cluster->number, err)) < 0 ||
        (r = choose_ports(cluster, options, err)) < 0 || (r = dir_make(cluster->home, 0700, err)) < 0)
        return r;
    if ((r = describe(cluster, options, ret_lock, err)) < 0) {
        struct err ignored = {0};
        if (dir_remove(cluster->home, &ignored) < 0)
            err_clear(&ignored);
    }
    return r;
}

static void print_config(const struct cluster *cluster, const struct create_options *options)
{
    CLEANUP(json_free) struct json *config =
        json_build("{s:s, s:s, s:{s:s, s:s, s:s}}", "apiVersion", "eksctl.io/v1alpha5", "kind", "ClusterConfig", "metadata",
                   "name", cluster->name, "region", cluster->region, "version", "1.36");
    if (options->fargate)
        json_set(config, "fargateProfiles",
                 json_build("[{s:s, s:[{s:s}, {s:s}]}]", "name", "fp-default", "selectors", "namespace", "default", "namespace",
                            "kube-system"));
    CLEANUP(buf_done) struct buf text = {0};
    yaml_print(config, &text);
    (void)!write(STDOUT_FILENO, text.data, text.len);
}

static int create(struct cluster *cluster, const struct create_options *options, int *ret_lock, struct err *err)
{
    int r = bringup_check_machine(err);
    bool nodes = !options->fargate || options->managed;
    if (r < 0 || (r = bringup_check_room(cluster->home, err)) < 0 ||
        (r = assets_find(options->assets_dir, nodes, &cluster->assets, err)) < 0)
        return r;
    progress(PROGRESS_INFO, "using region %s", cluster->region);
    progress(PROGRESS_INFO, "using Kubernetes version %s", "1.36");
    progress(PROGRESS_INFO, "creating cluster \"%s\" in \"%s\" region%s", cluster->name, cluster->region,
             options->fargate ? " with Fargate profile" : "");
    sigset_t interrupts, before;
    (void)sigemptyset(&interrupts);
    (void)sigaddset(&interrupts, SIGINT);
    (void)sigaddset(&interrupts, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &interrupts, &before); /* what is claimed must be known to on_interrupt */
    if ((r = claim(cluster, options, ret_lock, err)) == 0)
        unfinished = cluster;
    else
        cluster_tidy_home();
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (r < 0)
        return r;
    CLEANUP(json_free) struct json *profiles = json_new_array();
    if (options->fargate)
        json_push(profiles, addons_default_profile());
    const struct bringup_options steps = {.first = true,
                                          .profiles = profiles,
                                          .kubeconfig = cluster->kubeconfig,
                                          .set_context = options->set_context,
                                          .timeout_ms = options->timeout_ms};
    if ((r = bringup(cluster, &steps, err)) < 0)
        return r;
    CLEANUP(xfree) char *unfinished_path = cluster_path(cluster, CLUSTER_UNFINISHED);
    if (unlink(unfinished_path) != 0)
        return err_errno(err, errno, "removing '%s'", unfinished_path);
    unfinished = NULL;
    return 0;
}

static void undo(struct cluster *cluster, const struct create_options *options)
{
    if (unfinished == NULL)
        return;
    unfinished = NULL;
    if (options->keep_on_failure) {
        progress(PROGRESS_WARNING, "kept what was made under '%s'; 'fks delete cluster %s' removes it", cluster->home,
                 cluster->name);
        return;
    }
    CLEANUP(xfree) char *logs = create_save_logs(cluster);
    if (logs != NULL)
        progress(PROGRESS_INFO, "the logs were kept in '%s'", logs);
    struct err err = {0};
    kubeconfig_target_remove(cluster);
    if (teardown_all(cluster, &err) < 0) {
        progress(PROGRESS_WARNING, "could not remove everything: %s", err_text(&err));
        err_clear(&err);
    }
}

int command_create_cluster(struct cli *cli, int argc, char **argv)
{
    struct create_options options = {.region = "local", .nodes = 2, .hosts = 1, .timeout_ms = 25 * 60 * 1000,
                                     .set_context = true, .write_kubeconfig = true};
    CLEANUP(cluster_done) struct cluster cluster = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(fd_close) int lock = -1;
    int64_t started = clock_monotonic_ms();
    int r = parse(cli, &options, argc, argv, &err);
    if (r < 0)
        return cli_usage(cli, "create cluster", &err);
    if (options.help)
        return 0;
    if ((r = check(&options, &err)) < 0)
        return cli_fail(cli, &err);
    CLEANUP(xfree) char *generated = options.name == NULL ? create_generate_name() : NULL;
    char created[CLOCK_TEXT_MAX];
    clock_rfc3339(clock_wall_ns(), created);
    cluster.name = xstrdup(generated != NULL ? generated : options.name);
    cluster.region = xstrdup(options.region);
    cluster.version = xstrdup(ASSETS_VERSION);
    cluster.created = xstrdup(created);
    cluster.host_cpu = xstrdup(options.host_cpu);
    cluster.pod_validation = xstrdup(options.pod_validation);
    cluster.webhook_failure_policy = xstrdup(options.webhook_failure_policy);
    cluster.host_memory = xstrdup(options.host_memory);
    if (options.runtime_handlers.n > 0)
        cluster.runtime_handlers = strv_join(&options.runtime_handlers, ",");
    if ((r = home_check_name(cluster.name, &err)) < 0)
        return cli_fail(cli, &err);
    cluster.home = home_of_cluster(cluster.name);
    if (options.dry_run) {
        print_config(&cluster, &options);
        return 0;
    }
    if (options.write_kubeconfig)
        cluster.kubeconfig = kubeconfig_target_path(options.kubeconfig, options.auto_kubeconfig, cluster.name);
    creating_pid = getpid();
    (void)signal(SIGINT, on_interrupt);
    (void)signal(SIGTERM, on_interrupt);
    progress(PROGRESS_INFO, "fks version %s", FKS_PROGRAM_VERSION);
    r = create(&cluster, &options, &lock, &err);
    strv_done(&options.zones);
    strv_done(&options.tags);
    strv_done(&options.runtime_handlers);
    if (r < 0) {
        undo(&cluster, &options);
        return cli_fail(cli, &err);
    }
    progress(PROGRESS_SUCCESS, "all cluster resources for \"%s\" have been created", cluster.name);
    progress(PROGRESS_SUCCESS, "cluster \"%s\" in \"%s\" region is ready after %.1f s", cluster.name, cluster.region,
             (double)(clock_monotonic_ms() - started) / 1000);
    return 0;
}
