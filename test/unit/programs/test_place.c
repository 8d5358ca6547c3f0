/* test_place.c: which host is chosen, and what is said when none is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmd/fks-scheduler/place.h"

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
    hosts_on_object(hosts, name, object);
    hosts_on_lease(hosts, name, lease, NOW_MS, NOON_NS);
}

static const char *chosen(const struct hosts *hosts, const struct place_need *need)
{
    struct place_result result;

    place_choose(hosts, need, NOW_MS, &result);
    return result.host != NULL ? result.host->name : NULL;
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
    hosts_on_object(&hosts, "d", NULL);
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
    hosts_on_object(&hosts, "a", object);
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
    place_choose(&hosts, &need, NOW_MS, &result);
    place_explain(&result, &need, &text);
    assert_string_equal(buf_text(&text), "no host offers capacity: start fks-node on one");
    strv_add(&zones, "z1");
    add_host(&hosts, "a", "z1", "");
    add_host(&hosts, "b", "z1", "");
    add_host(&hosts, "c", "z2", "");
    place_choose(&hosts, &need, NOW_MS, &result);
    buf_clear(&text);
    place_explain(&result, &need, &text);
    assert_string_equal(buf_text(&text),
                        "0 of 3 hosts can take 8vCPU 16GB: 2 are smaller than the pod (ask for less, or add a larger "
                        "host), 1 is in a zone that the profile leaves out (widen the profile's zones, or add a "
                        "host in one of them)");
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
