/*
 * queue.c: what waits for its next try. Used twice: for pods that need a host, and for bindings that failed. Knows
 * nothing of pods; the item is embedded in them.
 */
#include "queue.h"

static const int64_t delays_ms[QUEUE_LEVELS] = {1000, 2000, 4000, 8000, 16000, 32000, 60000};

static void list_init(struct queue_item *head)
{
    head->previous = head->next = head;
}

static bool list_is_empty(const struct queue_item *head)
{
    return head->next == head;
}

static void list_append(struct queue_item *head, struct queue_item *item)
{
    item->previous = head->previous;
    item->next = head;
    head->previous->next = item;
    head->previous = item;
}

static void list_unlink(struct queue_item *item)
{
    item->previous->next = item->next;
    item->next->previous = item->previous;
    item->previous = item->next = NULL;
}

void queue_init(struct queue *queue)
{
    list_init(&queue->ready);
    for (int i = 0; i < QUEUE_LEVELS; i++)
        list_init(&queue->waiting[i]);
    queue->n = 0;
}

void queue_add(struct queue *queue, struct queue_item *item)
{
    if (item->state != QUEUE_OUT)
        return;
    list_append(&queue->ready, item);
    item->state = QUEUE_READY;
    queue->n++;
}

void queue_failed(struct queue *queue, struct queue_item *item, int64_t now_ms)
{
    if (item->state != QUEUE_OUT)
        return;
    item->list = item->level;
    item->due_ms = now_ms + delays_ms[item->level];
    if (item->level < QUEUE_LEVELS - 1)
        item->level++;
    list_append(&queue->waiting[item->list], item);
    item->state = QUEUE_WAITING;
    queue->n++;
}

void queue_forgive(struct queue_item *item)
{
    item->level = 0;
}

void queue_remove(struct queue *queue, struct queue_item *item)
{
    if (item->state == QUEUE_OUT)
        return;
    list_unlink(item);
    item->state = QUEUE_OUT;
    queue->n--;
}

void queue_wake(struct queue *queue)
{
    /* the lists are put ahead of the ready one by one, so the one that has waited through most tries ends up first */
    for (int i = 0; i < QUEUE_LEVELS; i++) {
        struct queue_item *list = &queue->waiting[i];

        if (list_is_empty(list))
            continue;
        for (struct queue_item *item = list->next; item != list; item = item->next)
            item->state = QUEUE_READY;
        list->previous->next = queue->ready.next;
        queue->ready.next->previous = list->previous;
        queue->ready.next = list->next;
        list->next->previous = &queue->ready;
        list_init(list);
    }
}

struct queue_item *queue_next(struct queue *queue, int64_t now_ms)
{
    struct queue_item *item = NULL;

    /* due retries first: they are older than what has just come */
    for (int i = QUEUE_LEVELS - 1; i >= 0 && item == NULL; i--)
        if (!list_is_empty(&queue->waiting[i]) && queue->waiting[i].next->due_ms <= now_ms)
            item = queue->waiting[i].next;
    if (item == NULL && !list_is_empty(&queue->ready))
        item = queue->ready.next;
    if (item != NULL)
        queue_remove(queue, item);
    return item;
}

int64_t queue_delay(const struct queue *queue, int64_t now_ms)
{
    int64_t delay = -1;

    if (!list_is_empty(&queue->ready))
        return 0;
    for (int i = 0; i < QUEUE_LEVELS; i++) {
        const struct queue_item *list = &queue->waiting[i];

        if (list_is_empty(list))
            continue;
        if (list->next->due_ms <= now_ms)
            return 0;
        if (delay < 0 || list->next->due_ms - now_ms < delay)
            delay = list->next->due_ms - now_ms;
    }
    return delay;
}
