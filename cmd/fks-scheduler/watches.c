/*
 * watches.c: see watches.h. What is not named here is kept, so a new member of the API costs memory and nothing else. What
 * fargate/support.h, size.h, place.h and match.h read must not be here.
 */
#include "watches.h"

static const struct json_omit in_annotations[] = {{.name = "kubectl.kubernetes.io/last-applied-configuration"}, {0}};

static const struct json_omit in_metadata[] = {
    {.name = "managedFields"}, {.name = "generateName"}, {.name = "annotations", .inside = in_annotations}, {0}};

static const struct json_omit in_pod_metadata[] = {
    {.name = "managedFields"},
    {.name = "generateName"},
    {.name = "generation"},
    {.name = "creationTimestamp"},
    {.name = "ownerReferences"},
    {.name = "annotations", .inside = in_annotations},
    {0},
};

/* Which kind of volume it is counts, not what is in it; but for claims. */
static const struct json_omit in_source[] = {
    {.name = "sources"}, {.name = "items"}, {.name = "defaultMode"}, {.name = "name"}, {.name = "secretName"}, {0}};
static const struct json_omit in_volume[] = {
    {.name = "projected", .inside = in_source},
    {.name = "configMap", .inside = in_source},
    {.name = "secret", .inside = in_source},
    {.name = "downwardAPI", .inside = in_source},
    {0},
};

static const struct json_omit in_condition[] = {
    {.name = "lastHeartbeatTime"}, {.name = "lastTransitionTime"}, {.name = "lastProbeTime"},
    {.name = "observedGeneration"}, {0}};

static const struct json_omit in_container[] = {
    {.name = "image"},         {.name = "imagePullPolicy"},  {.name = "command"},
    {.name = "args"},          {.name = "env"},              {.name = "envFrom"},
    {.name = "volumeMounts"},  {.name = "volumeDevices"},    {.name = "livenessProbe"},
    {.name = "readinessProbe"}, {.name = "startupProbe"},    {.name = "lifecycle"},
    {.name = "workingDir"},    {.name = "terminationMessagePath"}, {.name = "terminationMessagePolicy"},
    {0},
};

static const struct json_omit in_pod_spec[] = {
    {.name = "containers", .inside = in_container},
    {.name = "initContainers", .inside = in_container},
    {.name = "volumes", .inside = in_volume},
    {.name = "ephemeralContainers"},
    {.name = "tolerations"},
    {.name = "imagePullSecrets"},
    {.name = "hostAliases"},
    {.name = "dnsConfig"},
    {.name = "dnsPolicy"},
    {.name = "serviceAccount"},
    {.name = "serviceAccountName"},
    {.name = "terminationGracePeriodSeconds"},
    {.name = "enableServiceLinks"},
    {.name = "preemptionPolicy"},
    {.name = "priority"},
    {.name = "priorityClassName"},
    {.name = "restartPolicy"},
    {0},
};

static const struct json_omit in_pod_status[] = {
    {.name = "conditions", .inside = in_condition},
    {.name = "observedGeneration"},
    {.name = "containerStatuses"}, {.name = "initContainerStatuses"}, {.name = "ephemeralContainerStatuses"},
    {.name = "podIP"},             {.name = "podIPs"},                {.name = "hostIP"},
    {.name = "hostIPs"},           {.name = "startTime"},             {.name = "qosClass"},
    {0},
};

const struct json_omit watches_omit_of_pods[] = {
    {.name = "metadata", .inside = in_pod_metadata},
    {.name = "spec", .inside = in_pod_spec},
    {.name = "status", .inside = in_pod_status},
    {0},
};

static const struct json_omit in_node_condition[] = {
    {.name = "lastHeartbeatTime"}, {.name = "lastTransitionTime"}, {.name = "reason"}, {.name = "message"}, {0}};
static const struct json_omit in_node_status[] = {
    {.name = "images"},
    {.name = "nodeInfo"},
    {.name = "addresses"},
    {.name = "capacity"},
    {.name = "allocatable"},
    {.name = "daemonEndpoints"},
    {.name = "runtimeHandlers"},
    {.name = "features"},
    {.name = "conditions", .inside = in_node_condition},
    {0},
};

static const struct json_omit in_node_labels[] = {
    {.name = "beta.kubernetes.io/arch"},
    {.name = "beta.kubernetes.io/os"},
    {.name = "kubernetes.io/arch"},
    {.name = "kubernetes.io/os"},
    {.name = "kubernetes.io/hostname"},
    {.name = "topology.kubernetes.io/region"},
    {.name = "topology.kubernetes.io/zone"},
    {.name = "failure-domain.beta.kubernetes.io/region"},
    {.name = "failure-domain.beta.kubernetes.io/zone"},
    {.name = "node.kubernetes.io/exclude-from-external-load-balancers"},
    {.name = "node.kubernetes.io/exclude-disruption"},
    {0},
};
static const struct json_omit in_node_annotations[] = {
    {.name = "node.alpha.kubernetes.io/ttl"}, {.name = "volumes.kubernetes.io/controller-managed-attach-detach"}, {0}};
static const struct json_omit in_node_metadata[] = {
    {.name = "managedFields"},
    {.name = "creationTimestamp"},
    {.name = "labels", .inside = in_node_labels},
    {.name = "annotations", .inside = in_node_annotations},
    {0},
};

const struct json_omit watches_omit_of_nodes[] = {
    {.name = "metadata", .inside = in_node_metadata},
    {.name = "spec"},
    {.name = "status", .inside = in_node_status},
    {0},
};

const struct json_omit watches_omit_of_others[] = {{.name = "metadata", .inside = in_metadata}, {0}};

struct json *watches_keep_names(const struct json *object UNUSED)
{
    return NULL;
}
