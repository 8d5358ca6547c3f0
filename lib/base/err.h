/*
 * err.h: how a function says what went wrong.
 *
 * A fallible function returns 0 (or a non-negative result), or a negative enum err_code, and is MUST_CHECK. On failure
 * *err holds one sentence without newline, lower case, names in '...': what failed, on what, why. On success *err is
 * untouched. err is never NULL, and setting an error twice is a bug (assert); use err_wrap() to add outer context.
 * Callers branch on codes, never on texts. Only programs print.
 */
#pragma once

#include <stdarg.h>

#include "base/compiler.h"

enum err_code {
    ERR_NOT_FOUND = -1,      /* 404 NotFound; ENOENT */
    ERR_EXISTS = -2,         /* 409 AlreadyExists; EEXIST */
    ERR_CONFLICT = -3,       /* 409 Conflict: a resource version or precondition did not match */
    ERR_GONE = -4,           /* 410 Expired or Gone: list again */
    ERR_FORBIDDEN = -5,      /* 403 Forbidden; EACCES, EPERM */
    ERR_UNAUTHORIZED = -6,   /* 401 */
    ERR_INVALID = -7,        /* 422 Invalid, 400 BadRequest; a value that breaks a rule */
    ERR_PARSE = -8,          /* bytes that are not the format they should be */
    ERR_TOO_BIG = -9,        /* over a maximum of limits.h */
    ERR_TIMEOUT = -10,       /* a deadline passed */
    ERR_REFUSED = -11,       /* nobody listens there: connection refused, no route, no such socket */
    ERR_IO = -12,            /* any other failed system or network call */
    ERR_UNSUPPORTED = -13,   /* the peer does not know this call or version (405, 406, gRPC 12) */
    ERR_BUSY = -14,          /* 429 TooManyRequests, 503: try again later */
    ERR_USAGE = -15,         /* wrong words on a command line */
    ERR_CANCELLED = -16,     /* the caller gave up */
    ERR_INTERNAL = -17,      /* 500, and what fits nowhere else */
};

struct err {
    enum err_code code; /* 0 while unset */
    char *msg;          /* owned; NULL while unset */
    char *reason;       /* owned; metav1 Status.reason when a server answered, else NULL */
    int http_status;    /* of the server's answer, else 0 */
};

/* Sets the error and returns code, so that `return err_set(err, ERR_PARSE, "...")` works. Aborts if err is set already. */
int err_set(struct err *err, enum err_code code, const char *format, ...) PRINTF(3, 4);
int err_setv(struct err *err, enum err_code code, const char *format, va_list args);
/* As err_set, from errno: the code follows errno and the text ends with ": strerror". */
int err_errno(struct err *err, int errnum, const char *format, ...) PRINTF(3, 4);
/* Prefixes "context: " to the text of a set error and returns its code. */
int err_wrap(struct err *err, const char *format, ...) PRINTF(2, 3);
/* The text, never NULL ("no error" while unset). Borrowed. */
const char *err_text(const struct err *err);
/* Frees and unsets; may be called any number of times. */
void err_clear(struct err *err);
/* Moves a set error; *to must be unset. */
void err_move(struct err *to, struct err *from);
/* A short stable name for logs and metrics: "not_found", "timeout", ... */
const char *err_code_name(enum err_code code);

DEFINE_CLEANUP_IN_PLACE(struct err, err_clear)
