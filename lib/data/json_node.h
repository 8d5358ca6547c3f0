/*
 * json_node.h: what a JSON tree is made of, shared by json.c (reading, building, changing), json_object.c (members),
 * json_memory.c (documents) and json_parse.c. Nobody else includes it.
 *
 * A node lies in one of three places. Counted nodes are on the heap; several threads may hold references to a tree that
 * nobody changes. Constants (null, true, false) are there once for all. Nodes of a document lie together in a few blocks
 * of memory that go all at once, with the root: made without malloc and freed without a walk, but never changed.
 */
#pragma once

#include "data/json.h"

enum json_place { JSON_COUNTED, JSON_CONSTANT, JSON_IN_DOCUMENT, JSON_DOCUMENT_ROOT };

struct json_member {
    char *key; /* with a NUL behind it */
    size_t key_len;
    struct json *value;
};

struct json_index; /* of an object with many members: where each key is */

struct json {
    uint32_t refs; /* of a counted node */
    uint8_t type;  /* enum json_type */
    uint8_t place; /* enum json_place */
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct {
            const char *text; /* of a counted node right behind it; with a NUL behind */
            size_t len;
        } string;
        struct {
            struct json **items;
            uint32_t n, cap;
        } array;
        struct {
            struct json_member *members;
            uint32_t n, cap;
            struct json_index *index; /* NULL while the members are few */
        } object;
    };
};

extern const struct json json_constants[3]; /* null, false, true */

/* --- json_memory.c */

struct json_document; /* memory of one read-only tree */

/* With a copy of the text, in which its strings may stay. */
struct json_document *json_document_new(const char *text, size_t len) MUST_CHECK;
/* The same over a text on the heap, which is freed with it. */
struct json_document *json_document_over(char *text, size_t len) MUST_CHECK;
/* Of all its nodes. */
size_t json_document_size(const struct json_document *document);
char *json_document_text(const struct json_document *document);
struct json_document *json_document_free(struct json_document *document);
/* Aligned for any node; never NULL. */
void *json_document_room(struct json_document *document, size_t size) MUST_CHECK;
/* The copy of root that stands for the whole document: json_free of it frees everything. */
struct json *json_document_close(struct json_document *document, const struct json *root) MUST_CHECK;
void json_document_free_root(struct json *root);

/* document NULL: on the heap, a reference for the caller. */
struct json *json_node_new(struct json_document *document, enum json_type type) MUST_CHECK;
/* On the heap. text: valid UTF-8 without NULs. */
struct json *json_node_string(const char *text, size_t len) MUST_CHECK;

/* --- json_object.c */

/* NULL if there is none. */
struct json_member *json_object_find(const struct json *object, const char *key, size_t key_len);
/* Takes key (heap, checked) and value over; a member that exists is replaced in place. */
void json_object_put(struct json *object, char *key, size_t key_len, struct json *value);
void json_object_remove(struct json *object, const char *key);
void json_object_done(struct json *object);
/*
 * Makes n members, in the order of the text, those of `object`, which is empty. Of equal keys the last value counts, at the
 * place of the first. Keys and values are taken over.
 */
void json_object_fill(struct json_document *document, struct json *object, struct json_member *members, size_t n);

DEFINE_CLEANUP_POINTER(struct json_document *, json_document_free)
