/*
 * fuzz_http1.c: a pipeline of requests as connection.c reads it. Whatever comes, slices stay inside the head, a body never
 * exceeds its maximum, and reading a chunked body in two pieces gives what reading it at once gives.
 */
#include "net/http1.h"

#include "base/mem.h"

#define BODY_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct str s, const char *start, size_t len)
{
    if (s.len > 0 && !(s.p >= start && s.p + s.len <= start + len) && !str_is(s, "/"))
        abort();
}

static void check_head(const struct http1_request *head, const char *text, size_t len)
{
    if (head->head_len > len || head->head_len > LIMIT_HTTP_HEAD || head->n_headers > LIMIT_HTTP_HEADERS)
        abort();
    check_inside(head->method, text, head->head_len);
    check_inside(head->target, text, head->head_len);
    check_inside(head->path, text, head->head_len);
    check_inside(head->query, text, head->head_len);
    for (size_t i = 0; i < head->n_headers; i++) {
        check_inside(head->headers[i].name, text, head->head_len);
        check_inside(head->headers[i].value, text, head->head_len);
    }
    if (head->chunked != (head->content_length < 0))
        abort();
    for (size_t i = 0; i < 4; i++)
        free(http1_query(head->query, "a", i));
}

/* cut: where the bytes are split in two. */
static int read_body(const struct http1_request *head, const char *text, size_t len, size_t cut, size_t *ret_used,
                     struct buf *out)
{
    CLEANUP(err_clear) struct err err = {0};
    struct http1_body body;
    size_t used = 0;

    http1_body_begin(&body, head, BODY_MAX);
    *ret_used = 0;
    int r = http1_body_read(&body, text, cut, &used, out, &err);
    if (r == 0) {
        if (used != cut)
            abort();
        r = http1_body_read(&body, text + cut, len - cut, &used, out, &err);
        used += cut;
    }
    if (r >= 0)
        *ret_used = used;
    if (out->len > BODY_MAX || used > len || (r < 0 && err.http_status == 0))
        abort();
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(xfree) char *text = xmalloc(size + 1);
    CLEANUP(xfree) struct http1_request *head = NEW(struct http1_request);
    size_t position = 0;

    memcpy(text, data, size);
    while (position < size) {
        CLEANUP(err_clear) struct err err = {0};
        const char *at = text + position;
        size_t left = size - position, used = 0, used_cut = 0;
        int r = http1_parse_request(at, left, head, &err);
        if (r < 0 && err.http_status == 0)
            abort();
        if (r <= 0)
            break;
        check_head(head, at, left);
        at += head->head_len;
        left -= head->head_len;
        CLEANUP(buf_done) struct buf whole = {0};
        CLEANUP(buf_done) struct buf pieces = {0};
        r = read_body(head, at, left, left, &used, &whole);
        int r_cut = read_body(head, at, left, left / 2, &used_cut, &pieces);
        if (r != r_cut || used != used_cut || (r >= 0 && !streq(buf_text(&whole), buf_text(&pieces))))
            abort();
        if (r <= 0)
            break;
        position += head->head_len + used;
    }
    return 0;
}
