/*
 * cgroup.c: see cgroup.h. On v1 processes are tracked in the pids hierarchy (runc joins containers to all), and fksI is
 * removed from every hierarchy.
 */
#include "cluster/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define KILL_TIMEOUT_MS 10000
#define KILL_STEP_US 20000

static bool is_v2(void)
{
    return file_exists(CGROUP_ROOT "/cgroup.controllers");
}

/* The mount points of the hierarchies: one on v2; on v1 one each. */
static void hierarchies(struct strv *ret)
{
    if (is_v2()) {
        strv_add(ret, CGROUP_ROOT);
        return;
    }
    DIR *folder = opendir(CGROUP_ROOT);
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' && entry->d_type == DT_DIR)
            strv_addf(ret, CGROUP_ROOT "/%s", entry->d_name);
    if (folder != NULL)
        closedir(folder);
}

/* The one in which processes are looked up. */
static char *tracking_path(const struct cluster *cluster, const char *below)
{
    CLEANUP(xfree) char *name = cluster_cgroup(cluster);
    return xasprintf("%s/%s%s%s", is_v2() ? CGROUP_ROOT : CGROUP_ROOT "/pids", name, *below ? "/" : "", below);
}

static int write_line(const char *path, const char *text, struct err *err)
{
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return err_errno(err, errno, "writing '%s' to '%s'", text, path);
    return 0;
}

/* On v1 a new cpuset is empty and takes no process until its parent's values are copied. */
static void fill_cpuset(const char *cgroup)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (size_t i = 0; i < countof(files); i++) {
        CLEANUP(xfree) char *parent = xasprintf("%s/../%s", cgroup, files[i]);
        CLEANUP(xfree) char *own = path_join(cgroup, files[i], NULL);
        CLEANUP(buf_done) struct buf text = {0};
        struct err ignored = {0};
        if (file_read(parent, LIMIT_FILE, &text, &ignored) < 0 || write_line(own, buf_text(&text), &ignored) < 0)
            err_clear(&ignored); /* a runtime that fills it itself is fine with an empty one */
    }
}

/* On v2 a controller works in a cgroup only when its parent hands it down. */
static void hand_down_controllers(const char *cgroup)
{
    static const char *const controllers[] = {"+cpu", "+cpuset", "+memory", "+pids", "+io", "+hugetlb"};
    CLEANUP(xfree) char *path = path_join(cgroup, "cgroup.subtree_control", NULL);
    for (size_t i = 0; i < countof(controllers); i++) {
        struct err ignored = {0};
        if (write_line(path, controllers[i], &ignored) < 0)
            err_clear(&ignored); /* not every kernel has every controller */
    }
}

/* Makes one cgroup, given from the hierarchies' roots, in all of them; its parent exists. */
static int make_everywhere(const char *name, struct err *err)
{
    CLEANUP(strv_done) struct strv roots = {0};
    hierarchies(&roots);
    for (size_t i = 0; i < roots.n; i++) {
        if (!is_v2() && ends_with(roots.items[i], "/unified"))
            continue;
        CLEANUP(xfree) char *path = path_join(roots.items[i], name, NULL);
        CLEANUP(xfree) char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
        if (is_v2())
            hand_down_controllers(parent);
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return err_errno(err, errno, "making the cgroup '%s'", path);
        if (ends_with(roots.items[i], "/cpuset"))
            fill_cpuset(path);
        struct err ignored = {0};
        CLEANUP(xfree) char *hierarchy = path_join(path, "memory.use_hierarchy", NULL);
        if (ends_with(roots.items[i], "/memory") && write_line(hierarchy, "1", &ignored) < 0)
            err_clear(&ignored); /* newer kernels have it always on */
    }
    return 0;
}

int cgroup_make(const struct cluster *cluster, struct err *err)
{
    CLEANUP(xfree) char *name = cluster_cgroup(cluster);
    CLEANUP(xfree) char *system = tracking_path(cluster, "system");
    int r = make_everywhere(name, err);
    return r < 0 ? r : dir_make(system, 0755, err);
}

int cgroup_make_host(const struct cluster *cluster, const struct cluster_host *host, struct err *err)
{
    CLEANUP(xfree) char *all = cluster_cgroup(cluster);
    CLEANUP(xfree) char *name = path_join(all, host->name, NULL);
    return make_everywhere(name, err);
}

int cgroup_add(const struct cluster *cluster, pid_t pid, struct err *err)
{
    CLEANUP(xfree) char *procs = tracking_path(cluster, "system/cgroup.procs");
    CLEANUP(xfree) char *text = xasprintf("%d", (int)pid);
    return write_line(procs, text, err);
}

/* Sends SIGKILL to every process at and below a cgroup; returns how many there were. */
static size_t kill_below(const char *path)
{
    size_t found = 0;
    CLEANUP(xfree) char *procs = path_join(path, "cgroup.procs", NULL);
    CLEANUP(buf_done) struct buf text = {0};
    struct err ignored = {0};
    if (file_read(procs, LIMIT_FILE, &text, &ignored) < 0)
        err_clear(&ignored);
    CLEANUP(strv_done) struct strv pids = {0};
    strv_split(&pids, buf_text(&text), '\n');
    for (size_t i = 0; i < pids.n; i++) {
        int64_t pid;
        if (parse_int(pids.items[i], 1, INT32_MAX, &pid, &ignored) < 0) {
            err_clear(&ignored);
            continue;
        }
        if (pid == getpid())
            continue;
        found++;
        (void)kill((pid_t)pid, SIGKILL);
    }
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        CLEANUP(xfree) char *child = path_join(path, entry->d_name, NULL);
        found += kill_below(child);
    }
    if (folder != NULL)
        closedir(folder);
    return found;
}

static void remove_below(const char *path)
{
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        CLEANUP(xfree) char *child = path_join(path, entry->d_name, NULL);
        remove_below(child);
    }
    if (folder != NULL)
        closedir(folder);
    (void)rmdir(path);
}

/* Kills and removes the cgroup `name` of every hierarchy, given from the hierarchies' roots. */
static int kill_tree(const char *name, struct err *err)
{
    CLEANUP(xfree) char *tracked = path_join(is_v2() ? CGROUP_ROOT : CGROUP_ROOT "/pids", name, NULL);
    int64_t deadline = clock_monotonic_ms() + KILL_TIMEOUT_MS;
    while (kill_below(tracked) > 0) {
        if (clock_monotonic_ms() > deadline)
            return err_set(err, ERR_TIMEOUT, "processes under '%s' do not end: see its cgroup.procs", tracked);
        usleep(KILL_STEP_US);
    }
    CLEANUP(strv_done) struct strv roots = {0};
    hierarchies(&roots);
    for (size_t i = 0; i < roots.n; i++) {
        CLEANUP(xfree) char *path = path_join(roots.items[i], name, NULL);
        /* a dying process holds its cgroup for a moment */
        while (remove_below(path), file_exists(path) && clock_monotonic_ms() < deadline)
            usleep(KILL_STEP_US);
        if (file_exists(path))
            return err_set(err, ERR_BUSY, "the cgroup '%s' cannot be removed: something still uses it", path);
    }
    return 0;
}

int cgroup_kill(const struct cluster *cluster, struct err *err)
{
    CLEANUP(xfree) char *name = cluster_cgroup(cluster);
    return kill_tree(name, err);
}

int cgroup_kill_host(const struct cluster *cluster, const struct cluster_host *host, struct err *err)
{
    CLEANUP(xfree) char *all = cluster_cgroup(cluster);
    CLEANUP(xfree) char *name = path_join(all, host->name, NULL);
    return kill_tree(name, err);
}
