/*
 * credentials.c: see credentials.h. Names and groups of the certificates are the users that RBAC knows; those of
 * Kubernetes' own components are fixed by its bootstrap policy.
 */
#include "cluster/credentials.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "fargate/names.h"
#include "net/pki.h"

#define VALID_DAYS 3650 /* a local cluster has nobody who renews */

static int write_secret(const struct cluster *cluster, const char *name, const char *suffix, const char *text,
                        struct err *err)
{
    CLEANUP(xfree) char *path = cluster_path(cluster, "pki/%s%s", name, suffix);
    return file_write_atomic(path, text, strlen(text), 0600, err);
}

static int write_pair(const struct cluster *cluster, const char *name, const struct pki_pair *pair, struct err *err)
{
    int r = write_secret(cluster, name, ".key", pair->key_pem, err);
    return r < 0 ? r : write_secret(cluster, name, ".crt", pair->cert_pem, err);
}

static int read_pair(const struct cluster *cluster, const char *name, struct pki_pair *ret, struct err *err)
{
    CLEANUP(buf_done) struct buf cert = {0};
    CLEANUP(buf_done) struct buf key = {0};
    CLEANUP(xfree) char *cert_path = cluster_path(cluster, "pki/%s.crt", name);
    CLEANUP(xfree) char *key_path = cluster_path(cluster, "pki/%s.key", name);
    int r = file_read(cert_path, LIMIT_FILE, &cert, err);
    if (r < 0 || (r = file_read(key_path, LIMIT_FILE, &key, err)) < 0)
        return r;
    ret->cert_pem = buf_take(&cert);
    ret->key_pem = buf_take(&key);
    return 0;
}

static bool have(const struct cluster *cluster, const char *folder, const char *name)
{
    CLEANUP(xfree) char *path = cluster_path(cluster, "%s/%s", folder, name);
    return file_exists(path);
}

int credentials_ca(const struct cluster *cluster, char **ret_pem, struct err *err)
{
    CLEANUP(xfree) char *path = cluster_path(cluster, "pki/ca.crt");
    CLEANUP(buf_done) struct buf text = {0};
    int r = file_read(path, LIMIT_FILE, &text, err);
    if (r == 0)
        *ret_pem = buf_take(&text);
    return r;
}

static int issue(const struct cluster *cluster, const struct pki_pair *ca, const char *name,
                 const struct pki_request *request, struct err *err)
{
    CLEANUP(xfree) char *file = xasprintf("%s.crt", name);
    if (have(cluster, "pki", file))
        return 0;
    CLEANUP(pki_pair_done) struct pki_pair pair = {0};
    int r = pki_issue(ca, request, &pair, err);
    if (r < 0 || (r = write_pair(cluster, name, &pair, err)) < 0)
        return err_wrap(err, "making the certificate '%s'", name);
    return 0;
}

static int write_entry(const struct cluster *cluster, const struct pki_pair *ca, const char *path,
                       const struct pki_pair *pair, bool set_current, struct err *err)
{
    CLEANUP(xfree) char *name = cluster_kubeconfig_name(cluster);
    CLEANUP(xfree) char *context = cluster_kubeconfig_context(cluster);
    CLEANUP(xfree) char *server = cluster_server(cluster);
    const struct kube_config_entry entry = {
        .cluster_name = name,
        .user_name = context,
        .context_name = context,
        .server = server,
        .ca_pem = ca->cert_pem,
        .cert_pem = pair->cert_pem,
        .key_pem = pair->key_pem,
        .set_current = set_current,
    };
    return kube_config_write_entry(path, &entry, err);
}

/* A client certificate that lives only inside its connection file. */
static int client_file(const struct cluster *cluster, const struct pki_pair *ca, const char *file, const char *user,
                       const char *const *groups, struct err *err)
{
    if (have(cluster, "kubeconfig", file))
        return 0;
    const struct pki_request request = {
        .common_name = user, .organizations = groups, .client = true, .days = VALID_DAYS};
    CLEANUP(pki_pair_done) struct pki_pair pair = {0};
    CLEANUP(xfree) char *path = cluster_path(cluster, "kubeconfig/%s", file);
    int r = pki_issue(ca, &request, &pair, err);
    if (r < 0 || (r = write_entry(cluster, ca, path, &pair, true, err)) < 0)
        return err_wrap(err, "making the connection file '%s'", path);
    return 0;
}

static int make_ca(const struct cluster *cluster, struct pki_pair *ret, struct err *err)
{
    if (have(cluster, "pki", "ca.crt"))
        return read_pair(cluster, "ca", ret, err);
    CLEANUP(xfree) char *name = cluster_kubeconfig_name(cluster);
    int r = pki_make_ca(name, VALID_DAYS, ret, err);
    return r < 0 ? r : write_pair(cluster, "ca", ret, err);
}

static int make_service_account_key(const struct cluster *cluster, struct err *err)
{
    if (have(cluster, "pki", "sa.pub"))
        return 0;
    CLEANUP(xfree) char *private_key = NULL;
    CLEANUP(xfree) char *public_key = NULL;
    int r = pki_make_service_account_key(&private_key, &public_key, err);
    if (r < 0 || (r = write_secret(cluster, "sa", ".key", private_key, err)) < 0)
        return r;
    return write_secret(cluster, "sa", ".pub", public_key, err);
}

static int make_servers(const struct cluster *cluster, const struct pki_pair *ca, struct err *err)
{
    CLEANUP(xfree) char *address = cluster_address(cluster);
    CLEANUP(xfree) char *service = cluster_service_address(cluster, 1);
    const char *const api_names[] = {"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                                     "kubernetes.default.svc.cluster.local", NULL};
    const char *const api_addresses[] = {address, "127.0.0.1", service, NULL};
    const char *const local_names[] = {"localhost", NULL};
    const char *const local_addresses[] = {"127.0.0.1", NULL};
    const char *const masters[] = {"system:masters", NULL};
    const struct {
        const char *file;
        struct pki_request request;
    } rows[] = {
        {"apiserver", {.common_name = "kube-apiserver", .dns_names = api_names, .ip_addresses = api_addresses,
                       .server = true, .days = VALID_DAYS}},
        {"etcd", {.common_name = "etcd", .dns_names = local_names, .ip_addresses = local_addresses, .server = true,
                  .client = true, .days = VALID_DAYS}},
        {"webhook", {.common_name = "fks-webhook", .dns_names = local_names, .ip_addresses = local_addresses,
                     .server = true, .days = VALID_DAYS}},
        {"apiserver-kubelet-client", {.common_name = "kube-apiserver-kubelet-client", .organizations = masters,
                                      .client = true, .days = VALID_DAYS}},
        {"front-proxy-client", {.common_name = "front-proxy-client", .client = true, .days = VALID_DAYS}},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        int r = issue(cluster, ca, rows[i].file, &rows[i].request, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int credentials_make(const struct cluster *cluster, struct err *err)
{
    static const struct {
        const char *file, *user, *groups[2];
    } clients[] = {
        {"admin", "kubernetes-admin", {"system:masters"}},
        {"kube-controller-manager", "system:kube-controller-manager", {NULL}},
        {"kube-scheduler", "system:kube-scheduler", {NULL}},
        {"kube-proxy", "system:kube-proxy", {NULL}},
        {"fks-webhook", FKS_USER_WEBHOOK, {FKS_IDENTITIES_GROUP}},
        {"fks-scheduler", FKS_USER_SCHEDULER, {FKS_IDENTITIES_GROUP}},
    };
    CLEANUP(xfree) char *pki = cluster_path(cluster, "pki");
    CLEANUP(xfree) char *files = cluster_path(cluster, "kubeconfig");
    CLEANUP(pki_pair_done) struct pki_pair ca = {0};
    int r = dir_make(pki, 0700, err);
    if (r < 0 || (r = dir_make(files, 0700, err)) < 0 || (r = make_ca(cluster, &ca, err)) < 0 ||
        (r = make_service_account_key(cluster, err)) < 0 || (r = make_servers(cluster, &ca, err)) < 0)
        return r;
    for (size_t i = 0; i < countof(clients); i++)
        if ((r = client_file(cluster, &ca, clients[i].file, clients[i].user, clients[i].groups, err)) < 0)
            return r;
    return 0;
}

int credentials_make_host(const struct cluster *cluster, const struct cluster_host *host, struct err *err)
{
    CLEANUP(pki_pair_done) struct pki_pair ca = {0};
    CLEANUP(xfree) char *address = cluster_host_address(cluster, host->number);
    bool fargate = host->kind == CLUSTER_HOST_FARGATE;
    CLEANUP(xfree) char *user = xasprintf("%s%s", fargate ? FKS_USER_NODE_PREFIX : "system:node:", host->name);
    const char *const addresses[] = {address, NULL};
    const char *const names[] = {host->name, NULL};
    const struct pki_request request = {.common_name = host->name, .ip_addresses = addresses, .dns_names = names,
                                        .server = true, .days = VALID_DAYS};
    int r = make_ca(cluster, &ca, err);
    if (r < 0 || (r = issue(cluster, &ca, host->name, &request, err)) < 0)
        return r;
    const char *const agent_groups[] = {FKS_IDENTITIES_GROUP, FKS_NODES_GROUP, NULL};
    const char *const kubelet_groups[] = {"system:nodes", NULL};
    return client_file(cluster, &ca, host->name, user, fargate ? agent_groups : kubelet_groups, err);
}

int credentials_write_user_entry(const struct cluster *cluster, const char *path, bool set_current, struct err *err)
{
    CLEANUP(xfree) char *own = cluster_path(cluster, "kubeconfig/admin");
    const struct kube_overrides overrides = {.kubeconfig = own};
    CLEANUP(kube_config_done) struct kube_config config = {0};
    int r = kube_config_load(&overrides, &config, err);
    if (r < 0)
        return r;
    const struct pki_pair ca = {.cert_pem = config.ca_pem};
    const struct pki_pair pair = {.cert_pem = config.cert_pem, .key_pem = config.key_pem};
    return write_entry(cluster, &ca, path, &pair, set_current, err);
}
