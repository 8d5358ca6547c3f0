/*
 * storage.h: how much disk the pods use, and what follows: a pod that exceeds a limit of its own, or its machine's disk,
 * is evicted, as the kubelet does; a host whose disk is nearly full takes no new pods.
 */
#pragma once

#include "agent.h"

struct pod;

struct storage *storage_new(struct agent *agent);
struct storage *storage_free(struct storage *storage);
/* The host's disk is nearly full. */
bool storage_is_under_pressure(const struct storage *storage);

/*
 * The limit that the pod exceeds with what was measured of it, as the message of its eviction; NULL: none. Heap string.
 * Pure.
 */
char *storage_excess(const struct pod *pod) MUST_CHECK;
/* Reads what a measuring process wrote (private, for tests): lines "UID v VOLUME BYTES INODES", "UID l CONTAINER BYTES". */
void storage_read(struct pods *pods, const char *text, int64_t now_ns);
/* Bytes on disk and number of files at path and below, other file systems left out. */
void storage_measure(const char *path, int64_t *ret_bytes, int64_t *ret_files);
