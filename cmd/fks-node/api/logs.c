/*
 * logs.c: kubectl logs: reads a container's log file, from the beginning or from one of its last lines, renders it
 * and, with follow, goes on as the file grows until the container has ended. A slow reader is waited for, so no
 * more than a chunk is ever in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include "api/api.h"
#include "api/log_lines.h"
#include "pod/pod.h"
#include "pods.h"

#define CHUNK KIB(64)
#define PENDING_MAX KIB(256)  /* waits for the peer past this */
#define LINE_MAX_BYTES MIB(1) /* a line without end is shown in pieces of this size */
#define CHECK_MS 500          /* inotify tells at once; this finds the container's end */

struct reader {
    struct agent *agent;
    struct server_request *request;
    char *pod_uid, *container, *path;
    uint32_t attempt;
    int fd;
    off_t offset;
    struct buf left; /* bytes read that are no whole line yet */
    struct log_lines_options options;
    struct log_lines_state state;
    bool follow, waiting;
    bool rotated; /* fd is not the file at path any more */
    int64_t pending;
    int watch_fd;
    struct loop_fd *watch;
    struct loop_timer *timer;
};

static void reader_free(struct reader *reader)
{
    loop_fd_free(reader->watch);
    if (reader->watch_fd >= 0)
        fd_close(reader->watch_fd);
    if (reader->fd >= 0)
        fd_close(reader->fd);
    loop_timer_free(reader->timer);
    buf_done(&reader->left);
    free(reader->pod_uid);
    free(reader->container);
    free(reader->path);
    free(reader);
}

static void on_gone(void *data)
{
    reader_free(data);
}

static void end(struct reader *reader)
{
    server_stream_end(reader->request);
    reader_free(reader);
}

/* This attempt may still write. */
static bool is_alive(const struct reader *reader)
{
    struct pod *pod = pods_get(reader->agent->pods, reader->pod_uid);

    if (pod == NULL)
        return false;
    const struct pod_container *container = pod_container_get(pod, reader->container);
    return container->current != NULL && container->current->attempt == reader->attempt &&
           (container->current->state == CRI_RUNNING || container->current->state == CRI_CREATED);
}

/* Sends whole lines of what is left. False: over, and the reader freed. */
static bool send_lines(struct reader *reader)
{
    CLEANUP(buf_done) struct buf out = {0};
    bool full;
    size_t used =
        log_lines_render(&reader->options, &reader->state, buf_text(&reader->left), reader->left.len, &out, &full);

    buf_consume(&reader->left, used);
    if (reader->left.len > LINE_MAX_BYTES)
        buf_clear(&reader->left); /* no container runtime writes such a line */
    if (out.len > 0) {
        reader->pending = server_stream_write(reader->request, out.data, out.len);
        if (reader->pending < 0) { /* on_gone comes, or has come */
            reader->waiting = true;
            return false;
        }
    }
    if (full) {
        end(reader);
        return false;
    }
    return true;
}

/*
 * Logs are rotated by renaming: what is at the path now is another file. The old one may have grown since it was read to
 * its end, but no more after this was seen: it is read once again before it is left.
 */
static bool reopen_rotated(struct reader *reader)
{
    struct stat now, open_one;
    int fd;

    if (stat(reader->path, &now) < 0 || fstat(reader->fd, &open_one) < 0 || now.st_ino == open_one.st_ino)
        return false;
    reader->rotated = !reader->rotated;
    if (reader->rotated)
        return true;
    fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    fd_close(reader->fd);
    reader->fd = fd;
    reader->offset = 0;
    return true;
}

/* Everything that is there now. */
static void pump(struct reader *reader)
{
    bool alive = is_alive(reader); /* asked before reading: what it wrote last is then in the file */

    for (;;) {
        if (reader->pending > (int64_t)PENDING_MAX) {
            reader->waiting = true; /* on_drained goes on */
            return;
        }
        char *to = buf_reserve(&reader->left, CHUNK);
        ssize_t n = to != NULL ? pread(reader->fd, to, CHUNK, reader->offset) : -1;
        if (n < 0) {
            end(reader);
            return;
        }
        if (n == 0) {
            if (reopen_rotated(reader))
                continue;
            if (reader->follow && alive) {
                loop_timer_set(reader->timer, CHECK_MS);
                return;
            }
            end(reader);
            return;
        }
        buf_advance(&reader->left, (size_t)n);
        reader->offset += n;
        if (!send_lines(reader))
            return;
    }
}

static void on_timer(void *data)
{
    struct reader *reader = data;

    if (!reader->waiting)
        pump(reader);
}

static void on_drained(void *data)
{
    struct reader *reader = data;

    reader->pending = 0;
    if (!reader->waiting)
        return;
    reader->waiting = false;
    loop_timer_set(reader->timer, 0);
}

static void on_grown(struct loop_fd *source, uint32_t events UNUSED, void *data)
{
    struct reader *reader = data;
    char events_read[4096];

    while (read(loop_fd_number(source), events_read, sizeof(events_read)) > 0)
        ;
    if (!reader->waiting)
        loop_timer_set(reader->timer, 0);
}

static void watch_growth(struct reader *reader)
{
    CLEANUP(err_clear) struct err err = {0};

    reader->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (reader->watch_fd < 0 || inotify_add_watch(reader->watch_fd, reader->path, IN_MODIFY) < 0 ||
        loop_fd_new(reader->agent->loop, reader->watch_fd, EPOLLIN, on_grown, reader, &reader->watch, &err) < 0)
        log_debug("following a log by looking every half second", "path", reader->path); /* out of inotify watches */
}

/* --- where to begin */

/* Reads backwards in growing windows until n lines begin inside. */
static int seek_tail(struct reader *reader, int64_t n, struct err *err)
{
    struct stat facts;

    if (fstat(reader->fd, &facts) < 0)
        return err_errno(err, errno, "reading '%s'", reader->path);
    for (size_t window = CHUNK;; window *= 4) {
        size_t len = (off_t)window < facts.st_size ? window : (size_t)facts.st_size;
        off_t from = facts.st_size - (off_t)len;
        CLEANUP(xfree) char *bytes = xmalloc(len + 1);
        ssize_t got = pread(reader->fd, bytes, len, from);
        bool enough;
        if (got < 0)
            return err_errno(err, errno, "reading '%s'", reader->path);
        size_t begin = log_lines_tail(bytes, (size_t)got, n, &enough);
        if (enough || from == 0) {
            reader->offset = from + (off_t)begin;
            return 0;
        }
        if (window >= LIMIT_BUF) { /* begin with the first whole line of what was read */
            const char *newline = memchr(bytes, '\n', (size_t)got);
            reader->offset = from + (newline != NULL ? newline - bytes + 1 : 0);
            return 0;
        }
    }
}

/* --- the request */

struct log_query {
    bool follow, previous, timestamps;
    int64_t tail;     /* -1: all */
    int64_t since_ns; /* 0: all */
    int64_t limit;    /* -1: none */
};

static bool is_set(struct str query, const char *name)
{
    CLEANUP(xfree) char *value = http1_query(query, name, 0);

    return value != NULL && !streq(value, "false") && !streq(value, "0");
}

static int number(struct str query, const char *name, int64_t min, int64_t *ret, struct err *err)
{
    CLEANUP(xfree) char *value = http1_query(query, name, 0);

    if (value == NULL || *value == '\0')
        return 0;
    int result = parse_int(value, min, INT64_MAX / 2000000000, ret, err);
    return result < 0 ? err_wrap(err, "query parameter '%s'", name) : 0;
}

static int read_query(struct str query, struct log_query *ret, struct err *err)
{
    CLEANUP(xfree) char *since_time = http1_query(query, "sinceTime", 0);
    int64_t since_s = 0;
    int result;

    *ret = (struct log_query){
        .follow = is_set(query, "follow"),
        .previous = is_set(query, "previous"),
        .timestamps = is_set(query, "timestamps"),
        .tail = -1,
        .limit = -1,
    };
    if ((result = number(query, "tailLines", 0, &ret->tail, err)) < 0 ||
        (result = number(query, "limitBytes", 1, &ret->limit, err)) < 0 ||
        (result = number(query, "sinceSeconds", 1, &since_s, err)) < 0)
        return result;
    if (since_s > 0 && since_time != NULL)
        return err_set(err, ERR_INVALID, "at most one of sinceSeconds and sinceTime may be given");
    if (since_s > 0)
        ret->since_ns = clock_wall_ns() - since_s * 1000000000;
    if (since_time != NULL && (result = clock_parse(since_time, &ret->since_ns, err)) < 0)
        return err_wrap(err, "query parameter 'sinceTime'");
    return 0;
}

/* What there is to say of a container that was never made. */
static const char *why_waiting(const struct pod_container *container)
{
    const char *reason = container->waiting_reason;

    if (streq(reason, "ErrImagePull"))
        return "image can't be pulled";
    if (streq(reason, "ImagePullBackOff"))
        return "trying and failing to pull image";
    if (reason != NULL)
        return reason;
    return json_len(json_get(container->pod->object, "spec", "initContainers", NULL)) > 0 ? "PodInitializing"
                                                                                          : "ContainerCreating";
}

/* Which attempt's file; ERR_NOT_FOUND with the kubelet's texts. */
static int choose_attempt(const struct pod_container *container, bool previous, uint32_t *ret, struct err *err)
{
    const struct cri_container *record = previous ? container->last : container->current;

    if (record != NULL) {
        *ret = record->attempt;
        return 0;
    }
    if (previous)
        return err_set(err, ERR_INVALID, "previous terminated container \"%s\" in pod \"%s\" not found",
                       container->name, container->pod->name);
    return err_set(err, ERR_INVALID, "container \"%s\" in pod \"%s\" is waiting to start: %s", container->name,
                   container->pod->name, why_waiting(container));
}

static int open_log(struct reader *reader, const struct pod *pod, struct err *err)
{
    CLEANUP(xfree) char *folder = podspec_log_directory(pod->object, reader->agent->options.log_dir);
    CLEANUP(xfree) char *relative = podspec_log_path(reader->container, reader->attempt);
    struct stat facts;

    reader->path = path_join(folder, relative, NULL);
    reader->fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (reader->fd < 0)
        return err_errno(err, errno, "opening the log of container '%s'", reader->container);
    if (fstat(reader->fd, &facts) < 0 || !S_ISREG(facts.st_mode))
        return err_set(err, ERR_INVALID, "the log of container '%s' is no file", reader->container);
    return 0;
}

void logs_serve(struct server_request *request, struct pod *pod, const char *container)
{
    CLEANUP(err_clear) struct err err = {0};
    struct log_query query;
    struct reader *reader = NEW(struct reader);

    reader->agent = pod->agent;
    reader->request = request;
    reader->pod_uid = xstrdup(pod->uid);
    reader->container = xstrdup(container);
    reader->fd = reader->watch_fd = -1;
    if (read_query(server_request_head(request)->query, &query, &err) < 0 ||
        choose_attempt(pod_container_get(pod, container), query.previous, &reader->attempt, &err) < 0 ||
        open_log(reader, pod, &err) < 0 || (query.tail >= 0 && seek_tail(reader, query.tail, &err) < 0)) {
        server_respond_text(request,
                            err.code == ERR_NOT_FOUND ? 404
                            : err.code == ERR_IO      ? 500
                                                      : 400,
                            "%s\n", err_text(&err));
        reader_free(reader);
        return;
    }
    reader->follow = query.follow;
    reader->options = (struct log_lines_options){
        .timestamps = query.timestamps,
        .since_ns = query.since_ns,
        .limit_bytes = query.limit,
    };
    reader->timer = loop_timer_new(reader->agent->loop, on_timer, reader);
    if (reader->follow)
        watch_growth(reader);
    server_on_gone(request, on_gone, reader);
    server_stream_begin(request, 200, "text/plain");
    server_stream_on_drained(request, on_drained, reader);
    pump(reader);
}
