/*
 * merge.h: the patch that client-side apply sends: what the user's new file changes or adds compared with the live
 * object, plus what it dropped compared with the file applied last. Pure.
 *
 * Built-in kinds get a strategic merge patch; which lists merge by which key is a table here, so no OpenAPI document
 * has to be fetched. Other kinds get a JSON merge patch.
 */
#pragma once

#include "data/json.h"

enum merge_style { MERGE_STRATEGIC, MERGE_JSON };

/*
 * original: last applied (NULL: nothing was); modified: the new file; current: the live object. {} when nothing is
 * to be done. ERR_INVALID when an element of a list lacks its merge key.
 */
int merge_three_way(const struct json *original, const struct json *modified, const struct json *current,
                    enum merge_style style, struct json **ret_patch, struct err *err) MUST_CHECK;
/* From one object to another; nothing but their difference. */
int merge_two_way(const struct json *from, const struct json *to, enum merge_style style, struct json **ret_patch,
                  struct err *err) MUST_CHECK;
/* --overwrite=false: whether the patch touches what others have changed since the file was applied last. */
int merge_conflicts(const struct json *original, const struct json *current, const struct json *patch,
                    enum merge_style style, bool *ret, struct err *err) MUST_CHECK;
/* The object with a strategic merge patch applied, as the server would (--dry-run=client, --local). */
struct json *merge_apply(const struct json *object, const struct json *patch) MUST_CHECK;
/* As merge_apply, but elements that the patch names come first in their list: kustomize's way. */
struct json *merge_apply_first(const struct json *object, const struct json *patch) MUST_CHECK;
/* Whether the API server takes strategic merge patches for this kind: true for the groups of Kubernetes itself. */
enum merge_style merge_style_of(const char *group);
