/*
 * http1_response.c: what clients understand of HTTP/1.1 on the wire. As strict as http1.c where an answer's end depends on
 * it: a client that reuses a connection and takes bytes of one answer for the next one is as wrong as a server.
 */
#include "net/http1_response.h"

#include "base/limits.h"
#include "base/mem.h"

#define STATUS_LINE_MIN 12 /* "HTTP/1.1 200" */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 OK"; the reason may be missing with its space. */
static int parse_status_line(struct str line, struct http1_response *response, struct err *err)
{
    const char *p = line.p;
    if (line.len < STATUS_LINE_MIN || !is_digit(p[7]) || p[8] != ' ' || p[9] < '1' ||
        !is_digit(p[9]) || !is_digit(p[10]) || !is_digit(p[11]) || (line.len > STATUS_LINE_MIN && p[12] != ' '))
        return err_set(err, ERR_PARSE, "the answer is no HTTP/1.1");
    response->status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
    response->keep_alive = p[7] != '0';
    return 0;
}

static int parse_length(struct str value, struct http1_response *response, struct err *err)
{
    int64_t length = 0;
    for (size_t i = 0; i < value.len; i++)
        if (!is_digit(value.p[i]) || __builtin_mul_overflow(length, 10, &length) ||
            __builtin_add_overflow(length, value.p[i] - '0', &length))
            return err_set(err, ERR_PARSE, "Content-Length of the answer is no length");
    if (value.len == 0 || (response->content_length >= 0 && response->content_length != length))
        return err_set(err, ERR_PARSE, "Content-Length of the answer is no length");
    response->content_length = length;
    return 0;
}

static void parse_connection(struct str value, struct http1_response *response)
{
    struct str option, rest = value;
    do {
        (void)str_cut(rest, ',', &option, &rest);
        option = str_trim(option);
        if (str_is_nocase(option, "close"))
            response->keep_alive = false;
        else if (str_is_nocase(option, "keep-alive"))
            response->keep_alive = true;
    } while (rest.len > 0);
}

static int parse_header(struct str line, struct http1_response *response, struct err *err)
{
    struct http1_header header;
    if (!str_cut(line, ':', &header.name, &header.value) || header.name.len == 0 || header.name.p[0] == ' ' ||
        header.name.p[0] == '\t' || memchr(line.p, '\r', line.len) != NULL || memchr(line.p, '\0', line.len) != NULL)
        return err_set(err, ERR_PARSE, "a header of the answer is not 'Name: value'");
    if (response->n_headers == LIMIT_HTTP_HEADERS)
        return err_set(err, ERR_TOO_BIG, "the answer has more than %d headers", LIMIT_HTTP_HEADERS);
    header.value = str_trim(header.value);
    response->headers[response->n_headers++] = header;
    if (str_is_nocase(header.name, "content-length"))
        return parse_length(header.value, response, err);
    if (str_is_nocase(header.name, "connection"))
        parse_connection(header.value, response);
    if (!str_is_nocase(header.name, "transfer-encoding"))
        return 0;
    if (response->chunked || !str_is_nocase(header.value, "chunked"))
        return err_set(err, ERR_UNSUPPORTED, "the answer's transfer coding is not just chunked");
    response->chunked = true;
    return 0;
}

/* RFC 9112 6.3 */
static void decide_framing(bool has_body, struct http1_response *response)
{
    if (!has_body || response->status < 200 || response->status == 204 || response->status == 304) {
        response->chunked = false;
        response->content_length = 0;
    } else if (response->chunked) {
        /* both: one of the two lies, so nothing that follows on the connection can be believed */
        response->keep_alive = response->keep_alive && response->content_length < 0;
        response->content_length = -1;
    } else if (response->content_length < 0) {
        response->keep_alive = false;
    }
}

int http1_parse_response(const char *data, size_t len, bool has_body, struct http1_response *ret, struct err *err)
{
    *ret = (struct http1_response){.content_length = -1};
    /* a line end may never come from somebody who speaks something else */
    if (len > 0 && memcmp(data, "HTTP/1.", len < 7 ? len : 7) != 0)
        return err_set(err, ERR_PARSE, "the answer is no HTTP/1.1");
    for (size_t at = 0; at < len;) {
        const char *end = memchr(data + at, '\n', len - at);
        if (end == NULL)
            break;
        if (end == data + at || end[-1] != '\r')
            return err_set(err, ERR_PARSE, "a line of the answer's head does not end with CR LF");
        struct str line = {data + at, (size_t)(end - data) - at - 1};
        int r = 0;
        if (at == 0)
            r = parse_status_line(line, ret, err);
        else if (line.len > 0)
            r = parse_header(line, ret, err);
        at = (size_t)(end - data) + 1;
        if (at > LIMIT_HTTP_HEAD)
            break;
        if (r < 0)
            return r;
        if (line.len == 0) {
            ret->head_len = at;
            decide_framing(has_body, ret);
            return 1;
        }
    }
    if (len > LIMIT_HTTP_HEAD)
        return err_set(err, ERR_TOO_BIG, "response headers are over %zu bytes", (size_t)LIMIT_HTTP_HEAD);
    return 0;
}

struct str http1_response_header(const struct http1_response *response, const char *name)
{
    for (size_t i = 0; i < response->n_headers; i++)
        if (str_is_nocase(response->headers[i].name, name))
            return response->headers[i].value;
    return (struct str){0};
}

void http1_response_body_begin(struct http1_body *body, const struct http1_response *response, size_t max)
{
    struct http1_request framing = {.content_length = response->content_length, .chunked = response->chunked};
    http1_body_begin(body, &framing, max);
}
