/*
 * records.h: copies of what the runtime reported: cri.h lends its structs for the time of a callback only.
 */
#pragma once

#include "cri/runtime.h"

/* Deep: everything inside belongs to the copy. */
struct cri_container *record_container(const struct cri_container *from) MUST_CHECK;
/* The copy of a newer report; what ContainerStatus leaves out (the sandbox) is taken over from the older record. */
void record_container_update(struct cri_container **record, const struct cri_container *from);
struct cri_container *record_container_free(struct cri_container *container);
struct cri_sandbox *record_sandbox(const struct cri_sandbox *from) MUST_CHECK;
struct cri_sandbox *record_sandbox_free(struct cri_sandbox *sandbox);
struct cri_image *record_image(const struct cri_image *from) MUST_CHECK;
struct cri_image *record_image_free(struct cri_image *image);

DEFINE_CLEANUP_POINTER(struct cri_container *, record_container_free)
DEFINE_CLEANUP_POINTER(struct cri_sandbox *, record_sandbox_free)
DEFINE_CLEANUP_POINTER(struct cri_image *, record_image_free)
