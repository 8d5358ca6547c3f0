/*
 * log_lines.c: reads CRI log lines. Log files hold what containers print, so nothing in them is trusted: a line
 * that is none is shown as it is, never dropped and never fatal.
 */
#include "api/log_lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

#define TAIL_TEXT_READ KIB(64)

bool log_lines_split(const char *line, size_t len, struct log_line_parts *ret)
{
    struct str rest = {line, len}, tag;

    if (!str_cut(rest, ' ', &ret->time, &rest) || !str_cut(rest, ' ', &ret->stream, &rest))
        return false;
    if (!str_is(ret->stream, "stdout") && !str_is(ret->stream, "stderr"))
        return false;
    /* further tags may follow the first one, divided by ':'; an empty text may come without its space */
    if (!str_cut(rest, ' ', &tag, &ret->text))
        ret->text = (struct str){line + len, 0};
    if (tag.len == 0 || (tag.p[0] != 'P' && tag.p[0] != 'F') || (tag.len > 1 && tag.p[1] != ':'))
        return false;
    ret->partial = tag.p[0] == 'P';
    return ret->time.len >= strlen("2006-01-02T15:04:05Z");
}

/* Lines come in order of time, so the comparison is only made until one is late enough. */
static bool is_before(struct str time, int64_t since_ns)
{
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(xfree) char *text = xstrndup(time.p, time.len);
    int64_t wall_ns;

    return clock_parse(text, &wall_ns, &err) == 0 && wall_ns < since_ns;
}

/* False when the limit is reached. */
static bool emit(const struct log_lines_options *options, struct log_lines_state *state, const char *data, size_t len,
                 struct buf *out)
{
    if (options->limit_bytes >= 0 && state->written + (int64_t)len > options->limit_bytes)
        len = (size_t)(options->limit_bytes - state->written);
    buf_add(out, data, len);
    state->written += (int64_t)len;
    return options->limit_bytes < 0 || state->written < options->limit_bytes;
}

static bool render_line(const struct log_lines_options *options, struct log_lines_state *state, const char *line,
                        size_t len, struct buf *out)
{
    struct log_line_parts parts;

    if (!log_lines_split(line, len, &parts)) {
        state->inside = false;
        return emit(options, state, line, len, out) && emit(options, state, "\n", 1, out);
    }
    bool begins = !state->inside;
    state->inside = parts.partial;
    if (options->since_ns > 0 && is_before(parts.time, options->since_ns))
        return true;
    if (begins && options->timestamps &&
        !(emit(options, state, parts.time.p, parts.time.len, out) && emit(options, state, " ", 1, out)))
        return false;
    return emit(options, state, parts.text.p, parts.text.len, out) &&
           (parts.partial || emit(options, state, "\n", 1, out));
}

size_t log_lines_render(const struct log_lines_options *options, struct log_lines_state *state, const char *data,
                        size_t len, struct buf *out, bool *ret_full)
{
    size_t used = 0;

    *ret_full = options->limit_bytes >= 0 && state->written >= options->limit_bytes;
    while (used < len && !*ret_full) {
        const char *newline = memchr(data + used, '\n', len - used);
        if (newline == NULL)
            break;
        size_t line_len = (size_t)(newline - data) - used;
        *ret_full = !render_line(options, state, data + used, line_len, out);
        used += line_len + 1;
    }
    return used;
}

size_t log_lines_tail(const char *data, size_t len, int64_t n, bool *ret_enough)
{
    size_t begin = len; /* of the lines counted so far */
    int64_t counted = 0;

    *ret_enough = true;
    if (n <= 0)
        return len;
    /* Backwards: a line that is whole ends the one before it; pieces (P) belong to what follows them. */
    size_t end = len;
    while (end > 0) {
        size_t start = end - 1; /* at the newline, or at the last byte of an unfinished line */
        while (start > 0 && data[start - 1] != '\n')
            start--;
        struct log_line_parts parts;
        size_t line_len = end - start - (data[end - 1] == '\n');
        bool partial = log_lines_split(data + start, line_len, &parts) && parts.partial;
        if (!partial || begin == len) {
            if (counted == n)
                return begin;
            counted++;
        }
        begin = start;
        end = start;
    }
    *ret_enough = false;
    return begin;
}

char *log_lines_tail_text(const char *path, int64_t n_lines, size_t max_bytes)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    CLEANUP(xfree) char *bytes = xmalloc(TAIL_TEXT_READ);
    CLEANUP(buf_done) struct buf out = {0};
    struct log_lines_options options = {.limit_bytes = -1};
    struct log_lines_state state = {0};
    struct stat facts;
    bool enough, full;

    if (fd < 0 || fstat(fd, &facts) < 0 || !S_ISREG(facts.st_mode))
        return NULL;
    off_t from = facts.st_size > (off_t)TAIL_TEXT_READ ? facts.st_size - (off_t)TAIL_TEXT_READ : 0;
    ssize_t n = pread(fd, bytes, TAIL_TEXT_READ, from);
    if (n <= 0)
        return NULL;
    size_t begin = log_lines_tail(bytes, (size_t)n, n_lines, &enough);
    if (!enough && from > 0) { /* the first line is cut */
        const char *newline = memchr(bytes, '\n', (size_t)n);
        begin = newline != NULL ? (size_t)(newline - bytes) + 1 : (size_t)n;
    }
    (void)log_lines_render(&options, &state, bytes + begin, (size_t)n - begin, &out, &full);
    size_t skip = out.len > max_bytes ? out.len - max_bytes : 0;
    return xstrndup(buf_text(&out) + skip, out.len - skip);
}
