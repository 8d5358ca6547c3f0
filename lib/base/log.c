/*
 * log.c: log lines as logfmt. A line is put together first and written by one write(2), so that lines of processes that
 * share a stderr never mix. It does not rotate or ship anything: that is the supervisor's or the kubelet's job.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"

/* The one piece of process-wide state in lib/: log lines have no object that they could hang on. */
static struct {
    const char *component;
    enum log_level level;
} config = {.component = "fks", .level = LOG_LEVEL_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(const char *component, enum log_level level)
{
    config.component = component;
    config.level = level;
}

int log_level_parse(const char *text, enum log_level *ret, struct err *err)
{
    for (size_t i = 0; i < countof(level_names); i++) {
        if (streq(text, level_names[i])) {
            *ret = (enum log_level)i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "'%s' is not a log level: use debug, info, warn or error", strempty(text));
}

bool log_enabled(enum log_level level)
{
    return level >= config.level;
}

static bool needs_quotes(const char *text)
{
    if (*text == '\0')
        return true;
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c <= ' ' || c == '=' || c == '"' || c == '\\' || c == 0x7f)
            return true;
    }
    return false;
}

static void add_value(struct buf *line, const char *text)
{
    if (!needs_quotes(text)) {
        buf_add_str(line, text);
        return;
    }
    buf_add_char(line, '"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            buf_printf(line, "\\%c", c);
        else if (c == '\n')
            buf_add_str(line, "\\n");
        else if (c == '\t')
            buf_add_str(line, "\\t");
        else if (c < ' ' || c == 0x7f)
            buf_printf(line, "\\x%02x", c);
        else
            buf_add_char(line, *text);
    }
    buf_add_char(line, '"');
}

static void add_time(struct buf *line)
{
    char text[CLOCK_TEXT_MAX];

    clock_rfc3339_micro(clock_wall_ns(), text);
    /* milliseconds are enough to read */
    buf_printf(line, "ts=%.*sZ", (int)strlen("2026-01-02T03:04:05.678"), text);
}

void log_line(enum log_level level, const char *msg, ...)
{
    CLEANUP(buf_done) struct buf line = {.max = MIB(1)};
    const char *key;
    va_list args;

    if (!log_enabled(level))
        return;
    add_time(&line);
    buf_printf(&line, " level=%s component=%s msg=", level_names[level], config.component);
    add_value(&line, strempty(msg));
    va_start(args, msg);
    while ((key = va_arg(args, const char *)) != NULL) {
        buf_printf(&line, " %s=", key);
        add_value(&line, strempty(va_arg(args, const char *)));
    }
    va_end(args);
    if (line.too_big) {
        /* the newline must fit in any case */
        buf_truncate(&line, line.max - 1);
        line.too_big = false;
    }
    buf_add_char(&line, '\n');
    /* a log that cannot be written has nowhere to complain */
    if (write(STDERR_FILENO, line.data, line.len) < 0)
        return;
}

bool log_limit_allows(struct log_limit *limit, unsigned lines_a_second)
{
    int64_t second = clock_monotonic_ms() / 1000;

    if (second != limit->second) {
        if (limit->left_out > 0) {
            char number[24];
            (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)limit->left_out);
            log_warn("there were more lines than may be written in a second", "left_out", number);
        }
        *limit = (struct log_limit){.second = second};
    }
    if (limit->n_lines == lines_a_second) {
        limit->left_out++;
        return false;
    }
    limit->n_lines++;
    return true;
}
