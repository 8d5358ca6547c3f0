/*
 * watches.c: see watches.h. What is not named here is kept, so a new member of the API costs memory and nothing else. What
 * fargate/support.h, size.h, place.h and match.h read must not be here.
 */
#include "watches.h"

static const struct json_omit in_metadata[] = {{.name = "managedFields"}, {.name = "generateName"}, {0}};

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
    {.name = "containerStatuses"}, {.name = "initContainerStatuses"}, {.name = "ephemeralContainerStatuses"},
    {.name = "podIP"},             {.name = "podIPs"},                {.name = "hostIP"},
    {.name = "hostIPs"},           {.name = "startTime"},             {.name = "qosClass"},
    {0},
};

const struct json_omit watches_omit_of_pods[] = {
    {.name = "metadata", .inside = in_metadata},
    {.name = "spec", .inside = in_pod_spec},
    {.name = "status", .inside = in_pod_status},
    {0},
};

static const struct json_omit in_node_status[] = {
    {.name = "images"},    {.name = "nodeInfo"},        {.name = "addresses"},       {.name = "capacity"},
    {.name = "allocatable"}, {.name = "daemonEndpoints"}, {.name = "runtimeHandlers"}, {.name = "features"},
    {0},
};

const struct json_omit watches_omit_of_nodes[] = {
    {.name = "metadata", .inside = in_metadata},
    {.name = "spec"},
    {.name = "status", .inside = in_node_status},
    {0},
};

const struct json_omit watches_omit_of_others[] = {{.name = "metadata", .inside = in_metadata}, {0}};
