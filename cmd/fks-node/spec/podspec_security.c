/*
 * podspec_security.c: security contexts: the container's own setting, else the pod's, else the image's user. Pods
 * share a host's kernel here, so a pod that asks for nothing gets the runtime's default seccomp profile (what a
 * kubelet with --seccomp-default does), and privileged is refused before it comes this far.
 */
#include "spec/podspec_internal.h"

#include <inttypes.h>

#include "base/mem.h"

#define SECCOMP_ROOT "/var/lib/kubelet/seccomp" /* where the kubelet's documentation puts Localhost profiles */

/* The container's member, else the pod's; NULL if neither sets it. */
static const struct json *setting(const struct json *pod, const struct json *container, const char *key)
{
    const struct json *own = json_get(container, "securityContext", key, NULL);

    if (own == NULL || json_type(own) == JSON_NULL)
        own = json_get(pod, "spec", "securityContext", key, NULL);
    return own != NULL && json_type(own) != JSON_NULL ? own : NULL;
}

static struct cri_int number_of(const struct json *value)
{
    return value != NULL ? (struct cri_int){true, json_int_value(value)} : (struct cri_int){0};
}

static void set_seccomp(struct podspec_memory *memory, const struct json *profile, struct cri_security *security)
{
    const char *type = json_str_or("RuntimeDefault", profile, "type", NULL);

    security->seccomp_profile = CRI_RUNTIME_DEFAULT;
    if (security->privileged || streq(type, "Unconfined")) {
        security->seccomp_profile = CRI_UNCONFINED;
    } else if (streq(type, "Localhost")) {
        security->seccomp_profile = CRI_LOCALHOST;
        security->seccomp_localhost = podspec_keep(
            memory, xasprintf(SECCOMP_ROOT "/%s", json_str_or("", profile, "localhostProfile", NULL)));
    }
}

/* A Localhost profile was loaded into the kernel under its name by the host's administrator. */
static void set_apparmor(struct podspec_memory *memory, const struct json *profile, struct cri_security *security)
{
    const char *type = json_str_or("RuntimeDefault", profile, "type", NULL);

    security->apparmor_set = profile != NULL;
    if (streq(type, "Unconfined")) {
        security->apparmor_profile = CRI_UNCONFINED;
    } else if (streq(type, "Localhost")) {
        security->apparmor_profile = CRI_LOCALHOST;
        security->apparmor_localhost = podspec_copy(memory, json_str_or("", profile, "localhostProfile", NULL));
    }
}

static void set_selinux(struct podspec_memory *memory, const struct json *options, struct cri_security *security)
{
    struct cri_selinux *selinux;

    if (options == NULL)
        return;
    selinux = NEW(struct cri_selinux);
    podspec_keep(memory, selinux);
    selinux->user = podspec_copy(memory, json_str(options, "user", NULL));
    selinux->role = podspec_copy(memory, json_str(options, "role", NULL));
    selinux->type = podspec_copy(memory, json_str(options, "type", NULL));
    selinux->level = podspec_copy(memory, json_str(options, "level", NULL));
    security->selinux = selinux;
}

static void set_groups(struct podspec_memory *memory, const struct json *pod, struct cri_security *security)
{
    const struct json *context = json_get(pod, "spec", "securityContext", NULL);
    const struct json *groups = json_get(context, "supplementalGroups", NULL);
    const struct json *fs_group = json_get(context, "fsGroup", NULL);
    int64_t *list = xcalloc(json_len(groups) + 1, sizeof(*list));
    const struct json *group;
    size_t n = 0;

    podspec_keep(memory, list);
    if (fs_group != NULL)
        list[n++] = json_int_value(fs_group);
    json_each(group, groups)
        list[n++] = json_int_value(group);
    security->supplemental_groups = list;
    security->n_supplemental_groups = n;
    security->strict_groups = streq(json_str(context, "supplementalGroupsPolicy", NULL), "Strict");
}

static void set_namespaces(const struct json *pod, const struct podspec_context *context,
                           struct cri_security *security)
{
    security->user_ids = context->user_ids;
    security->network = json_is_true(pod, "spec", "hostNetwork", NULL) ? CRI_NS_NODE : CRI_NS_POD;
    security->ipc = json_is_true(pod, "spec", "hostIPC", NULL) ? CRI_NS_NODE : CRI_NS_POD;
    if (json_is_true(pod, "spec", "hostPID", NULL))
        security->pid = CRI_NS_NODE;
    else
        security->pid = json_is_true(pod, "spec", "shareProcessNamespace", NULL) ? CRI_NS_POD : CRI_NS_CONTAINER;
}

static bool has_privileged_container(const struct json *pod)
{
    static const char *const lists[] = {"containers", "initContainers"};
    const struct json *container;

    for (size_t i = 0; i < countof(lists); i++)
        json_each(container, json_get(pod, "spec", lists[i], NULL))
            if (json_is_true(container, "securityContext", "privileged", NULL))
                return true;
    return false;
}

void podspec_sandbox_security(struct podspec_memory *memory, const struct json *pod,
                              const struct podspec_context *context, struct cri_security *security)
{
    const struct json *settings = json_get(pod, "spec", "securityContext", NULL);

    set_namespaces(pod, context, security);
    security->privileged = has_privileged_container(pod);
    security->run_as_user = number_of(json_get(settings, "runAsUser", NULL));
    if (security->run_as_user.set) /* the CRI refuses a group without a user */
        security->run_as_group = number_of(json_get(settings, "runAsGroup", NULL));
    set_groups(memory, pod, security);
    set_selinux(memory, json_get(settings, "seLinuxOptions", NULL), security);
    security->seccomp_profile = CRI_RUNTIME_DEFAULT; /* of the pause process, whatever the containers get */
}

/* --- containers */

/* The defaults of the kubelet (pkg/securitycontext): what of /proc and /sys a container must not see, or not change. */
static const char *const masked_paths[] = {
    "/proc/asound",      "/proc/acpi",       "/proc/interrupts",  "/proc/kcore",
    "/proc/keys",        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
    "/proc/sched_debug", "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap",
    NULL,
};
static const char *const readonly_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL,
};

static const char *const *capability_list(struct podspec_memory *memory, const struct json *list)
{
    CLEANUP(strv_done) struct strv names = {0};
    const struct json *name;

    json_each(name, list)
        strv_add(&names, strempty(json_string_value(name)));
    return podspec_copy_list(memory, &names);
}

/* The CRI has no "as the image says": user and group of the image are spelled out. */
static void set_user(struct podspec_memory *memory, const struct podspec_container_input *input,
                     struct cri_security *security)
{
    const struct json *user = setting(input->pod, input->container, "runAsUser");

    security->run_as_group = number_of(setting(input->pod, input->container, "runAsGroup"));
    security->run_as_user = number_of(user);
    if (security->run_as_user.set)
        return;
    if (input->image->uid.set)
        security->run_as_user = input->image->uid;
    else if (strempty(input->image->username)[0] != '\0')
        security->run_as_username = podspec_copy(memory, input->image->username);
    else
        security->run_as_user = (struct cri_int){true, 0};
}

void podspec_container_security(struct podspec_memory *memory, const struct podspec_container_input *input,
                                const struct podspec_context *context, struct cri_security *security)
{
    const struct json *own = json_get(input->container, "securityContext", NULL);

    set_namespaces(input->pod, context, security);
    if (input->target_container_id != NULL) {
        security->pid = CRI_NS_TARGET;
        security->target_id = podspec_copy(memory, input->target_container_id);
    }
    security->privileged = json_is_true(own, "privileged", NULL);
    security->readonly_rootfs = json_is_true(own, "readOnlyRootFilesystem", NULL);
    security->no_new_privileges = !json_bool_or(true, own, "allowPrivilegeEscalation", NULL);
    set_user(memory, input, security);
    set_groups(memory, input->pod, security);
    security->add_capabilities = capability_list(memory, json_get(own, "capabilities", "add", NULL));
    security->drop_capabilities = capability_list(memory, json_get(own, "capabilities", "drop", NULL));
    set_seccomp(memory, setting(input->pod, input->container, "seccompProfile"), security);
    set_apparmor(memory, setting(input->pod, input->container, "appArmorProfile"), security);
    set_selinux(memory, setting(input->pod, input->container, "seLinuxOptions"), security);
    if (!security->privileged && !streq(json_str(own, "procMount", NULL), "Unmasked")) {
        security->masked_paths = masked_paths;
        security->readonly_paths = readonly_paths;
    }
}

int podspec_check_user(const struct json *pod, const struct json *container, const struct cri_image *image,
                       struct err *err)
{
    const struct json *non_root = setting(pod, container, "runAsNonRoot");
    const struct json *user = setting(pod, container, "runAsUser");
    const char *image_user = strempty(image->username);
    CLEANUP(xfree) char *who = NULL;

    if (non_root == NULL || !json_is_true(non_root, NULL))
        return 0;
    who = xasprintf("(pod: \"%s_%s(%s)\", container: %s)", json_str_or("", pod, "metadata", "name", NULL),
                    json_str_or("", pod, "metadata", "namespace", NULL),
                    json_str_or("", pod, "metadata", "uid", NULL), json_str_or("", container, "name", NULL));
    if (user != NULL)
        return json_int_value(user) != 0
                   ? 0
                   : err_set(err, ERR_FORBIDDEN, "container's runAsUser breaks non-root policy %s", who);
    if (!image->uid.set && image_user[0] != '\0')
        return err_set(err, ERR_FORBIDDEN,
                       "container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root "
                       "%s",
                       image_user, who);
    if (!image->uid.set || image->uid.value == 0)
        return err_set(err, ERR_FORBIDDEN, "container has runAsNonRoot and image will run as root %s", who);
    return 0;
}

/* --- what the host can */

/* A profile other than none at all, of the pod or of any of its containers. */
static bool wants_apparmor(const struct json *pod)
{
    static const char *const lists[] = {"containers", "initContainers", "ephemeralContainers"};
    const struct json *container;

    for (size_t i = 0; i < countof(lists); i++)
        json_each(container, json_get(pod, "spec", lists[i], NULL))
            if (!streq(json_str_or("Unconfined", setting(pod, container, "appArmorProfile"), "type", NULL), "Unconfined"))
                return true;
    return false;
}

int podspec_check_host(const struct json *pod, const struct podspec_host *host, struct err *err)
{
    bool user_namespace = !json_bool_or(true, pod, "spec", "hostUsers", NULL);
    bool strict = streq(json_str(pod, "spec", "securityContext", "supplementalGroupsPolicy", NULL), "Strict");

    if (wants_apparmor(pod) && !host->apparmor)
        return err_set(err, ERR_UNSUPPORTED, "Cannot enforce AppArmor: AppArmor is not enabled on the host");
    if ((user_namespace || strict) && !host->known)
        return err_set(err, ERR_BUSY, "the container runtime has not told yet what it can");
    if (user_namespace && !host->user_namespaces)
        return *host->handler == '\0'
                   ? err_set(err, ERR_UNSUPPORTED,
                             "can't set `spec.hostUsers: false`, runtime does not support user namespaces")
                   : err_set(err, ERR_UNSUPPORTED,
                             "can't set `spec.hostUsers: false`, RuntimeClass handler \"%s\" does not support user "
                             "namespaces",
                             host->handler);
    if (strict && !host->strict_groups)
        return err_set(err, ERR_UNSUPPORTED, "SupplementalGroupsPolicy=Strict is not supported in this node");
    return 0;
}
