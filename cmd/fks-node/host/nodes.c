/*
 * nodes.c: one Node and one Lease per pod. A watch of the Nodes that carry this host's label tells which ones there
 * are, so that after a restart Nodes are adopted, and those of pods that are gone lead back to pods.c, which makes
 * sure of the pod's end and removes what it left.
 */
#include "host/nodes.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"
#include "fargate/names.h"

#include "api/api.h"
#include "backoff.h"
#include "pod/pod.h"
#include "pods.h"

#define LEASE_RENEW_MS 18000 /* the node controller waits 40 s and more */
#define LEASE_JITTER_MS 4000
#define LEASE_DURATION_S 40
#define ORPHANS_EVERY_MS 20000
#define RETRY_FIRST_MS 200
#define RETRY_MAX_MS 10000
#define SUFFIX_DIGITS 6

enum node_state {
    NODE_NEW,  /* not known to the API server */
    NODE_BUSY, /* POST, or GET after a conflict, is under way */
    NODE_UP,
    NODE_REMOVING, /* DELETEs are under way */
    NODE_REMOVED,
};

struct node {
    struct agent *agent;
    struct pod *pod;
    char *name;
    char *uid;    /* of the Node object; NULL until known */
    char *suffix; /* in the name, after a conflict; or NULL */
    enum node_state state;
    struct server_listener *listener;
    struct loop_timer *lease_timer;
    bool lease_busy, lease_made;
    bool repairing; /* a status patch is under way */
    int n_deletes;
    bool delete_failed;
    struct backoff retry;
};

struct nodes {
    struct agent *agent;
    struct kube_watch *watch;
    struct map by_uid; /* pod UID → char *: name of its Node */
    struct loop_timer *orphans;
    bool settled;
};

const char *node_name(const struct node *node)
{
    return node->name;
}

const char *nodes_name_for(const struct nodes *nodes, const char *uid)
{
    return map_get(&nodes->by_uid, uid);
}

bool nodes_settled(const struct nodes *nodes)
{
    return nodes->settled;
}

size_t nodes_count(const struct nodes *nodes)
{
    return kube_watch_count(nodes->watch);
}

/* --- Lease */

static struct json *lease_spec(const struct node *node)
{
    CLEANUP(json_free) struct json *now = agent_time_micro(agent_renew_ns(node->agent, 0));

    return json_build("{s:s, s:i, s:O}", "holderIdentity", node->name, "leaseDurationSeconds", LEASE_DURATION_S,
                      "renewTime", now);
}

static void lease_later(struct node *node, int64_t delay_ms)
{
    loop_timer_set(node->lease_timer, delay_ms);
}

/* The Lease of an earlier run may carry a later time than the clock has now. */
static void on_old_lease(struct json **answer, struct err *err, void *data)
{
    struct node *node = data;
    CLEANUP(err_clear) struct err ignored = {0};
    int64_t seen_ns;

    node->lease_busy = false;
    if (err->code == 0 && clock_parse(json_str_or("", *answer, "spec", "renewTime", NULL), &seen_ns, &ignored) == 0)
        (void)agent_renew_ns(node->agent, seen_ns);
    node->lease_made = err->code == 0;
    lease_later(node, err->code == 0 || err->code == ERR_NOT_FOUND ? 0 : 2000);
    pod_call_done(node->pod);
}

static void on_lease(struct json **answer UNUSED, struct err *err, void *data)
{
    struct node *node = data;
    struct pod *pod = node->pod;

    node->lease_busy = false;
    if (err->code == 0) {
        node->lease_made = true;
        lease_later(node, LEASE_RENEW_MS + (int64_t)random_below(LEASE_JITTER_MS));
    } else if (err->code == ERR_NOT_FOUND) {
        node->lease_made = false;
        lease_later(node, 0);
    } else if (err->code == ERR_EXISTS) {
        node->lease_busy = true;
        agent_request(node->agent, "GET",
                      kube_path("coordination.k8s.io", "v1", "kube-node-lease", "leases", node->name, NULL), NULL, NULL,
                      on_old_lease, node);
        return; /* that call is this one's rest */
    } else {
        lease_later(node, 2000);
    }
    pod_call_done(pod);
}

static void lease_renew(void *data)
{
    struct node *node = data;

    if (node->lease_busy || node->state != NODE_UP)
        return;
    node->lease_busy = true;
    pod_call_begin(node->pod);
    if (node->lease_made) {
        agent_request(node->agent, "PATCH",
                      kube_path("coordination.k8s.io", "v1", "kube-node-lease", "leases", node->name, NULL),
                      json_build("{s:o}", "spec", lease_spec(node)), KUBE_MERGE_PATCH, on_lease, node);
        return;
    }
    struct json *lease = json_build("{s:s, s:s, s:{s:s, s:s, s:[{s:s, s:s, s:s, s:s}]}, s:o}", "apiVersion",
                                    "coordination.k8s.io/v1", "kind", "Lease", "metadata", "name", node->name,
                                    "namespace", "kube-node-lease", "ownerReferences", "apiVersion", "v1", "kind",
                                    "Node", "name", node->name, "uid", strempty(node->uid), "spec", lease_spec(node));
    agent_request(node->agent, "POST",
                  kube_path("coordination.k8s.io", "v1", "kube-node-lease", "leases", NULL, NULL), lease, NULL,
                  on_lease, node);
}

/* --- creation */

static void node_up(struct node *node, const struct json *object)
{
    free(node->uid);
    node->uid = xstrdup(json_str(object, "metadata", "uid", NULL));
    node->state = NODE_UP;
    backoff_reset(&node->retry);
    lease_later(node, 0);
}

static struct node *node_new(struct pod *pod, const char *name)
{
    struct node *node = NEW(struct node);

    node->agent = pod->agent;
    node->pod = pod;
    node->name = xstrdup(name);
    node->lease_timer = loop_timer_new(pod->agent->loop, lease_renew, node);
    return node;
}

void nodes_detach(struct pod *pod)
{
    struct node *node = pod->node;

    if (node == NULL)
        return;
    server_listener_free(node->listener);
    loop_timer_free(node->lease_timer);
    free(node->name);
    free(node->uid);
    free(node->suffix);
    free(node);
    pod->node = NULL;
}

/* Listens on port (0: any); a port that is taken by now gives way to another. */
static bool node_listen(struct node *node, int port)
{
    CLEANUP(err_clear) struct err err = {0};

    if (node->listener != NULL)
        return true;
    if (api_listen(node->agent->api, port, node->pod, &node->listener, &err) < 0) {
        agent_warn("cannot listen for a Node's kubelet API", node->name, &err);
        err_clear(&err);
        if (port != 0 && api_listen(node->agent->api, 0, node->pod, &node->listener, &err) < 0)
            agent_warn("cannot listen for a Node's kubelet API", node->name, &err);
    }
    return node->listener != NULL;
}

static void node_failed(struct node *node, const char *what, const struct err *err)
{
    node->state = NODE_NEW;
    backoff_fail(&node->retry, pod_now(node->pod), RETRY_FIRST_MS, RETRY_MAX_MS);
    agent_warn(what, node->name, err);
}

/* The Node object that the watch knows for this pod, or NULL. */
static const struct json *watched(const struct pod *pod)
{
    const struct nodes *nodes = pod->agent->nodes;
    const char *name = nodes_name_for(nodes, pod->uid);

    return name != NULL ? kube_watch_get(nodes->watch, NULL, name) : NULL;
}

static void on_repaired(struct json **answer UNUSED, struct err *err, void *data)
{
    struct node *node = data;

    node->repairing = false;
    if (err->code != 0)
        agent_warn("patching the status of a Node", node->name, err);
    pod_call_done(node->pod);
}

/* After an absence the Node may be marked Unknown, or name a port that somebody else has now. */
static void node_repair(struct node *node, const struct json *object)
{
    const struct json *condition;
    int port = server_listener_port(node->listener);
    bool well = json_int_or(0, object, "status", "daemonEndpoints", "kubeletEndpoint", "Port", NULL) == port;

    json_each(condition, json_get(object, "status", "conditions", NULL))
        if (streq(json_str(condition, "type", NULL), "Ready") && !streq(json_str(condition, "status", NULL), "True"))
            well = false;
    if (well || node->repairing)
        return;
    CLEANUP(json_free) struct json *resources = node_resources(node->pod);
    node->repairing = true;
    pod_call_begin(node->pod);
    agent_request(node->agent, "PATCH", kube_path("", "v1", NULL, "nodes", node->name, "status"),
                  json_build("{s:{s:O, s:O, s:o, s:[{s:s, s:s}], s:{s:{s:i}}}}", "status", "capacity", resources,
                             "allocatable", resources, "conditions", node_conditions(clock_wall_ns()), "addresses",
                             "type", "InternalIP", "address", node->agent->options.address, "daemonEndpoints",
                             "kubeletEndpoint", "Port", port),
                  KUBE_STRATEGIC_PATCH, on_repaired, node);
}

static bool node_is_for(const struct json *object, const char *uid)
{
    const struct json *annotations = json_get(object, "metadata", "annotations", NULL);

    return streq(json_string_value(json_member(annotations, FKS_POD_UID_ANNOTATION)), uid);
}

/*
 * The name is taken: by ourselves (the answer to an earlier POST was lost), or by the Node of a pod that had the
 * address.
 */
static void on_conflicting(struct json **answer, struct err *err, void *data)
{
    struct node *node = data;
    struct pod *pod = node->pod;

    if (err->code != 0 && err->code != ERR_NOT_FOUND) {
        node_failed(node, "reading a Node", err);
    } else if (err->code == ERR_NOT_FOUND) {
        node->state = NODE_NEW;
    } else if (node_is_for(*answer, pod->uid)) {
        node_up(node, *answer);
        node_repair(node, *answer);
    } else {
        char digits[SUFFIX_DIGITS + 1];
        (void)snprintf(digits, sizeof(digits), "%s", pod->uid);
        free(node->suffix);
        node->suffix = xstrdup(digits);
        free(node->name);
        node->name =
            node_name_for(node->agent->options.node_prefix, pod->address != NULL ? pod->address : "unknown", node->suffix,
                          node->agent->options.region);
        node->state = NODE_NEW;
    }
    pod_call_done(pod);
}

static void on_created(struct json **answer, struct err *err, void *data)
{
    struct node *node = data;
    struct pod *pod = node->pod;

    if (err->code == 0) {
        node_up(node, *answer);
        log_info("node made", "node", node->name, "pod", pod_title(pod));
    } else if (err->code == ERR_EXISTS) {
        pod_call_begin(pod);
        agent_request(node->agent, "GET", kube_path("", "v1", NULL, "nodes", node->name, NULL), NULL, NULL,
                      on_conflicting, node);
    } else {
        node_failed(node, "making a Node", err);
    }
    pod_call_done(pod);
}

static void node_adopt(struct pod *pod, const struct json *object)
{
    struct node *node = node_new(pod, json_str(object, "metadata", "name", NULL));

    pod->node = node;
    if (node_listen(node,
                    (int)json_int_or(0, object, "status", "daemonEndpoints", "kubeletEndpoint", "Port", NULL))) {
        node_up(node, object);
        node_repair(node, object);
    }
}

bool nodes_ensure(struct pod *pod)
{
    const struct json *object = watched(pod);
    const char *bound = json_str(pod->object, "spec", "nodeName", NULL);

    if (pod->node == NULL && object != NULL)
        node_adopt(pod, object);
    if (pod->node == NULL) {
        if (bound == NULL && pod->address == NULL)
            return false;
        /* A bound pod keeps its Node's name, even when its sandbox was made anew and has another address. */
        CLEANUP(xfree) char *name =
            bound != NULL ? xstrdup(bound)
                          : node_name_for(pod->agent->options.node_prefix, pod->address, NULL, pod->agent->options.region);
        pod->node = node_new(pod, name);
    }
    struct node *node = pod->node;
    if (node->state == NODE_UP)
        return true;
    if (node->state != NODE_NEW)
        return false;
    int64_t wait_ms = backoff_left_ms(&node->retry, pod_now(pod));
    if (wait_ms > 0) {
        pod_wake_in(pod, wait_ms);
        return false;
    }
    if (!node_listen(node, 0)) {
        backoff_fail(&node->retry, pod_now(pod), RETRY_FIRST_MS, RETRY_MAX_MS);
        pod_wake_in(pod, node->retry.wait_ms);
        return false;
    }
    if (object != NULL && streq(json_str(object, "metadata", "name", NULL), node->name)) {
        node_up(node, object);
        node_repair(node, object);
        return true;
    }
    node->state = NODE_BUSY;
    pod_call_begin(pod);
    agent_request(node->agent, "POST", kube_path("", "v1", NULL, "nodes", NULL, NULL),
                  node_object(node->agent, pod, node->name, server_listener_port(node->listener)), NULL, on_created,
                  node);
    return false;
}

/* --- removal */

static void on_deleted(struct json **answer UNUSED, struct err *err, void *data)
{
    struct node *node = data;

    /* a conflict is another Node of that name by now: not ours to delete */
    if (err->code != 0 && err->code != ERR_NOT_FOUND && err->code != ERR_CONFLICT) {
        node->delete_failed = true;
        agent_warn("deleting a Node", node->name, err);
    }
    if (--node->n_deletes == 0) {
        node->state = node->delete_failed ? NODE_NEW : NODE_REMOVED;
        if (node->delete_failed)
            backoff_fail(&node->retry, pod_now(node->pod), RETRY_FIRST_MS, RETRY_MAX_MS);
    }
    pod_call_done(node->pod);
}

static void node_delete(struct node *node)
{
    struct pod *pod = node->pod;

    node->state = NODE_REMOVING;
    node->delete_failed = false;
    node->n_deletes = 2;
    node->listener = server_listener_free(node->listener);
    loop_timer_cancel(node->lease_timer);
    pod_call_begin(pod);
    pod_call_begin(pod);
    agent_request(node->agent, "DELETE", kube_path("", "v1", NULL, "nodes", node->name, NULL),
                  node->uid != NULL ? agent_delete_options(-1, node->uid) : NULL, NULL, on_deleted, node);
    agent_request(node->agent, "DELETE",
                  kube_path("coordination.k8s.io", "v1", "kube-node-lease", "leases", node->name, NULL), NULL, NULL,
                  on_deleted, node);
}

bool nodes_remove(struct pod *pod)
{
    const struct json *object = watched(pod);

    if (pod->node == NULL && object != NULL) {
        pod->node = node_new(pod, json_str(object, "metadata", "name", NULL));
        pod->node->uid = xstrdup(json_str(object, "metadata", "uid", NULL));
        pod->node->state = NODE_UP;
    }
    struct node *node = pod->node;
    if (node == NULL)
        return true;
    switch (node->state) {
    case NODE_REMOVED:
        if (node->lease_busy || node->repairing)
            return false;
        nodes_detach(pod);
        return true;
    case NODE_BUSY:
    case NODE_REMOVING:
        return false;
    case NODE_NEW:
    case NODE_UP:
        break;
    }
    if (node->uid == NULL) { /* never made */
        node->state = NODE_REMOVED;
        return nodes_remove(pod);
    }
    int64_t wait_ms = backoff_left_ms(&node->retry, pod_now(pod));
    if (wait_ms > 0)
        pod_wake_in(pod, wait_ms);
    else if (!node->lease_busy) /* else a Lease could come into being after its deletion */
        node_delete(node);
    return false;
}

/* --- the watch */

static void found(struct nodes *nodes, const struct json *object)
{
    const struct json *annotations = json_get(object, "metadata", "annotations", NULL);
    const char *uid = json_string_value(json_member(annotations, FKS_POD_UID_ANNOTATION));
    const char *title = json_string_value(json_member(annotations, FKS_POD_ANNOTATION));
    struct str namespace, name;

    if (uid == NULL || title == NULL || !str_cut(str_of(title), '/', &namespace, &name))
        return;
    CLEANUP(xfree) char *namespace_text = xstrndup(namespace.p, namespace.len);
    CLEANUP(xfree) char *name_text = xstrndup(name.p, name.len);
    pods_found(nodes->agent->pods, uid, namespace_text, name_text);
}

static void look_for_orphans(void *data)
{
    struct nodes *nodes = data;
    const struct json *object;

    for (size_t i = 0; kube_watch_next(nodes->watch, &i, &object);)
        found(nodes, object);
    loop_timer_set(nodes->orphans, ORPHANS_EVERY_MS);
}

static void on_node(const struct json *old, const struct json *new, void *data)
{
    struct nodes *nodes = data;
    const struct json *object = new != NULL ? new : old;
    const struct json *annotations = json_get(object, "metadata", "annotations", NULL);
    const char *uid = json_string_value(json_member(annotations, FKS_POD_UID_ANNOTATION));
    const char *name = json_str(object, "metadata", "name", NULL);

    if (uid == NULL || name == NULL)
        return;
    struct pod *pod = pods_get(nodes->agent->pods, uid);
    if (new != NULL) {
        free(map_set(&nodes->by_uid, uid, xstrdup(name)));
        if (pod != NULL && pod->node != NULL && pod->node->state == NODE_UP && pod->node->listener != NULL &&
            streq(pod->node->name, name))
            node_repair(pod->node, new);
    } else if (streq(map_get(&nodes->by_uid, uid), name)) {
        free(map_del(&nodes->by_uid, uid));
        /* Somebody deleted it under a pod that lives: it is made again. */
        if (pod != NULL && pod->node != NULL && pod->node->state == NODE_UP && streq(pod->node->name, name)) {
            pod->node->state = NODE_NEW;
            pod->node->uid = xfree(pod->node->uid);
            pod->node->lease_made = false;
        }
    }
    if (pod != NULL)
        pod_wake(pod);
}

static void on_synced(void *data)
{
    struct nodes *nodes = data;

    nodes->settled = true;
    pods_wake_all(nodes->agent->pods);
    if (pods_settled(nodes->agent->pods))
        look_for_orphans(nodes);
    else
        loop_timer_set(nodes->orphans, 1000);
}

static void on_error(const struct err *err, void *data UNUSED)
{
    agent_warn("watching the Nodes of this host; trying again", FKS_HOST_LABEL, err);
}

struct nodes *nodes_new(struct agent *agent)
{
    struct nodes *nodes = NEW(struct nodes);

    nodes->agent = agent;
    nodes->orphans = loop_timer_new(agent->loop, look_for_orphans, nodes);
    return nodes;
}

/* What no one here reads of a Node; node_repair reads most of what is left. */
static const struct json_omit in_metadata[] = {{.name = "managedFields"}, {.name = "labels"}, {0}};
static const struct json_omit in_condition[] = {
    {.name = "lastHeartbeatTime"}, {.name = "lastTransitionTime"}, {.name = "reason"}, {.name = "message"}, {0}};
static const struct json_omit in_status[] = {
    {.name = "addresses"}, {.name = "allocatable"}, {.name = "nodeInfo"},
    {.name = "images"},    {.name = "features"},    {.name = "conditions", .inside = in_condition},
    {.name = "capacity"},  {.name = "runtimeHandlers"}, {.name = "declaredFeatures"},
    {0}};
static const struct json_omit omit[] = {
    {.name = "metadata", .inside = in_metadata}, {.name = "spec"}, {.name = "status", .inside = in_status}, {0}};

void nodes_start(struct nodes *nodes)
{
    CLEANUP(xfree) char *selector = xasprintf("%s=%s", FKS_HOST_LABEL, nodes->agent->options.host_name);
    struct kube_watch_options options = {
        .path = "/api/v1/nodes",
        .label_selector = selector,
        .omit = omit,
        .on_change = on_node,
        .on_synced = on_synced,
        .on_error = on_error,
        .data = nodes,
    };

    nodes->watch = kube_watch_new(nodes->agent->kube, &options);
}

struct nodes *nodes_free(struct nodes *nodes)
{
    const char *uid;
    void *name;

    if (nodes == NULL)
        return NULL;
    kube_watch_free(nodes->watch);
    loop_timer_free(nodes->orphans);
    for (size_t i = 0; map_next(&nodes->by_uid, &i, &uid, &name);)
        free(name);
    map_done(&nodes->by_uid);
    free(nodes);
    return NULL;
}
