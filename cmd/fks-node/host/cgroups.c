/*
 * cgroups.c: pod cgroups by writing files. On v2 there is one tree and controllers are enabled from the top down;
 * on v1 every controller has a tree of its own, of which only cpu and memory are set here: runc makes the pod's
 * cgroup in the others, and removal looks through all of them. Only the cgroupfs layout: containerd must run
 * without SystemdCgroup. Reading is in cgroups_use.c.
 */
#include "host/cgroups_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#define CPU_PERIOD_US 100000  /* as the kubelet: 1m of CPU is 100 us of a period */
#define CPU_QUOTA_MIN_US 1000 /* the kernel refuses less */

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

char *cgroups_controller_path(const struct cgroups *cgroups, const char *controller, const char *uid)
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

bool cgroups_has_file(const struct cgroups *cgroups, const char *file)
{
    CLEANUP(xfree) char *path = path_join(cgroups->mount, cgroups->v2 ? "." : "memory", cgroups->root, file, NULL);

    return file_exists(path);
}

char *cgroups_path(const struct cgroups *cgroups, const char *uid)
{
    return xasprintf("/%s/pod%s", cgroups->root, uid);
}

int cgroups_make(const struct cgroups *cgroups, const char *uid, int64_t mem_b, struct err *err)
{
    CLEANUP(xfree) char *path = pod_path(cgroups, uid);
    CLEANUP(xfree) char *directory = cgroups_controller_path(cgroups, "memory", uid);
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
    CLEANUP(xfree) char *directory = cgroups_controller_path(cgroups, "cpu", uid);
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

/* --- removal */

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
        if (depth >= CGROUPS_DEPTH_MAX)
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

/* --- all of a cgroup, in every tree: the whole mount on v2; each controller's, and systemd's own, on v1 */

static int each_tree(const char *mount, int (*action)(const struct cgroups *cgroups, const char *tree, const char *path, struct err *err),
                     const char *path, struct err *err)
{
    CLEANUP(xfree) char *v2_file = path_join(mount, "cgroup.controllers", NULL);
    CLEANUP(xfree) char *copy = xstrdup(mount);
    const struct cgroups cgroups = {.mount = copy, .v2 = file_exists(v2_file)};
    const struct dirent *entry;
    int result = 0;

    if (strstr(path, "..") != NULL || path[strspn(path, "/")] == '\0')
        return err_set(err, ERR_INVALID, "'%s' is no name for a cgroup", path);
    if (cgroups.v2)
        return action(&cgroups, "", path, err);
    DIR *trees = opendir(mount);
    if (trees == NULL)
        return err_errno(err, errno, "opening '%s'", mount);
    while (result == 0 && (entry = readdir(trees)) != NULL) {
        CLEANUP(xfree) char *processes = path_join(mount, entry->d_name, "cgroup.procs", NULL);
        /* "cpu" may be a link to "cpu,cpuacct" */
        if (*entry->d_name != '.' && entry->d_type == DT_DIR && file_exists(processes))
            result = action(&cgroups, entry->d_name, path, err);
    }
    closedir(trees);
    return result;
}

static int enter_tree(const struct cgroups *cgroups, const char *tree, const char *path, struct err *err)
{
    CLEANUP(xfree) char *directory = path_join(cgroups->mount, *tree ? tree : ".", path, NULL);
    int result = make_path(cgroups, tree, path, err);

    return result < 0 ? result : write_value(directory, "cgroup.procs", "0", err);
}

int cgroups_enter(const char *mount, const char *path, struct err *err)
{
    return each_tree(mount, enter_tree, path, err);
}

static void kill_processes(const char *directory, int depth)
{
    CLEANUP(xfree) char *path = path_join(directory, "cgroup.procs", NULL);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    DIR *listing = opendir(directory);
    const struct dirent *entry;

    (void)!file_read(path, MIB(1), &text, &ignored); /* gone: nobody is in it */
    for (const char *line = buf_text(&text); line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        pid_t pid = (pid_t)strtoll(line, NULL, 10);
        if (pid > 1)
            (void)kill(pid, SIGKILL);
    }
    while (listing != NULL && depth < CGROUPS_DEPTH_MAX && (entry = readdir(listing)) != NULL) {
        if (entry->d_type != DT_DIR || *entry->d_name == '.')
            continue;
        CLEANUP(xfree) char *child = path_join(directory, entry->d_name, NULL);
        kill_processes(child, depth + 1);
    }
    if (listing != NULL)
        closedir(listing);
}

/* --- the processes of a container, which may have made cgroups of its own below its own */

static bool has_processes(const char *directory, int depth)
{
    CLEANUP(xfree) char *path = path_join(directory, "cgroup.procs", NULL);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    const struct dirent *entry;

    if (file_read(path, MIB(1), &text, &ignored) == 0 && text.len > 0)
        return true;
    DIR *listing = opendir(directory);
    bool found = false;
    while (listing != NULL && !found && depth < CGROUPS_DEPTH_MAX && (entry = readdir(listing)) != NULL) {
        if (entry->d_type != DT_DIR || *entry->d_name == '.')
            continue;
        CLEANUP(xfree) char *child = path_join(directory, entry->d_name, NULL);
        found = has_processes(child, depth + 1);
    }
    if (listing != NULL)
        closedir(listing);
    return found;
}

static char *container_path(const struct cgroups *cgroups, const char *uid, const char *container_id)
{
    CLEANUP(xfree) char *pod = cgroups_controller_path(cgroups, "memory", uid);

    if (*container_id == '\0' || *container_id == '.' || strchr(container_id, '/') != NULL)
        return NULL;
    return path_join(pod, container_id, NULL);
}

bool cgroups_container_lives(const struct cgroups *cgroups, const char *uid, const char *container_id)
{
    CLEANUP(xfree) char *path = container_path(cgroups, uid, container_id);

    return path != NULL && has_processes(path, 0);
}

void cgroups_container_kill(const struct cgroups *cgroups, const char *uid, const char *container_id)
{
    CLEANUP(xfree) char *path = container_path(cgroups, uid, container_id);

    if (path != NULL)
        kill_processes(path, 0);
}

static int end_tree(const struct cgroups *cgroups, const char *tree, const char *path, struct err *err)
{
    CLEANUP(xfree) char *directory = path_join(cgroups->mount, *tree ? tree : ".", path, NULL);

    kill_processes(directory, 0);
    return remove_tree(directory, 0, err);
}

int cgroups_end(const char *mount, const char *path, struct err *err)
{
    return each_tree(mount, end_tree, path, err);
}

static int look_for_pods(const struct cgroups *cgroups, const char *tree, const char *path, struct err *err)
{
    CLEANUP(xfree) char *directory = path_join(cgroups->mount, *tree ? tree : ".", path, NULL);
    DIR *listing = opendir(directory);
    const struct dirent *entry;
    int result = 0;

    while (listing != NULL && result == 0 && (entry = readdir(listing)) != NULL)
        if (entry->d_type == DT_DIR && starts_with(entry->d_name, "pod"))
            result = err_set(err, ERR_BUSY, "'%s' has pods", directory);
    if (listing != NULL)
        closedir(listing);
    return result;
}

bool cgroups_has_pods(const char *mount, const char *root)
{
    CLEANUP(err_clear) struct err err = {0};

    return each_tree(mount, look_for_pods, root, &err) == ERR_BUSY;
}
