/*
 * cgroups.c: pod cgroups by writing files. On v2 there is one tree and controllers are enabled from the top down;
 * on v1 every controller has a tree of its own, of which only cpu and memory are set here: runc makes the pod's
 * cgroup in the others, and removal looks through all of them. Only the cgroupfs layout: containerd must run
 * without SystemdCgroup.
 */
#include "host/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#define CPU_PERIOD_US 100000  /* as the kubelet: 1m of CPU is 100 us of a period */
#define CPU_QUOTA_MIN_US 1000 /* the kernel refuses less */
#define DEPTH_MAX 32

struct cgroups {
    char *mount;
    char *root;
    bool v2;
};

static int write_value(const char *directory, const char *file, const char *value, struct err *err)
{
    CLEANUP(xfree) char *path = path_join(directory, file, NULL);
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(err, errno, "opening '%s'", path);
    if (write(fd, value, strlen(value)) < 0)
        return err_errno(err, errno, "writing '%s' to '%s'", value, path);
    return 0;
}

/*
 * v2: a controller that the kernel lacks or the parent does not pass on is no reason to fail here; writing a limit
 * is.
 */
static void enable_controllers(const char *directory)
{
    static const char *const controllers[] = {"+cpu", "+memory", "+pids", "+cpuset", "+io"};

    for (size_t i = 0; i < countof(controllers); i++) {
        struct err ignored = {0};
        if (write_value(directory, "cgroup.subtree_control", controllers[i], &ignored) < 0)
            err_clear(&ignored);
    }
}

/*
 * v1: a new cpuset has no CPUs and takes no process until both files are filled. runc fills its own, not its
 * parents'.
 */
static void fill_cpuset(const char *parent, const char *directory)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};

    for (size_t i = 0; i < countof(files); i++) {
        CLEANUP(xfree) char *from = path_join(parent, files[i], NULL);
        CLEANUP(buf_done) struct buf value = {0};
        struct err ignored = {0};
        if (file_read(from, KIB(4), &value, &ignored) < 0 ||
            (value.len > 1 && write_value(directory, files[i], buf_text(&value), &ignored) < 0))
            err_clear(&ignored);
    }
}

/* Makes mount/controller/path level by level (controller "" on v2). */
static int make_path(const struct cgroups *cgroups, const char *controller, const char *path, struct err *err)
{
    CLEANUP(xfree) char *directory = path_join(cgroups->mount, *controller ? controller : ".", NULL);
    CLEANUP(strv_done) struct strv parts = {0};

    strv_split(&parts, path, '/');
    for (size_t i = 0; i < parts.n; i++) {
        if (*parts.items[i] == '\0')
            continue;
        if (cgroups->v2)
            enable_controllers(directory);
        char *next = path_join(directory, parts.items[i], NULL);
        bool made = mkdir(next, 0755) == 0;
        if (!made && errno != EEXIST) {
            int errnum = errno;
            int result = err_errno(err, errnum, "making the cgroup '%s'", next);
            free(next);
            return result;
        }
        if (made && streq(controller, "cpuset"))
            fill_cpuset(directory, next);
        free(directory);
        directory = next;
    }
    return 0;
}

static char *pod_path(const struct cgroups *cgroups, const char *uid)
{
    return xasprintf("%s/pod%s", cgroups->root, uid);
}

static char *controller_path(const struct cgroups *cgroups, const char *controller, const char *uid)
{
    CLEANUP(xfree) char *pod = pod_path(cgroups, uid);
    return path_join(cgroups->mount, cgroups->v2 ? "." : controller, pod, NULL);
}

int cgroups_new(const char *mount, const char *root, struct cgroups **ret, struct err *err)
{
    CLEANUP(cgroups_free) struct cgroups *cgroups = NEW(struct cgroups);
    CLEANUP(xfree) char *v2_file = path_join(mount, "cgroup.controllers", NULL);
    CLEANUP(xfree) char *v1_cpu = path_join(mount, "cpu", NULL);
    CLEANUP(xfree) char *v1_memory = path_join(mount, "memory", NULL);

    while (*root == '/')
        root++;
    if (*root == '\0' || strstr(root, "..") != NULL)
        return err_set(err, ERR_INVALID, "'%s' is no name for the cgroup of all pods", root);
    cgroups->mount = xstrdup(mount);
    cgroups->root = xstrdup(root);
    cgroups->v2 = file_exists(v2_file);
    if (!cgroups->v2 && (!file_exists(v1_cpu) || !file_exists(v1_memory)))
        return err_set(err, ERR_NOT_FOUND, "'%s' has neither cgroup v2 nor the v1 controllers cpu and memory", mount);

    int result = 0;
    if (cgroups->v2) {
        result = make_path(cgroups, "", root, err);
    } else {
        static const char *const controllers[] = {"cpu", "memory", "cpuset"};
        for (size_t i = 0; i < countof(controllers) && result == 0; i++) {
            CLEANUP(xfree) char *tree = path_join(mount, controllers[i], NULL);
            if (file_exists(tree))
                result = make_path(cgroups, controllers[i], root, err);
        }
    }
    if (result < 0)
        return result;
    *ret = take(&cgroups);
    return 0;
}

struct cgroups *cgroups_free(struct cgroups *cgroups)
{
    if (cgroups != NULL) {
        free(cgroups->mount);
        free(cgroups->root);
        free(cgroups);
    }
    return NULL;
}

char *cgroups_path(const struct cgroups *cgroups, const char *uid)
{
    return xasprintf("/%s/pod%s", cgroups->root, uid);
}

int cgroups_make(const struct cgroups *cgroups, const char *uid, int64_t mem_b, struct err *err)
{
    CLEANUP(xfree) char *path = pod_path(cgroups, uid);
    CLEANUP(xfree) char *directory = controller_path(cgroups, "memory", uid);
    CLEANUP(xfree) char *value = xasprintf("%lld", (long long)mem_b);
    int result;

    if (cgroups->v2) {
        if ((result = make_path(cgroups, "", path, err)) < 0)
            return result;
        enable_controllers(directory);
        return write_value(directory, "memory.max", value, err);
    }
    if ((result = make_path(cgroups, "cpu", path, err)) < 0 || (result = make_path(cgroups, "memory", path, err)) < 0)
        return result;
    /* Old kernels only: without it the limit would not count the containers below. Newer ones have no such file. */
    struct err ignored = {0};
    if (write_value(directory, "memory.use_hierarchy", "1", &ignored) < 0)
        err_clear(&ignored);
    return write_value(directory, "memory.limit_in_bytes", value, err);
}

int cgroups_limit_cpu(const struct cgroups *cgroups, const char *uid, int64_t cpu_m, struct err *err)
{
    CLEANUP(xfree) char *directory = controller_path(cgroups, "cpu", uid);
    int64_t quota = cpu_m * (CPU_PERIOD_US / 1000);

    if (quota < CPU_QUOTA_MIN_US)
        quota = CPU_QUOTA_MIN_US;
    if (cgroups->v2) {
        CLEANUP(xfree) char *value = xasprintf("%lld %d", (long long)quota, CPU_PERIOD_US);
        return write_value(directory, "cpu.max", value, err);
    }
    CLEANUP(xfree) char *period = xasprintf("%d", CPU_PERIOD_US);
    CLEANUP(xfree) char *value = xasprintf("%lld", (long long)quota);
    int result = write_value(directory, "cpu.cfs_period_us", period, err);
    return result < 0 ? result : write_value(directory, "cpu.cfs_quota_us", value, err);
}

/* --- use */

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
    while (listing != NULL && depth < DEPTH_MAX && (entry = readdir(listing)) != NULL) {
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
    CLEANUP(xfree) char *memory = controller_path(cgroups, "memory", uid);
    CLEANUP(xfree) char *cpu = controller_path(cgroups, "cpuacct", uid);
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

/* rmdir, children first: the files of a cgroup go with it and cannot be unlinked. */
static int remove_tree(const char *path, int depth, struct err *err)
{
    DIR *listing = opendir(path);
    int result = 0;

    if (listing == NULL)
        return errno == ENOENT ? 0 : err_errno(err, errno, "opening the cgroup '%s'", path);
    const struct dirent *entry;
    while (result == 0 && (entry = readdir(listing)) != NULL) {
        if (entry->d_type != DT_DIR || streq(entry->d_name, ".") || streq(entry->d_name, ".."))
            continue;
        CLEANUP(xfree) char *child = path_join(path, entry->d_name, NULL);
        if (depth >= DEPTH_MAX)
            result = err_set(err, ERR_TOO_BIG, "cgroups below '%s' are nested too deeply", path);
        else
            result = remove_tree(child, depth + 1, err);
    }
    closedir(listing);
    if (result == 0 && rmdir(path) < 0 && errno != ENOENT) {
        if (errno == EBUSY)
            return err_set(err, ERR_BUSY, "the cgroup '%s' still has processes", path);
        return err_errno(err, errno, "removing the cgroup '%s'", path);
    }
    return result;
}

int cgroups_remove(const struct cgroups *cgroups, const char *uid, struct err *err)
{
    CLEANUP(xfree) char *pod = pod_path(cgroups, uid);

    if (cgroups->v2) {
        CLEANUP(xfree) char *path = path_join(cgroups->mount, pod, NULL);
        return remove_tree(path, 0, err);
    }
    DIR *trees = opendir(cgroups->mount);
    if (trees == NULL)
        return err_errno(err, errno, "opening '%s'", cgroups->mount);
    int result = 0;
    const struct dirent *entry;
    while (result == 0 && (entry = readdir(trees)) != NULL) {
        if (*entry->d_name == '.')
            continue;
        CLEANUP(xfree) char *path = path_join(cgroups->mount, entry->d_name, pod, NULL);
        if (file_exists(path))
            result = remove_tree(path, 0, err);
    }
    closedir(trees);
    return result;
}
