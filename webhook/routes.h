/*
 * routes.h: the paths of the admission server: /mutate, /validate, /healthz, /readyz, /metrics.
 */
#pragma once

#include "base/metrics.h"
#include "net/server.h"
#include "store.h"

struct routes;

/* Borrows store and metrics. client_ca: reviews are only taken from clients with a verified certificate. */
struct routes *routes_new(struct store *store, struct metrics *metrics, bool client_ca);
struct routes *routes_free(struct routes *routes);
/* The server whose statistics /metrics shows. */
void routes_serve(struct routes *routes, struct server *server);
/* From now on /readyz says no, so that load balancers look elsewhere while requests are still answered. */
void routes_stop(struct routes *routes);
/* server_handler; data is the struct routes. */
void routes_handle(struct server_request *request, void *data);
DEFINE_CLEANUP_POINTER(struct routes *, routes_free)
