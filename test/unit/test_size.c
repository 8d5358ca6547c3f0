/* test_size.c: the tables test/cases/size*.txt, a slow reference beside the real rule, and the annotation. */
#include "fargate/size.h"

#include "data/quantity.h"

#include "trees.h"

static struct json *pod_with(const char *cpu, const char *memory)
{
    struct json *requests = json_new_object();

    if (!streq(cpu, "-"))
        json_set_str(requests, "cpu", cpu);
    if (!streq(memory, "-"))
        json_set_str(requests, "memory", memory);
    return json_build("{s:{s:[{s:s, s:{s:o}}]}}", "spec", "containers", "name", "c", "resources", "requests",
                      requests);
}

static void check_line(char *line)
{
    const char *cpu = next_word(&line), *memory = next_word(&line);
    CLEANUP(json_free) struct json *pod = pod_with(cpu, memory);
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf got = {0};
    struct fargate_request request;
    struct fargate_size size;

    assert_int_equal(fargate_request_of(pod, &request, &err), 0);
    int r = fargate_size_for(&request, false, &size, &err);
    if (r == 0) {
        struct fargate_size again;
        fargate_size_print(&size, &got);
        assert_int_equal(fargate_size_parse(buf_text(&got), &again, &err), 0);
        assert_memory_equal(&again, &size, sizeof(size));
    } else {
        assert_int_equal(r, ERR_INVALID);
        assert_string_equal(err_text(&err),
                            "Your pod's cpu/memory requirements exceed the max Fargate configuration");
        buf_add_str(&got, "refused");
    }
    const char *expected = line + strspn(line, " ");
    if (!streq(buf_text(&got), expected))
        fail_msg("%s %s: %s, expected %s", cpu, memory, buf_text(&got), expected);
}

static void test_size__cases(UNUSED void **state)
{
    for_each_case("test/cases/size.txt", check_line);
}

/* "3Gi" as a number of units, or of thousandths. */
static int64_t amount_of(const char *text, bool milli)
{
    CLEANUP(err_clear) struct err err = {0};
    int64_t amount = 0;

    if ((milli ? quantity_parse_milli(text, &amount, &err) : quantity_parse_units(text, &amount, &err)) < 0)
        fail_msg("%s", err_text(&err));
    return amount;
}

/* Cuts "expected | spec"; the pod is owned by the caller. */
static struct json *pod_of_line(char *line, const char **ret_expected)
{
    char *bar = strstr(line, " | ");

    if (bar == NULL)
        fail_msg("no ' | ' in: %s", line);
    *bar = '\0';
    *ret_expected = line;
    return json_build("{s:o}", "spec", tree_of(bar + 3));
}

static void check_pod_size(const struct fargate_request *request, const char *expected, const char *line)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf got = {0};
    struct fargate_size size;

    if (fargate_size_for(request, false, &size, &err) < 0) {
        assert_int_equal(err.code, ERR_INVALID);
        buf_add_str(&got, "refused");
    } else {
        fargate_size_print(&size, &got);
        buf_printf(&got, " %lldGi", (long long)(size.storage_b >> 30));
    }
    if (!streq(buf_text(&got), expected))
        fail_msg("%s: %s", line, buf_text(&got));
}

static void check_pod_line(char *line)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *expected;
    CLEANUP(xfree) char *whole = xstrdup(line);
    CLEANUP(json_free) struct json *pod = pod_of_line(line, &expected);
    CLEANUP(strv_done) struct strv lines = {0};
    struct fargate_request request = {0};
    int r = fargate_request_of(pod, &request, &err);

    fargate_size_explain(pod, false, false, &lines);
    assert_true(lines.n > 0);
    if (starts_with(expected, "bad ")) {
        if (r == 0 || !starts_with(err_text(&err), expected + 4) || !streq(lines.items[0], err_text(&err)))
            fail_msg("%s: %s", whole, err_text(&err));
        return;
    }
    if (r < 0)
        fail_msg("%s: %s", whole, err_text(&err));
    char *rest = line;
    int64_t cpu_m = amount_of(next_word(&rest), true), mem_b = amount_of(next_word(&rest), false);
    int64_t storage_b = amount_of(next_word(&rest), false);
    if (request.cpu_m != cpu_m || request.mem_b != mem_b || request.storage_b != storage_b)
        fail_msg("%s: %lldm %lld %lld", whole, (long long)request.cpu_m, (long long)request.mem_b,
                 (long long)request.storage_b);
    assert_string_equal(next_word(&rest), "=>");
    check_pod_size(&request, rest, whole);
}

static void test_size__pods(UNUSED void **state)
{
    for_each_case("test/cases/size_pods.txt", check_pod_line);
}

static void check_limits_line(char *line)
{
    CLEANUP(err_clear) struct err err = {0};
    const char *expected;
    CLEANUP(xfree) char *whole = xstrdup(line);
    CLEANUP(json_free) struct json *pod = pod_of_line(line, &expected);
    struct fargate_request request;
    struct fargate_size size;

    assert_int_equal(fargate_request_of(pod, &request, &err), 0);
    assert_int_equal(fargate_size_for(&request, false, &size, &err), 0);
    int r = fargate_limits_check(pod, &size, &err);
    if (streq(expected, "ok") ? r != 0 : r == 0 || strstr(err_text(&err), expected) == NULL)
        fail_msg("%s: %s", whole, err_text(&err));
}

static void test_limits__cases(UNUSED void **state)
{
    for_each_case("test/cases/size_limits.txt", check_limits_line);
}

static int resize_clamped(const char *requests, const char *limits, bool clamp, struct err *err)
{
    CLEANUP(json_free) struct json *pod = json_build("{s:{s:[{s:s, s:{s:o, s:o}}]}}", "spec", "containers", "name", "c",
                                                     "resources", "requests", tree_of(requests), "limits",
                                                     tree_of(limits));
    const struct fargate_size size = {500, 1ll << 30, 20ll << 30};

    return fargate_resize_check(pod, &size, clamp, err);
}

static int resize(const char *requests, const char *limits, struct err *err)
{
    return resize_clamped(requests, limits, false, err);
}

static void test_resize__stays_in_the_size(UNUSED void **state)
{
    CLEANUP(err_clear) struct err err = {0};

    assert_int_equal(resize("{cpu: 500m, memory: 768Mi}", "{cpu: 500m, memory: 1Gi}", &err), 0);
    assert_int_equal(resize("{cpu: 501m}", "{}", &err), ERR_INVALID);
    assert_string_equal(err_text(&err), "the pod asks for 501m vCPU and 0 (and 256Mi for Kubernetes) now, but 0.5vCPU "
                                        "1GB was provisioned for it: ask for less, or delete it so that a larger one "
                                        "takes its place");
    err_clear(&err);
    assert_int_equal(resize("{memory: 769Mi}", "{}", &err), ERR_INVALID);
    err_clear(&err);
    assert_int_equal(resize("{cpu: 100m}", "{cpu: 600m}", &err), ERR_INVALID);
    err_clear(&err);
    assert_int_equal(resize_clamped("{cpu: 100m}", "{cpu: 600m}", true, &err), 0);
    assert_int_equal(resize_clamped("{cpu: 501m}", "{}", true, &err), ERR_INVALID);
    err_clear(&err);
    assert_int_equal(resize("{cpu: x}", "{}", &err), ERR_PARSE);
}

static void test_explain__lines(UNUSED void **state)
{
    CLEANUP(json_free) struct json *pod = tree_of(
        "{spec: {overhead: {cpu: 250m, memory: 120Mi}, initContainers: [{name: proxy, restartPolicy: Always, "
        "resources: {requests: {cpu: 100m}}}, {name: setup, resources: {requests: {cpu: 1, memory: 1Gi}}}], "
        "containers: [{name: web, resources: {requests: {cpu: 200m, memory: 500Mi}, limits: {cpu: 4}}}]}}");
    CLEANUP(strv_done) struct strv lines = {0};

    fargate_size_explain(pod, false, false, &lines);
    CLEANUP(xfree) char *text = strv_join(&lines, "\n");
    assert_string_equal(text, "sidecar proxy: cpu 100m, memory 0\n"
                              "init container setup: cpu 1, memory 1Gi\n"
                              "container web: cpu 200m, memory 500Mi\n"
                              "containers and sidecars together: cpu 300m, memory 500Mi\n"
                              "largest init container, with the sidecars before it: cpu 1100m, memory 1Gi\n"
                              "overhead of the RuntimeClass: cpu 250m, memory 120Mi\n"
                              "request: cpu 1350m, memory 1144Mi\n"
                              "with 256Mi of memory for the Kubernetes components: cpu 1350m, memory 1400Mi\n"
                              "rounded up to a size of Fargate: 2vCPU 4GB, disk 20Gi\n"
                              "the cpu limit 4 of container 'web' is above the 2vCPU 4GB that the pod's requests come "
                              "to: raise the request to the limit, or lower the limit");
}

/* --- against a slow reference */

/* Fargate's table, choice by choice, as its page prints it: vCPU in m, then GiB in halves. */
static size_t all_sizes(struct fargate_size *sizes)
{
    static const struct {
        int cpu_m, first, last, step; /* in halves of a GiB */
    } ranges[] = {{250, 1, 2, 1},   {250, 4, 4, 1},    {500, 2, 8, 2},     {1000, 4, 16, 2},
                  {2000, 8, 32, 2}, {4000, 16, 60, 2}, {8000, 32, 120, 8}, {16000, 64, 240, 16}};
    size_t n = 0;

    for (size_t i = 0; i < countof(ranges); i++)
        for (int half = ranges[i].first; half <= ranges[i].last; half += ranges[i].step)
            sizes[n++] = (struct fargate_size){ranges[i].cpu_m, (int64_t)half << 29, 0};
    return n;
}

enum { MOST_CONTAINERS = 5 };
struct moment { /* what one container asks for, and whether it stays */
    int64_t cpu_m, mem_b;
    bool init, stays;
};

/* Plays the pod's life: the most that runs at one time. */
static struct fargate_request play(const struct moment *containers, size_t n)
{
    struct fargate_request most = {0};

    /* at step k the k-th init container runs with the sidecars before it; after the last all others run */
    for (size_t k = 0; k <= n; k++) {
        struct fargate_request now = {0};

        for (size_t i = 0; i < n; i++) {
            bool runs = k == n ? !containers[i].init || containers[i].stays
                               : containers[i].init && (i == k || (i < k && containers[i].stays));
            if (runs && (k == n || containers[k].init)) {
                now.cpu_m += containers[i].cpu_m;
                now.mem_b += containers[i].mem_b;
            }
        }
        most.cpu_m = now.cpu_m > most.cpu_m ? now.cpu_m : most.cpu_m;
        most.mem_b = now.mem_b > most.mem_b ? now.mem_b : most.mem_b;
    }
    return most;
}

static struct json *pod_of_moments(const struct moment *containers, size_t n)
{
    struct json *pod = tree_of("{spec: {initContainers: [], containers: []}}");

    for (size_t i = 0; i < n; i++) {
        CLEANUP(xfree) char *text = xasprintf("{resources: {requests: {cpu: %lldm, memory: %lld}}}",
                                              (long long)containers[i].cpu_m, (long long)containers[i].mem_b);
        struct json *container = tree_of(text);

        if (containers[i].init && containers[i].stays)
            json_set_str(container, "restartPolicy", "Always");
        json_push(json_edit(pod, "spec", containers[i].init ? "initContainers" : "containers", NULL), container);
    }
    return pod;
}

/* Small amounts are as likely as large ones, and the table's own boundaries come up often. */
static int64_t random_amount(unsigned *seed, int64_t unit, int steps)
{
    int64_t amount = unit << (rand_r(seed) % steps);

    switch (rand_r(seed) % 4) {
    case 0:
        return 0;
    case 1:
        return amount;
    case 2:
        return amount + 1;
    default:
        return amount / 7 * (rand_r(seed) % 9);
    }
}

static void test_size__smallest_that_fits(UNUSED void **state)
{
    struct fargate_size sizes[128];
    size_t n_sizes = all_sizes(sizes);
    unsigned seed = 1;

    assert_int_equal(n_sizes, 3 + 4 + 7 + 13 + 23 + 12 + 12);
    for (int round = 0; round < 20000; round++) {
        struct moment containers[MOST_CONTAINERS];
        size_t n = 1 + (size_t)rand_r(&seed) % MOST_CONTAINERS, best = n_sizes;
        CLEANUP(err_clear) struct err err = {0};
        struct fargate_request request;
        struct fargate_size size;

        for (size_t i = 0; i < n; i++)
            containers[i] = (struct moment){random_amount(&seed, 125, 8), random_amount(&seed, 64 << 20, 11),
                                            rand_r(&seed) % 2 == 0, rand_r(&seed) % 2 == 0};
        CLEANUP(json_free) struct json *pod = pod_of_moments(containers, n);
        struct fargate_request most = play(containers, n);
        assert_int_equal(fargate_request_of(pod, &request, &err), 0);
        assert_int_equal(request.cpu_m, most.cpu_m);
        assert_int_equal(request.mem_b, most.mem_b);
        for (size_t i = 0; i < n_sizes && best == n_sizes; i++)
            if (sizes[i].cpu_m >= most.cpu_m && sizes[i].mem_b >= most.mem_b + (256 << 20))
                best = i;
        int r = fargate_size_for(&request, false, &size, &err);
        assert_int_equal(r, best < n_sizes ? 0 : ERR_INVALID);
        if (r == 0 && (size.cpu_m != sizes[best].cpu_m || size.mem_b != sizes[best].mem_b))
            fail_msg("%lldm %lld: %lldm %lld", (long long)most.cpu_m, (long long)most.mem_b, (long long)size.cpu_m,
                     (long long)size.mem_b);
    }
}

static void test_size__exact(UNUSED void **state)
{
    static const struct {
        int64_t cpu_m, mem_b;
        const char *expected;
    } cases[] = {
        {0, 0, "0.01vCPU 0.25GB"},
        {300, 64 << 20, "0.3vCPU 0.3125GB"},
        {1, 1, "0.01vCPU 0.2509765625GB"},
        {64000, 500ll << 30, "64vCPU 500.25GB"},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(buf_done) struct buf text = {0};
        struct fargate_request request = {cases[i].cpu_m, cases[i].mem_b, 0};
        struct fargate_size size, again;
        assert_int_equal(fargate_size_for(&request, true, &size, &err), 0);
        fargate_size_print(&size, &text);
        assert_string_equal(buf_text(&text), cases[i].expected);
        assert_int_equal(fargate_size_parse(buf_text(&text), &again, &err), 0);
        assert_int_equal(again.mem_b, size.mem_b);
        assert_int_equal(again.cpu_m, size.cpu_m);
    }
}

static void test_size__exact_disk_and_overflow(UNUSED void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    struct fargate_request request = {.storage_b = 500ll << 30};
    struct fargate_size size;

    assert_int_equal(fargate_size_for(&request, true, &size, &err), 0);
    assert_int_equal(size.storage_b, 500ll << 30);
    request = (struct fargate_request){.mem_b = INT64_MAX};
    assert_int_equal(fargate_size_for(&request, true, &size, &err), ERR_INVALID);
}

static void test_parse__refuses(UNUSED void **state)
{
    static const char *const bad[] = {"",           "x",          "0.25vCPU",   "0.25vCPU 0.5",
                                      "0.25 0.5GB", "vCPU 1GB",   "1vCPU GB",   "1vCPU 1MGB",
                                      "1mvCPU 1GB", "-1vCPU 1GB", "1vCPU  1GB", "1vCPU 1GB x"};

    for (size_t i = 0; i < countof(bad); i++) {
        CLEANUP(err_clear) struct err err = {0};
        struct fargate_size size;
        if (fargate_size_parse(bad[i], &size, &err) != ERR_PARSE)
            fail_msg("'%s' was read", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size__cases),
        cmocka_unit_test(test_size__pods),
        cmocka_unit_test(test_limits__cases),
        cmocka_unit_test(test_resize__stays_in_the_size),
        cmocka_unit_test(test_explain__lines),
        cmocka_unit_test(test_size__smallest_that_fits),
        cmocka_unit_test(test_size__exact),
        cmocka_unit_test(test_size__exact_disk_and_overflow),
        cmocka_unit_test(test_parse__refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
