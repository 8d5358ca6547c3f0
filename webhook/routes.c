/*
 * routes.c: from a request to its answer, and the numbers about it. The decisions are admission.c's.
 */
#include "routes.h"

#include "admission.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

enum { N_OUTCOMES = ADMISSION_DENIED + 1 };

#define ANSWER_ROOM 1000 /* of most; below the size from which malloc tidies up all it has at each call */

struct endpoint {
    const char *name, *path;
    struct metric *outcomes[N_OUTCOMES];
    struct metric *malformed, *unready, *forbidden, *seconds;
};

struct routes {
    struct store *store;
    struct metrics *metrics;
    struct server *server;
    struct endpoint mutate, validate;
    struct map pods_by_profile; /* profile name → struct metric */
    bool client_ca, stopping;
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

struct routes *routes_new(struct store *store, struct metrics *metrics, bool client_ca)
{
    struct routes *routes = NEW(struct routes);

    routes->store = store;
    routes->metrics = metrics;
    routes->client_ca = client_ca;
    endpoint_init(&routes->mutate, metrics, "mutate", "/mutate", ADMISSION_PATCHED, ADMISSION_UNTOUCHED);
    endpoint_init(&routes->validate, metrics, "validate", "/validate", ADMISSION_ALLOWED, ADMISSION_DENIED);
    return routes;
}

struct routes *routes_free(struct routes *routes)
{
    if (routes != NULL)
        map_done(&routes->pods_by_profile);
    free(routes);
    return NULL;
}

void routes_serve(struct routes *routes, struct server *server)
{
    routes->server = server;
}

void routes_stop(struct routes *routes)
{
    routes->stopping = true;
}

/* NULL: ready. */
static const char *why_not_ready(const struct routes *routes)
{
    if (routes->stopping)
        return "shutting down";
    return store_profiles(routes->store) == NULL ? "the profiles are not loaded yet" : NULL;
}

static void count_pod(struct routes *routes, const char *profile)
{
    struct metric *metric = map_get(&routes->pods_by_profile, profile);

    if (metric == NULL) {
        metric = metrics_get(routes->metrics, METRIC_COUNTER, "fks_webhook_pods_total",
                             "Pods handed over, by profile", "profile", profile, NULL);
        map_set(&routes->pods_by_profile, profile, metric);
    }
    metric_add(metric, 1);
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
    if (endpoint == &routes->mutate)
        r = admission_mutate(store_profiles(routes->store), body.p, body.len, &out, &decision, &err);
    else
        r = admission_validate(body.p, body.len, &out, &decision, &err);
    if (r == 0)
        r = buf_check(&out, "the answer", &err);
    if (r < 0) {
        metric_add(endpoint->malformed, 1);
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
}

static void handle_review(struct routes *routes, struct endpoint *endpoint, struct server_request *request)
{
    if (!str_is(server_request_head(request)->method, "POST")) {
        server_respond_text(request, 405, "%s takes POST only\n", endpoint->path);
    } else if (routes->client_ca && server_request_peer(request)->common_name == NULL) {
        metric_add(endpoint->forbidden, 1);
        server_respond_text(request, 403, "a client certificate is required\n");
    } else if (store_profiles(routes->store) == NULL && endpoint == &routes->mutate) {
        /* the webhook configuration's failurePolicy decides: a guess here would send pods to the wrong place */
        metric_add(endpoint->unready, 1);
        server_respond_text(request, 503, "%s\n", why_not_ready(routes));
    } else {
        answer_review(routes, endpoint, request);
    }
}

static void update_counter(struct routes *routes, const char *name, const char *help, uint64_t value)
{
    struct metric *metric = metrics_get(routes->metrics, METRIC_COUNTER, name, help, NULL);

    metric_add(metric, (double)value - metric_value(metric));
}

static void show_metrics(struct routes *routes, struct server_request *request)
{
    CLEANUP(buf_done) struct buf text = {0};

    store_update_metrics(routes->store);
    metric_set(metrics_get(routes->metrics, METRIC_GAUGE, "fks_webhook_ready", "1 while /readyz says yes", NULL),
               why_not_ready(routes) == NULL);
    if (routes->server != NULL) {
        const struct server_stats *stats = server_stats(routes->server);
        metric_set(metrics_get(routes->metrics, METRIC_GAUGE, "fks_webhook_connections", "Open connections", NULL),
                   (double)stats->open);
        update_counter(routes, "fks_webhook_connections_total", "Connections accepted", stats->accepted);
        update_counter(routes, "fks_webhook_connections_refused_total", "Connections over the limit", stats->refused);
        update_counter(routes, "fks_webhook_handshakes_total", "TLS handshakes completed", stats->handshakes);
        update_counter(routes, "fks_webhook_handshake_failures_total", "TLS handshakes failed",
                       stats->handshakes_failed);
        update_counter(routes, "fks_webhook_http_requests_total", "HTTP requests on any path", stats->requests);
        update_counter(routes, "fks_webhook_bad_requests_total", "Requests that were no HTTP", stats->bad_requests);
        update_counter(routes, "fks_webhook_timeouts_total", "Connections closed for being slow", stats->timeouts);
    }
    metrics_print(routes->metrics, &text);
    server_respond(request, 200, "text/plain; version=0.0.4", buf_text(&text), text.len);
}

void routes_handle(struct server_request *request, void *data)
{
    struct routes *routes = data;
    struct str path = server_request_head(request)->path;
    const char *reason = why_not_ready(routes);

    if (str_is(path, routes->mutate.path))
        handle_review(routes, &routes->mutate, request);
    else if (str_is(path, routes->validate.path))
        handle_review(routes, &routes->validate, request);
    else if (server_request_is(request, "GET", "/healthz"))
        server_respond_text(request, 200, "ok\n");
    else if (server_request_is(request, "GET", "/readyz"))
        server_respond_text(request, reason == NULL ? 200 : 503, "%s\n", reason == NULL ? "ok" : reason);
    else if (server_request_is(request, "GET", "/metrics"))
        show_metrics(routes, request);
    else
        server_respond_text(request, 404, "there are /mutate, /validate, /healthz, /readyz and /metrics\n");
}
