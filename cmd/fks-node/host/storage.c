/*
 * storage.c: see storage.h. Walking through volumes and logs may take long, so a child process does it every ten seconds,
 * if that is not too often for it, and writes what it found; the writable layers are the runtime's to measure.
 */
#include "host/storage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/quantity.h"

#include "pod/pod.h"
#include "pods.h"
#include "volumes/volumes.h"

#define EVERY_MS 10000
#define REST_FACTOR 20 /* at least so many times as long as measuring took: a twentieth of a CPU at most */
#define FIRST_MS 5000
#define DEPTH_MAX 64
#define PRESSURE_PERCENT 5 /* of the disk left: no new pods */
#define RELIEF_PERCENT 7   /* taken again: a little more, or it would go to and fro */
#define MEASURE_NICENESS 10

struct storage {
    struct agent *agent;
    struct loop_timer *timer;
    pid_t child; /* 0: none */
    int64_t started_ms;
    int output;  /* memory file that the child writes to */
    bool pressure;
};

/* --- measuring, in the child */

static void measure_below(int folder, dev_t device, int depth, int64_t *bytes, int64_t *files)
{
    DIR *listing = fdopendir(folder);
    const struct dirent *entry;
    struct stat facts;

    if (listing == NULL) {
        (void)close(folder);
        return;
    }
    while ((entry = readdir(listing)) != NULL) {
        if (streq(entry->d_name, ".") || streq(entry->d_name, "..") ||
            fstatat(dirfd(listing), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) < 0 || facts.st_dev != device)
            continue;
        *bytes += facts.st_blocks * 512;
        *files += 1;
        int child = S_ISDIR(facts.st_mode) && depth < DEPTH_MAX
                        ? openat(dirfd(listing), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                        : -1;
        if (child >= 0)
            measure_below(child, device, depth + 1, bytes, files);
    }
    (void)closedir(listing);
}

void storage_measure(const char *path, int64_t *ret_bytes, int64_t *ret_files)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat facts;

    *ret_bytes = *ret_files = 0;
    if (folder < 0)
        return;
    if (fstat(folder, &facts) < 0) {
        (void)close(folder);
        return;
    }
    *ret_bytes = facts.st_blocks * 512;
    *ret_files = 1;
    measure_below(folder, facts.st_dev, 0, ret_bytes, ret_files);
}

static bool is_on_disk(const struct json *volume)
{
    const struct json *body = json_get(volume, "emptyDir", NULL);

    return body != NULL && *json_str_or("", body, "medium", NULL) == '\0';
}

static void measure_pod(const struct pod *pod, struct buf *out)
{
    const struct agent_options *options = &pod->agent->options;
    CLEANUP(xfree) char *logs = podspec_log_directory(pod->object, options->log_dir);
    CLEANUP(xfree) char *folder = volumes_pod_dir(options->state_dir, pod->uid);
    const struct json *volume;
    int64_t bytes, files;

    json_each(volume, json_get(pod->object, "spec", "volumes", NULL)) {
        const char *name = json_str_or("", volume, "name", NULL);
        CLEANUP(xfree) char *path = path_join(folder, "volumes", name, NULL);
        if (!is_on_disk(volume))
            continue;
        storage_measure(path, &bytes, &files);
        buf_printf(out, "%s v %s %" PRId64 " %" PRId64 "\n", pod->uid, name, bytes, files);
    }
    for (size_t i = 0; i < pod->n_containers; i++) {
        CLEANUP(xfree) char *path = path_join(logs, pod->containers[i]->name, NULL);
        storage_measure(path, &bytes, &files);
        buf_printf(out, "%s l %s %" PRId64 "\n", pod->uid, pod->containers[i]->name, bytes);
    }
}

static void NORETURN run_child(const struct storage *storage)
{
    CLEANUP(buf_done) struct buf out = {0};
    struct err ignored = {0};
    struct pod *pod;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)!nice(MEASURE_NICENESS);
    for (size_t i = 0; pods_next(storage->agent->pods, &i, &pod);)
        if (pod->object != NULL)
            measure_pod(pod, &out);
    _exit(fd_write_all(storage->output, buf_text(&out), out.len, &ignored) < 0 ? 1 : 0);
}

/* --- limits */

/* A quantity in bytes, -1 if there is none. */
static int64_t bytes_of(const char *text)
{
    CLEANUP(err_clear) struct err ignored = {0};
    int64_t bytes;

    return text != NULL && quantity_parse_units(text, &bytes, &ignored) == 0 ? bytes : -1;
}

static const struct pod_volume_use *use_of(const struct pod *pod, const char *volume)
{
    for (size_t i = 0; i < pod->n_volume_use; i++)
        if (streq(pod->volume_use[i].name, volume))
            return &pod->volume_use[i];
    return NULL;
}

static char *volume_excess(const struct pod *pod)
{
    const struct json *volume;

    json_each(volume, json_get(pod->object, "spec", "volumes", NULL)) {
        const char *name = json_str_or("", volume, "name", NULL);
        const char *limit = json_str(volume, "emptyDir", "sizeLimit", NULL);
        const struct pod_volume_use *use = use_of(pod, name);
        if (use != NULL && bytes_of(limit) > 0 && use->used_b > bytes_of(limit))
            return xasprintf("Usage of EmptyDir volume \"%s\" exceeds the limit \"%s\". ", name, limit);
    }
    return NULL;
}

static char *container_excess(const struct pod *pod)
{
    for (size_t i = 0; i < pod->n_containers; i++) {
        const struct pod_container *container = pod->containers[i];
        const char *limit = json_str(container->spec, "resources", "limits", "ephemeral-storage", NULL);
        if (bytes_of(limit) > 0 && container->logs_b + container->layer_b > bytes_of(limit))
            return xasprintf("Container %s exceeded its local ephemeral storage limit \"%s\". ", container->name, limit);
    }
    return NULL;
}

static char *pod_excess(const struct pod *pod)
{
    int64_t used_b = 0, limit_b = 0;
    CLEANUP(buf_done) struct buf text = {0};

    for (size_t i = 0; i < pod->n_volume_use; i++)
        used_b += pod->volume_use[i].used_b;
    for (size_t i = 0; i < pod->n_containers; i++) {
        const struct pod_container *container = pod->containers[i];
        int64_t own_b = bytes_of(json_str(container->spec, "resources", "limits", "ephemeral-storage", NULL));
        used_b += container->logs_b + container->layer_b;
        if (container->kind == POD_CONTAINER_MAIN && own_b > 0)
            limit_b += own_b;
    }
    if (limit_b > 0 && used_b > limit_b) {
        quantity_print_bytes(limit_b, &text);
        return xasprintf("Pod ephemeral local storage usage exceeds the total limit of containers %s. ", buf_text(&text));
    }
    if (pod->size.storage_b > 0 && used_b > pod->size.storage_b) { /* a machine of its own would be full */
        quantity_print_bytes(pod->size.storage_b, &text);
        return xasprintf("The node was low on resource: ephemeral-storage. The pod uses more than the %s of its node. ",
                         buf_text(&text));
    }
    return NULL;
}

char *storage_excess(const struct pod *pod)
{
    char *message = volume_excess(pod);

    if (message == NULL)
        message = container_excess(pod);
    return message != NULL ? message : pod_excess(pod);
}

static void check_limits(const struct storage *storage)
{
    struct pod *pod;

    for (size_t i = 0; pods_next(storage->agent->pods, &i, &pod);) {
        char *message = pod->object != NULL && !pod->ending && pod->failed_reason == NULL ? storage_excess(pod) : NULL;
        if (message != NULL)
            pod_evict(pod, message);
    }
}

/* --- the child's answer */

static void set_volume_use(struct pod *pod, const char *name, int64_t bytes, int64_t files)
{
    for (size_t i = 0; i < pod->n_volume_use; i++)
        if (streq(pod->volume_use[i].name, name)) {
            pod->volume_use[i].used_b = bytes;
            pod->volume_use[i].inodes = files;
            return;
        }
    pod->volume_use = xrealloc(pod->volume_use, pod->n_volume_use + 1, sizeof(pod->volume_use[0]));
    pod->volume_use[pod->n_volume_use++] = (struct pod_volume_use){xstrdup(name), bytes, files};
}

static void read_line(struct pods *pods, const char *line, int64_t now_ns)
{
    CLEANUP(strv_done) struct strv words = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    int64_t bytes, files = 0;

    strv_split(&words, line, ' ');
    if (words.n < 4 || parse_int(words.items[3], 0, INT64_MAX, &bytes, &ignored) < 0 ||
        (words.n > 4 && parse_int(words.items[4], 0, INT64_MAX, &files, &ignored) < 0))
        return;
    struct pod *pod = pods_get(pods, words.items[0]);
    if (pod == NULL)
        return;
    pod->disk_ns = now_ns;
    if (streq(words.items[1], "v"))
        set_volume_use(pod, words.items[2], bytes, files);
    else
        pod_container_get(pod, words.items[2])->logs_b = bytes;
}

void storage_read(struct pods *pods, const char *text, int64_t now_ns)
{
    CLEANUP(strv_done) struct strv lines = {0};

    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++)
        read_line(pods, lines.items[i], now_ns);
}

static void on_measured(int pid UNUSED, int status, void *data)
{
    struct storage *storage = data;
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};

    storage->child = 0;
    if (status != 0)
        (void)err_set(&err, ERR_IO, "the process ended with status %d", status);
    else if (lseek(storage->output, 0, SEEK_SET) < 0)
        (void)err_errno(&err, errno, "rewinding the measurements");
    else if (fd_read_all(storage->output, &text, &err) == 0)
        storage_read(storage->agent->pods, buf_text(&text), clock_wall_ns());
    if (err.code != 0)
        agent_warn("measuring the pods' disk", storage->agent->options.host_name, &err);
    storage->output = fd_close(storage->output);
    check_limits(storage);
    int64_t rest_ms = (loop_now_ms(storage->agent->loop) - storage->started_ms) * REST_FACTOR;
    loop_timer_set(storage->timer, rest_ms > EVERY_MS ? rest_ms : EVERY_MS);
}

static void measure(struct storage *storage)
{
    CLEANUP(err_clear) struct err err = {0};

    loop_timer_set(storage->timer, EVERY_MS);
    if (storage->child != 0)
        return;
    storage->output = memfd_create("fks-node-storage", MFD_CLOEXEC);
    pid_t pid = storage->output >= 0 ? fork() : -1;
    if (pid == 0)
        run_child(storage);
    if (pid < 0) {
        (void)err_errno(&err, errno, "starting a process");
        agent_warn("measuring the pods' disk", storage->agent->options.host_name, &err);
        storage->output = fd_close(storage->output);
        return;
    }
    storage->child = pid;
    storage->started_ms = loop_now_ms(storage->agent->loop);
    if (loop_child(storage->agent->loop, pid, on_measured, storage, &err) < 0) {
        agent_warn("measuring the pods' disk", storage->agent->options.host_name, &err);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        storage->child = 0;
        storage->output = fd_close(storage->output);
    }
}

/* --- the host's disk */

static void look_at_disk(struct storage *storage)
{
    struct statvfs disk;

    if (statvfs(storage->agent->options.state_dir, &disk) < 0 || disk.f_blocks == 0)
        return;
    int64_t left = (int64_t)(disk.f_bavail * 100 / disk.f_blocks);
    if (disk.f_files > 0 && (int64_t)(disk.f_favail * 100 / disk.f_files) < left)
        left = (int64_t)(disk.f_favail * 100 / disk.f_files);
    bool pressure = left < (storage->pressure ? RELIEF_PERCENT : PRESSURE_PERCENT);
    CLEANUP(xfree) char *percent = xasprintf("%d", (int)left);
    if (pressure && !storage->pressure)
        log_warn("the disk is nearly full, of bytes or of files: no new pods here until there is room", "folder",
                 storage->agent->options.state_dir, "percent_left", percent);
    else if (!pressure && storage->pressure)
        log_info("the disk has room again", "folder", storage->agent->options.state_dir, "percent_left", percent);
    storage->pressure = pressure;
}

bool storage_is_under_pressure(const struct storage *storage)
{
    return storage != NULL && storage->pressure;
}

static void on_layers(const struct cri_stats *items, size_t n, struct err *err, void *data)
{
    struct storage *storage = data;
    struct pod *pod;

    if (err->code != 0)
        agent_warn("asking the runtime for the containers' disk", storage->agent->options.host_name, err);
    for (size_t position = 0; pods_next(storage->agent->pods, &position, &pod);)
        for (size_t i = 0; i < pod->n_containers; i++)
            for (size_t j = 0; j < n && pod->containers[i]->current != NULL; j++)
                if (items[j].layer_time_ns != 0 && streq(items[j].id, pod->containers[i]->current->id))
                    pod->containers[i]->layer_b = (int64_t)items[j].layer_used_b;
    measure(storage);
}

static void look(void *data)
{
    struct storage *storage = data;

    look_at_disk(storage);
    cri_list_stats(storage->agent->cri, NULL, on_layers, storage);
}

struct storage *storage_new(struct agent *agent)
{
    struct storage *storage = NEW(struct storage);

    storage->agent = agent;
    storage->output = -1;
    storage->timer = loop_timer_new(agent->loop, look, storage);
    loop_timer_set(storage->timer, FIRST_MS);
    return storage;
}

struct storage *storage_free(struct storage *storage)
{
    if (storage != NULL) {
        loop_timer_free(storage->timer);
        if (storage->child != 0)
            (void)kill(storage->child, SIGKILL);
        (void)fd_close(storage->output);
        free(storage);
    }
    return NULL;
}
