/*
 * ws_connect.c: how a WebSocket comes to be: a connection to the server by net/wire.h, and the upgrade. Everything blocks,
 * until one deadline for all of it.
 */
#include <openssl/evp.h>
#include <poll.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/http1_response.h"
#include "net/ws_internal.h"

#define HANDSHAKE_MS 30000 /* dial, TLS and upgrade together; the API server dials the kubelet before it answers */
#define REFUSAL_MAX KIB(64)
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 section 1.3 */

struct attempt {
    struct ws *ws;
    const struct ws_options *options;
    const char *target; /* path and query */
    int64_t deadline;
};

/* --- bytes, before there are frames */

static int wait_for(struct attempt *attempt, int result, const char *what, struct err *err)
{
    return ws_wait(attempt->ws, result == TLS_WANT_WRITE ? POLLOUT : POLLIN, attempt->deadline, what, err);
}

static int connect_wire(struct attempt *attempt, struct err *err)
{
    const struct ws_options *options = attempt->options;
    struct wire *wire = &attempt->ws->wire;
    const struct wire_options where = {.url = options->url, .proxy = options->proxy, .tls = options->tls};
    int result = wire_begin(wire, &where, err) < 0 ? (int)err->code : TLS_WANT_WRITE;
    while (result > 0) {
        CLEANUP(xfree) char *doing = wire_doing(wire);
        if (wait_for(attempt, result, doing, err) < 0)
            return (int)err->code;
        result = wire_step(wire, err);
    }
    attempt->target = wire->server.target;
    return result;
}

static int write_all(struct attempt *attempt, const struct buf *bytes, const char *what, struct err *err)
{
    for (size_t done = 0; done < bytes->len;) {
        size_t n = 0;
        int result = wire_write(&attempt->ws->wire, bytes->data + done, bytes->len - done, &n, err);
        if (result == TLS_CLOSED)
            return err_set(err, ERR_IO, "%s: the connection was closed", what);
        if (result < 0 || (result != TLS_DONE && wait_for(attempt, result, what, err) < 0))
            return (int)err->code;
        done += n;
    }
    return 0;
}

/* More input at the end of ws->input: TLS_DONE, or TLS_CLOSED when the peer has ended. */
static int read_more(struct attempt *attempt, const char *what, struct err *err)
{
    struct ws *ws = attempt->ws;
    for (;;) {
        char *room = buf_reserve(&ws->input, KIB(16));
        size_t n = 0;
        if (room == NULL)
            return err_set(err, ERR_TOO_BIG, "%s: the answer is over %zu bytes", what, ws->input.max);
        int result = wire_read(&ws->wire, room, KIB(16), &n, err);
        if (result == TLS_DONE)
            buf_advance(&ws->input, n);
        if (result != TLS_WANT_READ && result != TLS_WANT_WRITE)
            return result;
        if (wait_for(attempt, result, what, err) < 0)
            return (int)err->code;
    }
}

/* --- the upgrade */

static void print_request(const struct attempt *attempt, const char *key, struct buf *out)
{
    const struct ws_options *options = attempt->options;
    CLEANUP(xfree) char *authority = dial_authority(&attempt->ws->wire.server);
    buf_printf(out, "GET %s HTTP/1.1\r\nHost: %s\r\n", attempt->target, authority);
    buf_printf(out, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n",
               key);
    for (size_t i = 0; options->protocols != NULL && options->protocols[i] != NULL; i++)
        buf_printf(out, "%s%s", i == 0 ? "Sec-WebSocket-Protocol: " : ", ", options->protocols[i]);
    if (options->protocols != NULL && options->protocols[0] != NULL)
        buf_add_str(out, "\r\n");
    for (size_t i = 0; i < options->n_headers; i++)
        buf_printf(out, "%s: %s\r\n", options->headers[i].name, options->headers[i].value);
    buf_add_str(out, "\r\n");
}

static bool is_accepted(const char *key, struct str answer)
{
    CLEANUP(buf_done) struct buf expected = {0};
    CLEANUP(xfree) char *text = xasprintf("%s" ACCEPT_GUID, key);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    if (EVP_Digest(text, strlen(text), digest, &len, EVP_sha1(), NULL) != 1)
        return false;
    base64_encode(digest, len, &expected);
    return str_is(answer, buf_text(&expected));
}

/* The body of a refusal, as far as it comes: it is only told to people. */
static void read_refusal(struct attempt *attempt, const struct http1_response *head, struct buf *ret)
{
    struct buf *input = &attempt->ws->input;
    CLEANUP(err_clear) struct err ignored = {0};
    struct http1_body body = {0};
    bool to_end = !head->chunked && head->content_length < 0;
    if (!to_end)
        http1_response_body_begin(&body, head, REFUSAL_MAX);
    buf_consume(input, head->head_len);
    for (;;) {
        size_t used = 0;
        if (!to_end) {
            int result = http1_body_read(&body, buf_text(input), input->len, &used, ret, &ignored);
            buf_consume(input, used);
            if (result != 0)
                return;
        } else if (input->len > REFUSAL_MAX) {
            break;
        }
        if (read_more(attempt, "WebSocket upgrade", &ignored) != TLS_DONE)
            break;
    }
    if (to_end)
        buf_add(ret, buf_text(input), input->len);
}

static int refuse(struct attempt *attempt, const struct http1_response *head, struct buf *ret_refusal, struct err *err)
{
    int status = head->status;
    enum err_code code = status == 401   ? ERR_UNAUTHORIZED
                         : status == 403 ? ERR_FORBIDDEN
                         : status == 404 ? ERR_NOT_FOUND
                         : status == 400 ? ERR_INVALID
                         : status >= 500 ? ERR_INTERNAL
                                         : ERR_IO;
    const char *text = buf_text(&attempt->ws->input);
    CLEANUP(xfree) char *line = xstrndup(text, strcspn(text, "\r\n"));
    read_refusal(attempt, head, ret_refusal);
    int result = err_set(err, code, "unable to upgrade connection: %s", line);
    err->http_status = status;
    return result;
}

/* Interim answers may come before the one that counts. */
static int read_head(struct attempt *attempt, struct http1_response *ret, struct err *err)
{
    struct buf *input = &attempt->ws->input;
    for (;;) {
        int result = http1_parse_response(buf_text(input), input->len, true, ret, err);
        if (result < 0)
            return err_wrap(err, "WebSocket upgrade");
        if (result == 1 && (ret->status >= 200 || ret->status == 101))
            return 0;
        if (result == 1) {
            buf_consume(input, ret->head_len);
            continue;
        }
        result = read_more(attempt, "WebSocket upgrade", err);
        if (result == TLS_CLOSED)
            return err_set(err, ERR_IO, "WebSocket upgrade: the connection was closed");
        if (result < 0)
            return result;
    }
}

/* A server must choose among what was offered, if it chooses at all; what it speaks otherwise would be read as something else. */
static int take_protocol(struct attempt *attempt, const struct http1_response *head, struct err *err)
{
    const char *const *offered = attempt->options->protocols;
    struct str chosen = http1_response_header(head, "sec-websocket-protocol");
    CLEANUP(xfree) char *name = chosen.p != NULL ? xstrndup(chosen.p, chosen.len) : NULL;
    bool known = name == NULL;
    for (size_t i = 0; offered != NULL && offered[i] != NULL; i++)
        known = known || streq(name, offered[i]);
    if (!known)
        return err_set(err, ERR_PARSE, "WebSocket upgrade: the server chose the protocol '%s', which was not offered", name);
    attempt->ws->protocol = take(&name);
    return 0;
}

static int upgrade(struct attempt *attempt, struct buf *ret_refusal, struct err *err)
{
    struct ws *ws = attempt->ws;
    CLEANUP(buf_done) struct buf key = {0};
    CLEANUP(buf_done) struct buf request = {0};
    struct http1_response head;
    unsigned char nonce[16];
    random_bytes(nonce, sizeof(nonce));
    base64_encode(nonce, sizeof(nonce), &key);
    print_request(attempt, buf_text(&key), &request);
    int code = write_all(attempt, &request, "WebSocket upgrade", err);
    explicit_bzero(request.data, request.len);
    if (code < 0 || read_head(attempt, &head, err) < 0)
        return (int)err->code;
    if (head.status != 101)
        return refuse(attempt, &head, ret_refusal, err);
    if (!str_is_nocase(http1_response_header(&head, "upgrade"), "websocket") ||
        !is_accepted(buf_text(&key), http1_response_header(&head, "sec-websocket-accept")))
        return err_set(err, ERR_PARSE, "WebSocket upgrade: the answer does not belong to the request");
    if (take_protocol(attempt, &head, err) < 0)
        return (int)err->code;
    buf_consume(&ws->input, head.head_len);
    return 0;
}

int ws_connect(const struct ws_options *options, struct ws **ret, struct buf *ret_refusal, struct err *err)
{
    CLEANUP(ws_free) struct ws *ws = NEW(struct ws);
    struct attempt attempt = {.ws = ws, .options = options, .deadline = clock_monotonic_ms() + HANDSHAKE_MS};
    ws->wire.fd = -1;
    if (connect_wire(&attempt, err) < 0 || upgrade(&attempt, ret_refusal, err) < 0 || ws_begin_frames(ws, err) < 0)
        return (int)err->code;
    *ret = take(&ws);
    return 0;
}
