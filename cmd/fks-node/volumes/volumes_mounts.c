/*
 * volumes_mounts.c: how one container sees the pod's volumes. A subPath is opened below its volume with openat2, so
 * that a symlink that a container put there cannot lead out, and the opened thing itself, not its name, is bound in
 * place for the runtime: what the name means may have changed by the time the container starts.
 */
#include "volumes/volumes_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

void volumes_mounts_done(struct volumes_mounts *mounts)
{
    for (size_t i = 0; i < mounts->n; i++) {
        free((char *)(uintptr_t)mounts->items[i].image);
        free((char *)(uintptr_t)mounts->items[i].image_sub_path);
        free((char *)(uintptr_t)mounts->items[i].container_path);
        free((char *)(uintptr_t)mounts->items[i].host_path);
    }
    free(mounts->items);
    *mounts = (struct volumes_mounts){0};
}

/* Takes both strings over. */
static void mounts_add(struct volumes_mounts *mounts, char *container_path, char *host_path, bool readonly)
{
    GROW(mounts->items, mounts->n, mounts->cap);
    mounts->items[mounts->n++] =
        (struct cri_mount){.container_path = container_path, .host_path = host_path, .readonly = readonly};
}

static bool mounts_has(const struct volumes_mounts *mounts, const char *container_path)
{
    for (size_t i = 0; i < mounts->n; i++)
        if (streq(mounts->items[i].container_path, container_path))
            return true;
    return false;
}

/* --- subPath */

/* An O_PATH descriptor of what path names below root, or a negative errno. Every symlink ends below root. */
static int open_below(int root, const char *path)
{
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

    return fd < 0 ? -errno : (int)fd;
}

/* mkdir of name in parent, with the mode and group of the volume itself. */
static int make_below(int root, int parent, const char *name)
{
    CLEANUP(fd_close) int fd = -1;
    char self[64];
    struct stat volume;

    if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
        return -errno;
    fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(root, &volume) < 0)
        return -errno;
    (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd); /* fchmod refuses O_PATH */
    if (chown(self, (uid_t)-1, volume.st_gid) < 0 || chmod(self, volume.st_mode & 07777 & ~(mode_t)S_ISVTX) < 0)
        return -errno;
    return 0;
}

/* Opens path below root, making the folders that are missing. */
static int open_or_make(int root, const char *path, int *ret_fd, struct err *err)
{
    CLEANUP(strv_done) struct strv elements = {0};
    CLEANUP(buf_done) struct buf done = {0};
    CLEANUP(fd_close) int parent = open_below(root, ".");

    strv_split(&elements, path, '/');
    for (size_t i = 0; i < elements.n; i++) {
        int fd;

        if (elements.items[i][0] == '\0')
            continue;
        if (done.len > 0)
            buf_add_char(&done, '/');
        buf_add_str(&done, elements.items[i]);
        fd = open_below(root, buf_text(&done));
        if (fd == -ENOENT) {
            int r = make_below(root, parent, elements.items[i]);

            fd = r < 0 ? r : open_below(root, buf_text(&done));
        }
        if (fd < 0)
            return err_errno(err, -fd, "opening '%s' below its volume", buf_text(&done));
        (void)fd_close(parent);
        parent = fd;
    }
    if (parent < 0)
        return err_errno(err, -parent, "opening a volume");
    *ret_fd = parent;
    parent = -1;
    return 0;
}

/* An empty file or folder to mount on; one that is there already loses what is mounted on it. */
static int make_target(const char *target, bool folder, struct err *err)
{
    CLEANUP(xfree) char *parent = xstrndup(target, (size_t)(strrchr(target, '/') - target));
    CLEANUP(fd_close) int fd = -1;
    int r = dir_make(parent, 0750, err);

    if (r < 0)
        return r;
    while (umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        ;
    r = dir_remove(target, err);
    if (r < 0)
        return r;
    if (folder)
        return mkdir(target, 0750) < 0 ? err_errno(err, errno, "making '%s'", target) : 0;
    fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    return fd < 0 ? err_errno(err, errno, "making '%s'", target) : 0;
}

static int bind_sub_path(const char *volume_dir, const char *sub_path, const char *target, struct err *err)
{
    CLEANUP(fd_close) int root = open(volume_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(fd_close) int fd = -1;
    char self[64];
    struct stat info;
    int r;

    if (root < 0)
        return err_errno(err, errno, "opening '%s'", volume_dir);
    r = open_or_make(root, sub_path, &fd, err);
    if (r < 0)
        return r;
    if (fstat(fd, &info) < 0)
        return err_errno(err, errno, "looking at '%s'", sub_path);
    r = make_target(target, S_ISDIR(info.st_mode), err);
    if (r < 0)
        return r;
    (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    if (mount(self, target, NULL, MS_BIND, NULL) < 0)
        return err_errno(err, errno, "binding '%s' to '%s'", sub_path, target);
    return 0;
}

static int check_sub_path(const char *path, struct err *err)
{
    CLEANUP(strv_done) struct strv elements = {0};

    if (path[0] == '/')
        return err_set(err, ERR_INVALID, "subPath `%s` must not be an absolute path", path);
    strv_split(&elements, path, '/');
    for (size_t i = 0; i < elements.n; i++)
        if (streq(elements.items[i], ".."))
            return err_set(err, ERR_INVALID, "unable to provision SubPath `%s`: must not contain '..'", path);
    return 0;
}

/* The subPath with subPathExpr expanded; "" without one. Heap string. */
static int sub_path_of(const struct json *mount, const struct environment *environment, char **ret, struct err *err)
{
    const char *expression = json_str_or("", mount, "subPathExpr", NULL);

    if (expression[0] == '\0') {
        *ret = xstrdup(json_str_or("", mount, "subPath", NULL));
        return 0;
    }
    return environment_expand_strict(environment, expression, ret, err);
}

/* --- all mounts */

struct place { /* of the container under way */
    const struct json *pod;
    const char *state_dir;
    const struct map *images;
    bool readonly_below;
    const char *uid;
    const char *container;
    const struct environment *environment;
};

/* Containers never write to what the agent keeps up to date. */
static bool is_readonly_type(const struct json *volume)
{
    const char *type;
    enum volumes_type kind = volumes_type_of(volume, &type);

    return kind != VOLUMES_EMPTY_DIR && kind != VOLUMES_NFS && kind != VOLUMES_CLAIM && kind != VOLUMES_CSI;
}

/* The runtime mounts the image's files itself, subPath included. */
static int add_image_mount(const struct place *place, const char *name, const char *inside, const char *sub_path,
                           struct volumes_mounts *ret, struct err *err)
{
    const char *id = place->images != NULL ? map_get(place->images, name) : NULL;

    if (id == NULL)
        return err_set(err, ERR_NOT_FOUND, "the image of volume \"%s\" is not known", name);
    mounts_add(ret, xstrdup(inside), xstrdup(""), true);
    ret->items[ret->n - 1].image = xstrdup(id);
    ret->items[ret->n - 1].image_sub_path = xstrdup(sub_path);
    return 0;
}

static int add_volume_mount(const struct place *place, const struct json *mount, size_t index,
                            struct volumes_mounts *ret, struct err *err)
{
    const char *name = json_str_or("", mount, "name", NULL);
    const char *inside = json_str_or("", mount, "mountPath", NULL);
    const struct json *volume = volumes_find(place->pod, name);
    CLEANUP(xfree) char *host_path = volumes_dir(place->state_dir, place->uid, name);
    CLEANUP(xfree) char *sub_path = NULL;
    int r;

    if (volume == NULL)
        return err_set(err, ERR_NOT_FOUND, "cannot find volume \"%s\" to mount into container \"%s\"", name,
                       place->container);
    if (streq(json_str(mount, "recursiveReadOnly", NULL), "Enabled") && !place->readonly_below)
        return err_set(err, ERR_UNSUPPORTED,
                       "volume \"%s\" requested recursive read-only mode, but it is not supported by the runtime", name);
    r = sub_path_of(mount, place->environment, &sub_path, err);
    if (r == 0)
        r = check_sub_path(sub_path, err);
    if (r < 0)
        return r;
    if (volumes_image_of(volume) != NULL)
        return add_image_mount(place, name, inside, sub_path, ret, err);
    if (sub_path[0] != '\0') {
        CLEANUP(xfree) char *number = xasprintf("%zu", index);
        char *target = path_join(place->state_dir, "pods", place->uid, "volume-subpaths", name, place->container,
                                 number, NULL);

        r = bind_sub_path(host_path, sub_path, target, err);
        free(host_path);
        host_path = target;
        if (r < 0)
            return err_wrap(err, "failed to prepare subPath for volumeMount \"%s\" of container \"%s\"", name,
                            place->container);
    }
    mounts_add(ret, inside[0] == '/' ? xstrdup(inside) : xasprintf("/%s", inside), take(&host_path),
               json_is_true(mount, "readOnly", NULL) || is_readonly_type(volume));
    ret->items[ret->n - 1].readonly_below =
        place->readonly_below && !streq(json_str_or("Disabled", mount, "recursiveReadOnly", NULL), "Disabled");
    ret->items[ret->n - 1].from_host = streq(json_str(mount, "mountPropagation", NULL), "HostToContainer");
    return 0;
}

/* Any user of the container may write it. */
static int add_termination_file(const struct place *place, const char *inside, uint32_t attempt,
                                struct volumes_mounts *ret, struct err *err)
{
    CLEANUP(xfree) char *path = volumes_termination_path(place->state_dir, place->uid, place->container, attempt);
    CLEANUP(xfree) char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    CLEANUP(fd_close) int fd = -1;
    int r = dir_make(parent, 0750, err);

    if (r < 0)
        return r;
    fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fchmod(fd, 0666) < 0)
        return err_errno(err, errno, "making '%s'", path);
    mounts_add(ret, xstrdup(inside), take(&path), false);
    return 0;
}

int volumes_mounts_of(const struct json *pod, const struct json *container, const struct volumes_places *places,
                      const struct environment *environment, uint32_t attempt, struct volumes_mounts *ret,
                      struct err *err)
{
    CLEANUP(volumes_mounts_done) struct volumes_mounts mounts = {0};
    const struct place place = {
        .pod = pod,
        .state_dir = places->state_dir,
        .images = places->images,
        .readonly_below = places->readonly_below,
        .uid = json_str_or("", pod, "metadata", "uid", NULL),
        .container = json_str_or("", container, "name", NULL),
        .environment = environment,
    };
    const char *message_path = json_str_or("/dev/termination-log", container, "terminationMessagePath", NULL);
    const struct json *mount;
    int r = volumes_check_element("pod UID", place.uid, err);

    if (r == 0)
        r = volumes_check_element("container name", place.container, err);
    if (r < 0)
        return r;
    json_each(mount, json_get(container, "volumeMounts", NULL))
    {
        r = add_volume_mount(&place, mount, mount_index, &mounts, err);
        if (r < 0)
            return r;
    }
    if (!json_is_true(pod, "spec", "hostNetwork", NULL) && !mounts_has(&mounts, "/etc/hosts"))
        mounts_add(&mounts, xstrdup("/etc/hosts"), volumes_hosts_path(place.state_dir, place.uid), false);
    if (message_path[0] != '\0') {
        r = add_termination_file(&place, message_path, attempt, &mounts, err);
        if (r < 0)
            return r;
    }
    *ret = mounts;
    mounts = (struct volumes_mounts){0};
    return 0;
}
