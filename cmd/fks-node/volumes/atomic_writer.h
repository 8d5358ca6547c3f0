/*
 * atomic_writer.h: a folder of files that changes as a whole: readers see all old or all new files, never a mixture.
 *
 * The files live in <dir>/..<timestamp>.<random>/, the symlink <dir>/..data names the current one of those, and
 * what users see, <dir>/<first path element>, is a symlink into ..data. An update renames a new ..data over the
 * old, as the kubelet does, so programs that watch for that (inotify on ..data) work.
 */
#pragma once

#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"

struct atomic_file {
    const char *path; /* relative, may have folders; no "..", not absolute; borrowed */
    const void *data; /* borrowed */
    size_t len;
    mode_t mode;      /* permission bits */
    int64_t uid;      /* owner; -1: root (ours) */
};

/*
 * Makes dir (which exists) show exactly these files. gid: group of files and folders, -1: ours. *ret_changed (NULL
 * allowed): something was written. ERR_INVALID: a path that is absolute, has a ".." element, begins with ".." , is
 * too long or is a folder of another path; ERR_IO and what errno says. On failure the old files stay.
 */
int atomic_writer_write(const char *dir, const struct atomic_file *files, size_t n, int64_t gid, bool *ret_changed,
                        struct err *err) MUST_CHECK;
/* The rule for one path alone. */
int atomic_writer_check_path(const char *path, struct err *err) MUST_CHECK;
