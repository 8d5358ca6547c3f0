/*
 * reconcile.h: pods that came too early: created before their profile, they wait for a node of the default scheduler.
 * Profiles with spec.reconcilePendingPods have them replaced, through the eviction API, when a controller owns them.
 */
#pragma once

#include "scheduler.h"

struct reconcile *reconcile_new(struct scheduler *scheduler);
struct reconcile *reconcile_free(struct reconcile *reconcile);
DEFINE_CLEANUP_POINTER(struct reconcile *, reconcile_free)
