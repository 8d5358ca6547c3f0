/* test_place_rules.c: the table test/cases/place.txt: what one host says to one pod. */
#include "data/quantity.h"
#include "fargate/place.h"

#include "trees.h"

#define NOW_MS 1000000
#define NOON_NS 1767268800000000000ll /* 2026-01-01T12:00:00Z */
#define HELD_MAX 8

static const char *const verdicts[PLACE_REASONS] = {
    [PLACE_FITS] = "fits",         [PLACE_GONE] = "gone",         [PLACE_DEAD] = "dead",
    [PLACE_NOT_READY] = "not-ready", [PLACE_PRESSED] = "pressed", [PLACE_CORDONED] = "cordoned",
    [PLACE_ZONE] = "zone",         [PLACE_SELECTOR] = "selector", [PLACE_RUNTIME] = "runtime",
    [PLACE_DRIVER] = "driver",
    [PLACE_TOO_SMALL] = "too-small", [PLACE_CPU] = "cpu",         [PLACE_MEMORY] = "memory",
    [PLACE_DISK] = "disk",         [PLACE_PODS] = "pods",         [PLACE_UNEVEN] = "uneven",
};

/* "VERDICT | HOST | POD": the last column is cut off. */
static char *cut_last(char *line)
{
    char *bar = strrchr(line, '|');

    assert_non_null(bar);
    assert_true(bar > line);
    bar[-1] = '\0';
    return bar + 2;
}

static struct fargate_size size_of(const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    struct fargate_size size;

    if (fargate_size_parse(text, &size, &err) < 0)
        fail_msg("%s", err_text(&err));
    return size;
}

static struct json *host_object(const struct json *given)
{
    struct json *object = json_build("{s:{s:O*}, s:{s:O*}}", "metadata", "labels", json_member(given, "labels"), "status",
                                     "conditions", json_member(given, "conditions"));
    struct json *spec = tree_of("{zone: z1, region: r1, capacity: {cpu: 4, memory: 8Gi, pods: 3}}");
    void *position = NULL;
    const char *key;
    const struct json *value;

    while (json_next(given, &position, &key, &value))
        json_set(spec, key, json_clone(value));
    json_set(object, "spec", spec);
    return object;
}

static void add_host(struct hosts *hosts, struct reservation held[HELD_MAX], const struct json *given)
{
    CLEANUP(json_free) struct json *object = host_object(given);
    CLEANUP(json_free) struct json *lease = tree_of("{spec: {renewTime: \"2026-01-01T12:00:00Z\"}}");
    int64_t silent_ns = json_int_or(0, given, "silent", NULL) * 1000000000;
    const struct json *size;
    size_t n = 0;

    hosts_on_object(hosts, "h", object, NOW_MS);
    hosts_on_lease(hosts, "h", lease, NOW_MS, NOON_NS + silent_ns);
    json_each(size, json_member(given, "held")) {
        const struct fargate_size taken = size_of(json_string_value(size));

        assert_true(n < HELD_MAX);
        hosts_reserve(hosts, &held[n++], "h", &taken);
    }
}

static enum place_reason verdict_of(const struct json *host, const struct json *pod)
{
    CLEANUP(hosts_done) struct hosts hosts = {0};
    CLEANUP(strv_done) struct strv zones = {0};
    CLEANUP(strv_done) struct strv drivers = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct reservation held[HELD_MAX] = {0};
    const struct json *zone, *driver;
    struct place_need need = {.size = size_of(json_str_or("0.25vCPU 0.5GB", pod, "size", NULL)), .zones = &zones,
                              .runtime_handler = json_str(pod, "handler", NULL), .csi_drivers = &drivers, .spec = pod};

    assert_int_equal(quantity_parse_units(json_str_or("20Gi", pod, "disk", NULL), &need.size.storage_b, &err), 0);
    json_each(zone, json_member(pod, "zones"))
        strv_add(&zones, json_string_value(zone));
    json_each(driver, json_member(pod, "drivers"))
        strv_add(&drivers, json_string_value(driver));
    add_host(&hosts, held, host);
    enum place_reason reason = place_check(hosts_find(&hosts, "h"), &need, NOW_MS);
    /* the decision says the same as the question about one host */
    assert_int_equal(place_choose(&hosts, &need, NOW_MS) != NULL, reason == PLACE_FITS);
    for (size_t i = 0; i < HELD_MAX; i++)
        hosts_release(&hosts, &held[i]);
    return reason;
}

static void check_line(char *line)
{
    CLEANUP(xfree) char *whole = xstrdup(line);
    CLEANUP(json_free) struct json *pod = tree_of(cut_last(line));
    CLEANUP(json_free) struct json *host = tree_of(cut_last(line));
    const char *verdict = verdicts[verdict_of(host, pod)];

    if (!streq(verdict, line))
        fail_msg("%s: is %s", whole, verdict);
}

static void test_place__cases(UNUSED void **state)
{
    for_each_case("test/cases/place.txt", check_line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_place__cases)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
