/*
 * ws.h: WebSocket client (RFC 6455), blocking, for exec, attach and port-forward. wslay does the framing.
 */
#pragma once

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "net/http.h"

struct ws;

struct ws_options {
    const char *url; /* https://host:port/path?query */
    struct http_tls tls;
    const struct http_header *headers; /* Authorization, Impersonate-* */
    size_t n_headers;
    const char *const *protocols; /* Sec-WebSocket-Protocol offers, NULL-ended */
    const char *proxy;            /* as in http.h: a proxy's URL, "" for none, NULL for the environment's */
};

/*
 * Dials, handshakes, upgrades. A refusal by the server comes back with its body in *ret_refusal (a Status, usually),
 * err->http_status set.
 */
int ws_connect(const struct ws_options *options, struct ws **ret, struct buf *ret_refusal, struct err *err) MUST_CHECK;
struct ws *ws_free(struct ws *ws);
const char *ws_protocol(const struct ws *ws); /* the one chosen, "" for none */
/* To poll(2) for POLLIN before ws_receive. Before polling, and after every ws_send (which also reads), call ws_receive
   until it returns 0: messages may be waiting that poll cannot see. */
int ws_fd(const struct ws *ws);
/* One whole binary message: queued and sent, blocking until the kernel took it. */
int ws_send(struct ws *ws, const void *data, size_t len, struct err *err) MUST_CHECK;
/* 1: a whole message is in *ret (cleared first); 0: nothing complete yet; 2: the peer closed; negative: failed. */
int ws_receive(struct ws *ws, struct buf *ret, struct err *err) MUST_CHECK;
/* Sends a close frame. */
void ws_close(struct ws *ws);
DEFINE_CLEANUP_POINTER(struct ws *, ws_free)
