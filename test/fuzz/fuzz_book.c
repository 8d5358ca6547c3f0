/* fuzz_book.c: a reservation that can be read is written so that it reads the same. */
#include "base/mem.h"
#include "fargate/book.h"

#define PLAIN_MAX (1ll << 50) /* larger amounts are printed with an exponent, which nobody has room for */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(xfree) char *copy = xstrndup((const char *)data, size);
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf text = {0};
    struct book_line line, again;

    if (book_line_parse((struct str){copy, size}, &line, &err) < 0)
        return 0;
    if (line.size.cpu_m > PLAIN_MAX || line.size.mem_b > PLAIN_MAX)
        return 0;
    book_line_print(&line, &text);
    if (book_line_parse((struct str){text.data, text.len - 1}, &again, &err) < 0 ||
        strcmp(line.uid, again.uid) != 0 || line.version != again.version ||
        line.size.storage_b != again.size.storage_b || line.pod.len != again.pod.len ||
        memcmp(line.pod.p, again.pod.p, line.pod.len) != 0)
        abort();
    return 0;
}
