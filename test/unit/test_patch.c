/* test_patch.c: JSON Patch (examples of RFC 6902 appendix A among them) and merge patches (RFC 7396 appendix A). */
#include "data/patch.h"

#include "trees.h"

static const struct applied {
    const char *document, *patch, *result; /* result NULL: refused */
} applied[] = {
    {"{foo: bar}", "[{op: add, path: /baz, value: qux}]", "{baz: qux, foo: bar}"},
    {"{foo: [bar, baz]}", "[{op: add, path: /foo/1, value: qux}]", "{foo: [bar, qux, baz]}"},
    {"{foo: [bar, baz]}", "[{op: add, path: /foo/0, value: qux}]", "{foo: [qux, bar, baz]}"},
    {"{foo: [bar]}", "[{op: add, path: /foo/-, value: [abc, def]}]", "{foo: [bar, [abc, def]]}"},
    {"{foo: [bar]}", "[{op: add, path: /foo/1, value: x}]", "{foo: [bar, x]}"},
    {"{foo: [bar]}", "[{op: add, path: /foo/2, value: x}]", NULL},
    {"{foo: [bar]}", "[{op: add, path: /foo/01, value: x}]", NULL},
    {"{foo: [bar]}", "[{op: add, path: /foo/x, value: x}]", NULL},
    {"{foo: 1}", "[{op: add, path: /foo, value: null}]", "{foo: null}"},
    {"{foo: bar, baz: qux}", "[{op: remove, path: /baz}]", "{foo: bar}"},
    {"{foo: [a, b, c]}", "[{op: remove, path: /foo/1}]", "{foo: [a, c]}"},
    {"{foo: bar}", "[{op: remove, path: /baz}]", NULL},
    {"{foo: [a]}", "[{op: remove, path: /foo/-}]", NULL},
    {"{a: b}", "[{op: replace, path: /a, value: c}]", "{a: c}"},
    {"{a: [1, 2, 3]}", "[{op: replace, path: /a/1, value: x}]", "{a: [1, x, 3]}"},
    {"{a: b}", "[{op: replace, path: /x, value: c}]", NULL},
    {"{a: b}", "[{op: replace, path: '', value: [1]}]", "[1]"},
    {"{foo: {bar: baz, waldo: fred}, qux: {corge: grault}}", "[{op: move, from: /foo/waldo, path: /qux/thud}]",
     "{foo: {bar: baz}, qux: {corge: grault, thud: fred}}"},
    {"{foo: [all, grass, cows, eat]}", "[{op: move, from: /foo/1, path: /foo/3}]", "{foo: [all, cows, eat, grass]}"},
    {"{a: {b: 1}}", "[{op: move, from: /a, path: /a/b/c}]", NULL},
    {"{a: {b: 1}}", "[{op: copy, from: /a, path: /c}]", "{a: {b: 1}, c: {b: 1}}"},
    {"{a: 1}", "[{op: copy, from: /x, path: /c}]", NULL},
    {"{baz: qux, foo: [a, 2, c]}", "[{op: test, path: /baz, value: qux}, {op: test, path: /foo/1, value: 2}]",
     "{baz: qux, foo: [a, 2, c]}"},
    {"{baz: qux}", "[{op: test, path: /baz, value: bar}]", NULL},
    {"{foo: bar}", "[{op: add, path: /baz/bat, value: qux}]", NULL},
    {"{/: 9, ~1: 10}", "[{op: test, path: /~01, value: 10}, {op: add, path: /~1, value: 8}]", "{/: 8, ~1: 10}"},
    {"{}", "[{op: add, path: /~2, value: 1}]", NULL},
    {"{}", "[{op: add, path: a, value: 1}]", NULL},
    {"{}", "[{op: add, path: /a}]", NULL},
    {"{}", "[{op: nonsense, path: /a, value: 1}]", NULL},
    {"{a: text}", "[{op: add, path: /a/b, value: 1}]", NULL},
    {"{}", "{op: add, path: /a, value: 1}", NULL},
};

static void test_apply__cases(UNUSED void **state)
{
    for (size_t i = 0; i < countof(applied); i++) {
        CLEANUP(json_free) struct json *document = tree_of(applied[i].document);
        CLEANUP(json_free) struct json *patch = tree_of(applied[i].patch);
        CLEANUP(json_free) struct json *result = NULL;
        CLEANUP(err_clear) struct err err = {0};
        int r = patch_apply(document, patch, &result, &err);
        if (applied[i].result == NULL) {
            if (r != ERR_INVALID)
                fail_msg("%s was applied to %s", applied[i].patch, applied[i].document);
            continue;
        }
        if (r < 0)
            fail_msg("%s", err_text(&err));
        assert_tree_is(result, applied[i].result);
        assert_tree_is(document, applied[i].document); /* the original stays */
    }
}

static void test_pointer__escapes(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf pointer = {0};

    patch_pointer_add(&pointer, "metadata");
    patch_pointer_add(&pointer, "a/b~c");
    patch_pointer_add(&pointer, "");
    assert_string_equal(buf_text(&pointer), "/metadata/a~1b~0c/");
}

static void test_operations__as_written(UNUSED void **state)
{
    CLEANUP(json_free) struct json *patch = json_new_array();

    patch_add(patch, "/a", json_new_int(1));
    patch_replace(patch, "/b", json_new_string("x"));
    patch_remove(patch, "/c");
    assert_tree_is(patch,
                   "[{op: add, path: /a, value: 1}, {op: replace, path: /b, value: x}, {op: remove, path: /c}]");
}

static void test_patch_text__operations(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf text = {0};

    patch_text_end(&text);
    assert_int_equal(text.len, 0);
    patch_text_begin(&text, "add", "/a/\"b\\~1\xFF");
    buf_add_str(&text, "{}");
    patch_text_begin(&text, "replace", "/c");
    buf_add_str(&text, "1");
    patch_text_end(&text);
    assert_string_equal(buf_text(&text), "[{\"op\":\"add\",\"path\":\"/a/\\\"b\\\\~1\xEF\xBF\xBD\",\"value\":{}},"
                                         "{\"op\":\"replace\",\"path\":\"/c\",\"value\":1}]");
}

static const struct merged {
    const char *document, *merge, *result;
} merged[] = {
    {"{a: b}", "{a: c}", "{a: c}"},
    {"{a: b}", "{b: c}", "{a: b, b: c}"},
    {"{a: b}", "{a: null}", "{}"},
    {"{a: b, b: c}", "{a: null}", "{b: c}"},
    {"{a: [b]}", "{a: c}", "{a: c}"},
    {"{a: c}", "{a: [b]}", "{a: [b]}"},
    {"{a: {b: c}}", "{a: {b: d, c: null}}", "{a: {b: d}}"},
    {"{a: [{b: c}]}", "{a: [1]}", "{a: [1]}"},
    {"[a, b]", "[c, d]", "[c, d]"},
    {"{a: b}", "[c]", "[c]"},
    {"{e: null}", "{a: 1}", "{e: null, a: 1}"},
    {"[1, 2]", "{a: b, c: null}", "{a: b}"},
    {"{}", "{a: {bb: {ccc: null}}}", "{a: {bb: {}}}"},
};

static void test_merge__cases(UNUSED void **state)
{
    for (size_t i = 0; i < countof(merged); i++) {
        CLEANUP(json_free) struct json *document = tree_of(merged[i].document);
        CLEANUP(json_free) struct json *merge = tree_of(merged[i].merge);
        CLEANUP(json_free) struct json *result = patch_merge(document, merge);
        assert_tree_is(result, merged[i].result);
        assert_tree_is(document, merged[i].document);
    }
}

static void test_merge_diff__turns_one_into_the_other(UNUSED void **state)
{
    static const char *const states[] = {"{}", "{a: 1}", "{a: {b: 1, c: [1, 2]}}", "{a: {b: 2}, d: x}", "{a: [1]}",
                                         "{a: {c: {d: {e: 1}}}}"};

    for (size_t i = 0; i < countof(states); i++) {
        for (size_t k = 0; k < countof(states); k++) {
            CLEANUP(json_free) struct json *from = tree_of(states[i]);
            CLEANUP(json_free) struct json *to = tree_of(states[k]);
            CLEANUP(json_free) struct json *diff = patch_merge_diff(from, to);
            CLEANUP(json_free) struct json *result = patch_merge(from, diff);
            assert_tree_is(result, states[k]);
            if (i == k)
                assert_int_equal(json_len(diff), 0);
        }
    }
    CLEANUP(json_free) struct json *from = tree_of("{a: {b: 1, c: 2}, d: 3}");
    CLEANUP(json_free) struct json *to = tree_of("{a: {b: 1, c: 4}}");
    CLEANUP(json_free) struct json *diff = patch_merge_diff(from, to);
    assert_tree_is(diff, "{a: {c: 4}, d: null}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply__cases),
        cmocka_unit_test(test_pointer__escapes),
        cmocka_unit_test(test_operations__as_written),
        cmocka_unit_test(test_patch_text__operations),
        cmocka_unit_test(test_merge__cases),
        cmocka_unit_test(test_merge_diff__turns_one_into_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
