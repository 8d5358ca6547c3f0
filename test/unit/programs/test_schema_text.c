/* The text of explain: wrapping, fields, enums, lists and maps, cycles, and what is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "print/schema_text.h"
#include "text/wordwrap.h"

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

static const char v2_text[] =
    "{\"definitions\":{\"g.Thing\":{\"type\":\"object\",\"description\":\"A thing:\\nof parts\\n\\n - one\\n\\n    code\","
    "\"x-kubernetes-group-version-kind\":[{\"group\":\"g\",\"version\":\"v1\",\"kind\":\"Thing\"}],"
    "\"required\":[\"mode\"],\"properties\":{"
    "\"mode\":{\"type\":\"string\",\"description\":\"How.\"},"
    "\"self\":{\"$ref\":\"#/definitions/g.Thing\",\"description\":\"Again.\"},"
    "\"list\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"deep\":{\"type\":\"integer\"}}}},"
    "\"map\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}},"
    "\"any\":{\"type\":\"object\",\"description\":\"Any.\"}}}}}";

static int explain_v2(const char *fields, bool recursive, struct buf *out, struct err *err)
{
    CLEANUP(json_free) struct json *document = NULL;
    CLEANUP(strv_done) struct strv path = {0};
    assert_int_equal(json_parse(v2_text, strlen(v2_text), &document, err), 0);
    if (fields[0] != '\0')
        strv_split(&path, fields, '.');
    const struct schema_question question = {document, "g", fields[0] == '-' ? "v2" : "v1", "Thing", &path, recursive};
    return schema_text_v2(&question, out, err);
}

static void test_v2(void **state)
{
#define HEAD "KIND:     Thing\nVERSION:  g/v1\n\n"
    static const struct {
        const char *fields, *want;
        bool recursive;
    } cases[] = {
        {"", HEAD "DESCRIPTION:\n     A thing:\n     of parts\n\n     - one\n\n         code\n\nFIELDS:\n"
                  "   any\t<map[string]>\n     Any.\n\n   list\t<[]Object>\n\n   map\t<map[string]string>\n\n"
                  "   mode\t<string> -required-\n     How.\n\n   self\t<Object>\n     Again.\n\n", false},
        {"list", HEAD "RESOURCE: list <[]Object>\n\nDESCRIPTION:\n     <empty>\n\nFIELDS:\n   deep\t<integer>\n", true},
        {"mode", HEAD "FIELD:    mode <string>\n\nDESCRIPTION:\n     How.\n", false},
        {"mode.deeper", HEAD "FIELD:    deeper <string>\n\nDESCRIPTION:\n     How.\n", false},
        {"any", HEAD "DESCRIPTION:\n     Any.\n\n     Any.\n", false},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        CLEANUP(buf_done) struct buf out = {0};
        CLEANUP(err_clear) struct err err = {0};
        assert_int_equal(explain_v2(cases[i].fields, cases[i].recursive, &out, &err), 0);
        assert_string_equal(buf_text(&out), cases[i].want);
    }
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(explain_v2("self", true, &out, &err), 0); /* ends, though it contains itself */
    assert_int_equal(explain_v2("self.self.nope", false, &out, &err), ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "field \"nope\" does not exist");
    err_clear(&err);
    assert_int_equal(explain_v2("-", false, &out, &err), ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "couldn't find resource for \"g/v2, Kind=Thing\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v2),
        cmocka_unit_test(test_wordwrap__breaks_between_words),
        cmocka_unit_test(test_schema_text__kind),
        cmocka_unit_test(test_schema_text__field_and_recursion),
        cmocka_unit_test(test_schema_text__not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
