/*
 * log_rotation.h: keeps the logs of running containers from filling the disk, as the kubelet does: a log that has become
 * too large is renamed, the runtime begins a new one, older ones are compressed, the oldest removed.
 */
#pragma once

#include "agent.h"

struct log_rotation *log_rotation_new(struct agent *agent);
struct log_rotation *log_rotation_free(struct log_rotation *rotation);

/* Rotated files of the log at path ("0.log" → "0.log.20260102-150405", "....gz"), oldest first, full paths. */
void log_rotation_list(const char *path, struct strv *ret);
/*
 * What the log at path is renamed to at this time (seconds since 1970). Later than every name that is there, also when the
 * clock was set back: else a newer log would be taken for the oldest, or replace another.
 */
char *log_rotation_name(const char *path, int64_t now_s) MUST_CHECK;
/* Removes the log and everything rotated from it. */
void log_rotation_remove(const char *path);
