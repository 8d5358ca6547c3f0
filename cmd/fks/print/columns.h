/*
 * columns.h: -o custom-columns=HEADER:path,HEADER:path.
 */
#pragma once

#include "data/json.h"

/* spec: "NAME:.metadata.name,..." or the two lines of a custom-columns-file. Objects of a List become lines. */
int columns_print(const char *spec, const struct json *object, bool no_headers, struct buf *out,
                  struct err *err) MUST_CHECK;
