/*
 * processes.c: see processes.h. The words are those of upstream's own programs; what is not obvious has its reason here.
 */
#include "cluster/processes.h"

#include "base/file.h"
#include "base/mem.h"

enum { STOP_CONTROLLERS, STOP_AGENTS, STOP_RUNTIME, STOP_API, STOP_ETCD };

static struct process *process_add(struct process_list *list, char *name, const char *folder, const char *program,
                                   enum process_gate gate, int stop_order)
{
    GROW(list->items, list->n, list->cap);
    struct process *process = &list->items[list->n++];
    *process = (struct process){.name = name, .gate = gate, .stop_order = stop_order};
    strv_take(&process->argv, folder != NULL ? path_join(folder, program, NULL) : xstrdup(program));
    return process;
}

/* --flag=FILE with a path inside the cluster's folder. */
static void flag_path(struct process *process, const struct cluster *cluster, const char *flag, const char *relative)
{
    CLEANUP(xfree) char *path = cluster_path(cluster, "%s", relative);
    strv_addf(&process->argv, "--%s=%s", flag, path);
}

static void flags(struct process *process, const char *const *words)
{
    for (; *words != NULL; words++)
        strv_add(&process->argv, *words);
}

static void add_etcd(const struct cluster *cluster, struct process_list *list)
{
    struct process *etcd = process_add(list, xstrdup("etcd"), cluster->assets, "etcd", PROCESS_AT_ONCE, STOP_ETCD);
    flag_path(etcd, cluster, "data-dir", "etcd");
    strv_addf(&etcd->argv, "--listen-client-urls=https://127.0.0.1:%d", cluster->etcd_port);
    strv_addf(&etcd->argv, "--advertise-client-urls=https://127.0.0.1:%d", cluster->etcd_port);
    strv_addf(&etcd->argv, "--listen-peer-urls=https://127.0.0.1:%d", cluster->etcd_peer_port);
    strv_addf(&etcd->argv, "--initial-advertise-peer-urls=https://127.0.0.1:%d", cluster->etcd_peer_port);
    strv_addf(&etcd->argv, "--initial-cluster=default=https://127.0.0.1:%d", cluster->etcd_peer_port);
    static const char *const prefixes[] = {"", "peer-"};
    for (size_t i = 0; i < countof(prefixes); i++) {
        CLEANUP(xfree) char *ca = cluster_path(cluster, "pki/ca.crt");
        CLEANUP(xfree) char *cert = cluster_path(cluster, "pki/etcd.crt");
        CLEANUP(xfree) char *key = cluster_path(cluster, "pki/etcd.key");
        strv_addf(&etcd->argv, "--%strusted-ca-file=%s", prefixes[i], ca);
        strv_addf(&etcd->argv, "--%scert-file=%s", prefixes[i], cert);
        strv_addf(&etcd->argv, "--%skey-file=%s", prefixes[i], key);
        strv_addf(&etcd->argv, "--%sclient-cert-auth", prefixes[i]);
    }
    strv_add(&etcd->argv, "--log-level=warn");
}

static void add_apiserver(const struct cluster *cluster, struct process_list *list)
{
    CLEANUP(xfree) char *address = cluster_address(cluster);
    CLEANUP(xfree) char *services = cluster_service_cidr(cluster->number);
    struct process *api =
        process_add(list, xstrdup("kube-apiserver"), cluster->assets, "kube-apiserver", PROCESS_AT_ONCE, STOP_API);
    strv_addf(&api->argv, "--etcd-servers=https://127.0.0.1:%d", cluster->etcd_port);
    strv_addf(&api->argv, "--secure-port=%d", cluster->api_port);
    strv_addf(&api->argv, "--bind-address=%s", address);
    strv_addf(&api->argv, "--advertise-address=%s", address);
    strv_addf(&api->argv, "--service-cluster-ip-range=%s", services);
    static const char *const files[][2] = {
        {"etcd-cafile", "pki/ca.crt"},
        {"etcd-certfile", "pki/etcd.crt"},
        {"etcd-keyfile", "pki/etcd.key"},
        {"tls-cert-file", "pki/apiserver.crt"},
        {"tls-private-key-file", "pki/apiserver.key"},
        {"client-ca-file", "pki/ca.crt"},
        {"service-account-key-file", "pki/sa.pub"},
        {"service-account-signing-key-file", "pki/sa.key"},
        {"kubelet-client-certificate", "pki/apiserver-kubelet-client.crt"},
        {"kubelet-client-key", "pki/apiserver-kubelet-client.key"},
        {"kubelet-certificate-authority", "pki/ca.crt"},
        {"requestheader-client-ca-file", "pki/ca.crt"},
        {"proxy-client-cert-file", "pki/front-proxy-client.crt"},
        {"proxy-client-key-file", "pki/front-proxy-client.key"},
    };
    for (size_t i = 0; i < countof(files); i++)
        flag_path(api, cluster, files[i][0], files[i][1]);
    flags(api, (const char *const[]){
                   "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                   "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged",
                   "--anonymous-auth=false", "--profiling=false",
                   /* the Hostname of a Fargate node resolves nowhere outside the cluster */
                   "--kubelet-preferred-address-types=InternalIP",
                   /* webhooks and aggregated APIs are dialled by endpoint: the control plane has no kube-proxy */
                   "--enable-aggregator-routing", "--requestheader-allowed-names=front-proxy-client",
                   "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
                   "--requestheader-extra-headers-prefix=X-Remote-Extra-", NULL});
}

static void add_controllers(const struct cluster *cluster, struct process_list *list)
{
    struct process *manager = process_add(list, xstrdup("kube-controller-manager"), cluster->assets,
                                          "kube-controller-manager", PROCESS_AFTER_API, STOP_CONTROLLERS);
    flag_path(manager, cluster, "kubeconfig", "kubeconfig/kube-controller-manager");
    flag_path(manager, cluster, "authentication-kubeconfig", "kubeconfig/kube-controller-manager");
    flag_path(manager, cluster, "authorization-kubeconfig", "kubeconfig/kube-controller-manager");
    flag_path(manager, cluster, "service-account-private-key-file", "pki/sa.key");
    flag_path(manager, cluster, "root-ca-file", "pki/ca.crt");
    flag_path(manager, cluster, "cluster-signing-cert-file", "pki/ca.crt");
    flag_path(manager, cluster, "cluster-signing-key-file", "pki/ca.key");
    strv_addf(&manager->argv, "--secure-port=%d", cluster->manager_port);
    /*
     * Node CIDRs are not allocated: every pod has a Node, and each would take a /24. Its default of 20 requests a second
     * makes the controllers come up one after the other for five seconds.
     */
    flags(manager, (const char *const[]){"--bind-address=127.0.0.1", "--use-service-account-credentials",
                                         "--leader-elect=false", "--allocate-node-cidrs=false", "--profiling=false",
                                         "--kube-api-qps=200", "--kube-api-burst=400", NULL});

    struct process *scheduler = process_add(list, xstrdup("kube-scheduler"), cluster->assets, "kube-scheduler",
                                            PROCESS_AFTER_API, STOP_CONTROLLERS);
    flag_path(scheduler, cluster, "kubeconfig", "kubeconfig/kube-scheduler");
    flag_path(scheduler, cluster, "authentication-kubeconfig", "kubeconfig/kube-scheduler");
    flag_path(scheduler, cluster, "authorization-kubeconfig", "kubeconfig/kube-scheduler");
    strv_addf(&scheduler->argv, "--secure-port=%d", cluster->scheduler_port);
    flags(scheduler, (const char *const[]){"--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false", NULL});
}

static void add_fks(const struct cluster *cluster, const char *programs, struct process_list *list)
{
    struct process *webhook =
        process_add(list, xstrdup("fks-webhook"), programs, "fks-webhook", PROCESS_AFTER_BASE, STOP_CONTROLLERS);
    flag_path(webhook, cluster, "kubeconfig", "kubeconfig/fks-webhook");
    flag_path(webhook, cluster, "tls-cert", "pki/webhook.crt");
    flag_path(webhook, cluster, "tls-key", "pki/webhook.key");
    strv_addf(&webhook->argv, "--listen=127.0.0.1:%d", cluster->webhook_port);
    if (cluster->pod_validation != NULL)
        strv_addf(&webhook->argv, "--pod-validation=%s", cluster->pod_validation);

    struct process *scheduler =
        process_add(list, xstrdup("fks-scheduler"), programs, "fks-scheduler", PROCESS_AFTER_BASE, STOP_CONTROLLERS);
    flag_path(scheduler, cluster, "kubeconfig", "kubeconfig/fks-scheduler");
    strv_addf(&scheduler->argv, "--metrics-listen=127.0.0.1:%d", cluster->metrics_port);
    /* the only replica: it holds the Lease, and one that is started again goes on without waiting for it to run out */
    strv_addf(&scheduler->argv, "--leader-identity=%s", cluster->name);
}

static struct process *host_process(const struct cluster *cluster, const struct cluster_host *host,
                                    struct process_list *list, const char *folder, const char *program,
                                    enum process_gate gate, int stop_order)
{
    struct process *process =
        process_add(list, xasprintf("%s-%s", host->name, program), folder, program, gate, stop_order);
    CLEANUP(xfree) char *netns = cluster_netns(cluster, host->number);
    process->netns_path = xasprintf("/run/netns/%s", netns);
    return process;
}

static void add_fks_node(const struct cluster *cluster, const struct cluster_host *host, const char *programs,
                         struct process_list *list)
{
    CLEANUP(xfree) char *address = cluster_host_address(cluster, host->number);
    CLEANUP(xfree) char *dns = cluster_service_address(cluster, 10);
    CLEANUP(xfree) char *pods = cluster_host_pod_cidr(cluster, host->number);
    CLEANUP(xfree) char *socket = cluster_run_path(cluster, "h%d/containerd.sock", host->number);
    CLEANUP(xfree) char *state = cluster_path(cluster, "hosts/%s/state", host->name);
    CLEANUP(xfree) char *logs = cluster_path(cluster, "hosts/%s/pod-logs", host->name);
    CLEANUP(xfree) char *cert = cluster_path(cluster, "pki/%s.crt", host->name);
    CLEANUP(xfree) char *key = cluster_path(cluster, "pki/%s.key", host->name);
    CLEANUP(xfree) char *kubeconfig = cluster_path(cluster, "kubeconfig/%s", host->name);
    CLEANUP(xfree) char *cgroup = cluster_cgroup(cluster);
    struct process *node =
        host_process(cluster, host, list, programs, "fks-node", PROCESS_AFTER_BASE, STOP_AGENTS);
    strv_addf(&node->argv, "--kubeconfig=%s", kubeconfig);
    strv_addf(&node->argv, "--host-name=%s", host->name);
    strv_addf(&node->argv, "--region=%s", cluster->region);
    strv_addf(&node->argv, "--zone=%s", host->zone);
    strv_addf(&node->argv, "--address=%s", address);
    strv_addf(&node->argv, "--container-runtime-endpoint=unix://%s", socket);
    strv_addf(&node->argv, "--state-dir=%s", state);
    strv_addf(&node->argv, "--pod-log-dir=%s", logs);
    strv_addf(&node->argv, "--cluster-dns=%s", dns);
    strv_addf(&node->argv, "--pod-cidr=%s", pods);
    strv_addf(&node->argv, "--tls-cert=%s", cert);
    strv_addf(&node->argv, "--tls-key=%s", key);
    strv_addf(&node->argv, "--cgroup-root=%s/pods", cgroup);
    /* the images were loaded from files: nobody could pull them again */
    strv_add(&node->argv, "--image-gc-high-threshold=100");
    if (cluster->host_cpu != NULL)
        strv_addf(&node->argv, "--capacity-cpu=%s", cluster->host_cpu);
    if (cluster->host_memory != NULL)
        strv_addf(&node->argv, "--capacity-memory=%s", cluster->host_memory);
    flag_path(node, cluster, "client-ca", "pki/ca.crt");
    flag_path(node, cluster, "resolv-conf", "resolv.conf");
}

static void add_kubelet(const struct cluster *cluster, const struct cluster_host *host, struct process_list *list)
{
    CLEANUP(xfree) char *address = cluster_host_address(cluster, host->number);
    CLEANUP(xfree) char *kubeconfig = cluster_path(cluster, "kubeconfig/%s", host->name);
    CLEANUP(xfree) char *config = cluster_path(cluster, "hosts/%s/kubelet.yaml", host->name);
    CLEANUP(xfree) char *root = cluster_path(cluster, "hosts/%s/kubelet", host->name);
    struct process *kubelet =
        host_process(cluster, host, list, cluster->assets, "kubelet", PROCESS_AFTER_API, STOP_AGENTS);
    strv_addf(&kubelet->argv, "--config=%s", config);
    strv_addf(&kubelet->argv, "--kubeconfig=%s", kubeconfig);
    strv_addf(&kubelet->argv, "--root-dir=%s", root);
    strv_addf(&kubelet->argv, "--hostname-override=%s", host->name);
    strv_addf(&kubelet->argv, "--node-ip=%s", address);
    strv_addf(&kubelet->argv, "--node-labels=topology.kubernetes.io/region=%s,topology.kubernetes.io/zone=%s,"
                              "alpha.eksctl.io/nodegroup-name=%s",
              cluster->region, host->zone, host->nodegroup);
}

static void add_host(const struct cluster *cluster, const struct cluster_host *host, const char *programs,
                     struct process_list *list)
{
    CLEANUP(xfree) char *config = cluster_path(cluster, "hosts/%s/containerd.toml", host->name);
    CLEANUP(xfree) char *pods = cluster_pod_cidr(cluster->number);
    struct process *runtime =
        host_process(cluster, host, list, NULL, "containerd", PROCESS_AT_ONCE, STOP_RUNTIME);
    strv_addf(&runtime->argv, "--config=%s", config);

    struct process *proxy =
        host_process(cluster, host, list, cluster->assets, "kube-proxy", PROCESS_AFTER_API, STOP_AGENTS);
    flag_path(proxy, cluster, "kubeconfig", "kubeconfig/kube-proxy");
    strv_addf(&proxy->argv, "--cluster-cidr=%s", pods);
    strv_addf(&proxy->argv, "--hostname-override=%s", host->name);
    /* conntrack's limits belong to the machine, not to a namespace */
    flags(proxy, (const char *const[]){"--proxy-mode=iptables", "--conntrack-max-per-core=0",
                                       "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
                                       "--metrics-bind-address=127.0.0.1:10249", NULL});
    CLEANUP(xfree) char *address = cluster_host_address(cluster, host->number);
    strv_addf(&proxy->argv, "--healthz-bind-address=%s:10256", address);
    if (host->kind == CLUSTER_HOST_FARGATE) {
        proxy->introduce_name = xstrdup(host->name);
        proxy->introduce_address = xstrdup(address);
        proxy->health_url = xasprintf("http://%s:10256/livez", address);
        add_fks_node(cluster, host, programs, list);
    }
    else
        add_kubelet(cluster, host, list);
}

void processes_of(const struct cluster *cluster, const char *programs, struct process_list *ret)
{
    add_etcd(cluster, ret);
    add_apiserver(cluster, ret);
    add_controllers(cluster, ret);
    add_fks(cluster, programs, ret);
    for (size_t i = 0; i < cluster->n_hosts; i++)
        add_host(cluster, &cluster->hosts[i], programs, ret);
}

void process_list_done(struct process_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->items[i].name);
        free(list->items[i].netns_path);
        free(list->items[i].introduce_name);
        free(list->items[i].introduce_address);
        free(list->items[i].health_url);
        strv_done(&list->items[i].argv);
        strv_done(&list->items[i].env);
    }
    list->items = xfree(list->items);
    list->n = list->cap = 0;
}
