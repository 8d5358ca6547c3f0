/*
 * dial.h: from a URL to a socket that is being connected, for the clients that do without libcurl (http_light.c, ws.c).
 * How they wait for it is theirs.
 */
#pragma once

#include <netdb.h>

#include "base/compiler.h"
#include "base/err.h"

struct dial_address {
    char *host, *port; /* host without brackets; port 80 or 443 if the URL has none */
    char *target;      /* path and query as they are sent */
    bool tls;          /* https, wss */
};
/* ERR_INVALID: no http, https, ws or wss URL. Name and password in it are left out. */
int dial_parse_url(const char *url, struct dial_address *ret, struct err *err) MUST_CHECK;
void dial_address_done(struct dial_address *address);
/* "host:port", an IPv6 address in brackets: what a Host header has. Heap string. */
char *dial_authority(const struct dial_address *address) MUST_CHECK;

/* Blocks while a name is looked up; freeaddrinfo(*ret) afterwards. ERR_IO "lookup H: no such host". */
int dial_resolve(const struct dial_address *address, struct addrinfo **ret, struct err *err) MUST_CHECK;
/* A non-blocking TCP socket that is being connected, to be waited for until it is writable; -1 and errno. */
int dial_start(const struct addrinfo *info) MUST_CHECK;
/* Once it is writable: 0, or the errno that it failed with. */
int dial_result(int fd);

DEFINE_CLEANUP_IN_PLACE(struct dial_address, dial_address_done)
