/*
 * patch.h: JSON Patch (RFC 6902) operations and JSON Merge Patch (RFC 7396).
 */
#pragma once

#include "data/json.h"

/* Appends one reference token to a JSON pointer: "/" and the key with ~ as ~0 and / as ~1 (RFC 6901). */
void patch_pointer_add(struct buf *pointer, const char *key);
/* Push one operation onto the array `patch`; value is taken over. */
void patch_add(struct json *patch, const char *pointer, struct json *value);
void patch_replace(struct json *patch, const char *pointer, struct json *value);
void patch_remove(struct json *patch, const char *pointer);
/*
 * A patch as text, for who sends it at once and needs no tree. For each operation: patch_text_begin appends all up to its value,
 * the caller appends the value, as JSON. patch_text_end follows the last; a text without operations stays empty.
 */
void patch_text_begin(struct buf *patch, const char *op, const char *pointer);
void patch_text_end(struct buf *patch);
/* Applies an RFC 6902 patch to a copy; ERR_INVALID names the operation that failed. Used by tests and --local. */
int patch_apply(const struct json *document, const struct json *patch, struct json **ret, struct err *err) MUST_CHECK;
/* RFC 7396: the merged document. */
struct json *patch_merge(const struct json *document, const struct json *merge) MUST_CHECK;
/* The merge patch that turns from into to; an empty object when they are equal. */
struct json *patch_merge_diff(const struct json *from, const struct json *to) MUST_CHECK;
