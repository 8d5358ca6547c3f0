/*
 * ws_connect.c: how a WebSocket comes to be: dials the server or the proxy before it, goes through the proxy, does TLS by
 * net/tls.h, and upgrades. Everything blocks, until one deadline for all of it.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/dial.h"
#include "net/forward_proxy.h"
#include "net/http1_response.h"
#include "net/ws_internal.h"

#define HANDSHAKE_MS 30000 /* dial, TLS and upgrade together; the API server dials the kubelet before it answers */
#define REFUSAL_MAX KIB(64)
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 section 1.3 */

struct attempt {
    struct ws *ws;
    const struct ws_options *options;
    struct dial_address server;
    int64_t deadline;
};

/* --- dialling */

static int dial_one(struct attempt *attempt, const struct addrinfo *info, const char *what, struct err *err)
{
    struct ws *ws = attempt->ws;
    if (ws->fd >= 0)
        (void)fd_close(ws->fd);
    ws->fd = dial_start(info);
    if (ws->fd < 0)
        return err_set(err, ERR_REFUSED, "dial %s: %s", what, strerror(errno));
    if (ws_wait(ws, POLLOUT, attempt->deadline, what, err) < 0)
        return (int)err->code;
    int failure = dial_result(ws->fd);
    if (failure != 0)
        return err_set(err, failure == ETIMEDOUT ? ERR_TIMEOUT : ERR_REFUSED, "dial %s: %s", what,
                       failure == ECONNREFUSED ? "connection refused" : strerror(failure));
    return 0;
}

static int dial(struct attempt *attempt, const struct dial_address *address, struct err *err)
{
    CLEANUP(xfree) char *authority = dial_authority(address);
    CLEANUP(xfree) char *what = xasprintf("tcp %s", authority);
    struct addrinfo *list = NULL;
    if (dial_resolve(address, &list, err) < 0)
        return err_wrap(err, "dial %s", what);
    int result = 0;
    for (const struct addrinfo *info = list; info != NULL; info = info->ai_next) {
        err_clear(err);
        result = dial_one(attempt, info, what, err);
        if (result == 0)
            break;
    }
    freeaddrinfo(list);
    return result;
}

/* TLS with the one at the other end, inside the TLS that there may be already. */
static int begin_tls(struct attempt *attempt, const char *host, struct err *err)
{
    struct ws *ws = attempt->ws;
    const struct http_tls *given = &attempt->options->tls;
    const struct tls_client_options tls = {
        .ca_pem = given->ca_pem, .cert_pem = given->cert_pem, .key_pem = given->key_pem, .insecure = given->insecure};
    const char *name = given->server_name != NULL ? given->server_name : host;
    if (ws->context == NULL && tls_client_context_new(&tls, &ws->context, err) < 0)
        return (int)err->code;
    ws->outer = ws->tls;
    ws->tls = NULL;
    int code = ws->outer != NULL ? tls_new_inside(ws->context, ws->outer, name, &ws->tls, err)
                                 : tls_new(ws->context, ws->fd, name, &ws->tls, err);
    while (code == 0) {
        int result = tls_handshake(ws->tls, err);
        if (result <= 0)
            return result;
        if (result == TLS_CLOSED)
            return err_set(err, ERR_IO, "TLS handshake with %s: the connection was closed", host);
        code = ws_wait(ws, result == TLS_WANT_WRITE ? POLLOUT : POLLIN, attempt->deadline, "TLS handshake", err);
    }
    return code;
}

/* --- bytes, before there are frames */

static int write_all(struct attempt *attempt, const struct buf *bytes, const char *what, struct err *err)
{
    struct ws *ws = attempt->ws;
    for (size_t done = 0; done < bytes->len;) {
        size_t n = 0;
        int result = ws_write_bytes(ws, bytes->data + done, bytes->len - done, &n, err);
        if (result < 0 || (result == 0 && ws_wait(ws, ws->wait_for, attempt->deadline, what, err) < 0))
            return (int)err->code;
        done += n;
    }
    return 0;
}

/* More input at the end of ws->input. 1: some came; 2: the peer ended. */
static int read_more(struct attempt *attempt, const char *what, struct err *err)
{
    struct ws *ws = attempt->ws;
    for (;;) {
        char *room = buf_reserve(&ws->input, KIB(16));
        size_t n = 0;
        if (room == NULL)
            return err_set(err, ERR_TOO_BIG, "%s: the answer is over %zu bytes", what, ws->input.max);
        int result = ws_read_bytes(ws, room, KIB(16), &n, err);
        if (result == 1)
            buf_advance(&ws->input, n);
        if (result != 0)
            return result;
        if (ws_wait(ws, ws->wait_for, attempt->deadline, what, err) < 0)
            return (int)err->code;
    }
}

/* --- the way through a proxy */

static int pass_proxy(struct attempt *attempt, const char *url, struct err *err)
{
    struct ws *ws = attempt->ws;
    CLEANUP(forward_proxy_done) struct forward_proxy proxy = {0};
    CLEANUP(buf_done) struct buf out = {0};
    if (forward_proxy_parse(url, &proxy, err) < 0)
        return (int)err->code;
    if (dial(attempt, &proxy.address, err) < 0)
        return err_wrap(err, "proxyconnect tcp");
    if (proxy.kind == FORWARD_PROXY_HTTPS && begin_tls(attempt, proxy.address.host, err) < 0)
        return err_wrap(err, "proxyconnect tcp");
    for (;;) {
        int result = forward_proxy_step(&proxy, &attempt->server, &ws->input, &out, err);
        if (result < 0)
            return result;
        if (result == 1)
            break;
        if (write_all(attempt, &out, "the proxy", err) < 0)
            return (int)err->code;
        buf_clear(&out);
        result = read_more(attempt, "the proxy", err);
        if (result == 2)
            return err_set(err, ERR_IO, "the proxy: the connection was closed");
        if (result < 0)
            return result;
    }
    if (ws->input.len > 0)
        return err_set(err, ERR_PARSE, "the proxy: %zu bytes that nobody asked for", ws->input.len);
    return 0;
}

/* --- the upgrade */

static void print_request(const struct attempt *attempt, const char *key, struct buf *out)
{
    const struct ws_options *options = attempt->options;
    CLEANUP(xfree) char *authority = dial_authority(&attempt->server);
    buf_printf(out, "GET %s HTTP/1.1\r\nHost: %s\r\n", attempt->server.target, authority);
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
        if (read_more(attempt, "WebSocket upgrade", &ignored) != 1)
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

static int read_head(struct attempt *attempt, struct http1_response *ret, struct err *err)
{
    const struct buf *input = &attempt->ws->input;
    for (;;) {
        int result = http1_parse_response(buf_text(input), input->len, true, ret, err);
        if (result < 0)
            return err_wrap(err, "WebSocket upgrade");
        if (result == 1)
            return 0;
        result = read_more(attempt, "WebSocket upgrade", err);
        if (result == 2)
            return err_set(err, ERR_IO, "WebSocket upgrade: the connection was closed");
        if (result < 0)
            return result;
    }
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
    struct str protocol = http1_response_header(&head, "sec-websocket-protocol");
    ws->protocol = protocol.p != NULL ? xstrndup(protocol.p, protocol.len) : NULL;
    buf_consume(&ws->input, head.head_len);
    return 0;
}

int ws_connect(const struct ws_options *options, struct ws **ret, struct buf *ret_refusal, struct err *err)
{
    CLEANUP(ws_free) struct ws *ws = NEW(struct ws);
    struct attempt attempt = {.ws = ws, .options = options, .deadline = clock_monotonic_ms() + HANDSHAKE_MS};
    CLEANUP(xfree) char *proxy = forward_proxy_choose(options->proxy, options->url);
    ws->fd = -1;
    int code = dial_parse_url(options->url, &attempt.server, err);
    if (code == 0)
        code = proxy != NULL ? pass_proxy(&attempt, proxy, err) : dial(&attempt, &attempt.server, err);
    if (code == 0 && attempt.server.tls)
        code = begin_tls(&attempt, attempt.server.host, err);
    if (code == 0)
        code = upgrade(&attempt, ret_refusal, err);
    if (code == 0)
        code = ws_begin_frames(ws, err);
    dial_address_done(&attempt.server);
    if (code == 0)
        *ret = take(&ws);
    return code;
}
