/*
 * describe_pod.c: pods and pod templates.
 */
#include "describe/describe.h"

#include <ctype.h>

#include "base/mem.h"
#include "print/resource_ref.h"
#include "text/gotext.h"

/* --- containers */

static void describe_lines(struct describe *describe, const char *title, const struct json *words)
{
    const struct json *word;
    if (json_len(words) == 0)
        return;
    describe_write(describe, 2, "%s:\n", title);
    json_each(word, words) {
        CLEANUP(strv_done) struct strv lines = {0};
        strv_split(&lines, strempty(json_string_value(word)), '\n');
        if (lines.n == 0)
            describe_write(describe, 3, "\n");
        for (size_t i = 0; i < lines.n; i++)
            describe_write(describe, 3, "%s\n", lines.items[i]);
    }
}

static void describe_ports(struct describe *describe, const struct json *ports, const char *field, const char *one,
                           const char *several)
{
    CLEANUP(buf_done) struct buf text = {0};
    const struct json *port;
    json_each(port, ports) {
        const char *name = json_str_or("", port, "name", NULL);
        buf_printf(&text, "%s%lld/%s", port_index > 0 ? ", " : "", (long long)json_int_or(0, port, field, NULL),
                   json_str_or("", port, "protocol", NULL));
        if (name[0] != '\0')
            buf_printf(&text, " (%s)", name);
    }
    bool many = json_len(ports) > 1;
    describe_write(describe, 2, "%s:\t%s\n", many ? several : one, text.len > 0 ? buf_text(&text) : "<none>");
}

static void describe_seccomp(struct describe *describe, int level, const struct json *context)
{
    const struct json *profile = json_get(context, "seccompProfile", NULL);
    if (profile == NULL)
        return;
    const char *type = json_str_or("", profile, "type", NULL);
    describe_write(describe, level, "SeccompProfile:\t%s\n", type);
    if (streq(type, "Localhost"))
        describe_write(describe, level > 0 ? level + 1 : 0, "LocalhostProfile:\t%s\n",
                       json_str_or("", profile, "localhostProfile", NULL));
}

static void describe_state(struct describe *describe, const char *title, const struct json *state)
{
    const struct json *running = json_get(state, "running", NULL), *ended = json_get(state, "terminated", NULL);
    const char *waiting_reason = json_str_or("", state, "waiting", "reason", NULL);
    if (running != NULL) {
        describe_write(describe, 2, "%s:\tRunning\n", title);
        describe_time_field(describe, 3, "Started", json_str(running, "startedAt", NULL));
    } else if (ended != NULL) {
        const char *reason = json_str_or("", ended, "reason", NULL), *message = json_str_or("", ended, "message", NULL);
        long long signal = json_int_or(0, ended, "signal", NULL);
        describe_write(describe, 2, "%s:\tTerminated\n", title);
        if (reason[0] != '\0')
            describe_write(describe, 3, "Reason:\t%s\n", reason);
        if (message[0] != '\0')
            describe_write(describe, 3, "Message:\t%s\n", message);
        describe_write(describe, 3, "Exit Code:\t%lld\n", (long long)json_int_or(0, ended, "exitCode", NULL));
        if (signal > 0)
            describe_write(describe, 3, "Signal:\t%lld\n", signal);
        describe_time_field(describe, 3, "Started", json_str(ended, "startedAt", NULL));
        describe_time_field(describe, 3, "Finished", json_str(ended, "finishedAt", NULL));
    } else {
        describe_write(describe, 2, "%s:\tWaiting\n", title);
        if (waiting_reason[0] != '\0')
            describe_write(describe, 3, "Reason:\t%s\n", waiting_reason);
    }
}

static void describe_quantities(struct describe *describe, const char *title, const struct json *quantities, int level)
{
    CLEANUP(strv_done) struct strv names = {0};
    gotext_keys(quantities, &names);
    if (names.n > 0)
        describe_write(describe, level, "%s:\n", title);
    for (size_t i = 0; i < names.n; i++) {
        CLEANUP(buf_done) struct buf value = {0};
        describe_scalar(json_member(quantities, names.items[i]), &value);
        describe_write(describe, level + 1, "%s:\t%s\n", names.items[i], buf_text(&value));
    }
}

static void describe_resources(struct describe *describe, const struct json *resources, int level)
{
    describe_quantities(describe, "Limits", json_get(resources, "limits", NULL), level);
    describe_quantities(describe, "Requests", json_get(resources, "requests", NULL), level);
}

static void describe_probe(struct describe *describe, const char *title, const struct json *probe)
{
    if (probe == NULL)
        return;
    CLEANUP(buf_done) struct buf what = {0}, port = {0};
    const struct json *http = json_get(probe, "httpGet", NULL), *tcp = json_get(probe, "tcpSocket", NULL);
    const struct json *grpc = json_get(probe, "grpc", NULL), *command = json_get(probe, "exec", "command", NULL);
    if (http != NULL || tcp != NULL)
        describe_scalar(json_get(http != NULL ? http : tcp, "port", NULL), &port);
    if (json_get(probe, "exec", NULL) != NULL) {
        buf_add_str(&what, "exec ");
        if (command != NULL)
            gotext_print(command, &what);
        else
            buf_add_str(&what, "[]");
    } else if (http != NULL) {
        CLEANUP(xfree) char *scheme = xstrdup(json_str_or("HTTP", http, "scheme", NULL));
        for (char *c = scheme; *c != '\0'; c++)
            *c = (char)tolower((unsigned char)*c);
        const char *path = json_str_or("", http, "path", NULL);
        const char *host = json_str_or("", http, "host", NULL);
        bool colon = strchr(host, ':') != NULL; /* an IPv6 address */
        buf_printf(&what, "http-get %s://%s%s%s:%s%s%s", scheme, colon ? "[" : "", host, colon ? "]" : "", buf_text(&port),
                   path[0] != '\0' && path[0] != '/' ? "/" : "", path);
    } else if (tcp != NULL) {
        buf_printf(&what, "tcp-socket %s:%s", json_str_or("", tcp, "host", NULL), buf_text(&port));
    } else if (grpc != NULL) {
        buf_printf(&what, "grpc <pod>:%lld %s", (long long)json_int_or(0, grpc, "port", NULL),
                   json_str_or("", grpc, "service", NULL));
    } else {
        buf_add_str(&what, "unknown");
    }
    describe_write(describe, 2, "%s:\t%s delay=%llds timeout=%llds period=%llds #success=%lld #failure=%lld\n", title,
                   buf_text(&what), (long long)json_int_or(0, probe, "initialDelaySeconds", NULL),
                   (long long)json_int_or(0, probe, "timeoutSeconds", NULL),
                   (long long)json_int_or(0, probe, "periodSeconds", NULL),
                   (long long)json_int_or(0, probe, "successThreshold", NULL),
                   (long long)json_int_or(0, probe, "failureThreshold", NULL));
}

/* What a fieldRef comes to: kubectl's client knows the fields that every object has, and shows no others. */
static const char *field_value(const struct json *pod, const char *path)
{
    const char *member = streq(path, "metadata.name") ? "name" : streq(path, "metadata.namespace") ? "namespace" : NULL;
    return member != NULL ? json_str_or("", pod, "metadata", member, NULL) : "";
}

static void describe_resource_variable(struct describe *describe, const char *name, const struct json *reference,
                                       const struct json *container)
{
    CLEANUP(err_clear) struct err unsupported = {0};
    const char *resource = json_str_or("", reference, "resource", NULL);
    int64_t value = 0;
    if (resource_ref_value(reference, container, &value, &unsupported) < 0)
        describe_write(describe, 3, "%s:\t (%s)\n", name, resource);
    else if (value == 0 && (streq(resource, "limits.cpu") || streq(resource, "limits.memory")))
        describe_write(describe, 3, "%s:\tnode allocatable (%s)\n", name, resource);
    else
        describe_write(describe, 3, "%s:\t%lld (%s)\n", name, (long long)value, resource);
}

static void describe_variable(struct describe *describe, const struct json *variable, const struct json *container,
                              const struct json *pod)
{
    const char *name = json_str_or("", variable, "name", NULL);
    const struct json *from = json_get(variable, "valueFrom", NULL);
    const struct json *field = json_get(from, "fieldRef", NULL), *resource = json_get(from, "resourceFieldRef", NULL);
    const struct json *secret = json_get(from, "secretKeyRef", NULL),
                      *config_map = json_get(from, "configMapKeyRef", NULL);
    if (from == NULL) {
        const char *value = json_str_or("", variable, "value", NULL);
        for (bool first = true; value != NULL; first = false) {
            size_t n = strcspn(value, "\n");
            describe_write(describe, 3, "%s%s\t%.*s\n", first ? name : "", first ? ":" : "", (int)n, value);
            value = value[n] == '\n' ? value + n + 1 : NULL;
        }
    } else if (field != NULL) {
        const char *path = json_str_or("", field, "fieldPath", NULL);
        describe_write(describe, 3, "%s:\t%s (%s:%s)\n", name, field_value(pod, path),
                       json_str_or("", field, "apiVersion", NULL), path);
    } else if (resource != NULL) {
        describe_resource_variable(describe, name, resource, container);
    } else if (secret != NULL || config_map != NULL) {
        const struct json *reference = secret != NULL ? secret : config_map;
        describe_write(describe, 3, "%s:\t<set to the key '%s' %s '%s'>\tOptional: %s\n", name,
                       json_str_or("", reference, "key", NULL), secret != NULL ? "in secret" : "of config map",
                       json_str_or("", reference, "name", NULL),
                       json_is_true(reference, "optional", NULL) ? "true" : "false");
    }
}

static void describe_environment(struct describe *describe, const struct json *container, const struct json *pod)
{
    const struct json *sources = json_get(container, "envFrom", NULL), *source, *variable;
    const struct json *variables = json_get(container, "env", NULL);
    if (json_len(sources) > 0)
        describe_write(describe, 2, "Environment Variables from:\n");
    json_each(source, sources) {
        const struct json *config_map = json_get(source, "configMapRef", NULL),
                          *secret = json_get(source, "secretRef", NULL);
        const struct json *reference = config_map != NULL ? config_map : secret;
        const char *prefix = json_str_or("", source, "prefix", NULL);
        describe_write(describe, 3, "%s\t%s%s%s%s\tOptional: %s\n", json_str_or("", reference, "name", NULL),
                       config_map != NULL ? "ConfigMap"
                       : secret != NULL   ? "Secret"
                                          : "",
                       prefix[0] != '\0' ? " with prefix '" : "", prefix, prefix[0] != '\0' ? "'" : "",
                       json_is_true(reference, "optional", NULL) ? "true" : "false");
    }
    describe_write(describe, 2, "Environment:%s\n", json_len(variables) == 0 ? "\t<none>" : "");
    json_each(variable, variables)
        describe_variable(describe, variable, container, pod);
}

static int by_path(const void *left, const void *right)
{
    const struct json *const *a = left, *const *b = right;
    const char *x = json_str(*a, "mountPath", NULL), *y = json_str(*b, "mountPath", NULL);
    return x != NULL && y != NULL
               ? strcmp(x, y)
               : strcmp(json_str_or("", *a, "devicePath", NULL), json_str_or("", *b, "devicePath", NULL));
}

static const struct json **sorted_by_path(const struct json *list, size_t *ret_n)
{
    *ret_n = json_len(list);
    const struct json **items = xcalloc(*ret_n + 1, sizeof(*items));
    for (size_t i = 0; i < *ret_n; i++)
        items[i] = json_at(list, i);
    qsort(items, *ret_n, sizeof(*items), by_path);
    return items;
}

static void describe_mounts(struct describe *describe, const struct json *container)
{
    size_t n = 0;
    CLEANUP(xfree) const struct json **mounts = sorted_by_path(json_get(container, "volumeMounts", NULL), &n);
    const char *none = n == 0 ? "\t<none>" : "";
    describe_write(describe, 2, "Mounts:%s\n", none);
    for (size_t i = 0; i < n; i++) {
        CLEANUP(buf_done) struct buf flags = {0};
        const char *sub_path = json_str_or("", mounts[i], "subPath", NULL);
        buf_add_str(&flags, json_is_true(mounts[i], "readOnly", NULL) ? "ro" : "rw");
        if (sub_path[0] != '\0') {
            buf_add_str(&flags, ",path=");
            gotext_quote(sub_path, &flags);
        }
        describe_write(describe, 3, "%s from %s (%s)\n", json_str_or("", mounts[i], "mountPath", NULL),
                       json_str_or("", mounts[i], "name", NULL), buf_text(&flags));
    }
    CLEANUP(xfree) const struct json **devices = sorted_by_path(json_get(container, "volumeDevices", NULL), &n);
    if (n > 0)
        describe_write(describe, 2, "Devices:%s\n", none);
    for (size_t i = 0; i < n; i++)
        describe_write(describe, 3, "%s from %s\n", json_str_or("", devices[i], "devicePath", NULL),
                       json_str_or("", devices[i], "name", NULL));
}

static const struct json *find_status(const struct json *statuses, const char *name)
{
    const struct json *status;
    json_each(status, statuses) {
        if (streq(json_str(status, "name", NULL), name))
            return status;
    }
    return NULL;
}

static void describe_container(struct describe *describe, const struct json *container, const struct json *status,
                               const struct json *pod, const char *indent)
{
    const struct json *ports = json_get(container, "ports", NULL), *last = json_get(status, "lastState", NULL);
    describe_write(describe, 1, "%s%s:\n", indent[0] != '\0' ? " " : "", json_str_or("", container, "name", NULL));
    if (status != NULL)
        describe_write(describe, 2, "Container ID:\t%s\n", json_str_or("", status, "containerID", NULL));
    describe_write(describe, 2, "Image:\t%s\n", json_str_or("", container, "image", NULL));
    if (status != NULL)
        describe_write(describe, 2, "Image ID:\t%s\n", json_str_or("", status, "imageID", NULL));
    describe_ports(describe, ports, "containerPort", "Port", "Ports");
    describe_ports(describe, ports, "hostPort", "Host Port", "Host Ports");
    describe_seccomp(describe, 2, json_get(container, "securityContext", NULL));
    describe_lines(describe, "Command", json_get(container, "command", NULL));
    describe_lines(describe, "Args", json_get(container, "args", NULL));
    if (status != NULL) {
        describe_state(describe, "State", json_get(status, "state", NULL));
        if (json_get(last, "terminated", NULL) != NULL)
            describe_state(describe, "Last State", last);
        describe_write(describe, 2, "Ready:\t%s\n", json_is_true(status, "ready", NULL) ? "True" : "False");
        describe_write(describe, 2, "Restart Count:\t%lld\n", (long long)json_int_or(0, status, "restartCount", NULL));
    }
    describe_resources(describe, json_get(container, "resources", NULL), 2);
    describe_probe(describe, "Liveness", json_get(container, "livenessProbe", NULL));
    describe_probe(describe, "Readiness", json_get(container, "readinessProbe", NULL));
    describe_probe(describe, "Startup", json_get(container, "startupProbe", NULL));
    describe_environment(describe, container, pod);
    describe_mounts(describe, container);
}

void describe_containers(struct describe *describe, const char *title, const struct json *containers,
                         const struct json *statuses, const struct json *pod, const char *indent)
{
    const struct json *container;
    describe_write(describe, 0, "%s%s:%s\n", indent, title, json_len(containers) == 0 ? " <none>" : "");
    json_each(container, containers)
        describe_container(describe, container, find_status(statuses, json_str_or("", container, "name", NULL)), pod,
                           indent);
}

/* --- the rest of a pod */

static int by_key(const void *left, const void *right)
{
    const struct json *const *a = left, *const *b = right;
    int order = strcmp(json_str_or("", *a, "key", NULL), json_str_or("", *b, "key", NULL));
    return order != 0 ? order : a < b ? -1 : 1;
}

void describe_tolerations(struct describe *describe, const char *title, const struct json *tolerations)
{
    size_t n = json_len(tolerations);
    describe_write(describe, 0, "%s:\t", title);
    if (n == 0)
        describe_write(describe, 0, "<none>\n");
    CLEANUP(xfree) const struct json **list = xcalloc(n + 1, sizeof(*list));
    for (size_t i = 0; i < n; i++)
        list[i] = json_at(tolerations, i);
    qsort(list, n, sizeof(*list), by_key);
    for (size_t i = 0; i < n; i++) {
        const char *key = json_str_or("", list[i], "key", NULL), *value = json_str_or("", list[i], "value", NULL);
        const char *effect = json_str_or("", list[i], "effect", NULL);
        describe_write(describe, 0, "%s%s%s%s%s%s", i > 0 ? "\t" : "", key, value[0] != '\0' ? "=" : "", value,
                       effect[0] != '\0' ? ":" : "", effect);
        if (streq(json_str(list[i], "operator", NULL), "Exists") && value[0] == '\0')
            describe_write(describe, 0, "%sop=Exists", key[0] != '\0' || effect[0] != '\0' ? " " : "");
        const struct json *seconds = json_get(list[i], "tolerationSeconds", NULL);
        if (seconds != NULL)
            describe_write(describe, 0, " for %llds", (long long)json_int_value(seconds));
        describe_write(describe, 0, "\n");
    }
}

static int by_topology_key(const void *left, const void *right)
{
    const struct json *const *a = left, *const *b = right;
    return strcmp(json_str_or("", *a, "topologyKey", NULL), json_str_or("", *b, "topologyKey", NULL));
}

void describe_topology_spread(struct describe *describe, const struct json *constraints, const char *indent)
{
    size_t n = json_len(constraints);
    CLEANUP(xfree) const struct json **list = xcalloc(n + 1, sizeof(*list));
    for (size_t i = 0; i < n; i++)
        list[i] = json_at(constraints, i);
    qsort(list, n, sizeof(*list), by_topology_key);
    if (n > 0)
        describe_write(describe, 0, "%sTopology Spread Constraints:\t", indent);
    for (size_t i = 0; i < n; i++) {
        const struct json *selector = json_get(list[i], "labelSelector", NULL);
        CLEANUP(buf_done) struct buf text = {0};
        describe_selector(selector, &text);
        describe_write(describe, 0, "%s%s%s:%s when max skew %lld is exceeded%s%s\n", i > 0 ? indent : "",
                       i > 0 ? "\t" : "", json_str_or("", list[i], "topologyKey", NULL),
                       json_str_or("", list[i], "whenUnsatisfiable", NULL),
                       (long long)json_int_or(0, list[i], "maxSkew", NULL), selector != NULL ? " for selector " : "",
                       selector != NULL ? buf_text(&text) : "");
    }
}

/* The scheduling group of a pod or template, where it has one. */
static void describe_scheduling_group(struct describe *describe, const struct json *spec, const char *indent)
{
    const struct json *group = json_get(spec, "schedulingGroup", NULL);
    if (group == NULL)
        return;
    describe_write(describe, 0, "%sSchedulingGroup:\n", indent);
    describe_write(describe, 1, "PodGroupName:\t%s\n", json_str_or("", group, "podGroupName", NULL));
}

void describe_pod_template(struct describe *describe, const struct json *template)
{
    const struct json *spec = json_get(template, "spec", NULL);
    const struct json *annotations = json_get(template, "metadata", "annotations", NULL);
    const char *account = json_str_or("", spec, "serviceAccountName", NULL);
    const char *priority = json_str_or("", spec, "priorityClassName", NULL);
    describe_write(describe, 0, "Pod Template:\n");
    describe_map(describe, "  Labels", json_get(template, "metadata", "labels", NULL));
    if (json_len(annotations) > 0)
        describe_annotations(describe, "  Annotations", annotations);
    if (account[0] != '\0')
        describe_write(describe, 1, "Service Account:\t%s\n", account);
    if (json_len(json_get(spec, "initContainers", NULL)) > 0)
        describe_containers(describe, "Init Containers", json_get(spec, "initContainers", NULL), NULL, NULL, "  ");
    describe_containers(describe, "Containers", json_get(spec, "containers", NULL), NULL, NULL, "  ");
    describe_volumes(describe, json_get(spec, "volumes", NULL), "  ");
    describe_topology_spread(describe, json_get(spec, "topologySpreadConstraints", NULL), "  ");
    if (priority[0] != '\0')
        describe_write(describe, 1, "Priority Class Name:\t%s\n", priority);
    describe_map(describe, "  Node-Selectors", json_get(spec, "nodeSelector", NULL));
    describe_tolerations(describe, "  Tolerations", json_get(spec, "tolerations", NULL));
    describe_scheduling_group(describe, spec, "  ");
}

static void describe_pod_identity(struct describe *describe)
{
    const struct json *pod = describe->object, *spec = json_get(pod, "spec", NULL),
                      *status = json_get(pod, "status", NULL);
    const char *node = json_str_or("", spec, "nodeName", NULL);
    describe_head(describe);
    if (json_get(spec, "priority", NULL) != NULL)
        describe_write(describe, 0, "Priority:\t%lld\n", (long long)json_int_or(0, spec, "priority", NULL));
    static const struct {
        const char *field, *title;
    } names[] = {{"priorityClassName", "Priority Class Name"},
                 {"runtimeClassName", "Runtime Class Name"},
                 {"serviceAccountName", "Service Account"}};
    for (size_t i = 0; i < countof(names); i++) {
        const char *value = json_str_or("", spec, names[i].field, NULL);
        if (value[0] != '\0')
            describe_write(describe, 0, "%s:\t%s\n", names[i].title, value);
    }
    if (node[0] == '\0')
        describe_write(describe, 0, "Node:\t<none>\n");
    else
        describe_write(describe, 0, "Node:\t%s/%s\n", node, json_str_or("", status, "hostIP", NULL));
    if (json_str(status, "startTime", NULL) != NULL)
        describe_time_field(describe, 0, "Start Time", json_str(status, "startTime", NULL));
    describe_map(describe, "Labels", json_get(pod, "metadata", "labels", NULL));
    describe_annotations(describe, "Annotations", json_get(pod, "metadata", "annotations", NULL));
}

static void describe_pod_status(struct describe *describe)
{
    const struct json *pod = describe->object, *status = json_get(pod, "status", NULL);
    const char *phase = json_str_or("", status, "phase", NULL),
               *deleted = json_str(pod, "metadata", "deletionTimestamp", NULL);
    if (deleted != NULL && !streq(phase, "Failed") && !streq(phase, "Succeeded")) {
        CLEANUP(buf_done) struct buf age = {0};
        describe_age(deleted, &age);
        describe_write(describe, 0, "Status:\tTerminating (lasts %s)\n", buf_text(&age));
        describe_write(describe, 0, "Termination Grace Period:\t%llds\n",
                       (long long)json_int_or(0, pod, "metadata", "deletionGracePeriodSeconds", NULL));
    } else {
        describe_write(describe, 0, "Status:\t%s\n", phase);
    }
    const char *reason = json_str_or("", status, "reason", NULL), *message = json_str_or("", status, "message", NULL);
    if (reason[0] != '\0')
        describe_write(describe, 0, "Reason:\t%s\n", reason);
    if (message[0] != '\0')
        describe_write(describe, 0, "Message:\t%s\n", message);
    describe_seccomp(describe, 0, json_get(pod, "spec", "securityContext", NULL));
    describe_write(describe, 0, "IP:\t%s\n", json_str_or("", status, "podIP", NULL));
    const struct json *address, *addresses = json_get(status, "podIPs", NULL);
    describe_write(describe, 0, "IPs:%s\n", json_len(addresses) == 0 ? "\t<none>" : "");
    json_each(address, addresses)
        describe_write(describe, 1, "IP:\t%s\n", json_str_or("", address, "ip", NULL));
    describe_controller(describe);
    const char *nominated = json_str_or("", status, "nominatedNodeName", NULL);
    if (nominated[0] != '\0')
        describe_write(describe, 0, "NominatedNodeName:\t%s\n", nominated);
}

static const char *condition_status(const struct json *status, const char *type)
{
    const struct json *condition;
    json_each(condition, json_get(status, "conditions", NULL)) {
        if (streq(json_str(condition, "type", NULL), type))
            return json_str_or("", condition, "status", NULL);
    }
    return "<none>";
}

static void describe_pod_conditions(struct describe *describe)
{
    const struct json *spec = json_get(describe->object, "spec", NULL),
                      *status = json_get(describe->object, "status", NULL);
    const struct json *gate, *condition, *gates = json_get(spec, "readinessGates", NULL);
    if (json_len(gates) > 0)
        describe_write(describe, 0, "Readiness Gates:\n  Type\tStatus\n");
    json_each(gate, gates) {
        const char *type = json_str_or("", gate, "conditionType", NULL);
        describe_write(describe, 1, "%s \t%s \n", type, condition_status(status, type));
    }
    if (json_len(json_get(status, "conditions", NULL)) > 0)
        describe_write(describe, 0, "Conditions:\n  Type\tStatus\n");
    json_each(condition, json_get(status, "conditions", NULL))
        describe_write(describe, 1, "%s \t%s \n", json_str_or("", condition, "type", NULL),
                       json_str_or("", condition, "status", NULL));
}

void describe_pod(struct describe *describe)
{
    const struct json *pod = describe->object, *spec = json_get(pod, "spec", NULL),
                      *status = json_get(pod, "status", NULL);
    describe_pod_identity(describe);
    describe_pod_status(describe);
    if (json_get(spec, "resources", NULL) != NULL) {
        describe_write(describe, 0, "Resources:\n");
        describe_resources(describe, json_get(spec, "resources", NULL), 1);
    }
    if (json_len(json_get(spec, "initContainers", NULL)) > 0)
        describe_containers(describe, "Init Containers", json_get(spec, "initContainers", NULL),
                            json_get(status, "initContainerStatuses", NULL), pod, "");
    describe_containers(describe, "Containers", json_get(spec, "containers", NULL),
                        json_get(status, "containerStatuses", NULL), pod, "");
    if (json_len(json_get(spec, "ephemeralContainers", NULL)) > 0)
        describe_containers(describe, "Ephemeral Containers", json_get(spec, "ephemeralContainers", NULL),
                            json_get(status, "ephemeralContainerStatuses", NULL), pod, "");
    describe_pod_conditions(describe);
    describe_volumes(describe, json_get(spec, "volumes", NULL), "");
    describe_write(describe, 0, "QoS Class:\t%s\n", json_str_or("", status, "qosClass", NULL));
    describe_map(describe, "Node-Selectors", json_get(spec, "nodeSelector", NULL));
    describe_tolerations(describe, "Tolerations", json_get(spec, "tolerations", NULL));
    describe_topology_spread(describe, json_get(spec, "topologySpreadConstraints", NULL), "");
    describe_scheduling_group(describe, spec, "");
    describe_events(describe);
}
