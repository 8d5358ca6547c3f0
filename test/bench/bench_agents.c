/*
 * bench_agents.c: what surrounds a scheduler that is measured: pods to place, hosts that make a Node for each pod they are
 * given, or ready-made Nodes as kwok has them. Runs nothing.
 *
 *     bench_agents KUBECONFIG pods N SCHEDULER   creates N pods in the namespace "bench", then ends
 *     bench_agents KUBECONFIG nodes N            creates N Ready Nodes with room for one pod each, then ends
 *     bench_agents KUBECONFIG hosts N            offers N hosts until SIGTERM
 *     bench_agents KUBECONFIG wait N             ends when N pods of "bench" are bound; prints the Unix time of the last
 */
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "fargate/names.h"
#include "kube/watch.h"

#define WINDOW 48 /* requests under way */
#define BEAT_MS 10000
#define LEASES "/apis/coordination.k8s.io/v1/namespaces/" FKS_NAMESPACE "/leases"

struct bench {
    struct loop *loop;
    struct kube_client *client;
    struct kube_watch *watch;
    struct loop_timer *timer;
    size_t n, started, done, under_way;
    const char *scheduler;
    struct json *(*make)(const struct bench *bench, size_t i, const char **ret_path);
    struct map nodes; /* uid of a pod → its Node was asked for */
};

static int fail(const struct err *err)
{
    fprintf(stderr, "bench_agents: %s\n", err_text(err));
    exit(1);
}

/* --- objects */

static struct json *make_pod(const struct bench *bench, size_t i, const char **ret_path)
{
    CLEANUP(xfree) char *name = xasprintf("pod-%05zu", i);

    *ret_path = "/api/v1/namespaces/bench/pods";
    return json_build("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:s, s:i, s:b, s:[{s:s}], s:[{s:s, s:s, s:{s:{s:s, s:s}}}]}}",
                      "apiVersion", "v1", "kind", "Pod", "metadata", "name", name, "labels", FARGATE_PROFILE_LABEL, "bench",
                      "spec", "schedulerName", bench->scheduler, "terminationGracePeriodSeconds", 0,
                      "automountServiceAccountToken", 0, "tolerations", "operator", "Exists", "containers", "name", "main", "image", "example.com/none:1", "resources",
                      "requests", "cpu", "250m", "memory", "256Mi");
}

static struct json *node_of(const char *name, const char *host, const char *uid, const char *pod)
{
    char now[CLOCK_TEXT_MAX];

    clock_rfc3339(clock_wall_ns(), now);
    return json_build(
        "{s:s, s:s, s:{s:s, s:{s:s, s:s*, s:s}, s:{s:s*, s:s*}}, s:{s:[{s:s, s:s, s:s}]}, s:{s:{s:s, s:s, s:s}, "
        "s:{s:s, s:s, s:s}, s:[{s:s, s:s, s:s, s:s, s:s}]}}",
        "apiVersion", "v1", "kind", "Node", "metadata", "name", name, "labels", FARGATE_COMPUTE_TYPE,
        FARGATE_COMPUTE_FARGATE, FKS_HOST_LABEL, host, "kubernetes.io/hostname", name, "annotations",
        FKS_POD_UID_ANNOTATION, uid, FKS_POD_ANNOTATION, pod, "spec", "taints", "key", FARGATE_COMPUTE_TYPE, "value",
        FARGATE_COMPUTE_FARGATE, "effect", "NoSchedule", "status", "capacity", "cpu", "250m", "memory", "512Mi", "pods",
        "1", "allocatable", "cpu", "250m", "memory", "512Mi", "pods", "1", "conditions", "type", "Ready", "status", "True",
        "reason", "KubeletReady", "lastHeartbeatTime", now, "lastTransitionTime", now);
}

static struct json *make_node(const struct bench *bench UNUSED, size_t i, const char **ret_path)
{
    CLEANUP(xfree) char *name = xasprintf("node-%05zu", i);

    *ret_path = "/api/v1/nodes";
    return node_of(name, NULL, NULL, NULL);
}

static struct json *make_host(const struct bench *bench, size_t i, const char **ret_path)
{
    CLEANUP(xfree) char *name = xasprintf("host-%03zu", i);
    CLEANUP(xfree) char *zone = xasprintf("z%zu", i % 3);

    *ret_path = FKS_HOSTS_PATH;
    (void)bench;
    return json_build("{s:s, s:s, s:{s:s}, s:{s:s, s:{s:s, s:s, s:s}}}", "apiVersion", FKS_API_VERSION, "kind",
                      "FargateHost", "metadata", "name", name, "spec", "zone", zone, "capacity", "cpu", "128", "memory",
                      "512Gi", "pods", "1000");
}

/* --- a window of requests */

static void start_more(struct bench *bench);

static void on_created(struct json **answer UNUSED, struct err *err, void *data)
{
    struct bench *bench = data;

    if (err->code != 0 && err->code != ERR_EXISTS)
        fail(err);
    bench->under_way--;
    if (++bench->done == bench->n && bench->make != make_host)
        loop_stop(bench->loop, 0);
    start_more(bench);
}

static void start_more(struct bench *bench)
{
    while (bench->under_way < WINDOW && bench->started < bench->n) {
        const char *path;
        CLEANUP(json_free) struct json *body = bench->make(bench, bench->started++, &path);
        const struct kube_request request = {.method = "POST", .path = path, .body = body};

        bench->under_way++;
        (void)kube_start(bench->client, &request, on_created, bench);
    }
}

/* --- hosts */

static void on_beat_done(struct json **answer UNUSED, struct err *err UNUSED, void *data UNUSED)
{
}

/* Applied by the server, so the first beat makes the Lease. */
static void beat(void *data)
{
    struct bench *bench = data;
    char now[CLOCK_TEXT_MAX];

    clock_rfc3339_micro(clock_wall_ns(), now);
    for (size_t i = 0; i < bench->n; i++) {
        CLEANUP(xfree) char *name = xasprintf("host-%03zu", i);
        CLEANUP(xfree) char *path = xasprintf(LEASES "/%s?fieldManager=bench&force=true", name);
        CLEANUP(json_free) struct json *body =
            json_build("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:i, s:s}}", "apiVersion", "coordination.k8s.io/v1", "kind",
                       "Lease", "metadata", "name", name, "namespace", FKS_NAMESPACE, "spec", "holderIdentity", name,
                       "leaseDurationSeconds", 40, "renewTime", now);
        const struct kube_request request = {.method = "PATCH", .path = path, .body = body,
                                             .content_type = KUBE_APPLY_PATCH};
        (void)kube_start(bench->client, &request, on_beat_done, bench);
    }
    loop_timer_set(bench->timer, BEAT_MS);
}

static void on_node_made(struct json **answer UNUSED, struct err *err, void *data UNUSED)
{
    if (err->code != 0 && err->code != ERR_EXISTS)
        fail(err);
}

static void on_pod(const struct json *old UNUSED, const struct json *new, void *data)
{
    struct bench *bench = data;
    const char *uid = json_str_or("", new, "metadata", "uid", NULL), *name = json_str(new, "metadata", "name", NULL);
    const char *host = json_str(new, "metadata", "labels", FKS_HOST_LABEL, NULL);

    if (host == NULL || map_has(&bench->nodes, uid))
        return;
    (void)map_set(&bench->nodes, uid, bench);
    CLEANUP(xfree) char *title = xasprintf("bench/%s", name);
    CLEANUP(xfree) char *node = xasprintf("fargate-%s", name);
    CLEANUP(json_free) struct json *body = node_of(node, host, uid, title);
    const struct kube_request request = {.method = "POST", .path = "/api/v1/nodes", .body = body};
    (void)kube_start(bench->client, &request, on_node_made, bench);
}

static void offer_hosts(struct bench *bench)
{
    const struct kube_watch_options options = {.path = "/api/v1/namespaces/bench/pods", .label_selector = FKS_HOST_LABEL,
                                               .on_change = on_pod, .data = bench};

    bench->make = make_host;
    bench->timer = loop_timer_new(bench->loop, beat, bench);
    start_more(bench);
    beat(bench);
    bench->watch = kube_watch_new(bench->client, &options);
}

/* --- waiting */

static void on_bound(const struct json *old, const struct json *new, void *data)
{
    struct bench *bench = data;

    if (old != NULL || new == NULL || ++bench->done < bench->n)
        return;
    printf("%.6f\n", (double)clock_wall_ns() / 1e9);
    loop_stop(bench->loop, 0);
}

static void wait_for_bound(struct bench *bench)
{
    const struct kube_watch_options options = {.path = "/api/v1/namespaces/bench/pods", .field_selector = "spec.nodeName!=",
                                               .on_change = on_bound, .data = bench};

    bench->watch = kube_watch_new(bench->client, &options);
}

static void on_signal(int number UNUSED, void *data)
{
    loop_stop(data, 0);
}

int main(int argc, char **argv)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(kube_config_done) struct kube_config config = {0};
    struct kube_overrides overrides = {.kubeconfig = argc > 3 ? argv[1] : NULL};
    struct bench bench = {.scheduler = argc > 4 ? argv[4] : ""};
    const char *what = argc > 3 ? argv[2] : "";

    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 4 || (bench.n = strtoul(argv[3], NULL, 10)) == 0) {
        fprintf(stderr, "usage: bench_agents KUBECONFIG pods|nodes|hosts|wait N [SCHEDULER]\n");
        return 2;
    }
    if (loop_new(&bench.loop, &err) < 0 || loop_signal(bench.loop, SIGTERM, on_signal, bench.loop, &err) < 0 ||
        kube_config_load(&overrides, &config, &err) < 0 ||
        kube_client_new(bench.loop, &config, "bench-agents", &bench.client, &err) < 0)
        return fail(&err);
    if (streq(what, "hosts")) {
        offer_hosts(&bench);
    } else if (streq(what, "wait")) {
        wait_for_bound(&bench);
    } else {
        bench.make = streq(what, "nodes") ? make_node : make_pod;
        start_more(&bench);
    }
    int r = loop_run(bench.loop, &err);
    (void)kube_watch_free(bench.watch);
    (void)loop_timer_free(bench.timer);
    (void)kube_client_free(bench.client);
    (void)loop_free(bench.loop);
    map_done(&bench.nodes);
    return r < 0 ? fail(&err) : 0;
}
