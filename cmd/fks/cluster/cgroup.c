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
#define MOVE_ROUNDS 100 /* processes that start others while they are moved */

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

/* The processes of one cgroup, without those in cgroups below; 0 stands for one of another pid namespace. */
static void list_processes(const char *cgroup, struct strv *ret)
{
    CLEANUP(xfree) char *path = path_join(cgroup, "cgroup.procs", NULL);
    CLEANUP(buf_done) struct buf text = {0};
    struct err ignored = {0};
    if (file_read(path, LIMIT_FILE, &text, &ignored) < 0)
        err_clear(&ignored); /* gone, and with it all that was in it */
    CLEANUP(strv_done) struct strv lines = {0};
    strv_split(&lines, buf_text(&text), '\n');
    for (size_t i = 0; i < lines.n; i++)
        if (lines.items[i][0] != '\0')
            strv_add(ret, lines.items[i]);
}

/*
 * In a container with a namespace of cgroups, what looks like the root is a cgroup that holds the container's processes,
 * and on v2 one that holds processes hands no memory controller down. They move into a cgroup beside fksI, as other
 * programs that run clusters in containers have it; a runtime that enters the container later looks where its first
 * process is.
 */
static int empty_root(struct err *err)
{
    /* only the real root has no type */
    if (!is_v2() || !file_exists(CGROUP_ROOT "/cgroup.type"))
        return 0;
    for (int round = 0; round < MOVE_ROUNDS; round++) {
        CLEANUP(strv_done) struct strv pids = {0};
        struct err ignored = {0};
        list_processes(CGROUP_ROOT, &pids);
        if (pids.n == 0)
            return 0;
        if (mkdir(CGROUP_ROOT "/init", 0755) != 0 && errno != EEXIST)
            return err_errno(err, errno, "making the cgroup '%s'", CGROUP_ROOT "/init");
        for (size_t i = 0; i < pids.n; i++)
            if (!streq(pids.items[i], "0") && write_line(CGROUP_ROOT "/init/cgroup.procs", pids.items[i], &ignored) < 0)
                err_clear(&ignored); /* it may have ended; who is left is seen in the next round */
    }
    return err_set(err, ERR_BUSY,
                   "processes in '%s' cannot be moved to '%s': give the container a pid namespace of its own, too",
                   CGROUP_ROOT, CGROUP_ROOT "/init");
}

/* Kernels may be built or started without a controller, and a container need not be given every one. */
static int check_controllers(const struct cluster *cluster, struct err *err)
{
    static const char *const needed[] = {"cpu", "memory", "pids"};
    if (!is_v2())
        return 0;
    CLEANUP(xfree) char *path = tracking_path(cluster, "cgroup.controllers");
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(strv_done) struct strv there = {0};
    int r = file_read(path, LIMIT_FILE, &text, err);
    if (r < 0)
        return r;
    if (ends_with(buf_text(&text), "\n"))
        buf_truncate(&text, text.len - 1);
    strv_split(&there, buf_text(&text), ' ');
    for (size_t i = 0; i < countof(needed); i++)
        if (!strv_has(&there, needed[i]))
            return err_set(err, ERR_UNSUPPORTED,
                           "the cgroup controller '%s' is not available ('%s' has: %s): pods cannot be limited; on some "
                           "machines the kernel needs 'cgroup_enable=%s' on its command line",
                           needed[i], path, text.len > 0 ? buf_text(&text) : "none", needed[i]);
    return 0;
}

int cgroup_make(const struct cluster *cluster, struct err *err)
{
    CLEANUP(xfree) char *name = cluster_cgroup(cluster);
    CLEANUP(xfree) char *system = tracking_path(cluster, "system");
    int r;
    if ((r = empty_root(err)) < 0 || (r = make_everywhere(name, err)) < 0 ||
        (r = check_controllers(cluster, err)) < 0)
        return r;
    return dir_make(system, 0755, err);
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
    struct err ignored = {0};
    CLEANUP(strv_done) struct strv pids = {0};
    list_processes(path, &pids);
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
