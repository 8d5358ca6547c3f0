/* forward_proxy.h: the choice by Go's rules, and the ways through HTTP and SOCKS5 proxies, fed byte by byte. */
#include "net/forward_proxy.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"

static void set_environment(const char *https, const char *http, const char *no_proxy)
{
    static const char *const all[] = {"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"};
    for (size_t i = 0; i < countof(all); i++)
        (void)unsetenv(all[i]);
    if (https != NULL)
        (void)setenv("HTTPS_PROXY", https, 1);
    if (http != NULL)
        (void)setenv("http_proxy", http, 1);
    if (no_proxy != NULL)
        (void)setenv("NO_PROXY", no_proxy, 1);
}

static void check_choice(const char *url, const char *expected)
{
    CLEANUP(xfree) char *got = forward_proxy_choose(NULL, url);
    if (!streq(strempty(got), strempty(expected)))
        print_error("%s with NO_PROXY=%s\n", url, strempty(getenv("NO_PROXY")));
    assert_string_equal(strempty(got), strempty(expected));
}

static void test_forward_proxy__environment(void **state)
{
    (void)state;
    set_environment("http://p:3128", "q:80", NULL);
    check_choice("https://api.example.com", "http://p:3128");
    check_choice("wss://api.example.com/x", "http://p:3128");
    check_choice("http://api.example.com", "http://q:80");
    check_choice("https://localhost:6443", NULL);
    check_choice("https://127.8.9.10", NULL);
    check_choice("https://[::1]:6443/api", NULL);
    set_environment(NULL, NULL, NULL);
    check_choice("https://api.example.com", NULL);
    (void)setenv("https_proxy", "socks5://s", 1);
    check_choice("https://api.example.com", "socks5://s");
}

static void test_forward_proxy__exceptions(void **state)
{
    static const struct {
        const char *no_proxy, *host;
        bool excepted;
    } rows[] = {
        {"*", "api.example.com", true},
        {"example.com", "example.com", true},
        {"example.com", "API.Example.com", true},
        {"example.com", "badexample.com", false},
        {".example.com", "api.example.com", true},
        {".example.com", "example.com", false},
        {"*.example.com", "api.example.com", true},
        {"*.example.com", "example.com", false},
        {" a , example.com:6443 ", "example.com:6443", true},
        {"example.com:443", "example.com:6443", false},
        {"example.com:443", "example.com", true},
        {"10.0.0.0/8", "10.1.2.3", true},
        {"10.0.0.0/13", "10.8.2.3", false},
        {"10.0.0.0/8", "api.example.com", false},
        {"10.1.2.3", "10.1.2.3:6443", true},
        {"10.1.2.3:443", "10.1.2.3:6443", false},
        {"fd00::/8", "[fd00::1]:6443", true},
        {"fd00::/8", "[fe80::1]:6443", false},
        {"[fd00::1]:6443", "[fd00::1]:6443", true},
        {"fd00::1", "[fd00::1]:6443", true},
        {"0.0.0.0/0", "192.0.2.1", true},
        {"192.0.2.1/32", "192.0.2.1", true},
        {"192.0.2.1/32", "192.0.2.2", false},
        {"192.0.2.1/33", "192.0.2.1", false},
        {":443", "example.com", false},
        {"[fd00::1", "[fd00::1]", false},
        {",,", "example.com", false},
    };
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(xfree) char *url = xasprintf("https://%s/", rows[i].host);
        set_environment("p:1", NULL, rows[i].no_proxy);
        check_choice(url, rows[i].excepted ? NULL : "http://p:1");
    }
    set_environment(NULL, NULL, NULL);
}

static void test_forward_proxy__configured(void **state)
{
    (void)state;
    set_environment("http://p:3128", NULL, "*");
    CLEANUP(xfree) char *own = forward_proxy_choose("socks5://s:1", "https://127.0.0.1");
    assert_string_equal(own, "socks5://s:1"); /* also for this machine, whatever NO_PROXY says */
    assert_null(forward_proxy_choose("", "https://api.example.com"));
    set_environment(NULL, NULL, NULL);
}

static void test_forward_proxy__parse(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    struct forward_proxy proxy = {0};
    (void)state;
    assert_int_equal(forward_proxy_parse("socks5://h", &proxy, &err), 0);
    assert_string_equal(proxy.address.port, "1080");
    forward_proxy_done(&proxy);
    assert_int_equal(forward_proxy_parse("https://u%40x:p%3A@[::1]:99/x", &proxy, &err), 0);
    assert_int_equal(proxy.kind, FORWARD_PROXY_HTTPS);
    assert_string_equal(proxy.address.host, "::1");
    assert_string_equal(proxy.address.port, "99");
    assert_string_equal(proxy.user, "u@x");
    assert_string_equal(proxy.password, "p:");
    forward_proxy_done(&proxy);
    assert_int_equal(forward_proxy_parse("ftp://h", &proxy, &err), ERR_INVALID);
    err_clear(&err);
    assert_true(forward_proxy_parse("http://u:%zz@h", &proxy, &err) < 0);
    err_clear(&err);
    assert_true(forward_proxy_parse("http://", &proxy, &err) < 0);
}

struct talk {
    const char *url;    /* of the proxy */
    const char *target; /* URL */
    const char *says;   /* what the proxy says, says_len bytes */
    size_t says_len;
    const char *hears; /* what it must have heard by the end; NULL: not looked at */
    size_t hears_len;
    const char *failure; /* in the error, NULL: the way is open */
};

static void check_talk(const struct talk *talk)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(forward_proxy_done) struct forward_proxy proxy = {0};
    CLEANUP(dial_address_done) struct dial_address target = {0};
    CLEANUP(buf_done) struct buf in = {0}, out = {0};
    assert_int_equal(forward_proxy_parse(talk->url, &proxy, &err), 0);
    assert_int_equal(dial_parse_url(talk->target, &target, &err), 0);
    int result = forward_proxy_step(&proxy, &target, &in, &out, &err);
    size_t at = 0;
    for (; result == 0 && at < talk->says_len; at++) {
        buf_add_char(&in, talk->says[at]);
        result = forward_proxy_step(&proxy, &target, &in, &out, &err);
    }
    if (talk->failure != NULL) {
        assert_true(result < 0);
        assert_non_null(strstr(err_text(&err), talk->failure));
    } else {
        assert_int_equal(result, 1);
        assert_int_equal(at, talk->says_len); /* not a byte too early */
        assert_int_equal(in.len, 0);
    }
    if (talk->hears != NULL) {
        assert_int_equal(out.len, talk->hears_len);
        assert_memory_equal(out.data, talk->hears, talk->hears_len);
    }
}
#define BYTES(text) text, sizeof(text) - 1

static void test_forward_proxy__connect(void **state)
{
    static const struct talk talks[] = {
        {"http://p", "https://api:6443/x", BYTES("HTTP/1.1 200 Connection established\r\nA: b\r\n\r\n"),
         BYTES("CONNECT api:6443 HTTP/1.1\r\nHost: api:6443\r\n\r\n"), NULL},
        {"http://u:p@p", "https://[fd00::1]", BYTES("HTTP/1.0 200\r\n\r\n"),
         BYTES("CONNECT [fd00::1]:443 HTTP/1.1\r\nHost: [fd00::1]:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n"), NULL},
        {"http://p", "https://api", BYTES("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), NULL, 0,
         "Proxy Authentication Required"},
        {"http://p", "https://api", BYTES("HTTP/1.1 503\r\n\r\n"), NULL, 0, ""},
        {"http://p", "https://api", BYTES("SSH-2.0\r\n"), NULL, 0, "no HTTP/1.1"},
    };
    (void)state;
    for (size_t i = 0; i < countof(talks); i++)
        check_talk(&talks[i]);
}

static void test_forward_proxy__socks(void **state)
{
    static const struct talk talks[] = {
        {"socks5://p", "https://api:6443", BYTES("\5\0\5\0\0\1\1\2\3\4\1\2"), BYTES("\5\1\0\5\1\0\3\3api\x19\x2b"), NULL},
        {"socks5://p", "https://1.2.3.4", BYTES("\5\0\5\0\0\3\2ab\1\2"), BYTES("\5\1\0\5\1\0\1\1\2\3\4\1\xbb"), NULL},
        {"socks5://u:pw@p", "https://a:1", BYTES("\5\2\1\0\5\0\0\4aaaaaaaaaaaaaaaa\1\2"),
         BYTES("\5\2\0\2\1\1u\2pw\5\1\0\3\1a\0\1"), NULL},
        {"socks5://u:pw@p", "https://a:1", BYTES("\5\2\1\1"), NULL, 0, "authentication failed"},
        {"socks5://p", "https://a:1", BYTES("\5\2"), NULL, 0, "no acceptable authentication"},
        {"socks5://p", "https://a:1", BYTES("\5\xff"), NULL, 0, "no acceptable authentication"},
        {"socks5://p", "https://a:1", BYTES("\5\0\5\5\0\1\1"), NULL, 0, "connection refused"},
        {"socks5://p", "https://a:1", BYTES("\5\0\5\x63\0\1\1"), NULL, 0, "unknown code"},
        {"socks5://p", "https://a:1", BYTES("\5\0\5\0\0\x09\1"), NULL, 0, "unknown address type 9"},
        {"socks5://p", "https://a:1", BYTES("HT"), NULL, 0, "does not speak SOCKS5"},
    };
    (void)state;
    for (size_t i = 0; i < countof(talks); i++)
        check_talk(&talks[i]);
}

static void test_forward_proxy__socks_limits(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(forward_proxy_done) struct forward_proxy proxy = {0};
    CLEANUP(dial_address_done) struct dial_address target = {0};
    CLEANUP(buf_done) struct buf in = {0}, out = {0};
    char name[300] = {0};
    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    CLEANUP(xfree) char *url = xasprintf("https://%s", name);
    assert_int_equal(forward_proxy_parse("socks5://p", &proxy, &err), 0);
    assert_int_equal(dial_parse_url(url, &target, &err), 0);
    assert_int_equal(forward_proxy_step(&proxy, &target, &in, &out, &err), 0);
    buf_add(&in, "\5\0", 2);
    assert_int_equal(forward_proxy_step(&proxy, &target, &in, &out, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward_proxy__environment), cmocka_unit_test(test_forward_proxy__exceptions),
        cmocka_unit_test(test_forward_proxy__configured),  cmocka_unit_test(test_forward_proxy__parse),
        cmocka_unit_test(test_forward_proxy__connect),     cmocka_unit_test(test_forward_proxy__socks),
        cmocka_unit_test(test_forward_proxy__socks_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
