/*
 * support.h: what a Fargate pod may not use, in Fargate's words. Pure.
 */
#pragma once

#include "base/str.h"
#include "data/json.h"

/*
 * Adds one text per reason, as Fargate's events list them: "fields not supported: HostNetwork", "invalid SecurityContext
 * fields: Privileged", "port contains HostIP or HostPort", "volumes not supported: V is of an unsupported volume Type".
 * Joined by ", " behind "Pod not supported on Fargate: " in event and condition (reason POD_UNSUPPORTED_ON_FARGATE).
 */
void fargate_unsupported(const struct json *pod, struct strv *reasons);
