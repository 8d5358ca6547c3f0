/*
 * clock.h: time of day as Kubernetes writes it, and the monotonic clock.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"

/* Monotonic milliseconds: for delays and deadlines. */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
/* Wall clock, nanoseconds since 1970. */
int64_t clock_wall_ns(void);

#define CLOCK_TEXT_MAX 40
/* metav1.Time: "2026-01-02T03:04:05Z". */
void clock_rfc3339(int64_t wall_ns, char text[CLOCK_TEXT_MAX]);
/* metav1.MicroTime: "2026-01-02T03:04:05.678901Z" (leases, events). */
void clock_rfc3339_micro(int64_t wall_ns, char text[CLOCK_TEXT_MAX]);
/* Any RFC 3339 time, with fraction and offset. */
int clock_parse(const char *text, int64_t *ret_wall_ns, struct err *err) MUST_CHECK;
/* kubectl's ages: "5s", "3m20s", "4h", "2d3h", "45d", "1y20d" (k8s.io/apimachinery duration.HumanDuration). */
void clock_human_duration(int64_t seconds, char text[CLOCK_TEXT_MAX]);
