/*
 * relist.h: looks once a second at everything the runtime runs, with two calls for the whole host, and tells pods.c.
 */
#pragma once

#include "agent.h"

/* Starts at once; the first complete look opens the way for pods (relist_complete). */
struct relist *relist_new(struct agent *agent);
struct relist *relist_free(struct relist *relist);
/* Sandboxes and containers were both listed at least once: what is not known now did not run before us. */
bool relist_complete(const struct relist *relist);
/* A pod is starting or stopping: look several times a second for a little while. */
void relist_hurry(struct relist *relist);
