/*
 * kubeconfig_write.c: puts one cluster, user and context into a kubeconfig file, or takes them out. Everything else in the
 * file is kept, comments excepted (kubectl loses them too). The folder is locked, not the file, because the file is
 * replaced and no lock file may stay behind: kubectl refuses to write beside a "config.lock".
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/yaml.h"
#include "kube/kubeconfig_internal.h"

/* Where the bytes really are: renaming over a symbolic link would replace the link. */
static char *real_path(const char *path)
{
    char *real = realpath(path, NULL);
    return real != NULL ? real : xstrdup(path);
}

static int lock_folder(const char *path, bool make, int *ret_fd, struct err *err)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(xfree) char *folder = slash == NULL   ? xstrdup(".")
                                  : slash == path ? xstrdup("/")
                                                  : xstrndup(path, (size_t)(slash - path));
    if (make && dir_make(folder, 0750, err) < 0)
        return (int)err->code;
    CLEANUP(fd_close) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "opening '%s'", folder);
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return err_errno(err, errno, "locking '%s'", folder);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int save(const char *path, const struct json *config, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    yaml_print(config, &text);
    if (buf_check(&text, "kubeconfig", err) < 0)
        return (int)err->code;
    return file_write_atomic(path, text.data, text.len, 0600, err);
}

/* The changeable object `member` of the list's entry called name, made when it is not there. */
static struct json *edit_entry(struct json *config, const char *list, const char *name, const char *member)
{
    if (!json_is_array(json_get(config, list, NULL)))
        json_set(config, list, json_new_array());
    struct json *items = json_edit_member(config, list);
    for (size_t i = 0; i < json_len(items); i++) {
        struct json *entry = json_edit_at(items, i);
        if (streq(json_str(entry, "name", NULL), name)) {
            if (!json_is_object(json_get(entry, member, NULL)))
                json_set(entry, member, json_new_object());
            return json_edit_member(entry, member);
        }
    }
    json_push(items, json_build("{s:{}, s:s}", member, "name", name));
    return json_edit_member(json_edit_at(items, json_len(items) - 1), member);
}

static void set_data(struct json *object, const char *key, const char *pem)
{
    CLEANUP(buf_done) struct buf encoded = {0};
    if (pem == NULL)
        return;
    base64_encode(pem, strlen(pem), &encoded);
    json_set_str(object, key, buf_text(&encoded));
}

static void del_all(struct json *object, const char *const *keys)
{
    for (; *keys != NULL; keys++)
        json_del(object, *keys);
}

static void put_entry(struct json *config, const struct kube_config_entry *entry)
{
    static const char *const cluster_keys[] = {"certificate-authority", "certificate-authority-data",
                                               "insecure-skip-tls-verify", NULL};
    static const char *const user_keys[] = {"client-certificate", "client-certificate-data", "client-key",
                                            "client-key-data", "token", "tokenFile", "username", "password", "exec",
                                            "auth-provider", NULL};
    struct json *cluster = edit_entry(config, "clusters", entry->cluster_name, "cluster");
    del_all(cluster, cluster_keys);
    json_set_str(cluster, "server", entry->server);
    set_data(cluster, "certificate-authority-data", entry->ca_pem);

    struct json *user = edit_entry(config, "users", entry->user_name, "user");
    del_all(user, user_keys);
    set_data(user, "client-certificate-data", entry->cert_pem);
    set_data(user, "client-key-data", entry->key_pem);

    struct json *context = edit_entry(config, "contexts", entry->context_name, "context");
    json_set_str(context, "cluster", entry->cluster_name);
    json_set_str(context, "user", entry->user_name);
    if (entry->namespace != NULL)
        json_set_str(context, "namespace", entry->namespace);
    if (entry->set_current || json_get(config, "current-context", NULL) == NULL)
        json_set_str(config, "current-context", entry->set_current ? entry->context_name : "");
}

int kube_config_write_entry(const char *path, const struct kube_config_entry *entry, struct err *err)
{
    CLEANUP(fd_close) int lock = -1;
    CLEANUP(json_free) struct json *config = NULL;
    CLEANUP(xfree) char *real = real_path(path);
    if (lock_folder(real, true, &lock, err) < 0)
        return err_wrap(err, "writing kubeconfig '%s'", path);
    if (file_exists(real) && kubeconfig_read(real, &config, err) < 0)
        return (int)err->code;
    if (!json_is_object(config)) {
        json_free(config);
        config = json_build("{s:s, s:s, s:{}}", "apiVersion", "v1", "kind", "Config", "preferences");
    }
    put_entry(config, entry);
    if (save(real, config, err) < 0)
        return err_wrap(err, "writing kubeconfig '%s'", path);
    return 0;
}

static bool remove_named(struct json *config, const char *list, const char *name)
{
    bool removed = false;
    struct json *items = json_edit_member(config, list);
    for (size_t i = json_len(items); name != NULL && i-- > 0;) {
        if (streq(json_str(json_at(items, i), "name", NULL), name)) {
            json_remove_at(items, i);
            removed = true;
        }
    }
    return removed;
}

int kube_config_remove_entry(const char *path, const char *cluster_name, const char *user_name, const char *context_name,
                             struct err *err)
{
    CLEANUP(fd_close) int lock = -1;
    CLEANUP(json_free) struct json *config = NULL;
    CLEANUP(xfree) char *real = real_path(path);
    if (!file_exists(real))
        return 0;
    if (lock_folder(real, false, &lock, err) < 0)
        return err_wrap(err, "changing kubeconfig '%s'", path);
    if (kubeconfig_read(real, &config, err) < 0)
        return (int)err->code;
    if (!json_is_object(config))
        return 0;
    bool changed = remove_named(config, "clusters", cluster_name);
    changed = remove_named(config, "users", user_name) || changed;
    changed = remove_named(config, "contexts", context_name) || changed;
    if (context_name != NULL && streq(json_str(config, "current-context", NULL), context_name)) {
        json_set_str(config, "current-context", "");
        changed = true;
    }
    if (changed && save(real, config, err) < 0)
        return err_wrap(err, "changing kubeconfig '%s'", path);
    return 0;
}
