/*
 * jsonpath.h: kubectl's JSONPath templates: text with {expressions}: fields, indexes, slices, unions, filters, "..",
 * range and end. https://kubernetes.io/docs/reference/kubectl/jsonpath/
 */
#pragma once

#include "data/json.h"

struct jsonpath;

int jsonpath_parse(const char *text, struct jsonpath **ret, struct err *err) MUST_CHECK;
/* As above, but "x.y", ".x.y" and "{x.y}" all mean "{.x.y}" (--sort-by, custom-columns, --for=jsonpath). */
int jsonpath_parse_relaxed(const char *text, struct jsonpath **ret, struct err *err) MUST_CHECK;
struct jsonpath *jsonpath_free(struct jsonpath *path);
DEFINE_CLEANUP_POINTER(struct jsonpath *, jsonpath_free)

/*
 * The values of the first expression: an array of copies. allow_missing: a field that is not there gives nothing
 * instead of ERR_NOT_FOUND "x is not found".
 */
int jsonpath_find(const struct jsonpath *path, const struct json *object, bool allow_missing, struct json **ret_array,
                  struct err *err) MUST_CHECK;
/* What kubectl -o jsonpath=TEXT prints; as_json: jsonpath-as-json. */
int jsonpath_print(const char *text, const struct json *object, bool allow_missing, bool as_json, struct buf *out,
                   struct err *err) MUST_CHECK;
