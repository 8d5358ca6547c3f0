/*
 * test_volumes_read.c: what a container makes of its volume is read as a file in it, or not at all; a pipe holds nobody up.
 */
#include "cmd/fks-node/volumes/volumes_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "test/unit/temporary.h"

static void make_link(const char *folder, const char *name, const char *target)
{
    CLEANUP(xfree) char *path = path_join(folder, name, NULL);

    assert_int_equal(symlink(target, path), 0);
}

static void test_volumes_read__what_is_there(void **state)
{
    static const struct {
        const char *volume, *path;
        int code;
        const char *text;
    } rows[] = {
        {"e", "env", 0, "A='1'\n"},       {"e", "sub/env", 0, "B='2'\n"}, {"e", "link", 0, "A='1'\n"},
        {"e", "../../../env", 0, "A='1'\n"}, {"e", "none", ERR_NOT_FOUND, ""}, {"e", "out", ERR_NOT_FOUND, ""},
        {"e", "pipe", ERR_INVALID, ""},    {"e", "sub", ERR_INVALID, ""},   {"no", "env", ERR_INVALID, ""},
    };
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *pod =
        json_build("{s:{s:s}, s:{s:[{s:s}]}}", "metadata", "uid", "u1", "spec", "volumes", "name", "e");
    CLEANUP(temporary_remove) char *dir = temporary_folder();

    (void)state;
    CLEANUP(xfree) char *volume = volumes_dir(dir, "u1", "e");
    CLEANUP(xfree) char *sub = path_join(volume, "sub", NULL);
    CLEANUP(xfree) char *pipe = path_join(volume, "pipe", NULL);
    assert_int_equal(dir_make(sub, 0700, &err), 0);
    temporary_file(volume, "env", "A='1'\n");
    temporary_file(sub, "env", "B='2'\n");
    make_link(volume, "link", "/env"); /* the volume's root */
    make_link(volume, "out", "/etc/passwd");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(buf_done) struct buf text = {0};
        CLEANUP(err_clear) struct err why = {0};
        int code = volumes_read(pod, dir, rows[i].volume, rows[i].path, &text, &why);
        if (code != rows[i].code || !streq(buf_text(&text), rows[i].text))
            fail_msg("%s: %d '%s' %s", rows[i].path, code, buf_text(&text), err_text(&why));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volumes_read__what_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
