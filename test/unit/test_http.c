/* http.h against a server of net/server.h on the same loop; every case both by libcurl and light. */
#include "net/http.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/pki.h"
#include "net/server.h"

struct fixture {
    struct loop *loop;
    struct server *server;
    struct pki_pair ca, other_ca, cert;
    struct tls_context *tls;
    int port;
    struct http_client *client;
    int done;       /* callbacks of done */
    size_t chunks, bytes;
    size_t flown; /* bytes of /flow that the server has written */
    struct server_request *flow;
    struct http_call *call; /* for callbacks that cancel */
    enum err_code code;
    int status;
    bool light;
};

#define FLOW MIB(32) /* more than sockets and clients keep */

static void flow_on(void *data)
{
    static char block[100000];
    struct fixture *f = data;
    int64_t pending = 0;
    while (pending == 0 && f->flown < FLOW) {
        pending = server_stream_write(f->flow, block, sizeof(block));
        f->flown += sizeof(block);
    }
    if (pending == 0)
        server_stream_end(f->flow);
}

static void on_request(struct server_request *request, void *data)
{
    static char big[100000];
    struct fixture *f = data;
    struct str body = server_request_body(request);
    if (server_request_is(request, "POST", "/echo"))
        server_respond(request, 200, "text/plain", body.p, body.len);
    else if (server_request_is(request, "GET", "/big"))
        server_respond(request, 200, "text/plain", big, sizeof(big));
    else if (server_request_is(request, "HEAD", "/big"))
        server_respond(request, 200, "text/plain", "", 0);
    else if (server_request_is(request, "GET", "/chunked")) {
        server_stream_begin(request, 200, "text/plain");
        for (int i = 0; i < 3; i++)
            server_stream_write(request, big, sizeof(big));
        server_stream_end(request);
    } else if (server_request_is(request, "GET", "/flow")) {
        f->flow = request;
        server_stream_begin(request, 200, "text/plain");
        server_stream_on_drained(request, flow_on, f);
        flow_on(f);
    } else if (server_request_is(request, "GET", "/head-only")) {
        server_stream_begin(request, 200, "text/plain");
    } else if (server_request_is(request, "GET", "/missing"))
        server_respond_text(request, 404, "not here");
    else if (server_request_is(request, "GET", "/agent"))
        server_respond_text(request, 200, "%.*s",
                            (int)http1_header(server_request_head(request), "user-agent").len,
                            http1_header(server_request_head(request), "user-agent").p);
    else if (server_request_is(request, "GET", "/stream")) {
        server_stream_begin(request, 200, "text/plain");
        server_stream_write(request, "one\n", 4);
        server_stream_write(request, "two\n", 4);
    } /* everything else is never answered */
}

static int setup_way(void **state, bool light)
{
    struct err err = {0};
    struct fixture *f = NEW(struct fixture);
    struct server_listener *listener;
    assert_int_equal(loop_new(&f->loop, &err), 0);
    struct server_options options = {.handler = on_request, .data = f};
    assert_int_equal(server_new(f->loop, &options, &f->server, &err), 0);
    assert_int_equal(server_listen(f->server, "127.0.0.1", 0, NULL, &listener, &err), 0);
    f->port = server_listener_port(listener);
    struct http_client_options client = {.user_agent = "test/1", .proxy = "", .light = light};
    f->light = light;
    assert_int_equal(http_client_new(f->loop, &client, &f->client, &err), 0);
    *state = f;
    return 0;
}

static int setup_curl(void **state)
{
    return setup_way(state, false);
}

static int setup_light(void **state)
{
    return setup_way(state, true);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    http_client_free(f->client);
    server_free(f->server);
    tls_context_free(f->tls);
    pki_pair_done(&f->ca);
    pki_pair_done(&f->other_ca);
    pki_pair_done(&f->cert);
    loop_free(f->loop);
    free(f);
    return 0;
}

/* Turns the same server into a TLS one for "kubernetes" and replaces the client. */
static void use_tls(struct fixture *f, const struct http_tls *tls)
{
    struct err err = {0};
    const char *const names[] = {"kubernetes", NULL};
    struct pki_request request = {.common_name = "server", .dns_names = names, .server = true, .days = 1};
    if (f->tls == NULL) {
        assert_int_equal(pki_make_ca("ca", 1, &f->ca, &err), 0);
        assert_int_equal(pki_make_ca("other", 1, &f->other_ca, &err), 0);
        assert_int_equal(pki_issue(&f->ca, &request, &f->cert, &err), 0);
        struct tls_server_options options = {.cert_pem = f->cert.cert_pem, .key_pem = f->cert.key_pem};
        assert_int_equal(tls_server_context_new(&options, &f->tls, &err), 0);
        server_set_tls(f->server, f->tls);
    }
    http_client_free(f->client);
    struct http_client_options client = {.tls = *tls, .proxy = "", .light = f->light};
    assert_int_equal(http_client_new(f->loop, &client, &f->client, &err), 0);
}

static int perform(struct fixture *f, const char *scheme, struct http_request *request, const char *path,
                   struct http_response *ret, struct err *err)
{
    CLEANUP(xfree) char *url = xasprintf("%s://127.0.0.1:%d%s", scheme, f->port, path);
    request->url = url;
    if (request->method == NULL)
        request->method = "GET";
    return http_perform(f->client, request, NULL, NULL, ret, err);
}

static struct http_call *start(struct fixture *f, const char *path, http_chunk *chunk, http_done *done)
{
    CLEANUP(xfree) char *url = xasprintf("http://127.0.0.1:%d%s", f->port, path);
    struct http_request request = {.method = "GET", .url = url};
    return http_start(f->client, &request, chunk, done, f);
}

static void on_done(struct http_response *response, struct err *err, void *data)
{
    struct fixture *f = data;
    f->done++;
    f->code = err->code;
    f->status = response->status;
}

static void turn(struct fixture *f, int times)
{
    struct err err = {0};
    for (int i = 0; i < times; i++)
        assert_int_equal(loop_turn(f->loop, 20, &err), 0);
}

static void test_perform__collects_answer(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    const struct http_header headers[] = {{"Content-Type", "text/x"}};
    struct http_request request = {.method = "POST", .body = "hello", .body_len = 5, .headers = headers, .n_headers = 1};
    assert_int_equal(perform(f, "http", &request, "/echo", &response, &err), 0);
    assert_int_equal(response.status, 200);
    assert_string_equal(buf_text(&response.body), "hello");
    assert_string_equal(http_response_header(&response, "Content-LENGTH"), "5");
    assert_null(http_response_header(&response, "x-none"));
}

static void test_perform__again_on_a_kept_connection(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    for (int i = 0; i < 5; i++) {
        CLEANUP(http_response_done) struct http_response response = {0};
        struct http_request request = {0};
        assert_int_equal(perform(f, "http", &request, "/agent", &response, &err), 0);
    }
    assert_int_equal(server_stats(f->server)->accepted, 1);
}

static void test_perform__kept_connection_was_closed(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    CLEANUP(http_response_done) struct http_response again = {0};
    struct http_request request = {0};
    struct server_options options = {.handler = on_request, .data = f};
    struct server_listener *listener;
    assert_int_equal(perform(f, "http", &request, "/agent", &response, &err), 0);
    server_free(f->server);
    assert_int_equal(server_new(f->loop, &options, &f->server, &err), 0);
    assert_int_equal(server_listen(f->server, "127.0.0.1", f->port, NULL, &listener, &err), 0);
    assert_int_equal(perform(f, "http", &request, "/agent", &again, &err), 0);
}

static void test_perform__chunked_and_large(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    struct http_request request = {0};
    assert_int_equal(perform(f, "http", &request, "/chunked", &response, &err), 0);
    assert_int_equal(response.body.len, 300000);
    CLEANUP(http_response_done) struct http_response head = {0};
    request = (struct http_request){.method = "HEAD"};
    assert_int_equal(perform(f, "http", &request, "/big", &head, &err), 0);
    assert_int_equal(head.body.len, 0);
}

static void test_perform__status_is_no_error(void **state)
{
    struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    struct http_request request = {0};
    assert_int_equal(perform(*state, "http", &request, "/missing", &response, &err), 0);
    assert_int_equal(response.status, 404);
    assert_string_equal(buf_text(&response.body), "not here");
}

static void test_perform__sends_user_agent(void **state)
{
    struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    struct http_request request = {0};
    assert_int_equal(perform(*state, "http", &request, "/agent", &response, &err), 0);
    assert_string_equal(buf_text(&response.body), "test/1");
}

static void test_perform__too_big(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    struct http_request request = {.max_response = 1000};
    assert_int_equal(perform(*state, "http", &request, "/big", &response, &err), ERR_TOO_BIG);
    assert_int_equal(response.status, 0);
}

static void test_perform__refused(void **state)
{
    struct fixture *f = *state;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    struct http_request request = {0};
    f->server = server_free(f->server);
    assert_int_equal(perform(f, "http", &request, "/big", &response, &err), ERR_REFUSED);
    assert_non_null(strstr(err_text(&err), "connection refused"));
}

static void test_perform__missing_unix_socket(void **state)
{
    struct fixture *f = *state;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    struct http_request request = {0};
    http_client_free(f->client);
    struct http_client_options options = {.unix_socket = "/nonexistent/socket", .h2c = true};
    assert_int_equal(http_client_new(f->loop, &options, &f->client, &err), 0);
    assert_int_equal(perform(f, "http", &request, "/", &response, &err), ERR_REFUSED);
}

static void test_perform__timeout(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    struct http_request request = {.timeout_ms = 50};
    assert_int_equal(perform(*state, "http", &request, "/never", &response, &err), ERR_TIMEOUT);
    struct http_request next = {0}; /* and the next one is not spoiled */
    err_clear(&err);
    assert_int_equal(perform(*state, "http", &next, "/agent", &response, &err), 0);
}

static void test_perform__idle_timeout(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    struct http_request request = {.idle_timeout_ms = 50};
    assert_int_equal(perform(*state, "http", &request, "/stream", &response, &err), ERR_TIMEOUT);
}

static void test_perform__bad_url(void **state)
{
    struct fixture *f = *state;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    struct http_request request = {.method = "GET", .url = "gopher://x/"};
    assert_int_equal(http_perform(f->client, &request, NULL, NULL, &response, &err), ERR_INVALID);
}

static bool on_chunk_stop(const struct http_response *response, const char *bytes, size_t len, void *data)
{
    struct fixture *f = data;
    assert_int_equal(response->status, 200);
    assert_memory_equal(bytes, "one\n", len < 4 ? len : 4);
    f->chunks++;
    return false;
}

static void test_start__reader_stops(void **state)
{
    struct fixture *f = *state;
    start(f, "/stream", on_chunk_stop, on_done);
    assert_int_equal(f->done, 0);
    turn(f, 10);
    assert_int_equal(f->chunks, 1);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->code, ERR_CANCELLED);
}

static bool on_chunk_count(const struct http_response *response, const char *bytes, size_t len, void *data)
{
    struct fixture *f = data;
    assert_int_equal(response->status, 200);
    assert_non_null(bytes);
    f->chunks++;
    f->bytes += len;
    return true;
}

static void test_start__head_first(void **state)
{
    struct fixture *f = *state;
    CLEANUP(xfree) char *url = xasprintf("http://127.0.0.1:%d/head-only", f->port);
    struct http_request request = {.method = "GET", .url = url, .head_first = true};
    struct http_call *call = http_start(f->client, &request, on_chunk_count, on_done, f);
    for (int i = 0; i < 200 && f->chunks == 0; i++)
        turn(f, 1);
    assert_int_equal(f->chunks, 1);
    assert_int_equal(f->bytes, 0);
    assert_int_equal(f->done, 0);
    http_cancel(call);
}

static bool on_chunk_pause(const struct http_response *response, const char *bytes, size_t len, void *data)
{
    struct fixture *f = data;
    if (f->chunks == 0)
        http_pause(f->call);
    return on_chunk_count(response, bytes, len, data);
}

/* A reader that holds back holds back the server. */
static void test_pause__and_resume(void **state)
{
    struct fixture *f = *state;
    f->call = start(f, "/flow", on_chunk_pause, on_done);
    turn(f, 100);
    assert_int_equal(f->chunks, 1);
    assert_true(f->flown < FLOW);
    size_t before = f->flown;
    turn(f, 5);
    assert_int_equal(f->flown, before);
    http_resume(f->call);
    for (int i = 0; i < 20000 && f->done == 0; i++)
        turn(f, 1);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->code, 0);
    assert_int_equal(f->bytes, f->flown);
}

static void test_pause__cancelled(void **state)
{
    struct fixture *f = *state;
    f->call = start(f, "/flow", on_chunk_pause, on_done);
    turn(f, 20);
    http_cancel(f->call);
    turn(f, 5);
    assert_int_equal(f->done, 0);
}

static bool on_chunk_cancel(const struct http_response *response, const char *bytes, size_t len, void *data)
{
    struct fixture *f = data;
    (void)response;
    (void)bytes;
    (void)len;
    f->chunks++;
    http_cancel(f->call);
    start(f, "/agent", NULL, on_done); /* starting is legal here too */
    return true;
}

static void test_cancel__inside_chunk(void **state)
{
    struct fixture *f = *state;
    f->call = start(f, "/stream", on_chunk_cancel, on_done);
    turn(f, 20);
    assert_int_equal(f->chunks, 1);
    assert_int_equal(f->done, 1); /* of the second call only */
    assert_int_equal(f->status, 200);
}

static void test_cancel__before_answer(void **state)
{
    struct fixture *f = *state;
    http_cancel(start(f, "/agent", NULL, on_done));
    turn(f, 5);
    assert_int_equal(f->done, 0);
}

static void on_done_free(struct http_response *response, struct err *err, void *data)
{
    struct fixture *f = data;
    on_done(response, err, data);
    f->client = http_client_free(f->client);
}

static void test_client_free__inside_done(void **state)
{
    struct fixture *f = *state;
    start(f, "/never", NULL, on_done);
    start(f, "/agent", NULL, on_done_free);
    turn(f, 10);
    assert_int_equal(f->done, 1);
    assert_null(f->client);
}

static void test_perform__others_go_on(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    struct http_request request = {0};
    for (int i = 0; i < 20; i++)
        start(f, "/agent", NULL, on_done);
    assert_int_equal(perform(f, "http", &request, "/agent", &response, &err), 0);
    turn(f, 20);
    assert_int_equal(f->done, 20);
}

static void test_tls__server_name(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    struct http_request request = {0};
    use_tls(f, &(struct http_tls){0}); /* makes the authorities */
    use_tls(f, &(struct http_tls){.ca_pem = f->ca.cert_pem, .server_name = "kubernetes"});
    assert_int_equal(perform(f, "https", &request, "/missing", &response, &err), 0);
    assert_int_equal(response.status, 404);
}

static void test_tls__refuses(void **state)
{
    struct fixture *f = *state;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(http_response_done) struct http_response response = {0};
    struct http_request request = {0};
    use_tls(f, &(struct http_tls){0});
    use_tls(f, &(struct http_tls){.ca_pem = f->ca.cert_pem}); /* not valid for 127.0.0.1 */
    assert_int_equal(perform(f, "https", &request, "/missing", &response, &err), ERR_IO);
    err_clear(&err);
    use_tls(f, &(struct http_tls){.ca_pem = f->other_ca.cert_pem, .server_name = "kubernetes"});
    assert_int_equal(perform(f, "https", &request, "/missing", &response, &err), ERR_IO);
    assert_non_null(strstr(err_text(&err), "certificate signed by unknown authority"));
    err_clear(&err);
    use_tls(f, &(struct http_tls){.insecure = true});
    assert_int_equal(perform(f, "https", &request, "/missing", &response, &err), 0);
}

#define CASE(name)                                                                                                     \
    {#name " (curl)", name, setup_curl, teardown, NULL}, {#name " (light)", name, setup_light, teardown, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_perform__collects_answer),
        CASE(test_perform__again_on_a_kept_connection),
        CASE(test_perform__kept_connection_was_closed),
        CASE(test_perform__chunked_and_large),
        CASE(test_perform__status_is_no_error),
        CASE(test_perform__sends_user_agent),
        CASE(test_perform__too_big),
        CASE(test_perform__refused),
        CASE(test_perform__missing_unix_socket),
        CASE(test_perform__timeout),
        CASE(test_perform__idle_timeout),
        CASE(test_perform__bad_url),
        CASE(test_start__reader_stops),
        CASE(test_start__head_first),
        cmocka_unit_test_setup_teardown(test_pause__and_resume, setup_curl, teardown),
        cmocka_unit_test_setup_teardown(test_pause__cancelled, setup_curl, teardown),
        CASE(test_cancel__inside_chunk),
        CASE(test_cancel__before_answer),
        CASE(test_client_free__inside_done),
        CASE(test_perform__others_go_on),
        CASE(test_tls__server_name),
        CASE(test_tls__refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
