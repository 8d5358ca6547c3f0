/*
 * merge_internal.h: between merge.c, merge_apply.c and merge_rules.c.
 */
#pragma once

#include "merge/merge.h"

#define MERGE_DIRECTIVE "$patch"
#define MERGE_RETAIN_KEYS "$retainKeys"
#define MERGE_SET_ORDER "$setElementOrder/"
#define MERGE_DELETE_PRIMITIVES "$deleteFromPrimitiveList/"

/* A list that merges. key NULL: a list of plain values. */
struct merge_rule {
    const char *field, *key;
    const char *parent;        /* the field that holds the list's object, "" for the top; NULL: any */
    const char *only, *except; /* kinds, comma separated; NULL: all, none */
    bool retain_keys;          /* elements lose the members that a patch does not name */
};

/* kind: of the whole object. NULL when the list is replaced. */
const struct merge_rule *merge_rule_find(const char *kind, const char *field, const char *parent);
/* Whether an object is replaced as a whole; whether it loses the members that a patch does not name. */
bool merge_rule_replaces(const char *kind, const char *field, const char *parent);
bool merge_rule_retains(const char *field, const char *parent);
/* The element whose merge key has this value; key NULL: that is this value. NULL if there is none. */
const struct json *merge_find_element(const struct json *list, const char *key, const struct json *value);
