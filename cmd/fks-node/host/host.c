/*
 * host.c: asks the runtime every ten seconds how it is, renews the host's Lease, and writes the FargateHost when
 * something about it changed. spec.unschedulable is the administrators' and never touched.
 */
#include "host/host.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/quantity.h"
#include "fargate/hosts.h"
#include "fargate/names.h"
#include "host/storage.h"
#include "volumes/csi_drivers.h"

#define BEAT_MS 10000
#define RETRY_MS 1000
#define REPORT_MS 300000 /* the condition is written so often, too, as the kubelet writes a status that did not change */
#define LEASE_DURATION_S 40

struct host_publisher {
    struct agent *agent;
    struct loop_timer *timer;
    int pending;
    bool failed; /* something of this beat */
    bool again;  /* what is published changed during it */
    bool lease_made;
    bool ready;
    char *reason;              /* why not */
    struct json *handlers;     /* of the runtime */
    struct json *published;    /* spec that the API server has; NULL: not known */
    char *published_condition; /* "True" or "False: why" as the API server has it */
    int64_t ready_since_ns;
    int64_t published_ms, renewed_ms; /* when that was written, and the Lease */
};

struct json *host_publisher_object(const struct agent *agent, const struct json *handlers)
{
    const struct agent_options *options = &agent->options;
    CLEANUP(buf_done) struct buf cpu = {0};
    CLEANUP(buf_done) struct buf memory = {0};
    CLEANUP(xfree) char *pods = xasprintf("%lld", (long long)options->capacity_pods);

    quantity_print_milli(options->capacity_cpu_m, &cpu);
    quantity_print_bytes(options->capacity_mem_b, &memory);
    struct json *spec = json_build("{s:s, s:s, s:s*, s:[s], s:{s:s, s:s, s:s}}", "zone", options->zone, "region",
                                   options->region, "architecture", agent->system.architecture, "addresses",
                                   options->address, "capacity", "cpu", buf_text(&cpu), "memory", buf_text(&memory),
                                   "pods", pods);
    if (options->pod_cidr != NULL)
        json_set_str(spec, "podCIDR", options->pod_cidr);
    if (handlers != NULL)
        json_set(spec, "runtimeHandlers", json_keep(handlers));
    if (agent->csi_drivers != NULL)
        json_set(spec, "csiDrivers", csi_drivers_offered(agent->csi_drivers));
    return json_build("{s:s, s:s, s:{s:s, s:{s:s, s:s, s:s}}, s:o}", "apiVersion", FKS_API_VERSION, "kind",
                      "FargateHost", "metadata", "name", options->host_name, "labels", "kubernetes.io/hostname",
                      options->host_name, "topology.kubernetes.io/zone", options->zone,
                      "topology.kubernetes.io/region", options->region, "spec", spec);
}

/* Containerd before 2.0 does not pin it. */
static void know_sandbox_image(struct agent *agent, const char *config)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(json_free) struct json *settings = NULL;

    if (agent->sandbox_image == NULL && config != NULL &&
        json_parse(config, strlen(config), &settings, &ignored) == 0)
        agent->sandbox_image = xstrdup(json_str(settings, "sandboxImage", NULL));
}

static void know_runtime(struct agent_runtime *runtime, const struct cri_status *status)
{
    runtime->known = true;
    runtime->strict_groups = status->strict_groups;
    runtime->handlers = json_free(runtime->handlers);
    if (status->n_handlers > 0)
        runtime->handlers = json_new_array();
    for (size_t i = 0; i < status->n_handlers; i++)
        json_push(runtime->handlers,
                  json_build("{s:s, s:{s:b, s:b}}", "name", status->handlers[i].name, "features",
                             "recursiveReadOnlyMounts", (int)status->handlers[i].readonly_below, "userNamespaces",
                             (int)status->handlers[i].user_namespaces));
}

struct json *host_runtime_handlers(const struct cri_handler *listed, size_t n, const char *config)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *settings = NULL;
    struct json *handlers = json_new_array();
    void *position = NULL;
    const char *name;
    const struct json *runtime;

    for (size_t i = 0; i < n; i++)
        if (*listed[i].name != '\0')
            json_push(handlers, json_new_string(listed[i].name));
    if (json_len(handlers) > 0 || config == NULL || json_parse(config, strlen(config), &settings, &err) < 0)
        return handlers;
    while (json_next(json_get(settings, "containerd", "runtimes", NULL), &position, &name, &runtime))
        json_push(handlers, json_new_string(name));
    return handlers;
}

static void part_done(struct host_publisher *host, const char *what, const struct err *err)
{
    if (err != NULL && err->code != 0) {
        host->failed = true;
        agent_warn(what, host->agent->options.host_name, err);
    }
    if (--host->pending == 0)
        loop_timer_set(host->timer, host->again ? 0 : host->failed ? RETRY_MS : BEAT_MS);
}

static char *object_path(const struct host_publisher *host, const char *subresource)
{
    return kube_path(FKS_GROUP, FKS_VERSION, NULL, "fargatehosts", host->agent->options.host_name, subresource);
}

/* --- condition */

static char *condition_text(const struct host_publisher *host)
{
    return host->ready ? xstrdup("True") : xasprintf("False: %s", strempty(host->reason));
}

static void on_condition(struct json **answer UNUSED, struct err *err, void *data)
{
    struct host_publisher *host = data;

    if (err->code == 0) {
        free(host->published_condition);
        host->published_condition = condition_text(host);
        host->published_ms = loop_now_ms(host->agent->loop);
    } else {
        host->published = json_free(host->published);
    }
    part_done(host, "writing the condition of this host's FargateHost", err);
}

static void publish_condition(struct host_publisher *host)
{
    CLEANUP(xfree) char *text = condition_text(host);
    CLEANUP(json_free) struct json *now = agent_time(clock_wall_ns());
    CLEANUP(json_free) struct json *since = agent_time(host->ready_since_ns);

    if (streq(text, host->published_condition) && loop_now_ms(host->agent->loop) - host->published_ms < REPORT_MS)
        return;
    host->pending++;
    agent_request(host->agent, "PATCH", object_path(host, "status"),
                  json_build("{s:{s:[{s:s, s:s, s:s, s:s, s:O, s:O}]}}", "status", "conditions", "type", "Ready",
                             "status", host->ready ? "True" : "False", "reason",
                             host->ready ? "RuntimeReady" : "RuntimeNotReady", "message",
                             host->ready ? "the container runtime and its network are ready" : strempty(host->reason),
                             "lastHeartbeatTime", now, "lastTransitionTime", since),
                  KUBE_MERGE_PATCH, on_condition, host);
}

/* --- object */

static void remember(struct host_publisher *host)
{
    CLEANUP(json_free) struct json *object = host_publisher_object(host->agent, host->handlers);

    json_free(host->published);
    host->published = json_keep(json_get(object, "spec", NULL));
}

static void on_written(struct json **answer UNUSED, struct err *err, void *data)
{
    struct host_publisher *host = data;

    if (err->code == 0) {
        remember(host);
        publish_condition(host);
    }
    part_done(host, "writing this host's FargateHost", err);
}

static void on_patched(struct json **answer UNUSED, struct err *err, void *data)
{
    struct host_publisher *host = data;

    if (err->code == ERR_NOT_FOUND) {
        free(take(&host->published_condition));
        agent_request(host->agent, "POST", kube_path(FKS_GROUP, FKS_VERSION, NULL, "fargatehosts", NULL, NULL),
                      host_publisher_object(host->agent, host->handlers), NULL, on_written, host);
        return;
    }
    on_written(answer, err, data);
}

static void publish(struct host_publisher *host)
{
    struct json *object = host_publisher_object(host->agent, host->handlers);

    if (host->published != NULL && json_same(host->published, json_get(object, "spec", NULL))) {
        json_free(object);
        publish_condition(host);
        return;
    }
    host->pending++;
    agent_request(host->agent, "PATCH", object_path(host, NULL), object, KUBE_MERGE_PATCH, on_patched, host);
}

/* --- Lease */

static char *lease_path(const char *name)
{
    return kube_path("coordination.k8s.io", "v1", FKS_NAMESPACE, "leases", name, NULL);
}

static struct json *lease_spec(const struct host_publisher *host)
{
    return json_build("{s:s, s:i, s:o}", "holderIdentity", host->agent->options.host_name, "leaseDurationSeconds",
                      LEASE_DURATION_S, "renewTime", agent_time_micro(agent_renew_ns(host->agent, 0)));
}

static void renew(struct host_publisher *host);

/* Of an earlier run, whose clock may have been ahead: it must not look dead until the next beat. */
static void on_old_lease(struct json **answer, struct err *err, void *data)
{
    struct host_publisher *host = data;
    CLEANUP(err_clear) struct err ignored = {0};
    int64_t seen_ns;

    if (err->code == 0) {
        if (clock_parse(json_str_or("", *answer, "spec", "renewTime", NULL), &seen_ns, &ignored) == 0)
            (void)agent_renew_ns(host->agent, seen_ns);
        host->lease_made = true;
        renew(host);
    }
    part_done(host, "reading this host's Lease in " FKS_NAMESPACE, err);
}

/* After a silence the condition is Unknown for all others (fks-scheduler's sweep.c): it is said anew. */
static void renewed(struct host_publisher *host)
{
    int64_t now = loop_now_ms(host->agent->loop);

    if (now - host->renewed_ms > HOSTS_LEASE_MAX_AGE_MS / 2)
        free(take(&host->published_condition));
    host->renewed_ms = now;
    host->lease_made = true;
}

static void on_lease(struct json **answer UNUSED, struct err *err, void *data)
{
    struct host_publisher *host = data;

    if (err->code == ERR_EXISTS) {
        agent_request(host->agent, "GET", lease_path(host->agent->options.host_name), NULL, NULL, on_old_lease, host);
        return; /* that call is this one's rest */
    }
    if (err->code == ERR_NOT_FOUND && host->lease_made)
        host->lease_made = false;
    else if (err->code == 0)
        renewed(host);
    part_done(host, "renewing this host's Lease in " FKS_NAMESPACE, err);
}

static void renew(struct host_publisher *host)
{
    const char *name = host->agent->options.host_name;

    host->pending++;
    if (host->lease_made) {
        agent_request(host->agent, "PATCH", lease_path(name), json_build("{s:o}", "spec", lease_spec(host)),
                      KUBE_MERGE_PATCH, on_lease, host);
        return;
    }
    agent_request(host->agent, "POST", lease_path(NULL),
                  json_build("{s:s, s:s, s:{s:s, s:s}, s:o}", "apiVersion", "coordination.k8s.io/v1", "kind", "Lease",
                             "metadata", "name", name, "namespace", FKS_NAMESPACE, "spec", lease_spec(host)),
                  NULL, on_lease, host);
}

/* --- the beat */

static void set_ready(struct host_publisher *host, bool ready, const char *reason)
{
    if (ready != host->ready || host->ready_since_ns == 0)
        host->ready_since_ns = clock_wall_ns();
    host->ready = ready;
    char *copy = xstrdup(reason);
    free(host->reason);
    host->reason = copy;
}

static void on_status(const struct cri_status *status, struct err *err, void *data)
{
    struct host_publisher *host = data;
    struct agent_system *system = &host->agent->system;

    if (err->code != 0) {
        set_ready(host, false, err_text(err));
    } else {
        bool full = storage_is_under_pressure(host->agent->storage);
        set_ready(host, status->runtime_ready && status->network_ready && !full,
                  full ? "the disk is nearly full" : status->reason);
        free(system->runtime_version);
        system->runtime_version = xasprintf("%s://%s", strempty(status->name), strempty(status->version));
        json_free(host->handlers);
        host->handlers = host_runtime_handlers(status->handlers, status->n_handlers, status->config);
        know_runtime(&host->agent->runtime, status);
        know_sandbox_image(host->agent, status->config);
    }
    publish(host);
    part_done(host, "asking the container runtime for its status", err);
}

/* The Lease is renewed whatever the runtime says: it tells that this agent lives, the condition tells the rest. */
static void beat(void *data)
{
    struct host_publisher *host = data;

    host->failed = host->again = false;
    host->pending++;
    renew(host);
    cri_status(host->agent->cri, on_status, host);
}

struct host_publisher *host_publisher_new(struct agent *agent)
{
    struct host_publisher *host = NEW(struct host_publisher);

    host->agent = agent;
    host->timer = loop_timer_new(agent->loop, beat, host);
    loop_timer_set(host->timer, 0);
    return host;
}

void host_publisher_changed(struct host_publisher *host)
{
    if (host->pending == 0)
        loop_timer_set(host->timer, 0);
    else
        host->again = true;
}

struct host_publisher *host_publisher_free(struct host_publisher *host)
{
    if (host != NULL) {
        loop_timer_free(host->timer);
        json_free(host->handlers);
        json_free(host->published);
        free(host->published_condition);
        free(host->reason);
        free(host);
    }
    return NULL;
}
