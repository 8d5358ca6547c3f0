/*
 * ws.c: WebSocket client. Dials, does TLS by net/tls.h and the upgrade by hand, then leaves the framing to wslay. The
 * socket is non-blocking inside; calls that may wait do so with poll. What the messages mean (channels of exec and
 * port-forward) is the caller's business. Proxies are not supported.
 */
#include "net/ws.h"

#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wslay/wslay.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/dial.h"
#include "net/http1.h"
#include "net/tls.h"

#define HANDSHAKE_MS 30000 /* dial, TLS and upgrade together; the API server dials the kubelet before it answers */
#define CLOSE_MS 1000      /* to get the close frame out */
#define REFUSAL_MAX KIB(64)
#define QUEUE_MAX MIB(64) /* received while a send waits */
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 section 1.3 */

struct ws {
    int fd;
    struct tls_context *context; /* NULL: plain */
    struct tls *tls;
    short wait_for;          /* what the last short read or write waits for */
    struct buf input;        /* bytes that came behind the upgrade's answer */
    char *protocol;
    wslay_event_context_ptr frames;
    struct buf *queue;       /* whole messages, oldest first */
    size_t queue_n, queue_cap, queue_bytes;
    bool closed;             /* the peer sent a close frame */
    struct err failed;       /* what a callback of wslay met */
};

struct ws *ws_free(struct ws *ws)
{
    if (ws == NULL)
        return NULL;
    if (ws->frames != NULL)
        wslay_event_context_free(ws->frames);
    tls_free(ws->tls);
    tls_context_free(ws->context);
    if (ws->fd >= 0)
        fd_close(ws->fd);
    for (size_t i = 0; i < ws->queue_n; i++)
        buf_done(&ws->queue[i]);
    free(ws->queue);
    buf_done(&ws->input);
    err_clear(&ws->failed);
    free(ws->protocol);
    free(ws);
    return NULL;
}

const char *ws_protocol(const struct ws *ws)
{
    return strempty(ws->protocol);
}

int ws_fd(const struct ws *ws)
{
    return ws->fd;
}

/* --- bytes. 1: moved *ret_n > 0 bytes; 0: would block, ws->wait_for tells for what; 2: orderly end. */

static int from_tls(struct ws *ws, int result, size_t n, size_t *ret_n)
{
    if (result == TLS_DONE) {
        *ret_n = n;
        return 1;
    }
    if (result == TLS_CLOSED)
        return 2;
    ws->wait_for = result == TLS_WANT_WRITE ? POLLOUT : POLLIN;
    return result < 0 ? result : 0;
}

static int read_bytes(struct ws *ws, void *data, size_t len, size_t *ret_n, struct err *err)
{
    size_t n = 0;
    if (ws->tls != NULL) {
        int got_tls = tls_read(ws->tls, data, len, &n, err); /* before n is passed on */
        return from_tls(ws, got_tls, n, ret_n);
    }
    ssize_t got = recv(ws->fd, data, len, 0);
    if (got > 0) {
        *ret_n = (size_t)got;
        return 1;
    }
    ws->wait_for = POLLIN;
    if (got == 0)
        return 2;
    return errno == EAGAIN || errno == EINTR ? 0 : err_errno(err, errno, "reading from the WebSocket");
}

static int write_bytes(struct ws *ws, const void *data, size_t len, size_t *ret_n, struct err *err)
{
    size_t n = 0;
    if (ws->tls != NULL) {
        int written = tls_write(ws->tls, data, len, &n, err); /* before n is passed on */
        int result = from_tls(ws, written, n, ret_n);
        return result == 2 ? err_set(err, ERR_IO, "writing to the WebSocket: the connection was closed") : result;
    }
    ssize_t sent = send(ws->fd, data, len, MSG_NOSIGNAL);
    if (sent >= 0) {
        *ret_n = (size_t)sent;
        return 1;
    }
    ws->wait_for = POLLOUT;
    return errno == EAGAIN || errno == EINTR ? 0 : err_errno(err, errno, "writing to the WebSocket");
}

/* deadline: monotonic milliseconds, -1 for none. */
static int wait_fd(int fd, short events, int64_t deadline, const char *what, struct err *err)
{
    for (;;) {
        int64_t left = deadline < 0 ? -1 : deadline - clock_monotonic_ms();
        struct pollfd poll_fd = {.fd = fd, .events = events};
        if (deadline >= 0 && left <= 0)
            return err_set(err, ERR_TIMEOUT, "%s: timed out", what);
        int ready = poll(&poll_fd, 1, (int)left);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return err_errno(err, errno, "%s: poll", what);
    }
}

/* --- dialling */

static int dial_one(const struct addrinfo *info, const char *what, int64_t deadline, int *ret_fd, struct err *err)
{
    CLEANUP(fd_close) int fd = dial_start(info);
    if (fd < 0)
        return err_set(err, ERR_REFUSED, "dial %s: %s", what, strerror(errno));
    if (wait_fd(fd, POLLOUT, deadline, what, err) < 0)
        return (int)err->code;
    int failure = dial_result(fd);
    if (failure != 0)
        return err_set(err, failure == ETIMEDOUT ? ERR_TIMEOUT : ERR_REFUSED, "dial %s: %s", what,
                       failure == ECONNREFUSED ? "connection refused" : strerror(failure));
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int dial(const struct dial_address *address, int64_t deadline, int *ret_fd, struct err *err)
{
    CLEANUP(xfree) char *authority = dial_authority(address);
    CLEANUP(xfree) char *what = xasprintf("tcp %s", authority);
    struct addrinfo *list = NULL;
    if (dial_resolve(address, &list, err) < 0)
        return err_wrap(err, "dial %s", what);
    int result = 0;
    for (const struct addrinfo *info = list; info != NULL; info = info->ai_next) {
        err_clear(err);
        result = dial_one(info, what, deadline, ret_fd, err);
        if (result == 0)
            break;
    }
    freeaddrinfo(list);
    return result;
}

static int begin_tls(struct ws *ws, const struct ws_options *options, const char *host, int64_t deadline,
                     struct err *err)
{
    struct tls_client_options tls = {
        .ca_pem = options->tls.ca_pem,
        .cert_pem = options->tls.cert_pem,
        .key_pem = options->tls.key_pem,
        .insecure = options->tls.insecure,
    };
    const char *name = options->tls.server_name != NULL ? options->tls.server_name : host;
    if (tls_client_context_new(&tls, &ws->context, err) < 0 || tls_new(ws->context, ws->fd, name, &ws->tls, err) < 0)
        return (int)err->code;
    for (;;) {
        int result = tls_handshake(ws->tls, err);
        if (result <= 0)
            return result;
        if (result == TLS_CLOSED)
            return err_set(err, ERR_IO, "TLS handshake with %s: the connection was closed", host);
        if (wait_fd(ws->fd, result == TLS_WANT_WRITE ? POLLOUT : POLLIN, deadline, "TLS handshake", err) < 0)
            return (int)err->code;
    }
}

/* --- the upgrade */

static void print_request(const struct ws_options *options, const struct dial_address *address, const char *key,
                          struct buf *out)
{
    CLEANUP(xfree) char *authority = dial_authority(address);
    buf_printf(out, "GET %s HTTP/1.1\r\nHost: %s\r\n", address->target, authority);
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

static int write_all(struct ws *ws, const struct buf *bytes, int64_t deadline, struct err *err)
{
    for (size_t done = 0; done < bytes->len;) {
        size_t n = 0;
        int result = write_bytes(ws, bytes->data + done, bytes->len - done, &n, err);
        if (result < 0 || (result == 0 && wait_fd(ws->fd, ws->wait_for, deadline, "WebSocket upgrade", err) < 0))
            return (int)err->code;
        done += n;
    }
    return 0;
}

/* More input at the end of ws->input. 1: some came; 2: the peer ended. */
static int read_more(struct ws *ws, int64_t deadline, struct err *err)
{
    for (;;) {
        char *room = buf_reserve(&ws->input, KIB(16));
        size_t n = 0;
        if (room == NULL)
            return err_set(err, ERR_TOO_BIG, "WebSocket upgrade: the answer is over %zu bytes", ws->input.max);
        int result = read_bytes(ws, room, KIB(16), &n, err);
        if (result == 1)
            buf_advance(&ws->input, n);
        if (result != 0)
            return result;
        if (wait_fd(ws->fd, ws->wait_for, deadline, "WebSocket upgrade", err) < 0)
            return (int)err->code;
    }
}

static struct str answer_header(const char *head, const char *name)
{
    struct str rest = str_of(head), line, key, value;
    (void)str_cut(rest, '\n', &line, &rest); /* the status line */
    while (rest.len > 0) {
        (void)str_cut(rest, '\n', &line, &rest);
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
        if (str_cut(line, ':', &key, &value) && str_is_nocase(key, name))
            return str_trim(value);
    }
    return (struct str){0};
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
static void read_refusal(struct ws *ws, const char *head, int64_t deadline, struct buf *ret)
{
    CLEANUP(err_clear) struct err ignored = {0};
    struct http1_request framing = {.content_length = -1, .chunked = true};
    struct str length = answer_header(head, "content-length");
    bool to_end = false;
    if (length.p != NULL) {
        CLEANUP(xfree) char *text = xstrndup(length.p, length.len);
        framing.chunked = false;
        if (parse_int(text, 0, REFUSAL_MAX, &framing.content_length, &ignored) < 0)
            return;
    } else {
        to_end = answer_header(head, "transfer-encoding").p == NULL;
    }
    struct http1_body body = {0};
    http1_body_begin(&body, &framing, REFUSAL_MAX);
    for (;;) {
        size_t used = 0;
        if (!to_end) {
            int result = http1_body_read(&body, buf_text(&ws->input), ws->input.len, &used, ret, &ignored);
            buf_consume(&ws->input, used);
            if (result != 0)
                return;
        }
        if (read_more(ws, deadline, &ignored) != 1)
            break;
    }
    if (to_end)
        buf_add(ret, buf_text(&ws->input), ws->input.len);
}

static int refuse(struct ws *ws, const char *head, int status, int64_t deadline, struct buf *ret_refusal,
                  struct err *err)
{
    enum err_code code = status == 401   ? ERR_UNAUTHORIZED
                         : status == 403 ? ERR_FORBIDDEN
                         : status == 404 ? ERR_NOT_FOUND
                         : status == 400 ? ERR_INVALID
                         : status >= 500 ? ERR_INTERNAL
                                         : ERR_IO;
    CLEANUP(xfree) char *line = xstrndup(head, strcspn(head, "\r\n"));
    read_refusal(ws, head, deadline, ret_refusal);
    int result = err_set(err, code, "unable to upgrade connection: %s", line);
    err->http_status = status;
    return result;
}

static int upgrade(struct ws *ws, const struct ws_options *options, const struct dial_address *address, int64_t deadline,
                   struct buf *ret_refusal, struct err *err)
{
    CLEANUP(buf_done) struct buf key = {0};
    CLEANUP(buf_done) struct buf request = {0};
    unsigned char nonce[16];
    const char *end;
    random_bytes(nonce, sizeof(nonce));
    base64_encode(nonce, sizeof(nonce), &key);
    print_request(options, address, buf_text(&key), &request);
    if (write_all(ws, &request, deadline, err) < 0)
        return (int)err->code;
    while ((end = strstr(buf_text(&ws->input), "\r\n\r\n")) == NULL) {
        int result = ws->input.len > LIMIT_HTTP_HEAD
                         ? err_set(err, ERR_TOO_BIG, "WebSocket upgrade: the answer's head is too long")
                         : read_more(ws, deadline, err);
        if (result == 2)
            return err_set(err, ERR_IO, "WebSocket upgrade: the connection was closed");
        if (result < 0)
            return result;
    }
    size_t head_len = (size_t)(end - ws->input.data) + 4;
    CLEANUP(xfree) char *head = xstrndup(ws->input.data, head_len);
    buf_consume(&ws->input, head_len);
    int64_t status = 0;
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(xfree) char *number = starts_with(head, "HTTP/1.1 ") ? xstrndup(head + 9, 3) : xstrdup("");
    if (parse_int(number, 100, 599, &status, &ignored) < 0)
        return err_set(err, ERR_PARSE, "WebSocket upgrade: the answer is no HTTP/1.1");
    if (status != 101)
        return refuse(ws, head, (int)status, deadline, ret_refusal, err);
    if (!str_is_nocase(answer_header(head, "upgrade"), "websocket") ||
        !is_accepted(buf_text(&key), answer_header(head, "sec-websocket-accept")))
        return err_set(err, ERR_PARSE, "WebSocket upgrade: the answer does not belong to the request");
    struct str protocol = answer_header(head, "sec-websocket-protocol");
    ws->protocol = protocol.p != NULL ? xstrndup(protocol.p, protocol.len) : NULL;
    return 0;
}

/* --- frames: wslay's callbacks */

static ssize_t on_recv(wslay_event_context_ptr frames, uint8_t *data, size_t len, int flags, void *user)
{
    struct ws *ws = user;
    size_t n = 0;
    (void)flags;
    if (ws->input.len > 0) {
        n = ws->input.len < len ? ws->input.len : len;
        memcpy(data, ws->input.data, n);
        buf_consume(&ws->input, n);
        return (ssize_t)n;
    }
    int result = ws->failed.code != 0 ? -1 : read_bytes(ws, data, len, &n, &ws->failed);
    if (result == 1)
        return (ssize_t)n;
    if (result == 2)
        (void)err_set(&ws->failed, ERR_IO, "the WebSocket was closed without a close frame");
    wslay_event_set_error(frames, result == 0 ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr frames, const uint8_t *data, size_t len, int flags, void *user)
{
    struct ws *ws = user;
    size_t n = 0;
    (void)flags;
    int result = ws->failed.code != 0 ? -1 : write_bytes(ws, data, len, &n, &ws->failed);
    if (result == 1)
        return (ssize_t)n;
    wslay_event_set_error(frames, result == 0 ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int on_mask(wslay_event_context_ptr frames, uint8_t *data, size_t len, void *user)
{
    (void)frames;
    (void)user;
    random_bytes(data, len);
    return 0;
}

static void on_message(wslay_event_context_ptr frames, const struct wslay_event_on_msg_recv_arg *message, void *user)
{
    struct ws *ws = user;
    (void)frames;
    if (message->opcode == WSLAY_CONNECTION_CLOSE)
        ws->closed = true;
    if (message->opcode != WSLAY_TEXT_FRAME && message->opcode != WSLAY_BINARY_FRAME)
        return;
    struct buf bytes = {0};
    buf_add(&bytes, message->msg, message->msg_length);
    GROW(ws->queue, ws->queue_n, ws->queue_cap);
    ws->queue[ws->queue_n++] = bytes;
    ws->queue_bytes += bytes.len;
}

static int begin_frames(struct ws *ws, struct err *err)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_mask,
        .on_msg_recv_callback = on_message,
    };
    if (wslay_event_context_client_init(&ws->frames, &callbacks, ws) != 0)
        return err_set(err, ERR_INTERNAL, "wslay cannot be initialised");
    wslay_event_config_set_max_recv_msg_length(ws->frames, LIMIT_WS_MESSAGE);
    return 0;
}

int ws_connect(const struct ws_options *options, struct ws **ret, struct buf *ret_refusal, struct err *err)
{
    CLEANUP(ws_free) struct ws *ws = NEW(struct ws);
    CLEANUP(dial_address_done) struct dial_address address = {0};
    int64_t deadline = clock_monotonic_ms() + HANDSHAKE_MS;
    ws->fd = -1;
    if (dial_parse_url(options->url, &address, err) < 0 || dial(&address, deadline, &ws->fd, err) < 0)
        return (int)err->code;
    if (address.tls && begin_tls(ws, options, address.host, deadline, err) < 0)
        return (int)err->code;
    if (upgrade(ws, options, &address, deadline, ret_refusal, err) < 0 || begin_frames(ws, err) < 0)
        return (int)err->code;
    *ret = take(&ws);
    return 0;
}

/* --- messages */

static int frame_failure(struct ws *ws, int result, const char *what, struct err *err)
{
    if (ws->failed.code != 0)
        return err_set(err, ws->failed.code, "%s", err_text(&ws->failed));
    return err_set(err, ERR_PARSE, "%s: WebSocket protocol error %d", what, result);
}

/* Reads what is there; answers pings and closes on the way. */
static int pump_in(struct ws *ws, struct err *err)
{
    int result = wslay_event_recv(ws->frames);
    /* wslay stops reading after an error, some of which it only tells that way */
    if ((result != 0 || !wslay_event_get_read_enabled(ws->frames)) && !ws->closed)
        return frame_failure(ws, result, "receiving", err);
    if (wslay_event_want_write(ws->frames) && ws->failed.code == 0)
        (void)wslay_event_send(ws->frames);
    return 0;
}

/*
 * Sends all that is queued. Reads meanwhile: a peer that waits for us to take its output would otherwise never take ours.
 */
static int flush(struct ws *ws, int64_t deadline, struct err *err)
{
    while (wslay_event_want_write(ws->frames)) {
        int result = wslay_event_send(ws->frames);
        if (result != 0)
            return frame_failure(ws, result, "sending", err);
        if (!wslay_event_want_write(ws->frames))
            break;
        if (ws->queue_bytes > QUEUE_MAX)
            return err_set(err, ERR_TOO_BIG, "sending: the peer sends %zu bytes without reading", ws->queue_bytes);
        if (wait_fd(ws->fd, POLLIN | POLLOUT, deadline, "sending", err) < 0 || pump_in(ws, err) < 0)
            return (int)err->code;
        if (ws->closed)
            return err_set(err, ERR_IO, "sending: the peer closed the WebSocket");
    }
    return 0;
}

int ws_send(struct ws *ws, const void *data, size_t len, struct err *err)
{
    struct wslay_event_msg message = {.opcode = WSLAY_BINARY_FRAME, .msg = data, .msg_length = len};
    int result = wslay_event_queue_msg(ws->frames, &message);
    if (result != 0)
        return err_set(err, ERR_IO, "sending: the WebSocket is closed");
    return flush(ws, -1, err);
}

int ws_receive(struct ws *ws, struct buf *ret, struct err *err)
{
    buf_clear(ret);
    if (ws->queue_n == 0 && !ws->closed && pump_in(ws, err) < 0 && ws->queue_n == 0)
        return (int)err->code;
    if (ws->queue_n == 0)
        return ws->closed ? 2 : 0;
    err_clear(err); /* messages before a failure come first; it is met again */
    size_t max = ret->max;
    buf_done(ret);
    *ret = ws->queue[0];
    ret->max = max;
    ws->queue_bytes -= ret->len;
    ws->queue_n--;
    memmove(ws->queue, ws->queue + 1, ws->queue_n * sizeof(ws->queue[0]));
    return 1;
}

void ws_close(struct ws *ws)
{
    CLEANUP(err_clear) struct err ignored = {0};
    if (ws == NULL || wslay_event_queue_close(ws->frames, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0) != 0)
        return;
    (void)!flush(ws, clock_monotonic_ms() + CLOSE_MS, &ignored);
}
