/* test_atomic_writer.c: what a reader of the folder sees before, between and after updates. */
#include "cmd/fks-node/volumes/atomic_writer.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "test/unit/temporary.h"

static char *folder;

static int set_up(void **state UNUSED)
{
    folder = temporary_folder();
    return 0;
}

static int tear_down(void **state UNUSED)
{
    temporary_remove(folder);
    return 0;
}

static bool write_files(const struct atomic_file *files, size_t n)
{
    CLEANUP(err_clear) struct err err = {0};
    bool changed = false;

    if (atomic_writer_write(folder, files, n, -1, &changed, &err) < 0)
        fail_msg("%s", err_text(&err));
    return changed;
}

static void assert_file(const char *name, const char *text)
{
    CLEANUP(xfree) char *path = path_join(folder, name, NULL);
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf bytes = {0};

    if (file_read(path, 1000, &bytes, &err) < 0)
        fail_msg("%s", err_text(&err));
    assert_string_equal(buf_text(&bytes), text);
}

static bool exists(const char *name)
{
    CLEANUP(xfree) char *path = path_join(folder, name, NULL);
    struct stat info;

    return lstat(path, &info) == 0;
}

static size_t count_entries(void)
{
    DIR *dir = opendir(folder);
    size_t n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n - 2;
}

#define ATOMIC(path, text) {path, text, sizeof(text) - 1, 0644, -1}

static void test_atomic_writer__first_write(void **state)
{
    const struct atomic_file files[] = {ATOMIC("a", "1"), ATOMIC("dir/b", "2"), ATOMIC("dir//./c", "")};
    CLEANUP(xfree) char *data = path_join(folder, "..data", NULL);
    struct stat info;

    (void)state;
    assert_true(write_files(files, 3));
    assert_file("a", "1");
    assert_file("dir/b", "2");
    assert_file("dir/c", "");
    assert_int_equal(lstat(data, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(count_entries(), 4); /* ..data, its target, a, dir */
}

static void test_atomic_writer__same_again_changes_nothing(void **state)
{
    const struct atomic_file files[] = {ATOMIC("a", "1"), ATOMIC("dir/b", "2")};
    CLEANUP(xfree) char *data = path_join(folder, "..data", NULL);
    char before[200] = "", after[200] = "";

    (void)state;
    assert_true(write_files(files, 2));
    assert_true(readlink(data, before, sizeof(before) - 1) > 0);
    assert_false(write_files(files, 2));
    assert_true(readlink(data, after, sizeof(after) - 1) > 0);
    assert_string_equal(before, after);
}

static void test_atomic_writer__update_replaces_and_removes(void **state)
{
    const struct atomic_file old[] = {ATOMIC("a", "1"), ATOMIC("gone", "x"), ATOMIC("dir/b", "2"), ATOMIC("dir/c", "3")};
    const struct atomic_file new[] = {ATOMIC("a", "changed"), ATOMIC("dir/b", "2"), ATOMIC("new", "n")};

    (void)state;
    assert_true(write_files(old, 4));
    assert_true(write_files(new, 3));
    assert_file("a", "changed");
    assert_file("new", "n");
    assert_false(exists("gone"));
    assert_false(exists("dir/c"));
    assert_int_equal(count_entries(), 5); /* the old data is gone */
}

static void test_atomic_writer__one_file_less_is_a_change(void **state)
{
    const struct atomic_file files[] = {ATOMIC("dir/a", "1"), ATOMIC("dir/b", "2")};

    (void)state;
    assert_true(write_files(files, 2));
    assert_true(write_files(files, 1));
    assert_false(exists("dir/b"));
    assert_true(write_files(files, 0));
    assert_false(exists("dir"));
}

static void test_atomic_writer__mode_and_owner(void **state)
{
    const struct atomic_file files[] = {{"d/a", "1", 1, 0400, 1234}};
    CLEANUP(xfree) char *path = path_join(folder, "d/a", NULL);
    CLEANUP(xfree) char *parent = path_join(folder, "..data/d", NULL);
    CLEANUP(err_clear) struct err err = {0};
    struct stat info;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(atomic_writer_write(folder, files, 1, 4321, NULL, &err), 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0400);
    assert_int_equal(info.st_uid, 1234);
    assert_int_equal(info.st_gid, 4321);
    assert_int_equal(stat(parent, &info), 0);
    assert_int_equal(info.st_mode & 07777, 02755);
}

/* An agent that was killed half-way leaves these. */
static void test_atomic_writer__heals_leftovers(void **state)
{
    const struct atomic_file files[] = {ATOMIC("a", "1")};
    CLEANUP(xfree) char *half = path_join(folder, "..2020_01_01_00_00_00.0123456789", NULL);
    CLEANUP(xfree) char *link = path_join(folder, "..data_tmp", NULL);
    CLEANUP(xfree) char *taken = path_join(folder, "a", NULL);

    (void)state;
    assert_int_equal(mkdir(half, 0755), 0);
    assert_int_equal(symlink("nowhere", link), 0);
    assert_int_equal(mkdir(taken, 0755), 0);
    assert_true(write_files(files, 1));
    assert_file("a", "1");
    assert_int_equal(count_entries(), 3);
}

static void test_atomic_writer__refuses_paths(void **state)
{
    static const char *const bad[] = {"", "/etc/passwd", "..", "../x", "a/../../x", "a/..", "..data", "..x/y", ".", "./"};
    static const char *const good[] = {"a", ".hidden", "a..b", "...", "a/..b"};
    char long_name[300];

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        const struct atomic_file files[] = {{bad[i], "x", 1, 0644, -1}};
        CLEANUP(err_clear) struct err err = {0};

        if (atomic_writer_write(folder, files, 1, -1, NULL, &err) != ERR_INVALID)
            fail_msg("'%s' was taken", bad[i]);
    }
    for (size_t i = 0; i < countof(good); i++) {
        CLEANUP(err_clear) struct err err = {0};
        bool starts_with_dots = starts_with(good[i], "..");

        assert_int_equal(atomic_writer_check_path(good[i], &err), starts_with_dots ? ERR_INVALID : 0);
    }
    {
        CLEANUP(err_clear) struct err err = {0};

        memset(long_name, 'x', sizeof(long_name) - 1);
        long_name[256] = '\0';
        assert_int_equal(atomic_writer_check_path(long_name, &err), ERR_INVALID);
    }
    long_name[255] = '\0';
    {
        CLEANUP(err_clear) struct err err = {0};

        assert_int_equal(atomic_writer_check_path(long_name, &err), 0);
    }
}

static void test_atomic_writer__file_under_file(void **state)
{
    const struct atomic_file files[] = {ATOMIC("a", "1"), ATOMIC("a/b", "2")};
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_int_equal(atomic_writer_write(folder, files, 2, -1, NULL, &err), ERR_INVALID);
    assert_int_equal(count_entries(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_atomic_writer__first_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_atomic_writer__same_again_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_atomic_writer__update_replaces_and_removes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_atomic_writer__one_file_less_is_a_change, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_atomic_writer__mode_and_owner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_atomic_writer__heals_leftovers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_atomic_writer__refuses_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_atomic_writer__file_under_file, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
