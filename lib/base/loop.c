/*
 * loop.c: the event loop under every daemon: epoll, a heap of timers, signalfd, pidfds, deferred and posted calls. One turn is:
 * deferred calls, wait, descriptors, timers. It does not know what is read or written.
 *
 * An event carries the number of a slot and the slot's generation instead of a pointer. Freeing a handle raises the
 * generation, so an event that epoll had fetched before, for a handle that another callback freed since, finds nobody.
 */
#include "base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#define EVENTS_PER_TURN 64
#define N_SIGNALS 65

struct loop_fd {
    struct loop *loop;
    int fd;
    uint32_t events;
    uint32_t slot;
    loop_fd_callback *callback;
    void *data;
};

struct slot {
    struct loop_fd *source; /* NULL: free */
    uint32_t generation;
};

struct loop_timer {
    struct loop *loop;
    loop_callback *callback;
    void *data;
    int64_t due_ms;
    uint64_t order;    /* of being set: equal times fire in that order */
    size_t position;   /* in the heap, plus one; 0 while not set */
    size_t registered; /* index in loop->timers */
};

struct deferred {
    loop_callback *callback;
    void *data;
};

struct signal_handler {
    loop_signal_callback *callback;
    void *data;
};

struct child {
    struct loop *loop;
    int pid;
    int pidfd;
    struct loop_fd *source;
    loop_child_callback *callback;
    void *data;
    struct child *next;
};

struct loop {
    int epoll_fd;
    int64_t now_ms;
    int64_t turn_us;       /* of loop_give_way; 0: it was not asked for */
    int64_t busy_since_us;
    bool stopped;
    int stop_code;

    struct slot *slots;
    size_t n_slots, slots_cap;
    size_t first_free; /* no slot below is free */

    struct loop_timer **heap; /* set timers, the earliest first */
    size_t n_heap, heap_cap;
    struct loop_timer **timers; /* all timers */
    size_t n_timers, timers_cap;
    uint64_t next_order;

    struct deferred *deferred;
    size_t n_deferred, deferred_cap;

    pthread_mutex_t post_lock; /* of the next three */
    struct deferred *posted;
    size_t n_posted, posted_cap;
    int post_fd; /* eventfd: something was posted */

    int signal_fd;
    struct loop_fd *signal_source;
    sigset_t signals;
    struct signal_handler handlers[N_SIGNALS];

    struct child *children;
};

static void on_posted(struct loop_fd *source, uint32_t events, void *data);

int loop_new(struct loop **ret, struct err *err)
{
    CLEANUP(loop_free) struct loop *loop = NEW(struct loop);
    struct loop_fd *posts; /* freed with the loop */

    loop->signal_fd = -1;
    sigemptyset(&loop->signals);
    (void)pthread_mutex_init(&loop->post_lock, NULL); /* never fails without attributes */
    loop->now_ms = clock_monotonic_ms();
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->post_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->post_fd < 0)
        return err_errno(err, errno, "cannot make an event loop");
    int r = loop_fd_new(loop, loop->post_fd, EPOLLIN, on_posted, loop, &posts, err);
    if (r < 0)
        return r;
    *ret = take(&loop);
    return 0;
}

/* Forgets the child, without waiting for it. */
static void child_free(struct child *child)
{
    struct child **link = &child->loop->children;

    while (*link != child)
        link = &(*link)->next;
    *link = child->next;
    loop_fd_free(child->source);
    fd_close(child->pidfd);
    free(child);
}

struct loop *loop_free(struct loop *loop)
{
    if (loop == NULL)
        return NULL;
    while (loop->children != NULL)
        child_free(loop->children);
    while (loop->n_timers > 0)
        loop_timer_free(loop->timers[loop->n_timers - 1]);
    for (size_t i = 0; i < loop->n_slots; i++)
        loop_fd_free(loop->slots[i].source);
    fd_close(loop->signal_fd);
    fd_close(loop->post_fd);
    fd_close(loop->epoll_fd);
    (void)pthread_mutex_destroy(&loop->post_lock);
    free(loop->posted);
    free(loop->timers);
    free(loop->heap);
    free(loop->slots);
    free(loop->deferred);
    free(loop);
    return NULL;
}

int64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

void loop_stop(struct loop *loop, int code)
{
    loop->stopped = true;
    loop->stop_code = code;
}

/* --- descriptors --- */

static uint32_t find_free_slot(struct loop *loop)
{
    while (loop->first_free < loop->n_slots && loop->slots[loop->first_free].source != NULL)
        loop->first_free++;
    if (loop->first_free == loop->n_slots) {
        GROW(loop->slots, loop->n_slots, loop->slots_cap);
        loop->slots[loop->n_slots++] = (struct slot){0};
    }
    return (uint32_t)loop->first_free;
}

static int control(const struct loop_fd *source, int operation, uint32_t events)
{
    uint64_t generation = source->loop->slots[source->slot].generation;
    struct epoll_event event = {.events = events, .data.u64 = generation << 32 | source->slot};

    return epoll_ctl(source->loop->epoll_fd, operation, source->fd, &event);
}

int loop_fd_new(struct loop *loop, int fd, uint32_t events, loop_fd_callback *callback, void *data,
                struct loop_fd **ret, struct err *err)
{
    struct loop_fd *source = NEW(struct loop_fd);

    *source = (struct loop_fd){
        .loop = loop,
        .fd = fd,
        .events = events,
        .slot = find_free_slot(loop),
        .callback = callback,
        .data = data,
    };
    if (control(source, EPOLL_CTL_ADD, events) < 0) {
        int errnum = errno;

        free(source);
        return err_errno(err, errnum, "cannot watch descriptor %d", fd);
    }
    loop->slots[source->slot].source = source;
    *ret = source;
    return 0;
}

int loop_fd_modify(struct loop_fd *source, uint32_t events, struct err *err)
{
    if (source->events == events)
        return 0;
    if (control(source, EPOLL_CTL_MOD, events) < 0)
        return err_errno(err, errno, "cannot watch descriptor %d", source->fd);
    source->events = events;
    return 0;
}

int loop_fd_number(const struct loop_fd *source)
{
    return source->fd;
}

struct loop_fd *loop_fd_free(struct loop_fd *source)
{
    struct slot *slot;

    if (source == NULL)
        return NULL;
    (void)control(source, EPOLL_CTL_DEL, 0);
    slot = &source->loop->slots[source->slot];
    slot->source = NULL;
    slot->generation++;
    if (source->slot < source->loop->first_free)
        source->loop->first_free = source->slot;
    free(source);
    return NULL;
}

static void dispatch_events(struct loop *loop, const struct epoll_event *events, int n)
{
    for (int i = 0; i < n; i++) {
        const struct slot *slot = &loop->slots[events[i].data.u64 & UINT32_MAX];
        struct loop_fd *source = slot->source;

        if (source != NULL && slot->generation == events[i].data.u64 >> 32)
            source->callback(source, events[i].events, source->data);
    }
}

/* --- timers --- */

static bool is_earlier(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void heap_place(struct loop *loop, size_t position, struct loop_timer *timer)
{
    loop->heap[position] = timer;
    timer->position = position + 1;
}

/* Moves timer from position towards the root or the leaves, to where it belongs. */
static void heap_settle(struct loop *loop, size_t position, struct loop_timer *timer)
{
    while (position > 0 && is_earlier(timer, loop->heap[(position - 1) / 2])) {
        heap_place(loop, position, loop->heap[(position - 1) / 2]);
        position = (position - 1) / 2;
    }
    for (;;) {
        size_t child = position * 2 + 1;

        if (child + 1 < loop->n_heap && is_earlier(loop->heap[child + 1], loop->heap[child]))
            child++;
        if (child >= loop->n_heap || !is_earlier(loop->heap[child], timer))
            break;
        heap_place(loop, position, loop->heap[child]);
        position = child;
    }
    heap_place(loop, position, timer);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_callback *callback, void *data)
{
    struct loop_timer *timer = NEW(struct loop_timer);

    *timer = (struct loop_timer){.loop = loop, .callback = callback, .data = data, .registered = loop->n_timers};
    GROW(loop->timers, loop->n_timers, loop->timers_cap);
    loop->timers[loop->n_timers++] = timer;
    return timer;
}

void loop_timer_set(struct loop_timer *timer, int64_t delay_ms)
{
    struct loop *loop = timer->loop;
    int64_t due_ms;

    loop_timer_cancel(timer);
    /* from the real clock, because a callback may have taken its time since the turn began */
    if (__builtin_add_overflow(clock_monotonic_ms(), delay_ms > 0 ? delay_ms : 0, &due_ms))
        due_ms = INT64_MAX;
    timer->due_ms = due_ms;
    timer->order = loop->next_order++;
    GROW(loop->heap, loop->n_heap, loop->heap_cap);
    loop->n_heap++;
    heap_settle(loop, loop->n_heap - 1, timer);
}

void loop_timer_cancel(struct loop_timer *timer)
{
    struct loop *loop = timer->loop;
    size_t position = timer->position - 1;
    struct loop_timer *last;

    if (timer->position == 0)
        return;
    timer->position = 0;
    last = loop->heap[--loop->n_heap];
    if (last != timer)
        heap_settle(loop, position, last);
}

bool loop_timer_is_set(const struct loop_timer *timer)
{
    return timer->position > 0;
}

struct loop_timer *loop_timer_free(struct loop_timer *timer)
{
    struct loop *loop;
    struct loop_timer *last;

    if (timer == NULL)
        return NULL;
    loop = timer->loop;
    loop_timer_cancel(timer);
    last = loop->timers[--loop->n_timers];
    loop->timers[timer->registered] = last;
    last->registered = timer->registered;
    free(timer);
    return NULL;
}

static void run_timers(struct loop *loop)
{
    /* what a callback sets with delay 0 waits for the next turn, or descriptors would starve */
    uint64_t limit = loop->next_order;

    while (loop->n_heap > 0 && loop->heap[0]->due_ms <= loop->now_ms && loop->heap[0]->order < limit) {
        struct loop_timer *timer = loop->heap[0];

        loop_timer_cancel(timer);
        timer->callback(timer->data);
    }
}

/* --- deferred calls --- */

void loop_defer(struct loop *loop, loop_callback *callback, void *data)
{
    GROW(loop->deferred, loop->n_deferred, loop->deferred_cap);
    loop->deferred[loop->n_deferred++] = (struct deferred){callback, data};
}

/* Whether there were any. */
static bool run_deferred(struct loop *loop)
{
    struct deferred *calls = loop->deferred;
    size_t n = loop->n_deferred;

    /* the list is taken over first: what these calls defer runs on the next turn */
    loop->deferred = NULL;
    loop->n_deferred = 0;
    loop->deferred_cap = 0;
    for (size_t i = 0; i < n; i++)
        calls[i].callback(calls[i].data);
    free(calls);
    return n > 0;
}

void loop_post(struct loop *loop, loop_callback *callback, void *data)
{
    uint64_t one = 1;

    (void)pthread_mutex_lock(&loop->post_lock);
    GROW(loop->posted, loop->n_posted, loop->posted_cap);
    loop->posted[loop->n_posted++] = (struct deferred){callback, data};
    bool first = loop->n_posted == 1;
    (void)pthread_mutex_unlock(&loop->post_lock);
    if (first && write(loop->post_fd, &one, sizeof(one)) < 0)
        abort(); /* an eventfd takes 2^64 - 2 of them */
}

static void on_posted(struct loop_fd *source, uint32_t events, void *data)
{
    struct loop *loop = data;
    uint64_t count;

    (void)source;
    (void)events;
    (void)!read(loop->post_fd, &count, sizeof(count));
    (void)pthread_mutex_lock(&loop->post_lock);
    struct deferred *calls = loop->posted;
    size_t n = loop->n_posted;
    loop->posted = NULL;
    loop->n_posted = loop->posted_cap = 0;
    (void)pthread_mutex_unlock(&loop->post_lock);
    for (size_t i = 0; i < n; i++)
        calls[i].callback(calls[i].data);
    free(calls);
}

/* --- signals and children --- */

static void on_signal_fd(struct loop_fd *source, uint32_t events, void *data)
{
    struct loop *loop = data;
    struct signalfd_siginfo info;

    (void)source;
    (void)events;
    while (read(loop->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        const struct signal_handler *handler = &loop->handlers[info.ssi_signo];

        if (handler->callback != NULL)
            handler->callback((int)info.ssi_signo, handler->data);
    }
}

int loop_signal(struct loop *loop, int signal_number, loop_signal_callback *callback, void *data, struct err *err)
{
    int fd;

    if (signal_number <= 0 || signal_number >= N_SIGNALS)
        return err_set(err, ERR_INVALID, "%d is not a signal number", signal_number);
    if (loop->handlers[signal_number].callback != NULL)
        return err_set(err, ERR_EXISTS, "signal %d is handled already", signal_number);
    sigaddset(&loop->signals, signal_number);
    if (sigprocmask(SIG_BLOCK, &loop->signals, NULL) < 0)
        return err_errno(err, errno, "cannot block signal %d", signal_number);
    fd = signalfd(loop->signal_fd, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_errno(err, errno, "cannot receive signal %d", signal_number);
    loop->signal_fd = fd;
    loop->handlers[signal_number] = (struct signal_handler){callback, data};
    if (loop->signal_source == NULL)
        return loop_fd_new(loop, fd, EPOLLIN, on_signal_fd, loop, &loop->signal_source, err);
    return 0;
}

static void on_child_ended(struct loop_fd *source, uint32_t events, void *data)
{
    struct child *child = data;
    loop_child_callback *callback = child->callback;
    void *callback_data = child->data;
    int pid = child->pid;
    int status = 0;
    pid_t ended;

    (void)source;
    (void)events;
    ended = waitpid(pid, &status, WNOHANG);
    if (ended == 0)
        return;
    /* reaped by somebody else: how it ended is lost, that it ended is not */
    if (ended < 0)
        status = W_EXITCODE(255, 0);
    child_free(child);
    callback(pid, status, callback_data);
}

int loop_child(struct loop *loop, int pid, loop_child_callback *callback, void *data, struct err *err)
{
    CLEANUP(fd_close) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    CLEANUP(xfree) struct child *child = NULL;
    int code;

    if (pidfd < 0)
        return err_errno(err, errno, "cannot watch process %d", pid);
    child = NEW(struct child);
    *child = (struct child){.loop = loop, .pid = pid, .pidfd = pidfd, .callback = callback, .data = data};
    code = loop_fd_new(loop, pidfd, EPOLLIN, on_child_ended, child, &child->source, err);
    if (code < 0)
        return code;
    child->next = loop->children;
    loop->children = take(&child);
    pidfd = -1;
    return 0;
}

/* --- turning --- */

/* Milliseconds to wait: until the next timer, at most timeout_ms (-1: no limit). */
static int wait_time(const struct loop *loop, int64_t timeout_ms)
{
    if (loop->stopped || loop->n_deferred > 0)
        return 0;
    if (loop->n_heap > 0) {
        int64_t until = loop->heap[0]->due_ms - loop->now_ms;

        if (until < 0)
            until = 0;
        if (timeout_ms < 0 || until < timeout_ms)
            timeout_ms = until;
    }
    if (timeout_ms < 0)
        return -1;
    return timeout_ms < INT32_MAX ? (int)timeout_ms : INT32_MAX;
}

void loop_give_way(struct loop *loop, int64_t turn_us)
{
    loop->turn_us = turn_us;
}

/* waited_from_us: when the wait of this turn began. */
static void give_way(struct loop *loop, int64_t waited_from_us, int64_t waited_until_us)
{
    enum { WAIT_US = 10 }; /* who waited so long did not have the CPU */

    if (waited_until_us - waited_from_us >= WAIT_US)
        loop->busy_since_us = waited_until_us;
    if (clock_monotonic_us() - loop->busy_since_us < loop->turn_us)
        return;
    (void)sched_yield();
    loop->busy_since_us = clock_monotonic_us();
}

int loop_turn(struct loop *loop, int64_t timeout_ms, struct err *err)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int64_t from_us = 0, until_us = 0;
    int n;

    loop->now_ms = clock_monotonic_ms();
    /* a blocking caller may be waiting for just what a deferred call did: give it the chance to look */
    if (run_deferred(loop))
        timeout_ms = 0;
    loop->now_ms = clock_monotonic_ms();
    if (loop->turn_us > 0)
        from_us = clock_monotonic_us();
    n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN, wait_time(loop, timeout_ms));
    if (n < 0 && errno != EINTR)
        return err_errno(err, errno, "epoll_wait failed");
    loop->now_ms = clock_monotonic_ms();
    if (loop->turn_us > 0)
        until_us = clock_monotonic_us();
    dispatch_events(loop, events, n);
    run_timers(loop);
    if (loop->turn_us > 0)
        give_way(loop, from_us, until_us);
    return 0;
}

int loop_run(struct loop *loop, struct err *err)
{
    while (!loop->stopped) {
        int code = loop_turn(loop, -1, err);

        if (code < 0)
            return code;
    }
    loop->stopped = false;
    return loop->stop_code;
}
