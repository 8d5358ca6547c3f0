/*
 * wire.h: a connection of ours to a server that carries whatever its owner likes: TCP, through a forward proxy where there
 * is one, TLS on top for https. Nothing blocks but the look-up of a name: the owner waits for the descriptor, with poll
 * (ws.c) or a loop (proxy.c).
 */
#pragma once

#include "base/buf.h"
#include "net/dial.h"
#include "net/forward_proxy.h"
#include "net/http.h"
#include "net/tls.h"

struct wire_options {
    const char *url;     /* http, https, ws or wss; its path and query are not looked at */
    const char *proxy;   /* as in http.h: a proxy's URL, "" for none, NULL for the environment's */
    struct http_tls tls; /* borrowed until the wire is ready */
};

enum wire_stage { WIRE_DIALLING, WIRE_TLS_WITH_PROXY, WIRE_PROXY, WIRE_TLS, WIRE_READY };

/* {.fd = -1} is valid and empty. Only fd, stage and server are for others to read. */
struct wire {
    int fd; /* non-blocking; may be another one after a step */
    enum wire_stage stage;
    struct dial_address server;
    struct forward_proxy proxy;
    bool has_proxy;
    struct http_tls options;
    struct addrinfo *addresses;
    const struct addrinfo *next; /* to be tried when this one fails */
    struct tls_context *context; /* NULL: plain */
    struct tls *tls;             /* what bytes go through; NULL: plain */
    struct tls *outer;           /* to the proxy, when tls goes inside of it */
    struct buf in, out;          /* of the talk with the proxy */
};

/* Begins to dial: the first step is due when the descriptor is writable. ERR_INVALID, ERR_IO, ERR_REFUSED. */
int wire_begin(struct wire *wire, const struct wire_options *options, struct err *err) MUST_CHECK;
/*
 * Goes on. TLS_DONE: ready, bytes can flow; TLS_WANT_READ, TLS_WANT_WRITE: call again then; negative: ERR_REFUSED,
 * ERR_TIMEOUT, ERR_IO, ERR_PARSE. The descriptor that was waited for may be closed by this: stop waiting for it first.
 */
int wire_step(struct wire *wire, struct err *err) MUST_CHECK;
/* What is being done, for a message: "tcp 10.0.0.1:443", "the proxy", "TLS handshake". Heap string. */
char *wire_doing(const struct wire *wire) MUST_CHECK;
/* enum tls_result, or negative; *ret_n is written only on TLS_DONE, and is then not 0. */
int wire_read(struct wire *wire, void *data, size_t len, size_t *ret_n, struct err *err) MUST_CHECK;
int wire_write(struct wire *wire, const void *data, size_t len, size_t *ret_n, struct err *err) MUST_CHECK;
/* Tells the other side that nothing more comes; it may still send. */
void wire_shut(struct wire *wire);
void wire_done(struct wire *wire);

DEFINE_CLEANUP_IN_PLACE(struct wire, wire_done)
