/*
 * debug_pod.c: what `debug` makes: an ephemeral container in a pod, a copy of the pod, or a pod on a node. Nothing is
 * sent from here.
 */
#include "merge/merge.h"
#include "streams/debug.h"

#include "base/codec.h"
#include "base/mem.h"

/* Five letters and digits as Kubernetes makes them: no vowels, nothing that looks alike. */
static char *name_suffix(const char *prefix)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    struct buf name = {0};
    buf_add_str(&name, prefix);
    for (int i = 0; i < 5; i++)
        buf_add_char(&name, letters[random_below(sizeof(letters) - 1)]);
    return buf_take(&name);
}

static char *container_name(const struct debug *debug, struct json *pod)
{
    char *name = debug->container != NULL && debug->container[0] != '\0' ? xstrdup(debug->container) : NULL;
    if (name != NULL)
        return name;
    do {
        free(name);
        name = name_suffix("debugger-");
    } while (debug_find_container(pod, name) != NULL);
    if (!debug->quiet)
        printf("Defaulting debug container name to %s.\n", name);
    return name;
}

static struct json *texts_to_json(const struct strv *texts)
{
    struct json *list = json_new_array();
    for (size_t i = 0; i < texts->n; i++)
        json_push(list, json_new_string(texts->items[i]));
    return list;
}

static void set_environment(const struct debug *debug, struct json *container)
{
    struct json *list = json_new_array();
    for (size_t i = 0; i < debug->env.n; i++) {
        const char *pair = debug->env.items[i], *sign = strchr(pair, '=');
        CLEANUP(xfree) char *name = xstrndup(pair, (size_t)(sign - pair));
        json_push(list, json_build("{s:s, s:s}", "name", name, "value", sign + 1));
    }
    json_set(container, "env", list);
}

/* What the options say of a container; the rest of it stays. */
static void set_container(const struct debug *debug, struct json *container)
{
    if (debug->command.n > 0) {
        json_set(container, debug->args_only ? "args" : "command", texts_to_json(&debug->command));
        if (!debug->args_only)
            json_del(container, "args");
    }
    if (debug->env.n > 0)
        set_environment(debug, container);
    if (strempty(debug->image)[0] != '\0')
        json_set_str(container, "image", debug->image);
    if (strempty(debug->pull_policy)[0] != '\0')
        json_set_str(container, "imagePullPolicy", debug->pull_policy);
    static const char *const streams[] = {"stdin", "tty"};
    const bool wanted[] = {debug->use_stdin, debug->tty};
    for (size_t i = 0; i < countof(streams); i++) {
        if (wanted[i])
            json_set_bool(container, streams[i], true);
        else
            json_del(container, streams[i]);
    }
}

static struct json *new_container(const struct debug *debug, const char *name)
{
    struct json *container = json_build("{s:s, s:s}", "name", name, "terminationMessagePolicy", "File");
    set_container(debug, container);
    return container;
}

/* --custom over the container, by the rules of a container in a pod. */
static void apply_custom(const struct debug *debug, struct json *pod, const char *name)
{
    struct json *container = debug_find_container(pod, name);
    if (debug->custom == NULL || container == NULL)
        return;
    CLEANUP(json_free) struct json *patch = json_clone(debug->custom);
    json_set_str(patch, "name", name);
    CLEANUP(json_free)
    struct json *base = json_build("{s:s, s:s, s:{s:[o]}}", "apiVersion", "v1", "kind", "Pod", "spec", "containers",
                                   json_clone(container));
    CLEANUP(json_free) struct json *change = json_build("{s:{s:[o]}}", "spec", "containers", take(&patch));
    CLEANUP(json_free) struct json *merged = merge_apply(base, change);
    const struct json *result = json_at(json_get(merged, "spec", "containers", NULL), 0), *value;
    void *position = NULL;
    const char *key;
    CLEANUP(strv_done) struct strv gone = {0};
    while (json_next(container, &position, &key, &value)) {
        if (json_member(result, key) == NULL)
            strv_add(&gone, key);
    }
    for (size_t i = 0; i < gone.n; i++)
        json_del(container, gone.items[i]);
    position = NULL;
    while (json_next(result, &position, &key, &value))
        json_set(container, key, json_clone(value));
}

void debug_add_container(const struct debug *debug, const struct json *pod, struct json **ret, char **ret_container)
{
    CLEANUP(json_free) struct json *changed = json_clone(pod);
    CLEANUP(xfree) char *name = container_name(debug, changed);
    struct json *container = new_container(debug, name), *spec = json_edit(changed, "spec", NULL);
    if (strempty(debug->target)[0] != '\0')
        json_set_str(container, "targetContainerName", debug->target);
    if (!json_is_array(json_member(spec, "ephemeralContainers")))
        json_set(spec, "ephemeralContainers", json_new_array());
    json_push(json_edit_member(spec, "ephemeralContainers"), container);
    debug_profile_apply(debug, DEBUG_EPHEMERAL, changed, name);
    apply_custom(debug, changed, name);
    *ret = take(&changed);
    *ret_container = take(&name);
}

/* --set-image: by a container's name, or "*" for all others. */
static void set_images(const struct debug *debug, struct json *containers)
{
    for (size_t i = 0; i < json_len(containers); i++) {
        const char *name = json_str_or("", json_at(containers, i), "name", NULL), *all = NULL, *own = NULL;
        for (size_t j = 0; j < debug->set_image.n; j++) {
            const char *pair = debug->set_image.items[j], *sign = strchr(pair, '=');
            size_t len = (size_t)(sign - pair);
            if (len == strlen(name) && strncmp(pair, name, len) == 0)
                own = sign + 1;
            if (len == 1 && pair[0] == '*')
                all = sign + 1;
        }
        const char *image = own != NULL ? own : all;
        if (strempty(image)[0] != '\0')
            json_set_str(json_edit_at(containers, i), "image", image);
    }
}

static struct json *plain_copy(const struct debug *debug, const struct json *pod)
{
    struct json *copy = json_build(
        "{s:s, s:s, s:{s:s, s:s*, s:O*, s:O*}, s:o}", "apiVersion", "v1", "kind", "Pod", "metadata", "name", debug->copy_to,
        "namespace", json_str(pod, "metadata", "namespace", NULL), "annotations", json_get(pod, "metadata", "annotations", NULL),
        "labels", json_get(pod, "metadata", "labels", NULL), "spec", json_clone(json_get(pod, "spec", NULL)));
    struct json *spec = json_edit(copy, "spec", NULL);
    json_del(spec, "ephemeralContainers");
    if (debug->share_seen)
        json_set_bool(spec, "shareProcessNamespace", debug->share_processes);
    if (!debug->same_node)
        json_del(spec, "nodeName");
    set_images(debug, json_edit_member(spec, "containers"));
    return copy;
}

int debug_copy_pod(const struct debug *debug, const struct json *pod, struct json **ret, char **ret_container,
                   struct err *err)
{
    CLEANUP(json_free) struct json *copy = plain_copy(debug, pod);
    CLEANUP(xfree) char *name = NULL;
    bool has_name = strempty(debug->container)[0] != '\0', has_image = strempty(debug->image)[0] != '\0';
    struct json *container = has_name ? debug_find_container(copy, debug->container) : NULL;
    if (container == NULL && !has_image && debug->set_image.n > 0) {
        *ret = take(&copy);
        return 0;
    }
    if (container == NULL && !has_image)
        return err_set(err, ERR_USAGE, "you must specify image when creating new container");
    name = container_name(debug, copy);
    if (container != NULL)
        set_container(debug, container);
    else
        json_push(json_edit(copy, "spec", "containers", NULL), new_container(debug, name));
    debug_profile_apply(debug, DEBUG_COPY, copy, name);
    apply_custom(debug, copy, name);
    *ret = take(&copy);
    *ret_container = take(&name);
    return 0;
}

void debug_node_pod(const struct debug *debug, const char *node, struct json **ret, char **ret_container)
{
    const char *container = strempty(debug->container)[0] != '\0' ? debug->container : "debugger";
    CLEANUP(xfree) char *prefix = xasprintf("node-debugger-%s-", node);
    CLEANUP(xfree) char *name = name_suffix(prefix);
    if (!debug->quiet)
        printf("Creating debugging pod %s with container %s on node %s.\n", name, container, node);
    CLEANUP(json_free)
    struct json *pod =
        json_build("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:[o], s:s, s:s, s:[{s:s}]}}", "apiVersion", "v1", "kind", "Pod",
                   "metadata", "name", name, "labels", "app.kubernetes.io/managed-by", "kubectl-debug", "spec", "containers",
                   new_container(debug, container), "nodeName", node, "restartPolicy", "Never", "tolerations", "operator",
                   "Exists");
    debug_profile_apply(debug, DEBUG_NODE, pod, container);
    apply_custom(debug, pod, container);
    *ret = take(&pod);
    *ret_container = xstrdup(container);
}

void debug_warn_of_user(const struct json *pod, struct json *debug_pod, const char *container)
{
    const struct json *rights = json_get(debug_find_container(debug_pod, container), "securityContext", NULL);
    bool has_rights = json_is_true(rights, "privileged", NULL) || json_len(json_get(rights, "capabilities", "add", NULL)) > 0;
    if (json_int_or(0, pod, "spec", "securityContext", "runAsUser", NULL) != 0 && has_rights &&
        json_int_or(1, rights, "runAsUser", NULL) != 0)
        fputs("Warning: Non-root user is configured for the entire target Pod, and some capabilities granted by debug "
              "profile may not work. Please consider using \"--custom\" with a custom profile that specifies "
              "\"securityContext.runAsUser: 0\".\n",
              stderr);
}
