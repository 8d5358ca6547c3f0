/*
 * forward_proxy.h: proxies between us and a server: which one, and the way through it (HTTP CONNECT, SOCKS5). Pure: the
 * caller moves the bytes. libcurl goes through proxies by itself and only asks for the choice.
 */
#pragma once

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "net/dial.h"

/*
 * The proxy's URL for a server's URL, or NULL for none; heap string. configured: a kubeconfig's proxy-url, which serves
 * every URL, "" for none; NULL: HTTPS_PROXY, HTTP_PROXY and NO_PROXY (or in small letters) as Go understands them, and so
 * every other Kubernetes client: never for this machine itself.
 */
char *forward_proxy_choose(const char *configured, const char *url) MUST_CHECK;

enum forward_proxy_kind { FORWARD_PROXY_HTTP, FORWARD_PROXY_HTTPS, FORWARD_PROXY_SOCKS5 };

struct forward_proxy {
    enum forward_proxy_kind kind;
    struct dial_address address; /* where it is; to be dialled, HTTPS with TLS on top */
    char *user, *password;       /* or NULL */
    int step;                    /* how far the way is; forward_proxy.c's */
};
/* http, https and socks5 URLs; ERR_INVALID for any other. */
int forward_proxy_parse(const char *url, struct forward_proxy *ret, struct err *err) MUST_CHECK;
void forward_proxy_done(struct forward_proxy *proxy);

/*
 * One step of the way to target: takes what the proxy has said from `in`, adds what is to be sent to it to `out`. 0: send
 * out, read more into `in`, call again; 1: the connection now leads to the target (what is left in `in` came from there);
 * ERR_PARSE, ERR_REFUSED (the proxy's reason), ERR_INVALID (a name too long for SOCKS5).
 */
int forward_proxy_step(struct forward_proxy *proxy, const struct dial_address *target, struct buf *in, struct buf *out,
                       struct err *err) MUST_CHECK;

DEFINE_CLEANUP_IN_PLACE(struct forward_proxy, forward_proxy_done)
