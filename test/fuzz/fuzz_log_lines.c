/*
 * fuzz_log_lines.c: any bytes as a container's log file. The first two bytes choose limit and tail; rendering in
 * two pieces gives the same as in one, and no limit is ever exceeded.
 */
#include "cmd/fks-node/api/log_lines.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct log_lines_options options = {.timestamps = data[0] & 1, .limit_bytes = data[0] & 2 ? data[0] : -1};
    CLEANUP(xfree) char *text = xstrndup("", 0);
    CLEANUP(buf_done) struct buf whole = {0};
    CLEANUP(buf_done) struct buf pieces = {0};
    struct log_lines_state one = {0}, two = {0};
    bool full, enough;
    size_t len = size - 2;

    text = xrealloc(text, len + 1, 1);
    memcpy(text, data + 2, len);
    size_t begin = log_lines_tail(text, len, data[1] & 7, &enough);
    if (begin > len)
        abort();
    size_t used = log_lines_render(&options, &one, text, len, &whole, &full);
    if (used > len || (options.limit_bytes >= 0 && whole.len > (size_t)options.limit_bytes))
        abort();
    size_t half = log_lines_render(&options, &two, text, len / 2, &pieces, &full);
    if (!full)
        (void)log_lines_render(&options, &two, text + half, len - half, &pieces, &full);
    if (whole.len != pieces.len || memcmp(buf_text(&whole), buf_text(&pieces), whole.len) != 0)
        abort();
    return 0;
}
