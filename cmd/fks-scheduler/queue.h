/*
 * queue.h: pods that wait for their next try, with a back-off each of 1, 2, 4, ... 60 s, for ever. Pure: the caller
 * brings the time. Each back-off length is a list of its own, whose entries fall due in the order they were added, so
 * every operation is O(1).
 */
#pragma once

#include "base/compiler.h"

#define QUEUE_LEVELS 7 /* 1 2 4 8 16 32 60 s */

enum queue_state { QUEUE_OUT, QUEUE_READY, QUEUE_WAITING };

struct queue_item { /* embedded in what waits; {0} is a valid item that is in no queue */
    struct queue_item *previous, *next;
    int64_t due_ms;
    int level; /* of the next back-off */
    int list;  /* which list it is in */
    enum queue_state state;
};

struct queue { /* queue_init makes one; nothing to free */
    struct queue_item ready;
    struct queue_item waiting[QUEUE_LEVELS];
    size_t n;
};

void queue_init(struct queue *queue);
/* Due now, behind those that are ready already. Does nothing for an item that is in the queue. */
void queue_add(struct queue *queue, struct queue_item *item);
/* A try failed: due after the item's back-off, which doubles. The item is in no queue. */
void queue_failed(struct queue *queue, struct queue_item *item, int64_t now_ms);
/* Forgets earlier failures. */
void queue_forgive(struct queue_item *item);
void queue_remove(struct queue *queue, struct queue_item *item);
/* Something changed that may help: all that wait are due now, longest-suffering first, ahead of the ready. */
void queue_wake(struct queue *queue);
/* Takes out the next due item, or returns NULL. */
struct queue_item *queue_next(struct queue *queue, int64_t now_ms);
/* Milliseconds until something is due, 0 if something is; -1 when empty. */
int64_t queue_delay(const struct queue *queue, int64_t now_ms);
