/*
 * fuzz_http_response.c: an answer as http_light_answer.c reads it: what is a head stays one with more bytes behind it,
 * slices stay inside it, and every shorter piece of it is asked to be continued or refused.
 */
#include "net/http1_response.h"

#include "base/mem.h"

#define BODY_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct str s, const char *start, size_t len)
{
    if (s.p < start || s.p + s.len > start + len)
        abort();
}

static void check_head(const struct http1_response *head, const char *text, size_t len)
{
    if (head->head_len > len || head->head_len > LIMIT_HTTP_HEAD || head->n_headers > LIMIT_HTTP_HEADERS ||
        head->status < 100 || head->status > 999 || (head->chunked && head->content_length != -1))
        abort();
    if (head->keep_alive && !head->chunked && head->content_length < 0)
        abort(); /* it would wait for the end of a connection that stays open */
    for (size_t i = 0; i < head->n_headers; i++) {
        check_inside(head->headers[i].name, text, head->head_len);
        check_inside(head->headers[i].value, text, head->head_len);
    }
}

static void check_shorter(const char *text, size_t len)
{
    for (size_t cut = 0; cut < len; cut += len / 8 + 1) {
        CLEANUP(xfree) char *part = xmalloc(cut + 1);
        CLEANUP(err_clear) struct err err = {0};
        struct http1_response head;
        memcpy(part, text, cut);
        if (http1_parse_response(part, cut, true, &head, &err) != 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(xfree) char *text = xmalloc(size + 1);
    CLEANUP(err_clear) struct err err = {0};
    struct http1_response head;

    memcpy(text, data, size);
    int r = http1_parse_response(text, size, size % 2 == 0, &head, &err);
    if ((r < 0) != (err.code != 0))
        abort();
    if (r != 1)
        return 0;
    check_head(&head, text, size);
    check_shorter(text, head.head_len);
    if (!head.chunked && head.content_length < 0)
        return 0;
    CLEANUP(buf_done) struct buf out = {0};
    struct http1_body body;
    size_t used = 0;
    http1_response_body_begin(&body, &head, BODY_MAX);
    r = http1_body_read(&body, text + head.head_len, size - head.head_len, &used, &out, &err);
    if (out.len > BODY_MAX || used > size - head.head_len)
        abort();
    return 0;
}
