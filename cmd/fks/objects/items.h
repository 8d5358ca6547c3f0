/*
 * items.h: what a command works on. The user names resources by type and name, by selector, or in files; either way
 * it becomes a list of items. args.c makes items of arguments, source.c of files, items.c reads them from the
 * server.
 */
#pragma once

#include "base/opt.h"
#include "cli.h"

struct item {
    const struct kube_resource *resource; /* borrowed from discovery */
    char *namespace;                      /* NULL: cluster-scoped, or all namespaces */
    char *name;                           /* NULL: a whole collection; "": a file's object without a name */
    struct json *object;                  /* from a file or the server; or NULL */
    char *source;                         /* the file it came from, for messages; NULL: arguments */
};
void item_done(struct item *item);

struct items {
    struct item *list;
    size_t n, cap;
    bool single; /* exactly one object was named: printed as itself, not as a List */
    bool one_file; /* one file named all of them: programs get all or nothing */
};
/* A new zeroed item at the end; borrowed until the next one is added. */
struct item *items_add(struct items *items);
void items_done(struct items *items);
DEFINE_CLEANUP_IN_PLACE(struct items, items_done)

/*
 * Tells why nothing could be selected and returns the exit code, for verbs that only read: what is wrong with a kustomization
 * stands there without "error: ".
 */
struct selection;
int items_fail(const struct cli *cli, const struct selection *selection, const struct err *err);
/* The same for what is wrong in a file, or for what was read of it. */
struct failures;
int items_fail_all(const struct cli *cli, const struct selection *selection, const struct failures *failures);

/* The options by which nearly every verb selects. {0} is valid and selects nothing. */
struct selection {
    struct strv filenames;                       /* -f */
    const char *kustomize;                       /* -k, or NULL */
    bool recursive;                              /* -R */
    const char *label_selector, *field_selector; /* NULL: none */
    bool all_namespaces;
    bool all;                   /* "TYPE" alone means all of that type */
    bool all_or_names;          /* and names beside it are refused, as a selector refuses them */
    int64_t chunk_size;         /* 0: one answer whatever its size */
    bool check_type_meta;       /* a file's object without apiVersion or kind is a validation failure */
    bool everything_if_unnamed; /* "TYPE" alone means all of that type */
    bool local;                 /* files only, no server: items get no resource */
};
void selection_done(struct selection *selection);
DEFINE_CLEANUP_IN_PLACE(struct selection, selection_done)

/* Rows for -f, -k, -R; -l, --field-selector. */
#define SELECTION_FILE_OPTIONS(selection)                                                       \
    {.name = "filename",                                                                        \
     .letter = 'f',                                                                             \
     .type = OPT_LIST,                                                                          \
     .value = &(selection)->filenames,                                                          \
     .argument = "[]",                                                                          \
     .help = "File, folder or URL that describes the resources; - is standard input."},         \
        {.name = "kustomize",                                                                   \
         .letter = 'k',                                                                         \
         .type = OPT_STRING,                                                                    \
         .value = &(selection)->kustomize,                                                      \
         .argument = "",                                                                        \
         .help = "Folder with a kustomization.yaml."},                                          \
    {                                                                                           \
        .name = "recursive", .letter = 'R', .type = OPT_BOOL, .value = &(selection)->recursive, \
        .help = "Go into the folders below the one given with -f."                              \
    }
#define SELECTION_LABEL_OPTION(selection)                                                                             \
    {                                                                                                                 \
        .name = "selector", .letter = 'l', .type = OPT_STRING, .value = &(selection)->label_selector, .argument = "", \
        .help = "Label query, for example -l key1=value1,key2=value2."                                                \
    }
#define SELECTION_FIELD_OPTION(selection)                                                                    \
    {                                                                                                        \
        .name = "field-selector", .type = OPT_STRING, .value = &(selection)->field_selector, .argument = "", \
        .help = "Field query, for example --field-selector status.phase=Running."                            \
    }
#define SELECTION_NAMESPACES_OPTION(selection)                                                            \
    {                                                                                                     \
        .name = "all-namespaces", .letter = 'A', .type = OPT_BOOL, .value = &(selection)->all_namespaces, \
        .help = "Work in all namespaces; --namespace is ignored."                                         \
    }
#define SELECTION_CHUNK_OPTION(selection)                                                            \
    {                                                                                                \
        .name = "chunk-size", .type = OPT_INT, .value = &(selection)->chunk_size, .argument = "500", \
        .help = "Read large lists in pieces of so many objects; 0: in one."                          \
    }

bool selection_has_files(const struct selection *selection);
/* -f and -k are there or "must specify one of -f and -k". */
int selection_require_files(const struct selection *selection, struct err *err) MUST_CHECK;

/* From "TYPE [NAME...]", "TYPE/NAME ...", "TYPE,TYPE". Connects. No request but discovery of unknown types. */
int items_from_args(struct cli *cli, const struct selection *selection, const struct strv *args, struct items *ret,
                    struct err *err) MUST_CHECK;
/*
 * From files, folders, URLs, standard input; Lists are taken apart, resources resolved, namespaces defaulted. What is
 * broken goes to failures and the rest is kept; the int is for failures that leave nothing to do.
 */
int items_from_files(struct cli *cli, const struct selection *selection, struct items *ret, struct failures *failures,
                     struct err *err) MUST_CHECK;
/* Are files and folders there, before anything is read? */
int items_check_files(const struct selection *selection, struct err *err) MUST_CHECK;
/* As from a file with this text; source names it in messages. */
int items_from_text(struct cli *cli, const char *source, const struct buf *text, struct items *ret,
                    struct failures *failures, struct err *err) MUST_CHECK;
/* One or the other, by what the user gave. */
int items_select(struct cli *cli, const struct selection *selection, const struct strv *args, struct items *ret,
                 struct failures *failures, struct err *err) MUST_CHECK;

/*
 * As items_select, and then every item is one object with its name: collections are listed, objects that were named
 * are read when fetch is set. What cannot be read goes to failures.
 */
int items_resolve(struct cli *cli, const struct selection *selection, const struct strv *args, bool fetch,
                  struct items *ret, struct failures *failures, struct err *err) MUST_CHECK;

/*
 * ERR_INVALID for an object without a name, as files may hold it: its path would be that of all objects of the kind.
 * Whoever reads, changes or deletes one object asks first.
 */
int item_check_name(const struct item *item, struct err *err) MUST_CHECK;
/* The API path, heap string. */
char *item_path(const struct item *item, const char *subresource) MUST_CHECK;
/* Path of the collection the item is in. */
char *item_collection_path(const struct item *item) MUST_CHECK;
/* GET of one object. accept may be NULL. A missing namespace is told as such. */
int item_get(struct cli *cli, const struct item *item, const char *accept, struct json **ret,
             struct err *err) MUST_CHECK;
/* The item's object becomes what the server has under a subresource of it. */
int item_fetch(struct cli *cli, struct item *item, const char *subresource, struct err *err) MUST_CHECK;
/* How a collection is asked for. */
struct item_listing {
    const struct selection *selection;
    const char *accept;            /* NULL: objects as JSON */
    const char *extra_query;       /* or NULL */
    const struct json_omit *omit;  /* what of the answers makes no tree, or NULL */
};
/* One piece of a collection: take() it to keep it. False: no further ones. */
typedef bool item_page(struct json **answer, void *data);
/* GET of a collection, piece by piece. */
int item_list(struct cli *cli, const struct item *item, const struct item_listing *listing, item_page *page, void *data,
              struct err *err) MUST_CHECK;
/* Gives a member of a list answer, which only the list does, its apiVersion and kind. */
void item_set_type(const struct kube_resource *resource, struct json *object);
/* The objects of a collection, each an item with its name, apiVersion and kind. */
int items_list(struct cli *cli, const struct item *collection, const struct selection *selection, struct items *ret,
               struct err *err) MUST_CHECK;
/* "deployment.apps/web". */
void item_print_name(const struct item *item, struct buf *out);
/* "deployment.apps": kind in lower case, and group. */
void resource_print_kind(const struct kube_resource *resource, struct buf *out);
/* "deployments.apps". */
void resource_print_plural(const struct kube_resource *resource, struct buf *out);
