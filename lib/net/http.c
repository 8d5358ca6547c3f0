/*
 * http.c: HTTP client: clients, calls, answers, and the blocking call. How bytes move is in http_curl.c (libcurl: daemons,
 * HTTP/2, gRPC, proxies) and http_light.c (a small HTTP/1.1 for command lines). Retries, authentication and JSON are the
 * business of kube/client.c; gRPC framing that of cri/.
 *
 * Neither way may be re-entered from a callback, so what a callback starts or cancels is only noted, and done by settle()
 * when the outermost callback has returned. That also makes it legal to free the client anywhere.
 */
#include "net/http.h"

#include <assert.h>
#include <errno.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/forward_proxy.h"
#include "net/http_internal.h"

#define CONNECT_TIMEOUT_MS 10000

/* --- responses */

static char *lower(const char *text, size_t len)
{
    char *copy = xstrndup(text, len);
    for (char *c = copy; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return copy;
}

const char *http_response_header_all(const struct http_response *response, const char *name)
{
    CLEANUP(xfree) char *key = lower(name, strlen(name));
    return map_get(&response->headers, key);
}

const char *http_response_header(const struct http_response *response, const char *name)
{
    const char *all = http_response_header_all(response, name);
    const char *last = all != NULL ? strrchr(all, '\n') : NULL;
    return last != NULL ? last + 1 : all;
}

static void headers_clear(struct http_response *response)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(&response->headers, &i, &key, &value);)
        free(value);
    map_done(&response->headers);
    response->headers = (struct map){0};
}

void http_response_done(struct http_response *response)
{
    headers_clear(response);
    buf_done(&response->body);
    *response = (struct http_response){0};
}

/* --- what the ways report */

/* 100 Continue or a proxy's answer may come before the one that counts. */
void http_call_status(struct http_call *call, int status)
{
    call->response.status = status;
    call->head_told = false;
    headers_clear(&call->response);
}

bool http_call_head_bytes(struct http_call *call, size_t len)
{
    call->last_byte_ms = loop_now_ms(call->client->loop);
    call->head_len += len;
    if (call->cancelled)
        return false;
    if (call->head_len <= LIMIT_HTTP_HEAD)
        return true;
    (void)err_set(&call->err, ERR_TOO_BIG, "%s %s: response headers are over %zu bytes", call->method, call->url,
                  (size_t)LIMIT_HTTP_HEAD);
    return false;
}

void http_call_header(struct http_call *call, const char *line, size_t len)
{
    struct str name, value;
    if (!str_cut((struct str){line, len}, ':', &name, &value))
        return;
    value = str_trim(value);
    CLEANUP(xfree) char *key = lower(name.p, name.len);
    const char *before = map_get(&call->response.headers, key);
    char *text = before != NULL ? xasprintf("%s\n%.*s", before, (int)value.len, value.p) : xstrndup(value.p, value.len);
    free(map_set(&call->response.headers, key, text));
}

bool http_call_head_end(struct http_call *call)
{
    if (!call->head_first || call->head_told || call->chunk == NULL || call->response.status < 200)
        return true;
    call->head_told = true;
    return http_call_body(call, "", 0);
}

bool http_call_body(struct http_call *call, const char *bytes, size_t len)
{
    call->last_byte_ms = loop_now_ms(call->client->loop);
    if (call->cancelled)
        return false;
    if (call->chunk != NULL) {
        bool go_on = call->chunk(&call->response, bytes, len, call->data);
        if (!go_on && !call->cancelled)
            (void)err_set(&call->err, ERR_CANCELLED, "%s %s: stopped by the reader", call->method, call->url);
        return go_on && !call->cancelled;
    }
    if (buf_add(&call->response.body, bytes, len))
        return true;
    (void)err_set(&call->err, ERR_TOO_BIG, "%s %s: the response is over %zu bytes", call->method, call->url,
                  call->response.body.max);
    return false;
}

void http_call_no_connection(struct http_call *call, int errnum, const char *text)
{
    (void)err_set(&call->err, errnum == ETIMEDOUT ? ERR_TIMEOUT : ERR_REFUSED, "%s %s: %s", call->method, call->url,
                  errnum == ECONNREFUSED ? "connection refused" : errnum != 0 ? strerror(errnum) : text);
}

/* --- the life of a call */

static void call_end(struct http_call *call)
{
    if (call->light)
        http_light_end(call);
    else
        http_curl_end(call);
}

static void call_begin(struct http_call *call)
{
    call->begun = true;
    if (call->light)
        http_light_begin(call);
    else
        http_curl_begin(call);
}

static void call_unlink(struct http_call *call)
{
    if (call->prev != NULL)
        call->prev->next = call->next;
    else if (call->client->calls == call)
        call->client->calls = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    call->prev = call->next = NULL;
    call->idle_timer = loop_timer_free(call->idle_timer);
}

static void call_free(struct http_call *call)
{
    http_response_done(&call->response);
    err_clear(&call->err);
    free(call->method);
    free(call->url);
    free(call->proxy);
    if (call->head != NULL)
        explicit_bzero(call->head, strlen(call->head)); /* tokens */
    free(call->head);
    free(call->body);
    free(call);
}

void http_call_finish(struct http_call *call)
{
    call->finished = true;
    call_unlink(call);
    if (call->err.code != 0)
        call->response.status = 0;
    call->done(&call->response, &call->err, call->data);
    call_free(call);
}

void http_call_drop(struct http_call *call)
{
    call_unlink(call);
    call_free(call);
}

static void client_destroy(struct http_client *client)
{
    while (client->calls != NULL) {
        struct http_call *call = client->calls;
        call_end(call);
        http_call_drop(call);
    }
    http_light_done(client);
    http_curl_done(client);
    if (client->owns_loop)
        loop_free(client->loop);
    if (client->key_pem != NULL)
        explicit_bzero(client->key_pem, strlen(client->key_pem));
    free(client->ca_pem);
    free(client->cert_pem);
    free(client->key_pem);
    free(client->server_name);
    free(client->unix_socket);
    free(client->proxy);
    free(client->user_agent);
    free(client->session_dir);
    free(client);
}

static void settle(struct http_client *client)
{
    if (client->depth > 0)
        return;
    if (client->freed) {
        client_destroy(client);
        return;
    }
    while (client->unsettled) {
        client->unsettled = false;
        struct http_call *call = client->calls;
        while (call != NULL && call->next != NULL)
            call = call->next;
        for (struct http_call *newer; call != NULL; call = newer) { /* begin in the order in which they were started */
            newer = call->prev;
            if (call->cancelled) {
                call_end(call);
                http_call_drop(call);
            } else if (!call->begun) {
                call_begin(call);
            } else if (call->held && !call->paused) {
                client->depth++; /* it calls back */
                http_curl_resume(call);
                client->depth--;
            }
        }
        http_curl_sweep(client);
        if (client->freed) {
            client_destroy(client);
            return;
        }
    }
}

void http_client_enter(struct http_client *client)
{
    client->depth++;
}

void http_client_leave(struct http_client *client)
{
    client->depth--;
    settle(client);
}

/* --- clients */

int http_client_new(struct loop *loop, const struct http_client_options *options, struct http_client **ret,
                    struct err *err)
{
    CLEANUP(http_client_free) struct http_client *client = NEW(struct http_client);
    client->loop = loop;
    if (loop == NULL) {
        if (loop_new(&client->loop, err) < 0)
            return (int)err->code;
        client->owns_loop = true;
    }
    client->ca_pem = xstrdup(options->tls.ca_pem);
    client->cert_pem = xstrdup(options->tls.cert_pem);
    client->key_pem = xstrdup(options->tls.key_pem);
    client->server_name = xstrdup(options->tls.server_name);
    client->insecure = options->tls.insecure;
    client->unix_socket = xstrdup(options->unix_socket);
    client->proxy = xstrdup(options->proxy);
    client->user_agent = xstrdup(options->user_agent);
    client->session_dir = xstrdup(options->session_dir);
    client->keeper = options->keeper;
    client->h2c = options->h2c;
    client->light = options->light && !options->h2c && options->unix_socket == NULL && strempty(options->proxy)[0] == '\0';
    client->connect_timeout_ms = options->connect_timeout_ms > 0 ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    client->keepalive_ms = options->keepalive_ms;
    if (!client->light && http_curl_load(client, err) < 0)
        return (int)err->code;
    *ret = take(&client);
    return 0;
}

struct http_client *http_client_free(struct http_client *client)
{
    if (client == NULL)
        return NULL;
    client->freed = true;
    for (struct http_call *call = client->calls; call != NULL; call = call->next)
        call->cancelled = true;
    settle(client);
    return NULL;
}

/* --- requests */

static void on_idle_timer(void *data)
{
    struct http_call *call = data;
    struct http_client *client = call->client;
    int64_t idle = loop_now_ms(client->loop) - call->last_byte_ms;
    if (idle < call->idle_timeout_ms) {
        loop_timer_set(call->idle_timer, call->idle_timeout_ms - idle);
        return;
    }
    http_client_enter(client);
    (void)err_set(&call->err, ERR_TIMEOUT, "%s %s: nothing was received for %lld s", call->method, call->url,
                  (long long)(call->idle_timeout_ms / 1000));
    call_end(call);
    http_call_finish(call);
    http_client_leave(client);
}

static char *print_headers(const struct http_request *request)
{
    CLEANUP(buf_done) struct buf text = {0};
    for (size_t i = 0; i < request->n_headers; i++) {
        const char *value = request->headers[i].value;
        int len = (int)strcspn(value, "\r\n"); /* one header stays one line */
        buf_printf(&text, "%s: %.*s\r\n", request->headers[i].name, len, value);
    }
    return buf_take(&text);
}

static void set_idle_timeout(struct http_call *call, int64_t timeout_ms)
{
    if (timeout_ms <= 0)
        return;
    call->idle_timeout_ms = timeout_ms;
    call->last_byte_ms = loop_now_ms(call->client->loop);
    call->idle_timer = loop_timer_new(call->client->loop, on_idle_timer, call);
    loop_timer_set(call->idle_timer, timeout_ms);
}

struct http_call *http_start(struct http_client *client, const struct http_request *request, http_chunk *chunk,
                             http_done *done, void *data)
{
    struct http_call *call = NEW(struct http_call);
    call->client = client;
    /* a light client falls back to libcurl for what only a proxy reaches */
    call->proxy = client->unix_socket == NULL ? forward_proxy_choose(client->proxy, request->url) : NULL;
    call->light = client->light && call->proxy == NULL;
    call->method = xstrdup(request->method);
    call->url = xstrdup(request->url);
    call->head = print_headers(request);
    call->chunk = chunk;
    call->done = done;
    call->data = data;
    call->dedicated = request->dedicated;
    call->kept = request->kept;
    call->together = request->together && !request->dedicated && streq(request->method, "GET");
    call->head_first = request->head_first;
    call->timeout_ms = request->timeout_ms;
    if (request->body != NULL || streq(request->method, "POST")) {
        call->body_len = request->body != NULL ? request->body_len : 0;
        call->body = xmalloc(call->body_len + 1);
        if (call->body_len > 0)
            memcpy(call->body, request->body, call->body_len);
    }
    buf_init(&call->response.body, request->max_response > 0 ? request->max_response : LIMIT_HTTP_RESPONSE);
    set_idle_timeout(call, request->idle_timeout_ms);
    call->next = client->calls;
    if (client->calls != NULL)
        client->calls->prev = call;
    client->calls = call;
    if (client->busy)
        client->unsettled = true;
    else
        call_begin(call);
    return call;
}

bool http_call_is_connected(const struct http_call *call)
{
    return call->light && http_light_is_connected(call);
}

void http_cancel(struct http_call *call)
{
    if (call == NULL || call->finished || call->cancelled)
        return;
    struct http_client *client = call->client;
    if (client->busy) {
        call->cancelled = true;
        client->unsettled = true;
        return;
    }
    call_end(call);
    http_call_drop(call);
    settle(client);
}

void http_pause(struct http_call *call)
{
    assert(!call->light);
    call->paused = true;
}

void http_resume(struct http_call *call)
{
    call->paused = false;
    if (!call->held)
        return;
    call->client->unsettled = true;
    if (!call->client->busy)
        settle(call->client);
}

struct blocking {
    struct http_response *response;
    struct err *err;
    http_chunk *chunk;
    void *data;
    bool done;
};

static bool on_blocking_chunk(const struct http_response *response, const char *bytes, size_t len, void *data)
{
    struct blocking *blocking = data;
    return blocking->chunk(response, bytes, len, blocking->data);
}

static void on_blocking_done(struct http_response *response, struct err *err, void *data)
{
    struct blocking *blocking = data;
    blocking->done = true;
    if (err->code != 0) {
        err_move(blocking->err, err);
        return;
    }
    *blocking->response = *response;
    *response = (struct http_response){0};
}

int http_perform(struct http_client *client, const struct http_request *request, http_chunk *chunk, void *data,
                 struct http_response *ret, struct err *err)
{
    struct blocking blocking = {.response = ret, .err = err, .chunk = chunk, .data = data};
    struct http_call *call =
        http_start(client, request, chunk != NULL ? on_blocking_chunk : NULL, on_blocking_done, &blocking);
    while (!blocking.done) {
        if (loop_turn(client->loop, -1, err) < 0) {
            if (!blocking.done)
                http_cancel(call);
            return (int)err->code;
        }
    }
    return err->code != 0 ? (int)err->code : 0;
}
