/*
 * podstatus_internal.h: what the files of podstatus share.
 */
#pragma once

#include "status/podstatus.h"

/* Facts about a container, NULL for one that the runtime never had. */
const struct podstatus_container *podstatus_find(const struct podstatus_facts *facts, const char *name);
/* An element of a list of container statuses, or NULL. */
const struct json *podstatus_find_status(const struct json *statuses, const char *name);
/* A container of `containers` was started at least once. */
bool podstatus_has_started(const struct json *pod, const struct podstatus_facts *facts);
/* Any container of any kind runs. */
bool podstatus_any_runs(const struct podstatus_facts *facts);

/* podstatus_containers.c: lists of statuses for status.containerStatuses and its siblings; the caller's. */
enum podstatus_kind { PODSTATUS_REGULAR, PODSTATUS_INIT, PODSTATUS_EPHEMERAL };
struct json *podstatus_containers(const struct json *pod, const struct podstatus_facts *facts, enum podstatus_kind kind)
    MUST_CHECK;

/* podstatus_conditions.c. status: the one being made, with its container statuses. */
const char *podstatus_phase(const struct json *pod, const struct podstatus_facts *facts, const struct json *status);
/* Changes status.conditions to what phase and container statuses say. */
void podstatus_conditions(const struct json *pod, const struct podstatus_facts *facts, struct json *status);
/* metav1.Time, JSON null for 0. */
struct json *podstatus_time(int64_t wall_ns) MUST_CHECK;
