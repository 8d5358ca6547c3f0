/* test_server.c: a real server on 127.0.0.1 and raw clients: what each request, good or bad, is answered with. */
#include "server_fixture.h"

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
    size_t n = 0; /* not by count_of, whose strstr measures all that follows each time under the sanitizer */
    for (const char *at = strstr(buf_text(&client.in), "\r\n\r\n"); *at != '\0'; at++)
        n += *at == 'L';
    assert_int_equal(n, 1000000);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
