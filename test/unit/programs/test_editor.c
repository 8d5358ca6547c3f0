/* test_editor.c: editor commands as words; a text that goes through an editor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cmd/fks/change/editor.h"

static void check_words(const char *command, const char *want)
{
    CLEANUP(strv_done) struct strv words = {0};
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(editor_words(command, &words, &err), 0);
    CLEANUP(xfree) char *joined = strv_join(&words, "|");
    assert_string_equal(joined, want);
}

static void test_editor__words(void **state)
{
    (void)state;
    check_words("vi", "vi");
    check_words(" code  --wait ", "code|--wait");
    check_words("'/opt/my editor/run' -n", "/opt/my editor/run|-n");
    check_words("emacs -nw --eval \"(setq a \\\"b\\\")\"", "emacs|-nw|--eval|(setq a \"b\")");
    check_words("a\\ b '' c'd'e", "a b||cde");
    check_words("$HOME/x;rm *", "$HOME/x;rm|*"); /* nothing is expanded, there is no shell */
    check_words("", "");
    CLEANUP(strv_done) struct strv words = {0};
    CLEANUP(err_clear) struct err err = {0};
    assert_int_equal(editor_words("vi 'x", &words, &err), ERR_PARSE);
}

static void test_editor__text_goes_there_and_back(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf text = {0}, back = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *path = NULL;
    struct stat info;
    buf_add_str(&text, "a: secret\n");
    assert_int_equal(setenv("KUBE_EDITOR", "sed -i s/secret/known/", 1), 0);
    assert_int_equal(editor_edit("fks", ".yaml", &text, &back, &path, &err), 0);
    assert_string_equal(buf_text(&back), "a: known\n");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 077, 0);
    assert_non_null(strstr(path, "/fks-edit-"));
    assert_int_equal(unlink(path), 0);
}

static void check_failure(const char *editor, const char *message)
{
    CLEANUP(buf_done) struct buf text = {0}, back = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *path = NULL;
    assert_int_equal(setenv("KUBE_EDITOR", editor, 1), 0);
    assert_int_equal(editor_edit("fks", ".yaml", &text, &back, &path, &err), ERR_IO);
    assert_string_equal(err_text(&err), message);
    assert_non_null(path);
    (void)unlink(path);
}

static void test_editor__failures(void **state)
{
    (void)state;
    check_failure("false", "there was a problem with the editor \"false\"");
    check_failure("no-such-editor x", "unable to launch the editor \"no-such-editor x\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_editor__words),
        cmocka_unit_test(test_editor__text_goes_there_and_back),
        cmocka_unit_test(test_editor__failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
