/*
 * grpc.c: gRPC's message frames and status trailers, nothing of HTTP and nothing of protobuf. The agent makes unary
 * calls only, so an answer is exactly one frame; compression is never offered, so a compressed frame is a broken
 * answer.
 */
#include "cri/grpc.h"

#include <string.h>

#include "base/codec.h"
#include "base/limits.h"
#include "base/str.h"

#define FRAME_HEAD 5 /* compressed flag, then the length in network order */

void grpc_frame(const void *message, size_t len, struct buf *out)
{
    const unsigned char head[FRAME_HEAD] = {
        0, (unsigned char)(len >> 24), (unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len,
    };

    buf_add(out, head, sizeof(head));
    buf_add(out, message, len);
}

int grpc_unframe(const char *data, size_t len, const char **ret, size_t *ret_len, struct err *err)
{
    const unsigned char *head = (const unsigned char *)data;
    size_t message_len;

    if (len < FRAME_HEAD)
        return err_set(err, ERR_PARSE, "gRPC answer of %zu bytes is shorter than a frame's head", len);
    if (head[0] != 0)
        return err_set(err, ERR_PARSE, "gRPC answer is compressed (flag %d), which was not offered", head[0]);
    message_len = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
    if (message_len > LIMIT_GRPC_MESSAGE)
        return err_set(err, ERR_TOO_BIG, "gRPC answer of %zu bytes is over the maximum of %zu", message_len,
                       LIMIT_GRPC_MESSAGE);
    if (message_len != len - FRAME_HEAD)
        return err_set(err, ERR_PARSE, "gRPC answer has %zu bytes in a frame of %zu", len - FRAME_HEAD, message_len);
    *ret = data + FRAME_HEAD;
    *ret_len = message_len;
    return 0;
}

/* https://grpc.io/docs/guides/status-codes/ */
static enum err_code code_of(int64_t status)
{
    switch (status) {
    case 1:
        return ERR_CANCELLED;
    case 3:
    case 9:
    case 11:
        return ERR_INVALID;
    case 4:
        return ERR_TIMEOUT;
    case 5:
        return ERR_NOT_FOUND;
    case 6:
        return ERR_EXISTS;
    case 7:
        return ERR_FORBIDDEN;
    case 8:
        return ERR_TOO_BIG;
    case 12:
        return ERR_UNSUPPORTED;
    case 14:
        return ERR_REFUSED;
    case 16:
        return ERR_UNAUTHORIZED;
    default:
        return ERR_INTERNAL;
    }
}

/* A line end would break a log line in two. */
static void one_line(struct buf *text)
{
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] == '\n' || text->data[i] == '\r')
            text->data[i] = ' ';
}

/* The text is for people, so one that is encoded wrongly is shown as it came. */
static void message_text(const char *message, struct buf *text)
{
    CLEANUP(err_clear) struct err ignored = {0};

    if (url_decode(message, strlen(message), false, text, &ignored) < 0) {
        buf_clear(text);
        buf_add_str(text, message);
    }
    one_line(text);
}

int grpc_status(const char *status, const char *message, struct err *err)
{
    CLEANUP(err_clear) struct err bad_number = {0};
    CLEANUP(buf_done) struct buf text = {.max = LIMIT_HTTP_HEAD};
    int64_t number;

    if (status == NULL)
        return err_set(err, ERR_PARSE, "gRPC answer ends without a status");
    if (parse_int(status, 0, 1000, &number, &bad_number) < 0) {
        buf_add_str(&text, status);
        one_line(&text);
        return err_set(err, ERR_PARSE, "gRPC answer has status '%s'", buf_text(&text));
    }
    if (number == 0)
        return 0;
    if (message != NULL)
        message_text(message, &text);
    if (text.len == 0)
        return err_set(err, code_of(number), "gRPC status %d without a message", (int)number);
    return err_set(err, code_of(number), "%s", buf_text(&text));
}
