/*
 * http.c: HTTP client. libcurl's multi interface does the protocol, base/loop.h the waiting: curl tells which sockets and
 * which timeout it wants, and is called back through curl_multi_socket_action. Retries, authentication and JSON are the
 * business of kube/client.c; gRPC framing that of cri/grpc.c.
 *
 * Connections live in pools (one CURLM each). Ordinary calls share the main pool and its HTTP/2 connection, a dedicated
 * call gets a pool of its own. When a call dies without an answer, the main pool is retired: calls in it may finish, new
 * ones start on a fresh connection, so a peer that went away silently cannot spoil every later request.
 *
 * curl may not be re-entered from its own callbacks, so what a chunk callback starts or cancels is only noted, and done
 * by settle() when curl has returned.
 *
 * tls.server_name: curl verifies the host of the URL and nothing else, so the URL is rewritten to that name and
 * CURLOPT_CONNECT_TO sends the connection to the real host and port.
 */
#include "net/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#define CONNECT_TIMEOUT_MS 10000
#define RECEIVE_BUFFER KIB(64)
/* A peer that acknowledges nothing for so long is gone; without it the kernel tries for 15 minutes. */
#define UNACKNOWLEDGED_MAX_MS 20000
/* Idle connections older than this are not used again: shorter than what proxies and NAT tables keep. */
#define IDLE_CONNECTION_MAX_S 90L

struct pool {
    struct http_client *client;
    CURLM *multi;
    struct loop_timer *timer;
    size_t n_calls;
    bool dedicated, retired; /* either: goes with its last call */
    struct pool *next;
};

struct http_client {
    struct loop *loop;
    bool owns_loop;
    struct pool *pools, *main;
    struct http_call *calls;
    char *ca_pem, *cert_pem, *key_pem, *server_name;
    char *unix_socket, *proxy, *user_agent;
    bool insecure, h2c, env_proxy;
    int64_t connect_timeout_ms;
    int depth;    /* callbacks under way: nothing is freed below them */
    bool in_curl; /* curl is on the stack: it must not be called */
    bool unsettled, freed;
};

struct http_call {
    struct http_client *client;
    struct http_call *prev, *next;
    struct pool *pool; /* NULL until started */
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    struct loop_timer *idle_timer;
    int64_t idle_timeout_ms, last_byte_ms;
    char *method, *url; /* for error texts */
    void *body;
    char error_text[CURL_ERROR_SIZE];
    struct http_response response;
    struct err err; /* why our own callback stopped curl */
    size_t head_len;
    http_chunk *chunk;
    http_done *done;
    void *data;
    bool dedicated, cancelled, finished;
};

static void settle(struct http_client *client);

/* --- responses */

static char *lower(const char *text, size_t len)
{
    char *copy = xstrndup(text, len);
    for (char *c = copy; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return copy;
}

const char *http_response_header_all(const struct http_response *response, const char *name)
{
    CLEANUP(xfree) char *key = lower(name, strlen(name));
    return map_get(&response->headers, key);
}

const char *http_response_header(const struct http_response *response, const char *name)
{
    const char *all = http_response_header_all(response, name);
    const char *last = all != NULL ? strrchr(all, '\n') : NULL;
    return last != NULL ? last + 1 : all;
}

static void headers_clear(struct http_response *response)
{
    const char *key;
    void *value;
    for (size_t i = 0; map_next(&response->headers, &i, &key, &value);)
        free(value);
    map_done(&response->headers);
    response->headers = (struct map){0};
}

void http_response_done(struct http_response *response)
{
    headers_clear(response);
    buf_done(&response->body);
    *response = (struct http_response){0};
}

/* --- curl's callbacks for one transfer */

/* Status lines start a new set of headers: 100 Continue or a proxy's answer may come before the one that counts. */
static size_t on_header(char *line, size_t size, size_t n, void *data)
{
    struct http_call *call = data;
    size_t len = size * n;
    call->last_byte_ms = loop_now_ms(call->client->loop);
    call->head_len += len;
    if (call->cancelled)
        return 0;
    if (call->head_len > LIMIT_HTTP_HEAD) {
        (void)err_set(&call->err, ERR_TOO_BIG, "%s %s: response headers are over %zu bytes", call->method, call->url,
                      (size_t)LIMIT_HTTP_HEAD);
        return 0;
    }
    struct str head, value;
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
        long status = 0;
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        call->response.status = (int)status;
        headers_clear(&call->response);
        return len;
    }
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    if (!str_cut((struct str){line, len}, ':', &head, &value))
        return size * n;
    value = str_trim(value);
    CLEANUP(xfree) char *key = lower(head.p, head.len);
    const char *before = map_get(&call->response.headers, key);
    char *text = before != NULL ? xasprintf("%s\n%.*s", before, (int)value.len, value.p) : xstrndup(value.p, value.len);
    free(map_set(&call->response.headers, key, text));
    return size * n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *data)
{
    struct http_call *call = data;
    size_t len = size * n;
    call->last_byte_ms = loop_now_ms(call->client->loop);
    if (call->cancelled)
        return 0;
    if (call->chunk != NULL) {
        bool go_on = call->chunk(&call->response, bytes, len, call->data);
        if (call->cancelled)
            return 0;
        if (go_on)
            return len;
        (void)err_set(&call->err, ERR_CANCELLED, "%s %s: stopped by the reader", call->method, call->url);
        return 0;
    }
    if (buf_add(&call->response.body, bytes, len))
        return len;
    (void)err_set(&call->err, ERR_TOO_BIG, "%s %s: the response is over %zu bytes", call->method, call->url,
                  call->response.body.max);
    return 0;
}

/* curl's own socket() call leaves the descriptor open across exec. */
static curl_socket_t on_open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)data;
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
    if (fd >= 0 && (address->family == AF_INET || address->family == AF_INET6)) {
        unsigned int limit = UNACKNOWLEDGED_MAX_MS;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof(limit));
    }
    return fd;
}

/* --- pools: curl on the loop */

static struct http_call *call_of(CURL *easy)
{
    char *call = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
    return (struct http_call *)(void *)call;
}

/* Takes the call out of curl and out of the client; it stays allocated. */
static void call_detach(struct http_call *call)
{
    struct http_client *client = call->client;
    if (call->pool != NULL) {
        curl_multi_remove_handle(call->pool->multi, call->easy);
        call->pool->n_calls--;
        call->pool = NULL;
        client->unsettled = true;
    }
    if (call->prev != NULL)
        call->prev->next = call->next;
    else if (client->calls == call)
        client->calls = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    call->prev = call->next = NULL;
    call->idle_timer = loop_timer_free(call->idle_timer);
}

static void call_destroy(struct http_call *call)
{
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    curl_slist_free_all(call->connect_to);
    http_response_done(&call->response);
    err_clear(&call->err);
    free(call->method);
    free(call->url);
    free(call->body);
    free(call);
}

/* X509_V_ERR_*: the words are those that Go's TLS and therefore kubectl use. */
static const char *verify_text(const struct http_call *call)
{
    long result = 0;
    curl_easy_getinfo(call->easy, CURLINFO_SSL_VERIFYRESULT, &result);
    switch (result) {
    case 2:  /* unable to get issuer certificate */
    case 18: /* self-signed */
    case 19: /* self-signed in chain */
    case 20: /* unable to get local issuer certificate */
    case 21: /* unable to verify leaf signature */
        return "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    case 9:  /* not yet valid */
    case 10: /* expired */
        return "tls: failed to verify certificate: x509: certificate has expired or is not yet valid";
    default:
        return call->error_text[0] != '\0' ? call->error_text : "tls: failed to verify certificate";
    }
}

static void set_failure(struct http_call *call, CURLcode code)
{
    const char *text = call->error_text[0] != '\0' ? call->error_text : curl_easy_strerror(code);
    long errnum = 0;
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &errnum);
        (void)err_set(&call->err, errnum == ETIMEDOUT ? ERR_TIMEOUT : ERR_REFUSED, "%s %s: %s", call->method, call->url,
                      errnum == ECONNREFUSED ? "connection refused" : errnum != 0 ? strerror((int)errnum) : text);
        return;
    case CURLE_OPERATION_TIMEDOUT:
        (void)err_set(&call->err, ERR_TIMEOUT, "%s %s: %s", call->method, call->url, text);
        return;
    case CURLE_PEER_FAILED_VERIFICATION:
        text = verify_text(call);
        break;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        (void)err_set(&call->err, ERR_INVALID, "%s %s: %s", call->method, call->url, text);
        return;
    default:
        break;
    }
    (void)err_set(&call->err, ERR_IO, "%s %s: %s", call->method, call->url, text);
}

/* Tells the owner and frees the call. err is set in the call unless an answer came. */
static void finish(struct http_call *call)
{
    struct pool *pool = call->pool;
    bool lost = call->err.code == ERR_IO || call->err.code == ERR_TIMEOUT;
    if (pool != NULL && lost && call->head_len == 0 && pool == call->client->main) {
        pool->retired = true;
        call->client->main = NULL;
    }
    call->finished = true;
    call_detach(call);
    if (call->err.code != 0)
        call->response.status = 0;
    call->done(&call->response, &call->err, call->data);
    call_destroy(call);
}

static void collect(struct pool *pool)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(pool->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        struct http_call *call = call_of(message->easy_handle);
        if (call->cancelled) {
            call_detach(call);
            call_destroy(call);
            continue;
        }
        if (code != CURLE_OK && call->err.code == 0)
            set_failure(call, code);
        finish(call);
    }
}

static void drive(struct pool *pool, curl_socket_t fd, int bits)
{
    struct http_client *client = pool->client;
    int running;
    client->depth++;
    client->in_curl = true;
    curl_multi_socket_action(pool->multi, fd, bits, &running);
    client->in_curl = false;
    collect(pool);
    client->depth--;
    settle(client);
}

static void on_fd(struct loop_fd *source, uint32_t events, void *data)
{
    int bits = 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
        bits |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        bits |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        bits |= CURL_CSELECT_ERR;
    drive(data, loop_fd_number(source), bits);
}

static void on_timer(void *data)
{
    drive(data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_want_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *fd_data)
{
    struct pool *pool = data;
    struct loop_fd *source = fd_data;
    CLEANUP(err_clear) struct err err = {0};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (source != NULL)
            loop_fd_free(source);
        curl_multi_assign(pool->multi, fd, NULL);
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
    if (source != NULL)
        return loop_fd_modify(source, events, &err) < 0 ? -1 : 0;
    if (loop_fd_new(pool->client->loop, fd, events, on_fd, pool, &source, &err) < 0)
        return -1;
    curl_multi_assign(pool->multi, fd, source);
    return 0;
}

static int on_want_timer(CURLM *multi, long timeout_ms, void *data)
{
    struct pool *pool = data;
    (void)multi;
    if (timeout_ms < 0)
        loop_timer_cancel(pool->timer);
    else
        loop_timer_set(pool->timer, timeout_ms);
    return 0;
}

static struct pool *pool_new(struct http_client *client, bool dedicated)
{
    struct pool *pool = NEW(struct pool);
    pool->client = client;
    pool->dedicated = dedicated;
    pool->multi = curl_multi_init();
    pool->timer = loop_timer_new(client->loop, on_timer, pool);
    curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, on_want_socket);
    curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool);
    curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, on_want_timer);
    curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool);
    pool->next = client->pools;
    client->pools = pool;
    return pool;
}

static void pool_destroy(struct pool *pool)
{
    curl_multi_cleanup(pool->multi);
    loop_timer_free(pool->timer);
    free(pool);
}

/* --- what waits until no callback is on the stack */

static void call_begin(struct http_call *call)
{
    struct http_client *client = call->client;
    if (!call->dedicated && client->main == NULL)
        client->main = pool_new(client, false);
    call->pool = call->dedicated ? pool_new(client, true) : client->main;
    call->pool->n_calls++;
    curl_multi_add_handle(call->pool->multi, call->easy);
}

static void client_destroy(struct http_client *client)
{
    while (client->calls != NULL) {
        struct http_call *call = client->calls;
        call_detach(call);
        call_destroy(call);
    }
    while (client->pools != NULL) {
        struct pool *pool = client->pools;
        client->pools = pool->next;
        pool_destroy(pool);
    }
    if (client->owns_loop)
        loop_free(client->loop);
    if (client->key_pem != NULL)
        explicit_bzero(client->key_pem, strlen(client->key_pem));
    free(client->ca_pem);
    free(client->cert_pem);
    free(client->key_pem);
    free(client->server_name);
    free(client->unix_socket);
    free(client->proxy);
    free(client->user_agent);
    free(client);
    curl_global_cleanup();
}

static void settle(struct http_client *client)
{
    if (client->depth > 0)
        return;
    if (client->freed) {
        client_destroy(client);
        return;
    }
    if (!client->unsettled)
        return;
    client->unsettled = false;
    for (struct http_call *call = client->calls, *next; call != NULL; call = next) {
        next = call->next;
        if (call->cancelled) {
            call_detach(call);
            call_destroy(call);
        } else if (call->pool == NULL) {
            call_begin(call);
        }
    }
    for (struct pool **link = &client->pools; *link != NULL;) {
        struct pool *pool = *link;
        if (pool->n_calls == 0 && (pool->dedicated || pool->retired)) {
            *link = pool->next;
            pool_destroy(pool);
        } else {
            link = &pool->next;
        }
    }
}

/* --- clients */

/* Go, and so every other Kubernetes client, never sends loopback traffic to the environment's proxy; curl would. */
static bool env_has_proxy(void)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < countof(names); i++)
        if (strempty(getenv(names[i]))[0] != '\0')
            return true;
    return false;
}

static bool host_is_loopback(const char *host)
{
    return streq(host, "localhost") || starts_with(host, "127.") || streq(host, "[::1]");
}

int http_client_new(struct loop *loop, const struct http_client_options *options, struct http_client **ret,
                    struct err *err)
{
    if (curl_global_init(CURL_GLOBAL_SSL) != CURLE_OK)
        return err_set(err, ERR_INTERNAL, "libcurl cannot be initialised");
    struct http_client *client = NEW(struct http_client);
    client->loop = loop;
    if (loop == NULL) {
        if (loop_new(&client->loop, err) < 0) {
            client_destroy(client);
            return (int)err->code;
        }
        client->owns_loop = true;
    }
    client->ca_pem = xstrdup(options->tls.ca_pem);
    client->cert_pem = xstrdup(options->tls.cert_pem);
    client->key_pem = xstrdup(options->tls.key_pem);
    client->server_name = xstrdup(options->tls.server_name);
    client->insecure = options->tls.insecure;
    client->unix_socket = xstrdup(options->unix_socket);
    client->proxy = xstrdup(options->proxy);
    client->user_agent = xstrdup(options->user_agent);
    client->h2c = options->h2c;
    client->env_proxy = options->proxy == NULL && options->unix_socket == NULL && env_has_proxy();
    client->connect_timeout_ms = options->connect_timeout_ms > 0 ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    *ret = client;
    return 0;
}

struct http_client *http_client_free(struct http_client *client)
{
    if (client == NULL)
        return NULL;
    client->freed = true;
    for (struct http_call *call = client->calls; call != NULL; call = call->next)
        call->cancelled = true;
    settle(client);
    return NULL;
}

/* --- requests */

static void set_pem(CURL *easy, CURLoption option, char *pem)
{
    if (pem == NULL)
        return;
    struct curl_blob blob = {.data = pem, .len = strlen(pem), .flags = CURL_BLOB_NOCOPY};
    curl_easy_setopt(easy, option, &blob);
}

static void set_tls(struct http_client *client, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (client->insecure) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (client->insecure || client->ca_pem != NULL) {
        /* Our authority only: the system's would be trusted beside it, and take milliseconds to load. */
        curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
        set_pem(easy, CURLOPT_CAINFO_BLOB, client->ca_pem);
    }
    set_pem(easy, CURLOPT_SSLCERT_BLOB, client->cert_pem);
    set_pem(easy, CURLOPT_SSLKEY_BLOB, client->key_pem);
}

/* The URL, with the name to verify in place of the host, and the proxy decision that depends on the host. */
static void set_url(struct http_call *call, const char *text)
{
    struct http_client *client = call->client;
    const char *proxy = client->env_proxy ? NULL : strempty(client->proxy);
    if (client->server_name == NULL && !client->env_proxy) {
        curl_easy_setopt(call->easy, CURLOPT_URL, text);
        curl_easy_setopt(call->easy, CURLOPT_PROXY, proxy);
        return;
    }
    CURLU *url = curl_url();
    char *host = NULL, *port = NULL, *rewritten = NULL;
    if (curl_url_set(url, CURLUPART_URL, text, CURLU_PATH_AS_IS) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK) {
        if (client->env_proxy && host_is_loopback(host))
            proxy = "";
        if (client->server_name != NULL && !streq(client->server_name, host)) {
            CLEANUP(xfree) char *target = xasprintf("::%s:%s", host, port);
            call->connect_to = curl_slist_append(NULL, target);
            curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, call->connect_to);
            curl_url_set(url, CURLUPART_HOST, client->server_name, 0);
            curl_url_get(url, CURLUPART_URL, &rewritten, 0);
        }
    }
    curl_easy_setopt(call->easy, CURLOPT_URL, rewritten != NULL ? rewritten : text);
    if (proxy != NULL)
        curl_easy_setopt(call->easy, CURLOPT_PROXY, proxy);
    curl_free(host);
    curl_free(port);
    curl_free(rewritten);
    curl_url_cleanup(url);
}

static void set_method(struct http_call *call, const struct http_request *request)
{
    CURL *easy = call->easy;
    bool has_body = request->body != NULL || streq(request->method, "POST");
    if (streq(request->method, "HEAD")) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (has_body) {
        size_t len = request->body != NULL ? request->body_len : 0;
        call->body = xmalloc(len + 1);
        if (len > 0)
            memcpy(call->body, request->body, len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body);
    }
    if (has_body || !streq(request->method, "GET"))
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_headers(struct http_call *call, const struct http_request *request)
{
    bool has_type = false;
    for (size_t i = 0; i < request->n_headers; i++) {
        const struct http_header *header = &request->headers[i];
        /* "Name;" is curl's way to send an empty value; "Name:" would remove the header */
        CLEANUP(xfree) char *line = header->value[0] != '\0' ? xasprintf("%s: %s", header->name, header->value)
                                                             : xasprintf("%s;", header->name);
        has_type = has_type || strcasecmp(header->name, "content-type") == 0;
        call->headers = curl_slist_append(call->headers, line);
    }
    if (call->body != NULL) {
        call->headers = curl_slist_append(call->headers, "Expect:"); /* would cost a round trip, or a second */
        if (!has_type)
            call->headers = curl_slist_append(call->headers, "Content-Type:");
    }
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
}

static void set_connection(struct http_client *client, CURL *easy, const char *url)
{
    long version = client->h2c                     ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
                   : starts_with(url, "https://") ? CURL_HTTP_VERSION_2TLS
                                                  : CURL_HTTP_VERSION_1_1;
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L); /* share a connection that is just being made */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)client->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_CONNECTION_MAX_S);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    if (client->unix_socket != NULL)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, client->unix_socket);
    if (client->user_agent != NULL)
        curl_easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent);
}

static void on_idle_timer(void *data)
{
    struct http_call *call = data;
    struct http_client *client = call->client;
    int64_t idle = loop_now_ms(client->loop) - call->last_byte_ms;
    if (idle < call->idle_timeout_ms) {
        loop_timer_set(call->idle_timer, call->idle_timeout_ms - idle);
        return;
    }
    client->depth++;
    (void)err_set(&call->err, ERR_TIMEOUT, "%s %s: nothing was received for %lld s", call->method, call->url,
                  (long long)(call->idle_timeout_ms / 1000));
    finish(call);
    client->depth--;
    settle(client);
}

struct http_call *http_start(struct http_client *client, const struct http_request *request, http_chunk *chunk,
                             http_done *done, void *data)
{
    struct http_call *call = NEW(struct http_call);
    call->client = client;
    call->easy = curl_easy_init();
    call->method = xstrdup(request->method);
    call->url = xstrdup(request->url);
    call->chunk = chunk;
    call->done = done;
    call->data = data;
    call->dedicated = request->dedicated;
    buf_init(&call->response.body, request->max_response > 0 ? request->max_response : LIMIT_HTTP_RESPONSE);

    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error_text);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    set_connection(client, easy, request->url);
    set_url(call, request->url);
    if (starts_with(request->url, "https:"))
        set_tls(client, easy);
    set_method(call, request);
    set_headers(call, request);
    if (request->timeout_ms > 0)
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    if (request->idle_timeout_ms > 0) {
        call->idle_timeout_ms = request->idle_timeout_ms;
        call->last_byte_ms = loop_now_ms(client->loop);
        call->idle_timer = loop_timer_new(client->loop, on_idle_timer, call);
        loop_timer_set(call->idle_timer, request->idle_timeout_ms);
    }

    call->next = client->calls;
    if (client->calls != NULL)
        client->calls->prev = call;
    client->calls = call;
    if (client->in_curl)
        client->unsettled = true;
    else
        call_begin(call);
    return call;
}

void http_cancel(struct http_call *call)
{
    if (call == NULL || call->finished || call->cancelled)
        return;
    struct http_client *client = call->client;
    if (client->in_curl) {
        call->cancelled = true;
        client->unsettled = true;
        return;
    }
    call_detach(call);
    call_destroy(call);
    settle(client);
}

struct blocking {
    struct http_response *response;
    struct err *err;
    http_chunk *chunk;
    void *data;
    bool done;
};

static bool on_blocking_chunk(const struct http_response *response, const char *bytes, size_t len, void *data)
{
    struct blocking *blocking = data;
    return blocking->chunk(response, bytes, len, blocking->data);
}

static void on_blocking_done(struct http_response *response, struct err *err, void *data)
{
    struct blocking *blocking = data;
    blocking->done = true;
    if (err->code != 0) {
        err_move(blocking->err, err);
        return;
    }
    *blocking->response = *response;
    *response = (struct http_response){0};
}

int http_perform(struct http_client *client, const struct http_request *request, http_chunk *chunk, void *data,
                 struct http_response *ret, struct err *err)
{
    struct blocking blocking = {.response = ret, .err = err, .chunk = chunk, .data = data};
    struct http_call *call =
        http_start(client, request, chunk != NULL ? on_blocking_chunk : NULL, on_blocking_done, &blocking);
    while (!blocking.done) {
        if (loop_turn(client->loop, -1, err) < 0) {
            if (!blocking.done)
                http_cancel(call);
            return (int)err->code;
        }
    }
    return err->code != 0 ? (int)err->code : 0;
}
