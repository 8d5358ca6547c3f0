/* test_server.c: a real server on 127.0.0.1 and raw clients: what each request, good or bad, is answered with. */
#include "server_client.h"

#include <sys/resource.h>

static struct harness h; /* of the running test */

/* What the last handler calls saw, and answers still due. */
static struct {
    struct server_request *held[10];
    size_t n_held, n_requests, n_gone, n_drained;
    void *last_tag;
    char last_name[50];
    size_t n_organizations;
} seen;

static void on_gone(void *data)
{
    (void)data;
    seen.n_gone++;
}

static void on_drained(void *data)
{
    (void)data;
    seen.n_drained++;
}

static void serve_large(struct server_request *request)
{
    CLEANUP(xfree) char *body = xmalloc(1000000);
    memset(body, 'L', 1000000);
    server_respond(request, 200, "application/octet-stream", body, 1000000);
}

static void on_request(struct server_request *request, void *data)
{
    struct str body = server_request_body(request);
    const struct tls_peer *peer = server_request_peer(request);
    (void)data;
    seen.n_requests++;
    seen.last_tag = server_request_tag(request);
    (void)snprintf(seen.last_name, sizeof(seen.last_name), "%s", peer->common_name ? peer->common_name : "-");
    seen.n_organizations = peer->organizations.n;
    if (server_request_is(request, "POST", "/echo")) {
        server_respond(request, 200, "application/json", body.p, body.len);
    } else if (server_request_is(request, "GET", "/large")) {
        serve_large(request);
    } else if (server_request_is(request, "GET", "/empty")) {
        server_respond(request, 204, NULL, NULL, 0);
    } else if (server_request_is(request, "GET", "/address")) {
        server_respond_text(request, 200, "%s", server_request_address(request));
    } else if (server_request_is(request, "GET", "/stream")) {
        server_stream_begin(request, 200, "text/plain");
        assert_int_equal(server_stream_write(request, "one\n", 4), 0);
        assert_int_equal(server_stream_write(request, "two\n", 4), 0);
        server_stream_end(request);
    } else if (server_request_is(request, "GET", "/later") || server_request_is(request, "POST", "/later")) {
        server_on_gone(request, on_gone, NULL);
        seen.held[seen.n_held++] = request;
    } else {
        server_respond_text(request, 404, "no %s here", "such page");
    }
}

static void start(struct server_options options)
{
    memset(&seen, 0, sizeof(seen));
    options.handler = on_request;
    harness_start(&h, options);
}

static void start_tls(bool ask_client, bool optional)
{
    harness_make_tls(&h, ask_client, optional);
    start((struct server_options){0});
}

static int stop(void **state)
{
    (void)state;
    harness_stop(&h);
    memset(&h, 0, sizeof(h));
    return 0;
}

/* --- whole exchanges */

static void test_server__answers(void **state)
{
    (void)state;
    start((struct server_options){0});
    CLEANUP(xfree) char *answer =
        exchange(&h, "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    assert_true(starts_with(answer, "HTTP/1.1 200 OK\r\nDate: "));
    assert_contains(answer, " GMT\r\nContent-Type: application/json\r\nContent-Length: 5\r\n"
                            "Connection: close\r\n\r\nhello");
    CLEANUP(xfree) char *missing = exchange(&h, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_contains(missing, "HTTP/1.1 404 Not Found\r\n");
    assert_contains(missing, "Content-Type: text/plain");
    assert_contains(missing, "\r\n\r\nno such page here");
    CLEANUP(xfree) char *address = exchange(&h, "GET /address HTTP/1.0\r\n\r\n");
    assert_contains(address, "\r\n\r\n127.0.0.1:");
    assert_int_equal(server_stats(h.server)->requests, 3);
    assert_int_equal(server_stats(h.server)->bad_requests, 0);
    assert_ptr_equal(seen.last_tag, &h);
    assert_string_equal(seen.last_name, "-");
}

static void test_server__versions_and_methods(void **state)
{
    (void)state;
    start((struct server_options){0});
    CLEANUP(xfree) char *old = exchange(&h, "GET /x HTTP/1.0\r\n\r\n");
    assert_contains(old, "Connection: close");
    CLEANUP(xfree) char *stream = exchange(&h, "GET /stream HTTP/1.0\r\n\r\n");
    assert_null(strstr(stream, "chunked"));
    assert_contains(stream, "\r\n\r\none\ntwo\n");
    CLEANUP(xfree) char *head = exchange(&h, "HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_contains(head, "Content-Length: 17\r\n");
    assert_true(ends_with(head, "\r\n\r\n"));
    CLEANUP(xfree) char *empty = exchange(&h, "GET /empty HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_contains(empty, "HTTP/1.1 204 No Content\r\n");
    assert_null(strstr(empty, "Content-"));
    struct client client = client_connect(&h);
    client_send(&client, "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client_wait_text(&client, "Connection: keep-alive\r\n");
    client_send(&client, "GET /x HTTP/1.0\r\n\r\n");
    client_wait_end(&client);
    assert_int_equal(count_of(&client, "HTTP/1.1 404"), 2);
    client_close(&client);
}

static void check_refused(const char *request, const char *status)
{
    CLEANUP(xfree) char *answer = exchange(&h, request);
    if (strncmp(answer + strlen("HTTP/1.1 "), status, strlen(status)) != 0)
        fail_msg("'%s' is answered with '%s'", request, answer);
    assert_contains(answer, "Connection: close\r\n");
}

static void test_server__bad_requests(void **state)
{
    (void)state;
    start((struct server_options){.max_body = 10});
    check_refused("nonsense\r\n\r\n", "400 Bad Request");
    check_refused("GET / HTTP/1.1\r\n\r\n", "400");
    check_refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505");
    check_refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501");
    check_refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", "413");
    check_refused("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n", "413");
    check_refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n", "413");
    check_refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400");
    check_refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400");
    CLEANUP(buf_done) struct buf large = {0};
    buf_add_str(&large, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    while (large.len < LIMIT_HTTP_HEAD + 5000)
        buf_add_str(&large, "xxxxxxxxxx");
    check_refused(large.data, "431");
    assert_int_equal(seen.n_requests, 0);
    assert_int_equal(server_stats(h.server)->bad_requests, 10);
    wait_for(&h, server_stats(h.server)->open == 0);
}

/* The answer must arrive although the client is still sending what nobody reads. */
static void test_server__refusal_survives_unread_input(void **state)
{
    (void)state;
    start((struct server_options){.max_body = 1000});
    CLEANUP(xfree) char *junk = xcalloc(1, 500000);
    struct client client = client_connect(&h);
    client_send(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    client_send_bytes(&client, junk, 500000);
    client_wait_text(&client, "413 Content Too Large");
    client_wait_end(&client);
    assert_false(client.reset);
    client_close(&client);
}

/* --- pieces */

static void send_slowly(struct client *client, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        client_send_bytes(client, p, 1);
        turn(&h);
    }
}

static void check_byte_by_byte(void)
{
    struct client client = client_connect(&h);
    send_slowly(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    client_wait_text(&client, "\r\n\r\nhello");
    send_slowly(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfoo\r\n4\r\nbar!\r\n"
                         "0\r\nT: x\r\n\r\n");
    client_wait_text(&client, "\r\n\r\nfoobar!");
    assert_int_equal(server_stats(h.server)->accepted, 1);
    client_close(&client);
}

static void test_server__byte_by_byte(void **state)
{
    (void)state;
    start((struct server_options){0});
    check_byte_by_byte();
}

static void test_server__byte_by_byte_tls(void **state)
{
    (void)state;
    start_tls(true, false);
    check_byte_by_byte();
    assert_string_equal(seen.last_name, "alice");
    assert_int_equal(seen.n_organizations, 2);
    assert_int_equal(server_stats(h.server)->handshakes, 1);
}

static void check_pipeline(size_t n)
{
    CLEANUP(buf_done) struct buf all = {0};
    struct client client = client_connect(&h);
    for (size_t i = 0; i < n; i++)
        buf_printf(&all, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nnumber%03zu"
                         "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "8\r\nchunk%03zu\r\n0\r\n\r\n"
                         "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
                   i, i);
    client_send_bytes(&client, all.data, all.len);
    CLEANUP(xfree) char *last = xasprintf("chunk%03zu", n - 1);
    client_wait_text(&client, last);
    wait_for(&h, (client_poll(&client), count_of(&client, "\r\n0\r\n\r\n") == n));
    assert_int_equal(count_of(&client, "HTTP/1.1 200 OK"), 3 * n);
    size_t position = 0;
    for (size_t i = 0; i < n; i++) { /* in order */
        CLEANUP(xfree) char *one = xasprintf("\r\n\r\nnumber%03zu", i);
        char *at = strstr(client.in.data + position, one);
        assert_non_null(at);
        position = (size_t)(at - client.in.data);
    }
    client_close(&client);
}

static void test_server__pipelining(void **state)
{
    (void)state;
    start((struct server_options){0});
    check_pipeline(2);
    check_pipeline(300);
}

static void test_server__pipelining_tls(void **state)
{
    (void)state;
    start_tls(true, true);
    check_pipeline(300);
}

static void check_large_bodies(void)
{
    size_t len = 3000000;
    CLEANUP(xfree) char *body = xmalloc(len);
    struct client client = client_connect(&h);
    for (size_t i = 0; i < len; i++)
        body[i] = (char)('a' + i * 7 % 26);
    client_send(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    client_send_bytes(&client, body, len);
    client_wait_bytes(&client, len + 50);
    const char *start_of_body = strstr(client.in.data, "\r\n\r\n") + 4;
    client_wait_bytes(&client, (size_t)(start_of_body - client.in.data) + len);
    start_of_body = strstr(client.in.data, "\r\n\r\n") + 4;
    assert_memory_equal(start_of_body, body, len);
    buf_clear(&client.in);
    client_send(&client, "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client_wait_end(&client);
    assert_int_equal(count_of(&client, "LLLLLLLLLL"), 100000);
    client_close(&client);
}

static void test_server__large_bodies(void **state)
{
    (void)state;
    start((struct server_options){0});
    check_large_bodies();
}

static void test_server__large_bodies_tls(void **state)
{
    (void)state;
    start_tls(false, false);
    check_large_bodies();
}

static void test_server__expect_continue(void **state)
{
    (void)state;
    start((struct server_options){0});
    struct client client = client_connect(&h);
    client_send(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    client_wait_text(&client, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(&client, "hi");
    client_wait_text(&client, "\r\n\r\nhi");
    buf_clear(&client.in);
    /* who does not wait is not told */
    client_send(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nho");
    client_wait_text(&client, "\r\n\r\nho");
    assert_int_equal(count_of(&client, "100 Continue"), 0);
    client_close(&client);
}

/* --- answers later */

static void test_server__answer_later(void **state)
{
    (void)state;
    start((struct server_options){0});
    struct client client = client_connect(&h);
    client_send(&client, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
                         "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&h, seen.n_held == 1);
    for (int i = 0; i < 5; i++)
        turn(&h);
    assert_int_equal(seen.n_held, 1); /* one at a time */
    client_send(&client, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"); /* arrives while the handler holds the request */
    turn(&h);
    assert_true(str_is(server_request_body(seen.held[0]), "body"));
    assert_true(str_is(server_request_head(seen.held[0])->path, "/later"));
    server_respond_text(seen.held[0], 200, "first");
    wait_for(&h, seen.n_held == 2);
    server_respond_text(seen.held[1], 200, "second");
    client_wait_text(&client, "no such page here");
    assert_contains(client.in.data, "first");
    assert_contains(client.in.data, "second");
    client_close(&client);
    wait_for(&h, server_stats(h.server)->open == 0);
    assert_int_equal(seen.n_gone, 0);
}

static void check_gone(void)
{
    struct client client = client_connect(&h);
    client_send(&client, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&h, seen.n_held == 1);
    client_close(&client);
    wait_for(&h, seen.n_gone == 1);
    assert_int_equal(server_stats(h.server)->open, 0);
}

static void test_server__peer_gone(void **state)
{
    (void)state;
    start((struct server_options){0});
    check_gone();
}

static void test_server__peer_gone_tls(void **state)
{
    (void)state;
    start_tls(true, false);
    check_gone();
}

static void test_server__free_tells_owners(void **state)
{
    (void)state;
    start((struct server_options){0});
    struct client client = client_connect(&h);
    client_send(&client, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&h, seen.n_held == 1);
    h.server = server_free(h.server);
    assert_int_equal(seen.n_gone, 1);
    client_close(&client);
}

/* --- streams */

static void test_server__stream(void **state)
{
    (void)state;
    start((struct server_options){0});
    struct client client = client_connect(&h);
    client_send(&client, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&h, seen.n_held == 1);
    server_stream_begin(seen.held[0], 200, NULL);
    client_wait_text(&client, "Transfer-Encoding: chunked\r\n\r\n"); /* the head does not wait for a first line */
    assert_int_equal(server_stream_write(seen.held[0], "hello", 5), 0);
    assert_int_equal(server_stream_write(seen.held[0], "", 0), 0); /* must not look like the end */
    client_wait_text(&client, "\r\n5\r\nhello\r\n");
    server_stream_end(seen.held[0]);
    client_wait_text(&client, "hello\r\n0\r\n\r\n");
    client_send(&client, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&client, "no such page");
    client_close(&client);
}

static void test_server__stream_back_pressure(void **state)
{
    CLEANUP(xfree) char *block = xcalloc(1, 100000);
    (void)state;
    start((struct server_options){0});
    struct client client = client_connect(&h);
    client_send(&client, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&h, seen.n_held == 1);
    struct server_request *request = seen.held[0];
    server_stream_begin(request, 200, NULL);
    server_stream_on_drained(request, on_drained, NULL);
    size_t n = 0;
    while (server_stream_write(request, block, 100000) < 1000000)
        n++;
    assert_int_equal(seen.n_drained, 0);
    wait_for(&h, (client_poll(&client), seen.n_drained == 1));
    client_wait_bytes(&client, n * 100000);
    /* and a reader that never reads is dropped */
    int64_t pending;
    while ((pending = server_stream_write(request, block, 100000)) >= 0)
        assert_true(pending <= (int64_t)MIB(8));
    assert_int_equal(seen.n_gone, 0); /* not from inside the write */
    wait_for(&h, seen.n_gone == 1);
    client_close(&client);
}

static void test_server__stream_peer_gone(void **state)
{
    (void)state;
    start((struct server_options){0});
    struct client client = client_connect(&h);
    client_send(&client, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&h, seen.n_held == 1);
    server_stream_begin(seen.held[0], 200, NULL);
    client_close(&client);
    wait_for(&h, seen.n_gone == 1);
}

/* --- timers and limits */

static void test_server__timeouts(void **state)
{
    (void)state;
    start((struct server_options){.idle_timeout_ms = 150, .request_timeout_ms = 60});
    struct client idle = client_connect(&h), slow = client_connect(&h), answered = client_connect(&h);
    client_send(&slow, "GET / HTTP/1.1\r\nHo");
    client_send(&answered, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&slow, "HTTP/1.1 408 Request Timeout\r\n");
    client_wait_end(&slow);
    client_wait_end(&idle);
    client_wait_end(&answered);
    assert_int_equal(idle.in.len, 0);
    assert_int_equal(count_of(&answered, "HTTP/1.1"), 1);
    assert_int_equal(server_stats(h.server)->timeouts, 1);
    client_close(&idle);
    client_close(&slow);
    client_close(&answered);
}

static void test_server__handshake_timeout(void **state)
{
    (void)state;
    harness_make_tls(&h, false, false);
    start((struct server_options){.request_timeout_ms = 60});
    struct tls_context *client_tls = take(&h.client_tls);
    struct client mute = client_connect(&h), plain = client_connect(&h);
    h.client_tls = client_tls;
    client_send(&plain, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_end(&plain);
    client_wait_end(&mute);
    assert_int_equal(server_stats(h.server)->handshakes_failed, 2);
    assert_int_equal(server_stats(h.server)->timeouts, 1);
    client_close(&mute);
    client_close(&plain);
}

static void test_server__too_many_connections(void **state)
{
    (void)state;
    start((struct server_options){.max_connections = 2});
    struct client a = client_connect(&h), b = client_connect(&h), c = client_connect(&h);
    client_wait_end(&c);
    assert_int_equal(server_stats(h.server)->refused, 1);
    client_close(&a);
    wait_for(&h, server_stats(h.server)->open == 1);
    struct client d = client_connect(&h);
    client_send(&d, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&d, "404");
    client_close(&b);
    client_close(&c);
    client_close(&d);
}

/* Out of descriptors: accepting pauses instead of spinning, and comes back. */
static void test_server__out_of_descriptors(void **state)
{
    struct rlimit old, low;
    (void)state;
    start((struct server_options){0});
    struct client client = client_connect(&h);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)client.fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int i = 0; i < 5; i++)
        turn(&h);
    assert_int_equal(server_stats(h.server)->accepted, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    client_send(&client, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&client, "404");
    client_close(&client);
}

/* --- listeners, reload, drain */

static void test_server__listeners(void **state)
{
    struct err err = {0};
    struct server_listener *second = NULL;
    int tag;
    (void)state;
    start((struct server_options){0});
    check_ok(server_listen(h.server, "127.0.0.1", 0, &tag, &second, &err), &err);
    int first_port = h.port;
    h.port = server_listener_port(second);
    assert_int_not_equal(h.port, first_port);
    struct client client = client_connect(&h);
    client_send(&client, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&client, "404");
    assert_ptr_equal(seen.last_tag, &tag);
    assert_int_equal(server_listen(h.server, "127.0.0.1", h.port, NULL, NULL, &err), ERR_EXISTS);
    err_clear(&err);
    server_listener_free(second);
    buf_clear(&client.in);
    client_send(&client, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"); /* its connections live on */
    client_wait_text(&client, "404");
    assert_null(seen.last_tag);
    client_close(&client);
    assert_int_equal(server_listen(h.server, "nowhere", 1, NULL, NULL, &err), ERR_INVALID);
    err_clear(&err);
}

static void test_server__reload(void **state)
{
    struct err err = {0};
    struct tls_context *renewed = NULL;
    (void)state;
    start_tls(true, false);
    struct client before = client_connect(&h);
    struct tls_server_options options = {.cert_pem = h.server_pair.cert_pem, .key_pem = h.server_pair.key_pem};
    check_ok(tls_server_context_new(&options, &renewed, &err), &err);
    server_set_tls(h.server, renewed);
    tls_context_free(h.server_tls);
    h.server_tls = renewed;
    struct client after = client_connect(&h);
    client_send(&after, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&after, "404");
    assert_string_equal(seen.last_name, "-"); /* the new context does not ask */
    client_send(&before, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&before, "404");
    assert_string_equal(seen.last_name, "alice");
    client_close(&before);
    client_close(&after);
}

static void set_true(void *data)
{
    *(bool *)data = true;
}

static void test_server__drain(void **state)
{
    bool done = false;
    (void)state;
    start((struct server_options){0});
    struct client idle = client_connect(&h), busy = client_connect(&h), arriving = client_connect(&h);
    client_send(&idle, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    client_send(&busy, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    client_send(&arriving, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&h, seen.n_requests == 3);
    client_wait_text(&arriving, "404");
    buf_clear(&arriving.in);
    /* in the kernel, not read yet, when the drain begins: must be answered */
    client_send(&arriving, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    server_drain(h.server, 60000, set_true, &done);
    client_wait_end(&idle);
    client_wait_end(&arriving);
    assert_contains(arriving.in.data, "404");
    assert_contains(arriving.in.data, "Connection: close");
    assert_false(done);
    server_respond_text(seen.held[0], 200, "finished");
    wait_for(&h, done);
    client_wait_end(&busy);
    assert_contains(busy.in.data, "Connection: close\r\n\r\nfinished");
    assert_int_equal(server_stats(h.server)->open, 0);
    struct err err = {0};
    assert_int_equal(server_listen(h.server, "127.0.0.1", 0, NULL, NULL, &err), ERR_CANCELLED);
    err_clear(&err);
    client_close(&idle);
    client_close(&busy);
    client_close(&arriving);
}

static void test_server__drain_timeout(void **state)
{
    bool done = false;
    (void)state;
    start((struct server_options){0});
    struct client busy = client_connect(&h);
    client_send(&busy, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&h, seen.n_held == 1);
    server_drain(h.server, 50, set_true, &done);
    wait_for(&h, done);
    assert_int_equal(seen.n_gone, 1);
    client_wait_end(&busy);
    client_close(&busy);
}

static void test_server__drain_of_nothing(void **state)
{
    bool done = false;
    (void)state;
    start((struct server_options){0});
    server_drain(h.server, 60000, set_true, &done);
    wait_for(&h, done);
}

#define TEST(name) cmocka_unit_test_teardown(test_server__##name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers),
        TEST(versions_and_methods),
        TEST(bad_requests),
        TEST(refusal_survives_unread_input),
        TEST(byte_by_byte),
        TEST(byte_by_byte_tls),
        TEST(pipelining),
        TEST(pipelining_tls),
        TEST(large_bodies),
        TEST(large_bodies_tls),
        TEST(expect_continue),
        TEST(answer_later),
        TEST(peer_gone),
        TEST(peer_gone_tls),
        TEST(free_tells_owners),
        TEST(stream),
        TEST(stream_back_pressure),
        TEST(stream_peer_gone),
        TEST(timeouts),
        TEST(handshake_timeout),
        TEST(too_many_connections),
        TEST(out_of_descriptors),
        TEST(listeners),
        TEST(reload),
        TEST(drain),
        TEST(drain_timeout),
        TEST(drain_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
