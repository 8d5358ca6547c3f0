/* http1_response.h: heads of answers, whole and split at every byte. */
#include "net/http1_response.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

/* The result of parsing text as the answer to a GET; err's code and text are checked by the caller. */
static int parse(const char *text, struct http1_response *ret, struct err *err)
{
    return http1_parse_response(text, strlen(text), true, ret, err);
}

static void assert_refused(const char *text, enum err_code code)
{
    CLEANUP(err_clear) struct err err = {0};
    struct http1_response response;
    if (parse(text, &response, &err) != (int)code)
        fail_msg("'%s': %s", text, err_text(&err));
    assert_int_equal(err.code, code);
}

static struct http1_response accepted(const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    struct http1_response response;
    if (parse(text, &response, &err) != 1)
        fail_msg("'%s': %s", text, err_text(&err));
    assert_int_equal(response.head_len, strlen(text));
    return response;
}

static void test_parse__split_at_every_byte(UNUSED void **state)
{
    static const char text[] = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nX-Empty:\r\nContent-Length: 12\r\n\r\n";
    struct http1_response response;
    CLEANUP(err_clear) struct err err = {0};
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        CLEANUP(xfree) char *part = xmalloc(len + 1); /* exactly as long: a sanitizer sees what reads past it */
        memcpy(part, text, len);
        assert_int_equal(http1_parse_response(part, len, true, &response, &err), 0);
    }
    response = accepted(text);
    assert_int_equal(response.status, 404);
    assert_int_equal(response.n_headers, 3);
    assert_int_equal(response.content_length, 12);
    assert_true(response.keep_alive);
    assert_true(str_is(http1_response_header(&response, "content-TYPE"), "text/plain"));
    assert_true(str_is(http1_response_header(&response, "x-empty"), ""));
    assert_null(http1_response_header(&response, "x-none").p);
}

static void test_parse__where_the_body_ends(UNUSED void **state)
{
    struct http1_response response = accepted("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n");
    assert_true(response.chunked && response.content_length == -1 && response.keep_alive);
    response = accepted("HTTP/1.1 200\r\n\r\n");
    assert_true(!response.chunked && response.content_length == -1 && !response.keep_alive);
    response = accepted("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n");
    assert_true(response.content_length == 7 && response.keep_alive);
    response = accepted("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n");
    assert_int_equal(response.content_length, 0);
    response = accepted("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
    assert_int_equal(response.content_length, 0);
    /* both: chunked counts, and the connection is not used again (RFC 9112 6.3) */
    response = accepted("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_true(response.chunked && response.content_length == -1 && !response.keep_alive);
}

static void test_parse__head_has_no_body(UNUSED void **state)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
    CLEANUP(err_clear) struct err err = {0};
    struct http1_response response;
    assert_int_equal(http1_parse_response(text, sizeof(text) - 1, false, &response, &err), 1);
    assert_int_equal(response.content_length, 0);
    assert_true(response.keep_alive);
}

static void test_parse__keep_alive(UNUSED void **state)
{
    assert_false(accepted("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").keep_alive);
    assert_true(accepted("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n").keep_alive);
    assert_false(accepted("HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 0\r\n\r\n").keep_alive);
}

static void test_parse__leaves_what_follows(UNUSED void **state)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf out = {0};
    struct http1_response response;
    struct http1_body body;
    size_t used = 0;
    assert_int_equal(parse(text, &response, &err), 1);
    assert_int_equal(response.head_len, sizeof(text) - 3);
    http1_response_body_begin(&body, &response, 100);
    assert_int_equal(http1_body_read(&body, text + response.head_len, 2, &used, &out, &err), 1);
    assert_string_equal(buf_text(&out), "hi");
}

static void test_parse__refused(UNUSED void **state)
{
    assert_refused("HTTP/2 200 OK\r\n\r\n", ERR_PARSE);
    assert_refused("\x15\x03\x01\x00\x02\x02\x46\r\n\r\n", ERR_PARSE);
    assert_refused("HTTP/1.1 20 OK\r\n\r\n", ERR_PARSE);
    assert_refused("HTTP/1.1 2000 OK\r\n\r\n", ERR_PARSE);
    assert_refused("HTTP/1.1 099 x\r\n\r\n", ERR_PARSE);
    assert_refused("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", ERR_PARSE);
    assert_refused("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", ERR_PARSE);
    assert_refused("HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n", ERR_PARSE);
    assert_refused("HTTP/1.1 200 OK\r\na: b\rc: d\r\n\r\n", ERR_PARSE);
    assert_refused("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", ERR_PARSE);
    assert_refused("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", ERR_PARSE);
    assert_refused("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", ERR_PARSE);
    assert_refused("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", ERR_PARSE);
    assert_refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", ERR_UNSUPPORTED);
}

static void test_parse__too_big(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf text = {0};
    buf_add_str(&text, "HTTP/1.1 200 OK\r\n");
    for (size_t i = 0; i <= LIMIT_HTTP_HEADERS; i++)
        buf_add_str(&text, "a: b\r\n");
    assert_refused(buf_text(&text), ERR_TOO_BIG);
    buf_clear(&text);
    buf_add_str(&text, "HTTP/1.1 200 OK\r\na: ");
    while (text.len <= LIMIT_HTTP_HEAD)
        buf_add_str(&text, "0123456789abcdef");
    assert_refused(buf_text(&text), ERR_TOO_BIG);
    buf_add_str(&text, "\r\n\r\n");
    assert_refused(buf_text(&text), ERR_TOO_BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__split_at_every_byte),
        cmocka_unit_test(test_parse__where_the_body_ends),
        cmocka_unit_test(test_parse__head_has_no_body),
        cmocka_unit_test(test_parse__keep_alive),
        cmocka_unit_test(test_parse__leaves_what_follows),
        cmocka_unit_test(test_parse__refused),
        cmocka_unit_test(test_parse__too_big),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
