/*
 * match_index.h: finds, among many profiles, the few selectors that may match a pod, so that a decision costs about the same
 * with ten thousand profiles as with one. Each selector is filed under what it demands literally: its namespace, or what
 * comes before the first or behind the last wildcard of it, and one of its labels. Pure.
 */
#pragma once

#include "fargate/profile.h"

struct fargate_index;

struct fargate_candidate {
    uint32_t profile, selector; /* positions in fargate_profiles.items and in its selectors */
};

/* Whether the candidate matches in full. */
typedef bool fargate_accepts(struct fargate_candidate candidate, const void *data);

/* Borrows the profiles, which are sorted already. */
struct fargate_index *fargate_index_new(const struct fargate_profile *items, size_t n) MUST_CHECK;
struct fargate_index *fargate_index_free(struct fargate_index *index);
/* The first profile, and of it the first selector, that is accepted; false if none is. labels: of the pod, or NULL. */
bool fargate_index_find(const struct fargate_index *index, const char *namespace, const struct json *labels,
                        fargate_accepts *accepts, const void *data, struct fargate_candidate *ret);
/* Position of the profile of this name, or -1. */
int64_t fargate_index_profile(const struct fargate_index *index, const char *name);
