/*
 * server.h: HTTP/1.1 server on a loop, with or without TLS: keep-alive, pipelining, chunked bodies, Expect, limits,
 * timers, graceful stop. The admission server, the kubelet API and every /metrics use it.
 *
 * The handler gets a whole request and answers it, at once or later from another callback. Until it is answered or the
 * peer goes away (on_gone), the request stays valid. Malformed requests never get to a handler.
 *
 * Handlers may call everything here but server_free.
 */
#pragma once

#include <netinet/in.h>

#include "base/loop.h"
#include "base/map.h"
#include "net/http1.h"
#include "net/tls.h"

struct server;
struct server_listener;
struct server_request;
struct wire_options;

typedef void server_handler(struct server_request *request, void *data);

/* A connection on its way from one server to another one, whose loop may be another thread's. */
struct server_passage;
typedef void server_deal(struct server_passage *passage, void *data);

struct server_options {
    server_handler *handler;    /* NULL only with deal */
    server_deal *deal;          /* gets every connection that is through its handshake, to hand it to server_adopt */
    void *data;
    struct tls_context *tls;    /* borrowed; NULL: plain HTTP (loopback /metrics) */
    size_t max_body;            /* 0: LIMIT_HTTP_BODY */
    size_t max_unfinished;      /* bytes of requests that are still coming, all together; past it, those go that hold most. 0: no limit */
    size_t max_connections;     /* 0: LIMIT_CONNECTIONS; more push out the oldest that never sent a request, or are closed */
    size_t max_per_peer;        /* connections from one address (IPv6: one /64); 0: no limit */
    int64_t idle_timeout_ms;    /* keep-alive without a request; 0: 90 s */
    int64_t request_timeout_ms; /* from first byte to whole request (slow loris), and the TLS handshake; 0: 10 s */
    size_t max_pending_output;  /* a peer that reads too slowly is dropped past this; 0: 8 MiB */
};

struct server_stats { /* counted since the start */
    uint64_t accepted, handshakes, handshakes_resumed, handshakes_failed, requests;
    uint64_t refused;          /* connections over max_connections */
    uint64_t refused_per_peer; /* and over max_per_peer */
    uint64_t pushed_out;       /* connections without a request, closed to make room */
    uint64_t unfinished;       /* requests given up because too many bytes of unfinished ones were held */
    uint64_t timeouts;         /* connections that were too slow: in the handshake, a request, reading an answer */
    uint64_t bad_requests;     /* that were no HTTP, and among them */
    uint64_t too_large;        /* over a limit (413, 431) */
    uint64_t unsupported;      /* of another version or transfer coding (501, 505) */
    size_t open;
};

int server_new(struct loop *loop, const struct server_options *options, struct server **ret, struct err *err) MUST_CHECK;
/* Closes everything at once, listeners included; on_gone runs for requests under way. */
struct server *server_free(struct server *server);
/*
 * address: "127.0.0.1", "0.0.0.0", "::"; port 0 takes a free one. tag comes back with every request of this listener
 * (fks-node: which Node was asked). ret may be NULL if never closed separately. ERR_EXISTS: the port is in use.
 */
int server_listen(struct server *server, const char *address, int port, void *tag, struct server_listener **ret,
                  struct err *err) MUST_CHECK;
/*
 * The same at a socket in the file system, which only this user can reach; one that is there already is replaced, any other
 * file is not: ERR_EXISTS. It stays when the server ends.
 */
int server_listen_unix(struct server *server, const char *path, void *tag, struct server_listener **ret,
                       struct err *err) MUST_CHECK;
int server_listener_port(const struct server_listener *listener); /* 0: a socket in the file system */
/* No new connections; those open live on with tag NULL. */
struct server_listener *server_listener_free(struct server_listener *listener);
/* New certificate for connections from now on; borrowed like the first. */
void server_set_tls(struct server *server, struct tls_context *tls);
/*
 * With options.deal, on the loop of the other server. Takes the passage over; a server that is full closes it. The two may
 * be freed in any order.
 */
void server_adopt(struct server *server, struct server_passage *passage);
struct server_passage *server_passage_free(struct server_passage *passage);
/* Connections that have ended. The one function that other threads may call: who deals knows how many are left. */
uint64_t server_ended(const struct server *server);
/* From now on every answer ends its connection, so that peers open the next one elsewhere. */
void server_announce_end(struct server *server);
/* Stops listening, ends idle connections, lets requests under way finish (at most timeout_ms), then calls done. */
void server_drain(struct server *server, int64_t timeout_ms, loop_callback *done, void *data);
const struct server_stats *server_stats(const struct server *server);

/* --- a request */
const struct http1_request *server_request_head(const struct server_request *request);
struct str server_request_body(const struct server_request *request);
void *server_request_tag(const struct server_request *request);
const struct tls_peer *server_request_peer(struct server_request *request); /* never NULL; common_name may be */
const char *server_request_address(const struct server_request *request);   /* "10.0.0.1:4711"; "@" behind server_listen_unix */
/* Path equals text / starts with prefix (percent-decoding not applied). */
bool server_request_is(const struct server_request *request, const char *method, const char *path);

/* The answer, whole; the request is over afterwards. Bytes are copied. content_type NULL: text/plain. */
void server_respond(struct server_request *request, int status, const char *content_type, const void *body, size_t len);
void server_respond_text(struct server_request *request, int status, const char *format, ...) PRINTF(3, 4);

/*
 * The answer in pieces (logs -f): begin, write any number of times, end. server_write returns the bytes not yet sent, so
 * a producer can pause, and negative once the peer is gone. on_drained, if set, runs when all of it was sent.
 */
void server_stream_begin(struct server_request *request, int status, const char *content_type);
int64_t server_stream_write(struct server_request *request, const void *data, size_t len);
void server_stream_on_drained(struct server_request *request, loop_callback *callback, void *data);
void server_stream_end(struct server_request *request);
/*
 * Begins an answer with a head of the caller's: any status of 200 and above, these lines (a Date if there is none among
 * them; those that tell where the answer ends are left out), content_length or -1 when it is not known. An answer that
 * does not come to so many bytes ends its connection.
 */
void server_stream_begin_as(struct server_request *request, int status, const struct http1_header *headers,
                            size_t n_headers, int64_t content_length);
/* Gives up in the middle, so that the peer does not take what it has for the whole. on_gone does not run. */
void server_stream_abort(struct server_request *request);

/*
 * Runs once if the peer goes away before the answer is complete; the request is gone when it returns, and must not be
 * answered any more. A request whose on_gone is not set is simply dropped by the server: do not touch it later.
 */
void server_on_gone(struct server_request *request, loop_callback *callback, void *data);

/*
 * Hands the connection over to another server: dials host:port (plain TCP), sends this request's head with target
 * replaced (and Authorization and Impersonate-* left out), then copies bytes both ways until both sides have ended. What
 * the other server answers, 101 or an error, goes back to the peer as it is. For exec, attach, port-forward. The request
 * is over for the caller; on_gone does not run. host: an IP address or "localhost". Failures to connect, a request that
 * asks for no upgrade, and an answer below 400 that is not 101 are answered with 500, as the kubelet does.
 */
void server_proxy(struct server_request *request, const char *host, int port, const char *target);
/*
 * The same by any way that wire.h knows, with these headers instead of the request's, but for those that tell where the
 * body ends. where is borrowed until the connection is made, so its texts must live as long as the server. Blocks while a
 * name is looked up.
 */
void server_proxy_as(struct server_request *request, const struct wire_options *where, const char *target,
                     const struct http1_header *headers, size_t n_headers);

DEFINE_CLEANUP_POINTER(struct server *, server_free)
