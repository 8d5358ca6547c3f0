/*
 * source.c: the objects behind -f: files, folders, glob patterns, URLs, standard input; YAML or JSON, many documents
 * in one stream, Lists taken apart. Each object's kind is resolved and its namespace defaulted. A broken document
 * costs only its own file.
 */
#include "objects/items.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/yaml.h"
#include "net/http.h"

#include "kustomize/kustomize.h"
#include "objects/selector.h"
#include "text/gotext.h"

#define FOLDER_DEPTH_MAX 64

/* --- which files */

static bool has_known_extension(const char *name)
{
    return ends_with(name, ".json") || ends_with(name, ".yaml") || ends_with(name, ".yml");
}

/* The files of a folder in the order of their names; those below it too when recursive. */
static int add_folder(const char *path, bool recursive, int depth, struct strv *files, struct err *err)
{
    if (depth > FOLDER_DEPTH_MAX)
        return err_set(err, ERR_TOO_BIG, "error reading \"%s\": more than %d folders deep", path, FOLDER_DEPTH_MAX);
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0)
        return err_errno(err, errno, "error reading \"%s\"", path);
    int code = 0;
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        if (code == 0 && !streq(name, ".") && !streq(name, "..")) {
            CLEANUP(xfree) char *full = streq(path, ".") ? xstrdup(name) : path_join(path, name, NULL);
            struct stat info;
            if (stat(full, &info) == 0 && S_ISDIR(info.st_mode)) {
                if (recursive)
                    code = add_folder(full, recursive, depth + 1, files, err);
            } else if (has_known_extension(name)) {
                strv_add(files, full);
            }
        }
        free(entries[i]);
    }
    free(entries);
    return code;
}

static int add_path(const char *path, bool recursive, struct strv *files, bool *ret_many, struct err *err)
{
    struct stat info;
    if (stat(path, &info) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return err_set(err, ERR_NOT_FOUND, "the path \"%s\" does not exist", path);
        return err_set(err, ERR_IO, "the path \"%s\" cannot be accessed: stat %s: %s", path, path, strerror(errno));
    }
    if (!S_ISDIR(info.st_mode)) {
        strv_add(files, path);
        return 0;
    }
    size_t before = files->n;
    CLEANUP(xfree) char *trimmed = xstrdup(path);
    for (size_t len = strlen(trimmed); len > 1 && trimmed[len - 1] == '/'; len--)
        trimmed[len - 1] = '\0';
    if (add_folder(trimmed, recursive, 0, files, err) < 0)
        return err->code;
    if (files->n == before)
        return err_set(err, ERR_NOT_FOUND, "error reading [%s]: recognized file extensions are [.json .yaml .yml]",
                       path);
    *ret_many = *ret_many || files->n - before > 1;
    return 0;
}

/* A name that exists is itself; otherwise it may be a pattern. */
static int add_pattern(const char *pattern, bool recursive, struct strv *files, bool *ret_many, struct err *err)
{
    if (file_exists(pattern) || strpbrk(pattern, "*?[") == NULL)
        return add_path(pattern, recursive, files, ret_many, err);
    glob_t matches = {0};
    if (glob(pattern, 0, NULL, &matches) != 0) {
        globfree(&matches);
        return err_set(err, ERR_NOT_FOUND, "the path \"%s\" does not exist", pattern);
    }
    int code = 0;
    for (size_t i = 0; i < matches.gl_pathc && code == 0; i++)
        code = add_path(matches.gl_pathv[i], recursive, files, ret_many, err);
    *ret_many = *ret_many || matches.gl_pathc > 1;
    globfree(&matches);
    return code;
}

/* --- their bytes */

static bool is_url(const char *name)
{
    return starts_with(name, "http://") || starts_with(name, "https://");
}

static int read_url(const char *url, struct buf *ret, struct err *err)
{
    const struct http_client_options options = {.user_agent = "fks/v" FKS_PROGRAM_VERSION};
    CLEANUP(http_client_free) struct http_client *client = NULL;
    if (http_client_new(NULL, &options, &client, err) < 0)
        return err->code;
    const struct http_request request = {.method = "GET", .url = url, .timeout_ms = 60000, .max_response = LIMIT_FILE};
    CLEANUP(http_response_done) struct http_response response = {0};
    if (http_perform(client, &request, NULL, NULL, &response, err) < 0) {
        if (err->code == ERR_REFUSED) {
            const char *host = strstr(url, "://") + 3;
            int len = (int)strcspn(host, "/");
            err_clear(err);
            return err_set(err, ERR_REFUSED,
                           "The connection to the server %.*s was refused - did you specify the right host or port?",
                           len, host);
        }
        return err->code;
    }
    if (response.status != 200)
        return err_set(err, ERR_NOT_FOUND, "unable to read URL \"%s\", server reported status code=%d", url,
                       response.status);
    buf_add(ret, response.body.data, response.body.len);
    return buf_check(ret, url, err);
}

static int read_bytes(const char *name, struct buf *ret, struct err *err)
{
    if (is_url(name))
        return read_url(name, ret, err);
    if (!streq(name, "-"))
        return file_read(name, LIMIT_FILE, ret, err);
    buf_init(ret, LIMIT_FILE);
    return fd_read_all(STDIN_FILENO, ret, err);
}

/* --- the objects in them */

struct reading {
    struct cli *cli;
    const struct selection *selection;
    struct items *out;
    const char *source; /* as messages name it */
};

static int check_type_meta(const struct reading *reading, const struct json *object, struct err *err)
{
    bool has_version = json_str(object, "apiVersion", NULL) != NULL, has_kind = json_str(object, "kind", NULL) != NULL;
    if (has_version && has_kind)
        return 0;
    if (reading->selection->check_type_meta)
        return err_set(err, ERR_INVALID,
                       "error validating \"%s\": error validating data: %s; if you choose to ignore these errors, turn "
                       "validation off with --validate=false",
                       reading->source,
                       has_kind      ? "apiVersion not set"
                       : has_version ? "kind not set"
                                     : "[apiVersion not set, kind not set]");
    if (has_kind)
        return 0;
    CLEANUP(buf_done) struct buf text = {0};
    gotext_json(object, &text);
    return err_set(err, ERR_INVALID, "unable to decode \"%s\": Object 'Kind' is missing in '%s'", reading->source,
                   buf_text(&text));
}

static int refuse_type(const struct reading *reading, const struct json *value, const char *name, const char *wanted,
                       struct err *err)
{
    enum json_type type = json_type(value);
    const char *found = type == JSON_STRING   ? "string"
                        : type == JSON_BOOL   ? "bool"
                        : type == JSON_ARRAY  ? "array"
                        : type == JSON_OBJECT ? "object"
                                              : "number";
    return err_set(err, ERR_INVALID, "unable to decode \"%s\": json: cannot unmarshal %s into Go struct field %s of type %s",
                   reading->source, found, name, wanted);
}

/* What a label's "1" without quotes is: told here, in client-go's words, as the server would too late. */
static int check_metadata(const struct reading *reading, const struct json *object, struct err *err)
{
    static const char *const maps[] = {"annotations", "labels"};
    static const char *const texts[] = {"generateName", "name", "namespace", "resourceVersion", "uid"};
    const struct json *metadata = json_member(object, "metadata");
    if (json_type(metadata) == JSON_NULL)
        return 0;
    if (!json_is_object(metadata))
        return refuse_type(reading, metadata, "metadataOnlyObject.metadata", "v1.ObjectMeta", err);
    for (size_t i = 0; i < countof(maps); i++) {
        const struct json *map = json_member(metadata, maps[i]), *value;
        CLEANUP(xfree) char *name = xasprintf("ObjectMeta.metadata.%s", maps[i]);
        void *position = NULL;
        const char *key;
        if (json_type(map) != JSON_NULL && !json_is_object(map))
            return refuse_type(reading, map, name, "map[string]string", err);
        while (json_next(map, &position, &key, &value)) {
            if (json_type(value) != JSON_STRING && json_type(value) != JSON_NULL)
                return refuse_type(reading, value, name, "string", err);
        }
    }
    for (size_t i = 0; i < countof(texts); i++) {
        const struct json *value = json_member(metadata, texts[i]);
        CLEANUP(xfree) char *name = xasprintf("ObjectMeta.metadata.%s", texts[i]);
        if (json_type(value) != JSON_STRING && json_type(value) != JSON_NULL)
            return refuse_type(reading, value, name, "string", err);
    }
    return 0;
}

/* The namespace an object of a file is meant for; the object itself is completed. */
static int settle_namespace(const struct reading *reading, struct item *item, struct err *err)
{
    const char *own = json_str(item->object, "metadata", "namespace", NULL);
    if (!item->resource->namespaced)
        return 0;
    const struct cli *cli = reading->cli;
    if (own == NULL || own[0] == '\0') {
        item->namespace = xstrdup(cli_namespace(cli));
        json_set_str(json_edit(item->object, "metadata", NULL), "namespace", item->namespace);
        return 0;
    }
    if (cli->namespace != NULL && !streq(cli->namespace, own))
        return err_set(
            err, ERR_INVALID,
            "the namespace from the provided object \"%s\" does not match the namespace \"%s\". You must pass "
            "'--namespace=%s' to perform this operation.",
            own, cli->namespace, own);
    item->namespace = xstrdup(own);
    return 0;
}

static int add_object(struct reading *reading, const struct json *object, int depth, struct err *err);

/* A List, or a kind ending in List with items. */
static int add_list(struct reading *reading, const struct json *list, int depth, struct err *err)
{
    const char *kind = json_str_or("", list, "kind", NULL);
    const struct json *member;
    json_each(member, json_get(list, "items", NULL)) {
        CLEANUP(json_free) struct json *typed = NULL;
        /* as the server answers a list: only the list tells what its members are */
        if (!streq(kind, "List") && json_is_object(member) && json_str_or("", member, "kind", NULL)[0] == '\0' &&
            json_str_or("", member, "apiVersion", NULL)[0] == '\0') {
            CLEANUP(xfree) char *member_kind = xstrndup(kind, strlen(kind) - strlen("List"));
            typed = json_clone(member);
            json_set_str(typed, "apiVersion", json_str_or("", list, "apiVersion", NULL));
            json_set_str(typed, "kind", member_kind);
        }
        if (add_object(reading, typed != NULL ? typed : member, depth + 1, err) < 0)
            return err->code;
    }
    return 0;
}

static int add_object(struct reading *reading, const struct json *object, int depth, struct err *err)
{
    if (depth > 8)
        return err_set(err, ERR_TOO_BIG, "%s: Lists nested too deep", reading->source);
    if (json_type(object) == JSON_NULL)
        return 0;
    if (!json_is_object(object) && reading->selection->check_type_meta)
        return err_set(err, ERR_PARSE,
                       "error validating \"%s\": error validating data: invalid object to validate; if you choose to "
                       "ignore these errors, turn validation off with --validate=false",
                       reading->source);
    if (!json_is_object(object))
        return err_set(err, ERR_PARSE, "error parsing %s: a document that is no object", reading->source);
    if (check_type_meta(reading, object, err) < 0 || check_metadata(reading, object, err) < 0)
        return err->code;
    const char *kind = json_str(object, "kind", NULL);
    if (ends_with(kind, "List") && json_is_array(json_get(object, "items", NULL)))
        return add_list(reading, object, depth, err);

    const char *selector = reading->selection->label_selector;
    if (selector != NULL) {
        int matches = selector_matches(selector, json_get(object, "metadata", "labels", NULL), err);
        if (matches <= 0)
            return matches;
    }
    const struct kube_resource *resource = NULL;
    const char *name = json_str_or("", object, "metadata", "name", NULL); /* never NULL: that would mean all */
    const char *api_version = json_str_or("", object, "apiVersion", NULL);
    if (!reading->selection->local &&
        kube_discovery_find_kind(reading->cli->discovery, api_version, kind, &resource, err) < 0) {
        if (err->code != ERR_NOT_FOUND || err->http_status >= 500)
            return err->code;
        err_clear(err);
        return err_set(err, ERR_NOT_FOUND,
                       "resource mapping not found for name: \"%s\" namespace: \"%s\" from \"%s\": no matches for kind "
                       "\"%s\" in version \"%s\"\nensure CRDs are installed first",
                       strempty(name), json_str_or("", object, "metadata", "namespace", NULL), reading->source, kind,
                       api_version);
    }
    struct item item = {
        .resource = resource, .name = xstrdup(name), .object = json_clone(object), .source = xstrdup(reading->source)};
    if (resource != NULL && settle_namespace(reading, &item, err) < 0) {
        item_done(&item);
        return err->code;
    }
    *items_add(reading->out) = item;
    return 0;
}

/* The bytes of the JSON object that text begins with; 0 when it does not end. */
static size_t object_length(struct str text)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '['))
            depth++;
        else if (!in_string && (c == '}' || c == ']') && --depth == 0)
            return i + 1;
    }
    return 0;
}

/* JSON objects one after another, as client-go's decoder takes them; false when it is something else. */
static bool parse_json_stream(struct str text, struct json **ret)
{
    CLEANUP(json_free) struct json *documents = json_new_array();
    CLEANUP(err_clear) struct err not_json = {0};
    for (;;) {
        size_t blank = 0;
        while (blank < text.len && strchr(" \t\r\n", text.p[blank]) != NULL && text.p[blank] != '\0')
            blank++;
        text = (struct str){text.p + blank, text.len - blank};
        if (text.len == 0)
            break;
        size_t len = text.p[0] == '{' ? object_length(text) : 0;
        struct json *object = NULL;
        if (len == 0 || json_parse(text.p, len, &object, &not_json) < 0)
            return false;
        json_push(documents, object);
        text = (struct str){text.p + len, text.len - len};
    }
    if (json_len(documents) == 0)
        return false;
    *ret = take(&documents);
    return true;
}

static void add_each(struct reading *reading, const struct json *documents, struct failures *failures)
{
    const struct json *document;
    json_each(document, documents) {
        struct err failure = {0};
        if (add_object(reading, document, 0, &failure) < 0)
            failures_add(failures, &failure);
    }
}

/* The next document, up to a line that begins with "---"; nothing but a comment may follow there. *rest moves behind it. */
static int next_document(const struct reading *reading, struct str *rest, struct str *ret, struct err *err)
{
    *ret = (struct str){rest->p, 0};
    while (rest->len > 0) {
        const char *newline = memchr(rest->p, '\n', rest->len);
        struct str line = {rest->p, newline != NULL ? (size_t)(newline - rest->p) + 1 : rest->len};
        *rest = (struct str){line.p + line.len, rest->len - line.len};
        if (line.len < 3 || memcmp(line.p, "---", 3) != 0) {
            ret->len += line.len;
            continue;
        }
        struct str after = {line.p + 3, line.len - 3};
        while (after.len > 0 && strchr(" \t\r\n", after.p[after.len - 1]) != NULL)
            after.len--;
        after = str_trim(after);
        if (after.len > 0 && after.p[0] != '#')
            return err_set(err, ERR_PARSE, "error parsing %s: invalid Yaml document separator: %.*s", reading->source,
                           (int)after.len, after.p);
        if (ret->len > 0)
            return 0;
        ret->p = rest->p;
    }
    return 0;
}

/*
 * Document by document, so that those before a broken one count and its lines are counted from its own beginning. JSON objects
 * are parsed as what they are: faster, and their keys stay in order.
 */
static int add_documents(struct reading *reading, const struct buf *text, struct failures *failures, struct err *err)
{
    CLEANUP(json_free) struct json *objects = NULL;
    struct str rest = {buf_text(text), text->len}, document;
    if (parse_json_stream(rest, &objects)) {
        add_each(reading, objects, failures);
        return 0;
    }
    while (rest.len > 0) {
        CLEANUP(json_free) struct json *parsed = NULL;
        if (next_document(reading, &rest, &document, err) < 0)
            return err->code;
        if (document.len > 0 && yaml_parse_all(document.p, document.len, &parsed, err) < 0)
            return err_wrap(err, "error parsing %s: error converting YAML to JSON", reading->source);
        add_each(reading, parsed, failures);
    }
    return 0;
}

static int read_source(struct reading *reading, const char *name, struct failures *failures, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    if (read_bytes(name, &text, err) < 0)
        return err->code;
    size_t skip = starts_with(buf_text(&text), "\xef\xbb\xbf") ? 3 : 0;
    buf_consume(&text, skip);
    return add_documents(reading, &text, failures, err);
}

static int add_kustomization(struct cli *cli, const struct selection *selection, struct items *ret,
                             struct failures *failures, struct err *err)
{
    CLEANUP(json_free) struct json *objects = NULL;
    CLEANUP(buf_done) struct buf warnings = {0};
    const char *folder = selection->kustomize;
    struct reading reading = {.cli = cli, .selection = selection, .out = ret, .source = folder};
    if (selection->filenames.n > 0)
        return err_set(err, ERR_USAGE, "only one of -f or -k can be specified");
    int code = kustomize_build_files(folder, false, &objects, &warnings, err);
    fputs(buf_text(&warnings), stderr);
    if (code < 0)
        return code;
    const struct json *object;
    json_each(object, objects) {
        struct err failure = {0};
        if (add_object(&reading, object, 0, &failure) < 0)
            failures_add(failures, &failure);
    }
    return 0;
}

int items_from_text(struct cli *cli, const char *source, const struct buf *text, struct items *ret,
                    struct failures *failures, struct err *err)
{
    const struct selection selection = {0};
    struct reading reading = {.cli = cli, .selection = &selection, .out = ret, .source = source};
    struct err failure = {0};
    if (cli_connect(cli, err) < 0)
        return err->code;
    if (add_documents(&reading, text, failures, &failure) < 0)
        failures_add(failures, &failure);
    return 0;
}

/* The files that -f comes to, folders and patterns spread; ret_many: they are more than one argument said. */
static int collect_names(const struct selection *selection, struct strv *names, bool *ret_many, struct err *err)
{
    size_t n_stdin = 0;
    if (selection->kustomize != NULL && selection->filenames.n > 0)
        return err_set(err, ERR_USAGE, "only one of -f or -k can be specified");
    for (size_t i = 0; i < selection->filenames.n; i++) {
        const char *name = selection->filenames.items[i];
        if (streq(name, "-") && n_stdin++ > 0)
            return err_set(err, ERR_USAGE, "standard input cannot be used for multiple arguments");
        if (streq(name, "-") || is_url(name))
            strv_add(names, name);
        else if (add_pattern(name, selection->recursive, names, ret_many, err) < 0)
            return err->code;
    }
    return 0;
}

int items_check_files(const struct selection *selection, struct err *err)
{
    CLEANUP(strv_done) struct strv names = {0};
    bool many = false;
    return collect_names(selection, &names, &many, err);
}

int items_from_files(struct cli *cli, const struct selection *selection, struct items *ret, struct failures *failures,
                     struct err *err)
{
    if (strv_has(&selection->filenames, "-"))
        cli->overrides.stdin_user = CLI_STDIN_MANIFESTS;
    if (!selection->local && cli_connect(cli, err) < 0)
        return err->code;
    if (selection->kustomize != NULL)
        return add_kustomization(cli, selection, ret, failures, err);

    CLEANUP(strv_done) struct strv names = {0};
    bool many = false;
    if (collect_names(selection, &names, &many, err) < 0)
        return err->code;
    for (size_t i = 0; i < names.n; i++) {
        struct reading reading = {.cli = cli,
                                  .selection = selection,
                                  .out = ret,
                                  .source = streq(names.items[i], "-") ? "STDIN" : names.items[i]};
        struct err failure = {0};
        if (read_source(&reading, names.items[i], failures, &failure) < 0)
            failures_add(failures, &failure);
    }
    ret->one_file = !many && names.n == 1 && !streq(names.items[0], "-");
    ret->single = !many && names.n == 1 && ret->n == 1;
    return 0;
}
