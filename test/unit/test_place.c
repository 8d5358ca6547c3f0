/* test_place.c: which host is chosen, and what is said when none is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "fargate/place.h"

#define GIB (1ll << 30)
#define NOW_MS 1000
#define NOON_NS 1767268800000000000ll /* 2026-01-01T12:00:00Z */

static struct json *parse(const char *text)
{
    struct json *tree = NULL;
    struct err err = {0};

    assert_int_equal(json_parse(text, strlen(text), &tree, &err), 0);
    return tree;
}

/* A live host of 4 vCPU and 8 GiB in a zone; more is JSON text behind the capacity, "" for none. */
static void add_host(struct hosts *hosts, const char *name, const char *zone, const char *more)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *lease = parse("{\"spec\":{\"renewTime\":\"2026-01-01T12:00:00Z\"}}");

    (void)buf_printf(&text, "{\"spec\":{\"zone\":\"%s\",\"region\":\"r1\",\"capacity\":{\"cpu\":\"4\",\"memory\":\"8Gi\","
                            "\"pods\":3}%s}}", zone, more);
    CLEANUP(json_free) struct json *object = parse(buf_text(&text));
    hosts_on_object(hosts, name, object, NOW_MS);
    hosts_on_lease(hosts, name, lease, NOW_MS, NOON_NS);
}

static const char *chosen(const struct hosts *hosts, const struct place_need *need)
{
    const struct host *host = place_choose(hosts, need, NOW_MS);

    return host != NULL ? host->name : NULL;
}

static enum place_reason reason(const struct hosts *hosts, const char *name, const struct place_need *need)
{
    return place_check(hosts_find(hosts, name), need, NOW_MS);
}

static void test_place__spreads_by_fullness_then_name(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    struct reservation held[4] = {0};
    const struct place_need need = {.size = {.cpu_m = 1000, .mem_b = 2 * GIB}};
    const struct fargate_size memory_heavy = {.cpu_m = 250, .mem_b = 6 * GIB};

    (void)state;
    assert_null(chosen(&hosts, &need));
    add_host(&hosts, "b", "z1", "");
    add_host(&hosts, "a", "z1", "");
    assert_string_equal(chosen(&hosts, &need), "a");
    hosts_reserve(&hosts, &held[0], "a", &need.size);
    assert_string_equal(chosen(&hosts, &need), "b");
    /* the scarcer resource counts: b has more vCPU free, but its memory is nearly full */
    hosts_reserve(&hosts, &held[1], "b", &memory_heavy);
    assert_string_equal(chosen(&hosts, &need), "a");
    for (size_t i = 0; i < 2; i++)
        hosts_release(&hosts, &held[i]);
}

static void test_place__fits_exactly_or_not(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    struct reservation held[3] = {0};
    struct place_need need = {.size = {.cpu_m = 4000, .mem_b = 8 * GIB}};
    const struct fargate_size small = {.cpu_m = 250, .mem_b = GIB / 2};

    (void)state;
    add_host(&hosts, "a", "z1", "");
    assert_int_equal(reason(&hosts, "a", &need), PLACE_FITS);
    need.size.cpu_m = 4001;
    assert_int_equal(reason(&hosts, "a", &need), PLACE_TOO_SMALL);
    need.size = (struct fargate_size){.cpu_m = 250, .mem_b = 8 * GIB + 1};
    assert_int_equal(reason(&hosts, "a", &need), PLACE_TOO_SMALL);
    hosts_reserve(&hosts, &held[0], "a", &small);
    need.size = (struct fargate_size){.cpu_m = 4000, .mem_b = GIB};
    assert_int_equal(reason(&hosts, "a", &need), PLACE_CPU);
    need.size = (struct fargate_size){.cpu_m = 3750, .mem_b = 8 * GIB};
    assert_int_equal(reason(&hosts, "a", &need), PLACE_MEMORY);
    hosts_reserve(&hosts, &held[1], "a", &small);
    hosts_reserve(&hosts, &held[2], "a", &small);
    need.size = small;
    assert_int_equal(reason(&hosts, "a", &need), PLACE_PODS);
    for (size_t i = 0; i < 3; i++)
        hosts_release(&hosts, &held[i]);
}

static void test_place__closed_hosts(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    const struct place_need need = {.size = {.cpu_m = 250, .mem_b = GIB / 2}};

    (void)state;
    add_host(&hosts, "a", "z1", ",\"unschedulable\":true");
    add_host(&hosts, "b", "z1", "},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}]");
    add_host(&hosts, "c", "z1", "");
    hosts_on_lease(&hosts, "c", NULL, NOW_MS, NOON_NS);
    add_host(&hosts, "d", "z1", "");
    hosts_on_object(&hosts, "d", NULL, NOW_MS);
    assert_int_equal(reason(&hosts, "a", &need), PLACE_CORDONED);
    assert_int_equal(reason(&hosts, "b", &need), PLACE_NOT_READY);
    assert_int_equal(reason(&hosts, "c", &need), PLACE_DEAD);
    assert_int_equal(reason(&hosts, "d", &need), PLACE_GONE);
    assert_null(chosen(&hosts, &need));
}

static void test_place__zones_of_the_profile(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    CLEANUP(strv_done) struct strv zones = {0};
    struct place_need need = {.size = {.cpu_m = 250, .mem_b = GIB / 2}, .zones = &zones};

    (void)state;
    add_host(&hosts, "a", "z1", "");
    add_host(&hosts, "b", "z2", "");
    assert_string_equal(chosen(&hosts, &need), "a");
    strv_add(&zones, "z2");
    assert_string_equal(chosen(&hosts, &need), "b");
    assert_int_equal(reason(&hosts, "a", &need), PLACE_ZONE);
}

static void test_place__runtime_handler(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    struct place_need need = {.size = {.cpu_m = 250, .mem_b = GIB / 2}, .runtime_handler = "kata"};

    (void)state;
    add_host(&hosts, "a", "z1", "");
    add_host(&hosts, "b", "z1", ",\"runtimeHandlers\":[\"runsc\",\"kata\"]");
    assert_string_equal(chosen(&hosts, &need), "b");
    assert_int_equal(reason(&hosts, "a", &need), PLACE_RUNTIME);
}

/* Rows: a pod spec, and the hosts (a in zone z1, b in zone z2) that it may go to. */
static void test_place__node_selector_and_affinity(void **state)
{
#define REQUIRED(terms)                                                                            \
    "{\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[" terms \
    "]}}}}"
#define TERM(key, operator, values)                                                                \
    "{\"matchExpressions\":[{\"key\":\"" key "\",\"operator\":\"" operator "\",\"values\":[" values "]}]}"
    static const struct {
        const char *spec;
        bool a, b;
    } rows[] = {
        {"{}", true, true},
        {"{\"nodeSelector\":{\"topology.kubernetes.io/zone\":\"z2\"}}", false, true},
        {"{\"nodeSelector\":{\"topology.kubernetes.io/zone\":\"z3\"}}", false, false},
        {"{\"nodeSelector\":{\"topology.kubernetes.io/region\":\"r1\",\"kubernetes.io/os\":\"linux\"}}", true, true},
        {"{\"nodeSelector\":{\"kubernetes.io/os\":\"windows\"}}", false, false},
        {"{\"nodeSelector\":{\"kubernetes.io/arch\":\"amd64\"}}", true, true},
        {"{\"nodeSelector\":{\"eks.amazonaws.com/compute-type\":\"fargate\"}}", true, true},
        {"{\"nodeSelector\":{\"fks.dev/host\":\"a\"}}", true, false},
        {"{\"nodeSelector\":{\"disk\":\"ssd\"}}", false, false},
        {REQUIRED(TERM("topology.kubernetes.io/zone", "In", "\"z1\",\"z3\"")), true, false},
        {REQUIRED(TERM("topology.kubernetes.io/zone", "NotIn", "\"z1\"")), false, true},
        {REQUIRED(TERM("topology.kubernetes.io/zone", "In", "\"z1\"") "," TERM("topology.kubernetes.io/zone", "In",
                                                                                "\"z2\"")), true, true},
        {REQUIRED(TERM("disk", "Exists", "")), false, false},
        {REQUIRED(TERM("disk", "DoesNotExist", "")), true, true},
        {REQUIRED(TERM("disk", "Gt", "\"1\"")), false, false},
        {REQUIRED("{}"), false, false},
        {REQUIRED("{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":[\"n\"]}]}"), false, false},
    };
    CLEANUP(hosts_done) struct hosts hosts = {0};

    (void)state;
    add_host(&hosts, "a", "z1", "");
    add_host(&hosts, "b", "z2", "");
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(json_free) struct json *spec = parse(rows[i].spec);
        const struct place_need need = {.size = {.cpu_m = 250, .mem_b = GIB / 2}, .spec = spec};

        if ((reason(&hosts, "a", &need) == PLACE_FITS) != rows[i].a ||
            (reason(&hosts, "b", &need) == PLACE_FITS) != rows[i].b)
            fail_msg("row %zu: %s", i, rows[i].spec);
    }
}

static void test_place__labels_of_the_host_count(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    CLEANUP(json_free) struct json *spec = parse("{\"nodeSelector\":{\"disk\":\"ssd\",\"kubernetes.io/arch\":\"arm64\"}}");
    CLEANUP(json_free) struct json *object =
        parse("{\"metadata\":{\"labels\":{\"disk\":\"ssd\",\"kubernetes.io/arch\":\"amd64\"}},"
              "\"spec\":{\"capacity\":{\"cpu\":\"4\",\"memory\":\"8Gi\"}}}");
    const struct place_need need = {.size = {.cpu_m = 250, .mem_b = GIB / 2}, .spec = spec};

    (void)state;
    add_host(&hosts, "a", "z1", "");
    hosts_on_object(&hosts, "a", object, NOW_MS);
    assert_int_equal(reason(&hosts, "a", &need), PLACE_SELECTOR);
    json_del(json_edit(spec, "nodeSelector", NULL), "kubernetes.io/arch");
    assert_int_equal(reason(&hosts, "a", &need), PLACE_FITS);
}

static void test_place__explains_each_host(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    CLEANUP(strv_done) struct strv zones = {0};
    CLEANUP(buf_done) struct buf text = {0};
    const struct place_need need = {.size = {.cpu_m = 8000, .mem_b = 16 * GIB}, .zones = &zones};
    struct place_result result;

    (void)state;
    place_survey(&hosts, &need, NOW_MS, NULL, NULL, &result);
    place_explain(&result, &need, &text);
    assert_string_equal(buf_text(&text), "no host offers capacity: start fks-node on one");
    strv_add(&zones, "z1");
    add_host(&hosts, "a", "z1", "");
    add_host(&hosts, "b", "z1", "");
    add_host(&hosts, "c", "z2", "");
    place_survey(&hosts, &need, NOW_MS, NULL, NULL, &result);
    buf_clear(&text);
    place_explain(&result, &need, &text);
    assert_string_equal(buf_text(&text),
                        "0 of 3 hosts can take 8vCPU 16GB: 2 are smaller than the pod (ask for less, or add a larger "
                        "host), 1 is in a zone that the profile leaves out (widen the profile's zones, or add a "
                        "host in one of them)");
}

static void test_place__packs(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    struct reservation held[4] = {0};
    const struct place_need need = {.size = {.cpu_m = 1000, .mem_b = 2 * GIB}, .policy = PLACE_PACK};

    (void)state;
    add_host(&hosts, "a", "z1", "");
    add_host(&hosts, "b", "z1", "");
    hosts_reserve(&hosts, &held[0], "a", &need.size);
    assert_string_equal(chosen(&hosts, &need), "a");
    hosts_reserve(&hosts, &held[1], "a", &need.size);
    assert_string_equal(chosen(&hosts, &need), "a");
    hosts_reserve(&hosts, &held[2], "a", &need.size); /* as many pods as it may */
    assert_string_equal(chosen(&hosts, &need), "b");
    for (size_t i = 0; i < 3; i++)
        hosts_release(&hosts, &held[i]);
}

static void test_place__balances_zones_first(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    struct reservation held[2] = {0};
    const struct place_need need = {.size = {.cpu_m = 1000, .mem_b = 2 * GIB}, .policy = PLACE_PACK};

    (void)state;
    add_host(&hosts, "a1", "za", "");
    add_host(&hosts, "a2", "za", "");
    add_host(&hosts, "b1", "zb", "");
    hosts_reserve(&hosts, &held[0], "a1", &need.size);
    assert_string_equal(chosen(&hosts, &need), "b1");
    hosts_reserve(&hosts, &held[1], "b1", &need.size); /* a quarter of zb, an eighth of za */
    assert_string_equal(chosen(&hosts, &need), "a1");
    for (size_t i = 0; i < 2; i++)
        hosts_release(&hosts, &held[i]);
}

static void test_place__architecture_and_disk(void **state)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    CLEANUP(json_free) struct json *spec = parse("{\"nodeSelector\":{\"kubernetes.io/arch\":\"arm64\"}}");
    CLEANUP(json_free) struct json *object =
        parse("{\"spec\":{\"architecture\":\"arm64\",\"capacity\":{\"cpu\":\"4\",\"memory\":\"8Gi\","
              "\"ephemeral-storage\":\"50Gi\"}}}");
    struct place_need need = {.size = {250, GIB / 2, 30 * GIB}, .spec = spec};
    struct reservation held = {0};

    (void)state;
    add_host(&hosts, "a", "z1", "");
    hosts_on_object(&hosts, "a", object, NOW_MS);
    assert_int_equal(reason(&hosts, "a", &need), PLACE_FITS);
    json_set_str(json_edit(spec, "nodeSelector", NULL), "kubernetes.io/arch", "amd64");
    assert_int_equal(reason(&hosts, "a", &need), PLACE_SELECTOR);
    need.spec = NULL;
    hosts_reserve(&hosts, &held, "a", &need.size);
    assert_int_equal(reason(&hosts, "a", &need), PLACE_DISK);
    assert_null(chosen(&hosts, &need));
    need.size.storage_b = 60 * GIB;
    assert_int_equal(reason(&hosts, "a", &need), PLACE_TOO_SMALL);
    hosts_release(&hosts, &held);
}

/* Rows: pods per host a, b (zone z1) and c (zone z2), a constraint, and where the next goes; NULL: nowhere. */
static void test_place__topology_spread(void **state)
{
    static const struct {
        intptr_t a, b, c;
        const char *key;
        bool required;
        int64_t skew, domains;
        const char *cordoned, *expected;
    } rows[] = {
        {0, 0, 0, "topology.kubernetes.io/zone", true, 1, 0, NULL, "c"}, /* the emptier zone by the pod on a, below */
        {0, 0, 1, "topology.kubernetes.io/zone", true, 1, 0, NULL, "b"},
        {1, 0, 0, "topology.kubernetes.io/zone", true, 1, 0, "c", "b"}, /* a cordoned zone is no domain */
        {2, 0, 1, "topology.kubernetes.io/zone", true, 1, 0, NULL, "c"},
        {1, 1, 1, "topology.kubernetes.io/zone", false, 1, 0, NULL, "c"},
        {1, 1, 2, "topology.kubernetes.io/zone", true, 1, 3, NULL, NULL}, /* a third zone is wanted first */
        {1, 1, 2, "topology.kubernetes.io/zone", true, 3, 3, NULL, "c"},
        {1, 0, 1, "kubernetes.io/hostname", true, 1, 0, NULL, "b"},
        {1, 1, 1, "kubernetes.io/hostname", true, 1, 0, NULL, "c"}, /* every pod has a Node of its own */
        {0, 0, 5, "topology.kubernetes.io/region", true, 1, 0, NULL, "c"},
        {0, 0, 0, "rack", true, 1, 0, NULL, NULL}, /* no host has the label */
        {0, 0, 0, "rack", false, 1, 0, NULL, "c"},
    };
    const struct fargate_size size = {.cpu_m = 1000, .mem_b = GIB};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(hosts_done) struct hosts hosts = {0};
        CLEANUP(map_done) struct map counts = {0};
        struct reservation held = {0};
        const struct place_spread spread = {.key = rows[i].key, .required = rows[i].required,
                                            .max_skew = rows[i].skew, .min_domains = rows[i].domains,
                                            .counts = &counts};
        const struct place_need need = {.size = size, .spreads = &spread, .n_spreads = 1};

        add_host(&hosts, "a", "z1", "");
        add_host(&hosts, "b", "z1", "");
        add_host(&hosts, "c", "z2", rows[i].cordoned != NULL ? ",\"unschedulable\":true" : "");
        hosts_reserve(&hosts, &held, "a", &size);
        (void)map_set(&counts, "a", (void *)rows[i].a);
        (void)map_set(&counts, "b", (void *)rows[i].b);
        (void)map_set(&counts, "c", (void *)rows[i].c);
        const char *got = chosen(&hosts, &need);
        if (!streq(got, rows[i].expected))
            fail_msg("row %zu: %s, expected %s", i, strempty(got), strempty(rows[i].expected));
        hosts_release(&hosts, &held);
    }
}

static void test_place__quota(void **state)
{
    CLEANUP(buf_done) struct buf why = {0};
    const struct fargate_quota quota = {2000, FARGATE_NO_QUOTA, 3};
    const struct place_usage used = {1500, 90 * GIB, 2};
    struct fargate_size size = {500, 8 * GIB, 0};

    (void)state;
    assert_true(place_quota_allows(&quota, &used, &size, &why));
    size.cpu_m = 501;
    assert_false(place_quota_allows(&quota, &used, &size, &why));
    assert_string_equal(buf_text(&why), "its quota of vCPU is used up: 1500m of 2 in use, 501m needed (delete pods, or "
                                        "raise spec.quota of the profile)");
    const struct place_usage full = {0, 0, 3};
    assert_false(place_quota_allows(&quota, &full, &size, &why));
}

/* --- the fast way against asking every host */

static const struct host *reference(const struct hosts *hosts, const struct place_need *need)
{
    const struct host *best = NULL;
    struct host *host;

    for (size_t i = 0; hosts_next(hosts, &i, &host);) {
        if (place_check(host, need, NOW_MS) != PLACE_FITS)
            continue;
        int64_t zone = hosts_zone_fullness(hosts, host->kind->zone);
        int64_t best_zone = best != NULL ? hosts_zone_fullness(hosts, best->kind->zone) : INT64_MAX;
        int order = best != NULL && zone == best_zone ? host_compare(host, best) : 0;
        if (zone < best_zone || (zone == best_zone && (need->policy == PLACE_PACK ? order > 0 : order < 0)))
            best = host;
    }
    return best;
}

enum { N_HOSTS = 24, N_PODS = 120 };

static void add_random_hosts(struct hosts *hosts, unsigned *seed)
{
    static const char *const mores[] = {"", "", "", ",\"runtimeHandlers\":[\"kata\"]", ",\"unschedulable\":true"};

    for (int i = 0; i < N_HOSTS; i++) {
        CLEANUP(xfree) char *name = xasprintf("host-%d", rand_r(seed) % 1000);
        add_host(hosts, name, rand_r(seed) % 3 == 0 ? "z1" : "z2", mores[(size_t)rand_r(seed) % countof(mores)]);
    }
}

static void test_place__fast_way_is_the_slow_way(void **state)
{
    static const struct fargate_size sizes[] = {{250, GIB / 2, 0}, {250, 2 * GIB, 0}, {1000, 2 * GIB, 0},
                                                {2000, 4 * GIB, 0}, {500, 4 * GIB, 0}, {8000, 16 * GIB, 0}};
    unsigned seed = 7;

    (void)state;
    for (int round = 0; round < 60; round++) {
        CLEANUP(hosts_done) struct hosts hosts = {0};
        struct reservation held[N_PODS] = {0};

        add_random_hosts(&hosts, &seed);
        for (int step = 0; step < 400; step++) {
            struct reservation *mine = &held[rand_r(&seed) % N_PODS];
            struct place_need need = {.size = sizes[(size_t)rand_r(&seed) % countof(sizes)],
                                      .policy = round % 2 == 0 ? PLACE_SPREAD : PLACE_PACK,
                                      .runtime_handler = rand_r(&seed) % 4 == 0 ? "kata" : NULL};

            if (mine->host != NULL) {
                hosts_release(&hosts, mine);
                continue;
            }
            const struct host *host = place_choose(&hosts, &need, NOW_MS);
            assert_ptr_equal(host, reference(&hosts, &need));
            if (host == NULL)
                continue;
            hosts_reserve(&hosts, mine, host->name, &need.size);
            assert_false(hosts_is_over(host));
        }
        for (size_t i = 0; i < N_PODS; i++)
            hosts_release(&hosts, &held[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place__spreads_by_fullness_then_name),
        cmocka_unit_test(test_place__fits_exactly_or_not),
        cmocka_unit_test(test_place__closed_hosts),
        cmocka_unit_test(test_place__zones_of_the_profile),
        cmocka_unit_test(test_place__runtime_handler),
        cmocka_unit_test(test_place__node_selector_and_affinity),
        cmocka_unit_test(test_place__labels_of_the_host_count),
        cmocka_unit_test(test_place__explains_each_host),
        cmocka_unit_test(test_place__packs),
        cmocka_unit_test(test_place__balances_zones_first),
        cmocka_unit_test(test_place__architecture_and_disk),
        cmocka_unit_test(test_place__topology_spread),
        cmocka_unit_test(test_place__quota),
        cmocka_unit_test(test_place__fast_way_is_the_slow_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
