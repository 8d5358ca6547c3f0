/*
 * fuzz_json.c: what json_parse takes, both printers write so that it reads back as the same tree; json_parse_to_read and
 * json_parse_in_place take just the same, and so does what passes over members that are left out.
 */
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

static void check_left_out(const uint8_t *data, size_t size)
{
    static const struct json_omit omit[] = {{.name = "x"}, {0}};
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(err_clear) struct err same_err = {0};
    CLEANUP(json_free) struct json *tree = NULL;
    CLEANUP(json_free) struct json *rest = NULL;

    buf_add_str(&text, "{\"x\":");
    buf_add(&text, data, size);
    buf_add_char(&text, '}');
    int r = json_parse(text.data, text.len, &tree, &err);
    int same = json_parse_to_read(text.data, text.len, omit, &rest, &same_err);
    if (r != same || strcmp(err_text(&err), err_text(&same_err)) != 0)
        abort();
    if (r < 0)
        return;
    json_del(tree, "x");
    if (!json_same(tree, rest))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *tree = NULL;
    CLEANUP(json_free) struct json *copy = NULL;
    CLEANUP(json_free) struct json *to_read = NULL;
    CLEANUP(json_free) struct json *in_place = NULL;
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err same_err = {0};

    check_left_out(data, size);
    int r = json_parse((const char *)data, size, &tree, &err);
    int same = json_parse_to_read((const char *)data, size, NULL, &to_read, &same_err);
    if (r != same || strcmp(err_text(&err), err_text(&same_err)) != 0)
        abort();
    if (r < 0)
        return 0;
    buf_add(&text, data, size);
    if (!json_same(tree, to_read) || json_parse_in_place(&text, NULL, &in_place, &err) < 0 || !json_same(tree, in_place))
        abort();
    check_reprint(tree, json_print);
    check_reprint(tree, json_print_pretty);
    copy = json_clone(tree);
    if (!json_same(tree, copy))
        abort();
    return 0;
}
