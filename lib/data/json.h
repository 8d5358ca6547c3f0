/*
 * json.h: JSON trees. An object of the API is kept as its tree (nothing that we do not know gets lost) and read with
 * path getters. 64-bit integers are exact, the last of two equal keys counts (as in Go's decoder), members keep their
 * order; trailing junk and NULs are refused.
 *
 * Trees are reference counted: json_free drops one reference, json_keep adds one. A tree that was handed out or shared is
 * read-only; whoever changes it makes a json_clone first. Several threads may hold references to a tree that none changes.
 *
 * Getters take a path of keys, NULL-ended: json_str(pod, "spec", "nodeName", NULL). They accept a NULL tree, and answer
 * the "nothing" value when any step is missing or has another type.
 */
#pragma once

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"

struct json; /* opaque */

enum json_type { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/*
 * One value and nothing after it but white space. ERR_PARSE with line and column, also for invalid UTF-8, lone surrogates
 * and NUL characters; ERR_TOO_BIG past LIMIT_JSON_DEPTH. An integer that int64 cannot hold is read as a real.
 */
int json_parse(const char *text, size_t len, struct json **ret, struct err *err) MUST_CHECK;
/*
 * Members that a reader has no use for. name: of a member of the value at hand, or of its items when that is an array;
 * inside: NULL: the member is left out; else the member is kept, without these of its own. Lists end with a NULL name.
 */
struct json_omit {
    const char *name;
    const struct json_omit *inside;
};
/* As json_parse, and as strict, but what is left out costs no tree. */
int json_parse_without(const char *text, size_t len, const struct json_omit *omit, struct json **ret,
                       struct err *err) MUST_CHECK;
/*
 * As json_parse_without, for a tree that is only read and soon freed: it lies in one piece of memory, at a fraction of the
 * cost. Changing it ends the program; json_keep gives a copy.
 */
int json_parse_to_read(const char *text, size_t len, const struct json_omit *omit, struct json **ret,
                       struct err *err) MUST_CHECK;
/* The same in the text's own memory, which the tree takes over: text is empty afterwards. Errors tell the byte, not the line. */
int json_parse_in_place(struct buf *text, const struct json_omit *omit, struct json **ret, struct err *err) MUST_CHECK;
/*
 * json_parse_to_read for texts of strangers, with at most about `room` bytes for the tree beside a copy of the text: ERR_TOO_BIG. A text of
 * nothing but small values makes a tree of thirty times its size.
 */
int json_parse_to_read_within(const char *text, size_t len, const struct json_omit *omit, size_t room, struct json **ret,
                              struct err *err) MUST_CHECK;
struct json *json_keep(const struct json *json) MUST_CHECK; /* same tree, one more reference */
struct json *json_free(struct json *json);
struct json *json_clone(const struct json *json) MUST_CHECK; /* deep copy */
bool json_same(const struct json *a, const struct json *b);  /* equal by value; key order does not matter */

/* Appends text without spaces, keys in their order. */
void json_print(const struct json *json, struct buf *out);
/* Appends text as a JSON string; as in json_new_string, invalid UTF-8 becomes U+FFFD. */
void json_print_text(const char *text, struct buf *out);
/* kubectl's -o json: indented by 4 spaces, keys sorted, <, > and & as \u003c, \u003e, \u0026 (Go's encoder), no newline at the end. */
void json_print_pretty(const struct json *json, struct buf *out);
/* The same as a part of a larger text: all lines but the first have the indentation of that depth before their own. */
void json_print_pretty_inside(const struct json *json, int depth, struct buf *out);

enum json_type json_type(const struct json *json); /* NULL tree: JSON_NULL */
bool json_is_object(const struct json *json);
bool json_is_array(const struct json *json);

/* --- reading */
const struct json *json_get(const struct json *json, ...) SENTINEL;   /* NULL if missing; borrowed */
const char *json_str(const struct json *json, ...) SENTINEL;          /* NULL if missing or no string; borrowed */
const char *json_str_or(const char *fallback, const struct json *json, ...) SENTINEL;
int64_t json_int_or(int64_t fallback, const struct json *json, ...) SENTINEL; /* also takes a whole real */
bool json_is_true(const struct json *json, ...) SENTINEL;             /* false if missing */
bool json_bool_or(bool fallback, const struct json *json, ...) SENTINEL;

/* The value itself. */
const char *json_string_value(const struct json *json); /* NULL unless a string */
int64_t json_int_value(const struct json *json);        /* 0 unless a number */
double json_number_value(const struct json *json);      /* 0 unless a number */
#define json_real_value json_number_value

size_t json_len(const struct json *json); /* elements or keys; 0 for anything else or NULL */
const struct json *json_at(const struct json *array, size_t index);
/* The member of an object under a computed key. */
const struct json *json_member(const struct json *object, const char *key);

/* const struct json *item; json_each(item, array) { ... }: NULL-safe. */
#define json_each(item, array)                                                                     \
    for (size_t item##_index = 0; ((item) = json_at((array), item##_index)) != NULL; item##_index++)
/*
 * Runs over an object in its order, O(1) a step:
 *     void *position = NULL; const char *key; const struct json *value;
 *     while (json_next(labels, &position, &key, &value)) { ... }
 */
bool json_next(const struct json *object, void **position, const char **ret_key, const struct json **ret_value);

/* --- building; every json_new_* and json_build result is owned by the caller until set, pushed or freed */
struct json *json_new_object(void) MUST_CHECK;
struct json *json_new_array(void) MUST_CHECK;
struct json *json_new_string(const char *text) MUST_CHECK; /* invalid UTF-8 and NUL become U+FFFD; NULL gives JSON null */
struct json *json_new_string_n(const char *text, size_t len) MUST_CHECK;
struct json *json_new_int(int64_t value) MUST_CHECK;
struct json *json_new_real(double value) MUST_CHECK;
struct json *json_new_bool(bool value) MUST_CHECK;
struct json *json_new_null(void) MUST_CHECK;
/*
 * From a format: { } [ ] s (string) b (int as bool) i (int) I (int64_t as long long) o (struct
 * json *, taken over) O (kept by the caller, shared) n (null); "s*", "o*", "O*" leave the member out when the pointer is
 * NULL, which without the star gives JSON null. Blanks, ',' and ':' are ignored. A wrong format is our bug and aborts.
 *     json_build("{s:s, s:{s:s, s:s*}}", "kind", "Pod", "metadata", "name", name, "namespace", ns_or_NULL)
 */
struct json *json_build(const char *format, ...) MUST_CHECK;

/* --- changing; value is taken over (NULL stands for JSON null); a member that exists is replaced in place */
void json_set(struct json *object, const char *key, struct json *value);
void json_set_str(struct json *object, const char *key, const char *text);
void json_set_int(struct json *object, const char *key, int64_t value);
void json_set_bool(struct json *object, const char *key, bool value);
void json_del(struct json *object, const char *key);
void json_push(struct json *array, struct json *value);
void json_remove_at(struct json *array, size_t index);
/*
 * The changeable member under a path, objects made on the way as needed (and replacing what is no object; an array at the
 * end of the path stays). Borrowed.
 */
struct json *json_edit(struct json *object, ...) SENTINEL;
struct json *json_edit_at(struct json *array, size_t index); /* changeable element, NULL past the end */
struct json *json_edit_member(struct json *object, const char *key); /* changeable member, NULL if absent */

DEFINE_CLEANUP_POINTER(struct json *, json_free)
