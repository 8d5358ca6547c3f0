/*
 * register.c: register and deregister cluster: FKS into a cluster that is there already, and out of it. Checks come first;
 * what is written is install.c's, the order of going install_remove.c's.
 */
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cluster_options.h"
#include "data/yaml.h"
#include "home.h"
#include "install/commands.h"
#include "install/install.h"
#include "install/progress.h"
#include "install/register_checks.h"
#include "install/registered.h"
#include "objects/cluster_names.h"

#define TIMEOUT_MS (5 * 60 * 1000)

struct register_options {
    struct cluster_options shared;
    struct kube_overrides overrides;
    const char *provider;
    struct install_settings settings;
    bool dry_run, prepare_only, keep_profiles;
};

/* The way to the cluster, and what it offers. */
struct reach {
    struct kube_config config;
    struct kube_client *client;
    struct kube_discovery *discovery;
};

static void reach_done(struct reach *reach)
{
    reach->discovery = kube_discovery_free(reach->discovery);
    reach->client = kube_client_free(reach->client);
    kube_config_done(&reach->config);
}
DEFINE_CLEANUP_IN_PLACE(struct reach, reach_done)

/* reach->config is filled; failures name that server, not one of the user's current context. */
static int reach_connect(struct cli *cli, struct reach *reach, struct err *err)
{
    free(cli->config.server);
    cli->config.server = xstrdup(reach->config.server);
    int r = kube_client_new(NULL, &reach->config, "fks/v" FKS_PROGRAM_VERSION, &reach->client, err);
    if (r == 0)
        reach->discovery = kube_discovery_new(reach->client, NULL);
    return r;
}

static int print_objects(const struct json *objects, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    const struct json *object;
    json_each(object, objects)
    {
        buf_add_str(&text, "---\n");
        yaml_print(object, &text);
    }
    return fd_write_all(STDOUT_FILENO, buf_text(&text), text.len, err);
}

static int remember(const struct register_options *options, const struct kube_config *config, const char *uid, struct err *err)
{
    char now[CLOCK_TEXT_MAX];
    CLEANUP(registered_done) struct registered registered = {.name = xstrdup(options->shared.name)};
    clock_rfc3339(clock_wall_ns(), now);
    registered.created = xstrdup(now);
    registered.server = xstrdup(config->server);
    registered.uid = xstrdup(uid);
    registered.context = config->context != NULL ? xstrdup(config->context) : NULL;
    if (options->provider != NULL) {
        registered.provider = xstrdup(options->provider);
        for (char *p = registered.provider; *p != '\0'; p++)
            *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
    }
    if (options->overrides.kubeconfig != NULL && (registered.kubeconfig = realpath(options->overrides.kubeconfig, NULL)) == NULL)
        return err_errno(err, errno, "--kubeconfig '%s'", options->overrides.kubeconfig);
    return registered_save(&registered, err);
}

/* What tells this cluster from others, whatever way leads to it. */
static int check_identity(const char *name, struct kube_client *client, char **ret_uid, struct err *err)
{
    CLEANUP(json_free) struct json *namespace = NULL;
    const struct kube_request request = {.path = "/api/v1/namespaces/kube-system"};
    int r = kube_do(client, &request, &namespace, err);
    if (r < 0)
        return r;
    CLEANUP(xfree) char *uid = xstrdup(json_str_or("", namespace, "metadata", "uid", NULL));
    if ((r = registered_check_identity(name, uid, err)) == 0)
        *ret_uid = take(&uid);
    return r;
}

static void tell_next(const char *name, bool hosts)
{
    progress(PROGRESS_SUCCESS, "FKS is in cluster \"%s\": webhook and scheduler run, no pod is touched before there is a profile", name);
    progress(PROGRESS_INFO, "'fks create fargateprofile --cluster %s --name dev --namespace dev' makes one", name);
    if (hosts)
        progress(PROGRESS_INFO, "its pods run on the nodes that you choose: 'fks label node NODE fks.dev/host=true'");
    else
        progress(PROGRESS_INFO, "its pods need hosts ('fks register cluster --hosts'), or another back end (spec.nodeSelector and "
                                "tolerations, runtimeClassName or schedulerName of the profile)");
    progress(PROGRESS_INFO, "'fks deregister cluster --name %s' takes all of it out again", name);
}

static int install(struct cli *cli, struct register_options *options, struct err *err)
{
    CLEANUP(reach_done) struct reach reach = {0};
    CLEANUP(json_free) struct json *objects = NULL;
    CLEANUP(xfree) char *version = NULL;
    CLEANUP(xfree) char *uid = NULL;
    int r;
    if ((r = kube_config_load(&options->overrides, &reach.config, err)) < 0 || (r = reach_connect(cli, &reach, err)) < 0)
        return r;
    progress(PROGRESS_INFO, "registering cluster \"%s\" at %s", options->shared.name, reach.config.server);
    /* registered again without --hosts: those that are there are no reason to make the namespace refuse them */
    if (!options->settings.hosts && (r = install_has_hosts(reach.client, &options->settings.hosts, err)) < 0)
        return r;
    if ((r = install_objects(&options->settings, &objects, err)) < 0 ||
        (r = register_check_version(reach.client, options->settings.hosts, &version, err)) < 0 ||
        (r = register_check_permissions(reach.client, reach.discovery, objects, err)) < 0 ||
        (r = check_identity(options->shared.name, reach.client, &uid, err)) < 0 ||
        (r = register_check_owner(reach.client, &options->settings, err)) < 0)
        return r;
    progress(PROGRESS_INFO, "Kubernetes %s, permissions suffice; applying %zu objects", version, json_len(objects));
    /* first: what is cut off in the middle can be taken out again */
    if ((r = remember(options, &reach.config, uid, err)) < 0 ||
        (r = install_apply(reach.client, reach.discovery, objects, err)) < 0 ||
        (r = install_wait(reach.client, options->settings.hosts, options->shared.timeout_ms, err)) < 0)
        return r;
    tell_next(options->shared.name, options->settings.hosts);
    return 0;
}

/* A name that is taken is only taken by a cluster of this machine, or by another registration. */
static int check_name(const char *name, struct err *err)
{
    if (name == NULL)
        return err_set(err, ERR_USAGE, "--name must be set");
    int r = home_check_name(name, err);
    if (r < 0)
        return r;
    return home_has_cluster(name) ? err_set(err, ERR_EXISTS, "a local cluster has the name '%s': choose another", name) : 0;
}

int command_register_cluster(struct cli *cli, int argc, char **argv)
{
    struct register_options options = {.shared = {.timeout_ms = TIMEOUT_MS}};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *objects = NULL;
    const char *preset = NULL;
    const struct opt own[] = {
        {"kubeconfig", 0, OPT_STRING, &options.overrides.kubeconfig, "FILE", "connection file of the cluster", NULL, NULL},
        {"context", 0, OPT_STRING, &options.overrides.context, "NAME", "context in it (default: the current one)", NULL, NULL},
        {"provider", 0, OPT_STRING, &options.provider, "NAME", "who runs the cluster: GKE, AKS, OTHER, ...; only kept", NULL, NULL},
        {"image-registry", 0, OPT_STRING, &options.settings.registry, "HOST/PATH", "where the images are (default: fks.dev)", NULL,
         NULL},
        {"image-tag", 0, OPT_STRING, &options.settings.tag, "TAG", "their tag (default: " FKS_PROGRAM_VERSION ")", NULL, NULL},
        {"hosts", 0, OPT_BOOL, &options.settings.hosts, NULL,
         "install the agents, too: a privileged pod on every node with the label fks.dev/host=true", NULL, NULL},
        {"preset", 0, OPT_STRING, &preset, "NAME",
         "eks: beside AWS Fargate, whose scheduler name, profile label and node names are then left to it", NULL, NULL},
        {"dry-run", 0, OPT_BOOL, &options.dry_run, NULL, "print every object, and write nothing", NULL, NULL},
        {0}};
    options.overrides = cli->overrides;
    int r = cluster_options_parse(cli, &options.shared, own, "register cluster",
                                  "Install or upgrade FKS in a cluster that is there already", argc, argv, &err);
    if (r > 0)
        return 0;
    if (r == 0)
        r = check_name(options.shared.name, &err);
    if (r == 0 && preset != NULL && !streq(preset, "eks"))
        r = err_set(&err, ERR_USAGE, "--preset '%s' is not known: there is eks", preset);
    options.settings.beside_aws = preset != NULL;
    if (r < 0 && err.code == ERR_USAGE)
        return cli_usage(cli, "register cluster", &err);
    if (r == 0 && options.dry_run && (r = install_objects(&options.settings, &objects, &err)) == 0)
        r = print_objects(objects, &err);
    else if (r == 0)
        r = install(cli, &options, &err);
    return r < 0 ? cli_fail(cli, &err) : 0;
}

/* --- deregister */

/* What must be done while the programs still run. */
static int prepare(const struct register_options *options, struct kube_client *client, struct err *err)
{
    int64_t timeout_ms = options->shared.timeout_ms;
    CLEANUP(cluster_names_done) struct cluster_names names = {0};
    int r = cluster_names_read(client, &names, err);
    if (r < 0)
        return r;
    progress(PROGRESS_INFO, "withdrawing the webhook's registration");
    r = install_withdraw(client, timeout_ms, err);
    if (r == 0 && !options->keep_profiles)
        r = install_drain(client, names.names.profile_label, timeout_ms, err);
    if (r == 0 && options->settings.hosts) {
        progress(PROGRESS_INFO, "ending the agents");
        r = install_end_hosts(client, timeout_ms, err);
    }
    if (r == 0) {
        progress(PROGRESS_INFO, "ending the scheduler");
        r = install_end_scheduler(client, timeout_ms, err);
    }
    return r;
}

static int remove_all(struct register_options *options, struct reach *reach, const char *name, struct err *err)
{
    CLEANUP(json_free) struct json *objects = NULL;
    CLEANUP(xfree) char *release = NULL;
    int r = register_helm_release(reach->client, &release, err);
    if (r == 0 && release != NULL)
        r = err_set(err, ERR_EXISTS, "Helm's release '%s' installed FKS there: use 'helm uninstall %s'", release, release);
    options->settings.hosts = true; /* whether or not they were installed */
    if (r < 0 || (r = install_objects(&options->settings, &objects, err)) < 0)
        return r;
    progress(PROGRESS_INFO, "taking FKS out of cluster \"%s\" at %s", name, reach->config.server);
    if ((r = prepare(options, reach->client, err)) < 0)
        return r;
    progress(PROGRESS_INFO, "deleting what was installed");
    if ((r = install_delete(reach->client, reach->discovery, objects, options->keep_profiles, options->shared.timeout_ms, err)) < 0 ||
        (r = registered_remove(name, err)) < 0)
        return r;
    progress(PROGRESS_SUCCESS, "nothing of FKS is left in cluster \"%s\"%s", name,
             options->keep_profiles ? " but its profiles and their types" : "");
    return 0;
}

static int deregister(struct cli *cli, struct register_options *options, struct err *err)
{
    CLEANUP(reach_done) struct reach reach = {0};
    CLEANUP(registered_done) struct registered registered = {0};
    const char *name = options->shared.name;
    int r;
    if (options->prepare_only) {
        if ((r = kube_config_load(&options->overrides, &reach.config, err)) < 0 || (r = reach_connect(cli, &reach, err)) < 0)
            return r;
        return prepare(options, reach.client, err);
    }
    if ((r = registered_load(name, &registered, err)) < 0)
        return r;
    r = options->overrides.kubeconfig != NULL ? kube_config_load(&options->overrides, &reach.config, err)
                                              : registered_config(&registered, &reach.config, err);
    if (r < 0 || (r = reach_connect(cli, &reach, err)) < 0)
        return r;
    r = remove_all(options, &reach, name, err);
    if (r == ERR_REFUSED || r == ERR_TIMEOUT || r == ERR_IO) {
        CLEANUP(xfree) char *path = registered_path(name);
        progress(PROGRESS_WARNING, "a cluster that is no more is forgotten by removing '%s'", path);
    }
    return r;
}

int command_deregister_cluster(struct cli *cli, int argc, char **argv)
{
    struct register_options options = {.shared = {.timeout_ms = TIMEOUT_MS}};
    CLEANUP(err_clear) struct err err = {0};
    const struct opt own[] = {
        {"kubeconfig", 0, OPT_STRING, &options.overrides.kubeconfig, "FILE", "connection file (default: as it was registered)", NULL,
         NULL},
        {"context", 0, OPT_STRING, &options.overrides.context, "NAME", "context in it", NULL, NULL},
        {"keep-profiles", 0, OPT_BOOL, &options.keep_profiles, NULL, "leave the FargateProfiles and their types", NULL, NULL},
        {"hosts", 0, OPT_BOOL, &options.settings.hosts, NULL, "with --prepare-only: end the agents of the hosts, too", NULL, NULL},
        {"prepare-only", 0, OPT_BOOL, &options.prepare_only, NULL,
         "only what must happen before the programs go, in the cluster of the current context or of this pod: for whatever else "
         "deletes the rest, as Helm does", NULL, NULL},
        {0}};
    options.overrides = cli->overrides;
    int r = cluster_options_parse(cli, &options.shared, own, "deregister cluster",
                                  "Take FKS out of a registered cluster: the webhook first, then the profiles with their pods, then "
                                  "the rest", argc, argv, &err);
    if (r > 0)
        return 0;
    if (r == 0 && !options.prepare_only && options.shared.name == NULL)
        r = err_set(&err, ERR_USAGE, "--name must be set");
    if (r < 0 && err.code == ERR_USAGE)
        return cli_usage(cli, "deregister cluster", &err);
    if (r == 0)
        r = deregister(cli, &options, &err);
    return r < 0 ? cli_fail(cli, &err) : 0;
}
