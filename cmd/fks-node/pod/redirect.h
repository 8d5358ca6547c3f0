/*
 * redirect.h: where an HTTP probe goes on when the answer is a redirect. Pure.
 */
#pragma once

#include "base/compiler.h"

#define REDIRECT_MAX 10 /* of one probe */

/* Statuses whose Location a client follows. */
bool redirect_is(int status);
/*
 * The URL that location (of an answer to a GET of url, which is an absolute one) leads to, for as long as that is the same
 * host, whatever its port. NULL: it leads elsewhere, or nowhere; then the redirect itself is the probe's answer. Heap.
 */
char *redirect_target(const char *url, const char *location) MUST_CHECK;
