/*
 * event.h: Kubernetes Events about pods (core/v1, as the kubelet and scheduler write them), aggregated: an equal event
 * about the same object within ten minutes raises the count of the first instead of making a new one.
 */
#pragma once

#include "kube/client.h"

struct kube_events;

/* component: "fargate-scheduler", "kubelet"; host: node name or NULL. */
struct kube_events *kube_events_new(struct kube_client *client, const char *component);
struct kube_events *kube_events_free(struct kube_events *events);
/* type "Normal" or "Warning". object is the involved object (kind Pod unless it says otherwise). Best effort: failures are dropped. */
void kube_event(struct kube_events *events, const struct json *object, const char *host, const char *type,
                const char *reason, const char *format, ...) PRINTF(6, 7);
/* The same about a part of the object, "spec.containers{main}"; NULL: about all of it. */
void kube_event_of(struct kube_events *events, const struct json *object, const char *field, const char *host,
                   const char *type, const char *reason, const char *message);
DEFINE_CLEANUP_POINTER(struct kube_events *, kube_events_free)
