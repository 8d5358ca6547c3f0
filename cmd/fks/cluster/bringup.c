/*
 * bringup.c: see bringup.h. Images are loaded while the API server starts, so that neither waits for the other.
 */
#include "cluster/bringup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/proc.h"
#include "cluster/addons.h"
#include "cluster/assets.h"
#include "cluster/credentials.h"
#include "cluster/host_files.h"
#include "cluster/network.h"
#include "cluster/supervisor.h"
#include "cluster/webhook_probe.h"
#include "fargate/names.h"
#include "install/progress.h"
#include "install/wait.h"

#define CONTAINERD_TIMEOUT_MS 30000
#define IMPORT_TIMEOUT_MS 180000
#define ROOM_MIN_B (UINT64_C(256) << 20) /* etcd and its log take half of it at once, images and logs the rest */

int bringup_check_machine(struct err *err)
{
    static const struct {
        const char *program, *package;
    } needed[] = {{"containerd", "containerd"}, {"runc", "runc"},       {"ctr", "containerd"},
                  {"ip", "iproute2"},           {"iptables", "iptables"}, {"nsenter", "util-linux"},
                  {"sysctl", "procps"}};
    if (geteuid() != 0)
        return err_set(err, ERR_FORBIDDEN,
                       "a local cluster needs root (network namespaces, cgroups, containers): run it with sudo");
    for (size_t i = 0; i < countof(needed); i++) {
        CLEANUP(xfree) char *path = NULL;
        struct err ignored = {0};
        if (proc_find(needed[i].program, &path, &ignored) < 0) {
            err_clear(&ignored);
            return err_set(err, ERR_NOT_FOUND, "'%s' is not installed: on Debian, 'apt-get install %s'", needed[i].program,
                           needed[i].package);
        }
    }
    CLEANUP(xfree) char *cni = NULL;
    return host_files_cni_dir(&cni, err);
}

int bringup_check_room(const char *folder, struct err *err)
{
    CLEANUP(xfree) char *path = xstrdup(folder);
    struct statvfs disk;
    while (statvfs(path, &disk) != 0) {
        char *slash = strrchr(path, '/');
        if (errno != ENOENT || slash == NULL || slash == path)
            return 0; /* whoever writes there says it better */
        *slash = '\0';
    }
    uint64_t free_b = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (free_b >= ROOM_MIN_B || (disk.f_flag & ST_RDONLY) != 0)
        return 0;
    return err_set(err, ERR_TOO_BIG, "no space left on device of '%s': %llu MiB are free, a cluster needs %llu MiB to start: free some, "
                                     "or set FKS_HOME", path, (unsigned long long)(free_b >> 20),
                   (unsigned long long)(ROOM_MIN_B >> 20));
}

/* --- images */

struct runtime {
    const char *socket;
};

static int runtime_answers(void *data, struct err *err)
{
    const struct runtime *runtime = data;
    const char *const argv[] = {"ctr", "-a", runtime->socket, "version", NULL};
    if (!file_exists(runtime->socket))
        return 0;
    int r = proc_run(argv, NULL, 0, 5000, NULL, err);
    return r < 0 ? r : 1;
}

static int load_images(const struct cluster *cluster, const struct cluster_host *host, struct err *err)
{
    CLEANUP(xfree) char *socket = cluster_run_path(cluster, "h%d/containerd.sock", host->number);
    CLEANUP(xfree) char *what = xasprintf("containerd of host '%s' (log: %s/logs/%s-containerd.log)", host->name,
                                          cluster->home, host->name);
    CLEANUP(strv_done) struct strv images = {0};
    struct runtime runtime = {socket};
    int r = wait_until(what, CONTAINERD_TIMEOUT_MS, runtime_answers, &runtime, err);
    if (r < 0 || (r = assets_images(cluster->assets, &images, err)) < 0)
        return r;
    for (size_t i = 0; i < images.n; i++) {
        const char *const argv[] = {"ctr", "-a", socket, "-n", "k8s.io", "images", "import", images.items[i], NULL};
        if ((r = proc_run(argv, NULL, 0, IMPORT_TIMEOUT_MS, NULL, err)) < 0)
            return err_wrap(err, "loading the image archive '%s'", images.items[i]);
    }
    return 0;
}

/* All hosts' images in a child of ours, while this process waits for the API server. */
static int load_all_images(const struct cluster *cluster, pid_t *ret_pid, int *ret_fd, struct err *err)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return err_errno(err, errno, "making a pipe");
    pid_t pid = fork();
    if (pid < 0) {
        int failed = errno;
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);
        return err_errno(err, failed, "starting a process to load images");
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody waits for the images of a command that was killed */
        struct err failure = {0};
        int r = 0;
        for (size_t i = 0; r == 0 && i < cluster->n_hosts; i++)
            r = load_images(cluster, &cluster->hosts[i], &failure);
        if (r < 0)
            (void)!write(pipe_fds[1], err_text(&failure), strlen(err_text(&failure)));
        _exit(r < 0 ? 1 : 0);
    }
    (void)close(pipe_fds[1]);
    *ret_pid = pid;
    *ret_fd = pipe_fds[0];
    return 0;
}

static int join_images(pid_t pid, int fd, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    struct err ignored = {0};
    int status = 0;
    if (fd_read_all(fd, &text, &ignored) < 0)
        err_clear(&ignored);
    (void)fd_close(fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(err, ERR_IO, "%s", text.len > 0 ? buf_text(&text) : "loading the images failed");
}

/* --- waiting for parts */

static int api_answers(void *data, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    const struct kube_request request = {.path = "/readyz", .timeout_ms = 2000};
    int r = kube_do_raw(data, &request, NULL, NULL, &text, err);
    return r < 0 ? r : 1;
}

struct ready_probe {
    const struct cluster *cluster;
    struct kube_client *client;
    struct http_client *http;
    int64_t since_ns; /* what was said before is about an earlier run */
};

/* The host has renewed its Lease since this start. */
static int host_renewed(const struct ready_probe *probe, const struct cluster_host *host, struct err *err)
{
    CLEANUP(json_free) struct json *lease = NULL;
    CLEANUP(xfree) char *path =
        kube_path("coordination.k8s.io", "v1", host->kind == CLUSTER_HOST_FARGATE ? FKS_NAMESPACE : "kube-node-lease",
                  "leases", host->name, NULL);
    const struct kube_request request = {.path = path};
    int64_t renewed_ns;
    int r = kube_do(probe->client, &request, &lease, err);
    if (r < 0 || (r = clock_parse(json_str_or("", lease, "spec", "renewTime", NULL), &renewed_ns, err)) < 0)
        return r;
    return renewed_ns >= probe->since_ns ? 0 : err_set(err, ERR_BUSY, "host '%s' gives no sign of life yet", host->name);
}

static int hosts_ready(void *data, struct err *err)
{
    const struct ready_probe *probe = data;
    for (size_t i = 0; i < probe->cluster->n_hosts; i++) {
        const struct cluster_host *host = &probe->cluster->hosts[i];
        bool fargate = host->kind == CLUSTER_HOST_FARGATE;
        CLEANUP(json_free) struct json *object = NULL;
        CLEANUP(xfree) char *path = kube_path(fargate ? FKS_GROUP : "", fargate ? FKS_VERSION : "v1", NULL,
                                              fargate ? "fargatehosts" : "nodes", host->name, NULL);
        const struct kube_request request = {.path = path};
        int r = kube_do(probe->client, &request, &object, err);
        if (r < 0 || (r = host_renewed(probe, host, err)) < 0)
            return r;
        if (!wait_condition_is(object, "Ready", "True"))
            return err_set(err, ERR_BUSY, "host '%s' is not ready yet", host->name);
    }
    return 1;
}

/* One CoreDNS pod answers for itself: what the API says of it may be older than this run. */
static int coredns_ready(void *data, struct err *err)
{
    const struct ready_probe *probe = data;
    CLEANUP(json_free) struct json *pods = NULL;
    const struct kube_request request = {.path = "/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dkube-dns"};
    int r = kube_do(probe->client, &request, &pods, err);
    if (r < 0)
        return r;
    const struct json *pod;
    json_each(pod, json_get(pods, "items", NULL))
    {
        const char *address = json_str(pod, "status", "podIP", NULL);
        if (address == NULL || !wait_condition_is(pod, "Ready", "True"))
            continue;
        CLEANUP(xfree) char *url = xasprintf("http://%s:8181/ready", address);
        CLEANUP(http_response_done) struct http_response response = {0};
        CLEANUP(err_clear) struct err unreachable = {0};
        const struct http_request ready = {.method = "GET", .url = url, .timeout_ms = 1000};
        if (http_perform(probe->http, &ready, NULL, NULL, &response, &unreachable) == 0 && response.status == 200)
            return 1;
    }
    return err_set(err, ERR_BUSY, "'fks describe pod -n kube-system -l k8s-app=kube-dns' tells more");
}

static int wait_ready(const struct cluster *cluster, struct kube_client *client, int64_t since_ns, int64_t timeout_ms,
                      struct err *err)
{
    CLEANUP(http_client_free) struct http_client *http = NULL;
    const struct http_client_options options = {.proxy = "", .connect_timeout_ms = 1000};
    int r = http_client_new(NULL, &options, &http, err);
    if (r < 0)
        return r;
    struct ready_probe probe = {cluster, client, http, since_ns};
    CLEANUP(xfree) char *what = xasprintf("the hosts (logs: %s/logs/*-fks-node.log)", cluster->home);
    if ((r = wait_until(what, timeout_ms, hosts_ready, &probe, err)) < 0)
        return r;
    progress(PROGRESS_INFO, "%zu host(s) ready to run pods", cluster->n_hosts);
    progress(PROGRESS_INFO, "waiting for CoreDNS");
    return wait_until("CoreDNS", timeout_ms, coredns_ready, &probe, err);
}

/* --- the steps */

static int make_ground(const struct cluster *cluster, struct err *err)
{
    CLEANUP(xfree) char *run = xasprintf("/run/fks/%d", cluster->number);
    int r;
    if ((r = dir_make(run, CLUSTER_RUN_MODE, err)) < 0 || (r = host_files_resolv_conf(cluster, err)) < 0 ||
        (r = credentials_make(cluster, err)) < 0 || (r = network_up(cluster, err)) < 0)
        return r;
    for (size_t i = 0; i < cluster->n_hosts; i++)
        if ((r = credentials_make_host(cluster, &cluster->hosts[i], err)) < 0 ||
            (r = host_files_write(cluster, &cluster->hosts[i], err)) < 0 ||
            (r = network_host_up(cluster, &cluster->hosts[i], err)) < 0)
            return r;
    return 0;
}

static int wait_api(const struct cluster *cluster, const struct bringup_options *options, struct kube_client *client,
                    struct err *err)
{
    CLEANUP(xfree) char *what = xasprintf("the API server (logs: %s/logs/kube-apiserver.log, etcd.log, supervisor.log)",
                                          cluster->home);
    CLEANUP(xfree) char *server = cluster_server(cluster);
    int r = wait_until(what, options->timeout_ms, api_answers, client, err);
    if (r < 0)
        return r;
    progress(PROGRESS_INFO, "the control plane answers at %s", server);
    if (options->kubeconfig == NULL)
        return 0;
    if ((r = credentials_write_user_entry(cluster, options->kubeconfig, options->set_context, err)) < 0)
        return r;
    progress(PROGRESS_SUCCESS, "saved kubeconfig as \"%s\"", options->kubeconfig);
    return 0;
}

/*
 * Profiles come before the webhook's first look at them: a watch on a resource type that is seconds old brings its first
 * event seconds late, a list does not.
 */
static int make_objects(const struct cluster *cluster, const struct bringup_options *options, struct kube_client *client,
                        struct err *err)
{
    const struct json *profile, *created;
    int r = addons_base(cluster, client, err);
    if (r < 0)
        return r;
    json_each(profile, options->profiles)
    {
        const char *name = json_str_or("", profile, "metadata", "name", NULL);
        progress(PROGRESS_INFO, "creating Fargate profile \"%s\" on cluster \"%s\"", name, cluster->name);
        if ((r = addons_profile(client, profile, err)) < 0)
            return err_wrap(err, "creating Fargate profile '%s'", name);
    }
    CLEANUP(xfree) char *prepared = cluster_path(cluster, CLUSTER_PREPARED);
    if ((r = file_write_atomic(prepared, "", 0, 0600, err)) < 0 ||
        (r = webhook_probe_ready(cluster, options->timeout_ms, err)) < 0)
        return r;
    json_each(created, options->profiles)
    {
        const char *name = json_str_or("", created, "metadata", "name", NULL);
        if ((r = webhook_probe_profile(cluster, created, options->timeout_ms, err)) < 0)
            return r;
        progress(PROGRESS_INFO, "created Fargate profile \"%s\" on cluster \"%s\"", name, cluster->name);
    }
    if ((r = addons_webhook(cluster, client, err)) < 0)
        return r;
    progress(PROGRESS_INFO, "fks-webhook is ready and registered");
    return addons_coredns(cluster, client, err);
}

int bringup(const struct cluster *cluster, const struct bringup_options *options, struct err *err)
{
    CLEANUP(kube_client_free) struct kube_client *client = NULL;
    pid_t loader = 0;
    int loader_fd = -1;
    int64_t since_ns = clock_wall_ns();
    int r;
    if ((r = make_ground(cluster, err)) < 0 || (r = supervisor_start(cluster, err)) < 0)
        return r;
    progress(PROGRESS_INFO, "starting etcd, kube-apiserver, kube-controller-manager, kube-scheduler and FKS");
    if ((r = load_all_images(cluster, &loader, &loader_fd, err)) < 0)
        return r;
    if ((r = cluster_connect(cluster, &client, err)) == 0 && (r = wait_api(cluster, options, client, err)) == 0 &&
        options->first)
        r = make_objects(cluster, options, client, err);
    struct err load_err = {0};
    int loaded = join_images(loader, loader_fd, &load_err);
    if (r == 0 && loaded < 0) {
        err_move(err, &load_err);
        return loaded;
    }
    err_clear(&load_err);
    if (r < 0)
        return r;
    return wait_ready(cluster, client, since_ns, options->timeout_ms, err);
}

int bringup_host(const struct cluster *cluster, const struct cluster_host *host, struct err *err)
{
    int r;
    if ((r = credentials_make_host(cluster, host, err)) < 0 || (r = host_files_write(cluster, host, err)) < 0 ||
        (r = network_host_up(cluster, host, err)) < 0 || (r = supervisor_reload(cluster, err)) < 0)
        return r;
    return load_images(cluster, host, err);
}
