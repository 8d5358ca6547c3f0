/*
 * volumes.c: makes a pod's volumes on disk, keeps them up to date, and takes them down. What goes into them is
 * worked out by volumes_payload.c; how a container sees them by volumes_mounts.c. Secrets and tokens live in memory
 * only (tmpfs).
 */
#include "volumes/volumes_internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/quantity.h"

/* --- places */

char *volumes_pod_dir(const char *state_dir, const char *uid)
{
    return path_join(state_dir, "pods", uid, NULL);
}

char *volumes_dir(const char *state_dir, const char *uid, const char *volume)
{
    return path_join(state_dir, "pods", uid, "volumes", volume, NULL);
}

char *volumes_hosts_path(const char *state_dir, const char *uid)
{
    return path_join(state_dir, "pods", uid, "etc-hosts", NULL);
}

char *volumes_termination_path(const char *state_dir, const char *uid, const char *container, uint32_t attempt)
{
    CLEANUP(xfree) char *number = xasprintf("%" PRIu32, attempt);

    return path_join(state_dir, "pods", uid, "containers", container, number, NULL);
}

int volumes_check_element(const char *what, const char *text, struct err *err)
{
    if (text == NULL || text[0] == '\0' || strchr(text, '/') != NULL || streq(text, ".") || streq(text, ".."))
        return err_set(err, ERR_INVALID, "%s '%s' cannot be a folder's name", what, strempty(text));
    return 0;
}

const struct json *volumes_find(const struct json *pod, const char *name)
{
    const struct json *volume;

    json_each(volume, json_get(pod, "spec", "volumes", NULL))
        if (streq(json_str(volume, "name", NULL), name))
            return volume;
    return NULL;
}

enum volumes_type volumes_type_of(const struct json *volume, const char **ret_type)
{
    static const char *const names[] = {
        [VOLUMES_EMPTY_DIR] = "emptyDir", [VOLUMES_CONFIG_MAP] = "configMap",       [VOLUMES_SECRET] = "secret",
        [VOLUMES_PROJECTED] = "projected", [VOLUMES_DOWNWARD_API] = "downwardAPI", [VOLUMES_IMAGE] = "image",
        [VOLUMES_NFS] = "nfs",             [VOLUMES_CLAIM] = "persistentVolumeClaim", [VOLUMES_CSI] = "csi",
    };
    void *position = NULL;
    const char *key;
    const struct json *value;

    for (size_t i = 0; i < countof(names); i++)
        if (json_get(volume, names[i], NULL) != NULL) {
            *ret_type = names[i];
            return (enum volumes_type)i;
        }
    *ret_type = "emptyDir"; /* what the API server makes of a volume that names no type */
    while (json_next(volume, &position, &key, &value))
        if (!streq(key, "name")) {
            *ret_type = key;
            return VOLUMES_UNSUPPORTED;
        }
    return VOLUMES_EMPTY_DIR;
}

/* --- setting up */

bool volumes_is_mounted(const char *path)
{
    struct statx info;

    return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &info) == 0 &&
           (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* limit_b 0: the kernel's default, half of the host's memory; it counts into the containers' cgroups anyway. */
static int mount_tmpfs(const char *path, int64_t limit_b, unsigned long flags, struct err *err)
{
    CLEANUP(xfree) char *options =
        limit_b > 0 ? xasprintf("mode=1777,size=%" PRId64, limit_b) : xstrdup("mode=1777");

    if (volumes_is_mounted(path))
        return 0;
    if (mount("tmpfs", path, "tmpfs", flags, options) < 0)
        return err_errno(err, errno, "mounting tmpfs on '%s'", path);
    return 0;
}

static int64_t empty_dir_limit(const struct volumes_input *input, const struct json *body, struct err *err,
                               int *ret_code)
{
    const char *text = json_str(body, "sizeLimit", NULL);
    int64_t limit = input->downward.allocatable_mem_b;
    int64_t own;

    *ret_code = 0;
    if (text == NULL)
        return limit;
    *ret_code = quantity_parse_units(text, &own, err);
    if (*ret_code < 0 || own <= 0)
        return limit;
    return limit > 0 && own > limit ? limit : own;
}

/* Only a volume made just now gets its mode: containers may have changed it since. */
static int set_up_empty_dir(const struct volumes_input *input, const struct json *volume, const char *dir,
                            struct err *err)
{
    const struct json *body = json_get(volume, "emptyDir", NULL);
    const char *medium = json_str_or("", body, "medium", NULL);
    int64_t fs_group = volumes_fs_group(input->pod);
    bool memory = streq(medium, "Memory");
    bool fresh = memory ? !volumes_is_mounted(dir) : !file_exists(dir);
    int r;

    if (!memory && medium[0] != '\0')
        return err_set(err, ERR_UNSUPPORTED, "emptyDir medium \"%s\" is not supported", medium);
    if (!fresh)
        return 0;
    r = dir_make(dir, 0700, err);
    if (r == 0 && memory) {
        int64_t limit = empty_dir_limit(input, body, err, &r);

        if (r == 0)
            r = mount_tmpfs(dir, limit, 0, err);
    }
    if (r < 0)
        return r;
    if (fs_group >= 0 && chown(dir, (uid_t)-1, (gid_t)fs_group) < 0)
        return err_errno(err, errno, "giving '%s' to group %d", dir, (int)fs_group);
    if (chmod(dir, fs_group >= 0 ? 02777 : 0777) < 0)
        return err_errno(err, errno, "setting the mode of '%s'", dir);
    return 0;
}

static int set_up_files(const struct volumes_input *input, const struct json *volume, bool in_memory, const char *dir,
                        struct err *err)
{
    CLEANUP(volumes_payload_done) struct volumes_payload payload = {0};
    int r = volumes_payload_of(input, volume, &payload, err);

    if (r < 0)
        return r;
    r = dir_make(dir, 0755, err);
    if (r == 0 && in_memory)
        r = mount_tmpfs(dir, input->downward.allocatable_mem_b, MS_NOSUID | MS_NODEV, err);
    if (r < 0)
        return r;
    if (!in_memory && chmod(dir, 0755) < 0)
        return err_errno(err, errno, "setting the mode of '%s'", dir);
    return atomic_writer_write(dir, payload.files, payload.n, volumes_fs_group(input->pod), NULL, err);
}

/* The mount itself took its time before (pod_mounts.c, pod_csi.c). */
static int check_mounted(const struct volumes_input *input, const struct json *volume, const char *dir, struct err *err)
{
    const struct json *bound = NULL;
    struct volumes_nfs nfs;
    int r = json_get(volume, "nfs", NULL) == NULL ? volumes_claimed(volume, input->objects, &bound, err) : 0;

    if (r < 0 || json_get(bound, "spec", "csi", NULL) != NULL)
        return r;
    r = volumes_nfs_of(volume, input->objects, &nfs, err);
    if (r < 0)
        return r;
    return volumes_is_mounted(dir) ? 0 : err_set(err, ERR_BUSY, "%s:%s is not mounted yet", nfs.server, nfs.path);
}

static int set_up_volume(const struct volumes_input *input, const struct json *volume, const char *dir, struct err *err)
{
    const char *type;
    enum volumes_type kind = volumes_type_of(volume, &type);

    switch (kind) {
    case VOLUMES_EMPTY_DIR:
        return set_up_empty_dir(input, volume, dir, err);
    case VOLUMES_CONFIG_MAP:
        return set_up_files(input, volume, false, dir, err);
    case VOLUMES_SECRET:
    case VOLUMES_PROJECTED:
    case VOLUMES_DOWNWARD_API:
        return set_up_files(input, volume, true, dir, err);
    case VOLUMES_NFS:
    case VOLUMES_CLAIM:
        return check_mounted(input, volume, dir, err);
    case VOLUMES_IMAGE: /* the runtime mounts it */
    case VOLUMES_CSI:   /* its driver did */
        return 0;
    case VOLUMES_UNSUPPORTED:
        break;
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "volumes of type %s are not supported here: use emptyDir, configMap, secret, projected, downwardAPI, "
                   "image, nfs, csi, or a claim of an NFS or CSI volume",
                   type);
}

int volumes_set_up(const struct volumes_input *input, struct err *err)
{
    const char *uid = json_str_or("", input->pod, "metadata", "uid", NULL);
    CLEANUP(xfree) char *pod_dir = volumes_pod_dir(input->state_dir, uid);
    const struct json *volume;
    int r = volumes_check_element("pod UID", uid, err);

    if (r == 0)
        r = dir_make(pod_dir, 0750, err);
    if (r < 0)
        return r;
    json_each(volume, json_get(input->pod, "spec", "volumes", NULL))
    {
        const char *name = json_str_or("", volume, "name", NULL);
        CLEANUP(xfree) char *dir = volumes_dir(input->state_dir, uid, name);

        r = volumes_check_element("volume name", name, err);
        if (r == 0)
            r = set_up_volume(input, volume, dir, err);
        if (r < 0)
            return err_wrap(err, "MountVolume.SetUp failed for volume \"%s\" ", name);
    }
    return 0;
}

/* --- taking down */

/* mountinfo writes blanks and backslashes as \ooo. */
static char *unescape(struct str text)
{
    CLEANUP(buf_done) struct buf out = {0};

    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '\\' && i + 3 < text.len && isdigit((unsigned char)text.p[i + 1])) {
            buf_add_char(&out, (char)((text.p[i + 1] - '0') << 6 | (text.p[i + 2] - '0') << 3 | (text.p[i + 3] - '0')));
            i += 3;
        } else {
            buf_add_char(&out, text.p[i]);
        }
    }
    return buf_take(&out);
}

/* Mount points below dir in the order they were mounted; proc(5): the fifth field of a line. */
static int mounts_below(const char *dir, struct strv *ret, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(xfree) char *prefix = xasprintf("%s/", dir);
    struct str rest;
    int r = file_read("/proc/self/mountinfo", LIMIT_FILE, &text, err);

    if (r < 0)
        return r;
    rest = (struct str){buf_text(&text), text.len};
    while (rest.len > 0) {
        struct str line, field = {0};
        CLEANUP(xfree) char *path = NULL;

        (void)str_cut(rest, '\n', &line, &rest);
        for (int i = 0; i < 5; i++)
            (void)str_cut(line, ' ', &field, &line);
        path = unescape(field);
        if (starts_with(path, prefix))
            strv_add(ret, path);
    }
    return 0;
}

/* dir as mountinfo spells it. Detached: a container that is going down may still hold it. */
static int unmount_below(const char *dir, struct err *err)
{
    CLEANUP(strv_done) struct strv mounts = {0};
    int r = mounts_below(dir, &mounts, err);

    if (r < 0)
        return r;
    for (size_t i = mounts.n; i-- > 0;)
        if (umount2(mounts.items[i], MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
            return err_errno(err, errno, "unmounting '%s'", mounts.items[i]);
    return 0;
}

int volumes_drop_subpaths(const char *state_dir, const char *uid, struct err *err)
{
    CLEANUP(xfree) char *dir = path_join(state_dir, "pods", uid, "volume-subpaths", NULL);
    CLEANUP(xfree) char *real = realpath(dir, NULL);

    if (real == NULL)
        return errno == ENOENT ? 0 : err_errno(err, errno, "resolving '%s'", dir);
    return unmount_below(real, err);
}

int volumes_tear_down(const char *state_dir, const char *uid, struct err *err)
{
    CLEANUP(xfree) char *dir = volumes_pod_dir(state_dir, uid);
    CLEANUP(xfree) char *real = NULL;
    int r = volumes_check_element("pod UID", uid, err);

    if (r < 0)
        return r;
    real = realpath(dir, NULL);
    if (real == NULL)
        return errno == ENOENT ? 0 : err_errno(err, errno, "resolving '%s'", dir);
    r = unmount_below(real, err);
    return r < 0 ? r : dir_remove(real, err);
}
