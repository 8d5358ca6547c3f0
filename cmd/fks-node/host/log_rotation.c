/*
 * log_rotation.c: see log_rotation.h. One look every ten seconds; compressing is done by gzip, a process of its own, so
 * nothing here takes long.
 */
#include "host/log_rotation.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"

#include "pod/pod.h"
#include "pods.h"

#define LOOK_EVERY_MS 10000
#define STAMP_FORMAT "%Y%m%d-%H%M%S"
#define STAMP_MAX 32

struct log_rotation {
    struct agent *agent;
    struct loop_timer *timer;
    struct reopening *reopenings; /* calls under way */
};

struct reopening { /* a log that was renamed and has to be opened anew */
    struct log_rotation *rotation;
    struct reopening *previous, *next;
    char *path, *rotated;
};

static void reopening_free(struct reopening *reopening)
{
    if (reopening->previous != NULL)
        reopening->previous->next = reopening->next;
    else
        reopening->rotation->reopenings = reopening->next;
    if (reopening->next != NULL)
        reopening->next->previous = reopening->previous;
    free(reopening->path);
    free(reopening->rotated);
    free(reopening);
}

/* --- files */

void log_rotation_list(const char *path, struct strv *ret)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(xfree) char *folder = xstrndup(path, slash != NULL ? (size_t)(slash - path) : 0);
    CLEANUP(xfree) char *prefix = xasprintf("%s.", slash != NULL ? slash + 1 : path);
    DIR *listing = slash != NULL ? opendir(folder) : NULL;
    const struct dirent *entry;

    while (listing != NULL && (entry = readdir(listing)) != NULL)
        if (starts_with(entry->d_name, prefix))
            strv_take(ret, path_join(folder, entry->d_name, NULL));
    if (listing != NULL)
        closedir(listing);
    strv_sort(ret); /* the names end in their time */
}

void log_rotation_remove(const char *path)
{
    CLEANUP(strv_done) struct strv rotated = {0};

    log_rotation_list(path, &rotated);
    for (size_t i = 0; i < rotated.n; i++)
        (void)unlink(rotated.items[i]);
    (void)unlink(path);
}

static void remove_oldest(const char *path, int64_t keep)
{
    CLEANUP(strv_done) struct strv rotated = {0};

    log_rotation_list(path, &rotated);
    for (size_t i = 0; (int64_t)(rotated.n - i) > keep && i < rotated.n; i++)
        if (unlink(rotated.items[i]) < 0 && errno != ENOENT)
            log_warn("cannot remove a rotated log", "path", rotated.items[i], "error", strerror(errno));
}

static void on_compressed(int pid UNUSED, int status, void *data UNUSED)
{
    if (status != 0)
        log_warn("gzip could not compress a rotated log: it stays as it is, and is tried again with the next; is the disk full?");
}

/* One at a time per log: the one that was the latest until now. gzip keeps the file until its copy is whole. */
static void compress_older(struct log_rotation *rotation, const char *path)
{
    CLEANUP(strv_done) struct strv rotated = {0};
    CLEANUP(err_clear) struct err err = {0};
    pid_t pid;

    log_rotation_list(path, &rotated);
    for (size_t i = 0; i + 1 < rotated.n; i++) {
        if (ends_with(rotated.items[i], ".gz"))
            continue;
        const char *const argv[] = {"gzip", "-f", "-q", rotated.items[i], NULL};
        const struct proc_options options = {.argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1,
                                             .die_with_parent = true};
        if (proc_spawn(&options, &pid, &err) < 0 ||
            loop_child(rotation->agent->loop, pid, on_compressed, rotation, &err) < 0)
            agent_warn("compressing a rotated log", rotated.items[i], &err);
        return;
    }
}

/* --- rotation */

static void on_reopened(struct err *err, void *data)
{
    struct reopening *reopening = data;

    if (err->code != 0) {
        agent_warn("opening a rotated log anew", reopening->path, err);
        /* the runtime writes on to the renamed file: it gets its name back, unless a new one is there after all */
        if (!file_exists(reopening->path) && rename(reopening->rotated, reopening->path) < 0)
            log_warn("cannot give a log its name back: kubectl logs shows nothing new of this container", "path",
                     reopening->path, "written", reopening->rotated, "error", strerror(errno));
    } else {
        compress_older(reopening->rotation, reopening->path);
    }
    reopening_free(reopening);
}

static bool is_under_way(const struct log_rotation *rotation, const char *path)
{
    for (const struct reopening *one = rotation->reopenings; one != NULL; one = one->next)
        if (streq(one->path, path))
            return true;
    return false;
}

char *log_rotation_name(const char *path, int64_t now_s)
{
    CLEANUP(strv_done) struct strv rotated = {0};
    char stamp[STAMP_MAX];
    struct tm parts = {0};
    time_t now = (time_t)now_s;

    log_rotation_list(path, &rotated);
    if (rotated.n > 0 && strptime(rotated.items[rotated.n - 1] + strlen(path) + 1, STAMP_FORMAT, &parts) != NULL &&
        timegm(&parts) >= now)
        now = timegm(&parts) + 1;
    (void)gmtime_r(&now, &parts);
    (void)strftime(stamp, sizeof(stamp), STAMP_FORMAT, &parts);
    return xasprintf("%s.%s", path, stamp);
}

static void rotate(struct log_rotation *rotation, const struct pod_container *container, const char *path)
{
    struct reopening *reopening = NEW(struct reopening);

    remove_oldest(path, rotation->agent->options.log_max_files - 2);
    *reopening = (struct reopening){.rotation = rotation, .next = rotation->reopenings, .path = xstrdup(path),
                                    .rotated = log_rotation_name(path, clock_wall_ns() / 1000000000)};
    if (rotation->reopenings != NULL)
        rotation->reopenings->previous = reopening;
    rotation->reopenings = reopening;
    if (rename(path, reopening->rotated) < 0) {
        log_warn("cannot rotate a log: it grows on", "path", path, "error", strerror(errno));
        reopening_free(reopening);
        return;
    }
    cri_reopen_log(rotation->agent->cri, container->current->id, on_reopened, reopening);
}

static void look_at(struct log_rotation *rotation, const struct pod_container *container)
{
    const struct pod *pod = container->pod;
    struct stat facts;

    if (!pod_container_runs(container) || pod->object == NULL)
        return;
    CLEANUP(xfree) char *folder = podspec_log_directory(pod->object, rotation->agent->options.log_dir);
    CLEANUP(xfree) char *relative = podspec_log_path(container->name, container->current->attempt);
    CLEANUP(xfree) char *path = path_join(folder, relative, NULL);
    if (lstat(path, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size > rotation->agent->options.log_max_b &&
        !is_under_way(rotation, path))
        rotate(rotation, container, path);
}

static void look(void *data)
{
    struct log_rotation *rotation = data;
    struct pod *pod;

    for (size_t i = 0; pods_next(rotation->agent->pods, &i, &pod);)
        for (size_t j = 0; j < pod->n_containers; j++)
            look_at(rotation, pod->containers[j]);
    loop_timer_set(rotation->timer, LOOK_EVERY_MS);
}

struct log_rotation *log_rotation_new(struct agent *agent)
{
    struct log_rotation *rotation = NEW(struct log_rotation);

    rotation->agent = agent;
    rotation->timer = loop_timer_new(agent->loop, look, rotation);
    loop_timer_set(rotation->timer, LOOK_EVERY_MS);
    return rotation;
}

struct log_rotation *log_rotation_free(struct log_rotation *rotation)
{
    if (rotation != NULL) {
        loop_timer_free(rotation->timer);
        while (rotation->reopenings != NULL) /* their answers do not come any more */
            reopening_free(rotation->reopenings);
        free(rotation);
    }
    return NULL;
}
