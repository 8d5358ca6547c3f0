/*
 * pod_mounts.c: mounts the network file systems among a pod's volumes. A server that does not answer can hold up mount(8)
 * for minutes, so it is a process of its own that the pod waits for.
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"

#include "volumes/csi_plan.h"
#include "pod/pod.h"

#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS 122000 /* the kubelet's, for volume operations */
#define OUTPUT_SHOWN 512

struct mounting { /* one mount under way */
    struct pod *pod;
    char *volume, *what;
    int output;
};

static void mounting_free(struct mounting *mounting)
{
    (void)fd_close(mounting->output);
    free(mounting->volume);
    free(mounting->what);
    free(mounting);
}
DEFINE_CLEANUP_POINTER(struct mounting *, mounting_free)

static void failed(struct pod *pod, const char *volume, const char *why)
{
    pod_event(pod, "Warning", "FailedMount", "MountVolume.SetUp failed for volume \"%s\" : %s", volume, why);
    backoff_fail(&pod->mount_backoff, pod_now(pod), RETRY_FIRST_MS, RETRY_MAX_MS);
    log_warn("mounting a volume failed", "pod", pod_title(pod), "volume", volume, "error", why);
}

static void on_mounted(int pid UNUSED, int status, void *data)
{
    CLEANUP(mounting_free) struct mounting *mounting = data;
    CLEANUP(buf_done) struct buf output = {0};
    CLEANUP(err_clear) struct err ignored = {0};
    struct pod *pod = mounting->pod;

    pod->mounting = NULL;
    if (status == 0) {
        backoff_reset(&pod->mount_backoff);
        log_info("volume mounted", "pod", pod_title(pod), "volume", mounting->volume, "from", mounting->what);
    } else {
        if (lseek(mounting->output, 0, SEEK_SET) == 0 && fd_read_all(mounting->output, &output, &ignored) == 0)
            buf_truncate(&output, output.len < OUTPUT_SHOWN ? output.len : OUTPUT_SHOWN);
        CLEANUP(xfree) char *why = xasprintf("mount failed: exit status %d, mounting %s, output: %s",
                                             WIFEXITED(status) ? WEXITSTATUS(status) : -1, mounting->what,
                                             buf_text(&output));
        failed(pod, mounting->volume, why);
    }
    pod_call_done(pod);
}

static void start(struct pod *pod, const char *volume, const char *dir, const struct volumes_nfs *nfs)
{
    struct mounting *mounting = NEW(struct mounting);
    CLEANUP(buf_done) struct buf options = {0};
    CLEANUP(err_clear) struct err err = {0};
    const struct json *option;
    pid_t pid;

    mounting->pod = pod;
    mounting->volume = xstrdup(volume);
    mounting->what = xasprintf("%s:%s", nfs->server, nfs->path);
    mounting->output = memfd_create("fks-node-mount", MFD_CLOEXEC);
    buf_add_str(&options, nfs->readonly ? "ro" : "rw");
    json_each(option, nfs->options)
        buf_printf(&options, ",%s", strempty(json_string_value(option)));
    const char *const argv[] = {"mount", "-t", "nfs", "-o", buf_text(&options), mounting->what, dir, NULL};
    const struct proc_options program = {.argv = argv, .stdin_fd = -1, .stdout_fd = mounting->output,
                                         .stderr_fd = mounting->output};
    if (dir_make(dir, 0750, &err) < 0 || proc_spawn(&program, &pid, &err) < 0 ||
        loop_child(pod->agent->loop, pid, on_mounted, mounting, &err) < 0) {
        failed(pod, volume, err_text(&err));
        mounting_free(mounting);
        return;
    }
    pod->mounting = mounting;
    pod_call_begin(pod);
}

bool pod_mounts_sync(struct pod *pod)
{
    const struct json *volume;
    bool csi_ready = pod_csi_sync(pod);

    json_each(volume, json_get(pod->object, "spec", "volumes", NULL)) {
        const char *name = json_str_or("", volume, "name", NULL);
        CLEANUP(xfree) char *dir = volumes_dir(pod->agent->options.state_dir, pod->uid, name);
        CLEANUP(err_clear) struct err err = {0};
        struct volumes_nfs nfs;
        if (!volumes_is_network(volume) || csi_source_of(volume, &pod->objects) != NULL || volumes_is_mounted(dir))
            continue;
        int64_t wait_ms = backoff_left_ms(&pod->mount_backoff, pod_now(pod));
        if (volumes_nfs_of(volume, &pod->objects, &nfs, &err) < 0)
            return true; /* volumes_set_up says so */
        if (wait_ms > 0)
            pod_wake_in(pod, wait_ms);
        else if (pod->mounting == NULL)
            start(pod, name, dir, &nfs);
        return false;
    }
    return csi_ready;
}

void pod_mounts_done(struct pod *pod)
{
    if (pod->mounting != NULL) /* only when the agent ends: mount(8) goes on without it */
        mounting_free(pod->mounting);
    pod->mounting = NULL;
}
