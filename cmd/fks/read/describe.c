/*
 * describe.c: `describe`: reads an object and what belongs to it (events, pods, replica sets, ...), and has
 * describe/describe* write it.
 */
#include "describe/describe.h"
#include "objects/items.h"
#include "objects/pods.h"

#include "base/mem.h"

struct describing {
    struct cli *cli;
    struct selection selection;
    bool show_events, show_events_seen;
};

/* --- related objects: what cannot be read is left out */

/* The items of a list, all its pieces, as related[key]. path ends with a query that more can be added to. */
static void relate_list(struct describing *describing, struct json *related, const char *key, const struct buf *path)
{
    CLEANUP(json_free) struct json *all = json_new_array();
    CLEANUP(xfree) char *token = NULL;
    do {
        CLEANUP(buf_done) struct buf piece = {0};
        CLEANUP(json_free) struct json *list = NULL;
        CLEANUP(err_clear) struct err err = {0};
        const struct json *item;
        buf_add_str(&piece, buf_text(path));
        if (token != NULL)
            kube_path_query(&piece, "continue", token);
        const struct kube_request request = {.path = buf_text(&piece)};
        if (cli_do(describing->cli, &request, &list, &err) < 0)
            return;
        json_each(item, json_get(list, "items", NULL))
            json_push(all, json_keep(item));
        free(token);
        token = xstrdup(json_str_or("", list, "metadata", "continue", NULL));
    } while (token[0] != '\0');
    json_set(related, key, take(&all));
}

static void relate(struct describing *describing, struct json *related, const char *key, const char *group,
                   const char *namespace, const char *plural, const char *label_selector, const char *field_selector)
{
    CLEANUP(buf_done) struct buf path = {0};
    CLEANUP(xfree) char *collection = kube_path(group, "v1", namespace, plural, NULL, NULL);
    buf_add_str(&path, collection);
    if (label_selector != NULL)
        kube_path_query(&path, "labelSelector", label_selector);
    if (field_selector != NULL)
        kube_path_query(&path, "fieldSelector", field_selector);
    if (describing->selection.chunk_size > 0) {
        CLEANUP(xfree) char *limit = xasprintf("%lld", (long long)describing->selection.chunk_size);
        kube_path_query(&path, "limit", limit);
    }
    relate_list(describing, related, key, &path);
}

static void relate_selected(struct describing *describing, struct json *related, const struct json *object,
                            const char *key, const char *group, const char *plural)
{
    CLEANUP(buf_done) struct buf selector = {0};
    pods_selector_text(json_get(object, "spec", "selector", NULL), &selector);
    relate(describing, related, key, group, json_str(object, "metadata", "namespace", NULL), plural,
           buf_text(&selector), NULL);
}

/* An object of its own as related[key]; what went wrong as related["error"]. */
static void relate_object(struct describing *describing, struct json *related, const char *key, const char *path)
{
    const struct kube_request request = {.path = path};
    struct json *object = NULL;
    CLEANUP(err_clear) struct err err = {0};
    if (cli_do(describing->cli, &request, &object, &err) == 0)
        json_set(related, key, object);
    else
        json_set_str(related, "error", err_text(&err));
    if (err.code != 0)
        json_free(object);
}

/* The service behind a backend of an ingress, and its endpoints, as related.backends[name]. */
static void relate_backend(struct describing *describing, struct json *related, const char *namespace,
                           const struct json *backend)
{
    const char *name = json_str(backend, "service", "name", NULL);
    if (name == NULL || json_get(related, "backends", name, NULL) != NULL)
        return;
    struct json *found = json_edit(related, "backends", name, NULL);
    CLEANUP(xfree) char *path = kube_path("", "v1", namespace, "services", name, NULL);
    CLEANUP(xfree) char *selector = xasprintf("kubernetes.io/service-name=%s", name);
    relate(describing, found, "endpointSlices", "discovery.k8s.io", namespace, "endpointslices", selector, NULL);
    relate_object(describing, found, "service", path);
}

static void relate_ingress(struct describing *describing, struct json *related, const struct json *ingress)
{
    const char *namespace = json_str(ingress, "metadata", "namespace", NULL);
    const struct json *rule, *path;
    relate_backend(describing, related, namespace, json_get(ingress, "spec", "defaultBackend", NULL));
    json_each(rule, json_get(ingress, "spec", "rules", NULL)) {
        json_each(path, json_get(rule, "http", "paths", NULL))
            relate_backend(describing, related, namespace, json_get(path, "backend", NULL));
    }
}

static void relate_node(struct describing *describing, struct json *related, const struct json *node)
{
    const char *name = json_str_or("", node, "metadata", "name", NULL);
    CLEANUP(xfree) char *fields = xasprintf("spec.nodeName=%s,status.phase!=Succeeded,status.phase!=Failed", name);
    relate(describing, related, "pods", "", NULL, "pods", NULL, fields);
    CLEANUP(xfree) char *own = xasprintf("spec.nodeName=%s", name);
    relate(describing, related, "resourceSlices", "resource.k8s.io", NULL, "resourceslices", NULL, own);
    CLEANUP(xfree) char *path = kube_path("coordination.k8s.io", "v1", "kube-node-lease", "leases", name, NULL);
    relate_object(describing, related, "lease", path);
}

static struct json *related_objects(struct describing *describing, const struct json *object)
{
    struct json *related = json_new_object();
    const char *kind = json_str_or("", object, "kind", NULL), *name = json_str_or("", object, "metadata", "name", NULL);
    if (streq(kind, "Node")) {
        relate_node(describing, related, object);
    } else if (streq(kind, "Deployment")) {
        relate_selected(describing, related, object, "replicaSets", "apps", "replicasets");
    } else if (streq(kind, "ReplicaSet") || streq(kind, "DaemonSet") || streq(kind, "StatefulSet") ||
               streq(kind, "ReplicationController")) {
        relate_selected(describing, related, object, "pods", "", "pods");
    } else if (streq(kind, "Service")) {
        CLEANUP(xfree) char *selector = xasprintf("kubernetes.io/service-name=%s", name);
        relate(describing, related, "endpointSlices", "discovery.k8s.io",
               json_str(object, "metadata", "namespace", NULL), "endpointslices", selector, NULL);
    } else if (streq(kind, "PersistentVolumeClaim")) {
        relate(describing, related, "pods", "", json_str(object, "metadata", "namespace", NULL), "pods", NULL, NULL);
    } else if (streq(kind, "Ingress")) {
        relate_ingress(describing, related, object);
    } else if (streq(kind, "Namespace")) {
        relate(describing, related, "quotas", "", name, "resourcequotas", NULL, NULL);
        relate(describing, related, "limitRanges", "", name, "limitranges", NULL, NULL);
    }
    return related;
}

static void add_events(struct describing *describing, const struct json *object, const char *uid, struct json *events)
{
    const char *namespace = json_str(object, "metadata", "namespace", NULL);
    CLEANUP(json_free) struct json *found = json_new_object();
    const char *kind = json_str_or("", object, "kind", NULL);
    CLEANUP(buf_done) struct buf fields = {0};
    buf_printf(&fields, "involvedObject.name=%s,involvedObject.namespace=%s,",
               json_str_or("", object, "metadata", "name", NULL), strempty(namespace));
    if (!streq(kind, "Pod"))
        buf_printf(&fields, "involvedObject.kind=%s,", kind);
    buf_printf(&fields, "involvedObject.uid=%s", uid);
    relate(describing, found, "events", "", namespace, "events", NULL, buf_text(&fields));
    const struct json *event;
    json_each(event, json_get(found, "events", NULL))
        json_push(events, json_keep(event));
}

static struct json *events_of(struct describing *describing, const struct json *object)
{
    struct json *events = json_new_array();
    static const char *const without[] = {"Namespace",     "Secret",        "LimitRange",
                                          "ResourceQuota", "NetworkPolicy", "Role",
                                          "ClusterRole",   "RoleBinding",   "ClusterRoleBinding"};
    const char *kind = json_str_or("", object, "kind", NULL), *uid = json_str_or("", object, "metadata", "uid", NULL);
    for (size_t i = 0; i < countof(without); i++) {
        if (streq(kind, without[i]))
            return events;
    }
    if (streq(kind, "Pod")) /* of a static pod the kubelet knows another uid */
        uid = json_str_or(uid, object, "metadata", "annotations", "kubernetes.io/config.mirror", NULL);
    add_events(describing, object, uid, events);
    if (streq(kind, "Node")) /* the kubelet uses the name as uid */
        add_events(describing, object, json_str_or("", object, "metadata", "name", NULL), events);
    return events;
}

/* --- the description */

static describe_kind *describer_of(const struct kube_resource *resource)
{
    static const struct {
        const char *group, *kind;
        describe_kind *describe;
    } describers[] = {
        {"", "Pod", describe_pod},
        {"", "Node", describe_node},
        {"", "Service", describe_service},
        {"", "Namespace", describe_namespace},
        {"", "Secret", describe_secret},
        {"", "ConfigMap", describe_config_map},
        {"", "ServiceAccount", describe_service_account},
        {"", "ReplicationController", describe_replication_controller},
        {"", "LimitRange", describe_limit_range},
        {"", "ResourceQuota", describe_resource_quota},
        {"", "PersistentVolume", describe_persistent_volume},
        {"", "PersistentVolumeClaim", describe_persistent_volume_claim},
        {"", "Endpoints", describe_endpoints_object},
        {"apps", "Deployment", describe_deployment},
        {"apps", "ReplicaSet", describe_replica_set},
        {"apps", "DaemonSet", describe_daemon_set},
        {"apps", "StatefulSet", describe_stateful_set},
        {"batch", "Job", describe_job},
        {"batch", "CronJob", describe_cron_job},
        {"autoscaling", "HorizontalPodAutoscaler", describe_autoscaler},
        {"policy", "PodDisruptionBudget", describe_disruption_budget},
        {"discovery.k8s.io", "EndpointSlice", describe_endpoint_slice},
        {"networking.k8s.io", "Ingress", describe_ingress},
        {"networking.k8s.io", "IngressClass", describe_ingress_class},
        {"networking.k8s.io", "ServiceCIDR", describe_service_cidr},
        {"networking.k8s.io", "IPAddress", describe_ip_address},
        {"networking.k8s.io", "NetworkPolicy", describe_network_policy},
        {"storage.k8s.io", "StorageClass", describe_storage_class},
        {"storage.k8s.io", "CSINode", describe_csi_node},
        {"storage.k8s.io", "VolumeAttributesClass", describe_volume_attributes_class},
        {"scheduling.k8s.io", "PriorityClass", describe_priority_class},
        {"certificates.k8s.io", "CertificateSigningRequest", describe_signing_request},
        {"rbac.authorization.k8s.io", "Role", describe_role},
        {"rbac.authorization.k8s.io", "ClusterRole", describe_role},
        {"rbac.authorization.k8s.io", "RoleBinding", describe_role_binding},
        {"rbac.authorization.k8s.io", "ClusterRoleBinding", describe_role_binding},
    };
    for (size_t i = 0; i < countof(describers); i++) {
        if (streq(describers[i].group, resource->group) && streq(describers[i].kind, resource->kind))
            return describers[i].describe;
    }
    return describe_generic;
}

static int describe_item(struct describing *describing, const struct item *item, struct buf *out, struct err *err)
{
    CLEANUP(json_free) struct json *related = related_objects(describing, item->object);
    CLEANUP(json_free) struct json *events = describing->show_events ? events_of(describing, item->object) : NULL;
    struct describe describe = {.writer = {.padding = 2}, .object = item->object, .events = events, .related = related};
    describer_of(item->resource)(&describe);
    tabwriter_flush(&describe.writer, &describe.out);
    buf_add(out, buf_text(&describe.out), describe.out.len);
    tabwriter_done(&describe.writer);
    buf_done(&describe.out);
    if (describe.failure != NULL)
        (void)err_set(err, ERR_INVALID, "%s", describe.failure);
    free(describe.failure);
    return err->code;
}

/* "describe TYPE PREFIX": every object whose name begins so; false if there is none. */
static bool describe_prefix(struct describing *describing, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(strv_done) struct strv type = {0};
    struct selection selection = {.everything_if_unnamed = true, .chunk_size = describing->selection.chunk_size};
    strv_add(&type, args->items[0]);
    if (items_resolve(describing->cli, &selection, &type, false, &items, &failures, &err) < 0)
        return false;
    bool found = false;
    for (size_t i = 0; i < items.n; i++) {
        if (!starts_with(items.list[i].name, args->items[1]))
            continue;
        CLEANUP(buf_done) struct buf text = {0};
        CLEANUP(err_clear) struct err failure = {0};
        if (describe_item(describing, &items.list[i], &text, &failure) == 0)
            printf("%s\n", buf_text(&text));
        found = true;
    }
    return found;
}

static int run_describe(struct describing *describing, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    CLEANUP(items_done) struct items items = {0};
    if (args->n == 0 && !selection_has_files(&describing->selection))
        return cli_error(
            "You must specify the type of resource to describe. Use \"%s api-resources\" for a complete list of "
            "supported resources.",
            describing->cli->program);
    if (items_resolve(describing->cli, &describing->selection, args, true, &items, &failures, &err) < 0)
        return items_fail(describing->cli, &describing->selection, &err);
    if ((failures.n > 0 || items.n > 1) && !describing->show_events_seen)
        describing->show_events = false;
    if (failures.n == 1 && failures.list[0].code == ERR_NOT_FOUND && args->n == 2) {
        if (strchr(args->items[0], '/') == NULL && describe_prefix(describing, args))
            return 0;
        return cli_fail_all(describing->cli, &failures);
    }
    for (size_t i = 0; i < items.n; i++) {
        CLEANUP(buf_done) struct buf text = {0};
        struct err failure = {0};
        if (describe_item(describing, &items.list[i], &text, &failure) < 0)
            failures_add(&failures, &failure);
        else
            printf("%s%s", i > 0 ? "\n\n" : "", buf_text(&text));
    }
    if (items.n == 0 && failures.n == 0) {
        if (describing->selection.all_namespaces)
            fputs("No resources found\n", stderr);
        else
            fprintf(stderr, "No resources found in %s namespace.\n", cli_namespace(describing->cli));
    }
    return items_fail_all(describing->cli, &describing->selection, &failures);
}

int command_describe(struct cli *cli, int argc, char **argv)
{
    struct describing describing = {
        .cli = cli, .show_events = true, .selection = {.everything_if_unnamed = true, .chunk_size = 500}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&describing.selection),
        SELECTION_LABEL_OPTION(&describing.selection),
        SELECTION_NAMESPACES_OPTION(&describing.selection),
        SELECTION_CHUNK_OPTION(&describing.selection),
        {"show-events", 0, OPT_BOOL, &describing.show_events, NULL, "Show the events of the object.", NULL,
         &describing.show_events_seen},
        {0},
    };
    const struct cli_command command = {
        .words = "describe",
        .usage = "(-f FILENAME | TYPE [NAME_PREFIX | -l label] | TYPE/NAME) [options]",
        .about = "Show details of a specific resource or group of resources.",
        .examples = "  # Describe a node\n  fks describe nodes/n1\n\n  # Describe pods with a label\n  fks describe "
                    "pods -l app=web\n",
        .options = options,
    };
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_describe(&describing, &args);
    selection_done(&describing.selection);
    return code;
}
