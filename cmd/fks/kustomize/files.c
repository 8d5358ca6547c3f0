/*
 * files.c: kustomizations from the file system.
 */
#include "kustomize/internal.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/limits.h"

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

const struct kustomize_reader kustomize_files = {.read = read_file, .is_folder = is_folder};
