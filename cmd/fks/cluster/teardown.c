/*
 * teardown.c: see teardown.h. Works from names alone (cgroup fksI, interfaces fksI-..., paths), so that it also cleans up
 * after a crash or a create that was cut off.
 */
#include "cluster/teardown.h"

#include <dirent.h>
#include <errno.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cluster/cgroup.h"
#include "cluster/claim.h"
#include "cluster/network.h"

#define SHIM_SOCKETS "/run/containerd/s"
#define SHIM_ADDRESS_MAX 4096
#define DEVICE_PLUGINS "/var/lib/kubelet/device-plugins" /* fixed in the kubelet, whatever its own folder is */
#define CNI_RESULTS "/var/lib/cni/results" /* fixed in libcni as containerd uses it */

/* mountinfo writes blanks and backslashes as \ooo */
static char *unescape(const char *text)
{
    CLEANUP(buf_done) struct buf plain = {0};
    for (; *text != '\0'; text++) {
        if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] != '\0' && text[3] != '\0') {
            buf_add_char(&plain, (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0')));
            text += 3;
        } else {
            buf_add_char(&plain, *text);
        }
    }
    return buf_take(&plain);
}

/* Unmounts everything below a folder, the last mounted first. */
static int unmount_below(const char *folder, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(strv_done) struct strv lines = {0};
    CLEANUP(xfree) char *prefix = xasprintf("%s/", folder);
    int r = file_read("/proc/self/mountinfo", LIMIT_FILE, &text, err);
    if (r < 0)
        return r;
    strv_split(&lines, buf_text(&text), '\n');
    for (size_t i = lines.n; i-- > 0;) {
        CLEANUP(strv_done) struct strv words = {0};
        strv_split(&words, lines.items[i], ' ');
        if (words.n < 5)
            continue;
        CLEANUP(xfree) char *point = unescape(words.items[4]);
        if (starts_with(point, prefix) && umount2(point, MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT)
            return err_errno(err, errno, "unmounting '%s'", point);
    }
    return 0;
}

static void remove_cni_results(const struct cluster *cluster)
{
    CLEANUP(xfree) char *name = cluster_cgroup(cluster);
    CLEANUP(xfree) char *prefix = xasprintf("%s-", name);
    DIR *folder = opendir(CNI_RESULTS);
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        CLEANUP(xfree) char *path = path_join(CNI_RESULTS, entry->d_name, NULL);
        if (starts_with(entry->d_name, prefix))
            (void)unlink(path);
    }
    if (folder != NULL)
        closedir(folder);
    /* leave no empty folder that was not there before us */
    if (rmdir(CNI_RESULTS) == 0)
        (void)rmdir("/var/lib/cni");
}

/*
 * What a killed sandbox leaves outside of containerd's own folders: the shim's socket below /run/containerd/s, whose path its
 * bundle has in a file, and CNI's result for the loopback interface, which containerd names without the cluster.
 */
static void remove_sandbox_traces(const struct cluster *cluster, const struct cluster_host *host)
{
    CLEANUP(xfree) char *bundles =
        cluster_run_path(cluster, "h%d/containerd/io.containerd.runtime.v2.task/k8s.io", host->number);
    DIR *folder = opendir(bundles);
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        CLEANUP(xfree) char *path = path_join(bundles, entry->d_name, "address", NULL);
        CLEANUP(buf_done) struct buf address = {0};
        struct err ignored = {0};
        if (file_read(path, SHIM_ADDRESS_MAX, &address, &ignored) < 0)
            err_clear(&ignored);
        else if (starts_with(buf_text(&address), "unix://" SHIM_SOCKETS "/"))
            (void)unlink(buf_text(&address) + strlen("unix://"));
        CLEANUP(xfree) char *loopback = xasprintf(CNI_RESULTS "/cni-loopback-%s-lo", entry->d_name);
        (void)unlink(loopback);
    }
    if (folder != NULL)
        closedir(folder);
    /* leave no empty folder behind that was not there before us */
    if (rmdir(SHIM_SOCKETS) == 0)
        (void)rmdir("/run/containerd");
}

/* Where an ordinary node's kubelet meets device plugins: gone unless a kubelet, of this cluster or not, answers there. */
static void remove_kubelet_traces(void)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = DEVICE_PLUGINS "/kubelet.sock"};
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&address, sizeof(address)) == 0)
        return;
    if (errno == ECONNREFUSED)
        (void)unlink(address.sun_path);
    if (rmdir(DEVICE_PLUGINS) == 0)
        (void)rmdir("/var/lib/kubelet");
}

int teardown_running(const struct cluster *cluster, struct err *err)
{
    CLEANUP(xfree) char *run = xasprintf("/run/fks/%d", cluster->number);
    int r = claim_number(cluster, err);
    if (r == ERR_EXISTS) { /* it has been stopped, and what has these names now is another cluster's */
        err_clear(err);
        return unmount_below(cluster->home, err);
    }
    if (r < 0 || (r = cgroup_kill(cluster, err)) < 0 || (r = unmount_below(cluster->home, err)) < 0 ||
        (r = unmount_below(run, err)) < 0 || (r = network_down(cluster, err)) < 0)
        return r;
    for (size_t i = 0; i < cluster->n_hosts; i++) {
        remove_sandbox_traces(cluster, &cluster->hosts[i]);
        if (cluster->hosts[i].kind != CLUSTER_HOST_FARGATE)
            remove_kubelet_traces();
    }
    remove_cni_results(cluster);
    return dir_remove(run, err);
}

int teardown_host(const struct cluster *cluster, const struct cluster_host *host, struct err *err)
{
    CLEANUP(xfree) char *run = cluster_run_path(cluster, "h%d", host->number);
    CLEANUP(xfree) char *home = cluster_path(cluster, "hosts/%s", host->name);
    int r;
    if ((r = unmount_below(home, err)) < 0 || (r = unmount_below(run, err)) < 0 ||
        (r = network_host_down(cluster, host, err)) < 0)
        return r;
    remove_sandbox_traces(cluster, host);
    if (host->kind != CLUSTER_HOST_FARGATE)
        remove_kubelet_traces();
    return (r = dir_remove(run, err)) < 0 ? r : dir_remove(home, err);
}

int teardown_all(const struct cluster *cluster, struct err *err)
{
    CLEANUP(xfree) char *description = cluster_path(cluster, "cluster.json");
    int r = teardown_running(cluster, err);
    if (r < 0)
        return r;
    (void)unlink(description); /* first: without it, nobody makes anything in the folder any more (claim.c) */
    if ((r = dir_remove(cluster->home, err)) < 0)
        return r;
    cluster_tidy_home();
    cluster_lock_tidy();
    return 0;
}
