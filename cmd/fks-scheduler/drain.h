/*
 * drain.h: a profile that is deleted drains its pods. A finalizer keeps the object until they are gone, so that whoever
 * waits for its end waits for theirs.
 */
#pragma once

#include "scheduler.h"

/* One look at all profiles: adds the finalizer, evicts, takes the finalizer off. */
void drain_profiles(struct scheduler *scheduler);
