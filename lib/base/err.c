/*
 * err.c: the error object that every fallible function fills. It carries a code for the program's decisions and a
 * sentence for the person who reads it; it never prints. Setting an error over another would lose the first cause, so
 * that is treated as the bug it is.
 */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static char *format_text(const char *format, va_list args) PRINTF(1, 0);
static char *format_text(const char *format, va_list args)
{
    char *text = NULL;

    if (vasprintf(&text, format, args) < 0)
        return xstrdup("(error text could not be formatted)");
    return text;
}

int err_setv(struct err *err, enum err_code code, const char *format, va_list args)
{
    char *text = format_text(format, args);

    if (err->msg != NULL) {
        fprintf(stderr, "bug: error '%s' set over error '%s'\n", text, err->msg);
        abort();
    }
    err->code = code;
    err->msg = text;
    return code;
}

int err_set(struct err *err, enum err_code code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)err_setv(err, code, format, args);
    va_end(args);
    return code;
}

static enum err_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_FORBIDDEN;
    case ECONNREFUSED:
    case ENOTCONN:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return ERR_REFUSED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case EBUSY:
        return ERR_BUSY;
    default:
        return ERR_IO;
    }
}

int err_errno(struct err *err, int errnum, const char *format, ...)
{
    CLEANUP(xfree) char *text = NULL;
    char reason[128];
    va_list args;

    va_start(args, format);
    text = format_text(format, args);
    va_end(args);
    const char *why = strerror_r(errnum, reason, sizeof(reason));
    bool is_word = why[0] >= 'A' && why[0] <= 'Z' && why[1] >= 'a' && why[1] <= 'z';
    if (is_word) /* an error is no sentence; and Go, so kubectl, writes these in small letters */
        return err_set(err, code_of_errno(errnum), "%s: %c%s", text, why[0] | 0x20, why + 1);
    return err_set(err, code_of_errno(errnum), "%s: %s", text, why);
}

int err_wrap(struct err *err, const char *format, ...)
{
    CLEANUP(xfree) char *context = NULL;
    char *whole;
    va_list args;

    va_start(args, format);
    context = format_text(format, args);
    va_end(args);
    if (err->msg == NULL) {
        fprintf(stderr, "bug: context '%s' for an error that is not set\n", context);
        abort();
    }
    whole = xasprintf("%s: %s", context, err->msg);
    free(err->msg);
    err->msg = whole;
    return err->code;
}

const char *err_text(const struct err *err)
{
    return err->msg != NULL ? err->msg : "no error";
}

void err_clear(struct err *err)
{
    if (err == NULL)
        return;
    free(err->msg);
    free(err->reason);
    *err = (struct err){0};
}

void err_move(struct err *to, struct err *from)
{
    if (to->msg != NULL) {
        fprintf(stderr, "bug: error '%s' moved over error '%s'\n", err_text(from), to->msg);
        abort();
    }
    err_clear(to);
    *to = *from;
    *from = (struct err){0};
}

const char *err_code_name(enum err_code code)
{
    switch (code) {
    case ERR_NOT_FOUND:
        return "not_found";
    case ERR_EXISTS:
        return "exists";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_GONE:
        return "gone";
    case ERR_FORBIDDEN:
        return "forbidden";
    case ERR_UNAUTHORIZED:
        return "unauthorized";
    case ERR_INVALID:
        return "invalid";
    case ERR_PARSE:
        return "parse";
    case ERR_TOO_BIG:
        return "too_big";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_REFUSED:
        return "refused";
    case ERR_IO:
        return "io";
    case ERR_UNSUPPORTED:
        return "unsupported";
    case ERR_BUSY:
        return "busy";
    case ERR_USAGE:
        return "usage";
    case ERR_CANCELLED:
        return "cancelled";
    case ERR_INTERNAL:
        return "internal";
    }
    return code == 0 ? "none" : "unknown";
}
