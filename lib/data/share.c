/*
 * share.c: see share.h.
 */
#include "data/share.h"

#include "base/mem.h"

struct shared *share_take(struct share *share, const struct json *tree)
{
    CLEANUP(buf_done) struct buf text = {0};
    struct shared *shared;

    if (tree == NULL)
        return NULL;
    json_print(tree, &text);
    shared = map_get(&share->by_text, buf_text(&text));
    if (shared == NULL) {
        shared = NEW(struct shared);
        shared->tree = json_clone(tree);
        (void)map_set(&share->by_text, buf_text(&text), shared);
    }
    shared->n++;
    return shared;
}

static void shared_free(struct shared *shared)
{
    json_free(shared->tree);
    free(shared);
}

void share_drop(struct share *share, struct shared *shared)
{
    CLEANUP(buf_done) struct buf text = {0};

    if (shared == NULL || --shared->n > 0)
        return;
    json_print(shared->tree, &text);
    (void)map_del(&share->by_text, buf_text(&text));
    shared_free(shared);
}

void share_done(struct share *share)
{
    const char *text;
    void *shared;

    for (size_t i = 0; map_next(&share->by_text, &i, &text, &shared);)
        shared_free(shared);
    map_done(&share->by_text);
}
