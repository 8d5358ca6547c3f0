/*
 * run_attach.h: what `run` does after the pod was made when it is to be attached to.
 */
#pragma once

#include "cli.h"

struct run_attach {
    struct cli *cli;
    const char *name;      /* of the pod */
    const char *container; /* NULL: the pod's default one */
    bool use_stdin, tty, quiet;
    bool wait_for_end;  /* the exit code is the container's; else that of attaching */
    bool for_success;   /* a pod that is restarted after failures ends only well */
    int64_t timeout_ms; /* for each wait */
};
/* Waits until the pod is ready, joins its streams, waits for its end. What is wrong has been said; returns the exit
 * code. */
int run_attach(const struct run_attach *attach);
/* Joins the streams of a container that runs, or shows the logs of one that has ended; returns the exit code. */
int run_attach_join(const struct run_attach *attach, const struct json *pod, bool ended);
