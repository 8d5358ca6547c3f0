/*
 * create_service.c: `create service clusterip | nodeport | loadbalancer | externalname`.
 */
#include "objects/generate.h"

#include "base/mem.h"

struct service {
    const char *type; /* ClusterIP ... */
    const char *cluster_ip, *external_name;
    int64_t node_port;
    bool external_name_seen;
    struct strv tcp;
};

/* "80:8080" or "80:http": port and target port. */
static int parse_port(const char *text, struct json **ret, int64_t node_port, struct err *err)
{
    CLEANUP(strv_done) struct strv parts = {0};
    CLEANUP(err_clear) struct err no_number = {0};
    strv_split(&parts, text, ':');
    int64_t port = 0, target = 0;
    const char *number = parts.n > 0 ? parts.items[0] : "";
    if (parse_int(number, 0, 65535, &port, &no_number) < 0)
        return err_set(err, ERR_USAGE, "strconv.ParseUint: parsing \"%s\": %s", number,
                       number[0] != '\0' && number[strspn(number, "0123456789")] == '\0' ? "value out of range"
                                                                                         : "invalid syntax");
    CLEANUP(xfree) char *name = xstrdup(text);
    for (char *c = name; *c != '\0'; c++)
        *c = *c == ':' ? '-' : *c;
    struct json *target_port = NULL;
    if (parts.n < 2) {
        target_port = json_new_int(port);
    } else {
        CLEANUP(err_clear) struct err no_target = {0};
        if (parse_int(parts.items[1], INT32_MIN, INT32_MAX, &target, &no_target) < 0)
            target_port = json_new_string(parts.items[1]);
        else if (target < 1 || target > 65535)
            return err_set(err, ERR_USAGE, "must be between 1 and 65535, inclusive");
        else
            target_port = json_new_int(target);
    }
    *ret = json_build("{s:s, s:s, s:I, s:o}", "name", name, "protocol", "TCP", "port", port, "targetPort", target_port);
    if (node_port != 0)
        json_set_int(*ret, "nodePort", node_port);
    return 0;
}

static int build_spec(const struct service *service, const char *name, struct json **ret, struct err *err)
{
    bool headless = streq(service->cluster_ip, "None"), external = streq(service->type, "ExternalName");
    if (!headless && service->tcp.n == 0 && !external)
        return err_set(err, ERR_USAGE, "at least one tcp port specifier must be provided");
    if (external && strempty(service->external_name)[0] == '\0')
        return err_set(err, ERR_USAGE, "invalid service external name %s", strempty(service->external_name));
    CLEANUP(json_free) struct json *spec = json_new_object(), *ports = json_new_array();
    for (size_t i = 0; i < service->tcp.n; i++) {
        struct json *port = NULL;
        if (parse_port(service->tcp.items[i], &port, service->node_port, err) < 0)
            return err->code;
        json_push(ports, port);
    }
    if (json_len(ports) > 0)
        json_set(spec, "ports", take(&ports));
    json_set(spec, "selector", json_build("{s:s}", "app", name));
    if (service->cluster_ip != NULL)
        json_set_str(spec, "clusterIP", service->cluster_ip);
    json_set_str(spec, "type", service->type);
    if (external)
        json_set_str(spec, "externalName", service->external_name);
    *ret = take(&spec);
    return 0;
}

static int create_service(struct cli *cli, struct service *service, const char *words, const char *usage, int argc,
                          char **argv)
{
    CLEANUP(generate_done) struct generate generate = GENERATE_INIT(cli);
    struct opt options[12] = {GENERATE_OPTIONS(&generate)};
    size_t n = 0;
    while (options[n].name != NULL)
        n++;
    options[n++] = (struct opt){.name = "tcp",
                                .type = OPT_LIST,
                                .value = &service->tcp,
                                .argument = "[]",
                                .help = "Port pairs: port:targetPort."};
    if (streq(service->type, "ClusterIP"))
        options[n++] = (struct opt){.name = "clusterip",
                                    .type = OPT_STRING,
                                    .value = &service->cluster_ip,
                                    .argument = "",
                                    .help = "An address of your own, or None for a headless service."};
    if (streq(service->type, "NodePort"))
        options[n++] = (struct opt){.name = "node-port",
                                    .type = OPT_INT,
                                    .value = &service->node_port,
                                    .argument = "0",
                                    .help = "Port on each node."};
    if (streq(service->type, "ExternalName"))
        options[n++] = (struct opt){.name = "external-name",
                                    .type = OPT_STRING,
                                    .value = &service->external_name,
                                    .seen = &service->external_name_seen,
                                    .argument = "",
                                    .help = "The name outside that the service stands for."};
    const struct cli_command command = {.words = words,
                                        .usage = usage,
                                        .about = "Create a service with the specified name.",
                                        .required = streq(service->type, "ExternalName") ? "external-name" : NULL,
                                        .options = options};
    if (!generate_begin(&generate, &command, argc, argv))
        return generate.code;
    const char *name = generate.name;
    CLEANUP(err_clear) struct err err = {0};
    struct json *spec = NULL;
    if (build_spec(service, name, &spec, &err) < 0)
        return cli_fail(cli, &err);
    struct json *metadata = generate_metadata(&generate, name, true);
    json_set(metadata, "labels", json_build("{s:s}", "app", name));
    CLEANUP(xfree) char *what = xasprintf("%s service:", service->type);
    return generate_finish(&generate,
                           json_build("{s:s, s:s, s:o, s:o, s:{s:{}}}", "kind", "Service", "apiVersion", "v1",
                                      "metadata", metadata, "spec", spec, "status", "loadBalancer"),
                           what);
}

int command_create_service_clusterip(struct cli *cli, int argc, char **argv)
{
    struct service service = {.type = "ClusterIP"};
    int code = create_service(cli, &service, "create service clusterip", "NAME [--tcp=<port>:<targetPort>] [options]",
                              argc, argv);
    strv_done(&service.tcp);
    return code;
}

int command_create_service_nodeport(struct cli *cli, int argc, char **argv)
{
    struct service service = {.type = "NodePort"};
    int code =
        create_service(cli, &service, "create service nodeport", "NAME [--tcp=port:targetPort] [options]", argc, argv);
    strv_done(&service.tcp);
    return code;
}

int command_create_service_loadbalancer(struct cli *cli, int argc, char **argv)
{
    struct service service = {.type = "LoadBalancer"};
    int code = create_service(cli, &service, "create service loadbalancer", "NAME [--tcp=port:targetPort] [options]",
                              argc, argv);
    strv_done(&service.tcp);
    return code;
}

int command_create_service_externalname(struct cli *cli, int argc, char **argv)
{
    struct service service = {.type = "ExternalName"};
    int code = create_service(cli, &service, "create service externalname",
                              "NAME --external-name external.name [options]", argc, argv);
    strv_done(&service.tcp);
    return code;
}
