/*
 * utf8.h: which bytes are text that JSON and YAML can hold.
 */
#pragma once

#include "base/buf.h"
#include "base/compiler.h"

/* Valid UTF-8 (no surrogates, no overlong forms, at most U+10FFFF) without NUL. */
bool utf8_valid(const char *text, size_t len);
/* Appends the text with every byte that is part of no valid character, and every NUL, as U+FFFD. */
void utf8_repair(const char *text, size_t len, struct buf *out);
/* Bytes of the character at the start, 0 when there is no valid one; *ret_code_point may be NULL. */
size_t utf8_decode(const char *text, size_t len, uint32_t *ret_code_point);
