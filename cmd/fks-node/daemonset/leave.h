/*
 * leave.h: what is left of FKS on a host when it belongs to FKS no longer, and how to tell.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "data/json.h"

struct leave_options { /* strings are borrowed */
    const char *host_root;          /* where the host's files are seen */
    const char *state_dir, *run_dir; /* on the host */
    const char *cgroup_root;
    const char *daemonset; /* "NAMESPACE/NAME"; NULL: the host is never left */
    const char *node_name; /* the host's own Node */
};

/* Whether a DaemonSet (NULL: there is none any more) still wants its pod on this Node. */
bool leave_is_wanted(const struct json *daemonset, const struct json *node);
/*
 * Asks the API server, in the pod's identity. *ret: the DaemonSet is gone, or does not select this host any more. Blocking. Where
 * the identity is gone, too, the host is left only if it has no pods.
 */
int leave_is_due(const struct leave_options *options, bool *ret, struct err *err) MUST_CHECK;
/* Ends every process of FKS on the host, then takes mounts, cgroups and folders away. Blocking; at most some ten seconds. */
int leave(const struct leave_options *options, struct err *err) MUST_CHECK;
/* What is shown of this host from then on, by its FargateHost if that is still there: not ready, and why. Blocking. */
int leave_tell(const struct leave_options *options, struct err *err) MUST_CHECK;
/* ERR_INVALID for a folder that is not deep enough below / to be removed as a whole. */
int leave_check_folder(const char *path, struct err *err) MUST_CHECK;
