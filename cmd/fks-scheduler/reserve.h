/*
 * reserve.h: the reservation: label FKS_HOST_LABEL and annotation CapacityProvisioned on the pod.
 */
#pragma once

#include "scheduler.h"

/*
 * Takes room on the host in the local view at once, asks for an entry in the host's book (ledger.h) and then for the label;
 * on failure the pod is queued again.
 */
void reserve_start(struct pod *pod, const char *host, const struct fargate_size *size);
/* The answers to ledger_ask. */
void reserve_granted(struct pod *pod);
void reserve_refused(struct pod *pod);
/* Finds out what became of a reservation whose answer got lost, and goes on from there. */
void reserve_look(struct pod *pod);
/* Takes the label off a pod that is not bound; then it is placed anew. why: for the log. */
void reserve_undo(struct pod *pod, const char *why);
