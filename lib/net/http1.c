/*
 * http1.c: what server.c understands of HTTP/1.1 on the wire: request heads and bodies. Works on bytes already in
 * memory, reads no socket, keeps no copies. A front proxy and this parser must never disagree on where a request ends, so
 * everything that RFC 9112 leaves to the recipient's leniency is refused.
 */
#include "net/http1.h"

#include <strings.h>

#include "base/codec.h"
#include "base/mem.h"

/* --- characters */

enum { CHAR_TOKEN = 1 << 0, CHAR_TARGET = 1 << 1, CHAR_VALUE = 1 << 2 };

/* RFC 9110 5.6.2 token, RFC 3986 characters of a request target ('#' never is sent), RFC 9110 5.5 field value. */
static const uint8_t char_class[256] = {
    ['\t'] = CHAR_VALUE,
    [' '] = CHAR_VALUE,
    ['!'] = CHAR_TOKEN | CHAR_TARGET | CHAR_VALUE,
    ['"'] = CHAR_TARGET | CHAR_VALUE,
    ['#'] = CHAR_TOKEN | CHAR_VALUE,
    ['$' ... '\''] = CHAR_TOKEN | CHAR_TARGET | CHAR_VALUE,
    ['(' ... ')'] = CHAR_TARGET | CHAR_VALUE,
    ['*' ... '+'] = CHAR_TOKEN | CHAR_TARGET | CHAR_VALUE,
    [','] = CHAR_TARGET | CHAR_VALUE,
    ['-' ... '.'] = CHAR_TOKEN | CHAR_TARGET | CHAR_VALUE,
    ['/'] = CHAR_TARGET | CHAR_VALUE,
    ['0' ... '9'] = CHAR_TOKEN | CHAR_TARGET | CHAR_VALUE,
    [':' ... '@'] = CHAR_TARGET | CHAR_VALUE,
    ['A' ... 'Z'] = CHAR_TOKEN | CHAR_TARGET | CHAR_VALUE,
    ['[' ... ']'] = CHAR_TARGET | CHAR_VALUE,
    ['^' ... 'z'] = CHAR_TOKEN | CHAR_TARGET | CHAR_VALUE,
    ['{'] = CHAR_TARGET | CHAR_VALUE,
    ['|'] = CHAR_TOKEN | CHAR_TARGET | CHAR_VALUE,
    ['}'] = CHAR_TARGET | CHAR_VALUE,
    ['~'] = CHAR_TOKEN | CHAR_TARGET | CHAR_VALUE,
    [0x80 ... 0xff] = CHAR_VALUE,
};

static bool all_of_class(struct str s, uint8_t class)
{
    uint8_t all = class;
    for (size_t i = 0; i < s.len; i++)
        all &= char_class[(unsigned char)s.p[i]];
    return all == class;
}

/* For names known to have the same length. */
static bool same_nocase(struct str s, const char *text)
{
    return strncasecmp(s.p, text, s.len) == 0;
}

static int refuse(struct err *err, int status, enum err_code code, const char *text)
{
    (void)err_set(err, code, "%s", text);
    err->http_status = status;
    return code;
}

static int bad(struct err *err, const char *text)
{
    return refuse(err, 400, ERR_PARSE, text);
}

/* --- lines */

/*
 * The line at *position without its CRLF. 1: there; 0: not complete. A bare LF ends a line for some recipients and not
 * for others: refused.
 */
static int next_line(const char *data, size_t len, size_t *position, struct str *ret, struct err *err)
{
    if (*position == len)
        return 0;
    const char *start = data + *position;
    const char *end = memchr(start, '\n', len - *position);

    if (end == NULL)
        return 0;
    if (end == start || end[-1] != '\r')
        return bad(err, "a line of the request head does not end with CR LF");
    *ret = (struct str){start, (size_t)(end - start) - 1};
    *position = (size_t)(end - data) + 1;
    return 1;
}

static int parse_version(struct str text, struct http1_request *request, struct err *err)
{
    if (text.len != 8 || memcmp(text.p, "HTTP/", 5) != 0 || text.p[5] < '0' || text.p[5] > '9' || text.p[6] != '.' ||
        text.p[7] < '0' || text.p[7] > '9')
        return bad(err, "the request line does not end with an HTTP version");
    if (text.p[5] != '1')
        return refuse(err, 505, ERR_UNSUPPORTED, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    request->minor_version = text.p[7] == '0' ? 0 : 1;
    return 0;
}

/* Origin form, absolute form (RFC 9112 3.2.2: servers must accept it), or "*". */
static int parse_target(struct str target, struct http1_request *request, struct err *err)
{
    struct str path = target;

    if (target.len == 0 || !all_of_class(target, CHAR_TARGET))
        return bad(err, "the request target has characters that must be percent-encoded");
    size_t scheme_len = 0;
    if (target.len >= 7 && strncasecmp(target.p, "http://", 7) == 0)
        scheme_len = 7;
    else if (target.len >= 8 && strncasecmp(target.p, "https://", 8) == 0)
        scheme_len = 8;
    if (scheme_len > 0) {
        size_t i = scheme_len;
        while (i < target.len && target.p[i] != '/' && target.p[i] != '?')
            i++;
        path = (struct str){target.p + i, target.len - i};
    } else if (target.p[0] != '/' && !(target.len == 1 && target.p[0] == '*')) {
        return bad(err, "the request target is not a path");
    }
    request->target = target;
    (void)str_cut(path, '?', &request->path, &request->query);
    if (request->path.len == 0)
        request->path = STR("/");
    return 0;
}

static int parse_request_line(struct str line, struct http1_request *request, struct err *err)
{
    struct str rest, target, version;

    if (!str_cut(line, ' ', &request->method, &rest) || !str_cut(rest, ' ', &target, &version))
        return bad(err, "the request line is not 'METHOD target HTTP/1.1'");
    if (request->method.len == 0 || !all_of_class(request->method, CHAR_TOKEN))
        return bad(err, "the request method has forbidden characters");
    int r = parse_version(version, request, err);
    if (r == 0)
        r = parse_target(target, request, err);
    return r;
}

/* --- headers that decide where the request ends and what happens to the connection */

struct framing {
    bool has_host, has_length, has_coding, close, keep_alive, connection_upgrade, has_upgrade;
};

static int parse_length(struct str value, struct http1_request *request, struct err *err)
{
    int64_t length = 0;

    if (value.len == 0)
        return bad(err, "Content-Length is empty");
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return bad(err, "Content-Length is not a number");
        if (__builtin_mul_overflow(length, 10, &length) || __builtin_add_overflow(length, value.p[i] - '0', &length))
            return refuse(err, 413, ERR_TOO_BIG, "Content-Length is beyond all measure");
    }
    request->content_length = length;
    return 0;
}

static void parse_connection(struct str value, struct framing *framing)
{
    struct str token, rest = value;

    do {
        (void)str_cut(rest, ',', &token, &rest);
        token = str_trim(token);
        if (str_is_nocase(token, "close"))
            framing->close = true;
        else if (str_is_nocase(token, "keep-alive"))
            framing->keep_alive = true;
        else if (str_is_nocase(token, "upgrade"))
            framing->connection_upgrade = true;
    } while (rest.len > 0);
}

static int note_header(const struct http1_header *header, struct http1_request *request, struct framing *framing,
                       struct err *err)
{
    switch (header->name.len) {
    case 4:
        if (!same_nocase(header->name, "Host"))
            return 0;
        if (framing->has_host)
            return bad(err, "more than one Host header");
        framing->has_host = true;
        return 0;
    case 6:
        if (same_nocase(header->name, "Expect") && str_is_nocase(header->value, "100-continue"))
            request->expect_continue = true;
        return 0;
    case 7:
        if (same_nocase(header->name, "Upgrade"))
            framing->has_upgrade = true;
        return 0;
    case 10:
        if (same_nocase(header->name, "Connection"))
            parse_connection(header->value, framing);
        return 0;
    case 14:
        if (!same_nocase(header->name, "Content-Length"))
            return 0;
        if (framing->has_length)
            return bad(err, "more than one Content-Length header");
        framing->has_length = true;
        return parse_length(header->value, request, err);
    case 17:
        if (!same_nocase(header->name, "Transfer-Encoding"))
            return 0;
        if (framing->has_coding)
            return bad(err, "more than one Transfer-Encoding header");
        framing->has_coding = true;
        if (!str_is_nocase(header->value, "chunked"))
            return refuse(err, 501, ERR_UNSUPPORTED, "the only transfer coding known here is chunked");
        request->chunked = true;
        return 0;
    default:
        return 0;
    }
}

static int parse_header(struct str line, struct http1_header *ret, struct err *err)
{
    struct str value;

    /* a line that starts with a space is the continuation of the one before (obs-fold): no token either */
    if (!str_cut(line, ':', &ret->name, &value) || ret->name.len == 0 || !all_of_class(ret->name, CHAR_TOKEN))
        return bad(err, "a header line is not 'Name: value'");
    if (!all_of_class(value, CHAR_VALUE))
        return bad(err, "a header value has control characters");
    ret->value = str_trim(value);
    return 0;
}

static int conclude(struct http1_request *request, const struct framing *framing, struct err *err)
{
    if (request->minor_version == 1 && !framing->has_host)
        return bad(err, "HTTP/1.1 needs a Host header");
    if (framing->has_coding && framing->has_length)
        return bad(err, "both Content-Length and Transfer-Encoding");
    if (framing->has_coding && request->minor_version == 0)
        return bad(err, "HTTP/1.0 knows no Transfer-Encoding");
    if (request->chunked)
        request->content_length = -1;
    if (request->minor_version == 0)
        request->expect_continue = false;
    request->keep_alive = !framing->close && (request->minor_version == 1 || framing->keep_alive);
    request->upgrade = request->minor_version == 1 && framing->connection_upgrade && framing->has_upgrade;
    return 0;
}

static void begin(struct http1_request *request)
{
    /* not the header array, which is most of the structure */
    request->method = request->target = request->path = request->query = (struct str){0};
    request->minor_version = 0;
    request->n_headers = 0;
    request->content_length = 0;
    request->chunked = request->keep_alive = request->expect_continue = request->upgrade = false;
    request->head_len = 0;
}

static int parse_head(const char *data, size_t len, struct http1_request *request, struct err *err)
{
    struct framing framing = {0};
    size_t position = 0;
    struct str line;

    begin(request);
    /* RFC 9112 2.2: one empty line ahead of the request, left over by a clumsy client, is passed over */
    if (len >= 2 && data[0] == '\r' && data[1] == '\n')
        position = 2;
    int r = next_line(data, len, &position, &line, err);
    if (r <= 0)
        return r;
    r = parse_request_line(line, request, err);
    if (r < 0)
        return r;
    for (;;) {
        r = next_line(data, len, &position, &line, err);
        if (r <= 0)
            return r;
        if (line.len == 0)
            break;
        if (request->n_headers == LIMIT_HTTP_HEADERS)
            return refuse(err, 431, ERR_TOO_BIG, "too many header lines");
        struct http1_header *header = &request->headers[request->n_headers++];
        r = parse_header(line, header, err);
        if (r == 0)
            r = note_header(header, request, &framing, err);
        if (r < 0)
            return r;
    }
    request->head_len = position;
    r = conclude(request, &framing, err);
    return r < 0 ? r : 1;
}

int http1_parse_request(const char *data, size_t len, struct http1_request *ret, struct err *err)
{
    size_t measured = len <= LIMIT_HTTP_HEAD ? len : LIMIT_HTTP_HEAD;
    int r = parse_head(data, measured, ret, err);

    if (r == 0 && measured == LIMIT_HTTP_HEAD)
        return refuse(err, 431, ERR_TOO_BIG, "the request head is too large");
    return r;
}

struct str http1_header(const struct http1_request *request, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < request->n_headers; i++) {
        struct str candidate = request->headers[i].name;
        if (candidate.len == len && same_nocase(candidate, name))
            return request->headers[i].value;
    }
    return (struct str){0};
}

/* --- bodies */

enum body_state {
    BODY_COMPLETE,
    BODY_LENGTH,      /* so many bytes */
    BODY_SIZE_FIRST,  /* the first digit of a chunk size */
    BODY_SIZE,        /* further digits */
    BODY_EXTENSION,   /* from ';' to the end of the line */
    BODY_SIZE_LF,
    BODY_DATA,
    BODY_DATA_CR,
    BODY_DATA_LF,
    BODY_TRAILER,      /* start of a trailer line, or of the empty line that ends everything */
    BODY_TRAILER_LINE,
    BODY_TRAILER_LF,
    BODY_END_LF,
};

void http1_body_begin(struct http1_body *body, const struct http1_request *request, size_t max)
{
    *body = (struct http1_body){.max = max};
    if (request->chunked) {
        body->state = BODY_SIZE_FIRST;
    } else if (request->content_length > 0) {
        body->state = BODY_LENGTH;
        body->left = request->content_length;
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of the lines around the chunks. */
static int chunk_line_byte(struct http1_body *body, char c, struct err *err)
{
    switch ((enum body_state)body->state) {
    case BODY_SIZE_FIRST: /* left is 0 here */
    case BODY_SIZE: {
        int digit = hex_digit(c);
        if (digit >= 0) {
            body->left = body->left * 16 + digit; /* below max * 16: cannot overflow */
            if ((uint64_t)body->left > body->max)
                return refuse(err, 413, ERR_TOO_BIG, "the request body is too large");
            body->overhead += body->left == 0; /* endless zeros */
            body->state = BODY_SIZE;
        } else if (body->state == BODY_SIZE && c == ';') {
            body->state = BODY_EXTENSION;
        } else if (body->state == BODY_SIZE && c == '\r') {
            body->state = BODY_SIZE_LF;
        } else {
            return bad(err, "a chunk size is not a hexadecimal number");
        }
        break;
    }
    case BODY_EXTENSION:
    case BODY_TRAILER_LINE:
        body->overhead++;
        if (c == '\r')
            body->state = body->state == BODY_EXTENSION ? BODY_SIZE_LF : BODY_TRAILER_LF;
        else if (!(char_class[(unsigned char)c] & CHAR_VALUE))
            return bad(err, "a chunk extension or trailer has control characters");
        break;
    case BODY_TRAILER:
        body->overhead++;
        if (c == '\r')
            body->state = BODY_END_LF;
        else if (char_class[(unsigned char)c] & CHAR_TOKEN)
            body->state = BODY_TRAILER_LINE;
        else
            return bad(err, "a trailer line is not 'Name: value'");
        break;
    case BODY_DATA_CR:
        if (c != '\r')
            return bad(err, "a chunk is longer than its size says");
        body->state = BODY_DATA_LF;
        break;
    case BODY_SIZE_LF:
    case BODY_DATA_LF:
    case BODY_TRAILER_LF:
    case BODY_END_LF:
        if (c != '\n')
            return bad(err, "a line of a chunked body does not end with CR LF");
        if (body->state == BODY_SIZE_LF)
            body->state = body->left > 0 ? BODY_DATA : BODY_TRAILER;
        else
            body->state = body->state == BODY_DATA_LF      ? BODY_SIZE_FIRST
                          : body->state == BODY_TRAILER_LF ? BODY_TRAILER
                                                           : BODY_COMPLETE;
        break;
    case BODY_COMPLETE:
    case BODY_LENGTH:
    case BODY_DATA:
        break;
    }
    if (body->overhead > LIMIT_HTTP_HEAD)
        return refuse(err, 413, ERR_TOO_BIG, "chunk extensions and trailers are too large");
    return 0;
}

/* Bytes of content. */
static int copy_content(struct http1_body *body, const char *data, size_t len, size_t *ret_used, struct buf *out,
                        struct err *err)
{
    size_t n = (uint64_t)body->left < len ? (size_t)body->left : len;

    if (body->total + (uint64_t)body->left > body->max || !buf_add(out, data, n))
        return refuse(err, 413, ERR_TOO_BIG, "the request body is too large");
    body->total += n;
    body->left -= (int64_t)n;
    if (body->left == 0)
        body->state = body->state == BODY_LENGTH ? BODY_COMPLETE : BODY_DATA_CR;
    *ret_used = n;
    return 0;
}

int http1_body_read(struct http1_body *body, const char *data, size_t len, size_t *ret_used, struct buf *out,
                    struct err *err)
{
    size_t position = 0;

    while (body->state != BODY_COMPLETE && position < len) {
        size_t used = 1;
        int r = body->state == BODY_LENGTH || body->state == BODY_DATA
                    ? copy_content(body, data + position, len - position, &used, out, err)
                    : chunk_line_byte(body, data[position], err);
        if (r < 0)
            return r;
        position += used;
    }
    *ret_used = position;
    return body->state == BODY_COMPLETE;
}

/* --- small things */

static bool decode_equals(struct str encoded, const char *name)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf text = {0};

    return url_decode(encoded.p, encoded.len, true, &text, &err) == 0 && streq(buf_text(&text), name);
}

char *http1_query(struct str query, const char *name, size_t index)
{
    struct str pair, key, value, rest = query;

    while (rest.len > 0) {
        (void)str_cut(rest, '&', &pair, &rest);
        (void)str_cut(pair, '=', &key, &value);
        if (pair.len == 0 || !decode_equals(key, name))
            continue;
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(buf_done) struct buf text = {0};
        if (url_decode(value.p, value.len, true, &text, &err) < 0)
            continue;
        if (index-- == 0)
            return buf_take(&text);
    }
    return NULL;
}

const char *http1_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < countof(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}
