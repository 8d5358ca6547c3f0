/*
 * loop.h: one event loop: file descriptors (epoll, level-triggered), timers, signals, deferred calls. Every callback runs
 * on the loop and must not block. A loop belongs to one thread; another may only call loop_post. Knows nothing of curl or
 * TLS.
 *
 * Handles may be freed inside any callback, their own included; an event already fetched for a freed handle is dropped.
 */
#pragma once

#include <sys/epoll.h>

#include "base/compiler.h"
#include "base/err.h"

struct loop;
struct loop_fd;
struct loop_timer;

/* events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as epoll reported them. */
typedef void loop_fd_callback(struct loop_fd *source, uint32_t events, void *data);
typedef void loop_callback(void *data);
typedef void loop_signal_callback(int signal_number, void *data);
/* status: as waitpid(2) gives it. */
typedef void loop_child_callback(int pid, int status, void *data);

int loop_new(struct loop **ret, struct err *err) MUST_CHECK;
/* Frees every handle that is still registered too. Not from inside a callback. */
struct loop *loop_free(struct loop *loop);
/* Runs until loop_stop; returns the code given there, or a negative err_code when epoll fails. */
int loop_run(struct loop *loop, struct err *err) MUST_CHECK;
/* After each turn with which it has been busy for turn_us or longer, without a wait, others on this CPU come first. */
void loop_give_way(struct loop *loop, int64_t turn_us);
/* Waits at most timeout_ms (-1: for ever) and handles what is due, once. For blocking callers that own a loop. */
int loop_turn(struct loop *loop, int64_t timeout_ms, struct err *err) MUST_CHECK;
void loop_stop(struct loop *loop, int code);

/* events: EPOLLIN and/or EPOLLOUT, or 0. The fd stays the caller's. */
int loop_fd_new(struct loop *loop, int fd, uint32_t events, loop_fd_callback *callback, void *data,
                struct loop_fd **ret, struct err *err) MUST_CHECK;
int loop_fd_modify(struct loop_fd *source, uint32_t events, struct err *err) MUST_CHECK;
int loop_fd_number(const struct loop_fd *source);
/* Call before the fd is closed. */
struct loop_fd *loop_fd_free(struct loop_fd *source);

/* A timer that is not set does nothing. Monotonic clock. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_callback *callback, void *data);
/* Fires once, delay_ms from now (0: next turn); replaces an earlier setting. */
void loop_timer_set(struct loop_timer *timer, int64_t delay_ms);
void loop_timer_cancel(struct loop_timer *timer);
bool loop_timer_is_set(const struct loop_timer *timer);
struct loop_timer *loop_timer_free(struct loop_timer *timer);

/* Runs callback once, on the next turn, before waiting. */
void loop_defer(struct loop *loop, loop_callback *callback, void *data);

/* The same from any thread; calls of one thread run in their order. After loop_free it must not be called. */
void loop_post(struct loop *loop, loop_callback *callback, void *data);

/* Blocks the signal for the process and delivers it on the loop (signalfd). One callback per signal number. */
int loop_signal(struct loop *loop, int signal_number, loop_signal_callback *callback, void *data,
                struct err *err) MUST_CHECK;
/* Calls back once when the child pid ends, and reaps it (pidfd). */
int loop_child(struct loop *loop, int pid, loop_child_callback *callback, void *data, struct err *err) MUST_CHECK;

/* Monotonic milliseconds, as of the current turn. */
int64_t loop_now_ms(const struct loop *loop);

DEFINE_CLEANUP_POINTER(struct loop *, loop_free)
DEFINE_CLEANUP_POINTER(struct loop_timer *, loop_timer_free)
