/*
 * image_gc.h: removes images that no container uses when the disk becomes full, least recently used first, as the kubelet
 * does. Images that the runtime pinned, and the sandboxes' own, stay.
 */
#pragma once

#include "agent.h"

struct image_gc *image_gc_new(struct agent *agent);
struct image_gc *image_gc_free(struct image_gc *gc);

struct image_gc_image {
    const char *id;
    uint64_t size_b;
    int64_t first_seen_ms, last_used_ms; /* loop times */
    bool in_use, pinned;
};
/*
 * Sorts the images so that those to be removed come first, and returns how many these are: unused, seen for longer than
 * the minimum age, just enough of them to free free_b. Pure.
 */
size_t image_gc_choose(struct image_gc_image *images, size_t n, uint64_t free_b, int64_t now_ms);
