/*
 * buf.c: growable bytes. Everything that is read from outside or put together as text goes through here, so that the
 * maximum is checked in one place. A NUL always follows the bytes. It knows nothing of encodings.
 */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

static size_t maximum(const struct buf *buf)
{
    return buf->max > 0 ? buf->max : LIMIT_BUF;
}

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_done(struct buf *buf)
{
    if (buf == NULL)
        return;
    free(buf->data);
    *buf = (struct buf){.max = buf->max};
}

void buf_clear(struct buf *buf)
{
    buf_truncate(buf, 0);
    buf->too_big = false;
}

char *buf_reserve(struct buf *buf, size_t n)
{
    size_t max = maximum(buf);
    size_t need;

    if (buf->too_big || buf->len > max || n > max - buf->len) {
        buf->too_big = true;
        return NULL;
    }
    need = buf->len + n + 1;
    if (need > buf->cap) {
        size_t cap = buf->cap > 0 ? buf->cap : 64;

        while (cap < need)
            cap *= 2;
        /* doubling must not allocate far past a maximum that is never reached */
        if (cap > max + 1)
            cap = max + 1;
        buf->data = xrealloc(buf->data, cap, 1);
        buf->cap = cap;
        buf->data[buf->len] = '\0';
    }
    return buf->data + buf->len;
}

void buf_advance(struct buf *buf, size_t n)
{
    if (n == 0)
        return;
    buf->len += n;
    buf->data[buf->len] = '\0';
}

bool buf_add(struct buf *buf, const void *data, size_t len)
{
    char *to = buf_reserve(buf, len);

    if (to == NULL)
        return false;
    if (len > 0)
        memcpy(to, data, len);
    buf_advance(buf, len);
    return true;
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    bool added;

    va_start(args, format);
    added = buf_vprintf(buf, format, args);
    va_end(args);
    return added;
}

bool buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    char small[256];
    va_list again;
    char *to;
    int len;

    va_copy(again, args);
    len = vsnprintf(small, sizeof(small), format, args);
    if (len < 0) {
        /* only a text of over INT_MAX bytes gets here */
        buf->too_big = true;
        va_end(again);
        return false;
    }
    to = buf_reserve(buf, (size_t)len);
    if (to != NULL) {
        if ((size_t)len < sizeof(small))
            memcpy(to, small, (size_t)len);
        else
            (void)vsnprintf(to, (size_t)len + 1, format, again);
        buf_advance(buf, (size_t)len);
    }
    va_end(again);
    return to != NULL;
}

void buf_consume(struct buf *buf, size_t n)
{
    if (n >= buf->len) {
        buf_truncate(buf, 0);
        return;
    }
    memmove(buf->data, buf->data + n, buf->len - n);
    buf_truncate(buf, buf->len - n);
}

void buf_truncate(struct buf *buf, size_t len)
{
    if (len < buf->len)
        buf->len = len;
    if (buf->data != NULL)
        buf->data[buf->len] = '\0';
}

char *buf_take(struct buf *buf)
{
    char *text = buf->data != NULL ? buf->data : xstrdup("");

    *buf = (struct buf){.max = buf->max};
    return text;
}

const char *buf_text(const struct buf *buf)
{
    return buf->data != NULL ? buf->data : "";
}

int buf_check(const struct buf *buf, const char *what, struct err *err)
{
    if (buf->too_big)
        return err_set(err, ERR_TOO_BIG, "%s is larger than the maximum of %zu bytes", what, maximum(buf));
    return 0;
}
