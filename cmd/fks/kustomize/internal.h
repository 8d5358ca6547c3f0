/*
 * internal.h: between the files of kustomize/.
 */
#pragma once

#include "base/str.h"
#include "kustomize/kustomize.h"

#define KUSTOMIZE_DEPTH_MAX 32      /* kustomizations within kustomizations */
#define KUSTOMIZE_OBJECTS_MAX 10000 /* objects of one build */

/* An object under way, and the names it had. */
struct kustomize_object {
    struct json *object;
    struct strv names, namespaces; /* former ones, oldest first; equally long */
    size_t layer_start;            /* how many of them are older than the layer at hand */
    bool needs_hash;               /* its name gets the hash of its content at the end */
};
struct kustomize_set {
    struct kustomize_object *list;
    size_t n, cap;
};
/* Takes the object over. ERR_INVALID when one of its kind, name and namespace is there already; ERR_TOO_BIG. */
int kustomize_set_add(struct kustomize_set *set, struct json *object, struct err *err) MUST_CHECK;
void kustomize_set_remove(struct kustomize_set *set, size_t index);
/* The objects of `from` move to the end; it is empty afterwards. */
int kustomize_set_move(struct kustomize_set *set, struct kustomize_set *from, struct err *err) MUST_CHECK;
void kustomize_set_sort(struct kustomize_set *set);
void kustomize_set_done(struct kustomize_set *set);
DEFINE_CLEANUP_IN_PLACE(struct kustomize_set, kustomize_set_done)

/* Before a change of name or namespace: the present ones become former ones. */
void kustomize_object_keep_name(struct kustomize_object *object);
const char *kustomize_object_name(const struct kustomize_object *object);
const char *kustomize_object_namespace(const struct kustomize_object *object); /* "default" if it has none */
const char *kustomize_object_kind(const struct kustomize_object *object);
/* "apps" of "apps/v1", heap string. */
char *kustomize_group(const struct json *object) MUST_CHECK;
/* Has, or had, this name and namespace (NULL: any). */
bool kustomize_object_was(const struct kustomize_object *object, const char *name, const char *namespace);

/* Below is one layer: the fields of one kustomization file on the set. */

/* A member by its name in any case, as kustomize reads its files; NULL if missing. */
const struct json *kustomize_field(const struct json *object, const char *name);
const char *kustomize_text(const struct json *object, const char *name);
struct kustomize_layer {
    const struct kustomize_reader *reader;
    const char *folder;
    const struct json *file; /* the kustomization */
};
int kustomize_read(const struct kustomize_layer *layer, const char *path, struct buf *ret, struct err *err) MUST_CHECK;
int kustomize_generate(const struct kustomize_layer *layer, struct kustomize_set *set, struct err *err) MUST_CHECK;
int kustomize_patch(const struct kustomize_layer *layer, struct kustomize_set *set, struct err *err) MUST_CHECK;
/* patchesJson6902, whose turn is after names and labels. */
int kustomize_patch_json6902(const struct kustomize_layer *layer, struct kustomize_set *set,
                             struct err *err) MUST_CHECK;
int kustomize_transform(const struct kustomize_layer *layer, struct kustomize_set *set, struct err *err) MUST_CHECK;
/* Fields that name objects of the set get the names these have now. */
void kustomize_fix_references(struct kustomize_set *set);
/* Names of generated objects get their hashes. */
void kustomize_add_hashes(struct kustomize_set *set);

/*
 * Calls back for the field at a path "spec/template/metadata/labels" of an object, for every element of lists on the
 * way. create: missing objects are made, the last one as well. holder and key: where the field is or may be set.
 */
typedef void kustomize_visit(struct json *holder, const char *key, void *data);
void kustomize_visit_path(struct json *object, const char *path, bool create, kustomize_visit *visit, void *data);
