/*
 * home.h: FKS_HOME, where clusters are known: clusters/NAME in it is a local one (cluster/cluster.h tells what is in that),
 * registered/NAME.json one that was there before FKS (install/registered.h).
 */
#pragma once

#include "base/err.h"

/* ~/.fks or $FKS_HOME, absolute. Heap string. */
char *home_path(void) MUST_CHECK;
/* Folder that the local cluster of this name has or would have. Heap string. */
char *home_of_cluster(const char *name) MUST_CHECK;
bool home_has_cluster(const char *name);
/* eksctl's rule: letters, digits and hyphens, a letter first; at most 63. ERR_USAGE. */
int home_check_name(const char *name, struct err *err) MUST_CHECK;
