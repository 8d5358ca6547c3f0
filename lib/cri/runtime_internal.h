/*
 * runtime_internal.h: what the files of lib/cri share: one unary call, and plain structs to and from protobuf messages.
 */
#pragma once

#include "base/loop.h"
#include "cri/runtime.h"

/* gcc predefines it in gnu17, and messages of the CRI have a field of that name */
#undef linux
#include "cri.pb-c.h"
#pragma GCC diagnostic ignored "-Wcast-qual" /* in the initialisers of the generated header */

#define CRI_TIMEOUT_MS (2 * 60 * 1000)       /* sandboxes and containers; the kubelet's default too */
#define CRI_LIST_TIMEOUT_MS (10 * 1000)      /* what only reads the runtime's memory */
#define CRI_PULL_TIMEOUT_MS (30 * 60 * 1000) /* a large image over a slow line */

struct grpc_client;
struct cri_status_query;

/* The caller's callback; which member is told by the method. */
union cri_done {
    cri_id_done *id;
    cri_ok_done *ok;
    cri_sandboxes_done *sandboxes;
    cri_containers_done *containers;
    cri_image_done *image;
    cri_images_done *images;
    cri_stats_done *stats;
    cri_exec_done *exec;
    struct cri_status_query *status;
};

/* What becomes of an answer. answer NULL: err is set. */
typedef void cri_deliver(const ProtobufCMessage *answer, struct err *err, union cri_done done, void *data);

struct cri_method {
    const char *service; /* "RuntimeService", "ImageService" */
    const char *name;
    const ProtobufCMessageDescriptor *answer;
    cri_deliver *deliver;
    void (*abandon)(union cri_done done); /* the client is freed before the answer came; NULL: nothing to do */
    bool kept; /* goes on to its end when this process is killed */
};

struct cri {
    struct grpc_client *client;
};

/* Sends one unary request; deliver runs once, unless the client is freed first. */
void cri_start(struct cri *cri, const struct cri_method *method, const ProtobufCMessage *request, int64_t timeout_ms,
               union cri_done done, void *data);
/* Body and trailers of an answer, to deliver. Pure but for deliver; for fuzzing, and the end of every call. */
void cri_answer(const struct cri_method *method, const char *body, size_t len, const char *grpc_code,
                const char *grpc_message, union cri_done done, void *data);

/* Methods whose answers need no client to be delivered, for fuzzing: NULL-ended. */
extern const struct cri_method *const cri_runtime_methods[];
extern const struct cri_method *const cri_image_methods[];
extern const struct cri_method *const cri_stream_methods[];

/* --- memory that lives as long as one request is built or one answer delivered */
struct cri_scratch {
    void **items;
    size_t n, cap;
};
void *cri_scratch_alloc(struct cri_scratch *scratch, size_t n, size_t size) MUST_CHECK; /* zero-filled */
void cri_scratch_done(struct cri_scratch *scratch);
DEFINE_CLEANUP_IN_PLACE(struct cri_scratch, cri_scratch_done)

/* protobuf-c's strings are not const, but packing does not change them. NULL becomes "". */
char *cri_text(const char *text);
/* A NULL-ended list as protobuf-c wants it; the strings stay where they are. */
char **cri_texts(struct cri_scratch *scratch, const char *const *list, size_t *ret_n);
/* n strings of an answer as a NULL-ended list. */
const char *const *cri_list(struct cri_scratch *scratch, char **texts, size_t n);

Runtime__V1__LinuxContainerResources *cri_encode_resources(struct cri_scratch *scratch,
                                                           const struct cri_resources *resources);
Runtime__V1__PodSandboxConfig *cri_encode_sandbox(struct cri_scratch *scratch, const struct cri_sandbox_config *config);
Runtime__V1__ContainerConfig *cri_encode_container(struct cri_scratch *scratch,
                                                   const struct cri_container_config *config);

/* Answers without content, and a cri_ok_done. */
cri_deliver cri_deliver_ok;
