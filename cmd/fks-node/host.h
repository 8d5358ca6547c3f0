/*
 * host.h: what this host offers, for fks-scheduler: the FargateHost object and its Lease.
 */
#pragma once

#include "agent.h"

/* Starts at once and goes on for ever. */
struct host_publisher *host_publisher_new(struct agent *agent);
struct host_publisher *host_publisher_free(struct host_publisher *host);
/* The FargateHost as it is created. Pure. handlers: array of names, or NULL. */
struct json *host_publisher_object(const struct agent *agent, const struct json *handlers) MUST_CHECK;
