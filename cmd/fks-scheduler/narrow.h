/*
 * narrow.h: keeps a webhook's registration to the namespaces of the profiles, so that nobody else depends on it. Pure.
 */
#pragma once

#include "base/str.h"
#include "data/json.h"

#define NARROW_CONDITION "namespace-of-a-profile"
#define NARROW_MAX 8192 /* characters of patterns; with more, nothing is narrowed */

/* Adds the namespaces that a FargateProfile selects; those that no namespace can match are left out. */
void narrow_add(struct strv *patterns, const struct json *profile);
/* Sorts, and drops doubles. */
void narrow_tidy(struct strv *patterns);
/*
 * The condition under which a request is one of theirs, in CEL; heap. NULL: it would hold for all, or is too long.
 * Patterns are tidy.
 */
char *narrow_expression(const struct strv *patterns) MUST_CHECK;
/* Adds it to each webhook of a registration that is asked about pods. */
void narrow_apply(struct json *registration, const char *expression);
