/*
 * http_light.c: calls over HTTP/1.1 without libcurl, for command lines: a connection at a time, kept open for the next
 * call, TLS by net/tls.h. It looks names up in a blocking way, knows no proxy and no HTTP/2; whoever needs those does not
 * get here (http.c decides).
 *
 * A connection goes through: connecting, handshake (https), sending, head, body; then it is idle or closed. A kept
 * connection may have been closed by the server meanwhile: a call that meets that before any byte of an answer is sent
 * once more on a new one.
 *
 * Calls that are to go together are written behind one another on one connection (pipelining) and answered in that order:
 * connection->call is the one whose answer is next, call->follower the one after it. A follower whose connection is lost
 * begins again on another.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/http_light.h"

#define READ_SIZE KIB(16) /* a TLS record; more would not come at once */

static void on_fd(struct loop_fd *source, uint32_t events, void *data);

/* --- connections */

static void close_socket(struct light_connection *connection)
{
    connection->tls = tls_free(connection->tls);
    if (connection->source != NULL)
        connection->source = loop_fd_free(connection->source);
    if (connection->fd >= 0)
        connection->fd = fd_close(connection->fd);
}

static void drop_buffers(struct light_connection *connection)
{
    if (connection->out.data != NULL)
        explicit_bzero(connection->out.data, connection->out.len);
    buf_done(&connection->out);
    buf_done(&connection->in);
    buf_done(&connection->content);
}

/* They begin again, when whoever is at work here is done: settle() in http.c. */
static void begin_again(struct http_call *follower)
{
    for (struct http_call *next; follower != NULL; follower = next) {
        next = follower->follower;
        follower->follower = NULL;
        follower->connection = NULL;
        follower->begun = false;
        follower->client->unsettled = true;
    }
}

static void connection_free(struct light_connection *connection)
{
    for (struct light_connection **link = &connection->client->connections; *link != NULL; link = &(*link)->next) {
        if (*link == connection) {
            *link = connection->next;
            break;
        }
    }
    if (connection->call != NULL) {
        begin_again(take(&connection->call->follower));
        connection->call->connection = NULL;
    }
    close_socket(connection);
    loop_timer_free(connection->timer);
    if (connection->addresses != NULL)
        freeaddrinfo(connection->addresses);
    drop_buffers(connection);
    dial_address_done(&connection->to);
    free(connection);
}

void http_light_end(struct http_call *call)
{
    struct light_connection *connection = call->connection;
    if (connection == NULL)
        return;
    if (connection->call == call) {
        connection_free(connection);
        return;
    }
    struct http_call *before = connection->call;
    while (before->follower != call)
        before = before->follower;
    before->follower = NULL;
    connection->spoiled = true;
    begin_again(take(&call->follower));
    call->connection = NULL;
}

bool http_light_is_connected(const struct http_call *call)
{
    return call->connection != NULL && call->connection->state > CONNECTING;
}

void http_light_done(struct http_client *client)
{
    while (client->connections != NULL)
        connection_free(client->connections);
    tls_context_free(client->tls);
}

/* --- ends of calls */

/* The call's own time-out runs from its beginning, the connection's only until it stands. */
static void set_timer(struct light_connection *connection, bool connecting)
{
    struct http_client *client = connection->client;
    int64_t timeout_ms = connection->call->timeout_ms, left = -1;
    if (timeout_ms > 0) {
        left = timeout_ms - (loop_now_ms(client->loop) - connection->call_began_ms);
        left = left > 0 ? left : 0;
    }
    if (connecting && (left < 0 || left > client->connect_timeout_ms))
        left = client->connect_timeout_ms;
    if (left >= 0)
        loop_timer_set(connection->timer, left);
    else
        loop_timer_cancel(connection->timer);
}

void light_finish(struct light_connection *connection)
{
    struct http_call *call = connection->call, *follower = take(&call->follower);
    struct http_client *client = connection->client;
    bool usable = connection->keep && call->err.code == 0 && !call->dedicated;
    connection->call = NULL;
    call->connection = NULL;
    if (usable && follower != NULL) {
        connection->call = follower;
        connection->state = HEAD;
        connection->reused = true;
        set_timer(connection, false);
    } else if (usable && !connection->spoiled && connection->in.len == 0) {
        connection->state = IDLE;
        drop_buffers(connection); /* it may stand idle for long */
        connection->reused = true;
        loop_timer_cancel(connection->timer);
    } else {
        begin_again(follower);
        connection_free(connection);
    }
    bool busy = client->busy;
    client->busy = false; /* nothing here is touched after this: the owner may start and cancel as it likes */
    http_call_finish(call);
    client->busy = busy;
}

void light_fail(struct light_connection *connection, enum err_code code, const char *text)
{
    struct http_call *call = connection->call;
    if (call->err.code == 0)
        (void)err_set(&call->err, code, "%s %s: %s", call->method, call->url, text);
    light_finish(connection);
}

static void on_timer(void *data)
{
    struct light_connection *connection = data;
    struct http_client *client = connection->client;
    http_client_enter(client);
    light_fail(connection, ERR_TIMEOUT, connection->state == CONNECTING || connection->state == HANDSHAKE
                                      ? "the connection timed out" : "the request timed out");
    http_client_leave(client);
}

/* --- dialling */

/* Tries one address after the other; false when none is left (errno tells why the last one failed). */
static bool dial(struct light_connection *connection)
{
    CLEANUP(err_clear) struct err err = {0};
    int failure = EHOSTUNREACH;
    for (; connection->address != NULL; connection->address = connection->address->ai_next) {
        close_socket(connection);
        connection->fd = dial_start(connection->address);
        if (connection->fd >= 0 && loop_fd_new(connection->client->loop, connection->fd, EPOLLOUT, on_fd, connection,
                                               &connection->source, &err) == 0)
            return true;
        failure = connection->fd < 0 ? errno : EIO;
    }
    errno = failure;
    return false;
}

static void dial_or_fail(struct light_connection *connection)
{
    if (dial(connection))
        return;
    http_call_no_connection(connection->call, errno, "no address");
    light_finish(connection);
}

static void begin_tls(struct light_connection *connection)
{
    struct http_client *client = connection->client;
    const char *name = client->server_name != NULL ? client->server_name : connection->to.host;
    CLEANUP(err_clear) struct err err = {0};
    if (client->tls == NULL) {
        struct tls_client_options options = {
            .ca_pem = client->ca_pem,
            .cert_pem = client->cert_pem,
            .key_pem = client->key_pem,
            .insecure = client->insecure,
            .session_dir = client->session_dir,
        };
        tls_init_short_lived();
        if (tls_client_context_new(&options, &client->tls, &err) < 0) {
            light_fail(connection, err.code, err_text(&err));
            return;
        }
    }
    if (tls_new(client->tls, connection->fd, name, &connection->tls, &err) < 0) {
        light_fail(connection, err.code, err_text(&err));
        return;
    }
    CLEANUP(xfree) char *server = xasprintf("%s:%s %s", connection->to.host, connection->to.port, name);
    tls_resume(connection->tls, server);
    connection->state = HANDSHAKE;
}

static int set_events(struct light_connection *connection, uint32_t events)
{
    CLEANUP(err_clear) struct err err = {0};
    return loop_fd_modify(connection->source, events, &err);
}

static void on_connected(struct light_connection *connection)
{
    int failure = dial_result(connection->fd);
    if (failure == 0) {
        connection->state = SENDING;
        if (connection->to.tls)
            begin_tls(connection);
        return;
    }
    connection->address = connection->address->ai_next;
    if (connection->address != NULL) {
        dial_or_fail(connection);
        return;
    }
    http_call_no_connection(connection->call, failure, strerror(failure));
    light_finish(connection);
}

/* --- bytes */

static void print_request(const struct http_call *call, const struct dial_address *to, struct buf *out)
{
    CLEANUP(xfree) char *authority = dial_authority(to);
    buf_printf(out, "%s %s HTTP/1.1\r\nHost: %s\r\n", call->method, to->target, authority);
    if (call->client->user_agent != NULL)
        buf_printf(out, "User-Agent: %s\r\n", call->client->user_agent);
    buf_add_str(out, call->head);
    if (call->body != NULL)
        buf_printf(out, "Content-Length: %zu\r\n", call->body_len);
    buf_add_str(out, "\r\n");
    if (call->body != NULL)
        buf_add(out, call->body, call->body_len);
}

/* 1: n bytes moved; 0: wait (the events are set); 2: the peer ended; negative: failed. */
static int from_tls(struct light_connection *connection, int result)
{
    if (result == TLS_DONE)
        return 1;
    if (result == TLS_CLOSED)
        return 2;
    if (result < 0)
        return result;
    return set_events(connection, result == TLS_WANT_WRITE ? EPOLLOUT : EPOLLIN) < 0 ? ERR_IO : 0;
}

static int read_some(struct light_connection *connection, void *data, size_t len, size_t *ret_n, struct err *err)
{
    if (connection->tls != NULL)
        return from_tls(connection, tls_read(connection->tls, data, len, ret_n, err));
    ssize_t n = recv(connection->fd, data, len, 0);
    if (n > 0) {
        *ret_n = (size_t)n;
        return 1;
    }
    if (n == 0)
        return 2;
    if (errno != EAGAIN && errno != EINTR)
        return err_errno(err, errno, "reading");
    return set_events(connection, EPOLLIN) < 0 ? ERR_IO : 0;
}

static int write_some(struct light_connection *connection, struct err *err)
{
    const char *data = connection->out.data + connection->sent;
    size_t len = connection->out.len - connection->sent, n = 0;
    if (connection->tls != NULL) {
        int result = from_tls(connection, tls_write(connection->tls, data, len, &n, err));
        connection->sent += n;
        return result;
    }
    ssize_t sent = send(connection->fd, data, len, MSG_NOSIGNAL);
    if (sent >= 0) {
        connection->sent += (size_t)sent;
        return 1;
    }
    if (errno != EAGAIN && errno != EINTR)
        return err_errno(err, errno, "writing");
    return set_events(connection, EPOLLOUT) < 0 ? ERR_IO : 0;
}

/* A request that got no answer may have been carried out all the same. */
static bool may_repeat(const struct http_call *call)
{
    return streq(call->method, "GET") || streq(call->method, "HEAD") || streq(call->method, "PUT") ||
           streq(call->method, "DELETE");
}

/* The connection ended or failed; a kept one may have been closed long ago, which says nothing about this call. */
static void lost(struct light_connection *connection, int code, const char *text)
{
    struct http_call *call = connection->call;
    if (connection->state == BODY_TO_END && code == 0) {
        light_finish(connection);
        return;
    }
    if (connection->reused && call->head_len == 0 && connection->in.len == 0 && may_repeat(call)) {
        connection_free(connection);
        http_light_begin(call);
        return;
    }
    light_fail(connection, code != 0 ? (enum err_code)code : ERR_IO, code != 0 ? text : "the connection was closed (EOF)");
}

/* --- the machine */

static void handshake(struct light_connection *connection)
{
    CLEANUP(err_clear) struct err err = {0};
    int result = tls_handshake(connection->tls, &err);
    if (result < 0) {
        light_fail(connection, ERR_IO, err_text(&err));
    } else if (result == TLS_CLOSED) {
        light_fail(connection, ERR_IO, "TLS handshake: the connection was closed");
    } else if (result != TLS_DONE) {
        (void)from_tls(connection, result);
    } else {
        connection->state = SENDING;
    }
}

static void step_send(struct light_connection *connection)
{
    CLEANUP(err_clear) struct err err = {0};
    while (connection->sent < connection->out.len) {
        int result = write_some(connection, &err);
        if (result == 0)
            return;
        if (result != 1) {
            lost(connection, result < 0 ? result : 0, err_text(&err));
            return;
        }
    }
    explicit_bzero(connection->out.data, connection->out.len);
    buf_clear(&connection->out);
    connection->state = HEAD;
    if (set_events(connection, EPOLLIN) < 0)
        light_fail(connection, ERR_IO, "epoll");
}

/* Whether the last read took all that was there, so that another would only be told so. */
static bool is_drained(const struct light_connection *connection, size_t n)
{
    return connection->tls != NULL ? !tls_has_pending(connection->tls) : n < READ_SIZE;
}

/* False when a call is over: the connection may be gone, or be at its next call. */
static bool step_receive(struct light_connection *connection)
{
    CLEANUP(err_clear) struct err err = {0};
    if (connection->in.len > 0 && !light_take_input(connection)) /* came with the answer before */
        return false;
    for (;;) {
        char *room = buf_reserve(&connection->in, READ_SIZE);
        size_t n = 0;
        int result = room != NULL ? read_some(connection, room, READ_SIZE, &n, &err) : ERR_TOO_BIG;
        if (result == 1) {
            buf_advance(&connection->in, n);
            if (!light_take_input(connection))
                return false;
            if (is_drained(connection, n) && set_events(connection, EPOLLIN) == 0)
                return true;
        } else {
            if (result != 0)
                lost(connection, result < 0 ? result : 0, err_text(&err));
            return result == 0;
        }
    }
}

/* Whether this call is still on this connection: every step may have ended it. */
static bool still(const struct http_client *client, const struct light_connection *connection)
{
    for (const struct light_connection *c = client->connections; c != NULL; c = c->next)
        if (c == connection)
            return c->call != NULL && !c->call->cancelled;
    return false;
}

static void on_fd(struct loop_fd *source, uint32_t events, void *data)
{
    struct light_connection *connection = data;
    struct http_client *client = connection->client;
    (void)source;
    (void)events;
    if (connection->call == NULL) { /* idle: the server closes, or sends what nobody asked for */
        connection_free(connection);
        return;
    }
    http_client_enter(client);
    client->busy = true;
    if (connection->state == CONNECTING)
        on_connected(connection);
    if (still(client, connection) && connection->state == HANDSHAKE)
        handshake(connection);
    if (still(client, connection) && connection->state == SENDING) {
        set_timer(connection, false);
        step_send(connection);
    }
    while (still(client, connection) && connection->state >= HEAD && connection->state != IDLE &&
           !step_receive(connection))
        ;
    client->busy = false;
    http_client_leave(client);
}

/* --- beginning */

static bool is_to(const struct light_connection *connection, const struct dial_address *to)
{
    return connection->to.tls == to->tls && streq(connection->to.host, to->host) && streq(connection->to.port, to->port);
}

/* A connection whose call is not on its way yet and may be followed. */
static struct light_connection *find_unsent(const struct http_client *client, const struct dial_address *to)
{
    for (struct light_connection *c = client->connections; c != NULL; c = c->next) {
        if (c->call != NULL && c->call->together && !c->call->cancelled && !c->spoiled && c->state <= SENDING && is_to(c, to))
            return c;
    }
    return NULL;
}

/* An idle connection to the same place. One that has something to say is at its end, or out of step. */
static struct light_connection *find_idle(struct http_client *client, const struct dial_address *to)
{
    for (struct light_connection *c = client->connections, *next; c != NULL; c = next) {
        struct pollfd readable = {.fd = c->fd, .events = POLLIN};
        next = c->next;
        if (c->call != NULL || c->state != IDLE || !is_to(c, to))
            continue;
        if (poll(&readable, 1, 0) == 0)
            return c;
        connection_free(c);
    }
    return NULL;
}

/* What fails at once is told on the next turn: http_start never calls back. */
static void on_begun(void *data)
{
    struct light_connection *connection = data;
    struct http_client *client = connection->client;
    http_client_enter(client);
    light_finish(connection);
    http_client_leave(client);
}

static void fail_soon(struct light_connection *connection)
{
    loop_timer_free(connection->timer);
    connection->timer = loop_timer_new(connection->client->loop, on_begun, connection);
    loop_timer_set(connection->timer, 0);
}

static void attach(struct light_connection *connection, struct http_call *call)
{
    connection->call = call;
    call->connection = connection;
    connection->call_began_ms = loop_now_ms(connection->client->loop);
    connection->keep = false;
    connection->sent = 0;
    buf_clear(&connection->in);
    buf_clear(&connection->out);
}

/* Behind the others of a connection that has not sent them yet. */
static bool follow(struct http_call *call, const struct dial_address *to)
{
    struct light_connection *connection = call->together ? find_unsent(call->client, to) : NULL;
    if (connection == NULL)
        return false;
    struct http_call *last = connection->call;
    while (last->follower != NULL)
        last = last->follower;
    last->follower = call;
    call->connection = connection;
    print_request(call, to, &connection->out);
    return true;
}

static void use_idle(struct light_connection *idle, struct http_call *call)
{
    attach(idle, call);
    print_request(call, &idle->to, &idle->out);
    idle->state = SENDING;
    set_timer(idle, false);
    if (set_events(idle, EPOLLOUT) < 0) {
        (void)err_set(&call->err, ERR_IO, "%s %s: epoll", call->method, call->url);
        fail_soon(idle);
    }
}

void http_light_begin(struct http_call *call)
{
    struct http_client *client = call->client;
    struct light_connection *connection = NEW(struct light_connection);
    connection->client = client;
    connection->fd = -1;
    connection->in.max = LIMIT_HTTP_HEAD + 2 * READ_SIZE;
    connection->next = client->connections;
    client->connections = connection;
    connection->timer = loop_timer_new(client->loop, on_timer, connection);
    if (dial_parse_url(call->url, &connection->to, &call->err) < 0) {
        attach(connection, call);
        (void)err_wrap(&call->err, "%s", call->method);
        fail_soon(connection);
        return;
    }
    if (follow(call, &connection->to)) {
        connection_free(connection);
        return;
    }
    struct light_connection *idle = call->dedicated ? NULL : find_idle(client, &connection->to);
    if (idle != NULL) {
        struct dial_address to = idle->to;
        idle->to = connection->to; /* the same place, another path */
        connection->to = to;
        connection_free(connection);
        use_idle(idle, call);
        return;
    }
    attach(connection, call);
    print_request(call, &connection->to, &connection->out);
    if (dial_resolve(&connection->to, &connection->addresses, &call->err) < 0) {
        (void)err_wrap(&call->err, "%s %s", call->method, call->url);
        fail_soon(connection);
        return;
    }
    connection->address = connection->addresses;
    if (!dial(connection)) {
        http_call_no_connection(call, errno, "no address");
        fail_soon(connection);
    } else {
        set_timer(connection, true);
    }
}
