/*
 * overlap.h: whether two profiles could want the same pod. Of such two, one always wins (match.h), so an overlap is no fault,
 * but whoever writes the other should know. Pure.
 */
#pragma once

#include "fargate/profile.h"

/* Some text matches both patterns (fargate_glob). */
bool fargate_globs_meet(const char *a, const char *b);
/*
 * Some pod could match both: their namespaces meet, and so do the values of every label that both name without wildcards in
 * the key. A pod may carry any number of other labels.
 */
bool fargate_selectors_meet(const struct fargate_selector *a, const struct fargate_selector *b);
/*
 * Adds one sentence for every other profile that overlaps with this one, at most 10: which, where, and who wins. A profile of
 * the same name in `profiles` is the one that this replaces.
 */
void fargate_overlaps(const struct fargate_profile *profile, const struct fargate_profiles *profiles, struct strv *warnings);
