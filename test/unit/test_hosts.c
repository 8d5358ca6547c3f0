/* test_hosts.c: the picture of the hosts: states, reservations, kinds and their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fargate/hosts.h"

#define GIB (1ll << 30)
#define NOON_NS 1767268800000000000ll /* 2026-01-01T12:00:00Z */

static const struct fargate_size quarter = {.cpu_m = 250, .mem_b = GIB / 2};

static struct json *parse(const char *text)
{
    struct json *tree = NULL;
    struct err err = {0};

    assert_int_equal(json_parse(text, strlen(text), &tree, &err), 0);
    return tree;
}

static void set_object(struct hosts *hosts, const char *name, const char *text)
{
    CLEANUP(json_free) struct json *tree = text != NULL ? parse(text) : NULL;

    hosts_on_object(hosts, name, tree, 0);
}

static void set_lease(struct hosts *hosts, const char *name, const char *renew_time, int64_t now_ms)
{
    CLEANUP(json_free) struct json *tree =
        renew_time != NULL ? json_build("{s:{s:s}}", "spec", "renewTime", renew_time) : NULL;

    hosts_on_lease(hosts, name, tree, now_ms, NOON_NS);
}

static void test_hosts__reads_object(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    const struct host *host;

    (void)state;
    set_object(&hosts, "a",
               "{\"metadata\":{\"labels\":{\"kubernetes.io/arch\":\"amd64\"}},\"spec\":{\"zone\":\"z1\",\"region\":\"r\","
               "\"runtimeHandlers\":[\"kata\",\"runsc\"],\"capacity\":{\"cpu\":\"3500m\",\"memory\":\"8Gi\",\"pods\":20}}}");
    host = hosts_find(&hosts, "a");
    assert_non_null(host);
    assert_string_equal(host->kind->zone, "z1");
    assert_string_equal(host->kind->region, "r");
    assert_true(strv_has(&host->kind->runtime_handlers, "runsc"));
    assert_int_equal(host->kind->cpu_m, 3500);
    assert_int_equal(host->kind->mem_b, 8 * GIB);
    assert_int_equal(host->kind->pods, 20);
    set_object(&hosts, "a", "{\"spec\":{\"capacity\":{\"cpu\":2,\"memory\":\"1Gi\"}}}");
    assert_int_equal(host->kind->cpu_m, 2000);
    assert_int_equal(host->kind->pods, HOSTS_DEFAULT_PODS);
    assert_null(host->kind->zone);
    assert_int_equal(host->kind->runtime_handlers.n, 0);
}

static void test_hosts__states(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    const struct host *host;

    (void)state;
    set_object(&hosts, "a", "{\"spec\":{\"capacity\":{\"cpu\":\"2\",\"memory\":\"4Gi\"}}}");
    host = hosts_find(&hosts, "a");
    assert_int_equal(hosts_state(host, 0), HOST_DEAD);
    set_lease(&hosts, "a", "2026-01-01T12:00:00.000000Z", 1000);
    assert_int_equal(hosts_state(host, 1000), HOST_OPEN);
    assert_int_equal(hosts_state(host, 1000 + HOSTS_LEASE_MAX_AGE_MS), HOST_OPEN);
    assert_int_equal(hosts_state(host, 1001 + HOSTS_LEASE_MAX_AGE_MS), HOST_DEAD);
    set_object(&hosts, "a", "{\"spec\":{\"unschedulable\":true,\"capacity\":{\"cpu\":\"2\",\"memory\":\"4Gi\"}}}");
    assert_int_equal(hosts_state(host, 1000), HOST_CORDONED);
    set_object(&hosts, "a",
               "{\"spec\":{\"capacity\":{\"cpu\":\"2\",\"memory\":\"4Gi\"}},"
               "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}]}}");
    assert_int_equal(hosts_state(host, 1000), HOST_NOT_READY);
    set_object(&hosts, "a",
               "{\"spec\":{\"capacity\":{\"cpu\":\"2\",\"memory\":\"4Gi\"}},"
               "\"status\":{\"conditions\":[{\"type\":\"DiskPressure\",\"status\":\"True\"}]}}");
    assert_int_equal(hosts_state(host, 1000), HOST_PRESSED);
    set_object(&hosts, "a", "{\"spec\":{\"capacity\":{\"cpu\":\"two\",\"memory\":\"4Gi\"}}}");
    assert_int_equal(hosts_state(host, 1000), HOST_GONE);
    set_object(&hosts, "a", NULL);
    assert_int_equal(hosts_state(hosts_find(&hosts, "a"), 1000), HOST_GONE);
    set_lease(&hosts, "a", NULL, 1000);
    assert_null(hosts_find(&hosts, "a"));
}

static void test_hosts__first_renewal_is_dated_later_ones_count_as_they_come(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    const struct host *host;

    (void)state;
    set_object(&hosts, "a", "{\"spec\":{\"capacity\":{\"cpu\":\"2\",\"memory\":\"4Gi\"}}}");
    host = hosts_find(&hosts, "a");
    set_lease(&hosts, "a", "2026-01-01T11:59:00.000000Z", 100000); /* a minute old */
    assert_int_equal(hosts_state(host, 100000), HOST_DEAD);
    set_lease(&hosts, "a", "2026-01-01T11:59:00.000000Z", 101000); /* the same again */
    assert_int_equal(hosts_state(host, 101000), HOST_DEAD);
    set_lease(&hosts, "a", "2026-01-01T11:59:10.000000Z", 102000); /* a slow clock, but it goes on */
    assert_int_equal(hosts_state(host, 102000), HOST_OPEN);
    set_lease(&hosts, "b", "2026-01-01T13:00:00Z", 5000); /* a fast clock */
    set_object(&hosts, "b", "{\"spec\":{\"capacity\":{\"cpu\":\"2\",\"memory\":\"4Gi\"}}}");
    assert_int_equal(hosts_state(hosts_find(&hosts, "b"), 5000), HOST_OPEN);
    assert_int_equal(hosts_state(hosts_find(&hosts, "b"), 5001 + HOSTS_LEASE_MAX_AGE_MS), HOST_DEAD);
    set_lease(&hosts, "c", "yesterday", 5000);
    set_object(&hosts, "c", "{\"spec\":{\"capacity\":{\"cpu\":\"2\",\"memory\":\"4Gi\"}}}");
    assert_int_equal(hosts_state(hosts_find(&hosts, "c"), 5000), HOST_DEAD);
}

static void test_hosts__reservations_add_up(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    struct reservation one = {0}, two = {0}, three = {0};
    const struct host *host;

    (void)state;
    /* pods may be listed before their host */
    hosts_reserve(&hosts, &one, "a", &quarter);
    hosts_reserve(&hosts, &two, "a", &quarter);
    hosts_reserve(&hosts, &three, "a", &quarter);
    set_object(&hosts, "a", "{\"spec\":{\"capacity\":{\"cpu\":\"2\",\"memory\":\"4Gi\"}}}");
    host = hosts_find(&hosts, "a");
    assert_int_equal(host->used_cpu_m, 750);
    assert_int_equal(host->used_mem_b, 3 * GIB / 2);
    assert_int_equal(host->used_pods, 3);
    hosts_release(&hosts, &two);
    hosts_release(&hosts, &two);
    assert_int_equal(host->used_pods, 2);
    hosts_reserve(&hosts, &one, "b", &quarter); /* moves */
    assert_int_equal(host->used_cpu_m, 250);
    assert_int_equal(hosts_find(&hosts, "b")->used_pods, 1);
    hosts_release(&hosts, &three);
    assert_int_equal(host->used_cpu_m, 0);
    assert_int_equal(host->used_mem_b, 0);
    assert_null(host->reservations);
    hosts_release(&hosts, &one);
    assert_null(hosts_find(&hosts, "b")); /* nothing mentions it any more */
}

#define HOST_OF(zone) "{\"spec\":{\"zone\":\"" zone "\",\"capacity\":{\"cpu\":\"4\",\"memory\":\"8Gi\",\"pods\":4}}}"

static void test_hosts__kinds_and_their_order(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    struct reservation one = {0};
    const struct host_kind *kind;

    (void)state;
    for (const char *name = "a\0b\0c\0"; *name != '\0'; name += 2) {
        set_object(&hosts, name, *name == 'c' ? HOST_OF("z2") : HOST_OF("z1"));
        set_lease(&hosts, name, "2026-01-01T12:00:00Z", 1000);
    }
    assert_int_equal(hosts.kinds.n, 2);
    kind = hosts_find(&hosts, "a")->kind;
    assert_ptr_equal(kind, hosts_find(&hosts, "b")->kind);
    assert_int_equal(kind->n_open, 2);
    assert_string_equal(kind->open[0]->name, "a");
    hosts_reserve(&hosts, &one, "a", &quarter);
    assert_string_equal(kind->open[0]->name, "b");
    assert_int_equal(hosts_find(&hosts, "a")->fullness, HOSTS_FULL / 4); /* of four pods */
    assert_int_equal(hosts_zone_fullness(&hosts, "z1"), HOSTS_FULL / 32);
    assert_int_equal(hosts_zone_fullness(&hosts, "z2"), 0);
    assert_int_equal(hosts_zone_fullness(&hosts, "z9"), 0);
    hosts_release(&hosts, &one);
    assert_string_equal(kind->open[0]->name, "a");
    /* those without a heartbeat leave the order, and come back with it */
    hosts_refresh(&hosts, 1001 + HOSTS_LEASE_MAX_AGE_MS);
    assert_int_equal(kind->n_open, 0);
    set_lease(&hosts, "b", "2026-01-01T12:00:10Z", 60000);
    assert_int_equal(kind->n_open, 1);
    set_object(&hosts, "b", NULL);
    assert_int_equal(kind->n_open, 0);
    set_object(&hosts, "a", NULL);
    assert_int_equal(hosts.kinds.n, 1);
}

static void test_hosts__over(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    struct reservation held[2] = {0};
    const struct fargate_size half = {.cpu_m = 2000, .mem_b = 5 * GIB};

    (void)state;
    hosts_reserve(&hosts, &held[0], "a", &half);
    assert_false(hosts_is_over(hosts_find(&hosts, "a"))); /* not known yet */
    set_object(&hosts, "a", HOST_OF("z1"));
    assert_false(hosts_is_over(hosts_find(&hosts, "a")));
    hosts_reserve(&hosts, &held[1], "a", &half);
    assert_true(hosts_is_over(hosts_find(&hosts, "a")));
    hosts_release(&hosts, &held[0]);
    assert_false(hosts_is_over(hosts_find(&hosts, "a")));
    hosts_release(&hosts, &held[1]);
}

static void test_hosts__deleted_host_keeps_its_reservations(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    struct reservation one = {0};

    (void)state;
    set_object(&hosts, "a", "{\"spec\":{\"capacity\":{\"cpu\":\"2\",\"memory\":\"4Gi\"}}}");
    hosts_reserve(&hosts, &one, "a", &quarter);
    set_object(&hosts, "a", NULL);
    assert_int_equal(hosts_state(hosts_find(&hosts, "a"), 0), HOST_GONE);
    assert_int_equal(hosts_find(&hosts, "a")->used_pods, 1);
    hosts_release(&hosts, &one);
    assert_null(hosts_find(&hosts, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts__reads_object),
        cmocka_unit_test(test_hosts__states),
        cmocka_unit_test(test_hosts__first_renewal_is_dated_later_ones_count_as_they_come),
        cmocka_unit_test(test_hosts__reservations_add_up),
        cmocka_unit_test(test_hosts__kinds_and_their_order),
        cmocka_unit_test(test_hosts__over),
        cmocka_unit_test(test_hosts__deleted_host_keeps_its_reservations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
