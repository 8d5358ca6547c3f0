/*
 * pages.c: what the kubelet API gives to read: health, pods, settings, metrics. Paths, names and forms are the kubelet's,
 * for tools that know those. What a pod uses is collected by stats.c.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "data/quantity.h"

#include "api/api.h"
#include "api/stats.h"
#include "pod/pod.h"
#include "pod/probe_state.h"

/* --- health */

static const char *const checks[] = {"ping", "log", "syncloop"};

static bool is_health(struct str path)
{
    static const char root[] = "/healthz";

    if (!api_path_begins(path, root))
        return false;
    const struct str rest = {path.p + strlen(root), path.len - strlen(root)};
    if (rest.len == 0)
        return true;
    for (size_t i = 0; i < countof(checks); i++)
        if (*rest.p == '/' && str_is((struct str){rest.p + 1, rest.len - 1}, checks[i]))
            return true;
    return false;
}

/* The loop answers, so it turns. */
static void serve_health(struct server_request *request)
{
    const struct http1_request *head = server_request_head(request);
    CLEANUP(xfree) char *verbose = http1_query(head->query, "verbose", 0);
    CLEANUP(buf_done) struct buf text = {0};

    if (str_is(head->path, "/healthz") && verbose != NULL) {
        for (size_t i = 0; i < countof(checks); i++)
            buf_printf(&text, "[+]%s ok\n", checks[i]);
        buf_add_str(&text, "healthz check passed\n");
    } else {
        buf_add_str(&text, "ok");
    }
    server_respond(request, 200, "text/plain; charset=utf-8", text.data, text.len);
}

/* --- pods */

static void respond_pods(struct server_request *request, struct json *items)
{
    CLEANUP(json_free) struct json *list = NULL;
    CLEANUP(buf_done) struct buf text = {0};

    list = json_build("{s:s, s:s, s:{}, s:o}", "kind", "PodList", "apiVersion", "v1", "metadata", "items", items);
    json_print(list, &text);
    server_respond(request, 200, "application/json", text.data, text.len);
}

static void serve_pods(struct server_request *request, struct pod *pod)
{
    struct json *object = json_clone(pod->object);

    json_set(object, "status", pod_status_now(pod));
    respond_pods(request, json_build("[o]", object));
}

/* What the runtime runs, whatever the object says. */
static void serve_running(struct server_request *request, const struct pod *pod)
{
    struct json *containers = json_new_array(), *items = json_new_array();

    for (size_t i = 0; i < pod->n_containers; i++)
        if (pod_container_runs(pod->containers[i]))
            json_push(containers, json_build("{s:s, s:s, s:{}}", "name", pod->containers[i]->name, "image",
                                             strempty(pod->containers[i]->current->image), "resources"));
    struct json *item =
        json_build("{s:{s:s, s:s, s:s}, s:{s:o}, s:{}}", "metadata", "name", pod->name, "namespace", pod->namespace,
                   "uid", pod->uid, "spec", "containers", containers, "status");
    if (pod->sandbox != NULL && !pod->sandbox_stopped)
        json_push(items, item);
    else
        json_free(item);
    respond_pods(request, items);
}

/* --- settings */

/* What of a kubelet's settings has a counterpart here. */
static void serve_config(struct agent *agent, struct server_request *request)
{
    const struct agent_options *options = &agent->options;
    CLEANUP(xfree) char *endpoint = xasprintf("unix://%s", options->runtime_socket);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(buf_done) struct buf log_size = {0};
    struct json *dns = json_new_array();

    quantity_print_bytes(options->log_max_b, &log_size);
    for (size_t i = 0; i < options->cluster_dns.n; i++)
        json_push(dns, json_new_string(options->cluster_dns.items[i]));
    CLEANUP(json_free) struct json *config = json_build(
        "{s:{s:s, s:s, s:s, s:{s:{s:b}, s:{s:b}}, s:{s:s}, s:s, s:o, s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:i}}",
        "kubeletconfig", "kind", "KubeletConfiguration", "apiVersion", "kubelet.config.k8s.io/v1beta1", "address",
        options->address, "authentication", "anonymous", "enabled", 0, "webhook", "enabled", 1, "authorization", "mode",
        "Webhook", "clusterDomain", options->cluster_domain, "clusterDNS", dns, "resolvConf", options->resolv_conf,
        "containerRuntimeEndpoint", endpoint, "podLogsDir", options->log_dir, "cgroupDriver", "cgroupfs", "maxPods", 1,
        "containerLogMaxSize", buf_text(&log_size), "containerLogMaxFiles", (int)options->log_max_files,
        "imageGCHighThresholdPercent", (int)options->image_gc_high, "imageGCLowThresholdPercent",
        (int)options->image_gc_low);
    json_print(config, &text);
    server_respond(request, 200, "application/json", text.data, text.len);
}

/* --- metrics */

static void respond_metrics(struct server_request *request, const struct buf *text)
{
    server_respond(request, 200, "text/plain; version=0.0.4; charset=utf-8", text->data, text->len);
}

static void serve_metrics(struct agent *agent, struct server_request *request)
{
    CLEANUP(buf_done) struct buf text = {0};

    metrics_print(agent->metrics, &text);
    respond_metrics(request, &text);
}

static void help(struct buf *out, const char *name, const char *kind, const char *text)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, text, name, kind);
}

/* The agent's own numbers, and those of a kubelet's that tell about the Node. */
static void serve_node_metrics(struct agent *agent, struct server_request *request, const struct pod *pod)
{
    CLEANUP(buf_done) struct buf text = {0};
    size_t running = 0, ended = 0;

    for (size_t i = 0; i < pod->n_containers; i++) {
        const struct cri_container *record = pod->containers[i]->current;
        running += pod_container_runs(pod->containers[i]);
        ended += record != NULL && record->state == CRI_EXITED;
    }
    metrics_print(agent->metrics, &text);
    help(&text, "kubelet_node_name", "gauge", "[ALPHA] The node's name. The count is always 1.");
    buf_printf(&text, "kubelet_node_name{node=\"%s\"} 1\n", strempty(pod_node_name(pod)));
    help(&text, "kubelet_running_pods", "gauge", "[ALPHA] Number of pods that have a running pod sandbox");
    buf_printf(&text, "kubelet_running_pods %d\n", pod->sandbox != NULL && !pod->sandbox_stopped);
    help(&text, "kubelet_running_containers", "gauge", "[ALPHA] Number of containers currently running");
    buf_printf(&text, "kubelet_running_containers{container_state=\"exited\"} %zu\n", ended);
    buf_printf(&text, "kubelet_running_containers{container_state=\"running\"} %zu\n", running);
    help(&text, "kubernetes_build_info", "gauge",
         "[ALPHA] A metric with a constant '1' value labeled by the version that the node runs as.");
    buf_printf(&text, "kubernetes_build_info{git_version=\"%s\",platform=\"linux/%s\"} 1\n", AGENT_KUBELET_VERSION,
               agent->system.architecture);
    respond_metrics(request, &text);
}

static void serve_probe_metrics(struct server_request *request, const struct pod *pod)
{
    static const char *const types[] = {"Startup", "Readiness", "Liveness"};
    static const char *const results[] = {"failed", "successful", "unknown"};
    CLEANUP(buf_done) struct buf text = {0};

    help(&text, "prober_probe_total", "counter",
         "[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result.");
    for (size_t i = 0; i < pod->n_containers; i++)
        for (size_t type = 0; type < countof(types); type++)
            for (size_t result = 0; result < countof(results); result++) {
                int64_t count = pod->containers[i]->probe_results[type][result];
                if (count > 0)
                    buf_printf(&text,
                               "prober_probe_total{container=\"%s\",namespace=\"%s\",pod=\"%s\",pod_uid=\"%s\","
                               "probe_type=\"%s\",result=\"%s\"} %" PRId64 "\n",
                               pod->containers[i]->name, pod->namespace, pod->name, pod->uid, types[type],
                               results[result], count);
            }
    respond_metrics(request, &text);
}

static void serve_health_metrics(struct server_request *request)
{
    CLEANUP(buf_done) struct buf text = {0};

    help(&text, "kubernetes_healthcheck", "gauge", "[STABLE] This metric records the result of a single healthcheck.");
    for (size_t i = 0; i < countof(checks); i++)
        buf_printf(&text, "kubernetes_healthcheck{name=\"%s\",type=\"healthz\"} 1\n", checks[i]);
    respond_metrics(request, &text);
}

/* --- routes */

bool pages_serve_agent(struct agent *agent, struct server_request *request)
{
    struct str path = server_request_head(request)->path;

    if (is_health(path))
        serve_health(request);
    else if (str_is(path, "/metrics/slis"))
        serve_health_metrics(request);
    else if (str_is(path, "/metrics") && server_request_tag(request) == NULL)
        serve_metrics(agent, request);
    else
        return false;
    return true;
}

/* A kubelet with these switched off answers so; they would show the host, which other tenants' pods share. */
static bool serve_disabled(struct server_request *request, struct str path)
{
    static const struct {
        const char *prefix, *text;
    } rows[] = {
        {"/logs/", "logs endpoint is disabled.\n"},
        {"/debug/pprof/", "profiling endpoint is disabled.\n"},
        {"/debug/flags/v", "flags endpoint is disabled.\n"},
    };

    for (size_t i = 0; i < countof(rows); i++)
        if (api_path_begins(path, rows[i].prefix)) {
            server_respond_text(request, 405, "%s", rows[i].text);
            return true;
        }
    return false;
}

bool pages_serve_pod(struct agent *agent, struct server_request *request, struct pod *pod)
{
    struct str path = server_request_head(request)->path;

    if (str_is(path, "/pods") || str_is(path, "/pods/"))
        serve_pods(request, pod);
    else if (str_is(path, "/runningpods/") || str_is(path, "/runningpods"))
        serve_running(request, pod);
    else if (str_is(path, "/configz"))
        serve_config(agent, request);
    else if (str_is(path, "/stats/summary") || str_is(path, "/stats/summary/"))
        stats_serve(request, pod, STATS_SUMMARY);
    else if (str_is(path, "/metrics"))
        serve_node_metrics(agent, request, pod);
    else if (str_is(path, "/metrics/resource"))
        stats_serve(request, pod, STATS_RESOURCE);
    else if (str_is(path, "/metrics/cadvisor"))
        stats_serve(request, pod, STATS_CADVISOR);
    else if (str_is(path, "/metrics/probes"))
        serve_probe_metrics(request, pod);
    else
        return serve_disabled(request, path);
    return true;
}
