/* register_checks.c: see register_checks.h. */
#include "install/register_checks.h"

#include "base/mem.h"
#include "fargate/names.h"
#include "install/install.h"

#define OLDEST_MINOR 30       /* matchConditions of webhooks */
#define OLDEST_HOSTS_MINOR 36 /* the agents' right to impersonate Nodes, and nothing else */
#define CONFIG_PATH "/api/v1/namespaces/" FKS_NAMESPACE "/configmaps/" FKS_REGISTRATION

int register_check_version(struct kube_client *client, bool hosts, char **ret_version, struct err *err)
{
    CLEANUP(json_free) struct json *version = NULL;
    const struct kube_request request = {.path = "/version"};
    int r = kube_do(client, &request, &version, err);
    if (r < 0)
        return err_wrap(err, "asking the API server for its version");
    const char *text = json_str_or("", version, "gitVersion", NULL);
    /* "30", or "30+" with some providers */
    const char *minor_text = json_str_or("", version, "minor", NULL);
    CLEANUP(xfree) char *digits = xstrndup(minor_text, strspn(minor_text, "0123456789"));
    int64_t minor;
    if ((r = parse_int(digits, 0, 10000, &minor, err)) < 0)
        return err_wrap(err, "the API server's version '%s'", text);
    if (!streq(json_str(version, "major", NULL), "1") || minor < OLDEST_MINOR)
        return err_set(err, ERR_UNSUPPORTED, "the cluster has Kubernetes %s; FKS needs v1.%d or newer", text, OLDEST_MINOR);
    if (hosts && minor < OLDEST_HOSTS_MINOR)
        return err_set(err, ERR_UNSUPPORTED,
                       "the cluster has Kubernetes %s; --hosts needs v1.%d or newer, before that the Helm chart with "
                       "agent.impersonateNodes=false", text, OLDEST_HOSTS_MINOR);
    *ret_version = xstrdup(text);
    return 0;
}

/* NULL without error: it is not there. */
static int find(struct kube_client *client, const char *path, struct json **ret, struct err *err)
{
    const struct kube_request request = {.path = path};
    return kube_find(client, &request, ret, err);
}

int register_helm_release(struct kube_client *client, char **ret, struct err *err)
{
    CLEANUP(json_free) struct json *config = NULL;
    int r = find(client, CONFIG_PATH, &config, err);
    if (r < 0)
        return r;
    const char *release = json_str(config, "metadata", "annotations", "meta.helm.sh/release-name", NULL);
    *ret = release != NULL ? xstrdup(release) : NULL;
    return 0;
}

int register_check_owner(struct kube_client *client, const struct install_settings *settings, struct err *err)
{
    CLEANUP(xfree) char *release = NULL;
    CLEANUP(json_free) struct json *config = NULL;
    CLEANUP(json_free) struct json *ours = NULL;
    CLEANUP(json_free) struct json *aws = NULL;
    int r = register_helm_release(client, &release, err);
    if (r < 0 || (r = find(client, CONFIG_PATH, &config, err)) < 0 ||
        (r = find(client, INSTALL_WEBHOOKS "mutatingwebhookconfigurations/" INSTALL_MUTATING, &ours, err)) < 0 ||
        (r = find(client, INSTALL_WEBHOOKS "mutatingwebhookconfigurations/0500-amazon-eks-fargate-mutation.amazonaws.com", &aws,
                  err)) < 0)
        return r;
    if (release != NULL)
        return err_set(err, ERR_EXISTS, "Helm's release '%s' installed FKS there: 'helm upgrade %s' changes it", release, release);
    if (json_str(json_at(json_get(ours, "webhooks", NULL), 0), "clientConfig", "url", NULL) != NULL)
        return err_set(err, ERR_EXISTS, "this is a local cluster of fks: FKS is there already");
    bool usual = streq(json_str_or(FARGATE_SCHEDULER, config, "data", "schedulerName", NULL), FARGATE_SCHEDULER);
    if (config != NULL && usual == settings->beside_aws)
        return err_set(err, ERR_EXISTS, "FKS is there %s --preset eks, and pods have its names: deregister it first",
                       usual ? "without" : "with");
    if (aws != NULL && !settings->beside_aws)
        return err_set(err, ERR_EXISTS, "AWS Fargate is in this cluster, and has the same scheduler name and labels: "
                                        "'fks register cluster --preset eks' takes others");
    return 0;
}

static int ask(struct kube_client *client, const char *verb, const struct kube_resource *resource, const char *namespace,
               bool *ret, struct err *err)
{
    CLEANUP(json_free) struct json *answer = NULL;
    CLEANUP(json_free) struct json *body =
        json_build("{s:s, s:s, s:{s:{s:s, s:s, s:s, s:s*}}}", "apiVersion", "authorization.k8s.io/v1", "kind",
                   "SelfSubjectAccessReview", "spec", "resourceAttributes", "verb", verb, "group", resource->group, "resource",
                   resource->plural, "namespace", namespace);
    const struct kube_request request = {
        .method = "POST", .path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", .body = body};
    int r = kube_do(client, &request, &answer, err);
    if (r < 0)
        return err_wrap(err, "asking for permissions");
    *ret = json_is_true(answer, "status", "allowed", NULL);
    return 0;
}

int register_check_permissions(struct kube_client *client, struct kube_discovery *discovery, const struct json *objects,
                               struct err *err)
{
    /* get and list: waiting; delete: deregister; patch is server-side apply */
    static const char *const verbs[] = {"get", "create", "patch", "delete"};
    CLEANUP(strv_done) struct strv asked = {0};
    CLEANUP(strv_done) struct strv missing = {0};
    const struct json *object;
    json_each(object, objects)
    {
        const struct kube_resource *resource;
        const char *namespace = json_str(object, "metadata", "namespace", NULL);
        int r = kube_discovery_find_kind(discovery, json_str_or("", object, "apiVersion", NULL),
                                         json_str_or("", object, "kind", NULL), &resource, err);
        if (r < 0)
            return r;
        if (strv_has(&asked, resource->plural))
            continue;
        strv_add(&asked, resource->plural);
        for (size_t i = 0; i < countof(verbs); i++) {
            bool allowed = false;
            if ((r = ask(client, verbs[i], resource, namespace, &allowed, err)) < 0)
                return r;
            if (!allowed)
                strv_addf(&missing, "%s %s", verbs[i], resource->plural);
        }
    }
    if (missing.n == 0)
        return 0;
    CLEANUP(xfree) char *list = strv_join(&missing, ", ");
    return err_set(err, ERR_FORBIDDEN, "your user may not: %s. Registering takes cluster-admin, because it creates roles; "
                                       "'fks auth can-i --list' shows what you may", list);
}
