/*
 * run.c: `run`: a pod from options, and `expose`: a service in front of something that runs.
 */
#include "generate.h"
#include "pods.h"

#include "base/mem.h"
#include "print/gotext.h"

/* "a=b,c=d" as an object with sorted keys. */
static int parse_labels(const char *text, struct json **ret, struct err *err)
{
    CLEANUP(strv_done) struct strv pairs = {0};
    CLEANUP(json_free) struct json *labels = json_new_object();
    strv_split(&pairs, text, ',');
    strv_sort(&pairs);
    for (size_t i = 0; i < pairs.n; i++) {
        struct str key, value;
        if (!str_cut(str_of(pairs.items[i]), '=', &key, &value) || key.len == 0)
            return err_set(err, ERR_USAGE, "unexpected label spec: %s", pairs.items[i]);
        CLEANUP(xfree) char *name = xstrndup(key.p, key.len);
        json_set(labels, name, json_new_string_n(value.p, value.len));
    }
    *ret = take(&labels);
    return 0;
}

/* --- run */

struct run_options {
    struct generate generate;
    const char *image, *labels, *restart, *pull_policy, *privileged_text;
    struct strv env, annotations;
    int64_t port;
    bool image_seen, command, expose, attach, use_stdin, tty, remove, privileged;
};

static int build_env(const struct strv *env, struct json *container, struct err *err)
{
    struct json *list = json_new_array();
    for (size_t i = 0; i < env->n; i++) {
        struct str name, value;
        if (!str_cut(str_of(env->items[i]), '=', &name, &value) || name.len == 0) {
            json_free(list);
            return err_set(err, ERR_USAGE, "invalid env: %s", env->items[i]);
        }
        struct json *variable = json_new_object();
        json_set(variable, "name", json_new_string_n(name.p, name.len));
        if (value.len > 0)
            json_set(variable, "value", json_new_string_n(value.p, value.len));
        json_push(list, variable);
    }
    if (env->n > 0)
        json_set(container, "env", list);
    else
        json_free(list);
    return 0;
}

static int build_container(const struct run_options *run, const char *name, const struct strv *args, int dash,
                           struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *container = json_build("{s:s, s:s}", "name", name, "image", run->image);
    size_t from = dash >= 0 ? (size_t)dash : 1;
    if (from < args->n) {
        struct json *words = json_new_array();
        for (size_t i = from; i < args->n; i++)
            json_push(words, json_new_string(args->items[i]));
        json_set(container, run->command ? "command" : "args", words);
    }
    if (run->port > 0)
        json_set(container, "ports", json_build("[{s:I}]", "containerPort", run->port));
    if (build_env(&run->env, container, err) < 0)
        return err->code;
    json_set(container, "resources", json_new_object());
    if (run->pull_policy != NULL)
        json_set_str(container, "imagePullPolicy", run->pull_policy);
    if (run->use_stdin) {
        json_set_bool(container, "stdin", true);
        json_set_bool(container, "stdinOnce", true);
    }
    if (run->tty)
        json_set_bool(container, "tty", true);
    if (run->privileged)
        json_set(container, "securityContext", json_build("{s:b}", "privileged", 1));
    *ret = take(&container);
    return 0;
}

static int build_pod(const struct run_options *run, const char *name, const struct strv *args, int dash,
                     struct json **ret, struct err *err)
{
    struct json *container = NULL, *labels = NULL;
    if (build_container(run, name, args, dash, &container, err) < 0)
        return err->code;
    if (run->labels == NULL) {
        labels = json_build("{s:s}", "run", name);
    } else if (parse_labels(run->labels, &labels, err) < 0) {
        json_free(container);
        return err->code;
    }
    struct json *metadata = generate_metadata(&run->generate, name, true);
    json_set(metadata, "labels", labels);
    if (run->annotations.n > 0) {
        struct json *annotations = json_new_object();
        for (size_t i = 0; i < run->annotations.n; i++) {
            struct str key, value;
            (void)str_cut(str_of(run->annotations.items[i]), '=', &key, &value);
            CLEANUP(xfree) char *text = xstrndup(key.p, key.len);
            json_set(annotations, text, json_new_string_n(value.p, value.len));
        }
        json_set(metadata, "annotations", annotations);
    }
    *ret = json_build("{s:s, s:s, s:o, s:{s:[o], s:s, s:s}, s:{}}", "kind", "Pod", "apiVersion", "v1", "metadata",
                      metadata, "spec", "containers", container, "restartPolicy", run->restart, "dnsPolicy",
                      "ClusterFirst", "status");
    return 0;
}

static int create_run_service(struct run_options *run, const char *name, const struct json *labels)
{
    struct json *metadata = generate_metadata(&run->generate, name, true);
    return generate_finish(&run->generate,
                           json_build("{s:s, s:s, s:o, s:{s:[{s:s, s:I, s:I}], s:O}, s:{s:{}}}", "kind", "Service",
                                      "apiVersion", "v1", "metadata", metadata, "spec", "ports", "protocol", "TCP",
                                      "port", run->port, "targetPort", run->port, "selector", labels, "status",
                                      "loadBalancer"),
                           NULL);
}

static bool is_image_reference(const char *image)
{
    return image[0] != '\0' && strpbrk(image, " \t\"'<>|;") == NULL && image[0] != ':' && image[0] != '/';
}

static int run_usage(const struct run_options *run, const char *text)
{
    return cli_error("%s\nSee '%s run -h' for help and examples", text, run->generate.cli->program);
}

/* Waits until the pod runs and joins its streams; what --rm asks for comes after. */
static int join_pod(struct run_options *run, const char *name)
{
    struct cli *cli = run->generate.cli;
    char *wait_args[] = {(char *)(uintptr_t) "wait",
                         (char *)(uintptr_t) "--for=jsonpath={.status.startTime}",
                         (char *)(uintptr_t) "--timeout=60s",
                         (char *)(uintptr_t) "-o=jsonpath=",
                         (char *)(uintptr_t) "pod",
                         (char *)(uintptr_t)name,
                         NULL};
    int code = command_wait(cli, 6, wait_args);
    if (code == 0) {
        char *attach_args[6] = {(char *)(uintptr_t) "attach", (char *)(uintptr_t)name};
        int n = 2;
        if (run->use_stdin)
            attach_args[n++] = (char *)(uintptr_t) "-i";
        if (run->tty)
            attach_args[n++] = (char *)(uintptr_t) "-t";
        code = command_attach(cli, n, attach_args);
    }
    if (run->remove) {
        char *delete_args[] = {(char *)(uintptr_t) "delete", (char *)(uintptr_t) "pod", (char *)(uintptr_t)name, NULL};
        int deleted = command_delete(cli, 3, delete_args);
        code = code != 0 ? code : deleted;
    }
    return code;
}

static int run_run(struct run_options *run, const struct strv *args, int dash)
{
    CLEANUP(err_clear) struct err err = {0};
    static const char *const policies[] = {"Always", "OnFailure", "Never"};
    bool known_policy = false, joins = run->attach || run->use_stdin || run->tty;
    for (size_t i = 0; i < countof(policies); i++)
        known_policy = known_policy || streq(policies[i], run->restart);
    if (!run->image_seen)
        return cli_error("required flag(s) \"image\" not set");
    if (args->n == 0 || dash == 0)
        return run_usage(run, "NAME is required for run");
    if (!known_policy) {
        CLEANUP(xfree) char *text = xasprintf("invalid restart policy: %s", run->restart);
        return run_usage(run, text);
    }
    if (run->expose && run->port <= 0)
        return run_usage(run, "--port must be set when exposing a service");
    if (run->tty && !run->use_stdin)
        return run_usage(run, "-i/--stdin is required for containers with -t/--tty=true");
    if (!is_image_reference(run->image))
        return cli_error("Invalid image name \"%s\": invalid reference format", run->image);
    if (run->remove && !joins)
        return run_usage(run, "--rm should only be used for attached containers");
    if (joins && run->generate.write.dry_run != NULL && !streq(run->generate.write.dry_run, "none"))
        return run_usage(
            run,
            "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)");

    struct json *pod = NULL;
    const char *name = args->items[0];
    if (build_pod(run, name, args, dash, &pod, &err) < 0)
        return cli_fail(run->generate.cli, &err);
    int code = 0;
    if (run->expose)
        code = create_run_service(run, name, json_get(pod, "metadata", "labels", NULL));
    if (code != 0) {
        json_free(pod);
        return code;
    }
    if (joins)
        run->generate.output_options.format = "jsonpath="; /* kubectl says nothing about the pod when it attaches */
    code = generate_finish(&run->generate, pod, NULL);
    return code == 0 && joins ? join_pod(run, name) : code;
}

int command_run_pod(struct cli *cli, int argc, char **argv)
{
    struct run_options run = {
        .generate = {.cli = cli, .write = {.field_manager = "kubectl-run"}, .output_options = {.hide_missing = true}},
        .restart = "Always"};
    const struct opt options[] = {
        GENERATE_OPTIONS(&run.generate),
        {.name = "annotations",
         .type = OPT_ARRAY,
         .value = &run.annotations,
         .argument = "[]",
         .help = "Annotations of the pod."},
        {.name = "attach", .type = OPT_BOOL, .value = &run.attach, .help = "Wait for the pod and attach to it."},
        {.name = "command",
         .type = OPT_BOOL,
         .value = &run.command,
         .help = "The words after -- are the command, not its arguments."},
        {.name = "env",
         .type = OPT_ARRAY,
         .value = &run.env,
         .argument = "[]",
         .help = "Environment variables NAME=VALUE."},
        {.name = "expose",
         .type = OPT_BOOL,
         .value = &run.expose,
         .help = "Make a ClusterIP service for the pod; needs --port."},
        {.name = "image",
         .type = OPT_STRING,
         .value = &run.image,
         .argument = "",
         .help = "The image to run.",
         .seen = &run.image_seen},
        {.name = "image-pull-policy",
         .type = OPT_STRING,
         .value = &run.pull_policy,
         .argument = "",
         .help = "Always, IfNotPresent or Never."},
        {.name = "labels",
         .letter = 'l',
         .type = OPT_STRING,
         .value = &run.labels,
         .argument = "",
         .help = "Labels of the pod: a=b,c=d."},
        {.name = "port",
         .type = OPT_INT,
         .value = &run.port,
         .argument = "0",
         .help = "The port that the container exposes."},
        {.name = "privileged", .type = OPT_BOOL, .value = &run.privileged, .help = "Run the container privileged."},
        {.name = "restart",
         .type = OPT_STRING,
         .value = &run.restart,
         .argument = "Always",
         .help = "Always, OnFailure or Never."},
        {.name = "rm",
         .type = OPT_BOOL,
         .value = &run.remove,
         .help = "Delete the pod after it exits; only for attached containers."},
        {.name = "stdin", .letter = 'i', .type = OPT_BOOL, .value = &run.use_stdin, .help = "Keep stdin open."},
        {.name = "tty", .letter = 't', .type = OPT_BOOL, .value = &run.tty, .help = "Give the container a terminal."},
        {0},
    };
    const struct cli_command command = {
        .words = "run",
        .usage =
            "NAME --image=image [--env=\"key=value\"] [--port=port] [--dry-run=server|client] [--command] -- [COMMAND] "
            "[args...] [options]",
        .about = "Create and run a particular image in a pod.",
        .options = options};
    CLEANUP(strv_done) struct strv args = {0};
    int code = 0, dash = -1;
    if (cli_parse(cli, &command, argc, argv, &args, &dash, &code))
        code = run_run(&run, &args, dash);
    strv_done(&run.env);
    strv_done(&run.annotations);
    return code;
}

/* --- expose */

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
        return parse_labels(expose->selector, ret, err);
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

static struct json *number_or_text(const char *text)
{
    int64_t number = 0;
    CLEANUP(err_clear) struct err no_number = {0};
    return parse_int(text, INT32_MIN, INT32_MAX, &number, &no_number) == 0 ? json_new_int(number)
                                                                           : json_new_string(text);
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
        json_set(port, "port", number_or_text(numbers.items[i]));
        json_set(port, "targetPort",
                 number_or_text(expose->target_port != NULL ? expose->target_port : numbers.items[i]));
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
    if (expose->labels != NULL && parse_labels(expose->labels, &labels, err) < 0)
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
        {.name = "cluster-ip",
         .type = OPT_STRING,
         .value = &expose.cluster_ip,
         .argument = "",
         .help = "The service's address; None for a headless service."},
        {.name = "external-ip",
         .type = OPT_STRING,
         .value = &expose.external_ip,
         .argument = "",
         .help = "One more address that the service accepts."},
        {.name = "labels",
         .letter = 'l',
         .type = OPT_STRING,
         .value = &expose.labels,
         .argument = "",
         .help = "Labels of the service."},
        {.name = "name", .type = OPT_STRING, .value = &expose.name, .argument = "", .help = "Name of the service."},
        {.name = "port", .type = OPT_STRING, .value = &expose.port, .argument = "", .help = "Port of the service."},
        {.name = "protocol",
         .type = OPT_STRING,
         .value = &expose.protocol,
         .argument = "",
         .help = "TCP, UDP or SCTP."},
        {.name = "selector",
         .type = OPT_STRING,
         .value = &expose.selector,
         .argument = "",
         .help = "Labels that find the pods."},
        {.name = "session-affinity",
         .type = OPT_STRING,
         .value = &expose.session_affinity,
         .argument = "",
         .help = "None or ClientIP."},
        {.name = "target-port",
         .type = OPT_STRING,
         .value = &expose.target_port,
         .argument = "",
         .help = "Port of the containers, number or name."},
        {.name = "type",
         .type = OPT_STRING,
         .value = &expose.type,
         .argument = "",
         .help = "ClusterIP, NodePort, LoadBalancer or ExternalName."},
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
