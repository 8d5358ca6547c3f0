/*
 * fake_api.h: an API server for tests of the kube layer: net/server.h on the loop of the test, answering by a handler of
 * the test, and a kube_client for it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kube/client.h"
#include "net/server.h"

struct fake_api {
    struct loop *loop;
    struct server *server;
    struct kube_config config;
    struct kube_client *client;
    int port;
    int requests;
    void *data; /* of the test */
};

static inline void fake_api_listen(struct fake_api *api, server_handler *handler)
{
    struct err err = {0};
    struct server_listener *listener;
    struct server_options options = {.handler = handler, .data = api};
    assert_int_equal(server_new(api->loop, &options, &api->server, &err), 0);
    assert_int_equal(server_listen(api->server, "127.0.0.1", api->port, NULL, &listener, &err), 0);
    api->port = server_listener_port(listener);
}

static inline struct fake_api *fake_api_new(server_handler *handler)
{
    struct err err = {0};
    struct fake_api *api = NEW(struct fake_api);
    assert_int_equal(loop_new(&api->loop, &err), 0);
    fake_api_listen(api, handler);
    api->config.server = xasprintf("http://127.0.0.1:%d", api->port);
    api->config.namespace = xstrdup("default");
    api->config.proxy_url = xstrdup("");
    assert_int_equal(kube_client_new(api->loop, &api->config, "test/1", &api->client, &err), 0);
    return api;
}

static inline void fake_api_free(struct fake_api *api)
{
    kube_client_free(api->client);
    server_free(api->server);
    kube_config_done(&api->config);
    loop_free(api->loop);
    free(api);
}

static inline void fake_api_turn(struct fake_api *api, int times, int64_t wait_ms)
{
    struct err err = {0};
    for (int i = 0; i < times; i++)
        assert_int_equal(loop_turn(api->loop, wait_ms, &err), 0);
}
