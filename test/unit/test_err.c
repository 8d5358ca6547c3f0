/* test_err.c: the error object: codes, texts, wrapping, and that setting over a set error aborts. */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

static void test_err__set_and_wrap(void **state)
{
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    assert_string_equal(err_text(&err), "no error");
    assert_int_equal(err_set(&err, ERR_PARSE, "line %d: bad", 3), ERR_PARSE);
    assert_int_equal(err_wrap(&err, "reading '%s'", "/x"), ERR_PARSE);
    assert_string_equal(err_text(&err), "reading '/x': line 3: bad");
    err_clear(&err);
    assert_int_equal(err.code, 0);
    assert_null(err.msg);
    err_clear(&err);
}

static void test_err__errno_codes(void **state)
{
    static const struct {
        int errnum;
        enum err_code code;
    } rows[] = {
        {ENOENT, ERR_NOT_FOUND},     {EEXIST, ERR_EXISTS},        {EACCES, ERR_FORBIDDEN},
        {EPERM, ERR_FORBIDDEN},      {EROFS, ERR_FORBIDDEN},      {ECONNREFUSED, ERR_REFUSED},
        {ENOTCONN, ERR_REFUSED},     {EHOSTUNREACH, ERR_REFUSED}, {ENETUNREACH, ERR_REFUSED},
        {ETIMEDOUT, ERR_TIMEOUT},    {EBUSY, ERR_BUSY},           {EINVAL, ERR_IO},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(err_clear) struct err err = {0};

        assert_int_equal(err_errno(&err, rows[i].errnum, "cannot open '%s'", "f"), rows[i].code);
        assert_int_equal(err.code, rows[i].code);
    }
}

static void test_err__errno_text(void **state)
{
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    (void)err_errno(&err, ENOENT, "cannot open '%s'", "f");
    assert_string_equal(err_text(&err), "cannot open 'f': no such file or directory");
}

static void test_err__move_takes_everything(void **state)
{
    CLEANUP(err_clear) struct err from = {0};
    CLEANUP(err_clear) struct err to = {0};

    (void)state;
    (void)err_set(&from, ERR_CONFLICT, "changed");
    from.reason = xstrdup("Conflict");
    from.http_status = 409;
    err_move(&to, &from);
    assert_int_equal(to.code, ERR_CONFLICT);
    assert_string_equal(to.reason, "Conflict");
    assert_int_equal(to.http_status, 409);
    assert_null(from.msg);
    assert_null(from.reason);
}

static void set_twice(void)
{
    struct err err = {0};

    (void)err_set(&err, ERR_IO, "first");
    (void)err_set(&err, ERR_IO, "second");
}

static void wrap_nothing(void)
{
    struct err err = {0};

    (void)err_wrap(&err, "context");
}

/* The signal that ends a child which runs bug(); what it wrote to stderr goes to text. */
static int signal_of(void (*bug)(void), char *text, size_t size)
{
    int fds[2];
    int status;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        /* cmocka's own handler would report a failed test */
        signal(SIGABRT, SIG_DFL);
        bug();
        _exit(0);
    }
    close(fds[1]);
    n = read(fds[0], text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_err__double_set_aborts(void **state)
{
    char text[256];

    (void)state;
    assert_int_equal(signal_of(set_twice, text, sizeof(text)), SIGABRT);
    assert_non_null(strstr(text, "first"));
    assert_non_null(strstr(text, "second"));
    assert_int_equal(signal_of(wrap_nothing, text, sizeof(text)), SIGABRT);
}

static void test_err__code_names(void **state)
{
    (void)state;
    for (int code = ERR_NOT_FOUND; code >= ERR_INTERNAL; code--)
        assert_string_not_equal(err_code_name((enum err_code)code), "unknown");
    assert_string_equal(err_code_name(ERR_TOO_BIG), "too_big");
    assert_string_equal(err_code_name((enum err_code)-99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err__set_and_wrap),      cmocka_unit_test(test_err__errno_codes),
        cmocka_unit_test(test_err__errno_text),        cmocka_unit_test(test_err__move_takes_everything),
        cmocka_unit_test(test_err__double_set_aborts), cmocka_unit_test(test_err__code_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
