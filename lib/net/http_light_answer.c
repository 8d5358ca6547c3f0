/*
 * http_light_answer.c: HTTP/1.1 answers of the light way: status line, headers, and a body by length, in chunks or to the
 * end of the connection. Bytes in, callbacks of the call out; reading and waiting is http_light.c's.
 */
#include <stdint.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/http_light.h"

#define UNLIMITED (SIZE_MAX >> 8) /* http.c does the limiting */

/* A call that its owner cancelled in a callback is taken out by settle(). */
static void stopped(struct light_connection *connection)
{
    if (!connection->call->cancelled)
        light_finish(connection);
}

static bool has_body(const struct http_call *call)
{
    return !streq(call->method, "HEAD") && call->response.status != 204 && call->response.status != 304;
}

/* Reads the status line and headers at the start of `in`. 1: an answer's head; 0: more is needed; -1: broken. */
static int take_head(struct light_connection *connection)
{
    struct http_call *call = connection->call;
    struct buf *in = &connection->in;
    const char *end = in->len > 0 ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    CLEANUP(err_clear) struct err err = {0};
    int64_t status;
    if (end == NULL)
        return in->len > LIMIT_HTTP_HEAD ? -1 : 0;
    size_t len = (size_t)(end - in->data) + 4;
    CLEANUP(xfree) char *number = len > 12 ? xstrndup(in->data + 9, 3) : xstrdup("");
    if (len <= 12 || memcmp(in->data, "HTTP/1.", 7) != 0 || parse_int(number, 100, 599, &status, &err) < 0 ||
        !http_call_head_bytes(call, len))
        return -1;
    http_call_status(call, (int)status);
    connection->keep = in->data[7] == '1';
    const char *line = memchr(in->data, '\n', len);
    for (line++; line < end;) {
        const char *next = memchr(line, '\r', (size_t)(end + 1 - line));
        http_call_header(call, line, (size_t)(next - line));
        line = next + 2;
    }
    buf_consume(in, len);
    return status < 200 ? 0 : 1;
}

static int begin_body(struct light_connection *connection)
{
    struct http_response *response = &connection->call->response;
    const char *length = http_response_header(response, "content-length");
    const char *coding = http_response_header(response, "transfer-encoding");
    const char *option = http_response_header(response, "connection");
    struct http1_request framing = {.content_length = 0};
    CLEANUP(err_clear) struct err err = {0};
    if (option != NULL && str_is_nocase(str_of(option), "close"))
        connection->keep = false;
    connection->state = BODY;
    if (!has_body(connection->call)) {
        framing.content_length = 0;
    } else if (coding != NULL) {
        if (!str_is_nocase(str_of(coding), "chunked"))
            return -1;
        framing.chunked = true;
    } else if (length != NULL) {
        if (parse_int(length, 0, INT64_MAX / 256, &framing.content_length, &err) < 0)
            return -1;
    } else {
        connection->keep = false;
        connection->state = BODY_TO_END;
    }
    http1_body_begin(&connection->body, &framing, UNLIMITED);
    return 0;
}

/* Hands on what is in `in`. False when the call is over. */
static bool take_body(struct light_connection *connection)
{
    CLEANUP(err_clear) struct err err = {0};
    struct buf *in = &connection->in, *content = &connection->content;
    size_t used = 0;
    int result = 0;
    buf_clear(content);
    if (connection->state == BODY_TO_END) {
        buf_add(content, buf_text(in), in->len);
        used = in->len;
    } else {
        result = http1_body_read(&connection->body, buf_text(in), in->len, &used, content, &err);
    }
    buf_consume(in, used);
    if (result >= 0 && content->len > 0) {
        bool go_on = http_call_body(connection->call, content->data, content->len);
        if (!go_on) {
            stopped(connection);
            return false;
        }
    }
    if (result < 0)
        light_fail(connection, ERR_PARSE, err_text(&err));
    else if (result == 1)
        light_finish(connection);
    else
        return true;
    return false;
}

bool light_take_input(struct light_connection *connection)
{
    while (connection->state == HEAD) {
        size_t before = connection->in.len;
        int result = take_head(connection);
        if (result == 1 && begin_body(connection) == 0)
            break;
        if (result == 0 && connection->in.len == before)
            return true;
        if (result != 0) {
            light_fail(connection, ERR_PARSE, "the answer is no HTTP/1.1");
            return false;
        }
    }
    return take_body(connection);
}
