/*
 * image_turns.h: how many images are pulled at a time; whoever comes when all turns are taken waits in line. Pure.
 */
#pragma once

#include <stddef.h>

#include "base/loop.h"

struct image_turns;

struct image_turns *image_turns_new(size_t most);
/* Those who wait are forgotten. */
struct image_turns *image_turns_free(struct image_turns *turns);
/* begin(data) runs once it is its turn: before this returns, or out of an image_turns_give. */
void image_turns_take(struct image_turns *turns, loop_callback *begin, void *data);
/* Whoever had a turn is through. */
void image_turns_give(struct image_turns *turns);
