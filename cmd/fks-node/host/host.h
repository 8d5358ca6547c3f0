/*
 * host.h: what this host offers, for fks-scheduler: the FargateHost object and its Lease.
 */
#pragma once

#include "agent.h"

/* Starts at once and goes on for ever. */
struct host_publisher *host_publisher_new(struct agent *agent);
struct host_publisher *host_publisher_free(struct host_publisher *host);
/* Something about it may have changed: published at once, not with the next beat. */
void host_publisher_changed(struct host_publisher *host);
/*
 * The runtime's handlers: as it names them, else, for containerd before 2.0, those of its settings (JSON, or NULL). An array
 * of names. Pure.
 */
struct json *host_runtime_handlers(const struct cri_handler *handlers, size_t n, const char *config) MUST_CHECK;
/* The FargateHost as it is created. Pure. handlers: array of names, or NULL. */
struct json *host_publisher_object(const struct agent *agent, const struct json *handlers) MUST_CHECK;
