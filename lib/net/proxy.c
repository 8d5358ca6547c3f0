/*
 * proxy.c: upgraded connections handed over to another server: exec, attach and port-forward from a Node to the CRI server,
 * anything from `fks proxy` to the API server. Bytes are copied both ways as they are; SPDY or WebSocket inside is
 * between the two ends. The head of the answer alone is looked at, because a refusal ends with its body while an upgrade
 * ends when both sides have ended.
 *
 * Each direction has one buffer; reading stops while it is full, so the slower side sets the pace. When a side ends,
 * what was read from it still goes to the other, which is then told the end; the other direction flows on to its own end,
 * or until nothing moves any more.
 *
 * kTLS and splice would save the copy; exec streams are far too thin for that to matter.
 */
#include <strings.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "net/http1_response.h"
#include "net/server_internal.h"
#include "net/wire.h"

#define PROXY_BUFFER KIB(32)
#define ROUNDS_PER_EVENT 16
#define CONNECT_TIMEOUT_MS 10000
#define REFUSAL_TIMEOUT_MS 10000 /* as the kubelet */
#define REFUSAL_MAX MIB(256)

struct lane {
    struct buf buf;
    size_t sent;
};

enum proxy_phase {
    PROXY_CONNECTING,
    PROXY_HEAD,    /* the backend's answer is not complete yet: kept in to_peer */
    PROXY_STREAM,  /* 101: bytes both ways */
    PROXY_REFUSAL, /* any error: the answer's body, then the end */
};

struct proxy {
    struct connection *peer;
    struct wire backend;
    struct loop_fd *source; /* of the backend */
    uint32_t events;
    enum proxy_phase phase;
    struct lane to_backend, to_peer;
    struct http1_body refusal;      /* tells where the refusal ends */
    bool refusal_to_end;            /* it does not: it runs to the end of the connection */
    bool peer_ended, backend_ended; /* nothing more to read */
    bool peer_dead, backend_dead;   /* nothing can be written either */
    bool peer_told, backend_told;   /* that the other side has ended */
};

struct proxy *proxy_free(struct proxy *proxy)
{
    if (proxy == NULL)
        return NULL;
    loop_fd_free(proxy->source);
    wire_done(&proxy->backend);
    buf_done(&proxy->to_backend.buf);
    buf_done(&proxy->to_peer.buf);
    free(proxy);
    return NULL;
}

/* --- lanes */

static size_t lane_pending(const struct lane *lane)
{
    return lane->buf.len - lane->sent;
}

/* A place for more bytes, or 0 when the buffer is full. */
static size_t lane_room(struct lane *lane, char **ret)
{
    if (lane->sent > 0) {
        buf_consume(&lane->buf, lane->sent);
        lane->sent = 0;
    }
    if (lane->buf.len >= PROXY_BUFFER)
        return 0;
    size_t room = PROXY_BUFFER - lane->buf.len;
    *ret = buf_reserve(&lane->buf, room);
    return *ret != NULL ? room : 0;
}

static void lane_drop(struct lane *lane)
{
    buf_clear(&lane->buf);
    lane->sent = 0;
}

/* --- ends */

/* The backend is of no use: answers the peer in the ordinary way. Nothing was sent to it yet. */
static void fail(struct proxy *proxy, const char *text)
{
    struct connection *peer = proxy->peer;

    peer->proxy = proxy_free(proxy);
    peer->state = connection_waiting;
    peer->close_after = true;
    peer->linger = true;
    server_respond_text(&peer->request, 500, "%s\n", text);
}

/* Both ends are done with each other. */
static void finish(struct proxy *proxy)
{
    struct connection *peer = proxy->peer;
    bool dead = proxy->peer_dead;

    peer->proxy = proxy_free(proxy);
    if (dead) {
        connection_close(peer);
        return;
    }
    peer->linger = true;
    connection_finish(peer);
}

void proxy_on_deadline(struct proxy *proxy)
{
    if (proxy->phase == PROXY_CONNECTING) {
        CLEANUP(xfree) char *doing = wire_doing(&proxy->backend);
        CLEANUP(xfree) char *text = xasprintf("error dialing backend: %s: timed out", doing);
        proxy->peer->server->stats.timeouts++;
        fail(proxy, text);
    } else if (proxy->phase == PROXY_HEAD) {
        proxy->peer->server->stats.timeouts++;
        fail(proxy, "the backend does not answer");
    } else {
        proxy->peer->server->stats.timeouts += !proxy->peer_ended && !proxy->backend_ended;
        finish(proxy);
    }
}

/* --- the backend's answer */

/* Looks for the end of the refusal in bytes of it that are at the end of the lane. */
static void find_end(struct proxy *proxy, size_t n_new)
{
    struct buf *buf = &proxy->to_peer.buf;
    CLEANUP(buf_done) struct buf ignored = {0};
    CLEANUP(err_clear) struct err err = {0};
    size_t used = 0;

    if (proxy->refusal_to_end)
        return;
    if (http1_body_read(&proxy->refusal, buf->data + buf->len - n_new, n_new, &used, &ignored, &err) == 0)
        return;
    buf_truncate(buf, buf->len - n_new + used);
    proxy->backend_ended = true;
}

/* False: the proxy is gone. */
static bool on_answer(struct proxy *proxy, const struct http1_response *head)
{
    struct buf *buf = &proxy->to_peer.buf;

    if (head->status == 101) {
        proxy->phase = PROXY_STREAM;
        connection_set_deadline(proxy->peer, 0);
        return true;
    }
    if (head->status < 200) { /* 100 Continue: not for the peer, whose request was read already */
        buf_consume(buf, head->head_len);
        return true;
    }
    if (head->status < 400) {
        CLEANUP(xfree) char *text = xasprintf("invalid upgrade response: status code %d", head->status);
        fail(proxy, text);
        return false;
    }
    proxy->phase = PROXY_REFUSAL;
    connection_set_deadline(proxy->peer, REFUSAL_TIMEOUT_MS);
    proxy->refusal_to_end = !head->chunked && head->content_length < 0;
    http1_response_body_begin(&proxy->refusal, head, REFUSAL_MAX);
    find_end(proxy, buf->len - head->head_len);
    return true;
}

static bool look_for_head(struct proxy *proxy)
{
    const struct buf *buf = &proxy->to_peer.buf;

    while (proxy->phase == PROXY_HEAD && buf->len > 0) {
        CLEANUP(err_clear) struct err err = {0};
        struct http1_response head;
        bool has_body = !str_is(proxy->peer->request.head.method, "HEAD");
        int result = http1_parse_response(buf->data, buf->len, has_body, &head, &err);
        if (result < 0) {
            fail(proxy, err_text(&err));
            return false;
        }
        if (result == 0)
            break;
        if (!on_answer(proxy, &head))
            return false;
    }
    if (proxy->phase == PROXY_HEAD && (buf->len >= PROXY_BUFFER || proxy->backend_ended)) {
        fail(proxy, proxy->backend_ended ? "the backend ended without an answer" : "the backend's answer has too large a head");
        return false;
    }
    return true;
}

/* --- moving bytes; each notes progress in *moved */

static void read_peer(struct proxy *proxy, bool *moved)
{
    char *to;
    size_t n = 0;

    if (proxy->peer_ended)
        return;
    size_t room = lane_room(&proxy->to_backend, &to);
    if (room == 0)
        return;
    int r = connection_receive(proxy->peer, to, room, &n);
    if (r == TLS_DONE) {
        buf_advance(&proxy->to_backend.buf, n);
        *moved = true;
    } else if (r == TLS_CLOSED || r < 0) {
        proxy->peer_ended = true;
        proxy->peer_dead = r < 0;
        *moved = true;
    }
}

static void read_backend(struct proxy *proxy, bool *moved)
{
    CLEANUP(err_clear) struct err err = {0};
    char *to;
    size_t n = 0;

    if (proxy->backend_ended)
        return;
    size_t room = lane_room(&proxy->to_peer, &to);
    if (room == 0)
        return;
    int r = wire_read(&proxy->backend, to, room, &n, &err);
    if (r == TLS_WANT_READ || r == TLS_WANT_WRITE)
        return;
    *moved = true;
    if (r != TLS_DONE) {
        proxy->backend_ended = true;
        proxy->backend_dead = r < 0;
        return;
    }
    buf_advance(&proxy->to_peer.buf, n);
    if (proxy->phase == PROXY_REFUSAL)
        find_end(proxy, n);
}

static void write_peer(struct proxy *proxy, bool *moved)
{
    struct lane *lane = &proxy->to_peer;
    size_t n = 0;

    /* answers to requests that were pipelined before this one go first */
    if (proxy->peer->out.len > 0 && connection_flush(proxy->peer) == FLUSH_BLOCKED)
        return;
    if (proxy->phase < PROXY_STREAM || lane_pending(lane) == 0)
        return;
    int r = proxy->peer_dead ? ERR_IO
                             : connection_send(proxy->peer, lane->buf.data + lane->sent, lane_pending(lane), &n);
    if (r == TLS_DONE) {
        lane->sent += n;
        *moved = true;
    } else if (r == TLS_CLOSED || r < 0) {
        proxy->peer_ended = proxy->peer_dead = true;
        lane_drop(lane);
        *moved = true;
    }
}

static void write_backend(struct proxy *proxy, bool *moved)
{
    CLEANUP(err_clear) struct err err = {0};
    struct lane *lane = &proxy->to_backend;
    size_t n = 0;

    if (lane_pending(lane) == 0)
        return;
    int r = proxy->backend_dead
                ? ERR_IO
                : wire_write(&proxy->backend, lane->buf.data + lane->sent, lane_pending(lane), &n, &err);
    if (r == TLS_WANT_WRITE || r == TLS_WANT_READ)
        return;
    *moved = true;
    if (r != TLS_DONE) {
        proxy->backend_dead = true; /* it may have said why before: reading goes on */
        lane_drop(lane);
        return;
    }
    lane->sent += n;
}

/* --- waiting */

static void set_backend_events(struct proxy *proxy, uint32_t events)
{
    CLEANUP(err_clear) struct err err = {0};

    if (proxy->source == NULL || proxy->events == events)
        return;
    proxy->events = events;
    if (loop_fd_modify(proxy->source, events, &err) < 0)
        proxy->backend_ended = proxy->backend_dead = true;
}

static void arm(struct proxy *proxy)
{
    uint32_t events = 0;

    if (!proxy->peer_ended && lane_pending(&proxy->to_backend) < PROXY_BUFFER)
        events |= EPOLLIN;
    if (proxy->peer->out.len > 0 || (proxy->phase >= PROXY_STREAM && lane_pending(&proxy->to_peer) > 0))
        events |= EPOLLOUT;
    connection_set_events(proxy->peer, events);

    events = 0;
    if (!proxy->backend_ended && lane_pending(&proxy->to_peer) < PROXY_BUFFER)
        events |= EPOLLIN;
    if (lane_pending(&proxy->to_backend) > 0)
        events |= EPOLLOUT;
    set_backend_events(proxy, events);
}

/* Tells a side whose counterpart has ended. */
static void tell_ends(struct proxy *proxy)
{
    struct connection *peer = proxy->peer;

    if (proxy->peer_ended && !proxy->backend_told && !proxy->backend_dead && lane_pending(&proxy->to_backend) == 0) {
        proxy->backend_told = true;
        wire_shut(&proxy->backend);
    }
    if (proxy->backend_ended && !proxy->peer_told && lane_pending(&proxy->to_peer) == 0) {
        proxy->peer_told = true;
        if (peer->tls != NULL)
            tls_shutdown(peer->tls);
        (void)shutdown(peer->fd, SHUT_WR);
    }
}

/* True: both directions are through, and the proxy is gone. */
static bool end_if_through(struct proxy *proxy)
{
    bool down = proxy->backend_ended && lane_pending(&proxy->to_peer) == 0;
    bool up = (proxy->peer_ended && lane_pending(&proxy->to_backend) == 0) || proxy->backend_dead;

    if ((down && (up || proxy->phase == PROXY_REFUSAL)) || (up && proxy->peer_dead)) {
        finish(proxy);
        return true;
    }
    tell_ends(proxy);
    return false;
}

/* Where one side has ended, the other may be silent for as long as a connection may. */
static void limit_silence(struct proxy *proxy)
{
    if (proxy->phase == PROXY_STREAM && (proxy->backend_ended || proxy->peer_ended))
        connection_set_deadline(proxy->peer, proxy->peer->server->options.idle_timeout_ms);
}

static void pump(struct proxy *proxy)
{
    bool moved = true, moved_any = false;

    for (int i = 0; i < ROUNDS_PER_EVENT && moved; i++) {
        moved = false;
        read_peer(proxy, &moved);
        write_backend(proxy, &moved);
        read_backend(proxy, &moved);
        if (proxy->phase == PROXY_HEAD && !look_for_head(proxy))
            return;
        write_peer(proxy, &moved);
        if (end_if_through(proxy))
            return;
        moved_any = moved_any || moved;
    }
    if (moved)
        server_resume_later(proxy->peer);
    if (moved_any)
        limit_silence(proxy);
    arm(proxy);
}

/* --- events */

/*
 * epoll reports a hang-up whether asked or not. Where nothing more is to be read now it would do so for ever, so the
 * descriptor leaves epoll; whatever came before the hang-up is in the kernel already, and the other side's events lead
 * here to fetch it.
 */
static bool is_hung_up(uint32_t events, uint32_t armed)
{
    return (events & (EPOLLHUP | EPOLLERR)) != 0 && (armed & EPOLLIN) == 0;
}

void proxy_on_peer(struct connection *connection, uint32_t events)
{
    struct proxy *proxy = connection->proxy;

    if (proxy->phase == PROXY_CONNECTING) {
        /* only EPOLLHUP and EPOLLERR are let through here */
        if ((events & (EPOLLHUP | EPOLLERR)) != 0)
            connection_close(connection);
        return;
    }
    if (is_hung_up(events, connection->events))
        connection->source = loop_fd_free(connection->source);
    pump(proxy);
}

/* Bytes the peer sent behind its request belong to the stream. */
static void take_early_bytes(struct proxy *proxy)
{
    struct connection *peer = proxy->peer;
    const struct http1_request *head = &peer->request.head;
    size_t end = peer->in_start + head->head_len + (head->chunked ? 0 : (size_t)head->content_length);

    (void)buf_add(&proxy->to_backend.buf, peer->in.data + end, peer->in.len - end);
    buf_truncate(&peer->in, end);
}

static void on_backend(struct loop_fd *source, uint32_t events, void *data);

/* Waits for the backend's descriptor, which may be a new one. */
static int watch(struct proxy *proxy, uint32_t events, struct err *err)
{
    struct loop *loop = proxy->peer->server->loop;

    proxy->events = events;
    return loop_fd_new(loop, proxy->backend.fd, events, on_backend, proxy, &proxy->source, err);
}

static void dial_failed(struct proxy *proxy, const struct err *err)
{
    CLEANUP(xfree) char *text = xasprintf("error dialing backend: %s", err_text(err));

    fail(proxy, text);
}

static void connect_on(struct proxy *proxy)
{
    CLEANUP(err_clear) struct err err = {0};

    proxy->source = loop_fd_free(proxy->source);
    int r = wire_step(&proxy->backend, &err);
    if (r < 0 || watch(proxy, r == TLS_WANT_READ ? EPOLLIN : EPOLLOUT, &err) < 0) {
        dial_failed(proxy, &err);
        return;
    }
    if (r != TLS_DONE)
        return;
    proxy->phase = PROXY_HEAD;
    take_early_bytes(proxy);
    connection_set_deadline(proxy->peer, proxy->peer->server->options.idle_timeout_ms);
    pump(proxy);
}

static void on_backend(struct loop_fd *source, uint32_t events, void *data)
{
    struct proxy *proxy = data;

    (void)source;
    if (proxy->phase == PROXY_CONNECTING) {
        connect_on(proxy);
        return;
    }
    if (is_hung_up(events, proxy->events))
        proxy->source = loop_fd_free(proxy->source);
    pump(proxy);
}

/* --- beginning */

static void begin(struct server_request *request, const struct wire_options *where, struct buf *head)
{
    struct connection *peer = request->connection;
    CLEANUP(err_clear) struct err err = {0};
    struct proxy *proxy = NEW(struct proxy);

    *proxy = (struct proxy){.peer = peer, .backend = {.fd = -1}, .phase = PROXY_CONNECTING};
    (void)buf_add(&proxy->to_backend.buf, head->data, head->len);
    explicit_bzero(head->data, head->len); /* tokens */
    peer->proxy = proxy;
    peer->state = proxy_on_peer;
    connection_set_events(peer, 0);
    connection_set_deadline(peer, CONNECT_TIMEOUT_MS);
    if (wire_begin(&proxy->backend, where, &err) < 0 || watch(proxy, EPOLLOUT, &err) < 0)
        dial_failed(proxy, &err);
}

static bool is_clean_target(const char *target)
{
    if (target[0] != '/')
        return false;
    for (const char *p = target; *p != '\0'; p++)
        if (*p <= ' ' || *p == 0x7f)
            return false;
    return true;
}

/* What follows is nobody's request any more, whether the upgrade succeeds or not. False: it is answered already. */
static bool take_over(struct server_request *request, const char *target)
{
    request->on_gone = request->on_drained = NULL;
    request->connection->close_after = true;
    request->connection->linger = true;
    if (!request->head.upgrade) {
        server_respond_text(request, 500, "Upgrade request required\n");
        return false;
    }
    if (!is_clean_target(target)) {
        server_respond_text(request, 500, "'%s' is no request target\n", target);
        return false;
    }
    return true;
}

static void add_line(struct buf *out, struct str name, struct str value)
{
    (void)buf_add(out, name.p, name.len);
    (void)buf_add(out, ": ", 2);
    (void)buf_add(out, value.p, value.len);
    (void)buf_add(out, "\r\n", 2);
}

/* A chunked body was decoded, so its framing is replaced. */
static void add_body(struct buf *out, const struct server_request *request)
{
    if (request->head.chunked || http1_header(&request->head, "Content-Length").p != NULL)
        (void)buf_printf(out, "Content-Length: %zu\r\n", request->body.len);
    (void)buf_add(out, "\r\n", 2);
    (void)buf_add(out, request->body.p, request->body.len);
}

static bool is_framing(struct str name)
{
    return str_is_nocase(name, "Transfer-Encoding") || str_is_nocase(name, "Content-Length") ||
           str_is_nocase(name, "Expect");
}

static bool is_for_us_alone(struct str name)
{
    return str_is_nocase(name, "Authorization") ||
           (name.len >= 12 && strncasecmp(name.p, "Impersonate-", 12) == 0);
}

void server_proxy_as(struct server_request *request, const struct wire_options *where, const char *target,
                     const struct http1_header *headers, size_t n_headers)
{
    CLEANUP(buf_done) struct buf out = {0};

    if (!take_over(request, target))
        return;
    (void)buf_add(&out, request->head.method.p, request->head.method.len);
    (void)buf_printf(&out, " %s HTTP/1.1\r\n", target);
    for (size_t i = 0; i < n_headers; i++)
        if (!is_framing(headers[i].name))
            add_line(&out, headers[i].name, headers[i].value);
    add_body(&out, request);
    begin(request, where, &out);
}

void server_proxy(struct server_request *request, const char *host, int port, const char *target)
{
    bool ipv6 = strchr(host, ':') != NULL;
    CLEANUP(xfree) char *url = xasprintf("http://%s%s%s:%d", ipv6 ? "[" : "", host, ipv6 ? "]" : "", port);
    const struct wire_options where = {.url = url, .proxy = ""};
    struct http1_header headers[LIMIT_HTTP_HEADERS];
    size_t n = 0;

    for (size_t i = 0; i < request->head.n_headers; i++)
        if (!is_for_us_alone(request->head.headers[i].name))
            headers[n++] = request->head.headers[i];
    server_proxy_as(request, &where, target, headers, n);
}
