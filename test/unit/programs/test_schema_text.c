/* The text of explain: wrapping, fields, enums, lists and maps, cycles, and what is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "print/schema_text.h"
#include "print/wordwrap.h"

static const char document_text[] =
    "{\"components\":{\"schemas\":{\"g.Thing\":{\"type\":\"object\",\"description\":\"A thing.\","
    "\"x-kubernetes-group-version-kind\":[{\"group\":\"g\",\"version\":\"v1\",\"kind\":\"Thing\"}],"
    "\"required\":[\"mode\"],\"properties\":{"
    "\"mode\":{\"type\":\"string\",\"enum\":[\"a\",\"\",\"c\",\"d\",\"e\"],\"description\":\"How.\"},"
    "\"self\":{\"allOf\":[{\"$ref\":\"#/components/schemas/g.Thing\"}]},"
    "\"list\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"deep\":{\"type\":\"integer\"}}}},"
    "\"map\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}}}}}}";

static int explain(const char *fields, bool recursive, struct buf *out, struct err *err)
{
    CLEANUP(json_free) struct json *document = NULL;
    CLEANUP(strv_done) struct strv path = {0};
    assert_int_equal(json_parse(document_text, strlen(document_text), &document, err), 0);
    if (fields[0] != '\0')
        strv_split(&path, fields, '.');
    const struct schema_question question = {document, "g", "v1", "Thing", &path, recursive};
    return schema_text(&question, out, err);
}

static void test_wordwrap__breaks_between_words(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf out = {0};
    wordwrap("one two three\nfour enormouslylong x", 8, &out);
    assert_string_equal(buf_text(&out), "one two\nthree\nfour\nenormouslylong\nx");
}

static void test_schema_text__kind(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(explain("", false, &out, &err), 0);
    assert_non_null(strstr(buf_text(&out), "GROUP:      g\nKIND:       Thing\nVERSION:    v1\n\nDESCRIPTION:\n    A thing.\n"));
    assert_non_null(strstr(buf_text(&out), "  mode\t<string> -required-\n  enum: a, \"\", c, d, ....\n    How.\n"));
    assert_non_null(strstr(buf_text(&out), "  self\t<Thing>\n    <no description>\n"));
    assert_non_null(strstr(buf_text(&out), "  list\t<[]Object>\n"));
    assert_non_null(strstr(buf_text(&out), "  map\t<map[string]string>\n"));
}

static void test_schema_text__field_and_recursion(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf out = {0}, all = {0};
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(explain("self.list.deep", false, &out, &err), 0);
    assert_non_null(strstr(buf_text(&out), "FIELD: deep <integer>\n\n\nDESCRIPTION:\n    <empty>\n"));
    assert_int_equal(explain("", true, &all, &err), 0);
    assert_non_null(strstr(buf_text(&all), "  list\t<[]Object>\n    deep\t<integer>\n"));
}

static void test_schema_text__not_there(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(explain("mode.nope", false, &out, &err), ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "field \"nope\" does not exist");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wordwrap__breaks_between_words),
        cmocka_unit_test(test_schema_text__kind),
        cmocka_unit_test(test_schema_text__field_and_recursion),
        cmocka_unit_test(test_schema_text__not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
