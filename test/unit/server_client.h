/*
 * server_client.h: a server and raw clients of it in one process and one loop, for test_server.c and
 * test_server_proxy.c. Every wait turns the loop and fails the test after five seconds.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "net/pki.h"
#include "net/server.h"

#define WAIT_MS 5000

struct harness {
    struct loop *loop;
    struct server *server;
    struct server_listener *listener;
    int port;
    struct tls_context *server_tls, *client_tls;
    struct pki_pair ca, server_pair, client_pair;
};

struct client {
    struct harness *harness;
    int fd;
    struct tls *tls;
    struct buf in;
    bool ended; /* the server closed, orderly or not */
    bool reset; /* not orderly */
};

static inline void check_ok(int r, const struct err *err)
{
    if (r < 0)
        fail_msg("%s", err_text(err));
}

static inline void turn(struct harness *h)
{
    struct err err = {0};
    check_ok(loop_turn(h->loop, 5, &err), &err);
}

/* Waits for a condition that some callback makes true. */
#define wait_for(harness, condition)                                                               \
    do {                                                                                           \
        int64_t _end = clock_monotonic_ms() + WAIT_MS;                                             \
        while (!(condition)) {                                                                     \
            if (clock_monotonic_ms() > _end)                                                       \
                fail_msg("waited in vain for %s", #condition);                                     \
            turn(harness);                                                                         \
        }                                                                                          \
    } while (0)

static inline void harness_start(struct harness *h, struct server_options options)
{
    struct err err = {0};
    check_ok(loop_new(&h->loop, &err), &err);
    options.tls = h->server_tls;
    check_ok(server_new(h->loop, &options, &h->server, &err), &err);
    check_ok(server_listen(h->server, "127.0.0.1", 0, h, &h->listener, &err), &err);
    h->port = server_listener_port(h->listener);
}

/* Certificates for a harness with TLS; the client's is CN=alice, O=team. */
static inline void harness_make_tls(struct harness *h, bool ask_client, bool client_optional)
{
    struct err err = {0};
    static const char *const addresses[] = {"127.0.0.1", NULL};
    static const char *const groups[] = {"team", "other", NULL};
    check_ok(pki_make_ca("ca", 10, &h->ca, &err), &err);
    struct pki_request server = {.common_name = "server", .ip_addresses = addresses, .server = true, .days = 1};
    check_ok(pki_issue(&h->ca, &server, &h->server_pair, &err), &err);
    struct pki_request client = {.common_name = "alice", .organizations = groups, .client = true, .days = 1};
    check_ok(pki_issue(&h->ca, &client, &h->client_pair, &err), &err);
    struct tls_server_options server_options = {
        .cert_pem = h->server_pair.cert_pem,
        .key_pem = h->server_pair.key_pem,
        .client_ca_pem = ask_client ? h->ca.cert_pem : NULL,
        .client_cert_optional = client_optional,
    };
    check_ok(tls_server_context_new(&server_options, &h->server_tls, &err), &err);
    struct tls_client_options client_options = {
        .ca_pem = h->ca.cert_pem,
        .cert_pem = h->client_pair.cert_pem,
        .key_pem = h->client_pair.key_pem,
    };
    check_ok(tls_client_context_new(&client_options, &h->client_tls, &err), &err);
}

static inline void harness_stop(struct harness *h)
{
    h->server = server_free(h->server);
    h->loop = loop_free(h->loop);
    h->server_tls = tls_context_free(h->server_tls);
    h->client_tls = tls_context_free(h->client_tls);
    pki_pair_done(&h->ca);
    pki_pair_done(&h->server_pair);
    pki_pair_done(&h->client_pair);
}

static inline struct client client_connect(struct harness *h)
{
    struct client client = {.harness = h};
    struct err err = {0};
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)h->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    client.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(client.fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail_msg("connect: %s", strerror(errno));
    check_ok(fd_set_nonblocking(client.fd, &err), &err);
    if (h->client_tls != NULL) {
        check_ok(tls_new(h->client_tls, client.fd, "127.0.0.1", &client.tls, &err), &err);
        int64_t end = clock_monotonic_ms() + WAIT_MS;
        for (;;) {
            int r = tls_handshake(client.tls, &err);
            check_ok(r, &err);
            if (r == TLS_DONE)
                break;
            assert_true(clock_monotonic_ms() < end);
            turn(h);
        }
    }
    return client;
}

static inline void client_close(struct client *client)
{
    client->tls = tls_free(client->tls);
    if (client->fd >= 0)
        (void)close(client->fd);
    client->fd = -1;
    buf_done(&client->in);
}

/* As much as the sockets take; the number of bytes. */
static inline size_t client_try_send(struct client *client, const void *data, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        struct err err = {0};
        size_t n = 0;
        if (client->tls != NULL) {
            int r = tls_write(client->tls, (const char *)data + sent, len - sent, &n, &err);
            err_clear(&err);
            if (r != TLS_DONE)
                break;
        } else {
            ssize_t r = send(client->fd, (const char *)data + sent, len - sent, MSG_NOSIGNAL);
            if (r <= 0)
                break;
            n = (size_t)r;
        }
        sent += n;
    }
    return sent;
}

static inline void client_send_bytes(struct client *client, const void *data, size_t len)
{
    int64_t end = clock_monotonic_ms() + WAIT_MS;
    for (size_t sent = 0; sent < len;) {
        sent += client_try_send(client, (const char *)data + sent, len - sent);
        if (sent < len)
            turn(client->harness);
        assert_true(clock_monotonic_ms() < end);
    }
}

static inline void client_send(struct client *client, const char *text)
{
    client_send_bytes(client, text, strlen(text));
}

/* Reads what is there now. */
static inline void client_poll(struct client *client)
{
    while (!client->ended) {
        struct err err = {0};
        char *to = buf_reserve(&client->in, 65536);
        size_t n = 0;
        int r;
        if (client->tls != NULL) {
            r = tls_read(client->tls, to, 65536, &n, &err);
        } else {
            ssize_t got = recv(client->fd, to, 65536, 0);
            n = got > 0 ? (size_t)got : 0;
            r = got > 0 ? TLS_DONE : got == 0 ? TLS_CLOSED : errno == EAGAIN ? TLS_WANT_READ : ERR_IO;
        }
        err_clear(&err);
        if (r == TLS_WANT_READ)
            return;
        buf_advance(&client->in, n);
        client->ended = r != TLS_DONE;
        client->reset = r < 0;
    }
}

static inline void client_wait_bytes(struct client *client, size_t len)
{
    wait_for(client->harness, (client_poll(client), client->in.len >= len || client->ended));
    assert_true(client->in.len >= len);
}

static inline void client_wait_text(struct client *client, const char *text)
{
    int64_t end = clock_monotonic_ms() + WAIT_MS;
    for (;;) {
        client_poll(client);
        if (strstr(buf_text(&client->in), text) != NULL)
            return;
        if (client->ended || clock_monotonic_ms() > end)
            fail_msg("'%s' not in '%s'", text, buf_text(&client->in));
        turn(client->harness);
    }
}

static inline void client_wait_end(struct client *client)
{
    wait_for(client->harness, (client_poll(client), client->ended));
}

static inline size_t count_of(const struct client *client, const char *text)
{
    size_t n = 0;
    for (const char *at = buf_text(&client->in); (at = strstr(at, text)) != NULL; at += strlen(text))
        n++;
    return n;
}

/* One request on a connection of its own: everything the server sends until it closes. */
static inline char *exchange(struct harness *h, const char *request)
{
    struct client client = client_connect(h);
    client_send(&client, request);
    client_wait_end(&client);
    assert_false(client.reset);
    char *answer = buf_take(&client.in);
    client_close(&client);
    return answer;
}

static inline void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("'%s' not in '%s'", part, text);
}
