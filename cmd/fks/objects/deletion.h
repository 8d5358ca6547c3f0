/*
 * deletion.h: deleting one object and waiting until it is gone: delete, replace --force, apply --force and --prune.
 */
#pragma once

#include "objects/items.h"

struct deletion {
    const char *policy;   /* "Background", "Foreground", "Orphan": deletion_policy */
    int64_t grace_period; /* seconds; negative: the object's own */
    const char *dry_run;  /* "none", "client" or "server" */
};

/* From the words of --cascade; ERR_USAGE. */
int deletion_policy(const char *cascade, const char **ret, struct err *err) MUST_CHECK;
/* DELETE. *ret_uid, which may be NULL: what was deleted, heap string or NULL, for deletion_wait. */
int deletion_send(struct cli *cli, const struct deletion *deletion, const struct item *item, char **ret_uid,
                  struct err *err) MUST_CHECK;
/* pod "web" deleted from default namespace; only the name: pod/web */
void deletion_print(const struct deletion *deletion, const struct item *item, bool only_name);
/*
 * Until the object is gone or another one has its name; uid NULL: any object of the name counts. ERR_TIMEOUT after
 * deadline_ms of the monotonic clock.
 */
int deletion_wait(struct cli *cli, const struct item *item, const char *uid, int64_t deadline_ms,
                  struct err *err) MUST_CHECK;
