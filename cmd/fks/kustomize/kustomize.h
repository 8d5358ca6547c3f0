/*
 * kustomize.h: the objects that a kustomization folder describes: resources of files and other kustomizations,
 * generated ConfigMaps and Secrets, names, labels, images, patches. The useful part of kustomize; what is not there is
 * refused by the name of its field. Pure: files come through a reader.
 */
#pragma once

#include "base/buf.h"
#include "data/json.h"

struct kustomize_reader {
    /* The bytes of a file, at most LIMIT_FILE; path as built from the root that kustomize_build got. */
    int (*read)(void *data, const char *path, struct buf *ret, struct err *err);
    bool (*is_folder)(void *data, const char *path);
    void *data;
    char *(*full_name)(void *data, const char *path); /* for messages, heap; NULL: names are full as they are */
    bool anywhere; /* a file may be outside the folder that names it */
};

/*
 * *ret: array of the objects, in kustomize's order for applying. *ret_warnings, which may be NULL: lines about
 * deprecated fields. ERR_NOT_FOUND, ERR_PARSE, ERR_INVALID, ERR_UNSUPPORTED, ERR_TOO_BIG.
 */
int kustomize_build(const struct kustomize_reader *reader, const char *folder, struct json **ret,
                    struct buf *ret_warnings, struct err *err) MUST_CHECK;
/*
 * The same for a folder of the file system, which is looked for first. Files outside the folder that names them are refused
 * unless they may be anywhere.
 */
int kustomize_build_files(const char *folder, bool anywhere, struct json **ret, struct buf *ret_warnings, struct err *err) MUST_CHECK;
