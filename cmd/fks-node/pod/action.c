/*
 * action.c: runs the handlers of probes and hooks on the loop. Results of a runtime call cannot be called off, so
 * an exec that is freed leaves a small record behind which its answer removes.
 */
#include "pod/action.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cri/grpc.h"
#include "net/http.h"

#include "pod/redirect.h"
#include "spec/environment.h"

#define OUTPUT_MAX 10240 /* bytes of a program's output or a page that are shown, as the kubelet */
#define BODY_MAX KIB(64) /* of a gRPC answer */
#define SERVICE_MAX 16383 /* bytes of a gRPC service's name: what a length of two bytes can tell */

struct action_clients {
    struct http_client *plain; /* http and https, certificates unverified: the pod has no name to verify */
    struct http_client *h2c;   /* gRPC */
    struct exec_call *execs;   /* under way */
};

struct exec_call { /* outlives its action if need be */
    struct action_clients *clients;
    struct action *action; /* NULL: freed, or over because its time was up */
    const void *owner;     /* its data */
    struct exec_call *previous, *next;
};

struct action {
    struct agent *agent;
    action_done *done;
    void *data;
    struct loop_timer *timer; /* timeout, sleep, or telling a failure on the next turn */
    char *failure;            /* told when the timer fires */
    bool sleeping, over;
    int64_t timeout_ms, due_ms;
    struct exec_call *exec;
    struct http_call *http;
    bool is_grpc;
    int socket;
    struct loop_fd *socket_source;
    char *peer; /* "10.0.0.1:80", or a URL */
    bool is_hook;
    struct json *headers; /* of httpGet */
    struct buf page;
    bool page_is_cut;
    int status, n_redirects;
};

/* --- clients */

int action_clients_new(struct loop *loop, struct action_clients **ret, struct err *err)
{
    CLEANUP(action_clients_free) struct action_clients *clients = NEW(struct action_clients);
    struct http_client_options options = {
        .tls = {.insecure = true},
        .proxy = "",
        .user_agent = "kube-probe/1.36",
        .connect_timeout_ms = 60000, /* the probe's own timeout decides */
    };
    int result = http_client_new(loop, &options, &clients->plain, err);

    if (result < 0)
        return result;
    options.h2c = true;
    result = http_client_new(loop, &options, &clients->h2c, err);
    if (result < 0)
        return result;
    *ret = take(&clients);
    return 0;
}

static struct exec_call *exec_call_new(struct action *action)
{
    struct exec_call *call = NEW(struct exec_call);

    call->clients = action->agent->actions;
    call->action = action;
    call->owner = action->data;
    call->next = call->clients->execs;
    if (call->next != NULL)
        call->next->previous = call;
    call->clients->execs = call;
    return call;
}

static void exec_call_free(struct exec_call *call)
{
    if (call->previous != NULL)
        call->previous->next = call->next;
    else
        call->clients->execs = call->next;
    if (call->next != NULL)
        call->next->previous = call->previous;
    free(call);
}
DEFINE_CLEANUP_POINTER(struct exec_call *, exec_call_free)

struct action_clients *action_clients_free(struct action_clients *clients)
{
    if (clients != NULL) {
        while (clients->execs != NULL) /* only when the agent ends: their answers never come */
            exec_call_free(clients->execs);
        http_client_free(clients->plain);
        http_client_free(clients->h2c);
        free(clients);
    }
    return NULL;
}

bool action_is_running(const struct agent *agent, const void *data)
{
    for (const struct exec_call *call = agent->actions->execs; call != NULL; call = call->next)
        if (call->owner == data)
            return true;
    return false;
}

void action_forget(const struct agent *agent, const void *data)
{
    for (struct exec_call *call = agent->actions->execs; call != NULL; call = call->next)
        if (call->owner == data)
            call->owner = NULL;
}

/* --- the end */

static void stop(struct action *action)
{
    loop_timer_cancel(action->timer);
    if (action->exec != NULL)
        action->exec->action = NULL;
    action->exec = NULL;
    if (action->http != NULL)
        http_cancel(action->http);
    action->http = NULL;
    action->socket_source = loop_fd_free(action->socket_source);
    action->socket = action->socket >= 0 ? fd_close(action->socket) : -1;
}

/* Last statement of its caller: done may free the action. */
static void finish(struct action *action, enum action_result result, const char *output)
{
    stop(action);
    action->over = true;
    action->done(result, output, action->data);
}

struct action *action_free(struct action *action)
{
    if (action != NULL) {
        stop(action);
        loop_timer_free(action->timer);
        free(action->failure);
        free(action->peer);
        json_free(action->headers);
        buf_done(&action->page);
        free(action);
    }
    return NULL;
}

static void fail_later(struct action *action, char *failure)
{
    action->failure = failure;
    loop_timer_set(action->timer, 0);
}

static void on_timer(void *data)
{
    struct action *action = data;

    if (action->failure != NULL) {
        finish(action, ACTION_FAILED, action->failure);
    } else if (action->sleeping) {
        finish(action, ACTION_SUCCEEDED, "");
    } else {
        CLEANUP(xfree) char *text = NULL;
        if (action->exec != NULL)
            text = xasprintf("command timed out after %lld seconds", (long long)(action->timeout_ms + 999) / 1000);
        else if (action->socket >= 0)
            text = xasprintf("dial tcp %s: i/o timeout", action->peer);
        else if (action->is_grpc)
            text = xasprintf("timeout: failed to connect service \"%s\" within %llds: context deadline exceeded",
                             action->peer, (long long)(action->timeout_ms + 999) / 1000);
        else
            text = xasprintf("Get \"%s\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                             strempty(action->peer));
        finish(action, ACTION_FAILED, text);
    }
}

void action_limit(struct action *action, int64_t timeout_ms)
{
    int64_t due_ms = loop_now_ms(action->agent->loop) + timeout_ms;

    if (action->over || due_ms >= action->due_ms)
        return;
    action->due_ms = due_ms;
    loop_timer_set(action->timer, timeout_ms);
}

/* --- exec */

static void on_exec(const char *out, size_t out_len, const char *errout, size_t errout_len, int32_t exit_code,
                    struct err *err, void *data)
{
    CLEANUP(exec_call_free) struct exec_call *call = data;
    struct action *action = call->action;
    CLEANUP(buf_done) struct buf output = {0};

    if (action == NULL)
        return;
    action->exec = NULL;
    if (err->code != 0) {
        finish(action, err->code == ERR_TIMEOUT ? ACTION_FAILED : ACTION_UNKNOWN, cri_error_text(err));
        return;
    }
    buf_add(&output, out, out_len < OUTPUT_MAX ? out_len : OUTPUT_MAX);
    buf_add(&output, errout, errout_len < OUTPUT_MAX - output.len ? errout_len : OUTPUT_MAX - output.len);
    if (exit_code != 0 && output.len == 0)
        buf_printf(&output, "command exited with code %d", (int)exit_code);
    finish(action, exit_code == 0 ? ACTION_SUCCEEDED : ACTION_FAILED, buf_text(&output));
}

/* A probe's words may name variables that the container's spec has values for; a hook's are taken as they are. */
static void start_exec(struct action *action, const struct json *exec, const struct action_target *target)
{
    CLEANUP(environment_done) struct environment values = {0};
    CLEANUP(strv_done) struct strv argv = {0};
    const struct json *word;

    environment_values(target->env, &values);
    json_each(word, json_get(exec, "command", NULL)) {
        const char *text = strempty(json_string_value(word));
        strv_take(&argv, action->is_hook ? xstrdup(text) : environment_expand(&values, text));
    }
    if (argv.n == 0) {
        fail_later(action, xstrdup("the handler has no command"));
        return;
    }
    action->exec = exec_call_new(action);
    cri_exec_sync(action->agent->cri, target->container_id, (const char *const *)argv.items,
                  (action->timeout_ms + 999) / 1000, on_exec, action->exec);
}

/* --- ports */

/* A number, a number as text, or the name of one of the container's ports; 0 if it is none of these. */
static int port_of(const struct json *value, const struct json *ports)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *text = json_string_value(value);
    int64_t number = json_int_value(value);
    const struct json *port;

    if (text != NULL) {
        number = 0;
        json_each(port, ports)
            if (streq(json_str(port, "name", NULL), text))
                number = json_int_or(0, port, "containerPort", NULL);
        if (number == 0 && parse_int(text, 1, 65535, &number, &err) < 0)
            return 0;
    }
    return number >= 1 && number <= 65535 ? (int)number : 0;
}

/* --- HTTP */

/* "dial tcp 10.0.0.1:80: connect: connection refused", as Go says it of a URL. */
static void add_failure(const struct action *action, const struct err *err, struct buf *text)
{
    const char *authority = action->peer + strcspn(action->peer, ":") + strlen("://");

    if (ends_with(err_text(err), ": connection refused"))
        buf_printf(text, "dial tcp %.*s: connect: connection refused", (int)strcspn(authority, "/?"), authority);
    else
        buf_add_str(text, err_text(err));
}

static void get(struct action *action);

static bool on_page(const struct http_response *response, const char *bytes, size_t len, void *data)
{
    struct action *action = data;
    size_t room = OUTPUT_MAX - action->page.len;

    action->status = response->status;
    action->page_is_cut = len > room;
    buf_add(&action->page, bytes, len < room ? len : room);
    return !action->page_is_cut; /* what a page says counts, not how long it is */
}

/* True when the next page is on its way, or there were too many. Those that lead elsewhere are not followed. */
static bool follow(struct action *action, const struct http_response *response, int status)
{
    CLEANUP(xfree) char *target =
        redirect_is(status) ? redirect_target(action->peer, http_response_header(response, "location")) : NULL;

    if (target == NULL)
        return false;
    if (++action->n_redirects >= REDIRECT_MAX) {
        CLEANUP(xfree) char *text = xasprintf("Get \"%s\": stopped after %d redirects", target, REDIRECT_MAX);
        finish(action, ACTION_FAILED, text);
        return true;
    }
    free(action->peer);
    action->peer = take(&target);
    buf_done(&action->page);
    action->page = (struct buf){0};
    action->page_is_cut = false;
    get(action);
    return true;
}

static void on_http(struct http_response *response, struct err *err, void *data)
{
    struct action *action = data;
    CLEANUP(buf_done) struct buf text = {0};
    int status = action->page_is_cut ? action->status : response->status;
    enum action_result result = ACTION_SUCCEEDED;

    action->http = NULL;
    if (err->code != 0 && !action->page_is_cut) {
        buf_printf(&text, "Get \"%s\": ", action->peer);
        add_failure(action, err, &text);
        finish(action, ACTION_FAILED, buf_text(&text));
        return;
    }
    if (follow(action, response, status))
        return;
    if (action->is_hook) {
        ; /* it was told: what it answers is its own affair */
    } else if (status >= 300 && status < 400) {
        result = ACTION_WARNED;
        buf_printf(&text, "Probe terminated redirects, Response body: %s", buf_text(&action->page));
    } else if (status < 200 || status >= 300) {
        result = ACTION_FAILED;
        buf_printf(&text, "HTTP probe failed with statuscode: %d", status);
    }
    finish(action, result, buf_text(&text));
}

/* Asks for the page at action->peer. */
static void get(struct action *action)
{
    struct http_header headers[LIMIT_HTTP_HEADERS + 1];
    bool names_agent = false;
    size_t n = 0;
    const struct json *header;

    json_each(header, action->headers)
        if (n < LIMIT_HTTP_HEADERS) {
            headers[n] =
                (struct http_header){json_str_or("", header, "name", NULL), json_str_or("", header, "value", NULL)};
            names_agent = names_agent || strcasecmp(headers[n++].name, "User-Agent") == 0;
        }
    if (action->is_hook && !names_agent)
        headers[n++] = (struct http_header){"User-Agent", "kube-lifecycle/1.36"};
    struct http_request request = {
        .method = "GET",
        .url = action->peer,
        .headers = headers,
        .n_headers = n,
        .dedicated = true, /* each probe makes a connection of its own, as the kubelet's do */
    };
    action->http = http_start(action->agent->actions->plain, &request, on_page, on_http, action);
}

static void start_http(struct action *action, const struct json *handler, const struct action_target *target)
{
    const char *host = json_str_or("", handler, "host", NULL);
    const char *path = json_str_or("/", handler, "path", NULL);
    bool https = strcasecmp(json_str_or("HTTP", handler, "scheme", NULL), "HTTPS") == 0;
    int port = port_of(json_get(handler, "port", NULL), target->ports);
    const struct json *headers = json_get(handler, "httpHeaders", NULL);

    if (*host == '\0')
        host = strempty(target->address);
    if (port == 0 || *host == '\0') {
        fail_later(action, xstrdup("the handler's port or host cannot be told"));
        return;
    }
    bool v6 = strchr(host, ':') != NULL;
    action->peer = xasprintf("%s://%s%s%s:%d%s%s", https ? "https" : "http", v6 ? "[" : "", host, v6 ? "]" : "", port,
                             *path == '/' ? "" : "/", path);
    action->headers = headers != NULL ? json_clone(headers) : NULL;
    get(action);
}

/* --- gRPC: grpc.health.v1.Health/Check, https://github.com/grpc/grpc/blob/master/doc/health-checking.md */

/* HealthCheckResponse{status = 1}: field 1, varint; SERVING is 1. -1 if the bytes are no such message. */
static int health_status(const char *body, size_t len)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *message;
    size_t n;

    if (grpc_unframe(body, len, &message, &n, &err) < 0)
        return -1;
    if (n == 0)
        return 0;
    return n == 2 && message[0] == 0x08 ? message[1] : -1;
}

static void on_grpc(struct http_response *response, struct err *err, void *data)
{
    struct action *action = data;
    CLEANUP(err_clear) struct err status = {0};
    CLEANUP(buf_done) struct buf text = {0};

    action->http = NULL;
    if (err->code == ERR_REFUSED)
        buf_printf(&text, "timeout: failed to connect service \"%s\" within %llds: connection refused", action->peer,
                   (long long)(action->timeout_ms + 999) / 1000);
    else if (err->code != 0)
        buf_printf(&text, "error: this server does not implement the grpc health protocol or is away: %s",
                   err_text(err));
    else if (grpc_status(http_response_header(response, "grpc-status"),
                         http_response_header(response, "grpc-message"), &status) < 0)
        buf_printf(&text, "error: health rpc failed: %s", err_text(&status));
    else if (health_status(buf_text(&response->body), response->body.len) != 1)
        buf_printf(&text, "service unhealthy (responded with \"%s\")",
                   health_status(buf_text(&response->body), response->body.len) == 2 ? "NOT_SERVING" : "UNKNOWN");
    finish(action, text.len == 0 ? ACTION_SUCCEEDED : ACTION_FAILED, buf_text(&text));
}

static void start_grpc(struct action *action, const struct json *grpc, const struct action_target *target)
{
    const char *service = json_str_or("", grpc, "service", NULL);
    int port = port_of(json_get(grpc, "port", NULL), NULL);
    CLEANUP(buf_done) struct buf message = {0};
    CLEANUP(buf_done) struct buf frame = {0};
    size_t len = strlen(service);
    static const struct http_header headers[] = {{"content-type", "application/grpc"}, {"te", "trailers"}};

    action->is_grpc = true;
    if (port == 0 || target->address == NULL || len > SERVICE_MAX) {
        fail_later(action, xstrdup("the handler's port or service cannot be used"));
        return;
    }
    if (len > 0) { /* HealthCheckRequest{service = 1}: field 1, length-delimited */
        buf_add_char(&message, 0x0a);
        if (len > 127)
            buf_add_char(&message, (char)(0x80 | (len & 0x7f)));
        buf_add_char(&message, (char)(len > 127 ? len >> 7 : len));
        buf_add(&message, service, len);
    }
    grpc_frame(buf_text(&message), message.len, &frame);
    bool v6 = strchr(target->address, ':') != NULL;
    action->peer = xasprintf("%s%s%s:%d", v6 ? "[" : "", target->address, v6 ? "]" : "", port);
    CLEANUP(xfree) char *url = xasprintf("http://%s/grpc.health.v1.Health/Check", action->peer);
    struct http_request request = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .n_headers = countof(headers),
        .body = frame.data,
        .body_len = frame.len,
        .max_response = BODY_MAX,
        .dedicated = true,
    };
    action->http = http_start(action->agent->actions->h2c, &request, NULL, on_grpc, action);
}

/* --- TCP */

static const char *failure_text(int failure)
{
    return failure == ECONNREFUSED ? "connection refused" : failure == EHOSTUNREACH ? "no route to host" : strerror(failure);
}

static void on_connected(struct loop_fd *source UNUSED, uint32_t events UNUSED, void *data)
{
    struct action *action = data;
    int failure = 0;
    socklen_t len = sizeof(failure);

    if (getsockopt(action->socket, SOL_SOCKET, SO_ERROR, &failure, &len) < 0)
        failure = errno;
    if (failure == 0) {
        finish(action, ACTION_SUCCEEDED, "");
        return;
    }
    CLEANUP(xfree) char *text = xasprintf("dial tcp %s: connect: %s", action->peer, failure_text(failure));
    finish(action, ACTION_FAILED, text);
}

static void start_tcp(struct action *action, const struct json *tcp, const struct action_target *target)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *host = json_str_or("", tcp, "host", NULL);
    int port = port_of(json_get(tcp, "port", NULL), target->ports);
    char service[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;

    if (*host == '\0')
        host = strempty(target->address);
    else if (streq(host, "localhost"))
        host = "127.0.0.1";
    (void)snprintf(service, sizeof(service), "%d", port);
    action->peer = xasprintf("%s:%d", host, port);
    /* names would need a resolver that does not block; probes of a pod's own address do not use any */
    if (port == 0 || getaddrinfo(host, service, &hints, &found) != 0) {
        fail_later(action, xasprintf("dial tcp %s: the host is no address or the port is unknown", action->peer));
        return;
    }
    action->socket = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int result = action->socket < 0 ? -1 : connect(action->socket, found->ai_addr, found->ai_addrlen);
    int failure = errno;
    freeaddrinfo(found);
    if (result < 0 && failure != EINPROGRESS)
        fail_later(action, xasprintf("dial tcp %s: connect: %s", action->peer, failure_text(failure)));
    else if (loop_fd_new(action->agent->loop, action->socket, EPOLLOUT, on_connected, action, &action->socket_source,
                         &err) < 0)
        fail_later(action, xstrdup(err_text(&err)));
}

struct action *action_start(struct agent *agent, const struct json *handler, const struct action_target *target,
                            int64_t timeout_ms, action_done *done, void *data)
{
    struct action *action = NEW(struct action);
    const struct json *part;

    action->agent = agent;
    action->done = done;
    action->data = data;
    action->socket = -1;
    action->is_hook = target->is_hook;
    action->timeout_ms = timeout_ms;
    action->timer = loop_timer_new(agent->loop, on_timer, action);
    action->due_ms = loop_now_ms(agent->loop) + timeout_ms;
    loop_timer_set(action->timer, timeout_ms);
    if ((part = json_get(handler, "exec", NULL)) != NULL) {
        start_exec(action, part, target);
    } else if ((part = json_get(handler, "httpGet", NULL)) != NULL) {
        start_http(action, part, target);
    } else if ((part = json_get(handler, "tcpSocket", NULL)) != NULL && !action->is_hook) {
        start_tcp(action, part, target);
    } else if ((part = json_get(handler, "grpc", NULL)) != NULL) {
        start_grpc(action, part, target);
    } else if ((part = json_get(handler, "sleep", NULL)) != NULL) {
        int64_t sleep_ms = json_int_or(0, part, "seconds", NULL) * 1000;
        action->sleeping = true;
        action_limit(action, sleep_ms);
    } else {
        fail_later(action, xstrdup("the handler is of no known kind"));
    }
    return action;
}
