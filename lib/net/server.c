/*
 * server.c: the life of a server: listeners, accepting, draining, and what a handler may ask about a request. Bytes are
 * read in connection.c and written in answer.c.
 */
#include "net/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/mem.h"
#include "net/server_internal.h"

#define ACCEPTS_PER_EVENT 64
#define ACCEPT_PAUSE_MS 200
#define SPARE_BUFFER_MAX KIB(32) /* larger ones are freed when a connection becomes idle */

static void on_resume(void *data);
static void on_accept_timer(void *data);
static void on_drain_timer(void *data);

int server_new(struct loop *loop, const struct server_options *options, struct server **ret, struct err *err)
{
    if (options->handler == NULL && (options->deal == NULL || options->tls == NULL))
        return err_set(err, ERR_INVALID, "a server needs a handler");
    struct server *server = NEW(struct server);
    struct server_options *own = &server->options;
    *own = *options;
    own->max_body = own->max_body ? own->max_body : LIMIT_HTTP_BODY;
    own->max_connections = own->max_connections ? own->max_connections : LIMIT_CONNECTIONS;
    own->idle_timeout_ms = own->idle_timeout_ms ? own->idle_timeout_ms : 90000;
    own->request_timeout_ms = own->request_timeout_ms ? own->request_timeout_ms : 10000;
    own->max_pending_output = own->max_pending_output ? own->max_pending_output : MIB(8);
    server->loop = loop;
    server->tls = options->tls;
    server->resumed_end = &server->resumed;
    server->resume_timer = loop_timer_new(loop, on_resume, server);
    server->accept_timer = loop_timer_new(loop, on_accept_timer, server);
    server->drain_timer = loop_timer_new(loop, on_drain_timer, server);
    *ret = server;
    return 0;
}

static void listener_stop(struct server_listener *listener)
{
    listener->source = loop_fd_free(listener->source);
    listener->fd = fd_close(listener->fd);
}

struct server *server_free(struct server *server)
{
    if (server == NULL)
        return NULL;
    server->draining = false; /* no drain_done from here */
    while (server->connections != NULL)
        connection_gone(server->connections);
    while (server->listeners != NULL)
        (void)server_listener_free(server->listeners);
    loop_timer_free(server->resume_timer);
    loop_timer_free(server->accept_timer);
    loop_timer_free(server->drain_timer);
    for (size_t i = 0; i < server->n_spare; i++)
        buf_done(&server->spare[i]);
    map_done(&server->peers);
    free(server);
    return NULL;
}

void server_set_tls(struct server *server, struct tls_context *tls)
{
    server->tls = tls;
}

const struct server_stats *server_stats(const struct server *server)
{
    return &server->stats;
}

/* --- buffers and the resume list */

void server_buffer_take(struct server *server, struct buf *buf)
{
    if (buf->data == NULL && server->n_spare > 0) {
        size_t max = buf->max;
        *buf = server->spare[--server->n_spare];
        buf->max = max;
    }
}

/* buf must hold nothing that is still needed. */
void server_buffer_give(struct server *server, struct buf *buf)
{
    if (buf->data == NULL)
        return;
    if (buf->cap > SPARE_BUFFER_MAX || server->n_spare == SPARE_BUFFERS) {
        buf_done(buf);
        return;
    }
    buf_clear(buf);
    server->spare[server->n_spare++] = *buf;
    *buf = (struct buf){.max = buf->max};
}

void server_resume_later(struct connection *connection)
{
    struct server *server = connection->server;

    if (connection->is_resumed)
        return;
    connection->is_resumed = true;
    connection->next_resumed = NULL;
    *server->resumed_end = connection;
    server->resumed_end = &connection->next_resumed;
    if (!loop_timer_is_set(server->resume_timer))
        loop_timer_set(server->resume_timer, 0);
}

static void forget_resumed(struct server *server, struct connection *connection)
{
    struct connection **link = &server->resumed;

    if (!connection->is_resumed)
        return;
    while (*link != connection)
        link = &(*link)->next_resumed;
    *link = connection->next_resumed;
    if (server->resumed_end == &connection->next_resumed)
        server->resumed_end = link;
    connection->is_resumed = false;
}

static void on_resume(void *data)
{
    struct server *server = data;
    struct connection *last = NULL;

    /* those that come back while this runs wait for the next turn */
    for (struct connection *c = server->resumed; c != NULL; c = c->next_resumed)
        last = c;
    for (bool more = last != NULL; more && server->resumed != NULL;) {
        struct connection *connection = server->resumed;
        more = connection != last;
        forget_resumed(server, connection);
        connection_resume(connection);
    }
    if (server->resumed != NULL && !loop_timer_is_set(server->resume_timer))
        loop_timer_set(server->resume_timer, 0);
}

/* --- who may connect */

/* The host part; of IPv6 the network, all of which is usually one peer's. */
static void peer_name(const struct sockaddr_storage *address, char name[40])
{
    if (address->ss_family == AF_INET6)
        hex_encode(&((const struct sockaddr_in6 *)address)->sin6_addr, 8, name);
    else
        hex_encode(&((const struct sockaddr_in *)address)->sin_addr, 4, name);
}

/* Adds to the number of connections of the peer; what it is then. */
static size_t count_peer(struct server *server, const struct sockaddr_storage *address, int change)
{
    char name[40];

    if (server->options.max_per_peer == 0)
        return 0;
    peer_name(address, name);
    size_t n = (size_t)(uintptr_t)map_get(&server->peers, name) + (size_t)change;
    if (n == 0)
        (void)map_del(&server->peers, name);
    else if (change != 0)
        (void)map_set(&server->peers, name, (void *)(uintptr_t)n);
    return n;
}

static bool push_one_out(struct server *server)
{
    for (struct connection *c = server->oldest; c != NULL; c = c->prev) {
        if (!connection_is_expendable(c))
            continue;
        server->stats.pushed_out++;
        connection_close(c);
        return true;
    }
    return false;
}

bool server_admit(struct server *server, const struct sockaddr_storage *address)
{
    const struct server_options *options = &server->options;

    if (options->max_per_peer > 0 && count_peer(server, address, 0) >= options->max_per_peer) {
        server->stats.refused_per_peer++;
        return false;
    }
    if (server->stats.open >= options->max_connections && !push_one_out(server)) {
        server->stats.refused++;
        return false;
    }
    return true;
}

void server_connection_opened(struct server *server, struct connection *connection)
{
    connection->next = server->connections;
    if (connection->next != NULL)
        connection->next->prev = connection;
    else
        server->oldest = connection;
    server->connections = connection;
    (void)count_peer(server, &connection->address, 1);
    server->stats.accepted++;
    server->stats.open++;
}

void server_adopt(struct server *server, struct server_passage *passage)
{
    CLEANUP(err_clear) struct err err = {0};

    if (server_admit(server, &passage->address) &&
        connection_new(server, NULL, passage->fd, passage->tls, &passage->address, &err) == 0) {
        passage->fd = -1;
        passage->tls = NULL;
        server_resume_later(server->connections); /* its first request may have come with the handshake */
    } else {
        /* to the dealer, a connection that ended */
        __atomic_store_n(&server->ended, server->ended + 1, __ATOMIC_RELAXED);
    }
    server_passage_free(passage);
}

struct server_passage *server_passage_free(struct server_passage *passage)
{
    if (passage == NULL)
        return NULL;
    tls_free(passage->tls);
    (void)fd_close(passage->fd);
    free(passage);
    return NULL;
}

uint64_t server_ended(const struct server *server)
{
    return __atomic_load_n(&server->ended, __ATOMIC_RELAXED);
}

/* --- listeners */

static void pause_accepting(struct server *server, bool pause)
{
    server->accept_paused = pause;
    for (struct server_listener *listener = server->listeners; listener != NULL; listener = listener->next) {
        CLEANUP(err_clear) struct err err = {0};
        if (listener->source != NULL && loop_fd_modify(listener->source, pause ? 0 : EPOLLIN, &err) < 0)
            pause = true; /* out of memory: try again later */
    }
    if (pause)
        loop_timer_set(server->accept_timer, ACCEPT_PAUSE_MS);
}

static void on_accept_timer(void *data)
{
    pause_accepting(data, false);
}

/* Errors of the one connection that was to be accepted (accept(2) lists them), not of the listener. */
static bool is_passing(int errnum)
{
    switch (errnum) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM:
        return true;
    default:
        return false;
    }
}

static void on_listener(struct loop_fd *source, uint32_t events, void *data)
{
    struct server_listener *listener = data;
    struct server *server = listener->server;

    (void)source, (void)events;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        struct sockaddr_storage address;
        socklen_t address_len = sizeof(address);
        int fd = accept4(listener->fd, (struct sockaddr *)&address, &address_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && is_passing(errno))
            continue;
        if (fd < 0) {
            /* EMFILE and its like: the connection stays in the backlog, and epoll would report it for ever */
            if (errno != EAGAIN)
                pause_accepting(server, true);
            return;
        }
        CLEANUP(err_clear) struct err err = {0};
        if (!server_admit(server, &address) || connection_new(server, listener, fd, NULL, &address, &err) < 0)
            (void)fd_close(fd);
    }
}

static int resolve_numeric(const char *address, int port, struct addrinfo **ret, struct err *err)
{
    CLEANUP(xfree) char *service = xasprintf("%d", port);
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    int r = getaddrinfo(address, service, &hints, ret);

    if (r != 0)
        return err_set(err, ERR_INVALID, "'%s' port %d is no address to listen on: %s", address, port,
                       gai_strerror(r));
    return 0;
}

/* Options set here are inherited by the accepted sockets: two system calls less for each. */
static int open_listener(const struct addrinfo *info, int *ret_port, struct err *err)
{
    CLEANUP(fd_close) int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_storage bound;
    socklen_t bound_len = sizeof(bound);
    int on = 1;

    if (fd < 0)
        return err_errno(err, errno, "making a socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        return err_errno(err, errno, "setting socket options");
    int bound_result = bind(fd, info->ai_addr, info->ai_addrlen);
    if (bound_result < 0 && errno == EADDRINUSE)
        return err_set(err, ERR_EXISTS, "the port is in use");
    if (bound_result < 0)
        return err_errno(err, errno, "binding the socket");
    if (listen(fd, SOMAXCONN) < 0)
        return err_errno(err, errno, "listening");
    if (getsockname(fd, (struct sockaddr *)&bound, &bound_len) < 0)
        return err_errno(err, errno, "reading the port");
    *ret_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                  : ((struct sockaddr_in *)&bound)->sin_port);
    int listening = fd;
    fd = -1;
    return listening;
}

/* Takes fd over. */
static int add_listener(struct server *server, int fd, int port, void *tag, struct server_listener **ret, struct err *err)
{
    struct server_listener *listener = NEW(struct server_listener);
    *listener = (struct server_listener){.server = server, .fd = fd, .port = port, .tag = tag};
    int r = loop_fd_new(server->loop, fd, server->accept_paused ? 0 : EPOLLIN, on_listener, listener, &listener->source,
                        err);
    if (r < 0) {
        (void)fd_close(fd);
        free(listener);
        return r;
    }
    listener->next = server->listeners;
    if (listener->next != NULL)
        listener->next->prev = listener;
    server->listeners = listener;
    if (ret != NULL)
        *ret = listener;
    return 0;
}

int server_listen(struct server *server, const char *address, int port, void *tag, struct server_listener **ret,
                  struct err *err)
{
    struct addrinfo *info = NULL;
    int bound_port = 0;

    if (server->draining)
        return err_set(err, ERR_CANCELLED, "the server is shutting down");
    int r = resolve_numeric(address, port, &info, err);
    if (r < 0)
        return r;
    int fd = open_listener(info, &bound_port, err);
    freeaddrinfo(info);
    if (fd < 0)
        return err_wrap(err, "listening on '%s' port %d", address, port);
    return add_listener(server, fd, bound_port, tag, ret, err);
}

int server_listen_unix(struct server *server, const char *path, void *tag, struct server_listener **ret, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat info;

    if (server->draining)
        return err_set(err, ERR_CANCELLED, "the server is shutting down");
    if (strlen(path) >= sizeof(address.sun_path))
        return err_set(err, ERR_INVALID, "listening on '%s': the path is over %zu bytes", path, sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path));
    if (stat(path, &info) == 0 && S_ISSOCK(info.st_mode))
        (void)unlink(path);
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t mask = umask(0077);
    int bound = fd < 0 ? -1 : bind(fd, (const struct sockaddr *)&address, sizeof(address));
    int errnum = errno;
    (void)umask(mask);
    if (bound < 0 && errnum == EADDRINUSE)
        return err_set(err, ERR_EXISTS, "listening on '%s': the file exists", path);
    if (bound < 0 || listen(fd, SOMAXCONN) < 0)
        return err_errno(err, bound < 0 ? errnum : errno, "listening on '%s'", path);
    int listening = fd;
    fd = -1;
    return add_listener(server, listening, 0, tag, ret, err);
}

int server_listener_port(const struct server_listener *listener)
{
    return listener->port;
}

struct server_listener *server_listener_free(struct server_listener *listener)
{
    if (listener == NULL)
        return NULL;
    listener_stop(listener);
    for (struct connection *c = listener->server->connections; c != NULL; c = c->next)
        if (c->listener == listener)
            c->listener = NULL;
    if (listener->next != NULL)
        listener->next->prev = listener->prev;
    if (listener->prev != NULL)
        listener->prev->next = listener->next;
    else
        listener->server->listeners = listener->next;
    free(listener);
    return NULL;
}

/* --- drain */

static void on_drain_timer(void *data)
{
    struct server *server = data;
    loop_callback *done = server->drain_done;

    while (server->connections != NULL)
        connection_gone(server->connections);
    loop_timer_cancel(server->drain_timer); /* which the last of them set again */
    server->drain_done = NULL;
    if (done != NULL)
        done(server->drain_data); /* may free the server */
}

void server_connection_closed(struct server *server, struct connection *connection)
{
    forget_resumed(server, connection);
    if (connection->next != NULL)
        connection->next->prev = connection->prev;
    else
        server->oldest = connection->prev;
    if (connection->prev != NULL)
        connection->prev->next = connection->next;
    else
        server->connections = connection->next;
    count_peer(server, &connection->address, -1);
    server->stats.open--;
    __atomic_store_n(&server->ended, server->ended + 1, __ATOMIC_RELAXED);
    if (server->draining && server->stats.open == 0)
        loop_timer_set(server->drain_timer, 0);
}

void server_announce_end(struct server *server)
{
    server->ending = true;
}

void server_drain(struct server *server, int64_t timeout_ms, loop_callback *done, void *data)
{
    server->ending = server->draining = true;
    server->drain_done = done;
    server->drain_data = data;
    /* the structures stay: their owners may still call server_listener_free */
    for (struct server_listener *listener = server->listeners; listener != NULL; listener = listener->next)
        listener_stop(listener);
    /* each gets one last look: a request that has arrived already is still answered */
    for (struct connection *c = server->connections; c != NULL; c = c->next)
        server_resume_later(c);
    loop_timer_set(server->drain_timer, server->stats.open > 0 ? timeout_ms : 0);
}

/* --- what a handler may ask */

const struct http1_request *server_request_head(const struct server_request *request)
{
    return &request->head;
}

struct str server_request_body(const struct server_request *request)
{
    return request->body;
}

void *server_request_tag(const struct server_request *request)
{
    const struct server_listener *listener = request->connection->listener;
    return listener != NULL ? listener->tag : NULL;
}

const struct tls_peer *server_request_peer(struct server_request *request)
{
    struct connection *connection = request->connection;

    if (!connection->peer_known && connection->tls != NULL)
        tls_peer_get(connection->tls, &connection->peer);
    connection->peer_known = true;
    return &connection->peer;
}

const char *server_request_address(const struct server_request *request)
{
    struct connection *connection = request->connection;
    char host[INET6_ADDRSTRLEN] = "";

    if (connection->address_text[0] == '\0') {
        if (connection->address.ss_family == AF_INET6) {
            const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&connection->address;
            (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
            (void)snprintf(connection->address_text, sizeof(connection->address_text), "[%s]:%d", host,
                           ntohs(in6->sin6_port));
        } else if (connection->address.ss_family == AF_INET) {
            const struct sockaddr_in *in4 = (const struct sockaddr_in *)&connection->address;
            (void)inet_ntop(AF_INET, &in4->sin_addr, host, sizeof(host));
            (void)snprintf(connection->address_text, sizeof(connection->address_text), "%s:%d", host,
                           ntohs(in4->sin_port));
        } else {
            connection->address_text[0] = '@'; /* a socket in the file system: its peers have no name */
        }
    }
    return connection->address_text;
}

bool server_request_is(const struct server_request *request, const char *method, const char *path)
{
    return str_is(request->head.method, method) && str_is(request->head.path, path);
}

void server_on_gone(struct server_request *request, loop_callback *callback, void *data)
{
    request->on_gone = callback;
    request->gone_data = data;
}
