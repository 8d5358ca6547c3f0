/*
 * csi_records.c: see csi_records.h. Not synced to the disk: a power cut takes the mounts, too.
 */
#include "volumes/csi_records.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/pki.h"

#define SUFFIX ".json"
#define STAGES                                                                                                       \
    "plugins/kubernetes.io/csi" /* as below a kubelet's folder: drivers' charts mount what is below plugins and pods \
                                 */

void csi_record_digest(const char *driver, const char *handle, char ret[65])
{
    CLEANUP(xfree) char *text = xasprintf("%s/%s", driver, handle);

    pki_sha256_hex(text, strlen(text), ret);
}

char *csi_record_stage_dir(const char *state_dir, const char *digest)
{
    return path_join(state_dir, STAGES, digest, NULL);
}

char *csi_record_stage_path(const char *state_dir, const char *digest)
{
    return path_join(state_dir, STAGES, digest, "volume" SUFFIX, NULL);
}

char *csi_record_use_path(const char *state_dir, const char *uid, const char *volume)
{
    CLEANUP(xfree) char *file = xasprintf("%s" SUFFIX, volume);

    return path_join(state_dir, "pods", uid, "csi", file, NULL);
}

int csi_record_write(const char *path, const struct json *record, struct err *err)
{
    CLEANUP(xfree) char *folder = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    CLEANUP(buf_done) struct buf text = {0};
    int r = dir_make(folder, 0750, err);

    if (r < 0)
        return r;
    json_print(record, &text);
    return file_write_cache(path, text.data, text.len, 0600, err);
}

int csi_record_remove(const char *path, struct err *err)
{
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, errno, "removing '%s'", path);
    return 0;
}

static void read_one(const char *path, const char *uid, const char *name, csi_record_found *found, void *data)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *record = NULL;
    int r = file_read(path, LIMIT_FILE, &text, &err);

    if (r == ERR_NOT_FOUND)
        return;
    if (r < 0 || json_parse(buf_text(&text), text.len, &record, &err) < 0) {
        log_warn("the record of a CSI volume cannot be read", "file", path, "error", err_text(&err));
        return;
    }
    found(uid, name, record, data);
}

static void each_use(const char *state_dir, const char *uid, csi_record_found *found, void *data)
{
    CLEANUP(xfree) char *folder = path_join(state_dir, "pods", uid, "csi", NULL);
    DIR *listing = opendir(folder);
    const struct dirent *entry;

    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        if (entry->d_name[0] == '.' || !ends_with(entry->d_name, SUFFIX))
            continue;
        CLEANUP(xfree) char *name = xstrndup(entry->d_name, strlen(entry->d_name) - strlen(SUFFIX));
        CLEANUP(xfree) char *path = path_join(folder, entry->d_name, NULL);
        read_one(path, uid, name, found, data);
    }
    if (listing != NULL)
        (void)closedir(listing);
}

void csi_record_each(const char *state_dir, csi_record_found *found, void *data)
{
    CLEANUP(xfree) char *stages = path_join(state_dir, STAGES, NULL);
    CLEANUP(xfree) char *pods = path_join(state_dir, "pods", NULL);
    const struct dirent *entry;

    DIR *listing = opendir(stages);
    while (listing != NULL && (entry = readdir(listing)) != NULL) {
        CLEANUP(xfree) char *path = csi_record_stage_path(state_dir, entry->d_name);
        if (entry->d_name[0] != '.')
            read_one(path, NULL, entry->d_name, found, data);
    }
    if (listing != NULL)
        (void)closedir(listing);
    listing = opendir(pods);
    while (listing != NULL && (entry = readdir(listing)) != NULL)
        if (entry->d_name[0] != '.')
            each_use(state_dir, entry->d_name, found, data);
    if (listing != NULL)
        (void)closedir(listing);
}
