/* fuzz_yaml.c: whatever yaml_parse takes, yaml_print writes so that it reads back as the same tree. */
#include "base/mem.h"
#include "data/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *tree = NULL;
    CLEANUP(json_free) struct json *again = NULL;
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(buf_done) struct buf first = {0};
    CLEANUP(buf_done) struct buf second = {0};

    if (size > 65536 || yaml_parse((const char *)data, size, &tree, &err) < 0)
        return 0;
    yaml_print(tree, &text);
    if (yaml_parse(buf_text(&text), text.len, &again, &err) < 0)
        abort();
    json_print_pretty(tree, &first);
    json_print_pretty(again, &second);
    if (strcmp(buf_text(&first), buf_text(&second)) != 0)
        abort();
    return 0;
}
