/*
 * metrics.h: counters, gauges and histograms, printed as Prometheus text (version 0.0.4). No locks: one loop owns a
 * registry. Names and help are static strings; label values are copied.
 */
#pragma once

#include "base/buf.h"
#include "base/compiler.h"

struct metrics;  /* a registry */
struct metric;   /* one time series: name + label values */

struct metrics *metrics_new(void);
struct metrics *metrics_free(struct metrics *metrics);

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
/*
 * The series with these labels, made at first use; the pointer stays valid until metrics_free, so hot paths keep it.
 * labels: "key", "value" pairs, then NULL. Histograms use buckets 0.0001 .. 10 s in 1-2.5-5 steps.
 */
struct metric *metrics_get(struct metrics *metrics, enum metric_kind kind, const char *name, const char *help,
                           ...) SENTINEL;
void metric_add(struct metric *metric, double value); /* counter, gauge */
void metric_set(struct metric *metric, double value); /* gauge */
void metric_observe(struct metric *metric, double value); /* histogram; seconds */
double metric_value(const struct metric *metric); /* for tests; of a histogram its count */
/*
 * Adds the numbers of `from` to those of the same series in `into`, for registries of several loops that are shown as one.
 * Gauges are added, too: what must not be, belongs into one registry only.
 */
void metrics_merge(struct metrics *into, const struct metrics *from);
void metrics_print(const struct metrics *metrics, struct buf *out);
DEFINE_CLEANUP_POINTER(struct metrics *, metrics_free)
