/*
 * podspec.c: puts the CRI's sandbox and container configurations together. DNS and names, security, and resources have
 * files of their own; volumes and environment come in ready made. Nothing here touches disk, API server or runtime.
 */
#include "spec/podspec_internal.h"

#include <inttypes.h>

#include "base/mem.h"

/* --- memory */

struct podspec_memory *podspec_memory_free(struct podspec_memory *memory)
{
    if (memory == NULL)
        return NULL;
    for (size_t i = 0; i < memory->n; i++)
        free(memory->items[i]);
    free(memory->items);
    free(memory);
    return NULL;
}

char *podspec_keep(struct podspec_memory *memory, void *pointer)
{
    GROW(memory->items, memory->n, memory->cap);
    memory->items[memory->n++] = pointer;
    return pointer;
}

const char *podspec_copy(struct podspec_memory *memory, const char *text)
{
    return text != NULL ? podspec_keep(memory, xstrdup(text)) : NULL;
}

const char *const *podspec_copy_list(struct podspec_memory *memory, const struct strv *list)
{
    const char **copy;

    if (list->n == 0)
        return NULL;
    copy = xcalloc(list->n + 1, sizeof(*copy));
    podspec_keep(memory, copy);
    for (size_t i = 0; i < list->n; i++)
        copy[i] = podspec_copy(memory, list->items[i]);
    return copy;
}

void podspec_pairs_add(struct podspec_memory *memory, struct podspec_pairs *pairs, const char *key, const char *value)
{
    GROW(pairs->items, pairs->n, pairs->cap);
    pairs->items[pairs->n++] = (struct cri_pair){podspec_copy(memory, key), podspec_copy(memory, strempty(value))};
}

void podspec_pairs_add_all(struct podspec_memory *memory, struct podspec_pairs *pairs, const struct json *object)
{
    void *position = NULL;
    const char *key;
    const struct json *value;

    while (json_next(object, &position, &key, &value))
        podspec_pairs_add(memory, pairs, key, json_string_value(value));
}

struct cri_pairs podspec_pairs_end(struct podspec_memory *memory, struct podspec_pairs *pairs)
{
    struct cri_pairs done = {pairs->items, pairs->n};

    if (pairs->items != NULL)
        podspec_keep(memory, pairs->items);
    *pairs = (struct podspec_pairs){0};
    return done;
}

/* --- small rules that others need too */

const struct json *podspec_find_container(const struct json *pod, const char *name)
{
    static const char *const lists[] = {"containers", "initContainers", "ephemeralContainers"};
    const struct json *container;

    for (size_t i = 0; i < countof(lists); i++)
        json_each(container, json_get(pod, "spec", lists[i], NULL))
            if (streq(json_str(container, "name", NULL), name))
                return container;
    return NULL;
}

bool podspec_is_sidecar(const struct json *container)
{
    return streq(json_str(container, "restartPolicy", NULL), "Always");
}

static bool rule_matches(const struct json *rule, int32_t exit_code)
{
    const char *operator = json_str_or("", rule, "exitCodes", "operator", NULL);
    const struct json *value;
    bool listed = false;

    json_each(value, json_get(rule, "exitCodes", "values", NULL))
        listed = listed || json_int_value(value) == exit_code;
    return streq(operator, "In") ? listed : streq(operator, "NotIn") && !listed;
}

/* The first rule that fits counts. */
static const struct json *rule_for(const struct json *container, int32_t exit_code)
{
    const struct json *rule;

    json_each(rule, json_get(container, "restartPolicyRules", NULL))
        if (rule_matches(rule, exit_code))
            return rule;
    return NULL;
}

static bool is_of_all(const struct json *rule)
{
    return streq(json_str(rule, "action", NULL), "RestartAllContainers");
}

bool podspec_restarts_all(const struct json *container, int32_t exit_code)
{
    return is_of_all(rule_for(container, exit_code));
}

bool podspec_may_restart_all(const struct json *pod)
{
    static const char *const lists[] = {"initContainers", "containers"};
    const struct json *container, *rule;

    for (size_t i = 0; i < countof(lists); i++)
        json_each(container, json_get(pod, "spec", lists[i], NULL))
            json_each(rule, json_get(container, "restartPolicyRules", NULL))
                if (is_of_all(rule))
                    return true;
    return false;
}

static bool policy_restarts(const char *policy, bool init, int32_t exit_code)
{
    if (streq(policy, "Never"))
        return false;
    return streq(policy, "OnFailure") || init ? exit_code != 0 : true;
}

bool podspec_restarts(const struct json *pod, const struct json *container, bool init, int32_t exit_code)
{
    const char *own = json_str(container, "restartPolicy", NULL);

    if (init && streq(own, "Always"))
        return true;
    if (own != NULL) {
        if (rule_for(container, exit_code) != NULL)
            return !init || exit_code != 0 || podspec_restarts_all(container, exit_code);
        return policy_restarts(own, init, exit_code);
    }
    return policy_restarts(json_str_or("Always", pod, "spec", "restartPolicy", NULL), init, exit_code);
}

/* FNV-1a over what the kubelet hashes too: anything else of a container may be defaulted anew by a later API server. */
void podspec_container_hash(const struct json *container, char text[PODSPEC_HASH_MAX])
{
    static const char digits[] = "0123456789abcdef";
    const char *parts[] = {json_str_or("", container, "name", NULL), "\n", json_str_or("", container, "image", NULL)};
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < countof(parts); i++)
        for (const char *p = parts[i]; *p != '\0'; p++)
            hash = (hash ^ (unsigned char)*p) * 16777619u;
    for (size_t i = 0; i < 8; i++)
        text[i] = digits[hash >> (28 - 4 * i) & 15];
    text[8] = '\0';
}

char *podspec_log_directory(const struct json *pod, const char *log_root)
{
    return xasprintf("%s/%s_%s_%s", log_root, json_str_or("", pod, "metadata", "namespace", NULL),
                     json_str_or("", pod, "metadata", "name", NULL), json_str_or("", pod, "metadata", "uid", NULL));
}

char *podspec_log_path(const char *container, uint32_t attempt)
{
    return xasprintf("%s/%" PRIu32 ".log", container, attempt);
}

char *podspec_image_name(const char *image)
{
    const char *slash = strrchr(image, '/');
    const char *last = slash != NULL ? slash + 1 : image; /* a registry's port is no tag */

    if (strchr(last, ':') != NULL || strchr(image, '@') != NULL)
        return xstrdup(image);
    return xasprintf("%s:latest", image);
}

/* --- sandbox */

/* Names may be written with slashes, where dots belong to the name (net/ipv4/conf/eth0.1/mtu). */
static char *sysctl_name(const char *name)
{
    const char *first = strpbrk(name, "./");
    char *text = xstrdup(name);

    if (first == NULL || *first == '.')
        return text;
    for (char *p = text; *p != '\0'; p++)
        *p = *p == '/' ? '.' : *p == '.' ? '/' : *p;
    return text;
}

char *podspec_forbidden_sysctl(const struct json *pod)
{
    static const char *const safe[] = {
        "kernel.shm_rmid_forced",           "net.ipv4.ip_local_port_range",  "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",        "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",      "net.ipv4.tcp_fin_timeout",      "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",    "net.ipv4.tcp_rmem",             "net.ipv4.tcp_wmem",
    };
    const struct json *item;

    json_each(item, json_get(pod, "spec", "securityContext", "sysctls", NULL))
    {
        CLEANUP(xfree) char *name = sysctl_name(json_str_or("", item, "name", NULL));
        bool found = false;

        for (size_t i = 0; i < countof(safe); i++)
            found = found || streq(name, safe[i]);
        if (!found)
            return take(&name);
    }
    return NULL;
}

static struct cri_pairs sandbox_sysctls(struct podspec_memory *memory, const struct json *pod)
{
    struct podspec_pairs pairs = {0};
    const struct json *item;

    json_each(item, json_get(pod, "spec", "securityContext", "sysctls", NULL))
    {
        CLEANUP(xfree) char *name = sysctl_name(json_str_or("", item, "name", NULL));

        podspec_pairs_add(memory, &pairs, name, json_str(item, "value", NULL));
    }
    return podspec_pairs_end(memory, &pairs);
}

static void add_pod_labels(struct podspec_memory *memory, struct podspec_pairs *labels, const struct json *pod)
{
    podspec_pairs_add(memory, labels, PODSPEC_LABEL_POD_NAME, json_str(pod, "metadata", "name", NULL));
    podspec_pairs_add(memory, labels, PODSPEC_LABEL_POD_NAMESPACE, json_str(pod, "metadata", "namespace", NULL));
    podspec_pairs_add(memory, labels, PODSPEC_LABEL_POD_UID, json_str(pod, "metadata", "uid", NULL));
}

/* With setHostnameAsFQDN the kernel's host name is the whole name, which may have 64 characters. */
static int sandbox_host_name(struct podspec_memory *memory, const struct json *pod,
                             const struct podspec_context *context, struct cri_sandbox_config *config,
                             struct err *err)
{
    CLEANUP(xfree) char *name = NULL;
    CLEANUP(xfree) char *domain = NULL;

    config->hostname = "";
    if (json_is_true(pod, "spec", "hostNetwork", NULL))
        return 0;
    podspec_host_name(pod, context->cluster_domain, &name, &domain);
    if (domain == NULL || !json_is_true(pod, "spec", "setHostnameAsFQDN", NULL)) {
        config->hostname = podspec_copy(memory, name);
        return 0;
    }
    if (strlen(name) + 1 + strlen(domain) > 64)
        return err_set(err, ERR_INVALID,
                       "failed to construct FQDN from pod hostname and cluster domain, FQDN %s.%s is too long (64 "
                       "characters is the max)",
                       name, domain);
    config->hostname = podspec_keep(memory, xasprintf("%s.%s", name, domain));
    return 0;
}

int podspec_sandbox(const struct json *pod, const struct podspec_context *context, uint32_t attempt,
                    struct podspec_sandbox **ret, struct err *err)
{
    CLEANUP(podspec_sandbox_free) struct podspec_sandbox *sandbox = NEW(struct podspec_sandbox);
    struct podspec_memory *memory = sandbox->memory = NEW(struct podspec_memory);
    struct cri_sandbox_config *config = &sandbox->config;
    struct podspec_pairs labels = {0}, annotations = {0};
    int r;

    config->name = podspec_copy(memory, json_str_or("", pod, "metadata", "name", NULL));
    config->namespace = podspec_copy(memory, json_str_or("", pod, "metadata", "namespace", NULL));
    config->uid = podspec_copy(memory, json_str_or("", pod, "metadata", "uid", NULL));
    config->attempt = attempt;
    r = sandbox_host_name(memory, pod, context, config, err);
    if (r < 0)
        return r;
    config->log_directory = podspec_keep(memory, podspec_log_directory(pod, context->log_root));
    podspec_dns(memory, pod, context, config);
    podspec_pairs_add_all(memory, &labels, json_get(pod, "metadata", "labels", NULL));
    add_pod_labels(memory, &labels, pod);
    config->labels = podspec_pairs_end(memory, &labels);
    podspec_pairs_add_all(memory, &annotations, json_get(pod, "metadata", "annotations", NULL));
    config->annotations = podspec_pairs_end(memory, &annotations);
    config->sysctls = sandbox_sysctls(memory, pod);
    config->cgroup_parent = podspec_copy(memory, context->cgroup_parent);
    podspec_sandbox_security(memory, pod, context, &config->security);
    r = podspec_sandbox_resources(pod, context, config, err);
    if (r < 0)
        return r;
    *ret = take(&sandbox);
    return 0;
}

struct podspec_sandbox *podspec_sandbox_free(struct podspec_sandbox *sandbox)
{
    if (sandbox != NULL)
        podspec_memory_free(sandbox->memory);
    free(sandbox);
    return NULL;
}

/* --- container */

static const char *const *expanded_list(struct podspec_memory *memory, const struct json *list,
                                        const struct environment *environment)
{
    CLEANUP(strv_done) struct strv texts = {0};
    const struct json *item;

    json_each(item, list)
        strv_take(&texts, environment_expand(environment, strempty(json_string_value(item))));
    return podspec_copy_list(memory, &texts);
}

static void add_json(struct podspec_memory *memory, struct podspec_pairs *pairs, const char *key,
                     const struct json *value)
{
    CLEANUP(buf_done) struct buf text = {0};

    if (value == NULL || json_len(value) == 0)
        return;
    json_print(value, &text);
    podspec_pairs_add(memory, pairs, key, buf_text(&text));
}

/* What a restarted agent needs to know of a container whose pod may have changed or gone meanwhile. */
static struct cri_pairs container_annotations(struct podspec_memory *memory,
                                              const struct podspec_container_input *input)
{
    const struct json *container = input->container;
    struct podspec_pairs pairs = {0};
    char hash[PODSPEC_HASH_MAX];
    char number[32];

    podspec_container_hash(container, hash);
    podspec_pairs_add(memory, &pairs, PODSPEC_ANNOTATION_HASH, hash);
    (void)snprintf(number, sizeof(number), "%" PRIu32, input->attempt);
    podspec_pairs_add(memory, &pairs, PODSPEC_ANNOTATION_RESTART_COUNT, number);
    podspec_pairs_add(memory, &pairs, PODSPEC_ANNOTATION_MESSAGE_PATH,
                      json_str_or("/dev/termination-log", container, "terminationMessagePath", NULL));
    podspec_pairs_add(memory, &pairs, PODSPEC_ANNOTATION_MESSAGE_POLICY,
                      json_str_or("File", container, "terminationMessagePolicy", NULL));
    (void)snprintf(number, sizeof(number), "%" PRId64,
                   json_int_or(30, input->pod, "spec", "terminationGracePeriodSeconds", NULL));
    podspec_pairs_add(memory, &pairs, PODSPEC_ANNOTATION_GRACE, number);
    add_json(memory, &pairs, PODSPEC_ANNOTATION_PORTS, json_get(container, "ports", NULL));
    add_json(memory, &pairs, PODSPEC_ANNOTATION_PRESTOP, json_get(container, "lifecycle", "preStop", NULL));
    return podspec_pairs_end(memory, &pairs);
}

static struct cri_pairs container_labels(struct podspec_memory *memory, const struct podspec_container_input *input)
{
    struct podspec_pairs pairs = {0};

    add_pod_labels(memory, &pairs, input->pod);
    podspec_pairs_add(memory, &pairs, PODSPEC_LABEL_CONTAINER_NAME, json_str(input->container, "name", NULL));
    return podspec_pairs_end(memory, &pairs);
}

static struct cri_pairs container_envs(struct podspec_memory *memory, const struct environment *environment)
{
    struct podspec_pairs pairs = {0};

    for (size_t i = 0; i < environment->n; i++)
        podspec_pairs_add(memory, &pairs, environment->items[i].key, environment->items[i].value);
    return podspec_pairs_end(memory, &pairs);
}

/* In a user namespace the runtime maps the owners of files, so that volumes look inside as they do without one. */
static void container_mounts(struct podspec_memory *memory, const struct volumes_mounts *mounts,
                             const struct podspec_context *context, struct cri_container_config *config)
{
    struct cri_mount *items = xcalloc(mounts->n ? mounts->n : 1, sizeof(*items));

    podspec_keep(memory, items);
    for (size_t i = 0; i < mounts->n; i++)
        items[i] = (struct cri_mount){
            .container_path = podspec_copy(memory, mounts->items[i].container_path),
            .host_path = podspec_copy(memory, mounts->items[i].host_path),
            .readonly = mounts->items[i].readonly,
            .readonly_below = mounts->items[i].readonly_below,
            .user_ids = context->user_ids,
            .from_host = mounts->items[i].from_host,
            .image = podspec_copy(memory, mounts->items[i].image),
            .image_sub_path = podspec_copy(memory, mounts->items[i].image_sub_path),
        };
    config->mounts = items;
    config->n_mounts = mounts->n;
}

int podspec_container(const struct podspec_container_input *input, const struct podspec_context *context,
                      struct podspec_container **ret, struct err *err)
{
    CLEANUP(podspec_container_free) struct podspec_container *made = NEW(struct podspec_container);
    struct podspec_memory *memory = made->memory = NEW(struct podspec_memory);
    struct cri_container_config *config = &made->config;
    const struct json *container = input->container;
    int r;

    config->name = podspec_copy(memory, json_str_or("", container, "name", NULL));
    config->attempt = input->attempt;
    config->image = podspec_copy(memory, input->image->id);
    config->image_spec = podspec_copy(memory, json_str_or("", container, "image", NULL));
    config->command = expanded_list(memory, json_get(container, "command", NULL), input->environment);
    config->args = expanded_list(memory, json_get(container, "args", NULL), input->environment);
    config->working_dir = podspec_copy(memory, json_str_or("", container, "workingDir", NULL));
    config->envs = container_envs(memory, input->environment);
    config->labels = container_labels(memory, input);
    config->annotations = container_annotations(memory, input);
    container_mounts(memory, input->mounts, context, config);
    config->log_path = podspec_keep(memory, podspec_log_path(config->name, input->attempt));
    config->stdin_open = json_is_true(container, "stdin", NULL);
    config->stdin_once = json_is_true(container, "stdinOnce", NULL);
    config->tty = json_is_true(container, "tty", NULL);
    podspec_container_security(memory, input, context, &config->security);
    r = podspec_container_resources(input->pod, container, context, &config->resources, err);
    if (r < 0)
        return r;
    *ret = take(&made);
    return 0;
}

struct podspec_container *podspec_container_free(struct podspec_container *container)
{
    if (container != NULL)
        podspec_memory_free(container->memory);
    free(container);
    return NULL;
}
