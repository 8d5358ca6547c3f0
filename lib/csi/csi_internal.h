/*
 * csi_internal.h: for fuzzing: what becomes of an answer.
 */
#pragma once

#include "cri/grpc_call.h"
#include "csi/csi.h"

union csi_done {
    csi_ok_done *ok;
    csi_info_done *info;
    csi_capabilities_done *capabilities;
    csi_plugin_done *plugin;
};

struct csi_method {
    struct grpc_method grpc;
    void (*deliver)(const ProtobufCMessage *answer, struct err *err, union csi_done done, void *data);
};
extern const struct csi_method *const csi_methods[]; /* NULL-ended */

/* Body and trailers of an answer, to done. Pure but for done. */
void csi_answer(const struct csi_method *method, const char *body, size_t len, const char *code, const char *message,
                union csi_done done, void *data);
