/*
 * log.h: log lines of the programs, on stderr, one line each, logfmt:
 *     ts=2026-01-02T03:04:05.678Z level=info component=fks-node msg="pod started" pod=default/web node=fargate-ip-...
 * Libraries do not log above debug; a failure is returned, and the program says it once.
 * Never pass a secret.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* component: static string, the program's name. */
void log_init(const char *component, enum log_level level);
/* "debug", "info", "warn", "error". */
int log_level_parse(const char *text, enum log_level *ret, struct err *err) MUST_CHECK;
bool log_enabled(enum log_level level);
/* msg, then key, value pairs of const char *, then NULL. A NULL value prints as "". */
void log_line(enum log_level level, const char *msg, ...) SENTINEL;
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__, NULL)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__, NULL)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__, NULL)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__, NULL)

/*
 * Lines that strangers cause: whether one more may be written, of at most so many a second. How many were left out is told
 * when the next one is due. Begins zero-filled; of one thread.
 */
struct log_limit {
    int64_t second;
    unsigned n_lines;
    uint64_t left_out;
};
bool log_limit_allows(struct log_limit *limit, unsigned lines_a_second);
