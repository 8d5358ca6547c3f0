/* progress.c: see progress.h. */
#include "install/progress.h"

#include <stdarg.h>
#include <unistd.h>

#include "base/buf.h"

void progress(enum progress_kind kind, const char *format, ...)
{
    static const struct {
        const char *symbol, *colour;
    } looks[] = {
        [PROGRESS_INFO] = {"ℹ", "\033[36m"},
        [PROGRESS_SUCCESS] = {"✔", "\033[32m"},
        [PROGRESS_WARNING] = {"!", "\033[33m"},
        [PROGRESS_CRITICAL] = {"✖", "\033[31m"},
    };
    char now[32];
    time_t seconds = time(NULL);
    struct tm local;
    if (localtime_r(&seconds, &local) == NULL || strftime(now, sizeof(now), "%Y-%m-%d %H:%M:%S", &local) == 0)
        now[0] = '\0';
    bool coloured = isatty(STDERR_FILENO) != 0 && getenv("NO_COLOR") == NULL;
    CLEANUP(buf_done) struct buf line = {0};
    buf_printf(&line, "%s%s [%s]  ", coloured ? looks[kind].colour : "", now, looks[kind].symbol);
    va_list args;
    va_start(args, format);
    buf_vprintf(&line, format, args);
    va_end(args);
    buf_add_str(&line, coloured ? "\033[0m\n" : "\n");
    (void)!write(STDERR_FILENO, line.data, line.len);
}
