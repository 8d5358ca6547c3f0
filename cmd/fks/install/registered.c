/* registered.c: see registered.h. */
#include "install/registered.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/json.h"
#include "home.h"

#define SUFFIX ".json"

void registered_done(struct registered *registered)
{
    free(registered->name);
    free(registered->provider);
    free(registered->kubeconfig);
    free(registered->context);
    free(registered->server);
    free(registered->created);
    free(registered->uid);
    *registered = (struct registered){0};
}

static char *folder(void)
{
    CLEANUP(xfree) char *home = home_path();
    return path_join(home, "registered", NULL);
}

/* The name was checked when it was registered; one that could leave the folder is nobody's. */
char *registered_path(const char *name)
{
    CLEANUP(xfree) char *path = folder();
    return xasprintf("%s/%s" SUFFIX, path, strchr(name, '/') == NULL ? name : "");
}

bool registered_exists(const char *name)
{
    CLEANUP(xfree) char *path = registered_path(name);
    return file_exists(path);
}

static char *copy_of(const struct json *json, const char *key)
{
    const char *text = json_str(json, key, NULL);
    return text != NULL ? xstrdup(text) : NULL;
}

int registered_load(const char *name, struct registered *ret, struct err *err)
{
    CLEANUP(xfree) char *path = registered_path(name);
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *json = NULL;
    int r = file_read(path, LIMIT_FILE, &text, err);
    if (r == ERR_NOT_FOUND) {
        err_clear(err);
        return err_set(err, ERR_NOT_FOUND, "cluster '%s' is not registered: 'fks get clusters' lists those that are", name);
    }
    if (r < 0 || (r = json_parse(buf_text(&text), text.len, &json, err)) < 0)
        return err_wrap(err, "reading '%s'", path);
    *ret = (struct registered){
        .name = xstrdup(name), .provider = copy_of(json, "provider"), .kubeconfig = copy_of(json, "kubeconfig"),
        .context = copy_of(json, "context"), .server = copy_of(json, "server"), .created = copy_of(json, "created"), .uid = copy_of(json, "uid")};
    return 0;
}

int registered_save(const struct registered *registered, struct err *err)
{
    CLEANUP(xfree) char *home = folder();
    CLEANUP(xfree) char *path = registered_path(registered->name);
    CLEANUP(json_free) struct json *json =
        json_build("{s:s*, s:s*, s:s*, s:s*, s:s*, s:s*}", "provider", registered->provider, "kubeconfig", registered->kubeconfig,
                   "context", registered->context, "server", registered->server, "created", registered->created, "uid", registered->uid);
    CLEANUP(buf_done) struct buf text = {0};
    json_print_pretty(json, &text);
    int r = dir_make(home, 0700, err);
    return r < 0 ? r : file_write_atomic(path, buf_text(&text), text.len, 0600, err);
}

int registered_check_identity(const char *name, const char *uid, struct err *err)
{
    CLEANUP(strv_done) struct strv names = {0};
    int r = registered_list(&names, err);
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        CLEANUP(registered_done) struct registered other = {0};
        if ((r = registered_load(names.items[i], &other, err)) < 0)
            return r;
        bool same_name = streq(name, other.name);
        if (other.uid == NULL || same_name == streq(uid, other.uid))
            continue;
        if (same_name)
            return err_set(err, ERR_EXISTS, "'%s' is the name of another cluster, at %s: choose another, or 'fks deregister cluster "
                                            "--name %s' first", name, strempty(other.server), name);
        return err_set(err, ERR_EXISTS, "this cluster is registered as '%s': use that name, or 'fks deregister cluster --name %s' first",
                       other.name, other.name);
    }
    return r;
}

int registered_remove(const char *name, struct err *err)
{
    CLEANUP(xfree) char *path = registered_path(name);
    return unlink(path) < 0 && errno != ENOENT ? err_errno(err, errno, "removing '%s'", path) : 0;
}

int registered_list(struct strv *ret, struct err *err)
{
    CLEANUP(xfree) char *path = folder();
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT ? 0 : err_errno(err, errno, "reading '%s'", path);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.' && ends_with(entry->d_name, SUFFIX))
            strv_take(ret, xstrndup(entry->d_name, strlen(entry->d_name) - strlen(SUFFIX)));
    (void)closedir(dir);
    strv_sort(ret);
    return 0;
}

int registered_config(const struct registered *registered, struct kube_config *ret, struct err *err)
{
    const struct kube_overrides overrides = {.kubeconfig = registered->kubeconfig, .context = registered->context};
    int r = kube_config_load(&overrides, ret, err);
    return r < 0 ? err_wrap(err, "the registered cluster '%s'", registered->name) : 0;
}
