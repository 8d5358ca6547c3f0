/*
 * mem.h: allocation that ends the program when memory is out. Sizes that come from outside are capped (limits.h) before
 * they get here.
 */
#pragma once

#include <stdlib.h>

#include "base/compiler.h"

void *xmalloc(size_t size) MUST_CHECK;
/* Zero-filled; n * size is checked for overflow. */
void *xcalloc(size_t n, size_t size) MUST_CHECK;
void *xrealloc(void *pointer, size_t n, size_t size) MUST_CHECK;
/* NULL gives NULL. */
char *xstrdup(const char *text) MUST_CHECK;
/* Copies len bytes and adds a NUL. */
char *xstrndup(const char *text, size_t len) MUST_CHECK;
char *xasprintf(const char *format, ...) PRINTF(1, 2) MUST_CHECK;

/*
 * For programs that live long and have bursts: large blocks are the system's again as soon as they are freed (glibc would take
 * the first that is freed for a reason to keep all later ones), and there is one heap, whatever threads a library has.
 */
void mem_be_sparing(void);
/* After a burst: what is free inside the allocator goes back to the system. Takes up to a millisecond. */
void mem_give_back(void);

/* NEW(struct x): one zero-filled struct x. */
#define NEW(type) ((type *)xcalloc(1, sizeof(type)))

/*
 * GROW(array, n, cap): makes room for one more element: `GROW(v->items, v->n, v->cap); v->items[v->n++] = item;`
 * Starts at 8 and doubles.
 */
#define GROW(array, n, cap)                                                                        \
    do {                                                                                           \
        if ((n) >= (cap)) {                                                                        \
            (cap) = (cap) ? (cap)*2 : 8;                                                           \
            (array) = xrealloc((array), (cap), sizeof((array)[0]));                                \
        }                                                                                          \
    } while (0)

/* CLEANUP(xfree) char *text = NULL; */
static inline void *xfree(void *pointer)
{
    free(pointer);
    return NULL;
}
static inline void xfree_cleanup(void *pointer_address)
{
    free(*(void **)pointer_address);
}
