/*
 * fuzz_forward_proxy.c: what a proxy says on the way through it, and its URL. The first byte chooses the kind; the rest is
 * said in pieces. What is left over is the target's, so nothing of it may be lost.
 */
#include "net/forward_proxy.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_url(const uint8_t *data, size_t size)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(forward_proxy_done) struct forward_proxy proxy = {0};
    CLEANUP(xfree) char *url = xstrndup((const char *)data, size);
    int code = forward_proxy_parse(url, &proxy, &err);
    if ((code < 0) != (err.code != 0) || (code == 0 && (proxy.address.host == NULL || proxy.address.port == NULL)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const urls[] = {"http://p", "http://u:p@p", "socks5://p", "socks5://u:p@p"};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(forward_proxy_done) struct forward_proxy proxy = {0};
    CLEANUP(dial_address_done) struct dial_address target = {0};
    CLEANUP(buf_done) struct buf in = {0}, out = {0};
    if (size == 0)
        return 0;
    try_url(data + 1, size - 1);
    if (forward_proxy_parse(urls[data[0] % 4], &proxy, &err) < 0 || dial_parse_url("https://api:1", &target, &err) < 0)
        abort();
    size_t piece = data[0] / 4 % 8 + 1u, at = 1;
    int result = forward_proxy_step(&proxy, &target, &in, &out, &err);
    while (result == 0 && at < size) {
        size_t n = size - at < piece ? size - at : piece;
        buf_add(&in, data + at, n);
        at += n;
        result = forward_proxy_step(&proxy, &target, &in, &out, &err);
    }
    if ((result < 0) != (err.code != 0) || out.len > 1024)
        abort();
    if (result == 1 && (in.len > at || memcmp(buf_text(&in), data + at - in.len, in.len) != 0))
        abort();
    return 0;
}
