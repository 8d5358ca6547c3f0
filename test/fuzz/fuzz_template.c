/* fuzz_template.c: go-templates, as text: parsed and run on a small tree. */
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(xfree) char *text = xstrndup((const char *)data, size);
    CLEANUP(json_free) struct json *object = json_build("{s:s, s:[{s:I}], s:{s:n}}", "kind", "x", "items", "n", (int64_t)1, "m", "k");
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};
    buf_init(&out, 1 << 16);
    if (template_print(text, object, true, &out, &err) < 0)
        return 0;
    return 0;
}
