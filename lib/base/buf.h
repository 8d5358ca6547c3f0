/*
 * buf.h: growable bytes with a maximum. {0} is a valid empty buffer (with the default maximum). data is NULL while
 * nothing was ever added and otherwise NUL-ended, so it can be used as text; embedded NULs are allowed.
 *
 * Appending never fails half-way: past the maximum nothing is added, too_big stays set, and every later append is
 * ignored, so a builder checks once at its end (buf_check), a reader of outside bytes after each append (the bool).
 */
#pragma once

#include <stdarg.h>
#include <string.h>

#include "base/compiler.h"
#include "base/err.h"

struct buf {
    char *data;
    size_t len;
    size_t cap;   /* allocated bytes, NUL included */
    size_t max;   /* largest len; 0 = LIMIT_BUF */
    bool too_big; /* an append was refused */
};

void buf_init(struct buf *buf, size_t max);
void buf_done(struct buf *buf);
/* Empties, keeps the allocation. */
void buf_clear(struct buf *buf);
bool buf_add(struct buf *buf, const void *data, size_t len);
static inline bool buf_add_str(struct buf *buf, const char *text)
{
    return buf_add(buf, text, strlen(text)); /* here, so that the length of a literal is none to be counted */
}
static inline bool buf_add_char(struct buf *buf, char c)
{
    if (buf->too_big || buf->len + 1 >= buf->cap)
        return buf_add(buf, &c, 1);
    buf->data[buf->len++] = c;
    buf->data[buf->len] = '\0';
    return true;
}
bool buf_printf(struct buf *buf, const char *format, ...) PRINTF(2, 3);
bool buf_vprintf(struct buf *buf, const char *format, va_list args);
/* Makes room for n more bytes and returns where they go; follow with buf_advance. NULL past the maximum. */
char *buf_reserve(struct buf *buf, size_t n);
void buf_advance(struct buf *buf, size_t n);
/* Drops n bytes at the front (memmove). */
void buf_consume(struct buf *buf, size_t n);
/* Shortens to len. */
void buf_truncate(struct buf *buf, size_t len);
/* The text as a heap string that the caller frees (never NULL); the buffer is empty afterwards. */
char *buf_take(struct buf *buf);
/* The text, "" when empty. Borrowed until the next change. */
const char *buf_text(const struct buf *buf);
/* 0, or ERR_TOO_BIG naming `what` when an append was refused. */
int buf_check(const struct buf *buf, const char *what, struct err *err) MUST_CHECK;

DEFINE_CLEANUP_IN_PLACE(struct buf, buf_done)
