/*
 * http1.h: HTTP/1.1 request parser and response heads (RFC 9112). Pure: bytes in, struct out; fed with whatever has
 * arrived, at any split. Strict: no bare CR, no obs-fold, no space before ':', one Content-Length, no Content-Length
 * beside Transfer-Encoding (request smuggling), only chunked as transfer coding.
 */
#pragma once

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"

struct http1_header {
    struct str name, value; /* slices of the head */
};

struct http1_request {
    struct str method;
    struct str target;       /* as sent: path and query */
    struct str path, query;  /* of the target; query without '?', may be empty; both still percent-encoded */
    int minor_version;       /* 0 or 1 */
    struct http1_header headers[LIMIT_HTTP_HEADERS];
    size_t n_headers;
    int64_t content_length;  /* -1 when chunked */
    bool chunked;
    bool keep_alive;         /* by version and Connection */
    bool expect_continue;
    bool upgrade;            /* Connection: upgrade and an Upgrade header */
    size_t head_len;         /* bytes of the head, its empty line included */
};

/*
 * Parses one head at the start of data. 1: complete; 0: more bytes are needed; negative: ERR_PARSE (answer 400),
 * ERR_TOO_BIG (431), ERR_UNSUPPORTED (501 for another transfer coding, 505 for another version); err->http_status is the
 * status to answer with. Slices point into data. *ret is only whole after 1. Nothing is remembered between calls: a
 * caller that is fed byte by byte need not call again before another '\n' has come.
 */
int http1_parse_request(const char *data, size_t len, struct http1_request *ret, struct err *err) MUST_CHECK;
/* The first header of this name (any case), or a slice with p == NULL. */
struct str http1_header(const struct http1_request *request, const char *name);

/* State of one body under way; {0} then http1_body_begin. */
struct http1_body {
    int state;
    int64_t left;    /* of the content or of the current chunk */
    size_t total;    /* body bytes so far */
    size_t overhead; /* bytes of chunk extensions and trailers so far, which are read past */
    size_t max;
};
void http1_body_begin(struct http1_body *body, const struct http1_request *request, size_t max);
/*
 * Moves body bytes from data to out. *ret_used: bytes of data consumed. 1: body complete; 0: more is needed; negative:
 * ERR_PARSE (400) or ERR_TOO_BIG (413); err->http_status is set as above. Trailers are dropped.
 */
int http1_body_read(struct http1_body *body, const char *data, size_t len, size_t *ret_used, struct buf *out,
                    struct err *err) MUST_CHECK;

/*
 * One query parameter or form value, decoded, as a heap string; NULL if absent. index: which of several equal names.
 * Pairs with a broken escape are passed over, as Go's url.ParseQuery does.
 */
char *http1_query(struct str query, const char *name, size_t index) MUST_CHECK;

const char *http1_reason(int status); /* "OK", "Not Found", ... */
