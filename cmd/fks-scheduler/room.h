/*
 * room.h: a pod takes room on a host, or gives it back: in the picture of the hosts, in its profile's usage, and in the
 * counts behind spread constraints, all three at once.
 */
#pragma once

#include "scheduler.h"

/* Who holds it; NULL: it is promised by another scheduler to a pod that does not hold it yet. */
struct pod *room_pod(struct reservation *held);
void room_take(struct pod *pod, const char *host, const struct fargate_size *size);
/* Gives back what is held, if anything. */
void room_free(struct pod *pod);
/* The pod belongs to another profile now, or to none, and counts there as this. */
void room_count(struct pod *pod, const char *profile, enum profile_count as);
/* The pod's labels, host or end may have changed what spread constraints count. */
void room_recount(struct pod *pod);
