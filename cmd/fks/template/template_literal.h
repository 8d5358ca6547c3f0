/*
 * template_literal.h: the literals of a template.
 */
#pragma once

#include "template/template_internal.h"

/* "...", or `...`: false for escapes that Go does not know. */
bool template_unquote(const char *text, size_t len, struct buf *out);
/* 'x': its code. ERR_PARSE in Go's words. */
int template_character(const char *text, size_t len, struct value *ret, struct err *err) MUST_CHECK;
/*
 * VALUE_NONE: one that only Go's unsigned integers hold, an error when it is used. ERR_PARSE in Go's words, ERR_UNSUPPORTED
 * for complex ones.
 */
int template_number(const char *text, struct value *ret, struct err *err) MUST_CHECK;
