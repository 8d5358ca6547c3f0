/*
 * sort.h: --sort-by: orders a list by a field, quantities as quantities, what lacks the field first.
 */
#pragma once

#include "data/json.h"

/*
 * Sorts the array by the path within each element's `within` member (NULL: the element itself). The path is relaxed
 * JSONPath. ERR_NOT_FOUND when no element has the field, ERR_UNSUPPORTED when values cannot be compared.
 */
int sort_by_path(struct json **array, const char *within, const char *path, struct err *err) MUST_CHECK;
