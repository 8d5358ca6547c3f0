/*
 * http1_response.h: heads of HTTP/1.1 answers (RFC 9112), for clients. Pure, like http1.h, which also reads the bodies.
 */
#pragma once

#include "net/http1.h"

struct http1_response {
    int status;              /* 100 to 999 */
    struct http1_header headers[LIMIT_HTTP_HEADERS];
    size_t n_headers;
    bool chunked;
    int64_t content_length;  /* -1: chunked, or until the connection ends */
    bool keep_alive;         /* by version and Connection; not where the body runs to the connection's end */
    size_t head_len;         /* bytes of the head, its empty line included */
};

/*
 * Parses one head at the start of data. 1: complete; 0: more bytes are needed; negative: ERR_PARSE, ERR_TOO_BIG,
 * ERR_UNSUPPORTED (a transfer coding other than chunked). Slices point into data. *ret is only whole after 1. has_body false: the
 * request was a HEAD, so what the headers say of a body counts for nothing; 1xx, 204 and 304 never have one.
 */
int http1_parse_response(const char *data, size_t len, bool has_body, struct http1_response *ret,
                         struct err *err) MUST_CHECK;
/* The first header of this name (any case), or a slice with p == NULL. */
struct str http1_response_header(const struct http1_response *response, const char *name);
/* As http1_body_begin; not for a body that runs to the connection's end. */
void http1_response_body_begin(struct http1_body *body, const struct http1_response *response, size_t max);
