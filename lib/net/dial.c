/*
 * dial.c: URLs of servers, names looked up, sockets begun. Knows neither TLS nor HTTP, and waits for nothing but the
 * resolver.
 */
#include "net/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

void dial_address_done(struct dial_address *address)
{
    free(address->host);
    free(address->port);
    free(address->target);
    *address = (struct dial_address){0};
}

/* A line break in a URL would end up in the request's head. */
static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text == 0x7f)
            return false;
    return true;
}

/* Takes authority apart, in place. */
static bool split_authority(char *authority, char **ret_host, char **ret_port)
{
    char *at = strrchr(authority, '@');
    char *host = at != NULL ? at + 1 : authority, *end = host + strcspn(host, ":");
    if (host[0] == '[') {
        end = strchr(host, ']');
        if (end == NULL)
            return false;
        host++;
        *end++ = '\0';
    }
    if (*end != '\0' && *end != ':')
        return false;
    *ret_port = *end == ':' && end[1] != '\0' ? end + 1 : NULL;
    *end = '\0';
    *ret_host = host;
    return host[0] != '\0';
}

int dial_parse_url(const char *url, struct dial_address *ret, struct err *err)
{
    bool tls = starts_with(url, "https://") || starts_with(url, "wss://");
    const char *rest = strstr(url, "://");
    char *host, *port;
    if (rest == NULL || !is_printable(url) || (!tls && !starts_with(url, "http://") && !starts_with(url, "ws://")))
        return err_set(err, ERR_INVALID, "'%s' is no http or https URL", url);
    rest += 3;
    size_t len = strcspn(rest, "/?#");
    CLEANUP(xfree) char *authority = xstrndup(rest, len);
    if (!split_authority(authority, &host, &port))
        return err_set(err, ERR_INVALID, "'%s' names no host", url);
    rest += len;
    ret->tls = tls;
    ret->host = xstrdup(host);
    ret->port = xstrdup(port != NULL ? port : tls ? "443" : "80");
    ret->target = xasprintf("%s%.*s", *rest == '/' ? "" : "/", (int)strcspn(rest, "#"), rest);
    return 0;
}

char *dial_authority(const struct dial_address *address)
{
    bool ipv6 = strchr(address->host, ':') != NULL;
    return xasprintf("%s%s%s:%s", ipv6 ? "[" : "", address->host, ipv6 ? "]" : "", address->port);
}

int dial_resolve(const struct dial_address *address, struct addrinfo **ret, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct in6_addr literal;
    if (inet_pton(AF_INET, address->host, &literal) == 1 || inet_pton(AF_INET6, address->host, &literal) == 1)
        hints.ai_flags = AI_NUMERICHOST;
    int failure = getaddrinfo(address->host, address->port, &hints, ret);
    if (failure != 0)
        return err_set(err, ERR_IO, "lookup %s: %s", address->host,
                       failure == EAI_NONAME ? "no such host" : gai_strerror(failure));
    return 0;
}

int dial_start(const struct addrinfo *info)
{
    CLEANUP(fd_close) int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1, idle_s = 30, interval_s = 10, result;
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    if (connect(fd, info->ai_addr, info->ai_addrlen) < 0 && errno != EINPROGRESS) {
        int errnum = errno;
        fd = fd_close(fd);
        errno = errnum;
        return -1;
    }
    result = fd;
    fd = -1;
    return result;
}

int dial_result(int fd)
{
    int failure = 0;
    socklen_t len = sizeof(failure);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0 ? errno : failure;
}
