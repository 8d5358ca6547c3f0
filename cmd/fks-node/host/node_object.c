/*
 * node_object.c: the Node as the API server gets it. It is Ready from its first moment: the sandbox runs already,
 * so there is nothing to wait for.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "data/quantity.h"
#include "fargate/names.h"

#include "host/nodes.h"
#include "pod/pod.h"

char *node_name_for(const char *prefix, const char *address, const char *suffix, const char *region)
{
    CLEANUP(xfree) char *dashed = xstrdup(address);

    for (char *c = dashed; *c != '\0'; c++)
        if (*c == '.' || *c == ':')
            *c = '-';
    return xasprintf("%s%s%s%s.%s.compute.internal", prefix, dashed, suffix != NULL ? "-" : "",
                     suffix != NULL ? suffix : "", region);
}

static struct json *condition(const char *type, const char *status, const char *reason, const char *message,
                              const char *now)
{
    return json_build("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", type, "status", status, "reason", reason, "message",
                      message, "lastHeartbeatTime", now, "lastTransitionTime", now);
}

struct json *node_conditions(int64_t wall_ns)
{
    struct json *conditions = json_new_array();
    char now[CLOCK_TEXT_MAX];

    clock_rfc3339(wall_ns, now);
    json_push(conditions, condition("MemoryPressure", "False", "KubeletHasSufficientMemory",
                                    "kubelet has sufficient memory available", now));
    json_push(conditions,
              condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure", now));
    json_push(conditions, condition("PIDPressure", "False", "KubeletHasSufficientPID",
                                    "kubelet has sufficient PID available", now));
    json_push(conditions, condition("Ready", "True", "KubeletReady", "kubelet is posting ready status", now));
    return conditions;
}

static struct json *node_labels(const struct agent *agent, const char *name)
{
    const struct agent_options *options = &agent->options;
    const char *arch = agent->system.architecture;
    struct json *labels = json_new_object();
    /* Fargate's hostname label is the Node's name without the prefix */
    const char *hostname = name + strlen(options->node_prefix) - strlen("ip-");

    json_set_str(labels, FARGATE_COMPUTE_TYPE, FARGATE_COMPUTE_FARGATE);
    json_set_str(labels, FKS_HOST_LABEL, options->host_name);
    json_set_str(labels, "kubernetes.io/hostname", hostname);
    json_set_str(labels, "kubernetes.io/arch", arch);
    json_set_str(labels, "kubernetes.io/os", "linux");
    json_set_str(labels, "beta.kubernetes.io/arch", arch);
    json_set_str(labels, "beta.kubernetes.io/os", "linux");
    json_set_str(labels, "topology.kubernetes.io/region", options->region);
    json_set_str(labels, "topology.kubernetes.io/zone", options->zone);
    json_set_str(labels, "failure-domain.beta.kubernetes.io/region", options->region);
    json_set_str(labels, "failure-domain.beta.kubernetes.io/zone", options->zone);
    /* a Node per pod as a target of every load balancer, or counted in a zone's health, would do harm */
    json_set_str(labels, "node.kubernetes.io/exclude-from-external-load-balancers", "true");
    json_set_str(labels, "node.kubernetes.io/exclude-disruption", "true");
    return labels;
}

struct json *node_resources(const struct pod *pod)
{
    CLEANUP(buf_done) struct buf cpu = {0};
    CLEANUP(buf_done) struct buf memory = {0};
    CLEANUP(buf_done) struct buf storage = {0};

    quantity_print_milli(pod->size.cpu_m, &cpu);
    quantity_print_bytes(pod->size.mem_b, &memory);
    quantity_print_bytes(pod->size.storage_b > 0 ? pod->size.storage_b : FARGATE_STORAGE_DEFAULT_BYTES, &storage);
    return json_build("{s:s, s:s, s:s, s:s}", "cpu", buf_text(&cpu), "memory", buf_text(&memory), "ephemeral-storage",
                      buf_text(&storage), "pods", "1");
}

static struct json *node_info(const struct agent *agent)
{
    const struct agent_system *system = &agent->system;

    return json_build("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "machineID", system->machine_id,
                      "systemUUID", system->system_uuid, "bootID", system->boot_id, "kernelVersion", system->kernel,
                      "osImage", system->os_image, "containerRuntimeVersion", system->runtime_version,
                      "kubeletVersion", AGENT_KUBELET_VERSION, "kubeProxyVersion", "", "operatingSystem", "linux",
                      "architecture", system->architecture);
}

struct json *node_object(const struct agent *agent, const struct pod *pod, const char *name, int port)
{
    CLEANUP(xfree) char *provider = xasprintf("fks:///%s/%s", agent->options.zone, name);
    CLEANUP(xfree) char *title = xasprintf("%s/%s", pod->namespace, pod->name);
    struct json *resources = node_resources(pod);

    struct json *handlers = json_len(agent->runtime.handlers) > 0 ? json_clone(agent->runtime.handlers) : json_new_array();

    return json_build(
        "{s:s, s:s, s:{s:s, s:o, s:{s:s, s:s, s:s, s:s}}, s:{s:s, s:[{s:s, s:s, s:s}]},"
        " s:{s:o, s:o, s:o, s:[{s:s, s:s}], s:o, s:{s:{s:i}}, s:o, s:{s:b}, s:[s]}}",
        "apiVersion", "v1", "kind", "Node", "metadata", "name", name, "labels", node_labels(agent, name),
        "annotations", FKS_POD_UID_ANNOTATION, pod->uid, FKS_POD_ANNOTATION, title, "node.alpha.kubernetes.io/ttl",
        "0", "volumes.kubernetes.io/controller-managed-attach-detach", "true", "spec", "providerID", provider,
        "taints", "key", FARGATE_COMPUTE_TYPE, "value", FARGATE_COMPUTE_FARGATE, "effect", "NoSchedule", "status",
        "capacity", json_keep(resources), "allocatable", resources, "conditions", node_conditions(clock_wall_ns()),
        "addresses", "type", "InternalIP", "address", agent->options.address, "nodeInfo", node_info(agent),
        "daemonEndpoints", "kubeletEndpoint", "Port", port, "runtimeHandlers", handlers, "features",
        "supplementalGroupsPolicy", (int)agent->runtime.strict_groups, "declaredFeatures",
        "RestartAllContainersOnContainerExits");
}
