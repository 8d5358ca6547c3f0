/*
 * gotime.h: times that a user writes, refused in the words of Go's time.Parse.
 */
#pragma once

#include "base/err.h"

/* Whether Go takes a text for a time in RFC 3339, be it with one digit for the hour or a comma in the seconds. ERR_PARSE. */
int gotime_check(const char *text, struct err *err) MUST_CHECK;
