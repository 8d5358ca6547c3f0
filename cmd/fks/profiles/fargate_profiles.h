/*
 * fargate_profiles.h: the cluster's FargateProfiles, for the commands that reason about them.
 */
#pragma once

#include "cli.h"
#include "fargate/profile.h"
#include "objects/cluster_names.h"

/*
 * Reads those that admission would use: valid, and not being deleted. *ret_skipped, which may be NULL, gets "NAME: why" for
 * the others. *ret_names are the cluster's, and must outlive the profiles.
 */
int fargate_profiles_load(struct cli *cli, struct fargate_profiles **ret, struct cluster_names *ret_names,
                          struct strv *ret_skipped, struct err *err) MUST_CHECK;
/* By name, or NULL. */
const struct fargate_profile *fargate_profiles_find(const struct fargate_profiles *profiles, const char *name);
