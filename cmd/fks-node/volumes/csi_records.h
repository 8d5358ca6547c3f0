/*
 * csi_records.h: what of CSI volumes must outlive the agent: small JSON files, written before a driver is asked for
 * something and removed when it has undone it. So whoever starts after a kill knows what may be there.
 *
 *     <state_dir>/plugins/kubernetes.io/csi/<digest>/volume.json  a volume that is, or may be, staged; beside it
 * globalmount/ <state_dir>/pods/<uid>/csi/<volume>.json                    a volume that is, or may be, published for a
 * pod
 */
#pragma once

#include "base/str.h"
#include "data/json.h"

/* Of a volume, for its folder; 64 hexadecimal digits. */
void csi_record_digest(const char *driver, const char *handle, char ret[65]);
/* Heap strings. */
char *csi_record_stage_dir(const char *state_dir, const char *digest) MUST_CHECK;
char *csi_record_stage_path(const char *state_dir, const char *digest) MUST_CHECK;
char *csi_record_use_path(const char *state_dir, const char *uid, const char *volume) MUST_CHECK;

/* Makes the folder as well. */
int csi_record_write(const char *path, const struct json *record, struct err *err) MUST_CHECK;
/* Absent is success. */
int csi_record_remove(const char *path, struct err *err) MUST_CHECK;

/* Calls back for every record that can be read; others are logged and left alone. uid NULL: of a staged volume. */
typedef void csi_record_found(const char *uid, const char *name, const struct json *record, void *data);
void csi_record_each(const char *state_dir, csi_record_found *found, void *data);
