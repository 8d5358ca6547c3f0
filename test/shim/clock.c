/*
 * clock.c: a library for LD_PRELOAD that gives one program clocks of its own, which a test sets and hurries while the
 * program runs. FKS_TEST_CLOCK names a file of two settings of four int64_t each and, before them, which of the two is in
 * force (test/integration/clock.py writes it):
 *
 *     since       CLOCK_MONOTONIC of the machine, nanoseconds, from which this setting counts
 *     monotonic   what the program's monotonic clock showed then
 *     wall        what its wall clock showed then
 *     rate        how many times as fast as the machine's both have gone since
 *
 * Waiting (epoll_wait, poll) is shortened to match. Not part of any program; without the file it does nothing.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000

struct setting {
    int64_t since, monotonic, wall, rate;
};

struct settings {
    _Atomic int64_t in_force; /* 0 or 1 */
    struct setting both[2];
};

static const struct settings *settings;

__attribute__((constructor)) static void open_settings(void)
{
    const char *path = getenv("FKS_TEST_CLOCK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *bytes = fd >= 0 ? mmap(NULL, sizeof(*settings), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (bytes != MAP_FAILED)
        settings = bytes;
    if (fd >= 0)
        (void)close(fd);
}

static int64_t machine_ns(clockid_t clock)
{
    struct timespec now = {0};

    (void)syscall(SYS_clock_gettime, clock, &now);
    return (int64_t)now.tv_sec * NS + now.tv_nsec;
}

static struct setting in_force(void)
{
    return settings->both[atomic_load(&settings->in_force) & 1];
}

static int64_t wall_ns(void)
{
    if (settings == NULL)
        return machine_ns(CLOCK_REALTIME);
    struct setting now = in_force();
    return now.wall + (machine_ns(CLOCK_MONOTONIC) - now.since) * now.rate;
}

static int64_t monotonic_ns(clockid_t clock)
{
    if (settings == NULL)
        return machine_ns(clock);
    struct setting now = in_force();
    return now.monotonic + (machine_ns(CLOCK_MONOTONIC) - now.since) * now.rate;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int64_t ns;

    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        ns = wall_ns();
        break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        ns = monotonic_ns(clock);
        break;
    default:
        return (int)syscall(SYS_clock_gettime, clock, ret);
    }
    *ret = (struct timespec){.tv_sec = ns / NS, .tv_nsec = ns % NS};
    return 0;
}

time_t time(time_t *ret)
{
    time_t now = wall_ns() / NS;

    if (ret != NULL)
        *ret = now;
    return now;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    int64_t ns = wall_ns();

    (void)zone;
    *ret = (struct timeval){.tv_sec = ns / NS, .tv_usec = ns % NS / 1000};
    return 0;
}

/* At least a millisecond, or a program that is a little early would spin. */
static int shorter(int timeout_ms)
{
    int64_t rate = settings != NULL ? in_force().rate : 1;

    return timeout_ms <= 0 || rate <= 1 ? timeout_ms : (int)((timeout_ms + rate - 1) / rate);
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
    return (int)syscall(SYS_epoll_pwait, fd, events, max, shorter(timeout_ms), NULL, 8);
}

int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    timeout_ms = shorter(timeout_ms);
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000};

    return (int)syscall(SYS_ppoll, fds, n, timeout_ms < 0 ? NULL : &timeout, NULL, 8);
}
