/*
 * rollout.h: what the `rollout` commands share. rollout.c has the commands and the small changes, rollout_status.c follows
 * a rollout, rollout_history.c looks at revisions and goes back to one.
 */
#pragma once

#include "objects/write.h"
#include "print/output.h"

struct rollout {
    struct cli *cli;
    struct selection selection;
    struct write_options write;
    struct output_options output_options;
    struct output output;
    bool watch;
    int64_t timeout_ms;
    int64_t revision; /* --revision, --to-revision; 0: none given */
};

/* One action on one object; what there is to say has been printed, or is in err. */
int rollout_status(struct rollout *rollout, const struct item *item, struct err *err) MUST_CHECK;
int rollout_history(struct rollout *rollout, const struct item *item, struct err *err) MUST_CHECK;
int rollout_undo(struct rollout *rollout, const struct item *item, struct err *err) MUST_CHECK;
