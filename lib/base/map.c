/*
 * map.c: the hash table of the tree, string keys to pointers. Entries lie in one array in the order they came; an
 * open-addressed index of positions finds them. A deletion leaves a hole (key NULL) that the next growth squeezes out,
 * which is why deleting while iterating is safe and inserting while iterating is not. Values are never freed here.
 */
#include "base/map.h"

#include <string.h>

#include "base/mem.h"

struct map_entry {
    char *key; /* NULL: deleted */
    void *value;
    uint32_t hash;
};

/* What a slot of the index holds: nothing, a deleted entry, or the entry's position plus one. */
#define SLOT_EMPTY 0
#define SLOT_DELETED UINT32_MAX

/*
 * FNV-1a, finished with a mix. Seeded with the address of the index, which differs from run to run: labels and names
 * come from users, who must not be able to choose keys that all collide.
 */
static uint32_t hash_key(const struct map *map, const char *key)
{
    uint64_t hash = 0xcbf29ce484222325u ^ ((uint64_t)(uintptr_t)map->index * 0x9e3779b97f4a7c15u);

    for (const char *c = key; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return (uint32_t)(hash >> 32);
}

/* The slot of key, or NULL. */
static uint32_t *find_slot(const struct map *map, const char *key)
{
    size_t mask = map->index_cap - 1;
    uint32_t hash;

    if (map->n == 0)
        return NULL;
    hash = hash_key(map, key);
    for (size_t i = hash & mask; map->index[i] != SLOT_EMPTY; i = (i + 1) & mask) {
        const struct map_entry *entry;

        if (map->index[i] == SLOT_DELETED)
            continue;
        entry = &map->entries[map->index[i] - 1];
        if (entry->hash == hash && strcmp(entry->key, key) == 0)
            return &map->index[i];
    }
    return NULL;
}

static void index_entry(struct map *map, size_t position)
{
    struct map_entry *entry = &map->entries[position];
    size_t mask = map->index_cap - 1;
    size_t i;

    entry->hash = hash_key(map, entry->key);
    for (i = entry->hash & mask; map->index[i] != SLOT_EMPTY; i = (i + 1) & mask)
        ;
    map->index[i] = (uint32_t)position + 1;
}

/* Squeezes the holes out and makes room; the index is always at least twice as large as the entries. */
static void rebuild(struct map *map)
{
    size_t used = 0;

    for (size_t i = 0; i < map->used; i++) {
        if (map->entries[i].key != NULL)
            map->entries[used++] = map->entries[i];
    }
    map->used = used;
    map->cap = 8;
    /* half empty after the rebuild, so that set and del in turn do not rebuild each time */
    while (map->cap < used * 2)
        map->cap *= 2;
    map->entries = xrealloc(map->entries, map->cap, sizeof(map->entries[0]));
    free(map->index);
    map->index_cap = map->cap * 2;
    map->index = xcalloc(map->index_cap, sizeof(map->index[0]));
    for (size_t i = 0; i < used; i++)
        index_entry(map, i);
}

void *map_get(const struct map *map, const char *key)
{
    const uint32_t *slot = find_slot(map, key);

    return slot != NULL ? map->entries[*slot - 1].value : NULL;
}

bool map_has(const struct map *map, const char *key)
{
    return find_slot(map, key) != NULL;
}

void *map_set(struct map *map, const char *key, void *value)
{
    const uint32_t *slot = find_slot(map, key);

    if (slot != NULL) {
        void *before = map->entries[*slot - 1].value;

        map->entries[*slot - 1].value = value;
        return before;
    }
    if (map->used == map->cap)
        rebuild(map);
    map->entries[map->used] = (struct map_entry){.key = xstrdup(key), .value = value};
    index_entry(map, map->used);
    map->used++;
    map->n++;
    return NULL;
}

void *map_del(struct map *map, const char *key)
{
    uint32_t *slot = find_slot(map, key);
    struct map_entry *entry;
    void *value;

    if (slot == NULL)
        return NULL;
    entry = &map->entries[*slot - 1];
    value = entry->value;
    free(entry->key);
    *entry = (struct map_entry){0};
    *slot = SLOT_DELETED;
    map->n--;
    return value;
}

void map_done(struct map *map)
{
    if (map == NULL)
        return;
    for (size_t i = 0; i < map->used; i++)
        free(map->entries[i].key);
    free(map->entries);
    free(map->index);
    *map = (struct map){0};
}

bool map_next(const struct map *map, size_t *position, const char **ret_key, void **ret_value)
{
    while (*position < map->used) {
        const struct map_entry *entry = &map->entries[(*position)++];

        if (entry->key == NULL)
            continue;
        if (ret_key != NULL)
            *ret_key = entry->key;
        if (ret_value != NULL)
            *ret_value = entry->value;
        return true;
    }
    return false;
}
