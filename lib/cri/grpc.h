/*
 * grpc.h: the bytes of gRPC: 5-byte message frames and the status in the trailers. Pure.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* Appends one uncompressed message frame. */
void grpc_frame(const void *message, size_t len, struct buf *out);
/*
 * One unary answer: exactly one frame. *ret points into data. ERR_PARSE for anything else (compressed, short, trailing
 * bytes), ERR_TOO_BIG past LIMIT_GRPC_MESSAGE.
 */
int grpc_unframe(const char *data, size_t len, const char **ret, size_t *ret_len, struct err *err) MUST_CHECK;
/* grpc-status and percent-encoded grpc-message trailers as an error; 0 for status "0". NULL status: ERR_PARSE. */
int grpc_status(const char *status, const char *message, struct err *err) MUST_CHECK;
