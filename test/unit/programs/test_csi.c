/*
 * test_csi.c: the table test/cases/csi_plan.txt; giving files to a group; records.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "volumes/csi_owner.h"
#include "volumes/csi_plan.h"
#include "volumes/csi_records.h"

#include "../trees.h"
#include "test/unit/temporary.h"

#define POD                                                                                        \
    "{metadata: {uid: u, name: web, namespace: ns}, spec: {serviceAccountName: sa, securityContext: {fsGroup: 2000}}}"

/* --- plans */

static void add_pairs(struct strv *words, const char *prefix, const struct csi_pairs *pairs)
{
    for (size_t i = 0; i < pairs->n; i++)
        strv_addf(words, "%s%s=%s", prefix, pairs->items[i].key, pairs->items[i].value);
}

/* The plan in the table's words. */
static void words_of(const struct csi_plan *plan, struct strv *words)
{
    CLEANUP(xfree) char *flags = strv_join(&plan->mount_flags, ",");

    strv_add(words, plan->stage ? "stage" : "nostage");
    strv_add(words, plan->readonly ? "ro" : "rw");
    if (plan->exclusive)
        strv_add(words, "alone");
    if (plan->republish)
        strv_add(words, "republish");
    if (plan->fs_group_if_needed)
        strv_add(words, "ifneeded");
    strv_addf(words, "access=%d", (int)plan->access);
    strv_addf(words, "handle=%s", plan->handle);
    strv_addf(words, "fs=%s", plan->fs_type);
    strv_addf(words, "flags=%s", flags);
    strv_addf(words, "group=%s", strempty(plan->mount_group));
    if (plan->fs_group >= 0)
        strv_addf(words, "give=%lld", (long long)plan->fs_group);
    else
        strv_add(words, "give=");
    add_pairs(words, "", &plan->context);
    add_pairs(words, "+", &plan->publish_context);
    add_pairs(words, "s:", &plan->stage_secrets);
    add_pairs(words, "p:", &plan->publish_secrets);
}

static struct json *secret_of(const char *base64)
{
    return json_build("{s:{s:s}}", "data", "user", base64);
}

static char *cut_last(char *line)
{
    char *bar = strrchr(line, '|');

    assert_non_null(bar);
    assert_true(bar > line);
    bar[-1] = '\0';
    return bar + 2;
}

static struct csi_capabilities capabilities_of(const char *driver)
{
    return (struct csi_capabilities){.stage = !streq(driver, "plain"), .mount_group = streq(driver, "groups"),
                                     .single_writer = streq(driver, "writers")};
}

static void compare(const char *line, const char *wanted, const struct csi_plan_input *input)
{
    CLEANUP(csi_plan_done) struct csi_plan plan = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(strv_done) struct strv words = {0};
    CLEANUP(strv_done) struct strv expected = {0};
    int r = csi_plan_of(input, &plan, &err);

    if (starts_with(wanted, "error: ")) {
        if (r == 0 || strstr(err_text(&err), wanted + strlen("error: ")) == NULL)
            fail_msg("%s: %s", line, err_text(&err));
        return;
    }
    if (r < 0)
        fail_msg("%s: %s", line, err_text(&err));
    words_of(&plan, &words);
    strv_split(&expected, wanted, ' ');
    for (size_t i = 0; i < expected.n; i++)
        if (!strv_has(&words, expected.items[i])) {
            CLEANUP(xfree) char *all = strv_join(&words, " ");
            fail_msg("%s: '%s' is not among %s", line, expected.items[i], all);
        }
}

static struct json *tree_or_null(const char *text)
{
    return streq(text, "-") ? NULL : json_build("{s:{s:s}, s:o}", "metadata", "name", "pv", "spec", tree_of(text));
}

static void check_line(char *line)
{
    CLEANUP(xfree) char *whole = xstrdup(line);
    CLEANUP(json_free) struct json *pod = tree_of(POD);
    CLEANUP(json_free) struct json *driver = tree_or_null(cut_last(line));
    CLEANUP(json_free) struct json *bound = tree_or_null(cut_last(line));
    CLEANUP(json_free) struct json *volume = tree_of(cut_last(line));
    CLEANUP(json_free) struct json *claim = tree_of("{spec: {volumeName: pv}, status: {phase: Bound}}");
    CLEANUP(json_free) struct json *own = secret_of("dQ==");
    CLEANUP(json_free) struct json *other = secret_of("bw==");
    CLEANUP(json_free) struct json *binary = secret_of("AAE=");
    CLEANUP(json_free) struct json *broken = secret_of("!");
    CLEANUP(map_done) struct map objects = {0};
    CLEANUP(map_done) struct map tokens = {0};
    char token[] = "{\"token\":\"t\"}";

    json_set_str(volume, "name", "v");
    (void)map_set(&objects, "PersistentVolumeClaim/c", claim);
    (void)map_set(&objects, "PersistentVolume/pv", bound);
    (void)map_set(&objects, "Secret/s", own);
    (void)map_set(&objects, "Secret/ns/s", own);
    (void)map_set(&objects, "Secret/other/s", other);
    (void)map_set(&objects, "Secret/binary", binary);
    (void)map_set(&objects, "Secret/broken", broken);
    (void)map_set(&tokens, "csi:d/vault", token);
    const struct json *source = csi_source_of(volume, &objects);
    const struct csi_plan_input input = {
        .pod = pod,
        .volume = volume,
        .objects = &objects,
        .tokens = &tokens,
        .driver = driver,
        .capabilities = capabilities_of(json_str_or("", source, "driver", NULL)),
    };
    compare(whole, line, &input);
}

static void test_csi_plan__cases(UNUSED void **state)
{
    for_each_case("test/cases/csi_plan.txt", check_line);
}

/* A group that is given only when the root lacks it. */
static void test_csi_plan__if_needed(UNUSED void **state)
{
    CLEANUP(json_free) struct json *pod = tree_of("{spec: {securityContext: {fsGroup: 1, fsGroupChangePolicy: OnRootMismatch}}}");
    CLEANUP(json_free) struct json *volume = tree_of("{name: v, csi: {driver: d}}");
    CLEANUP(json_free) struct json *driver = tree_of("{spec: {fsGroupPolicy: File, volumeLifecycleModes: [Ephemeral]}}");
    const struct csi_plan_input input = {.pod = pod, .volume = volume, .driver = driver};

    compare("if needed", "give=1 ifneeded", &input);
}

static void test_csi__usable(UNUSED void **state)
{
    CLEANUP(json_free) struct json *attaching = tree_of("{spec: {}}");
    CLEANUP(json_free) struct json *both = tree_of("{spec: {volumeLifecycleModes: [Persistent, Ephemeral]}}");
    CLEANUP(json_free) struct json *plain = tree_of("{spec: {attachRequired: false}}");

    assert_false(csi_is_usable("d", NULL));
    assert_false(csi_is_usable("d", attaching));
    assert_true(csi_is_usable("d", both));
    assert_true(csi_is_usable("d", plain));
}

static void test_csi__names(UNUSED void **state)
{
    static const char *const bad[] = {"", ".", "..", "-a", "a-", "a/b", "a b", "a:b", NULL,
                                      "a123456789012345678901234567890123456789012345678901234567890123"};

    assert_true(csi_name_is_valid("hostpath.csi.k8s.io"));
    assert_true(csi_name_is_valid("a"));
    for (size_t i = 0; i < countof(bad); i++)
        assert_false(csi_name_is_valid(bad[i]));
}

/* --- files */

static struct stat facts_of(const char *folder, const char *name)
{
    CLEANUP(xfree) char *path = path_join(folder, name, NULL);
    struct stat facts;

    assert_int_equal(lstat(path, &facts), 0);
    return facts;
}

static void make_file(const char *folder, const char *name, mode_t mode)
{
    CLEANUP(xfree) char *path = path_join(folder, name, NULL);
    CLEANUP(err_clear) struct err err = {0};

    assert_int_equal(file_write_cache(path, "x", 1, mode, &err), 0);
}

/* With the group that the files have already, since only root may give them to another. */
static void test_csi_owner__give(UNUSED void **state)
{
    CLEANUP(temporary_remove) char *outside = temporary_folder();
    CLEANUP(temporary_remove) char *folder = temporary_folder();
    CLEANUP(xfree) char *below = path_join(folder, "below", NULL);
    CLEANUP(xfree) char *link = path_join(folder, "link", NULL);
    CLEANUP(xfree) char *target = path_join(outside, "file", NULL);
    CLEANUP(err_clear) struct err err = {0};

    make_file(outside, "file", 0600);
    make_file(folder, "file", 0600);
    assert_int_equal(mkdir(below, 0700), 0);
    make_file(below, "script", 0750);
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(csi_owner_give(folder, getgid(), false, &err), 0);
    assert_int_equal(facts_of(folder, "file").st_mode & 07777, 0660);
    assert_int_equal(facts_of(folder, "below").st_mode & 07777, 02770);
    assert_int_equal(facts_of(below, "script").st_mode & 07777, 0770);
    assert_int_equal(facts_of(folder, ".").st_mode & 07777, 02770);
    assert_int_equal(facts_of(outside, "file").st_mode & 07777, 0600);
    /* the root has it: nothing below is looked at */
    make_file(folder, "later", 0600);
    assert_int_equal(csi_owner_give(folder, getgid(), true, &err), 0);
    assert_int_equal(facts_of(folder, "later").st_mode & 07777, 0600);
    assert_int_equal(csi_owner_give("/nonexistent/volume", getgid(), false, &err), ERR_NOT_FOUND);
}

/* --- records */

struct seen {
    size_t n_staged, n_used;
};

static void on_record(const char *uid, const char *name, const struct json *record, void *data)
{
    struct seen *seen = data;

    if (uid == NULL) {
        assert_int_equal(strlen(name), 64);
        seen->n_staged++;
    } else {
        assert_string_equal(uid, "uid-1");
        assert_string_equal(name, "v");
        seen->n_used++;
    }
    assert_string_equal(json_str(record, "driver", NULL), "d");
}

static void test_csi_records__come_back(UNUSED void **state)
{
    CLEANUP(temporary_remove) char *folder = temporary_folder();
    CLEANUP(json_free) struct json *record = tree_of("{driver: d}");
    CLEANUP(err_clear) struct err err = {0};
    struct seen seen = {0};
    char digest[65], other[65];

    csi_record_digest("d", "h", digest);
    csi_record_digest("d", "h2", other);
    assert_string_not_equal(digest, other);
    CLEANUP(xfree) char *staged = csi_record_stage_path(folder, digest);
    CLEANUP(xfree) char *broken = csi_record_stage_path(folder, other);
    CLEANUP(xfree) char *used = csi_record_use_path(folder, "uid-1", "v");
    csi_record_each(folder, on_record, &seen);
    assert_int_equal(seen.n_staged + seen.n_used, 0);
    assert_int_equal(csi_record_write(staged, record, &err), 0);
    assert_int_equal(csi_record_write(broken, record, &err), 0);
    assert_int_equal(csi_record_write(used, record, &err), 0);
    assert_int_equal(truncate(broken, 3), 0); /* passed over */
    csi_record_each(folder, on_record, &seen);
    assert_int_equal(seen.n_staged, 1);
    assert_int_equal(seen.n_used, 1);
    assert_int_equal(csi_record_remove(used, &err), 0);
    assert_int_equal(csi_record_remove(used, &err), 0);
    csi_record_each(folder, on_record, &seen);
    assert_int_equal(seen.n_used, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csi_plan__cases),
        cmocka_unit_test(test_csi_plan__if_needed),
        cmocka_unit_test(test_csi__usable),
        cmocka_unit_test(test_csi__names),
        cmocka_unit_test(test_csi_owner__give),
        cmocka_unit_test(test_csi_records__come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
