/*
 * managed_fields.h: metadata.managedFields: who owns a field, and handing the fields of client-side apply over to
 * server-side apply. Pure.
 */
#pragma once

#include "base/str.h"
#include "data/json.h"

/*
 * The managers whose sets hold the field, each once: operation "Apply" or "Update"; path: names of fields, NULL-ended
 * list.
 */
void managed_fields_owners(const struct json *object, const char *operation, const char *const *path,
                           struct strv *ret_managers);
/*
 * The JSON patch after which what the managers own by Update is owned by `to` by Apply, guarded by the object's
 * resourceVersion. NULL when there is nothing to hand over.
 */
struct json *managed_fields_upgrade(const struct json *object, const struct strv *managers, const char *to) MUST_CHECK;
