/*
 * downward.h: values that a container may ask about its own pod (the downward API), for environment variables and for
 * files of downwardAPI volumes. Pure.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "data/json.h"

/* What the Pod object itself does not say, or not yet. Everything borrowed. */
struct downward_context {
    const char *pod_ip;    /* status.podIP, status.podIPs; NULL: from the pod's status, else "" */
    const char *host_ip;   /* status.hostIP(s); NULL: from the pod's status, else "" */
    const char *node_name; /* spec.nodeName; NULL: from the pod's spec, else "" */
    /* limits.* and requests.* of containers that set none: the Node's allocatable */
    int64_t allocatable_cpu_m, allocatable_mem_b, allocatable_storage_b;
};

/*
 * fieldRef: metadata.name/namespace/uid/labels/annotations (files only: one key="value" line each, sorted),
 * metadata.labels['k'], metadata.annotations['k'], spec.nodeName, spec.serviceAccountName, status.podIP(s),
 * status.hostIP(s). *ret is a heap string, the caller's. ERR_INVALID: no such field.
 */
int downward_field(const struct json *pod, const char *field_path, const struct downward_context *context, char **ret,
                   struct err *err) MUST_CHECK;
/*
 * resourceFieldRef: resource is "limits.cpu", "requests.memory", "limits.ephemeral-storage",
 * "limits.hugepages-2Mi", ...; divisor "" or NULL means 1. The quotient is rounded up. *ret is a heap string.
 * ERR_INVALID: no such resource or divisor.
 */
int downward_resource(const struct json *container, const char *resource, const char *divisor,
                      const struct downward_context *context, char **ret, struct err *err) MUST_CHECK;
