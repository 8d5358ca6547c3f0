/*
 * sweep.h: once a second, what no event says by itself: heartbeats that stopped, rooms given away twice, Nodes without a
 * pod, profiles that are to be drained.
 */
#pragma once

#include "scheduler.h"

struct sweep *sweep_new(struct scheduler *scheduler);
struct sweep *sweep_free(struct sweep *sweep);
/* Runs soon instead of at the next second. */
void sweep_poke(struct sweep *sweep);
DEFINE_CLEANUP_POINTER(struct sweep *, sweep_free)
