/*
 * wait.h: waiting for a condition of a local cluster to hold, with a deadline.
 */
#pragma once

#include "data/json.h"

/*
 * Calls check until it answers 1 (holds), at most timeout_ms. 0: not yet. A negative answer is remembered and tried again;
 * at the deadline ERR_TIMEOUT names `what` and the last failure.
 */
int wait_until(const char *what, int64_t timeout_ms, int (*check)(void *data, struct err *err), void *data,
               struct err *err) MUST_CHECK;
/* status.conditions[type].status equals wanted. */
bool wait_condition_is(const struct json *object, const char *type, const char *wanted);
