/* fuzz_json.c: what json_parse takes, both printers write so that it reads back as the same tree. */
#include "base/mem.h"
#include "data/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reprint(const struct json *tree, void (*print)(const struct json *, struct buf *))
{
    CLEANUP(buf_done) struct buf first = {0};
    CLEANUP(buf_done) struct buf second = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *again = NULL;

    print(tree, &first);
    if (json_parse(buf_text(&first), first.len, &again, &err) < 0)
        abort();
    print(again, &second);
    if (strcmp(buf_text(&first), buf_text(&second)) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *tree = NULL;
    CLEANUP(json_free) struct json *copy = NULL;

    if (json_parse((const char *)data, size, &tree, &err) < 0)
        return 0;
    check_reprint(tree, json_print);
    check_reprint(tree, json_print_pretty);
    copy = json_clone(tree);
    if (!json_same(tree, copy))
        abort();
    return 0;
}
