/*
 * kyaml.h: trees as KYAML (KEP-5295), the part of YAML that is never ambiguous: braces and brackets, strings always in
 * double quotes, a comma after everything. Reading it is yaml.h's.
 */
#pragma once

#include "data/json.h"

/*
 * Appends one document with its "---" and a newline at the end, byte for byte as kubectl -o kyaml. sorted: keys in the
 * order of their bytes, as for objects of the server; else in their own.
 */
void kyaml_print(const struct json *json, bool sorted, struct buf *out);
