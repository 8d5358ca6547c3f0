/*
 * api.c: routes of the kubelet API. A request is for the pod of the port it came in on, and for no other: whatever
 * pod it names must be that one.
 */
#include "api/api.h"

#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"

#include "api/auth.h"
#include "pod/pod.h"
#include "pods.h"

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

/* --- streams */

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

bool api_path_begins(struct str path, const char *prefix)
{
    return path.len >= strlen(prefix) && memcmp(path.p, prefix, strlen(prefix)) == 0;
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
    if (is_get && pages_serve_agent(api->agent, request))
        return;
    if (pod == NULL || pod->object == NULL) { /* the Node went while the connection lived on */
        server_respond_text(request, 404, "the pod of this node is gone\n");
        return;
    }
    if (is_get && pages_serve_pod(api->agent, request, pod))
        return;
    if (is_get && api_path_begins(head->path, "/containerLogs/"))
        serve_target(request, pod, VERB_LOGS, "/containerLogs/");
    else if (api_path_begins(head->path, "/exec/"))
        serve_target(request, pod, VERB_EXEC, "/exec/");
    else if (api_path_begins(head->path, "/attach/"))
        serve_target(request, pod, VERB_ATTACH, "/attach/");
    else if (api_path_begins(head->path, "/portForward/"))
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

    if (!str_is(server_request_head(request)->method, "GET") || !pages_serve_agent(api->agent, request))
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
