/*
 * mem.c: allocation for the whole tree. Out of memory ends the program: no caller could do better, and a check per call
 * would be code that never runs. It does not guard against huge requests; limits.h does that before a size gets here.
 */
#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LARGE_BLOCK (128 << 10) /* glibc's own, where it stays as it is */

static NORETURN void out_of_memory(size_t size)
{
    fprintf(stderr, "out of memory: %zu bytes\n", size);
    abort();
}

void *xmalloc(size_t size)
{
    void *pointer = malloc(size > 0 ? size : 1);

    if (pointer == NULL)
        out_of_memory(size);
    return pointer;
}

void *xcalloc(size_t n, size_t size)
{
    void *pointer = calloc(n > 0 ? n : 1, size > 0 ? size : 1);

    if (pointer == NULL)
        out_of_memory(size);
    return pointer;
}

void *xrealloc(void *pointer, size_t n, size_t size)
{
    size_t total;
    void *moved;

    if (__builtin_mul_overflow(n, size, &total))
        out_of_memory(SIZE_MAX);
    moved = realloc(pointer, total > 0 ? total : 1);
    if (moved == NULL)
        out_of_memory(total);
    return moved;
}

char *xstrdup(const char *text)
{
    return text != NULL ? xstrndup(text, strlen(text)) : NULL;
}

char *xstrndup(const char *text, size_t len)
{
    char *copy = xmalloc(len + 1);

    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *xasprintf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    int len;

    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0)
        out_of_memory(0);
    return text;
}

void mem_be_sparing(void)
{
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
    (void)mallopt(M_TRIM_THRESHOLD, LARGE_BLOCK);
}

void mem_give_back(void)
{
    (void)malloc_trim(0);
}
