/*
 * server_internal.h: what server.c (listeners, drain), connection.c (states, timers, ends), input.c (bytes to requests),
 * answer.c (answers to bytes) and proxy.c (upgraded streams) know of each other. Nobody else includes it.
 *
 * A connection's state is the function that handles its next event, as in nginx:
 *
 *     handshake ─▶ reading ─▶ waiting ─▶ reading ...      keep-alive
 *                     │  ▲       │ └───▶ proxying ─▶ lingering
 *                     ▼  │       ▼
 *                   writing    closing ─▶ lingering ─▶ (freed)
 *
 * waiting: a handler has the request. writing: answers that the peer does not take yet hold up the next request.
 *
 * Freeing: connection_close() frees. A function that may close says so, and returns false when the connection is gone or
 * has changed its state, so that its caller leaves it alone. While user code runs (in_handler), nothing is freed.
 */
#pragma once

#include <sys/socket.h>

#include "net/server.h"

struct connection;
struct proxy;

typedef void connection_state(struct connection *connection, uint32_t events);

struct server_request {
    struct connection *connection;
    struct http1_request head; /* slices of connection->in */
    struct str body;
    loop_callback *on_gone, *on_drained;
    void *gone_data, *drained_data;
    bool answered;  /* the handler is done with it */
    bool streaming; /* between server_stream_begin and _end */
    bool chunked;   /* the streamed answer is sent in chunks, else up to the end of the connection */
    bool no_body;   /* HEAD, 204, 304 */
    int64_t left;   /* of a streamed answer whose length was announced; -1: it was not */
};

struct server_passage {
    int fd;
    struct tls *tls;
    struct sockaddr_storage address;
};

struct connection {
    struct server *server;
    struct connection *prev, *next; /* the newest is first */
    struct connection *next_resumed;
    bool is_resumed; /* in server->resumed */

    int fd;
    struct loop_fd *source;
    uint32_t events; /* armed */
    struct tls *tls; /* NULL: plain */
    connection_state *state;

    struct loop_timer *timer;
    int64_t deadline_ms; /* 0: none */
    int64_t timer_ms;    /* when the timer is set to fire; never later than the deadline. 0: not set */

    int64_t began_ms;
    bool served; /* had a request */

    struct server_listener *listener; /* NULL once it is freed, and for an adopted connection */
    struct sockaddr_storage address;
    char address_text[64]; /* "" until asked for */
    struct tls_peer peer;
    bool peer_known;

    struct buf in;
    size_t in_start; /* where the current request begins in `in` */
    size_t scanned;  /* bytes from there without a line end yet to be looked at */
    bool head_parsed, request_started;
    struct http1_body body_reader; /* of a chunked body */
    struct buf body;               /* decoded chunked body */

    size_t held; /* bytes of `in` and `body`, when they are many */

    struct buf out;
    size_t out_sent;

    bool in_handler;  /* user code runs: do not free, do not go on to the next request */
    bool broken;      /* dead, to be freed by the resume list */
    bool close_after; /* the answer says Connection: close */
    bool linger;      /* input is left unread: closing at once would reset the connection under the answer */
    struct server_request request;
    struct proxy *proxy;
};

struct server_listener {
    struct server *server;
    struct server_listener *prev, *next;
    int fd; /* -1 once drained */
    int port;
    struct loop_fd *source;
    void *tag;
};

#define SPARE_BUFFERS 32

struct server {
    struct loop *loop;
    struct server_options options; /* defaults filled in */
    struct tls_context *tls;
    struct server_listener *listeners;
    struct connection *connections, *oldest;
    struct map peers; /* address → number of connections, with max_per_peer */
    struct server_stats stats;
    uint64_t ended; /* other threads read it */
    size_t held;    /* by connections */

    /* read and write buffers of idle connections, for the next that is not idle */
    struct buf spare[SPARE_BUFFERS];
    size_t n_spare;

    /* connections to go on with on the next turn, in order */
    struct connection *resumed, **resumed_end;
    struct loop_timer *resume_timer;

    bool accept_paused;
    struct loop_timer *accept_timer;

    bool ending; /* every answer ends its connection */
    bool draining;
    struct loop_timer *drain_timer;
    loop_callback *drain_done;
    void *drain_data;

    int64_t date_s; /* of date_text */
    char date_text[32];
};

/* --- server.c */
/* Whether there is room for one more; may push one out for it. Counts what it refuses. */
bool server_admit(struct server *server, const struct sockaddr_storage *address);
void server_connection_opened(struct server *server, struct connection *connection);
void server_buffer_take(struct server *server, struct buf *buf);
void server_buffer_give(struct server *server, struct buf *buf);
void server_connection_closed(struct server *server, struct connection *connection);
/* Puts the connection on the list of those to go on with on the next turn. */
void server_resume_later(struct connection *connection);

/* --- connection.c */
/* The fd and tls are taken over on success; tls NULL: the server's context makes one, if there is any. */
int connection_new(struct server *server, struct server_listener *listener, int fd, struct tls *tls,
                   const struct sockaddr_storage *address, struct err *err) MUST_CHECK;
/* Never sent a request, and had the time to. */
bool connection_is_expendable(const struct connection *connection);
/* Frees at once. */
void connection_close(struct connection *connection);
/* The peer is gone or has failed: tells the request's owner, and closes. */
void connection_gone(struct connection *connection);
/* Goes on after a turn on the resume list. May close. */
void connection_resume(struct connection *connection);
/* TLS or not: enum tls_result, or negative. */
int connection_receive(struct connection *connection, void *data, size_t len, size_t *ret_n);
int connection_send(struct connection *connection, const void *data, size_t len, size_t *ret_n);
void connection_set_events(struct connection *connection, uint32_t events);
/* 0: none. */
void connection_set_deadline(struct connection *connection, int64_t delay_ms);
enum flushed { FLUSHED, FLUSH_BLOCKED, FLUSH_DEAD };
/* Sends what is in `out`; when blocked, arms EPOLLOUT beside EPOLLIN. */
enum flushed connection_flush(struct connection *connection);
/* The request was answered outside of its handler: go on. May close. */
void connection_answered(struct connection *connection);
/* Says goodbye to the peer and lingers, or closes. */
void connection_finish(struct connection *connection);
connection_state connection_waiting;

/* --- input.c */
/* The most that `in` may ever have to hold. */
size_t input_max(const struct server_options *options);
/* One receive. TLS_DONE, TLS_WANT_READ, TLS_CLOSED or negative. *ret_more: another receive may find more at once. */
int input_fill(struct connection *connection, bool *ret_more);
/* 1: a whole request is in connection->request; 0: more bytes are needed; negative: err->http_status is the answer. */
int input_parse(struct connection *connection, struct err *err);

/* --- answer.c */
/* The answer to a request that could not be read; it closes the connection. */
void answer_refuse(struct connection *connection, int status, const char *text);

/* --- proxy.c */
connection_state proxy_on_peer;
void proxy_on_deadline(struct proxy *proxy);
struct proxy *proxy_free(struct proxy *proxy);
