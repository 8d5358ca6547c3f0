/*
 * prune.h: --prune of apply and diff: the objects that were applied once and are in no file any more.
 */
#pragma once

#include "objects/items.h"

struct prune {
    struct cli *cli;
    const char *label_selector;   /* or NULL */
    const struct strv *allowlist; /* "group/version/kind", core for the core group; empty: the usual kinds */
    struct strv uids;             /* of what was applied: prune_mark */
    struct strv namespaces;       /* the namespaces to look in */
};
void prune_done(struct prune *prune);
/* The allowlist's kinds are known to the server; ERR_USAGE, ERR_NOT_FOUND. */
int prune_check(struct prune *prune, struct err *err) MUST_CHECK;
/* item is in the files; object is what the server has of it, or NULL. */
void prune_mark(struct prune *prune, const struct item *item, const struct json *object);
/* Calls back with each object to be pruned. */
typedef int prune_found(const struct item *item, void *data, struct err *err);
int prune_each(struct prune *prune, prune_found *found, void *data, struct err *err) MUST_CHECK;
