/*
 * fuzz_grpc.c: the frame of a unary answer and the status trailers. A message that is taken lies inside the input; a
 * status other than "0" always makes an error. Input: the status text, a newline, the message text, a newline, the
 * body.
 */
#include "cri/grpc.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *line_end(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\n', size);

    return end != NULL ? end : data + size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *last = data + size;
    const uint8_t *status_end = line_end(data, size);
    const uint8_t *text = status_end < last ? status_end + 1 : last;
    const uint8_t *text_end = line_end(text, (size_t)(last - text));
    const char *body = (const char *)(text_end < last ? text_end + 1 : last);
    size_t body_len = (size_t)((const char *)last - body);
    CLEANUP(xfree) char *status = xstrndup((const char *)data, (size_t)(status_end - data));
    CLEANUP(xfree) char *message = xstrndup((const char *)text, (size_t)(text_end - text));
    CLEANUP(err_clear) struct err status_err = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf again = {0};
    const char *got;
    size_t got_len;

    /* zero, however written */
    if (grpc_status(status, message, &status_err) == 0 && strspn(status, "+-0") != strlen(status))
        abort();
    if (status_err.code != 0 && strpbrk(err_text(&status_err), "\r\n") != NULL)
        abort();
    if (grpc_unframe(body, body_len, &got, &got_len, &err) < 0)
        return 0;
    if (got < body || got + got_len != body + body_len)
        abort();
    grpc_frame(got, got_len, &again);
    if (again.len != body_len || memcmp(again.data, body, body_len) != 0)
        abort();
    return 0;
}
