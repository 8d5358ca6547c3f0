/*
 * network.h: the network of a local cluster on this machine: a bridge, a network namespace per host, routes to their pods,
 * and address translation for pods that leave the machine. Made with ip(8) and iptables(8); everything can be taken away
 * again by name, whatever state it is in.
 */
#pragma once

#include "cluster/cluster.h"

/* The lowest cluster number, but for those known to be taken, whose addresses overlap no route of this machine. ERR_EXISTS: none. */
int network_find_number(const bool known[CLUSTER_MAX], int *ret, struct err *err) MUST_CHECK;
/* Bridge, translation rules, and an end to the service range; present parts are kept. */
int network_up(const struct cluster *cluster, struct err *err) MUST_CHECK;
/* One host's namespace, its cable and routes; present parts are kept. */
int network_host_up(const struct cluster *cluster, const struct cluster_host *host, struct err *err) MUST_CHECK;
int network_host_down(const struct cluster *cluster, const struct cluster_host *host, struct err *err) MUST_CHECK;
/* Takes all of it away; absent parts are fine. */
int network_down(const struct cluster *cluster, struct err *err) MUST_CHECK;
/* A TCP port on address that nobody listens on, from `wanted` upward; a port in use is skipped. */
int network_free_port(const char *address, int wanted, int *ret, struct err *err) MUST_CHECK;
/* ERR_EXISTS "port 6443 is in use on ..." unless the port can be listened on. */
int network_check_port(const char *address, int port, struct err *err) MUST_CHECK;
