/*
 * template.h: -o go-template: Go's text/template on JSON trees, with kubectl's functions exists and base64decode.
 */
#pragma once

#include "data/json.h"

/* hide_missing: an absent key prints "<no value>"; otherwise it is an error. */
int template_print(const char *text, const struct json *object, bool hide_missing, struct buf *out,
                   struct err *err) MUST_CHECK;
