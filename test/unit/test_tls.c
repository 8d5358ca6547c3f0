/* test_tls.c: two ends on a socket pair: handshakes good and bad, who the peer is, reload, closing. */
#include "net/tls.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/pki.h"

static struct pki_pair ca, other_ca, server_pair, client_pair, stranger_pair;

struct pair {
    int fds[2];
    struct tls *server, *client;
};

static void issue(const struct pki_pair *authority, const struct pki_request *request, struct pki_pair *ret)
{
    struct err err = {0};
    assert_int_equal(pki_issue(authority, request, ret, &err), 0);
}

static int make_pairs(void **state)
{
    struct err err = {0};
    static const char *const groups[] = {"team", "other", NULL};
    static const char *const names[] = {"server.example", NULL};
    static const char *const addresses[] = {"127.0.0.1", NULL};
    (void)state;
    assert_int_equal(pki_make_ca("ca", 10, &ca, &err), 0);
    assert_int_equal(pki_make_ca("other", 10, &other_ca, &err), 0);
    issue(&ca, &(struct pki_request){.common_name = "s", .dns_names = names, .ip_addresses = addresses,
                                     .server = true, .days = 1}, &server_pair);
    issue(&ca, &(struct pki_request){.common_name = "alice", .organizations = groups, .client = true, .days = 1},
          &client_pair);
    issue(&other_ca, &(struct pki_request){.common_name = "mallory", .client = true, .days = 1}, &stranger_pair);
    return 0;
}

static int free_pairs(void **state)
{
    struct pki_pair *all[] = {&ca, &other_ca, &server_pair, &client_pair, &stranger_pair};
    (void)state;
    for (size_t i = 0; i < countof(all); i++)
        pki_pair_done(all[i]);
    return 0;
}

static struct tls_context *server_context(bool ask, bool optional)
{
    struct tls_context *context = NULL;
    struct err err = {0};
    struct tls_server_options options = {
        .cert_pem = server_pair.cert_pem,
        .key_pem = server_pair.key_pem,
        .client_ca_pem = ask ? ca.cert_pem : NULL,
        .client_cert_optional = optional,
    };
    assert_int_equal(tls_server_context_new(&options, &context, &err), 0);
    return context;
}

/* who: NULL for no client certificate. */
static struct tls_context *client_context(const struct pki_pair *who, const struct pki_pair *trusted, bool insecure)
{
    struct tls_context *context = NULL;
    struct err err = {0};
    struct tls_client_options options = {
        .ca_pem = trusted->cert_pem,
        .cert_pem = who ? who->cert_pem : NULL,
        .key_pem = who ? who->key_pem : NULL,
        .insecure = insecure,
    };
    assert_int_equal(tls_client_context_new(&options, &context, &err), 0);
    return context;
}

static struct pair pair_new(struct tls_context *server, struct tls_context *client, const char *name)
{
    struct pair pair;
    struct err err = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.fds), 0);
    assert_int_equal(tls_new(server, pair.fds[0], NULL, &pair.server, &err), 0);
    assert_int_equal(tls_new(client, pair.fds[1], name, &pair.client, &err), 0);
    tls_context_free(server); /* connections live without */
    tls_context_free(client);
    return pair;
}

static void pair_done(struct pair *pair)
{
    tls_free(pair->server);
    tls_free(pair->client);
    close(pair->fds[0]);
    close(pair->fds[1]);
}

/* Until both are done or one fails. */
static void handshake(struct pair *pair, int *ret_server, int *ret_client, struct err *server_err,
                      struct err *client_err)
{
    int server = TLS_WANT_READ, client = TLS_WANT_READ;
    for (int i = 0; i < 20; i++) {
        if (client > 0)
            client = tls_handshake(pair->client, client_err);
        if (server > 0)
            server = tls_handshake(pair->server, server_err);
    }
    *ret_server = server;
    *ret_client = client;
}

static struct pair connected(struct tls_context *server, struct tls_context *client)
{
    struct err a = {0}, b = {0};
    int server_result, client_result;
    struct pair pair = pair_new(server, client, "127.0.0.1");
    handshake(&pair, &server_result, &client_result, &a, &b);
    if (server_result != TLS_DONE || client_result != TLS_DONE)
        fail_msg("server: %s; client: %s", err_text(&a), err_text(&b));
    return pair;
}

static void test_tls__bytes_both_ways(void **state)
{
    struct pair pair = connected(server_context(false, false), client_context(NULL, &ca, false));
    CLEANUP(err_clear) struct err err = {0};
    char data[100];
    size_t n = 0;
    (void)state;
    assert_int_equal(tls_read(pair.server, data, sizeof(data), &n, &err), TLS_WANT_READ);
    assert_int_equal(tls_write(pair.client, "hello", 5, &n, &err), TLS_DONE);
    assert_int_equal(n, 5);
    assert_int_equal(tls_read(pair.server, data, 3, &n, &err), TLS_DONE);
    assert_int_equal(n, 3);
    assert_true(tls_has_pending(pair.server));
    assert_int_equal(tls_read(pair.server, data + 3, sizeof(data) - 3, &n, &err), TLS_DONE);
    assert_memory_equal(data, "hello", 5);
    assert_false(tls_has_pending(pair.server));
    assert_int_equal(tls_write(pair.server, "world", 5, &n, &err), TLS_DONE);
    assert_int_equal(tls_read(pair.client, data, sizeof(data), &n, &err), TLS_DONE);
    assert_memory_equal(data, "world", 5);
    struct tls_peer peer;
    tls_peer_get(pair.server, &peer);
    assert_null(peer.common_name);
    tls_peer_done(&peer);
    pair_done(&pair);
}

static void test_tls__client_certificate(void **state)
{
    struct pair pair = connected(server_context(true, false), client_context(&client_pair, &ca, false));
    struct tls_peer peer;
    (void)state;
    tls_peer_get(pair.server, &peer);
    assert_string_equal(peer.common_name, "alice");
    assert_int_equal(peer.organizations.n, 2);
    assert_true(strv_has(&peer.organizations, "team"));
    tls_peer_done(&peer);
    tls_peer_done(&peer);
    pair_done(&pair);
}

static void test_tls__client_certificate_optional(void **state)
{
    struct pair pair = connected(server_context(true, true), client_context(NULL, &ca, false));
    struct tls_peer peer;
    (void)state;
    tls_peer_get(pair.server, &peer);
    assert_null(peer.common_name);
    assert_int_equal(peer.organizations.n, 0);
    tls_peer_done(&peer);
    pair_done(&pair);
}

static void check_server_refuses(struct tls_context *server, struct tls_context *client)
{
    struct pair pair = pair_new(server, client, "127.0.0.1");
    CLEANUP(err_clear) struct err server_err = {0};
    CLEANUP(err_clear) struct err client_err = {0};
    int server_result, client_result;
    handshake(&pair, &server_result, &client_result, &server_err, &client_err);
    assert_int_equal(server_result, ERR_IO);
    assert_non_null(strstr(err_text(&server_err), "certificate"));
    tls_shutdown(pair.server); /* harmless after a failure */
    pair_done(&pair);
}

static void test_tls__refused_clients(void **state)
{
    (void)state;
    check_server_refuses(server_context(true, false), client_context(NULL, &ca, false));
    check_server_refuses(server_context(true, false), client_context(&stranger_pair, &ca, false));
    check_server_refuses(server_context(true, true), client_context(&stranger_pair, &ca, false));
    /* a server's certificate is none for a client */
    check_server_refuses(server_context(true, false), client_context(&server_pair, &ca, false));
}

static void check_client(const struct pki_pair *trusted, const char *name, bool insecure, const char *want)
{
    struct pair pair = pair_new(server_context(false, false), client_context(NULL, trusted, insecure), name);
    CLEANUP(err_clear) struct err server_err = {0};
    CLEANUP(err_clear) struct err client_err = {0};
    int server_result, client_result;
    handshake(&pair, &server_result, &client_result, &server_err, &client_err);
    assert_int_equal(client_result, want == NULL ? TLS_DONE : ERR_IO);
    if (want != NULL && strstr(err_text(&client_err), want) == NULL)
        fail_msg("'%s' not in '%s'", want, err_text(&client_err));
    pair_done(&pair);
}

static void test_tls__client_verifies(void **state)
{
    (void)state;
    check_client(&ca, "server.example", false, NULL);
    check_client(&ca, "127.0.0.1", false, NULL);
    check_client(&ca, "other.example", false, "certificate is valid for server.example, not other.example");
    check_client(&ca, "127.0.0.2", false, "certificate is valid for 127.0.0.1, not 127.0.0.2");
    check_client(&other_ca, "server.example", false, "certificate");
    check_client(&other_ca, "other.example", true, NULL);
}

static void test_tls__closing(void **state)
{
    struct pair pair = connected(server_context(false, false), client_context(NULL, &ca, false));
    CLEANUP(err_clear) struct err err = {0};
    char data[10];
    size_t n = 0;
    (void)state;
    tls_shutdown(pair.client);
    assert_int_equal(tls_read(pair.server, data, sizeof(data), &n, &err), TLS_CLOSED);
    pair_done(&pair);
    /* without close_notify it may be a truncation attack: an error */
    pair = connected(server_context(false, false), client_context(NULL, &ca, false));
    shutdown(pair.fds[1], SHUT_RDWR);
    assert_int_equal(tls_read(pair.server, data, sizeof(data), &n, &err), ERR_IO);
    assert_non_null(strstr(err_text(&err), "the peer closed the connection"));
    pair_done(&pair);
}

static void test_tls__full_socket_wants_write(void **state)
{
    struct pair pair = connected(server_context(false, false), client_context(NULL, &ca, false));
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *data = xcalloc(1, 65536);
    size_t n = 0, sent = 0, got = 0;
    int r;
    (void)state;
    while ((r = tls_write(pair.server, data, 65536, &n, &err)) == TLS_DONE)
        sent += n;
    assert_int_equal(r, TLS_WANT_WRITE);
    while (tls_read(pair.client, data, 65536, &n, &err) == TLS_DONE)
        got += n;
    assert_true(got > 0 && got <= sent);
    /* the record that was begun is finished first */
    memset(data, 0, 65536);
    assert_int_equal(tls_write(pair.server, data, 65536, &n, &err), TLS_DONE);
    pair_done(&pair);
}

static void check_context(const struct tls_server_options *options, int code, const char *part)
{
    CLEANUP(err_clear) struct err err = {0};
    struct tls_context *context = NULL;
    assert_int_equal(tls_server_context_new(options, &context, &err), code);
    assert_null(context);
    if (strstr(err_text(&err), part) == NULL)
        fail_msg("'%s' not in '%s'", part, err_text(&err));
}

static void test_tls__bad_contexts(void **state)
{
    CLEANUP(xfree) char *broken = xasprintf("%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                                            server_pair.cert_pem);
    struct tls_server_options options = {.cert_pem = "x", .key_pem = server_pair.key_pem};
    (void)state;
    check_context(&options, ERR_PARSE, "no usable certificate");
    options.cert_pem = broken;
    check_context(&options, ERR_PARSE, "broken certificate");
    options = (struct tls_server_options){.cert_pem = server_pair.cert_pem, .key_pem = client_pair.key_pem};
    check_context(&options, ERR_INVALID, "belong together");
    options.key_pem = "";
    check_context(&options, ERR_PARSE, "no usable private key");
    options.key_pem = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                      "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAi0VzsV2bLNcwICCAAw\n"
                      "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEKJ7k0m5p1yQ0X1n1m2oYlAEgZDJ\n"
                      "-----END ENCRYPTED PRIVATE KEY-----\n";
    CLEANUP(err_clear) struct err err = {0};
    struct tls_context *context = NULL;
    assert_true(tls_server_context_new(&options, &context, &err) < 0);
    options = (struct tls_server_options){
        .cert_pem = server_pair.cert_pem, .key_pem = server_pair.key_pem, .client_ca_pem = "x"};
    check_context(&options, ERR_PARSE, "certificate authorities");
    err_clear(&err);
    struct tls_context *client = client_context(NULL, &ca, false);
    struct tls *tls = NULL;
    assert_int_equal(tls_new(client, 0, NULL, &tls, &err), ERR_INVALID);
    tls_context_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls__bytes_both_ways),
        cmocka_unit_test(test_tls__client_certificate),
        cmocka_unit_test(test_tls__client_certificate_optional),
        cmocka_unit_test(test_tls__refused_clients),
        cmocka_unit_test(test_tls__client_verifies),
        cmocka_unit_test(test_tls__closing),
        cmocka_unit_test(test_tls__full_socket_wants_write),
        cmocka_unit_test(test_tls__bad_contexts),
    };
    return cmocka_run_group_tests(tests, make_pairs, free_pairs);
}
