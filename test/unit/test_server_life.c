/* test_server_life.c: answers that come later, streams, timers, limits, reload and drain of lib/net/server.c. */
#include "server_fixture.h"

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

static void on_drained(void *data)
{
    (void)data;
    seen.n_drained++;
}


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

/* A head of the handler's own, as a proxy has it; what frames the answer stays the server's. */
static void test_server__stream_with_a_head(void **state)
{
    static const struct http1_header headers[] = {{{"Content-Type", 12}, {"a/b", 3}},
                                                  {{"Date", 4}, {"then", 4}},
                                                  {{"transfer-encoding", 17}, {"gzip", 4}},
                                                  {{"Content-Length", 14}, {"77", 2}},
                                                  {{"Warning", 7}, {"one", 3}},
                                                  {{"Warning", 7}, {"two", 3}}};
    (void)state;
    start((struct server_options){0});
    struct client client = client_connect(&h);
    client_send(&client, "GET /later HTTP/1.1\r\nHost: a\r\n\r\nHEAD /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&h, seen.n_held == 1);
    server_stream_begin_as(seen.held[0], 418, headers, countof(headers), 5);
    client_wait_text(&client, "HTTP/1.1 418 Unknown\r\nContent-Type: a/b\r\nDate: then\r\nWarning: one\r\nWarning: two\r\n"
                              "Content-Length: 5\r\n\r\n");
    assert_int_equal(server_stream_write(seen.held[0], "hello", 5), 0);
    server_stream_end(seen.held[0]);
    wait_for(&h, seen.n_held == 2);
    server_stream_begin_as(seen.held[1], 200, NULL, 0, 1000); /* what a GET would have given */
    server_stream_end(seen.held[1]);
    client_wait_text(&client, "Content-Length: 1000\r\n\r\n");
    assert_null(strstr(client.in.data, "gzip"));
    assert_null(strstr(client.in.data, "77"));
    assert_int_equal(count_of(&client, "Date: "), 2);
    client_close(&client);
}

/* An answer that cannot be completed must not look complete. */
static void check_broken_off(int64_t length, bool abort)
{
    start((struct server_options){0});
    struct client client = client_connect(&h);
    client_send(&client, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&h, seen.n_held == 1);
    server_stream_begin_as(seen.held[0], 200, NULL, 0, length);
    assert_int_equal(server_stream_write(seen.held[0], "begun", 5), 0);
    if (abort)
        server_stream_abort(seen.held[0]);
    else
        server_stream_end(seen.held[0]);
    client_wait_end(&client);
    assert_contains(client.in.data, "begun");
    assert_null(strstr(client.in.data, "\r\n0\r\n"));
    client_close(&client);
    wait_for(&h, server_stats(h.server)->open == 0);
    assert_int_equal(seen.n_gone, 0);
    stop(NULL);
}

static void test_server__stream_broken_off(void **state)
{
    (void)state;
    check_broken_off(-1, true);
    check_broken_off(10, true);
    check_broken_off(10, false);
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

/* A client that has sent n bytes of a body of 7,000,000. */
static struct client begin_large(size_t n)
{
    struct client client = client_connect(&h);
    CLEANUP(xfree) char *part = xmalloc(n);

    memset(part, 'x', n);
    client_send(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 7000000\r\n\r\n");
    client_send_bytes(&client, part, n);
    for (int i = 0; i < 10; i++)
        turn(&h);
    return client;
}

static void test_server__too_many_unfinished_bytes(void **state)
{
    static char body[500000];

    (void)state;
    start((struct server_options){.max_unfinished = MIB(4)});
    struct client small = client_connect(&h);
    client_send(&small, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    client_send_bytes(&small, body, sizeof(body) / 2);
    struct client first = begin_large(1500000), second = begin_large(1500000), third = begin_large(1500000);
    wait_for(&h, server_stats(h.server)->unfinished == 2);
    /* one of the large ones fits, and so does what is small */
    client_send_bytes(&small, body, sizeof(body) / 2);
    client_wait_text(&small, "HTTP/1.1 200 OK");
    size_t n_refused = 0;
    struct client *large[] = {&first, &second, &third};
    for (size_t i = 0; i < countof(large); i++) {
        client_poll(large[i]);
        n_refused += large[i]->in.len > 0 && strstr(large[i]->in.data, " 503 ") != NULL;
        client_close(large[i]);
    }
    assert_int_equal(n_refused, 2);
    wait_for(&h, server_stats(h.server)->open == 1);
    /* what they held is given back */
    struct client last = begin_large(1500000);
    assert_int_equal(server_stats(h.server)->unfinished, 2);
    client_close(&last);
    client_close(&small);
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


int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answer_later),
        TEST(peer_gone),
        TEST(peer_gone_tls),
        TEST(free_tells_owners),
        TEST(stream),
        TEST(stream_with_a_head),
        cmocka_unit_test(test_server__stream_broken_off),
        TEST(stream_back_pressure),
        TEST(stream_peer_gone),
        TEST(timeouts),
        TEST(too_many_unfinished_bytes),
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
