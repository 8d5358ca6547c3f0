/* test_metrics.c: the Prometheus text, whole. */
#include "base/metrics.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_metrics__counters_and_gauges(void **state)
{
    CLEANUP(metrics_free) struct metrics *metrics = metrics_new();
    CLEANUP(buf_done) struct buf text = {0};
    struct metric *first = metrics_get(metrics, METRIC_COUNTER, "fks_a_total", "Things\nwith \\.", "code", "200", NULL);
    struct metric *gauge = metrics_get(metrics, METRIC_GAUGE, "fks_b", "Level.", NULL);

    (void)state;
    metric_add(first, 1);
    metric_add(first, 2);
    metric_set(gauge, 0.1);
    metric_add(metrics_get(metrics, METRIC_COUNTER, "fks_a_total", "", "code", "a\"b\\c\nd", "x", "", NULL), 1e9);
    assert_ptr_equal(metrics_get(metrics, METRIC_COUNTER, "fks_a_total", "", "code", "200", NULL), first);
    assert_true(metric_value(first) > 2.9 && metric_value(first) < 3.1);
    metrics_print(metrics, &text);
    assert_string_equal(buf_text(&text), "# HELP fks_a_total Things\\nwith \\\\.\n"
                                         "# TYPE fks_a_total counter\n"
                                         "fks_a_total{code=\"200\"} 3\n"
                                         "fks_a_total{code=\"a\\\"b\\\\c\\nd\",x=\"\"} 1000000000\n"
                                         "# HELP fks_b Level.\n"
                                         "# TYPE fks_b gauge\n"
                                         "fks_b 0.1\n");
}

static void test_metrics__histogram(void **state)
{
    CLEANUP(metrics_free) struct metrics *metrics = metrics_new();
    CLEANUP(buf_done) struct buf text = {0};
    struct metric *seconds = metrics_get(metrics, METRIC_HISTOGRAM, "fks_seconds", "Time.", "path", "/m", NULL);

    (void)state;
    metric_observe(seconds, 0.0001);
    metric_observe(seconds, 0.3);
    metric_observe(seconds, 99);
    assert_true(metric_value(seconds) > 2.9 && metric_value(seconds) < 3.1);
    metrics_print(metrics, &text);
    assert_non_null(strstr(buf_text(&text), "# TYPE fks_seconds histogram\n"
                                            "fks_seconds_bucket{path=\"/m\",le=\"0.0001\"} 1\n"
                                            "fks_seconds_bucket{path=\"/m\",le=\"0.00025\"} 1\n"));
    assert_non_null(strstr(buf_text(&text), "le=\"0.25\"} 1\nfks_seconds_bucket{path=\"/m\",le=\"0.5\"} 2\n"));
    assert_non_null(strstr(buf_text(&text), "le=\"10\"} 2\n"
                                            "fks_seconds_bucket{path=\"/m\",le=\"+Inf\"} 3\n"
                                            "fks_seconds_sum{path=\"/m\"} 99.3001\n"
                                            "fks_seconds_count{path=\"/m\"} 3\n"));
}

static void test_metrics__histogram_without_labels(void **state)
{
    CLEANUP(metrics_free) struct metrics *metrics = metrics_new();
    CLEANUP(buf_done) struct buf text = {0};

    (void)state;
    metric_observe(metrics_get(metrics, METRIC_HISTOGRAM, "h", "H.", NULL), 1);
    metrics_print(metrics, &text);
    assert_non_null(strstr(buf_text(&text), "h_bucket{le=\"0.0001\"} 0\n"));
    assert_non_null(strstr(buf_text(&text), "h_sum 1\nh_count 1\n"));
}

static void test_metrics_merge__adds_series(void **state)
{
    CLEANUP(metrics_free) struct metrics *a = metrics_new();
    CLEANUP(metrics_free) struct metrics *b = metrics_new();
    CLEANUP(buf_done) struct buf text = {0};

    (void)state;
    metric_add(metrics_get(a, METRIC_COUNTER, "n", "N.", "k", "x", NULL), 1);
    metric_add(metrics_get(b, METRIC_COUNTER, "n", "N.", "k", "x", NULL), 2);
    metric_add(metrics_get(b, METRIC_COUNTER, "n", "N.", "k", "y\"", NULL), 4);
    metric_observe(metrics_get(b, METRIC_HISTOGRAM, "h", "H.", NULL), 0.2);
    metric_observe(metrics_get(b, METRIC_HISTOGRAM, "h", "H.", NULL), 100);
    metrics_merge(a, b);
    metrics_merge(a, b);
    metrics_print(a, &text);
    assert_non_null(strstr(buf_text(&text), "n{k=\"x\"} 5\nn{k=\"y\\\"\"} 8\n"));
    assert_non_null(strstr(buf_text(&text), "h_bucket{le=\"0.25\"} 2\n"));
    assert_non_null(strstr(buf_text(&text), "h_bucket{le=\"+Inf\"} 4\nh_sum 200.4\nh_count 4\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics__counters_and_gauges),
        cmocka_unit_test(test_metrics__histogram),
        cmocka_unit_test(test_metrics__histogram_without_labels),
        cmocka_unit_test(test_metrics_merge__adds_series),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
