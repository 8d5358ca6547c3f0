/*
 * debug_profile.c: `debug --profile`: what a debugging container may do, and what of the node it sees. One row per
 * profile; the rules are those of KEP-1441.
 */
#include "streams/debug.h"

#include "base/mem.h"

struct profile {
    const char *name;
    const char *capabilities[2];     /* added to the container of a pod */
    bool on_nodes;                   /* and to one on a node */
    bool plain;                      /* no security context but what follows */
    bool restricted;                 /* what the restricted pod security standard asks for */
    bool privileged;
    bool host_namespaces, host_root; /* on a node */
    bool plain_on_node;
    bool is_legacy; /* a copy loses its labels, and nothing else */
};
static const struct profile profiles[] = {
    {.name = "legacy", .host_namespaces = true, .host_root = true, .is_legacy = true},
    {.name = "general",
     .capabilities = {"SYS_PTRACE"},
     .host_namespaces = true,
     .host_root = true,
     .plain_on_node = true},
    {.name = "baseline", .plain = true},
    {.name = "restricted", .plain = true, .restricted = true},
    {.name = "netadmin", .capabilities = {"NET_ADMIN", "NET_RAW"}, .on_nodes = true, .host_namespaces = true},
    {.name = "sysadmin", .privileged = true, .host_namespaces = true, .host_root = true},
};

static const struct profile *find_profile(const char *name)
{
    for (size_t i = 0; i < countof(profiles); i++) {
        if (streq(profiles[i].name, name))
            return &profiles[i];
    }
    return NULL;
}

int debug_profile_check(const char *name, struct err *err)
{
    return find_profile(name) != NULL ? 0 : err_set(err, ERR_USAGE, "unknown profile: %s", name);
}

struct json *debug_find_container(struct json *pod, const char *name)
{
    static const char *const lists[] = {"initContainers", "containers", "ephemeralContainers"};
    struct json *spec = json_edit(pod, "spec", NULL);
    for (size_t i = 0; i < countof(lists); i++) {
        struct json *list = json_edit_member(spec, lists[i]);
        for (size_t j = 0; j < json_len(list); j++) {
            if (streq(json_str(json_at(list, j), "name", NULL), name))
                return json_edit_at(list, j);
        }
    }
    return NULL;
}

/* A list that is made if it is not there. */
static struct json *edit_list(struct json *object, const char *key)
{
    if (!json_is_array(json_member(object, key)))
        json_set(object, key, json_new_array());
    return json_edit_member(object, key);
}

static void set_rights(const struct profile *profile, enum debug_style style, struct json *container)
{
    bool adds = style != DEBUG_NODE || profile->on_nodes;
    if (profile->plain || (profile->plain_on_node && style == DEBUG_NODE))
        json_del(container, "securityContext");
    for (size_t i = 0; adds && i < countof(profile->capabilities) && profile->capabilities[i] != NULL; i++)
        json_push(edit_list(json_edit(container, "securityContext", "capabilities", NULL), "add"),
                  json_new_string(profile->capabilities[i]));
    if (profile->privileged)
        json_set_bool(json_edit(container, "securityContext", NULL), "privileged", true);
    if (profile->restricted)
        json_set(container, "securityContext",
                 json_build("{s:b, s:{s:[s]}, s:b, s:{s:s}}", "runAsNonRoot", 1, "capabilities", "drop", "ALL",
                            "allowPrivilegeEscalation", 0, "seccompProfile", "type", "RuntimeDefault"));
}

static void show_node(const struct profile *profile, struct json *spec, struct json *container)
{
    if (profile->host_root) {
        json_push(edit_list(spec, "volumes"), json_build("{s:s, s:{s:s}}", "name", "host-root", "hostPath", "path", "/"));
        json_push(edit_list(container, "volumeMounts"), json_build("{s:s, s:s}", "mountPath", "/host", "name", "host-root"));
    }
    if (profile->host_namespaces) {
        json_set_bool(spec, "hostNetwork", true);
        json_set_bool(spec, "hostPID", true);
        json_set_bool(spec, "hostIPC", true);
    }
}

static void drop_probes(const struct debug *debug, struct json *containers)
{
    const struct {
        bool keep;
        const char *probe;
    } probes[] = {{debug->keep_liveness, "livenessProbe"},
                  {debug->keep_readiness, "readinessProbe"},
                  {debug->keep_startup, "startupProbe"}};
    for (size_t i = 0; i < json_len(containers); i++) {
        for (size_t j = 0; j < countof(probes); j++) {
            if (!probes[j].keep)
                json_del(json_edit_at(containers, i), probes[j].probe);
        }
    }
}

/* A copy is nobody's: a Service must not send it requests, nor a probe restart it. */
static void make_copy_apart(const struct debug *debug, struct json *pod)
{
    struct json *spec = json_edit(pod, "spec", NULL), *metadata = json_edit(pod, "metadata", NULL);
    if (!debug->keep_labels)
        json_del(metadata, "labels");
    if (!debug->keep_annotations)
        json_del(metadata, "annotations");
    drop_probes(debug, json_edit_member(spec, "containers"));
    if (!debug->keep_init)
        json_del(spec, "initContainers");
    if (json_member(spec, "shareProcessNamespace") == NULL)
        json_set_bool(spec, "shareProcessNamespace", true);
}

void debug_profile_apply(const struct debug *debug, enum debug_style style, struct json *pod, const char *container)
{
    const struct profile *profile = find_profile(debug->profile);
    struct json *own = debug_find_container(pod, container);
    set_rights(profile, style, own);
    if (style == DEBUG_NODE)
        show_node(profile, json_edit(pod, "spec", NULL), own);
    if (style == DEBUG_COPY && profile->is_legacy)
        json_del(json_edit(pod, "metadata", NULL), "labels");
    else if (style == DEBUG_COPY)
        make_copy_apart(debug, pod);
}
