/*
 * share.h: trees that thousands of objects have alike, such as the labels of a Deployment's pods, are kept once.
 */
#pragma once

#include "base/map.h"
#include "data/json.h"

struct share { /* {0} is valid and empty */
    struct map by_text; /* the tree as printed → struct shared */
};

struct shared {
    struct json *tree;
    size_t n; /* those who hold it */
};

/* The one equal to tree, keys in the same order; the caller holds it until share_drop. A NULL tree gives NULL. */
struct shared *share_take(struct share *share, const struct json *tree) MUST_CHECK;
/* NULL is fine. */
void share_drop(struct share *share, struct shared *shared);
/* What is still held goes too. */
void share_done(struct share *share);
DEFINE_CLEANUP_IN_PLACE(struct share, share_done)
