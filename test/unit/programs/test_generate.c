/* test_generate.c: the texts of options as parts of generated objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cmd/fks/objects/generate.h"

static void assert_prints(const struct json *tree, const char *expected)
{
    CLEANUP(buf_done) struct buf text = {0};
    json_print(tree, &text);
    assert_string_equal(buf_text(&text), expected);
}

static void test_generate__labels(void **state)
{
    CLEANUP(json_free) struct json *labels = NULL;
    CLEANUP(err_clear) struct err err = {0};
    (void)state;
    assert_int_equal(generate_labels("b=2,a=1", &labels, &err), 0);
    assert_prints(labels, "{\"a\":\"1\",\"b\":\"2\"}");
    assert_int_equal(generate_labels("ab", &labels, &err), ERR_USAGE);
    assert_string_equal(err_text(&err), "unexpected label spec: ab");
}

static void test_generate__amounts(void **state)
{
    CLEANUP(json_free) struct json *amounts = NULL, *none = NULL;
    CLEANUP(err_clear) struct err err = {0};
    (void)state;
    assert_int_equal(generate_amounts("memory=1024Mi,cpu=1000m", &amounts, &err), 0);
    assert_prints(amounts, "{\"cpu\":\"1\",\"memory\":\"1Gi\"}");
    assert_int_equal(generate_amounts(NULL, &none, &err), 0);
    assert_null(none);
    assert_int_equal(generate_amounts("cpu", &none, &err), ERR_USAGE);
    err_clear(&err);
    assert_int_equal(generate_amounts("cpu=1x", &none, &err), ERR_USAGE);
    assert_non_null(strstr(err_text(&err), "regular expression"));
    err_clear(&err);
    assert_int_equal(generate_amounts("cpu=1mm", &none, &err), ERR_USAGE);
    assert_string_equal(err_text(&err), "unable to parse quantity's suffix");
}

static void test_generate__number_or_text(void **state)
{
    CLEANUP(json_free) struct json *number = generate_number_or_text("80"), *text = generate_number_or_text("50%");
    (void)state;
    assert_prints(number, "80");
    assert_string_equal(json_string_value(text), "50%");
}

static struct json *overridden(const char *type, const char *patch, struct err *err)
{
    const struct override override = {.patch = patch, .type = type};
    struct json *object = json_build("{s:s, s:{s:[{s:s, s:s}]}}", "kind", "Pod", "spec", "containers", "name", "c",
                                     "image", "i");
    return generate_override(&override, &object, err) == 0 ? object : NULL;
}

static void test_generate__override(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free)
    struct json *same = overridden("merge", "", &err),
                *merged = overridden("merge", "{\"spec\":{\"containers\":[]}}", &err),
                *strategic =
                    overridden("strategic", "{\"spec\":{\"containers\":[{\"name\":\"c\",\"tty\":true}]}}", &err),
                *patched = overridden("json", "[{\"op\":\"remove\",\"path\":\"/spec\"}]", &err);
    (void)state;
    assert_prints(same, "{\"kind\":\"Pod\",\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}");
    assert_prints(merged, "{\"kind\":\"Pod\",\"spec\":{\"containers\":[]}}");
    assert_true(json_is_true(json_at(json_get(strategic, "spec", "containers", NULL), 0), "tty", NULL));
    assert_string_equal(json_str(json_at(json_get(strategic, "spec", "containers", NULL), 0), "image", NULL), "i");
    assert_prints(patched, "{\"kind\":\"Pod\"}");
    assert_null(overridden("foo", "{}", &err));
    assert_string_equal(err_text(&err), "invalid override type: foo");
    err_clear(&err);
    assert_null(overridden("merge", "{", &err));
    assert_string_equal(err_text(&err), "Invalid JSON Patch");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generate__labels),
        cmocka_unit_test(test_generate__amounts),
        cmocka_unit_test(test_generate__number_or_text),
        cmocka_unit_test(test_generate__override),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
