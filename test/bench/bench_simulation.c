/*
 * bench_simulation.c: a day of a cluster in virtual time: 50,000 pods come and go on 500 hosts, each placed by the
 * scheduler's own decision code, and beside it by first-fit and best-fit. Arrivals follow a day's curve, sizes are those
 * of Fargate, life times are long-tailed; all from a fixed seed, so that every policy sees the same day.
 *
 *     build/release/bench/bench_simulation [PODS HOSTS]
 */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fargate/place.h"

#define DAY_S 86400.0
#define GIB (1ll << 30)
#define NOW_MS 1000

enum policy { FKS_SPREAD, FKS_PACK, FIRST_FIT, BEST_FIT, POLICIES };
static const char *const policy_names[POLICIES] = {"fks spread", "fks pack", "first-fit", "best-fit"};

struct arrival {
    double at_s, lives_s;
    struct fargate_size size;
};

struct departure { /* in a heap by time */
    double at_s;
    size_t pod;
};

struct day {
    struct hosts hosts;
    struct host **list; /* in the order of their names, for the baselines */
    size_t n_hosts;
    struct reservation *held;
    struct departure *heap;
    size_t n_heap;
    size_t *queue; /* pods that wait, oldest first */
    size_t n_queue;
    double *waits;
    size_t n_placed, n_tries, n_bad;
    double seconds;                     /* spent deciding */
    double last_s, busy_area, used_area, whole_area; /* integrals over time: of vCPU of hosts in use, of vCPU in use */
    double zone_gap;                    /* largest difference of two zones' fullness seen */
    size_t most_busy;
};

/* --- the day's events */

static double uniform(unsigned *seed)
{
    return ((double)rand_r(seed) + 1) / ((double)RAND_MAX + 2);
}

static struct fargate_size random_size(unsigned *seed)
{
    static const struct {
        int percent;
        struct fargate_size size;
    } sizes[] = {{40, {250, GIB / 2, 0}}, {15, {250, 2 * GIB, 0}}, {15, {500, GIB, 0}},   {12, {1000, 2 * GIB, 0}},
                 {8, {1000, 8 * GIB, 0}}, {6, {2000, 4 * GIB, 0}}, {3, {4000, 16 * GIB, 0}}, {1, {8000, 32 * GIB, 0}}};
    int roll = rand_r(seed) % 100;

    for (size_t i = 0; i < countof(sizes); i++)
        if ((roll -= sizes[i].percent) < 0)
            return sizes[i].size;
    return sizes[0].size;
}

/* More by day than by night: the rate is 1 + sin, taken by rejection. */
static double random_moment(unsigned *seed)
{
    for (;;) {
        double at = uniform(seed) * DAY_S;

        if (uniform(seed) * 2 < 1.1 + sin((at / DAY_S - 0.3) * 2 * M_PI))
            return at;
    }
}

static int by_time(const void *a_pointer, const void *b_pointer)
{
    const struct arrival *a = a_pointer, *b = b_pointer;

    return a->at_s < b->at_s ? -1 : a->at_s > b->at_s;
}

static struct arrival *make_arrivals(size_t n)
{
    struct arrival *arrivals = xcalloc(n, sizeof(*arrivals));
    unsigned seed = 42;

    for (size_t i = 0; i < n; i++) {
        /* log-normal, median 25 minutes, with a tail of many hours */
        double normal = sqrt(-2 * log(uniform(&seed))) * cos(2 * M_PI * uniform(&seed));

        arrivals[i] = (struct arrival){random_moment(&seed), 1500 * exp(1.6 * normal), random_size(&seed)};
    }
    qsort(arrivals, n, sizeof(*arrivals), by_time);
    return arrivals;
}

/* --- hosts and decisions */

static void add_hosts(struct day *day, size_t n)
{
    static const char *const kinds[] = {"{\"cpu\":\"4\",\"memory\":\"16Gi\"}", "{\"cpu\":\"8\",\"memory\":\"32Gi\"}",
                                        "{\"cpu\":\"16\",\"memory\":\"48Gi\"}"};

    day->list = xcalloc(n, sizeof(struct host *));
    day->n_hosts = n;
    for (size_t i = 0; i < n; i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(xfree) char *name = xasprintf("host-%04zu", i);
        CLEANUP(xfree) char *text = xasprintf("{\"spec\":{\"zone\":\"z%zu\",\"capacity\":%s}}", i % 3, kinds[(i / 3) % 3]);
        CLEANUP(json_free) struct json *object = NULL;
        CLEANUP(json_free) struct json *lease = json_build("{s:{s:s}}", "spec", "renewTime", "2026-01-01T12:00:00Z");

        if (json_parse(text, strlen(text), &object, &err) < 0)
            abort();
        hosts_on_lease(&day->hosts, name, lease, NOW_MS, 0);
        hosts_on_object(&day->hosts, name, object, NOW_MS);
        struct reservation probe = {0}; /* to get at the host that may be changed */
        hosts_reserve(&day->hosts, &probe, name, &(const struct fargate_size){0});
        day->list[i] = probe.host;
        hosts_release(&day->hosts, &probe);
    }
}

static const struct host *baseline(const struct day *day, const struct place_need *need, bool best_fit)
{
    const struct host *best = NULL;
    int64_t best_left = INT64_MAX;

    for (size_t i = 0; i < day->n_hosts; i++) {
        const struct host *host = day->list[i];

        if (place_check(host, need, NOW_MS) != PLACE_FITS)
            continue;
        if (!best_fit)
            return host;
        if (host->kind->cpu_m - host->used_cpu_m < best_left) {
            best_left = host->kind->cpu_m - host->used_cpu_m;
            best = host;
        }
    }
    return best;
}

static bool try_place(struct day *day, enum policy policy, const struct arrival *arrivals, size_t pod)
{
    const struct place_need need = {.size = arrivals[pod].size, .policy = policy == FKS_PACK ? PLACE_PACK : PLACE_SPREAD};
    int64_t start = clock_wall_ns();
    const struct host *host = policy <= FKS_PACK ? place_choose(&day->hosts, &need, NOW_MS)
                                                 : baseline(day, &need, policy == BEST_FIT);

    day->seconds += (double)(clock_wall_ns() - start) / 1e9;
    day->n_tries++;
    if (host == NULL)
        return false;
    hosts_reserve(&day->hosts, &day->held[pod], host->name, &need.size);
    day->n_bad += hosts_is_over(host);
    return true;
}

/* --- the heap of departures */

static void heap_push(struct day *day, double at_s, size_t pod)
{
    size_t i = day->n_heap++;

    for (; i > 0 && day->heap[(i - 1) / 2].at_s > at_s; i = (i - 1) / 2)
        day->heap[i] = day->heap[(i - 1) / 2];
    day->heap[i] = (struct departure){at_s, pod};
}

static struct departure heap_pop(struct day *day)
{
    struct departure first = day->heap[0], last = day->heap[--day->n_heap];
    size_t i = 0;

    for (size_t child; (child = 2 * i + 1) < day->n_heap; i = child) {
        child += child + 1 < day->n_heap && day->heap[child + 1].at_s < day->heap[child].at_s;
        if (last.at_s <= day->heap[child].at_s)
            break;
        day->heap[i] = day->heap[child];
    }
    day->heap[i] = last;
    return first;
}

/* --- one day */

/* What was true since the last event. */
static void account(struct day *day, double now_s)
{
    double busy = 0, used = 0, whole = 0, low = 1, high = 0;
    size_t n_busy = 0;

    for (size_t i = 0; i < day->n_hosts; i++) {
        const struct host *host = day->list[i];

        whole += (double)host->kind->cpu_m;
        used += (double)host->used_cpu_m;
        busy += host->used_pods > 0 ? (double)host->kind->cpu_m : 0;
        n_busy += host->used_pods > 0;
    }
    for (const char *zone = "z0\0z1\0z2\0"; *zone != '\0'; zone += 3) {
        double full = (double)hosts_zone_fullness(&day->hosts, zone) / HOSTS_FULL;

        low = full < low ? full : low;
        high = full > high ? full : high;
    }
    day->busy_area += busy * (now_s - day->last_s);
    day->used_area += used * (now_s - day->last_s);
    day->whole_area += whole * (now_s - day->last_s);
    day->zone_gap = high - low > day->zone_gap ? high - low : day->zone_gap;
    day->most_busy = n_busy > day->most_busy ? n_busy : day->most_busy;
    day->last_s = now_s;
}

static void placed(struct day *day, const struct arrival *arrivals, size_t pod, double now_s)
{
    day->waits[day->n_placed++] = now_s - arrivals[pod].at_s;
    heap_push(day, now_s + arrivals[pod].lives_s, pod);
}

/* As the scheduler: room wakes all that wait, oldest first; one that does not fit holds nobody up. */
static void serve_queue(struct day *day, enum policy policy, const struct arrival *arrivals, double now_s)
{
    size_t left = 0;

    for (size_t i = 0; i < day->n_queue; i++) {
        if (try_place(day, policy, arrivals, day->queue[i]))
            placed(day, arrivals, day->queue[i], now_s);
        else
            day->queue[left++] = day->queue[i];
    }
    day->n_queue = left;
}

static int by_value(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b;
}

static void report(struct day *day, enum policy policy, size_t n_pods)
{
    double sum = 0;
    size_t waited = 0;

    qsort(day->waits, day->n_placed, sizeof(*day->waits), by_value);
    for (size_t i = 0; i < day->n_placed; i++) {
        sum += day->waits[i];
        waited += day->waits[i] > 0;
    }
    printf("%-11s %8.1f%% %10zu %8.1f%% %9.2f%% %9.1f s %9.1f s %9.2f us %7zu\n", policy_names[policy],
           100 * day->used_area / day->busy_area, day->most_busy, 100 * day->zone_gap,
           100 * (double)waited / (double)n_pods, sum / (double)n_pods,
           day->n_placed > 0 ? day->waits[day->n_placed * 99 / 100] : 0, day->seconds / (double)day->n_tries * 1e6,
           day->n_bad);
}

static void run_day(enum policy policy, const struct arrival *arrivals, size_t n_pods, size_t n_hosts)
{
    struct day day = {.held = xcalloc(n_pods, sizeof(struct reservation)), .heap = xcalloc(n_pods, sizeof(struct departure)),
                      .queue = xcalloc(n_pods, sizeof(size_t)), .waits = xcalloc(n_pods, sizeof(double))};
    size_t next = 0;

    add_hosts(&day, n_hosts);
    while (next < n_pods || day.n_heap > 0) {
        bool arrives = next < n_pods && (day.n_heap == 0 || arrivals[next].at_s <= day.heap[0].at_s);
        double now_s = arrives ? arrivals[next].at_s : day.heap[0].at_s;

        if (now_s <= DAY_S) /* what is left afterwards only ends */
            account(&day, now_s);
        if (!arrives) {
            hosts_release(&day.hosts, &day.held[heap_pop(&day).pod]);
            serve_queue(&day, policy, arrivals, now_s);
        } else if (try_place(&day, policy, arrivals, next)) {
            placed(&day, arrivals, next++, now_s);
        } else {
            day.queue[day.n_queue++] = next++;
        }
    }
    report(&day, policy, n_pods);
    hosts_done(&day.hosts);
    free(day.list);
    free(day.held);
    free(day.heap);
    free(day.queue);
    free(day.waits);
}

int main(int argc, char **argv)
{
    size_t n_pods = argc > 1 ? strtoul(argv[1], NULL, 10) : 50000;
    size_t n_hosts = argc > 2 ? strtoul(argv[2], NULL, 10) : 500;
    struct arrival *arrivals = make_arrivals(n_pods);

    printf("a day, %zu pods on %zu hosts in three zones, virtual time\n", n_pods, n_hosts);
    printf("%-11s %9s %10s %9s %10s %11s %11s %12s %7s\n", "policy", "density", "most hosts", "zone gap", "waited",
           "mean wait", "p99 wait", "decision", "over");
    for (enum policy policy = 0; policy < POLICIES; policy++)
        run_day(policy, arrivals, n_pods, n_hosts);
    printf("density: vCPU in use of the vCPU of hosts in use, over time; zone gap: the most by which two zones' fullness "
           "differed; over: placements beyond a host's capacity\n");
    free(arrivals);
    return 0;
}
