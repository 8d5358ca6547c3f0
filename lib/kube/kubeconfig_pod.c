/*
 * kubeconfig_pod.c: what a pod knows of its cluster: the API server's address from the environment, and the files of its
 * service account, written as entries of a kubeconfig, so that kubeconfig.c goes on with them as with any other. The rules
 * are client-go's: a missing authority is no failure (the system's may do), and POD_NAMESPACE comes before the file.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kube/kubeconfig_internal.h"

#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

static const char *host(void)
{
    return strempty(getenv("KUBERNETES_SERVICE_HOST"));
}

static const char *port(void)
{
    return strempty(getenv("KUBERNETES_SERVICE_PORT"));
}

bool kubeconfig_pod_has_address(void)
{
    return host()[0] != '\0' && port()[0] != '\0';
}

bool kubeconfig_pod_possible(void)
{
    struct stat token;
    return kubeconfig_pod_has_address() && stat(SERVICE_ACCOUNT "/token", &token) == 0 && !S_ISDIR(token.st_mode);
}

static bool has(const struct json *object, const char *key)
{
    return strempty(json_str(object, key, NULL))[0] != '\0';
}

void kubeconfig_pod_fill(struct json *cluster, struct json *user)
{
    bool ipv6 = strchr(host(), ':') != NULL, insecure = json_is_true(cluster, "insecure-skip-tls-verify", NULL);
    CLEANUP(xfree) char *server = xasprintf("https://%s%s%s:%s", ipv6 ? "[" : "", host(), ipv6 ? "]" : "", port());
    json_set_str(cluster, "server", server);
    if (!insecure && !has(cluster, "certificate-authority") && !has(cluster, "certificate-authority-data") &&
        access(SERVICE_ACCOUNT "/ca.crt", R_OK) == 0)
        json_set_str(cluster, "certificate-authority", SERVICE_ACCOUNT "/ca.crt");
    if (!has(user, "token") && !has(user, "tokenFile"))
        json_set_str(user, "tokenFile", SERVICE_ACCOUNT "/token");
}

char *kubeconfig_pod_namespace(void)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(buf_done) struct buf text = {0};
    const char *told = strempty(getenv("POD_NAMESPACE"));
    if (told[0] != '\0')
        return xstrdup(told);
    if (file_read(SERVICE_ACCOUNT "/namespace", KIB(1), &text, &ignored) < 0)
        return xstrdup("default");
    static const char space[] = " \t\r\n";
    const char *name = buf_text(&text) + strspn(buf_text(&text), space);
    size_t len = strcspn(name, space);
    return len > 0 ? xstrndup(name, len) : xstrdup("default");
}
