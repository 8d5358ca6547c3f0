/*
 * codec.h: base64, hexadecimal, percent-encoding, random bytes.
 */
#pragma once

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"

/* Standard alphabet with padding (RFC 4648 section 4). */
void base64_encode(const void *data, size_t len, struct buf *out);
/* Padding required, newlines skipped. */
int base64_decode(const char *text, size_t len, struct buf *out, struct err *err) MUST_CHECK;
/* Lower case; text needs 2 * len + 1 bytes. */
void hex_encode(const void *data, size_t len, char *text);
/* RFC 3986 unreserved characters stay, everything else becomes %XX: for path segments and query values. */
void url_encode(const char *text, struct buf *out);
/* %XX, and '+' as space when plus_is_space; ERR_PARSE for a broken escape or a %00. */
int url_decode(const char *text, size_t len, bool plus_is_space, struct buf *out, struct err *err) MUST_CHECK;
/* getrandom(2). */
void random_bytes(void *data, size_t len);
/* Uniform in [0, below). */
uint64_t random_below(uint64_t below);
/* n characters of [a-f0-9] plus NUL. */
void random_hex(char *text, size_t n);
