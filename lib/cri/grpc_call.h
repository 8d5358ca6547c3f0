/*
 * grpc_call.h: unary gRPC calls over HTTP/2 without TLS on a unix socket, asynchronous on a loop: what the clients of
 * the container runtime and of CSI drivers share. One connection per call.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "base/loop.h"

struct grpc_client;
struct keeper;

struct grpc_method {                      /* strings are static */
    const char *package, *service, *name; /* "runtime.v1", "RuntimeService", "Version" */
    const ProtobufCMessageDescriptor *answer;
    bool kept; /* goes on to its end when this process is killed */
};

/* Runs exactly once, unless the client is freed first. answer NULL: err tells why, with codes from the gRPC status. */
typedef void grpc_done(const ProtobufCMessage *answer, struct err *err, void *data);
/* Runs instead when the client is freed before the answer came. */
typedef void grpc_abandoned(void *data);

/* keeper: holds the connections of kept calls (net/keeper.h), borrowed; NULL: nobody does. */
int grpc_client_new(struct loop *loop, const char *socket_path, struct keeper *keeper, struct grpc_client **ret,
                    struct err *err) MUST_CHECK;
struct grpc_client *grpc_client_free(struct grpc_client *client);
/* timeout_ms is told to the other end, too. abandoned may be NULL. */
void grpc_start(struct grpc_client *client, const struct grpc_method *method, const ProtobufCMessage *request,
                int64_t timeout_ms, grpc_done *done, grpc_abandoned *abandoned, void *data);
/* Body and trailers of an answer, to done. Pure but for done; for fuzzing, and the end of every call. */
void grpc_answer(const struct grpc_method *method, const char *body, size_t len, const char *code, const char *message,
                 grpc_done *done, void *data);

DEFINE_CLEANUP_POINTER(struct grpc_client *, grpc_client_free)
