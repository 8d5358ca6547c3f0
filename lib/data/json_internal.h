/*
 * json_internal.h: between json_parse.c and json.c: texts that the parser has checked already are not checked again.
 */
#pragma once

#include "data/json.h"

/* text: valid UTF-8 without NULs. */
struct json *json_new_checked(const char *text, size_t len) MUST_CHECK;
/* As json_set; key: valid UTF-8 without NULs. */
void json_set_checked(struct json *object, const char *key, size_t len, struct json *value);
