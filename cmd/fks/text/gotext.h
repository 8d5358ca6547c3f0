/*
 * gotext.h: JSON values as Go prints them, for templates and paths: fmt.Sprint ("map[a:1 b:[x y]]"), encoding/json
 * without indentation (keys sorted, <>& escaped), and %#v for the dumps in error messages.
 */
#pragma once

#include "base/str.h"
#include "data/json.h"

/* fmt.Sprint; at the top a missing value is for the caller to name. */
void gotext_print(const struct json *value, struct buf *out);
void gotext_json(const struct json *value, struct buf *out);
/* fmt %#v of the decoded value. */
void gotext_syntax(const struct json *value, struct buf *out);
/* A Go string literal. */
void gotext_quote(const char *text, struct buf *out);
/* The same of any bytes, between the quotes given; ascii: everything else is escaped, too. */
void gotext_quote_n(const char *text, size_t len, char quote, bool ascii, struct buf *out);
/* The first character of a text that is not empty; U+FFFD of one byte where it is no UTF-8. */
uint32_t gotext_rune(const char *text, size_t len, size_t *ret_size);
void gotext_add_rune(uint32_t c, struct buf *out);
/* Whether Go prints the character as it is. */
bool gotext_is_printable(uint32_t c);
/* The keys of an object, sorted. */
void gotext_keys(const struct json *object, struct strv *out);
