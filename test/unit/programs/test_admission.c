/*
 * test_admission.c: golden folders test/cases/admission/<name>/: review.json goes in, want.json must come out. The
 * name begins with "mutate" or "validate"; profiles.yaml, where there is one, is the snapshot; "-enforced" at its end stands
 * for --pod-validation=Enforce, "-other-names" for names that leave those of AWS Fargate alone. In want.json the patch is
 * decoded, and
 * {"error": TEXT} stands for a review that is answered with 400.
 */
#include "webhook/admission.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "test/unit/trees.h"
#include "webhook/store.h"

#define FOLDER "test/cases/admission"

static void read_case_file(const char *name, const char *file, struct buf *ret)
{
    CLEANUP(xfree) char *path = path_join(FOLDER, name, file, NULL);
    CLEANUP(err_clear) struct err err = {0};

    if (file_read(path, LIMIT_FILE, ret, &err) < 0)
        fail_msg("%s", err_text(&err));
}

static void no_skips(const char *name, const struct err *err, UNUSED void *data)
{
    fail_msg("profile %s: %s", name, err_text(err));
}

static struct fargate_profiles *read_profiles(const char *name)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *documents = NULL;
    CLEANUP(err_clear) struct err err = {0};

    CLEANUP(xfree) char *path = path_join(FOLDER, name, "profiles.yaml", NULL);
    if (access(path, F_OK) < 0)
        return NULL;
    read_case_file(name, "profiles.yaml", &text);
    if (yaml_parse_all(buf_text(&text), text.len, &documents, &err) < 0)
        fail_msg("%s: %s", name, err_text(&err));
    return store_read_documents(documents, no_skips, NULL);
}

/* Base64 text becomes the operations. */
static void decode_patch(struct json *answer)
{
    struct json *response = json_edit(answer, "response", NULL);
    const char *patch = json_str(response, "patch", NULL);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct json *operations;

    if (patch == NULL)
        return;
    assert_int_equal(base64_decode(patch, strlen(patch), &text, &err), 0);
    assert_int_equal(json_parse(buf_text(&text), text.len, &operations, &err), 0);
    json_set(response, "patch", operations);
}

static int answer(const char *name, const struct buf *review, struct buf *out, struct admission_decision *decision,
                  struct err *err)
{
    static const struct fargate_names other_names = {
        .scheduler = "other-scheduler", .profile_label = "example.com/profile", .node_prefix = "other-ip-"};
    CLEANUP(fargate_profiles_free) struct fargate_profiles *profiles = read_profiles(name);
    struct admission_rules rules = {.profiles = profiles, .enforce = ends_with(name, "-enforced")};

    if (ends_with(name, "-other-names")) {
        rules.names = &other_names;
        if (profiles != NULL)
            profiles->names = &other_names;
    }

    if (starts_with(name, "validate"))
        return admission_validate(&rules, buf_text(review), review->len, out, decision, err);
    return admission_mutate(&rules, buf_text(review), review->len, out, decision, err);
}

static void check_case(const char *name)
{
    CLEANUP(buf_done) struct buf review = {0};
    CLEANUP(buf_done) struct buf want = {0};
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(buf_done) struct buf got_text = {0};
    CLEANUP(buf_done) struct buf want_text = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *got = NULL;
    CLEANUP(json_free) struct json *wanted = NULL;
    struct admission_decision decision;

    read_case_file(name, "review.json", &review);
    read_case_file(name, "want.json", &want);
    wanted = tree_of(buf_text(&want));
    if (answer(name, &review, &out, &decision, &err) < 0) {
        assert_int_equal(out.len, 0);
        got = json_build("{s:s}", "error", err_text(&err));
    } else {
        got = tree_of(buf_text(&out));
        decode_patch(got);
    }
    json_print_pretty(got, &got_text);
    json_print_pretty(wanted, &want_text);
    if (!streq(buf_text(&got_text), buf_text(&want_text)))
        fail_msg("%s: got\n%s", name, buf_text(&got_text));
}

static void test_admission__golden(UNUSED void **state)
{
    DIR *folder = opendir(FOLDER);
    const struct dirent *entry;
    size_t n = 0;

    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        check_case(entry->d_name);
        n++;
    }
    closedir(folder);
    assert_true(n >= 10);
}

static void test_admission__before_the_first_snapshot(UNUSED void **state)
{
    static const char review[] =
        "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{\"uid\":\"u\","
        "\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"},\"operation\":\"CREATE\","
        "\"object\":{}}}";
    CLEANUP(buf_done) struct buf out = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct admission_decision decision;

    assert_int_equal(admission_mutate(&(struct admission_rules){0}, review, strlen(review), &out, &decision, &err), 0);
    assert_int_equal(decision.outcome, ADMISSION_UNTOUCHED);
    assert_string_equal(decision.profile, "");
    assert_string_equal(admission_outcome_name(decision.outcome), "untouched");
}

static void count_skip(UNUSED const char *name, UNUSED const struct err *err, void *data)
{
    ++*(size_t *)data;
}

static void test_store__bad_profiles_do_not_hurt_the_others(UNUSED void **state)
{
    CLEANUP(json_free)
    struct json *documents = tree_of(
        "[{apiVersion: fks.dev/v1, kind: FargateProfileList, items: ["
        "{apiVersion: fks.dev/v1, kind: FargateProfile, metadata: {name: b}, spec: {selectors: [{namespace: x}]}},"
        "{apiVersion: fks.dev/v1, kind: FargateProfile, metadata: {name: eks-b}, spec: {selectors: [{namespace: "
        "x}]}},"
        "{apiVersion: fks.dev/v1, kind: FargateProfile, metadata: {name: b}, spec: {selectors: [{namespace: "
        "y}]}}]},"
        "{kind: ConfigMap}, 5,"
        "{apiVersion: fks.dev/v1, kind: FargateProfile, metadata: {name: a}, spec: {selectors: [{namespace: "
        "x}]}}]");
    size_t skipped = 0;
    CLEANUP(fargate_profiles_free) struct fargate_profiles *profiles =
        store_read_documents(documents, count_skip, &skipped);

    assert_int_equal(profiles->n, 2);
    assert_string_equal(profiles->items[0].name, "a");
    assert_string_equal(profiles->items[1].selectors[0].namespace, "x");
    assert_int_equal(skipped, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admission__golden),
        cmocka_unit_test(test_admission__before_the_first_snapshot),
        cmocka_unit_test(test_store__bad_profiles_do_not_hurt_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
