/* test_output.c: jsonpath, go-template and custom-columns by test/cases/output.txt; columns of text; label selectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cmd/fks/objects/selector.h"
#include "cmd/fks/print/columns.h"
#include "cmd/fks/print/jsonpath.h"
#include "cmd/fks/print/sort.h"
#include "cmd/fks/print/table.h"
#include "cmd/fks/template/template.h"

static struct json *parse(const char *text)
{
    struct json *json = NULL;
    struct err err = {0};
    assert_int_equal(json_parse(text, strlen(text), &json, &err), 0);
    return json;
}

static void read_text(const char *path, struct buf *text)
{
    struct err err = {0};
    assert_int_equal(file_read(path, 1 << 20, text, &err), 0);
}

static int print_case(struct str kind, const char *expression, const struct json *object, struct buf *out, struct err *err)
{
    if (str_is(kind, "jsonpath"))
        return jsonpath_print(expression, object, true, false, out, err);
    if (str_is(kind, "template"))
        return template_print(expression, object, true, out, err);
    assert_true(str_is(kind, "columns"));
    return columns_print(expression, object, false, out, err);
}

static char *unescape(struct str text)
{
    struct buf out = {0};
    for (size_t i = 0; i < text.len; i++) {
        bool is_break = text.p[i] == '\\' && i + 1 < text.len && text.p[i + 1] == 'n';
        buf_add_char(&out, is_break ? '\n' : text.p[i]);
        i += is_break;
    }
    return buf_take(&out);
}

/* kind | expression | text: the expression may hold a pipe, the text begins after the last " |". */
static bool split_case(struct str line, struct str *kind, struct str *expression, struct str *text)
{
    struct str rest;
    if (line.len == 0 || line.p[0] == '#' || !str_cut(line, '|', kind, &rest))
        return false;
    *kind = str_trim(*kind);
    size_t last = rest.len;
    while (last > 0 && !(rest.p[last - 1] == '|' && last > 1 && rest.p[last - 2] == ' ' && (last == rest.len || rest.p[last] == ' ')))
        last--;
    assert_true(last > 0);
    /* a printed text with " |" inside is not told apart; such rows write it as "|" without the blank */
    *expression = str_trim((struct str){rest.p, last - 1});
    *text = last < rest.len ? (struct str){rest.p + last + 1, rest.len - last - 1} : (struct str){rest.p + last, 0};
    return true;
}

static void test_output__cases(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf cases = {0}, document = {0};
    read_text("test/cases/output.txt", &cases);
    read_text("test/cases/output.json", &document);
    CLEANUP(json_free) struct json *object = parse(buf_text(&document));
    struct str rest = {buf_text(&cases), cases.len}, line, kind, expression, text;
    size_t n = 0;
    while (rest.len > 0) {
        (void)str_cut(rest, '\n', &line, &rest);
        if (!split_case(line, &kind, &expression, &text))
            continue;
        CLEANUP(xfree) char *source = xstrndup(expression.p, expression.len), *want = unescape(text);
        CLEANUP(buf_done) struct buf got = {0};
        CLEANUP(err_clear) struct err err = {0};
        int code = print_case(kind, source, object, &got, &err);
        if (want[0] == '!' && (code == 0 || strstr(err_text(&err), want + 1) == NULL))
            fail_msg("%s: want the error '%s', got %d '%s'", source, want + 1, code, err_text(&err));
        if (want[0] != '!' && (code < 0 || !streq(buf_text(&got), want)))
            fail_msg("%s: want '%s', got '%s' (%s)", source, want, buf_text(&got), err_text(&err));
        n++;
    }
    assert_true(n > 40);
}

/* "⏎" is a line break. */
static char *with_breaks(struct str text)
{
    static const char sign[] = "\xe2\x8f\x8e";
    struct buf out = {0};
    for (size_t i = 0; i < text.len; i++) {
        bool is_break = text.len - i >= 3 && memcmp(text.p + i, sign, 3) == 0;
        buf_add_char(&out, is_break ? '\n' : text.p[i]);
        i += is_break ? 2 : 0;
    }
    return buf_take(&out);
}

static void test_output__templates_as_kubectl(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf cases = {0}, document = {0};
    read_text("test/cases/template.txt", &cases);
    read_text("test/cases/template.json", &document);
    CLEANUP(json_free) struct json *object = parse(buf_text(&document));
    struct str rest = {buf_text(&cases), cases.len}, source, answer;
    size_t n = 0;
    while (rest.len > 0) {
        (void)str_cut(rest, '\n', &source, &rest);
        if (source.len == 0 || source.p[0] == '#')
            continue;
        (void)str_cut(rest, '\n', &answer, &rest);
        assert_true(answer.len >= 2 && (answer.p[0] == '=' || answer.p[0] == '!') && answer.p[1] == ' ');
        CLEANUP(xfree) char *template = with_breaks(source);
        CLEANUP(xfree) char *want = with_breaks((struct str){answer.p + 2, answer.len - 2});
        CLEANUP(buf_done) struct buf got = {0};
        CLEANUP(err_clear) struct err err = {0};
        int code = template_print(template, object, true, &got, &err);
        if (answer.p[0] == '!' && (code == 0 || !ends_with(err_text(&err), want)))
            fail_msg("%s: want the error '%s', got %d '%s'", template, want, code, err_text(&err));
        if (answer.p[0] == '=' && (code < 0 || !streq(buf_text(&got), want)))
            fail_msg("%s: want '%s', got '%s' (%s)", template, want, buf_text(&got), err_text(&err));
        n++;
    }
    assert_true(n > 400);
}

/* What no row can hold: bytes that are no text, and templates that call themselves for ever. */
static void test_output__templates_at_their_limits(void **state)
{
    (void)state;
    CLEANUP(json_free) struct json *object = parse("{\"data\":\"/wCA\"}");
    CLEANUP(buf_done) struct buf out = {0}, deep = {0};
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(template_print("{{.data | base64decode}}", object, true, &out, &err), 0);
    assert_int_equal(out.len, 3);
    assert_memory_equal(out.data, "\xff\x00\x80", 3);
    assert_int_equal(template_print("{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}", object, true, &out, &err), ERR_INVALID);
    assert_non_null(strstr(err_text(&err), "exceeded maximum template depth"));
    err_clear(&err);
    for (int i = 0; i < 10000; i++)
        buf_add_str(&deep, "{{if (");
    assert_int_equal(template_print(buf_text(&deep), object, true, &out, &err), ERR_PARSE);
    err_clear(&err);
    assert_int_equal(template_print("{{1+2i}}", object, true, &out, &err), ERR_PARSE);
    assert_non_null(strstr(err_text(&err), "complex numbers are not available"));
}

static void test_output__missing_keys_may_be_errors(void **state)
{
    (void)state;
    CLEANUP(json_free) struct json *object = parse("{\"a\":{}}");
    CLEANUP(buf_done) struct buf out = {0};
    struct err err = {0};
    assert_int_equal(jsonpath_print("{.b}", object, false, false, &out, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err_text(&err), "b is not found"));
    err_clear(&err);
    assert_int_equal(template_print("{{.a.b}}", object, false, &out, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err_text(&err), "map has no entry for key \"b\""));
    err_clear(&err);
}

static void test_output__relaxed_paths(void **state)
{
    (void)state;
    static const char *const same[] = {"a.b", ".a.b", "{a.b}", "{.a.b}"};
    CLEANUP(json_free) struct json *object = parse("{\"a\":{\"b\":7}}");
    for (size_t i = 0; i < countof(same); i++) {
        CLEANUP(jsonpath_free) struct jsonpath *path = NULL;
        CLEANUP(json_free) struct json *found = NULL;
        CLEANUP(err_clear) struct err err = {0};
        assert_int_equal(jsonpath_parse_relaxed(same[i], &path, &err), 0);
        assert_int_equal(jsonpath_find(path, object, true, &found, &err), 0);
        assert_int_equal(json_int_value(json_at(found, 0)), 7);
    }
    struct err err = {0};
    struct jsonpath *path = NULL;
    assert_int_equal(jsonpath_parse_relaxed("{.a", &path, &err), ERR_USAGE);
    err_clear(&err);
}

static void test_output__sort(void **state)
{
    (void)state;
    CLEANUP(json_free) struct json *list = parse("[{\"s\":\"2Gi\"},{\"s\":\"500Mi\"},{\"s\":\"1Gi\"}]");
    CLEANUP(json_free) struct json *want = parse("[{\"s\":\"500Mi\"},{\"s\":\"1Gi\"},{\"s\":\"2Gi\"}]");
    struct err err = {0};
    assert_int_equal(sort_by_path(&list, NULL, ".s", &err), 0);
    assert_true(json_same(list, want));
    assert_int_equal(sort_by_path(&list, NULL, ".nope", &err), ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "couldn't find any field with path \"{.nope}\" in the list of objects");
    err_clear(&err);
}

static void check_aligned(size_t min_width, size_t padding, const char *text, const char *want)
{
    CLEANUP(tabwriter_done) struct tabwriter writer = {.min_width = min_width, .padding = padding};
    CLEANUP(buf_done) struct buf out = {0};
    buf_add_str(&writer.text, text);
    tabwriter_flush(&writer, &out);
    assert_string_equal(buf_text(&out), want);
}

static void test_output__columns_of_text(void **state)
{
    (void)state;
    check_aligned(6, 3, "NAME\tAGE\nweb\t5s\n", "NAME   AGE\nweb    5s\n");
    check_aligned(0, 2, "a\tb\tc\nlonger\tb\tc\n", "a       b  c\nlonger  b  c\n");
    /* a line without the column ends it: what follows is measured anew */
    check_aligned(0, 2, "a\tb\nalone\nlonger\tb\n", "a  b\nalone\nlonger  b\n");
    check_aligned(0, 2, "ä\tb\naa\tb\n", "ä   b\naa  b\n");
    check_aligned(0, 2, "\tx\na\ty\n", "   x\na  y\n");
}

static void test_output__table_keeps_widths_and_header(void **state)
{
    (void)state;
    const struct table_options options = {.kind_prefix = "pod"};
    CLEANUP(table_done) struct table table;
    CLEANUP(buf_done) struct buf first = {0}, second = {0};
    CLEANUP(json_free) struct json *answer =
        parse("{\"columnDefinitions\":[{\"name\":\"Name\",\"type\":\"string\",\"format\":\"name\",\"priority\":0},"
              "{\"name\":\"Ready\",\"priority\":0},{\"name\":\"IP\",\"priority\":1}],\"rows\":[{\"cells\":[\"a-long-name\",3,\"x\"]}]}");
    CLEANUP(json_free) struct json *event = parse("{\"rows\":[{\"cells\":[\"b\",\"two\\nlines\",\"x\"]}]}");
    table_init(&table, &options);
    table_add(&table, answer, NULL);
    table_flush(&table, &first);
    table_add(&table, event, NULL); /* a watch event: no columns, no header, same widths */
    table_flush(&table, &second);
    assert_string_equal(buf_text(&first), "NAME              READY\npod/a-long-name   3\n");
    assert_string_equal(buf_text(&second), "pod/b             two...\n");
}

static void test_output__selectors(void **state)
{
    (void)state;
    static const struct {
        const char *selector;
        int matches;
    } cases[] = {{"", 1},         {"a=1", 1},         {"a==1,b=2", 1},      {"a=2", 0},     {"a!=2", 1},    {"c!=2", 1},
                 {"a", 1},        {"c", 0},           {"!c", 1},            {"!a", 0},      {"a in (1, 3)", 1}, {"a in (2)", 0},
                 {"a notin (2)", 1}, {"c notin (2)", 1}, {"a in (1),b in (3)", 0}, {"bad bad", ERR_USAGE}, {"a=(", ERR_USAGE}};
    CLEANUP(json_free) struct json *labels = parse("{\"a\":\"1\",\"b\":\"2\"}");
    for (size_t i = 0; i < countof(cases); i++) {
        CLEANUP(err_clear) struct err err = {0};
        assert_int_equal(selector_matches(cases[i].selector, labels, &err), cases[i].matches);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output__cases),
        cmocka_unit_test(test_output__templates_as_kubectl),
        cmocka_unit_test(test_output__templates_at_their_limits),
        cmocka_unit_test(test_output__missing_keys_may_be_errors),
        cmocka_unit_test(test_output__relaxed_paths),
        cmocka_unit_test(test_output__sort),
        cmocka_unit_test(test_output__columns_of_text),
        cmocka_unit_test(test_output__table_keeps_widths_and_header),
        cmocka_unit_test(test_output__selectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
