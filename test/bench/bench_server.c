/*
 * bench_server.c: `bench_server CERT KEY PORT` serves a fixed body of 300 bytes over TLS on 127.0.0.1, the size of a small
 * AdmissionReview answer, for wrk and the like. CERT "-" serves plain HTTP. Ends at SIGTERM or SIGINT and prints what it
 * counted.
 */
#include <signal.h>
#include <unistd.h>

#include "base/file.h"
#include "net/server.h"

#define BODY_SIZE 300

static void on_request(struct server_request *request, void *data)
{
    server_respond(request, 200, "application/json", data, BODY_SIZE);
}

static void on_signal(int signal_number, void *data)
{
    (void)signal_number;
    loop_stop(data, 0);
}

static int load_tls(const char *cert_path, const char *key_path, struct tls_context **ret, struct err *err)
{
    CLEANUP(buf_done) struct buf cert = {0};
    CLEANUP(buf_done) struct buf key = {0};

    int r = file_read(cert_path, LIMIT_FILE, &cert, err);
    if (r == 0)
        r = file_read(key_path, LIMIT_FILE, &key, err);
    if (r < 0)
        return r;
    struct tls_server_options options = {.cert_pem = buf_text(&cert), .key_pem = buf_text(&key)};
    return tls_server_context_new(&options, ret, err);
}

static int run(const char *cert_path, const char *key_path, int port, struct err *err)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    CLEANUP(tls_context_free) struct tls_context *tls = NULL;
    CLEANUP(server_free) struct server *server = NULL;
    char body[BODY_SIZE];

    memset(body, 'x', sizeof(body));
    int r = streq(cert_path, "-") ? 0 : load_tls(cert_path, key_path, &tls, err);
    if (r == 0)
        r = loop_new(&loop, err);
    if (r == 0)
        r = loop_signal(loop, SIGTERM, on_signal, loop, err);
    if (r == 0)
        r = loop_signal(loop, SIGINT, on_signal, loop, err);
    struct server_options options = {.handler = on_request, .data = body, .tls = tls};
    if (r == 0)
        r = server_new(loop, &options, &server, err);
    if (r == 0)
        r = server_listen(server, "127.0.0.1", port, NULL, NULL, err);
    if (r == 0)
        r = loop_run(loop, err);
    if (r < 0)
        return r;
    const struct server_stats *stats = server_stats(server);
    fprintf(stderr, "accepted %lu, handshakes %lu, requests %lu, bad requests %lu, timeouts %lu\n", stats->accepted,
            stats->handshakes, stats->requests, stats->bad_requests, stats->timeouts);
    return 0;
}

int main(int argc, char **argv)
{
    CLEANUP(err_clear) struct err err = {0};
    int64_t port;

    if (argc != 4) {
        fprintf(stderr, "usage: bench_server CERT KEY PORT\n");
        return 2;
    }
    if (parse_int(argv[3], 1, 65535, &port, &err) < 0 || run(argv[1], argv[2], (int)port, &err) < 0) {
        fprintf(stderr, "error: %s\n", err_text(&err));
        return 1;
    }
    return 0;
}
