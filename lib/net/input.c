/*
 * input.c: from a connection's bytes to one whole request: room, receiving, and the order in which http1.c's parsers
 * are asked. The slices of a request point into `in`, so `in` may move only while no handler holds them; when a large body
 * makes it grow, the head is parsed again in its new place.
 */
#include <assert.h>

#include "net/server_internal.h"

#define READ_MIN (KIB(16) - 1)  /* with its NUL, a buffer of exactly 16 KiB: one TLS record */
#define READ_BODY_MAX KIB(256)  /* room made ahead for a body, however long it says it is */
#define SPARE_WHILE_WAITING 512 /* room to notice an end of input while a handler has the request */

size_t input_max(const struct server_options *options)
{
    return LIMIT_HTTP_HEAD + options->max_body + READ_BODY_MAX;
}

/* Makes room for n bytes in `in`; the current request may move, so never while a handler holds it. */
static void make_room(struct connection *c, size_t n)
{
    server_buffer_take(c->server, &c->in);
    if (c->in_start > 0 && c->in_start == c->in.len) {
        buf_clear(&c->in);
        c->in_start = 0;
    }
    if (c->in.cap > c->in.len && c->in.cap - c->in.len > n)
        return;
    const char *before = c->in.data;
    bool moved = c->in_start > 0;
    buf_consume(&c->in, c->in_start);
    c->in_start = 0;
    if (buf_reserve(&c->in, n) == NULL)
        abort(); /* max is the sum of what the parsers let through */
    moved = moved || c->in.data != before;
    if (moved && c->head_parsed) {
        CLEANUP(err_clear) struct err err = {0};
        int r = http1_parse_request(c->in.data, c->in.len, &c->request.head, &err);
        assert(r == 1);
        (void)r;
    }
}

/* How much is worth reading at once. */
static size_t read_size(const struct connection *c)
{
    size_t want = READ_MIN;

    if (c->head_parsed && !c->request.head.chunked) {
        size_t whole = c->request.head.head_len + (size_t)c->request.head.content_length;
        size_t have = c->in.len - c->in_start;
        size_t missing = whole > have ? whole - have : 0;
        want = missing > READ_BODY_MAX ? READ_BODY_MAX : missing;
        want = want > READ_MIN ? want : READ_MIN;
    }
    return want;
}

int input_fill(struct connection *c, bool *ret_more)
{
    size_t n = 0;

    make_room(c, read_size(c));
    size_t room = c->in.cap - c->in.len - 1;
    int r = connection_receive(c, c->in.data + c->in.len, room, &n);
    if (r == TLS_WANT_WRITE) {
        connection_set_events(c, EPOLLIN | EPOLLOUT);
        return TLS_WANT_READ;
    }
    if (r == TLS_DONE) {
        buf_advance(&c->in, n);
        *ret_more = c->tls != NULL ? tls_has_pending(c->tls) : n == room;
    }
    return r;
}

static int parse_head(struct connection *c, struct err *err)
{
    const char *data = c->in.data + c->in_start;
    size_t len = c->in.len - c->in_start;
    struct http1_request *head = &c->request.head;

    /* without another line end the parser would only look at the same lines again */
    if (len < LIMIT_HTTP_HEAD && memchr(data + c->scanned, '\n', len - c->scanned) == NULL) {
        c->scanned = len;
        return 0;
    }
    int r = http1_parse_request(data, len, head, err);
    if (r <= 0) {
        c->scanned = len;
        return r;
    }
    c->head_parsed = true;
    if (head->content_length > 0 && (uint64_t)head->content_length > c->server->options.max_body) {
        err->http_status = 413;
        return err_set(err, ERR_TOO_BIG, "the request body is larger than %zu bytes", c->server->options.max_body);
    }
    if (head->chunked) {
        buf_clear(&c->body);
        http1_body_begin(&c->body_reader, head, c->server->options.max_body);
    }
    size_t body_here = len - head->head_len;
    if (head->expect_continue && body_here == 0 && (head->chunked || head->content_length > 0))
        (void)buf_add_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    return 1;
}

/* Decoded bytes leave `in`, so that it never holds more than the head and one read. */
static int parse_chunks(struct connection *c, struct err *err)
{
    char *raw = c->in.data + c->in_start + c->request.head.head_len;
    size_t len = (size_t)(c->in.data + c->in.len - raw);
    size_t used = 0;

    c->body.max = c->server->options.max_body;
    int r = http1_body_read(&c->body_reader, raw, len, &used, &c->body, err);
    if (r < 0)
        return r;
    memmove(raw, raw + used, len - used);
    buf_truncate(&c->in, c->in.len - used);
    c->request.body = (struct str){buf_text(&c->body), c->body.len};
    return r;
}

int input_parse(struct connection *c, struct err *err)
{
    int r = c->head_parsed ? 1 : parse_head(c, err);

    if (r <= 0)
        return r;
    const struct http1_request *head = &c->request.head;
    if (head->chunked) {
        r = parse_chunks(c, err);
        if (r <= 0)
            return r;
    } else {
        size_t whole = head->head_len + (size_t)head->content_length;
        if (c->in.len - c->in_start < whole)
            return 0;
    }
    if (c->in.cap - c->in.len <= SPARE_WHILE_WAITING && c->in.len - c->in_start + SPARE_WHILE_WAITING <= c->in.max)
        make_room(c, SPARE_WHILE_WAITING);
    if (!head->chunked)
        c->request.body =
            (struct str){c->in.data + c->in_start + head->head_len, (size_t)head->content_length};
    return 1;
}
