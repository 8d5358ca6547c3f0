/*
 * clock.c: the two clocks and the texts of Kubernetes' API for them. Times are int64_t nanoseconds since 1970, which
 * holds the years 1678 to 2261; other years are refused. Leap seconds do not exist here, as in Go.
 */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_SECOND 1000000000

int64_t clock_monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

/* Splits into broken-down seconds and the nanoseconds after them, also before 1970. */
static struct tm split_time(int64_t wall_ns, int64_t *ret_ns)
{
    int64_t seconds = wall_ns / NS_PER_SECOND;
    time_t time_seconds;
    struct tm tm = {0};

    *ret_ns = wall_ns % NS_PER_SECOND;
    if (*ret_ns < 0) {
        *ret_ns += NS_PER_SECOND;
        seconds--;
    }
    time_seconds = (time_t)seconds;
    gmtime_r(&time_seconds, &tm);
    return tm;
}

void clock_rfc3339(int64_t wall_ns, char text[CLOCK_TEXT_MAX])
{
    int64_t ns;
    struct tm tm = split_time(wall_ns, &ns);

    strftime(text, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void clock_rfc3339_micro(int64_t wall_ns, char text[CLOCK_TEXT_MAX])
{
    int64_t ns;
    struct tm tm = split_time(wall_ns, &ns);
    size_t len = strftime(text, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);

    (void)snprintf(text + len, CLOCK_TEXT_MAX - len, ".%06dZ", (int)(ns / 1000));
}

/* Exactly n digits at *c, of a value in [min, max]; moves *c on. */
static bool scan_digits(const char **c, int n, int min, int max, int *ret)
{
    int value = 0;

    for (int i = 0; i < n; i++, (*c)++) {
        if (**c < '0' || **c > '9')
            return false;
        value = value * 10 + (**c - '0');
    }
    *ret = value;
    return value >= min && value <= max;
}

static bool scan_char(const char **c, char expected)
{
    if (**c != expected)
        return false;
    (*c)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

/* ".25" at *c, if there; digits after the ninth are dropped. */
static bool scan_fraction(const char **c, int64_t *ret_ns)
{
    int64_t unit = NS_PER_SECOND / 10;

    *ret_ns = 0;
    if (!scan_char(c, '.'))
        return true;
    if (**c < '0' || **c > '9')
        return false;
    for (; **c >= '0' && **c <= '9'; (*c)++) {
        *ret_ns += (**c - '0') * unit;
        unit /= 10;
    }
    return true;
}

/* "Z" or "+hh:mm" or "-hh:mm", as seconds east of Greenwich. */
static bool scan_offset(const char **c, int *ret_seconds)
{
    int sign = **c == '-' ? -1 : 1;
    int hours, minutes;

    *ret_seconds = 0;
    if (scan_char(c, 'Z') || scan_char(c, 'z'))
        return true;
    if (!scan_char(c, '+') && !scan_char(c, '-'))
        return false;
    if (!scan_digits(c, 2, 0, 23, &hours) || !scan_char(c, ':') || !scan_digits(c, 2, 0, 59, &minutes))
        return false;
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

int clock_parse(const char *text, int64_t *ret_wall_ns, struct err *err)
{
    const char *c = text;
    struct tm tm = {0};
    int64_t seconds, fraction_ns;
    int year, month, day, offset;

    if (!scan_digits(&c, 4, 0, 9999, &year) || !scan_char(&c, '-') || !scan_digits(&c, 2, 1, 12, &month) ||
        !scan_char(&c, '-') || !scan_digits(&c, 2, 1, days_in_month(year, month), &day) ||
        (!scan_char(&c, 'T') && !scan_char(&c, 't')) || !scan_digits(&c, 2, 0, 23, &tm.tm_hour) ||
        !scan_char(&c, ':') || !scan_digits(&c, 2, 0, 59, &tm.tm_min) || !scan_char(&c, ':') ||
        !scan_digits(&c, 2, 0, 59, &tm.tm_sec) || !scan_fraction(&c, &fraction_ns) || !scan_offset(&c, &offset) ||
        *c != '\0')
        return err_set(err, ERR_PARSE, "'%s' is not an RFC 3339 time such as 2026-01-02T03:04:05Z", text);
    if (year < 1678 || year > 2261)
        return err_set(err, ERR_INVALID, "the year of '%s' is not between 1678 and 2261", text);
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = day;
    seconds = (int64_t)timegm(&tm) - offset;
    *ret_wall_ns = seconds * NS_PER_SECOND + fraction_ns;
    return 0;
}

/* "3m20s", or "3m" when the smaller part is 0. */
static void two_units(char *text, int64_t large, char large_unit, int64_t small, char small_unit)
{
    if (small == 0)
        (void)snprintf(text, CLOCK_TEXT_MAX, "%lld%c", (long long)large, large_unit);
    else
        (void)snprintf(text, CLOCK_TEXT_MAX, "%lld%c%lld%c", (long long)large, large_unit, (long long)small,
                       small_unit);
}

void clock_human_duration(int64_t seconds, char text[CLOCK_TEXT_MAX])
{
    int64_t minutes = seconds / 60;
    int64_t hours = minutes / 60;
    int64_t days = hours / 24;

    /* clocks of two machines may differ a little: one second in the future is now */
    if (seconds < -1)
        (void)snprintf(text, CLOCK_TEXT_MAX, "<invalid>");
    else if (seconds < 0)
        two_units(text, 0, 's', 0, 0);
    else if (seconds < 120)
        two_units(text, seconds, 's', 0, 0);
    else if (minutes < 10)
        two_units(text, minutes, 'm', seconds % 60, 's');
    else if (minutes < 180)
        two_units(text, minutes, 'm', 0, 0);
    else if (hours < 8)
        two_units(text, hours, 'h', minutes % 60, 'm');
    else if (hours < 48)
        two_units(text, hours, 'h', 0, 0);
    else if (hours < 8 * 24)
        two_units(text, days, 'd', hours % 24, 'h');
    else if (days < 2 * 365)
        two_units(text, days, 'd', 0, 0);
    else if (days < 8 * 365)
        two_units(text, days / 365, 'y', days % 365, 'd');
    else
        two_units(text, days / 365, 'y', 0, 0);
}
