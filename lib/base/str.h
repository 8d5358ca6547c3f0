/*
 * str.h: text helpers: slices (pointer and length, not NUL-ended), NULL-ended string lists, strict numbers.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"

struct str {
    const char *p;
    size_t len;
};
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

struct str str_of(const char *text);
bool str_is(struct str s, const char *text);
/* ASCII case ignored. */
bool str_is_nocase(struct str s, const char *text);
/* Without spaces and tabs at both ends. */
struct str str_trim(struct str s);
/* Cuts at the first c: *head gets what is before, *tail what is after; false (head = s, tail empty) without a c. */
bool str_cut(struct str s, char c, struct str *head, struct str *tail);

/* NULL-safe: two NULLs are equal, NULL and "" are not. */
bool streq(const char *a, const char *b);
bool starts_with(const char *text, const char *prefix);
bool ends_with(const char *text, const char *suffix);
/* "" for NULL. */
const char *strempty(const char *text);

/* Whole text is one decimal integer in [min, max]; nothing else around it. ERR_PARSE / ERR_INVALID name the text. */
int parse_int(const char *text, int64_t min, int64_t max, int64_t *ret, struct err *err) MUST_CHECK;
/*
 * Go's duration syntax, "1h2m3.5s", "300ms", also "0"; a bare number is refused. Milliseconds, rounded up. ERR_PARSE in
 * Go's words.
 */
int parse_duration(const char *text, int64_t *ret_ms, struct err *err) MUST_CHECK;
/* As Go prints a time.Duration: "0s", "1.5s", "300ms", "1h0m0s". Heap string. */
char *duration_text(int64_t ms) MUST_CHECK;

/* A growing list of heap strings; items is NULL-ended once anything was added. {0} is valid and empty. */
struct strv {
    char **items;
    size_t n;
    size_t cap;
};
void strv_add(struct strv *list, const char *text);
/* Takes ownership of text. */
void strv_take(struct strv *list, char *text);
void strv_addf(struct strv *list, const char *format, ...) PRINTF(2, 3);
bool strv_has(const struct strv *list, const char *text);
void strv_sort(struct strv *list);
/* Splits at each c; empty text gives no item. */
void strv_split(struct strv *list, const char *text, char c);
/* Heap string with the separator between the items; "" when empty. */
char *strv_join(const struct strv *list, const char *separator);
void strv_done(struct strv *list);
DEFINE_CLEANUP_IN_PLACE(struct strv, strv_done)
