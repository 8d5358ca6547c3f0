/*
 * watch.h: watching from the command line: blocking, one collection or object, until the callback has seen enough.
 */
#pragma once

#include "objects/items.h"

struct watch_request {
    const char *path;                            /* collection, encoded */
    const char *name;                            /* only this object, or NULL */
    const char *label_selector, *field_selector; /* or NULL */
    const char *resource_version; /* NULL: begin with what is there */
    const char *accept; /* or NULL */
    int64_t timeout_ms; /* 0: none */
};
/* type: ADDED, MODIFIED, DELETED, BOOKMARK; returns false to end the watch. */
typedef bool watch_event(const char *type, const struct json *object, void *data);

/*
 * 0 when the callback ended it or the server did (*ret_ended_by_server tells); ERR_TIMEOUT when the time was up; an
 * ERROR event comes back as the error.
 */
int watch_run(struct cli *cli, const struct watch_request *request, watch_event *event, void *data,
              bool *ret_ended_by_server, struct err *err) MUST_CHECK;
