/*
 * client.c: requests to an API server: URL, identity (token, basic, impersonation), JSON both ways, Warning headers.
 * net/http.h moves the bytes, kube/status.c turns refusals into errors. As client-go does, an answer of 429 or 5xx with
 * Retry-After is waited for and asked again, a bounded number of times; nothing else is retried here.
 */
#include "kube/client.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kube/status.h"

#define DEFAULT_TIMEOUT_MS 30000
#define RETRIES_MAX 10
#define RETRY_AFTER_MAX_S 30
#define TOKEN_REREAD_MS 60000 /* client-go reads a token file once a minute */
#define TOKEN_MAX KIB(64)
#define REFUSAL_MAX MIB(1) /* body of an error answer to a streaming request */
#define REQUEST_HEADERS_MAX 40

struct kube_client {
    struct loop *loop;
    bool owns_loop;
    struct kube_config config;
    struct http_client *http;
    struct kube_call *calls;
    char *authorization; /* "Bearer x", or NULL */
    int64_t token_read_ms;
    void (*on_warning)(const char *text, void *data);
    void *on_warning_data;
    void (*on_trace)(const struct kube_trace *trace, void *data);
    void *on_trace_data;
};

struct kube_call {
    struct kube_client *client;
    struct kube_call *prev, *next;
    struct http_call *http;     /* NULL while waiting to try again */
    struct loop_timer *retry;   /* NULL until needed */
    int tries;
    int64_t sent_ms;  /* when the last try began */
    bool head_traced; /* of a stream */
    char *method, *path, *url, *content_type, *accept, *as;
    struct buf body;
    bool has_body, raw, to_read, together;
    int64_t timeout_ms, idle_timeout_ms;
    const struct json_omit *omit;
    http_chunk *chunk;
    struct buf refusal; /* of a streaming request */
    kube_done *done;
    struct buf *raw_body; /* where a raw answer goes, or NULL */
    void *data;
    void *chunk_data;
};

/* --- client */

char *kube_cache_dir(const char *dir, const char *name)
{
    const char *env = getenv("KUBECACHEDIR"), *home = getenv("HOME");
    if (strempty(dir)[0] != '\0')
        return path_join(dir, name, NULL);
    if (strempty(env)[0] != '\0')
        return path_join(env, name, NULL);
    return path_join(strempty(home), ".kube", "cache", name, NULL);
}

static void copy_config(struct kube_config *to, const struct kube_config *from)
{
    to->server = xstrdup(from->server);
    to->ca_pem = xstrdup(from->ca_pem);
    to->cert_pem = xstrdup(from->cert_pem);
    to->key_pem = xstrdup(from->key_pem);
    to->tls_server_name = xstrdup(from->tls_server_name);
    to->insecure = from->insecure;
    to->token = xstrdup(from->token);
    to->token_file = xstrdup(from->token_file);
    to->username = xstrdup(from->username);
    to->password = xstrdup(from->password);
    to->proxy_url = xstrdup(from->proxy_url);
    to->as = xstrdup(from->as);
    to->as_uid = xstrdup(from->as_uid);
    for (size_t i = 0; i < from->as_groups.n; i++)
        strv_add(&to->as_groups, from->as_groups.items[i]);
    for (size_t i = 0; i < from->as_extra_headers.n; i++) {
        strv_add(&to->as_extra_headers, from->as_extra_headers.items[i]);
        strv_add(&to->as_extra_values, from->as_extra_values.items[i]);
    }
    to->namespace = xstrdup(from->namespace);
    to->context = xstrdup(from->context);
    to->cluster_name = xstrdup(from->cluster_name);
    to->user_name = xstrdup(from->user_name);
    to->request_timeout_ms = from->request_timeout_ms;
}

static void set_authorization(struct kube_client *client, const char *scheme, const char *value)
{
    if (client->authorization != NULL)
        explicit_bzero(client->authorization, strlen(client->authorization));
    free(client->authorization);
    client->authorization = xasprintf("%s %s", scheme, value);
}

/* A token file that cannot be read leaves the last token in use: it may be about to be replaced. */
static void read_token_file(struct kube_client *client)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    client->token_read_ms = clock_monotonic_ms();
    if (file_read(client->config.token_file, TOKEN_MAX, &text, &err) < 0)
        return;
    while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        buf_truncate(&text, text.len - 1);
    if (text.len > 0)
        set_authorization(client, "Bearer", buf_text(&text));
}

static const char *authorization(struct kube_client *client)
{
    const char *file = client->config.token_file;
    if (file != NULL && (client->token_read_ms == 0 || clock_monotonic_ms() - client->token_read_ms >= TOKEN_REREAD_MS))
        read_token_file(client);
    return client->authorization;
}

static int new_client(struct loop *loop, const struct kube_config *config, const char *user_agent, bool light,
                      struct kube_client **ret, struct err *err)
{
    CLEANUP(kube_client_free) struct kube_client *client = NEW(struct kube_client);
    copy_config(&client->config, config);
    client->loop = loop;
    if (loop == NULL) {
        if (loop_new(&client->loop, err) < 0)
            return (int)err->code;
        client->owns_loop = true;
    }
    struct http_client_options options = {
        .tls = {.ca_pem = config->ca_pem,
                .cert_pem = config->cert_pem,
                .key_pem = config->key_pem,
                .server_name = config->tls_server_name,
                .insecure = config->insecure},
        .proxy = config->proxy_url,
        .user_agent = user_agent,
        .light = light,
    };
    bool has_folder = strempty(getenv("HOME"))[0] != '\0' || strempty(getenv("KUBECACHEDIR"))[0] != '\0';
    CLEANUP(xfree) char *session_dir = loop == NULL && has_folder ? kube_cache_dir(NULL, "fks") : NULL;
    options.session_dir = session_dir;
    if (http_client_new(client->loop, &options, &client->http, err) < 0)
        return (int)err->code;
    if (config->token != NULL) {
        set_authorization(client, "Bearer", config->token);
    } else if (config->username != NULL && config->token_file == NULL) {
        CLEANUP(buf_done) struct buf encoded = {0};
        CLEANUP(xfree) char *pair = xasprintf("%s:%s", config->username, strempty(config->password));
        base64_encode(pair, strlen(pair), &encoded);
        set_authorization(client, "Basic", buf_text(&encoded));
    }
    *ret = take(&client);
    return 0;
}

int kube_client_new(struct loop *loop, const struct kube_config *config, const char *user_agent,
                    struct kube_client **ret, struct err *err)
{
    return new_client(loop, config, user_agent, loop == NULL, ret, err);
}

int kube_client_new_light(struct loop *loop, const struct kube_config *config, const char *user_agent,
                          struct kube_client **ret, struct err *err)
{
    return new_client(loop, config, user_agent, true, ret, err);
}

static void call_unlink(struct kube_call *call)
{
    struct kube_client *client = call->client;
    if (call->prev != NULL)
        call->prev->next = call->next;
    else if (client->calls == call)
        client->calls = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    call->prev = call->next = NULL;
    call->retry = loop_timer_free(call->retry);
}

static void call_destroy(struct kube_call *call)
{
    free(call->method);
    free(call->path);
    free(call->url);
    free(call->content_type);
    free(call->accept);
    free(call->as);
    buf_done(&call->body);
    buf_done(&call->refusal);
    free(call);
}

struct kube_client *kube_client_free(struct kube_client *client)
{
    if (client == NULL)
        return NULL;
    while (client->calls != NULL)
        kube_cancel(client->calls);
    http_client_free(client->http);
    if (client->owns_loop)
        loop_free(client->loop);
    if (client->authorization != NULL)
        explicit_bzero(client->authorization, strlen(client->authorization));
    free(client->authorization);
    kube_config_done(&client->config);
    free(client);
    return NULL;
}

const struct kube_config *kube_client_config(const struct kube_client *client)
{
    return &client->config;
}

struct loop *kube_client_loop(const struct kube_client *client)
{
    return client->loop;
}

void kube_client_on_warning(struct kube_client *client, void (*callback)(const char *text, void *data), void *data)
{
    client->on_warning = callback;
    client->on_warning_data = data;
}

void kube_client_warn(struct kube_client *client, const char *text)
{
    if (client->on_warning != NULL)
        client->on_warning(text, client->on_warning_data);
}

void kube_client_on_trace(struct kube_client *client, void (*callback)(const struct kube_trace *trace, void *data),
                          void *data)
{
    client->on_trace = callback;
    client->on_trace_data = data;
}

/* --- answers */

static void trace_answer(struct kube_call *call, const struct http_response *response)
{
    struct kube_client *client = call->client;
    if (client->on_trace == NULL || call->head_traced)
        return;
    call->head_traced = call->chunk != NULL;
    const struct kube_trace trace = {.method = call->method,
                                     .url = call->url,
                                     .body = call->chunk == NULL ? buf_text(&response->body) : NULL,
                                     .response = response,
                                     .elapsed_ms = clock_monotonic_ms() - call->sent_ms};
    client->on_trace(&trace, client->on_trace_data);
}


/* One header line: 299 agent "text" ["date"], repeated with commas. Only 299 is meant for people (KEP-1693). */
static void tell_warnings(struct kube_client *client, const char *line)
{
    while (*line != '\0') {
        bool meant = starts_with(line, "299 ");
        const char *p = strchr(line, '"');
        if (p == NULL)
            return;
        CLEANUP(buf_done) struct buf text = {0};
        for (p++; *p != '\0' && *p != '"'; p++) {
            if (*p == '\\' && p[1] != '\0')
                p++;
            buf_add_char(&text, *p);
        }
        if (meant && text.len > 0)
            client->on_warning(buf_text(&text), client->on_warning_data);
        const char *comma = *p != '\0' ? strchr(p, ',') : NULL;
        if (comma == NULL)
            return;
        for (line = comma + 1; *line == ' '; line++)
            ;
    }
}

static void handle_warnings(struct kube_client *client, const struct http_response *response)
{
    const char *all = client->on_warning != NULL ? http_response_header_all(response, "warning") : NULL;
    if (all == NULL)
        return;
    CLEANUP(strv_done) struct strv lines = {0};
    strv_split(&lines, all, '\n');
    for (size_t i = 0; i < lines.n; i++)
        tell_warnings(client, lines.items[i]);
}

/* The delay asked for before another try, or -1. */
static int64_t retry_delay_ms(const struct kube_call *call, const struct http_response *response)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *after = http_response_header(response, "retry-after");
    int64_t seconds;
    if ((response->status != 429 && response->status < 500) || after == NULL || call->tries > RETRIES_MAX)
        return -1;
    if (parse_int(after, 0, RETRY_AFTER_MAX_S, &seconds, &err) < 0)
        return -1;
    return seconds * 1000;
}

static void call_send(struct kube_call *call);

static void on_retry(void *data)
{
    call_send(data);
}

/*
 * A Table is only read (json_parse_in_place). What it brings and no table shows makes no tree: the rows' objects are their metadata (unless the whole object was
 * asked for), of which name, namespace and labels are of use, and each column explains itself in a sentence.
 */
static int parse_table(const char *path, struct buf *body, struct json **ret, struct err *err)
{
    static const struct json_omit of_metadata[] = {
        {"annotations", NULL},       {"creationTimestamp", NULL}, {"finalizers", NULL}, {"generateName", NULL},
        {"generation", NULL},        {"managedFields", NULL},     {"ownerReferences", NULL},
        {"resourceVersion", NULL},   {"uid", NULL},               {NULL, NULL}};
    static const struct json_omit of_full_metadata[] = {{"managedFields", NULL}, {NULL, NULL}};
    static const struct json_omit of_object[] = {{"apiVersion", NULL}, {"kind", NULL}, {"metadata", of_metadata}, {NULL, NULL}};
    static const struct json_omit of_full_object[] = {{"metadata", of_full_metadata}, {NULL, NULL}};
    static const struct json_omit of_row[] = {{"object", of_object}, {NULL, NULL}};
    static const struct json_omit of_full_row[] = {{"object", of_full_object}, {NULL, NULL}};
    static const struct json_omit of_column[] = {{"description", NULL}, {NULL, NULL}};
    static const struct json_omit of_table[] = {{"columnDefinitions", of_column}, {"rows", of_row}, {NULL, NULL}};
    static const struct json_omit of_full_table[] = {{"columnDefinitions", of_column}, {"rows", of_full_row}, {NULL, NULL}};
    bool full = strstr(path, "includeObject=Object") != NULL;

    return json_parse_in_place(body, full ? of_full_table : of_table, ret, err);
}

static int parse_answer(const struct kube_call *call, struct buf *body, struct json **ret, struct err *err)
{
    if (call->accept != NULL && strstr(call->accept, "as=Table") != NULL)
        return parse_table(call->path, body, ret, err);
    if (call->to_read)
        return json_parse_in_place(body, call->omit, ret, err);
    return json_parse_without(body->data, body->len, call->omit, ret, err);
}

static void on_http_done(struct http_response *response, struct err *err, void *data)
{
    struct kube_call *call = data;
    struct kube_client *client = call->client;
    CLEANUP(json_free) struct json *answer = NULL;
    call->http = NULL;
    if (err->code == 0) {
        trace_answer(call, response);
        handle_warnings(client, response);
        if (response->status == 401)
            client->token_read_ms = 0; /* the token file may have been replaced meanwhile */
        int64_t delay_ms = retry_delay_ms(call, response);
        if (delay_ms >= 0) {
            buf_clear(&call->refusal);
            if (call->retry == NULL)
                call->retry = loop_timer_new(client->loop, on_retry, call);
            loop_timer_set(call->retry, delay_ms);
            return;
        }
        struct buf *body = call->chunk != NULL ? &call->refusal : &response->body;
        if (response->status >= 400)
            (void)kube_answer_error(response->status, buf_text(body), body->len, call->method,
                                    call->raw ? NULL : call->path, &answer, err);
        else if (!call->raw && call->chunk == NULL && body->len > 0 &&
                 parse_answer(call, body, &answer, err) < 0)
            (void)err_wrap(err, "%s %s: the answer is no JSON", call->method, call->url);
        else if (call->raw_body != NULL) {
            *call->raw_body = *body;
            *body = (struct buf){0};
        }
    }
    call_unlink(call); /* done may free the client */
    call->done(&answer, err, call->data);
    call_destroy(call);
}

static bool on_http_chunk(const struct http_response *response, const char *bytes, size_t len, void *data)
{
    struct kube_call *call = data;
    trace_answer(call, response);
    if (response->status < 400)
        return call->chunk(response, bytes, len, call->chunk_data);
    (void)buf_add(&call->refusal, bytes, len); /* a cut text is still a text */
    return true;
}

/* --- requests */

static void add_header(struct http_header *headers, size_t *n, const char *name, const char *value)
{
    if (value != NULL && *n < REQUEST_HEADERS_MAX)
        headers[(*n)++] = (struct http_header){name, value};
}

static void call_send(struct kube_call *call)
{
    struct kube_client *client = call->client;
    struct http_header headers[REQUEST_HEADERS_MAX];
    size_t n = 0;
    add_header(headers, &n, "Accept", call->accept);
    if (call->has_body)
        add_header(headers, &n, "Content-Type", call->content_type);
    add_header(headers, &n, "Authorization", authorization(client));
    add_header(headers, &n, "Impersonate-User", call->as != NULL ? call->as : client->config.as);
    add_header(headers, &n, "Impersonate-Uid", client->config.as_uid);
    for (size_t i = 0; i < client->config.as_groups.n; i++)
        add_header(headers, &n, "Impersonate-Group", client->config.as_groups.items[i]);
    for (size_t i = 0; i < client->config.as_extra_headers.n; i++)
        add_header(headers, &n, client->config.as_extra_headers.items[i], client->config.as_extra_values.items[i]);
    struct http_request request = {
        .method = call->method,
        .url = call->url,
        .headers = headers,
        .n_headers = n,
        .body = call->has_body ? buf_text(&call->body) : NULL,
        .body_len = call->body.len,
        .timeout_ms = call->timeout_ms,
        .idle_timeout_ms = call->idle_timeout_ms,
        .dedicated = call->chunk != NULL,
        .together = call->together,
    };
    call->tries++;
    call->sent_ms = clock_monotonic_ms();
    if (client->on_trace != NULL) {
        const struct kube_trace trace = {.method = call->method,
                                         .url = call->url,
                                         .headers = headers,
                                         .n_headers = n,
                                         .body = call->has_body ? buf_text(&call->body) : NULL};
        client->on_trace(&trace, client->on_trace_data);
    }
    call->http = http_start(client->http, &request, call->chunk != NULL ? on_http_chunk : NULL, on_http_done, call);
}

static struct kube_call *call_new(struct kube_client *client, const struct kube_request *request, kube_done *done,
                                  void *data)
{
    struct kube_call *call = NEW(struct kube_call);
    call->client = client;
    call->method = xstrdup(request->method != NULL ? request->method : "GET");
    call->path = xstrdup(request->path);
    call->url = xasprintf("%s%s%s", client->config.server, request->path[0] == '/' ? "" : "/", request->path);
    call->content_type = xstrdup(request->content_type != NULL ? request->content_type : KUBE_JSON);
    call->accept = xstrdup(request->accept != NULL ? request->accept : KUBE_JSON);
    call->as = xstrdup(request->as);
    call->has_body = request->body != NULL || request->body_text != NULL;
    if (request->body != NULL)
        json_print(request->body, &call->body);
    else if (request->body_text != NULL)
        buf_add_str(&call->body, request->body_text);
    call->timeout_ms = request->timeout_ms;
    call->idle_timeout_ms = request->idle_timeout_ms;
    call->omit = request->omit;
    call->to_read = request->to_read;
    call->together = request->together;
    call->done = done;
    call->data = data;
    buf_init(&call->refusal, REFUSAL_MAX);
    call->next = client->calls;
    if (client->calls != NULL)
        client->calls->prev = call;
    client->calls = call;
    return call;
}

struct kube_call *kube_start(struct kube_client *client, const struct kube_request *request, kube_done *done, void *data)
{
    struct kube_call *call = call_new(client, request, done, data);
    if (call->timeout_ms == 0)
        call->timeout_ms =
            client->config.request_timeout_ms > 0 ? client->config.request_timeout_ms : DEFAULT_TIMEOUT_MS;
    call_send(call);
    return call;
}

struct kube_call *kube_stream(struct kube_client *client, const struct kube_request *request, http_chunk *chunk,
                              kube_done *done, void *data)
{
    struct kube_call *call = call_new(client, request, done, data);
    call->chunk = chunk;
    call->chunk_data = data;
    call->tries = RETRIES_MAX; /* whoever streams has a way of its own to try again */
    call_send(call);
    return call;
}

struct kube_call *kube_start_raw(struct kube_client *client, const struct kube_request *request, http_chunk *chunk,
                                 void *chunk_data, struct buf *ret, kube_done *done, void *data)
{
    struct kube_call *call = call_new(client, request, done, data);
    call->raw = true;
    call->chunk = chunk;
    call->chunk_data = chunk_data;
    call->raw_body = ret;
    if (request->accept == NULL) {
        free(call->accept);
        call->accept = xstrdup("application/json, */*");
    }
    if (call->timeout_ms == 0)
        call->timeout_ms = client->config.request_timeout_ms;
    call_send(call);
    return call;
}

bool kube_call_is_connected(const struct kube_call *call)
{
    return call->http != NULL && http_call_is_connected(call->http);
}

void kube_cancel(struct kube_call *call)
{
    if (call == NULL)
        return;
    http_cancel(call->http);
    call_unlink(call);
    call_destroy(call);
}
