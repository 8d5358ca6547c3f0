/*
 * found.c: see found.h. Blocking, before the loop starts. The serving certificate is what every kubelet has that was not given
 * one: an API server without --kubelet-certificate-authority (the default) takes it. One that has it needs --tls-cert.
 */
#include "daemonset/found.h"

#include "base/mem.h"
#include "net/pki.h"

#define CERTIFICATE_DAYS 3650 /* made anew whenever the agent starts */

void found_done(struct found *found)
{
    free(found->client_ca);
    free(found->tls_cert);
    if (found->tls_key != NULL)
        explicit_bzero(found->tls_key, strlen(found->tls_key));
    free(found->tls_key);
    free(found->zone);
    free(found->region);
    free(found->pod_cidr);
    free(found->cluster_dns);
    *found = (struct found){0};
}

static int get(struct kube_client *client, const char *path, struct json **ret, struct err *err)
{
    const struct kube_request request = {.path = path};

    return kube_do(client, &request, ret, err);
}

int found_client_ca(struct kube_client *client, struct found *found, struct err *err)
{
    CLEANUP(json_free) struct json *config = NULL;
    int r = get(client, "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication", &config, err);

    if (r < 0)
        return err_wrap(err, "looking for the authority of the kubelet API's clients (or give --client-ca)");
    const char *text = json_str(config, "data", "client-ca-file", NULL);
    if (text == NULL)
        return err_set(err, ERR_NOT_FOUND, "the API server names no authority of its clients: give --client-ca");
    free(found->client_ca);
    found->client_ca = xstrdup(text);
    return 0;
}

int found_certificate(const char *host_name, const char *address, struct found *found, struct err *err)
{
    CLEANUP(pki_pair_done) struct pki_pair ca = {0};
    CLEANUP(pki_pair_done) struct pki_pair pair = {0};
    CLEANUP(xfree) char *name = xasprintf("%s-ca", host_name);
    const char *const addresses[] = {address, NULL}, *const names[] = {host_name, NULL};
    const struct pki_request request = {
        .common_name = host_name, .ip_addresses = addresses, .dns_names = names, .server = true, .days = CERTIFICATE_DAYS};
    int r;

    if ((r = pki_make_ca(name, CERTIFICATE_DAYS, &ca, err)) < 0 || (r = pki_issue(&ca, &request, &pair, err)) < 0)
        return err_wrap(err, "making a certificate for the kubelet API");
    free(found->tls_cert);
    free(found->tls_key);
    found->tls_cert = take(&pair.cert_pem);
    found->tls_key = take(&pair.key_pem);
    return 0;
}

static char *copy(const char *text)
{
    return text != NULL && *text != '\0' ? xstrdup(text) : NULL;
}

void found_of_node(const struct json *node, struct found *found)
{
    free(found->zone);
    free(found->region);
    free(found->pod_cidr);
    found->zone = copy(json_str(node, "metadata", "labels", "topology.kubernetes.io/zone", NULL));
    found->region = copy(json_str(node, "metadata", "labels", "topology.kubernetes.io/region", NULL));
    found->pod_cidr = copy(json_str(node, "spec", "podCIDR", NULL));
}

int found_node(struct kube_client *client, const char *name, struct found *found, struct err *err)
{
    CLEANUP(json_free) struct json *node = NULL;
    CLEANUP(xfree) char *path = kube_path("", "v1", NULL, "nodes", name, NULL);
    int r = get(client, path, &node, err);

    if (r < 0)
        return err_wrap(err, "reading this host's Node");
    found_of_node(node, found);
    return 0;
}

/* A list, because lists of Services are what the agent may read anyway. */
int found_cluster_dns(struct kube_client *client, struct found *found, struct err *err)
{
    CLEANUP(json_free) struct json *services = NULL;
    int r = get(client, "/api/v1/namespaces/kube-system/services?fieldSelector=metadata.name%3Dkube-dns", &services, err);

    if (r < 0)
        return err_wrap(err, "looking for the cluster's DNS Service (or give --cluster-dns)");
    free(found->cluster_dns);
    found->cluster_dns = copy(json_str(json_at(json_get(services, "items", NULL), 0), "spec", "clusterIP", NULL));
    return 0;
}
