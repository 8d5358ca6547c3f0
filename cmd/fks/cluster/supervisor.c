/*
 * supervisor.c: the inside of the supervisor (see supervisor.h): one loop that starts, watches and restarts the programs of
 * processes.c. It holds no state that matters: killed and started again, it starts everything anew (its children die with
 * it, containers do not).
 */
#include "cluster/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/proc.h"
#include "cli.h"
#include "cluster/cgroup.h"
#include "cluster/commands.h"
#include "cluster/introduction.h"
#include "cluster/processes.h"
#include "fargate/names.h"

#define BACKOFF_FIRST_MS 200
#define BACKOFF_MAX_MS 10000
#define BACKOFF_RESET_MS 30000 /* a program that ran so long starts over with a short delay */
#define READY_POLL_MS 50
#define STOP_GRACE_MS 5000
#define LOG_CHECK_MS 30000
#define LOG_MAX_BYTES (16 << 20)

struct supervised {
    struct supervisor *supervisor;
    struct process process; /* owned */
    pid_t pid;              /* 0 while not running */
    int64_t started_ms, delay_ms;
    int64_t restarts;
    struct loop_timer *restart;
    struct introduction *introduction;
    bool removed; /* not wanted any more: gone once it ended */
};

struct supervisor {
    struct loop *loop;
    struct cluster cluster;
    char *programs;
    struct supervised **items;
    size_t n, cap;
    struct kube_client *client;
    struct loop_timer *ready_poll, *log_check, *stop_deadline;
    bool api_ready, base_ready, stopping;
    int stop_order; /* the group being stopped */
};

static void supervised_start(struct supervised *item);
static void stop_next(struct supervisor *supervisor);

static void write_state(const struct supervisor *supervisor)
{
    CLEANUP(json_free) struct json *object = json_new_object();
    for (size_t i = 0; i < supervisor->n; i++) {
        const struct supervised *item = supervisor->items[i];
        json_set(object, item->process.name,
                 json_build("{s:i, s:I}", "pid", (int)item->pid, "restarts", (long long)item->restarts));
    }
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(xfree) char *path = cluster_path(&supervisor->cluster, "processes.json");
    json_print_pretty(object, &text);
    struct err err = {0};
    if (file_write_atomic(path, text.data, text.len, 0600, &err) < 0) {
        log_warn("cannot write the state file", "error", err_text(&err));
        err_clear(&err);
    }
}

static struct supervised *supervised_free(struct supervised *item)
{
    struct process_list one = {.items = xcalloc(1, sizeof(struct process)), .n = 1};
    one.items[0] = item->process;
    process_list_done(&one);
    loop_timer_free(item->restart);
    introduction_free(item->introduction);
    free(item);
    return NULL;
}

static void forget(struct supervisor *supervisor, const struct supervised *gone)
{
    for (size_t i = 0; i < supervisor->n; i++) {
        if (supervisor->items[i] != gone)
            continue;
        supervised_free(supervisor->items[i]);
        memmove(&supervisor->items[i], &supervisor->items[i + 1], (--supervisor->n - i) * sizeof(supervisor->items[0]));
        return;
    }
}

/* --- starting and restarting */

static void on_exit_of(int pid, int status, void *data)
{
    struct supervised *item = data;
    struct supervisor *supervisor = item->supervisor;
    CLEANUP(xfree) char *how = WIFSIGNALED(status) ? xasprintf("signal %d", WTERMSIG(status))
                                                   : xasprintf("exit code %d", WEXITSTATUS(status));
    CLEANUP(xfree) char *number = xasprintf("%d", pid);
    item->pid = 0;
    if (supervisor->stopping || item->removed) {
        log_info("ended", "process", item->process.name, "pid", number, "how", how);
        if (item->removed)
            forget(supervisor, item);
        write_state(supervisor);
        if (supervisor->stopping)
            stop_next(supervisor);
        return;
    }
    if (loop_now_ms(supervisor->loop) - item->started_ms > BACKOFF_RESET_MS)
        item->delay_ms = 0;
    item->delay_ms = item->delay_ms == 0 ? BACKOFF_FIRST_MS : item->delay_ms * 2;
    if (item->delay_ms > BACKOFF_MAX_MS)
        item->delay_ms = BACKOFF_MAX_MS;
    item->restarts++;
    CLEANUP(xfree) char *delay = xasprintf("%lldms", (long long)item->delay_ms);
    log_warn("died, restarting", "process", item->process.name, "pid", number, "how", how, "after", delay);
    loop_timer_set(item->restart, item->delay_ms);
    write_state(supervisor);
}

static int spawn(struct supervised *item, struct err *err)
{
    struct supervisor *supervisor = item->supervisor;
    CLEANUP(xfree) char *log_path = cluster_path(&supervisor->cluster, "logs/%s.log", item->process.name);
    CLEANUP(fd_close) int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        return err_errno(err, errno, "opening '%s'", log_path);
    const struct proc_options options = {
        .argv = (const char *const *)item->process.argv.items,
        .extra_env = (const char *const *)item->process.env.items,
        .directory = "/",
        .netns_path = item->process.netns_path,
        .stdin_fd = -1,
        .stdout_fd = log_fd,
        .stderr_fd = log_fd,
        .new_session = true,
        .die_with_parent = true,
    };
    int r = proc_spawn(&options, &item->pid, err);
    if (r < 0)
        return r;
    if ((r = cgroup_add(&supervisor->cluster, item->pid, err)) < 0)
        return r;
    return loop_child(supervisor->loop, item->pid, on_exit_of, item, err);
}

static void on_restart(void *data)
{
    supervised_start(data);
}

static void start_now(void *data);

static void supervised_start(struct supervised *item)
{
    struct supervisor *supervisor = item->supervisor;
    if (item->pid != 0 || supervisor->stopping || item->removed)
        return;
    if ((item->process.gate == PROCESS_AFTER_API && !supervisor->api_ready) ||
        (item->process.gate == PROCESS_AFTER_BASE && !supervisor->base_ready))
        return;
    if (item->process.introduce_name == NULL) {
        start_now(item);
        return;
    }
    introduction_free(item->introduction);
    item->introduction =
        introduction_new(supervisor->loop, supervisor->client, item->process.introduce_name,
                         item->process.introduce_address, item->process.health_url, start_now, item);
}

static void start_now(void *data)
{
    struct supervised *item = data;
    struct supervisor *supervisor = item->supervisor;
    struct err err = {0};
    if (item->pid != 0 || supervisor->stopping || item->removed)
        return;
    item->started_ms = loop_now_ms(supervisor->loop);
    if (spawn(item, &err) < 0) {
        log_error("cannot start", "process", item->process.name, "error", err_text(&err));
        err_clear(&err);
        loop_timer_set(item->restart, BACKOFF_MAX_MS);
        return;
    }
    CLEANUP(xfree) char *pid = xasprintf("%d", (int)item->pid);
    log_info("started", "process", item->process.name, "pid", pid);
    write_state(supervisor);
}

static void add(struct supervisor *supervisor, struct process *process)
{
    struct supervised *item = NEW(struct supervised);
    item->supervisor = supervisor;
    item->process = *process;
    item->restart = loop_timer_new(supervisor->loop, on_restart, item);
    *process = (struct process){0};
    GROW(supervisor->items, supervisor->n, supervisor->cap);
    supervisor->items[supervisor->n++] = item;
    supervised_start(item);
}

/* --- what opens the gates: the API server ready, then the cluster prepared and FKS's resource types served */

static void on_ready_answer(struct json **answer UNUSED, struct err *err, void *data)
{
    struct supervisor *supervisor = data;
    bool ready = err->code == 0 || err->code == ERR_PARSE; /* "ok" is no JSON */
    if (ready && !supervisor->api_ready) {
        log_info("the API server is ready");
        supervisor->api_ready = true;
    } else if (ready) {
        log_info("FKS's resource types are served");
        supervisor->base_ready = true;
    }
    for (size_t i = 0; ready && i < supervisor->n; i++)
        supervised_start(supervisor->items[i]);
    if (!supervisor->base_ready)
        loop_timer_set(supervisor->ready_poll, READY_POLL_MS);
}

static void on_ready_poll(void *data)
{
    struct supervisor *supervisor = data;
    CLEANUP(xfree) char *prepared = cluster_path(&supervisor->cluster, CLUSTER_PREPARED);
    if (supervisor->api_ready && !file_exists(prepared)) {
        loop_timer_set(supervisor->ready_poll, READY_POLL_MS);
        return;
    }
    const struct kube_request request = {
        .path = supervisor->api_ready ? FKS_HOSTS_PATH "?limit=1" : "/readyz", .timeout_ms = 2000};
    (void)kube_start(supervisor->client, &request, on_ready_answer, supervisor);
}

/* --- stopping: group after group */

static void stop_next(struct supervisor *supervisor)
{
    for (; supervisor->stop_order <= 4; supervisor->stop_order++) {
        bool waiting = false;
        for (size_t i = 0; i < supervisor->n; i++)
            waiting = waiting || (supervisor->items[i]->pid != 0 &&
                                  supervisor->items[i]->process.stop_order == supervisor->stop_order);
        if (waiting && loop_timer_is_set(supervisor->stop_deadline))
            return;
        if (!waiting) {
            loop_timer_cancel(supervisor->stop_deadline);
            continue;
        }
        for (size_t i = 0; i < supervisor->n; i++)
            if (supervisor->items[i]->pid != 0 && supervisor->items[i]->process.stop_order == supervisor->stop_order)
                (void)kill(supervisor->items[i]->pid, SIGTERM);
        loop_timer_set(supervisor->stop_deadline, STOP_GRACE_MS);
        return;
    }
    loop_stop(supervisor->loop, 0);
}

static void on_stop_deadline(void *data)
{
    struct supervisor *supervisor = data;
    for (size_t i = 0; i < supervisor->n; i++) {
        struct supervised *item = supervisor->items[i];
        if (item->pid != 0 && item->process.stop_order == supervisor->stop_order) {
            log_warn("does not end, killing it", "process", item->process.name);
            (void)kill(item->pid, SIGKILL);
        }
    }
    loop_timer_set(supervisor->stop_deadline, STOP_GRACE_MS);
}

static void on_terminate(int signal_number UNUSED, void *data)
{
    struct supervisor *supervisor = data;
    if (supervisor->stopping)
        return;
    log_info("stopping");
    supervisor->stopping = true;
    for (size_t i = 0; i < supervisor->n; i++)
        loop_timer_cancel(supervisor->items[i]->restart);
    stop_next(supervisor);
}

/* --- hosts that come and go */

static bool listed(const struct process_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (streq(list->items[i].name, name))
            return true;
    return false;
}

static bool running(const struct supervisor *supervisor, const char *name)
{
    for (size_t i = 0; i < supervisor->n; i++)
        if (streq(supervisor->items[i]->process.name, name) && !supervisor->items[i]->removed)
            return true;
    return false;
}

static void reconcile(struct supervisor *supervisor)
{
    CLEANUP(process_list_done) struct process_list wanted = {0};
    processes_of(&supervisor->cluster, supervisor->programs, &wanted);
    for (size_t i = supervisor->n; i-- > 0;) {
        struct supervised *item = supervisor->items[i];
        if (item->removed || listed(&wanted, item->process.name))
            continue;
        log_info("no longer wanted", "process", item->process.name);
        item->removed = true;
        loop_timer_cancel(item->restart);
        if (item->pid != 0)
            (void)kill(item->pid, SIGTERM);
        else
            forget(supervisor, item);
    }
    for (size_t i = 0; i < wanted.n; i++)
        if (!running(supervisor, wanted.items[i].name))
            add(supervisor, &wanted.items[i]);
}

static void on_reload(int signal_number UNUSED, void *data)
{
    struct supervisor *supervisor = data;
    struct cluster fresh = {0};
    struct err err = {0};
    if (supervisor->stopping)
        return;
    if (cluster_load_from(supervisor->cluster.home, &fresh, &err) < 0) {
        log_error("cannot read the cluster's description, keeping the old one", "error", err_text(&err));
        err_clear(&err);
        return;
    }
    cluster_done(&supervisor->cluster);
    supervisor->cluster = fresh;
    reconcile(supervisor);
}

/* --- logs: a program keeps its file open, so a full one is copied aside and cut in place */

static void on_log_check(void *data)
{
    struct supervisor *supervisor = data;
    loop_timer_set(supervisor->log_check, LOG_CHECK_MS);
    for (size_t i = 0; i < supervisor->n; i++) {
        CLEANUP(xfree) char *path = cluster_path(&supervisor->cluster, "logs/%s.log", supervisor->items[i]->process.name);
        CLEANUP(xfree) char *aside = xasprintf("%s.1", path);
        CLEANUP(buf_done) struct buf text = {0};
        struct err err = {0};
        struct stat state;
        if (stat(path, &state) != 0 || state.st_size < LOG_MAX_BYTES)
            continue;
        if (file_read(path, 2 * LOG_MAX_BYTES, &text, &err) < 0 ||
            file_write_atomic(aside, text.data, text.len, 0600, &err) < 0) {
            log_warn("cannot rotate a log", "file", path, "error", err_text(&err));
            err_clear(&err);
        }
        (void)!truncate(path, 0);
    }
}

/* --- */

static int lock_pid_file(const struct cluster *cluster, int *ret_fd, struct err *err)
{
    CLEANUP(xfree) char *path = cluster_path(cluster, "supervisor.pid");
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "opening '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(err, ERR_EXISTS, "another supervisor runs this cluster already");
    CLEANUP(xfree) char *text = xasprintf("%d", (int)getpid());
    if (ftruncate(fd, 0) != 0)
        return err_errno(err, errno, "writing '%s'", path);
    int r = fd_write_all(fd, text, strlen(text), err);
    if (r < 0)
        return r;
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int supervisor_run(struct supervisor *supervisor, struct err *err)
{
    CLEANUP(xfree) char *admin = cluster_path(&supervisor->cluster, "kubeconfig/admin");
    const struct kube_overrides overrides = {.kubeconfig = admin};
    CLEANUP(kube_config_done) struct kube_config config = {0};
    int r;
    if ((r = loop_new(&supervisor->loop, err)) < 0 || (r = kube_config_load(&overrides, &config, err)) < 0 ||
        (r = kube_client_new(supervisor->loop, &config, "fks-supervisor/" FKS_PROGRAM_VERSION, &supervisor->client, err)) <
            0 ||
        (r = loop_signal(supervisor->loop, SIGTERM, on_terminate, supervisor, err)) < 0 ||
        (r = loop_signal(supervisor->loop, SIGINT, on_terminate, supervisor, err)) < 0 ||
        (r = loop_signal(supervisor->loop, SIGHUP, on_reload, supervisor, err)) < 0 ||
        (r = cgroup_make(&supervisor->cluster, err)) < 0 || (r = cgroup_add(&supervisor->cluster, getpid(), err)) < 0)
        return r;
    supervisor->ready_poll = loop_timer_new(supervisor->loop, on_ready_poll, supervisor);
    supervisor->log_check = loop_timer_new(supervisor->loop, on_log_check, supervisor);
    supervisor->stop_deadline = loop_timer_new(supervisor->loop, on_stop_deadline, supervisor);
    reconcile(supervisor);
    loop_timer_set(supervisor->ready_poll, READY_POLL_MS);
    loop_timer_set(supervisor->log_check, LOG_CHECK_MS);
    return loop_run(supervisor->loop, err);
}

static void supervisor_done(struct supervisor *supervisor)
{
    while (supervisor->n > 0)
        supervised_free(supervisor->items[--supervisor->n]);
    free(supervisor->items);
    free(supervisor->programs);
    loop_timer_free(supervisor->ready_poll);
    loop_timer_free(supervisor->log_check);
    loop_timer_free(supervisor->stop_deadline);
    kube_client_free(supervisor->client);
    loop_free(supervisor->loop);
    cluster_done(&supervisor->cluster);
}

int command_supervisor(struct cli *cli UNUSED, int argc, char **argv)
{
    struct supervisor supervisor = {0};
    struct err err = {0};
    CLEANUP(fd_close) int lock = -1;
    if (argc != 2) {
        fprintf(stderr, "error: cluster-supervisor takes the folder of a cluster; it is started by 'fks start cluster'\n");
        return 1;
    }
    log_init("fks-supervisor", LOG_LEVEL_INFO);
    supervisor.programs = supervisor_programs_dir();
    int r = cluster_load_from(argv[1], &supervisor.cluster, &err);
    if (r == 0)
        r = lock_pid_file(&supervisor.cluster, &lock, &err);
    if (r == 0)
        r = supervisor_run(&supervisor, &err);
    if (r < 0)
        log_error("cannot go on", "error", err_text(&err));
    err_clear(&err);
    supervisor_done(&supervisor);
    return r < 0 ? 1 : 0;
}
