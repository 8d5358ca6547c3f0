/*
 * bench_admission.c: nanoseconds of the admission decision on a review of a realistic pod (about 4 KB): the whole
 * pure call (bytes in, bytes out), and inside it match and mutate alone. Prints the medians of many short runs;
 * asserts nothing. bench_admission [PROFILES]     how many profiles do not match before the one that does (default
 * 20)
 */
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "base/str.h"
#include "fargate/mutate.h"
#include "webhook/admission.h"

enum { RUNS = 2001, CALLS_PER_RUN = 20 };

struct bench {
    struct fargate_profiles *profiles;
    struct buf review;
    struct json *tree;
};

static int64_t now_ns(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static struct json *make_container(const char *name)
{
    struct json *container = json_build(
        "{s:s, s:s, s:[s, s], s:{s:{s:s, s:s}, s:{s:s, s:s}}, s:s, s:s, s:s, s:{s:b, s:b, s:{s:[s]}}}", "name",
        name, "image", "registry.example.com/shop/checkout-service:2026.11.20-4f9c2ab", "args",
        "--config=/etc/checkout/config.yaml", "--log-format=json", "resources", "requests", "cpu", "250m", "memory",
        "512Mi", "limits", "cpu", "250m", "memory", "512Mi", "terminationMessagePath", "/dev/termination-log",
        "terminationMessagePolicy", "File", "imagePullPolicy", "IfNotPresent", "securityContext", "runAsNonRoot", 1,
        "readOnlyRootFilesystem", 1, "capabilities", "drop", "ALL");
    struct json *variables = json_new_array();

    for (int i = 0; i < 6; i++) {
        CLEANUP(xfree) char *variable = xasprintf("CHECKOUT_SETTING_%d", i);
        json_push(variables,
                  json_build("{s:s, s:s}", "name", variable, "value", "https://payments.internal.example.com/v2"));
    }
    json_set(container, "env", variables);
    json_set(container, "volumeMounts",
             json_build("[{s:s, s:s}, {s:s, s:b, s:s}]", "name", "config", "mountPath", "/etc/checkout", "name",
                        "token", "readOnly", 1, "mountPath", "/var/run/secrets/kubernetes.io/serviceaccount"));
    return container;
}

static struct json *make_pod(void)
{
    struct json *pod = json_build(
        "{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s, s:s, s:s}, s:{s:s, s:s}, s:[{s:s, s:s, s:s, s:s, s:b}]}, s:{}}",
        "kind", "Pod", "apiVersion", "v1", "metadata", "generateName", "checkout-5d9c7b8f6d-", "namespace", "shop",
        "labels", "app", "checkout", "tier", "backend", "app.kubernetes.io/part-of", "shop", "pod-template-hash",
        "5d9c7b8f6d", "annotations", "prometheus.io/scrape", "true", "prometheus.io/port", "9102",
        "ownerReferences", "apiVersion", "apps/v1", "kind", "ReplicaSet", "name", "checkout-5d9c7b8f6d", "uid",
        "6a6b6e5c-8b76-4b0e-a6f4-0f2d5d6c7b8a", "controller", 1, "spec");
    struct json *spec = json_edit(pod, "spec", NULL);

    json_set(spec, "containers", json_new_array());
    json_push(json_edit(spec, "containers", NULL), make_container("checkout"));
    json_push(json_edit(spec, "containers", NULL), make_container("metrics"));
    json_set(spec, "volumes",
             json_build("[{s:s, s:{s:s, s:i}}, {s:s, s:{s:[{s:{s:i, s:s}}]}}]", "name", "config", "configMap",
                        "name", "checkout-config", "defaultMode", 420, "name", "token", "projected", "sources",
                        "serviceAccountToken", "expirationSeconds", 3607, "path", "token"));
    json_set_str(spec, "schedulerName", "default-scheduler");
    json_set_str(spec, "restartPolicy", "Always");
    json_set_str(spec, "serviceAccountName", "checkout");
    json_set_int(spec, "priority", 0);
    json_set_str(spec, "preemptionPolicy", "PreemptLowerPriority");
    return pod;
}

static struct json *make_review(void)
{
    return json_build(
        "{s:s, s:s, s:{s:s, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s}, s:s, s:s, s:{s:s, s:[s, s]}, s:o, s:n, s:b}}",
        "kind", "AdmissionReview", "apiVersion", "admission.k8s.io/v1", "request", "uid",
        "705ab4f5-6393-11e8-b7cc-42010a800002", "kind", "group", "", "version", "v1", "kind", "Pod", "resource",
        "group", "", "version", "v1", "resource", "pods", "namespace", "shop", "operation", "CREATE", "userInfo",
        "username", "system:serviceaccount:kube-system:replicaset-controller", "groups", "system:serviceaccounts",
        "system:authenticated", "object", make_pod(), "oldObject", "dryRun", 0);
}

static struct fargate_profiles *make_profiles(size_t n_others)
{
    struct fargate_profile *items = xcalloc(n_others + 1, sizeof(*items));

    for (size_t i = 0; i <= n_others; i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(xfree) char *name = i < n_others ? xasprintf("other-%zu", i) : xstrdup("zz-shop");
        CLEANUP(json_free)
        struct json *object =
            json_build("{s:{s:s}, s:{s:[{s:s, s:{s:s}}, {s:s, s:{s:s, s:s}}]}}", "metadata", "name", name, "spec",
                       "selectors", "namespace", i < n_others ? "team-*-prod" : "sh*", "labels", "app", "checkout*",
                       "namespace", "shop", "labels", "tier", "frontend", "app", "*");
        if (fargate_profile_read(object, &items[i], &err) < 0)
            abort();
    }
    return fargate_profiles_new(items, n_others + 1);
}

static void run_match_and_mutate(const struct bench *bench)
{
    CLEANUP(buf_done) struct buf patch = {0};
    const struct json *pod = json_get(bench->tree, "request", "object", NULL);
    struct fargate_match match = fargate_match_pod(bench->profiles, "shop", pod);

    if (match.verdict != FARGATE_MATCHED)
        abort();
    fargate_mutate(pod, &match, &patch);
}

static void run_parse(const struct bench *bench)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *tree;

    if (json_parse(bench->review.data, bench->review.len, &tree, &err) < 0)
        abort();
    json_free(tree);
}

static void run_admission(const struct bench *bench)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf out = {0};
    struct admission_decision decision;

    if (admission_mutate(&(struct admission_rules){.profiles = bench->profiles}, bench->review.data, bench->review.len, &out, &decision, &err) < 0 ||
        decision.outcome != ADMISSION_PATCHED)
        abort();
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static void measure(const char *name, void (*run)(const struct bench *), const struct bench *bench)
{
    static int64_t times[RUNS];

    for (size_t i = 0; i < RUNS; i++) {
        int64_t start = now_ns();
        for (size_t k = 0; k < CALLS_PER_RUN; k++)
            run(bench);
        times[i] = (now_ns() - start) / CALLS_PER_RUN;
    }
    qsort(times, RUNS, sizeof(times[0]), compare);
    printf("%-28s median %7lld ns   p99 %7lld ns\n", name, (long long)times[RUNS / 2],
           (long long)times[RUNS * 99 / 100]);
}

int main(int argc, char **argv)
{
    CLEANUP(err_clear) struct err err = {0};
    struct bench bench = {0};
    int64_t n_others = 20;

    if (argc > 1 && parse_int(argv[1], 0, 100000, &n_others, &err) < 0) {
        fprintf(stderr, "error: %s\n", err_text(&err));
        return 2;
    }
    bench.profiles = make_profiles((size_t)n_others);
    bench.tree = make_review();
    json_print(bench.tree, &bench.review);
    printf("review of %zu bytes, the last of %zu profiles matches\n", bench.review.len, bench.profiles->n);
    measure("match and mutate", run_match_and_mutate, &bench);
    measure("parse the review", run_parse, &bench);
    measure("whole admission call", run_admission, &bench);
    json_free(bench.tree);
    buf_done(&bench.review);
    fargate_profiles_free(bench.profiles);
    return 0;
}
