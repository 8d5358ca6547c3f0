/*
 * discovery_cache.c: discovery documents on disk, in kubectl's place and form, so that either program reads what the other
 * wrote: discovery/HOST/servergroups.json names the groups, discovery/HOST/GROUP/VERSION/serverresources.json has the
 * resources of each. A file counts for six hours; a kind that is not there makes discovery.c ask the server. Readers see
 * each file as it was or as it is, never half of one.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kube/discovery_internal.h"

#define FRESH_S (6 * 3600)
#define CACHE_MAX MIB(16)
#define FOLDER_MODE 0750 /* both as kubectl's */
#define FILE_MODE 0660
#define GROUPS_FILE "servergroups.json"
#define RESOURCES_FILE "serverresources.json"

char *discovery_cache_path(const char *cache_dir, const char *server)
{
    CLEANUP(xfree) char *folder = kube_cache_dir(cache_dir, "discovery");
    const char *host = strstr(server, "://");
    CLEANUP(xfree) char *name = xstrdup(host != NULL ? host + 3 : server);
    for (char *c = name; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && strchr("_/.()", *c) == NULL)
            *c = '_';
    }
    for (size_t len = strlen(name); len > 0 && name[len - 1] == '/'; len--)
        name[len - 1] = '\0';
    return path_join(folder, name, NULL);
}

/* --- loading */

/* A name from the cache or the server that becomes part of a path. */
static bool is_safe(const char *group_version)
{
    return group_version[0] != '\0' && group_version[0] != '/' && strstr(group_version, "..") == NULL;
}

static bool load_document(const char *path, struct json **ret)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(buf_done) struct buf text = {0};
    struct stat status;
    return stat(path, &status) == 0 && clock_wall_ns() / 1000000000 - status.st_mtime < FRESH_S &&
           file_read(path, CACHE_MAX, &text, &ignored) == 0 &&
           json_parse_to_read(buf_text(&text), text.len, NULL, ret, &ignored) == 0;
}

static bool load_resources(const char *folder, const char *group_version, struct discovery_list *list)
{
    CLEANUP(xfree) char *path = path_join(folder, group_version, RESOURCES_FILE, NULL);
    CLEANUP(json_free) struct json *document = NULL;
    if (!is_safe(group_version) || !load_document(path, &document))
        return false;
    discovery_list_add(list, document);
    return true;
}

bool discovery_cache_load(const char *folder, struct discovery_list *list)
{
    CLEANUP(xfree) char *groups_path = path_join(folder, GROUPS_FILE, NULL);
    CLEANUP(json_free) struct json *groups = NULL;
    const struct json *group, *version;
    if (!load_document(groups_path, &groups) || json_len(json_get(groups, "groups", NULL)) == 0)
        return false;
    json_each(group, json_get(groups, "groups", NULL)) {
        json_each(version, json_get(group, "versions", NULL)) {
            if (!load_resources(folder, json_str_or("", version, "groupVersion", NULL), list)) {
                discovery_list_done(list);
                return false;
            }
        }
    }
    return true;
}

/* --- saving */

/* What is there already only becomes young again. */
static bool is_same(const char *path, const struct buf *text)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(buf_done) struct buf old = {0};
    struct stat status;
    return stat(path, &status) == 0 && (size_t)status.st_size == text->len &&
           file_read(path, CACHE_MAX, &old, &ignored) == 0 && old.len == text->len &&
           memcmp(buf_text(&old), buf_text(text), text->len) == 0 && utimensat(AT_FDCWD, path, NULL, 0) == 0;
}

/* The groups come last: they make the others count. */
static bool renew(const char *group_version, const struct buf *text, void *data)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(xfree) char *folder = path_join(data, strempty(group_version), NULL);
    CLEANUP(xfree) char *path = path_join(folder, group_version != NULL ? RESOURCES_FILE : GROUPS_FILE, NULL);
    if ((group_version == NULL || is_safe(group_version)) && !is_same(path, text) &&
        dir_make(folder, FOLDER_MODE, &ignored) == 0)
        (void)!file_write_cache(path, buf_text(text), text->len, FILE_MODE, &ignored);
    return true;
}

/* --- the first time: everything under a name that nobody knows, which then becomes the folder's */

/* The folders of "apps/v1/serverresources.json", below a folder. */
static bool make_folders(int folder_fd, const char *name)
{
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        CLEANUP(xfree) char *folder = xstrndup(name, (size_t)(slash - name));
        if (mkdirat(folder_fd, folder, FOLDER_MODE) < 0 && errno != EEXIST)
            return false;
    }
    return true;
}

static bool make(const char *group_version, const struct buf *text, void *data)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(fd_close) int fd = -1;
    const int *folder_fd = data;
    if (group_version != NULL && !is_safe(group_version))
        return true;
    CLEANUP(xfree)
    char *name = group_version != NULL ? path_join(group_version, RESOURCES_FILE, NULL) : xstrdup(GROUPS_FILE);
    if (!make_folders(*folder_fd, name))
        return false;
    fd = openat(*folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    return fd >= 0 && fchmod(fd, FILE_MODE) == 0 && fd_write_all(fd, buf_text(text), text->len, &ignored) == 0;
}

/* False when the folder is there by now, or it does not work. */
static bool create(const char *folder, const struct discovery_answer *answer)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(xfree) char *parent = xstrndup(folder, (size_t)(strrchr(folder, '/') - folder));
    CLEANUP(xfree) char *temporary = xasprintf("%s.XXXXXX", folder);
    CLEANUP(fd_close) int fd = -1;
    if (dir_make(parent, FOLDER_MODE, &ignored) < 0 || mkdtemp(temporary) == NULL)
        return false;
    fd = open(temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && fchmod(fd, FOLDER_MODE) == 0 && discovery_answer_print(answer, make, &fd) &&
        rename(temporary, folder) == 0)
        return true;
    (void)!dir_remove(temporary, &ignored);
    return false;
}

void discovery_cache_save(const char *folder, const struct discovery_answer *answer)
{
    CLEANUP(xfree) char *copy = xstrdup(folder);
    if (file_exists(folder) || !create(folder, answer))
        (void)discovery_answer_print(answer, renew, copy);
}
