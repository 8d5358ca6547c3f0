/*
 * grpc_call.c: one unary gRPC call over HTTP/2 without TLS on a unix socket. Packs the request, sets the deadline on
 * both ends, unpacks the answer. What is called is not known here.
 *
 * Every call has a connection of its own, which costs less than a millisecond on a unix socket: libcurl 7.88
 * (Debian 12) breaks the second call on a connection with "Error in the HTTP2 framing layer" when HTTP/2 is used by
 * prior knowledge (curl pull request 10643). It also keeps a pull of hours from holding up a stop.
 */
#include "cri/grpc_call.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cri/grpc.h"
#include "net/http.h"

struct grpc_call {
    struct grpc_client *client;
    struct grpc_call *previous, *next;
    struct grpc_method method;
    grpc_done *done;
    grpc_abandoned *abandoned;
    void *data;
};

struct grpc_client {
    struct http_client *http;
    struct grpc_call *calls; /* under way */
};

int grpc_client_new(struct loop *loop, const char *socket_path, struct keeper *keeper, struct grpc_client **ret,
                    struct err *err)
{
    CLEANUP(grpc_client_free) struct grpc_client *client = NEW(struct grpc_client);
    const struct http_client_options options = {
        .unix_socket = socket_path,
        .h2c = true,
        .proxy = "",
        .user_agent = "grpc-c-fks",
        .connect_timeout_ms = 5000,
        .keeper = keeper,
    };
    int r = http_client_new(loop, &options, &client->http, err);

    if (r < 0)
        return r;
    *ret = take(&client);
    return 0;
}

struct grpc_client *grpc_client_free(struct grpc_client *client)
{
    if (client == NULL)
        return NULL;
    http_client_free(client->http); /* cancels the calls, so none of them comes back */
    while (client->calls != NULL) {
        struct grpc_call *call = client->calls;

        client->calls = call->next;
        if (call->abandoned != NULL)
            call->abandoned(call->data);
        free(call);
    }
    free(client);
    return NULL;
}

static int unpack(const struct grpc_method *method, const char *body, size_t len, ProtobufCMessage **ret,
                  struct err *err)
{
    const char *bytes;
    size_t n;
    int r;

    r = grpc_unframe(body, len, &bytes, &n, err);
    if (r < 0)
        return r;
    *ret = protobuf_c_message_unpack(method->answer, NULL, n, (const uint8_t *)bytes);
    if (*ret == NULL)
        return err_set(err, ERR_PARSE, "answer of %zu bytes is no %s", n, method->answer->name);
    return 0;
}

void grpc_answer(const struct grpc_method *method, const char *body, size_t len, const char *code, const char *message,
                 grpc_done *done, void *data)
{
    CLEANUP(err_clear) struct err err = {0};
    ProtobufCMessage *answer = NULL;

    if (grpc_status(code, message, &err) < 0 || unpack(method, body, len, &answer, &err) < 0)
        err_wrap(&err, "%s", method->name);
    done(answer, &err, data);
    if (answer != NULL)
        protobuf_c_message_free_unpacked(answer, NULL);
}

static void call_unlink(struct grpc_call *call)
{
    if (call->previous != NULL)
        call->previous->next = call->next;
    else
        call->client->calls = call->next;
    if (call->next != NULL)
        call->next->previous = call->previous;
}

/* The callback may free the client, so the call leaves the client's list before it runs. */
static void on_answer(struct http_response *response, struct err *err, void *data)
{
    CLEANUP(xfree) struct grpc_call *call = data;

    call_unlink(call);
    if (err->code == 0 && response->status != 200)
        err_set(err, ERR_INTERNAL, "the socket answered HTTP %d instead of gRPC", response->status);
    if (err->code != 0) {
        err_wrap(err, "%s", call->method.name);
        call->done(NULL, err, call->data);
        return;
    }
    grpc_answer(&call->method, buf_text(&response->body), response->body.len,
                http_response_header(response, "grpc-status"), http_response_header(response, "grpc-message"),
                call->done, call->data);
}

void grpc_start(struct grpc_client *client, const struct grpc_method *method, const ProtobufCMessage *request,
                int64_t timeout_ms, grpc_done *done, grpc_abandoned *abandoned, void *data)
{
    CLEANUP(buf_done) struct buf body = {0};
    CLEANUP(xfree) char *url = xasprintf("http://localhost/%s.%s/%s", method->package, method->service, method->name);
    CLEANUP(xfree) uint8_t *message = NULL;
    struct grpc_call *call = NEW(struct grpc_call);
    char timeout[32];
    const struct http_header headers[] = {
        {"content-type", "application/grpc"},
        {"te", "trailers"},
        {"grpc-timeout", timeout},
    };
    struct http_request http = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .n_headers = countof(headers),
        .timeout_ms = timeout_ms,
        .max_response = LIMIT_GRPC_MESSAGE + 5,
        .dedicated = true,
        .kept = method->kept,
    };
    size_t len = protobuf_c_message_get_packed_size(request);

    (void)snprintf(timeout, sizeof(timeout), "%" PRId64 "m", timeout_ms < 99999999 ? timeout_ms : 99999999);
    message = xmalloc(len ? len : 1);
    protobuf_c_message_pack(request, message);
    grpc_frame(message, len, &body);
    http.body = body.data;
    http.body_len = body.len;

    *call = (struct grpc_call){
        .client = client, .next = client->calls, .method = *method, .done = done, .abandoned = abandoned, .data = data};
    if (client->calls != NULL)
        client->calls->previous = call;
    client->calls = call;
    (void)http_start(client->http, &http, NULL, on_answer, call);
    explicit_bzero(message, len);
    explicit_bzero(body.data, body.len);
}
