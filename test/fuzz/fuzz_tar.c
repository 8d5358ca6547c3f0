/*
 * fuzz_tar.c: an archive as a container sends it: every entry read, every name brought below a folder.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "streams/tar.h"

struct input {
    const uint8_t *bytes;
    size_t left;
};

static ssize_t read_input(void *data, void *bytes, size_t len, struct err *err)
{
    struct input *input = data;
    size_t n = len < input->left ? len : input->left;
    (void)err;
    if (n > 0)
        memcpy(bytes, input->bytes, n);
    input->bytes += n;
    input->left -= n;
    return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct tar_reader reader = {.source = read_input, .data = &input};
    CLEANUP(tar_entry_done) struct tar_entry entry = {0};
    CLEANUP(err_clear) struct err err = {0};
    char bytes[64];
    while (tar_next(&reader, &entry, &err) == 1) {
        CLEANUP(xfree) char *path = tar_safe_path(entry.path, "");
        CLEANUP(strv_done) struct strv parts = {0};
        strv_split(&parts, strempty(path), '/');
        if (path != NULL && (path[0] == '/' || strv_has(&parts, "..")))
            abort();
        if (tar_read(&reader, bytes, sizeof(bytes), &err) < 0)
            break;
    }
    return 0;
}
