/*
 * patch.c: patches, patchesStrategicMerge and patchesJson6902: which objects a patch is for, and applying it. Built-in
 * kinds are merged strategically, others as JSON.
 */
#include "kustomize/internal.h"

#include <regex.h>

#include "base/mem.h"
#include "data/patch.h"
#include "data/yaml.h"
#include "merge/merge.h"
#include "objects/selector.h"

struct patching {
    const struct kustomize_layer *layer;
    struct kustomize_set *set;
    const struct json *target;  /* selector, or NULL */
    const struct json *options; /* allowNameChange ..., or NULL */
    const char *source;         /* for messages */
};

/* --- which objects */

/* An anchored regular expression; a missing one matches everything. 1, 0, or ERR_INVALID. */
static int text_matches(const char *pattern, const char *text, struct err *err)
{
    if (strempty(pattern)[0] == '\0')
        return 1;
    CLEANUP(xfree) char *anchored = xasprintf("^(%s)$", pattern);
    regex_t compiled;
    if (regcomp(&compiled, anchored, REG_EXTENDED | REG_NOSUB) != 0)
        return err_set(err, ERR_INVALID, "patch target: '%s' is no regular expression", pattern);
    int result = regexec(&compiled, text, 0, NULL, 0) == 0;
    regfree(&compiled);
    return result;
}

static int any_matches(const char *pattern, const char *now, const struct strv *former, struct err *err)
{
    int result = text_matches(pattern, now, err);
    for (size_t i = 0; i < former->n && result == 0; i++)
        result = text_matches(pattern, former->items[i], err);
    return result;
}

static int is_selected(const struct json *target, const struct kustomize_object *object, struct err *err)
{
    CLEANUP(xfree) char *group = kustomize_group(object->object);
    const char *version = json_str_or("", object->object, "apiVersion", NULL), *slash = strchr(version, '/');
    const char *labels = kustomize_text(target, "labelSelector"), *notes = kustomize_text(target, "annotationSelector");
    const struct json *metadata = json_get(object->object, "metadata", NULL);
    int result = text_matches(kustomize_text(target, "group"), group, err);
    if (result == 1)
        result = text_matches(kustomize_text(target, "version"), slash != NULL ? slash + 1 : version, err);
    if (result == 1)
        result = text_matches(kustomize_text(target, "kind"), kustomize_object_kind(object), err);
    if (result == 1)
        result = any_matches(kustomize_text(target, "name"), kustomize_object_name(object), &object->names, err);
    if (result == 1)
        result = any_matches(kustomize_text(target, "namespace"), kustomize_object_namespace(object),
                             &object->namespaces, err);
    if (result == 1 && labels != NULL)
        result = selector_matches(labels, json_member(metadata, "labels"), err);
    if (result == 1 && notes != NULL)
        result = selector_matches(notes, json_member(metadata, "annotations"), err);
    return result;
}

/* The one object that a strategic merge patch names; SIZE_MAX with an error otherwise. */
static size_t find_named(const struct patching *patching, const struct json *patch, struct err *err)
{
    const struct kustomize_set *set = patching->set;
    const char *kind = json_str_or("", patch, "kind", NULL), *name = json_str_or("", patch, "metadata", "name", NULL);
    const char *namespace = json_str_or("default", patch, "metadata", "namespace", NULL);
    CLEANUP(xfree) char *group = kustomize_group(patch);
    size_t found = SIZE_MAX, n_found = 0;
    for (size_t i = 0; i < set->n; i++) {
        CLEANUP(xfree) char *own_group = kustomize_group(set->list[i].object);
        if (!streq(kustomize_object_kind(&set->list[i]), kind) || !streq(own_group, group) ||
            !kustomize_object_was(&set->list[i], name, namespace))
            continue;
        found = i;
        n_found++;
    }
    if (n_found == 1)
        return found;
    (void)err_set(err, ERR_NOT_FOUND, "%s resource matches strategic merge patch \"%s %s\" (%s)",
                  n_found == 0 ? "no" : "more than one", kind, name, patching->source);
    return SIZE_MAX;
}

/* --- applying */

static void apply_strategic(struct patching *patching, size_t index, const struct json *patch)
{
    struct kustomize_object *object = &patching->set->list[index];
    CLEANUP(json_free) struct json *plain = json_clone(patch), *merged = NULL;
    CLEANUP(xfree) char *group = kustomize_group(object->object);
    if (streq(json_str(patch, "$patch", NULL), "delete")) {
        kustomize_set_remove(patching->set, index);
        return;
    }
    if (!json_is_true(kustomize_field(patching->options, "allowKindChange"), NULL)) {
        json_del(plain, "kind");
        json_del(plain, "apiVersion");
    }
    struct json *metadata = json_edit_member(plain, "metadata");
    if (json_is_object(metadata) && !json_is_true(kustomize_field(patching->options, "allowNameChange"), NULL)) {
        json_del(metadata, "name");
        json_del(metadata, "namespace");
    }
    kustomize_object_keep_name(object);
    if (merge_style_of(group) == MERGE_STRATEGIC)
        merged = merge_apply_first(object->object, plain);
    else
        merged = patch_merge(object->object, plain);
    json_free(object->object);
    object->object = take(&merged);
}

static int apply_operations(struct kustomize_object *object, const struct json *operations, struct err *err)
{
    struct json *patched = NULL;
    if (patch_apply(object->object, operations, &patched, err) < 0)
        return err_wrap(err, "%s \"%s\"", kustomize_object_kind(object), kustomize_object_name(object));
    if (!json_is_object(patched)) {
        json_free(patched);
        return err_set(err, ERR_INVALID, "a JSON patch leaves no object of %s \"%s\"", kustomize_object_kind(object),
                       kustomize_object_name(object));
    }
    kustomize_object_keep_name(object);
    json_free(object->object);
    object->object = patched;
    return 0;
}

/* All objects of the target; patch is an array of operations, or an object to merge. From the end, since one may go. */
static int apply_to_target(struct patching *patching, const struct json *patch, struct err *err)
{
    for (size_t i = patching->set->n; i-- > 0;) {
        int selected = is_selected(patching->target, &patching->set->list[i], err);
        if (selected < 0)
            return err->code;
        if (selected == 0)
            continue;
        if (json_is_array(patch)) {
            if (apply_operations(&patching->set->list[i], patch, err) < 0)
                return err->code;
        } else {
            apply_strategic(patching, i, patch);
        }
    }
    return 0;
}

static int apply_text(struct patching *patching, const char *text, size_t len, struct err *err)
{
    CLEANUP(json_free) struct json *documents = NULL;
    if (yaml_parse_all(text, len, &documents, err) < 0)
        return err_wrap(err, "unable to parse SM or JSON patch from %s", patching->source);
    if (json_len(documents) > 1 && patching->target != NULL)
        return err_set(err, ERR_INVALID,
                       "several strategic merge patches in one entry of \"patches\" cannot have a target: %s",
                       patching->source);
    const struct json *patch;
    json_each(patch, documents) {
        if (json_is_array(patch) && patching->target == NULL)
            return err_set(err, ERR_INVALID, "must specify a target for JSON patch %s", patching->source);
        if (!json_is_array(patch) && !json_is_object(patch))
            return err_set(err, ERR_INVALID, "unable to parse SM or JSON patch from %s", patching->source);
        if (patching->target != NULL) {
            if (apply_to_target(patching, patch, err) < 0)
                return err->code;
            continue;
        }
        size_t index = find_named(patching, patch, err);
        if (index == SIZE_MAX)
            return err->code;
        apply_strategic(patching, index, patch);
    }
    return 0;
}

static int apply_file(struct patching *patching, const char *path, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {0};
    if (kustomize_read(patching->layer, path, &text, err) < 0)
        return err_wrap(err, "failed to get the patch file from path(%s)", path);
    patching->source = path;
    return apply_text(patching, buf_text(&text), text.len, err);
}

/* {path or patch, target, options} */
static int apply_entry(const struct kustomize_layer *layer, struct kustomize_set *set, const struct json *entry,
                       struct err *err)
{
    const char *path = kustomize_text(entry, "path"), *patch = kustomize_text(entry, "patch");
    struct patching patching = {.layer = layer,
                                .set = set,
                                .target = kustomize_field(entry, "target"),
                                .options = kustomize_field(entry, "options"),
                                .source = "an inline patch"};
    if ((path == NULL) == (patch == NULL))
        return err_set(err, ERR_INVALID, "%s: a patch must specify one of patch and path", layer->folder);
    return path != NULL ? apply_file(&patching, path, err) : apply_text(&patching, patch, strlen(patch), err);
}

int kustomize_patch_json6902(const struct kustomize_layer *layer, struct kustomize_set *set, struct err *err)
{
    const struct json *entry;
    json_each(entry, kustomize_field(layer->file, "patchesJson6902")) {
        if (apply_entry(layer, set, entry, err) < 0)
            return err->code;
    }
    return 0;
}

int kustomize_patch(const struct kustomize_layer *layer, struct kustomize_set *set, struct err *err)
{
    const struct json *entry;
    json_each(entry, kustomize_field(layer->file, "patchesStrategicMerge")) {
        struct patching patching = {.layer = layer, .set = set, .source = "an inline patch"};
        const char *text = strempty(json_string_value(entry));
        int code = strchr(text, '\n') != NULL ? apply_text(&patching, text, strlen(text), err)
                                              : apply_file(&patching, text, err);
        if (code < 0)
            return code;
    }
    json_each(entry, kustomize_field(layer->file, "patches")) {
        if (apply_entry(layer, set, entry, err) < 0)
            return err->code;
    }
    return 0;
}
