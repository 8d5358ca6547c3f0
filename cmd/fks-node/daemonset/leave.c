/*
 * leave.c: see leave.h. A pod of a DaemonSet ends for many reasons: it is replaced by a newer one, evicted, its host restarts. Only
 * when nobody will come after it may it take the host's containers and files along.
 */
#include "daemonset/leave.h"

#include <errno.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "fargate/names.h"
#include "host/cgroups.h"
#include "kube/client.h"

#define ASK_MS 5000
#define END_MS 10000
#define PAUSE_US 50000

int leave_check_folder(const char *path, struct err *err)
{
    CLEANUP(strv_done) struct strv parts = {0};
    size_t n = 0;

    if (*path != '/')
        return err_set(err, ERR_INVALID, "'%s' is no absolute path", path);
    strv_split(&parts, path, '/');
    for (size_t i = 0; i < parts.n; i++) {
        if (streq(parts.items[i], "..") || streq(parts.items[i], "."))
            return err_set(err, ERR_INVALID, "'%s' must not contain '.' or '..'", path);
        n += parts.items[i][0] != '\0';
    }
    return n >= 2 ? 0 : err_set(err, ERR_INVALID, "'%s' is no folder of our own: at least two levels are needed", path);
}

/* --- whether */

bool leave_is_wanted(const struct json *daemonset, const struct json *node)
{
    void *position = NULL;
    const char *key;
    const struct json *value;

    if (daemonset == NULL || json_str(daemonset, "metadata", "deletionTimestamp", NULL) != NULL)
        return false;
    if (node == NULL)
        return true;
    while (json_next(json_get(daemonset, "spec", "template", "spec", "nodeSelector", NULL), &position, &key, &value))
        if (!streq(json_string_value(value), json_str(node, "metadata", "labels", key, NULL)))
            return false;
    return true;
}

static int ask(struct kube_client *client, char *path, struct json **ret, struct err *err)
{
    CLEANUP(xfree) char *owned = path;
    const struct kube_request request = {.path = owned, .timeout_ms = ASK_MS};

    return kube_find(client, &request, ret, err);
}

static int connect_in_pod(struct kube_client **ret, struct err *err)
{
    CLEANUP(kube_config_done) struct kube_config config = {0};
    int r = kube_config_in_cluster(&config, err);

    return r < 0 ? r : kube_client_new(NULL, &config, "fks-node/" FKS_PROGRAM_VERSION, ret, err);
}

static int ask_both(const struct leave_options *options, struct json **ret_daemonset, struct json **ret_node, struct err *err)
{
    CLEANUP(kube_client_free) struct kube_client *client = NULL;
    const char *slash = strchr(options->daemonset, '/');
    CLEANUP(xfree) char *namespace = xstrndup(options->daemonset, (size_t)(slash - options->daemonset));
    int r;

    if ((r = connect_in_pod(&client, err)) < 0 ||
        (r = ask(client, kube_path("apps", "v1", namespace, "daemonsets", slash + 1, NULL), ret_daemonset, err)) < 0)
        return r;
    if (options->node_name == NULL)
        return 0;
    return ask(client, kube_path("", "v1", NULL, "nodes", options->node_name, NULL), ret_node, err);
}

int leave_is_due(const struct leave_options *options, bool *ret, struct err *err)
{
    CLEANUP(json_free) struct json *daemonset = NULL;
    CLEANUP(json_free) struct json *node = NULL;
    CLEANUP(xfree) char *cgroups = path_join(options->host_root, "/sys/fs/cgroup", NULL);

    *ret = false;
    if (options->daemonset == NULL)
        return 0;
    int r = ask_both(options, &daemonset, &node, err);
    if ((r == ERR_FORBIDDEN || err->http_status == 401) && !cgroups_has_pods(cgroups, options->cgroup_root)) {
        err_clear(err);
        *ret = true;
        return 0;
    }
    if (r < 0)
        return err_wrap(err, "asking whether this host is still one of DaemonSet '%s'", options->daemonset);
    *ret = !leave_is_wanted(daemonset, node);
    return 0;
}

/* --- leaving */

static int end_processes(const char *cgroups, const char *path, struct err *err)
{
    int64_t until_ms = clock_monotonic_ms() + END_MS;
    int r;

    while ((r = cgroups_end(cgroups, path, err)) == ERR_BUSY && clock_monotonic_ms() < until_ms) {
        err_clear(err);
        usleep(PAUSE_US);
    }
    return r;
}

/* Octal escapes of /proc/self/mountinfo, in place. */
static void unescape(char *text)
{
    char *out = text;

    for (const char *in = text; *in != '\0'; in++) {
        if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' && in[2] <= '7' && in[3] >= '0' && in[3] <= '7') {
            *out++ = (char)((in[1] - '0') * 64 + (in[2] - '0') * 8 + (in[3] - '0'));
            in += 3;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
}

/* What is mounted at the folder or below, the latest last. */
static int mounts_below(const char *folder, struct strv *ret, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(strv_done) struct strv lines = {0};
    size_t len = strlen(folder);
    int r = file_read("/proc/self/mountinfo", MIB(16), &text, err);

    if (r < 0)
        return r;
    strv_split(&lines, buf_text(&text), '\n');
    for (size_t i = 0; i < lines.n; i++) {
        CLEANUP(strv_done) struct strv words = {0};

        strv_split(&words, lines.items[i], ' ');
        if (words.n < 5)
            continue;
        unescape(words.items[4]);
        if (starts_with(words.items[4], folder) && (words.items[4][len] == '\0' || words.items[4][len] == '/'))
            strv_add(ret, words.items[4]);
    }
    return 0;
}

static int remove_folder(const struct leave_options *options, const char *folder, struct err *err)
{
    CLEANUP(xfree) char *path = path_join(options->host_root, folder, NULL);
    CLEANUP(strv_done) struct strv mounts = {0};
    int r = mounts_below(path, &mounts, err);

    for (size_t i = mounts.n; r == 0 && i-- > 0;)
        if (umount2(mounts.items[i], MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
            r = err_errno(err, errno, "unmounting '%s'", mounts.items[i]);
    return r < 0 ? r : dir_remove(path, err);
}

int leave(const struct leave_options *options, struct err *err)
{
    CLEANUP(xfree) char *cgroups = path_join(options->host_root, "/sys/fs/cgroup", NULL);
    int r;

    if ((r = leave_check_folder(options->state_dir, err)) < 0 || (r = leave_check_folder(options->run_dir, err)) < 0 ||
        (r = end_processes(cgroups, options->cgroup_root, err)) < 0 || (r = remove_folder(options, options->run_dir, err)) < 0)
        return r;
    return remove_folder(options, options->state_dir, err);
}

/* --- what is left to say */

int leave_tell(const struct leave_options *options, struct err *err)
{
    CLEANUP(kube_client_free) struct kube_client *client = NULL;
    char now[CLOCK_TEXT_MAX];
    int r;

    if (options->node_name == NULL)
        return 0;
    clock_rfc3339(clock_wall_ns(), now);
    CLEANUP(xfree) char *path = kube_path(FKS_GROUP, FKS_VERSION, NULL, "fargatehosts", options->node_name, "status");
    CLEANUP(json_free) struct json *body =
        json_build("{s:{s:[{s:s, s:s, s:s, s:s, s:s, s:s}]}}", "status", "conditions", "type", "Ready", "status", "False", "reason",
                   "HostGivenBack", "message", "the host was given back: nothing of FKS is left on it", "lastHeartbeatTime", now,
                   "lastTransitionTime", now);
    const struct kube_request request = {
        .method = "PATCH", .path = path, .body = body, .content_type = KUBE_MERGE_PATCH, .timeout_ms = ASK_MS};
    if ((r = connect_in_pod(&client, err)) < 0)
        return r;
    r = kube_do(client, &request, NULL, err);
    if (r != ERR_NOT_FOUND && r != ERR_FORBIDDEN && err->http_status != 401) /* all of FKS may be gone by now */
        return r;
    err_clear(err);
    return 0;
}
