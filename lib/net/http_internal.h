/*
 * http_internal.h: what http.c (calls and clients) and its two ways to move bytes share: http_curl.c, for daemons, gRPC and
 * proxies, and http_light.c, for command lines.
 */
#pragma once

#include "net/http.h"
#include "net/tls.h"

struct curl_api;         /* http_curl.c: libcurl's functions */
struct curl_pool;        /* http_curl.c: connections of one kind */
struct curl_transfer;    /* http_curl.c: a call there */
struct light_connection; /* http_light.c */

struct http_client {
    struct loop *loop;
    bool owns_loop;
    struct http_call *calls;
    char *ca_pem, *cert_pem, *key_pem, *server_name;
    char *unix_socket, *proxy, *user_agent, *session_dir;
    struct keeper *keeper;
    bool insecure, h2c, light;
    int64_t connect_timeout_ms, keepalive_ms;
    int depth;    /* callbacks under way: nothing is freed below them */
    bool busy;    /* a way is in the middle of something: it must not be called */
    bool unsettled, freed;
    const struct curl_api *curl; /* NULL: not needed so far */
    struct curl_pool *pools, *main, *apart; /* apart: for dedicated calls */
    struct light_connection *connections;
    struct tls_context *tls; /* http_light.c's */
};

struct http_call {
    struct http_client *client;
    struct http_call *prev, *next;
    bool light; /* which way it goes */
    bool begun;
    struct curl_transfer *transfer;
    struct light_connection *connection;
    struct http_call *follower; /* light: was sent behind this one, on the same connection */
    struct loop_timer *idle_timer;
    int64_t timeout_ms, idle_timeout_ms, last_byte_ms;
    char *method, *url;
    char *proxy; /* NULL: none */
    char *head; /* further header lines, each with CR LF */
    void *body; /* NULL: none */
    size_t body_len;
    struct http_response response;
    struct err err; /* why it failed, or why our own callback stopped it */
    size_t head_len;
    http_chunk *chunk;
    http_done *done;
    void *data;
    bool dedicated, kept, together, cancelled, finished;
    bool head_first, head_told;
    bool paused, held; /* held: bytes were refused and are kept by the way */
};

/* --- http.c, for the two ways */

/* A status line came: what was known of the answer is void. */
void http_call_status(struct http_call *call, int status);
/* Bytes of head came: false past LIMIT_HTTP_HEAD (call->err is set) or when the call is cancelled. */
bool http_call_head_bytes(struct http_call *call, size_t len);
/* One "Name: value" without line end; anything else is ignored. */
void http_call_header(struct http_call *call, const char *line, size_t len);
/* The head is complete: false to stop, as below. */
bool http_call_head_end(struct http_call *call);
/* Bytes of body: false to stop (call->err is set unless the call is cancelled). */
bool http_call_body(struct http_call *call, const char *bytes, size_t len);
/* Tells the owner and frees the call, which no way holds any more. It failed when call->err is set. */
void http_call_finish(struct http_call *call);
/* Frees a cancelled call. */
void http_call_drop(struct http_call *call);
/* Sets call->err for a connection that failed with errnum. */
void http_call_no_connection(struct http_call *call, int errnum, const char *text);
/* To be called around everything that may call back; leave does what was put off, and may free the client. */
void http_client_enter(struct http_client *client);
void http_client_leave(struct http_client *client);

/* --- the ways: begin a call; take it out again without telling anybody (also when it never began); free the rest */

int http_curl_load(struct http_client *client, struct err *err) MUST_CHECK;
void http_curl_begin(struct http_call *call);
void http_curl_end(struct http_call *call);
/* Hands out what was held while the call was paused. */
void http_curl_resume(struct http_call *call);
/* Connections that nobody needs any more. */
void http_curl_sweep(struct http_client *client);
void http_curl_done(struct http_client *client);

void http_light_begin(struct http_call *call);
void http_light_end(struct http_call *call);
bool http_light_is_connected(const struct http_call *call);
void http_light_done(struct http_client *client);
