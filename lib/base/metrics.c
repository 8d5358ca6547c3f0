/*
 * metrics.c: the numbers that a daemon shows under /metrics, as Prometheus text. Series of one name stand together, in
 * the order of their first use, as the format wants. It does not serve HTTP: the programs print into their response.
 */
#include "base/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

/* Upper bounds of histogram buckets, in seconds. */
static const double bounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};

struct family;

struct metric {
    const struct family *family;
    char *labels; /* as printed between the braces: a="b",c="d" */
    double value; /* counter, gauge; of a histogram the sum */
    uint64_t count;
    uint64_t buckets[countof(bounds)]; /* not cumulative; what is over the last bound is only in count */
};

/* All series of one name. */
struct family {
    const char *name;
    const char *help;
    enum metric_kind kind;
    struct metric **series;
    size_t n_series, series_cap;
};

struct metrics {
    struct family **families;
    size_t n_families, families_cap;
    struct map families_by_name;
    struct map series_by_key; /* name{labels} */
};

struct metrics *metrics_new(void)
{
    return NEW(struct metrics);
}

static void family_free(struct family *family)
{
    for (size_t i = 0; i < family->n_series; i++) {
        free(family->series[i]->labels);
        free(family->series[i]);
    }
    free(family->series);
    free(family);
}

struct metrics *metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return NULL;
    for (size_t i = 0; i < metrics->n_families; i++)
        family_free(metrics->families[i]);
    free(metrics->families);
    map_done(&metrics->families_by_name);
    map_done(&metrics->series_by_key);
    free(metrics);
    return NULL;
}

/* Backslash, newline and, in label values, the quote are escaped. */
static void add_escaped(struct buf *out, const char *text, bool is_label)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            buf_add_str(out, "\\n");
        else if (*text == '\\' || (*text == '"' && is_label))
            buf_printf(out, "\\%c", *text);
        else
            buf_add_char(out, *text);
    }
}

static struct family *get_family(struct metrics *metrics, enum metric_kind kind, const char *name, const char *help)
{
    struct family *family = map_get(&metrics->families_by_name, name);

    if (family != NULL) {
        assert(family->kind == kind);
        return family;
    }
    family = NEW(struct family);
    family->name = name;
    family->help = help;
    family->kind = kind;
    GROW(metrics->families, metrics->n_families, metrics->families_cap);
    metrics->families[metrics->n_families++] = family;
    map_set(&metrics->families_by_name, name, family);
    return family;
}

/* labels: as printed between the braces; copied. */
static struct metric *get_series(struct metrics *metrics, struct family *family, const char *labels)
{
    CLEANUP(xfree) char *key = xasprintf("%s{%s}", family->name, labels);
    struct metric *metric = map_get(&metrics->series_by_key, key);

    if (metric != NULL)
        return metric;
    metric = NEW(struct metric);
    metric->family = family;
    metric->labels = xstrdup(labels);
    GROW(family->series, family->n_series, family->series_cap);
    family->series[family->n_series++] = metric;
    map_set(&metrics->series_by_key, key, metric);
    return metric;
}

struct metric *metrics_get(struct metrics *metrics, enum metric_kind kind, const char *name, const char *help, ...)
{
    CLEANUP(buf_done) struct buf labels = {0};
    const char *label;
    va_list args;

    va_start(args, help);
    while ((label = va_arg(args, const char *)) != NULL) {
        const char *value = va_arg(args, const char *);

        buf_printf(&labels, "%s%s=\"", labels.len > 0 ? "," : "", label);
        add_escaped(&labels, value != NULL ? value : "", true);
        buf_add_char(&labels, '"');
    }
    va_end(args);
    return get_series(metrics, get_family(metrics, kind, name, help), buf_text(&labels));
}

void metrics_merge(struct metrics *into, const struct metrics *from)
{
    for (size_t i = 0; i < from->n_families; i++) {
        const struct family *family = from->families[i];
        struct family *same = get_family(into, family->kind, family->name, family->help);
        for (size_t j = 0; j < family->n_series; j++) {
            const struct metric *add = family->series[j];
            struct metric *metric = get_series(into, same, add->labels);
            metric->value += add->value;
            metric->count += add->count;
            for (size_t k = 0; k < countof(bounds); k++)
                metric->buckets[k] += add->buckets[k];
        }
    }
}

void metric_add(struct metric *metric, double value)
{
    assert(metric->family->kind != METRIC_HISTOGRAM);
    metric->value += value;
}

void metric_set(struct metric *metric, double value)
{
    assert(metric->family->kind == METRIC_GAUGE);
    metric->value = value;
}

void metric_observe(struct metric *metric, double value)
{
    assert(metric->family->kind == METRIC_HISTOGRAM);
    metric->value += value;
    metric->count++;
    for (size_t i = 0; i < countof(bounds); i++) {
        if (value <= bounds[i]) {
            metric->buckets[i]++;
            return;
        }
    }
}

double metric_value(const struct metric *metric)
{
    return metric->family->kind == METRIC_HISTOGRAM ? (double)metric->count : metric->value;
}

static void add_number(struct buf *out, double value)
{
    char text[40];

    if (isnan(value)) {
        buf_add_str(out, "NaN");
    } else if (isinf(value)) {
        buf_add_str(out, value > 0 ? "+Inf" : "-Inf");
    } else {
        /* the shorter text when it reads back as the same number */
        (void)snprintf(text, sizeof(text), "%.15g", value);
        if (strtod(text, NULL) != value)
            (void)snprintf(text, sizeof(text), "%.17g", value);
        buf_add_str(out, text);
    }
}

static void print_histogram(const struct metric *metric, struct buf *out)
{
    const char *name = metric->family->name;
    const char *comma = *metric->labels != '\0' ? "," : "";
    CLEANUP(xfree) char *braced = *metric->labels != '\0' ? xasprintf("{%s}", metric->labels) : xstrdup("");
    uint64_t cumulative = 0;

    for (size_t i = 0; i < countof(bounds); i++) {
        cumulative += metric->buckets[i];
        buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, metric->labels, comma, bounds[i],
                   (unsigned long long)cumulative);
    }
    buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, metric->labels, comma,
               (unsigned long long)metric->count);
    buf_printf(out, "%s_sum%s ", name, braced);
    add_number(out, metric->value);
    buf_printf(out, "\n%s_count%s %llu\n", name, braced, (unsigned long long)metric->count);
}

static void print_plain(const struct metric *metric, struct buf *out)
{
    buf_add_str(out, metric->family->name);
    if (*metric->labels != '\0')
        buf_printf(out, "{%s}", metric->labels);
    buf_add_char(out, ' ');
    add_number(out, metric->value);
    buf_add_char(out, '\n');
}

void metrics_print(const struct metrics *metrics, struct buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};

    for (size_t i = 0; i < metrics->n_families; i++) {
        const struct family *family = metrics->families[i];

        buf_printf(out, "# HELP %s ", family->name);
        add_escaped(out, family->help, false);
        buf_printf(out, "\n# TYPE %s %s\n", family->name, kinds[family->kind]);
        for (size_t j = 0; j < family->n_series; j++) {
            if (family->kind == METRIC_HISTOGRAM)
                print_histogram(family->series[j], out);
            else
                print_plain(family->series[j], out);
        }
    }
}
