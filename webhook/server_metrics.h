/*
 * server_metrics.h: what a server counts (net/server.h), as metrics. The main loop's server and those of the workers count
 * into registries of their own, which are added up.
 */
#pragma once

#include "base/metrics.h"
#include "net/server.h"

/* accepts: the server that takes the connections from the network, whose handshakes and connections are counted. */
void server_metrics_update(struct metrics *metrics, const struct server *server, bool accepts);
