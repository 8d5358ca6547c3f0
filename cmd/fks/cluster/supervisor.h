/*
 * supervisor.h: one process per local cluster that starts the cluster's programs and restarts what dies, with back-off,
 * logs under the cluster's folder. It is `fks cluster-supervisor FOLDER`, started by create and start.
 *
 * supervisor.pid is locked while it runs. processes.json tells {"NAME": {"pid": N, "restarts": N}} for people and tests.
 * SIGTERM: stops everything in order, then exits. SIGHUP: reads cluster.json again (hosts added or removed).
 */
#pragma once

#include <sys/types.h>

#include "cluster/cluster.h"

/* Starts it in the background. */
int supervisor_start(const struct cluster *cluster, struct err *err) MUST_CHECK;
/* Its pid, or 0 while none runs. */
pid_t supervisor_pid(const struct cluster *cluster);
/* SIGTERM, and waits until it is gone; at most timeout_ms. Not running is success. */
int supervisor_stop(const struct cluster *cluster, int64_t timeout_ms, struct err *err) MUST_CHECK;
/* Tells it to read cluster.json again. */
int supervisor_reload(const struct cluster *cluster, struct err *err) MUST_CHECK;
/* Folder of this executable, where fks-webhook, fks-scheduler and fks-node lie beside it. Heap string. */
char *supervisor_programs_dir(void) MUST_CHECK;
