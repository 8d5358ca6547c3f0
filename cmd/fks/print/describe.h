/*
 * describe.h: the text of `describe`, kind by kind, from trees alone: describe.c in the folder above fetches what is
 * needed and hands it in. Layout is kubectl's.
 */
#pragma once

#include "base/str.h"
#include "data/json.h"

#include "print/tabwriter.h"

/* One description being written. */
struct describe {
    struct tabwriter writer;
    struct buf out;
    const struct json *object;
    const struct json *events;  /* list of the object's events; NULL: not shown */
    const struct json *related; /* by name: "pods", "replicaSets", "endpointSlices", "quotas", "limitRanges", "lease" */
};

/* Writes a line or part of one, indented by two blanks per level; \t ends a cell. */
void describe_write(struct describe *describe, int level, const char *format, ...) PRINTF(3, 4);
/* "Title:  k=v" lines, sorted, "<none>" when empty; indent goes before the title and further lines. */
void describe_map(struct describe *describe, const char *title, const struct json *map);
void describe_annotations(struct describe *describe, const char *title, const struct json *annotations);
/* The events section, if there is one. */
void describe_events(struct describe *describe);
/* "Mon, 02 Jan 2006 15:04:05 +0000" of an API time. Appends. */
void describe_time(const char *time, struct buf *out);
/* Age of an API time, "<unknown>" without one. Appends. */
void describe_age(const char *time, struct buf *out);
/* "Field:\t<time>\n" */
void describe_time_field(struct describe *describe, int level, const char *title, const char *time);
/* Name, namespace (if the kind has one). */
void describe_head(struct describe *describe);
/* "Controlled By:" when there is a controller. */
void describe_controller(struct describe *describe);
/* A scalar as %v. */
void describe_scalar(const struct json *value, struct buf *out);
/* "a=b,c in (d,e)", "<none>" when empty. */
void describe_selector(const struct json *selector, struct buf *out);

/* describe_pod.c: parts that workloads use too. indent: "" for a pod, "  " within a template. */
void describe_containers(struct describe *describe, const char *title, const struct json *containers,
                         const struct json *statuses, const struct json *pod, const char *indent);
void describe_volumes(struct describe *describe, const struct json *volumes, const char *indent);
void describe_tolerations(struct describe *describe, const char *title, const struct json *tolerations);
void describe_topology_spread(struct describe *describe, const struct json *constraints, const char *indent);
void describe_pod_template(struct describe *describe, const struct json *template);

/* Kinds. */
typedef void describe_kind(struct describe *describe);
describe_kind describe_pod, describe_node, describe_deployment, describe_replica_set, describe_daemon_set,
    describe_stateful_set, describe_job, describe_service, describe_namespace, describe_secret, describe_config_map,
    describe_service_account, describe_generic;
