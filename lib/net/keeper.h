/*
 * keeper.h: a process beside this one that holds copies of connections, so that the other end does not learn when this one is
 * killed: a server that gives up what its client no longer waits for goes on with it. (containerd starts a container's program
 * and, when the caller has hung up by then, kills it.)
 *
 * A connection that is done with must be shut down, not only closed: the copy would keep it open. The keeper lets go of what was
 * shut down by either end. When this process has ended it holds the rest for KEEPER_PATIENCE_MS at most, and ends.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"

#define KEEPER_PATIENCE_MS (2 * 60 * 1000)
#define KEEPER_MAX 4096 /* connections at a time; what is more is not kept */

struct keeper;

/* Forks: before threads are made, and before files are open that must not outlive this process (it closes them all). */
int keeper_new(struct keeper **ret, struct err *err) MUST_CHECK;
/* As if this process had ended. */
struct keeper *keeper_free(struct keeper *keeper);
/* A copy of the socket goes to the keeper; when that is not possible it is not kept, and nobody is told. */
void keeper_hold(struct keeper *keeper, int fd);

DEFINE_CLEANUP_POINTER(struct keeper *, keeper_free)
