/* test_server_deal.c: connections dealt from one server to another; who may connect when there is no room. */
#include "server_fixture.h"

static struct server *other; /* of the running test */
static struct server_passage *passage;

static void on_deal(struct server_passage *dealt, void *data)
{
    (void)data;
    passage = dealt;
}

static void start_dealing(struct server_options other_options)
{
    struct err err = {0};

    harness_make_tls(&h, true, false);
    memset(&seen, 0, sizeof(seen));
    harness_start(&h, (struct server_options){.deal = on_deal});
    other_options.handler = on_request;
    check_ok(server_new(h.loop, &other_options, &other, &err), &err);
}

static int stop_dealing(void **state)
{
    other = server_free(other);
    passage = server_passage_free(passage);
    return stop(state);
}

static struct client connect_through(void)
{
    struct client client = client_connect(&h);

    wait_for(&h, passage != NULL);
    server_adopt(other, take(&passage));
    return client;
}

static void test_server__dealt_connection_is_served(void **state)
{
    (void)state;
    start_dealing((struct server_options){0});
    struct client client = connect_through();
    client_send(&client, "GET /address HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&client, "127.0.0.1:");
    assert_string_equal(seen.last_name, "alice"); /* as the handshake found out */
    assert_null(seen.last_tag);
    client_send(&client, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&h, seen.n_held == 1);
    assert_int_equal(server_stats(h.server)->handshakes, 1);
    assert_int_equal(server_stats(h.server)->open, 0);
    assert_int_equal(server_stats(other)->open, 1);
    assert_int_equal(server_ended(other), 0);
    client_close(&client);
    wait_for(&h, seen.n_gone == 1);
    assert_int_equal(server_ended(other), 1);
}

/* The last bytes of the handshake and the first request come together: epoll will report nothing more. */
static void test_server__dealt_with_its_first_request(void **state)
{
    (void)state;
    start_dealing((struct server_options){0});
    struct client client = client_connect(&h);
    client_send(&client, "GET /address HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&h, passage != NULL);
    server_adopt(other, take(&passage));
    client_wait_text(&client, "127.0.0.1:");
    client_close(&client);
}

static void test_server__dealt_outlives_the_dealer(void **state)
{
    (void)state;
    start_dealing((struct server_options){0});
    struct client client = connect_through();
    h.server = server_free(h.server);
    client_send(&client, "GET /address HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&client, "127.0.0.1:");
    client_close(&client);
}

static void test_server__dealt_to_a_full_server(void **state)
{
    (void)state;
    start_dealing((struct server_options){.max_connections = 1});
    struct client first = connect_through(), second = connect_through();
    client_wait_end(&second);
    assert_int_equal(server_stats(other)->refused, 1);
    assert_int_equal(server_ended(other), 1); /* for the dealer, who counts what it dealt */
    client_send(&first, "GET /address HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&first, "127.0.0.1:");
    client_close(&first);
    client_close(&second);
}

static void test_server__announced_end(void **state)
{
    (void)state;
    start_dealing((struct server_options){0});
    struct client client = connect_through();
    client_send(&client, "GET /address HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&client, "127.0.0.1:");
    assert_int_equal(count_of(&client, "Connection: close"), 0);
    server_announce_end(other);
    client_send(&client, "GET /address HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_end(&client);
    assert_int_equal(count_of(&client, "Connection: close"), 1);
    client_close(&client);
}

static void test_server__too_many_of_one_peer(void **state)
{
    (void)state;
    start((struct server_options){.max_per_peer = 2});
    struct client a = client_connect(&h), b = client_connect(&h), c = client_connect(&h);
    client_wait_end(&c);
    assert_int_equal(server_stats(h.server)->refused_per_peer, 1);
    client_close(&a);
    wait_for(&h, server_stats(h.server)->open == 1);
    struct client d = client_connect(&h);
    client_send(&d, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&d, "404");
    client_close(&b);
    client_close(&c);
    client_close(&d);
}

/* Connections that never said anything make room, the oldest first; those that were served stay. */
static void test_server__newer_ones_push_out_the_mute(void **state)
{
    (void)state;
    start((struct server_options){.max_connections = 3});
    struct client served = client_connect(&h), mute = client_connect(&h), younger = client_connect(&h);
    client_send(&served, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&served, "404");
    int64_t then = clock_monotonic_ms() + 1100;
    wait_for(&h, clock_monotonic_ms() > then);
    struct client newest = client_connect(&h);
    client_wait_end(&mute);
    assert_int_equal(server_stats(h.server)->pushed_out, 1);
    client_send(&newest, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&newest, "LLL");
    client_send(&served, "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n");
    client_wait_text(&served, "204");
    assert_false(younger.ended);
    client_close(&served);
    client_close(&mute);
    client_close(&younger);
    client_close(&newest);
}

static void test_server__needs_somebody_to_answer(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(loop_free) struct loop *loop = NULL;
    struct server *server;

    (void)state;
    check_ok(loop_new(&loop, &err), &err);
    assert_int_equal(server_new(loop, &(struct server_options){.deal = on_deal}, &server, &err), ERR_INVALID);
}

#define DEAL_TEST(name) cmocka_unit_test_teardown(test_server__##name, stop_dealing)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DEAL_TEST(dealt_connection_is_served),
        DEAL_TEST(dealt_with_its_first_request),
        DEAL_TEST(dealt_outlives_the_dealer),
        DEAL_TEST(dealt_to_a_full_server),
        DEAL_TEST(announced_end),
        TEST(too_many_of_one_peer),
        TEST(newer_ones_push_out_the_mute),
        cmocka_unit_test(test_server__needs_somebody_to_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
