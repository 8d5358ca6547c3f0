/*
 * http_curl.c: calls over libcurl's multi interface. curl tells which sockets and which timeout it wants, the loop waits,
 * and curl is called back through curl_multi_socket_action.
 *
 * libcurl is loaded when a client first needs it: with what it depends on it is 25 libraries, and loading them takes a
 * command line more time than its request.
 *
 * Connections live in pools (one CURLM each, which takes 30 KiB). Ordinary calls share the main pool and its HTTP/2
 * connection; in the pool of dedicated calls each makes a connection and closes it. When a call dies without an answer, the
 * main pool is retired: calls in it may finish, new ones start on a fresh connection, so a peer that went away silently
 * cannot spoil every later request.
 *
 * tls.server_name: curl verifies the host of the URL and nothing else, so the URL is rewritten to that name and
 * CURLOPT_CONNECT_TO sends the connection to the real host and port.
 */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/http_internal.h"
#include "net/keeper.h"
#include "net/tls_algorithms.h"
#include "net/tls_refusal.h"

/* variadic functions are called by these names as their declarations are; the macros of curl.h would stand in the way */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define RECEIVE_BUFFER KIB(64)
/*
 * The runtime has many short answers under way, each on a connection of its own. With less than a frame of HTTP/2 takes
 * libcurl 7.88 may wait for ever for the rest of an answer.
 */
#define RECEIVE_BUFFER_SMALL KIB(16)
#define SEND_BUFFER KIB(16) /* curl's smallest */
/* A peer that acknowledges nothing for so long is gone; without it the kernel tries for 15 minutes. */
#define UNACKNOWLEDGED_MAX_MS 20000
/* Idle connections older than this are not used again: shorter than what proxies and NAT tables keep. */
#define IDLE_CONNECTION_MAX_S 90L

#define CURL_FUNCTIONS(F)                                                                                              \
    F(global_init) F(global_cleanup) F(easy_init) F(easy_cleanup) F(easy_setopt) F(easy_getinfo) F(easy_strerror)      \
    F(easy_pause) F(slist_append) F(slist_free_all) F(multi_init) F(multi_cleanup) F(multi_setopt) F(multi_add_handle)               \
    F(multi_remove_handle) F(multi_socket_action) F(multi_info_read) F(multi_assign) F(url) F(url_cleanup) F(url_get)  \
    F(url_set) F(free)

struct curl_api {
#define MEMBER(name) __typeof__(&curl_##name) name;
    CURL_FUNCTIONS(MEMBER)
#undef MEMBER
};

struct curl_pool {
    struct http_client *client;
    CURLM *multi;
    struct loop_timer *timer;
    size_t n_calls;
    bool retired; /* goes with its last call */
    struct curl_pool *next;
};

struct curl_transfer {
    CURL *easy;
    struct curl_pool *pool;
    struct curl_slist *headers, *connect_to;
    int socket; /* of a kept call */
    char error_text[CURL_ERROR_SIZE];
};

int http_curl_load(struct http_client *client, struct err *err)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return err_set(err, ERR_UNSUPPORTED, "libcurl cannot be loaded (Debian: apt-get install libcurl4): %s", dlerror());
    struct curl_api *api = NEW(struct curl_api);
    const char *missing = NULL;
    tls_algorithms_name_digests(); /* libcurl verifies certificates with our libcrypto where that is a shared one */
#define LOAD(name)                                                                                                     \
    api->name = (__typeof__(api->name))dlsym(library, "curl_" #name);                                                  \
    missing = api->name == NULL ? "curl_" #name : missing;
    CURL_FUNCTIONS(LOAD)
#undef LOAD
    if (missing != NULL || api->global_init(CURL_GLOBAL_SSL) != CURLE_OK) {
        free(api);
        return err_set(err, ERR_UNSUPPORTED, "libcurl cannot be used: %s", missing != NULL ? missing : "it does not start");
    }
    client->curl = api;
    return 0;
}

/* --- curl's callbacks for one transfer */

static size_t on_header(char *line, size_t size, size_t n, void *data)
{
    struct http_call *call = data;
    size_t len = size * n;
    if (!http_call_head_bytes(call, len))
        return 0;
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
        long status = 0;
        call->client->curl->easy_getinfo(call->transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        http_call_status(call, (int)status);
        return len;
    }
    size_t text_len = len;
    while (text_len > 0 && (line[text_len - 1] == '\n' || line[text_len - 1] == '\r'))
        text_len--;
    http_call_header(call, line, text_len);
    return text_len > 0 || http_call_head_end(call) ? len : 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *data)
{
    struct http_call *call = data;
    if (call->paused && !call->cancelled) { /* the same bytes come again later */
        call->held = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    return http_call_body(call, bytes, size * n) ? size * n : 0;
}

void http_curl_resume(struct http_call *call)
{
    struct http_client *client = call->client;
    call->held = false;
    client->busy = true;
    (void)client->curl->easy_pause(call->transfer->easy, CURLPAUSE_CONT); /* a failure is told as the end of the transfer */
    client->busy = false;
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

/* --- calls that go on without us: as soon as the server is there the keeper has a copy of the connection */

static curl_socket_t on_open_kept(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_call *call = data;
    call->transfer->socket = on_open_socket(NULL, purpose, address);
    return call->transfer->socket;
}

static int on_connected_kept(void *data, char *ip UNUSED, char *local_ip UNUSED, int port UNUSED, int local_port UNUSED)
{
    const struct http_call *call = data;
    keeper_hold(call->client->keeper, call->transfer->socket);
    return CURL_PREREQFUNC_OK;
}

/* The call may be gone by now. */
static int on_close_kept(void *data, curl_socket_t fd)
{
    const struct http_client *client = data;
    if (!client->freed)
        (void)shutdown(fd, SHUT_RDWR);
    return close(fd);
}

static void set_keeper(struct http_call *call)
{
    const struct curl_api *curl = call->client->curl;
    CURL *easy = call->transfer->easy;
    curl->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_kept);
    curl->easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
    curl->easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected_kept);
    curl->easy_setopt(easy, CURLOPT_PREREQDATA, call);
    curl->easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_kept);
    curl->easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, call->client);
}

/* --- ends of calls */

void http_curl_end(struct http_call *call)
{
    const struct curl_api *curl = call->client->curl;
    struct curl_transfer *transfer = call->transfer;
    if (transfer == NULL)
        return;
    if (transfer->pool != NULL) {
        curl->multi_remove_handle(transfer->pool->multi, transfer->easy);
        transfer->pool->n_calls--;
        call->client->unsettled = true;
    }
    curl->easy_cleanup(transfer->easy);
    curl->slist_free_all(transfer->headers);
    curl->slist_free_all(transfer->connect_to);
    free(transfer);
    call->transfer = NULL;
}

static void set_failure(struct http_call *call, CURLcode code)
{
    const struct curl_api *curl = call->client->curl;
    struct curl_transfer *transfer = call->transfer;
    const char *text = transfer->error_text[0] != '\0' ? transfer->error_text : curl->easy_strerror(code);
    enum err_code err_code = ERR_IO;
    long number = 0;
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        curl->easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
        http_call_no_connection(call, (int)number, text);
        return;
    case CURLE_OPERATION_TIMEDOUT:
        err_code = ERR_TIMEOUT;
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
        curl->easy_getinfo(transfer->easy, CURLINFO_SSL_VERIFYRESULT, &number);
        if (tls_refusal_words(number) != NULL)
            text = tls_refusal_words(number);
        break;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        err_code = ERR_INVALID;
        break;
    default:
        break;
    }
    (void)err_set(&call->err, err_code, "%s %s: %s", call->method, call->url, text);
}

/* Without a byte of an answer the connection is suspect. */
static void retire_pool(struct http_call *call)
{
    struct http_client *client = call->client;
    bool lost = call->err.code == ERR_IO || call->err.code == ERR_TIMEOUT;
    if (call->transfer->pool != client->main || !lost || call->head_len > 0)
        return;
    client->main->retired = true;
    client->main = NULL;
}

static void collect(struct curl_pool *pool)
{
    const struct curl_api *curl = pool->client->curl;
    CURLMsg *message;
    int left;
    while ((message = curl->multi_info_read(pool->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        char *private = NULL;
        curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct http_call *call = (struct http_call *)(void *)private;
        if (!call->cancelled && code != CURLE_OK && call->err.code == 0)
            set_failure(call, code);
        retire_pool(call);
        http_curl_end(call);
        if (call->cancelled)
            http_call_drop(call);
        else
            http_call_finish(call);
    }
}

/* --- pools: curl on the loop */

static void drive(struct curl_pool *pool, curl_socket_t fd, int bits)
{
    struct http_client *client = pool->client;
    int running;
    http_client_enter(client);
    client->busy = true;
    client->curl->multi_socket_action(pool->multi, fd, bits, &running);
    client->busy = false;
    collect(pool);
    http_client_leave(client);
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
    struct curl_pool *pool = data;
    struct loop_fd *source = fd_data;
    CLEANUP(err_clear) struct err err = {0};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (source != NULL)
            loop_fd_free(source);
        pool->client->curl->multi_assign(pool->multi, fd, NULL);
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
    if (source != NULL)
        return loop_fd_modify(source, events, &err) < 0 ? -1 : 0;
    if (loop_fd_new(pool->client->loop, fd, events, on_fd, pool, &source, &err) < 0)
        return -1;
    pool->client->curl->multi_assign(pool->multi, fd, source);
    return 0;
}

static int on_want_timer(CURLM *multi, long timeout_ms, void *data)
{
    struct curl_pool *pool = data;
    (void)multi;
    if (timeout_ms < 0)
        loop_timer_cancel(pool->timer);
    else
        loop_timer_set(pool->timer, timeout_ms);
    return 0;
}

static struct curl_pool *pool_new(struct http_client *client)
{
    const struct curl_api *curl = client->curl;
    struct curl_pool *pool = NEW(struct curl_pool);
    pool->client = client;
    pool->multi = curl->multi_init();
    pool->timer = loop_timer_new(client->loop, on_timer, pool);
    curl->multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, on_want_socket);
    curl->multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool);
    curl->multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, on_want_timer);
    curl->multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool);
    pool->next = client->pools;
    client->pools = pool;
    return pool;
}

static void pool_destroy(struct curl_pool *pool)
{
    pool->client->curl->multi_cleanup(pool->multi);
    loop_timer_free(pool->timer);
    free(pool);
}

void http_curl_sweep(struct http_client *client)
{
    for (struct curl_pool **link = &client->pools; *link != NULL;) {
        struct curl_pool *pool = *link;
        if (pool->n_calls == 0 && pool->retired) {
            *link = pool->next;
            pool_destroy(pool);
        } else {
            link = &pool->next;
        }
    }
}

void http_curl_done(struct http_client *client)
{
    while (client->pools != NULL) {
        struct curl_pool *pool = client->pools;
        client->pools = pool->next;
        pool_destroy(pool);
    }
    if (client->curl != NULL) {
        client->curl->global_cleanup();
        free((void *)(uintptr_t)client->curl);
    }
}

/* --- requests */

static void set_pem(const struct curl_api *curl, CURL *easy, CURLoption option, char *pem)
{
    if (pem == NULL)
        return;
    struct curl_blob blob = {.data = pem, .len = strlen(pem), .flags = CURL_BLOB_NOCOPY};
    curl->easy_setopt(easy, option, &blob);
}

static void set_tls(struct http_client *client, CURL *easy)
{
    const struct curl_api *curl = client->curl;
    curl->easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (client->insecure) {
        curl->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (client->insecure || client->ca_pem != NULL) {
        /* Our authority only: the system's would be trusted beside it, and take milliseconds to load. */
        curl->easy_setopt(easy, CURLOPT_CAINFO, NULL);
        curl->easy_setopt(easy, CURLOPT_CAPATH, NULL);
        set_pem(curl, easy, CURLOPT_CAINFO_BLOB, client->ca_pem);
    }
    set_pem(curl, easy, CURLOPT_SSLCERT_BLOB, client->cert_pem);
    set_pem(curl, easy, CURLOPT_SSLKEY_BLOB, client->key_pem);
}

/* The name to verify in place of the host. Heap string, or NULL to leave the URL as it is. */
static char *rewrite_url(struct http_call *call)
{
    struct http_client *client = call->client;
    const struct curl_api *curl = client->curl;
    char *host = NULL, *port = NULL, *rewritten = NULL, *copy = NULL;
    if (client->server_name == NULL)
        return NULL;
    CURLU *url = curl->url();
    if (curl->url_set(url, CURLUPART_URL, call->url, CURLU_PATH_AS_IS) == CURLUE_OK &&
        curl->url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl->url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK) {
        CLEANUP(xfree) char *target = xasprintf("::%s:%s", host, port);
        call->transfer->connect_to = curl->slist_append(NULL, target);
        curl->easy_setopt(call->transfer->easy, CURLOPT_CONNECT_TO, call->transfer->connect_to);
        curl->url_set(url, CURLUPART_HOST, client->server_name, 0);
        curl->url_get(url, CURLUPART_URL, &rewritten, 0);
        copy = xstrdup(rewritten);
    }
    curl->free(host);
    curl->free(port);
    curl->free(rewritten);
    curl->url_cleanup(url);
    return copy;
}

/* The environment has been read already, by Go's rules; curl would read it by its own. */
static void set_proxy(struct http_call *call)
{
    struct http_client *client = call->client;
    const struct curl_api *curl = client->curl;
    CURL *easy = call->transfer->easy;
    const char *proxy = strempty(call->proxy);
    CLEANUP(xfree)
    char *remote_names = starts_with(proxy, "socks5://") ? xasprintf("socks5h://%s", strstr(proxy, "://") + 3) : NULL;
    curl->easy_setopt(easy, CURLOPT_PROXY, remote_names != NULL ? remote_names : proxy);
    curl->easy_setopt(easy, CURLOPT_NOPROXY, "");
    if (!starts_with(proxy, "https://"))
        return;
    if (client->insecure) {
        curl->easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYPEER, 0L);
        curl->easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYHOST, 0L);
    }
    if (client->insecure || client->ca_pem != NULL) {
        curl->easy_setopt(easy, CURLOPT_PROXY_CAINFO, NULL);
        curl->easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
        set_pem(curl, easy, CURLOPT_PROXY_CAINFO_BLOB, client->ca_pem);
    }
}

static void set_url(struct http_call *call)
{
    struct http_client *client = call->client;
    CURL *easy = call->transfer->easy;
    CLEANUP(xfree) char *rewritten = rewrite_url(call);
    client->curl->easy_setopt(easy, CURLOPT_URL, rewritten != NULL ? rewritten : call->url);
    set_proxy(call);
}

static void set_method(struct http_call *call)
{
    const struct curl_api *curl = call->client->curl;
    CURL *easy = call->transfer->easy;
    if (streq(call->method, "HEAD")) {
        curl->easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (call->body != NULL) {
        curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
        curl->easy_setopt(easy, CURLOPT_POSTFIELDS, call->body);
    }
    if (call->body != NULL || !streq(call->method, "GET"))
        curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_headers(struct http_call *call)
{
    const struct curl_api *curl = call->client->curl;
    struct curl_transfer *transfer = call->transfer;
    bool has_type = false, has_accept = false;
    for (const char *line = call->head; *line != '\0';) {
        size_t len = strcspn(line, "\r");
        CLEANUP(xfree) char *text = xstrndup(line, len);
        if (len > 2 && text[len - 2] == ':' && text[len - 1] == ' ') {
            text[len - 2] = ';'; /* curl's way to send an empty value; "Name:" would remove the header */
            text[len - 1] = '\0';
        }
        has_type = has_type || strncasecmp(text, "content-type:", 13) == 0;
        has_accept = has_accept || strncasecmp(text, "accept:", 7) == 0;
        transfer->headers = curl->slist_append(transfer->headers, text);
        line += len + 2;
    }
    if (!has_accept)
        transfer->headers = curl->slist_append(transfer->headers, "Accept:"); /* curl would take anything, in so many words */
    if (call->body != NULL) {
        transfer->headers = curl->slist_append(transfer->headers, "Expect:"); /* would cost a round trip, or a second */
        if (!has_type)
            transfer->headers = curl->slist_append(transfer->headers, "Content-Type:");
    }
    curl->easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
}

static void set_connection(struct http_call *call)
{
    struct http_client *client = call->client;
    const struct curl_api *curl = client->curl;
    CURL *easy = call->transfer->easy;
    long version = client->h2c                           ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
                   : starts_with(call->url, "https://") ? CURL_HTTP_VERSION_2TLS
                                                        : CURL_HTTP_VERSION_1_1;
    curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, version);
    curl->easy_setopt(easy, CURLOPT_PIPEWAIT, 1L); /* share a connection that is just being made */
    curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl->easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl->easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)(client->h2c ? RECEIVE_BUFFER_SMALL : RECEIVE_BUFFER));
    curl->easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER);
    curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, (long)call->dedicated);
    curl->easy_setopt(easy, CURLOPT_FORBID_REUSE, (long)call->dedicated);
    curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)client->connect_timeout_ms);
    curl->easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_CONNECTION_MAX_S);
    curl->easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    long period_s = client->keepalive_ms > 0 ? (long)((client->keepalive_ms + 999) / 1000) : 0;
    curl->easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, period_s > 0 ? period_s : 30L);
    curl->easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, period_s > 0 ? period_s : 10L);
    curl->easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (call->kept && client->keeper != NULL)
        set_keeper(call);
    else
        curl->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    if (call->timeout_ms > 0)
        curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    if (client->unix_socket != NULL)
        curl->easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, client->unix_socket);
    if (client->user_agent != NULL)
        curl->easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent);
}

/* libcurl turned out to be needed by a light client, and is not there: told on the next turn. */
static void on_not_loaded(void *data)
{
    struct http_call *call = data;
    struct http_client *client = call->client;
    http_client_enter(client);
    http_call_finish(call);
    http_client_leave(client);
}

void http_curl_begin(struct http_call *call)
{
    struct http_client *client = call->client;
    if (client->curl == NULL && http_curl_load(client, &call->err) < 0) {
        loop_timer_free(call->idle_timer);
        call->idle_timer = loop_timer_new(client->loop, on_not_loaded, call);
        loop_timer_set(call->idle_timer, 0);
        return;
    }
    const struct curl_api *curl = client->curl;
    struct curl_transfer *transfer = call->transfer = NEW(struct curl_transfer);
    CURL *easy = transfer->easy = curl->easy_init();
    curl->easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error_text);
    curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl->easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(easy, CURLOPT_WRITEDATA, call);
    set_connection(call);
    set_url(call);
    if (starts_with(call->url, "https:"))
        set_tls(client, easy);
    set_method(call);
    set_headers(call);
    struct curl_pool **pool = call->dedicated ? &client->apart : &client->main;
    if (*pool == NULL)
        *pool = pool_new(client);
    transfer->pool = *pool;
    transfer->pool->n_calls++;
    curl->multi_add_handle(transfer->pool->multi, easy);
}
