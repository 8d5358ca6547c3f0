/*
 * labels.h: label selectors of the Kubernetes API, against labels in a tree. Pure.
 */
#pragma once

#include "data/json.h"

/* One {key, operator, values} on the value that the key has (NULL: it has none). Unknown operators match nothing. */
bool labels_expression_matches(const struct json *expression, const char *value);
/* {matchLabels, matchExpressions}: all must hold; {} selects everything, NULL nothing. labels may be NULL. */
bool labels_selected(const struct json *selector, const struct json *labels);
