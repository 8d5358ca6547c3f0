/*
 * user_ids.h: which user and group IDs of the host belong to each pod that has a user namespace (hostUsers: false). Every
 * such pod gets a range of its own, so that whoever breaks out of one is nobody on the host and in the other pods.
 */
#pragma once

#include "base/err.h"
#include "cri/runtime.h"

#define USER_IDS_LENGTH 65536 /* what images use, and the kubelet's default */

struct user_ids;

/* Reads what earlier agents gave out: <state_dir>/pods/<uid>/userns, in the kubelet's format. */
struct user_ids *user_ids_new(const char *state_dir);
struct user_ids *user_ids_free(struct user_ids *ids);
/* The pod's range if it has one; else length 0. */
struct cri_id_range user_ids_get(const struct user_ids *ids, const char *uid);
/*
 * The pod's range: the same one for as long as the pod's folder lives, which must be there already. ERR_BUSY: every range is taken; ERR_IO.
 */
int user_ids_take(struct user_ids *ids, const char *uid, struct cri_id_range *ret, struct err *err) MUST_CHECK;
/* The pod's folder is gone, and its containers. */
void user_ids_give(struct user_ids *ids, const char *uid);
/* The first ID of a record, or 0 if it is none that user_ids_take writes. Pure. */
uint32_t user_ids_parse(const char *text, size_t len);
