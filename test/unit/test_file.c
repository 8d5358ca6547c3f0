/* test_file.c: whole files, atomic replacement, folders and trees, in a folder of its own. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "temporary.h"

static int make_folder(void **state)
{
    *state = temporary_folder();
    return 0;
}

static int remove_folder(void **state)
{
    temporary_remove(*state);
    return 0;
}

static int count_entries(const char *folder)
{
    DIR *list = opendir(folder);
    int n = 0;

    assert_non_null(list);
    while (readdir(list) != NULL)
        n++;
    closedir(list);
    return n - 2;
}

static void test_file__write_and_read(void **state)
{
    CLEANUP(xfree) char *path = path_join(*state, "a", NULL);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct stat status;
    mode_t before = umask(077);

    assert_int_equal(file_write_atomic(path, "one", 3, 0644, &err), 0);
    umask(before);
    assert_int_equal(file_write_atomic(path, "second", 6, 0640, &err), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(file_read(path, 6, &text, &err), 0);
    assert_string_equal(buf_text(&text), "second");
    assert_int_equal(count_entries(*state), 1);
    assert_true(file_exists(path));
}

static void test_file__mode_ignores_umask(void **state)
{
    CLEANUP(xfree) char *path = path_join(*state, "m", NULL);
    CLEANUP(err_clear) struct err err = {0};
    struct stat status;
    mode_t before = umask(077);

    assert_int_equal(file_write_atomic(path, "", 0, 0666, &err), 0);
    umask(before);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0666);
}

static void test_file__cache_is_replaced_too(void **state)
{
    CLEANUP(xfree) char *path = path_join(*state, "cache", NULL);
    CLEANUP(xfree) char *nowhere = path_join(*state, "none", "cache", NULL);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    struct stat status;

    assert_int_equal(file_write_cache(path, "first", 5, 0600, &err), 0);
    assert_int_equal(file_write_cache(path, "2nd", 3, 0660, &err), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);
    assert_int_equal(file_read(path, 10, &text, &err), 0);
    assert_string_equal(buf_text(&text), "2nd");
    assert_int_equal(count_entries(*state), 1);
    assert_int_equal(file_write_cache(nowhere, "x", 1, 0644, &err), ERR_NOT_FOUND);
}

static void test_file__read_errors(void **state)
{
    CLEANUP(xfree) char *path = path_join(*state, "big", NULL);
    CLEANUP(xfree) char *missing = path_join(*state, "missing", NULL);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};

    assert_int_equal(file_read(missing, 10, &text, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err_text(&err), missing));
    err_clear(&err);
    assert_int_equal(file_write_atomic(path, "12345678901", 11, 0600, &err), 0);
    assert_int_equal(file_read(path, 10, &text, &err), ERR_TOO_BIG);
    err_clear(&err);
    assert_int_equal(file_read(*state, 10, &text, &err), ERR_IO);
}

static void test_file__failed_write_leaves_nothing(void **state)
{
    CLEANUP(xfree) char *folder = path_join(*state, "folder", NULL);
    CLEANUP(xfree) char *inside = path_join(folder, "file", NULL);
    CLEANUP(xfree) char *nowhere = path_join(*state, "none", "file", NULL);
    CLEANUP(err_clear) struct err err = {0};

    /* rename over a folder that is not empty fails after the temporary file was written */
    assert_int_equal(dir_make(folder, 0755, &err), 0);
    assert_int_equal(file_write_atomic(inside, "x", 1, 0644, &err), 0);
    assert_int_equal(file_write_atomic(folder, "x", 1, 0644, &err), ERR_IO);
    assert_int_equal(count_entries(*state), 1);
    err_clear(&err);
    assert_int_equal(file_write_atomic(nowhere, "x", 1, 0644, &err), ERR_NOT_FOUND);
}

static void test_dir__make(void **state)
{
    CLEANUP(xfree) char *path = path_join(*state, "x", "y/", "z", NULL);
    CLEANUP(xfree) char *file = path_join(*state, "file", NULL);
    CLEANUP(xfree) char *below = path_join(file, "below", NULL);
    CLEANUP(err_clear) struct err err = {0};
    struct stat status;

    assert_int_equal(dir_make(path, 0777, &err), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0777);
    assert_int_equal(dir_make(path, 0700, &err), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0777);
    assert_int_equal(dir_make("/", 0700, &err), 0);
    assert_int_equal(file_write_atomic(file, "", 0, 0644, &err), 0);
    assert_int_equal(dir_make(below, 0700, &err), ERR_EXISTS);
}

static void test_dir__remove(void **state)
{
    CLEANUP(xfree) char *tree = path_join(*state, "tree", NULL);
    CLEANUP(xfree) char *deep = path_join(tree, "a", "b", NULL);
    CLEANUP(xfree) char *link = path_join(tree, "link", NULL);
    CLEANUP(xfree) char *kept = path_join(*state, "kept", NULL);
    CLEANUP(xfree) char *kept_file = path_join(kept, "file", NULL);
    CLEANUP(err_clear) struct err err = {0};

    assert_int_equal(dir_make(deep, 0755, &err), 0);
    assert_int_equal(dir_make(kept, 0755, &err), 0);
    assert_int_equal(file_write_atomic(kept_file, "", 0, 0644, &err), 0);
    assert_int_equal(symlink(kept, link), 0);
    assert_int_equal(dir_remove(tree, &err), 0);
    assert_false(file_exists(tree));
    assert_true(file_exists(kept_file));
    assert_int_equal(dir_remove(tree, &err), 0);
    assert_int_equal(dir_remove(kept_file, &err), 0);
    assert_false(file_exists(kept_file));
}

static void test_dir__remove_stops_at_mounts(void **state)
{
    CLEANUP(xfree) char *tree = path_join(*state, "tree", NULL);
    CLEANUP(xfree) char *volume = path_join(tree, "volume", NULL);
    CLEANUP(xfree) char *source = path_join(*state, "source", NULL);
    CLEANUP(xfree) char *file = path_join(source, "file", NULL);
    CLEANUP(err_clear) struct err err = {0};

    assert_int_equal(dir_make(volume, 0755, &err), 0);
    assert_int_equal(dir_make(source, 0755, &err), 0);
    assert_int_equal(file_write_atomic(file, "", 0, 0644, &err), 0);
    if (mount(source, volume, NULL, MS_BIND, NULL) < 0) {
        print_message("cannot mount here: %s\n", strerror(errno));
        skip();
    }
    assert_int_equal(dir_remove(tree, &err), ERR_BUSY);
    assert_non_null(strstr(err_text(&err), volume));
    assert_int_equal(umount(volume), 0);
    assert_true(file_exists(file));
}

static void test_fd__write_all_on_a_full_pipe(void **state)
{
    CLEANUP(buf_done) struct buf all = {0};
    CLEANUP(err_clear) struct err err = {0};
    static char data[200000];
    int fds[2];
    pid_t pid;

    (void)state;
    memset(data, 'x', sizeof(data));
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fd_set_nonblocking(fds[0], &err), 0);
    assert_int_equal(fd_set_nonblocking(fds[1], &err), 0);
    pid = fork();
    if (pid == 0) {
        fd_close(fds[0]);
        _exit(fd_write_all(fds[1], data, sizeof(data), &err) < 0);
    }
    fd_close(fds[1]);
    assert_int_equal(fd_read_all(fds[0], &all, &err), 0);
    assert_int_equal(all.len, sizeof(data));
    fd_close(fds[0]);
    assert_int_equal(fd_close(-1), -1);
    assert_int_equal(fd_write_all(fds[0], "x", 1, &err), ERR_IO);
    err_clear(&err);
    assert_int_equal(fd_read_all(fds[0], &all, &err), ERR_IO);
    err_clear(&err);
    assert_int_equal(fd_set_nonblocking(fds[0], &err), ERR_IO);
}

static void test_path__join(void **state)
{
    static const char *const rows[][4] = {
        {"a", "b", "c", "a/b/c"}, {"/", "b", "c", "/b/c"}, {"a/", "/b/", "/c", "a/b/c"},
        {"a", "", "c", "a/c"},    {"", "b", "c", "b/c"},   {"/", "", "", "/"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(xfree) char *path = path_join(rows[i][0], rows[i][1], rows[i][2], NULL);

        assert_string_equal(path, rows[i][3]);
    }
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_file__write_and_read),
        IN_FOLDER(test_file__mode_ignores_umask),
        IN_FOLDER(test_file__cache_is_replaced_too),
        IN_FOLDER(test_file__read_errors),
        IN_FOLDER(test_file__failed_write_leaves_nothing),
        IN_FOLDER(test_dir__make),
        IN_FOLDER(test_dir__remove),
        IN_FOLDER(test_dir__remove_stops_at_mounts),
        cmocka_unit_test(test_fd__write_all_on_a_full_pipe),
        cmocka_unit_test(test_path__join),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
