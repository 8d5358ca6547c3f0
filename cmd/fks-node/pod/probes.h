/*
 * probes.h: startup, readiness and liveness probes of one running container.
 */
#pragma once

#include "agent.h"

struct pod_container;
struct probes;

/*
 * A container that ran before the agent did is ready and started if the API server says so, until a probe says otherwise:
 * the status may be told before probing can begin. Does nothing for others, or a second time.
 */
void probes_recall(struct pod_container *container);
/*
 * Begins probing a container that runs. Results go to container->startup_done and container->ready; a failed
 * startup or liveness probe kills the container. adopted: the container ran before the agent did: what the API
 * server says of it is believed until a probe says otherwise, so that nothing flaps. NULL if it has no probes (then
 * it is ready and started).
 */
struct probes *probes_new(struct pod_container *container, bool adopted) MUST_CHECK;
struct probes *probes_free(struct probes *probes);
/* The pod is ending: only readiness still matters. */
void probes_ending(struct probes *probes);
