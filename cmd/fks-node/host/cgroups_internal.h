/*
 * cgroups_internal.h: what the files of cgroups share.
 */
#pragma once

#include "host/cgroups.h"

#define CGROUPS_DEPTH_MAX 32

struct cgroups {
    char *mount;
    char *root;
    bool v2;
};

/* Folder of the pod's cgroup in the tree of a controller (v1) or in the only tree (v2). */
char *cgroups_controller_path(const struct cgroups *cgroups, const char *controller, const char *uid) MUST_CHECK;
