/*
 * compiler.h: the few language extensions that the whole tree uses, under plain names.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF(format_index, args_index) __attribute__((format(printf, format_index, args_index)))
#define SENTINEL __attribute__((sentinel))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

#define countof(array) (sizeof(array) / sizeof((array)[0]))
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/*
 * CLEANUP(f): runs f on the variable when it leaves scope; f is made usable by one of the two macros below, next to the
 * declaration of f.
 *     CLEANUP(json_free) struct json *object = NULL;      pointer: f(object) unless NULL
 *     CLEANUP(buf_done) struct buf text = {0};            in place: f(&text)
 */
#define CLEANUP(f) __attribute__((cleanup(f##_cleanup)))
#define DEFINE_CLEANUP_POINTER(type, f)                                                            \
    static inline void f##_cleanup(type *pointer)                                                  \
    {                                                                                              \
        if (*pointer != NULL)                                                                      \
            (void)f(*pointer);                                                                     \
    }
#define DEFINE_CLEANUP_IN_PLACE(type, f)                                                           \
    static inline void f##_cleanup(type *value)                                                    \
    {                                                                                              \
        f(value);                                                                                  \
    }

/* take(&p): hands p on and leaves NULL behind, so that a CLEANUP does not free what was given away. */
#define take(pointer_address)                                                                      \
    ({                                                                                             \
        __auto_type _taken = *(pointer_address);                                                   \
        *(pointer_address) = NULL;                                                                 \
        _taken;                                                                                    \
    })
