/*
 * image_credentials.h: which credentials an image on this host was pulled with. Without it a pod could run the private
 * image of another, because it is there already; the kubelet keeps such records too. Images that were loaded from files
 * have no record, and are anybody's.
 */
#pragma once

#include "base/err.h"

#include "images/pull_secrets.h"

struct image_credentials;

/* Reads the records below state_dir. If they cannot be read, the log says so, and every image counts as loaded. */
struct image_credentials *image_credentials_new(const char *state_dir);
struct image_credentials *image_credentials_free(struct image_credentials *records);

/* The image was pulled with this credential; NULL: with none, so anybody may have it. */
void image_credentials_record(struct image_credentials *records, const char *image_id,
                              const struct pull_credential *used);
/* A pod with these credentials may use the image without pulling it again. */
bool image_credentials_allow(struct image_credentials *records, const char *image_id,
                             const struct pull_credentials *own);
DEFINE_CLEANUP_POINTER(struct image_credentials *, image_credentials_free)
