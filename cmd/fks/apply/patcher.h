/*
 * patcher.h: client-side apply's way of changing an object that exists: three-way patch, conflicts tried again, and,
 * when asked by --force, deletion and creation. apply and diff.
 */
#pragma once

#include "objects/deletion.h"
#include "objects/write.h"

struct patcher {
    struct cli *cli;
    const struct write_options *write;
    bool overwrite;           /* false: a field that others have changed too is an error */
    bool lock;                /* only the version that was read may be patched */
    bool force;               /* delete and create when the patch is refused */
    struct deletion deletion; /* of force */
    int64_t timeout_ms;       /* of force: for the old object's end; 0: five minutes */
};

/*
 * Makes *live, which is kept up to date, like modified (the file with its annotation). *ret: what came of it;
 * *ret_patch, which may be left NULL: what was sent, {} when nothing was to be done.
 */
int patcher_run(const struct patcher *patcher, const struct item *item, const struct json *modified, struct json **live,
                struct json **ret, struct json **ret_patch, struct err *err) MUST_CHECK;
/* The file as it was applied last, from the annotation; *ret stays NULL if there is none. */
int patcher_last_applied(const struct json *live, struct json **ret, struct err *err) MUST_CHECK;
