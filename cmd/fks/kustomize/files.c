/*
 * files.c: kustomizations from the file system.
 */
#include "kustomize/internal.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

static int read_file(void *data, const char *path, struct buf *ret, struct err *err)
{
    (void)data;
    return file_read(path, LIMIT_FILE, ret, err);
}

static bool is_folder(void *data, const char *path)
{
    (void)data;
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static char *full_name(void *data, const char *path)
{
    (void)data;
    CLEANUP(xfree) char *full = realpath(path, NULL);
    return xstrdup(full != NULL ? full : path);
}

int kustomize_build_files(const char *folder, bool anywhere, struct json **ret, struct buf *ret_warnings, struct err *err)
{
    const struct kustomize_reader reader = {
        .read = read_file, .is_folder = is_folder, .full_name = full_name, .anywhere = anywhere};
    if (!file_exists(folder)) {
        CLEANUP(xfree) char *here = getcwd(NULL, 0);
        CLEANUP(xfree) char *full = folder[0] == '/' || here == NULL ? xstrdup(folder) : path_join(here, folder, NULL);
        return err_set(err, ERR_NOT_FOUND, "must build at directory: not a valid directory: evalsymlink failure on '%s' : "
                                           "lstat %s: no such file or directory", folder, full);
    }
    if (!is_folder(NULL, folder))
        return err_set(err, ERR_INVALID, "must build at directory: '%s': file is not directory", folder);
    return kustomize_build(&reader, folder, ret, ret_warnings, err);
}
