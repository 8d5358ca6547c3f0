/*
 * describe.h: the text of `describe`, kind by kind, from trees alone: describe.c in the folder above fetches what is
 * needed and hands it in. Layout is kubectl's.
 */
#pragma once

#include "base/str.h"
#include "data/json.h"

#include "text/tabwriter.h"

/* One description being written. */
struct describe {
    struct tabwriter writer;
    struct buf out;
    int nested;    /* levels added to each write: the claim within a volume */
    char *failure; /* set when the object could not be described: what went wrong; owned */
    const struct json *object;
    const struct json *events;  /* list of the object's events; NULL: not shown */
    const struct json *related; /* by name: "pods", "replicaSets", "endpointSlices", "quotas", "limitRanges", "lease",
                                   "resourceSlices", "backends" */
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

/*
 * Lines "Title:\t<value>" from a table: what the value is, and what stands there when the object has none.
 */
enum describe_missing { SKIP_LINE, SHOW_EMPTY, SHOW_NONE, SHOW_UNSET, SHOW_ZERO, SHOW_FALSE };
enum describe_form {
    AS_TEXT,    /* as it is, numbers and booleans too */
    AS_TIME,    /* a timestamp in words */
    AS_SECONDS, /* a number and "s" */
    AS_TITLE,   /* a boolean as True or False */
    AS_COMMAS,  /* a list: "a, b" */
    AS_TIGHT,   /* a list: "a,b" */
    AS_GO,      /* a list as Go prints it: "[a b]" */
    AS_LABELS,  /* a map: "a=b,c=d" */
};
struct describe_field {
    int level;
    const char *title, *path; /* path: "spec.schedule" */
    enum describe_missing missing;
    enum describe_form form;
};
/* A table ends with a row without title. Paths start at object. */
void describe_fields(struct describe *describe, const struct describe_field *fields, const struct json *object);
/* The member under a dotted path, or NULL. */
const struct json *describe_path(const struct json *object, const char *path);
/* Labels and annotations, several lines each. */
void describe_labels(struct describe *describe);
/* A list of objects as a table: the head line, a ruler, and the members named in each. */
struct describe_column {
    const char *title, *member;
    const char *missing; /* what stands for no value; NULL: nothing */
    enum describe_form form;
    int ruler; /* dashes below the title; 0: as many as it has letters */
};
void describe_table(struct describe *describe, int level, const struct describe_column *columns, const char *gap,
                    const struct json *list);
/* The first text, or what stands for none. */
const char *describe_or(const char *text, const char *otherwise);
/* "10.0.0.1:80,10.0.0.2:80 + 3 more..." for the ports of a name; describe_core.c. */
void describe_endpoints(const struct json *slices, const char *port_name, struct buf *out);
/* "RWO,ROX"; describe_storage.c. */
void describe_access_modes(const struct json *modes, struct buf *out);
/* The class that a claim or volume asks for; borrowed. */
const char *describe_storage_class_of(const struct json *object);
/* The inline claim of a pod's ephemeral volume. */
void describe_claim_template(struct describe *describe, const struct json *template);

/* describe_policy.c: a quota's table, a range's table; also within a namespace, which indents them. */
void describe_quota_part(struct describe *describe, int level, const struct json *quota, bool in_namespace);
void describe_limits_head(struct describe *describe, const char *indent);
void describe_limits_part(struct describe *describe, const char *indent, const struct json *range);

/* describe_pod.c: parts that workloads use too. indent: "" for a pod, "  " within a template. */
void describe_containers(struct describe *describe, const char *title, const struct json *containers,
                         const struct json *statuses, const struct json *pod, const char *indent);
void describe_volumes(struct describe *describe, const struct json *volumes, const char *indent);
/* describe_volume.c: the lines of the first source found in a volume or in the spec of a PersistentVolume. */
void describe_volume_source(struct describe *describe, const struct json *volume, bool persistent);
void describe_tolerations(struct describe *describe, const char *title, const struct json *tolerations);
void describe_topology_spread(struct describe *describe, const struct json *constraints, const char *indent);
void describe_pod_template(struct describe *describe, const struct json *template);

/* Kinds. */
typedef void describe_kind(struct describe *describe);
describe_kind describe_pod, describe_node, describe_deployment, describe_replica_set, describe_daemon_set,
    describe_stateful_set, describe_job, describe_service, describe_namespace, describe_secret, describe_config_map,
    describe_service_account, describe_generic, describe_replication_controller, describe_cron_job,
    describe_limit_range, describe_resource_quota, describe_persistent_volume, describe_persistent_volume_claim,
    describe_storage_class, describe_csi_node, describe_volume_attributes_class, describe_endpoints_object,
    describe_endpoint_slice, describe_ingress, describe_ingress_class, describe_service_cidr, describe_ip_address,
    describe_network_policy, describe_autoscaler, describe_disruption_budget, describe_priority_class, describe_role,
    describe_role_binding, describe_signing_request;
