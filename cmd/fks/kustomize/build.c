/*
 * build.c: one kustomization after another: reads the file, gathers what it names, and applies its fields in
 * kustomize's order: generators, patches, namespace, names, labels, annotations, replicas, images. Names that fields
 * refer to are fixed at the end of each layer, where the objects they mean are those of the layer.
 */
#include "kustomize/internal.h"

#include <ctype.h>

#include "base/mem.h"
#include "data/yaml.h"

/* --- the file */

const struct json *kustomize_field(const struct json *object, const char *name)
{
    const struct json *exact = json_member(object, name), *value;
    void *position = NULL;
    const char *key;
    if (exact != NULL)
        return exact;
    while (json_next(object, &position, &key, &value)) {
        if (strcasecmp(key, name) == 0)
            return value;
    }
    return NULL;
}

const char *kustomize_text(const struct json *object, const char *name)
{
    return json_string_value(kustomize_field(object, name));
}

enum support { SUPPORTED, MISSING };
static const struct {
    const char *name;
    enum support support;
} known_fields[] = {
    {"apiVersion", SUPPORTED},
    {"kind", SUPPORTED},
    {"metadata", SUPPORTED},
    {"resources", SUPPORTED},
    {"bases", SUPPORTED},
    {"components", SUPPORTED},
    {"namePrefix", SUPPORTED},
    {"nameSuffix", SUPPORTED},
    {"namespace", SUPPORTED},
    {"commonLabels", SUPPORTED},
    {"labels", SUPPORTED},
    {"commonAnnotations", SUPPORTED},
    {"patches", SUPPORTED},
    {"patchesStrategicMerge", SUPPORTED},
    {"patchesJson6902", SUPPORTED},
    {"images", SUPPORTED},
    {"imageTags", SUPPORTED},
    {"replicas", SUPPORTED},
    {"configMapGenerator", SUPPORTED},
    {"secretGenerator", SUPPORTED},
    {"generatorOptions", SUPPORTED},
    {"buildMetadata", MISSING},
    {"configurations", MISSING},
    {"crds", MISSING},
    {"generators", MISSING},
    {"helmChartInflationGenerator", MISSING},
    {"helmCharts", MISSING},
    {"helmGlobals", MISSING},
    {"openapi", MISSING},
    {"replacements", MISSING},
    {"sortOptions", MISSING},
    {"transformers", MISSING},
    {"validators", MISSING},
    {"vars", MISSING},
};

static int check_fields(const struct json *file, const char *path, struct err *err)
{
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(file, &position, &key, &value)) {
        bool known = false;
        for (size_t i = 0; i < countof(known_fields); i++) {
            if (strcasecmp(known_fields[i].name, key) != 0)
                continue;
            known = true;
            bool empty = json_type(value) == JSON_NULL || (json_is_array(value) && json_len(value) == 0);
            if (known_fields[i].support == MISSING && !empty)
                return err_set(err, ERR_UNSUPPORTED,
                               "%s: the field \"%s\" is not available here; build with kustomize itself and pass its "
                               "output with -f -",
                               path, known_fields[i].name);
        }
        if (!known)
            return err_set(err, ERR_INVALID, "invalid Kustomization: %s: unknown field \"%s\"", path, key);
    }
    return 0;
}

static void add_warnings(const struct json *file, struct buf *warnings)
{
    static const struct {
        const char *name, *instead;
    } deprecated[] = {{"bases", "resources"},
                      {"commonLabels", "labels"},
                      {"imageTags", "images"},
                      {"patchesJson6902", "patches"},
                      {"patchesStrategicMerge", "patches"}};
    for (size_t i = 0; i < countof(deprecated) && warnings != NULL; i++) {
        if (kustomize_field(file, deprecated[i].name) != NULL)
            buf_printf(warnings,
                       "# Warning: '%s' is deprecated. Please use '%s' instead. Run 'kustomize edit fix' to update "
                       "your Kustomization automatically.\n",
                       deprecated[i].name, deprecated[i].instead);
    }
}

/* "a/./b/../c" without the steps that lead nowhere; ".." at the front stay. */
static char *clean_path(const char *path)
{
    CLEANUP(strv_done) struct strv parts = {0}, kept = {0};
    strv_split(&parts, path, '/');
    for (size_t i = 0; i < parts.n; i++) {
        const char *part = parts.items[i];
        if (part[0] == '\0' || streq(part, "."))
            continue;
        if (streq(part, "..") && kept.n > 0 && !streq(kept.items[kept.n - 1], "..")) {
            free(kept.items[--kept.n]);
            kept.items[kept.n] = NULL;
            continue;
        }
        if (!streq(part, "..") || path[0] != '/')
            strv_add(&kept, part);
    }
    CLEANUP(xfree) char *joined = strv_join(&kept, "/");
    return path[0] == '/' ? xasprintf("/%s", joined) : xstrdup(joined[0] != '\0' ? joined : ".");
}

static char *join(const char *folder, const char *path)
{
    CLEANUP(xfree) char *whole = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", folder, path);
    return clean_path(whole);
}

int kustomize_read(const struct kustomize_layer *layer, const char *path, struct buf *ret, struct err *err)
{
    CLEANUP(xfree) char *full = join(layer->folder, path), *folder = clean_path(layer->folder);
    size_t len = strlen(folder);
    bool inside = streq(folder, ".") ? full[0] != '/' && strncmp(full, "..", 2) != 0
                                     : strncmp(full, folder, len) == 0 && (full[len] == '/' || folder[len - 1] == '/');
    if (!inside && !layer->reader->anywhere)
        return err_set(err, ERR_FORBIDDEN, "security; file '%s' is not in or below '%s'", full, folder);
    return layer->reader->read(layer->reader->data, full, ret, err);
}

static int load(const struct kustomize_reader *reader, const char *folder, struct json **ret, struct err *err)
{
    static const char *const names[] = {"kustomization.yaml", "kustomization.yml", "Kustomization"};
    for (size_t i = 0; i < countof(names); i++) {
        CLEANUP(xfree) char *path = join(folder, names[i]);
        CLEANUP(buf_done) struct buf text = {0};
        CLEANUP(err_clear) struct err missing = {0};
        if (reader->read(reader->data, path, &text, &missing) < 0) {
            if (missing.code == ERR_NOT_FOUND)
                continue;
            err_move(err, &missing);
            return err->code;
        }
        CLEANUP(json_free) struct json *file = NULL;
        if (yaml_parse(buf_text(&text), text.len, &file, err) < 0)
            return err_wrap(err, "invalid Kustomization: %s", path);
        if (!json_is_object(file) || json_len(file) == 0)
            return err_set(err, ERR_INVALID, "%s is empty", names[i]);
        if (check_fields(file, path, err) < 0)
            return err->code;
        *ret = take(&file);
        return 0;
    }
    CLEANUP(xfree) char *full = reader->full_name != NULL ? reader->full_name(reader->data, folder) : xstrdup(folder);
    return err_set(err, ERR_NOT_FOUND,
                   "unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '%s'",
                   full);
}

/* --- what it names */

struct build {
    const struct kustomize_reader *reader;
    struct buf *warnings;
    int depth;
};
static int build_folder(struct build *build, const char *folder, struct kustomize_set *set, struct err *err);

static int add_document(struct kustomize_set *set, const struct json *document, const char *path, struct err *err)
{
    if (json_type(document) == JSON_NULL)
        return 0;
    const char *kind = json_str(document, "kind", NULL);
    if (kind == NULL)
        return err_set(err, ERR_INVALID, "%s: missing Resource metadata: an object without kind", path);
    const struct json *items = json_get(document, "items", NULL), *item;
    if (ends_with(kind, "List") && json_is_array(items)) {
        json_each(item, items) {
            if (kustomize_set_add(set, json_clone(item), err) < 0)
                return err->code;
        }
        return 0;
    }
    if (json_str_or("", document, "metadata", "name", NULL)[0] == '\0')
        return err_set(err, ERR_INVALID, "%s: missing metadata.name in object of kind %s", path, kind);
    return kustomize_set_add(set, json_clone(document), err);
}

static int add_file(const struct kustomize_layer *layer, const char *path, struct kustomize_set *set, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    CLEANUP(json_free) struct json *documents = NULL;
    if (kustomize_read(layer, path, &text, err) < 0)
        return err_wrap(err, "accumulating resources from '%s'", path);
    if (yaml_parse_all(buf_text(&text), text.len, &documents, err) < 0)
        return err_wrap(err, "accumulating resources from '%s'", path);
    const struct json *document;
    json_each(document, documents) {
        if (add_document(set, document, path, err) < 0)
            return err->code;
    }
    return 0;
}

static int add_resources(struct build *build, const struct kustomize_layer *layer, const char *field,
                         struct kustomize_set *set, struct err *err)
{
    const struct json *entry;
    bool components = streq(field, "components");
    json_each(entry, kustomize_field(layer->file, field)) {
        const char *path = json_string_value(entry);
        if (strempty(path)[0] == '\0')
            return err_set(err, ERR_INVALID, "%s of %s holds something that is no path", field, layer->folder);
        if (strstr(path, "://") != NULL || strchr(path, '?') != NULL || starts_with(path, "git@") ||
            starts_with(path, "github.com/"))
            return err_set(err, ERR_UNSUPPORTED, "%s: remote resources are not fetched here; clone '%s' first",
                           layer->folder, path);
        CLEANUP(xfree) char *full = join(layer->folder, path);
        CLEANUP(kustomize_set_done) struct kustomize_set inner = {0};
        int code;
        if (!build->reader->is_folder(build->reader->data, full))
            code = components ? err_set(err, ERR_INVALID, "component '%s' is no folder", path)
                              : add_file(layer, path, &inner, err);
        else
            code = build_folder(build, full, components ? set : &inner, err);
        if (code < 0 || kustomize_set_move(set, &inner, err) < 0)
            return err->code;
    }
    return 0;
}

/* --- layers */

static int apply_layer(struct build *build, const struct kustomize_layer *layer, struct kustomize_set *set,
                       struct err *err)
{
    if (add_resources(build, layer, "resources", set, err) < 0 || add_resources(build, layer, "bases", set, err) < 0 ||
        kustomize_generate(layer, set, err) < 0 || add_resources(build, layer, "components", set, err) < 0)
        return err->code;
    for (size_t i = 0; i < set->n; i++)
        set->list[i].layer_start = set->list[i].names.n;
    if (kustomize_patch(layer, set, err) < 0 || kustomize_transform(layer, set, err) < 0)
        return err->code;
    kustomize_fix_references(set);
    return 0;
}

static int build_folder(struct build *build, const char *folder, struct kustomize_set *set, struct err *err)
{
    CLEANUP(json_free) struct json *file = NULL;
    if (build->depth >= KUSTOMIZE_DEPTH_MAX)
        return err_set(err, ERR_TOO_BIG, "'%s': kustomizations within kustomizations deeper than %d; a cycle?", folder,
                       KUSTOMIZE_DEPTH_MAX);
    if (load(build->reader, folder, &file, err) < 0)
        return err->code;
    add_warnings(file, build->warnings);
    const struct kustomize_layer layer = {.reader = build->reader, .folder = folder, .file = file};
    build->depth++;
    int code = apply_layer(build, &layer, set, err);
    build->depth--;
    return code;
}

int kustomize_build(const struct kustomize_reader *reader, const char *folder, struct json **ret,
                    struct buf *ret_warnings, struct err *err)
{
    CLEANUP(kustomize_set_done) struct kustomize_set set = {0};
    struct build build = {.reader = reader, .warnings = ret_warnings};
    CLEANUP(xfree) char *clean = clean_path(folder);
    if (build_folder(&build, clean, &set, err) < 0)
        return err->code;
    kustomize_add_hashes(&set);
    kustomize_fix_references(&set);
    kustomize_set_sort(&set);
    *ret = json_new_array();
    for (size_t i = 0; i < set.n; i++)
        json_push(*ret, json_keep(set.list[i].object));
    return 0;
}
