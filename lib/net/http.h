/*
 * http.h: HTTP client over libcurl's multi interface, driven by a loop. HTTP/2 where TLS negotiates it, many requests on
 * one connection; h2c with prior knowledge over a unix socket for gRPC. Only http_curl.c includes curl.
 *
 * Two ways to use one client: http_start() with a callback (daemons), or http_perform(), which turns the client's loop
 * until this request is done (command line; other requests of the client go on meanwhile).
 */
#pragma once

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/map.h"

/* Whom to trust and who we are. All PEM, all optional, borrowed until http_client_new returns (copied inside). */
struct http_tls {
    const char *ca_pem;      /* NULL: the system's authorities */
    const char *cert_pem, *key_pem;
    const char *server_name; /* expected name (SNI and verification) instead of the URL's host; see header of http.c */
    bool insecure;           /* no verification */
};

struct keeper;

struct http_client_options {
    struct http_tls tls;
    const char *unix_socket; /* connect here instead of to the URL's host */
    bool h2c;                /* HTTP/2 without TLS by prior knowledge */
    const char *proxy;       /* proxy URL, "" for none, NULL for the environment's */
    const char *user_agent;
    int64_t connect_timeout_ms; /* 0: 10 s */
    int64_t keepalive_ms; /* how often TCP asks a silent peer whether it is there; 0: 30 s. Without effect if light. */
    bool light; /* command lines: HTTP/1.1 without libcurl, which takes longer to load than a request takes; looks names up
                   in a blocking way. Without effect where libcurl is needed: h2c, unix socket, proxy. */
    struct keeper *keeper;   /* holds the connections of kept requests (net/keeper.h), borrowed; NULL: nobody does */
    const char *session_dir; /* light: TLS sessions are kept in this folder (net/tls.h); NULL: not at all */
};

struct http_client;
struct http_call; /* one request under way */

struct http_header {
    const char *name, *value;
};

struct http_request {
    const char *method; /* "GET" ... */
    const char *url;
    const struct http_header *headers; /* n_headers of them; copied */
    size_t n_headers;
    const void *body; /* copied; NULL: none */
    size_t body_len;
    int64_t timeout_ms;      /* whole request; 0: none (a watch) */
    int64_t idle_timeout_ms; /* no byte for so long ends it with ERR_TIMEOUT; 0: none */
    size_t max_response;     /* bytes of body kept; 0: LIMIT_HTTP_RESPONSE; streaming requests are not limited */
    bool dedicated;          /* a connection of its own (long streams beside latency-critical calls) */
    bool kept;               /* dedicated, not light: the server goes on with it when this process is killed or the client freed */
    bool together; /* light, GET: may be sent right behind another such request, before that one's answer is there: for
                      small answers that are wanted at once. Where calls have connections of their own, without effect. */
    bool head_first;         /* streaming: chunk is called with no bytes as soon as the head of the answer is there */
};

struct http_response {
    int status; /* 0 when no answer came */
    struct buf body; /* empty for streaming requests */
    struct map headers; /* lower-case name → char *, equal names joined by '\n', trailers included; read by the getters */
};
/* The value of a header or trailer (any case), or NULL. */
const char *http_response_header(const struct http_response *response, const char *name);
/* All values of a repeated header ("Warning"), joined by '\n', or NULL. */
const char *http_response_header_all(const struct http_response *response, const char *name);
void http_response_done(struct http_response *response);

/*
 * Called exactly once unless the call is cancelled. err is unset when an HTTP answer of any status came, else it tells
 * what failed: ERR_REFUSED, ERR_TIMEOUT, ERR_IO (TLS, reset), ERR_TOO_BIG. Both are borrowed: move what you keep.
 */
typedef void http_done(struct http_response *response, struct err *err, void *data);
/* Body bytes as they arrive, for streaming. response->status is known. Return false to abort (done gets ERR_CANCELLED). */
typedef bool http_chunk(const struct http_response *response, const char *bytes, size_t len, void *data);

/* loop may be NULL: the client makes its own, for http_perform only. */
int http_client_new(struct loop *loop, const struct http_client_options *options, struct http_client **ret,
                    struct err *err) MUST_CHECK;
/* Calls under way are cancelled. */
struct http_client *http_client_free(struct http_client *client);

/* chunk may be NULL: the body is collected. Never calls back before it returns. */
struct http_call *http_start(struct http_client *client, const struct http_request *request, http_chunk *chunk,
                             http_done *done, void *data);
/* Whether the server is there and has the word, in the TLS handshake or for its answer; false where that is not known. */
bool http_call_is_connected(const struct http_call *call);
/* Ends the call; done is not called. */
void http_cancel(struct http_call *call);
/*
 * Holds a streaming call's bytes back, for a reader that is slower than the server, which then has to wait, too. chunk may
 * be called once more. Not for calls of a light client, nor together with idle_timeout_ms.
 */
void http_pause(struct http_call *call);
void http_resume(struct http_call *call);
/* Blocking. 0 when an answer came (any status); *ret must be empty and is the caller's to http_response_done. */
int http_perform(struct http_client *client, const struct http_request *request, http_chunk *chunk, void *data,
                 struct http_response *ret, struct err *err) MUST_CHECK;

DEFINE_CLEANUP_IN_PLACE(struct http_response, http_response_done)
DEFINE_CLEANUP_POINTER(struct http_client *, http_client_free)
