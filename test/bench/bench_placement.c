/*
 * bench_placement.c: what one decision costs as the cluster grows: everything that fks-scheduler does between taking a pod
 * from its queue and asking for the reservation (reading it back, support, size, limits, quota, choice of a host, taking the room). Short
 * blocks of all sizes alternate, so that the machine's mood hits each; the smallest of each is kept.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fargate/place.h"
#include "fargate/support.h"

#define GIB (1ll << 30)
#define NOW_MS 1000

enum { BLOCKS = 60, BLOCK_PODS = 200, CASES = 4 };

static const char pod_text[] =
    "{\"metadata\":{\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[{\"name\":\"web\",\"image\":\"i\",\"resources\":{"
    "\"requests\":{\"cpu\":\"100m\",\"memory\":\"128Mi\"},\"limits\":{\"memory\":\"256Mi\"}},\"ports\":[{\"containerPort\":80}]}"
    ",{\"name\":\"side\",\"image\":\"i\",\"resources\":{\"requests\":{\"cpu\":\"50m\",\"memory\":\"64Mi\"}}}],"
    "\"volumes\":[{\"name\":\"t\",\"projected\":{\"sources\":[]}}],\"tolerations\":[{\"operator\":\"Exists\"}]}}";

struct cluster {
    size_t n_hosts, n_pods;
    struct hosts hosts;
    struct reservation *held;
    double best_us;
};

static struct json *parse(const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *tree = NULL;

    if (json_parse(text, strlen(text), &tree, &err) < 0)
        abort();
    return tree;
}

static const struct host *decide(struct cluster *cluster, struct reservation *held)
{
    static const struct fargate_quota quota = {FARGATE_NO_QUOTA, FARGATE_NO_QUOTA, FARGATE_NO_QUOTA};
    static const struct place_usage used = {0};
    CLEANUP(strv_done) struct strv reasons = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf why = {0};
    CLEANUP(json_free) struct json *pod = NULL;
    struct fargate_request request;

    if (json_parse_to_read(pod_text, strlen(pod_text), NULL, &pod, &err) < 0)
        abort();
    struct place_need need = {.spec = json_get(pod, "spec", NULL)};

    fargate_unsupported(pod, &reasons);
    if (reasons.n > 0 || fargate_request_of(pod, &request, &err) < 0 ||
        fargate_size_for(&request, false, &need.size, &err) < 0 || fargate_limits_check(pod, &need.size, &err) < 0 ||
        !place_quota_allows(&quota, &used, &need.size, &why))
        abort();
    const struct host *host = place_choose(&cluster->hosts, &need, NOW_MS);
    if (host != NULL)
        hosts_reserve(&cluster->hosts, held, host->name, &need.size);
    return host;
}

static void fill(struct cluster *cluster)
{
    CLEANUP(json_free) struct json *lease = parse("{\"spec\":{\"renewTime\":\"2026-01-01T12:00:00Z\"}}");

    for (size_t i = 0; i < cluster->n_hosts; i++) {
        CLEANUP(xfree) char *name = xasprintf("host-%03zu", i);
        CLEANUP(xfree) char *text =
            xasprintf("{\"metadata\":{\"labels\":{\"kubernetes.io/hostname\":\"host-%03zu\"}},\"spec\":{\"zone\":\"z%zu\","
                      "\"capacity\":{\"cpu\":\"10000\",\"memory\":\"20000Gi\",\"pods\":20000}}}", i, i % 3);
        CLEANUP(json_free) struct json *object = parse(text);
        hosts_on_lease(&cluster->hosts, name, lease, NOW_MS, 0);
        hosts_on_object(&cluster->hosts, name, object, NOW_MS);
    }
    cluster->held = xcalloc(cluster->n_pods + BLOCK_PODS, sizeof(*cluster->held));
    for (size_t i = 0; i < cluster->n_pods; i++)
        if (decide(cluster, &cluster->held[i]) == NULL)
            abort();
    cluster->best_us = 1e9;
}

static void run_block(struct cluster *cluster)
{
    struct reservation *held = cluster->held + cluster->n_pods;
    int64_t start = clock_wall_ns();

    for (size_t i = 0; i < BLOCK_PODS; i++)
        if (decide(cluster, &held[i]) == NULL)
            abort();
    double us = (double)(clock_wall_ns() - start) / 1e3 / BLOCK_PODS;
    if (us < cluster->best_us)
        cluster->best_us = us;
    for (size_t i = 0; i < BLOCK_PODS; i++)
        hosts_release(&cluster->hosts, &held[i]);
}

int main(void)
{
    static struct cluster clusters[CASES] = {
        {.n_hosts = 1, .n_pods = 100}, {.n_hosts = 200, .n_pods = 100}, {.n_hosts = 1, .n_pods = 5000},
        {.n_hosts = 200, .n_pods = 5000}};

    for (size_t i = 0; i < CASES; i++)
        fill(&clusters[i]);
    for (size_t block = 0; block < BLOCKS; block++)
        for (size_t i = 0; i < CASES; i++)
            run_block(&clusters[i]);
    printf("%6s %6s %12s %8s\n", "hosts", "pods", "decision", "ratio");
    for (size_t i = 0; i < CASES; i++) {
        printf("%6zu %6zu %9.2f us %7.2fx\n", clusters[i].n_hosts, clusters[i].n_pods, clusters[i].best_us,
               clusters[i].best_us / clusters[0].best_us);
        for (size_t k = 0; k < clusters[i].n_pods; k++)
            hosts_release(&clusters[i].hosts, &clusters[i].held[k]);
        hosts_done(&clusters[i].hosts);
        free(clusters[i].held);
    }
    return 0;
}
