/* test_size.c: the table test/cases/size.txt, what a pod's request is, and the annotation. */
#include "fargate/size.h"

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

/* cpu in m, memory in MiB, storage in MiB */
static const struct {
    const char *spec;
    int64_t cpu_m, mem_mib, storage_mib;
} requests[] = {
    {"{}", 0, 0, 0},
    {"{containers: [{resources: {requests: {cpu: 100m, memory: 1Mi}}}, {resources: {requests: {cpu: 1, memory: "
     "2Mi}}}]}",
     1100, 3, 0},
    {"{containers: [{resources: {limits: {cpu: '2', memory: 2Gi, ephemeral-storage: 1Gi}}}]}", 2000, 2048, 1024},
    {"{containers: [{resources: {requests: {cpu: 100m}, limits: {cpu: '2', memory: 5Mi}}}]}", 100, 5, 0},
    /* the largest init container against the sum of the others, per resource */
    {"{initContainers: [{resources: {requests: {cpu: 1, memory: 10Mi}}}, {resources: {requests: {cpu: 500m, "
     "memory: 90Mi}}}], "
     "containers: [{resources: {requests: {cpu: 200m, memory: 50Mi}}}]}",
     1000, 90, 0},
    /* a sidecar counts with the containers */
    {"{initContainers: [{restartPolicy: Always, resources: {requests: {cpu: 300m}}}], "
     "containers: [{resources: {requests: {cpu: 200m}}}]}",
     500, 0, 0},
    /* and with the init containers after it, not with those before */
    {"{initContainers: [{resources: {requests: {cpu: 900m}}}, {restartPolicy: Always, resources: {requests: {cpu: "
     "300m}}}, "
     "{resources: {requests: {cpu: 700m}}}], containers: [{resources: {requests: {cpu: 200m}}}]}",
     1000, 0, 0},
    {"{initContainers: [{resources: {requests: {cpu: 1100m}}}, {restartPolicy: Always, resources: {requests: {cpu: "
     "300m}}}], "
     "containers: [{resources: {requests: {cpu: 200m}}}]}",
     1100, 0, 0},
    {"{overhead: {cpu: 250m, memory: 120Mi}, containers: [{resources: {requests: {cpu: 1}}}]}", 1250, 120, 0},
    /* for the pod as a whole */
    {"{resources: {requests: {cpu: 3}}, overhead: {cpu: 1}, containers: [{resources: {requests: {cpu: 1, memory: "
     "7Mi}}}]}",
     4000, 7, 0},
};

static void test_request__sums(UNUSED void **state)
{
    for (size_t i = 0; i < countof(requests); i++) {
        CLEANUP(json_free) struct json *pod = json_build("{s:o}", "spec", tree_of(requests[i].spec));
        CLEANUP(err_clear) struct err err = {0};
        struct fargate_request request;
        if (fargate_request_of(pod, &request, &err) < 0)
            fail_msg("%s: %s", requests[i].spec, err_text(&err));
        if (request.cpu_m != requests[i].cpu_m || request.mem_b != requests[i].mem_mib << 20 ||
            request.storage_b != requests[i].storage_mib << 20)
            fail_msg("%s: %lldm, %lld, %lld", requests[i].spec, (long long)request.cpu_m, (long long)request.mem_b,
                     (long long)request.storage_b);
    }
}

static void assert_request_refused(const char *requests_text, int code, const char *expected)
{
    CLEANUP(json_free) struct json *pod = json_build("{s:{s:[{s:s,s:{s:o}}]}}", "spec", "containers", "name", "c",
                                                     "resources", "requests", tree_of(requests_text));
    CLEANUP(err_clear) struct err err = {0};
    struct fargate_request request;

    assert_int_equal(fargate_request_of(pod, &request, &err), code);
    if (strstr(err_text(&err), expected) == NULL)
        fail_msg("%s", err_text(&err));
}

static void test_request__bad_quantities(UNUSED void **state)
{
    assert_request_refused("{cpu: x}", ERR_PARSE, "container 'c': cpu: 'x' is no quantity");
    assert_request_refused("{memory: [1]}", ERR_PARSE, "the quantity of memory is no text");
    assert_request_refused("{memory: '-1'}", ERR_PARSE, "'-1' is negative");
    assert_request_refused("{cpu: 9E}", ERR_TOO_BIG, "too large");

    CLEANUP(json_free) struct json *pod = tree_of("{spec: {containers: [{resources: {requests: {memory: 7Ei}}}, "
                                                  "{resources: {requests: {memory: 7Ei}}}]}}");
    CLEANUP(err_clear) struct err err = {0};
    struct fargate_request request;
    assert_int_equal(fargate_request_of(pod, &request, &err), ERR_TOO_BIG);
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

static void test_size__storage(UNUSED void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    struct fargate_request request = {.storage_b = 1};
    struct fargate_size size;

    assert_int_equal(fargate_size_for(&request, false, &size, &err), 0);
    assert_int_equal(size.storage_b, 20ll << 30);
    request.storage_b = 175ll << 30;
    assert_int_equal(fargate_size_for(&request, false, &size, &err), 0);
    assert_int_equal(size.storage_b, 175ll << 30);
    request.storage_b++;
    assert_int_equal(fargate_size_for(&request, false, &size, &err), ERR_INVALID);
    err_clear(&err);
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
        cmocka_unit_test(test_request__sums),
        cmocka_unit_test(test_request__bad_quantities),
        cmocka_unit_test(test_size__exact),
        cmocka_unit_test(test_size__storage),
        cmocka_unit_test(test_parse__refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
