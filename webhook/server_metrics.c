/* server_metrics.c: names and help of the numbers about connections; the numbers are the servers'. */
#include "server_metrics.h"

static void set_counter(struct metric *counter, uint64_t value)
{
    metric_add(counter, (double)value - metric_value(counter));
}

static void count(struct metrics *metrics, const char *name, const char *help, uint64_t value)
{
    set_counter(metrics_get(metrics, METRIC_COUNTER, name, help, NULL), value);
}

static void count_reject(struct metrics *metrics, const char *cause, uint64_t value)
{
    set_counter(metrics_get(metrics, METRIC_COUNTER, "fks_webhook_rejects_total",
                            "Connections and requests that were refused or given up, by cause", "cause", cause, NULL),
                value);
}

static void count_handshakes(struct metrics *metrics, const char *resumed, uint64_t value)
{
    set_counter(metrics_get(metrics, METRIC_COUNTER, "fks_webhook_handshakes_total",
                            "TLS handshakes completed, by whether they resumed a session", "resumed", resumed, NULL),
                value);
}

void server_metrics_update(struct metrics *metrics, const struct server *server, bool accepts)
{
    const struct server_stats *stats = server_stats(server);

    metric_set(metrics_get(metrics, METRIC_GAUGE, "fks_webhook_connections", "Open connections", NULL),
               (double)stats->open);
    if (accepts) {
        count(metrics, "fks_webhook_connections_total", "Connections accepted", stats->accepted);
        count_handshakes(metrics, "false", stats->handshakes - stats->handshakes_resumed);
        count_handshakes(metrics, "true", stats->handshakes_resumed);
        count(metrics, "fks_webhook_handshake_failures_total", "TLS handshakes failed", stats->handshakes_failed);
    } else {
        count(metrics, "fks_webhook_http_requests_total", "HTTP requests on any path", stats->requests);
    }
    count_reject(metrics, "too_many_connections", stats->refused);
    count_reject(metrics, "too_many_connections_of_one_peer", stats->refused_per_peer);
    count_reject(metrics, "pushed_out_by_newer_connections", stats->pushed_out);
    count_reject(metrics, "too_many_unfinished_bytes", stats->unfinished);
    count_reject(metrics, "too_slow", stats->timeouts);
    count_reject(metrics, "no_http", stats->bad_requests - stats->too_large - stats->unsupported);
    count_reject(metrics, "too_large", stats->too_large);
    count_reject(metrics, "unsupported_http", stats->unsupported);
}
