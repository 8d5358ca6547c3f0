/*
 * eksctl_output.h: what `get cluster|fargateprofile|nodegroup` print: eksctl's tables (upper-case heads, tab stops, rows
 * sorted), and arrays for -o json (indent 4, no newline at the end) and -o yaml.
 */
#pragma once

#include "base/str.h"
#include "data/json.h"

enum eksctl_format { EKSCTL_TABLE, EKSCTL_JSON, EKSCTL_YAML };
/* ERR_USAGE for anything but table, json, yaml. */
int eksctl_format_parse(const char *text, enum eksctl_format *ret, struct err *err) MUST_CHECK;

struct eksctl_table {
    struct strv cells; /* row after row */
    size_t n_columns;
};
/* heads: n_columns texts. No rows: "No <kind> found" instead. Frees the cells. */
void eksctl_table_print(struct eksctl_table *table, const char *const *heads, size_t n_columns, const char *kind);
void eksctl_tree_print(const struct json *array, enum eksctl_format format);
