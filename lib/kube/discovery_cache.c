/*
 * discovery_cache.c: discovery documents on disk, in kubectl's place and form, so that either program reads what the other
 * wrote: discovery/HOST/servergroups.json names the groups, discovery/HOST/GROUP/VERSION/serverresources.json has the
 * resources of each. A file counts for six hours; a kind that is not there makes discovery.c ask the server.
 */
#include <ctype.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kube/discovery_internal.h"

#define FRESH_S (6 * 3600)
#define CACHE_MAX MIB(16)
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
    return path_join(folder, name, NULL);
}

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
           json_parse(buf_text(&text), text.len, ret, &ignored) == 0;
}

bool discovery_cache_load(const char *folder, struct json **ret)
{
    CLEANUP(xfree) char *groups_path = path_join(folder, GROUPS_FILE, NULL);
    CLEANUP(json_free) struct json *groups = NULL, *lists = json_new_array();
    const struct json *group, *version;
    if (!load_document(groups_path, &groups) || json_len(json_get(groups, "groups", NULL)) == 0)
        return false;
    json_each(group, json_get(groups, "groups", NULL)) {
        json_each(version, json_get(group, "versions", NULL)) {
            const char *name = json_str_or("", version, "groupVersion", NULL);
            CLEANUP(xfree) char *path = path_join(folder, name, RESOURCES_FILE, NULL);
            struct json *list = NULL;
            if (!is_safe(name) || !load_document(path, &list))
                return false;
            json_push(lists, list);
        }
    }
    *ret = json_build("{s:o, s:o}", "groups", take(&groups), "lists", take(&lists));
    return true;
}

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

static void save_document(const char *folder, const char *name, const struct json *document)
{
    CLEANUP(err_clear) struct err ignored = {0};
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(xfree) char *path = path_join(folder, name, NULL);
    json_print(document, &text);
    buf_add_char(&text, '\n');
    if (!is_same(path, &text) && dir_make(folder, 0750, &ignored) == 0)
        (void)!file_write_cache(path, buf_text(&text), text.len, 0660, &ignored);
}

void discovery_cache_save(const char *folder, const struct json *documents)
{
    const struct json *list;
    json_each(list, json_get(documents, "lists", NULL)) {
        const char *group_version = json_str_or("", list, "groupVersion", NULL);
        CLEANUP(xfree) char *inside = path_join(folder, group_version, NULL);
        if (is_safe(group_version))
            save_document(inside, RESOURCES_FILE, list);
    }
    /* last: it makes the others count */
    save_document(folder, GROUPS_FILE, json_get(documents, "groups", NULL));
}
