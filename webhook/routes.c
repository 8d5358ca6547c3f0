/*
 * routes.c: from a request to its answer, and the numbers about it. The decisions are admission.c's.
 */
#include "routes.h"

#include "admission.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "server_metrics.h"

enum { N_OUTCOMES = ADMISSION_DENIED + 1 };

/* Of malformed and denied reviews: whoever sends a hundred thousand a second must not fill a disk, nor have all wait for it. */
#define LOG_LINES_A_SECOND 20
#define ANSWER_ROOM 1000 /* of most; below the size from which malloc tidies up all it has at each call */

struct endpoint {
    const char *name, *path;
    struct metric *outcomes[N_OUTCOMES];
    struct metric *malformed, *unready, *forbidden, *seconds;
};

struct routes {
    struct routes_options options;
    struct snapshot *snapshot; /* NULL before the first */
    struct server *server;
    struct endpoint mutate, validate;
    struct map pods_by_profile; /* profile name → struct metric */
    struct log_limit log_limit;
    bool stopping;
};

static struct metric *outcome_metric(struct metrics *metrics, const char *endpoint, const char *outcome)
{
    return metrics_get(metrics, METRIC_COUNTER, "fks_webhook_requests_total", "Reviews by endpoint and outcome",
                       "endpoint", endpoint, "outcome", outcome, NULL);
}

static void endpoint_init(struct endpoint *endpoint, struct metrics *metrics, const char *name, const char *path,
                          enum admission_outcome first, enum admission_outcome last)
{
    endpoint->name = name;
    endpoint->path = path;
    for (enum admission_outcome outcome = first; outcome <= last; outcome++)
        endpoint->outcomes[outcome] = outcome_metric(metrics, name, admission_outcome_name(outcome));
    endpoint->malformed = outcome_metric(metrics, name, "malformed");
    endpoint->unready = outcome_metric(metrics, name, "unready");
    endpoint->forbidden = outcome_metric(metrics, name, "forbidden");
    endpoint->seconds = metrics_get(metrics, METRIC_HISTOGRAM, "fks_webhook_request_seconds",
                                    "Time to decide on a review and write the answer", "endpoint", name, NULL);
}

struct routes *routes_new(const struct routes_options *options)
{
    struct routes *routes = NEW(struct routes);

    routes->options = *options;
    endpoint_init(&routes->mutate, options->metrics, "mutate", "/mutate", ADMISSION_PATCHED, ADMISSION_DENIED);
    endpoint_init(&routes->validate, options->metrics, "validate", "/validate", ADMISSION_ALLOWED, ADMISSION_DENIED);
    return routes;
}

struct routes *routes_free(struct routes *routes)
{
    if (routes == NULL)
        return NULL;
    map_done(&routes->pods_by_profile);
    snapshot_free(routes->snapshot);
    free(routes);
    return NULL;
}

void routes_decide_by(struct routes *routes, struct snapshot *snapshot)
{
    snapshot_free(routes->snapshot);
    routes->snapshot = snapshot;
}

void routes_serve(struct routes *routes, struct server *server)
{
    routes->server = server;
}

void routes_stop(struct routes *routes)
{
    routes->stopping = true;
}

/* Why this server is not ready, one line for each reason; none: it is. */
static void add_reasons(const struct routes *routes, struct buf *out)
{
    if (routes->stopping)
        buf_add_str(out, "shutting down\n");
    if (routes->snapshot == NULL)
        buf_add_str(out, "the profiles are not loaded yet\n");
}

static bool is_ready(const struct routes *routes)
{
    return !routes->stopping && routes->snapshot != NULL;
}

static void answer_ready(const struct routes *routes, struct server_request *request)
{
    CLEANUP(buf_done) struct buf reasons = {0};

    add_reasons(routes, &reasons);
    server_respond_text(request, is_ready(routes) ? 200 : 503, "%s", is_ready(routes) ? "ok\n" : buf_text(&reasons));
}

static void count_pod(struct routes *routes, const char *profile)
{
    struct metric *metric = map_get(&routes->pods_by_profile, profile);

    if (metric == NULL) {
        metric = metrics_get(routes->options.metrics, METRIC_COUNTER, "fks_webhook_pods_total",
                             "Pods handed over, by profile", "profile", profile, NULL);
        map_set(&routes->pods_by_profile, profile, metric);
    }
    metric_add(metric, 1);
}

/* What was denied is of interest to whoever asks why; what was not, to whoever follows one request (--log-level debug). */
static void log_review(struct routes *routes, const struct endpoint *endpoint, const struct admission_decision *decision,
                       int64_t took_ns)
{
    enum log_level level = decision->outcome == ADMISSION_DENIED ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
    char took_us[24];

    if (!log_enabled(level) || (level > LOG_LEVEL_DEBUG && !log_limit_allows(&routes->log_limit, LOG_LINES_A_SECOND)))
        return;
    (void)snprintf(took_us, sizeof(took_us), "%lld", (long long)(took_ns / 1000));
    log_line(level, "review", "endpoint", endpoint->name, "uid", decision->uid, "outcome",
             admission_outcome_name(decision->outcome), "profile", decision->profile, "took_us", took_us, NULL);
}

static void answer_review(struct routes *routes, struct endpoint *endpoint, struct server_request *request)
{
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct admission_decision decision = {0};
    struct str body = server_request_body(request);
    int64_t start_ns = clock_wall_ns();
    int r;

    (void)buf_reserve(&out, ANSWER_ROOM);
    const struct admission_rules rules = {
        .profiles = routes->snapshot != NULL ? routes->snapshot->profiles : NULL, .enforce = routes->options.enforce,
        .names = routes->options.names};
    r = endpoint == &routes->mutate ? admission_mutate(&rules, body.p, body.len, &out, &decision, &err)
                                    : admission_validate(&rules, body.p, body.len, &out, &decision, &err);
    if (r == 0)
        r = buf_check(&out, "the answer", &err);
    if (r < 0) {
        metric_add(endpoint->malformed, 1);
        if (log_limit_allows(&routes->log_limit, LOG_LINES_A_SECOND))
            log_warn("malformed review", "endpoint", endpoint->name, "client", server_request_address(request), "error",
                     err_text(&err));
        server_respond_text(request, 400, "%s\n", err_text(&err));
        return;
    }
    metric_add(endpoint->outcomes[decision.outcome], 1);
    if (decision.profile[0] != '\0')
        count_pod(routes, decision.profile);
    server_respond(request, 200, "application/json", buf_text(&out), out.len);
    int64_t took_ns = clock_wall_ns() - start_ns;
    metric_observe(endpoint->seconds, took_ns > 0 ? (double)took_ns / 1e9 : 0); /* the wall clock may be set back */
    log_review(routes, endpoint, &decision, took_ns);
}

static void handle_review(struct routes *routes, struct endpoint *endpoint, struct server_request *request)
{
    if (!str_is(server_request_head(request)->method, "POST")) {
        server_respond_text(request, 405, "%s takes POST only\n", endpoint->path);
    } else if (routes->options.client_ca && server_request_peer(request)->common_name == NULL) {
        metric_add(endpoint->forbidden, 1);
        server_respond_text(request, 403, "a client certificate is required\n");
    } else if (routes->snapshot == NULL && endpoint == &routes->mutate) {
        /* the webhook configuration's failurePolicy decides: a guess here would send pods to the wrong place */
        metric_add(endpoint->unready, 1);
        answer_ready(routes, request);
    } else {
        answer_review(routes, endpoint, request);
    }
}

void routes_update_metrics(struct routes *routes)
{
    server_metrics_update(routes->options.metrics, routes->server, false);
}

void routes_handle(struct server_request *request, void *data)
{
    struct routes *routes = data;
    struct str path = server_request_head(request)->path;

    if (str_is(path, routes->mutate.path))
        handle_review(routes, &routes->mutate, request);
    else if (str_is(path, routes->validate.path))
        handle_review(routes, &routes->validate, request);
    else if (server_request_is(request, "GET", "/healthz"))
        server_respond_text(request, 200, "ok\n");
    else if (server_request_is(request, "GET", "/readyz"))
        answer_ready(routes, request);
    else if (server_request_is(request, "GET", "/metrics"))
        routes->options.show_metrics(request, routes->options.data);
    else
        server_respond_text(request, 404, "there are /mutate, /validate, /healthz, /readyz and /metrics\n");
}
