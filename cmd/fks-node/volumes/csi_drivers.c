/*
 * csi_drivers.c: see csi_drivers.h. The folder is looked through whenever inotify tells of a change, and from time to
 * time anyhow; what is there then decides, so no order of events can confuse it.
 */
#include "volumes/csi_drivers.h"

#include <dirent.h>
#include <errno.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "kube/watch.h"

#include "backoff.h"
#include "volumes/csi_plan.h"

#define LOOK_MS 20000 /* for a folder that was removed, and whatever inotify lost */
#define SETTLE_MS 20  /* a socket appears at bind, a moment before anybody listens */
#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS 60000
#define SOCKETS_MAX 64 /* in the folder */

struct plugin { /* a socket in the folder */
    struct csi_drivers *drivers;
    char *path;
    ino_t inode;
    struct timespec changed;
    bool seen; /* scratch of look */

    struct csi *registrar, *node; /* clients of both sockets, for the time of the registration */
    char *name, *endpoint;        /* NULL until told */
    struct csi_capabilities capabilities;
    bool busy, registered, foreign; /* foreign: a plugin of another kind */
    struct backoff backoff;
};

struct csi_drivers {
    struct csi_drivers_options options;
    struct loop_timer *timer;
    int inotify;
    struct loop_fd *source;
    bool watching;
    struct plugin **plugins;
    size_t n, cap;
    struct kube_watch *objects; /* NULL: no driver was here yet */
};

static void look(void *data);

static void plugin_free(struct plugin *plugin)
{
    csi_free(plugin->registrar);
    csi_free(plugin->node);
    free(plugin->path);
    free(plugin->name);
    free(plugin->endpoint);
    free(plugin);
}

static void look_in(struct csi_drivers *drivers, int64_t delay_ms)
{
    loop_timer_set(drivers->timer, delay_ms);
}

/* --- objects */

static void on_object(const struct json *old UNUSED, const struct json *new UNUSED, void *data)
{
    struct csi_drivers *drivers = data;

    if (kube_watch_synced(drivers->objects))
        drivers->options.on_change(drivers->options.data);
}

static void on_objects(void *data)
{
    struct csi_drivers *drivers = data;

    drivers->options.on_change(drivers->options.data);
}

static void on_objects_error(const struct err *err, void *data UNUSED)
{
    log_warn("watching CSIDriver objects; trying again", "error", err_text(err));
}

static void watch_objects(struct csi_drivers *drivers)
{
    const struct kube_watch_options options = {
        .path = "/apis/storage.k8s.io/v1/csidrivers",
        .on_change = on_object,
        .on_synced = on_objects,
        .on_error = on_objects_error,
        .data = drivers,
    };

    if (drivers->objects == NULL && drivers->options.kube != NULL)
        drivers->objects = kube_watch_new(drivers->options.kube, &options);
}

/* --- one registration */

static void ended(struct plugin *plugin)
{
    plugin->busy = false;
    if (!plugin->registered && !plugin->foreign)
        look_in(plugin->drivers, backoff_left_ms(&plugin->backoff, loop_now_ms(plugin->drivers->options.loop)));
}

static void on_notified(struct err *err, void *data)
{
    struct plugin *plugin = data;

    if (err->code != 0)
        log_warn("telling a CSI driver how its registration went", "socket", plugin->path, "error", err_text(err));
    ended(plugin);
}

static void failed(struct plugin *plugin, const char *why)
{
    log_warn("registering a CSI driver failed; trying again", "socket", plugin->path, "driver", strempty(plugin->name),
             "error", why);
    backoff_fail(&plugin->backoff, loop_now_ms(plugin->drivers->options.loop), RETRY_FIRST_MS, RETRY_MAX_MS);
    if (plugin->name != NULL)
        csi_plugin_notify(plugin->registrar, why, plugin->drivers->options.timeout_ms, on_notified, plugin);
    else
        ended(plugin);
}

static void on_capabilities(const struct csi_capabilities *capabilities, struct err *err, void *data)
{
    struct plugin *plugin = data;
    struct csi_drivers *drivers = plugin->drivers;

    if (err->code != 0) {
        failed(plugin, err_text(err));
        return;
    }
    plugin->capabilities = *capabilities;
    plugin->registered = true;
    backoff_reset(&plugin->backoff);
    log_info("CSI driver registered", "driver", plugin->name, "socket", plugin->endpoint, "stages",
             capabilities->stage ? "yes" : "no");
    csi_plugin_notify(plugin->registrar, NULL, drivers->options.timeout_ms, on_notified, plugin);
    watch_objects(drivers);
    drivers->options.on_change(drivers->options.data);
}

static void on_info(const char *node_id, int64_t max_volumes UNUSED, struct err *err, void *data)
{
    struct plugin *plugin = data;

    if (err->code != 0)
        failed(plugin, err_text(err));
    else if (*node_id == '\0')
        failed(plugin, "NodeGetInfo: the driver names no node");
    else
        csi_node_capabilities(plugin->node, plugin->drivers->options.timeout_ms, on_capabilities, plugin);
}

static bool has_version_1(const struct csi_plugin *info)
{
    for (size_t i = 0; i < info->n_versions; i++)
        if (starts_with(info->versions[i], "1.") || starts_with(info->versions[i], "v1."))
            return true;
    return false;
}

static void on_plugin(const struct csi_plugin *info, struct err *err, void *data)
{
    struct plugin *plugin = data;
    CLEANUP(err_clear) struct err own = {0};

    if (err->code != 0) {
        failed(plugin, err_text(err));
        return;
    }
    if (!streq(info->type, CSI_PLUGIN_TYPE)) { /* a device plugin or the like: a kubelet's, perhaps */
        plugin->foreign = true;
        ended(plugin);
        return;
    }
    free(plugin->name);
    free(plugin->endpoint);
    plugin->name = xstrdup(info->name);
    plugin->endpoint = xstrdup(*info->endpoint != '\0' ? info->endpoint : plugin->path);
    plugin->node = csi_free(plugin->node);
    if (!csi_name_is_valid(info->name))
        failed(plugin, "its name is no driver's name");
    else if (*plugin->endpoint != '/')
        failed(plugin, "its endpoint is no absolute path");
    else if (!has_version_1(info))
        failed(plugin, "it supports no version 1 of the Container Storage Interface");
    else if (csi_new(plugin->drivers->options.loop, plugin->endpoint, &plugin->node, &own) < 0)
        failed(plugin, err_text(&own));
    else
        csi_node_info(plugin->node, plugin->drivers->options.timeout_ms, on_info, plugin);
}

static void begin(struct plugin *plugin)
{
    CLEANUP(err_clear) struct err err = {0};

    free(take(&plugin->name));
    plugin->busy = true;
    if (plugin->registrar == NULL && csi_new(plugin->drivers->options.loop, plugin->path, &plugin->registrar, &err) < 0)
        failed(plugin, err_text(&err));
    else
        csi_plugin_info(plugin->registrar, plugin->drivers->options.timeout_ms, on_plugin, plugin);
}

/* --- the folder */

static struct plugin *find(const struct csi_drivers *drivers, const char *path)
{
    for (size_t i = 0; i < drivers->n; i++)
        if (streq(drivers->plugins[i]->path, path))
            return drivers->plugins[i];
    return NULL;
}

static bool is_same(const struct plugin *plugin, const struct stat *facts)
{
    return plugin->inode == facts->st_ino && plugin->changed.tv_sec == facts->st_ctim.tv_sec &&
           plugin->changed.tv_nsec == facts->st_ctim.tv_nsec;
}

static void look_at(struct csi_drivers *drivers, const char *name)
{
    CLEANUP(xfree) char *path = path_join(drivers->options.dir, name, NULL);
    struct plugin *plugin = find(drivers, path);
    struct stat facts;

    if (*name == '.' || lstat(path, &facts) < 0 || !S_ISSOCK(facts.st_mode))
        return;
    if (plugin != NULL && is_same(plugin, &facts)) {
        plugin->seen = true;
        return;
    }
    if (drivers->n >= SOCKETS_MAX) {
        log_warn("too many sockets of CSI drivers; this one is passed over", "socket", path);
        return;
    }
    plugin = NEW(struct plugin);
    *plugin = (struct plugin){
        .drivers = drivers, .path = take(&path), .inode = facts.st_ino, .changed = facts.st_ctim, .seen = true};
    GROW(drivers->plugins, drivers->n, drivers->cap);
    drivers->plugins[drivers->n++] = plugin;
}

static void drop_unseen(struct csi_drivers *drivers)
{
    size_t kept = 0;
    bool gone = false;

    for (size_t i = 0; i < drivers->n; i++) {
        struct plugin *plugin = drivers->plugins[i];
        if (plugin->seen) {
            drivers->plugins[kept++] = plugin;
            continue;
        }
        if (plugin->registered)
            log_info("CSI driver is gone", "driver", plugin->name, "socket", plugin->path);
        gone = gone || plugin->registered;
        plugin_free(plugin);
    }
    drivers->n = kept;
    if (gone)
        drivers->options.on_change(drivers->options.data);
}

static void watch_folder(struct csi_drivers *drivers)
{
    CLEANUP(err_clear) struct err err = {0};

    if (drivers->watching || drivers->inotify < 0)
        return;
    if (dir_make(drivers->options.dir, 0750, &err) < 0) {
        log_warn("the folder of CSI drivers' sockets cannot be made", "error", err_text(&err));
        return;
    }
    drivers->watching = inotify_add_watch(drivers->inotify, drivers->options.dir,
                                          IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |
                                              IN_DELETE_SELF | IN_ONLYDIR) >= 0;
}

static void look(void *data)
{
    struct csi_drivers *drivers = data;
    int64_t now_ms = loop_now_ms(drivers->options.loop), next_ms = LOOK_MS;
    const struct dirent *entry;

    watch_folder(drivers);
    for (size_t i = 0; i < drivers->n; i++)
        drivers->plugins[i]->seen = false;
    DIR *listing = opendir(drivers->options.dir);
    while (listing != NULL && (entry = readdir(listing)) != NULL)
        look_at(drivers, entry->d_name);
    if (listing != NULL)
        (void)closedir(listing);
    drop_unseen(drivers);
    for (size_t i = 0; i < drivers->n; i++) {
        struct plugin *plugin = drivers->plugins[i];
        if (plugin->busy || plugin->registered || plugin->foreign)
            continue;
        int64_t wait_ms = backoff_left_ms(&plugin->backoff, now_ms);
        if (wait_ms == 0)
            begin(plugin);
        else if (wait_ms < next_ms)
            next_ms = wait_ms;
    }
    look_in(drivers, next_ms);
}

static void on_inotify(struct loop_fd *source UNUSED, uint32_t events UNUSED, void *data)
{
    struct csi_drivers *drivers = data;
    char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t len;

    while ((len = read(drivers->inotify, bytes, sizeof(bytes))) > 0)
        for (ssize_t at = 0; at < len;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)(bytes + at);
            if ((event->mask & (IN_DELETE_SELF | IN_IGNORED)) != 0)
                drivers->watching = false;
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    look_in(drivers, SETTLE_MS);
}

/* --- life */

struct csi_drivers *csi_drivers_new(const struct csi_drivers_options *options)
{
    struct csi_drivers *drivers = NEW(struct csi_drivers);
    CLEANUP(err_clear) struct err err = {0};

    drivers->options = *options;
    drivers->timer = loop_timer_new(options->loop, look, drivers);
    drivers->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (drivers->inotify < 0 ||
        loop_fd_new(options->loop, drivers->inotify, EPOLLIN, on_inotify, drivers, &drivers->source, &err) < 0)
        log_warn("CSI drivers are found by looking every 20 s only: out of inotify watches", "dir", options->dir);
    look_in(drivers, 0);
    return drivers;
}

struct csi_drivers *csi_drivers_free(struct csi_drivers *drivers)
{
    if (drivers == NULL)
        return NULL;
    for (size_t i = 0; i < drivers->n; i++)
        plugin_free(drivers->plugins[i]);
    free(drivers->plugins);
    kube_watch_free(drivers->objects);
    loop_fd_free(drivers->source);
    (void)fd_close(drivers->inotify);
    loop_timer_free(drivers->timer);
    free(drivers);
    return NULL;
}

/* --- what is here */

/* The latest one of that name: a driver that is being replaced has two sockets for a while. */
static const struct plugin *registered(const struct csi_drivers *drivers, const char *name)
{
    for (size_t i = drivers->n; i > 0; i--)
        if (drivers->plugins[i - 1]->registered && streq(drivers->plugins[i - 1]->name, name))
            return drivers->plugins[i - 1];
    return NULL;
}

bool csi_drivers_get(const struct csi_drivers *drivers, const char *name, struct csi_driver *ret)
{
    const struct plugin *plugin = registered(drivers, name);

    if (plugin == NULL)
        return false;
    *ret = (struct csi_driver){plugin->name, plugin->endpoint, plugin->capabilities};
    return true;
}

bool csi_drivers_synced(const struct csi_drivers *drivers)
{
    return drivers->objects != NULL && kube_watch_synced(drivers->objects);
}

const struct json *csi_drivers_object(const struct csi_drivers *drivers, const char *name)
{
    return drivers->objects != NULL ? kube_watch_get(drivers->objects, NULL, name) : NULL;
}

struct json *csi_drivers_offered(const struct csi_drivers *drivers)
{
    CLEANUP(strv_done) struct strv names = {0};
    struct json *list = json_new_array();

    for (size_t i = 0; i < drivers->n; i++) {
        const struct plugin *plugin = drivers->plugins[i];
        if (plugin->registered && !strv_has(&names, plugin->name) &&
            csi_is_usable(plugin->name, csi_drivers_object(drivers, plugin->name)))
            strv_add(&names, plugin->name);
    }
    strv_sort(&names);
    for (size_t i = 0; i < names.n; i++)
        json_push(list, json_new_string(names.items[i]));
    return list;
}

const char *csi_drivers_dir(const struct csi_drivers *drivers)
{
    return drivers->options.dir;
}
