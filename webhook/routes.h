/*
 * routes.h: the paths of the admission server: /mutate, /validate, /healthz, /readyz, /metrics. One struct routes per
 * worker; nothing here is shared.
 */
#pragma once

#include "base/metrics.h"
#include "net/server.h"
#include "snapshot.h"

struct routes;

struct routes_options {
    struct metrics *metrics; /* borrowed */
    bool client_ca;          /* reviews are only taken from clients with a verified certificate */
    bool enforce;            /* as in struct admission_rules */
    const struct fargate_names *names; /* likewise; borrowed */
    void (*show_metrics)(struct server_request *request, void *data); /* answers GET /metrics */
    void *data;
};

struct routes *routes_new(const struct routes_options *options) MUST_CHECK;
struct routes *routes_free(struct routes *routes);
/* The server whose statistics are counted. */
void routes_serve(struct routes *routes, struct server *server);
/* Takes the reference over. Before the first snapshot /mutate answers 503. */
void routes_decide_by(struct routes *routes, struct snapshot *snapshot);
/* From now on /readyz says no, so that load balancers look elsewhere while requests are still answered. */
void routes_stop(struct routes *routes);
/* Brings the numbers up to date that are kept elsewhere. */
void routes_update_metrics(struct routes *routes);
/* server_handler; data is the struct routes. */
void routes_handle(struct server_request *request, void *data);
DEFINE_CLEANUP_POINTER(struct routes *, routes_free)
