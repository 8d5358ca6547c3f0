/*
 * csi_drivers.h: the drivers of this host. A driver makes itself known as to a kubelet: its registrar listens on a
 * socket in one folder, is asked there for the driver's name and socket, and told how the registration went. A socket
 * that goes takes its driver along. What the cluster says of drivers (CSIDriver objects) is watched from the first
 * driver on. https://kubernetes.io/docs/concepts/storage/volumes/#csi (plugin registration, v1)
 */
#pragma once

#include "csi/csi.h"
#include "data/json.h"
#include "kube/client.h"

struct csi_drivers;

struct csi_drivers_options { /* borrowed for the call, but for dir */
    struct loop *loop;
    struct kube_client *kube;      /* NULL: no objects, for tests */
    const char *dir;               /* made here if it does not exist; stays the caller's */
    int64_t timeout_ms;            /* of a call */
    void (*on_change)(void *data); /* a driver came or went, or an object changed */
    void *data;
};

struct csi_driver {              /* borrowed until the next turn */
    const char *name, *endpoint; /* endpoint: its socket */
    struct csi_capabilities capabilities;
};

struct csi_drivers *csi_drivers_new(const struct csi_drivers_options *options);
struct csi_drivers *csi_drivers_free(struct csi_drivers *drivers);
/* False: no such driver is registered. */
bool csi_drivers_get(const struct csi_drivers *drivers, const char *name, struct csi_driver *ret);
/* The objects are known. */
bool csi_drivers_synced(const struct csi_drivers *drivers);
/* The CSIDriver object, or NULL. Borrowed until the next change. */
const struct json *csi_drivers_object(const struct csi_drivers *drivers, const char *name);
/* Names of the drivers whose volumes pods can use here, sorted; an array. */
struct json *csi_drivers_offered(const struct csi_drivers *drivers) MUST_CHECK;
const char *csi_drivers_dir(const struct csi_drivers *drivers);
