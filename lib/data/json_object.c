/*
 * json_object.c: the members of an object, in their order. Few are looked through one by one; many get an index, hashed by
 * SipHash with a key of its own, so that nobody outside can choose keys that fall into one place.
 */
#include <string.h>

#include "base/codec.h"
#include "base/mem.h"
#include "data/json_node.h"

enum { FEW = 16 }; /* up to so many members an index costs more than it saves */

struct json_index {
    uint64_t secret[2];
    size_t mask; /* number of slots, a power of two, less one */
    uint32_t slots[]; /* index of a member, plus one; 0: free */
};

/* --- the index */

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
    v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
}

/* SipHash-1-3, https://www.aumasson.jp/siphash/siphash.pdf; the byte order does not matter inside one process. */
static uint64_t hash(const struct json_index *index, const char *key, size_t len)
{
    uint64_t v[4] = {index->secret[0] ^ UINT64_C(0x736f6d6570736575), index->secret[1] ^ UINT64_C(0x646f72616e646f6d),
                     index->secret[0] ^ UINT64_C(0x6c7967656e657261), index->secret[1] ^ UINT64_C(0x7465646279746573)};

    for (size_t at = 0; at <= len; at += 8) {
        size_t n = len - at < 8 ? len - at : 8;
        uint64_t word = n < 8 ? (uint64_t)len << 56 : 0;
        memcpy(&word, key + at, n < 8 ? n : 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static inline bool has_key(const struct json_member *member, const char *key, size_t len)
{
    return member->key_len == len && *member->key == *key && memcmp(member->key, key, len) == 0;
}

/* The slot of the key, or the free one where it belongs. */
static uint32_t *find_slot(struct json_index *index, const struct json_member *members, const char *key, size_t len)
{
    size_t at = hash(index, key, len) & index->mask;

    while (index->slots[at] != 0 && !has_key(&members[index->slots[at] - 1], key, len))
        at = (at + 1) & index->mask;
    return &index->slots[at];
}

/* An index with room for `cap` members, with the first n of them in it. */
static struct json_index *index_new(struct json_document *document, const struct json_member *members, size_t n,
                                    size_t cap)
{
    size_t n_slots = 64;

    while (n_slots < cap * 2)
        n_slots *= 2;
    size_t size = sizeof(struct json_index) + n_slots * sizeof(uint32_t);
    struct json_index *index = document != NULL ? json_document_room(document, size) : xmalloc(size);
    memset(index, 0, size);
    random_bytes(index->secret, sizeof(index->secret));
    index->mask = n_slots - 1;
    for (size_t i = 0; i < n; i++)
        *find_slot(index, members, members[i].key, members[i].key_len) = (uint32_t)i + 1;
    return index;
}

/* --- members */

struct json_member *json_object_find(const struct json *object, const char *key, size_t key_len)
{
    struct json_member *members = object->object.members;

    if (object->object.index != NULL) {
        uint32_t position = *find_slot(object->object.index, members, key, key_len);
        return position != 0 ? &members[position - 1] : NULL;
    }
    for (size_t i = 0; i < object->object.n; i++)
        if (has_key(&members[i], key, key_len))
            return &members[i];
    return NULL;
}

static void rebuild_index(struct json *object)
{
    free(object->object.index);
    object->object.index = object->object.n > FEW ? index_new(NULL, object->object.members, object->object.n,
                                                              object->object.cap)
                                                  : NULL;
}

void json_object_put(struct json *object, char *key, size_t key_len, struct json *value)
{
    struct json_member *member = json_object_find(object, key, key_len);

    if (member != NULL) {
        struct json *before = member->value;
        member->value = value;
        json_free(before);
        free(key);
        return;
    }
    bool full = object->object.n == object->object.cap;
    GROW(object->object.members, object->object.n, object->object.cap);
    object->object.members[object->object.n++] = (struct json_member){key, key_len, value};
    if (object->object.n <= FEW)
        return;
    if (full || object->object.index == NULL)
        rebuild_index(object);
    else
        *find_slot(object->object.index, object->object.members, key, key_len) = object->object.n;
}

void json_object_remove(struct json *object, const char *key)
{
    struct json_member *member = json_object_find(object, key, strlen(key));

    if (member == NULL)
        return;
    struct json_member gone = *member;
    size_t behind = (size_t)(object->object.members + object->object.n - member) - 1;
    memmove(member, member + 1, behind * sizeof(*member));
    object->object.n--;
    if (object->object.index != NULL)
        rebuild_index(object);
    free(gone.key);
    json_free(gone.value);
}

void json_object_done(struct json *object)
{
    for (size_t i = 0; i < object->object.n; i++) {
        free(object->object.members[i].key);
        json_free(object->object.members[i].value);
    }
    free(object->object.members);
    free(object->object.index);
}

/* --- filling */

/* Puts the value of a second equal key into the first's place. */
static void replace(struct json_document *document, struct json_member *first, struct json_member *second)
{
    if (document == NULL) {
        free(second->key);
        json_free(first->value);
    }
    first->value = second->value;
}

/* How many stay. */
static size_t unite_few(struct json_document *document, struct json_member *members, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        while (at < kept && !has_key(&members[at], members[i].key, members[i].key_len))
            at++;
        if (at < kept)
            replace(document, &members[at], &members[i]);
        else
            members[kept++] = members[i];
    }
    return kept;
}

static size_t unite_many(struct json_document *document, struct json_index *index, struct json_member *members, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t *slot = find_slot(index, members, members[i].key, members[i].key_len);
        if (*slot != 0) {
            replace(document, &members[*slot - 1], &members[i]);
        } else {
            members[kept++] = members[i];
            *slot = (uint32_t)kept;
        }
    }
    return kept;
}

void json_object_fill(struct json_document *document, struct json *object, struct json_member *members, size_t n)
{
    if (n == 0)
        return;
    if (n <= FEW) {
        n = unite_few(document, members, n);
    } else {
        object->object.index = index_new(document, members, 0, n);
        n = unite_many(document, object->object.index, members, n);
    }
    size_t size = n * sizeof(*members);
    object->object.members = document != NULL ? json_document_room(document, size) : xmalloc(size);
    memcpy(object->object.members, members, size);
    object->object.n = object->object.cap = (uint32_t)n;
}
