/*
 * forward_proxy.c: the choice of a proxy by Go's rules (golang.org/x/net/http/httpproxy), CONNECT (RFC 9110 9.3.6) and
 * SOCKS5 with or without a password (RFC 1928, 1929). Names are left to the proxy to look up. Dials nothing.
 */
#include "net/forward_proxy.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/codec.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/http1_response.h"

#define SOCKS_TEXT_MAX 255 /* RFC 1928, 1929: lengths are one byte */

/* --- the choice */

static const char *env_any(const char *name, const char *small_name)
{
    const char *value = getenv(name);
    return strempty(value)[0] != '\0' ? value : getenv(small_name);
}

/* An address as 16 bytes, IPv4 mapped into IPv6, so that both kinds compare alike. */
static bool parse_ip(const char *text, unsigned char ret[16])
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    memcpy(ret, mapped, sizeof(mapped));
    return inet_pton(AF_INET, text, ret + 12) == 1 || inet_pton(AF_INET6, text, ret) == 1;
}

static bool is_this_machine(const struct dial_address *to, bool is_ip, const unsigned char ip[16])
{
    static const unsigned char loopback[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
    static const unsigned char loopback6[16] = {[15] = 1};
    return streq(to->host, "localhost") ||
           (is_ip && (memcmp(ip, loopback, sizeof(loopback)) == 0 || memcmp(ip, loopback6, sizeof(loopback6)) == 0));
}

/* "10.0.0.0/8", "fd00::/8" */
static bool is_in_network(const char *entry, const unsigned char ip[16], bool *ret_is_network)
{
    CLEANUP(err_clear) struct err ignored = {0};
    struct str address, length;
    unsigned char network[16];
    int64_t bits = 0;
    *ret_is_network = false;
    if (!str_cut(str_of(entry), '/', &address, &length))
        return false;
    CLEANUP(xfree) char *text = xstrndup(address.p, address.len);
    CLEANUP(xfree) char *digits = xstrndup(length.p, length.len);
    bool ipv6 = strchr(text, ':') != NULL;
    if (!parse_ip(text, network) || parse_int(digits, 0, ipv6 ? 128 : 32, &bits, &ignored) < 0)
        return false;
    *ret_is_network = true;
    size_t whole = (size_t)(bits + (ipv6 ? 0 : 96)), full = whole / 8;
    unsigned char mask = (unsigned char)(0xff00 >> whole % 8);
    return memcmp(network, ip, full) == 0 && (full == 16 || (network[full] & mask) == (ip[full] & mask));
}

/* "example.com" is itself and what is below, ".example.com" and "*.example.com" only what is below. */
static bool is_in_domain(const char *domain, const char *host)
{
    if (starts_with(domain, "*."))
        domain++;
    size_t len = strlen(host), domain_len = strlen(domain);
    if (domain[0] != '.' && strcasecmp(domain, host) == 0)
        return true;
    if (domain[0] == '.')
        return len >= domain_len && strcasecmp(host + len - domain_len, domain) == 0;
    return len > domain_len && host[len - domain_len - 1] == '.' && strcasecmp(host + len - domain_len, domain) == 0;
}

/* Takes "host:port" apart, in place; "[::1]:80" and "::1" too. */
static const char *cut_port(char *entry, char **ret_host)
{
    char *end = strrchr(entry, ':');
    *ret_host = entry;
    if (entry[0] == '[') {
        char *bracket = strchr(entry, ']');
        if (bracket == NULL || (bracket[1] != ':' && bracket[1] != '\0'))
            return "";
        *ret_host = entry + 1;
        *bracket = '\0';
        return bracket[1] == ':' ? bracket + 2 : "";
    }
    if (end == NULL || strchr(entry, ':') != end)
        return "";
    *end = '\0';
    return end + 1;
}

static bool is_excepted(char *entry, const struct dial_address *to, bool is_ip, const unsigned char ip[16])
{
    unsigned char other[16];
    bool is_network = false;
    char *host;
    if (entry[0] == '\0')
        return false;
    bool inside = is_in_network(entry, ip, &is_network);
    if (is_network)
        return is_ip && inside;
    const char *port = cut_port(entry, &host);
    if (host[0] == '\0' || (port[0] != '\0' && !streq(port, to->port)))
        return false;
    if (parse_ip(host, other))
        return is_ip && memcmp(other, ip, sizeof(other)) == 0;
    return !is_ip && is_in_domain(host, to->host);
}

static bool needs_no_proxy(const struct dial_address *to)
{
    CLEANUP(strv_done) struct strv entries = {0};
    unsigned char ip[16];
    bool is_ip = parse_ip(to->host, ip);
    if (is_this_machine(to, is_ip, ip))
        return true;
    strv_split(&entries, strempty(env_any("NO_PROXY", "no_proxy")), ',');
    for (size_t i = 0; i < entries.n; i++) {
        struct str entry = str_trim(str_of(entries.items[i]));
        CLEANUP(xfree) char *text = xstrndup(entry.p, entry.len);
        if (streq(text, "*") || is_excepted(text, to, is_ip, ip))
            return true;
    }
    return false;
}

char *forward_proxy_choose(const char *configured, const char *url)
{
    CLEANUP(dial_address_done) struct dial_address to = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    if (configured != NULL)
        return configured[0] != '\0' ? xstrdup(configured) : NULL;
    if (dial_parse_url(url, &to, &ignored) < 0)
        return NULL;
    const char *proxy = to.tls ? env_any("HTTPS_PROXY", "https_proxy") : env_any("HTTP_PROXY", "http_proxy");
    if (strempty(proxy)[0] == '\0' || needs_no_proxy(&to))
        return NULL;
    return strstr(proxy, "://") != NULL ? xstrdup(proxy) : xasprintf("http://%s", proxy);
}

/* --- one proxy */

void forward_proxy_done(struct forward_proxy *proxy)
{
    dial_address_done(&proxy->address);
    free(proxy->user);
    if (proxy->password != NULL)
        explicit_bzero(proxy->password, strlen(proxy->password));
    free(proxy->password);
    *proxy = (struct forward_proxy){0};
}

/* "user:p%40ss" of the URL. */
static int take_user(struct str userinfo, struct forward_proxy *proxy, struct err *err)
{
    struct str user, password;
    bool has_password = str_cut(userinfo, ':', &user, &password);
    CLEANUP(buf_done) struct buf name = {0}, secret = {0};
    if (url_decode(user.p, user.len, false, &name, err) < 0 ||
        (has_password && url_decode(password.p, password.len, false, &secret, err) < 0))
        return err_wrap(err, "name and password of the proxy");
    proxy->user = buf_take(&name);
    proxy->password = buf_take(&secret);
    return 0;
}

int forward_proxy_parse(const char *url, struct forward_proxy *ret, struct err *err)
{
    CLEANUP(forward_proxy_done) struct forward_proxy proxy = {0};
    bool socks = starts_with(url, "socks5://"), tls = starts_with(url, "https://");
    if (!socks && !tls && !starts_with(url, "http://"))
        return err_set(err, ERR_INVALID, "a proxy's URL begins with http://, https:// or socks5://");
    const char *rest = strstr(url, "://") + 3;
    size_t len = strcspn(rest, "/?#");
    const char *at = memrchr(rest, '@', len), *host = at != NULL ? at + 1 : rest;
    CLEANUP(xfree)
    char *plain = xasprintf("%s://%.*s", tls ? "https" : "http", (int)(len - (size_t)(host - rest)), host);
    if (dial_parse_url(plain, &proxy.address, err) < 0)
        return err_wrap(err, "the proxy");
    bool has_port = strrchr(plain, ':') > strrchr(plain, ']') && strrchr(plain, ':') > strstr(plain, "://");
    if (socks && !has_port) {
        free(proxy.address.port);
        proxy.address.port = xstrdup("1080");
    }
    proxy.kind = socks ? FORWARD_PROXY_SOCKS5 : tls ? FORWARD_PROXY_HTTPS : FORWARD_PROXY_HTTP;
    if (at != NULL && take_user((struct str){rest, (size_t)(at - rest)}, &proxy, err) < 0)
        return err->code;
    *ret = proxy;
    proxy = (struct forward_proxy){0};
    return 0;
}

/* --- CONNECT */

static void ask_connect(const struct forward_proxy *proxy, const struct dial_address *target, struct buf *out)
{
    CLEANUP(xfree) char *authority = dial_authority(target);
    buf_printf(out, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", authority, authority);
    if (proxy->user != NULL) {
        CLEANUP(buf_done) struct buf encoded = {0};
        CLEANUP(xfree) char *pair = xasprintf("%s:%s", proxy->user, strempty(proxy->password));
        base64_encode(pair, strlen(pair), &encoded);
        buf_printf(out, "Proxy-Authorization: Basic %s\r\n", buf_text(&encoded));
    }
    buf_add_str(out, "\r\n");
}

static int step_connect(struct forward_proxy *proxy, const struct dial_address *target, struct buf *in, struct buf *out,
                        struct err *err)
{
    struct http1_response response;
    if (proxy->step == 0) {
        proxy->step = 1;
        ask_connect(proxy, target, out);
        return 0;
    }
    int result = http1_parse_response(buf_text(in), in->len, true, &response, err);
    if (result < 0)
        return err_wrap(err, "the proxy");
    if (result == 0)
        return 0;
    if (response.status == 200) {
        buf_consume(in, response.head_len);
        return 1;
    }
    const char *reason = buf_text(in) + strlen("HTTP/1.1 200");
    size_t len = strcspn(reason, "\r");
    return err_set(err, ERR_REFUSED, "%.*s", (int)(len > 1 ? len - 1 : 0), len > 1 ? reason + 1 : reason);
}

/* --- SOCKS5 */

enum socks_step { SOCKS_BEGIN, SOCKS_METHOD, SOCKS_PASSWORD, SOCKS_REPLY };
#define SOCKS_VERSION 5
#define SOCKS_NO_PASSWORD 0
#define SOCKS_WITH_PASSWORD 2

static void add_bytes(struct buf *out, const void *bytes, size_t len)
{
    buf_add_char(out, (char)len);
    buf_add(out, bytes, len);
}

static int ask_socks(const struct dial_address *target, struct buf *out, struct err *err)
{
    CLEANUP(err_clear) struct err ignored = {0};
    unsigned char address[16];
    int64_t port = 0;
    if (strlen(target->host) > SOCKS_TEXT_MAX)
        return err_set(err, ERR_INVALID, "the host's name is too long for SOCKS5");
    if (parse_int(target->port, 1, 65535, &port, &ignored) < 0)
        return err_set(err, ERR_INVALID, "'%s' is no port", target->port);
    buf_add(out, "\5\1\0", 3); /* version, connect, reserved */
    if (inet_pton(AF_INET, target->host, address) == 1) {
        buf_add_char(out, 1);
        buf_add(out, address, 4);
    } else if (inet_pton(AF_INET6, target->host, address) == 1) {
        buf_add_char(out, 4);
        buf_add(out, address, 16);
    } else {
        buf_add_char(out, 3);
        add_bytes(out, target->host, strlen(target->host));
    }
    buf_add_char(out, (char)(port >> 8));
    buf_add_char(out, (char)port);
    return 0;
}

static int begin_socks(const struct forward_proxy *proxy, struct buf *out, struct err *err)
{
    if (proxy->user != NULL &&
        (strlen(proxy->user) > SOCKS_TEXT_MAX || strlen(strempty(proxy->password)) > SOCKS_TEXT_MAX))
        return err_set(err, ERR_INVALID, "name or password of the proxy is too long for SOCKS5");
    if (proxy->user != NULL)
        buf_add(out, "\5\2\0\2", 4);
    else
        buf_add(out, "\5\1\0", 3);
    return 0;
}

static int take_reply(struct buf *in, struct err *err)
{
    static const char *const failures[] = {"",
                                           "general SOCKS server failure",
                                           "connection not allowed by ruleset",
                                           "network unreachable",
                                           "host unreachable",
                                           "connection refused",
                                           "TTL expired",
                                           "command not supported",
                                           "address type not supported"};
    const unsigned char *bytes = (const unsigned char *)buf_text(in);
    if (in->len < 5)
        return 0;
    if (bytes[1] != 0)
        return err_set(err, ERR_REFUSED, "%s", bytes[1] < countof(failures) ? failures[bytes[1]] : "unknown code");
    size_t address_len = bytes[3] == 1 ? 4 : bytes[3] == 4 ? 16 : bytes[3] == 3 ? bytes[4] + (size_t)1 : 0;
    if (address_len == 0)
        return err_set(err, ERR_PARSE, "unknown address type %d", bytes[3]);
    if (in->len < 4 + address_len + 2)
        return 0;
    buf_consume(in, 4 + address_len + 2);
    return 1;
}

static int step_socks(struct forward_proxy *proxy, const struct dial_address *target, struct buf *in, struct buf *out,
                      struct err *err)
{
    const unsigned char *bytes = (const unsigned char *)buf_text(in);
    if (proxy->step == SOCKS_BEGIN) {
        proxy->step = SOCKS_METHOD;
        return begin_socks(proxy, out, err);
    }
    if (in->len < 2)
        return 0;
    int version = bytes[0], answer = bytes[1];
    if (version != (proxy->step == SOCKS_PASSWORD ? 1 : SOCKS_VERSION))
        return err_set(err, ERR_PARSE, "the proxy does not speak SOCKS5");
    if (proxy->step == SOCKS_REPLY)
        return take_reply(in, err);
    buf_consume(in, 2);
    if (proxy->step == SOCKS_METHOD && answer == SOCKS_WITH_PASSWORD && proxy->user != NULL) {
        proxy->step = SOCKS_PASSWORD;
        buf_add_char(out, 1);
        add_bytes(out, proxy->user, strlen(proxy->user));
        add_bytes(out, strempty(proxy->password), strlen(strempty(proxy->password)));
        return 0;
    }
    if (proxy->step == SOCKS_METHOD && answer != SOCKS_NO_PASSWORD)
        return err_set(err, ERR_REFUSED, "no acceptable authentication methods");
    if (proxy->step == SOCKS_PASSWORD && answer != 0)
        return err_set(err, ERR_REFUSED, "username/password authentication failed");
    proxy->step = SOCKS_REPLY;
    return ask_socks(target, out, err);
}

int forward_proxy_step(struct forward_proxy *proxy, const struct dial_address *target, struct buf *in, struct buf *out,
                       struct err *err)
{
    return proxy->kind == FORWARD_PROXY_SOCKS5 ? step_socks(proxy, target, in, out, err)
                                               : step_connect(proxy, target, in, out, err);
}
