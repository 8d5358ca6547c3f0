/*
 * fks-webhook: the admission server. The API server asks it about every new pod (/mutate) and about changes to pods
 * and FargateProfiles (/validate). This file is wiring and signals; see options.h, workers.h, routes.h,
 * admission.h and store.h.
 */
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "certificates.h"
#include "options.h"
#include "server_metrics.h"
#include "store.h"
#include "workers.h"

enum { DRAIN_MS = 10000, HANDSHAKES_DRAIN_MS = 1000 };

struct program {
    struct loop *loop;
    const struct options *options;
    struct metrics *metrics;
    struct kube_client *client;
    struct store *store;
    struct certificates *certificates;
    struct workers *workers;
    struct server *front; /* accepts connections; the workers serve them */
    struct loop_timer *timer;       /* runs off the shutdown delay */
    struct loop_timer *tidy_timer;
    size_t most_connections;        /* since memory was given back */
    bool has_new_snapshot;          /* likewise */
    bool stopping;
};

static void program_done(struct program *program)
{
    server_free(program->front);
    loop_timer_free(program->timer);
    loop_timer_free(program->tidy_timer);
    workers_free(program->workers);
    certificates_free(program->certificates);
    store_free(program->store);
    kube_client_free(program->client);
    metrics_free(program->metrics);
    loop_free(program->loop);
}
DEFINE_CLEANUP_IN_PLACE(struct program, program_done)

static int listen_on(struct server *server, const char *text, struct server_listener **ret, struct err *err)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : 0;
    int64_t port;

    if (len == 0)
        return err_set(err, ERR_USAGE, "--listen '%s' is not ADDRESS:PORT", text);
    bool brackets = text[0] == '[' && text[len - 1] == ']';
    CLEANUP(xfree) char *address = brackets ? xstrndup(text + 1, len - 2) : xstrndup(text, len);
    int r = parse_int(colon + 1, 0, 65535, &port, err);
    return r < 0 ? err_wrap(err, "--listen") : server_listen(server, address, (int)port, NULL, ret, err);
}

/* The end has three steps: load balancers look elsewhere; no new connections; the workers answer what is under way. */

static void on_workers_drained(void *data)
{
    struct program *program = data;

    log_info("all requests answered, ending");
    loop_stop(program->loop, 0);
}

static void on_front_drained(void *data)
{
    struct program *program = data;

    workers_drain(program->workers, DRAIN_MS, on_workers_drained, program);
}

static void stop_accepting(void *data)
{
    struct program *program = data;

    server_drain(program->front, HANDSHAKES_DRAIN_MS, on_front_drained, program);
}

static void on_stop_signal(int number, void *data)
{
    struct program *program = data;

    if (program->stopping) {
        log_warn("second signal, ending at once", "signal", strsignal(number));
        loop_stop(program->loop, 0);
        return;
    }
    log_info("signal received, finishing requests", "signal", strsignal(number));
    program->stopping = true;
    workers_announce_end(program->workers);
    loop_timer_set(program->timer, program->options->shutdown_delay_ms);
}

static void on_hangup(UNUSED int number, void *data)
{
    struct program *program = data;

    certificates_reload(program->certificates);
}

static int connect_store(struct program *program, struct err *err)
{
    CLEANUP(kube_config_done) struct kube_config config = {0};
    const struct options *options = program->options;
    const struct kube_overrides overrides = {.kubeconfig = options->kubeconfig};
    int r;

    if (options->profiles != NULL)
        return store_new_file(program->loop, options->profiles, &options->names, program->metrics, &program->store, err);
    if (options->kubeconfig != NULL)
        r = kube_config_load(&overrides, &config, err);
    else
        r = kube_config_in_cluster(&config, err);
    if (r < 0 && options->kubeconfig == NULL)
        return err_wrap(err, "no source of profiles (give --kubeconfig or --profiles when not running in a pod)");
    if (r == 0)
        r = kube_client_new_light(program->loop, &config, PROGRAM "/v" FKS_PROGRAM_VERSION, &program->client, err);
    if (r < 0)
        return r;
    program->store = store_new_watch(program->loop, program->client, &options->names, program->metrics);
    return 0;
}

static int connect_signals(struct program *program, struct err *err)
{
    int r = loop_signal(program->loop, SIGTERM, on_stop_signal, program, err);

    if (r == 0)
        r = loop_signal(program->loop, SIGINT, on_stop_signal, program, err);
    if (r == 0)
        r = loop_signal(program->loop, SIGHUP, on_hangup, program, err);
    return r;
}

/* For /metrics. */
static void update_metrics(void *data)
{
    struct program *program = data;

    store_update_metrics(program->store);
    server_metrics_update(program->metrics, program->front, true);
    metric_set(metrics_get(program->metrics, METRIC_GAUGE, "fks_webhook_workers", "Threads that answer reviews", NULL),
               (double)workers_count(program->workers));
    metric_set(metrics_get(program->metrics, METRIC_GAUGE, "fks_webhook_ready", "1 while /readyz says yes", NULL),
               !program->stopping && store_is_loaded(program->store));
}

static void on_snapshot(struct snapshot *snapshot, void *data)
{
    struct program *program = data;

    workers_publish(program->workers, snapshot);
    program->has_new_snapshot = true;
}

static int start_workers(struct program *program, struct err *err)
{
    const struct options *options = program->options;
    const struct workers_options workers_options = {
        .n = (size_t)options->workers,
        .client_ca = options->client_ca != NULL,
        .enforce = options->enforce,
        .names = &options->names,
        .max_connections = (size_t)options->max_connections,
        .max_per_peer = (size_t)options->max_per_peer,
        .update_metrics = update_metrics,
        .metrics = program->metrics,
        .data = program,
    };

    int r = workers_new(program->loop, &workers_options, &program->workers, err);
    if (r == 0)
        store_on_snapshot(program->store, on_snapshot, program);
    return r;
}

static int start_front(struct program *program, struct server_listener **ret, struct err *err)
{
    const struct options *options = program->options;
    const struct server_options server_options = {
        .deal = workers_deal,
        .data = program->workers,
        .tls = certificates_context(program->certificates),
        .max_connections = (size_t)options->max_connections,
        .max_per_peer = (size_t)options->max_per_peer,
    };

    int r = server_new(program->loop, &server_options, &program->front, err);
    if (r == 0)
        r = listen_on(program->front, options->listen, ret, err);
    if (r == 0)
        certificates_serve(program->certificates, program->front);
    return r;
}

/*
 * What a storm of connections took, or reading the profiles, lies scattered over the heap afterwards, and malloc would keep
 * it. Giving it back takes milliseconds, so only when it is much, and at most once a second.
 */
static void tidy(void *data)
{
    enum { TIDY_MS = 1000, MANY = 64 };
    struct program *program = data;
    size_t n = server_stats(program->front)->open + workers_connections(program->workers);

    if (n > program->most_connections)
        program->most_connections = n;
    if (program->has_new_snapshot || program->most_connections >= n + MANY) {
        (void)malloc_trim(0);
        program->most_connections = n;
        program->has_new_snapshot = false;
    }
    loop_timer_set(program->tidy_timer, TIDY_MS);
}

/* Connections cost a descriptor each; shells and service managers give 1024 by habit, but allow more. */
static void allow_descriptors(int64_t n_connections)
{
    enum { FOR_THE_REST = 64 + 8 * WORKERS_MAX };
    rlim_t wanted = (rlim_t)n_connections + FOR_THE_REST;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted)
        log_warn("fewer connections than --max-connections are possible: the limit of open files is too low");
}

static int run(const struct options *options, struct err *err)
{
    CLEANUP(program_done) struct program program = {.options = options, .metrics = metrics_new()};
    const struct certificates_files files = {
        options->tls_cert, options->tls_key, options->client_ca, options->certificate_delay_ms};
    struct server_listener *listener = NULL;

    (void)signal(SIGPIPE, SIG_IGN);
    allow_descriptors(options->max_connections);
    int r = loop_new(&program.loop, err);
    if (r == 0)
        r = connect_signals(&program, err); /* before there are threads, which then leave them alone, too */
    if (r == 0)
        r = certificates_new(program.loop, &files, program.metrics, &program.certificates, err);
    if (r == 0)
        r = connect_store(&program, err);
    if (r == 0)
        r = start_workers(&program, err);
    if (r == 0)
        r = start_front(&program, &listener, err);
    if (r < 0)
        return r;
    program.timer = loop_timer_new(program.loop, stop_accepting, &program);
    program.tidy_timer = loop_timer_new(program.loop, tidy, &program);
    loop_timer_set(program.tidy_timer, 0);
    CLEANUP(xfree) char *port = xasprintf("%d", server_listener_port(listener));
    CLEANUP(xfree) char *workers = xasprintf("%zu", workers_count(program.workers));
    log_info("serving", "listen", options->listen, "port", port, "workers", workers, "profiles",
             options->profiles != NULL ? options->profiles : "API server");
    return loop_run(program.loop, err);
}

int main(int argc, char **argv)
{
    struct options options;
    CLEANUP(err_clear) struct err err = {0};

    log_init(PROGRAM, LOG_LEVEL_INFO);
    proc_allow_files();
    int r = options_parse(argc, argv, &options, &err);
    if (r == 0)
        r = run(&options, &err);
    if (r >= 0)
        return 0;
    if (r == ERR_USAGE)
        fprintf(stderr, "error: %s\nSee '" PROGRAM " --help' for usage.\n", err_text(&err));
    else
        log_error("cannot go on", "error", err_text(&err));
    return r == ERR_USAGE ? 2 : 1;
}
