/* ws.h against a child process that plays a WebSocket server over a plain socket. */
#include "net/ws.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/ws_internal.h"

enum play {
    PLAY_ECHO,
    PLAY_REFUSE,
    PLAY_WRONG_KEY,
    PLAY_OTHER_PROTOCOL,
    PLAY_INTERIM,
    PLAY_CLOSE,
    PLAY_CUT,
    PLAY_BAD_FRAME,
    PLAY_SPLIT,
    PLAY_PINGS, /* for ever, and it never reads */
    PLAY_SMALL, /* SMALL_MESSAGES of them, then a close */
};
#define SMALL_MESSAGES 200000

static void say(int fd, const void *bytes, size_t len)
{
    struct err err = {0};
    if (fd_write_all(fd, bytes, len, &err) < 0)
        _exit(1);
}

static void say_text(int fd, const char *text)
{
    say(fd, text, strlen(text));
}

static char *accept_of(const char *request)
{
    const char *key = strstr(request, "Sec-WebSocket-Key: ") + 19;
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(xfree) char *text = xasprintf("%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)strcspn(key, "\r"), key);
    unsigned char digest[64];
    unsigned int len;
    EVP_Digest(text, strlen(text), digest, &len, EVP_sha1(), NULL);
    base64_encode(digest, len, &out);
    return buf_take(&out);
}

/* One masked frame of less than 126 bytes comes back unmasked. */
static void echo_one(int fd)
{
    unsigned char frame[2], mask[4], payload[126];
    if (read(fd, frame, 2) != 2 || read(fd, mask, 4) != 4)
        _exit(1);
    size_t len = frame[1] & 0x7f;
    if (len > 0 && read(fd, payload, len) != (ssize_t)len)
        _exit(1);
    for (size_t i = 0; i < len; i++)
        payload[i] ^= mask[i % 4];
    unsigned char head[2] = {frame[0], (unsigned char)len};
    say(fd, head, 2);
    say(fd, payload, len);
}

static void send_pings(int fd)
{
    char ping[127] = "\x89\x7d";
    while (send(fd, ping, sizeof(ping), MSG_NOSIGNAL) == (ssize_t)sizeof(ping))
        ;
}

static void send_small(int fd)
{
    CLEANUP(buf_done) struct buf frames = {0};
    for (int i = 0; i < SMALL_MESSAGES; i++)
        buf_add(&frames, i % 2 == 0 ? "\x82\x00" : "\x82\x01x", i % 2 == 0 ? 2 : 3);
    buf_add(&frames, "\x88\x02\x03\xe8", 4);
    say(fd, frames.data, frames.len);
}

static void play_server(int fd, enum play play)
{
    char request[4096];
    size_t n = 0;
    while (n < sizeof(request) - 1) {
        ssize_t got = read(fd, request + n, sizeof(request) - 1 - n);
        if (got <= 0)
            _exit(1);
        n += (size_t)got;
        request[n] = '\0';
        if (strstr(request, "\r\n\r\n") != NULL)
            break;
    }
    if (play == PLAY_REFUSE) {
        say_text(fd, "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope");
        _exit(0);
    }
    CLEANUP(xfree) char *key = accept_of(request);
    CLEANUP(xfree) char *head = xasprintf("%sHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                          "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
                                          play == PLAY_INTERIM ? "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" : "",
                                          play == PLAY_WRONG_KEY ? "wrong" : key,
                                          play == PLAY_OTHER_PROTOCOL ? "v4.base64.channel.k8s.io" : "v5.channel.k8s.io");
    say_text(fd, head);
    if (play == PLAY_ECHO || play == PLAY_INTERIM)
        echo_one(fd);
    if (play == PLAY_PINGS)
        send_pings(fd);
    if (play == PLAY_SMALL)
        send_small(fd);
    if (play == PLAY_CLOSE)
        say(fd, "\x82\x02hi\x88\x02\x03\xe8", 8); /* a message, then close 1000 */
    if (play == PLAY_BAD_FRAME)
        say(fd, "\xf2\x02hi", 4); /* reserved bits */
    if (play == PLAY_SPLIT) {
        say(fd, "\x02\x01h", 3); /* first fragment */
        usleep(20000);
        say(fd, "\x80\x01i", 3);
    }
    if (play != PLAY_CUT)
        usleep(200000);
    _exit(0);
}

static int connect_to(enum play play, pid_t *ret_pid, struct ws **ret, struct buf *refusal, struct err *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    CLEANUP(fd_close) int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    *ret_pid = fork();
    if (*ret_pid == 0)
        play_server(accept(listener, NULL, NULL), play);
    CLEANUP(xfree) char *url = xasprintf("http://127.0.0.1:%d/exec?command=a", ntohs(address.sin_port));
    const char *const protocols[] = {"v5.channel.k8s.io", "v4.channel.k8s.io", NULL};
    struct ws_options options = {.url = url, .protocols = protocols};
    return ws_connect(&options, ret, refusal, err);
}

static int receive(struct ws *ws, struct buf *ret, struct err *err)
{
    for (;;) {
        int result = ws_receive(ws, ret, err);
        if (result != 0)
            return result;
        struct pollfd fd = {.fd = ws_fd(ws), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 5000), 1);
    }
}

static void reap(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void check_echo(enum play play)
{
    struct err err = {0};
    CLEANUP(ws_free) struct ws *ws = NULL;
    CLEANUP(buf_done) struct buf message = {0};
    pid_t pid;
    assert_int_equal(connect_to(play, &pid, &ws, &message, &err), 0);
    assert_string_equal(ws_protocol(ws), "v5.channel.k8s.io");
    assert_int_equal(ws_send(ws, "\0hello", 6, &err), 0);
    assert_int_equal(receive(ws, &message, &err), 1);
    assert_int_equal(message.len, 6);
    assert_memory_equal(message.data, "\0hello", 6);
    reap(pid);
}

static void test_ws__echo(void **state)
{
    (void)state;
    check_echo(PLAY_ECHO);
}

static void test_ws__interim_answer(void **state)
{
    (void)state;
    check_echo(PLAY_INTERIM);
}

static void test_ws__refusal(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(ws_free) struct ws *ws = NULL;
    CLEANUP(buf_done) struct buf refusal = {0};
    pid_t pid;
    (void)state;
    assert_int_equal(connect_to(PLAY_REFUSE, &pid, &ws, &refusal, &err), ERR_FORBIDDEN);
    assert_int_equal(err.http_status, 403);
    assert_string_equal(buf_text(&refusal), "nope");
    reap(pid);
}

static void test_ws__wrong_key(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(ws_free) struct ws *ws = NULL;
    CLEANUP(buf_done) struct buf refusal = {0};
    pid_t pid;
    (void)state;
    assert_int_equal(connect_to(PLAY_WRONG_KEY, &pid, &ws, &refusal, &err), ERR_PARSE);
    reap(pid);
}

static void test_ws__protocol_that_was_not_offered(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf refusal = {0};
    struct ws *ws = NULL;
    pid_t pid;
    (void)state;
    assert_int_equal(connect_to(PLAY_OTHER_PROTOCOL, &pid, &ws, &refusal, &err), ERR_PARSE);
    assert_non_null(strstr(err_text(&err), "'v4.base64.channel.k8s.io', which was not offered"));
    reap(pid);
}

/* What a peer makes us keep has an end, however it does it. */
static void test_ws__pings_for_ever(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf message = {0};
    struct ws *ws = NULL;
    pid_t pid;
    (void)state;
    assert_int_equal(connect_to(PLAY_PINGS, &pid, &ws, &message, &err), 0);
    assert_int_equal(receive(ws, &message, &err), ERR_TOO_BIG);
    ws_free(ws);
    reap(pid);
}

static void test_ws__many_small_messages(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(ws_free) struct ws *ws = NULL;
    CLEANUP(buf_done) struct buf message = {0};
    size_t n = 0;
    int result;
    pid_t pid;
    (void)state;
    assert_int_equal(connect_to(PLAY_SMALL, &pid, &ws, &message, &err), 0);
    while ((result = receive(ws, &message, &err)) == 1) {
        assert_int_equal(message.len, n++ % 2);
        assert_true(ws->queue_bytes < MIB(2));
    }
    assert_int_equal(result, 2);
    assert_int_equal(n, SMALL_MESSAGES);
    reap(pid);
}

static void test_ws__message_then_close(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(ws_free) struct ws *ws = NULL;
    CLEANUP(buf_done) struct buf message = {0};
    pid_t pid;
    (void)state;
    assert_int_equal(connect_to(PLAY_CLOSE, &pid, &ws, &message, &err), 0);
    assert_int_equal(receive(ws, &message, &err), 1);
    assert_string_equal(buf_text(&message), "hi");
    assert_int_equal(receive(ws, &message, &err), 2);
    assert_int_equal(receive(ws, &message, &err), 2);
    assert_int_equal(ws_send(ws, "x", 1, &err), ERR_IO);
    ws_close(ws);
    reap(pid);
}

static void test_ws__fragments(void **state)
{
    struct err err = {0};
    CLEANUP(ws_free) struct ws *ws = NULL;
    CLEANUP(buf_done) struct buf message = {0};
    pid_t pid;
    (void)state;
    assert_int_equal(connect_to(PLAY_SPLIT, &pid, &ws, &message, &err), 0);
    assert_int_equal(receive(ws, &message, &err), 1);
    assert_string_equal(buf_text(&message), "hi");
    reap(pid);
}

static void test_ws__cut_and_broken(void **state)
{
    static const struct {
        enum play play;
        int code;
    } cases[] = {{PLAY_CUT, ERR_IO}, {PLAY_BAD_FRAME, ERR_PARSE}};
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(ws_free) struct ws *ws = NULL;
        CLEANUP(buf_done) struct buf message = {0};
        pid_t pid;
        assert_int_equal(connect_to(cases[i].play, &pid, &ws, &message, &err), 0);
        assert_int_equal(receive(ws, &message, &err), cases[i].code);
        err_clear(&err);
        assert_int_equal(receive(ws, &message, &err), cases[i].code); /* and so again */
        reap(pid);
    }
}

static void test_connect__bad_url_and_refused(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf refusal = {0};
    struct ws *ws = NULL;
    (void)state;
    assert_int_equal(ws_connect(&(struct ws_options){.url = "ftp://x"}, &ws, &refusal, &err), ERR_INVALID);
    err_clear(&err);
    assert_int_equal(ws_connect(&(struct ws_options){.url = "http://[::1/"}, &ws, &refusal, &err), ERR_INVALID);
    err_clear(&err);
    assert_int_equal(ws_connect(&(struct ws_options){.url = "http://127.0.0.1:1/"}, &ws, &refusal, &err), ERR_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ws__echo),
        cmocka_unit_test(test_ws__interim_answer),
        cmocka_unit_test(test_ws__refusal),
        cmocka_unit_test(test_ws__protocol_that_was_not_offered),
        cmocka_unit_test(test_ws__pings_for_ever),
        cmocka_unit_test(test_ws__many_small_messages),
        cmocka_unit_test(test_ws__wrong_key),
        cmocka_unit_test(test_ws__message_then_close),
        cmocka_unit_test(test_ws__fragments),
        cmocka_unit_test(test_ws__cut_and_broken),
        cmocka_unit_test(test_connect__bad_url_and_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
