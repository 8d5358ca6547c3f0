/*
 * editor.c: the temporary file and the editor process. The terminal is put back as it was, whatever the editor left;
 * an interrupt is the editor's to deal with while it runs.
 */
#include "change/editor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/proc.h"

int editor_words(const char *command, struct strv *ret, struct err *err)
{
    CLEANUP(buf_done) struct buf word = {0};
    bool has_word = false;
    char quote = 0;
    for (const char *c = command; *c != '\0'; c++) {
        if (quote != 0 && *c == quote) {
            quote = 0;
        } else if (*c == '\\' && quote != '\'' && c[1] != '\0') {
            buf_add_char(&word, *++c);
            has_word = true;
        } else if (quote == 0 && (*c == '"' || *c == '\'')) {
            quote = *c;
            has_word = true;
        } else if (quote == 0 && (*c == ' ' || *c == '\t')) {
            if (has_word)
                strv_add(ret, buf_text(&word));
            buf_clear(&word);
            has_word = false;
        } else {
            buf_add_char(&word, *c);
            has_word = true;
        }
    }
    if (quote != 0)
        return err_set(err, ERR_PARSE, "the editor command has a quote without an end: %s", command);
    if (has_word)
        strv_add(ret, buf_text(&word));
    return 0;
}

static const char *editor_command(void)
{
    const char *const names[] = {"KUBE_EDITOR", "EDITOR"};
    for (size_t i = 0; i < countof(names); i++) {
        const char *command = getenv(names[i]);
        if (strempty(command)[0] != '\0')
            return command;
    }
    return "vi";
}

static void do_nothing(int signal_number)
{
    (void)signal_number;
}

/* A handler instead of SIG_IGN, because the editor would inherit the latter. */
static int wait_for(pid_t pid)
{
    struct sigaction keep_on = {.sa_handler = do_nothing}, interrupt, quit;
    int status = 0;
    (void)sigaction(SIGINT, &keep_on, &interrupt);
    (void)sigaction(SIGQUIT, &keep_on, &quit);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    (void)sigaction(SIGINT, &interrupt, NULL);
    (void)sigaction(SIGQUIT, &quit, NULL);
    return status;
}

static int launch(const char *path, struct err *err)
{
    CLEANUP(strv_done) struct strv argv = {0};
    const char *command = editor_command();
    if (editor_words(command, &argv, err) < 0)
        return err->code;
    if (argv.n == 0)
        return err_set(err, ERR_USAGE, "unable to launch the editor \"%s\"", command);
    strv_add(&argv, path);
    CLEANUP(err_clear) struct err cause = {0};
    const struct proc_options options = {
        .argv = (const char *const *)argv.items, .stdin_fd = STDIN_FILENO, .stdout_fd = -1, .stderr_fd = -1};
    struct termios terminal;
    bool has_terminal = tcgetattr(STDIN_FILENO, &terminal) == 0;
    pid_t pid = 0;
    (void)fflush(stdout);
    if (proc_spawn(&options, &pid, &cause) < 0)
        return err_set(err, ERR_IO, "unable to launch the editor \"%s\"", command);
    int status = wait_for(pid);
    if (has_terminal)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(err, ERR_IO, "there was a problem with the editor \"%s\"", command);
    return 0;
}

int editor_edit(const char *program, const char *suffix, const struct buf *text, struct buf *ret, char **ret_path,
                struct err *err)
{
    const char *folder = getenv("TMPDIR");
    CLEANUP(xfree)
    char *path = xasprintf("%s/%s-edit-XXXXXX%s", strempty(folder)[0] != '\0' ? folder : "/tmp", program, suffix);
    CLEANUP(fd_close) int fd = mkostemps(path, (int)strlen(suffix), O_CLOEXEC); /* mode 0600: it may hold a Secret */
    if (fd < 0)
        return err_errno(err, errno, "making the temporary file '%s'", path);
    if (fd_write_all(fd, buf_text(text), text->len, err) < 0) {
        (void)unlink(path);
        return err->code;
    }
    fd = fd_close(fd);
    int code = launch(path, err);
    if (code == 0)
        code = file_read(path, LIMIT_FILE, ret, err);
    *ret_path = take(&path);
    return code;
}
