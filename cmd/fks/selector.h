/*
 * selector.h: label selectors evaluated here, for objects that come from files (-f together with -l). Selectors of
 * requests are evaluated by the server.
 */
#pragma once

#include "data/json.h"

/* ERR_USAGE when the selector cannot be read. labels may be NULL. 1: matches, 0: does not. */
int selector_matches(const char *selector, const struct json *labels, struct err *err) MUST_CHECK;
