/*
 * pods.c: pods behind other objects, and the containers of a pod.
 */
#include "objects/pods.h"

#include "base/mem.h"
#include "objects/watch.h"
#include "text/gotext.h"

#define DEFAULT_CONTAINER_ANNOTATION "kubectl.kubernetes.io/default-container"

int pods_read_object(struct cli *cli, const char *argument, struct json **ret, struct err *err)
{
    CLEANUP(strv_done) struct strv args = {0};
    CLEANUP(items_done) struct items items = {0};
    const struct selection selection = {0};
    if (strchr(argument, '/') == NULL)
        strv_add(&args, "pods");
    strv_add(&args, argument);
    if (items_from_args(cli, &selection, &args, &items, err) < 0)
        return err->code;
    return item_get(cli, &items.list[0], NULL, ret, err);
}

static void add_requirement(struct buf *out, const char *format, const char *a, const char *b)
{
    buf_add_str(out, out->len > 0 ? "," : "");
    buf_printf(out, "%s%s%s", a, format, b);
}

static void add_labels(const struct json *labels, struct buf *out)
{
    CLEANUP(strv_done) struct strv keys = {0};
    gotext_keys(labels, &keys);
    for (size_t i = 0; i < keys.n; i++)
        add_requirement(out, "=", keys.items[i], strempty(json_string_value(json_member(labels, keys.items[i]))));
}

void pods_selector_text(const struct json *selector, struct buf *out)
{
    const struct json *labels = json_get(selector, "matchLabels", NULL), *expression, *value;
    const struct json *expressions = json_get(selector, "matchExpressions", NULL);
    if (labels == NULL && expressions == NULL) {
        add_labels(selector, out);
        return;
    }
    add_labels(labels, out);
    json_each(expression, expressions) {
        const char *key = json_str_or("", expression, "key", NULL),
                   *relation = json_str_or("", expression, "operator", NULL);
        if (streq(relation, "Exists"))
            add_requirement(out, "", key, "");
        else if (streq(relation, "DoesNotExist"))
            add_requirement(out, "", "!", key);
        else {
            CLEANUP(buf_done) struct buf values = {0};
            json_each(value, json_get(expression, "values", NULL))
                buf_printf(&values, "%s%s", value_index > 0 ? "," : "", strempty(json_string_value(value)));
            buf_printf(out, "%s%s %s (%s)", out->len > 0 ? "," : "", key, streq(relation, "In") ? "in" : "notin",
                       buf_text(&values));
        }
    }
}

/* --- which pod is the best one */

/* The Ready condition if it is true. */
static const struct json *readiness(const struct json *pod)
{
    const struct json *condition;
    json_each(condition, json_get(pod, "status", "conditions", NULL)) {
        if (streq(json_str(condition, "type", NULL), "Ready"))
            return streq(json_str(condition, "status", NULL), "True") ? condition : NULL;
    }
    return NULL;
}

/* Kubernetes' times compare as text. No time comes after all others. */
static int compare_times(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return (a == NULL) - (b == NULL);
    return strcmp(a, b);
}

static int64_t max_restarts(const struct json *statuses)
{
    const struct json *status;
    int64_t most = 0;
    json_each(status, statuses) {
        int64_t count = json_int_or(0, status, "restartCount", NULL);
        most = count > most ? count : most;
    }
    return most;
}

/* An ended pod still has logs, but nothing can be attached to it. */
static int phase_rank(const struct json *pod, enum pods_purpose purpose)
{
    const char *phase = json_str_or("", pod, "status", "phase", NULL);
    if (streq(phase, "Unknown") || streq(phase, "Running"))
        return streq(phase, "Unknown") ? 1 : 0;
    return streq(phase, "Pending") || purpose == PODS_TO_ATTACH ? 2 : 0;
}

/* Assigned, running, ready; then how long. Negative: a is the better one. The two purposes differ as kubectl's do. */
static int compare_pods(const struct json *a, const struct json *b, enum pods_purpose purpose)
{
    bool on_node_a = json_str(a, "spec", "nodeName", NULL) != NULL, on_node_b = json_str(b, "spec", "nodeName", NULL) != NULL;
    const struct json *ready_a = readiness(a), *ready_b = readiness(b);
    if (on_node_a != on_node_b)
        return on_node_a ? -1 : 1;
    if (phase_rank(a, purpose) != phase_rank(b, purpose))
        return phase_rank(a, purpose) - phase_rank(b, purpose);
    if ((ready_a != NULL) != (ready_b != NULL))
        return ready_a != NULL ? -1 : 1;
    if (purpose == PODS_TO_ATTACH) {
        const char *deleted_a = json_str(a, "metadata", "deletionTimestamp", NULL),
                   *deleted_b = json_str(b, "metadata", "deletionTimestamp", NULL);
        int order = compare_times(deleted_b, deleted_a); /* the one that stays, else the one that stays longer */
        if (order != 0)
            return order;
    }
    if (ready_a != NULL) {
        int order = compare_times(json_str(ready_a, "lastTransitionTime", NULL), json_str(ready_b, "lastTransitionTime", NULL));
        if (order != 0)
            return order;
    }
    int64_t restarts_a = max_restarts(json_get(a, "status", "containerStatuses", NULL)),
            restarts_b = max_restarts(json_get(b, "status", "containerStatuses", NULL));
    if (restarts_a != restarts_b)
        return (restarts_a > restarts_b) == (purpose == PODS_FOR_LOGS) ? -1 : 1;
    return compare_times(json_str(a, "metadata", "creationTimestamp", NULL),
                         json_str(b, "metadata", "creationTimestamp", NULL));
}

static struct json *sorted(const struct json *pods, enum pods_purpose purpose)
{
    struct json *result = json_new_array();
    size_t n = json_len(pods);
    bool *taken = xcalloc(n + 1, sizeof(*taken));
    for (size_t i = 0; i < n; i++) {
        size_t best = n;
        for (size_t j = 0; j < n; j++) {
            if (!taken[j] && (best == n || compare_pods(json_at(pods, j), json_at(pods, best), purpose) < 0))
                best = j;
        }
        taken[best] = true;
        json_push(result, json_keep(json_at(pods, best)));
    }
    free(taken);
    return result;
}

/* --- the pods of an object */

static bool on_pod(const char *type, const struct json *pod, void *data)
{
    struct json **first = data;
    if (!streq(type, "ADDED") && !streq(type, "MODIFIED"))
        return true;
    *first = json_clone(pod);
    return false;
}

/* Nothing matches so far: the first pod that comes. */
static int wait_for_pod(struct cli *cli, const char *collection, const char *selector, const char *version,
                        int64_t timeout_ms, struct json **ret_array, struct err *err)
{
    const struct watch_request watch = {
        .path = collection, .label_selector = selector, .resource_version = version, .timeout_ms = timeout_ms};
    CLEANUP(json_free) struct json *first = NULL;
    bool ended_by_server = false;
    int code = watch_run(cli, &watch, on_pod, &first, &ended_by_server, err);
    if (code == 0 && first != NULL) {
        *ret_array = json_build("[O]", first);
        return 0;
    }
    if (code < 0 && code != ERR_TIMEOUT)
        return code;
    err_clear(err);
    return err_set(err, ERR_TIMEOUT, "timed out waiting for the condition");
}

int pods_of_object(struct cli *cli, const struct json *object, enum pods_purpose purpose, int64_t timeout_ms,
                   struct json **ret_array, struct err *err)
{
    static const char *const kinds[] = {
        "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController", "Service"};
    const char *verb = purpose == PODS_FOR_LOGS ? "get the logs from" : "attach to";
    const char *kind = json_str_or("", object, "kind", NULL);
    if (streq(kind, "Pod")) {
        *ret_array = json_build("[O]", object);
        return 0;
    }
    bool known = false;
    for (size_t i = 0; i < countof(kinds); i++)
        known = known || streq(kinds[i], kind);
    const struct json *selector = json_get(object, "spec", "selector", NULL);
    if (!known)
        return err_set(err, ERR_UNSUPPORTED, "cannot %s *v1.%s: selector for *v1.%s not implemented", verb, kind, kind);
    if (json_len(selector) == 0)
        return err_set(err, ERR_INVALID, "cannot %s *v1.%s: invalid %s '%s': %s is defined without a selector", verb, kind,
                       streq(kind, "Service") ? "service" : kind, json_str_or("", object, "metadata", "name", NULL), kind);
    CLEANUP(buf_done) struct buf text = {0}, path = {0};
    pods_selector_text(selector, &text);
    CLEANUP(xfree)
    char *collection = kube_path("", "v1", json_str(object, "metadata", "namespace", NULL), "pods", NULL, NULL);
    buf_add_str(&path, collection);
    kube_path_query(&path, "labelSelector", buf_text(&text));
    const struct kube_request request = {.path = buf_text(&path)};
    CLEANUP(json_free) struct json *list = NULL;
    if (cli_do(cli, &request, &list, err) < 0)
        return err->code;
    if (json_len(json_get(list, "items", NULL)) == 0)
        return wait_for_pod(cli, collection, buf_text(&text), json_str(list, "metadata", "resourceVersion", NULL),
                            timeout_ms, ret_array, err);
    *ret_array = sorted(json_get(list, "items", NULL), purpose);
    return 0;
}

/* --- containers */

const char *pods_find_container(const struct json *pod, const char *name)
{
    static const char *const lists[] = {"containers", "initContainers", "ephemeralContainers"};
    for (size_t i = 0; i < countof(lists); i++) {
        const struct json *container;
        json_each(container, json_get(pod, "spec", lists[i], NULL)) {
            if (streq(json_str(container, "name", NULL), name))
                return lists[i];
        }
    }
    return NULL;
}

void pods_container_names(const struct json *pod, struct buf *out)
{
    static const struct {
        const char *list, *suffix;
    } lists[] = {{"containers", ""}, {"ephemeralContainers", " (ephem)"}, {"initContainers", " (init)"}};
    for (size_t i = 0; i < countof(lists); i++) {
        const struct json *container;
        json_each(container, json_get(pod, "spec", lists[i].list, NULL))
            buf_printf(out, "%s%s%s", out->len > 0 ? ", " : "", json_str_or("", container, "name", NULL),
                       lists[i].suffix);
    }
}

int pods_choose_container(const struct json *pod, const char *name, bool quiet, const char **ret, struct err *err)
{
    const char *pod_name = json_str_or("", pod, "metadata", "name", NULL);
    const struct json *containers = json_get(pod, "spec", "containers", NULL);
    CLEANUP(buf_done) struct buf all = {0};
    pods_container_names(pod, &all);
    if (json_len(containers) == 0)
        return err_set(err, ERR_INVALID, "pod %s/%s does not have any containers",
                       json_str_or("", pod, "metadata", "namespace", NULL), pod_name);
    if (strempty(name)[0] == '\0')
        name = json_str(pod, "metadata", "annotations", DEFAULT_CONTAINER_ANNOTATION, NULL);
    if (strempty(name)[0] != '\0') {
        if (pods_find_container(pod, name) == NULL)
            return err_set(err, ERR_NOT_FOUND, "container %s is not valid for pod %s out of: %s", name, pod_name,
                           buf_text(&all));
        *ret = name;
        return 0;
    }
    *ret = json_str_or("", json_at(containers, 0), "name", NULL);
    if (!quiet && strchr(buf_text(&all), ',') != NULL)
        fprintf(stderr, "Defaulted container \"%s\" out of: %s\n", *ret, buf_text(&all));
    return 0;
}
