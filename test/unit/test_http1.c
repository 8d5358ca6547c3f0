/* test_http1.c: every row of the case files whole and cut at every byte; limits; small helpers. */
#include "net/http1.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

/* --- case files */

static void unescape(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] != '\\' || i + 1 == text.len) {
            buf_add_char(out, text.p[i]);
            continue;
        }
        char c = text.p[++i];
        if (c == 'x') {
            unsigned value = 0;
            assert_true(i + 2 < text.len);
            assert_int_equal(sscanf(text.p + i + 1, "%2x", &value), 1);
            buf_add_char(out, (char)value);
            i += 2;
        } else {
            buf_add_char(out, c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' : c == '0' ? '\0' : c);
        }
    }
}

typedef void check_row(const struct buf *bytes, const char *want, const char *line);

static void for_each_row(const char *path, check_row *check)
{
    CLEANUP(buf_done) struct buf file = {0};
    CLEANUP(err_clear) struct err err = {0};
    size_t n = 0;
    assert_int_equal(file_read(path, LIMIT_FILE, &file, &err), 0);
    struct str line, rest = {file.data, file.len};
    while (rest.len > 0) {
        struct str escaped, want;
        (void)str_cut(rest, '\n', &line, &rest);
        if (line.len == 0 || line.p[0] == '#')
            continue;
        CLEANUP(buf_done) struct buf bytes = {0};
        CLEANUP(xfree) char *line_text = xstrndup(line.p, line.len);
        assert_true(str_cut(line, '\t', &escaped, &want));
        CLEANUP(xfree) char *want_text = xstrndup(want.p, want.len);
        unescape(escaped, &bytes);
        check(&bytes, want_text, line_text);
        n++;
    }
    assert_true(n > 20);
}

/* --- heads */

static char *describe(int r, const struct http1_request *request, const struct err *err)
{
    struct buf text = {0};
    if (r < 0)
        buf_printf(&text, "%d", err->http_status);
    else if (r == 0)
        buf_add_str(&text, "more");
    if (r <= 0)
        return buf_take(&text);
    buf_printf(&text, "%.*s %.*s", (int)request->method.len, request->method.p, (int)request->path.len,
               request->path.p);
    if (request->query.len > 0)
        buf_printf(&text, " query=%.*s", (int)request->query.len, request->query.p);
    if (request->minor_version == 0)
        buf_add_str(&text, " v=0");
    if (request->content_length > 0)
        buf_printf(&text, " length=%d", (int)request->content_length);
    if (request->chunked)
        buf_add_str(&text, " chunked");
    if (!request->keep_alive)
        buf_add_str(&text, " close");
    if (request->expect_continue)
        buf_add_str(&text, " expect");
    if (request->upgrade)
        buf_add_str(&text, " upgrade");
    return buf_take(&text);
}

static void check_request(const struct buf *bytes, const char *want, const char *line)
{
    struct http1_request request;
    CLEANUP(err_clear) struct err err = {0};
    int r = http1_parse_request(bytes->data, bytes->len, &request, &err);
    CLEANUP(xfree) char *got = describe(r, &request, &err);
    if (!streq(got, want))
        fail_msg("%s\n  gives %s (%s)", line, got, err_text(&err));
    if (r == 1)
        assert_int_equal(request.content_length >= 0, !request.chunked);
    /* cut short it is incomplete or wrong already, never complete and never right where the whole is wrong */
    for (size_t len = 0; len < bytes->len; len++) {
        CLEANUP(err_clear) struct err cut_err = {0};
        CLEANUP(xfree) char *copy = len > 0 ? xmalloc(len) : NULL; /* exact size: a sanitizer sees over-reads */
        if (copy != NULL)
            memcpy(copy, bytes->data, len);
        int cut = http1_parse_request(copy, len, &request, &cut_err);
        if (cut > 0 || (cut < 0 && (r >= 0 || cut_err.http_status != err.http_status)))
            fail_msg("%s\n  cut at %zu gives %d", line, len, cut);
    }
}

static void test_http1__requests(void **state)
{
    (void)state;
    for_each_row("test/cases/http1_request.txt", check_request);
}

static void test_http1__head_len_and_headers(void **state)
{
    static const char text[] = "GET /x HTTP/1.1\r\nHost: h\r\nX-One:  a b \t\r\nx-one: second\r\nEmpty:\r\n\r\nrest";
    struct http1_request request;
    CLEANUP(err_clear) struct err err = {0};
    (void)state;
    assert_int_equal(http1_parse_request(text, sizeof(text) - 1, &request, &err), 1);
    assert_int_equal(request.head_len, sizeof(text) - 1 - 4);
    assert_int_equal(request.n_headers, 4);
    assert_true(str_is(http1_header(&request, "x-oNE"), "a b"));
    assert_true(str_is(request.headers[2].value, "second"));
    assert_non_null(http1_header(&request, "empty").p);
    assert_int_equal(http1_header(&request, "empty").len, 0);
    assert_null(http1_header(&request, "absent").p);
    assert_true(str_is(request.target, "/x"));
}

static void test_http1__too_many_headers(void **state)
{
    CLEANUP(buf_done) struct buf text = {0};
    struct http1_request request;
    CLEANUP(err_clear) struct err err = {0};
    (void)state;
    buf_add_str(&text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 1; i < LIMIT_HTTP_HEADERS; i++)
        buf_printf(&text, "X-%d: y\r\n", i);
    size_t exactly = text.len;
    buf_add_str(&text, "\r\n");
    assert_int_equal(http1_parse_request(text.data, text.len, &request, &err), 1);
    buf_truncate(&text, exactly);
    buf_add_str(&text, "One: more\r\n");
    assert_int_equal(http1_parse_request(text.data, text.len, &request, &err), ERR_TOO_BIG);
    assert_int_equal(err.http_status, 431);
}

static void test_http1__head_too_large(void **state)
{
    CLEANUP(buf_done) struct buf text = {0};
    struct http1_request request;
    CLEANUP(err_clear) struct err err = {0};
    (void)state;
    buf_add_str(&text, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    while (text.len < LIMIT_HTTP_HEAD - 1)
        buf_add_char(&text, 'x');
    assert_int_equal(http1_parse_request(text.data, text.len, &request, &err), 0);
    buf_add_str(&text, "xx\r\n\r\n");
    assert_int_equal(http1_parse_request(text.data, text.len, &request, &err), ERR_TOO_BIG);
    assert_int_equal(err.http_status, 431);
}

/* --- bodies */

/* Feeds pieces of at most step bytes. */
static char *read_chunked(const struct buf *bytes, size_t step)
{
    static const struct http1_request request = {.chunked = true, .content_length = -1};
    struct http1_body body;
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};
    size_t position = 0;
    int r = 0;
    http1_body_begin(&body, &request, 20);
    while (r == 0 && position < bytes->len) {
        size_t used = 0, n = bytes->len - position < step ? bytes->len - position : step;
        CLEANUP(xfree) char *copy = xmalloc(n);
        memcpy(copy, bytes->data + position, n);
        r = http1_body_read(&body, copy, n, &used, &out, &err);
        if (r < 0)
            return xasprintf("%d", err.http_status);
        position += used;
        if (r == 0)
            assert_int_equal(used, n);
    }
    if (r == 0)
        return xstrdup("more");
    return position < bytes->len ? xasprintf("'%s' rest=%zu", buf_text(&out), bytes->len - position)
                                 : xasprintf("'%s'", buf_text(&out));
}

static void check_chunked(const struct buf *bytes, const char *want, const char *line)
{
    for (size_t step = 1; step <= bytes->len; step++) {
        CLEANUP(xfree) char *got = read_chunked(bytes, step);
        if (!streq(got, want))
            fail_msg("%s\n  in pieces of %zu gives %s", line, step, got);
    }
}

static void test_http1__chunked_bodies(void **state)
{
    (void)state;
    for_each_row("test/cases/http1_chunked.txt", check_chunked);
}

static void test_http1__length_body(void **state)
{
    struct http1_request request = {.content_length = 5};
    struct http1_body body;
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};
    size_t used = 0;
    (void)state;
    http1_body_begin(&body, &request, 5);
    assert_int_equal(http1_body_read(&body, "hel", 3, &used, &out, &err), 0);
    assert_int_equal(used, 3);
    assert_int_equal(http1_body_read(&body, "loGET", 5, &used, &out, &err), 1);
    assert_int_equal(used, 2);
    assert_string_equal(out.data, "hello");
    http1_body_begin(&body, &request, 4);
    assert_int_equal(http1_body_read(&body, "hello", 5, &used, &out, &err), ERR_TOO_BIG);
    assert_int_equal(err.http_status, 413);
    request.content_length = 0;
    http1_body_begin(&body, &request, 4);
    err_clear(&err);
    assert_int_equal(http1_body_read(&body, "", 0, &used, &out, &err), 1);
}

/* Extensions, trailers and leading zeros are read past, but not for ever. */
static void test_http1__endless_overhead(void **state)
{
    static const char *const begins[] = {"1;", "0\r\nX: ", "0"};
    (void)state;
    for (size_t i = 0; i < countof(begins); i++) {
        CLEANUP(buf_done) struct buf bytes = {0};
        buf_add_str(&bytes, begins[i]);
        while (bytes.len < LIMIT_HTTP_HEAD + 100)
            buf_add_char(&bytes, '0');
        CLEANUP(xfree) char *got = read_chunked(&bytes, 4096);
        assert_string_equal(got, "413");
    }
}

/* --- small things */

static void check_query(const char *query, const char *name, size_t index, const char *want)
{
    CLEANUP(xfree) char *got = http1_query(str_of(query), name, index);
    if (!streq(got, want))
        fail_msg("'%s' of '%s' is '%s'", name, query, got);
}

static void test_http1__query(void **state)
{
    (void)state;
    check_query("a=1&b=2&a=3", "a", 0, "1");
    check_query("a=1&b=2&a=3", "a", 1, "3");
    check_query("a=1&b=2&a=3", "a", 2, NULL);
    check_query("command=sh&command=-c&command=echo+%22hi%22%26", "command", 2, "echo \"hi\"&");
    check_query("follow", "follow", 0, "");
    check_query("x%5By%5D=z", "x[y]", 0, "z");
    check_query("a=%zz&a=ok", "a", 0, "ok");
    check_query("a=%00", "a", 0, NULL);
    check_query("&&=&a=b=c", "a", 0, "b=c");
    check_query("", "a", 0, NULL);
}

static void test_http1__reasons(void **state)
{
    (void)state;
    assert_string_equal(http1_reason(200), "OK");
    assert_string_equal(http1_reason(431), "Request Header Fields Too Large");
    assert_string_equal(http1_reason(299), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http1__requests),
        cmocka_unit_test(test_http1__head_len_and_headers),
        cmocka_unit_test(test_http1__too_many_headers),
        cmocka_unit_test(test_http1__head_too_large),
        cmocka_unit_test(test_http1__chunked_bodies),
        cmocka_unit_test(test_http1__length_body),
        cmocka_unit_test(test_http1__endless_overhead),
        cmocka_unit_test(test_http1__query),
        cmocka_unit_test(test_http1__reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
