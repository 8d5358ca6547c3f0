/* test_selector.c: label selectors, on labels and as objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cmd/fks/objects/selector.h"

static void assert_parses(const char *selector, const char *expected)
{
    CLEANUP(json_free) struct json *tree = NULL;
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(selector_parse(selector, &tree, &err), 0);
    json_print(tree, &text);
    assert_string_equal(buf_text(&text), expected);
}

static void test_selector__parse(void **state)
{
    (void)state;
    assert_parses("", "{}");
    assert_parses("a=b, c == d", "{\"matchLabels\":{\"a\":\"b\",\"c\":\"d\"}}");
    assert_parses("a in (z, y)", "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"y\",\"z\"]}]}");
    assert_parses("a notin (b),!c,d",
                  "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"NotIn\",\"values\":[\"b\"]},"
                  "{\"key\":\"c\",\"operator\":\"DoesNotExist\"},{\"key\":\"d\",\"operator\":\"Exists\"}]}");
}

static void test_selector__parse_refuses(void **state)
{
    struct json *tree = NULL;
    CLEANUP(err_clear) struct err err = {0};
    (void)state;
    assert_int_equal(selector_parse("a!=b", &tree, &err), ERR_USAGE);
    assert_string_equal(err_text(&err), "\"!=\" is not a valid label selector operator");
    err_clear(&err);
    assert_int_equal(selector_parse("a in b", &tree, &err), ERR_USAGE);
    assert_null(tree);
}

static void test_selector__matches(void **state)
{
    CLEANUP(json_free) struct json *labels = json_build("{s:s, s:s}", "a", "b", "c", "");
    CLEANUP(err_clear) struct err err = {0};
    (void)state;
    assert_int_equal(selector_matches("a=b,c", labels, &err), 1);
    assert_int_equal(selector_matches("a!=b", labels, &err), 0);
    assert_int_equal(selector_matches("a in (x,b),!z", labels, &err), 1);
    assert_int_equal(selector_matches("z notin (x)", labels, &err), 1);
    assert_int_equal(selector_matches("a==", NULL, &err), 0);
    assert_int_equal(selector_matches("=", labels, &err), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selector__parse),
        cmocka_unit_test(test_selector__parse_refuses),
        cmocka_unit_test(test_selector__matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
