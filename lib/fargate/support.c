/*
 * support.c: what Fargate refuses, found in the pod alone. Reasons that need other objects (a claim that is not
 * bound) are the scheduler's to find.
 */
#include "fargate/support.h"

#include "base/mem.h"

/* Kinds of containers a pod may have. */
static const char *const container_lists[] = {"initContainers", "containers"};

/*
 * What a container runtime gives every container anyway. Adding one of these back after `drop: [ALL]` is common
 * (CoreDNS does so with NET_BIND_SERVICE, and runs on Fargate).
 */
static const char *const usual_capabilities[] = {
    "AUDIT_WRITE", "CHOWN",   "DAC_OVERRIDE", "FOWNER",  "FSETID", "KILL",   "MKNOD",
    "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
};

static const char *const supported_volumes[] = {
    "configMap", "csi", "downwardAPI", "emptyDir", "image", "nfs", "persistentVolumeClaim", "projected", "secret",
};

static const char *const supported_resources[] = {"cpu", "memory", "ephemeral-storage"};

static bool is_one_of(const char *text, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (streq(text, list[i]))
            return true;
    return false;
}

static void add_once(struct strv *list, const char *text)
{
    if (!strv_has(list, text))
        strv_add(list, text);
}

static void add_reason(struct strv *reasons, const char *title, const struct strv *items)
{
    if (items->n == 0)
        return;
    CLEANUP(xfree) char *text = strv_join(items, ", ");
    strv_addf(reasons, "%s: %s", title, text);
}

/* Calls check for each container of the pod. */
static void each_container(const struct json *spec, void (*check)(const struct json *container, struct strv *found),
                           struct strv *found)
{
    const struct json *container;

    for (size_t i = 0; i < countof(container_lists); i++)
        json_each(container, json_get(spec, container_lists[i], NULL))
            check(container, found);
}

static void check_fields(const struct json *spec, struct strv *found)
{
    if (json_is_true(spec, "hostNetwork", NULL))
        strv_add(found, "HostNetwork");
    if (json_is_true(spec, "hostPID", NULL))
        strv_add(found, "HostPID");
    if (json_is_true(spec, "hostIPC", NULL))
        strv_add(found, "HostIPC");
    if (streq(json_str(spec, "os", "name", NULL), "windows"))
        strv_add(found, "OS windows");
}

static void check_security(const struct json *container, struct strv *found)
{
    const struct json *context = json_get(container, "securityContext", NULL), *item;

    if (json_is_true(context, "privileged", NULL))
        add_once(found, "Privileged");
    json_each(item, json_get(context, "capabilities", "add", NULL)) {
        const char *name = strempty(json_string_value(item));
        const char *bare = starts_with(name, "CAP_") ? name + 4 : name;
        if (is_one_of(bare, usual_capabilities, countof(usual_capabilities)))
            continue;
        CLEANUP(xfree) char *text = xasprintf("Capabilities added: %.64s", name);
        add_once(found, text);
    }
}

static void check_ports(const struct json *container, struct strv *found)
{
    const struct json *port;

    json_each(port, json_get(container, "ports", NULL))
        if (json_int_or(0, port, "hostPort", NULL) != 0 || *json_str_or("", port, "hostIP", NULL) != '\0')
            add_once(found, "port contains HostIP or HostPort");
}

static void check_resources(const struct json *container, struct strv *found)
{
    static const char *const maps[] = {"requests", "limits"};

    for (size_t i = 0; i < countof(maps); i++) {
        void *position = NULL;
        const char *name;
        const struct json *amount;
        while (json_next(json_get(container, "resources", maps[i], NULL), &position, &name, &amount))
            if (!is_one_of(name, supported_resources, countof(supported_resources)))
                add_once(found, name);
    }
}

static void check_volumes(const struct json *spec, struct strv *found)
{
    const struct json *volume;

    json_each(volume, json_get(spec, "volumes", NULL)) {
        void *position = NULL;
        const char *key;
        const struct json *source;
        bool supported = true;
        while (json_next(volume, &position, &key, &source))
            if (!streq(key, "name") && !is_one_of(key, supported_volumes, countof(supported_volumes)))
                supported = false;
        if (!supported)
            strv_addf(found, "%.253s is of an unsupported volume Type", json_str_or("", volume, "name", NULL));
    }
}

void fargate_unsupported(const struct json *pod, struct strv *reasons)
{
    const struct json *spec = json_get(pod, "spec", NULL);
    CLEANUP(strv_done) struct strv fields = {0};
    CLEANUP(strv_done) struct strv security = {0};
    CLEANUP(strv_done) struct strv resources = {0};
    CLEANUP(strv_done) struct strv volumes = {0};

    check_fields(spec, &fields);
    add_reason(reasons, "fields not supported", &fields);
    each_container(spec, check_security, &security);
    add_reason(reasons, "invalid SecurityContext fields", &security);
    each_container(spec, check_ports, reasons);
    each_container(spec, check_resources, &resources);
    add_reason(reasons, "resources not supported", &resources);
    check_volumes(spec, &volumes);
    add_reason(reasons, "volumes not supported", &volumes);
}
