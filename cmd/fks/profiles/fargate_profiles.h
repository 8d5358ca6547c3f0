/*
 * fargate_profiles.h: the cluster's FargateProfiles, for the commands that reason about them.
 */
#pragma once

#include "cli.h"
#include "fargate/profile.h"

/*
 * Reads those that admission would use: valid, and not being deleted. *ret_skipped, which may be NULL, gets "NAME: why" for
 * the others.
 */
int fargate_profiles_load(struct cli *cli, struct fargate_profiles **ret, struct strv *ret_skipped,
                          struct err *err) MUST_CHECK;
/* By name, or NULL. */
const struct fargate_profile *fargate_profiles_find(const struct fargate_profiles *profiles, const char *name);
