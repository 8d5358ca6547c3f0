/*
 * workers.c: starts the worker threads and carries things between them and the main loop: connections, snapshots, the
 * order to end, and the numbers for /metrics. What a worker does with a request is routes.c's.
 */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "routes.h"

enum { SHOWN_FOR_MS = 100, TURN_US = 100 };

#define UNFINISHED_MAX (2 * LIMIT_HTTP_BODY) /* of a worker; hundreds of usual reviews */

struct gathering;

struct worker {
    struct workers *workers;
    pthread_t thread;
    bool started;
    struct loop *loop; /* what follows belongs to the thread */
    struct server *server;
    struct metrics *metrics;
    struct routes *routes;
    struct gathering *gathering; /* under way, that was asked of this worker */
    struct buf shown;            /* what the last one gave */
    int64_t shown_ms;
    uint64_t dealt; /* the main loop's: connections that were handed over */
};

struct workers {
    struct loop *loop;
    struct workers_options options;
    struct worker *items;
    size_t n;
    size_t n_draining;
    int64_t drain_ms;
    loop_callback *drained;
    void *drained_data;
};

/* --- /metrics: the numbers are collected by going round all loops, each adding its own */

/* One who asked a worker while it was collecting already, or began it. */
struct asker {
    struct server_request *request; /* NULL: the peer has gone meanwhile */
    struct asker *next;
};

struct gathering {
    struct worker *home; /* that was asked */
    struct metrics *total;
    size_t next;
    struct asker *askers;
};

static void respond(struct server_request *request, const struct buf *text)
{
    server_respond(request, 200, "text/plain; version=0.0.4", buf_text(text), text->len);
}

/* At home again. */
static void finish_gathering(void *data)
{
    struct gathering *gathering = data;
    struct worker *worker = gathering->home;
    struct asker *next;

    buf_clear(&worker->shown);
    metrics_print(gathering->total, &worker->shown);
    worker->shown_ms = loop_now_ms(worker->loop);
    worker->gathering = NULL;
    for (struct asker *asker = gathering->askers; asker != NULL; asker = next) {
        next = asker->next;
        if (asker->request != NULL) {
            server_on_gone(asker->request, NULL, NULL);
            respond(asker->request, &worker->shown);
        }
        free(asker);
    }
    metrics_free(gathering->total);
    free(gathering);
}

static void gather_from_main(void *data)
{
    struct gathering *gathering = data;
    const struct workers_options *options = &gathering->home->workers->options;

    options->update_metrics(options->data);
    metrics_merge(gathering->total, options->metrics);
    loop_post(gathering->home->loop, finish_gathering, gathering);
}

static void gather_from_worker(void *data)
{
    struct gathering *gathering = data;
    struct workers *workers = gathering->home->workers;
    struct worker *worker = &workers->items[gathering->next++];

    routes_update_metrics(worker->routes);
    metrics_merge(gathering->total, worker->metrics);
    if (gathering->next < workers->n)
        loop_post(workers->items[gathering->next].loop, gather_from_worker, gathering);
    else
        loop_post(workers->loop, gather_from_main, gathering);
}

static void on_asker_gone(void *data)
{
    struct asker *asker = data;

    asker->request = NULL;
}

/* routes_show_metrics. Whoever asks for it a thousand times a second gets the same text, and delays no review. */
static void show_metrics(struct server_request *request, void *data)
{
    struct worker *worker = data;

    if (worker->shown_ms != 0 && loop_now_ms(worker->loop) - worker->shown_ms < SHOWN_FOR_MS) {
        respond(request, &worker->shown);
        return;
    }
    if (worker->gathering == NULL) {
        worker->gathering = NEW(struct gathering);
        *worker->gathering = (struct gathering){.home = worker, .total = metrics_new()};
        loop_post(worker->workers->items[0].loop, gather_from_worker, worker->gathering);
    }
    struct asker *asker = NEW(struct asker);
    *asker = (struct asker){.request = request, .next = worker->gathering->askers};
    worker->gathering->askers = asker;
    server_on_gone(request, on_asker_gone, asker);
}

/* --- connections */

static uint64_t open_connections(const struct worker *worker)
{
    return worker->dealt - server_ended(worker->server);
}

struct delivery {
    struct worker *worker;
    void *thing;
};

static struct delivery *delivery_new(struct worker *worker, void *thing)
{
    struct delivery *delivery = NEW(struct delivery);

    *delivery = (struct delivery){worker, thing};
    return delivery;
}

static void adopt(void *data)
{
    CLEANUP(xfree) struct delivery *delivery = data;

    server_adopt(delivery->worker->server, delivery->thing);
}

void workers_deal(struct server_passage *passage, void *data)
{
    struct workers *workers = data;
    struct worker *least = &workers->items[0];

    for (size_t i = 1; i < workers->n; i++)
        if (open_connections(&workers->items[i]) < open_connections(least))
            least = &workers->items[i];
    least->dealt++;
    loop_post(least->loop, adopt, delivery_new(least, passage));
}

/* --- snapshots and the end */

static void take_snapshot(void *data)
{
    CLEANUP(xfree) struct delivery *delivery = data;

    routes_decide_by(delivery->worker->routes, delivery->thing);
}

void workers_publish(struct workers *workers, struct snapshot *snapshot)
{
    for (size_t i = 0; i < workers->n; i++)
        loop_post(workers->items[i].loop, take_snapshot, delivery_new(&workers->items[i], snapshot_keep(snapshot)));
}

static void announce_end(void *data)
{
    struct worker *worker = data;

    routes_stop(worker->routes);
    server_announce_end(worker->server);
}

void workers_announce_end(struct workers *workers)
{
    for (size_t i = 0; i < workers->n; i++)
        loop_post(workers->items[i].loop, announce_end, &workers->items[i]);
}

/* On the main loop. */
static void one_drained(void *data)
{
    struct workers *workers = data;

    if (--workers->n_draining == 0)
        workers->drained(workers->drained_data);
}

static void on_drained(void *data)
{
    struct worker *worker = data;

    loop_post(worker->workers->loop, one_drained, worker->workers);
}

static void drain(void *data)
{
    struct worker *worker = data;

    server_drain(worker->server, worker->workers->drain_ms, on_drained, worker);
}

void workers_drain(struct workers *workers, int64_t timeout_ms, loop_callback *done, void *data)
{
    workers->drain_ms = timeout_ms;
    workers->drained = done;
    workers->drained_data = data;
    workers->n_draining = workers->n;
    for (size_t i = 0; i < workers->n; i++)
        loop_post(workers->items[i].loop, drain, &workers->items[i]);
}

/* --- threads */

static void *run(void *data)
{
    struct worker *worker = data;
    CLEANUP(err_clear) struct err err = {0};

    /*
     * While all workers are busy two of them may share a CPU; one would hold up the other's connections for a whole turn, which
     * is 4 ms or so, many times what a review takes. Short turns make it due sooner, but nobody looks before the next tick of the
     * clock unless it gives way by itself. By then its turn is over, so that it loses nothing by it.
     */
    proc_take_short_turns();
    loop_give_way(worker->loop, TURN_US);
    if (loop_run(worker->loop, &err) < 0) {
        log_error("a worker cannot go on", "error", err_text(&err));
        abort(); /* connections would be dealt to nobody */
    }
    return NULL;
}

/* On the worker's loop, which lets nothing under way go on behind it. */
static void end_worker(void *data)
{
    struct worker *worker = data;

    loop_stop(worker->loop, 0);
}

static size_t share(size_t all, size_t n)
{
    return (all + n - 1) / n;
}

static int start_worker(struct worker *worker, struct err *err)
{
    const struct workers_options *options = &worker->workers->options;
    size_t n = worker->workers->n;

    int r = loop_new(&worker->loop, err);
    if (r < 0)
        return r;
    worker->metrics = metrics_new();
    worker->routes = routes_new(&(struct routes_options){
        .metrics = worker->metrics, .client_ca = options->client_ca, .enforce = options->enforce, .names = options->names,
        .show_metrics = show_metrics, .data = worker});
    const struct server_options server_options = {
        .handler = routes_handle,
        .data = worker->routes,
        .max_connections = share(options->max_connections, n),
        .max_per_peer = share(options->max_per_peer, n),
        .max_unfinished = UNFINISHED_MAX,
    };
    r = server_new(worker->loop, &server_options, &worker->server, err);
    if (r < 0)
        return r;
    routes_serve(worker->routes, worker->server);
    int errnum = pthread_create(&worker->thread, NULL, run, worker);
    if (errnum != 0)
        return err_errno(err, errnum, "cannot start a worker thread");
    worker->started = true;
    (void)pthread_setname_np(worker->thread, "worker"); /* for top and perf */
    return 0;
}

static size_t usable_cpus(void)
{
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
        return 1;
    return (size_t)CPU_COUNT(&cpus);
}

int workers_new(struct loop *loop, const struct workers_options *options, struct workers **ret, struct err *err)
{
    CLEANUP(workers_free) struct workers *workers = NEW(struct workers);
    size_t n = options->n > 0 ? options->n : usable_cpus();

    workers->loop = loop;
    workers->options = *options;
    workers->n = n < WORKERS_MAX ? n : WORKERS_MAX;
    workers->items = xcalloc(workers->n, sizeof(*workers->items));
    for (size_t i = 0; i < workers->n; i++) {
        workers->items[i].workers = workers;
        int r = start_worker(&workers->items[i], err);
        if (r < 0)
            return r;
    }
    *ret = take(&workers);
    return 0;
}

struct workers *workers_free(struct workers *workers)
{
    if (workers == NULL)
        return NULL;
    for (size_t i = 0; i < workers->n; i++) {
        struct worker *worker = &workers->items[i];
        if (!worker->started)
            continue;
        loop_post(worker->loop, end_worker, worker);
        (void)pthread_join(worker->thread, NULL);
    }
    for (size_t i = 0; i < workers->n; i++) {
        server_free(workers->items[i].server);
        routes_free(workers->items[i].routes);
        metrics_free(workers->items[i].metrics);
        buf_done(&workers->items[i].shown);
        loop_free(workers->items[i].loop);
    }
    free(workers->items);
    free(workers);
    return NULL;
}

size_t workers_count(const struct workers *workers)
{
    return workers->n;
}

size_t workers_connections(const struct workers *workers)
{
    size_t n = 0;

    for (size_t i = 0; i < workers->n; i++)
        n += open_connections(&workers->items[i]);
    return n;
}
