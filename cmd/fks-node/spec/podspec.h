/*
 * podspec.h: from a Pod to the CRI's sandbox and container configurations, as the kubelet makes them. Pure.
 *
 * The way of one container: environment_make, volumes_mounts_of, podspec_check_user, podspec_container,
 * cri_create_container.
 */
#pragma once

#include "base/str.h"
#include "cri/runtime.h"
#include "data/json.h"

#include "spec/environment.h"
#include "volumes/volumes.h"

/* Labels and annotations that come back with cri_list_*: enough to rebuild everything after a restart of the agent. */
#define PODSPEC_LABEL_POD_NAME "io.kubernetes.pod.name"
#define PODSPEC_LABEL_POD_NAMESPACE "io.kubernetes.pod.namespace"
#define PODSPEC_LABEL_POD_UID "io.kubernetes.pod.uid"
#define PODSPEC_LABEL_CONTAINER_NAME "io.kubernetes.container.name"
#define PODSPEC_ANNOTATION_HASH "io.kubernetes.container.hash" /* podspec_container_hash */
#define PODSPEC_ANNOTATION_RESTART_COUNT "io.kubernetes.container.restartCount"
#define PODSPEC_ANNOTATION_MESSAGE_PATH "io.kubernetes.container.terminationMessagePath"
#define PODSPEC_ANNOTATION_MESSAGE_POLICY "io.kubernetes.container.terminationMessagePolicy"
#define PODSPEC_ANNOTATION_PORTS "io.kubernetes.container.ports"              /* JSON of the container's ports */
#define PODSPEC_ANNOTATION_PRESTOP "io.kubernetes.container.preStopHandler"   /* JSON of lifecycle.preStop */
#define PODSPEC_ANNOTATION_GRACE "io.kubernetes.pod.terminationGracePeriod"

/* About host, Node and pod; everything borrowed for the call. */
struct podspec_context {
    const char *log_root;      /* "/var/log/pods" */
    /* of the sandbox, as the runtime wants it; the caller sets the pod's limits on it; or NULL */
    const char *cgroup_parent;
    const char *const *cluster_dns; /* NULL-ended; NULL or empty: ClusterFirst acts as Default */
    const char *cluster_domain;     /* "cluster.local"; NULL or "": no search domains of the cluster */
    const char *host_resolv_conf;   /* text of the host's /etc/resolv.conf */
    int64_t provisioned_cpu_m;      /* the pod's machine: its cap where containers set no limits */
    int64_t provisioned_mem_b;
    struct cri_id_range user_ids; /* of the pod's user namespace; length 0: it has none */
    bool oom_group, swap_limits;  /* the host's cgroups have memory.oom.group and memory.swap.max: v2 only */
};

struct podspec_memory; /* private: what the pointers of a configuration point to */

struct podspec_sandbox {
    struct cri_sandbox_config config;
    struct podspec_memory *memory; /* private */
};
/*
 * attempt: 0 for the pod's first sandbox, one more for each that had to be made anew. Pass the same one again with
 * every cri_create_container in it. ERR_INVALID: a quantity or sysctl that makes no sense.
 */
int podspec_sandbox(const struct json *pod, const struct podspec_context *context, uint32_t attempt,
                    struct podspec_sandbox **ret, struct err *err) MUST_CHECK;
struct podspec_sandbox *podspec_sandbox_free(struct podspec_sandbox *sandbox);

struct podspec_container_input { /* everything borrowed for the call */
    const struct json *pod;
    const struct json *container; /* element of containers, initContainers or ephemeralContainers */
    uint32_t attempt;             /* = restart count */
    const struct cri_image *image; /* as cri_image_status gave it after the pull; never NULL */
    const struct environment *environment; /* of environment_make */
    const struct volumes_mounts *mounts;   /* of volumes_mounts_of */
    const char *target_container_id; /* runtime's id of an ephemeral container's targetContainerName; or NULL */
};
struct podspec_container {
    struct cri_container_config config;
    struct podspec_memory *memory; /* private */
};
/* ERR_INVALID: the text for CreateContainerConfigError. */
int podspec_container(const struct podspec_container_input *input, const struct podspec_context *context,
                      struct podspec_container **ret, struct err *err) MUST_CHECK;
struct podspec_container *podspec_container_free(struct podspec_container *container);

struct podspec_host { /* what a pod may ask of host and runtime */
    bool known;      /* false: the runtime was not asked yet */
    const char *handler; /* of the pod's RuntimeClass, or "" */
    bool user_namespaces, strict_groups, apparmor;
};
/* Whether the pod can be run as it asks. ERR_UNSUPPORTED, as the kubelet says it; ERR_BUSY: not known yet. */
int podspec_check_host(const struct json *pod, const struct podspec_host *host, struct err *err) MUST_CHECK;

/*
 * Name of the first of the pod's sysctls that is not one of those that cannot harm other pods (the kubelet's list of safe
 * ones), or NULL; heap string.
 */
char *podspec_forbidden_sysctl(const struct json *pod) MUST_CHECK;

/* The container's resources as the runtime takes them, also for an update. ERR_PARSE: a bad quantity. */
int podspec_container_resources(const struct json *pod, const struct json *container,
                                const struct podspec_context *context, struct cri_resources *ret,
                                struct err *err) MUST_CHECK;

/*
 * runAsNonRoot against the user the container would get. ERR_FORBIDDEN with the kubelet's text for
 * CreateContainerConfigError: `container has runAsNonRoot and image will run as root (pod: "...", container: ...)`.
 */
int podspec_check_user(const struct json *pod, const struct json *container, const struct cri_image *image,
                       struct err *err) MUST_CHECK;

/*
 * Text of the managed /etc/hosts: the pod's own name, hostAliases. Write it to volumes_hosts_path after
 * RunPodSandbox.
 */
void podspec_hosts_file(const struct json *pod, const char *pod_ip, const char *cluster_domain, struct buf *out);

#define PODSPEC_HASH_MAX 9
/* Changes when a running container has to be replaced (name or image changed): 8 hex digits. */
void podspec_container_hash(const struct json *container, char text[PODSPEC_HASH_MAX]);
/* "<log_root>/<namespace>_<name>_<uid>"; heap string. */
char *podspec_log_directory(const struct json *pod, const char *log_root) MUST_CHECK;
/* "<container>/<attempt>.log", below the log directory; heap string. */
char *podspec_log_path(const char *container, uint32_t attempt) MUST_CHECK;
/* Name as for pulls: ":latest" added when there is neither tag nor digest. Heap string. */
char *podspec_image_name(const char *image) MUST_CHECK;
/* "Guaranteed", "Burstable", "BestEffort": status.qosClass, else worked out from the spec. */
const char *podspec_qos_class(const struct json *pod);
/* An init container with restartPolicy Always. */
bool podspec_is_sidecar(const struct json *container);
/*
 * Whether a container that exited so is started again: the pod's restartPolicy, or the container's own
 * restartPolicy and restartPolicyRules. init: element of initContainers (Always means OnFailure there, but for
 * sidecars).
 */
bool podspec_restarts(const struct json *pod, const struct json *container, bool init, int32_t exit_code);
/* Its rules say that a container that exited so is to take all others of the pod with it (RestartAllContainers). */
bool podspec_restarts_all(const struct json *container, int32_t exit_code);
/* Any container of the pod has such a rule. */
bool podspec_may_restart_all(const struct json *pod);
/* The container of this name in containers, initContainers or ephemeralContainers; NULL if there is none. */
const struct json *podspec_find_container(const struct json *pod, const char *name);

DEFINE_CLEANUP_POINTER(struct podspec_sandbox *, podspec_sandbox_free)
DEFINE_CLEANUP_POINTER(struct podspec_container *, podspec_container_free)
