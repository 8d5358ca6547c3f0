/*
 * wire.c: how a connection to a server comes to be, step by step: dial the server or the proxy before it, one address
 * after the other, go through the proxy, do TLS by net/tls.h. What the bytes mean, and how long it may take, is the
 * owner's business.
 */
#include "net/wire.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

void wire_done(struct wire *wire)
{
    tls_free(wire->tls);
    tls_free(wire->outer);
    tls_context_free(wire->context);
    if (wire->fd >= 0)
        (void)fd_close(wire->fd);
    if (wire->addresses != NULL)
        freeaddrinfo(wire->addresses);
    dial_address_done(&wire->server);
    forward_proxy_done(&wire->proxy);
    buf_done(&wire->in);
    buf_done(&wire->out);
    *wire = (struct wire){.fd = -1};
}

/* --- bytes */

int wire_read(struct wire *wire, void *data, size_t len, size_t *ret_n, struct err *err)
{
    ssize_t n;
    if (wire->tls != NULL)
        return tls_read(wire->tls, data, len, ret_n, err);
    do
        n = recv(wire->fd, data, len, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *ret_n = (size_t)n;
        return TLS_DONE;
    }
    if (n == 0)
        return TLS_CLOSED;
    return errno == EAGAIN ? TLS_WANT_READ : err_errno(err, errno, "reading");
}

int wire_write(struct wire *wire, const void *data, size_t len, size_t *ret_n, struct err *err)
{
    ssize_t n;
    if (wire->tls != NULL)
        return tls_write(wire->tls, data, len, ret_n, err);
    do
        n = send(wire->fd, data, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *ret_n = (size_t)n;
        return TLS_DONE;
    }
    return n == 0 || errno == EAGAIN ? TLS_WANT_WRITE : err_errno(err, errno, "writing");
}

void wire_shut(struct wire *wire)
{
    if (wire->tls != NULL)
        tls_shutdown(wire->tls);
    (void)shutdown(wire->fd, SHUT_WR);
}

/* --- dialling */

static const struct dial_address *first_stop(const struct wire *wire)
{
    return wire->has_proxy ? &wire->proxy.address : &wire->server;
}

char *wire_doing(const struct wire *wire)
{
    CLEANUP(xfree) char *authority = dial_authority(first_stop(wire));
    if (wire->stage == WIRE_DIALLING)
        return xasprintf("tcp %s", authority);
    return xstrdup(wire->stage == WIRE_PROXY ? "the proxy" : "TLS handshake");
}

static int dial_failure(const struct wire *wire, int errnum, struct err *err)
{
    CLEANUP(xfree) char *doing = wire_doing(wire);
    err_clear(err); /* of the address before */
    return err_set(err, errnum == ETIMEDOUT ? ERR_TIMEOUT : ERR_REFUSED, "%sdial %s: %s",
                   wire->has_proxy ? "proxyconnect tcp: " : "", doing,
                   errnum == ECONNREFUSED ? "connection refused" : strerror(errnum));
}

/* 0: under way; negative: no address is left, err is of the last one. */
static int dial_next(struct wire *wire, struct err *err)
{
    while (wire->next != NULL) {
        const struct addrinfo *info = wire->next;
        wire->next = info->ai_next;
        wire->fd = dial_start(info);
        if (wire->fd >= 0) {
            err_clear(err);
            return 0;
        }
        (void)dial_failure(wire, errno, err);
    }
    return (int)err->code;
}

int wire_begin(struct wire *wire, const struct wire_options *options, struct err *err)
{
    CLEANUP(xfree) char *proxy = forward_proxy_choose(options->proxy, options->url);
    *wire = (struct wire){.fd = -1, .options = options->tls};
    if (dial_parse_url(options->url, &wire->server, err) < 0)
        return (int)err->code;
    if (proxy != NULL && forward_proxy_parse(proxy, &wire->proxy, err) < 0)
        return (int)err->code;
    wire->has_proxy = proxy != NULL;
    if (dial_resolve(first_stop(wire), &wire->addresses, err) < 0) {
        CLEANUP(xfree) char *doing = wire_doing(wire);
        return err_wrap(err, "%sdial %s", wire->has_proxy ? "proxyconnect tcp: " : "", doing);
    }
    wire->next = wire->addresses;
    return dial_next(wire, err);
}

/* --- TLS with the one at the other end, inside the TLS that there may be already */

static int begin_tls(struct wire *wire, const char *host, struct err *err)
{
    const struct http_tls *given = &wire->options;
    const struct tls_client_options tls = {
        .ca_pem = given->ca_pem, .cert_pem = given->cert_pem, .key_pem = given->key_pem, .insecure = given->insecure};
    const char *name = given->server_name != NULL ? given->server_name : host;
    if (wire->context == NULL && tls_client_context_new(&tls, &wire->context, err) < 0)
        return (int)err->code;
    wire->outer = wire->tls;
    wire->tls = NULL;
    return wire->outer != NULL ? tls_new_inside(wire->context, wire->outer, name, &wire->tls, err)
                               : tls_new(wire->context, wire->fd, name, &wire->tls, err);
}

static int shake_hands(struct wire *wire, struct err *err)
{
    bool with_proxy = wire->stage == WIRE_TLS_WITH_PROXY;
    int result = tls_handshake(wire->tls, err);
    if (result == TLS_CLOSED)
        result = err_set(err, ERR_IO, "TLS handshake with %s: the connection was closed",
                         with_proxy ? wire->proxy.address.host : wire->server.host);
    return result < 0 && with_proxy ? err_wrap(err, "proxyconnect tcp") : result;
}

/* --- the way through a proxy */

/* Sends what is due, then takes what came. TLS_DONE: something came. */
static int exchange(struct wire *wire, struct err *err)
{
    size_t n = 0;
    int result = TLS_DONE;
    while (wire->out.len > 0 && result == TLS_DONE) {
        result = wire_write(wire, wire->out.data, wire->out.len, &n, err);
        if (result == TLS_DONE)
            buf_consume(&wire->out, n);
    }
    if (result == TLS_DONE) {
        char *room = buf_reserve(&wire->in, KIB(4));
        if (room == NULL)
            return err_set(err, ERR_TOO_BIG, "the proxy's answer is over %zu bytes", wire->in.max);
        result = wire_read(wire, room, KIB(4), &n, err);
        if (result == TLS_DONE)
            buf_advance(&wire->in, n);
    }
    return result == TLS_CLOSED ? err_set(err, ERR_IO, "the proxy: the connection was closed") : result;
}

static int pass_proxy(struct wire *wire, struct err *err)
{
    for (;;) {
        int result = forward_proxy_step(&wire->proxy, &wire->server, &wire->in, &wire->out, err);
        if (result == 1 && wire->in.len > 0)
            return err_set(err, ERR_PARSE, "the proxy: %zu bytes that nobody asked for", wire->in.len);
        if (result != 0)
            return result == 1 ? TLS_DONE : result;
        result = exchange(wire, err);
        if (result != TLS_DONE)
            return result;
    }
}

/* --- one stage after the other */

static int next_stage(struct wire *wire, struct err *err)
{
    enum wire_stage done = wire->stage;
    if (done == WIRE_DIALLING && wire->has_proxy && wire->proxy.kind == FORWARD_PROXY_HTTPS)
        wire->stage = WIRE_TLS_WITH_PROXY;
    else if (done == WIRE_TLS_WITH_PROXY || (done == WIRE_DIALLING && wire->has_proxy))
        wire->stage = WIRE_PROXY;
    else if (done != WIRE_TLS && wire->server.tls)
        wire->stage = WIRE_TLS;
    else
        wire->stage = WIRE_READY;
    if (wire->stage == WIRE_TLS_WITH_PROXY && begin_tls(wire, wire->proxy.address.host, err) < 0)
        return err_wrap(err, "proxyconnect tcp");
    return wire->stage == WIRE_TLS ? begin_tls(wire, wire->server.host, err) : 0;
}

static int step_once(struct wire *wire, struct err *err)
{
    if (wire->stage == WIRE_PROXY)
        return pass_proxy(wire, err);
    if (wire->stage != WIRE_DIALLING)
        return shake_hands(wire, err);
    int failure = dial_result(wire->fd);
    if (failure == 0)
        return TLS_DONE;
    wire->fd = fd_close(wire->fd);
    (void)dial_failure(wire, failure, err);
    int code = dial_next(wire, err);
    return code < 0 ? code : TLS_WANT_WRITE;
}

int wire_step(struct wire *wire, struct err *err)
{
    while (wire->stage != WIRE_READY) {
        int result = step_once(wire, err);
        if (result != TLS_DONE)
            return result;
        if (next_stage(wire, err) < 0)
            return (int)err->code;
    }
    return TLS_DONE;
}
