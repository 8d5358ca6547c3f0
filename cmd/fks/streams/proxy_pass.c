/*
 * proxy_pass.c: one request through `proxy`: to the API server with our credentials, unless it brings its own, and the
 * answer back as it comes. Headers go both ways, but for those that are about one connection only. A request for an
 * upgrade (exec, port-forward, a watch over WebSocket) becomes a connection of its own, joined by net/proxy.c.
 */
#include "proxy.h"

#include "base/mem.h"
#include "net/wire.h"
#include "objects/identity.h"

#define PENDING_MAX MIB(1) /* answers that the peer does not take yet; then the API server has to wait */
#define HEADERS_MAX (LIMIT_HTTP_HEADERS + IDENTITY_HEADERS_MAX + 4)

/* One request on its way. */
struct passing {
    const struct proxy_way *way;
    struct server_request *request; /* NULL once the peer has gone */
    struct http_call *call;
    bool begun;
};

/* --- headers */

/* RFC 9110 7.6.1, and the names that Go's reverse proxy leaves out beside them. */
static bool is_hop_by_hop(struct str name)
{
    static const char *const names[] = {"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate",
                                        "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"};
    for (size_t i = 0; i < countof(names); i++)
        if (str_is_nocase(name, names[i]))
            return true;
    return false;
}

/* Whether a Connection header's list has the name. */
static bool is_listed(struct str list, struct str name)
{
    struct str option;
    while (list.len > 0) {
        (void)str_cut(list, ',', &option, &list);
        option = str_trim(option);
        CLEANUP(xfree) char *text = xstrndup(strempty(option.p), option.len);
        if (option.len > 0 && str_is_nocase(name, text))
            return true;
    }
    return false;
}

static bool is_listed_anywhere(const struct http1_request *head, struct str name)
{
    for (size_t i = 0; i < head->n_headers; i++)
        if (str_is_nocase(head->headers[i].name, "Connection") && is_listed(head->headers[i].value, name))
            return true;
    return false;
}

static bool has(const struct http1_request *head, const char *name)
{
    return http1_header(head, name).len > 0;
}

/* What is sent to the API server; {0} is empty. */
struct outgoing {
    struct http1_header list[HEADERS_MAX];
    size_t n;
    struct identity identity;
    struct strv texts; /* owns values */
};

static void outgoing_done(struct outgoing *out)
{
    identity_done(&out->identity);
    strv_done(&out->texts);
}

static void add_text(struct outgoing *out, const char *name, const char *value)
{
    if (out->n < countof(out->list))
        out->list[out->n++] = (struct http1_header){{name, strlen(name)}, {value, strlen(value)}};
}

/* Who has asked before us, and whom we hear it from; a socket in the file system has no address. */
static void add_forwarded_for(const struct server_request *request, struct outgoing *out)
{
    const struct http1_request *head = server_request_head(request);
    const char *address = server_request_address(request), *colon = strrchr(address, ':');
    CLEANUP(buf_done) struct buf value = {0};
    for (size_t i = 0; i < head->n_headers; i++) {
        const struct http1_header *header = &head->headers[i];
        if (str_is_nocase(header->name, "X-Forwarded-For"))
            buf_printf(&value, "%s%.*s", value.len > 0 ? ", " : "", (int)header->value.len, header->value.p);
    }
    if (colon != NULL) {
        bool ipv6 = address[0] == '[';
        buf_printf(&value, "%s%.*s", value.len > 0 ? ", " : "", (int)(colon - address) - 2 * ipv6, address + ipv6);
    }
    if (value.len == 0)
        return;
    strv_take(&out->texts, buf_take(&value));
    add_text(out, "X-Forwarded-For", out->texts.items[out->texts.n - 1]);
}

/* Our name and the rights that we lend, where the request has none of its own. */
static int add_identity(const struct proxy_way *way, const struct http1_request *head, struct outgoing *out,
                        struct err *err)
{
    if (identity_of(way->config, &out->identity, err) < 0)
        return err->code;
    for (size_t i = 0; i < out->identity.n; i++) {
        const struct http_header *header = &out->identity.list[i];
        bool given = starts_with(header->name, "Impersonate-") ? has(head, "Impersonate-User") : has(head, "Authorization");
        if (!given)
            add_text(out, header->name, header->value);
    }
    return 0;
}

static int make_headers(const struct proxy_way *way, const struct server_request *request, const char *host,
                        struct outgoing *out, struct err *err)
{
    const struct http1_request *head = server_request_head(request);
    add_text(out, "Host", host);
    for (size_t i = 0; i < head->n_headers; i++) {
        const struct http1_header *header = &head->headers[i];
        bool hop = !head->upgrade && (is_hop_by_hop(header->name) || is_listed_anywhere(head, header->name));
        bool ours = str_is_nocase(header->name, "Host") || str_is_nocase(header->name, "X-Forwarded-For") ||
                    str_is_nocase(header->name, "Content-Length") || str_is_nocase(header->name, "Expect");
        if (!hop && !ours)
            out->list[out->n++] = *header;
    }
    add_forwarded_for(request, out);
    if (head->upgrade && !has(head, "User-Agent"))
        add_text(out, "User-Agent", PROXY_USER_AGENT); /* otherwise the client adds its own */
    return add_identity(way, head, out, err);
}

/* --- the answer */

/* "content-type" → "Content-Type". */
static void capitalise(char *name)
{
    for (char *c = name; *c != '\0'; c++)
        if ((c == name || c[-1] == '-') && *c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
}

/* Keys of a response's map in order, as Go writes them, so that answers look the same each time. */
static void sorted_names(const struct http_response *response, struct strv *ret)
{
    const char *name;
    void *values;
    for (size_t i = 0; map_next(&response->headers, &i, &name, &values);)
        strv_add(ret, name);
    strv_sort(ret);
}

static int64_t length_of(const struct http_response *response)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *text = http_response_header(response, "Content-Length");
    int64_t length = -1;
    return text != NULL && parse_int(text, 0, INT64_MAX, &length, &err) == 0 ? length : -1;
}

static void begin_answer(struct passing *passing, const struct http_response *response)
{
    const char *connection = strempty(http_response_header_all(response, "Connection"));
    struct http1_header list[LIMIT_HTTP_HEADERS];
    CLEANUP(strv_done) struct strv names = {0};
    size_t n = 0;
    sorted_names(response, &names);
    for (size_t i = 0; i < names.n; i++) {
        struct str name = {names.items[i], strlen(names.items[i])};
        const char *values = strempty(http_response_header_all(response, names.items[i]));
        if (is_hop_by_hop(name) || is_listed((struct str){connection, strlen(connection)}, name))
            continue;
        capitalise(names.items[i]);
        struct str value, rest = {values, strlen(values)};
        do {
            (void)str_cut(rest, '\n', &value, &rest);
            if (n < countof(list))
                list[n++] = (struct http1_header){name, value};
        } while (rest.len > 0);
    }
    server_stream_begin_as(passing->request, response->status, list, n, length_of(response));
    passing->begun = true;
}

static void on_drained(void *data)
{
    struct passing *passing = data;
    http_resume(passing->call);
}

static bool on_bytes(const struct http_response *response, const char *bytes, size_t len, void *data)
{
    struct passing *passing = data;
    if (passing->request == NULL || response->status < 200 || response->status > 599)
        return false;
    if (!passing->begun)
        begin_answer(passing, response);
    int64_t pending = server_stream_write(passing->request, bytes, len);
    if (pending > (int64_t)PENDING_MAX) {
        server_stream_on_drained(passing->request, on_drained, passing);
        http_pause(passing->call);
    }
    return pending >= 0;
}

/* Without the "METHOD URL: " that the client puts before its reasons: whoever asked knows what. */
static void refuse(struct server_request *request, const struct err *err, const char *base)
{
    const char *text = err_text(err), *url = strstr(text, base), *reason = url != NULL ? strstr(url, ": ") : NULL;
    if (reason != NULL)
        text = reason + 2;
    fprintf(stderr, "error: while proxying request: %s\n", text);
    server_respond_text(request, 500, "%s\n", text);
}

static void on_answer(struct http_response *response, struct err *err, void *data)
{
    struct passing *passing = data;
    if (passing->request != NULL && err->code != 0 && !passing->begun) {
        refuse(passing->request, err, passing->way->base);
    } else if (passing->request != NULL && err->code != 0) {
        server_stream_abort(passing->request);
    } else if (passing->request != NULL) {
        if (!passing->begun)
            begin_answer(passing, response);
        server_stream_end(passing->request);
    }
    free(passing);
}

static void on_gone(void *data)
{
    struct passing *passing = data;
    passing->request = NULL;
    http_cancel(passing->call);
    free(passing);
}

/* --- on its way */

static void start_call(const struct proxy_way *way, struct server_request *request, const char *target,
                       const struct outgoing *headers)
{
    const struct http1_request *head = server_request_head(request);
    struct http_header list[HEADERS_MAX];
    CLEANUP(strv_done) struct strv texts = {0};
    for (size_t i = 0; i < headers->n; i++) {
        const struct http1_header *header = &headers->list[i];
        strv_take(&texts, xstrndup(header->name.p, header->name.len));
        strv_take(&texts, xstrndup(strempty(header->value.p), header->value.len));
        list[i] = (struct http_header){texts.items[2 * i], texts.items[2 * i + 1]};
    }
    CLEANUP(xfree) char *url = xasprintf("%s%s", way->base, target);
    CLEANUP(xfree) char *method = xstrndup(head->method.p, head->method.len);
    struct str body = server_request_body(request);
    const struct http_request out = {.method = method,
                                     .url = url,
                                     .headers = list,
                                     .n_headers = headers->n,
                                     .body = body.len > 0 ? body.p : NULL,
                                     .body_len = body.len,
                                     .head_first = true};
    struct passing *passing = NEW(struct passing);
    passing->way = way;
    passing->request = request;
    server_on_gone(request, on_gone, passing);
    passing->call = http_start(way->client, &out, on_bytes, on_answer, passing);
}

static void upgrade(const struct proxy_way *way, struct server_request *request, const char *target,
                    const struct outgoing *headers)
{
    const struct kube_config *config = way->config;
    const struct wire_options where = {.url = way->base,
                                       .proxy = config->proxy_url,
                                       .tls = {.ca_pem = config->ca_pem,
                                               .cert_pem = config->cert_pem,
                                               .key_pem = config->key_pem,
                                               .server_name = config->tls_server_name,
                                               .insecure = config->insecure}};
    const char *path = way->base + strcspn(way->base, "/");
    path += strspn(path, "/");
    path += strcspn(path, "/"); /* what --append-server-path put behind the host */
    CLEANUP(xfree) char *whole = xasprintf("%s%s", path, target);
    server_proxy_as(request, &where, whole, headers->list, headers->n);
}

void proxy_pass(const struct proxy_way *way, struct server_request *request, const char *target)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *host = strstr(way->base, "://");
    host = host != NULL ? host + 3 : way->base;
    CLEANUP(xfree) char *authority = xstrndup(host, strcspn(host, "/"));
    struct outgoing headers = {0};
    if (make_headers(way, request, authority, &headers, &err) < 0)
        server_respond_text(request, 500, "%s\n", err_text(&err));
    else if (server_request_head(request)->upgrade)
        upgrade(way, request, target, &headers);
    else
        start_call(way, request, target, &headers);
    outgoing_done(&headers);
}
