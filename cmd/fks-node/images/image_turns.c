/*
 * image_turns.c: see image_turns.h. Pulls share one network and one disk: a host that begins with a hundred pods gets
 * the first of them running sooner when not all pull at once.
 */
#include "images/image_turns.h"

#include "base/mem.h"

struct waiter {
    struct waiter *next;
    loop_callback *begin;
    void *data;
};

struct image_turns {
    size_t free;
    struct waiter *first, **end;
};

struct image_turns *image_turns_new(size_t most)
{
    struct image_turns *turns = NEW(struct image_turns);

    turns->free = most;
    turns->end = &turns->first;
    return turns;
}

struct image_turns *image_turns_free(struct image_turns *turns)
{
    while (turns != NULL && turns->first != NULL) {
        struct waiter *waiter = turns->first;

        turns->first = waiter->next;
        free(waiter);
    }
    free(turns);
    return NULL;
}

void image_turns_take(struct image_turns *turns, loop_callback *begin, void *data)
{
    if (turns->free > 0) {
        turns->free--;
        begin(data);
        return;
    }
    struct waiter *waiter = NEW(struct waiter);
    *waiter = (struct waiter){.begin = begin, .data = data};
    *turns->end = waiter;
    turns->end = &waiter->next;
}

void image_turns_give(struct image_turns *turns)
{
    CLEANUP(xfree) struct waiter *waiter = turns->first;

    if (waiter == NULL) {
        turns->free++;
        return;
    }
    turns->first = waiter->next;
    if (turns->first == NULL)
        turns->end = &turns->first;
    waiter->begin(waiter->data); /* the turn is passed on */
}
