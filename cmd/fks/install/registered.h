/*
 * registered.h: clusters that fks did not make but was told of by `register cluster`: how to reach each, in
 * $FKS_HOME/registered/NAME.json. No secret is kept: a kubeconfig file and a context are named.
 */
#pragma once

#include "base/str.h"
#include "kube/kubeconfig.h"

struct registered {
    char *name, *provider; /* provider: as given, upper case; or NULL */
    char *kubeconfig;      /* absolute file name; NULL: kubectl's default */
    char *context, *server;
    char *uid;             /* the cluster's: that of its namespace kube-system; NULL: of an older fks */
    char *created;         /* RFC 3339 */
};
void registered_done(struct registered *registered);
DEFINE_CLEANUP_IN_PLACE(struct registered, registered_done)

bool registered_exists(const char *name);
/* The file that says so. Heap. */
char *registered_path(const char *name) MUST_CHECK;
/* ERR_NOT_FOUND "cluster 'x' is not registered" */
int registered_load(const char *name, struct registered *ret, struct err *err) MUST_CHECK;
int registered_save(const struct registered *registered, struct err *err) MUST_CHECK;
/* No other cluster has the name, and this one no other name. ERR_EXISTS. */
int registered_check_identity(const char *name, const char *uid, struct err *err) MUST_CHECK;
int registered_remove(const char *name, struct err *err) MUST_CHECK;
/* Names, sorted; an absent folder gives none. */
int registered_list(struct strv *ret, struct err *err) MUST_CHECK;
/* The way there, from its kubeconfig. */
int registered_config(const struct registered *registered, struct kube_config *ret, struct err *err) MUST_CHECK;
