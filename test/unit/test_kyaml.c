/* test_kyaml.c: trees as KYAML; the expected texts were taken from kubectl 1.36. */
#include "data/kyaml.h"

#include "trees.h"

static const struct {
    const char *json, *kyaml;
} cases[] = {
    {"{}", "{}"},
    {"[]", "[]"},
    {"{\"b\":1,\"a\":[],\"c\":{},\"d\":null,\"e\":true,\"f\":1.5}",
     "{\n  a: [],\n  b: 1,\n  c: {},\n  d: null,\n  e: true,\n  \"f\": 1.5,\n}"},
    {"{\"l\":[\"x\",1],\"m\":[{\"a\":\"b\"},{\"c\":[[\"d\"]]}],\"o\":[{},1]}",
     "{\n  l: [\n    \"x\",\n    1,\n  ],\n  m: [{\n    a: \"b\",\n  }, {\n    c: [[\n      \"d\",\n    ]],\n  }],\n"
     "  o: [\n    {},\n    1,\n  ],\n}"},
    {"{\"k\":\"a\\\\b\\\"c\\td\\u0007\\u001b\\u00a0\\u2028\\ufeff<\\u00e9\"}",
     "{\n  k: \"a\\\\b\\\"c\td\\a\\e\\_\\L\\ufeff<\xc3\xa9\",\n}"},
    {"{\"k\":\"one\\n  two\\n\\nthree\"}",
     "{\n  k: \"\\\n     one\\n\\\n    \\  two\\n\\\n     \\n\\\n     three\\\n    \",\n}"},
    {"{\"k\":\"one\\n\"}", "{\n  k: \"\\\n     one\\n\\\n    \",\n}"},
};

static void test_print__cases(UNUSED void **state)
{
    for (size_t i = 0; i < countof(cases); i++) {
        CLEANUP(json_free) struct json *tree = tree_of(cases[i].json);
        CLEANUP(buf_done) struct buf text = {0};
        CLEANUP(xfree) char *want = xasprintf("---\n%s\n", cases[i].kyaml);
        kyaml_print(tree, true, &text);
        assert_string_equal(buf_text(&text), want);
    }
}

static void test_print__own_order(UNUSED void **state)
{
    CLEANUP(json_free) struct json *tree = tree_of("{\"b\":{\"d\":1,\"c\":2},\"a\":3}");
    CLEANUP(buf_done) struct buf text = {0};
    kyaml_print(tree, false, &text);
    assert_string_equal(buf_text(&text), "---\n{\n  b: {\n    d: 1,\n    c: 2,\n  },\n  a: 3,\n}\n");
}

/* Which keys some parser of YAML would not take for a string. */
static void test_print__keys(UNUSED void **state)
{
    static const char *const bare[] = {"a", "_", "a_b", "app.kubernetes.io/name", "0b12", "0x", "1e", "1e999", "2001-02-30",
                                       "\xc3\xa9", "0xfffffffffffffffff", "_1x", "nul"};
    static const char *const quoted[] = {"", "y", "N", "t", "F", "yes", "NULL", "true", "1", "1.5", "0x1f", "0o7", "0b1", "0128",
                                         "1_000", "_1", "1e5", "inf", "Infinity", "nan", "2001-1-2", "2024-02-29", "a.", "-x",
                                         "a b", "~", "99999999999999999999", "0x1p3", "f:x", "."};
    for (size_t i = 0; i < countof(bare) + countof(quoted); i++) {
        const char *key = i < countof(bare) ? bare[i] : quoted[i - countof(bare)], *mark = i < countof(bare) ? "" : "\"";
        CLEANUP(json_free) struct json *tree = json_build("{}");
        CLEANUP(buf_done) struct buf text = {0};
        CLEANUP(xfree) char *want = xasprintf("---\n{\n  %s%s%s: 1,\n}\n", mark, key, mark);
        json_set_int(tree, key, 1);
        kyaml_print(tree, true, &text);
        assert_string_equal(buf_text(&text), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print__cases),
        cmocka_unit_test(test_print__own_order),
        cmocka_unit_test(test_print__keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
