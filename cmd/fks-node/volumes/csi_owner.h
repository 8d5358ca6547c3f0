/*
 * csi_owner.h: gives the files of a volume to a pod's fsGroup, as the kubelet does where a driver does not.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"

/*
 * Everything below path, and path itself: the group, what the owner may for the group too, folders hand their group on.
 * Takes as long as there are files; stays on one file system. if_needed: nothing is done when path itself has all that
 * already.
 */
int csi_owner_give(const char *path, gid_t group, bool if_needed, struct err *err) MUST_CHECK;
