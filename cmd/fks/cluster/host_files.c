/*
 * host_files.c: see host_files.h. Everything that containerd and the kubelet write lies under the cluster's folder or
 * /run/fks/I, so that deleting the cluster leaves nothing.
 */
#include "cluster/host_files.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cluster/cgroup.h"
#include "data/yaml.h"

int host_files_cni_dir(char **ret, struct err *err)
{
    static const char *const folders[] = {"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"};
    for (size_t i = 0; i < countof(folders); i++) {
        CLEANUP(xfree) char *plugin = path_join(folders[i], "ptp", NULL);
        if (file_exists(plugin)) {
            *ret = xstrdup(folders[i]);
            return 0;
        }
    }
    return err_set(err, ERR_NOT_FOUND,
                   "the CNI plugins are not installed (no 'ptp' in /usr/lib/cni or /opt/cni/bin): on Debian, "
                   "'apt-get install containernetworking-plugins'");
}

static int write_file(const char *path, const struct buf *text, struct err *err)
{
    int r = buf_check(text, path, err);
    return r < 0 ? r : file_write_atomic(path, text->data, text->len, 0600, err);
}

/* A handler of runc's type keeps its containers where cleaning up looks for them. */
static void add_runtime_handlers(const struct cluster *cluster, const char *runc_root, struct buf *text)
{
    CLEANUP(strv_done) struct strv handlers = {0};
    if (cluster->runtime_handlers != NULL)
        strv_split(&handlers, cluster->runtime_handlers, ',');
    for (size_t i = 0; i < handlers.n; i++) {
        const char *equals = strchr(handlers.items[i], '=');
        if (equals == NULL)
            continue;
        CLEANUP(xfree) char *name = xstrndup(handlers.items[i], (size_t)(equals - handlers.items[i]));
        buf_printf(text,
                   "    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.%s]\n"
                   "      runtime_type = \"%s\"\n",
                   name, equals + 1);
        if (streq(equals + 1, "io.containerd.runc.v2"))
            buf_printf(text,
                       "      [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.%s.options]\n"
                       "        Root = \"%s\"\n",
                       name, runc_root);
    }
}

/* The format of version 2 is read by containerd 1.4 to 2.x. */
static int write_containerd(const struct cluster *cluster, const struct cluster_host *host, const char *cni_dir,
                            struct err *err)
{
    CLEANUP(xfree) char *root = cluster_path(cluster, "hosts/%s/containerd", host->name);
    CLEANUP(xfree) char *state = cluster_run_path(cluster, "h%d/containerd", host->number);
    CLEANUP(xfree) char *runc = cluster_run_path(cluster, "h%d/runc", host->number);
    CLEANUP(xfree) char *socket = cluster_run_path(cluster, "h%d/containerd.sock", host->number);
    CLEANUP(xfree) char *cni = cluster_path(cluster, "hosts/%s/cni", host->name);
    CLEANUP(xfree) char *certs = cluster_path(cluster, "certs.d");
    CLEANUP(xfree) char *path = cluster_path(cluster, "hosts/%s/containerd.toml", host->name);
    CLEANUP(buf_done) struct buf text = {0};
    buf_printf(&text,
               "version = 2\n"
               "root = \"%s\"\n"
               "state = \"%s\"\n"
               /* opt would make /opt/containerd, outside of what deleting the cluster removes */
               "disabled_plugins = [\"io.containerd.internal.v1.opt\", \"io.containerd.nri.v1.nri\"]\n"
               "[grpc]\n"
               "  address = \"%s\"\n"
               "[plugins.\"io.containerd.grpc.v1.cri\"]\n"
               "  sandbox_image = \"" HOST_SANDBOX_IMAGE "\"\n"
               /* without CAP_SYS_RESOURCE (containers, some virtual machines) a lower score is refused */
               "  restrict_oom_score_adj = true\n"
               "  tolerate_missing_hugetlb_controller = true\n"
               "  netns_mounts_under_state_dir = true\n"
               "  [plugins.\"io.containerd.grpc.v1.cri\".registry]\n"
               "    config_path = \"%s\"\n"
               "  [plugins.\"io.containerd.grpc.v1.cri\".cni]\n"
               "    bin_dir = \"%s\"\n"
               "    conf_dir = \"%s\"\n"
               "  [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n"
               "    snapshotter = \"overlayfs\"\n"
               "    default_runtime_name = \"runc\"\n"
               "    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n"
               "      runtime_type = \"io.containerd.runc.v2\"\n"
               "      [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n"
               "        Root = \"%s\"\n",
               root, state, socket, certs, cni_dir, cni, runc);
    add_runtime_handlers(cluster, runc, &text);
    return write_file(path, &text, err);
}

static int write_cni(const struct cluster *cluster, const struct cluster_host *host, struct err *err)
{
    CLEANUP(xfree) char *pods = cluster_host_pod_cidr(cluster, host->number);
    CLEANUP(xfree) char *data = cluster_run_path(cluster, "h%d/ipam", host->number);
    CLEANUP(xfree) char *folder = cluster_path(cluster, "hosts/%s/cni", host->name);
    CLEANUP(xfree) char *path = path_join(folder, "10-fks.conflist", NULL);
    /* the name of the cluster's cgroup too: cleanup.c finds CNI's cached results by it */
    CLEANUP(xfree) char *network = cluster_cgroup(cluster);
    CLEANUP(json_free) struct json *list =
        json_build("{s:s, s:s, s:[{s:s, s:b, s:{s:s, s:s, s:[[{s:s}]], s:[{s:s}]}}, {s:s, s:{s:b}}]}", "cniVersion",
                   "1.0.0", "name", network, "plugins",
                   /* the pods are routed, so their addresses stay what they are inside the cluster */
                   "type", "ptp", "ipMasq", 0, "ipam", "type", "host-local", "dataDir", data, "ranges", "subnet", pods,
                   "routes", "dst", "0.0.0.0/0",
                   "type", "portmap", "capabilities", "portMappings", 1);
    CLEANUP(buf_done) struct buf text = {0};
    json_print(list, &text);
    int r = dir_make(folder, 0700, err);
    return r < 0 ? r : write_file(path, &text, err);
}

static int write_kubelet(const struct cluster *cluster, const struct cluster_host *host, struct err *err)
{
    CLEANUP(xfree) char *path = cluster_path(cluster, "hosts/%s/kubelet.yaml", host->name);
    CLEANUP(xfree) char *ca = cluster_path(cluster, "pki/ca.crt");
    CLEANUP(xfree) char *cert = cluster_path(cluster, "pki/%s.crt", host->name);
    CLEANUP(xfree) char *key = cluster_path(cluster, "pki/%s.key", host->name);
    CLEANUP(xfree) char *resolv = cluster_path(cluster, "resolv.conf");
    CLEANUP(xfree) char *logs = cluster_path(cluster, "hosts/%s/pod-logs", host->name);
    CLEANUP(xfree) char *dns = cluster_service_address(cluster, 10);
    CLEANUP(xfree) char *cgroup = cluster_cgroup(cluster);
    CLEANUP(xfree) char *cgroup_root = xasprintf("/%s/%s", cgroup, host->name);
    CLEANUP(xfree) char *socket = cluster_run_path(cluster, "h%d/containerd.sock", host->number);
    CLEANUP(xfree) char *endpoint = xasprintf("unix://%s", socket);
    CLEANUP(json_free) struct json *config = json_build(
        "{s:s, s:s, s:{s:{s:b}, s:{s:b}, s:{s:s}}, s:{s:s}, s:s, s:s, s:b, s:s, s:s, s:b, s:[], s:b, s:i, s:s, s:[s], "
        "s:s, s:s, s:s, s:i, s:{s:s, s:s, s:s, s:s}}",
        "apiVersion", "kubelet.config.k8s.io/v1beta1", "kind", "KubeletConfiguration",
        "authentication", "anonymous", "enabled", 0, "webhook", "enabled", 1, "x509", "clientCAFile", ca,
        "authorization", "mode", "Webhook", "tlsCertFile", cert, "tlsPrivateKeyFile", key,
        "failCgroupV1", 0, "cgroupDriver", "cgroupfs", "cgroupRoot", cgroup_root, "cgroupsPerQOS", 1,
        "enforceNodeAllocatable", "failSwapOn", 0, "oomScoreAdj", 0, "containerRuntimeEndpoint", endpoint,
        "clusterDNS", dns, "clusterDomain", "cluster.local", "resolvConf", resolv, "podLogsDir", logs,
        "imageGCHighThresholdPercent", 100 /* its images came from files: nowhere could they be pulled again */, "evictionHard",
        "memory.available", "100Mi", "nodefs.available", "1%", "imagefs.available", "1%", "nodefs.inodesFree", "1%");
    CLEANUP(buf_done) struct buf text = {0};
    yaml_print(config, &text);
    return write_file(path, &text, err);
}

int host_files_write(const struct cluster *cluster, const struct cluster_host *host, struct err *err)
{
    CLEANUP(xfree) char *folder = cluster_path(cluster, "hosts/%s", host->name);
    CLEANUP(xfree) char *run = cluster_run_path(cluster, "h%d", host->number);
    CLEANUP(xfree) char *cni_dir = NULL;
    int r = host_files_cni_dir(&cni_dir, err);
    if (r < 0 || (r = dir_make(folder, 0700, err)) < 0 || (r = dir_make(run, CLUSTER_RUN_MODE, err)) < 0 ||
        (r = write_containerd(cluster, host, cni_dir, err)) < 0 || (r = write_cni(cluster, host, err)) < 0)
        return r;
    if (host->kind == CLUSTER_HOST_FARGATE)
        return 0;
    if ((r = cgroup_make(cluster, err)) < 0 || (r = cgroup_make_host(cluster, host, err)) < 0)
        return r;
    return write_kubelet(cluster, host, err);
}

/* A name server that answers only on the machine's own loopback. */
static bool is_loopback_server(const char *line)
{
    static const char word[] = "nameserver";
    if (!starts_with(line, word))
        return false;
    line += sizeof(word) - 1;
    line += strspn(line, " \t");
    return starts_with(line, "127.") || streq(line, "::1");
}

int host_files_resolv_conf(const struct cluster *cluster, struct err *err)
{
    /* systemd-resolved keeps the real servers here; /etc/resolv.conf then names only its stub */
    static const char *const sources[] = {"/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"};
    CLEANUP(buf_done) struct buf text = {0};
    for (size_t i = 0; i < countof(sources); i++) {
        if (!file_exists(sources[i]))
            continue;
        int r = file_read(sources[i], LIMIT_FILE, &text, err);
        if (r < 0)
            return r;
        break;
    }
    CLEANUP(strv_done) struct strv lines = {0};
    CLEANUP(buf_done) struct buf kept = {0};
    strv_split(&lines, buf_text(&text), '\n');
    for (size_t i = 0; i < lines.n; i++)
        if (lines.items[i][0] != '\0' && !is_loopback_server(lines.items[i]))
            buf_printf(&kept, "%s\n", lines.items[i]);
    CLEANUP(xfree) char *path = cluster_path(cluster, "resolv.conf");
    return file_write_atomic(path, buf_text(&kept), kept.len, 0644, err);
}
