/*
 * expose.c: `expose`: a service in front of something that runs; selector and ports come from the object itself.
 */
#include "generate.h"

#include "base/mem.h"

struct expose {
    struct generate generate;
    struct selection selection;
    const char *name, *port, *target_port, *type, *protocol, *selector, *labels, *cluster_ip, *external_ip,
        *session_affinity;
};

/* The labels that find the pods behind the object; a copy. */
static int exposed_selector(const struct expose *expose, const struct json *object, struct json **ret, struct err *err)
{
    if (expose->selector != NULL)
        return generate_labels(expose->selector, ret, err);
    const char *kind = json_str_or("", object, "kind", NULL);
    const struct json *selector = streq(kind, "Pod") ? json_get(object, "metadata", "labels", NULL)
                                  : streq(kind, "Service") || streq(kind, "ReplicationController")
                                      ? json_get(object, "spec", "selector", NULL)
                                      : json_get(object, "spec", "selector", "matchLabels", NULL);
    static const char *const kinds[] = {"Pod", "Service", "ReplicationController", "Deployment", "ReplicaSet"};
    bool known = false;
    for (size_t i = 0; i < countof(kinds); i++)
        known = known || streq(kinds[i], kind);
    if (!known)
        return err_set(err, ERR_UNSUPPORTED, "cannot expose a %s", kind);
    if (json_len(selector) == 0)
        return err_set(err, ERR_INVALID,
                       streq(kind, "Pod") ? "the pod has no labels and cannot be exposed"
                                          : "couldn't retrieve selectors via --selector flag or introspection: "
                                            "invalid %s: no selectors, therefore cannot be exposed",
                       kind);
    *ret = json_clone(selector);
    return 0;
}

/* Ports of the object: the service's own, or those of the containers. */
static void exposed_ports(const struct json *object, struct strv *numbers, struct strv *protocols)
{
    const char *kind = json_str_or("", object, "kind", NULL);
    const struct json *spec =
        streq(kind, "Pod") ? json_get(object, "spec", NULL) : json_get(object, "spec", "template", "spec", NULL);
    const struct json *container, *port;
    if (streq(kind, "Service")) {
        json_each(port, json_get(object, "spec", "ports", NULL)) {
            strv_addf(numbers, "%lld", (long long)json_int_or(0, port, "port", NULL));
            strv_add(protocols, json_str_or("TCP", port, "protocol", NULL));
        }
        return;
    }
    json_each(container, json_get(spec, "containers", NULL)) {
        json_each(port, json_get(container, "ports", NULL)) {
            strv_addf(numbers, "%lld", (long long)json_int_or(0, port, "containerPort", NULL));
            strv_add(protocols, json_str_or("TCP", port, "protocol", NULL));
        }
    }
}

static int build_ports(const struct expose *expose, const struct json *object, struct json **ret, struct err *err)
{
    CLEANUP(strv_done) struct strv numbers = {0}, protocols = {0};
    exposed_ports(object, &numbers, &protocols);
    if (expose->port != NULL) {
        strv_done(&numbers);
        strv_split(&numbers, expose->port, ',');
    }
    if (numbers.n == 0)
        return err_set(err, ERR_USAGE, "couldn't find port via --port flag or introspection");
    struct json *ports = json_new_array();
    for (size_t i = 0; i < numbers.n; i++) {
        const char *protocol = expose->protocol != NULL ? expose->protocol
                               : i < protocols.n        ? protocols.items[i]
                                                        : "TCP";
        struct json *port = json_new_object();
        if (numbers.n > 1) {
            CLEANUP(xfree) char *name = xasprintf("port-%zu", i + 1);
            json_set_str(port, "name", name);
        }
        json_set_str(port, "protocol", protocol);
        json_set(port, "port", generate_number_or_text(numbers.items[i]));
        json_set(port, "targetPort",
                 generate_number_or_text(expose->target_port != NULL ? expose->target_port : numbers.items[i]));
        json_push(ports, port);
    }
    *ret = ports;
    return 0;
}

static int build_service(const struct expose *expose, const struct item *item, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *selector = NULL, *ports = NULL, *labels = NULL;
    if (exposed_selector(expose, item->object, &selector, err) < 0 ||
        build_ports(expose, item->object, &ports, err) < 0)
        return err->code;
    if (expose->labels != NULL && generate_labels(expose->labels, &labels, err) < 0)
        return err->code;
    const struct json *own_labels = labels != NULL ? labels : json_get(item->object, "metadata", "labels", NULL);
    struct json *metadata =
        generate_metadata(&expose->generate, expose->name != NULL ? expose->name : item->name, true);
    if (json_len(own_labels) > 0)
        json_set(metadata, "labels", json_clone(own_labels));
    struct json *spec = json_build("{s:o, s:o}", "ports", take(&ports), "selector", take(&selector));
    if (expose->cluster_ip != NULL)
        json_set_str(spec, "clusterIP", expose->cluster_ip);
    if (expose->type != NULL)
        json_set_str(spec, "type", expose->type);
    if (expose->external_ip != NULL)
        json_set(spec, "externalIPs", json_build("[s]", expose->external_ip));
    if (expose->session_affinity != NULL)
        json_set_str(spec, "sessionAffinity", expose->session_affinity);
    *ret = json_build("{s:s, s:s, s:o, s:o, s:{s:{}}}", "kind", "Service", "apiVersion", "v1", "metadata", metadata,
                      "spec", spec, "status", "loadBalancer");
    return 0;
}

static int run_expose(struct expose *expose, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    CLEANUP(output_done) struct output output = {0};
    struct write_options *write = &expose->generate.write;
    if (write_options_check(write, &err) < 0 || output_parse(&expose->generate.output_options, &output, &err) < 0 ||
        items_resolve(expose->generate.cli, &expose->selection, args, true, &items, &failures, &err) < 0)
        return cli_fail(expose->generate.cli, &err);
    output.keep_order = write_is_client_dry_run(write);
    for (size_t i = 0; i < items.n; i++) {
        CLEANUP(json_free) struct json *service = NULL, *created = NULL;
        const struct kube_resource *services = NULL;
        if (build_service(expose, &items.list[i], &service, &err) < 0 ||
            kube_discovery_find(expose->generate.cli->discovery, "services", &services, &err) < 0)
            return cli_fail(expose->generate.cli, &err);
        struct item item = {.resource = services, .namespace = items.list[i].namespace, .object = service};
        if (write_is_client_dry_run(write))
            created = json_keep(service);
        else if (write_create(expose->generate.cli, write, &item, &created, &err) < 0)
            return cli_fail(expose->generate.cli, &err);
        if (output_result(&output, created, "exposed", write->dry_run, &err) < 0)
            return cli_fail(expose->generate.cli, &err);
    }
    return cli_fail_all(expose->generate.cli, &failures);
}

int command_expose(struct cli *cli, int argc, char **argv)
{
    struct expose expose = {.generate = {.cli = cli,
                                         .write = {.field_manager = "kubectl-expose"},
                                         .output_options = {.hide_missing = true}}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&expose.selection),
        {"cluster-ip", 0, OPT_STRING, &expose.cluster_ip, "", "The service's address; None for a headless service."},
        {"external-ip", 0, OPT_STRING, &expose.external_ip, "", "One more address that the service accepts."},
        {"labels", 'l', OPT_STRING, &expose.labels, "", "Labels of the service."},
        {"name", 0, OPT_STRING, &expose.name, "", "Name of the service."},
        {"port", 0, OPT_STRING, &expose.port, "", "Port of the service."},
        {"protocol", 0, OPT_STRING, &expose.protocol, "", "TCP, UDP or SCTP."},
        {"selector", 0, OPT_STRING, &expose.selector, "", "Labels that find the pods."},
        {"session-affinity", 0, OPT_STRING, &expose.session_affinity, "", "None or ClientIP."},
        {"target-port", 0, OPT_STRING, &expose.target_port, "", "Port of the containers, number or name."},
        {"type", 0, OPT_STRING, &expose.type, "", "ClusterIP, NodePort, LoadBalancer or ExternalName."},
        {0},
    };
    const struct opt generate_options[] = {GENERATE_OPTIONS(&expose.generate), {0}};
    const struct cli_command command = {.words = "expose",
                                        .usage = "(-f FILENAME | TYPE NAME) [--port=port] [--protocol=TCP|UDP|SCTP] "
                                                 "[--target-port=number-or-name] [--name=name] "
                                                 "[--external-ip=external-ip-of-service] [--type=type] [options]",
                                        .about = "Expose a resource as a new Kubernetes service.",
                                        .options = options,
                                        .more_options = generate_options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0;
    if (cli_parse(cli, &command, argc, argv, &args, NULL, &code))
        code = run_expose(&expose, &args);
    selection_done(&expose.selection);
    return code;
}
