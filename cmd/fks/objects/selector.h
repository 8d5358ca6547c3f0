/*
 * selector.h: label selectors evaluated here, for objects that come from files (-f together with -l), or made members of
 * an object. Selectors of requests are evaluated by the server.
 */
#pragma once

#include "data/json.h"

/* ERR_USAGE when the selector cannot be read. labels may be NULL. 1: matches, 0: does not. */
int selector_matches(const char *selector, const struct json *labels, struct err *err) MUST_CHECK;
/* The selector as metav1.LabelSelector: matchLabels for "a=b", matchExpressions for the rest. ERR_USAGE. */
int selector_parse(const char *selector, struct json **ret, struct err *err) MUST_CHECK;
