/* server_fixture.h: the server under test and the handlers that its tests share. */
#pragma once

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
    } else if (str_is(server_request_head(request)->path, "/later")) {
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

static UNUSED void start_tls(bool ask_client, bool optional)
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

#define TEST(name) cmocka_unit_test_teardown(test_server__##name, stop)
