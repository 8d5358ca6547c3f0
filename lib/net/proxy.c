/*
 * proxy.c: exec, attach and port-forward: hands an upgraded connection over to the CRI server. Bytes are copied both
 * ways as they are; SPDY or WebSocket inside is between the two ends. The head of the answer alone is looked at, because a
 * refusal ends with its body while an upgrade ends when a side hangs up.
 *
 * Each direction has one buffer; reading stops while it is full, so the slower side sets the pace. When a side ends,
 * what was read from it still goes to the other, which is then told the end and given a moment to finish.
 *
 * kTLS and splice would save the copy; exec streams are far too thin for that to matter.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "net/server_internal.h"

#define PROXY_BUFFER KIB(32)
#define ROUNDS_PER_EVENT 16
#define CONNECT_TIMEOUT_MS 10000
#define REFUSAL_TIMEOUT_MS 10000 /* as the kubelet */
#define HALF_CLOSED_MS 2000      /* for the other side's last words */

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
    int fd; /* of the backend */
    struct loop_fd *source;
    uint32_t events;
    enum proxy_phase phase;
    struct lane to_backend, to_peer;
    int64_t refusal_left; /* bytes of the refusal still to come; -1: up to the end of the connection */
    bool peer_ended, backend_ended; /* nothing more to read */
    bool peer_dead, backend_dead;   /* nothing can be written either */
    bool backend_told;              /* SHUT_WR is done */
};

struct proxy *proxy_free(struct proxy *proxy)
{
    if (proxy == NULL)
        return NULL;
    loop_fd_free(proxy->source);
    (void)fd_close(proxy->fd);
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
static void fail(struct proxy *proxy, int status, const char *text)
{
    struct connection *peer = proxy->peer;

    peer->proxy = proxy_free(proxy);
    peer->state = connection_waiting;
    peer->close_after = true;
    peer->linger = true;
    server_respond_text(&peer->request, status, "%s\n", text);
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
    proxy->peer->server->stats.timeouts += !proxy->backend_told;
    if (proxy->phase == PROXY_CONNECTING)
        fail(proxy, 502, "connecting to the stream server took too long");
    else if (proxy->phase == PROXY_HEAD)
        fail(proxy, 502, "the stream server does not answer");
    else
        finish(proxy);
}

/* --- the backend's answer */

/* Value of a Content-Length line in the head, -1 without one. */
static int64_t answer_length(struct str head)
{
    struct str line, name, value;

    while (str_cut(head, '\n', &line, &head)) {
        CLEANUP(err_clear) struct err err = {0};
        int64_t length;
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
        if (!str_cut(line, ':', &name, &value) || !str_is_nocase(name, "Content-Length"))
            continue;
        value = str_trim(value);
        CLEANUP(xfree) char *text = xstrndup(value.p, value.len);
        if (parse_int(text, 0, INT64_MAX, &length, &err) == 0)
            return length;
    }
    return -1;
}

/* False: the proxy is gone. */
static bool on_answer_head(struct proxy *proxy, struct str head)
{
    struct lane *lane = &proxy->to_peer;
    CLEANUP(err_clear) struct err err = {0};
    int64_t status = 0;

    if (head.len >= 12 && memcmp(head.p, "HTTP/1.", 7) == 0 && head.p[8] == ' ') {
        char digits[4] = {head.p[9], head.p[10], head.p[11], '\0'};
        if (parse_int(digits, 100, 599, &status, &err) < 0)
            status = 0;
    }
    if (status == 101) {
        proxy->phase = PROXY_STREAM;
        connection_set_deadline(proxy->peer, 0);
        return true;
    }
    if (status >= 100 && status < 200) { /* 100 Continue: not for the peer, whose request was read already */
        buf_consume(&lane->buf, head.len);
        return true;
    }
    if (status < 400) {
        fail(proxy, 500, "the stream server did not upgrade the connection");
        return false;
    }
    proxy->phase = PROXY_REFUSAL;
    connection_set_deadline(proxy->peer, REFUSAL_TIMEOUT_MS);
    int64_t length = answer_length(head);
    size_t body_here = lane->buf.len - head.len;
    proxy->refusal_left = length < 0 ? -1 : length - (int64_t)body_here;
    if (length >= 0 && proxy->refusal_left <= 0) {
        buf_truncate(&lane->buf, head.len + (size_t)length);
        proxy->refusal_left = 0;
        proxy->backend_ended = true;
    }
    return true;
}

static bool look_for_head(struct proxy *proxy)
{
    const struct buf *buf = &proxy->to_peer.buf;

    while (proxy->phase == PROXY_HEAD && buf->len > 0) {
        const char *end = memmem(buf->data, buf->len, "\r\n\r\n", 4);
        if (end == NULL)
            break;
        if (!on_answer_head(proxy, (struct str){buf->data, (size_t)(end - buf->data) + 4}))
            return false;
    }
    if (proxy->phase == PROXY_HEAD && (buf->len >= PROXY_BUFFER || proxy->backend_ended)) {
        fail(proxy, 502, "the stream server gave no valid answer");
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
    char *to;

    if (proxy->backend_ended)
        return;
    size_t room = lane_room(&proxy->to_peer, &to);
    if (proxy->refusal_left > 0 && (uint64_t)proxy->refusal_left < room)
        room = (size_t)proxy->refusal_left;
    if (room == 0)
        return;
    ssize_t n = recv(proxy->fd, to, room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    *moved = true;
    if (n <= 0) {
        proxy->backend_ended = true;
        proxy->backend_dead = n < 0;
        return;
    }
    buf_advance(&proxy->to_peer.buf, (size_t)n);
    if (proxy->refusal_left > 0) {
        proxy->refusal_left -= n;
        proxy->backend_ended = proxy->refusal_left == 0;
    }
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
    struct lane *lane = &proxy->to_backend;

    if (lane_pending(lane) == 0)
        return;
    ssize_t n = proxy->backend_dead
                    ? -1
                    : send(proxy->fd, lane->buf.data + lane->sent, lane_pending(lane), MSG_NOSIGNAL);
    if (n < 0 && !proxy->backend_dead && (errno == EAGAIN || errno == EINTR))
        return;
    *moved = true;
    if (n < 0) {
        proxy->backend_dead = true; /* it may have said why before: reading goes on */
        lane_drop(lane);
        return;
    }
    lane->sent += (size_t)n;
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

/* True: both sides are through, and the proxy is gone. */
static bool end_if_through(struct proxy *proxy)
{
    bool backend_through = proxy->backend_ended && lane_pending(&proxy->to_peer) == 0;
    bool peer_through = proxy->peer_ended && lane_pending(&proxy->to_backend) == 0;

    if (backend_through || (peer_through && proxy->peer_dead)) {
        finish(proxy);
        return true;
    }
    if (peer_through && !proxy->backend_told) {
        proxy->backend_told = true;
        (void)shutdown(proxy->fd, SHUT_WR);
        connection_set_deadline(proxy->peer, HALF_CLOSED_MS);
    } else if ((proxy->backend_ended || proxy->peer_ended) && proxy->peer->deadline_ms == 0) {
        connection_set_deadline(proxy->peer, proxy->peer->server->options.idle_timeout_ms);
    }
    return false;
}

static void pump(struct proxy *proxy)
{
    bool moved = true;

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
    }
    if (moved)
        server_resume_later(proxy->peer);
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

static void on_connected(struct proxy *proxy)
{
    int errnum = 0;
    socklen_t len = sizeof(errnum);

    if (getsockopt(proxy->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
        errnum = errno;
    if (errnum != 0) {
        CLEANUP(xfree) char *text = xasprintf("connecting to the stream server: %s", strerror(errnum));
        fail(proxy, 502, text);
        return;
    }
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
        on_connected(proxy);
        return;
    }
    if (is_hung_up(events, proxy->events))
        proxy->source = loop_fd_free(proxy->source);
    pump(proxy);
}

/* --- beginning */

static bool is_for_us_alone(struct str name)
{
    return str_is_nocase(name, "Authorization") ||
           (name.len >= 12 && strncasecmp(name.p, "Impersonate-", 12) == 0);
}

/* Headers go on as they came, repeated lines included. A chunked body was decoded, so its framing is replaced. */
static void write_head(struct buf *out, const struct server_request *request, const char *target)
{
    const struct http1_request *head = &request->head;

    (void)buf_add(out, head->method.p, head->method.len);
    (void)buf_printf(out, " %s HTTP/1.1\r\n", target);
    for (size_t i = 0; i < head->n_headers; i++) {
        const struct http1_header *header = &head->headers[i];
        if (is_for_us_alone(header->name) || str_is_nocase(header->name, "Transfer-Encoding") ||
            str_is_nocase(header->name, "Expect"))
            continue;
        (void)buf_add(out, header->name.p, header->name.len);
        (void)buf_add(out, ": ", 2);
        (void)buf_add(out, header->value.p, header->value.len);
        (void)buf_add(out, "\r\n", 2);
    }
    if (head->chunked)
        (void)buf_printf(out, "Content-Length: %zu\r\n", request->body.len);
    (void)buf_add(out, "\r\n", 2);
    (void)buf_add(out, request->body.p, request->body.len);
}

static int make_address(const char *host, int port, struct sockaddr_storage *ret, socklen_t *ret_len, struct err *err)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

    *ret = (struct sockaddr_storage){0};
    if (streq(host, "localhost"))
        host = "127.0.0.1";
    if (inet_pton(AF_INET, host, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons((uint16_t)port);
        *ret_len = sizeof(*in4);
    } else if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        *ret_len = sizeof(*in6);
    } else {
        return err_set(err, ERR_INVALID, "'%s' is not an IP address", host);
    }
    return 0;
}

/* A socket on its way to host:port. */
static int dial(const char *host, int port, struct err *err)
{
    struct sockaddr_storage address;
    socklen_t address_len = 0;
    int on = 1;

    int r = make_address(host, port, &address, &address_len, err);
    if (r < 0)
        return r;
    CLEANUP(fd_close) int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, errno, "making a socket");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (struct sockaddr *)&address, address_len) < 0 && errno != EINPROGRESS)
        return err_errno(err, errno, "connecting to '%s' port %d", host, port);
    int dialing = fd;
    fd = -1;
    return dialing;
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

void server_proxy(struct server_request *request, const char *host, int port, const char *target)
{
    struct connection *peer = request->connection;
    CLEANUP(err_clear) struct err err = {0};

    request->on_gone = request->on_drained = NULL;
    /* what follows is nobody's request any more, whether the upgrade succeeds or not */
    peer->close_after = true;
    peer->linger = true;
    if (!request->head.upgrade) {
        server_respond_text(request, 500, "Upgrade request required\n");
        return;
    }
    if (!is_clean_target(target)) {
        server_respond_text(request, 502, "'%s' is no request target\n", target);
        return;
    }
    int fd = dial(host, port, &err);
    if (fd < 0) {
        server_respond_text(request, 502, "%s\n", err_text(&err));
        return;
    }
    struct proxy *proxy = NEW(struct proxy);
    *proxy = (struct proxy){.peer = peer, .fd = fd, .events = EPOLLOUT, .refusal_left = -1};
    if (loop_fd_new(peer->server->loop, fd, EPOLLOUT, on_backend, proxy, &proxy->source, &err) < 0) {
        proxy_free(proxy);
        server_respond_text(request, 502, "%s\n", err_text(&err));
        return;
    }
    write_head(&proxy->to_backend.buf, request, target);
    peer->proxy = proxy;
    peer->state = proxy_on_peer;
    connection_set_events(peer, 0);
    connection_set_deadline(peer, CONNECT_TIMEOUT_MS);
}
