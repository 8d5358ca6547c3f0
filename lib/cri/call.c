/*
 * call.c: one unary gRPC call of the CRI over HTTP/2 without TLS on the runtime's unix socket. Packs the request,
 * sets the deadline on both ends, unpacks the answer. Which calls there are is told by runtime.c, images.c and
 * streams.c.
 *
 * Every call has a connection of its own, which costs less than a millisecond on a unix socket: libcurl 7.88
 * (Debian 12) breaks the second call on a connection with "Error in the HTTP2 framing layer" when HTTP/2 is used by
 * prior knowledge (curl pull request 10643). It also keeps a pull of hours from holding up a stop.
 */
#include "cri/runtime_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cri/grpc.h"

struct cri_call {
    struct cri *cri;
    struct cri_call *previous, *next;
    const struct cri_method *method;
    union cri_done done;
    void *data;
};

int cri_new(struct loop *loop, const char *socket_path, struct cri **ret, struct err *err)
{
    CLEANUP(cri_free) struct cri *cri = NEW(struct cri);
    const struct http_client_options options = {
        .unix_socket = socket_path,
        .h2c = true,
        .proxy = "",
        .user_agent = "grpc-c-fks",
        .connect_timeout_ms = 5000,
    };
    int r = http_client_new(loop, &options, &cri->client, err);

    if (r < 0)
        return r;
    *ret = take(&cri);
    return 0;
}

struct cri *cri_free(struct cri *cri)
{
    if (cri == NULL)
        return NULL;
    http_client_free(cri->client); /* cancels the calls, so none of them comes back */
    while (cri->calls != NULL) {
        struct cri_call *call = cri->calls;

        cri->calls = call->next;
        if (call->method->abandon != NULL)
            call->method->abandon(call->done);
        free(call);
    }
    free(cri);
    return NULL;
}

static int unpack(const struct cri_method *method, const char *body, size_t len, ProtobufCMessage **ret,
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

void cri_answer(const struct cri_method *method, const char *body, size_t len, const char *grpc_code,
                const char *grpc_message, union cri_done done, void *data)
{
    CLEANUP(err_clear) struct err err = {0};
    ProtobufCMessage *answer = NULL;

    if (grpc_status(grpc_code, grpc_message, &err) < 0 || unpack(method, body, len, &answer, &err) < 0)
        err_wrap(&err, "%s", method->name);
    method->deliver(answer, &err, done, data);
    if (answer != NULL)
        protobuf_c_message_free_unpacked(answer, NULL);
}

static void call_unlink(struct cri_call *call)
{
    if (call->previous != NULL)
        call->previous->next = call->next;
    else
        call->cri->calls = call->next;
    if (call->next != NULL)
        call->next->previous = call->previous;
}

/* The callback may free the client, so the call leaves the client's list before it runs. */
static void on_answer(struct http_response *response, struct err *err, void *data)
{
    CLEANUP(xfree) struct cri_call *call = data;

    call_unlink(call);
    if (err->code == 0 && response->status != 200)
        err_set(err, ERR_INTERNAL, "the runtime's socket answered HTTP %d instead of gRPC", response->status);
    if (err->code != 0) {
        err_wrap(err, "%s", call->method->name);
        call->method->deliver(NULL, err, call->done, call->data);
        return;
    }
    cri_answer(call->method, buf_text(&response->body), response->body.len,
               http_response_header(response, "grpc-status"), http_response_header(response, "grpc-message"),
               call->done, call->data);
}

void cri_start(struct cri *cri, const struct cri_method *method, const ProtobufCMessage *request, int64_t timeout_ms,
               union cri_done done, void *data)
{
    CLEANUP(buf_done) struct buf body = {0};
    CLEANUP(xfree) char *url = xasprintf("http://localhost/runtime.v1.%s/%s", method->service, method->name);
    CLEANUP(xfree) uint8_t *message = NULL;
    struct cri_call *call = NEW(struct cri_call);
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
    };
    size_t len = protobuf_c_message_get_packed_size(request);

    (void)snprintf(timeout, sizeof(timeout), "%" PRId64 "m", timeout_ms < 99999999 ? timeout_ms : 99999999);
    message = xmalloc(len ? len : 1);
    protobuf_c_message_pack(request, message);
    grpc_frame(message, len, &body);
    http.body = body.data;
    http.body_len = body.len;

    *call = (struct cri_call){.cri = cri, .next = cri->calls, .method = method, .done = done, .data = data};
    if (cri->calls != NULL)
        cri->calls->previous = call;
    cri->calls = call;
    (void)http_start(cri->client, &http, NULL, on_answer, call);
}

void cri_deliver_ok(const ProtobufCMessage *answer UNUSED, struct err *err, union cri_done done, void *data)
{
    done.ok(err, data);
}

const char *cri_pairs_get(const struct cri_pairs *pairs, const char *key)
{
    for (size_t i = 0; i < pairs->n; i++)
        if (streq(pairs->items[i].key, key))
            return pairs->items[i].value;
    return NULL;
}
