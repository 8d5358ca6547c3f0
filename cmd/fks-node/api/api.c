/*
 * api.c: routes of the kubelet API. A request is for the pod of the port it came in on, and for no other: whatever
 * pod it names must be that one.
 */
#include "api/api.h"

#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/quantity.h"

#include "api/auth.h"
#include "pod/pod.h"
#include "pods.h"
#include "api/stats.h"

struct api {
    struct agent *agent;
    struct tls_context *tls;
    struct server *server;
    struct server *metrics;
    struct auth *auth;
};

/* --- paths */

void api_target_done(struct api_target *target)
{
    free(target->namespace);
    free(target->pod);
    free(target->container);
    *target = (struct api_target){0};
}

static int decode(struct str part, char **ret, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    int result = url_decode(part.p, part.len, false, &text, err);

    if (result < 0)
        return result;
    if (text.len == 0 || memchr(buf_text(&text), '/', text.len) != NULL)
        return err_set(err, ERR_PARSE, "the path has an empty part or an escaped '/'");
    *ret = buf_take(&text);
    return 0;
}

int api_target_parse(struct str path, const char *verb, bool with_container, struct api_target *ret, struct err *err)
{
    CLEANUP(api_target_done) struct api_target target = {0};
    struct str parts[4], rest = path, part;
    size_t n = 0, verb_len = strlen(verb);
    int result;

    if (path.len < verb_len || memcmp(path.p, verb, verb_len) != 0)
        return err_set(err, ERR_PARSE, "the path does not begin with '%s'", verb);
    rest.p += verb_len;
    rest.len -= verb_len;
    while (n < countof(parts)) {
        bool more = str_cut(rest, '/', &part, &rest);
        parts[n++] = part;
        if (!more)
            break;
        if (n == countof(parts))
            return err_set(err, ERR_PARSE, "the path has too many parts");
    }
    size_t wanted = with_container ? 3 : 2;
    if (n != wanted && n != wanted + 1) /* one more: the UID, which a port implies already */
        return err_set(err, ERR_PARSE, "the path does not have %zu parts behind '%s'", wanted, verb);
    if ((result = decode(parts[0], &target.namespace, err)) < 0 ||
        (result = decode(parts[1], &target.pod, err)) < 0 ||
        (with_container && (result = decode(parts[n - 1], &target.container, err)) < 0))
        return result;
    *ret = target;
    target = (struct api_target){0};
    return 0;
}

/* --- answers */

static void serve_pods(struct server_request *request, struct pod *pod)
{
    struct json *object = json_clone(pod->object);
    CLEANUP(json_free) struct json *list = NULL;
    CLEANUP(buf_done) struct buf text = {0};

    json_set(object, "status", pod_status_now(pod));
    list = json_build("{s:s, s:s, s:{}, s:[o]}", "kind", "PodList", "apiVersion", "v1", "metadata", "items", object);
    json_print(list, &text);
    server_respond(request, 200, "application/json", text.data, text.len);
}

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

static void serve_metrics(struct agent *agent, struct server_request *request)
{
    CLEANUP(buf_done) struct buf text = {0};

    metrics_print(agent->metrics, &text);
    server_respond(request, 200, "text/plain; version=0.0.4", text.data, text.len);
}

enum verb { VERB_LOGS, VERB_EXEC, VERB_ATTACH, VERB_PORT_FORWARD };

static void serve_target(struct server_request *request, struct pod *pod, enum verb verb, const char *prefix)
{
    CLEANUP(api_target_done) struct api_target target = {0};
    CLEANUP(err_clear) struct err err = {0};

    if (api_target_parse(server_request_head(request)->path, prefix, verb != VERB_PORT_FORWARD, &target, &err) < 0) {
        server_respond_text(request, 400, "%s\n", err_text(&err));
        return;
    }
    if (!streq(target.namespace, pod->namespace) || !streq(target.pod, pod->name)) {
        server_respond_text(request, 404, "pod \"%s\" not found on this node\n", target.pod);
        return;
    }
    if (verb != VERB_PORT_FORWARD && podspec_find_container(pod->object, target.container) == NULL) {
        server_respond_text(request, 404, "container \"%s\" not found in pod \"%s\"\n", target.container, target.pod);
        return;
    }
    switch (verb) {
    case VERB_LOGS:
        logs_serve(request, pod, target.container);
        break;
    case VERB_EXEC:
        exec_serve(request, pod, target.container);
        break;
    case VERB_ATTACH:
        exec_serve_attach(request, pod, target.container);
        break;
    case VERB_PORT_FORWARD:
        exec_serve_port_forward(request, pod);
        break;
    }
}

static bool begins(const struct http1_request *head, const char *prefix)
{
    return head->path.len >= strlen(prefix) && memcmp(head->path.p, prefix, strlen(prefix)) == 0;
}

/* True when a page that tells about the pod was asked for. */
static bool serve_page(struct api *api, struct server_request *request, struct pod *pod)
{
    struct str path = server_request_head(request)->path;

    if (str_is(path, "/pods") || str_is(path, "/pods/") || str_is(path, "/runningpods/"))
        serve_pods(request, pod);
    else if (str_is(path, "/configz"))
        serve_config(api->agent, request);
    else if (str_is(path, "/stats/summary") || str_is(path, "/stats/summary/"))
        stats_serve(request, pod, STATS_SUMMARY);
    else if (str_is(path, "/metrics/resource"))
        stats_serve(request, pod, STATS_RESOURCE);
    else if (str_is(path, "/metrics/cadvisor"))
        stats_serve(request, pod, STATS_CADVISOR);
    else
        return false;
    return true;
}

static bool is_health(struct str path)
{
    return str_is(path, "/healthz") || str_is(path, "/healthz/ping") || str_is(path, "/healthz/syncloop") ||
           str_is(path, "/healthz/log");
}

static void on_allowed(struct server_request *request, void *data)
{
    struct api *api = data;
    const struct http1_request *head = server_request_head(request);
    struct pod *pod = server_request_tag(request);
    bool is_get = str_is(head->method, "GET");

    if (!is_get && !str_is(head->method, "POST")) {
        server_respond_text(request, 405, "405: Method Not Allowed\n");
        return;
    }
    if (is_get && is_health(head->path)) {
        server_respond_text(request, 200, "ok");
        return;
    }
    if (is_get && str_is(head->path, "/metrics")) {
        serve_metrics(api->agent, request);
        return;
    }
    if (pod == NULL || pod->object == NULL) { /* the Node went while the connection lived on */
        server_respond_text(request, 404, "the pod of this node is gone\n");
        return;
    }
    if (is_get && serve_page(api, request, pod))
        return;
    if (is_get && begins(head, "/containerLogs/"))
        serve_target(request, pod, VERB_LOGS, "/containerLogs/");
    else if (begins(head, "/exec/"))
        serve_target(request, pod, VERB_EXEC, "/exec/");
    else if (begins(head, "/attach/"))
        serve_target(request, pod, VERB_ATTACH, "/attach/");
    else if (begins(head, "/portForward/"))
        serve_target(request, pod, VERB_PORT_FORWARD, "/portForward/");
    else
        server_respond_text(request, 404, "404 page not found\n");
}

static void on_request(struct server_request *request, void *data)
{
    struct api *api = data;

    auth_check(api->auth, request, on_allowed, api);
}

static void on_metrics_request(struct server_request *request, void *data)
{
    struct api *api = data;

    if (server_request_is(request, "GET", "/metrics"))
        serve_metrics(api->agent, request);
    else if (server_request_is(request, "GET", "/healthz"))
        server_respond_text(request, 200, "ok");
    else
        server_respond_text(request, 404, "404 page not found\n");
}

/* --- life */

int api_new(struct agent *agent, const struct api_options *options, struct api **ret, struct err *err)
{
    struct api *api = NEW(struct api);
    struct tls_server_options tls = {
        .cert_pem = options->cert_pem,
        .key_pem = options->key_pem,
        .client_ca_pem = options->client_ca_pem,
        .client_cert_optional = true, /* so that whoever has none is told so: 401 */
    };
    struct server_options server = {.handler = on_request, .data = api};
    int result;

    api->agent = agent;
    api->auth = auth_new(agent);
    if ((result = tls_server_context_new(&tls, &api->tls, err)) < 0) {
        api_free(api);
        return result;
    }
    server.tls = api->tls;
    if ((result = server_new(agent->loop, &server, &api->server, err)) < 0) {
        api_free(api);
        return result;
    }
    *ret = api;
    return 0;
}

struct api *api_free(struct api *api)
{
    if (api != NULL) {
        server_free(api->server);
        auth_free(api->auth);
        server_free(api->metrics);
        tls_context_free(api->tls);
        free(api);
    }
    return NULL;
}

int api_listen(struct api *api, int port, struct pod *pod, struct server_listener **ret, struct err *err)
{
    return server_listen(api->server, api->agent->options.address, port, pod, ret, err);
}

int api_listen_metrics(struct api *api, const char *address, struct err *err)
{
    struct server_options options = {.handler = on_metrics_request, .data = api};
    const char *colon = strrchr(address, ':');
    int64_t port;
    int result;

    if (colon == NULL)
        return err_set(err, ERR_USAGE, "'%s' is not HOST:PORT", address);
    if ((result = parse_int(colon + 1, 0, 65535, &port, err)) < 0)
        return err_wrap(err, "the port of '%s'", address);
    bool v6 = *address == '[';
    CLEANUP(xfree) char *host = xstrndup(address + v6, (size_t)(colon - address) - (v6 ? 2 : 0));
    if ((result = server_new(api->agent->loop, &options, &api->metrics, err)) < 0)
        return result;
    return server_listen(api->metrics, *host != '\0' ? host : "0.0.0.0", (int)port, NULL, NULL, err);
}
