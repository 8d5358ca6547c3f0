/*
 * generate.c: configMapGenerator and secretGenerator: data from literals, files and env files, merged into or
 * replacing what a base generated, and the hash of the content at the end of the name.
 */
#include "kustomize/internal.h"

#include <ctype.h>

#include "base/codec.h"
#include "base/mem.h"
#include "data/utf8.h"
#include "net/pki.h"
#include "text/gotext.h"

struct generator {
    const struct kustomize_layer *layer;
    const struct json *entry; /* one of the list */
    bool is_secret;
    struct json *object;
};

static int add_value(struct generator *generator, const char *key, const char *value, size_t len, struct err *err)
{
    bool is_text = utf8_valid(value, len);
    const char *field = generator->is_secret || is_text ? "data" : "binaryData";
    if (key[0] == '\0' || key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] != '\0')
        return err_set(err, ERR_INVALID, "\"%s\" is not a valid key name", key);
    if (json_get(generator->object, "data", key, NULL) != NULL ||
        json_get(generator->object, "binaryData", key, NULL) != NULL)
        return err_set(err, ERR_INVALID, "configmap %s illegally repeats the key `%s`",
                       json_str(generator->object, "metadata", "name", NULL), key);
    CLEANUP(buf_done) struct buf encoded = {0};
    if (generator->is_secret || !is_text)
        base64_encode(value, len, &encoded);
    else
        buf_add(&encoded, value, len);
    json_set(json_edit(generator->object, field, NULL), key, json_new_string_n(buf_text(&encoded), encoded.len));
    return 0;
}

static int add_literals(struct generator *generator, struct err *err)
{
    const struct json *literal;
    json_each(literal, kustomize_field(generator->entry, "literals")) {
        struct str key, value;
        const char *text = strempty(json_string_value(literal));
        if (!str_cut(str_of(text), '=', &key, &value) || key.len == 0)
            return err_set(err, ERR_INVALID, "invalid literal source %s, expected key=value", text);
        if (value.len >= 2 && value.p[0] == value.p[value.len - 1] && (value.p[0] == '"' || value.p[0] == '\''))
            value = (struct str){value.p + 1, value.len - 2};
        CLEANUP(xfree) char *name = xstrndup(key.p, key.len);
        if (add_value(generator, name, value.p, value.len, err) < 0)
            return err->code;
    }
    return 0;
}

static int add_files(struct generator *generator, struct err *err)
{
    const struct json *file;
    json_each(file, kustomize_field(generator->entry, "files")) {
        const char *text = strempty(json_string_value(file)), *equals = strchr(text, '='), *slash = strrchr(text, '/');
        if (equals == text || (equals != NULL && (equals[1] == '\0' || strchr(equals + 1, '=') != NULL)))
            return err_set(err, ERR_INVALID, "source \"%s\": want FILE or KEY=FILE", text);
        CLEANUP(xfree)
        char *key =
            equals != NULL ? xstrndup(text, (size_t)(equals - text)) : xstrdup(slash != NULL ? slash + 1 : text);
        CLEANUP(buf_done) struct buf bytes = {0};
        if (kustomize_read(generator->layer, equals != NULL ? equals + 1 : text, &bytes, err) < 0 ||
            add_value(generator, key, buf_text(&bytes), bytes.len, err) < 0)
            return err->code;
    }
    return 0;
}

/* KEY=VALUE a line; blank lines and those that begin with # do not count. */
static int add_env_file(struct generator *generator, const char *path, struct err *err)
{
    CLEANUP(buf_done) struct buf bytes = {0};
    if (kustomize_read(generator->layer, path, &bytes, err) < 0)
        return err->code;
    struct str rest = {buf_text(&bytes), bytes.len}, line, key, value;
    while (rest.len > 0) {
        (void)str_cut(rest, '\n', &line, &rest);
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
        while (line.len > 0 && isspace((unsigned char)line.p[0]))
            line = (struct str){line.p + 1, line.len - 1};
        if (line.len == 0 || line.p[0] == '#')
            continue;
        (void)str_cut(line, '=', &key, &value);
        CLEANUP(xfree) char *name = xstrndup(key.p, key.len);
        if (add_value(generator, name, strempty(value.p), value.len, err) < 0)
            return err->code;
    }
    return 0;
}

static int add_env_files(struct generator *generator, struct err *err)
{
    const struct json *path;
    const char *one = kustomize_text(generator->entry, "env");
    if (one != NULL && add_env_file(generator, one, err) < 0)
        return err->code;
    json_each(path, kustomize_field(generator->entry, "envs")) {
        if (add_env_file(generator, strempty(json_string_value(path)), err) < 0)
            return err->code;
    }
    return 0;
}

static void copy_texts(const struct json *from, struct json *metadata, const char *field)
{
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(kustomize_field(from, field), &position, &key, &value))
        json_set(json_edit(metadata, field, NULL), key, json_keep(value));
}

/* The file's generatorOptions, then the entry's own. */
static bool apply_options(struct generator *generator)
{
    const struct json *all[] = {kustomize_field(generator->layer->file, "generatorOptions"),
                                kustomize_field(generator->entry, "options")};
    bool needs_hash = true;
    for (size_t i = 0; i < countof(all); i++) {
        struct json *metadata = json_edit(generator->object, "metadata", NULL);
        copy_texts(all[i], metadata, "labels");
        copy_texts(all[i], metadata, "annotations");
        if (json_is_true(kustomize_field(all[i], "disableNameSuffixHash"), NULL))
            needs_hash = false;
        if (json_is_true(kustomize_field(all[i], "immutable"), NULL))
            json_set_bool(generator->object, "immutable", true);
    }
    return needs_hash;
}

static void merge_texts(struct json *into, const struct json *from, const char *field, bool replace)
{
    if (replace)
        json_del(into, field);
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(json_member(from, field), &position, &key, &value))
        json_set(json_edit(into, field, NULL), key, json_keep(value));
}

static struct kustomize_object *find_generated(struct kustomize_set *set, const struct json *object)
{
    const char *namespace = json_str_or("default", object, "metadata", "namespace", NULL);
    for (size_t i = 0; i < set->n; i++) {
        struct kustomize_object *own = &set->list[i];
        if (streq(kustomize_object_kind(own), json_str(object, "kind", NULL)) &&
            kustomize_object_was(own, json_str(object, "metadata", "name", NULL), namespace))
            return own;
    }
    return NULL;
}

static int combine(struct kustomize_set *set, const struct generator *generator, const char *behavior, bool needs_hash,
                   struct err *err)
{
    const struct json *new = generator->object;
    struct kustomize_object *own = find_generated(set, new);
    bool replace = streq(behavior, "replace");
    if (!replace && !streq(behavior, "merge"))
        return err_set(err, ERR_INVALID, "behavior must be one of create, replace or merge, not \"%s\"", behavior);
    if (own == NULL)
        return err_set(err, ERR_INVALID, "id %s %s does not exist; cannot merge or replace",
                       json_str(new, "kind", NULL), json_str(new, "metadata", "name", NULL));
    struct json *metadata = json_edit(own->object, "metadata", NULL);
    merge_texts(metadata, json_get(new, "metadata", NULL), "labels", false);
    merge_texts(metadata, json_get(new, "metadata", NULL), "annotations", false);
    merge_texts(own->object, new, "data", replace);
    merge_texts(own->object, new, "binaryData", replace);
    json_del(own->object, "immutable");
    if (json_member(new, "type") != NULL)
        json_set(own->object, "type", json_keep(json_member(new, "type")));
    if (json_member(new, "immutable") != NULL)
        json_set(own->object, "immutable", json_keep(json_member(new, "immutable")));
    own->needs_hash = needs_hash;
    return 0;
}

static int check_entry(const struct json *entry, bool is_secret, struct err *err)
{
    static const char *const names[] = {"name", "namespace", "behavior", "literals", "files",
                                        "envs", "env",       "options",  "type"};
    void *position = NULL;
    const char *key;
    const struct json *value;
    while (json_next(entry, &position, &key, &value)) {
        bool known = false;
        for (size_t i = 0; i < countof(names) - (is_secret ? 0 : 1); i++)
            known = known || strcasecmp(names[i], key) == 0;
        if (!known)
            return err_set(err, ERR_INVALID, "invalid Kustomization: unknown field \"%s\" of a generator", key);
    }
    return 0;
}

static int generate_one(const struct kustomize_layer *layer, const struct json *entry, bool is_secret,
                        struct kustomize_set *set, struct err *err)
{
    const char *name = kustomize_text(entry, "name"), *behavior = kustomize_text(entry, "behavior");
    if (check_entry(entry, is_secret, err) < 0)
        return err->code;
    if (strempty(name)[0] == '\0')
        return err_set(err, ERR_INVALID, "a configmap must have a name");
    CLEANUP(json_free)
    struct json *object =
        json_build("{s:s, s:s, s:{s:s, s:s*}}", "apiVersion", "v1", "kind", is_secret ? "Secret" : "ConfigMap",
                   "metadata", "name", name, "namespace", kustomize_text(entry, "namespace"));
    if (is_secret)
        json_set_str(object, "type", kustomize_text(entry, "type") != NULL ? kustomize_text(entry, "type") : "Opaque");
    struct generator generator = {.layer = layer, .entry = entry, .is_secret = is_secret, .object = object};
    if (add_literals(&generator, err) < 0 || add_files(&generator, err) < 0 || add_env_files(&generator, err) < 0)
        return err_wrap(err, "generating %s \"%s\"", is_secret ? "Secret" : "ConfigMap", name);
    bool needs_hash = apply_options(&generator);
    if (behavior != NULL && !streq(behavior, "create") && !streq(behavior, "unspecified"))
        return combine(set, &generator, behavior, needs_hash, err);
    if (kustomize_set_add(set, take(&object), err) < 0)
        return err->code;
    set->list[set->n - 1].needs_hash = needs_hash;
    return 0;
}

int kustomize_generate(const struct kustomize_layer *layer, struct kustomize_set *set, struct err *err)
{
    const struct json *entry;
    json_each(entry, kustomize_field(layer->file, "configMapGenerator")) {
        if (generate_one(layer, entry, false, set, err) < 0)
            return err->code;
    }
    json_each(entry, kustomize_field(layer->file, "secretGenerator")) {
        if (generate_one(layer, entry, true, set, err) < 0)
            return err->code;
    }
    return 0;
}

/* --- hashes */

static struct json *or_empty(const struct json *value)
{
    return value != NULL ? json_clone(value) : json_new_string("");
}

/* Ten characters of the content's SHA-256, those that could spell words replaced; as `kubectl create` once did it. */
static void content_hash(const struct json *object, char hash[11])
{
    const char *kind = json_str(object, "kind", NULL);
    CLEANUP(json_free) struct json *hashed = json_build("{s:s}", "kind", kind);
    json_set_str(hashed, "name",
                 ""); /* kustomize looks for a member "metadata/name" and finds none; hashes must agree */
    json_set(hashed, "data", or_empty(json_member(object, "data")));
    if (streq(kind, "Secret")) {
        json_set(hashed, "type", or_empty(json_member(object, "type")));
        if (json_is_object(json_member(object, "stringData")))
            json_set(hashed, "stringData", json_clone(json_member(object, "stringData")));
    } else if (json_is_object(json_member(object, "binaryData"))) {
        json_set(hashed, "binaryData", json_clone(json_member(object, "binaryData")));
    }
    CLEANUP(buf_done) struct buf text = {0};
    char hex[65];
    gotext_json(hashed, &text);
    pki_sha256_hex(buf_text(&text), text.len, hex);
    for (size_t i = 0; i < 10; i++) {
        const char *const from = "013ae", *place = strchr(from, hex[i]);
        hash[i] = place != NULL && hex[i] != '\0' ? "ghkmt"[place - from] : hex[i];
    }
    hash[10] = '\0';
}

void kustomize_add_hashes(struct kustomize_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        struct kustomize_object *object = &set->list[i];
        object->layer_start = object->names.n;
        if (!object->needs_hash)
            continue;
        char hash[11];
        content_hash(object->object, hash);
        kustomize_object_keep_name(object);
        CLEANUP(xfree) char *name = xasprintf("%s-%s", kustomize_object_name(object), hash);
        json_set_str(json_edit(object->object, "metadata", NULL), "name", name);
    }
}
