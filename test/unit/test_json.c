#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/json.h"

static struct json *parse(const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *tree = NULL;

    if (json_parse(text, strlen(text), &tree, &err) < 0)
        fail_msg("%s: %s", text, err_text(&err));
    return tree;
}

static void assert_prints(const struct json *tree, const char *expected)
{
    CLEANUP(buf_done) struct buf out = {0};

    json_print(tree, &out);
    assert_string_equal(buf_text(&out), expected);
}

static void assert_reprints(const char *text, const char *expected)
{
    CLEANUP(json_free) struct json *tree = parse(text);

    assert_prints(tree, expected);
}

static void assert_refused(const char *text, size_t len, int code)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *tree = NULL;

    assert_int_equal(json_parse(text, len, &tree, &err), code);
    assert_null(tree);
}

static void test_parse__keeps_numbers_exact(UNUSED void **state)
{
    assert_reprints("[9007199254740993, 9223372036854775807, -9223372036854775808]",
                    "[9007199254740993,9223372036854775807,-9223372036854775808]");
    assert_reprints("[1000000000000000, 1e15, 0.1, 1e21, 1e-7, -0.0, 1.50, 0.000001, 123456.789]",
                    "[1000000000000000,1000000000000000,0.1,1e+21,1e-7,0,1.5,0.000001,123456.789]");
}

static void test_parse__integer_past_int64_becomes_real(UNUSED void **state)
{
    assert_reprints("{\"a\":18446744073709551616,\"b\":-9223372036854775809,\"c\":\"99999999999999999999\"}",
                    "{\"a\":18446744073709552000,\"b\":-9223372036854776000,\"c\":\"99999999999999999999\"}");
}

static void test_parse__last_of_equal_keys_wins(UNUSED void **state)
{
    assert_reprints("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}");
}

static void test_parse__refuses_what_is_not_json(UNUSED void **state)
{
    static const char *const bad[] = {"", " ", "{", "[1,]", "{\"a\":}", "nul", "01", "1 2", "{}x", "'a'", "\"a",
                                      "\"\\ud800\"", "\"\\u0000\"", "[NaN]", "1e999", "-", "\"a\nb\"", "{\"a\" 1}"};

    for (size_t i = 0; i < countof(bad); i++)
        assert_refused(bad[i], strlen(bad[i]), ERR_PARSE);
    assert_refused("\"\xff\"", 3, ERR_PARSE);
    assert_refused("1\0", 2, ERR_PARSE);
}

static void test_parse__depth_is_limited(UNUSED void **state)
{
    char text[2 * (LIMIT_JSON_DEPTH + 1)];

    memset(text, '[', sizeof(text) / 2);
    memset(text + sizeof(text) / 2, ']', sizeof(text) / 2);
    assert_refused(text, sizeof(text), ERR_TOO_BIG);

    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *tree = NULL;
    assert_int_equal(json_parse(text + 1, sizeof(text) - 2, &tree, &err), 0);
}

static const struct json_omit omit_inner[] = {{.name = "b"}, {0}};
static const struct json_omit omit_outer[] = {{.name = "out"}, {.name = "in", .inside = omit_inner}, {0}};

static void assert_parses_without(const char *text, const char *expected)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *tree = NULL;

    assert_int_equal(json_parse_without(text, strlen(text), omit_outer, &tree, &err), 0);
    assert_prints(tree, expected);
}

static void test_parse_without__leaves_out_by_path(UNUSED void **state)
{
    assert_parses_without("{\"out\":{\"a\":[1,-2.5e1,true,null,\"\\u00e9\"]},\"b\":1,\"ou\":2,\"outer\":3}",
                          "{\"b\":1,\"ou\":2,\"outer\":3}");
    assert_parses_without("{\"in\":{\"a\":1,\"b\":2,\"out\":3,\"c\":{\"b\":4}}}",
                          "{\"in\":{\"a\":1,\"out\":3,\"c\":{\"b\":4}}}");
    assert_parses_without("[{\"in\":[{\"b\":1},[{\"b\":2,\"\":3}]]},{\"\\u006fut\":1}]",
                          "[{\"in\":[{},[{\"\":3}]]},{}]");
    assert_parses_without("{\"in\":\"b\"}", "{\"in\":\"b\"}");
}

static void test_parse_without__is_as_strict(UNUSED void **state)
{
    static const char *const bad[] = {"", "[1,]", "{\"a\":}", "nul", "01", "1 2", "'a'", "\"a", "\"\\ud800\"",
                                      "\"\\u0000\"", "[NaN]", "1e999", "-", "\"a\nb\"", "{\"a\" 1}", "\"12345678\xff\"",
                                      "\"12345678\x01\"", "{\"\xff\":1}"};

    for (size_t i = 0; i < countof(bad) * 2; i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(buf_done) struct buf text = {0};
        struct json *tree = NULL;
        const char *inner = bad[i / 2];
        bool first = i % 2 == 0;
        if (*inner == '\0' && !first)
            continue; /* an empty array is fine */
        buf_add_str(&text, first ? "{\"out\":" : "{\"in\":{\"b\":[");
        buf_add_str(&text, inner);
        buf_add_str(&text, first ? "}" : "]}}");
        assert_int_equal(json_parse_without(buf_text(&text), text.len, omit_outer, &tree, &err), ERR_PARSE);
        assert_null(tree);
    }
}

static void test_parse_to_read_within__room(UNUSED void **state)
{
    static const char *const parts[] = {"0,", "null,", "[],", "{\"a\":1},", "\"\","};

    for (size_t i = 0; i < countof(parts); i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(buf_done) struct buf text = {0};
        CLEANUP(json_free) struct json *tree = NULL;
        struct json *none = NULL;

        buf_add_str(&text, "{\"many\":[");
        for (int n = 0; n < 100000; n++)
            buf_add_str(&text, parts[i]);
        buf_add_str(&text, "0]}");
        assert_int_equal(json_parse_to_read_within(text.data, text.len, NULL, MIB(1), &none, &err), ERR_TOO_BIG);
        assert_null(none);
        err_clear(&err);
        assert_int_equal(json_parse_to_read_within(text.data, text.len, NULL, MIB(64), &tree, &err), 0);
        assert_int_equal(json_len(json_get(tree, "many", NULL)), 100001);
        /* what is left out takes no room */
        static const struct json_omit omit[] = {{.name = "many"}, {0}};
        assert_int_equal(json_parse_to_read_within(text.data, text.len, omit, KIB(2), &none, &err), 0);
        json_free(none);
    }
}

static void test_parse_to_read__same_trees(UNUSED void **state)
{
    static const char *const texts[] = {
        "7", "null", "true", "\"a\"", "\"\\u00e9\\n\"", "[]", "{}", "[1,-2.5,\"\",[[]],{\"\":{}}]",
        "{\"a\\tb\":\"c\\\\d\",\"long enough for more than one piece\":\"\\ud83d\\ude00 and more behind the escape\"}",
        "{\"a\":1,\"b\":2,\"a\":{\"b\":null}}",
    };

    for (size_t i = 0; i < countof(texts); i++) {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(json_free) struct json *changeable = parse(texts[i]);
        struct json *tree = NULL;
        assert_int_equal(json_parse_to_read(texts[i], strlen(texts[i]), NULL, &tree, &err), 0);
        assert_true(json_same(tree, changeable));
        CLEANUP(json_free) struct json *kept = json_keep(tree);
        json_free(tree);
        assert_true(json_same(kept, changeable)); /* a copy, which outlives the original */
    }
}

static void test_parse_to_read__tells_where_the_text_is_wrong(UNUSED void **state)
{
    static const char text[] = "{\n\"a\": \"\\n\\n\", \"b\": x}";
    CLEANUP(err_clear) struct err err = {0};
    struct json *tree = NULL;

    assert_int_equal(json_parse_to_read(text, strlen(text), NULL, &tree, &err), ERR_PARSE);
    assert_null(tree);
    assert_string_equal(err_text(&err), "JSON line 2, column 19: a value expected, but there is 'x'");
}

static void test_parse_in_place(UNUSED void **state)
{
    static const char good[] = "{\"a\": [1, \"two\\n\", {\"\\u00e9\": null}], \"b\": \"\"}";
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *tree = NULL, *same = NULL, *none = NULL;

    buf_add_str(&text, good);
    assert_int_equal(json_parse_in_place(&text, NULL, &tree, &err), 0);
    assert_int_equal(text.len, 0);
    assert_int_equal(json_parse(good, strlen(good), &same, &err), 0);
    assert_true(json_same(tree, same));

    buf_add_str(&text, "{\n\"a\": \"\\n\\n\", \"b\": x}");
    assert_int_equal(json_parse_in_place(&text, NULL, &none, &err), ERR_PARSE);
    assert_null(none);
    assert_int_equal(text.len, 0);
    assert_string_equal(err_text(&err), "JSON byte 21: a value expected, but there is 'x'");
    err_clear(&err);
    assert_int_equal(json_parse_in_place(&text, NULL, &none, &err), ERR_PARSE);
}

static void test_parse_to_read__large_texts(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *tree = NULL;

    buf_add_char(&text, '[');
    for (int i = 0; i < 40000; i++)
        buf_printf(&text, "%s{\"n\":%d}", i > 0 ? "," : "", i);
    buf_add_char(&text, ']');
    assert_int_equal(json_parse_to_read(text.data, text.len, NULL, &tree, &err), 0);
    assert_int_equal(json_len(tree), 40000);
    assert_int_equal(json_int_or(-1, json_at(tree, 39999), "n", NULL), 39999);
}

/* Past a few members an object has an index: all that changes an object, at sizes around that and far beyond. */
static void test_object__of_any_size(UNUSED void **state)
{
    static const int sizes[] = {1, 2, 8, 9, 15, 16, 17, 18, 64, 1000};

    for (size_t i = 0; i < countof(sizes); i++) {
        CLEANUP(buf_done) struct buf text = {0};
        char key[20];
        buf_add_char(&text, '{');
        for (int k = 0; k < sizes[i]; k++) /* each key twice, with the last value to count */
            buf_printf(&text, "%s\"k%d\":0,\"k%d\":%d", k > 0 ? "," : "", k, sizes[i] - 1 - k, sizes[i] - 1 - k);
        buf_add_char(&text, '}');
        CLEANUP(json_free) struct json *tree = parse(buf_text(&text));
        CLEANUP(json_free) struct json *built = json_new_object();
        for (int k = 0; k < sizes[i]; k++) {
            (void)snprintf(key, sizeof(key), "k%d", k);
            json_set_int(built, key, 1);
            json_set_int(tree, key, json_int_or(-1, tree, key, NULL) + 1);
        }
        assert_int_equal(json_len(tree), sizes[i]);
        assert_int_equal(json_len(built), sizes[i]);
        assert_null(json_member(built, "k"));
        assert_null(json_member(tree, "k-1"));
        for (int k = 0; k < sizes[i]; k += 2) {
            (void)snprintf(key, sizeof(key), "k%d", k);
            json_del(built, key);
            assert_null(json_member(built, key));
        }
        for (int k = 1; k < sizes[i]; k += 2) {
            (void)snprintf(key, sizeof(key), "k%d", k);
            assert_int_equal(json_int_or(-1, built, key, NULL), 1);
        }
        assert_int_equal(json_len(built), sizes[i] / 2);
    }
}

/* Strings are scanned in pieces: each special byte at each distance from the quote and from the end. */
static void test_parse__strings_at_each_offset(UNUSED void **state)
{
    static const char *const special[] = {"\xc3\xa9", "\\n", "\x7f", "!#[]", " "};
    static const char *const refused[] = {"\x80", "\xc3", "\x1f", "\x01", "\n", "\\x"};
    static const char filler[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN";

    for (size_t before = 0; before <= 33; before++) {
        for (size_t after = 0; after <= 33; after += 3) {
            char text[80];
            for (size_t i = 0; i < countof(special); i++) {
                (void)snprintf(text, sizeof(text), "[\"%.*s%s%.*s\"]", (int)before, filler, special[i], (int)after,
                               filler);
                assert_reprints(text, text);
            }
            for (size_t i = 0; i < countof(refused); i++) {
                (void)snprintf(text, sizeof(text), "[\"%.*s%s%.*s\"]", (int)before, filler, refused[i], (int)after,
                               filler);
                assert_refused(text, strlen(text), ERR_PARSE);
            }
        }
    }
}

static void test_print__escapes(UNUSED void **state)
{
    assert_reprints("\"\\u0001\\b\\f\\n\\r\\t\\\"\\\\\\/ <&> \\u00e9\\ud83d\\ude00\"",
                    "\"\\u0001\\b\\f\\n\\r\\t\\\"\\\\/ <&> \xc3\xa9\xf0\x9f\x98\x80\"");
}

static void test_print_pretty__as_kubectl(UNUSED void **state)
{
    CLEANUP(json_free) struct json *tree =
        parse("{\"z\":[],\"b\":{},\"a\":[1,{\"x\":\"<a&b>\\u2028\"}],\"c\":null,\"d\":true}");
    CLEANUP(buf_done) struct buf out = {0};

    json_print_pretty(tree, &out);
    assert_string_equal(buf_text(&out), "{\n"
                                        "    \"a\": [\n"
                                        "        1,\n"
                                        "        {\n"
                                        "            \"x\": \"\\u003ca\\u0026b\\u003e\\u2028\"\n"
                                        "        }\n"
                                        "    ],\n"
                                        "    \"b\": {},\n"
                                        "    \"c\": null,\n"
                                        "    \"d\": true,\n"
                                        "    \"z\": []\n"
                                        "}");
}

static void test_get__paths(UNUSED void **state)
{
    CLEANUP(json_free) struct json *tree =
        parse("{\"spec\":{\"name\":\"n\",\"i\":7,\"r\":3.0,\"f\":3.5,\"t\":true,\"list\":[\"a\",\"b\"]}}");

    assert_string_equal(json_str(tree, "spec", "name", NULL), "n");
    assert_null(json_str(tree, "spec", "i", NULL));
    assert_null(json_str(tree, "spec", "name", "deeper", NULL));
    assert_null(json_str(NULL, "spec", NULL));
    assert_string_equal(json_str_or("x", tree, "spec", "no", NULL), "x");
    assert_int_equal(json_int_or(1, tree, "spec", "i", NULL), 7);
    assert_int_equal(json_int_or(1, tree, "spec", "r", NULL), 3);
    assert_int_equal(json_int_or(1, tree, "spec", "f", NULL), 1);
    assert_true(json_is_true(tree, "spec", "t", NULL));
    assert_false(json_is_true(tree, "spec", "i", NULL));
    assert_true(json_bool_or(true, tree, "spec", "i", NULL));
    assert_true(json_real_value(json_get(tree, "spec", "i", NULL)) == 7.0);
    assert_int_equal(json_int_value(json_get(tree, "spec", "f", NULL)), 3);
    assert_int_equal(json_len(json_get(tree, "spec", NULL)), 6);
    assert_int_equal(json_len(json_get(tree, "spec", "list", NULL)), 2);
    assert_int_equal(json_len(json_get(tree, "spec", "name", NULL)), 0);
    assert_string_equal(json_string_value(json_at(json_get(tree, "spec", "list", NULL), 1)), "b");
    assert_null(json_at(json_get(tree, "spec", "list", NULL), 2));
    assert_int_equal(json_type(NULL), JSON_NULL);
}

static void test_next__in_order_of_insertion(UNUSED void **state)
{
    CLEANUP(json_free) struct json *tree = parse("{\"z\":1,\"a\":2,\"m\":3}");
    CLEANUP(buf_done) struct buf seen = {0};
    void *position = NULL;
    const char *key;
    const struct json *value;

    while (json_next(tree, &position, &key, &value))
        buf_printf(&seen, "%s%d", key, (int)json_int_value(value));
    assert_string_equal(buf_text(&seen), "z1a2m3");
    assert_false(json_next(NULL, &position, &key, &value));
}

static void test_build__formats(UNUSED void **state)
{
    struct json *part = json_new_array();
    CLEANUP(json_free) struct json *kept = json_new_int(5);
    CLEANUP(json_free)
    struct json *tree = json_build("{s:s, s:{s:b, s:i}, s:[I, n, s], s:o, s:O, s:s*, s:o*, s:s}", "kind", "Pod",
                                   "m", "yes", 7, "n", -3, "list", 1ll << 40, "x", "part", part, "kept", kept,
                                   "none", NULL, "none2", NULL, "null", NULL);

    assert_prints(tree, "{\"kind\":\"Pod\",\"m\":{\"yes\":true,\"n\":-3},\"list\":[1099511627776,null,\"x\"],"
                        "\"part\":[],\"kept\":5,\"null\":null}");
}

static void test_new_string__repairs_text(UNUSED void **state)
{
    CLEANUP(json_free) struct json *a = json_new_string("a\xff\xc3(");
    CLEANUP(json_free) struct json *b = json_new_string_n("a\0b", 3);
    CLEANUP(json_free) struct json *none = json_new_string(NULL);

    assert_string_equal(json_string_value(a), "a\xEF\xBF\xBD\xEF\xBF\xBD(");
    assert_string_equal(json_string_value(b), "a\xEF\xBF\xBD" "b");
    assert_int_equal(json_type(none), JSON_NULL);
}

static void test_edit__makes_the_way(UNUSED void **state)
{
    CLEANUP(json_free) struct json *tree = parse("{\"a\":{\"list\":[1,2,3]},\"s\":\"text\"}");

    json_set_str(json_edit(tree, "a", "b", "c", NULL), "k", "v");
    json_set_int(json_edit(tree, "s", NULL), "was", 1);
    json_push(json_edit(tree, "a", "list", NULL), json_new_bool(false));
    json_remove_at(json_edit(tree, "a", "list", NULL), 0);
    json_del(tree, "absent");
    assert_prints(tree, "{\"a\":{\"list\":[2,3,false],\"b\":{\"c\":{\"k\":\"v\"}}},\"s\":{\"was\":1}}");
    assert_null(json_edit_member(tree, "no"));
    assert_null(json_edit_at(json_edit(tree, "a", "list", NULL), 3));
}

static void test_clone__is_independent_and_same(UNUSED void **state)
{
    CLEANUP(json_free) struct json *tree = parse("{\"a\":[1,2.5,\"x\",null,true,{\"b\":{}}]}");
    CLEANUP(json_free) struct json *copy = json_clone(tree);
    CLEANUP(json_free) struct json *other_order = parse("{\"y\":1,\"x\":2}");
    CLEANUP(json_free) struct json *order = parse("{\"x\":2,\"y\":1}");

    assert_true(json_same(tree, copy));
    json_set_str(copy, "c", "d");
    assert_false(json_same(tree, copy));
    assert_int_equal(json_len(tree), 1);
    assert_true(json_same(order, other_order));
    assert_true(json_same(NULL, NULL));
    assert_false(json_same(order, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__keeps_numbers_exact),
        cmocka_unit_test(test_parse__integer_past_int64_becomes_real),
        cmocka_unit_test(test_parse__last_of_equal_keys_wins),
        cmocka_unit_test(test_parse__refuses_what_is_not_json),
        cmocka_unit_test(test_parse__depth_is_limited),
        cmocka_unit_test(test_parse__strings_at_each_offset),
        cmocka_unit_test(test_parse_without__leaves_out_by_path),
        cmocka_unit_test(test_parse_without__is_as_strict),
        cmocka_unit_test(test_parse_to_read__same_trees),
        cmocka_unit_test(test_parse_to_read_within__room),
        cmocka_unit_test(test_parse_to_read__tells_where_the_text_is_wrong),
        cmocka_unit_test(test_parse_in_place),
        cmocka_unit_test(test_parse_to_read__large_texts),
        cmocka_unit_test(test_object__of_any_size),
        cmocka_unit_test(test_print__escapes),
        cmocka_unit_test(test_print_pretty__as_kubectl),
        cmocka_unit_test(test_get__paths),
        cmocka_unit_test(test_next__in_order_of_insertion),
        cmocka_unit_test(test_build__formats),
        cmocka_unit_test(test_new_string__repairs_text),
        cmocka_unit_test(test_edit__makes_the_way),
        cmocka_unit_test(test_clone__is_independent_and_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
