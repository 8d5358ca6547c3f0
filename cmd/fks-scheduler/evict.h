/*
 * evict.h: pods that must go: through the eviction API, which respects PodDisruptionBudgets, or, when their host is dead
 * and nobody would answer, by failing and deleting them.
 */
#pragma once

#include "scheduler.h"

/* Asks for the eviction, unless a call about the pod is under way, it is ending already, or its next try is not due. */
void evict_pod(struct pod *pod);
/* Its host is dead: phase Failed with condition DisruptionTarget, then deleted without grace. */
void evict_lost(struct pod *pod);
