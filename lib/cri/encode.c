/*
 * encode.c: the plain structs of runtime.h as protobuf messages. Strings are borrowed; everything else lives in a
 * scratch that the caller frees once the message is packed.
 */
#include "cri/runtime_internal.h"

#include "base/mem.h"

#define MAKE(scratch, type, ...) /* the rest: an initialiser, whose commas part it */               \
    ({                                                                                             \
        type *_made = cri_scratch_alloc((scratch), 1, sizeof(type));                               \
        *_made = (type)__VA_ARGS__;                                                                \
        _made;                                                                                     \
    })

/* Every map<string, string> has an entry type of its own, all of them alike. */
#define MAKE_MAP(scratch, pairs, type, init, ret_n, ret_entries)                                   \
    do {                                                                                           \
        (ret_entries) = cri_scratch_alloc((scratch), (pairs)->n, sizeof(type *));                  \
        (ret_n) = (pairs)->n;                                                                      \
        for (size_t _i = 0; _i < (pairs)->n; _i++) {                                               \
            type *_entry = MAKE(scratch, type, init);                                              \
            _entry->key = cri_text((pairs)->items[_i].key);                                        \
            _entry->value = cri_text((pairs)->items[_i].value);                                    \
            (ret_entries)[_i] = _entry;                                                            \
        }                                                                                          \
    } while (0)

void *cri_scratch_alloc(struct cri_scratch *scratch, size_t n, size_t size)
{
    void *memory = xcalloc(n ? n : 1, size);

    GROW(scratch->items, scratch->n, scratch->cap);
    scratch->items[scratch->n++] = memory;
    return memory;
}

void cri_scratch_done(struct cri_scratch *scratch)
{
    for (size_t i = 0; i < scratch->n; i++)
        free(scratch->items[i]);
    free(scratch->items);
    *scratch = (struct cri_scratch){0};
}

char *cri_text(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

char **cri_texts(struct cri_scratch *scratch, const char *const *list, size_t *ret_n)
{
    size_t n = 0;
    char **texts;

    while (list != NULL && list[n] != NULL)
        n++;
    texts = cri_scratch_alloc(scratch, n, sizeof(*texts));
    for (size_t i = 0; i < n; i++)
        texts[i] = cri_text(list[i]);
    *ret_n = n;
    return texts;
}

const char *const *cri_list(struct cri_scratch *scratch, char **texts, size_t n)
{
    const char **list = cri_scratch_alloc(scratch, n + 1, sizeof(*list));

    for (size_t i = 0; i < n; i++)
        list[i] = texts[i];
    return list;
}

static Runtime__V1__Int64Value *encode_int(struct cri_scratch *scratch, const struct cri_int *number)
{
    Runtime__V1__Int64Value *value;

    if (!number->set)
        return NULL;
    value = MAKE(scratch, Runtime__V1__Int64Value, RUNTIME__V1__INT64_VALUE__INIT);
    value->value = number->value;
    return value;
}

static Runtime__V1__IDMapping **encode_range(struct cri_scratch *scratch, const struct cri_id_range *range,
                                             size_t *ret_n)
{
    Runtime__V1__IDMapping **list = cri_scratch_alloc(scratch, 1, sizeof(*list));

    *ret_n = range->length > 0;
    list[0] = MAKE(scratch, Runtime__V1__IDMapping, RUNTIME__V1__IDMAPPING__INIT);
    list[0]->host_id = range->host_id;
    list[0]->length = range->length;
    return list;
}

static Runtime__V1__UserNamespace *encode_user_namespace(struct cri_scratch *scratch, const struct cri_id_range *range)
{
    Runtime__V1__UserNamespace *message;

    if (range->length == 0)
        return NULL;
    message = MAKE(scratch, Runtime__V1__UserNamespace, RUNTIME__V1__USER_NAMESPACE__INIT);
    message->mode = RUNTIME__V1__NAMESPACE_MODE__POD;
    message->uids = encode_range(scratch, range, &message->n_uids);
    message->gids = encode_range(scratch, range, &message->n_gids);
    return message;
}

static Runtime__V1__NamespaceOption *encode_namespaces(struct cri_scratch *scratch, const struct cri_security *security)
{
    Runtime__V1__NamespaceOption *option =
        MAKE(scratch, Runtime__V1__NamespaceOption, RUNTIME__V1__NAMESPACE_OPTION__INIT);

    option->network = (Runtime__V1__NamespaceMode)security->network;
    option->pid = (Runtime__V1__NamespaceMode)security->pid;
    option->ipc = (Runtime__V1__NamespaceMode)security->ipc;
    option->target_id = cri_text(security->target_id);
    option->userns_options = encode_user_namespace(scratch, &security->user_ids);
    return option;
}

static Runtime__V1__SecurityProfile *encode_profile(struct cri_scratch *scratch, enum cri_profile_type type,
                                                    const char *localhost)
{
    Runtime__V1__SecurityProfile *profile =
        MAKE(scratch, Runtime__V1__SecurityProfile, RUNTIME__V1__SECURITY_PROFILE__INIT);

    profile->profile_type = (Runtime__V1__SecurityProfile__ProfileType)type;
    profile->localhost_ref = cri_text(localhost);
    return profile;
}

static Runtime__V1__SecurityProfile *encode_apparmor(struct cri_scratch *scratch, const struct cri_security *security)
{
    return security->apparmor_set
               ? encode_profile(scratch, security->apparmor_profile, security->apparmor_localhost)
               : NULL;
}

static Runtime__V1__SELinuxOption *encode_selinux(struct cri_scratch *scratch, const struct cri_selinux *selinux)
{
    Runtime__V1__SELinuxOption *option;

    if (selinux == NULL)
        return NULL;
    option = MAKE(scratch, Runtime__V1__SELinuxOption, RUNTIME__V1__SELINUX_OPTION__INIT);
    option->user = cri_text(selinux->user);
    option->role = cri_text(selinux->role);
    option->type = cri_text(selinux->type);
    option->level = cri_text(selinux->level);
    return option;
}

static Runtime__V1__SupplementalGroupsPolicy groups_policy(const struct cri_security *security)
{
    return security->strict_groups ? RUNTIME__V1__SUPPLEMENTAL_GROUPS_POLICY__Strict
                                   : RUNTIME__V1__SUPPLEMENTAL_GROUPS_POLICY__Merge;
}

static int64_t *encode_groups(struct cri_scratch *scratch, const struct cri_security *security)
{
    int64_t *groups = cri_scratch_alloc(scratch, security->n_supplemental_groups, sizeof(*groups));

    for (size_t i = 0; i < security->n_supplemental_groups; i++)
        groups[i] = security->supplemental_groups[i];
    return groups;
}

/* Files of cgroup v2 that have no field of their own. */
static void encode_unified(struct cri_scratch *scratch, const struct cri_resources *resources,
                           Runtime__V1__LinuxContainerResources *message)
{
    struct cri_pair items[2];
    struct cri_pairs files = {items, 0};

    if (resources->oom_group)
        items[files.n++] = (struct cri_pair){"memory.oom.group", "1"};
    if (resources->no_swap)
        items[files.n++] = (struct cri_pair){"memory.swap.max", "0"};
    MAKE_MAP(scratch, &files, Runtime__V1__LinuxContainerResources__UnifiedEntry,
             RUNTIME__V1__LINUX_CONTAINER_RESOURCES__UNIFIED_ENTRY__INIT, message->n_unified, message->unified);
}

Runtime__V1__LinuxContainerResources *cri_encode_resources(struct cri_scratch *scratch,
                                                           const struct cri_resources *resources)
{
    Runtime__V1__LinuxContainerResources *message =
        MAKE(scratch, Runtime__V1__LinuxContainerResources, RUNTIME__V1__LINUX_CONTAINER_RESOURCES__INIT);

    message->cpu_period = resources->cpu_period;
    message->cpu_quota = resources->cpu_quota;
    message->cpu_shares = resources->cpu_shares;
    message->memory_limit_in_bytes = resources->memory_limit_b;
    message->oom_score_adj = resources->oom_score_adj;
    encode_unified(scratch, resources, message);
    return message;
}

static Runtime__V1__LinuxSandboxSecurityContext *encode_sandbox_security(struct cri_scratch *scratch,
                                                                         const struct cri_security *security)
{
    Runtime__V1__LinuxSandboxSecurityContext *context =
        MAKE(scratch, Runtime__V1__LinuxSandboxSecurityContext, RUNTIME__V1__LINUX_SANDBOX_SECURITY_CONTEXT__INIT);

    context->namespace_options = encode_namespaces(scratch, security);
    context->run_as_user = encode_int(scratch, &security->run_as_user);
    context->run_as_group = encode_int(scratch, &security->run_as_group);
    context->readonly_rootfs = security->readonly_rootfs;
    context->privileged = security->privileged;
    context->supplemental_groups = encode_groups(scratch, security);
    context->n_supplemental_groups = security->n_supplemental_groups;
    context->supplemental_groups_policy = groups_policy(security);
    context->seccomp = encode_profile(scratch, security->seccomp_profile, security->seccomp_localhost);
    context->apparmor = encode_apparmor(scratch, security);
    context->selinux_options = encode_selinux(scratch, security->selinux);
    return context;
}

static Runtime__V1__LinuxPodSandboxConfig *encode_sandbox_linux(struct cri_scratch *scratch,
                                                                const struct cri_sandbox_config *config)
{
    Runtime__V1__LinuxPodSandboxConfig *linux =
        MAKE(scratch, Runtime__V1__LinuxPodSandboxConfig, RUNTIME__V1__LINUX_POD_SANDBOX_CONFIG__INIT);

    linux->cgroup_parent = cri_text(config->cgroup_parent);
    linux->security_context = encode_sandbox_security(scratch, &config->security);
    MAKE_MAP(scratch, &config->sysctls, Runtime__V1__LinuxPodSandboxConfig__SysctlsEntry,
             RUNTIME__V1__LINUX_POD_SANDBOX_CONFIG__SYSCTLS_ENTRY__INIT, linux->n_sysctls, linux->sysctls);
    linux->overhead = cri_encode_resources(scratch, &config->overhead);
    linux->resources = cri_encode_resources(scratch, &config->resources);
    return linux;
}

Runtime__V1__PodSandboxConfig *cri_encode_sandbox(struct cri_scratch *scratch, const struct cri_sandbox_config *config)
{
    Runtime__V1__PodSandboxConfig *message =
        MAKE(scratch, Runtime__V1__PodSandboxConfig, RUNTIME__V1__POD_SANDBOX_CONFIG__INIT);
    Runtime__V1__DNSConfig *dns = MAKE(scratch, Runtime__V1__DNSConfig, RUNTIME__V1__DNSCONFIG__INIT);

    message->metadata = MAKE(scratch, Runtime__V1__PodSandboxMetadata, RUNTIME__V1__POD_SANDBOX_METADATA__INIT);
    message->metadata->name = cri_text(config->name);
    message->metadata->uid = cri_text(config->uid);
    message->metadata->namespace_ = cri_text(config->namespace);
    message->metadata->attempt = config->attempt;
    message->hostname = cri_text(config->hostname);
    message->log_directory = cri_text(config->log_directory);
    dns->servers = cri_texts(scratch, config->dns_servers, &dns->n_servers);
    dns->searches = cri_texts(scratch, config->dns_searches, &dns->n_searches);
    dns->options = cri_texts(scratch, config->dns_options, &dns->n_options);
    message->dns_config = dns;
    MAKE_MAP(scratch, &config->labels, Runtime__V1__PodSandboxConfig__LabelsEntry,
             RUNTIME__V1__POD_SANDBOX_CONFIG__LABELS_ENTRY__INIT, message->n_labels, message->labels);
    MAKE_MAP(scratch, &config->annotations, Runtime__V1__PodSandboxConfig__AnnotationsEntry,
             RUNTIME__V1__POD_SANDBOX_CONFIG__ANNOTATIONS_ENTRY__INIT, message->n_annotations, message->annotations);
    message->linux = encode_sandbox_linux(scratch, config);
    return message;
}

static Runtime__V1__LinuxContainerSecurityContext *encode_container_security(struct cri_scratch *scratch,
                                                                             const struct cri_security *security)
{
    Runtime__V1__LinuxContainerSecurityContext *context = MAKE(scratch, Runtime__V1__LinuxContainerSecurityContext,
                                                               RUNTIME__V1__LINUX_CONTAINER_SECURITY_CONTEXT__INIT);
    Runtime__V1__Capability *capabilities = MAKE(scratch, Runtime__V1__Capability, RUNTIME__V1__CAPABILITY__INIT);

    capabilities->add_capabilities =
        cri_texts(scratch, security->add_capabilities, &capabilities->n_add_capabilities);
    capabilities->drop_capabilities =
        cri_texts(scratch, security->drop_capabilities, &capabilities->n_drop_capabilities);
    context->capabilities = capabilities;
    context->privileged = security->privileged;
    context->namespace_options = encode_namespaces(scratch, security);
    context->run_as_user = encode_int(scratch, &security->run_as_user);
    context->run_as_group = encode_int(scratch, &security->run_as_group);
    context->run_as_username = cri_text(security->run_as_username);
    context->readonly_rootfs = security->readonly_rootfs;
    context->supplemental_groups = encode_groups(scratch, security);
    context->n_supplemental_groups = security->n_supplemental_groups;
    context->no_new_privs = security->no_new_privileges;
    context->masked_paths = cri_texts(scratch, security->masked_paths, &context->n_masked_paths);
    context->readonly_paths = cri_texts(scratch, security->readonly_paths, &context->n_readonly_paths);
    context->supplemental_groups_policy = groups_policy(security);
    context->seccomp = encode_profile(scratch, security->seccomp_profile, security->seccomp_localhost);
    context->apparmor = encode_apparmor(scratch, security);
    context->selinux_options = encode_selinux(scratch, security->selinux);
    return context;
}

static void encode_envs(struct cri_scratch *scratch, const struct cri_pairs *envs,
                        Runtime__V1__ContainerConfig *message)
{
    message->envs = cri_scratch_alloc(scratch, envs->n, sizeof(*message->envs));
    message->n_envs = envs->n;
    for (size_t i = 0; i < envs->n; i++) {
        Runtime__V1__KeyValue *env = MAKE(scratch, Runtime__V1__KeyValue, RUNTIME__V1__KEY_VALUE__INIT);

        env->key = cri_text(envs->items[i].key);
        env->value.data = (uint8_t *)cri_text(envs->items[i].value);
        env->value.len = strlen((const char *)env->value.data);
        message->envs[i] = env;
    }
}

static void encode_mounts(struct cri_scratch *scratch, const struct cri_container_config *config,
                          Runtime__V1__ContainerConfig *message)
{
    message->mounts = cri_scratch_alloc(scratch, config->n_mounts, sizeof(*message->mounts));
    message->n_mounts = config->n_mounts;
    for (size_t i = 0; i < config->n_mounts; i++) {
        Runtime__V1__Mount *mount = MAKE(scratch, Runtime__V1__Mount, RUNTIME__V1__MOUNT__INIT);

        mount->container_path = cri_text(config->mounts[i].container_path);
        mount->host_path = cri_text(config->mounts[i].host_path);
        mount->readonly = config->mounts[i].readonly;
        mount->recursive_read_only = config->mounts[i].readonly_below;
        mount->uidmappings = encode_range(scratch, &config->mounts[i].user_ids, &mount->n_uidmappings);
        mount->gidmappings = encode_range(scratch, &config->mounts[i].user_ids, &mount->n_gidmappings);
        if (config->mounts[i].from_host)
            mount->propagation = RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER;
        if (config->mounts[i].image != NULL) {
            mount->image = MAKE(scratch, Runtime__V1__ImageSpec, RUNTIME__V1__IMAGE_SPEC__INIT);
            mount->image->image = cri_text(config->mounts[i].image);
            mount->image_sub_path = cri_text(config->mounts[i].image_sub_path);
        }
        message->mounts[i] = mount;
    }
}

Runtime__V1__ContainerConfig *cri_encode_container(struct cri_scratch *scratch,
                                                   const struct cri_container_config *config)
{
    Runtime__V1__ContainerConfig *message =
        MAKE(scratch, Runtime__V1__ContainerConfig, RUNTIME__V1__CONTAINER_CONFIG__INIT);

    message->metadata = MAKE(scratch, Runtime__V1__ContainerMetadata, RUNTIME__V1__CONTAINER_METADATA__INIT);
    message->metadata->name = cri_text(config->name);
    message->metadata->attempt = config->attempt;
    message->image = MAKE(scratch, Runtime__V1__ImageSpec, RUNTIME__V1__IMAGE_SPEC__INIT);
    message->image->image = cri_text(config->image);
    message->image->user_specified_image = cri_text(config->image_spec);
    message->command = cri_texts(scratch, config->command, &message->n_command);
    message->args = cri_texts(scratch, config->args, &message->n_args);
    message->working_dir = cri_text(config->working_dir);
    encode_envs(scratch, &config->envs, message);
    encode_mounts(scratch, config, message);
    MAKE_MAP(scratch, &config->labels, Runtime__V1__ContainerConfig__LabelsEntry,
             RUNTIME__V1__CONTAINER_CONFIG__LABELS_ENTRY__INIT, message->n_labels, message->labels);
    MAKE_MAP(scratch, &config->annotations, Runtime__V1__ContainerConfig__AnnotationsEntry,
             RUNTIME__V1__CONTAINER_CONFIG__ANNOTATIONS_ENTRY__INIT, message->n_annotations, message->annotations);
    message->log_path = cri_text(config->log_path);
    message->stdin = config->stdin_open;
    message->stdin_once = config->stdin_once;
    message->tty = config->tty;
    message->linux = MAKE(scratch, Runtime__V1__LinuxContainerConfig, RUNTIME__V1__LINUX_CONTAINER_CONFIG__INIT);
    message->linux->resources = cri_encode_resources(scratch, &config->resources);
    message->linux->security_context = encode_container_security(scratch, &config->security);
    return message;
}
