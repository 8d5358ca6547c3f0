/*
 * answer.c: the answers of a server: heads, whole bodies, streams. Everything is appended to the connection's output;
 * connection.c sends it, together with the answers of other pipelined requests.
 */
#include <assert.h>
#include <stdarg.h>

#include "base/mem.h"
#include "net/server_internal.h"

#define HEAD_ROOM 512 /* all of a head but its content type */

/* --- heads */

/* RFC 9110 5.6.7 (strftime's names follow the locale); made once per second. */
static const char *date_text(struct server *server)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    struct tm tm;

    if (server->date_s != now && gmtime_r(&now, &tm) != NULL) {
        (void)snprintf(server->date_text, sizeof(server->date_text), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                       days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], (tm.tm_year + 1900) % 10000, tm.tm_hour,
                       tm.tm_min, tm.tm_sec);
        server->date_s = now;
    }
    return server->date_text;
}

static void add_number(struct buf *out, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    (void)buf_add(out, digits + at, sizeof(digits) - at);
}

static void begin_head(struct connection *c, int status, size_t room)
{
    struct buf *out = &c->out;

    /* put together by hand: printf costs as much as the rest of a small request */
    (void)buf_reserve(out, HEAD_ROOM + room);
    (void)buf_add_str(out, "HTTP/1.1 ");
    add_number(out, (uint64_t)status);
    (void)buf_add_char(out, ' ');
    (void)buf_add_str(out, http1_reason(status));
}

static void add_date(struct connection *c)
{
    (void)buf_add_str(&c->out, "\r\nDate: ");
    (void)buf_add_str(&c->out, date_text(c->server));
}

/* What tells where the answer ends, and the end of the head. content_length: -1: not known. */
static void end_head(struct connection *c, int64_t content_length, bool chunked)
{
    struct buf *out = &c->out;

    if (content_length >= 0) {
        (void)buf_add_str(out, "\r\nContent-Length: ");
        add_number(out, (uint64_t)content_length);
    }
    if (chunked)
        (void)buf_add_str(out, "\r\nTransfer-Encoding: chunked");
    if (c->close_after)
        (void)buf_add_str(out, "\r\nConnection: close");
    else if (c->request.head.minor_version == 0)
        (void)buf_add_str(out, "\r\nConnection: keep-alive");
    (void)buf_add_str(out, "\r\n\r\n");
}

/* content_length: -1: not known. */
static void add_head(struct connection *c, int status, const char *content_type, int64_t content_length, bool chunked)
{
    bool has_body = status != 204 && status != 304;

    begin_head(c, status, strlen(content_type));
    add_date(c);
    if (has_body) {
        (void)buf_add_str(&c->out, "\r\nContent-Type: ");
        (void)buf_add_str(&c->out, content_type);
    }
    end_head(c, has_body ? content_length : -1, chunked);
}

static const char *type_or_text(const char *content_type)
{
    return content_type != NULL ? content_type : "text/plain; charset=utf-8";
}

static void begin_answer(struct server_request *request, int status)
{
    struct connection *c = request->connection;

    assert(!request->answered && !request->streaming);
    assert(status >= 200 && status <= 599);
    /* a server that drains says so with every answer, so that the peer opens its next connection elsewhere */
    c->close_after = c->close_after || c->server->ending;
    request->no_body = status == 204 || status == 304 || str_is(request->head.method, "HEAD");
    server_buffer_take(c->server, &c->out);
}

/* --- whole answers */

void server_respond(struct server_request *request, int status, const char *content_type, const void *body, size_t len)
{
    struct connection *c = request->connection;

    begin_answer(request, status);
    add_head(c, status, type_or_text(content_type), (int64_t)len, false);
    if (!request->no_body)
        (void)buf_add(&c->out, body, len);
    request->answered = true;
    if (c->out.too_big) {
        /* over LIMIT_BUF: the peer sees the connection end instead of a cut answer */
        c->broken = true;
        server_resume_later(c);
    }
    connection_answered(c);
}

void server_respond_text(struct server_request *request, int status, const char *format, ...)
{
    CLEANUP(buf_done) struct buf text = {0};
    va_list args;

    va_start(args, format);
    (void)buf_vprintf(&text, format, args);
    va_end(args);
    server_respond(request, status, NULL, buf_text(&text), text.len);
}

void answer_refuse(struct connection *c, int status, const char *text)
{
    struct buf *out = &c->out;

    server_buffer_take(c->server, out);
    c->close_after = true;
    add_head(c, status, type_or_text(NULL), (int64_t)strlen(text) + 1, false);
    (void)buf_add_str(out, text);
    (void)buf_add_char(out, '\n');
}

/* --- streams */

/* content_length: -1: not known. Whether the answer goes in chunks, and ends with its connection. */
static void begin_stream(struct server_request *request, int status, int64_t content_length)
{
    struct connection *c = request->connection;

    begin_answer(request, status);
    request->streaming = true;
    request->left = request->no_body ? -1 : content_length;
    request->chunked = content_length < 0 && request->head.minor_version == 1 && !request->no_body;
    c->close_after = c->close_after || (content_length < 0 && request->head.minor_version == 0);
}

void server_stream_begin(struct server_request *request, int status, const char *content_type)
{
    begin_stream(request, status, -1);
    add_head(request->connection, status, type_or_text(content_type), -1, request->chunked);
    (void)server_stream_write(request, "", 0);
}

static bool is_framing(struct str name)
{
    return str_is_nocase(name, "Content-Length") || str_is_nocase(name, "Transfer-Encoding") ||
           str_is_nocase(name, "Connection");
}

void server_stream_begin_as(struct server_request *request, int status, const struct http1_header *headers,
                            size_t n_headers, int64_t content_length)
{
    struct connection *c = request->connection;
    bool has_date = false;

    begin_stream(request, status, content_length);
    begin_head(c, status, 0);
    for (size_t i = 0; i < n_headers; i++) {
        const struct http1_header *header = &headers[i];
        if (is_framing(header->name))
            continue;
        has_date = has_date || str_is_nocase(header->name, "Date");
        (void)buf_add_str(&c->out, "\r\n");
        (void)buf_add(&c->out, header->name.p, header->name.len);
        (void)buf_add_str(&c->out, ": ");
        (void)buf_add(&c->out, header->value.p, header->value.len);
    }
    if (!has_date)
        add_date(c);
    end_head(c, content_length, request->chunked);
    (void)server_stream_write(request, "", 0);
}

static void add_chunk(struct server_request *request, const void *data, size_t len)
{
    struct buf *out = &request->connection->out;

    if (request->chunked)
        (void)buf_printf(out, "%zx\r\n", len);
    (void)buf_add(out, data, len);
    if (request->chunked)
        (void)buf_add(out, "\r\n", 2);
}

/* What was sent leaves the buffer when it is the larger part of it: a slow reader must not cost quadratic time. */
static void drop_sent(struct connection *c)
{
    if (c->out_sent > c->out.len / 2) {
        buf_consume(&c->out, c->out_sent);
        c->out_sent = 0;
    }
}

/* The peer sees the connection end where the answer should go on. */
static int break_off(struct connection *c)
{
    c->broken = true;
    server_resume_later(c);
    return ERR_IO;
}

int64_t server_stream_write(struct server_request *request, const void *data, size_t len)
{
    struct connection *c = request->connection;

    assert(request->streaming && !request->answered);
    if (c->broken)
        return ERR_IO;
    if (request->left >= 0 && (uint64_t)request->left < len)
        return break_off(c); /* more than was announced */
    request->left -= request->left >= 0 ? (int64_t)len : 0;
    if (len > 0 && !request->no_body) /* a chunk of length 0 would be the end */
        add_chunk(request, data, len);
    enum flushed flushed = connection_flush(c);
    drop_sent(c);
    size_t pending = c->out.len - c->out_sent;
    if (flushed == FLUSH_DEAD || c->out.too_big || pending > c->server->options.max_pending_output)
        return break_off(c);
    return (int64_t)pending;
}

void server_stream_on_drained(struct server_request *request, loop_callback *callback, void *data)
{
    request->on_drained = callback;
    request->drained_data = data;
}

void server_stream_end(struct server_request *request)
{
    struct connection *c = request->connection;

    assert(request->streaming && !request->answered);
    if (request->chunked)
        (void)buf_add_str(&c->out, "0\r\n\r\n");
    if (request->left > 0)
        (void)break_off(c);
    request->answered = true;
    connection_answered(c);
}

void server_stream_abort(struct server_request *request)
{
    assert(request->streaming && !request->answered);
    request->on_gone = request->on_drained = NULL;
    (void)connection_flush(request->connection);
    (void)break_off(request->connection);
}
