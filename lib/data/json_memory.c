/*
 * json_memory.c: where the nodes of a tree lie: one by one on the heap, or, for a tree that is only read and soon freed,
 * side by side in the blocks of a document. The admission server makes and frees a hundred nodes for every review: in a
 * document that is one malloc and one free.
 */
#include <stdalign.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "data/json_node.h"

#define BLOCK_MIN KIB(4)
#define BLOCK_MAX KIB(64) /* beyond what the text takes */

struct block {
    struct block *next;
    size_t size, used; /* of bytes */
    alignas(max_align_t) char bytes[];
};

struct json_document {
    struct json root;
    struct block *blocks; /* the one in use first; this structure and the text lie in the last */
    char *text;
    char *own_text; /* the same, if it has memory of its own; or NULL */
    size_t size; /* of the blocks but the last */
};

static struct block *block_new(size_t size, struct block *next)
{
    struct block *block = xmalloc(sizeof(*block) + size);

    block->next = next;
    block->size = size;
    block->used = 0;
    return block;
}

static void *block_room(struct block *block, size_t size)
{
    void *room = block->bytes + block->used;

    block->used += size;
    return room;
}

static size_t aligned(size_t size)
{
    return (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

/* For a text of len bytes, of which so many are to lie in the first block. */
static struct json_document *document_new(size_t len, size_t len_inside)
{
    size_t nodes = len < BLOCK_MIN ? BLOCK_MIN : len < BLOCK_MAX ? len : BLOCK_MAX;
    struct block *block = block_new(aligned(sizeof(struct json_document)) + aligned(len_inside) + aligned(nodes), NULL);
    struct json_document *document = block_room(block, aligned(sizeof(*document)));

    *document = (struct json_document){.blocks = block};
    return document;
}

struct json_document *json_document_new(const char *text, size_t len)
{
    struct json_document *document = document_new(len, len);

    document->text = block_room(document->blocks, aligned(len));
    memcpy(document->text, text, len);
    return document;
}

struct json_document *json_document_over(char *text, size_t len)
{
    struct json_document *document = document_new(len, 0);

    document->text = document->own_text = text;
    return document;
}

size_t json_document_size(const struct json_document *document)
{
    return document->size;
}

char *json_document_text(const struct json_document *document)
{
    return document->text;
}

struct json_document *json_document_free(struct json_document *document)
{
    struct block *next;

    if (document == NULL)
        return NULL;
    free(document->own_text);
    for (struct block *block = document->blocks; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    return NULL;
}

void *json_document_room(struct json_document *document, size_t size)
{
    struct block *block = document->blocks;

    size = aligned(size);
    if (block->size - block->used < size) {
        block = block_new(size > BLOCK_MAX ? size : BLOCK_MAX, block);
        document->blocks = block;
        document->size += block->size;
    }
    return block_room(block, size);
}

struct json *json_document_close(struct json_document *document, const struct json *root)
{
    document->root = *root;
    if (root->place == JSON_IN_DOCUMENT)
        document->root.place = JSON_DOCUMENT_ROOT;
    else
        document->root = (struct json){.type = root->type, .place = JSON_DOCUMENT_ROOT, .boolean = root->boolean};
    return &document->root;
}

void json_document_free_root(struct json *root)
{
    json_document_free(container_of(root, struct json_document, root));
}

/* --- nodes */

struct json *json_node_new(struct json_document *document, enum json_type type)
{
    struct json *node = document != NULL ? json_document_room(document, sizeof(*node)) : xmalloc(sizeof(*node));

    *node = (struct json){.refs = 1, .type = (uint8_t)type, .place = document != NULL ? JSON_IN_DOCUMENT : JSON_COUNTED};
    return node;
}

struct json *json_node_string(const char *text, size_t len)
{
    struct json *node = xmalloc(sizeof(*node) + len + 1);
    char *copy = (char *)(node + 1);

    *node = (struct json){.refs = 1, .type = JSON_STRING, .place = JSON_COUNTED, .string = {copy, len}};
    memcpy(copy, text, len);
    copy[len] = '\0';
    return node;
}
