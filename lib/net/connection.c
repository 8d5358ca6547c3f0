/*
 * connection.c: one connection of a server: handshake, handing each request to the handler, going on when it is
 * answered, and all the ways to end. Requests are taken from the bytes in input.c, the answers' bytes are made in
 * answer.c; upgraded streams are proxy.c's.
 *
 * The common case costs one read and one write: bytes are read once, all complete requests in them are handled, and
 * their answers leave together.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "net/server_internal.h"

#define READS_PER_EVENT 16 /* then others get their turn */
#define FLUSH_AT KIB(64)   /* pipelined answers are not piled up beyond this */
#define LINGER_MS 2000
#define EXPENDABLE_AFTER_MS 1000 /* a connection that was made may well send its request now */
#define DRAIN_UNSERVED_MS 500    /* likewise, when the server ends */
#define KEEP_TLS_BUFFERS 64 /* so many connections keep theirs, about 2 MiB in all */
#define HELD_ANYWAY KIB(64)   /* not counted: every connection may hold so much */
#define SLOWEST_READER 16 /* bytes per millisecond that a peer must take of an answer, beyond the idle timeout */

static connection_state connection_handshake, connection_reading, connection_writing, connection_closing,
    connection_lingering;

/* --- birth and death */

static void on_event(struct loop_fd *source, uint32_t events, void *data)
{
    struct connection *connection = data;

    (void)source;
    connection->state(connection, events);
}

static void on_timer(void *data);

int connection_new(struct server *server, struct server_listener *listener, int fd, struct tls *tls,
                   const struct sockaddr_storage *address, struct err *err)
{
    struct connection *c = NEW(struct connection);
    bool handshake = tls == NULL && server->tls != NULL;

    *c = (struct connection){.server = server, .listener = listener, .fd = fd, .address = *address, .events = EPOLLIN};
    c->request.connection = c;
    c->in.max = input_max(&server->options);
    c->state = handshake ? connection_handshake : connection_reading;
    c->tls = tls;
    int r = handshake ? tls_new(server->tls, fd, NULL, &c->tls, err) : 0;
    if (r == 0)
        r = loop_fd_new(server->loop, fd, EPOLLIN, on_event, c, &c->source, err);
    if (r < 0) {
        tls_free(handshake ? c->tls : NULL);
        free(c);
        return r;
    }
    if (c->tls != NULL && server->options.deal == NULL && server->stats.open < KEEP_TLS_BUFFERS)
        tls_keep_buffers(c->tls);
    c->timer = loop_timer_new(server->loop, on_timer, c);
    c->began_ms = loop_now_ms(server->loop);
    server_connection_opened(server, c);
    connection_set_deadline(c, handshake ? server->options.request_timeout_ms : server->options.idle_timeout_ms);
    return 0;
}

bool connection_is_expendable(const struct connection *c)
{
    return !c->served && (c->state == connection_handshake || c->state == connection_reading) &&
           loop_now_ms(c->server->loop) - c->began_ms >= EXPENDABLE_AFTER_MS;
}

/* To another server; this one is done with it. */
static void deal(struct connection *c)
{
    const struct server_options *options = &c->server->options;
    struct server_passage *passage = NEW(struct server_passage);

    c->source = loop_fd_free(c->source); /* while the descriptor is still ours */
    *passage = (struct server_passage){.fd = c->fd, .tls = take(&c->tls), .address = c->address};
    c->fd = -1;
    connection_close(c);
    options->deal(passage, options->data);
}

static void count_held(struct connection *c)
{
    size_t held = c->in.cap + c->body.cap;

    held = held > HELD_ANYWAY ? held : 0;
    c->server->held += held - c->held;
    c->held = held;
}

void connection_close(struct connection *c)
{
    struct server *server = c->server;

    proxy_free(c->proxy);
    loop_fd_free(c->source);
    loop_timer_free(c->timer);
    tls_free(c->tls);
    (void)fd_close(c->fd);
    tls_peer_done(&c->peer);
    buf_clear(&c->in);
    server_buffer_give(server, &c->in);
    server_buffer_give(server, &c->out);
    buf_done(&c->body);
    count_held(c);
    server_connection_closed(server, c);
    free(c);
}

void connection_gone(struct connection *c)
{
    struct server_request *request = &c->request;

    if (c->state == connection_waiting && !request->answered && request->on_gone != NULL) {
        loop_callback *on_gone = take(&request->on_gone);
        c->in_handler = true;
        c->broken = true;
        on_gone(request->gone_data);
    }
    connection_close(c);
}

/* --- small helpers */

int connection_receive(struct connection *c, void *data, size_t len, size_t *ret_n)
{
    if (c->tls != NULL) {
        CLEANUP(err_clear) struct err err = {0};
        return tls_read(c->tls, data, len, ret_n, &err);
    }
    ssize_t n;
    do
        n = recv(c->fd, data, len, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *ret_n = (size_t)n;
        return TLS_DONE;
    }
    if (n == 0)
        return TLS_CLOSED;
    return errno == EAGAIN ? TLS_WANT_READ : ERR_IO;
}

int connection_send(struct connection *c, const void *data, size_t len, size_t *ret_n)
{
    if (c->tls != NULL) {
        CLEANUP(err_clear) struct err err = {0};
        return tls_write(c->tls, data, len, ret_n, &err);
    }
    ssize_t n;
    do
        n = send(c->fd, data, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0) {
        *ret_n = (size_t)n;
        return TLS_DONE;
    }
    return errno == EAGAIN ? TLS_WANT_WRITE : ERR_IO;
}

void connection_set_events(struct connection *c, uint32_t events)
{
    CLEANUP(err_clear) struct err err = {0};

    if (c->source == NULL || c->events == events)
        return;
    c->events = events;
    if (loop_fd_modify(c->source, events, &err) < 0) {
        c->broken = true;
        server_resume_later(c);
    }
}

/* The timer is left alone while it fires early enough: on_timer looks at the deadline. */
void connection_set_deadline(struct connection *c, int64_t delay_ms)
{
    c->deadline_ms = delay_ms > 0 ? loop_now_ms(c->server->loop) + delay_ms : 0;
    if (delay_ms > 0 && (c->timer_ms == 0 || c->timer_ms > c->deadline_ms)) {
        c->timer_ms = c->deadline_ms;
        loop_timer_set(c->timer, delay_ms);
    }
}

enum flushed connection_flush(struct connection *c)
{
    while (c->out_sent < c->out.len) {
        size_t n = 0;
        int r = connection_send(c, c->out.data + c->out_sent, c->out.len - c->out_sent, &n);
        if (r == TLS_WANT_WRITE || r == TLS_WANT_READ) {
            connection_set_events(c, c->events | EPOLLOUT);
            return FLUSH_BLOCKED;
        }
        if (r != TLS_DONE)
            return FLUSH_DEAD;
        c->out_sent += n;
    }
    c->out_sent = 0;
    buf_clear(&c->out);
    return FLUSHED;
}

/* --- ending */

void connection_finish(struct connection *c)
{
    if (c->tls != NULL)
        tls_shutdown(c->tls);
    if (!c->linger) {
        connection_close(c);
        return;
    }
    /* a close with unread input resets the connection, and the reset may overtake the answer */
    (void)shutdown(c->fd, SHUT_WR);
    c->state = connection_lingering;
    connection_set_deadline(c, LINGER_MS);
    connection_set_events(c, EPOLLIN);
}

static void connection_lingering(struct connection *c, uint32_t events)
{
    (void)events;
    for (int i = 0; i < READS_PER_EVENT; i++) {
        ssize_t n = recv(c->fd, NULL, KIB(64), MSG_TRUNC); /* MSG_TRUNC: thrown away by the kernel */
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            connection_close(c);
            return;
        }
    }
}

/* Sends what is due, in the states reading and closing. False: the connection is gone or waits for EPOLLOUT. */
static bool send_answers(struct connection *c)
{
    size_t pending = c->out.len - c->out_sent;

    switch (connection_flush(c)) {
    case FLUSHED:
        if (c->state != connection_closing)
            return true;
        connection_finish(c);
        return false;
    case FLUSH_BLOCKED:
        connection_set_events(c, EPOLLOUT);
        if (c->state == connection_reading)
            c->state = connection_writing;
        connection_set_deadline(c, c->server->options.idle_timeout_ms + (int64_t)(pending / SLOWEST_READER));
        return false;
    case FLUSH_DEAD:
    default:
        connection_close(c);
        return false;
    }
}

static void connection_closing(struct connection *c, uint32_t events)
{
    (void)events;
    if (connection_flush(c) == FLUSH_BLOCKED)
        return;
    connection_finish(c);
}

static void refuse(struct connection *c, int status, const char *text)
{
    answer_refuse(c, status, text);
    c->linger = true;
    c->state = connection_closing;
    (void)send_answers(c);
}

/*
 * Thousands of peers that send large requests slowly would take all memory. Who holds most goes, until the rest fits: an honest
 * peer sends its request at once. May close, also others.
 */
static void bound_unfinished(struct connection *c)
{
    struct server *server = c->server;

    count_held(c);
    while (server->options.max_unfinished > 0 && server->held > server->options.max_unfinished) {
        struct connection *most = NULL;
        for (struct connection *each = server->connections; each != NULL; each = each->next)
            if (each->state == connection_reading && each->held > (most != NULL ? most->held : 0))
                most = each;
        if (most == NULL)
            return;
        buf_done(&most->in);
        buf_done(&most->body);
        most->in_start = 0;
        count_held(most);
        server->stats.unfinished++;
        refuse(most, 503, "too many unfinished requests");
    }
}

/* --- one request after another */

/* Forgets the answered request and steps over its bytes. */
static void next_request(struct connection *c)
{
    struct server_request *request = &c->request;

    c->in_start += request->head.head_len + (request->head.chunked ? 0 : (size_t)request->head.content_length);
    c->head_parsed = c->request_started = false;
    c->scanned = 0;
    buf_done(&c->body);
    request->on_gone = request->on_drained = NULL;
    request->answered = request->streaming = false;
    c->state = c->close_after ? connection_closing : connection_reading;
    c->linger = c->linger || c->in_start < c->in.len;
}

/* After user code ran in state waiting. True: answered, and the connection reads on. */
static bool after_handler(struct connection *c)
{
    if (c->broken) {
        connection_gone(c);
        return false;
    }
    if (c->proxy != NULL)
        return false;
    if (c->request.answered) {
        next_request(c);
        return c->state == connection_reading || send_answers(c);
    }
    /* 100 Continue, or the beginning of a stream */
    if (connection_flush(c) == FLUSH_DEAD)
        connection_gone(c);
    return false;
}

static bool call_handler(struct connection *c)
{
    c->server->stats.requests++;
    c->close_after = !c->request.head.keep_alive || c->server->ending;
    c->served = true;
    c->state = connection_waiting;
    connection_set_deadline(c, 0);
    c->in_handler = true;
    c->server->options.handler(&c->request, c->server->options.data);
    c->in_handler = false;
    return after_handler(c);
}

static void count_bad_request(struct server_stats *stats, int status)
{
    stats->bad_requests++;
    stats->too_large += status == 413 || status == 431;
    stats->unsupported += status == 501 || status == 505;
}

/* Handles the whole requests in `in` and sends their answers. True: the connection reads on. */
static bool serve(struct connection *c)
{
    while (c->in_start < c->in.len) {
        CLEANUP(err_clear) struct err err = {0};
        int r = input_parse(c, &err);
        if (r < 0) {
            count_bad_request(&c->server->stats, err.http_status);
            refuse(c, err.http_status, err_text(&err));
            return false;
        }
        if (r == 0)
            break;
        if (!call_handler(c))
            return false;
        if (c->out.len - c->out_sent >= FLUSH_AT && !send_answers(c))
            return false;
    }
    return send_answers(c);
}

/* Nothing more to do until the peer sends something. May close. */
static void settle(struct connection *c)
{
    const struct server_options *options = &c->server->options;

    connection_set_events(c, EPOLLIN);
    if (c->in_start < c->in.len) {
        if (!c->request_started)
            connection_set_deadline(c, options->request_timeout_ms);
        c->request_started = true;
        bound_unfinished(c);
        return;
    }
    if (c->server->draining && c->served) {
        connection_finish(c);
        return;
    }
    connection_set_deadline(c, c->server->draining ? DRAIN_UNSERVED_MS : options->idle_timeout_ms);
    buf_clear(&c->in);
    c->in_start = 0;
    server_buffer_give(c->server, &c->in);
    server_buffer_give(c->server, &c->out);
    count_held(c);
}

/* --- states */

static void connection_handshake(struct connection *c, uint32_t events)
{
    CLEANUP(err_clear) struct err err = {0};
    int r = tls_handshake(c->tls, &err);

    switch (r) {
    case TLS_DONE:
        c->server->stats.handshakes++;
        c->server->stats.handshakes_resumed += tls_is_resumed(c->tls);
        if (c->server->options.deal != NULL) {
            deal(c);
            return;
        }
        c->state = connection_reading;
        connection_set_deadline(c, c->server->options.idle_timeout_ms);
        connection_set_events(c, EPOLLIN);
        connection_reading(c, events); /* the first request may have come along */
        break;
    case TLS_WANT_READ:
        connection_set_events(c, EPOLLIN);
        break;
    case TLS_WANT_WRITE:
        connection_set_events(c, EPOLLOUT);
        break;
    default:
        c->server->stats.handshakes_failed++;
        c->linger = true; /* for OpenSSL's alert */
        connection_finish(c);
    }
}

static void connection_reading(struct connection *c, uint32_t events)
{
    bool more = true;

    (void)events;
    server_buffer_take(c->server, &c->out);
    for (int i = 0; i < READS_PER_EVENT; i++) {
        if (!serve(c))
            return;
        int r = more ? input_fill(c, &more) : TLS_WANT_READ;
        if (r == TLS_WANT_READ) {
            settle(c);
            return;
        }
        if (r != TLS_DONE) {
            if (r == TLS_CLOSED && c->tls != NULL)
                tls_shutdown(c->tls);
            connection_close(c);
            return;
        }
    }
    if (!serve(c))
        return;
    server_resume_later(c);
    bound_unfinished(c);
}

/* A handler has the request: only the end of the input is looked for, and the output of streams is moved on. */
void connection_waiting(struct connection *c, uint32_t events)
{
    if (c->out.len > 0 || (c->events & EPOLLOUT) != 0) {
        enum flushed flushed = connection_flush(c);
        if (flushed == FLUSH_DEAD) {
            connection_gone(c);
            return;
        }
        if (flushed == FLUSHED) {
            connection_set_events(c, EPOLLIN);
            if (c->request.on_drained != NULL) {
                c->in_handler = true;
                c->request.on_drained(c->request.drained_data);
                c->in_handler = false;
                if (after_handler(c))
                    server_resume_later(c);
                return;
            }
        }
    }
    size_t room = c->in.cap - c->in.len - 1;
    if (room > 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        size_t n = 0;
        int r = connection_receive(c, c->in.data + c->in.len, room, &n);
        if (r == TLS_DONE)
            buf_advance(&c->in, n);
        else if (r == TLS_CLOSED || r < 0)
            connection_gone(c);
    } else if (room == 0) {
        if ((events & (EPOLLHUP | EPOLLERR)) != 0)
            connection_gone(c);
        else
            connection_set_events(c, c->events & ~(uint32_t)EPOLLIN);
    }
}

static void connection_writing(struct connection *c, uint32_t events)
{
    enum flushed flushed = connection_flush(c);

    if (flushed == FLUSH_BLOCKED)
        return;
    if (flushed == FLUSH_DEAD) {
        connection_close(c);
        return;
    }
    c->state = connection_reading;
    connection_set_events(c, EPOLLIN);
    connection_reading(c, events);
}

void connection_answered(struct connection *c)
{
    if (c->in_handler || c->broken)
        return; /* whoever called the handler goes on, or the resume list ends it */
    next_request(c);
    if (!send_answers(c))
        return;
    if (c->in_start < c->in.len || (c->tls != NULL && tls_has_pending(c->tls)))
        server_resume_later(c); /* not here: the next handler would run on the stack of this one's owner */
    else
        settle(c);
}

void connection_resume(struct connection *c)
{
    if (c->broken)
        connection_gone(c);
    else if (c->state == connection_reading || c->state == proxy_on_peer)
        c->state(c, 0);
}

/* --- timers */

static void on_deadline(struct connection *c)
{
    struct server_stats *stats = &c->server->stats;

    if (c->state == connection_reading && c->request_started) {
        stats->timeouts++;
        refuse(c, 408, "the request did not come to its end in time");
    } else if (c->state == connection_reading) {
        connection_finish(c);
    } else if (c->proxy != NULL) {
        proxy_on_deadline(c->proxy);
    } else {
        if (c->state != connection_lingering)
            stats->timeouts++;
        if (c->state == connection_handshake)
            stats->handshakes_failed++;
        connection_close(c);
    }
}

static void on_timer(void *data)
{
    struct connection *c = data;
    int64_t now_ms = loop_now_ms(c->server->loop);

    c->timer_ms = 0;
    if (c->deadline_ms == 0)
        return;
    if (c->deadline_ms > now_ms)
        connection_set_deadline(c, c->deadline_ms - now_ms);
    else
        on_deadline(c);
}
