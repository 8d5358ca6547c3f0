/*
 * cgroups_use.c: what a pod or one of its containers uses, read from the files of its cgroup. A file that is not there
 * counts as nothing: kernels differ in which they have.
 */
#include <dirent.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#include "host/cgroups_internal.h"

#define DISKS_MAX 64
/* v1 says this, rounded to a page, for "no limit" */
#define UNLIMITED_B (INT64_MAX - (1 << 20))

static int64_t read_number(const char *directory, const char *file)
{
    CLEANUP(xfree) char *path = path_join(directory, file, NULL);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err ignored = {0};

    return file_read(path, KIB(4), &text, &ignored) < 0 ? 0 : strtoll(buf_text(&text), NULL, 10);
}

/* "key value" lines; 0 for a key that is not there. */
static int64_t stat_value(const struct buf *text, const char *key)
{
    size_t len = strlen(key);

    for (const char *line = buf_text(text); line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, len) == 0 && line[len] == ' ')
            return strtoll(line + len + 1, NULL, 10);
    }
    return 0;
}

static void read_stat(const char *directory, const char *file, struct buf *ret)
{
    CLEANUP(xfree) char *path = path_join(directory, file, NULL);
    struct err ignored = {0};

    if (file_read(path, KIB(64), ret, &ignored) < 0)
        err_clear(&ignored);
}

/* Counts the processes below and finds one of them, by which the network namespace can be looked at. */
static void count_processes(const char *directory, int depth, struct cgroups_usage *ret)
{
    CLEANUP(buf_done) struct buf text = {0};
    DIR *listing = opendir(directory);
    const struct dirent *entry;

    read_stat(directory, "cgroup.procs", &text);
    for (const char *c = buf_text(&text); *c != '\0'; c++) {
        if (ret->pid == 0)
            ret->pid = (pid_t)strtoll(c, NULL, 10);
        c = strchrnul(c, '\n');
        ret->processes++;
        if (*c == '\0')
            break;
    }
    while (listing != NULL && depth < CGROUPS_DEPTH_MAX && (entry = readdir(listing)) != NULL) {
        if (entry->d_type != DT_DIR || *entry->d_name == '.')
            continue;
        CLEANUP(xfree) char *child = path_join(directory, entry->d_name, NULL);
        count_processes(child, depth + 1, ret);
    }
    if (listing != NULL)
        closedir(listing);
}

bool cgroups_usage(const struct cgroups *cgroups, const char *uid, struct cgroups_usage *ret)
{
    CLEANUP(xfree) char *memory = cgroups_controller_path(cgroups, "memory", uid);
    CLEANUP(xfree) char *cpu = cgroups_controller_path(cgroups, "cpuacct", uid);
    CLEANUP(buf_done) struct buf memory_stat = {0};
    CLEANUP(buf_done) struct buf cpu_stat = {0};
    const char *prefix = cgroups->v2 ? "" : "total_";

    *ret = (struct cgroups_usage){0};
    if (!file_exists(memory))
        return false;
    read_stat(memory, "memory.stat", &memory_stat);
    if (cgroups->v2) {
        read_stat(cpu, "cpu.stat", &cpu_stat);
        ret->cpu_ns = stat_value(&cpu_stat, "usage_usec") * 1000;
        ret->memory_b = read_number(memory, "memory.current");
        ret->rss_b = stat_value(&memory_stat, "anon");
    } else {
        ret->cpu_ns = read_number(cpu, "cpuacct.usage");
        ret->memory_b = read_number(memory, "memory.usage_in_bytes");
        ret->rss_b = stat_value(&memory_stat, "total_rss");
    }
    static const char *const keys[] = {"inactive_file", "pgfault", "pgmajfault"};
    int64_t values[countof(keys)];
    for (size_t i = 0; i < countof(keys); i++) {
        CLEANUP(xfree) char *key = xasprintf("%s%s", prefix, keys[i]);
        values[i] = stat_value(&memory_stat, key);
    }
    ret->working_set_b = ret->memory_b > values[0] ? ret->memory_b - values[0] : 0;
    ret->page_faults = values[1];
    ret->major_page_faults = values[2];
    count_processes(memory, 0, ret);
    return true;
}

/* --- figures */

/* "max" and the like are no number: 0. */
static int64_t limit_of(int64_t value_b)
{
    return value_b >= UNLIMITED_B ? 0 : value_b;
}

/* As tools know it, "/dev/vda"; what the kernel does not name, an overlay's device for one, keeps its number. */
static char *device_name(const char *number)
{
    CLEANUP(xfree) char *link = path_join("/sys/dev/block", number, NULL);
    char target[PATH_MAX];
    ssize_t len = readlink(link, target, sizeof(target) - 1);

    if (len <= 0)
        return xstrdup(number);
    target[len] = '\0';
    const char *slash = strrchr(target, '/');
    return xasprintf("/dev/%s", slash != NULL ? slash + 1 : target);
}

static struct cgroups_disk *disk_of(struct cgroups_figures *figures, const char *number)
{
    CLEANUP(xfree) char *name = device_name(number);

    for (size_t i = 0; i < figures->n_disks; i++)
        if (streq(figures->disks[i].device, name))
            return &figures->disks[i];
    if (figures->n_disks == DISKS_MAX)
        return NULL;
    figures->disks = xrealloc(figures->disks, figures->n_disks + 1, sizeof(figures->disks[0]));
    figures->disks[figures->n_disks] = (struct cgroups_disk){.device = take(&name)};
    return &figures->disks[figures->n_disks++];
}

/* "254:0 Read 4096" (v1) or "254:0 rbytes=4096 wbytes=0 rios=1 wios=0" (v2). */
static void add_disk_line(struct cgroups_figures *figures, const char *line, bool operations)
{
    CLEANUP(strv_done) struct strv words = {0};
    const struct {
        const char *key;
        size_t at;
    } keys[] = {
        {"rbytes=", offsetof(struct cgroups_disk, read_b)},
        {"wbytes=", offsetof(struct cgroups_disk, written_b)},
        {"rios=", offsetof(struct cgroups_disk, reads)},
        {"wios=", offsetof(struct cgroups_disk, writes)},
    };

    strv_split(&words, line, ' ');
    if (words.n < 2 || strchr(words.items[0], ':') == NULL)
        return;
    struct cgroups_disk *disk = disk_of(figures, words.items[0]);
    if (disk == NULL)
        return;
    if (words.n == 3 && streq(words.items[1], "Read"))
        *(operations ? &disk->reads : &disk->read_b) += strtoll(words.items[2], NULL, 10);
    else if (words.n == 3 && streq(words.items[1], "Write"))
        *(operations ? &disk->writes : &disk->written_b) += strtoll(words.items[2], NULL, 10);
    for (size_t i = 1; i < words.n; i++)
        for (size_t k = 0; k < countof(keys); k++)
            if (starts_with(words.items[i], keys[k].key))
                *(int64_t *)(void *)((char *)disk + keys[k].at) += strtoll(words.items[i] + strlen(keys[k].key), NULL, 10);
}

static void read_disks(const char *directory, const char *file, bool operations, struct cgroups_figures *ret)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(strv_done) struct strv lines = {0};

    read_stat(directory, file, &text);
    strv_split(&lines, buf_text(&text), '\n');
    for (size_t i = 0; i < lines.n; i++)
        add_disk_line(ret, lines.items[i], operations);
}

/* "some avg10=0.12 avg60=0.00 avg300=0.00 total=4711", and the same of "full", which old kernels do not have for CPU. */
static void read_pressure(const char *directory, const char *file, struct cgroups_pressure *ret)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(strv_done) struct strv lines = {0};

    read_stat(directory, file, &text); /* fails where the kernel was started without it, too */
    strv_split(&lines, buf_text(&text), '\n');
    for (size_t i = 0; i < lines.n; i++) {
        CLEANUP(strv_done) struct strv words = {0};
        strv_split(&words, lines.items[i], ' ');
        if (words.n == 0 || (!streq(words.items[0], "some") && !streq(words.items[0], "full")))
            continue;
        struct cgroups_waiting *waiting = streq(words.items[0], "some") ? &ret->some : &ret->full;
        ret->known = 1;
        for (size_t k = 1; k < words.n; k++) {
            const char *equals = strchrnul(words.items[k], '=');
            const char *number = *equals == '=' ? equals + 1 : "";
            if (starts_with(words.items[k], "total="))
                waiting->total_us = strtoll(number, NULL, 10);
            else if (starts_with(words.items[k], "avg10="))
                waiting->avg10 = strtod(number, NULL);
            else if (starts_with(words.items[k], "avg60="))
                waiting->avg60 = strtod(number, NULL);
            else if (starts_with(words.items[k], "avg300="))
                waiting->avg300 = strtod(number, NULL);
        }
    }
}

static void figures_v2(const char *directory, struct cgroups_figures *ret)
{
    CLEANUP(buf_done) struct buf cpu = {0};
    CLEANUP(buf_done) struct buf memory = {0};
    CLEANUP(buf_done) struct buf events = {0};
    CLEANUP(buf_done) struct buf quota = {0};

    read_stat(directory, "cpu.stat", &cpu);
    ret->user_ns = stat_value(&cpu, "user_usec") * 1000;
    ret->system_ns = stat_value(&cpu, "system_usec") * 1000;
    ret->periods = stat_value(&cpu, "nr_periods");
    ret->throttled_periods = stat_value(&cpu, "nr_throttled");
    ret->throttled_ns = stat_value(&cpu, "throttled_usec") * 1000;
    read_stat(directory, "cpu.max", &quota); /* "25000 100000", "max 100000" */
    const char *space = strchr(buf_text(&quota), ' ');
    ret->quota_us = strtoll(buf_text(&quota), NULL, 10);
    ret->period_us = space != NULL ? strtoll(space, NULL, 10) : 0;

    read_stat(directory, "memory.stat", &memory);
    ret->cache_b = stat_value(&memory, "file");
    ret->mapped_b = stat_value(&memory, "file_mapped");
    ret->swap_b = read_number(directory, "memory.swap.current");
    ret->memory_peak_b = read_number(directory, "memory.peak");
    ret->memory_limit_b = read_number(directory, "memory.max");
    read_stat(directory, "memory.events", &events);
    ret->memory_failures = stat_value(&events, "max");
    ret->oom_kills = stat_value(&events, "oom_kill");
    ret->threads = read_number(directory, "pids.current");
    read_disks(directory, "io.stat", false, ret);
    read_pressure(directory, "cpu.pressure", &ret->cpu_pressure);
    read_pressure(directory, "memory.pressure", &ret->memory_pressure);
    read_pressure(directory, "io.pressure", &ret->io_pressure);
}

static void figures_v1(const struct cgroups *cgroups, const char *path, struct cgroups_figures *ret)
{
    CLEANUP(xfree) char *cpu = path_join(cgroups->mount, "cpu", path, NULL);
    CLEANUP(xfree) char *cpuacct = path_join(cgroups->mount, "cpuacct", path, NULL);
    CLEANUP(xfree) char *memory = path_join(cgroups->mount, "memory", path, NULL);
    CLEANUP(xfree) char *pids = path_join(cgroups->mount, "pids", path, NULL);
    CLEANUP(xfree) char *blkio = path_join(cgroups->mount, "blkio", path, NULL);
    CLEANUP(buf_done) struct buf quota = {0};
    CLEANUP(buf_done) struct buf ticks = {0};
    CLEANUP(buf_done) struct buf use = {0};
    CLEANUP(buf_done) struct buf oom = {0};
    int64_t tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);

    read_stat(cpuacct, "cpuacct.stat", &ticks);
    ret->user_ns = stat_value(&ticks, "user") * tick_ns;
    ret->system_ns = stat_value(&ticks, "system") * tick_ns;
    read_stat(cpu, "cpu.stat", &quota);
    ret->periods = stat_value(&quota, "nr_periods");
    ret->throttled_periods = stat_value(&quota, "nr_throttled");
    ret->throttled_ns = stat_value(&quota, "throttled_time");
    ret->quota_us = read_number(cpu, "cpu.cfs_quota_us"); /* -1: none */
    ret->period_us = read_number(cpu, "cpu.cfs_period_us");

    read_stat(memory, "memory.stat", &use);
    ret->cache_b = stat_value(&use, "total_cache");
    ret->mapped_b = stat_value(&use, "total_mapped_file");
    ret->swap_b = stat_value(&use, "total_swap");
    ret->memory_peak_b = read_number(memory, "memory.max_usage_in_bytes");
    ret->memory_limit_b = limit_of(read_number(memory, "memory.limit_in_bytes"));
    ret->memory_failures = read_number(memory, "memory.failcnt");
    read_stat(memory, "memory.oom_control", &oom);
    ret->oom_kills = stat_value(&oom, "oom_kill");
    ret->threads = read_number(pids, "pids.current");
    read_disks(blkio, "blkio.throttle.io_service_bytes_recursive", false, ret);
    read_disks(blkio, "blkio.throttle.io_serviced_recursive", true, ret);
}

bool cgroups_figures(const struct cgroups *cgroups, const char *uid, const char *container_id,
                     struct cgroups_figures *ret)
{
    CLEANUP(xfree) char *pod = cgroups_path(cgroups, uid);
    CLEANUP(xfree) char *path = container_id != NULL ? path_join(pod, container_id, NULL) : xstrdup(pod);
    CLEANUP(xfree) char *memory = path_join(cgroups->mount, cgroups->v2 ? "." : "memory", path, NULL);
    struct cgroups_usage processes = {0};

    *ret = (struct cgroups_figures){0};
    if (!file_exists(memory))
        return false;
    if (cgroups->v2)
        figures_v2(memory, ret);
    else
        figures_v1(cgroups, path, ret);
    if (ret->quota_us < 0)
        ret->quota_us = 0;
    count_processes(memory, 0, &processes);
    ret->processes = processes.processes;
    return true;
}

void cgroups_figures_done(struct cgroups_figures *figures)
{
    for (size_t i = 0; i < figures->n_disks; i++)
        free(figures->disks[i].device);
    free(figures->disks);
    *figures = (struct cgroups_figures){0};
}
