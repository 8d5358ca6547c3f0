/*
 * The light way of http.h against a peer that says exactly what a test wants: a child process that answers each request
 * with the next text of a script. Cases that any server shows are in test_http.c, which runs both ways.
 */
#include "net/http.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"

#define CLOSE "" /* in a script: close the connection and accept the next one */
#define HEAR " " /* in a script: take a request and say nothing */

struct peer {
    pid_t pid;
    int port;
    struct http_client *client;
};

/* One request: up to its empty line, which is all that the tests send. False when the connection ended. */
static bool read_request(int fd)
{
    char text[4096];
    size_t len = 0;
    while (len < sizeof(text) - 1) {
        ssize_t n = read(fd, text + len, 1);
        if (n <= 0)
            return false;
        text[++len] = '\0';
        if (len >= 4 && memcmp(text + len - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

/* split: every byte by itself */
static void serve(int listener, const char *const *script, bool split)
{
    int fd = -1;
    for (; *script != NULL; script++) {
        if (**script == '\0') {
            close(fd);
            fd = -1;
            continue;
        }
        if (fd < 0)
            fd = accept(listener, NULL, NULL);
        while (!read_request(fd)) { /* given up before it said anything */
            close(fd);
            fd = accept(listener, NULL, NULL);
        }
        if (streq(*script, HEAR))
            continue;
        size_t step = split ? 1 : strlen(*script);
        for (const char *p = *script; *p != '\0'; p += step) {
            (void)!write(fd, p, step);
            if (split)
                usleep(200);
        }
    }
    close(fd);
    _exit(0);
}

static struct peer begin(const char *const *script, bool split)
{
    struct peer peer = {0};
    struct err err = {0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    peer.port = ntohs(address.sin_port);
    peer.pid = fork();
    if (peer.pid == 0)
        serve(listener, script, split);
    close(listener);
    struct http_client_options options = {.proxy = "", .light = true};
    assert_int_equal(http_client_new(NULL, &options, &peer.client, &err), 0);
    return peer;
}

static void end(struct peer *peer)
{
    int status;
    http_client_free(peer->client);
    kill(peer->pid, SIGKILL);
    waitpid(peer->pid, &status, 0);
}

static int perform(struct peer *peer, const char *method, struct http_response *ret, struct err *err)
{
    CLEANUP(xfree) char *url = xasprintf("http://127.0.0.1:%d/x", peer->port);
    struct http_request request = {.method = method, .url = url, .timeout_ms = 5000};
    return http_perform(peer->client, &request, NULL, NULL, ret, err);
}

static void assert_answer(struct peer *peer, const char *method, int status, const char *body)
{
    CLEANUP(http_response_done) struct http_response response = {0};
    CLEANUP(err_clear) struct err err = {0};
    if (perform(peer, method, &response, &err) != 0)
        fail_msg("%s", err_text(&err));
    assert_int_equal(response.status, status);
    assert_string_equal(buf_text(&response.body), body);
}

static void assert_failure(struct peer *peer, const char *method, enum err_code code, const char *part)
{
    CLEANUP(http_response_done) struct http_response response = {0};
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(perform(peer, method, &response, &err), code);
    if (strstr(err_text(&err), part) == NULL)
        fail_msg("'%s' not in '%s'", part, err_text(&err));
}

static void bodies(bool split)
{
    static const char *const script[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nt\r\n2\r\nwo\r\n0\r\nTrailer: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", /* HEAD */
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nthree",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nto the end", CLOSE,
        "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nlast", NULL};
    struct peer peer = begin(script, split);
    assert_answer(&peer, "GET", 200, "one");
    assert_answer(&peer, "GET", 200, "two");
    assert_answer(&peer, "HEAD", 200, "");
    assert_answer(&peer, "GET", 201, "three");
    assert_answer(&peer, "DELETE", 204, "");
    assert_answer(&peer, "GET", 200, "to the end");
    assert_answer(&peer, "GET", 200, "last");
    end(&peer);
}

static void test_light__bodies_on_one_connection(UNUSED void **state)
{
    bodies(false);
}

static void test_light__every_byte_by_itself(UNUSED void **state)
{
    bodies(true);
}

static void test_light__closed_while_idle(UNUSED void **state)
{
    static const char *const script[] = {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", CLOSE,
                                         "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo", NULL};
    struct peer peer = begin(script, false);
    assert_answer(&peer, "GET", 200, "one");
    usleep(50000); /* the end is there when the next request begins: even a POST may go out on a new connection */
    assert_answer(&peer, "POST", 200, "two");
    end(&peer);
}

static void test_light__cut_short(UNUSED void **state)
{
    static const char *const script[] = {"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\none", CLOSE,
                                         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ntw", CLOSE,
                                         "HTTP/1.1 200 O", CLOSE, NULL};
    struct peer peer = begin(script, false);
    for (int i = 0; i < 3; i++)
        assert_failure(&peer, "GET", ERR_IO, "closed");
    end(&peer);
}

static void test_light__not_http(UNUSED void **state)
{
    static const char *const script[] = {"SSH-2.0-OpenSSH_9.2", CLOSE, "\x15\x03\x01\x02\x02\x16", CLOSE, NULL};
    struct peer peer = begin(script, false);
    assert_failure(&peer, "GET", ERR_PARSE, "no HTTP/1.1");
    assert_failure(&peer, "GET", ERR_PARSE, "no HTTP/1.1");
    end(&peer);
}

#define ONE "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
#define TWO "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
#define THREE "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthree"

static void on_done(struct http_response *response, struct err *err, void *data)
{
    buf_add_str(data, err->code == 0 ? buf_text(&response->body) : err_text(err));
    buf_add_str(data, ";");
}

static struct http_call *start(struct peer *peer, struct buf *answers)
{
    CLEANUP(xfree) char *url = xasprintf("http://127.0.0.1:%d/x", peer->port);
    struct http_request request = {.method = "GET", .url = url, .timeout_ms = 5000, .together = true};
    return http_start(peer->client, &request, NULL, on_done, answers);
}

/* Turns the loop until a last call behind the others is answered. */
static void finish(struct peer *peer, const char *body)
{
    CLEANUP(xfree) char *url = xasprintf("http://127.0.0.1:%d/x", peer->port);
    CLEANUP(http_response_done) struct http_response response = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct http_request request = {.method = "GET", .url = url, .timeout_ms = 5000, .together = true};
    if (http_perform(peer->client, &request, NULL, NULL, &response, &err) != 0)
        fail_msg("%s", err_text(&err));
    assert_string_equal(buf_text(&response.body), body);
}

/* The peer takes all requests before it answers any. */
static void together(const char *const *script, bool split, const char *first_two)
{
    CLEANUP(buf_done) struct buf answers = {0};
    struct peer peer = begin(script, split);
    (void)start(&peer, &answers);
    (void)start(&peer, &answers);
    finish(&peer, "three");
    assert_string_equal(buf_text(&answers), first_two);
    assert_answer(&peer, "GET", 200, "one");
    end(&peer);
}

static void test_light__together(UNUSED void **state)
{
    static const char *const script[] = {HEAR, HEAR, ONE TWO THREE, ONE, NULL};
    static const char *const closed_after_one[] = {
        HEAR, HEAR, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none", CLOSE, HEAR, TWO THREE, ONE, NULL};
    static const char *const lost_after_one[] = {HEAR, HEAR, ONE, CLOSE, HEAR, TWO THREE, ONE, NULL};
    together(script, false, "one;two;");
    together(script, true, "one;two;");
    together(closed_after_one, false, "one;two;");
    together(lost_after_one, false, "one;two;");
}

static void test_light__cancelled_together(UNUSED void **state)
{
    static const char *const two_of_three[] = {HEAR, ONE THREE, NULL};
    static const char *const script[] = {HEAR, ONE, CLOSE, THREE, ONE, NULL};
    CLEANUP(buf_done) struct buf answers = {0};
    struct peer peer = begin(two_of_three, false);
    http_cancel(start(&peer, &answers)); /* alone */
    struct http_call *first = start(&peer, &answers);
    (void)start(&peer, &answers);
    http_cancel(first); /* the other begins anew */
    finish(&peer, "three");
    assert_string_equal(buf_text(&answers), "one;");
    end(&peer);

    buf_clear(&answers);
    peer = begin(script, false);
    (void)start(&peer, &answers);
    http_cancel(start(&peer, &answers)); /* its request goes out all the same, and the next call elsewhere */
    finish(&peer, "three");
    assert_answer(&peer, "GET", 200, "one");
    assert_string_equal(buf_text(&answers), "one;");
    end(&peer);

    buf_clear(&answers);
    peer = begin(script, false);
    (void)start(&peer, &answers);
    (void)start(&peer, &answers);
    end(&peer); /* nobody is told */
    assert_int_equal(answers.len, 0);
}

static void test_light__bad_urls(UNUSED void **state)
{
    static const char *const urls[] = {"ftp://x/", "https://", "http://[::1/", "http://a b/", "http://a/\r\nX: y", "x"};
    struct err err = {0};
    struct http_client_options options = {.proxy = "", .light = true};
    struct http_client *client = NULL;
    assert_int_equal(http_client_new(NULL, &options, &client, &err), 0);
    for (size_t i = 0; i < countof(urls); i++) {
        CLEANUP(http_response_done) struct http_response response = {0};
        struct http_request request = {.method = "GET", .url = urls[i]};
        assert_int_equal(http_perform(client, &request, NULL, NULL, &response, &err), ERR_INVALID);
        err_clear(&err);
    }
    http_client_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_light__bodies_on_one_connection),
        cmocka_unit_test(test_light__every_byte_by_itself),
        cmocka_unit_test(test_light__closed_while_idle),
        cmocka_unit_test(test_light__cut_short),
        cmocka_unit_test(test_light__not_http),
        cmocka_unit_test(test_light__together),
        cmocka_unit_test(test_light__cancelled_together),
        cmocka_unit_test(test_light__bad_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
