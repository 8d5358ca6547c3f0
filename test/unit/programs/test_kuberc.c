/* test_kuberc.c: a kuberc's document: both versions, members that nobody knows, wrong types; where the file lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cmd/fks/config/kuberc.h"
#include "data/yaml.h"

#define HEAD "kind: Preference\napiVersion: kubectl.config.k8s.io/"

static int normalize(const char *text, struct json **ret, struct err *err)
{
    CLEANUP(json_free) struct json *document = NULL;
    assert_int_equal(yaml_parse(text, strlen(text), &document, err), 0);
    return kuberc_normalize(document, ret, err);
}

static void assert_reads(const char *text, const char *expected)
{
    CLEANUP(json_free) struct json *preference = NULL;
    CLEANUP(buf_done) struct buf shown = {0};
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(normalize(text, &preference, &err), 0);
    json_del(preference, "kind");
    json_del(preference, "apiVersion");
    json_print(preference, &shown);
    assert_string_equal(buf_text(&shown), expected);
}

static void test_kuberc__both_versions(void **state)
{
    (void)state;
    assert_reads(HEAD "v1beta1\n", "{\"defaults\":null,\"aliases\":null}");
    assert_reads(HEAD "v1beta1\ndefaults: [{options: [{default: wide, name: output}], command: get}]\naliases: []\n",
                 "{\"defaults\":[{\"command\":\"get\",\"options\":[{\"name\":\"output\",\"default\":\"wide\"}]}],\"aliases\":[]}");
    assert_reads(HEAD "v1alpha1\noverrides: [{flags: [{default: wide, name: output}], command: get}]\n",
                 "{\"defaults\":[{\"command\":\"get\",\"options\":[{\"name\":\"output\",\"default\":\"wide\"}]}],\"aliases\":null}");
    assert_reads(HEAD "v1beta1\naliases: [{name: a, command: get, appendArgs: [x], prependArgs: []}]\n",
                 "{\"defaults\":null,\"aliases\":[{\"name\":\"a\",\"command\":\"get\",\"appendArgs\":[\"x\"]}]}");
}

static void test_kuberc__unknown_members_are_left_out(void **state)
{
    (void)state;
    assert_reads(HEAD "v1beta1\nother: 1\ndefaults: [{command: get, flags: [], x: y}]\n",
                 "{\"defaults\":[{\"command\":\"get\",\"options\":null}],\"aliases\":null}");
}

static void test_kuberc__wrong_types(void **state)
{
    static const char *const texts[] = {"defaults: x", "defaults: [x]", "defaults: [{command: 1}]", "aliases: [{appendArgs: [1]}]",
                                        "defaults: [{command: get, options: [{name: a, default: true}]}]",
                                        "credentialPluginPolicy: []"};
    (void)state;
    for (size_t i = 0; i < countof(texts); i++) {
        CLEANUP(xfree) char *text = xasprintf(HEAD "v1beta1\n%s\n", texts[i]);
        CLEANUP(json_free) struct json *preference = NULL;
        CLEANUP(err_clear) struct err err = {0};
        assert_int_equal(normalize(text, &preference, &err), ERR_PARSE);
        assert_null(preference);
    }
}

static void test_kuberc__path(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *usual = NULL, *named = NULL, *other = NULL;
    char *none = NULL;
    bool is_explicit = true;
    (void)state;
    (void)setenv("HOME", "/home/jane", 1);
    (void)unsetenv("KUBERC");
    assert_int_equal(kuberc_path(NULL, &usual, &is_explicit, &err), 0);
    assert_string_equal(usual, "/home/jane/.kube/kuberc");
    assert_false(is_explicit);
    (void)setenv("KUBERC", "/etc/kuberc", 1);
    assert_int_equal(kuberc_path("", &named, &is_explicit, &err), 0);
    assert_string_equal(named, "/etc/kuberc");
    assert_true(is_explicit);
    assert_int_equal(kuberc_path("mine", &other, &is_explicit, &err), 0);
    assert_string_equal(other, "mine");
    (void)setenv("KUBERC", "off", 1);
    assert_int_equal(kuberc_path(NULL, &none, &is_explicit, &err), 0);
    assert_null(none);
    assert_int_equal(kuberc_path("mine", &none, &is_explicit, &err), ERR_USAGE);
    (void)unsetenv("KUBERC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kuberc__both_versions),
        cmocka_unit_test(test_kuberc__unknown_members_are_left_out),
        cmocka_unit_test(test_kuberc__wrong_types),
        cmocka_unit_test(test_kuberc__path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
