/*
 * resource_ref.h: what a resourceFieldRef ("limits.cpu", with a divisor) comes to in a container.
 */
#pragma once

#include "data/json.h"

/* The amount in divisors, rounded up. ERR_UNSUPPORTED for a resource that cannot be referred to. */
int resource_ref_value(const struct json *reference, const struct json *container, int64_t *ret,
                       struct err *err) MUST_CHECK;
