/*
 * http_light_answer.c: HTTP/1.1 answers of the light way: the head, and a body by length, in chunks or to the end of the
 * connection. Bytes in, callbacks of the call out; reading and waiting is http_light.c's.
 */
#include <stdint.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/http1_response.h"
#include "net/http_light.h"

#define UNLIMITED (SIZE_MAX >> 8) /* http.c does the limiting */

/* A call that its owner cancelled in a callback is taken out by settle(). */
static void stopped(struct light_connection *connection)
{
    if (!connection->call->cancelled)
        light_finish(connection);
}

/* Takes the head of an answer from the start of `in`. 1: the one that counts; 0: more is needed; negative: broken. */
static int take_head(struct light_connection *connection, struct err *err)
{
    struct http_call *call = connection->call;
    struct buf *in = &connection->in;
    struct http1_response head;
    int result;
    do { /* 100 Continue and the like come before the one that counts */
        result = http1_parse_response(buf_text(in), in->len, !streq(call->method, "HEAD"), &head, err);
        if (result != 1)
            return result;
        if (!http_call_head_bytes(call, head.head_len))
            return ERR_TOO_BIG;
        http_call_status(call, head.status);
        for (size_t i = 0; i < head.n_headers; i++) {
            const char *line = head.headers[i].name.p, *end = head.headers[i].value.p + head.headers[i].value.len;
            http_call_header(call, line, (size_t)(end - line));
        }
        buf_consume(in, head.head_len);
    } while (head.status < 200);
    bool to_end = !head.chunked && head.content_length < 0;
    connection->keep = head.keep_alive;
    connection->state = to_end ? BODY_TO_END : BODY;
    if (!to_end)
        http1_response_body_begin(&connection->body, &head, UNLIMITED);
    return 1;
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
    CLEANUP(err_clear) struct err err = {0};
    int result = connection->state == HEAD ? take_head(connection, &err) : 1;
    if (result == 1 && !http_call_head_end(connection->call)) {
        stopped(connection);
        return false;
    }
    if (result == 1)
        return take_body(connection);
    if (result == 0)
        return true;
    light_fail(connection, (enum err_code)result, err_text(&err));
    return false;
}
