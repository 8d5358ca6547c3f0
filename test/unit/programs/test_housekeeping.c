/*
 * test_housekeeping.c: what fks-node keeps in order beside its pods: disk limits and their measurement, rotated logs and
 * unused images.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cmd/fks-node/host/log_rotation.h"
#include "cmd/fks-node/host/storage.h"
#include "cmd/fks-node/images/image_credentials.h"
#include "cmd/fks-node/images/image_gc.h"
#include "cmd/fks-node/pod/pod.h"
#include "test/unit/temporary.h"

static struct json *parse(const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *json = NULL;

    if (json_parse(text, strlen(text), &json, &err) < 0)
        fail_msg("%s in %s", err_text(&err), text);
    return json;
}

static void write_file(const char *folder, const char *name, size_t len)
{
    CLEANUP(xfree) char *path = path_join(folder, name, NULL);
    CLEANUP(xfree) char *bytes = xcalloc(len + 1, 1);
    CLEANUP(err_clear) struct err err = {0};

    assert_int_equal(file_write_atomic(path, bytes, len, 0600, &err), 0);
}

/* --- limits */

#define MI (1ll << 20)

static const char limited[] =
    "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{\"sizeLimit\":\"10Mi\"}},{\"name\":\"w\",\"emptyDir\":{}}],"
    "\"containers\":[{\"name\":\"a\",\"resources\":{\"limits\":{\"ephemeral-storage\":\"20Mi\"}}},"
    "{\"name\":\"b\",\"resources\":{\"limits\":{\"ephemeral-storage\":\"30Mi\"}}}]}}";

static void expect_excess(int64_t v, int64_t w, int64_t logs_a, int64_t layer_a, int64_t machine, const char *want)
{
    CLEANUP(json_free) struct json *object = parse(limited);
    struct pod_volume_use volumes[] = {{(char *)(uintptr_t) "v", v * MI, 1}, {(char *)(uintptr_t) "w", w * MI, 1}};
    struct pod_container a = {.name = (char *)(uintptr_t) "a", .logs_b = logs_a * MI, .layer_b = layer_a * MI,
                              .spec = json_at(json_get(object, "spec", "containers", NULL), 0)};
    struct pod_container b = {.name = (char *)(uintptr_t) "b",
                              .spec = json_at(json_get(object, "spec", "containers", NULL), 1)};
    struct pod_container *containers[] = {&a, &b};
    const struct pod pod = {.object = object, .volume_use = volumes, .n_volume_use = 2, .containers = containers,
                            .n_containers = 2, .size.storage_b = machine * MI};
    CLEANUP(xfree) char *message = storage_excess(&pod);

    if (want == NULL)
        assert_null(message);
    else
        assert_string_equal(strempty(message), want);
}

static void test_storage__limits(void **state)
{
    (void)state;
    expect_excess(10, 20, 10, 10, 100, NULL);
    expect_excess(11, 0, 0, 0, 100, "Usage of EmptyDir volume \"v\" exceeds the limit \"10Mi\". ");
    expect_excess(0, 0, 11, 10, 100, "Container a exceeded its local ephemeral storage limit \"20Mi\". ");
    expect_excess(5, 40, 3, 3, 100, "Pod ephemeral local storage usage exceeds the total limit of containers 50Mi. ");
    expect_excess(5, 30, 0, 0, 32,
                  "The node was low on resource: ephemeral-storage. The pod uses more than the 32Mi of its node. ");
}

static void test_storage__measures_files_below(void **state)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(temporary_remove) char *folder = temporary_folder();
    CLEANUP(xfree) char *below = path_join(folder, "d", NULL);
    int64_t bytes, files;

    (void)state;
    assert_int_equal(dir_make(below, 0700, &err), 0);
    write_file(folder, "x", 100000);
    write_file(below, "y", 50000);
    storage_measure(folder, &bytes, &files);
    assert_int_equal(files, 4);
    assert_true(bytes >= 150000 && bytes < 250000);
    storage_measure("/nonexistent", &bytes, &files);
    assert_int_equal(bytes, 0);
    assert_int_equal(files, 0);
}

/* --- logs */

static void test_log_rotation__files_of_one_log(void **state)
{
    CLEANUP(strv_done) struct strv found = {0};
    CLEANUP(temporary_remove) char *folder = temporary_folder();
    CLEANUP(xfree) char *log = path_join(folder, "0.log", NULL);
    CLEANUP(xfree) char *other = path_join(folder, "10.log", NULL);

    (void)state;
    write_file(folder, "0.log", 1);
    write_file(folder, "10.log", 1);
    write_file(folder, "0.log.20260102-150405", 1);
    write_file(folder, "0.log.20260102-140405.gz", 1);
    log_rotation_list(log, &found);
    assert_int_equal(found.n, 2);
    assert_true(ends_with(found.items[0], "140405.gz"));
    assert_true(ends_with(found.items[1], "150405"));
    log_rotation_remove(log);
    assert_false(file_exists(log));
    assert_false(file_exists(found.items[0]));
    assert_false(file_exists(found.items[1]));
    assert_true(file_exists(other));
}

/* --- images */

static void expect_name(const char *log, int64_t now_s, const char *want)
{
    CLEANUP(xfree) char *name = log_rotation_name(log, now_s);
    CLEANUP(xfree) char *whole = xasprintf("%s.%s", log, want);

    assert_string_equal(name, whole);
}

static void test_log_rotation__names_never_go_back(void **state)
{
    (void)state;
    CLEANUP(temporary_remove) char *folder = temporary_folder();
    CLEANUP(xfree) char *log = path_join(folder, "0.log", NULL);

    expect_name(log, 1767366245, "20260102-150405");
    write_file(folder, "0.log.20260102-150405.gz", 1);
    expect_name(log, 1767366246, "20260102-150406");
    expect_name(log, 1767366245, "20260102-150406"); /* twice in a second */
    expect_name(log, 1767366245 - 3600, "20260102-150406"); /* the clock was set back by an hour */
    write_file(folder, "0.log.20260102-235959", 1);
    expect_name(log, 0, "20260103-000000");
    write_file(folder, "0.log.somebody-else", 1);
    expect_name(log, 1767366245, "20260102-150405");
}

static void test_image_gc__least_recently_used_first(void **state)
{
    const int64_t now = 1000000;
    struct image_gc_image images[] = {
        {.id = "used", .size_b = 100, .last_used_ms = 10, .in_use = true},
        {.id = "late", .size_b = 100, .last_used_ms = 900},
        {.id = "pinned", .size_b = 100, .pinned = true},
        {.id = "new", .size_b = 100, .first_seen_ms = now - 1000},
        {.id = "never", .size_b = 100},
        {.id = "early", .size_b = 100, .last_used_ms = 100},
    };

    (void)state;
    assert_int_equal(image_gc_choose(images, countof(images), 150, now), 2);
    assert_string_equal(images[0].id, "never");
    assert_string_equal(images[1].id, "early");
    assert_int_equal(image_gc_choose(images, countof(images), 10000, now), 3);
    assert_int_equal(image_gc_choose(images, countof(images), 0, now), 0);
    assert_int_equal(image_gc_choose(images, 0, 10, now), 0);
}

static void test_image_credentials__private_images_stay_private(void **state)
{
    CLEANUP(temporary_remove) char *folder = temporary_folder();
    struct pull_credential a = {.username = (char *)(uintptr_t) "a", .password = (char *)(uintptr_t) "x"};
    struct pull_credential b = {.username = (char *)(uintptr_t) "a", .password = (char *)(uintptr_t) "y"};
    const struct pull_credentials none = {0}, has_a = {.items = &a, .n = 1}, has_b = {.items = &b, .n = 1};
    struct image_credentials *records = image_credentials_new(folder);

    (void)state;
    assert_true(image_credentials_allow(records, "loaded", &none));
    image_credentials_record(records, "private", &a);
    image_credentials_record(records, "public", NULL);
    image_credentials_record(records, "public", &a);
    for (int restarts = 0; restarts < 2; restarts++) {
        assert_true(image_credentials_allow(records, "private", &has_a));
        assert_false(image_credentials_allow(records, "private", &has_b));
        assert_false(image_credentials_allow(records, "private", &none));
        assert_true(image_credentials_allow(records, "public", &none));
        image_credentials_free(records);
        records = image_credentials_new(folder);
    }
    image_credentials_record(records, "private", &b);
    assert_true(image_credentials_allow(records, "private", &has_a));
    assert_true(image_credentials_allow(records, "private", &has_b));
    image_credentials_record(records, "private", NULL); /* the registry gave it to nobody in particular */
    assert_true(image_credentials_allow(records, "private", &none));
    image_credentials_free(records);
    write_file(folder, "image-credentials.json", 10);
    records = image_credentials_new(folder); /* a damaged file */
    assert_true(image_credentials_allow(records, "private", &none));
    image_credentials_free(records);
}

/* --- use */

static void test_image_credentials__written_when_the_disk_has_room_again(void **state)
{
    (void)state;
    CLEANUP(temporary_remove) char *folder = temporary_folder();
    CLEANUP(xfree) char *state_dir = path_join(folder, "state", NULL);
    CLEANUP(err_clear) struct err err = {0};
    struct pull_credential a = {.username = (char *)(uintptr_t) "a", .password = (char *)(uintptr_t) "1"};
    const struct pull_credentials none = {0};

    struct image_credentials *records = image_credentials_new(state_dir);
    image_credentials_record(records, "private", &a); /* nothing can be written: there is no such folder */
    assert_false(image_credentials_allow(records, "private", &none));
    assert_int_equal(dir_make(state_dir, 0700, &err), 0);
    assert_false(image_credentials_allow(records, "private", &none));
    image_credentials_free(records);

    records = image_credentials_new(state_dir);
    assert_false(image_credentials_allow(records, "private", &none));
    image_credentials_free(records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storage__limits),
        cmocka_unit_test(test_storage__measures_files_below),
        cmocka_unit_test(test_log_rotation__files_of_one_log),
        cmocka_unit_test(test_image_gc__least_recently_used_first),
        cmocka_unit_test(test_log_rotation__names_never_go_back),
        cmocka_unit_test(test_image_credentials__private_images_stay_private),
        cmocka_unit_test(test_image_credentials__written_when_the_disk_has_room_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
