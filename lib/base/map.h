/*
 * map.h: string keys to pointers. Keys are copied. {0} is a valid empty map. Iteration is in insertion order until a
 * deletion, and deleting the entry just visited is allowed.
 */
#pragma once

#include "base/compiler.h"

struct map_entry; /* private */
struct map {
    struct map_entry *entries;
    size_t n;    /* live entries */
    size_t used; /* private */
    size_t cap;  /* private */
    uint32_t *index;
    size_t index_cap;
};

/* The value, NULL if absent (a NULL value cannot be told from an absent key; use map_has). */
void *map_get(const struct map *map, const char *key);
bool map_has(const struct map *map, const char *key);
/* Returns the value that was there before, or NULL. */
void *map_set(struct map *map, const char *key, void *value);
/* Removes and returns the value, or NULL. */
void *map_del(struct map *map, const char *key);
/* Frees keys and table, not the values. */
void map_done(struct map *map);

/* for (size_t i = 0; map_next(&map, &i, &key, &value);) */
bool map_next(const struct map *map, size_t *position, const char **ret_key, void **ret_value);
DEFINE_CLEANUP_IN_PLACE(struct map, map_done)
