/*
 * kubeconfig_files.c: which kubeconfig files there are, reading them, and merging several into one, by the rules of
 * client-go's loader: the first file that has an entry of a name, or a current-context, wins.
 */
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "data/yaml.h"
#include "kube/kubeconfig_internal.h"

static const struct {
    const char *list, *member, *go_type;
} lists[] = {
    {"clusters", "cluster", "[]v1.NamedCluster"},
    {"contexts", "context", "[]v1.NamedContext"},
    {"users", "user", "[]v1.NamedAuthInfo"},
};

void kubeconfig_paths(const char *kubeconfig_flag, struct strv *ret)
{
    if (strempty(kubeconfig_flag)[0] != '\0') {
        strv_add(ret, kubeconfig_flag);
        return;
    }
    const char *list = getenv("KUBECONFIG");
    if (strempty(list)[0] != '\0') {
        CLEANUP(strv_done) struct strv names = {0};
        strv_split(&names, list, ':');
        for (size_t i = 0; i < names.n; i++)
            if (names.items[i][0] != '\0' && !strv_has(ret, names.items[i]))
                strv_add(ret, names.items[i]);
        return;
    }
    const char *home = getenv("HOME");
    if (strempty(home)[0] != '\0')
        strv_take(ret, path_join(home, ".kube", "config", NULL));
}

char *kube_config_default_path(const char *kubeconfig_flag)
{
    CLEANUP(strv_done) struct strv paths = {0};
    kubeconfig_paths(kubeconfig_flag, &paths);
    for (size_t i = 0; i < paths.n; i++)
        if (file_exists(paths.items[i]))
            return xstrdup(paths.items[i]);
    return xstrdup(paths.n > 0 ? paths.items[paths.n - 1] : ".kube/config");
}

/* --- one file */

static const char *type_name(const struct json *value)
{
    switch (json_type(value)) {
    case JSON_BOOL:
        return "bool";
    case JSON_INT:
    case JSON_REAL:
        return "number";
    case JSON_STRING:
        return "string";
    case JSON_ARRAY:
        return "array";
    case JSON_OBJECT:
        return "object";
    default:
        return "null";
    }
}

static int check_list(const struct json *config, size_t which, struct err *err)
{
    const struct json *list = json_get(config, lists[which].list, NULL), *item;
    if (list != NULL && json_type(list) != JSON_NULL && !json_is_array(list))
        return err_set(err, ERR_PARSE, "json: cannot unmarshal %s into Go struct field Config.%s of type %s",
                       type_name(list), lists[which].list, lists[which].go_type);
    CLEANUP(map_done) struct map names = {0};
    json_each(item, list) {
        const char *name = json_str_or("", item, "name", NULL);
        if (map_has(&names, name))
            return err_set(err, ERR_INVALID, "duplicate name \"%s\" in list of %s", name, lists[which].list);
        map_set(&names, name, NULL);
    }
    return 0;
}

static int check(const struct json *config, struct err *err)
{
    if (json_type(config) == JSON_NULL)
        return 0;
    if (!json_is_object(config))
        return err_set(err, ERR_PARSE,
                       "couldn't get version/kind; json parse error: json: cannot unmarshal %s into Go value of type "
                       "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
                       "\"json:\\\"kind,omitempty\\\"\" }",
                       type_name(config));
    const char *version = json_str_or("", config, "apiVersion", NULL);
    const char *kind = json_str_or("", config, "kind", NULL);
    if ((version[0] != '\0' && !streq(version, "v1")) || (kind[0] != '\0' && !streq(kind, "Config")))
        return err_set(err, ERR_UNSUPPORTED, "no kind \"%s\" is registered for version \"%s\" in scheme "
                       "\"pkg/runtime/scheme.go:110\"", kind[0] != '\0' ? kind : "Config",
                       version[0] != '\0' ? version : "v1");
    for (size_t i = 0; i < countof(lists); i++)
        if (check_list(config, i, err) < 0)
            return (int)err->code;
    return 0;
}

int kubeconfig_read(const char *path, struct json **ret, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *config = NULL;
    CLEANUP(err_clear) struct err why = {0};
    if (access(path, F_OK) != 0)
        return err_set(err, ERR_NOT_FOUND, "stat %s: no such file or directory", path);
    if (file_read(path, LIMIT_FILE, &text, &why) < 0)
        return err_set(err, why.code, "error loading config file \"%s\": %s", path,
                       why.code == ERR_FORBIDDEN ? "permission denied" : err_text(&why));
    if (yaml_parse(buf_text(&text), text.len, &config, &why) < 0 || check(config, &why) < 0)
        return err_set(err, why.code, "error loading config file \"%s\": %s", path, err_text(&why));
    *ret = take(&config);
    return 0;
}

/* --- merging */

static void resolve_member(struct json *object, const char *key, const char *folder)
{
    const char *name = json_str(object, key, NULL);
    if (strempty(name)[0] == '\0' || name[0] == '/')
        return;
    while (name[0] == '.' && name[1] == '/')
        name += 2 + strspn(name + 2, "/");
    CLEANUP(xfree) char *path = path_join(folder, name, NULL);
    json_set_str(object, key, path);
}

static void resolve_entry(struct json *entry, const char *member, const char *folder)
{
    struct json *object = json_edit_member(entry, member);
    if (!json_is_object(object))
        return;
    resolve_member(object, "certificate-authority", folder);
    resolve_member(object, "client-certificate", folder);
    resolve_member(object, "client-key", folder);
    resolve_member(object, "tokenFile", folder);
    struct json *exec = json_edit_member(object, "exec");
    if (json_is_object(exec) && strchr(json_str_or("", exec, "command", NULL), '/') != NULL)
        resolve_member(exec, "command", folder);
}

static char *folder_of(const char *path)
{
    CLEANUP(xfree) char *absolute = NULL;
    if (path[0] != '/') {
        CLEANUP(xfree) char *here = getcwd(NULL, 0);
        absolute = path_join(strempty(here), path, NULL);
        path = absolute;
    }
    const char *slash = strrchr(path, '/');
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

const struct json *kubeconfig_entry(const struct json *config, const char *list, const char *name, const char *member)
{
    const struct json *item;
    json_each(item, json_get(config, list, NULL)) {
        if (streq(json_str_or("", item, "name", NULL), name))
            return json_get(item, member, NULL);
    }
    return NULL;
}

static bool has_entry(const struct json *config, const char *list, const char *name)
{
    const struct json *item;
    json_each(item, json_get(config, list, NULL)) {
        if (streq(json_str_or("", item, "name", NULL), name))
            return true;
    }
    return false;
}

/* Puts a sorted copy in place of the list: kubectl shows entries by name. */
static void sort_list(struct json *config, const char *list)
{
    const struct json *items = json_get(config, list, NULL), *item;
    CLEANUP(strv_done) struct strv names = {0};
    json_each(item, items)
        strv_add(&names, json_str_or("", item, "name", NULL));
    strv_sort(&names);
    struct json *sorted = json_new_array();
    for (size_t i = 0; i < names.n; i++) {
        json_each(item, items) {
            if (streq(json_str_or("", item, "name", NULL), names.items[i])) {
                json_push(sorted, json_keep(item));
                break;
            }
        }
    }
    json_set(config, list, sorted);
}

static void merge(struct json *into, const struct json *from, const char *folder)
{
    const struct json *item;
    for (size_t i = 0; i < countof(lists); i++) {
        json_each(item, json_get(from, lists[i].list, NULL)) {
            if (has_entry(into, lists[i].list, json_str_or("", item, "name", NULL)))
                continue;
            struct json *copy = json_clone(item);
            if (folder != NULL)
                resolve_entry(copy, lists[i].member, folder);
            json_push(json_edit_member(into, lists[i].list), copy);
        }
    }
    const char *current = json_str_or("", from, "current-context", NULL);
    if (json_str_or("", into, "current-context", NULL)[0] == '\0' && current[0] != '\0')
        json_set_str(into, "current-context", current);
    for (size_t i = 0; i < 2; i++) {
        const char *key = i == 0 ? "preferences" : "extensions";
        const struct json *value = json_get(from, key, NULL);
        if (json_len(value) > 0 && json_get(into, key, NULL) == NULL)
            json_set(into, key, json_clone(value));
    }
}

int kubeconfig_merged(const char *kubeconfig_flag, bool resolve, struct json **ret, bool *ret_found, struct err *err)
{
    CLEANUP(strv_done) struct strv paths = {0};
    CLEANUP(json_free) struct json *config = json_build("{s:s, s:[], s:[], s:s, s:s, s:[]}", "apiVersion", "v1", "clusters",
                                                        "contexts", "current-context", "", "kind", "Config", "users");
    bool found = false;
    kubeconfig_paths(kubeconfig_flag, &paths);
    for (size_t i = 0; i < paths.n; i++) {
        CLEANUP(json_free) struct json *one = NULL;
        CLEANUP(err_clear) struct err why = {0};
        if (kubeconfig_read(paths.items[i], &one, &why) < 0) {
            if (why.code == ERR_NOT_FOUND && strempty(kubeconfig_flag)[0] == '\0')
                continue;
            err_move(err, &why);
            return (int)err->code;
        }
        CLEANUP(xfree) char *folder = resolve ? folder_of(paths.items[i]) : NULL;
        merge(config, one, folder);
        found = found || json_len(one) > 0;
    }
    for (size_t i = 0; i < countof(lists); i++)
        sort_list(config, lists[i].list);
    *ret = take(&config);
    *ret_found = found;
    return 0;
}

int kube_config_raw(const struct kube_overrides *overrides, struct json **ret, struct err *err)
{
    bool found;
    return kubeconfig_merged(overrides != NULL ? overrides->kubeconfig : NULL, false, ret, &found, err);
}

int kube_config_raw_resolved(const struct kube_overrides *overrides, struct json **ret, struct err *err)
{
    bool found;
    return kubeconfig_merged(overrides != NULL ? overrides->kubeconfig : NULL, true, ret, &found, err);
}
