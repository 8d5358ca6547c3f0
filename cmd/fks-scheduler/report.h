/*
 * report.h: what the scheduler tells people about a pod: events, and the condition PodScheduled=False.
 */
#pragma once

#include "scheduler.h"

/*
 * Why a pod waits. reason: of the condition; message: of both. An equal report is repeated as an event every five
 * minutes at most, and a changed one every three seconds, however often placing is tried.
 */
bool report_is_due(const struct pod *pod);
void report_waiting(struct pod *pod, const char *reason, const char *message);
/* The pod's host is dead, and the pod is about to be deleted. */
void report_lost(struct pod *pod);
/* It was bound; and Fargate's word on logging. Both are told once nothing more urgent is to be done: placing comes first. */
void report_scheduled(struct pod *pod);
void report_logging(struct pod *pod);
/* Tells what waits to be told of the pod. */
void report_told(struct pod *pod);
