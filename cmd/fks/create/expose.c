/*
 * expose.c: `expose`: a service in front of something that runs; selector and ports come from the object itself.
 */
#include "objects/generate.h"

#include <ctype.h>

#include "base/mem.h"

struct expose {
    struct generate generate;
    struct selection selection;
    struct override override;
    const char *name, *port, *target_port, *type, *protocol, *selector, *labels, *cluster_ip, *external_ip,
        *session_affinity, *load_balancer_ip;
};

static int check_kind(const struct kube_resource *resource, struct err *err)
{
    static const char *const kinds[][2] = {
        {"", "Pod"}, {"", "Service"}, {"", "ReplicationController"}, {"apps", "Deployment"}, {"apps", "ReplicaSet"}};
    for (size_t i = 0; i < countof(kinds); i++) {
        if (streq(kinds[i][0], resource->group) && streq(kinds[i][1], resource->kind))
            return 0;
    }
    return err_set(err, ERR_UNSUPPORTED, "cannot expose a %s%s%s", resource->kind,
                   resource->group[0] != '\0' ? "." : "", resource->group);
}

/* The labels that find the pods behind the object; a copy. */
static int exposed_selector(const struct expose *expose, const struct json *object, struct json **ret, struct err *err)
{
    static const char lost[] = "couldn't retrieve selectors via --selector flag or introspection:";
    const char *kind = json_str_or("", object, "kind", NULL);
    bool is_pod = streq(kind, "Pod"), is_service = streq(kind, "Service"), is_rc = streq(kind, "ReplicationController");
    const struct json *selector = is_pod                ? json_get(object, "metadata", "labels", NULL)
                                  : is_service || is_rc ? json_get(object, "spec", "selector", NULL)
                                                        : json_get(object, "spec", "selector", "matchLabels", NULL);
    if (strempty(expose->selector)[0] != '\0')
        return generate_labels(expose->selector, ret, err);
    if (json_len(selector) > 0 && json_len(json_get(object, "spec", "selector", "matchExpressions", NULL)) > 0)
        return err_set(err, ERR_INVALID, "%s couldn't convert expressions to map-based selector format", lost);
    if (json_len(selector) > 0) {
        *ret = json_clone(selector);
        return 0;
    }
    if (is_pod)
        return err_set(err, ERR_INVALID, "%s the pod has no labels and cannot be exposed", lost);
    if (is_service)
        return err_set(err, ERR_INVALID, "%s the service has no pod selector set", lost);
    return err_set(err, ERR_INVALID, "%s invalid %s: no selectors, therefore cannot be exposed", lost,
                   is_rc                       ? "replication controller"
                   : streq(kind, "Deployment") ? "deployment"
                                               : "replicaset");
}

/* Ports of the object and, for each of its numbers, the protocols: {"53": ["TCP", "UDP"]}. */
static void add_port(struct json *ports, const struct json *port, const char *member)
{
    CLEANUP(xfree) char *number = xasprintf("%lld", (long long)json_int_or(0, port, member, NULL));
    if (json_member(ports, number) == NULL)
        json_set(ports, number, json_new_array());
    json_push(json_edit_member(ports, number), json_new_string(json_str_or("TCP", port, "protocol", NULL)));
}

static struct json *exposed_ports(const struct json *object)
{
    const char *kind = json_str_or("", object, "kind", NULL);
    const struct json *spec =
        streq(kind, "Pod") ? json_get(object, "spec", NULL) : json_get(object, "spec", "template", "spec", NULL);
    const struct json *container, *port;
    struct json *ports = json_new_object();
    if (streq(kind, "Service")) {
        json_each(port, json_get(object, "spec", "ports", NULL))
            add_port(ports, port, "port");
        return ports;
    }
    json_each(container, json_get(spec, "containers", NULL)) {
        json_each(port, json_get(container, "ports", NULL))
            add_port(ports, port, "containerPort");
    }
    return ports;
}

static void push_port(const struct expose *expose, struct json *ports, const char *name, const char *protocol,
                      const char *number)
{
    const char *target = strempty(expose->target_port)[0] != '\0' ? expose->target_port : number;
    struct json *port = json_new_object();
    if (name != NULL)
        json_set_str(port, "name", name);
    json_set_str(port, "protocol", protocol);
    json_set(port, "port", generate_number_or_text(number));
    json_set(port, "targetPort", generate_number_or_text(target));
    json_push(ports, port);
}

/* A port for each number; for a number with several protocols one for each of them. */
static int build_ports(const struct expose *expose, const struct json *own, struct json **ret, struct err *err)
{
    CLEANUP(strv_done) struct strv numbers = {0};
    CLEANUP(json_free) struct json *ports = json_new_array();
    const struct json *value;
    void *position = NULL;
    const char *key;
    bool given = strempty(expose->port)[0] != '\0';
    if (given)
        strv_split(&numbers, expose->port, ',');
    while (!given && json_next(own, &position, &key, &value))
        strv_add(&numbers, key);
    if (numbers.n == 0 && !streq(expose->cluster_ip, "None"))
        return err_set(err, ERR_USAGE, "couldn't find port via --port flag or introspection");
    for (size_t i = 0; i < numbers.n; i++) {
        int64_t number = 0;
        CLEANUP(err_clear) struct err no_number = {0};
        CLEANUP(xfree) char *name = numbers.n > 1 ? xasprintf("port-%zu", i + 1) : NULL;
        const struct json *protocol, *protocols = json_member(own, numbers.items[i]);
        if (parse_int(numbers.items[i], INT32_MIN, INT32_MAX, &number, &no_number) < 0)
            return err_set(err, ERR_USAGE, "strconv.Atoi: parsing \"%s\": invalid syntax", numbers.items[i]);
        if (strempty(expose->protocol)[0] != '\0' || json_len(protocols) < 2) {
            push_port(expose, ports, name,
                      strempty(expose->protocol)[0] != '\0' ? expose->protocol
                      : protocols != NULL                   ? json_string_value(json_at(protocols, 0))
                                                            : "TCP",
                      numbers.items[i]);
            continue;
        }
        json_each(protocol, protocols) {
            CLEANUP(xfree) char *own_name = xasprintf("port-%zu-%s", i + 1, json_string_value(protocol));
            for (char *c = own_name; *c != '\0'; c++)
                *c = (char)tolower((unsigned char)*c);
            push_port(expose, ports, own_name, json_string_value(protocol), numbers.items[i]);
        }
    }
    *ret = take(&ports);
    return 0;
}

static void set_text(struct json *object, const char *key, const char *text)
{
    if (strempty(text)[0] != '\0')
        json_set_str(object, key, text);
}

static int build_service(const struct expose *expose, const struct item *item, struct json **ret, struct err *err)
{
    CLEANUP(json_free)
    struct json *selector = NULL, *ports = NULL, *labels = NULL, *own_ports = exposed_ports(item->object);
    const char *affinity = strempty(expose->session_affinity), *type = strempty(expose->type);
    if (check_kind(item->resource, err) < 0 || exposed_selector(expose, item->object, &selector, err) < 0 ||
        build_ports(expose, own_ports, &ports, err) < 0)
        return err->code;
    if (strempty(expose->labels)[0] != '\0' && generate_labels(expose->labels, &labels, err) < 0)
        return err->code;
    if (affinity[0] != '\0' && !streq(affinity, "None") && !streq(affinity, "ClientIP"))
        return err_set(err, ERR_USAGE, "unknown session affinity: %s", affinity);
    const struct json *own_labels = labels != NULL ? labels : json_get(item->object, "metadata", "labels", NULL);
    enum { LABEL_MAX = 63 }; /* a service's name is a DNS label */
    CLEANUP(xfree) char *short_name = xstrndup(strempty(item->name), strnlen(strempty(item->name), LABEL_MAX));
    struct json *metadata =
        generate_metadata(&expose->generate, strempty(expose->name)[0] != '\0' ? expose->name : short_name,
                          write_is_client_dry_run(&expose->generate.write));
    if (json_len(own_labels) > 0)
        json_set(metadata, "labels", json_clone(own_labels));
    struct json *spec = json_new_object();
    if (json_len(ports) > 0)
        json_set(spec, "ports", take(&ports));
    json_set(spec, "selector", take(&selector));
    set_text(spec, "clusterIP", expose->cluster_ip);
    set_text(spec, "type", type);
    if (strempty(expose->external_ip)[0] != '\0')
        json_set(spec, "externalIPs", json_build("[s]", expose->external_ip));
    set_text(spec, "sessionAffinity", affinity);
    if (streq(type, "LoadBalancer"))
        set_text(spec, "loadBalancerIP", expose->load_balancer_ip);
    *ret = json_build("{s:s, s:s, s:o, s:o, s:{s:{}}}", "kind", "Service", "apiVersion", "v1", "metadata", metadata,
                      "spec", spec, "status", "loadBalancer");
    return generate_override(&expose->override, ret, err);
}

static int expose_one(struct expose *expose, const struct item *item, struct output *output, struct err *err)
{
    CLEANUP(json_free) struct json *service = NULL, *created = NULL;
    const struct write_options *write = &expose->generate.write;
    if (build_service(expose, item, &service, err) < 0)
        return err->code;
    write_record(expose->generate.cli, write, service);
    if (write_is_client_dry_run(write))
        return output_result(output, service, "exposed", "client", err);
    if (expose->generate.save_config)
        generate_annotate(service);
    const struct kube_resource *services = NULL;
    if (kube_discovery_find(expose->generate.cli->discovery, "services", &services, err) < 0)
        return err->code;
    const struct item target = {
        .resource = services, .namespace = (char *)(uintptr_t)cli_namespace(expose->generate.cli), .object = service};
    if (write_create(expose->generate.cli, write, &target, &created, err) < 0)
        return err->code;
    return output_result(output, created, "exposed", write->dry_run, err);
}

static int run_expose(struct expose *expose, const struct strv *args)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(items_done) struct items items = {0};
    CLEANUP(failures_done) struct failures failures = {0};
    CLEANUP(output_done) struct output output = {0};
    struct write_options *write = &expose->generate.write;
    bool fetch = !selection_has_files(&expose->selection); /* a file's object stands for itself */
    if (write_options_check(write, &err) < 0 || output_parse(&expose->generate.output_options, &output, &err) < 0 ||
        items_resolve(expose->generate.cli, &expose->selection, args, fetch, &items, &failures, &err) < 0)
        return cli_fail(expose->generate.cli, &err);
    output.keep_order = write_is_client_dry_run(write);
    for (size_t i = 0; i < items.n; i++) {
        struct err failure = {0};
        if (expose_one(expose, &items.list[i], &output, &failure) < 0)
            failures_add(&failures, &failure);
    }
    return cli_fail_all(expose->generate.cli, &failures);
}

int command_expose(struct cli *cli, int argc, char **argv)
{
    struct expose expose = {.override = {.type = "merge"},
                            .generate = {.cli = cli,
                                         .write = {.field_manager = "kubectl-expose", .validate = "ignore"},
                                         .output_options = {.hide_missing = true}}};
    const struct opt options[] = {
        SELECTION_FILE_OPTIONS(&expose.selection),
        {"cluster-ip", 0, OPT_STRING, &expose.cluster_ip, "", "The service's address; None for a headless service."},
        {"external-ip", 0, OPT_STRING, &expose.external_ip, "", "One more address that the service accepts."},
        {"labels", 'l', OPT_STRING, &expose.labels, "", "Labels of the service."},
        {"load-balancer-ip", 0, OPT_STRING, &expose.load_balancer_ip, "",
         "Address of the load balancer, if it can choose."},
        GENERATE_OVERRIDE_OPTIONS(&expose.override),
        WRITE_RECORD_OPTION(&expose.generate.write),
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
