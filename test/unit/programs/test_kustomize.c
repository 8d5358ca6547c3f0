/*
 * test_kustomize.c: every folder of test/cases/kustomize with an expected.yaml (written by `kubectl kustomize`) is
 * built and compared; errors by files in memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "cmd/fks/kustomize/kustomize.h"
#include "data/yaml.h"

static void check_folder(const char *folder, const char *expected)
{
    CLEANUP(json_free) struct json *objects = NULL;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf want = {0}, got = {0};
    const struct json *object;
    assert_int_equal(file_read(expected, LIMIT_FILE, &want, &err), 0);
    if (kustomize_build_files(folder, false, &objects, NULL, &err) < 0)
        fail_msg("%s: %s", folder, err_text(&err));
    json_each(object, objects) {
        if (got.len > 0)
            buf_add_str(&got, "---\n");
        yaml_print(object, &got);
    }
    if (!streq(buf_text(&got), buf_text(&want)))
        fail_msg("%s: want\n%s\ngot\n%s", folder, buf_text(&want), buf_text(&got));
}

static void test_kustomize__cases(void **state)
{
    (void)state;
    static const char *const root = "test/cases/kustomize";
    struct dirent **entries = NULL;
    int n = scandir(root, &entries, NULL, alphasort), checked = 0;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        CLEANUP(xfree) char *folder = path_join(root, entries[i]->d_name, NULL);
        CLEANUP(xfree) char *expected = path_join(folder, "expected.yaml", NULL);
        if (entries[i]->d_name[0] != '.' && file_exists(expected)) {
            check_folder(folder, expected);
            checked++;
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(checked >= 5);
}

/* --- files in memory */

struct files {
    const char *kustomization, *other; /* ./kustomization.yaml; any other file */
};

static int read_memory(void *data, const char *path, struct buf *ret, struct err *err)
{
    const struct files *files = data;
    const char *text = streq(path, "kustomization.yaml")       ? files->kustomization
                       : ends_with(path, "kustomization.yaml") ? NULL
                       : ends_with(path, ".yaml")              ? files->other
                                                               : NULL;
    if (text == NULL)
        return err_set(err, ERR_NOT_FOUND, "cannot open '%s'", path);
    buf_add_str(ret, text);
    return 0;
}

static bool is_folder_in_memory(void *data, const char *path)
{
    (void)data;
    return !ends_with(path, ".yaml");
}

static void check_error(const char *kustomization, const char *other, int code, const char *text)
{
    struct files files = {kustomization, other};
    const struct kustomize_reader reader = {read_memory, is_folder_in_memory, &files};
    CLEANUP(json_free) struct json *objects = NULL;
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(kustomize_build(&reader, ".", &objects, NULL, &err), code);
    if (strstr(err_text(&err), text) == NULL)
        fail_msg("want '%s' in '%s'", text, err_text(&err));
    assert_null(objects);
}

#define POD "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"

static void test_kustomize__errors_say_what_is_wrong(void **state)
{
    (void)state;
    check_error(NULL, NULL, ERR_NOT_FOUND, "unable to find one of 'kustomization.yaml'");
    check_error("", NULL, ERR_INVALID, "kustomization.yaml is empty");
    check_error("a: [", NULL, ERR_PARSE, "invalid Kustomization");
    check_error("vars: [{name: x}]", NULL, ERR_UNSUPPORTED, "the field \"vars\" is not available");
    check_error("helmCharts: [{}]", NULL, ERR_UNSUPPORTED, "\"helmCharts\"");
    check_error("nonsense: 1", NULL, ERR_INVALID, "unknown field \"nonsense\"");
    check_error("resources: [a.yml]", NULL, ERR_NOT_FOUND, "kustomization.yaml");
    check_error("resources: [../a.yaml]", POD, ERR_FORBIDDEN, "is not in or below");
    check_error("resources: [\"https://x/y\"]", POD, ERR_UNSUPPORTED, "remote resources");
    check_error("resources: [a.yaml, b.yaml]", POD, ERR_INVALID, "already registered id");
    check_error("resources: [a.yaml]", "metadata: {name: x}", ERR_INVALID, "without kind");
    check_error("resources: [a.yaml]", "kind: Pod", ERR_INVALID, "missing metadata.name");
    check_error("resources: [.]", NULL, ERR_TOO_BIG, "a cycle?");
    check_error("components: [a.yaml]", POD, ERR_INVALID, "is no folder");
    check_error("resources: [a.yaml]\nreplicas: [{name: p, count: 2}]", POD, ERR_NOT_FOUND, "resource with name p");
    check_error("resources: [a.yaml]\npatches: [{}]", POD, ERR_INVALID, "one of patch and path");
    check_error("resources: [a.yaml]\npatches: [{patch: '[]'}]", POD, ERR_INVALID, "must specify a target");
    check_error("resources: [a.yaml]\npatches: [{patch: 'kind: Pod'}]", POD, ERR_NOT_FOUND, "no resource matches");
    check_error("resources: [a.yaml]\npatches: [{patch: '[]', target: {name: '('}}]", POD, ERR_INVALID,
                "no regular expression");
    check_error("resources: [a.yaml]\nlabels: [{pairs: {a: b}, fields: [{path: x}]}]", POD, ERR_UNSUPPORTED,
                "\"fields\"");
    check_error("configMapGenerator: [{literals: [a=b]}]", NULL, ERR_INVALID, "must have a name");
    check_error("configMapGenerator: [{name: c, literals: [a]}]", NULL, ERR_INVALID, "expected key=value");
    check_error("configMapGenerator: [{name: c, literals: [a=1, a=2]}]", NULL, ERR_INVALID, "illegally repeats");
    check_error("configMapGenerator: [{name: c, literals: ['a/b=1']}]", NULL, ERR_INVALID, "not a valid key name");
    check_error("configMapGenerator: [{name: c, behavior: merge}]", NULL, ERR_INVALID, "does not exist");
    check_error("configMapGenerator: [{name: c, type: x}]", NULL, ERR_INVALID, "unknown field \"type\"");
}

static void test_kustomize__keys_in_any_case(void **state)
{
    (void)state;
    struct files files = {"namePREFIX: a-\nResources: [x.yaml]\nbases: []\n", POD};
    const struct kustomize_reader reader = {read_memory, is_folder_in_memory, &files};
    CLEANUP(json_free) struct json *objects = NULL;
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf warnings = {0};
    assert_int_equal(kustomize_build(&reader, ".", &objects, &warnings, &err), 0);
    assert_int_equal(json_len(objects), 1);
    assert_string_equal(json_str(json_at(objects, 0), "metadata", "name", NULL), "a-p");
    assert_non_null(strstr(buf_text(&warnings), "'bases' is deprecated"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kustomize__cases),
        cmocka_unit_test(test_kustomize__errors_say_what_is_wrong),
        cmocka_unit_test(test_kustomize__keys_in_any_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
