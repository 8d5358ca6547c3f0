/*
 * log_lines.h: container log files as the CRI defines them: one line each,
 *     2026-01-02T03:04:05.678901234Z stdout F text
 * with P instead of F for a piece of a line that goes on in the next one. Pure but for log_lines_tail_text.
 * https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
 */
#pragma once

#include "base/buf.h"
#include "base/compiler.h"
#include "base/str.h"

struct log_line_parts {
    struct str time;   /* as written */
    struct str stream; /* "stdout" or "stderr" */
    bool partial;
    struct str text; /* without the newline */
};
/* One line without its newline. False for anything that is no such line. */
bool log_lines_split(const char *line, size_t len, struct log_line_parts *ret);

struct log_lines_options {
    bool timestamps;
    int64_t since_ns;    /* lines before this wall clock time are left out; 0: none */
    int64_t limit_bytes; /* of output; -1: no limit */
};
struct log_lines_state { /* {0} at the beginning */
    bool inside;         /* the last piece was partial: no new timestamp */
    int64_t written;
};
/*
 * Turns whole lines at the start of data into what a client sees, and returns how many bytes of data were used: up
 * to the last newline. *ret_full (never NULL) tells that limit_bytes was reached: nothing more will come.
 */
size_t log_lines_render(const struct log_lines_options *options, struct log_lines_state *state, const char *data,
                        size_t len, struct buf *out, bool *ret_full);
/*
 * Where the last n lines of data begin; pieces of one line count once. *ret_enough: they all begin in data; false:
 * fewer are in it, so more of the file is needed in front.
 */
size_t log_lines_tail(const char *data, size_t len, int64_t n, bool *ret_enough);

/*
 * The last lines of a log file as text, at most max_bytes: a termination message. NULL without a file. Heap string.
 */
char *log_lines_tail_text(const char *path, int64_t n_lines, size_t max_bytes) MUST_CHECK;
