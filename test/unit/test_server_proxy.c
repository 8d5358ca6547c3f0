/*
 * test_server_proxy.c: server_proxy between raw clients and a backend in the same loop that upgrades and echoes,
 * refuses, or misbehaves, as its first request target asks.
 */
#include "server_client.h"

#include "net/wire.h"

static struct harness h; /* of the running test */

/* --- the backend: one connection at a time */

static struct {
    int listen_fd, fd, port;
    struct loop_fd *listen_source, *source;
    struct buf head; /* the request head and what came behind it before the answer */
    struct buf pending;
    bool upgraded, ended, mute;
    bool stays;  /* does not hang up when the client has ended */
    bool silent; /* does not echo */
    size_t n_received; /* after the upgrade */
    const char *target;
} backend;

static void backend_hang_up(void)
{
    backend.source = loop_fd_free(backend.source);
    backend.fd = fd_close(backend.fd);
}

static void backend_send(const char *data, size_t len)
{
    buf_add(&backend.pending, data, len);
    while (backend.pending.len > 0) {
        ssize_t n = send(backend.fd, backend.pending.data, backend.pending.len, MSG_NOSIGNAL);
        if (n < 0)
            break;
        buf_consume(&backend.pending, (size_t)n);
    }
    struct err err = {0};
    check_ok(loop_fd_modify(backend.source, EPOLLIN | (backend.pending.len > 0 ? EPOLLOUT : 0), &err), &err);
}

static void backend_text(const char *text)
{
    backend_send(text, strlen(text));
}

static bool target_is(const char *target)
{
    CLEANUP(xfree) char *line = xasprintf(" %s HTTP/1.1\r\n", target);
    return strstr(backend.head.data, line) != NULL;
}

static void backend_answer(void)
{
    if (target_is("/echo?x=1")) {
        backend_text("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
                     "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\nfirst words ");
        backend.upgraded = true;
    } else if (target_is("/refuse")) {
        backend_text("HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n");
        backend_text("not found"); /* and it keeps the connection open */
    } else if (target_is("/refuse-chunked")) {
        backend_text("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfor");
        backend_text("\r\n6\r\nbidden\r\n0\r\n\r\n"); /* and it keeps the connection open */
    } else if (target_is("/refuse-close")) {
        backend_text("HTTP/1.1 403 Forbidden\r\n\r\nforbidden");
        backend_hang_up();
    } else if (target_is("/ok")) {
        backend_text("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    } else if (target_is("/junk")) {
        backend_text("no http\r\n\r\n");
    } else if (target_is("/hang-up")) {
        backend_hang_up();
    } else {
        fail_msg("backend got '%s'", backend.head.data);
    }
}

static void on_backend_event(struct loop_fd *source, uint32_t events, void *data)
{
    char bytes[20000];
    (void)source, (void)data;
    if ((events & EPOLLOUT) != 0)
        backend_send("", 0);
    if ((events & EPOLLIN) == 0 || backend.mute)
        return;
    ssize_t n = recv(backend.fd, bytes, sizeof(bytes), 0);
    if (n <= 0) {
        struct err err = {0};
        backend.ended = true;
        if (backend.stays)
            check_ok(loop_fd_modify(backend.source, 0, &err), &err);
        else
            backend_hang_up();
        return;
    }
    if (backend.upgraded) {
        backend.n_received += (size_t)n;
        if (!backend.silent)
            backend_send(bytes, (size_t)n);
        return;
    }
    buf_add(&backend.head, bytes, (size_t)n);
    if (strstr(backend.head.data, "\r\n\r\n") != NULL)
        backend_answer();
}

static void on_backend_accept(struct loop_fd *source, uint32_t events, void *data)
{
    struct err err = {0};
    (void)source, (void)events, (void)data;
    backend.fd = accept4(backend.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(backend.fd >= 0);
    check_ok(loop_fd_new(h.loop, backend.fd, EPOLLIN, on_backend_event, NULL, &backend.source, &err), &err);
}

static void backend_start(void)
{
    struct err err = {0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    backend.fd = -1;
    backend.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(backend.listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(backend.listen_fd, 10), 0);
    assert_int_equal(getsockname(backend.listen_fd, (struct sockaddr *)&address, &len), 0);
    backend.port = ntohs(address.sin_port);
    check_ok(loop_fd_new(h.loop, backend.listen_fd, EPOLLIN, on_backend_accept, NULL, &backend.listen_source, &err),
             &err);
}

/* --- the server in between */

static void on_request(struct server_request *request, void *data)
{
    (void)data;
    server_proxy(request, "127.0.0.1", backend.port, backend.target);
}

static void start(const char *target, bool with_tls)
{
    memset(&backend, 0, sizeof(backend));
    backend.target = target;
    if (with_tls)
        harness_make_tls(&h, true, false);
    harness_start(&h, (struct server_options){.handler = on_request});
    backend_start();
}

static int stop(void **state)
{
    (void)state;
    h.server = server_free(h.server);
    loop_fd_free(backend.listen_source);
    backend_hang_up();
    if (backend.listen_fd >= 0)
        (void)close(backend.listen_fd);
    buf_done(&backend.head);
    buf_done(&backend.pending);
    harness_stop(&h);
    memset(&h, 0, sizeof(h));
    return 0;
}

#define UPGRADE                                                                                    \
    "POST /exec/default/web/app?command=sh HTTP/1.1\r\nHost: node:10250\r\n"                       \
    "Authorization: Bearer secret\r\nImpersonate-User: root\r\nimpersonate-group: wheel\r\n"       \
    "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n" \
    "X-Stream-Protocol-Version: v3.channel.k8s.io\r\nOrigin: https://x\r\nContent-Length: 0\r\n\r\n"

static struct client upgraded(const char *request)
{
    struct client client = client_connect(&h);
    client_send(&client, request);
    client_wait_text(&client, "v4.channel.k8s.io\r\n\r\nfirst words ");
    buf_clear(&client.in);
    return client;
}

static void check_echo(void)
{
    /* the bytes behind the head belong to the stream */
    struct client client = client_connect(&h);
    client_send(&client, UPGRADE "early bytes");
    client_wait_text(&client, "first words ");
    assert_true(starts_with(client.in.data, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"));
    client_send(&client, ", later bytes");
    client_wait_text(&client, ", later bytes");
    /* those that came with the request may reach the backend before it answers or after */
    if (strstr(client.in.data, "early bytes") == NULL)
        assert_contains(backend.head.data, "\r\n\r\nearly bytes");
    const char *head = backend.head.data;
    assert_true(starts_with(head, "POST /echo?x=1 HTTP/1.1\r\nHost: node:10250\r\nConnection: Upgrade\r\n"
                                  "Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n"
                                  "X-Stream-Protocol-Version: v3.channel.k8s.io\r\nOrigin: https://x\r\n"
                                  "Content-Length: 0\r\n\r\n"));
    assert_null(strstr(head, "secret"));
    client_close(&client);
    wait_for(&h, backend.ended);
    wait_for(&h, server_stats(h.server)->open == 0);
}

static void test_server_proxy__echo(void **state)
{
    (void)state;
    start("/echo?x=1", false);
    check_echo();
}

static void test_server_proxy__echo_tls(void **state)
{
    (void)state;
    start("/echo?x=1", true);
    check_echo();
}

/* A chunked request body is decoded on the way in, so its framing must change. */
static void test_server_proxy__body(void **state)
{
    (void)state;
    start("/echo?x=1", false);
    struct client client =
        upgraded("POST /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_contains(backend.head.data, "\r\nContent-Length: 5\r\n\r\n");
    assert_null(strstr(backend.head.data, "chunked"));
    client_send(&client, "x");
    client_wait_text(&client, "x");
    client_close(&client);
}

static void check_volume(void)
{
    size_t len = 2000000, sent = 0;
    CLEANUP(xfree) char *bytes = xmalloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 31 % 251);
    struct client client = upgraded(UPGRADE);
    int64_t end = clock_monotonic_ms() + WAIT_MS;
    while (client.in.len < len) {
        sent += client_try_send(&client, bytes + sent, len - sent);
        turn(&h);
        client_poll(&client);
        assert_true(clock_monotonic_ms() < end && !client.ended);
    }
    assert_int_equal(client.in.len, len);
    assert_memory_equal(client.in.data, bytes, len);
    client_close(&client);
}

static void test_server_proxy__volume(void **state)
{
    (void)state;
    start("/echo?x=1", false);
    check_volume();
}

static void test_server_proxy__volume_tls(void **state)
{
    (void)state;
    start("/echo?x=1", true);
    check_volume();
}

/* A backend that does not read stops the client; what is buffered in between is bounded. */
static void test_server_proxy__back_pressure(void **state)
{
    CLEANUP(xfree) char *bytes = xcalloc(1, 1000000);
    size_t sent = 0, idle_turns = 0;
    (void)state;
    start("/echo?x=1", false);
    struct client client = upgraded(UPGRADE);
    struct err err = {0};
    backend.mute = true;
    check_ok(loop_fd_modify(backend.source, 0, &err), &err);
    while (idle_turns < 20) {
        size_t n = client_try_send(&client, bytes, 1000000);
        idle_turns = n == 0 ? idle_turns + 1 : 0;
        sent += n;
        turn(&h);
        assert_true(sent < MIB(64)); /* the kernel's buffers are smaller */
    }
    backend.mute = false;
    check_ok(loop_fd_modify(backend.source, EPOLLIN, &err), &err);
    wait_for(&h, (client_poll(&client), client.in.len >= sent));
    assert_int_equal(backend.n_received, sent);
    client_close(&client);
}

static void check_backend_ends(void)
{
    CLEANUP(xfree) char *bytes = xmalloc(300000);
    memset(bytes, 'z', 300000);
    struct client client = upgraded(UPGRADE);
    backend_send(bytes, 300000);
    client_send(&client, "nobody reads this"); /* and must not turn the end into a reset */
    wait_for(&h, backend.pending.len == 0);
    (void)shutdown(backend.fd, SHUT_WR);
    client_wait_end(&client);
    assert_false(client.reset);
    assert_true(client.in.len >= 300000);
    client_close(&client);
}

static void test_server_proxy__backend_ends(void **state)
{
    (void)state;
    start("/echo?x=1", false);
    check_backend_ends();
}

static void test_server_proxy__backend_ends_tls(void **state)
{
    (void)state;
    start("/echo?x=1", true);
    check_backend_ends();
}

/* The client says its end; the last echo still comes back. */
static void test_server_proxy__client_half_closes(void **state)
{
    (void)state;
    start("/echo?x=1", false);
    struct client client = upgraded(UPGRADE);
    client_send(&client, "last words");
    (void)shutdown(client.fd, SHUT_WR);
    client_wait_end(&client);
    assert_string_equal(buf_text(&client.in), "last words");
    assert_true(backend.ended);
    client_close(&client);
}

/* The client has ended and the backend takes its time: nothing of what it says is lost. */
static void test_server_proxy__half_closed_client_hears_the_rest(void **state)
{
    (void)state;
    start("/echo?x=1", false);
    struct client client = upgraded(UPGRADE);
    backend.stays = true;
    (void)shutdown(client.fd, SHUT_WR);
    wait_for(&h, backend.ended);
    for (int i = 0; i < 9; i++) { /* longer than a moment's patience in the middle would last */
        int64_t next = clock_monotonic_ms() + 300;
        backend_text("piece ");
        while (clock_monotonic_ms() < next)
            turn(&h);
    }
    backend_hang_up();
    client_wait_end(&client);
    assert_false(client.reset);
    assert_int_equal(count_of(&client, "piece "), 9);
    client_close(&client);
    wait_for(&h, server_stats(h.server)->open == 0);
}

/* The backend has said all it has to say and goes on reading. */
static void check_half_closed_backend(bool with_tls)
{
    CLEANUP(xfree) char *bytes = xcalloc(1, 1000000);
    start("/echo?x=1", with_tls);
    struct client client = upgraded(UPGRADE);
    backend.silent = true;
    (void)shutdown(backend.fd, SHUT_WR);
    client_wait_end(&client);
    assert_false(client.reset);
    client_send_bytes(&client, bytes, 1000000);
    wait_for(&h, backend.n_received == 1000000);
    client_close(&client);
    wait_for(&h, backend.ended && server_stats(h.server)->open == 0);
}

static void test_server_proxy__half_closed_backend_hears_the_rest(void **state)
{
    (void)state;
    check_half_closed_backend(false);
}

static void test_server_proxy__half_closed_backend_hears_the_rest_tls(void **state)
{
    (void)state;
    check_half_closed_backend(true);
}

/* --- server_proxy_as: through a second server to the first one, which has TLS */

static void on_request_to_tls(struct server_request *request, void *data)
{
    static const struct http1_header headers[] = {{{"Host", 4}, {"front", 5}},
                                                  {{"Connection", 10}, {"upgrade", 7}},
                                                  {{"Upgrade", 7}, {"x", 1}},
                                                  {{"Content-Length", 14}, {"99", 2}},
                                                  {{"X-Mine", 6}, {"yes", 3}}};
    const struct wire_options *where = data;
    server_proxy_as(request, where, "/mine", headers, countof(headers));
}

static void check_way(const struct wire_options *where, const char *status)
{
    struct err err = {0};
    struct server *front = NULL;
    struct server_listener *listener = NULL;
    const struct server_options options = {.handler = on_request_to_tls, .data = (void *)(uintptr_t)where};
    check_ok(server_new(h.loop, &options, &front, &err), &err);
    check_ok(server_listen(front, "127.0.0.1", 0, NULL, &listener, &err), &err);
    struct harness plain = {.loop = h.loop, .port = server_listener_port(listener)};
    struct client client = client_connect(&plain);
    client_send(&client, UPGRADE "early");
    client_wait_text(&client, status);
    if (backend.upgraded) {
        client_wait_text(&client, "first words ");
        assert_contains(backend.head.data, "X-Mine: yes\r\n");
        assert_null(strstr(backend.head.data, "secret"));
        assert_null(strstr(backend.head.data, "99"));
        client_send(&client, ", later");
        client_wait_text(&client, ", later");
    } else {
        client_wait_end(&client);
    }
    client_close(&client);
    wait_for(&h, server_stats(h.server)->open == 0 && server_stats(front)->open == 0);
    server_free(front);
}

static void test_server_proxy__to_tls(void **state)
{
    (void)state;
    start("/echo?x=1", true);
    CLEANUP(xfree) char *url = xasprintf("https://127.0.0.1:%d/not/looked/at", h.port);
    const struct wire_options where = {
        .url = url,
        .proxy = "",
        .tls = {.ca_pem = h.ca.cert_pem, .cert_pem = h.client_pair.cert_pem, .key_pem = h.client_pair.key_pem}};
    check_way(&where, "HTTP/1.1 101 ");
}

static void test_server_proxy__to_a_stranger(void **state)
{
    (void)state;
    start("/echo?x=1", true);
    CLEANUP(xfree) char *url = xasprintf("https://127.0.0.1:%d", h.port);
    const struct wire_options where = {.url = url, .proxy = "", .tls = {.ca_pem = h.client_pair.cert_pem}};
    check_way(&where, "error dialing backend: tls: failed to verify certificate: x509: certificate signed by unknown authority");
    const struct wire_options no_url = {.url = "ftp://x", .proxy = ""};
    check_way(&no_url, "is no http or https URL");
    const struct wire_options no_host = {.url = "http://127.0.0.1:1", .proxy = ""};
    check_way(&no_host, "error dialing backend: dial tcp 127.0.0.1:1: connection refused");
    const struct wire_options no_proxy = {.url = "http://127.0.0.1:1", .proxy = "http://127.0.0.1:1"};
    check_way(&no_proxy, "error dialing backend: proxyconnect tcp: dial tcp 127.0.0.1:1: connection refused");
}

static void check_answer(const char *target, const char *request, const char *status, const char *body)
{
    start(target, false);
    CLEANUP(xfree) char *answer = exchange(&h, request);
    if (!starts_with(answer + strlen("HTTP/1.1 "), status))
        fail_msg("target '%s' is answered with '%s'", target, answer);
    assert_contains(answer, body);
    wait_for(&h, server_stats(h.server)->open == 0);
    stop(NULL);
}

static void test_server_proxy__refusals(void **state)
{
    (void)state;
    check_answer("/refuse", UPGRADE, "404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n",
                 "\r\n\r\nnot found");
    check_answer("/refuse-close", UPGRADE, "403 Forbidden\r\n", "\r\n\r\nforbidden");
    check_answer("/refuse-chunked", UPGRADE, "403 Forbidden\r\n", "6\r\nbidden\r\n0\r\n\r\n");
    check_answer("/ok", UPGRADE, "500", "invalid upgrade response: status code 200");
    check_answer("/junk", UPGRADE, "500", "the answer is no HTTP/1.1");
    check_answer("/hang-up", UPGRADE, "500", "the backend ended without an answer");
    check_answer("no path", UPGRADE, "500", "no request target");
    check_answer("", UPGRADE, "500", "no request target");
    check_answer("/echo?x=1", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "500", "Upgrade request required");
}

static void test_server_proxy__nobody_listens(void **state)
{
    (void)state;
    start("/echo?x=1", false);
    backend.listen_source = loop_fd_free(backend.listen_source);
    backend.listen_fd = fd_close(backend.listen_fd);
    CLEANUP(xfree) char *answer = exchange(&h, UPGRADE);
    assert_true(starts_with(answer, "HTTP/1.1 500 Internal Server Error"));
    assert_contains(answer, "error dialing backend: dial tcp 127.0.0.1:");
    assert_contains(answer, "connection refused");
}

/* Freed in every phase; the sanitizers look on. */
static void test_server_proxy__freed_under_way(void **state)
{
    (void)state;
    start("/echo?x=1", false);
    struct client client = upgraded(UPGRADE);
    client_send(&client, "words");
    turn(&h);
    h.server = server_free(h.server);
    client_wait_end(&client);
    client_close(&client);
}

#define TEST(name) cmocka_unit_test_teardown(test_server_proxy__##name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(echo),
        TEST(echo_tls),
        TEST(body),
        TEST(volume),
        TEST(volume_tls),
        TEST(back_pressure),
        TEST(backend_ends),
        TEST(backend_ends_tls),
        TEST(client_half_closes),
        TEST(half_closed_client_hears_the_rest),
        TEST(half_closed_backend_hears_the_rest),
        TEST(half_closed_backend_hears_the_rest_tls),
        TEST(to_tls),
        TEST(to_a_stranger),
        cmocka_unit_test(test_server_proxy__refusals),
        TEST(nobody_listens),
        TEST(freed_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
