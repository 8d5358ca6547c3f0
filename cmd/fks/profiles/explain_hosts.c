/*
 * explain_hosts.c: the hosts as fks-scheduler sees them, asked by the same code that it decides with. Its picture is made
 * anew from lists, so what it says is true of this moment; the scheduler may have decided a moment earlier.
 */
#include "profiles/explain_pod.h"

#include "base/clock.h"
#include "base/mem.h"
#include "fargate/names.h"
#include "fargate/spread.h"

#define NOW_MS 1000000000 /* any moment: heartbeats are dated by the wall clock */

struct picture {
    struct hosts hosts;
    struct spreads spreads;
    struct reservation *held;
    size_t n_held;
    struct place_usage used; /* by the profile */
};

static void picture_done(struct picture *picture)
{
    for (size_t i = 0; i < picture->n_held; i++)
        hosts_release(&picture->hosts, &picture->held[i]);
    free(picture->held);
    hosts_done(&picture->hosts);
    spreads_done(&picture->spreads);
}
DEFINE_CLEANUP_IN_PLACE(struct picture, picture_done)

static int read_hosts(struct cli *cli, struct picture *picture, struct err *err)
{
    static const struct kube_request hosts_request = {.path = FKS_HOSTS_PATH};
    static const struct kube_request leases_request = {
        .path = "/apis/coordination.k8s.io/v1/namespaces/" FKS_NAMESPACE "/leases"};
    CLEANUP(json_free) struct json *hosts = NULL;
    CLEANUP(json_free) struct json *leases = NULL;
    const struct json *item;
    int r = cli_do(cli, &hosts_request, &hosts, err);

    if (r < 0 || (r = cli_do(cli, &leases_request, &leases, err)) < 0)
        return r;
    json_each(item, json_get(leases, "items", NULL))
        hosts_on_lease(&picture->hosts, json_str_or("", item, "metadata", "name", NULL), item, NOW_MS, clock_wall_ns());
    json_each(item, json_get(hosts, "items", NULL))
        hosts_on_object(&picture->hosts, json_str_or("", item, "metadata", "name", NULL), item, NOW_MS);
    return 0;
}

static bool has_ended(const struct json *pod)
{
    const char *phase = json_str(pod, "status", "phase", NULL);

    return streq(phase, "Succeeded") || streq(phase, "Failed");
}

/* All pods but the one in question take their room. */
static int read_pods(struct cli *cli, struct picture *picture, const struct json *ours, const char *label,
                     const char *profile, struct json **ret_list, struct err *err)
{
    static const struct kube_request request = {.path = "/api/v1/pods?labelSelector=fks.dev%2Fhost"};
    const struct json *item;
    int r = cli_do(cli, &request, ret_list, err);

    if (r < 0)
        return r;
    picture->held = xcalloc(json_len(json_get(*ret_list, "items", NULL)) + 1, sizeof(*picture->held));
    json_each(item, json_get(*ret_list, "items", NULL)) {
        const struct json *labels = json_get(item, "metadata", "labels", NULL);
        const struct fargate_size size = fargate_size_provisioned(item);

        if (has_ended(item) ||
            streq(json_str(item, "metadata", "uid", NULL), json_str(ours, "metadata", "uid", NULL)))
            continue;
        hosts_reserve(&picture->hosts, &picture->held[picture->n_held++],
                      strempty(json_string_value(json_member(labels, FKS_HOST_LABEL))), &size);
        if (!streq(json_string_value(json_member(labels, label)), profile))
            continue;
        picture->used.cpu_m += size.cpu_m;
        picture->used.mem_b += size.mem_b;
        picture->used.pods++;
    }
    return 0;
}

static const struct map *count_matching(struct picture *picture, const struct json *pods, const char *namespace,
                                        const struct json *selector)
{
    bool new;
    const struct map *counts = spreads_counts(&picture->spreads, namespace, selector, 0, &new);
    const struct json *item;

    json_each(item, json_get(pods, "items", NULL)) {
        const struct json *labels = json_get(item, "metadata", "labels", NULL);

        if (new && !has_ended(item) && json_get(item, "metadata", "deletionTimestamp", NULL) == NULL)
            spreads_update(&picture->spreads, json_str_or("", item, "metadata", "namespace", NULL),
                           json_str_or("", item, "metadata", "uid", NULL), labels,
                           json_string_value(json_member(labels, FKS_HOST_LABEL)));
    }
    return counts;
}

static size_t read_spreads(struct picture *picture, const struct json *pods, const struct json *pod,
                           struct place_spread spreads[PLACE_SPREADS_MAX])
{
    const struct json *constraint, *labels = json_get(pod, "metadata", "labels", NULL);
    const char *namespace = json_str_or("", pod, "metadata", "namespace", NULL);
    size_t n = 0;

    json_each(constraint, json_get(pod, "spec", "topologySpreadConstraints", NULL)) {
        CLEANUP(json_free) struct json *selector = spreads_selector(constraint, labels);

        if (n < PLACE_SPREADS_MAX)
            spreads[n++] = spreads_read(constraint, count_matching(picture, pods, namespace, selector));
    }
    return n;
}

static void print_host(const struct host *host, enum place_reason reason, void *data)
{
    const struct host_kind *kind = host->kind;
    double cpu_free = (double)(kind->cpu_m - host->used_cpu_m) / 1000;
    double gib_free = (double)(kind->mem_b - host->used_mem_b) / (double)(1ll << 30);
    const char *taken_by = data;

    printf("  %s (zone %s, %.4gvCPU %.4gGB free): %s", host->name, kind->zone != NULL ? kind->zone : "unknown", cpu_free,
           gib_free, streq(host->name, taken_by) ? "has the pod" : place_reason_text(reason));
    if (reason != PLACE_FITS && !streq(host->name, taken_by))
        printf(" (%s)", place_reason_remedy(reason));
    (void)putchar('\n');
}

int explain_hosts(struct cli *cli, const struct json *pod, const struct fargate_profile *profile,
                  const char *profile_label, const struct fargate_size *size, const char *runtime_handler,
                  const struct strv *csi_drivers,
                  size_t *ret_fits, struct err *err)
{
    CLEANUP(picture_done) struct picture picture = {0};
    CLEANUP(json_free) struct json *pods = NULL;
    CLEANUP(buf_done) struct buf why = {0};
    struct place_spread spreads[PLACE_SPREADS_MAX];
    const struct json *labels = json_get(pod, "metadata", "labels", NULL);
    CLEANUP(xfree) char *host = xstrdup(strempty(json_string_value(json_member(labels, FKS_HOST_LABEL))));
    struct place_result result;
    int r = read_hosts(cli, &picture, err);

    if (r < 0 || (r = read_pods(cli, &picture, pod, profile_label, profile->name, &pods, err)) < 0)
        return r;
    const struct place_need need = {.size = *size, .zones = &profile->zones, .runtime_handler = runtime_handler,
                                    .csi_drivers = csi_drivers,
                                    .spec = json_get(pod, "spec", NULL), .spreads = spreads,
                                    .n_spreads = read_spreads(&picture, pods, pod, spreads)};
    printf("Hosts:\n");
    place_survey(&picture.hosts, &need, NOW_MS, print_host, host, &result);
    if (result.n_hosts == 0)
        printf("  none: no host offers capacity; start fks-node on one\n");
    *ret_fits = result.n_reason[PLACE_FITS];
    if (!place_quota_allows(&profile->quota, &picture.used, size, &why)) {
        printf("Quota:\n  profile %s has no room for the pod: %s\n", profile->name, buf_text(&why));
        *ret_fits = 0;
    }
    return 0;
}
