/* test_yaml.c: reading and printing as sigs.k8s.io/yaml does; the expected texts were taken from it. */
#include "data/yaml.h"

#include "trees.h"

static const struct reading {
    const char *yaml, *json; /* json NULL: refused */
} readings[] = {
    {"a: 1", "{\"a\":1}"},
    {"a: yes\nb: No\nc: on\nd: OFF\ne: y\nf: nO",
     "{\"a\":true,\"b\":false,\"c\":true,\"d\":false,\"e\":true,\"f\":\"nO\"}"},
    {"[~, null, Null, NULL, '', nUll]", "[null,null,null,null,\"\",\"nUll\"]"},
    {"a:\nb: ", "{\"a\":null,\"b\":null}"},
    {"[0x1F, 0o17, 017, 0b11, 1_000, +5, -0x10, 08, 089]", "[31,15,15,3,1000,5,-16,8,89]"},
    {"[1.5, .5, 5., 1e3, 1.0, 1e400, 1e, 1.2.3, -, ., '1']",
     "[1.5,0.5,5,1000,1,\"1e400\",\"1e\",\"1.2.3\",\"-\",\".\",\"1\"]"},
    {"[9223372036854775807, 9223372036854775808, -9223372036854775808]",
     "[9223372036854775807,9223372036854776000,-9223372036854775808]"},
    {"[2001-01-01, 2020-01-01T00:00:00Z, 12:30:45]", "[\"2001-01-01\",\"2020-01-01T00:00:00Z\",\"12:30:45\"]"},
    {"[!!str 1, !!int '5', !!float 1, !!bool 'yes', !!binary aGk=, !custom 7]", "[\"1\",5,1,true,\"hi\",\"7\"]"},
    {"1: a\n1.5: b\ntrue: c\n", "{\"1\":\"a\",\"1.5\":\"b\",\"true\":\"c\"}"},
    {"a: |\n  x\n  y\nb: >-\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}"},
    {"a: \"\\u00e9\\x41\\n\"", "{\"a\":\"\xc3\xa9"
                               "A\\n\"}"},
    {"a: &x {p: 1}\nb: *x\n", "{\"a\":{\"p\":1},\"b\":{\"p\":1}}"},
    {"a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n", "{\"a\":{\"p\":1,\"q\":2},\"b\":{\"p\":1,\"q\":3}}"},
    {"a: &x {p: 1}\nb: &y {p: 2, r: 3}\nc:\n  <<: [*x, *y]\n",
     "{\"a\":{\"p\":1},\"b\":{\"p\":2,\"r\":3},\"c\":{\"p\":1,\"r\":3}}"},
    {"a: 1\na: 2\n", "{\"a\":2}"},
    {"- a\n-\n  - b\n", "[\"a\",[\"b\"]]"},
    {"# nothing\n", "null"},
    {"", "null"},
    {"---\n---\na: 1\n---\n", "{\"a\":1}"},
    {"{\n\t\"a\": [\n\t\t1\n\t]\n}\n", "{\"a\":[1]}"},
    {"a: b: c", NULL},
    {"a: [1", NULL},
    {"\ta: 1", NULL},
    {"a: *nobody", NULL},
    {"a: &x [*x]", NULL},
    {"? [a]\n: b", NULL},
    {"? {a: b}\n: c", NULL},
    {"~: a", NULL},
    {"a: .inf", NULL},
    {"a: !!int x", NULL},
    {"a: !!binary '!'", NULL},
    {"<<: 5", NULL},
    {"a: \"\\0\"", NULL},
    {"a: 1\n---\nb: 2\n", NULL},
    {"\xff\xfe\xff", NULL},
};

static void test_parse__cases(UNUSED void **state)
{
    for (size_t i = 0; i < countof(readings); i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(json_free) struct json *tree = NULL;
        CLEANUP(buf_done) struct buf text = {0};
        int r = yaml_parse(readings[i].yaml, strlen(readings[i].yaml), &tree, &err);
        if (readings[i].json == NULL) {
            if (r != ERR_PARSE)
                fail_msg("%s was read (%d)", readings[i].yaml, r);
            continue;
        }
        if (r < 0)
            fail_msg("%s: %s", readings[i].yaml, err_text(&err));
        json_print(tree, &text);
        assert_string_equal(buf_text(&text), readings[i].json);
    }
}

static void assert_error(const char *yaml, const char *expected)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *tree;

    assert_int_equal(yaml_parse(yaml, strlen(yaml), &tree, &err), ERR_PARSE);
    assert_string_equal(err_text(&err), expected);
}

static void test_parse__errors_name_the_line(UNUSED void **state)
{
    assert_error("a: 1\nb: c: d\n", "yaml: line 2: mapping values are not allowed in this context");
    assert_error("a: 1\nb: [1\nc: 2\n", "yaml: line 2: did not find expected ',' or ']'");
}

static void test_parse_all__documents(UNUSED void **state)
{
    static const char *const streams[] = {"a: 1\n---\n---\n# empty\n---\nb: 2\n", "{\"a\": 1}\n{\"b\": 2}",
                                          "{\"a\": 1}\n---\n{\"b\": 2}\n", "a: 1\n...\n---\nb: 2"};

    for (size_t i = 0; i < countof(streams); i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(json_free) struct json *documents = NULL;
        if (yaml_parse_all(streams[i], strlen(streams[i]), &documents, &err) < 0)
            fail_msg("%s: %s", streams[i], err_text(&err));
        assert_tree_is(documents, "[{a: 1}, {b: 2}]");
    }
}

static void test_parse__aliases_cannot_grow_without_limit(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf bomb = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct json *tree;

    buf_add_str(&bomb, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 12; i++) {
        buf_printf(&bomb, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            buf_printf(&bomb, "*a%d, ", i - 1);
        buf_add_str(&bomb, "]\n");
    }
    assert_int_equal(yaml_parse(bomb.data, bomb.len, &tree, &err), ERR_TOO_BIG);
}

static void test_parse__depth_is_limited(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf deep = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct json *tree;

    for (int i = 0; i <= LIMIT_JSON_DEPTH; i++)
        buf_add_str(&deep, "- ");
    assert_int_equal(yaml_parse(buf_text(&deep), deep.len, &tree, &err), ERR_TOO_BIG);

    /* by aliases: each is one deeper than the one before */
    err_clear(&err);
    buf_clear(&deep);
    buf_add_str(&deep, "a0: &a0 x\n");
    for (int i = 1; i <= LIMIT_JSON_DEPTH; i++)
        buf_printf(&deep, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    assert_int_equal(yaml_parse(buf_text(&deep), deep.len, &tree, &err), ERR_TOO_BIG);
}

static const struct printing {
    const char *json, *yaml;
} printings[] = {
    {"{}", "{}\n"},
    {"[]", "[]\n"},
    {"{\"b\":{},\"a\":[],\"c\":null,\"d\":\"\"}", "a: []\nb: {}\nc: null\nd: \"\"\n"},
    {"{\"m\":{\"l\":[{\"name\":\"x\",\"args\":[\"a\",\"b\"]},[1,[2]]]}}",
     "m:\n  l:\n  - args:\n    - a\n    - b\n    name: x\n  - - 1\n    - - 2\n"},
    {"[\"yes\",\"NO\",\"y\",\"~\",\"null\",\"true\",\"1\",\"1.5\",\"0x1F\",\"1e3\",\"2001-01-01\",\"2020-01-01T00:"
     "00:00Z\"]",
     "- \"yes\"\n- \"NO\"\n- \"y\"\n- \"~\"\n- \"null\"\n- \"true\"\n- \"1\"\n- \"1.5\"\n- \"0x1F\"\n- \"1e3\"\n"
     "- \"2001-01-01\"\n- \"2020-01-01T00:00:00Z\"\n"},
    {"[\"12:30:45\",\"1:60\",\".5\",\"_1\",\"1_000\",\"nO\",\"2001-13-01\",\"10.0.0.1\",\"1e\",\"+1\",\"-\"]",
     "- \"12:30:45\"\n- 1:60\n- \".5\"\n- _1\n- \"1_000\"\n- nO\n- 2001-13-01\n- 10.0.0.1\n- 1e\n- \"+1\"\n- "
     "'-'\n"},
    {"[\"a: b\",\"a:b\",\"a:\",\"- a\",\"-a\",\"#a\",\"a "
     "#b\",\"a#b\",\"*a\",\"&a\",\"!a\",\"%a\",\"@a\",\"`a\",\"|\",\">\",\"[a\",\"{a\"]",
     "- 'a: b'\n- a:b\n- 'a:'\n- '- a'\n- -a\n- '#a'\n- 'a #b'\n- a#b\n- '*a'\n- '&a'\n- '!a'\n- '%a'\n- '@a'\n- "
     "'`a'\n"
     "- '|'\n- '>'\n- '[a'\n- '{a'\n"},
    {"[\"'a\",\"a'b\",\"\\\"a\",\"a\\\\b\",\" a\",\"a "
     "\",\"a\\tb\",\"\\u0001\",\"\\u00e9\",\"\\ud83d\\ude00\",\"\\u2028\"]",
     "- '''a'\n- a'b\n- '\"a'\n- a\\b\n- ' a'\n- 'a '\n- \"a\\tb\"\n- \"\\x01\"\n- \xc3\xa9\n- \"\\U0001F600\"\n- "
     "\"\\L\"\n"},
    {"{\"a\":\"x\\ny\",\"b\":\"x\\n\",\"c\":\"x\\n\\n\",\"d\":\" x\\ny\",\"e\":\"x \\ny\",\"f\":\"\\n\"}",
     "a: |-\n  x\n  y\nb: |\n  x\nc: |+\n  x\n\nd: |2-\n   x\n  y\ne: \"x \\ny\"\nf: |2+\n\n"},
    {"[1,-1,1.5,1e21,0.00001,123456789.5,9223372036854775807,true,false]",
     "- 1\n- -1\n- 1.5\n- 1e+21\n- 1e-05\n- 1.234567895e+08\n- 9223372036854775807\n- true\n- false\n"},
    {"{\"a10\":1,\"a9\":2,\"B\":3,\"_\":4,\"10\":5,\"9\":6,\"a-b\":7,\"a.b\":8,\"a/b\":9}",
     "_: 4\n\"9\": 6\n\"10\": 5\nB: 3\na-b: 7\na.b: 8\na/b: 9\na9: 2\na10: 1\n"},
    {"{\"k\":\"0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 x\"}",
     "k: 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\n  x\n"},
};

static void test_print__cases(UNUSED void **state)
{
    for (size_t i = 0; i < countof(printings); i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(json_free) struct json *tree = NULL;
        CLEANUP(json_free) struct json *again = NULL;
        CLEANUP(buf_done) struct buf text = {0};
        assert_int_equal(json_parse(printings[i].json, strlen(printings[i].json), &tree, &err), 0);
        yaml_print(tree, &text);
        assert_string_equal(buf_text(&text), printings[i].yaml);
        again = tree_of(text.data);
        assert_true(json_same(tree, again));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__cases),
        cmocka_unit_test(test_parse__errors_name_the_line),
        cmocka_unit_test(test_parse_all__documents),
        cmocka_unit_test(test_parse__aliases_cannot_grow_without_limit),
        cmocka_unit_test(test_parse__depth_is_limited),
        cmocka_unit_test(test_print__cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
